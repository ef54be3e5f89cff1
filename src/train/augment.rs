use super::crop::Crop;
use super::recipe::Augmentation;
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::Keypoint;
#[cfg(feature = "vision")]
use opencv::core::{Mat, Size, Vec3b};
#[cfg(feature = "vision")]
use opencv::imgproc;
#[cfg(feature = "vision")]
use opencv::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The random numbers of one crop. They depend only on seed, step and place in the batch, so that a run can be
/// continued anywhere without stored random state, on any number of threads.
#[must_use]
pub fn random_for(seed: u64, step: u64, slot: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (chunk, value) in bytes.chunks_exact_mut(8).zip([seed, step, slot, 0x6c69_6d6e]) {
        chunk.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

/// x' = a x + b y + tx, y' = c x + d y + ty, in pixels, from the picture to the crop.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
    tx: f64,
    ty: f64,
}

impl Affine {
    /// Takes `centre` to the middle of a crop of `side` pixels, rotated, scaled, and mirrored left to right.
    fn around(centre: Keypoint, side: f64, degrees: f64, scale: f64, mirrored: bool) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let m = if mirrored { -scale } else { scale };
        let (a, b, c, d) = (m * cos, -m * sin, scale * sin, scale * cos);
        let tx = side / 2.0 - (a * centre.x + b * centre.y);
        let ty = side / 2.0 - (c * centre.x + d * centre.y);
        Self { a, b, c, d, tx, ty }
    }

    fn apply(&self, p: Keypoint) -> Keypoint {
        Keypoint::new(self.a * p.x + self.b * p.y + self.tx, self.c * p.x + self.d * p.y + self.ty)
    }

    #[cfg(feature = "vision")]
    /// For OpenCV, which counts from pixel centres where we count from pixel corners.
    fn between_centres(&self) -> [[f64; 3]; 2] {
        let half = |p: f64, q: f64, t: f64| 0.5 * (p + q) + t - 0.5;
        [[self.a, self.b, half(self.a, self.b, self.tx)], [self.c, self.d, half(self.c, self.d, self.ty)]]
    }
}

/// Cuts one varied training crop of `side` pixels out of a picture.
///
/// `pairs` are the points that swap when the crop is mirrored; without pairs nothing is mirrored.
///
/// # Errors
/// When OpenCV fails, which it does only for lack of memory, or is not in this build.
pub fn crop(
    picture: &Picture,
    points: &[Option<Keypoint>],
    pairs: &[[usize; 2]],
    how: &Augmentation,
    side: usize,
    random: &mut ChaCha8Rng,
) -> Result<Crop> {
    let centre = centre(picture, points, how, side, random);
    let mirrored = !pairs.is_empty() && random.random_bool(how.flip.clamp(0.0, 1.0));
    let degrees = between(random, [-how.rotation, how.rotation]);
    let scale = between(random, how.scale.map(f64::ln)).exp();
    #[allow(clippy::cast_precision_loss)] // pictures are far smaller than 2^52
    let map = Affine::around(centre, side as f64, degrees, scale, mirrored);

    let mut moved: Vec<_> = points.iter().map(|p| p.map(|p| map.apply(p))).collect();
    if mirrored {
        for &[left, right] in pairs {
            moved.swap(left, right);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let limit = side as f64;
    for p in &mut moved {
        *p = p.filter(|p| p.inside(limit, limit));
    }
    let mut warped = warp(picture, &map, side, how, random)?;
    vary_light(warped.rgb_mut(), how, random);
    Ok(Crop { picture: warped, points: moved })
}

/// Near a labelled point, or anywhere.
fn centre(
    picture: &Picture,
    points: &[Option<Keypoint>],
    how: &Augmentation,
    side: usize,
    random: &mut ChaCha8Rng,
) -> Keypoint {
    #[allow(clippy::cast_precision_loss)]
    let (w, h, reach) = (picture.width() as f64, picture.height() as f64, how.shift * side as f64);
    // A label outside of the picture (or no number at all) shows nothing to crop around.
    let seen: Vec<Keypoint> = points.iter().flatten().copied().filter(|p| p.inside(w, h)).collect();
    if !seen.is_empty() && random.random_bool(how.on_animal.clamp(0.0, 1.0)) {
        let p = seen[random.random_range(0..seen.len())];
        Keypoint::new(p.x + between(random, [-reach, reach]), p.y + between(random, [-reach, reach]))
    } else {
        Keypoint::new(between(random, [0.0, w]), between(random, [0.0, h]))
    }
}

#[cfg(feature = "vision")]
fn warp(
    picture: &Picture,
    map: &Affine,
    side: usize,
    how: &Augmentation,
    random: &mut ChaCha8Rng,
) -> Result<Picture> {
    warp_with_opencv(picture, map, side, how, random).map_err(opencv_error)
}

/// Without OpenCV.
#[cfg(not(feature = "vision"))]
fn warp(_: &Picture, _: &Affine, _: usize, _: &Augmentation, _: &mut ChaCha8Rng) -> Result<Picture> {
    Err(Error::new(Kind::Usage, "this build of limn cuts no training crops")
        .mend("use a limn that was built with the feature `vision`"))
}

#[cfg(feature = "vision")]
fn warp_with_opencv(
    picture: &Picture,
    map: &Affine,
    side: usize,
    how: &Augmentation,
    random: &mut ChaCha8Rng,
) -> opencv::Result<Picture> {
    let (w, h) = (as_i32(picture.width()), as_i32(picture.height()));
    let source = Mat::new_rows_cols_with_bytes::<Vec3b>(h, w, picture.rgb())?;
    let matrix = Mat::from_slice_2d(&map.between_centres())?;
    let mut out = Mat::default();
    imgproc::warp_affine_def(&source, &mut out, &matrix, Size::new(as_i32(side), as_i32(side)))?;
    if random.random_bool(how.blur.clamp(0.0, 1.0)) {
        let mut blurred = Mat::default();
        imgproc::gaussian_blur_def(&out, &mut blurred, Size::new(0, 0), between(random, how.blur_sigma))?;
        out = blurred;
    }
    Ok(Picture::from_rgb(side, side, out.data_bytes()?.to_vec()).unwrap_or_else(|| Picture::new(side, side)))
}

/// Contrast about mid-grey, brightness, tint and sensor noise.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as u8` saturates
fn vary_light(rgb: &mut [u8], how: &Augmentation, random: &mut ChaCha8Rng) {
    let contrast = between(random, how.contrast) as f32;
    let brightness = between(random, [-how.brightness, how.brightness]) as f32;
    let noisy = random.random_bool(how.noise.clamp(0.0, 1.0));
    let sigma = if noisy { between(random, [0.0, how.noise_sigma]) as f32 } else { 0.0 };
    // One table of normal numbers, read from random places, is noise enough and far cheaper than one draw a byte.
    let table: Vec<f32> = if sigma > 0.0 {
        (0..8192)
            .map(|_| {
                let z: f32 = StandardNormal.sample(random);
                z * sigma
            })
            .collect()
    } else {
        Vec::new()
    };
    let even: [[f32; 256]; 3] = std::array::from_fn(|_| {
        let gain = 1.0 + between(random, [-how.tint, how.tint]) as f32;
        std::array::from_fn(|v| gain * ((v as f32 - 128.0) * contrast + 128.0 + brightness))
    });
    let mut at = 0_usize;
    for (i, v) in rgb.iter_mut().enumerate() {
        let mut value = even[i % 3][usize::from(*v)];
        if !table.is_empty() {
            if i % 97 == 0 {
                at = random.random_range(0..8192);
            }
            value += table[(at + i) & 8191];
        }
        *v = value.round() as u8;
    }
}

fn between(random: &mut ChaCha8Rng, [low, high]: [f64; 2]) -> f64 {
    if high > low { random.random_range(low..high) } else { low }
}

#[cfg(feature = "vision")]
fn as_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(feature = "vision")]
fn opencv_error(e: opencv::Error) -> Error {
    Error::new(Kind::Compute, format!("OpenCV could not cut a training crop: {}", e.message)).because(e)
}

#[cfg(test)]
#[cfg(feature = "vision")]
mod tests {
    use super::*;
    use crate::train::recipe::Recipe;

    fn plain() -> Augmentation {
        Augmentation {
            contrast: [1.0, 1.0],
            brightness: 0.0,
            tint: 0.0,
            blur: 0.0,
            noise: 0.0,
            on_animal: 1.0,
            shift: 0.1,
            ..Recipe::for_net("resnet_18").unwrap().augment
        }
    }

    /// The brightness-weighted centre of a crop, in its pixels.
    fn bright_centre(p: &Picture) -> Keypoint {
        let (mut x, mut y, mut sum) = (0.0, 0.0, 0.0);
        for r in 0..p.height() {
            for c in 0..p.width() {
                let v = f64::from(p.get(c, r)[0]);
                x += v * (c as f64 + 0.5);
                y += v * (r as f64 + 0.5);
                sum += v;
            }
        }
        Keypoint::new(x / sum, y / sum)
    }

    #[test]
    fn labels_move_with_the_pixels() {
        let mut picture = Picture::new(200, 160);
        for y in 70..74 {
            for x in 90..94 {
                picture.set(x, y, [255, 255, 255]);
            }
        }
        let truth = [Some(Keypoint::new(92.0, 72.0)), None];
        for slot in 0..40 {
            let mut random = random_for(3, 1, slot);
            let got = crop(&picture, &truth, &[], &plain(), 128, &mut random).unwrap();
            let label = got.points[0].unwrap();
            assert!(bright_centre(&got.picture).distance(label) < 0.1, "crop {slot}");
            assert!(got.points[1].is_none());
        }
    }

    #[test]
    fn labels_that_are_no_place_do_no_harm() {
        let picture = Picture::new(100, 80);
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e9];
        for (slot, x) in odd.into_iter().enumerate() {
            let points = [Some(Keypoint::new(x, 40.0)), Some(Keypoint::new(x, x)), None];
            let got = crop(&picture, &points, &[], &plain(), 64, &mut random_for(0, 0, slot as u64)).unwrap();
            assert!(got.points.iter().all(Option::is_none), "{x}");
        }
    }

    #[test]
    fn mirroring_swaps_left_and_right() {
        let how = Augmentation { flip: 1.0, rotation: 0.0, scale: [1.0, 1.0], shift: 0.0, ..plain() };
        let picture = Picture::new(100, 100);
        let points = [Some(Keypoint::new(40.0, 50.0)), Some(Keypoint::new(60.0, 50.0))];
        let got = crop(&picture, &points, &[[0, 1]], &how, 64, &mut random_for(0, 0, 0)).unwrap();
        let (left, right) = (got.points[0].unwrap(), got.points[1].unwrap());
        assert!(
            (right.x - left.x - 20.0).abs() < 1e-9,
            "still left of right: the names were swapped with the pixels"
        );
        let unpaired = crop(&picture, &points, &[], &how, 64, &mut random_for(0, 0, 0)).unwrap();
        assert!(unpaired.points[1].unwrap().x > unpaired.points[0].unwrap().x, "not mirrored without pairs");
    }

    #[test]
    fn a_crop_depends_only_on_seed_step_and_slot() {
        let picture =
            Picture::from_rgb(64, 64, (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect()).unwrap();
        let how = Recipe::for_net("resnet_18").unwrap().augment;
        let cut = |slot| crop(&picture, &[], &[], &how, 64, &mut random_for(5, 9, slot)).unwrap().picture;
        assert_eq!(cut(2), cut(2));
        assert_ne!(cut(2), cut(3));
    }
}
