use super::point::bits;
use super::scene::{Room, Scene};
use crate::pose::Skeleton;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// How well body parts are seen: standard deviation of a pixel coordinate, in x and in y alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise {
    /// Of all points together, in pixels.
    pub all: f64,
    /// Of each point of the skeleton, in pixels; that of all where there are too few to tell.
    pub points: Vec<f64>,
    /// From how many points of how many frames it comes; 0 where it was given.
    pub measured: usize,
    /// What all cameras are wrong in alike, for each point, in pixels along an axis. How cameras differ does not show it: it comes
    /// from held-out labels, and is 0 where there were none.
    pub common: Vec<f64>,
    /// How alike the noise of each point is in neighbouring frames: its correlation, 0 to below 1; 0 where it was not asked for.
    pub lasting: Vec<f64>,
}

/// Where nothing can be measured: a well trained network on a well calibrated rig.
const USUAL: f64 = 2.0;
/// Points fewer than this say too little of a body part.
const FEW: usize = 200;
/// Frames that are looked at.
const FRAMES: usize = 2000;

impl Noise {
    /// The same noise for all of `points` points.
    #[must_use]
    pub fn given(pixels: f64, points: usize) -> Self {
        Self {
            all: pixels,
            points: vec![pixels; points],
            measured: 0,
            common: vec![0.0; points],
            lasting: vec![0.0; points],
        }
    }

    /// With what held-out labels say of body parts, along an axis in pixels: the part that is not noise between cameras is common
    /// to all. Where cameras differ by more than labels told, some guess at what they cannot see, or the network does not know
    /// this animal; such errors lean to one side, so that half of what is beyond the labels counts as common, too.
    pub(super) fn with_accuracy(mut self, skeleton: &Skeleton, accuracy: &BTreeMap<String, f64>) -> Self {
        for ((name, noise), common) in skeleton.names().zip(&self.points).zip(&mut self.common) {
            if let Some(whole) = accuracy.get(name.bodypart) {
                let beyond = whole * whole - noise * noise;
                *common = if beyond > 0.0 { beyond } else { LEANING * -beyond }.sqrt();
            }
        }
        self
    }

    /// Measures it from how far cameras that agree on a point differ. It contains what the calibration is wrong by.
    ///
    /// A point from `n` cameras leaves `2 n - 3` degrees of freedom; the sum of its squared distances over the noise's
    /// variance is then distributed as chi squared. The median over all points of that sum, each over its distribution's median, is
    /// not led astray by wrong observations. Which cameras agree depends on the noise in turn, so this is
    /// repeated until it stays.
    pub(super) fn measure(scene: &Scene, agree: Option<usize>) -> Self {
        let (frames, points) = (scene.frames(), scene.points());
        let step = frames.div_ceil(FRAMES).max(1);
        let mut noise = Self::given(USUAL, points);
        let mut threshold = 5.0 * USUAL;
        for _ in 0..6 {
            let rows: Vec<(usize, f64)> = (0..frames.div_ceil(step))
                .into_par_iter()
                .map_init(Room::default, |room, row| {
                    let one = |point| {
                        let all = scene.gather(row * step, point, room);
                        let found = scene.views.agreed(&room.sights, all, threshold, agree)?;
                        Some((point, found.squares / median_of_chi_squared(2 * found.cameras() - 3)))
                    };
                    (0..points).filter_map(one).collect::<Vec<_>>()
                })
                .flatten_iter()
                .collect();
            let mut every: Vec<f64> = rows.iter().map(|(_, s)| *s).collect();
            let Some(all) = median(&mut every).map(f64::sqrt).filter(|n| *n > 0.0) else { return noise };
            let change = (all / noise.all).ln().abs();
            noise.all = all;
            noise.measured = every.len();
            for (point, of) in noise.points.iter_mut().enumerate() {
                let mut own: Vec<f64> = rows.iter().filter(|(p, _)| *p == point).map(|(_, s)| *s).collect();
                let enough = own.len() >= FEW;
                *of = median(&mut own).filter(|n| enough && *n > 0.0).map_or(all, f64::sqrt);
            }
            threshold = super::THRESHOLD * noise.points.iter().fold(all, |a, b| a.max(*b));
            if change < 0.01 {
                break;
            }
        }
        noise
    }

    /// With how much of it lasts, for [`Method::Smooth`](super::Method::Smooth), which alone looks at several frames.
    pub(super) fn with_lasting(mut self, scene: &Scene, thresholds: &[f64], agree: Option<usize>) -> Self {
        let one = |(point, most): (usize, &f64)| lasting(scene, point, *most, agree);
        self.lasting = thresholds.par_iter().enumerate().map(one).collect();
        self
    }
}

/// The part of the variance beyond that of held-out labels that does not average out over cameras. With those on one side of the
/// animal guessing, their mean error is half of theirs.
const LEANING: f64 = 0.5;
/// No noise is taken to be more alike than this from frame to frame.
const MOST_ALIKE: f64 = 0.98;

/// Frames between two looks at how alike noise is.
const LAGS: [usize; 4] = [1, 2, 4, 8];

/// How alike what cameras see beside a point is in one frame and in the next; 0 where chance could make it. Noise that has a part
/// of each frame's own and one that stays shows that only over several frames, so the longest-lasting of several lags counts.
fn lasting(scene: &Scene, point: usize, threshold: f64, agree: Option<usize>) -> f64 {
    let step = scene.frames().div_ceil(FRAMES).max(2);
    let mut room = Room::default();
    let mut off = |frame: usize| {
        let all = scene.gather(frame, point, &mut room);
        let found = scene.views.agreed(&room.sights, all, threshold, agree)?;
        let of = |camera: usize| {
            let at = scene.views.project(camera, &found.at)?;
            let seen = room.seen.get(camera).copied().flatten()?.pixel;
            Some([seen.x - at.x, seen.y - at.y])
        };
        Some((found.used, bits(found.used).map(of).collect::<Option<Vec<_>>>()?))
    };
    let mut sums = [(0.0, 0.0, 0.0); LAGS.len()];
    for frame in (0..scene.frames()).step_by(step) {
        let Some((a, before)) = off(frame) else { continue };
        for (lag, (both, squares, count)) in LAGS.iter().zip(&mut sums) {
            // With other cameras the rest is another one.
            let Some((_, after)) = off(frame + lag).filter(|(b, _)| *b == a) else { continue };
            for (x, y) in before.iter().flatten().zip(after.iter().flatten()) {
                *both += x * y;
                *squares += (x * x + y * y) / 2.0;
            }
            *count += (2 * before.len() - 3) as f64;
        }
    }
    let alike = LAGS.iter().zip(sums).map(|(lag, (both, squares, count))| {
        let alike: f64 = both / squares;
        if alike > 3.0 / f64::sqrt(count) { alike.powf(1.0 / *lag as f64) } else { 0.0 }
    });
    alike.fold(0.0, f64::max).min(MOST_ALIKE)
}

/// Median of the chi-squared distribution (Wilson and Hilferty 1931; exact where that is poor).
fn median_of_chi_squared(freedom: usize) -> f64 {
    let n = freedom as f64;
    if freedom == 1 { 0.454_94 } else { n * (1.0 - 2.0 / (9.0 * n)).powi(3) }
}

/// The middle value; `values` come out in another order.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which the part `at` of all lies; `values` come out in another order.
pub(super) fn quantile(values: &mut [f64], at: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `last`
    let index = ((last as f64 * at.clamp(0.0, 1.0)).round() as usize).min(last);
    Some(*values.select_nth_unstable_by(index, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(quantile(&mut [0.0, 1.0, 2.0, 3.0, 4.0], 0.95), Some(4.0));
        // Tables: 2.366, 4.351, 9.342.
        for (freedom, table) in [(1, 0.455), (3, 2.366), (5, 4.351), (10, 9.342)] {
            assert!((median_of_chi_squared(freedom) / table - 1.0).abs() < 0.008, "{freedom}");
        }
    }
}
