//! Frames that look different: clusters of small pictures, one frame from each.

use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::video::{Decoded, Reader};
use crate::watch::Watch;
use opencv::core::{self, Mat};
use opencv::imgproc;
use opencv::prelude::*;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// How [`kmeans`] looks at the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The width in pixels frames are shrunk to before they are compared.
    pub resize_width: usize,
    /// Look at every `step`-th frame of the window; more apart where that would be more than `max_candidates`.
    pub step: usize,
    /// Compare colours, not only brightness.
    pub colour: bool,
    /// Look at no more frames than this, so that hours of video take minutes.
    pub max_candidates: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { resize_width: 30, step: 1, colour: false, max_candidates: 3000 }
    }
}

/// `count` frames of the window that look as different as they can: the candidates are shrunk by area averaging,
/// their mean is taken off, k-means finds `count` clusters, and one frame of each is drawn at random. Rising order;
/// the same for the same seed. `crop` (x1, x2, y1, y2 in pixels, ends excluded) compares only that part.
///
/// Frames that cannot be decoded are never chosen. With no more candidates than `count`, all are given.
///
/// # Errors
/// [`Kind::Usage`] when the window or the crop does not lie in the video, or the crop is narrower than
/// `resize_width`; [`Kind::Cancelled`]; and what [`Reader::frame`] gives.
pub fn kmeans(
    reader: &mut Reader,
    window: Range<usize>,
    count: usize,
    seed: u64,
    options: &Options,
    crop: Option<[usize; 4]>,
    watch: &dyn Watch,
) -> Result<Vec<usize>> {
    let place = reader.index().path().display().to_string();
    if window.end > reader.index().len() {
        let what = format!("the window ends at frame {}, the video at {}", window.end, reader.index().len());
        return Err(Error::new(Kind::Usage, what)
            .at(place)
            .mend("make the window from this video's own length"));
    }
    let (width, height) = (reader.index().width(), reader.index().height());
    let [x1, x2, y1, y2] = crop.unwrap_or([0, width, 0, height]);
    if x1 >= x2 || y1 >= y2 || x2 > width || y2 > height {
        let what = format!("the crop {x1}, {x2}, {y1}, {y2} does not lie in the {width} x {height} video");
        return Err(Error::new(Kind::Usage, what)
            .at(place)
            .mend("give x1 < x2 up to the width and y1 < y2 up to the height"));
    }
    if options.resize_width == 0 || x2 - x1 < options.resize_width {
        let what = format!(
            "pictures {} pixels wide cannot be shrunk to a width of {}",
            x2 - x1,
            options.resize_width
        );
        return Err(Error::new(Kind::Usage, what)
            .at(place)
            .mend("choose a wider crop, a smaller resize width, or the uniform method"));
    }
    if count == 0 {
        return Ok(Vec::new());
    }

    // Few candidates of a long video cost little: the reader jumps to the keyframe before each where that is shorter.
    let apart = window.len().div_ceil(options.max_candidates.max(count)).max(options.step).max(1);
    let candidates: Vec<usize> = window.step_by(apart).collect();
    watch.begin("look at frames", Some(candidates.len() as u64));
    let looked = look(reader, &candidates, options, [x1, x2, y1, y2], watch);
    watch.end();
    let (seen, features) = looked?;
    if seen.len() <= count {
        return Ok(seen);
    }
    watch.check()?;
    let clusters = cluster(features, count, seed).map_err(|e| {
        Error::new(Kind::Compute, format!("cannot cluster the frames: {e}"))
            .at(&place)
            .mend("use the uniform method")
            .because(e)
    })?;

    let mut members = vec![Vec::new(); count];
    for (frame, cluster) in seen.into_iter().zip(clusters) {
        members[cluster].push(frame);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut picked: Vec<usize> = members.iter().filter_map(|m| m.choose(&mut rng).copied()).collect();
    picked.sort_unstable();
    Ok(picked)
}

/// The candidates that can be decoded, and a row of features for each.
fn look(
    reader: &mut Reader,
    candidates: &[usize],
    options: &Options,
    crop: [usize; 4],
    watch: &dyn Watch,
) -> Result<(Vec<usize>, Vec<Vec<f32>>)> {
    let mut seen = Vec::with_capacity(candidates.len());
    let mut features = Vec::with_capacity(candidates.len());
    for n in candidates {
        watch.check()?;
        match reader.frame(*n)? {
            Decoded::Picture(picture) => {
                let row = shrunk(&picture, options, crop).map_err(|e| {
                    Error::new(Kind::Compute, format!("cannot shrink frame {n}: {e}"))
                        .at(reader.index().path().display())
                        .mend("use the uniform method")
                        .because(e)
                })?;
                seen.push(*n);
                features.push(row);
            }
            Decoded::Missing(why) => watch.warn(&format!("frame {n} is left out: {why}")),
        }
        watch.advance(1);
    }
    Ok((seen, features))
}

/// The crop, `resize_width` wide, as brightness or as colours, 0 to 255.
fn shrunk(picture: &Picture, options: &Options, [x1, x2, y1, y2]: [usize; 4]) -> opencv::Result<Vec<f32>> {
    let number =
        |n: usize| i32::try_from(n).map_err(|e| opencv::Error::new(core::StsOutOfRange, e.to_string()));
    let (crop_width, crop_height) = (x2 - x1, y2 - y1);
    // Rounded, and never flat.
    let small_height = ((crop_height * options.resize_width + crop_width / 2) / crop_width).max(1);
    let row_bytes = picture.width() * 3;
    let bytes: Vec<u8> = picture
        .rgb()
        .chunks_exact(row_bytes)
        .take(y2)
        .skip(y1)
        .flat_map(|row| row[x1 * 3..x2 * 3].iter().copied())
        .collect();
    let flat = Mat::from_slice(&bytes)?;
    let whole = flat.reshape(3, number(crop_height)?)?;
    let size = core::Size::new(number(options.resize_width)?, number(small_height)?);
    let mut small = Mat::default();
    imgproc::resize(&whole, &mut small, size, 0.0, 0.0, imgproc::INTER_AREA)?;
    let values = small.data_bytes()?;
    Ok(if options.colour {
        values.iter().map(|v| f32::from(*v)).collect()
    } else {
        values.chunks_exact(3).map(|p| p.iter().map(|v| f32::from(*v)).sum::<f32>() / 3.0).collect()
    })
}

/// The cluster (0 to `count` - 1) of each row, the mean over all rows taken off first.
fn cluster(mut rows: Vec<Vec<f32>>, count: usize, seed: u64) -> opencv::Result<Vec<usize>> {
    let number =
        |n: usize| i32::try_from(n).map_err(|e| opencv::Error::new(core::StsOutOfRange, e.to_string()));
    let mut mean = vec![0.0_f64; rows.first().map_or(0, Vec::len)];
    for row in &rows {
        for (m, v) in mean.iter_mut().zip(row) {
            *m += f64::from(*v);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let scale = 1.0 / rows.len().max(1) as f64;
    for row in &mut rows {
        for (v, m) in row.iter_mut().zip(&mean) {
            #[allow(clippy::cast_possible_truncation)]
            let centre = (m * scale) as f32;
            *v -= centre;
        }
    }
    let data = Mat::from_slice_2d(&rows)?;
    let mut labels = Mat::default();
    // OpenCV draws its first centres from this thread's own generator.
    core::set_rng_seed(ChaCha8Rng::seed_from_u64(seed).random_range(1..i32::MAX))?;
    let criteria = core::TermCriteria::new(core::TermCriteria_COUNT + core::TermCriteria_EPS, 50, 1e-3)?;
    core::kmeans(
        &data,
        number(count)?,
        &mut labels,
        criteria,
        1,
        core::KMEANS_PP_CENTERS,
        &mut core::no_array(),
    )?;
    let labels = labels.data_typed::<i32>()?;
    Ok(labels.iter().map(|l| usize::try_from(*l).unwrap_or(0).min(count - 1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Writer;
    use crate::watch::Quiet;

    /// A clip of `scenes` scenes of ten frames: a bright square elsewhere in each.
    fn clip(path: &std::path::Path, scenes: usize) {
        let mut writer = Writer::create(path, 96, 64, 30.0).unwrap();
        for n in 0..scenes * 10 {
            let mut p = Picture::new(96, 64);
            let (left, top) = (n / 10 % 6 * 16, n / 60 * 16);
            for y in top..top + 16 {
                for x in left..left + 16 {
                    p.set(x, y, [200, 255 - 60 * (n / 10 % 3) as u8, 40]);
                }
            }
            writer.write(&p).unwrap();
        }
        writer.finish().unwrap();
    }

    fn pick(reader: &mut Reader, window: Range<usize>, count: usize, options: &Options) -> Vec<usize> {
        kmeans(reader, window, count, 7, options, None, &Quiet::default()).unwrap()
    }

    #[test]
    fn one_frame_of_every_scene() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        clip(&path, 8);
        let mut reader = Reader::open(&path, &Quiet::default()).unwrap();
        let options = Options::default();
        let mut scenes_found = 0;
        for seed in 0..5 {
            let picked = kmeans(&mut reader, 0..80, 8, seed, &options, None, &Quiet::default()).unwrap();
            assert!(picked.windows(2).all(|w| w[0] < w[1]));
            let mut scenes: Vec<usize> = picked.iter().map(|n| n / 10).collect();
            scenes.dedup();
            scenes_found += scenes.len();
        }
        assert!(scenes_found >= 37, "{scenes_found} of 40: random frames would give about 27");
        assert_eq!(pick(&mut reader, 0..80, 8, &options), pick(&mut reader, 0..80, 8, &options));
        // Only the window, and only the part of the picture asked for.
        assert!(pick(&mut reader, 33..57, 3, &options).iter().all(|n| (33..57).contains(n)));
        let colour = Options { colour: true, ..options };
        assert_eq!(pick(&mut reader, 0..80, 4, &colour).len(), 4);
        let crop = Some([0, 48, 0, 32]);
        assert!(!kmeans(&mut reader, 0..80, 3, 1, &options, crop, &Quiet::default()).unwrap().is_empty());
    }

    #[test]
    fn few_frames_and_senseless_requests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        clip(&path, 3);
        let mut reader = Reader::open(&path, &Quiet::default()).unwrap();
        let options = Options::default();
        assert_eq!(pick(&mut reader, 4..9, 10, &options), [4, 5, 6, 7, 8]);
        assert!(pick(&mut reader, 0..30, 0, &options).is_empty());
        assert!(pick(&mut reader, 5..5, 4, &options).is_empty());
        // The step holds, and few candidates are enough for a long window.
        let stepped = Options { step: 10, ..options };
        assert_eq!(pick(&mut reader, 0..30, 5, &stepped), [0, 10, 20]);
        let few = Options { max_candidates: 6, ..options };
        assert!(pick(&mut reader, 0..30, 3, &few).iter().all(|n| n % 5 == 0));

        let ask = |reader: &mut Reader, window, options: &Options, crop| {
            kmeans(reader, window, 3, 1, options, crop, &Quiet::default()).unwrap_err().kind()
        };
        assert_eq!(ask(&mut reader, 0..31, &options, None), Kind::Usage);
        assert_eq!(ask(&mut reader, 0..30, &options, Some([0, 97, 0, 64])), Kind::Usage);
        assert_eq!(ask(&mut reader, 0..30, &options, Some([9, 9, 0, 64])), Kind::Usage);
        assert_eq!(ask(&mut reader, 0..30, &options, Some([0, 20, 0, 64])), Kind::Usage);
        let stopped = Quiet::default();
        stopped.stop();
        let e = kmeans(&mut reader, 0..30, 3, 1, &options, None, &stopped).unwrap_err();
        assert_eq!(e.kind(), Kind::Cancelled);
    }
}
