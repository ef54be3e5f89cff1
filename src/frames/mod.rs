//! Choosing the frames to label: at random, or by how different they look.
//!
//! Both ways are DeepLabCut's (Mathis et al. 2018; Nath et al. 2019, "extract frames"), both are the same for the same
//! seed, and both give frame numbers in rising order.
//!
//! ```
//! let window = limn::frames::window(1000, 0.25, 0.75);
//! assert_eq!(window, 250..750);
//! let picked = limn::frames::uniform(window.clone(), 20, 42);
//! assert_eq!(picked.len(), 20);
//! assert!(picked.iter().all(|n| window.contains(n)));
//! assert_eq!(picked, limn::frames::uniform(window, 20, 42));
//! ```

#[cfg(all(feature = "video", feature = "vision"))]
mod kmeans;
#[cfg(all(feature = "video", feature = "vision"))]
pub use kmeans::{Options, kmeans};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// The frames between two fractions (0 to 1) of a video of `frames` frames, as `config.yaml`'s `start` and `stop` mean
/// them: from `floor(frames * start)` up to but without `ceil(frames * stop)`. Fractions outside 0 to 1 count as the
/// nearer end; with `start` not before `stop` the window is empty.
#[must_use]
pub fn window(frames: usize, start: f64, stop: f64) -> Range<usize> {
    // A product like 100 * 0.29 is a hair off 29; such a hair is no frame.
    let at = |fraction: f64| {
        #[allow(clippy::cast_precision_loss)] // frame counts are far below 2^53
        let exact = frames as f64 * if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        if (exact - exact.round()).abs() < 1e-9 * exact.max(1.0) { exact.round() } else { exact }
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and `frames`
    let (first, end) = (at(start).floor() as usize, at(stop).ceil() as usize);
    // With start == stop the two roundings could leave one frame between them.
    if start < stop { first..end.max(first) } else { first..first }
}

/// `count` distinct frames of the window, each as likely as any other, in rising order. A window of no more than
/// `count` frames is given whole.
#[must_use]
pub fn uniform(window: Range<usize>, count: usize, seed: u64) -> Vec<usize> {
    let frames = window.len();
    if frames <= count {
        return window.collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut picked: Vec<usize> =
        rand::seq::index::sample(&mut rng, frames, count).into_iter().map(|i| window.start + i).collect();
    picked.sort_unstable();
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_round_outward() {
        assert_eq!(window(100, 0.0, 1.0), 0..100);
        assert_eq!(window(101, 0.5, 0.999), 50..101);
        assert_eq!(window(100, 0.29, 0.57), 29..57);
        assert_eq!(window(10, 0.6, 0.5), 6..6);
        assert_eq!(window(10, 0.55, 0.55), 5..5);
        assert_eq!(window(0, 0.0, 1.0), 0..0);
        assert_eq!(window(10, -1.0, 7.0), 0..10);
        assert_eq!(window(10, f64::NAN, f64::NAN), 0..0);
    }

    proptest! {
        #[test]
        fn uniform_is_distinct_rising_and_inside(start in 0_usize..500, len in 0_usize..500, count in 0_usize..600, seed: u64) {
            let window = start..start + len;
            let picked = uniform(window.clone(), count, seed);
            prop_assert_eq!(picked.len(), count.min(len));
            prop_assert!(picked.windows(2).all(|w| w[0] < w[1]));
            prop_assert!(picked.iter().all(|n| window.contains(n)));
        }
    }

    #[test]
    fn uniform_reaches_every_frame() {
        let mut seen = [0; 10];
        for seed in 0..400 {
            for n in uniform(5..15, 3, seed) {
                seen[n - 5] += 1;
            }
        }
        assert!(seen.iter().all(|n| (80..160).contains(n)), "{seen:?}");
    }
}
