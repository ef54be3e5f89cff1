//! Whether a likelihood means what it says: the map that makes it a chance, and how far off it is with and without.

use super::evaluate::Judged;
use super::verdict::human;
use crate::net::{Calibration, logit};
use serde::Serialize;

/// Fewer points fit no map.
const FEWEST: usize = 20;
/// Where all points are right, or all wrong, it takes so many to say how sure that is.
const FEWEST_ONE_SIDED: usize = 50;
/// The order of likelihoods is kept: the map never falls, and is never flat.
const SMALLEST_SLOPE: f64 = 0.05;
/// What a slope other than 1 costs, and an offset other than 0: the weight of a quarter and of a hundredth of a point
/// that says otherwise. It keeps few points sane and is nothing beside many.
const RIDGE: [f64; 2] = [0.25, 0.01];
/// Held-out frames are dealt into so many parts.
const PARTS: usize = 10;
/// A bin of the reliability holds at least so many points, and there are at most so many bins.
const PER_BIN: usize = 15;
const MOST_BINS: usize = 10;

/// How near a point must be to count as right, in whole pixels, for frames of this size: 5 px, or twice what two people
/// differ by where frames are large.
#[must_use]
pub fn within_px(frame: (usize, usize)) -> f64 {
    (2.0 * human(frame)).max(5.0).round()
}

/// Platt's map (1999) from logits to the chance of being right, by Newton's method on his smoothed targets, with a light
/// ridge towards the likelihood as it is. `None` without points.
///
/// ```
/// use limn::train::platt;
/// let points: Vec<_> = (0..400).map(|i| (f64::from(i % 40) / 10.0 - 2.0, i % 40 >= 20)).collect();
/// let map = platt(&points, 5.0).unwrap();
/// assert!(map.of_logit(1.5) > 0.9 && map.of_logit(-2.0) < 0.1);
/// ```
#[must_use]
pub fn platt(points: &[(f64, bool)], within_px: f64) -> Option<Calibration> {
    if points.is_empty() {
        return None;
    }
    let right = points.iter().filter(|(_, right)| *right).count() as f64;
    let wrong = points.len() as f64 - right;
    let targets = [1.0 / (wrong + 2.0), (right + 1.0) / (right + 2.0)];
    let cost = |[slope, offset]: [f64; 2]| -> f64 {
        let own = 0.5 * (RIDGE[0] * (slope - 1.0).powi(2) + RIDGE[1] * offset.powi(2));
        points.iter().fold(own, |sum, (x, right)| {
            let z = slope * x + offset;
            sum + z.max(0.0) + (-z.abs()).exp().ln_1p() - targets[usize::from(*right)] * z
        })
    };
    // With the slope held, only the offset moves.
    let fitted = |mut at: [f64; 2], held: bool| -> [f64; 2] {
        for _ in 0..60 {
            let [slope, offset] = at;
            let mut gradient = [RIDGE[0] * (slope - 1.0), RIDGE[1] * offset];
            let (mut ss, mut so, mut oo) = (RIDGE[0], 0.0, RIDGE[1]);
            for (x, right) in points {
                let p = crate::net::sigmoid(slope * x + offset);
                let (off, weight) = (p - targets[usize::from(*right)], p * (1.0 - p));
                gradient[0] += off * x;
                gradient[1] += off;
                ss += weight * x * x;
                so += weight * x;
                oo += weight;
            }
            let step = if held {
                [0.0, gradient[1] / oo]
            } else {
                let det = (ss * oo - so * so).max(1e-12);
                [(oo * gradient[0] - so * gradient[1]) / det, (ss * gradient[1] - so * gradient[0]) / det]
            };
            // Shortened until it really is downhill (Lin, Lin and Weng 2007 do so too).
            let (here, mut share) = (cost(at), 1.0);
            let next = loop {
                let next = [slope - share * step[0], offset - share * step[1]];
                if cost(next) <= here || share < 1e-6 {
                    break next;
                }
                share *= 0.5;
            };
            at = next;
            if step.iter().all(|s| (s * share).abs() < 1e-9) {
                break;
            }
        }
        at
    };
    let mut at = fitted([1.0, 0.0], false);
    if at[0] < SMALLEST_SLOPE {
        at = fitted([SMALLEST_SLOPE, at[1]], true);
    }
    Some(Calibration { within_px, slope: at[0], offset: at[1] })
        .filter(|c| c.slope.is_finite() && c.offset.is_finite())
}

/// Of each frame the points whose outcome is known: which, their likelihood, and whether they are right.
///
/// Right is what lies within so many pixels of its label. What a person left out of a frame that they labelled cannot be seen
/// there, so that whatever the network says of it is wrong. (Where a body part is missing from more than half of the labelled
/// frames, it may have been added later, and nothing is taken from that.)
pub(super) fn told(judged: &[Judged], within_px: f64) -> Vec<Vec<(usize, f64, bool)>> {
    let labelled: Vec<&Judged> = judged.iter().filter(|j| j.label.iter().any(Option::is_some)).collect();
    let usual = |point: usize| {
        2 * labelled.iter().filter(|j| j.label.get(point).is_some_and(Option::is_some)).count()
            >= labelled.len()
    };
    let usual: Vec<bool> = (0..judged.first().map_or(0, |j| j.label.len())).map(usual).collect();
    let of = |j: &Judged| {
        let any = j.label.iter().any(Option::is_some);
        let left_out =
            j.label.iter().zip(&j.prediction).zip(&usual).enumerate().filter_map(|(i, ((l, p), usual))| {
                (any && l.is_none() && *usual && p.1.is_finite()).then_some((i, p.1, false))
            });
        j.errors().map(|(i, e, l)| (i, l, e <= within_px)).chain(left_out).collect()
    };
    judged.iter().map(of).collect()
}

/// Logit and outcome of every point whose outcome is known.
fn outcomes(told: &[Vec<(usize, f64, bool)>]) -> Vec<(f64, bool)> {
    told.iter().flatten().map(|(_, l, right)| (logit(*l), *right)).collect()
}

/// The map of a network from frames that it did not learn from, whose likelihoods are the network's own; why there is
/// none, else.
///
/// # Errors
/// A sentence, when the points are too few.
pub fn calibrate(judged: &[Judged], within_px: f64) -> Result<Calibration, String> {
    let points = outcomes(&told(judged, within_px));
    let right = points.iter().filter(|(_, right)| *right).count();
    let one_sided = right == 0 || right == points.len();
    if points.len() < FEWEST {
        return Err(format!(
            "{} test points are too few to calibrate the likelihood: {FEWEST} are needed",
            points.len()
        ));
    }
    if one_sided && points.len() < FEWEST_ONE_SIDED {
        let which = if right == 0 { "no" } else { "every" };
        return Err(format!(
            "{which} test point lies within {within_px:.0} px, and {} points are too few to calibrate the likelihood on \
             then: {FEWEST_ONE_SIDED} are needed",
            points.len()
        ));
    }
    platt(&points, within_px).ok_or_else(|| "the likelihoods fit no map".to_owned())
}

/// The chances of all points of held-out frames, each by a map that was fitted on the other parts of the frames and never
/// saw its own (10 parts, neighbours together): `[frame][point]`. `None` for less than two frames.
#[must_use]
pub fn cross_fitted(judged: &[Judged], within_px: f64) -> Option<Vec<Vec<f64>>> {
    let n = judged.len();
    let parts = n.min(PARTS);
    if parts < 2 {
        return None;
    }
    let mut chances = Vec::with_capacity(n);
    let told = told(judged, within_px);
    for part in 0..parts {
        let (from, to) = (part * n / parts, (part + 1) * n / parts);
        let mut others = outcomes(&told[..from]);
        others.extend(outcomes(&told[to..]));
        let map = platt(&others, within_px)?;
        chances.extend(
            judged[from..to].iter().map(|j| j.prediction.iter().map(|(_, l)| map.apply(*l)).collect()),
        );
    }
    Some(chances)
}

/// One group of points with about the same likelihood.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// How many points.
    pub points: usize,
    /// Their mean likelihood.
    pub likelihood: f64,
    /// The share of them that is right.
    pub share: f64,
    /// 95 % interval of that share (Wilson 1927).
    pub share_ci95: [f64; 2],
}

/// How far likelihoods are from what came true.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// Expected calibration error: the mean distance between likelihood and share of right points over bins that hold as
    /// many points each, weighted by them (Naeini et al. 2015).
    pub ece: f64,
    /// What it would be on average by chance alone, were every likelihood exactly true: so many points in so many bins
    /// give no smaller one.
    pub ece_by_chance: f64,
    /// The bins, by the network's own likelihood, rising.
    pub bins: Vec<Bin>,
}

impl Reliability {
    /// Of likelihoods and whether they came true. `None` without points.
    #[must_use]
    pub fn of(points: &[(f64, bool)]) -> Option<Self> {
        Self::grouped(&points.iter().map(|(l, right)| (*l, *l, *right)).collect::<Vec<_>>())
    }

    /// Of what to group by, likelihoods, and whether they came true. Cross-fitted likelihoods must not be grouped by
    /// themselves: a frame full of mistakes is mapped by a fit that lacks just these and says a little more than all
    /// others do, so that the mistakes would gather in the last group. The network's own likelihood groups as any one
    /// map would.
    #[must_use]
    pub fn grouped(points: &[(f64, f64, bool)]) -> Option<Self> {
        use rand::{Rng, SeedableRng};
        let mut sorted: Vec<_> =
            points.iter().copied().filter(|(by, l, _)| by.is_finite() && l.is_finite()).collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sorted: Vec<(f64, bool)> = sorted.into_iter().map(|(_, l, right)| (l, right)).collect();
        let n = sorted.len();
        let count = (n / PER_BIN).clamp(1, MOST_BINS);
        let ranges = || (0..count).map(|b| b * n / count..(b + 1) * n / count);
        let bins: Vec<Bin> = ranges().map(|range| Bin::of(&sorted[range])).collect();
        let error = |shares: &mut dyn FnMut(usize) -> f64| -> f64 {
            bins.iter()
                .enumerate()
                .map(|(i, b)| b.points as f64 / n as f64 * (b.likelihood - shares(i)).abs())
                .sum()
        };
        let ece = error(&mut |i| bins[i].share);
        const DRAWS: usize = 200;
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let ranges: Vec<_> = ranges().collect();
        let by_chance = (0..DRAWS)
            .map(|_| {
                error(&mut |i| {
                    let bin = &sorted[ranges[i].clone()];
                    let right = bin.iter().filter(|(l, _)| random.random_bool(l.clamp(0.0, 1.0))).count();
                    right as f64 / bin.len().max(1) as f64
                })
            })
            .sum::<f64>();
        Some(Self { ece, ece_by_chance: by_chance / DRAWS as f64, bins })
    }
}

impl Bin {
    fn of(points: &[(f64, bool)]) -> Self {
        let n = points.len() as f64;
        let share = points.iter().filter(|(_, right)| *right).count() as f64 / n;
        let z = 1.96_f64;
        let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        Self {
            points: points.len(),
            likelihood: points.iter().map(|(l, _)| l).sum::<f64>() / n,
            share,
            share_ci95: [(middle - half).max(0.0), (middle + half).min(1.0)],
        }
    }
}

/// What an evaluation says of the likelihood.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibrated {
    /// A point counts as right within so many pixels of its label.
    pub within_px: f64,
    /// Points of test frames that are labelled, or were left out as they cannot be seen.
    pub n_points: usize,
    /// The share of them that is right.
    pub share_within: Option<f64>,
    /// What tracks of this model carry as likelihood: `calibrated` or `raw`.
    pub tracks_carry: &'static str,
    /// The map in the model's own description, with which tracks are calibrated.
    pub map_of_model: Option<Calibration>,
    /// The map that fits all test frames of this evaluation.
    pub map_fitted_here: Option<Calibration>,
    /// The network's own likelihood against what came true on the test frames.
    pub raw: Option<Reliability>,
    /// The calibrated likelihood against what came true on the test frames, honestly: the map of each frame was fitted on
    /// other test frames alone (cross-fitting). This is the figure to quote.
    pub calibrated_cross_fitted: Option<Reliability>,
    /// Why there is no calibrated figure, where there is none.
    pub why_not: Option<String>,
}

impl Calibrated {
    /// What it means, in a sentence or two.
    #[must_use]
    pub fn words(&self) -> String {
        let px = self.within_px;
        let Some(held) = &self.calibrated_cross_fitted else {
            return self.why_not.as_ref().map_or_else(String::new, |why| {
                format!("The likelihood is as the network gives it: {why}.")
            });
        };
        let raw = self.raw.as_ref().map_or_else(String::new, |r| format!(" ({:.3} before)", r.ece));
        let means = if self.tracks_carry == "calibrated" {
            format!(
                "The likelihood that tracks of this model carry is the chance that a person would click the point, within \
                 {px:.0} px of there"
            )
        } else {
            format!(
                "Calibrated, the likelihood would be the chance that a person would click the point, within {px:.0} px of \
                 there; tracks of this model carry the network's own, for its description holds no calibration: train \
                 again to have one"
            )
        };
        format!(
            "{means}. On held-out frames it was off by {:.3} on average{raw}; chance alone makes {:.3} of {} points.",
            held.ece, held.ece_by_chance, self.n_points
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::sigmoid;
    use crate::pose::{FrameKey, Keypoint};
    use rand::{Rng, SeedableRng};

    fn random() -> rand_chacha::ChaCha8Rng {
        rand_chacha::ChaCha8Rng::seed_from_u64(7)
    }

    /// Points whose chance of being right follows a known map.
    fn made(n: usize, slope: f64, offset: f64) -> Vec<(f64, bool)> {
        let mut r = random();
        (0..n)
            .map(|_| {
                let x = r.random_range(-4.0..4.0);
                (x, r.random_bool(sigmoid(slope * x + offset)))
            })
            .collect()
    }

    fn judged(frame: usize, points: &[(f64, bool)]) -> Judged {
        Judged {
            spread: Vec::new(),
            key: FrameKey::new("v", format!("img{frame:03}.png")),
            label: vec![Some(Keypoint::new(50.0, 50.0)); points.len()],
            prediction: points
                .iter()
                .map(|(x, right)| (Keypoint::new(if *right { 51.0 } else { 90.0 }, 50.0), sigmoid(*x)))
                .collect(),
        }
    }

    #[test]
    fn a_known_map_is_found_again() {
        for (slope, offset) in [(1.0, 0.0), (2.0, 1.0), (0.5, -1.5)] {
            let map = platt(&made(20_000, slope, offset), 5.0).unwrap();
            assert!((map.slope - slope).abs() < 0.08 && (map.offset - offset).abs() < 0.08, "{map:?}");
        }
    }

    #[test]
    fn odd_points_stay_sane() {
        assert!(platt(&[], 5.0).is_none());
        // Upside down: the order is kept, and the mean is right.
        let map = platt(&made(2000, -2.0, 0.0), 5.0).unwrap();
        assert!((map.slope - SMALLEST_SLOPE).abs() < 1e-12 && map.of_logit(0.0) > 0.4, "{map:?}");
        // Perfectly separated, and all right: no runaway.
        let apart: Vec<_> = (0..60).map(|i| (f64::from(i) / 10.0 - 3.0, i >= 30)).collect();
        let map = platt(&apart, 5.0).unwrap();
        assert!(map.slope < 20.0 && map.of_logit(3.0) < 0.9995, "{map:?}");
        let all: Vec<_> = (0..60).map(|i| (f64::from(i) / 30.0, true)).collect();
        let map = platt(&all, 5.0).unwrap();
        assert!((0.9..0.999).contains(&map.of_logit(1.0)), "{map:?}");
        let saturated = vec![(f64::from(15), true); 30];
        assert!(platt(&saturated, 5.0).unwrap().of_logit(15.0) > 0.9);
    }

    #[test]
    fn few_points_give_no_map() {
        let frames = |n: usize, of: &dyn Fn(usize) -> bool| -> Vec<Judged> {
            (0..n).map(|i| judged(i, &[(1.0, of(i))])).collect()
        };
        assert!(calibrate(&frames(19, &|i| i > 3), 5.0).unwrap_err().contains("too few"));
        assert!(calibrate(&frames(20, &|i| i > 3), 5.0).is_ok());
        assert!(calibrate(&frames(49, &|_| true), 5.0).unwrap_err().starts_with("every"));
        assert!(calibrate(&frames(50, &|_| true), 5.0).is_ok());
        assert!(cross_fitted(&frames(1, &|_| true), 5.0).is_none());
        assert_eq!((within_px((640, 480)), within_px((1920, 1440)), within_px((0, 0))), (5.0, 16.0, 5.0));
    }

    #[test]
    fn what_was_left_out_is_wrong_wherever_it_is_put() {
        // Two parts, the second hidden in every third frame, where the network guesses all the same.
        let frames = |hidden: usize| -> Vec<Judged> {
            let frame = |i: usize| {
                let mut j = judged(i, &[(2.0, true), (1.5, true)]);
                j.label[1] = j.label[1].filter(|_| !i.is_multiple_of(hidden));
                j
            };
            (0..90).map(frame).collect()
        };
        let map = calibrate(&frames(3), 5.0).unwrap();
        assert!(map.of_logit(1.5) < 0.75 && map.of_logit(2.0) > 0.9, "{map:?}");
        // A part that was added late is missing from most frames, and that says nothing.
        let late: Vec<Judged> = frames(1);
        assert!(calibrate(&late, 5.0).unwrap().of_logit(1.5) > 0.9);
        assert!(told(&[], 5.0).is_empty());
    }

    #[test]
    fn likelihoods_that_are_true_have_a_small_error() {
        let mut r = random();
        let points: Vec<_> = (0..20_000)
            .map(|_| {
                let p = r.random_range(0.0..1.0);
                (p, r.random_bool(p))
            })
            .collect();
        let good = Reliability::of(&points).unwrap();
        assert!(good.ece < 0.015 && good.bins.len() == 10 && (good.ece - good.ece_by_chance).abs() < 0.01);
        assert!(good.bins.iter().all(|b| b.points == 2000 && b.share_ci95[0] < b.share));
        let shy: Vec<_> = points.iter().map(|(p, right)| (0.5 * p, *right)).collect();
        assert!((Reliability::of(&shy).unwrap().ece - 0.25).abs() < 0.02);
        // By hand: one bin, half of the points right, all said to be 0.9.
        let by_hand: Vec<_> = (0..10).map(|i| (0.9, i % 2 == 0)).collect();
        let one = Reliability::of(&by_hand).unwrap();
        assert!((one.ece - 0.4).abs() < 1e-12 && one.bins.len() == 1);
        assert_eq!(Reliability::of(&vec![(0.5, true); 96]).unwrap().bins.len(), 6);
        assert!(Reliability::of(&[]).is_none());
    }

    #[test]
    fn no_frame_is_mapped_by_itself() {
        let all = made(120, 1.0, 0.5);
        let mut frames: Vec<Judged> = all.chunks(4).enumerate().map(|(i, c)| judged(i, c)).collect();
        let before = cross_fitted(&frames, 5.0).unwrap();
        assert_eq!((before.len(), before[0].len()), (30, 4));
        // Turning a frame's outcomes round changes what others hear, and not what it hears itself.
        let turned: Vec<_> = all[..4].iter().map(|(x, right)| (*x, !right)).collect();
        frames[0] = judged(0, &turned);
        let after = cross_fitted(&frames, 5.0).unwrap();
        assert_eq!(before[0], after[0]);
        assert_ne!(before[29], after[29]);
    }
}
