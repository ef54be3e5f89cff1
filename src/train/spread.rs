//! What an ensemble's spread is worth: fitted, and measured, on labelled frames that no member trained on.

use super::evaluate::Judged;
use crate::net::{RADIUS_90, Spread};
use serde::Serialize;
use std::collections::BTreeSet;

/// Fewer points than this say nothing.
const FEW: usize = 20;
/// Degrees of freedom of the t distribution that errors are taken to have: with its long tails, slips of labels do not
/// widen all others.
const FREEDOM: f64 = 4.0;
/// Parts of the frames that take turns in being held out.
const FOLDS: usize = 10;

/// How often a labelled point of a held-out frame was within the ensemble's 90 % radius.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Networks in the ensemble.
    pub members: usize,
    /// Labelled points of test frames.
    pub n_points: usize,
    /// What should be within: 0.9.
    pub level: f64,
    /// What was, when the fit never saw the point's own frame: 0 to 1.
    pub within_cross_fitted: f64,
    /// What was with the spread alone as standard deviation, for comparison.
    pub within_raw: f64,
    /// The mean standard deviation along an axis, cross-fitted, in pixels.
    pub mean_sd_px: f64,
    /// The fit to all of them.
    pub fitted: Spread,
}

impl Coverage {
    /// What it means, in a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "Standard deviations are {:.2} px on average; of {} held-out points {:.0} % lie within the radius that should hold \
             {:.0} %, {RADIUS_90:.2} standard deviations.",
            self.mean_sd_px,
            self.n_points,
            self.within_cross_fitted * 100.0,
            self.level * 100.0
        )
    }
}

/// Spread and error of every labelled point.
fn pairs<'a>(judged: impl Iterator<Item = &'a Judged>) -> Vec<(f64, f64)> {
    judged
        .flat_map(|j| j.errors().filter_map(|(i, error, _)| Some((*j.spread.get(i)?, error))))
        .filter(|(spread, error)| spread.is_finite() && error.is_finite())
        .collect()
}

/// The floor and factor under which the errors are likeliest (as of a bivariate t distribution), both scaled so that 90 % of the points are within the 90 % radius. `None` for fewer than 20 points.
#[must_use]
pub fn fit(judged: &[Judged]) -> Option<Spread> {
    fitted(&pairs(judged.iter()))
}

fn fitted(pairs: &[(f64, f64)]) -> Option<Spread> {
    if pairs.len() < FEW {
        return None;
    }
    let mut best: Option<(f64, Spread)> = None;
    for floor in (0..24).map(|i| 0.2 * 1.2_f64.powi(i)) {
        for factor in (0..=16).map(|i| 0.25 * f64::from(i)) {
            let spread = Spread { floor_px: floor, factor };
            let cost: f64 = pairs
                .iter()
                .map(|(s, e)| {
                    let sd = spread.sd(*s);
                    2.0 * sd.ln() + 0.5 * (FREEDOM + 2.0) * (1.0 + (e / sd).powi(2) / FREEDOM).ln()
                })
                .sum();
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, spread));
            }
        }
    }
    let (_, spread) = best?;
    let mut ratios: Vec<f64> = pairs.iter().map(|(s, e)| e / (RADIUS_90 * spread.sd(*s))).collect();
    ratios.sort_by(f64::total_cmp);
    // The smallest radius that holds 90 % of points to come, as far as these can say (split conformal prediction).
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // few points
    let place = (((ratios.len() + 1) as f64 * 0.9).ceil() as usize).clamp(1, ratios.len());
    let scale = ratios[place - 1].max(1e-3);
    Some(Spread { floor_px: spread.floor_px * scale, factor: spread.factor * scale })
}

/// Coverage on these frames, each measured by a fit to the others. `None` when there are too few.
#[must_use]
pub fn coverage(judged: &[Judged], members: usize) -> Option<Coverage> {
    let all = fit(judged)?;
    // Whole frames are held out, neighbours together: what is off in one point often is in the others, and soon after.
    let frames: BTreeSet<String> = judged.iter().map(|j| j.key.to_string()).collect();
    let order: Vec<&String> = frames.iter().collect();
    let folds = FOLDS.min(order.len());
    let fold_of = |j: &Judged| {
        order.iter().position(|k| **k == j.key.to_string()).unwrap_or(0) * folds / order.len().max(1)
    };
    let (mut inside, mut raw, mut sum, mut count) = (0_usize, 0_usize, 0.0, 0_usize);
    for fold in 0..folds {
        let others = pairs(judged.iter().filter(|j| fold_of(j) != fold));
        let spread = fitted(&others)?;
        for (s, error) in pairs(judged.iter().filter(|j| fold_of(j) == fold)) {
            inside += usize::from(error <= RADIUS_90 * spread.sd(s));
            raw += usize::from(error <= RADIUS_90 * s);
            sum += spread.sd(s);
            count += 1;
        }
    }
    #[allow(clippy::cast_precision_loss)] // few points
    let share = |n: usize| n as f64 / count.max(1) as f64;
    #[allow(clippy::cast_precision_loss)]
    let mean_sd_px = sum / count.max(1) as f64;
    Some(Coverage {
        members,
        n_points: count,
        level: 0.9,
        within_cross_fitted: share(inside),
        within_raw: share(raw),
        mean_sd_px,
        fitted: all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{FrameKey, Keypoint};
    use rand::{Rng, SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    /// Points whose error along each axis is normal with `hypot(floor, factor * spread)`.
    fn made(frames: usize, floor: f64, factor: f64) -> Vec<Judged> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
        (0..frames)
            .map(|n| {
                let (mut label, mut prediction, mut spread) = (Vec::new(), Vec::new(), Vec::new());
                for _ in 0..4 {
                    let s: f64 = random.random_range(0.1..4.0);
                    let sd = floor.hypot(factor * s);
                    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
                    prediction.push((Keypoint::new(100.0 + sd * normal(), 50.0 + sd * normal()), 0.9));
                    label.push(Some(Keypoint::new(100.0, 50.0)));
                    spread.push(s);
                }
                Judged { key: FrameKey::new("v", format!("img{n:03}.png")), label, prediction, spread }
            })
            .collect()
    }

    #[test]
    fn floor_and_factor_are_found_and_cover() {
        let judged = made(400, 1.5, 2.0);
        let found = fit(&judged).unwrap();
        assert!((found.floor_px - 1.5).abs() < 0.4 && (found.factor - 2.0).abs() < 0.3, "{found:?}");
        let coverage = coverage(&judged, 4).unwrap();
        assert!((coverage.within_cross_fitted - 0.9).abs() < 0.03, "{coverage:?}");
        assert!(coverage.within_raw < 0.6 && coverage.n_points == 1600);
    }

    #[test]
    fn slips_of_labels_do_not_widen_all() {
        let mut judged = made(100, 1.5, 0.0);
        for j in judged.iter_mut().take(4) {
            j.prediction[0].0.x += 60.0;
        }
        let found = fit(&judged).unwrap();
        assert!(found.sd(0.0) < 2.2, "{found:?}");
    }

    #[test]
    fn too_few_say_nothing() {
        assert!(fit(&made(4, 1.0, 1.0)).is_none() && coverage(&[], 4).is_none());
        let alone: Vec<Judged> =
            made(50, 1.0, 1.0).into_iter().map(|j| Judged { spread: Vec::new(), ..j }).collect();
        assert!(fit(&alone).is_none(), "one network has no spread");
    }
}
