use super::dataset::Dataset;
use crate::error::Result;
use crate::net::Predictor;
use crate::pose::{FrameKey, Keypoint, PointName, Skeleton};
use crate::watch::Watch;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the network said about one labelled picture.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Which picture.
    pub key: FrameKey,
    /// The label of each point.
    pub label: Vec<Option<Keypoint>>,
    /// The prediction of each point with its likelihood.
    pub prediction: Vec<(Keypoint, f64)>,
}

impl Judged {
    /// Distance in pixels and likelihood of each labelled point.
    pub fn errors(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        self.label
            .iter()
            .zip(&self.prediction)
            .enumerate()
            .filter_map(|(i, (l, (p, likelihood)))| l.map(|l| (i, l.distance(*p), *likelihood)))
    }

    /// Mean error of this picture in pixels; `None` without labels.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let errors: Vec<f64> = self.errors().map(|(_, e, _)| e).collect();
        mean(&errors)
    }
}

/// Runs the network on whole labelled pictures, without test-time tricks.
///
/// # Errors
/// When a picture is gone or memory is short.
pub fn judge(predictor: &Predictor, data: &Dataset, watch: &dyn Watch) -> Result<Vec<Judged>> {
    judge_some(predictor, data, &(0..data.len()).collect::<Vec<_>>(), watch)
}

/// As [`judge`], of the examples with these indices alone; an index beyond the end is left out.
///
/// # Errors
/// As [`judge`].
pub fn judge_some(
    predictor: &Predictor,
    data: &Dataset,
    which: &[usize],
    watch: &dyn Watch,
) -> Result<Vec<Judged>> {
    let mut judged = Vec::with_capacity(which.len());
    for &i in which {
        let Some(example) = data.examples().get(i) else { continue };
        watch.check()?;
        let picture = data.picture(i)?;
        let peaks = predictor.predict(&[&picture])?;
        let prediction = (0..peaks.points())
            .map(|p| peaks.get(0, p).unwrap_or((Keypoint::new(f64::NAN, f64::NAN), 0.0)))
            .collect();
        judged.push(Judged { key: example.key.clone(), label: example.points.clone(), prediction });
        watch.advance(1);
    }
    Ok(judged)
}

/// The Euclidean distance between label and prediction over labelled points, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Pictures.
    pub n_frames: usize,
    /// Labelled points.
    pub n_points: usize,
    /// Mean over all labelled points.
    pub mean_error_px: Option<f64>,
    /// Half of the points are closer.
    pub median_error_px: Option<f64>,
    /// 95 % of the points are closer.
    pub p95_error_px: Option<f64>,
    /// Standard deviation over points.
    pub sd_error_px: Option<f64>,
    /// 95 % confidence interval of the mean, by bootstrap over pictures (1000 draws).
    pub mean_error_px_ci95: Option<[f64; 2]>,
    /// Mean over the points whose likelihood reaches the cut-off.
    pub mean_error_px_pcutoff: Option<f64>,
    /// Median over them.
    pub median_error_px_pcutoff: Option<f64>,
    /// 95 % of them are closer.
    pub p95_error_px_pcutoff: Option<f64>,
    /// 95 % confidence interval of their mean, by the same bootstrap.
    pub mean_error_px_pcutoff_ci95: Option<[f64; 2]>,
    /// How many points reach it.
    pub n_points_pcutoff: usize,
}

impl Summary {
    /// The mean error alone, in pixels.
    #[must_use]
    pub fn mean(judged: &[Judged]) -> Option<f64> {
        let errors: Vec<f64> = judged.iter().flat_map(|j| j.errors().map(|(_, e, _)| e)).collect();
        mean(&errors)
    }

    /// Sums up judged pictures; `cutoffs` holds one for each point of the skeleton, `point` restricts it to one of them.
    #[must_use]
    pub fn of(judged: &[Judged], cutoffs: &[f64], point: Option<usize>) -> Self {
        let reaches = |point: usize, likelihood: f64| cutoffs.get(point).is_none_or(|c| likelihood >= *c);
        // A picture that several networks judged is drawn as one: its errors go together.
        let mut places: BTreeMap<&FrameKey, usize> = BTreeMap::new();
        let mut by_frame: Vec<Vec<(f64, bool)>> = Vec::new();
        for j in judged {
            let place = *places.entry(&j.key).or_insert(by_frame.len());
            if place == by_frame.len() {
                by_frame.push(Vec::new());
            }
            let errors = j.errors().filter(|(i, ..)| point.is_none_or(|p| p == *i));
            by_frame[place].extend(errors.map(|(i, e, l)| (e, reaches(i, l))));
        }
        let mut errors: Vec<f64> = by_frame.iter().flatten().map(|(e, _)| *e).collect();
        let mut sure: Vec<f64> =
            by_frame.iter().flatten().filter(|(_, sure)| *sure).map(|(e, _)| *e).collect();
        errors.sort_by(f64::total_cmp);
        sure.sort_by(f64::total_cmp);
        let average = mean(&errors);
        #[allow(clippy::cast_precision_loss)]
        let sd = average.filter(|_| errors.len() > 1).map(|m| {
            let sum: f64 = errors.iter().map(|e| (e - m).powi(2)).sum();
            (sum / (errors.len() - 1) as f64).sqrt()
        });
        Self {
            n_frames: judged.len(),
            n_points: errors.len(),
            mean_error_px: average,
            median_error_px: quantile(&errors, 0.5),
            p95_error_px: quantile(&errors, 0.95),
            sd_error_px: sd,
            mean_error_px_ci95: bootstrap(&by_frame, |_| true),
            mean_error_px_pcutoff: mean(&sure),
            median_error_px_pcutoff: quantile(&sure, 0.5),
            p95_error_px_pcutoff: quantile(&sure, 0.95),
            mean_error_px_pcutoff_ci95: bootstrap(&by_frame, |sure| sure),
            n_points_pcutoff: sure.len(),
        }
    }
}

/// A whole evaluation, as `limn evaluate --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The test frames, which training never saw.
    pub test: Summary,
    /// The training frames.
    pub train: Summary,
    /// Test frames, by body part (with the individual before it, where there are several).
    pub per_bodypart: BTreeMap<String, Summary>,
    /// Likelihood each point of the skeleton must reach for the figures with cut-off.
    pub pcutoff: Vec<f64>,
}

impl Report {
    /// Sums up test and training frames.
    #[must_use]
    pub fn of(test: &[Judged], train: &[Judged], skeleton: &Skeleton, cutoffs: &[f64]) -> Self {
        let per_bodypart = skeleton
            .names()
            .enumerate()
            .map(|(i, name)| (point_title(name), Summary::of(test, cutoffs, Some(i))))
            .collect();
        Self {
            test: Summary::of(test, cutoffs, None),
            train: Summary::of(train, cutoffs, None),
            per_bodypart,
            pcutoff: cutoffs.to_vec(),
        }
    }
}

pub(super) fn point_title(name: PointName<'_>) -> String {
    if name.individual.is_empty() {
        name.bodypart.to_owned()
    } else {
        format!("{}/{}", name.individual, name.bodypart)
    }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Linear between order statistics; `sorted` ascending.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64))
}

/// Errors within a picture go together, so whole pictures are drawn.
fn bootstrap(by_frame: &[Vec<(f64, bool)>], counts: fn(bool) -> bool) -> Option<[f64; 2]> {
    use rand::{Rng, SeedableRng};
    if by_frame.len() < 2 || !by_frame.iter().flatten().any(|(_, sure)| counts(*sure)) {
        return None;
    }
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let mut means: Vec<f64> = (0..1000)
        .filter_map(|_| {
            let drawn: Vec<f64> = (0..by_frame.len())
                .flat_map(|_| &by_frame[random.random_range(0..by_frame.len())])
                .filter(|(_, sure)| counts(*sure))
                .map(|(e, _)| *e)
                .collect();
            mean(&drawn)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some([quantile(&means, 0.025)?, quantile(&means, 0.975)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(image: &str, errors: &[(f64, f64)]) -> Judged {
        let label = errors.iter().map(|_| Some(Keypoint::new(10.0, 10.0))).chain([None]).collect();
        let prediction = errors
            .iter()
            .map(|&(e, l)| (Keypoint::new(10.0 + e, 10.0), l))
            .chain([(Keypoint::new(0.0, 0.0), 1.0)])
            .collect();
        Judged { key: FrameKey::new("v", image), label, prediction }
    }

    #[test]
    fn summary_is_the_mean_distance_over_labelled_points() {
        let all = [judged("a.png", &[(1.0, 0.9), (3.0, 0.2)]), judged("b.png", &[(2.0, 0.6), (6.0, 0.6)])];
        let s = Summary::of(&all, &[0.6; 3], None);
        assert_eq!((s.n_frames, s.n_points, s.n_points_pcutoff), (2, 4, 3));
        assert_eq!(s.mean_error_px, Some(3.0));
        assert_eq!(s.median_error_px, Some(2.5));
        assert_eq!(s.mean_error_px_pcutoff, Some(3.0));
        assert_eq!((s.median_error_px_pcutoff, s.p95_error_px_pcutoff), (Some(2.0), Some(5.6)));
        let [low, high] = s.mean_error_px_pcutoff_ci95.unwrap();
        assert!(low >= 1.0 && low < 3.0 && high > 3.0 && high <= 4.0, "{low} {high}");
        let [low, high] = s.mean_error_px_ci95.unwrap();
        assert!(low <= 3.0 && high >= 3.0 && low >= 2.0 && high <= 4.0);
        assert_eq!(Summary::of(&all, &[0.6; 3], Some(1)).mean_error_px, Some(4.5));
    }

    #[test]
    fn a_picture_judged_twice_is_drawn_as_one() {
        let frame = |image: &str, e: f64| judged(image, &[(e, 1.0)]);
        let once: Vec<_> = (0..12).map(|i| frame(&format!("{i}.png"), f64::from(i))).collect();
        let twice: Vec<_> = once.iter().cloned().chain(once.iter().cloned()).collect();
        let [one, two] = [&once, &twice].map(|j| Summary::of(j, &[], None));
        assert_eq!((one.n_frames, two.n_frames, two.n_points), (12, 24, 24));
        assert_eq!(one.mean_error_px_ci95, two.mean_error_px_ci95, "the same picture tells nothing new");
    }

    #[test]
    fn nothing_labelled_gives_no_number() {
        let s = Summary::of(&[], &[], None);
        assert_eq!((s.mean_error_px, s.mean_error_px_ci95, s.p95_error_px), (None, None, None));
    }
}
