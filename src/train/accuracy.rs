//! How far points lie from labels that training did not see, body part by body part.

use super::evaluate::Judged;
use crate::net::{Accuracy, Calibration};

/// Tracks are mostly used from this likelihood on.
const CUTOFF: f64 = 0.6;
/// Fewer points than this say nothing.
const FEW: usize = 20;
/// A body part's own points count as these many of all.
const SHARED: f64 = 4.0;
/// Errors count as at most so many standard deviations: slips of labels and swapped sides are not what is meant.
const MOST: f64 = 3.0;

/// The accuracy on these pictures, whose likelihoods become those of tracks by `map`. `None` for fewer than 20 points.
///
/// A body part of which few points were labelled takes a part of what holds for all.
#[must_use]
pub fn accuracy(judged: &[Judged], map: Option<&Calibration>) -> Option<Accuracy> {
    let points = judged.first()?.label.len();
    let errors = |cutoff: f64| {
        let mut of: Vec<Vec<f64>> = vec![Vec::new(); points];
        for j in judged {
            for (i, _, likelihood) in j.errors() {
                let likelihood = map.map_or(likelihood, |m| m.apply(likelihood));
                if likelihood >= cutoff
                    && let (Some(Some(label)), Some((at, _)), Some(of)) =
                        (j.label.get(i), j.prediction.get(i), of.get_mut(i))
                {
                    of.extend(
                        [at.x - label.x, at.y - label.y].map(f64::abs).iter().filter(|e| e.is_finite()),
                    );
                }
            }
        }
        of
    };
    let enough = |of: &[Vec<f64>]| of.iter().map(Vec::len).sum::<usize>() >= 2 * FEW;
    let (cutoff, of) = [CUTOFF, 0.0].into_iter().map(|c| (c, errors(c))).find(|(_, of)| enough(of))?;
    let all: Vec<f64> = of.concat();
    let whole = variance(&all)?;
    let sd = |own: &Vec<f64>| {
        let n = own.len() as f64 / 2.0;
        let own = variance(own).unwrap_or(0.0);
        ((n * own + SHARED * whole) / (n + SHARED)).sqrt()
    };
    let found = Accuracy { cutoff, n_points: all.len() / 2, sd_px: of.iter().map(sd).collect() };
    found.check(points).is_ok().then_some(found)
}

/// Mean square of errors along an axis, those of the tail cut short.
fn variance(errors: &[f64]) -> Option<f64> {
    let mut sorted = errors.to_vec();
    sorted.sort_by(f64::total_cmp);
    // 68.3 % of a normal distribution are within one standard deviation.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below the length
    let most = MOST * sorted.get((sorted.len() as f64 * 0.683) as usize)?;
    Some(sorted.iter().map(|e| e.min(most).powi(2)).sum::<f64>() / sorted.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{FrameKey, Keypoint};
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    fn made(frames: usize, sds: &[f64]) -> Vec<Judged> {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut normal = move || -> f64 { StandardNormal.sample(&mut random) };
        let at = Keypoint::new(100.0, 50.0);
        let one = |n: usize| Judged {
            key: FrameKey::new("v", format!("img{n:03}.png")),
            label: vec![Some(at); sds.len()],
            prediction: sds
                .iter()
                .map(|sd| (Keypoint::new(at.x + sd * normal(), at.y + sd * normal()), 0.9))
                .collect(),
            spread: Vec::new(),
        };
        (0..frames).map(one).collect()
    }

    #[test]
    fn each_body_part_has_its_own_and_slips_do_not_count() {
        let mut judged = made(200, &[1.0, 4.0]);
        for j in judged.iter_mut().step_by(40) {
            j.prediction[0].0.x += 300.0; // a swap
            j.prediction[1].1 = 0.1; // unlikely, and not counted
        }
        let found = accuracy(&judged, None).unwrap();
        assert!((found.sd_px[0] - 1.0).abs() < 0.2, "{found:?}");
        assert!((found.sd_px[1] - 4.0).abs() < 0.4 && found.n_points == 395, "{found:?}");
        found.check(2).unwrap();
        assert!(found.check(3).is_err());
    }

    #[test]
    fn few_points_lean_on_all() {
        let mut judged = made(30, &[1.0, 4.0]);
        judged.iter_mut().skip(2).for_each(|j| j.label[0] = None);
        let found = accuracy(&judged, None).unwrap();
        assert!(found.sd_px[0] > 1.5 && found.sd_px[0] < found.sd_px[1], "{found:?}");
        assert!(accuracy(&made(4, &[1.0, 1.0]), None).is_none() && accuracy(&[], None).is_none());
    }
}
