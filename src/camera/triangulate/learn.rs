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

/// How much each point's velocity changes from one frame to the next, in millimetres per frame, as a standard deviation in each
/// coordinate.
///
/// From second differences `x(t - h) - 2 x(t) + x(t + h)`, whose variance is `h (2 h^2 + 1) / 3` times that of a change of velocity,
/// plus the measurement's. `h` is the first of 1, 2, 4, 8 frames for which the movement is more than the measurement's noise. The
/// 95th percentile stands for the variance: animals rest most of the time, and what smooths their rest must not cut their leaps.
pub(super) fn accelerations(found: &Tracks3d) -> Vec<f64> {
    let own: Vec<Option<f64>> = (0..found.skeleton.points()).map(|p| acceleration(found, p)).collect();
    let mut known: Vec<f64> = own.iter().copied().flatten().collect();
    let usual = median(&mut known).unwrap_or(5.0);
    own.into_iter().map(|a| a.unwrap_or(usual).max(1e-3)).collect()
}

fn acceleration(found: &Tracks3d, point: usize) -> Option<f64> {
    let frames = found.frames();
    let step = frames.div_ceil(MANY).max(1);
    let mut last = None;
    for h in [1_usize, 2, 4, 8] {
        let (mut moved, mut noise) = (Vec::new(), Vec::new());
        for t in (h..frames.saturating_sub(h)).step_by(step) {
            let [Some(a), Some(b), Some(c)] = [t - h, t, t + h].map(|f| found.get(f, point)) else {
                continue;
            };
            for k in 0..3 {
                moved.push((a.at[k] - 2.0 * b.at[k] + c.at[k]).abs());
                let [a, b, c] = [a, b, c].map(|s| s.deviation[k] * s.deviation[k]);
                noise.push(a + 4.0 * b + c);
            }
        }
        if moved.len() < FEW * 3 {
            break;
        }
        let all = (quantile(&mut moved, 0.95)? / 1.96).powi(2);
        // The 95th percentile of noise that differs from frame to frame is that of its larger parts.
        let noise = noise.iter().sum::<f64>() / noise.len() as f64;
        let steps = h as f64;
        let own = (all - noise).max(0.05 * noise) / (steps * (2.0 * steps * steps + 1.0) / 3.0);
        last = Some(own.sqrt());
        if all > 2.0 * noise {
            break;
        }
    }
    last
}
