//! What a session's own points tell of how bodies move and how long limbs are.

use super::noise::{median, quantile};
use crate::pose::{Spot, Tracks3d};
use nalgebra::Vector3;

/// A limb: two points and the distance between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limb {
    pub ends: [usize; 2],
    /// Millimetres.
    pub length: f64,
    /// Standard deviation of the length itself, without that of the measurement, in millimetres.
    pub spread: f64,
}

/// Fewer samples tell nothing.
const FEW: usize = 30;
/// More samples tell nothing more.
const MANY: usize = 20_000;
/// From the median of distances to a standard deviation.
const TO_DEVIATION: f64 = 1.4826;

/// Clears points that jump away from their neighbours in time and back: chance agreements of wrong cameras.
pub(super) fn without_jumps(found: &mut Tracks3d) {
    const REACH: usize = 3;
    for point in 0..found.skeleton.points() {
        let far: Vec<Option<f64>> = (0..found.frames())
            .map(|frame| {
                let here = found.get(frame, point)?;
                let near = frame.saturating_sub(REACH)..=frame + REACH;
                let around: Vec<Spot> = near.filter_map(|f| found.get(f, point)).collect();
                let middle = [0, 1, 2].map(|k| {
                    median(&mut around.iter().map(|s| s.at[k]).collect::<Vec<_>>()).unwrap_or(here.at[k])
                });
                Some((Vector3::from(middle) - Vector3::from(here.at)).norm())
            })
            .collect();
        let mut all: Vec<f64> = far.iter().copied().flatten().collect();
        let Some(usual) = quantile(&mut all, 0.75) else { continue };
        for (frame, far) in far.into_iter().enumerate() {
            let slack = found.get(frame, point).map_or(0.0, |s| Vector3::from(s.deviation).norm());
            if far.is_some_and(|f| f > 10.0 * usual + 5.0 * slack) {
                found.set(frame, point, None);
            }
        }
    }
}

/// Each limb of the skeleton, of each individual, whose ends are often seen together.
pub(super) fn limbs(found: &Tracks3d) -> Vec<Limb> {
    let skeleton = &found.skeleton;
    let step = found.frames().div_ceil(MANY).max(1);
    let mut limbs = Vec::new();
    for individual in 0..skeleton.individuals.len() {
        for edge in skeleton.edge_indices() {
            let ends = edge.map(|b| individual * skeleton.bodyparts.len() + b);
            if ends[0] == ends[1] {
                continue;
            }
            let (mut lengths, mut noise) = (Vec::new(), Vec::new());
            for frame in (0..found.frames()).step_by(step) {
                let [Some(a), Some(b)] = ends.map(|e| found.get(frame, e)) else { continue };
                lengths.push((Vector3::from(a.at) - Vector3::from(b.at)).norm());
                let variance = |s: Spot| Vector3::from(s.deviation).norm_squared() / 3.0;
                noise.push(variance(a) + variance(b));
            }
            if lengths.len() < FEW {
                continue;
            }
            let Some(length) = median(&mut lengths).filter(|l| *l > 1e-6) else { continue };
            let mut off: Vec<f64> = lengths.iter().map(|l| (l - length).abs()).collect();
            let seen = TO_DEVIATION * median(&mut off).unwrap_or(0.0);
            let own = seen * seen - median(&mut noise).unwrap_or(0.0);
            // No limb is a rod: skin moves over bones, and marks are not where the joints are.
            let spread = own.max(0.0).sqrt().max(0.01 * length);
            limbs.push(Limb { ends, length, spread });
        }
    }
    limbs
}

/// How a point moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Movement {
    /// How much its velocity changes from one frame to the next, in millimetres per frame, as a standard deviation in each
    /// coordinate.
    pub change: f64,
    /// How steadily it does so: 0 where each change is chance anew, 1 where neighbouring ones are alike.
    pub steady: f64,
}

/// Two of this are not told apart from a standing animal, in millimetres per frame.
const LEAST_CHANGE: f64 = 1e-3;

/// How each point moves.
///
/// From second differences `x(t - h) - 2 x(t) + x(t + h)`, whose variance is `h (2 h^2 + 1) / 3` times that of a change of velocity
/// where changes are chance, plus the measurement's. `h` is the first of 1, 2, 4, 8 frames for which the movement is more than the
/// measurement's noise. The 95th percentile stands for the variance: animals rest most of the time, and what smooths their
/// rest must not cut their leaps. Where changes are steady the variance grows sixteenfold with twice the `h`, which tells how
/// steady they are.
///
/// `lasting`: the correlation of each point's measurement noise in neighbouring frames.
pub(super) fn movements(found: &Tracks3d, lasting: &[f64]) -> Vec<Movement> {
    let own: Vec<Option<Movement>> =
        lasting.iter().enumerate().map(|(p, l)| movement(found, p, *l)).collect();
    let mut known: Vec<f64> = own.iter().flatten().map(|m| m.change).collect();
    let usual = Movement { change: median(&mut known).unwrap_or(5.0).max(LEAST_CHANGE), steady: 0.0 };
    own.into_iter().map(|m| m.unwrap_or(usual)).collect()
}

fn movement(found: &Tracks3d, point: usize, lasting: f64) -> Option<Movement> {
    let mut last = None;
    for h in [1_usize, 2, 4, 8] {
        let Some((all, noise)) = second_differences(found, point, h, lasting) else { break };
        let change = (all - noise).max(0.05 * noise).sqrt() / of_chance(h).sqrt();
        let told = all > 2.0 * noise;
        // Only where the movement is told from the noise does its growth tell anything.
        let steady =
            second_differences(found, point, 2 * h, lasting).filter(|_| told).map_or(0.0, |(then, more)| {
                let chance = of_chance(2 * h) / of_chance(h);
                (((then - more) / (all - noise) - chance) / (16.0 - chance)).clamp(0.0, 1.0)
            });
        last = Some(Movement { change: change.max(LEAST_CHANGE), steady });
        if told {
            break;
        }
    }
    last
}

/// Variance of a second difference over that of a change of velocity, where changes are chance.
fn of_chance(h: usize) -> f64 {
    let h = h as f64;
    h * (2.0 * h * h + 1.0) / 3.0
}

/// Variance of second differences, and what the measurement has in it: less of it, the more its noise is alike in the three.
fn second_differences(found: &Tracks3d, point: usize, h: usize, lasting: f64) -> Option<(f64, f64)> {
    let alike = lasting.powi(i32::try_from(h).unwrap_or(i32::MAX));
    let differs = (6.0 - 8.0 * alike + 2.0 * alike * alike) / 6.0;
    let frames = found.frames();
    let step = frames.div_ceil(MANY).max(1);
    let (mut moved, mut noise) = (Vec::new(), 0.0);
    for t in (h..frames.saturating_sub(h)).step_by(step) {
        let [Some(a), Some(b), Some(c)] = [t - h, t, t + h].map(|f| found.get(f, point)) else { continue };
        for k in 0..3 {
            moved.push((a.at[k] - 2.0 * b.at[k] + c.at[k]).abs());
            let [a, b, c] = [a, b, c].map(|s| s.deviation[k] * s.deviation[k]);
            noise += a + 4.0 * b + c;
        }
    }
    let count = moved.len();
    (count >= 3 * FEW).then_some(())?;
    Some(((quantile(&mut moved, 0.95)? / 1.96).powi(2), differs * noise / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::Skeleton;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    /// Points along a path, each with its measurement's noise.
    fn tracks(path: &[f64], noise: f64, rng: &mut rand_chacha::ChaCha8Rng) -> Tracks3d {
        let mut tracks = Tracks3d::new(Skeleton::single(["a"]), path.len());
        for (frame, x) in path.iter().enumerate() {
            let at = [0.0; 3]
                .map(|_| x + noise * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng));
            let spot = Spot { at, deviation: [noise; 3], error: 0.0, cameras: 2, likelihood: 1.0 };
            tracks.set(frame, 0, Some(spot));
        }
        tracks
    }

    #[test]
    fn movement_is_learned_through_the_noise() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for noise in [0.1, 1.0, 3.0] {
            let (mut x, mut speed) = (0.0, 0.0);
            let path: Vec<f64> = (0..4000)
                .map(|_| {
                    let push: f64 = StandardNormal.sample(&mut rng);
                    speed = 0.99 * speed + 0.5 * push;
                    x += speed;
                    x
                })
                .collect();
            let got = movements(&tracks(&path, noise, &mut rng), &[0.0])[0];
            assert!((got.change / 0.5 - 1.0).abs() < 0.2 && got.steady < 0.25, "{noise}: {got:?}");
            let wave: Vec<f64> = (0..4000).map(|t| 60.0 * (f64::from(t) / 10.0).sin()).collect();
            let got = movements(&tracks(&wave, 0.2, &mut rng), &[0.0])[0];
            assert!(
                got.steady > 0.5,
                "{got:?} {:?}",
                [1, 2, 4, 8, 16].map(|h| second_differences(&tracks(&wave, 0.2, &mut rng), 0, h, 0.0))
            );
        }
    }

    #[test]
    fn jumps_are_cleared_and_limbs_measured() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let skeleton = Skeleton { edges: vec![["a".into(), "b".into()]], ..Skeleton::single(["a", "b"]) };
        let mut tracks = Tracks3d::new(skeleton, 500);
        for frame in 0..500 {
            for (point, x) in [0.0, 40.0].into_iter().enumerate() {
                let noisy = |v: f64| {
                    v + 0.5 * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, &mut rng)
                };
                let mut at = [x + frame as f64 * 0.2, 0.0, 0.0].map(noisy);
                if frame == 250 {
                    at[1] += 150.0 * (1.0 + point as f64);
                }
                let spot = Spot { at, deviation: [0.5; 3], error: 0.0, cameras: 2, likelihood: 1.0 };
                tracks.set(frame, point, Some(spot));
            }
        }
        without_jumps(&mut tracks);
        assert!((0..500).all(|f| (tracks.get(f, 0).is_none()) == (f == 250)));
        let limb = limbs(&tracks)[0];
        assert!((limb.length - 40.0).abs() < 0.1 && limb.spread < 0.5, "{limb:?}");
    }
}
