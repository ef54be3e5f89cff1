//! The best few candidates of every point of every frame, limn's own file for later filters and triangulation (feature
//! `hdf5`).
//!
//! A heatmap often has several peaks; the tracks keep the highest, this file keeps `k` of them. It can be read piece by
//! piece. The specification is `docs/formats/limn-candidates.md`.
//!
//! ```
//! use limn::formats::candidates::{self, CandidatesH5};
//! use limn::pose::Skeleton;
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("m1.candidates.h5");
//! let (frames, k) = (2, 2);
//! let mut file = CandidatesH5::create(&path, "limn_resnet50", &Skeleton::single(["snout"]), frames, k)?;
//! file.rows(&[10.5, 20.25, 0.97, 80.0, 7.5, 0.3])?;
//! file.rows(&[11.0, 20.5, 0.95, f32::NAN, f32::NAN, f32::NAN])?;
//! file.finish()?; // only now is there a file
//! let read = candidates::read(&path, 1..2, &Quiet::default())?;
//! assert_eq!((read.file_frames, read.k), (2, 2));
//! assert_eq!(read.get(1, 0), [[11.0, 20.5, 0.95]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::h5::raw::{self, Scalar, failed, wrong};
use super::h5::{self, Rows, Writer};
use super::header::{self, SINGLE};
use crate::error::{Error, Kind, Result};
use crate::pose::Skeleton;
use crate::watch::Watch;
use hdf5_metno::filters::deflate_available;
use hdf5_metno::types::{FloatSize, TypeDescriptor as Type};
use hdf5_metno::{Extent, Group, SimpleExtents};
use std::ops::Range;
use std::path::Path;

const FORMAT: &str = "limn-candidates";
const VERSION: i64 = 1;
/// Bytes of a chunk before it is packed.
const CHUNK: usize = 256 << 10;
/// Bytes read at a time.
const AT_ONCE: usize = 16 << 20;

/// Candidates written as they come, so that memory does not grow with the video. The file appears, whole, with
/// [`finish`](Self::finish); dropped before, nothing is left.
#[derive(Debug)]
pub struct CandidatesH5(Writer<f32>);

impl CandidatesH5 {
    /// Begins a file of `frames` rows with `k` candidates for every point, which will have the name `path`. `scorer` is
    /// the model's name.
    ///
    /// # Errors
    /// When names cannot be held by the format, `k` is 0, or the folder cannot be written.
    pub fn create(path: &Path, scorer: &str, skeleton: &Skeleton, frames: usize, k: usize) -> Result<Self> {
        header::check_names(scorer, skeleton).map_err(|e| e.at(path.display()))?;
        let points = skeleton.points();
        let width =
            points.checked_mul(k).and_then(|n| n.checked_mul(3)).filter(|n| *n > 0).ok_or_else(|| {
                Error::new(Kind::Usage, format!("{k} candidates for every point make no file"))
                    .at(path.display())
                    .mend("ask for 1 to 100")
            })?;
        let make = |file: &hdf5_metno::File| {
            raw::set_text(file, "format", FORMAT)?;
            raw::set_i64(file, "version", VERSION)?;
            raw::set_text(file, "program", concat!("limn ", env!("CARGO_PKG_VERSION")))?;
            raw::set_text(file, "scorer", scorer)?;
            let individuals = skeleton.names().map(|p| if skeleton.multi_animal { p.individual } else { "" });
            write_names(file, "individual", &individuals.collect::<Vec<_>>())?;
            write_names(file, "bodypart", &skeleton.names().map(|p| p.bodypart).collect::<Vec<_>>())?;
            let chunk = (CHUNK / width.saturating_mul(4)).clamp(1, frames.max(1));
            let mut builder = file
                .new_dataset_builder()
                .obj_track_times(false) // the same candidates are the same file
                .chunk((chunk, points, k, 3));
            if deflate_available() {
                builder = builder.shuffle().deflate(1);
            }
            let shape = [Extent::resizable(frames), points.into(), k.into(), 3.into()];
            let set = builder
                .empty_as(Type::Float(FloatSize::U4))
                .shape(SimpleExtents::from_vec(shape.to_vec()))
                .create("candidates")
                .map_err(failed("make `candidates`"))?;
            Ok(Rows { set: Some(set), count: frames, width, numbered: false, chunk })
        };
        Writer::create(path, make).map(Self)
    }

    /// Writes the next frames, any number of whole rows `[frame][point][candidate][x, y, likelihood]`: pixels of the full
    /// frame, the best candidate first, NaN where there are fewer. At most about 1 MiB of them is kept in memory.
    ///
    /// # Errors
    /// When the values are no whole rows, or more than the file is for (nothing is taken then), or the disk is full.
    pub fn rows(&mut self, rows: &[f32]) -> Result<()> {
        self.0.rows(rows)
    }

    /// Writes the rest and gives the file its name.
    ///
    /// # Errors
    /// When fewer rows came than the file is for, the disk is full, or the folder cannot be written; a file of that name
    /// stays as it was then.
    pub fn finish(self) -> Result<()> {
        self.0.finish()
    }
}

/// One text for each point.
fn write_names(group: &Group, name: &str, names: &[&str]) -> Result<()> {
    let size = names.iter().map(|n| n.len()).max().unwrap_or(0).max(1);
    let mut bytes = Vec::with_capacity(size * names.len());
    for (i, text) in (1..).zip(names) {
        bytes.extend(text.bytes());
        bytes.resize(size * i, 0);
    }
    let set = group
        .new_dataset_builder()
        .obj_track_times(false)
        .empty_as(Type::FixedUnicode(size))
        .shape(names.len())
        .create(name)
        .map_err(failed("write the names"))?;
    raw::write(&set, 0..names.len(), &bytes)?;
    raw::settle(&set)
}

/// Candidates of a range of frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// The model's name.
    pub scorer: String,
    /// What the points are; without edges.
    pub skeleton: Skeleton,
    /// How many frames the whole file has.
    pub file_frames: usize,
    /// How many candidates a point has at most.
    pub k: usize,
    /// Which frames were read.
    pub frames: Range<usize>,
    /// `[frame][point][candidate]`, NaN where there are fewer.
    values: Vec<[f32; 3]>,
}

impl Candidates {
    /// The candidates of a point in a frame (counted from the video's first), as x, y, likelihood, in pixels of the full
    /// frame, the best first; empty where there are none and for frames that were not read.
    #[must_use]
    pub fn get(&self, frame: usize, point: usize) -> &[[f32; 3]] {
        let points = self.skeleton.points();
        if !self.frames.contains(&frame) || point >= points {
            return &[];
        }
        let from = ((frame - self.frames.start) * points + point) * self.k;
        let all = self.values.get(from..from + self.k).unwrap_or(&[]);
        let there = all.iter().position(|c| c[0].is_nan() || c[1].is_nan()).unwrap_or(all.len());
        &all[..there]
    }

    /// All values, `[frame][point][candidate][x, y, likelihood]`, as [`CandidatesH5::rows`] takes them.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        self.values.as_flattened()
    }
}

/// Reads the candidates of `frames`; an empty range tells what the file holds.
///
/// # Errors
/// When the file is not there, is no file of candidates, is of a newer version or damaged, or has fewer frames.
pub fn read(path: &Path, frames: Range<usize>, watch: &dyn Watch) -> Result<Candidates> {
    crate::watch::may_wait("reading candidates");
    let mend = "the file is damaged or not limn's; analyze the video again with --top-k";
    let file = h5::open(path, mend)?;
    read_group(&file, frames, watch).map_err(|e| match e.kind() {
        Kind::Cancelled => e,
        _ => e.at(path.display()).mend(mend),
    })
}

fn read_group(file: &Group, frames: Range<usize>, watch: &dyn Watch) -> Result<Candidates> {
    match raw::text(file, "format")?.as_deref() {
        Some(FORMAT) => {}
        _ => {
            return Err(wrong("this is no file of candidates")
                .mend("give a file that `limn analyze --top-k` wrote; tables of tracks are read elsewhere"));
        }
    }
    let version = raw::integer(file, "version")?.ok_or_else(|| wrong("the file does not say its version"))?;
    if version > VERSION {
        let what = format!("the file has version {version}; this limn reads version {VERSION}");
        return Err(wrong(what).mend("use a newer limn"));
    }
    let set = file.dataset("candidates").map_err(|e| wrong("the file has no `candidates`").because(e))?;
    let (file_frames, points, k) = match set.shape()[..] {
        [frames, points, k, 3] if k > 0 => (frames, points, k),
        ref other => {
            return Err(wrong(format!("`candidates` has the shape {other:?}, not frames x points x k x 3")));
        }
    };
    if !matches!(set.dtype().and_then(|t| t.to_descriptor()), Ok(Type::Float(_))) {
        return Err(wrong("`candidates` are no numbers"));
    }
    let skeleton = skeleton_of(&names(file, "individual")?, &names(file, "bodypart")?)
        .filter(|s| s.points() == points)
        .ok_or_else(|| wrong("the names do not fit the points"))?;
    if frames.start > frames.end || frames.end > file_frames {
        let what = format!("the frames {frames:?} were asked for, the file has {file_frames}");
        return Err(Error::new(Kind::Usage, what).mend("ask for frames that the video has"));
    }
    let scorer = raw::text(file, "scorer")?.ok_or_else(|| wrong("the file does not name its model"))?;
    let larger = || wrong("the candidates are larger than memory");
    let row = points.checked_mul(k).ok_or_else(larger)?;
    let cells = frames.len().checked_mul(row).ok_or_else(larger)?;
    let mut values: Vec<[f32; 3]> = Vec::new();
    let step = (AT_ONCE / row.saturating_mul(12).max(1)).max(1);
    for from in frames.clone().step_by(step) {
        watch.check()?;
        let bytes = raw::read(&set, Some(from..(from + step).min(frames.end)))?;
        // Only now is it known that the file is long enough for what it promises.
        values
            .try_reserve_exact(cells - values.len())
            .map_err(|e| wrong("the candidates do not fit into memory").because(e))?;
        let scalar = Scalar::of(&bytes.element).ok_or_else(|| wrong("`candidates` are no numbers"))?;
        let size = bytes.element.size().max(1);
        let number = |b: &[u8]| -> f32 { scalar.number(b) };
        values.extend(
            bytes
                .data
                .chunks_exact(3 * size)
                .map(|c| [number(&c[..size]), number(&c[size..2 * size]), number(&c[2 * size..])]),
        );
    }
    Ok(Candidates { scorer, skeleton, file_frames, k, frames, values })
}

fn names(file: &Group, name: &str) -> Result<Vec<String>> {
    let set = file.dataset(name).map_err(|e| wrong(format!("the file has no `{name}`")).because(e))?;
    raw::read(&set, None)?.texts()
}

/// The skeleton whose points these are, in this order; `None` when there is none.
fn skeleton_of(individuals: &[String], bodyparts: &[String]) -> Option<Skeleton> {
    let mut skeleton =
        Skeleton { multi_animal: individuals.iter().any(|i| !i.is_empty()), ..Skeleton::default() };
    for (individual, bodypart) in individuals.iter().zip(bodyparts) {
        if individual == SINGLE {
            skeleton.unique_bodyparts.push(bodypart.clone());
            continue;
        }
        if skeleton.individuals.last() != Some(individual) {
            skeleton.individuals.push(individual.clone());
        }
        if skeleton.individuals.len() == 1 {
            skeleton.bodyparts.push(bodypart.clone());
        }
    }
    let points = individuals.iter().zip(bodyparts).map(|(i, b)| (i.as_str(), b.as_str()));
    (individuals.len() == bodyparts.len()
        && !individuals.is_empty()
        && skeleton.names().map(|p| (p.individual, p.bodypart)).eq(points))
    .then_some(skeleton)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{same_tracks, tracks};
    use crate::pose::Tracks;
    use crate::watch::Quiet;
    use proptest::prelude::*;

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn candidates_come_back(
            (scorer, tracks) in tracks(),
            k in 1usize..4,
            blocks in proptest::collection::vec(1usize..30, 1..4),
            (a, b) in (0usize..41, 0usize..41),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("c ä.h5");
            let (frames, points) = (tracks.frames(), tracks.skeleton.points());
            // The same values in every candidate, moved a little.
            let values: Vec<f32> = (0..frames * points)
                .flat_map(|i| (0..k).map(move |c| (i, c)))
                .flat_map(|(i, c)| tracks.values()[i * 3..i * 3 + 3].iter().map(move |v| if c == 0 { *v } else { v + c as f32 }))
                .collect();
            let mut file = CandidatesH5::create(&path, &scorer, &tracks.skeleton, frames, k).unwrap();
            let (mut rest, mut sizes) = (&values[..], blocks.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((sizes.next().unwrap() * points * k * 3).min(rest.len()));
                file.rows(now).unwrap();
                rest = later;
            }
            file.finish().unwrap();
            let (a, b) = (a.min(b).min(frames), a.max(b).min(frames));
            let back = read(&path, a..b, &Quiet::default()).unwrap();
            prop_assert_eq!((&back.scorer, &back.skeleton), (&scorer, &tracks.skeleton));
            prop_assert_eq!((back.file_frames, back.k, back.frames.clone()), (frames, k, a..b));
            prop_assert_eq!(bits(back.values()), bits(&values[a * points * k * 3..b * points * k * 3]));
            let first = |f: usize, p: usize| back.get(f, p).first().copied().unwrap_or([f32::NAN; 3]);
            let best = (a..b).flat_map(|f| (0..points).flat_map(move |p| first(f, p))).collect();
            let expected: Vec<f32> = tracks.values()[a * points * 3..b * points * 3]
                .chunks(3)
                .flat_map(|c| if c[0].is_nan() || c[1].is_nan() { [f32::NAN; 3] } else { [c[0], c[1], c[2]] })
                .collect();
            let of = |v| Tracks::from_values(tracks.skeleton.clone(), v).unwrap();
            prop_assert!(same_tracks(&of(best), &of(expected)));
            prop_assert!(back.get(b, 0).is_empty() && back.get(a, points).is_empty());
        }
    }

    fn small(path: &Path) {
        let mut file = CandidatesH5::create(path, "D", &Skeleton::single(["a", "b"]), 3, 2).unwrap();
        file.rows(&(0u8..36).map(f32::from).collect::<Vec<_>>()).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn only_whole_files_appear() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.h5");
        let skeleton = Skeleton::single(["a"]);
        let new = || CandidatesH5::create(&path, "D", &skeleton, 2, 1).unwrap();
        let mut file = new();
        file.rows(&[1.0, 2.0, 0.5]).unwrap();
        assert!(file.rows(&[1.0, 2.0]).unwrap_err().to_string().contains("frame 1"));
        let fewer = file.finish().unwrap_err();
        assert!(fewer.what().contains("1 rows were given, the file is for 2"), "{fewer}");
        let mut file = new();
        assert!(file.rows(&[0.0; 9]).unwrap_err().what().contains("more rows"));
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let none = CandidatesH5::create(&path, "D", &skeleton, 2, 0).unwrap_err();
        assert!(none.kind() == Kind::Usage && none.how_to_mend().is_some());
        assert!(CandidatesH5::create(&path, "D", &Skeleton::single(["nan"]), 2, 1).is_err());
        assert!(CandidatesH5::create(&dir.path().join("no/c.h5"), "D", &skeleton, 2, 1).is_err());
    }

    #[test]
    fn faults_name_the_file_and_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.h5");
        let fault = |frames: Range<usize>| read(&path, frames, &Quiet::default()).unwrap_err();
        assert_eq!(fault(0..1).kind(), Kind::NotFound);
        small(&path);
        let beyond = fault(2..4);
        assert!(beyond.kind() == Kind::Usage && beyond.what().contains("the file has 3"), "{beyond}");
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = fault(2..1);
        assert_eq!(backwards.kind(), Kind::Usage);
        let stopped = Quiet::default();
        stopped.stop();
        assert_eq!(read(&path, 0..3, &stopped).unwrap_err().kind(), Kind::Cancelled);
        let edit = |change: &dyn Fn(&hdf5_metno::File)| {
            small(&path);
            let file = hdf5_metno::File::open_rw(&path).unwrap();
            change(&file);
            file.close().unwrap();
            let error = fault(0..1);
            assert!(error.to_string().contains("c.h5") && error.how_to_mend().is_some(), "{error}");
            error.to_string()
        };
        let newer = edit(&|f| {
            f.delete_attr("version").unwrap();
            raw::set_i64(f, "version", 2).unwrap();
        });
        assert!(newer.contains("version 2") && newer.contains("newer limn"), "{newer}");
        let other = edit(&|f| {
            f.delete_attr("format").unwrap();
        });
        assert!(other.contains("no file of candidates"), "{other}");
        let nameless = edit(&|f| {
            f.unlink("bodypart").unwrap();
            write_names(f, "bodypart", &["a"]).unwrap();
        });
        assert!(nameless.contains("names do not fit"), "{nameless}");
        let flat = edit(&|f| {
            f.unlink("candidates").unwrap();
            f.new_dataset::<f32>().shape((3, 2)).create("candidates").unwrap();
        });
        assert!(flat.contains("shape [3, 2]"), "{flat}");
    }

    #[test]
    fn damage_is_told_and_nothing_else_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.h5");
        small(&path);
        let whole = std::fs::read(&path).unwrap();
        let right = read(&path, 0..3, &Quiet::default()).unwrap();
        let again = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path, 0..3, &Quiet::default())
        };
        for cut in (0..whole.len()).step_by(97) {
            match again(&whole[..cut]) {
                Ok(back) => assert_eq!(back, right, "cut at {cut}"),
                Err(e) => assert!(e.place().is_some() && e.how_to_mend().is_some(), "cut at {cut}: {e}"),
            }
        }
        // Any byte changed: no panic and no endless work.
        for at in (0..whole.len()).step_by(11) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = again(&bytes);
        }
    }
}
