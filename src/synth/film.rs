//! What a sensor makes of light: the tone curve and the noise.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Entries of the tone curve, and the light at its end.
const CURVE: usize = 4096;
const BRIGHTEST: f32 = 1.4;
const GRAIN: usize = 3 << 16;

pub(super) struct Film {
    /// Linear light to display values 0 to 255.
    curve: Vec<f32>,
    /// Gaussian noise in display values, three channels alternating; each row of a frame starts elsewhere in it.
    grain: Vec<f32>,
}

impl Film {
    pub(super) fn new(seed: u64) -> Self {
        let curve = (0..CURVE)
            .map(|i| {
                let light = i as f32 / (CURVE - 1) as f32 * BRIGHTEST;
                255.0 * (light * 1.22 / (1.0 + 0.22 * light)).powf(1.0 / 2.2)
            })
            .collect();
        // Photon noise grows with the root of the light, which the gamma curve makes nearly even.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || rng.sample::<f32, _>(StandardNormal);
        let mut grain = Vec::with_capacity(GRAIN);
        for _ in 0..GRAIN / 3 {
            let grey = 1.9 * normal();
            grain.extend([grey + 0.9 * normal(), grey + 0.6 * normal(), grey + 1.1 * normal()]);
        }
        Self { curve, grain }
    }

    /// What linear light is multiplied with before [`display`](Self::display).
    pub(super) const SCALE: f32 = (CURVE - 1) as f32 / BRIGHTEST;

    /// The display value of scaled linear light.
    #[inline]
    pub(super) fn display(&self, scaled: f32) -> f32 {
        // Casts of floats saturate.
        self.curve[(scaled as usize).min(CURVE - 1)]
    }

    /// The noise of a row of `len` values; the same `place` has the same noise.
    pub(super) fn grain(&self, place: u64, len: usize) -> &[f32] {
        let start = scramble(place) as usize;
        &self.grain[start % (GRAIN - len + 1)..][..len]
    }
}

/// A well-mixed number from a counter (the finaliser of SplitMix64).
pub(super) fn scramble(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
