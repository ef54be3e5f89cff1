//! Error against the number of labelled frames, and what more of them would bring.

use super::checkpoint::State;
use super::ensemble::finished;
use super::evaluate::{Judged, Summary, quantile};
use super::evaluation::{EvaluateOptions, judge_keys, table};
use super::recipe::Recipe;
use super::record::{hash_of, recipe_of};
use super::session::{Options, Part, Start, snapshot, train};
use super::trainer::snapshot_folder;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::net::{Bundle, Card, Predictor, device};
use crate::pose::{FrameKey, Labels};
use crate::project::{LabelStore, Project, Split, Splits};
use crate::watch::Watch;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Normal};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The question that the curve answers: what would so many labelled frames more bring?
const MORE: usize = 50;
/// Exponents that are tried: errors fall with the number of labels as a power of it, from slowly to in proportion.
const EXPONENTS: std::ops::RangeInclusive<u32> = 20..=100;
const DRAWS: usize = 500;
/// A network that is so many times worse than the model, on the same frames, had too little time.
const HASTY: f64 = 1.3;

/// What `limn evaluate --learning-curve` can be told.
#[derive(Debug, Clone)]
pub struct CurveOptions {
    /// How to measure, and of which shuffle.
    pub evaluate: EvaluateOptions,
    /// So many points on the curve, the whole training set among them; from 3.
    pub points: usize,
    /// No training takes longer than so many minutes. If the model itself was trained for longer, a network for all
    /// training frames is trained in so many minutes too, so that the points can be compared.
    pub max_minutes: Option<f64>,
}

/// One measured point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Labelled frames trained on.
    pub frames: usize,
    /// Mean error on the test frames, in pixels.
    pub mean_error_px: f64,
    /// Its 95 % interval, by bootstrap over test frames.
    pub mean_error_px_ci95: Option<[f64; 2]>,
    /// Steps trained.
    pub steps: u64,
    /// The network's folder.
    pub model: PathBuf,
}

/// `error = floor + scale * frames ^ -exponent`, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PowerLaw {
    /// What is left with any number of labels.
    pub floor_px: f64,
    /// How much one frame alone would be worse.
    pub scale_px: f64,
    /// How fast it falls, 0.2 to 1.
    pub exponent: f64,
    /// Root mean square distance of the points from the curve.
    pub residual_px: f64,
}

/// What more labels would bring.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// So many labelled frames more to train on.
    pub more_frames: usize,
    /// The error to be expected then, in pixels.
    pub error_px: f64,
    /// Its 95 % interval: other test frames, and points that do not lie on the curve.
    pub error_px_ci95: [f64; 2],
    /// How much less that is than now, by the curve.
    pub less_px: f64,
    /// Its 95 % interval.
    pub less_px_ci95: [f64; 2],
}

/// Error against the number of labelled frames of a shuffle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearningCurve {
    /// The shuffle.
    pub shuffle: u32,
    /// What it says, in plain words.
    pub words: String,
    /// The model's own error in pixels, where all networks of the curve had less time than it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_error_px: Option<f64>,
    /// What was measured, by rising number of frames; all on the same test frames.
    pub points: Vec<CurvePoint>,
    /// The curve through them; `None` with less than three points.
    pub fit: Option<PowerLaw>,
    /// What more labels would bring; `None` without a curve.
    pub gain: Option<Gain>,
}

impl PowerLaw {
    /// The error with so many frames, in pixels.
    #[must_use]
    pub fn at(&self, frames: f64) -> f64 {
        self.floor_px + self.scale_px * frames.max(1.0).powf(-self.exponent)
    }

    /// The curve through points of number of frames and error, by least squares for each exponent, floor and scale not
    /// below 0. `None` for less than three points.
    ///
    /// ```
    /// use limn::train::PowerLaw;
    /// let made = [20.0, 40.0, 60.0, 80.0].map(|n: f64| (n, 1.5 + 30.0 * n.powf(-0.8)));
    /// let fit = PowerLaw::fit(&made).unwrap();
    /// assert!((fit.at(130.0) - (1.5 + 30.0 * 130f64.powf(-0.8))).abs() < 0.01);
    /// ```
    #[must_use]
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 3 || points.iter().any(|(n, e)| !n.is_finite() || !e.is_finite() || *n < 1.0) {
            return None;
        }
        let n = points.len() as f64;
        let mean_y = points.iter().map(|p| p.1).sum::<f64>() / n;
        EXPONENTS
            .map(|c| {
                let exponent = f64::from(c) / 100.0;
                let xs: Vec<f64> = points.iter().map(|p| p.0.powf(-exponent)).collect();
                let mean_x = xs.iter().sum::<f64>() / n;
                let (mut xx, mut xy) = (0.0, 0.0);
                for (x, (_, y)) in xs.iter().zip(points) {
                    xx += (x - mean_x).powi(2);
                    xy += (x - mean_x) * (y - mean_y);
                }
                let mut scale_px = if xx > 0.0 { (xy / xx).max(0.0) } else { 0.0 };
                let mut floor_px = mean_y - scale_px * mean_x;
                if floor_px < 0.0 {
                    floor_px = 0.0;
                    let squares: f64 = xs.iter().map(|x| x * x).sum();
                    scale_px = xs.iter().zip(points).map(|(x, (_, y))| x * y).sum::<f64>() / squares;
                }
                let law = Self { floor_px, scale_px, exponent, residual_px: 0.0 };
                let off = points.iter().map(|(n, y)| (law.at(*n) - y).powi(2)).sum::<f64>();
                Self { residual_px: (off / n).sqrt(), ..law }
            })
            .min_by(|a, b| a.residual_px.total_cmp(&b.residual_px))
    }
}

/// Trains networks on nested random parts of a shuffle's training frames, as its model was trained, and measures all on
/// the same test frames. The networks lie in `learning-curve/` beside the model; those that are finished are not trained
/// again, one that was stopped goes on. Writes `error-by-labels.json` and `.csv` into the evaluation's folder.
///
/// # Errors
/// When there is no trained model or no test frame, or training fails or is stopped.
pub fn learning_curve(
    project: &mut Project,
    options: &CurveOptions,
    watch: &dyn Watch,
) -> Result<LearningCurve> {
    if !(3..=20).contains(&options.points) {
        return Err(Error::new(Kind::Usage, format!("a curve of {} points", options.points))
            .mend("give --points a number from 3 to 20"));
    }
    let shuffle = options.evaluate.shuffle;
    let mut model = snapshot(project, shuffle, &options.evaluate.snapshot)?;
    let mut card = Card::read(&model)?;
    if card.members > 1 {
        watch.note("the learning curve of an ensemble is that of its first network");
        let member = model.parent().unwrap_or(&model).join("member-1");
        model = finished(&member);
        card = Card::read(&model)?;
    }
    let labels = LabelStore::read(project, watch)?.labels().clone();
    let split = Splits::load(project, shuffle, &labels, watch)?;
    if split.test.is_empty() {
        return Err(Error::new(Kind::Labels, "no test frame is left to measure a learning curve on")
            .mend("draw a split that keeps some labelled frames for testing"));
    }
    if card.training.data_hash != hash_of(&labels, &split) {
        return Err(Error::new(Kind::Labels, "labels or split were changed after the model was trained")
            .at(model.display())
            .mend(format!("train it again with `limn train --shuffle {shuffle}`, then measure the curve")));
    }
    let folder = project.models_folder(split.train_fraction, shuffle);
    let own = model.parent().unwrap_or(&folder);
    let state = State::describe(own)?.filter(|s| s.net == card.net);
    let way = Way::of(&card, options)?;
    let minutes = state.as_ref().map_or(0.0, |s| s.seconds / 60.0);
    let again = options.max_minutes.is_some_and(|m| minutes > 1.1 * m);

    let parts = parts(&split, options.points);
    let mut networks = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let whole = part.len() == split.train.len();
        let folder = if whole && !again {
            model.clone()
        } else {
            watch.note(&format!(
                "learning curve: network {} of {}, on {} frames",
                i + 1,
                parts.len() - usize::from(!again),
                part.len()
            ));
            let name = way.folder_name(part.len());
            let place = folder.join("learning-curve").join(name);
            trained(project, &labels, &split, part, &place, &way, watch)?
        };
        networks.push((part.len(), folder));
    }
    let (device, _) = device::choose(&options.evaluate.device)?;
    let judge = |folder: &Path| -> Result<(u64, Vec<Judged>)> {
        let Bundle { card, net, .. } = Bundle::load(folder, device)?;
        let predictor = Predictor::new(net, options.evaluate.precision)?;
        let (test, _) = judge_keys(project, &labels, &split.test, &predictor, watch)?;
        Ok((card.training.steps, test))
    };
    let mut judged = Vec::new();
    for (frames, folder) in networks {
        let (steps, test) = judge(&folder)?;
        judged.push((frames, steps, folder, test));
    }
    let own = if again { Summary::mean(&judge(&model)?.1) } else { None };
    let curve = curve_of(shuffle, judged, own);
    let folder = project.evaluation_folder(split.train_fraction, shuffle);
    files::make_folder(&folder)?;
    let json = serde_json::to_string_pretty(&curve)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the learning curve: {e}")))?;
    files::write_whole(&folder.join("error-by-labels.json"), json.as_bytes())?;
    let rows = curve.points.iter().map(|p| {
        let [low, high] = p.mean_error_px_ci95.map_or([f64::NAN; 2], |ci| ci);
        let cell = |v: f64| if v.is_finite() { format!("{v:.4}") } else { String::new() };
        vec![p.frames.to_string(), cell(p.mean_error_px), cell(low), cell(high), p.steps.to_string()]
    });
    let head = ["frames", "mean_error_px", "ci95_low", "ci95_high", "steps"];
    files::write_whole(&folder.join("error-by-labels.csv"), &table(&head, rows)?)?;
    Ok(curve)
}

/// Nested random parts of the training frames, from small to all.
fn parts(split: &Split, points: usize) -> Vec<Vec<FrameKey>> {
    let mut keys = split.train.clone();
    let seed = split.seed.wrapping_add(u64::from(split.shuffle));
    keys.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    let mut sizes: Vec<usize> = (1..=points).map(|i| (keys.len() * i).div_ceil(points)).collect();
    sizes.dedup();
    sizes
        .into_iter()
        .map(|n| {
            let mut part = keys[..n].to_vec();
            part.sort();
            part
        })
        .collect()
}

/// How the model was trained, for others like it.
struct Way {
    net: String,
    recipe: Recipe,
    seed: u64,
    start: Start,
    device: String,
    precision: Option<crate::net::Precision>,
    /// What it began with, as its card has it.
    init: (String, String),
    max_minutes: Option<f64>,
}

impl Way {
    fn of(card: &Card, options: &CurveOptions) -> Result<Self> {
        let settings = card.training.settings.as_ref();
        let mut recipe = match settings {
            Some(s) => recipe_of(s)?,
            None => Recipe::for_net(&card.net.net)?,
        };
        recipe.steps = card.training.steps.max(1);
        // Only the end counts.
        (recipe.evaluations, recipe.patience) = (1, 0);
        let start = match settings.map(|s| s.init.as_str()) {
            Some("random") => Start::Random,
            Some("imagenet" | "") | None => Start::Pretrained,
            Some(file) => Start::File(file.into()),
        };
        Ok(Self {
            net: card.net.net.clone(),
            recipe,
            seed: card.training.seed,
            start,
            device: options.evaluate.device.clone(),
            precision: settings.and_then(|s| s.precision.parse().ok()),
            init: settings.map_or_else(Default::default, |s| (s.init.clone(), s.init_hash.clone())),
            max_minutes: options.max_minutes,
        })
    }

    fn folder_name(&self, frames: usize) -> String {
        let clock = self.max_minutes.map_or_else(String::new, |m| format!("-{m}min"));
        format!("frames{frames:04}{clock}")
    }
}

/// The network of a part of the training frames: as it lies there, taken up again, or trained.
fn trained(
    project: &mut Project,
    labels: &Labels,
    split: &Split,
    part: &[FrameKey],
    folder: &Path,
    way: &Way,
    watch: &dyn Watch,
) -> Result<PathBuf> {
    let data = hash_of(labels, &Split { train: part.to_vec(), ..split.clone() });
    let last = snapshot_folder(folder, "last");
    // What lies there is taken when it was trained in the very same way, and on the same frames.
    let alike = |net: &str, recipe: &Recipe, seed: u64, init: [&str; 2], precision: &str| {
        net == way.net
            && *recipe == way.recipe
            && seed == way.seed
            && init == [way.init.0.as_str(), way.init.1.as_str()]
            && way.precision.is_none_or(|p| p.to_string() == precision)
    };
    let finished = |card: &Card| {
        let t = &card.training;
        t.settings.as_ref().is_some_and(|s| {
            let recipe = recipe_of(s).is_ok_and(|recipe| {
                alike(&card.net.net, &recipe, t.seed, [&s.init, &s.init_hash], &s.precision)
            });
            t.complete && t.data_hash == data && recipe
        })
    };
    if Card::read(&last).is_ok_and(|card| finished(&card)) {
        return Ok(last);
    }
    let resume = State::describe(folder)?.is_some_and(|s| {
        let same = alike(&s.net.net, &s.recipe, s.seed, [&s.init, &s.init_hash], &s.precision);
        s.data == data && !s.complete && same
    });
    let options = Options {
        shuffle: split.shuffle,
        net: Some(way.net.clone()),
        device: way.device.clone(),
        precision: way.precision,
        start: way.start.clone(),
        max_minutes: way.max_minutes,
        seed: Some(way.seed),
        resume,
        recipe: Some(way.recipe.clone()),
        part: Some(Part { train: part.to_vec(), folder: folder.to_owned() }),
        ..Options::default()
    };
    train(project, &options, watch)?;
    // Nobody goes on from here: the room is worth more.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("checkpoint") && entry.path().is_file() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(last)
}

/// The curve of networks that judged the same test frames: frames, steps, folder, and what each said. `own`: the error of
/// the model itself, where these had less time than it.
fn curve_of(
    shuffle: u32,
    judged: Vec<(usize, u64, PathBuf, Vec<Judged>)>,
    own: Option<f64>,
) -> LearningCurve {
    // Sum and number of the errors of each test frame, network by network.
    let sums: Vec<Vec<(f64, f64)>> = judged
        .iter()
        .map(|(.., test)| {
            let sum = |j: &Judged| j.errors().fold((0.0, 0.0), |(s, n), (_, e, _)| (s + e, n + 1.0));
            test.iter().map(sum).collect()
        })
        .collect();
    let points: Vec<CurvePoint> = judged
        .into_iter()
        .filter_map(|(frames, steps, model, test)| {
            let summary = Summary::of(&test, &[], None);
            Some(CurvePoint {
                frames,
                mean_error_px: summary.mean_error_px?,
                mean_error_px_ci95: summary.mean_error_px_ci95,
                steps,
                model,
            })
        })
        .collect();
    let frames: Vec<f64> = points.iter().map(|p| p.frames as f64).collect();
    let measured: Vec<_> = points.iter().map(|p| (p.frames as f64, p.mean_error_px)).collect();
    let fit = PowerLaw::fit(&measured);
    // Networks that have not learnt enough yet say nothing of labels.
    let hasty = own.zip(points.last()).filter(|(own, last)| last.mean_error_px > HASTY * own);
    let gain = fit.as_ref().filter(|_| hasty.is_none()).and_then(|fit| gain_of(fit, &frames, &sums));
    let words = match hasty {
        Some((own, last)) => format!(
            "These trainings were too short to say what more labels would bring: on the same {} frames the network of the \
             curve is off by {:.2} px and the model itself by {own:.2} px. Give --max-minutes more, or leave it out.",
            last.frames, last.mean_error_px
        ),
        None => words_of(&points, gain.as_ref()),
    };
    LearningCurve { shuffle, words, model_error_px: own, points, fit, gain }
}

/// What more frames would bring: by the curve, and its interval by drawing test frames anew and by shaking the points as
/// much as they are off the curve.
fn gain_of(fit: &PowerLaw, frames: &[f64], sums: &[Vec<(f64, f64)>]) -> Option<Gain> {
    let now = *frames.last()?;
    let then = now + MORE as f64;
    let tests = sums.first().map_or(0, Vec::len);
    if tests == 0 || sums.len() != frames.len() {
        return None;
    }
    // Of the points, two freedoms at least went into the curve.
    let n = frames.len() as f64;
    let off = Normal::new(0.0, fit.residual_px * (n / (n - 2.0).max(1.0)).sqrt()).ok()?;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    let (mut errors, mut less) = (Vec::new(), Vec::new());
    for _ in 0..DRAWS {
        let drawn: Vec<usize> = (0..tests).map(|_| random.random_range(0..tests)).collect();
        let points: Vec<(f64, f64)> = frames
            .iter()
            .zip(sums)
            .map(|(n, sums)| {
                let (sum, count) =
                    drawn.iter().fold((0.0, 0.0), |(s, c), i| (s + sums[*i].0, c + sums[*i].1));
                (*n, (sum / count + off.sample(&mut random)).max(0.0))
            })
            .collect();
        if let Some(law) = PowerLaw::fit(&points) {
            errors.push(law.at(then));
            less.push(law.at(now) - law.at(then));
        }
    }
    let interval = |mut values: Vec<f64>| -> Option<[f64; 2]> {
        values.sort_by(f64::total_cmp);
        Some([quantile(&values, 0.025)?, quantile(&values, 0.975)?])
    };
    Some(Gain {
        more_frames: MORE,
        error_px: fit.at(then),
        error_px_ci95: interval(errors)?,
        less_px: fit.at(now) - fit.at(then),
        less_px_ci95: interval(less)?,
    })
}

fn words_of(points: &[CurvePoint], gain: Option<&Gain>) -> String {
    let Some(last) = points.last() else { return "No test frame has a label.".to_owned() };
    let Some(gain) = gain else {
        return format!(
            "With {} labelled frames the network is off by {:.2} px; there are too few frames to say what more would bring.",
            last.frames, last.mean_error_px
        );
    };
    let [low, high] = gain.less_px_ci95;
    let worth = if gain.less_px < 0.03 * last.mean_error_px {
        " That is next to nothing: look at the worst frames and the labels rather than labelling more of the same."
    } else if low < 0.02 * last.mean_error_px {
        " It may also be next to nothing: these test frames cannot tell."
    } else {
        ""
    };
    format!(
        "With {} labelled frames to train on the network is off by {:.2} px. By the curve through {} points, {} more like \
         them would take {:.2} px off that (95 % interval {:.2} to {:.2}).{worth}",
        last.frames,
        last.mean_error_px,
        points.len(),
        gain.more_frames,
        gain.less_px,
        low,
        high
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::Keypoint;

    fn judged(frames: usize, off: impl Fn(usize) -> f64) -> Vec<Judged> {
        (0..frames)
            .map(|i| Judged {
                spread: Vec::new(),
                key: FrameKey::new("v", format!("img{i:03}.png")),
                label: vec![Some(Keypoint::new(50.0, 50.0)); 2],
                prediction: vec![(Keypoint::new(50.0 + off(i), 50.0), 0.9); 2],
            })
            .collect()
    }

    #[test]
    fn a_known_curve_is_found_and_carried_on() {
        let law = |n: f64| 1.0 + 20.0 * n.powf(-0.6);
        let networks = [25, 50, 75, 100]
            .map(|n| {
                let test = judged(40, |i| law(f64::from(n)) * if i % 2 == 0 { 0.8 } else { 1.2 });
                (n as usize, 100, PathBuf::from("m"), test)
            })
            .to_vec();
        let curve = curve_of(1, networks.clone(), Some(law(100.0)));
        let fit = curve.fit.unwrap();
        assert!((fit.exponent - 0.6).abs() < 0.011 && (fit.floor_px - 1.0).abs() < 0.05, "{fit:?}");
        let gain = curve.gain.unwrap();
        assert!(
            (gain.error_px - law(150.0)).abs() < 0.01
                && (gain.less_px - (law(100.0) - law(150.0))).abs() < 0.01
        );
        let [low, high] = gain.less_px_ci95;
        assert!(low < gain.less_px && gain.less_px < high && low > 0.1 && high < 0.5, "{gain:?}");
        assert!(curve.words.contains("50 more") && curve.words.starts_with("With 100 labelled frames"));
        let hasty = curve_of(1, networks, Some(0.5 * law(100.0)));
        assert!(hasty.gain.is_none() && hasty.words.contains("too short"), "{}", hasty.words);
    }

    #[test]
    fn flat_rising_and_short_curves_are_sane() {
        let flat = PowerLaw::fit(&[(20.0, 2.0), (40.0, 2.0), (60.0, 2.0)]).unwrap();
        assert!((flat.at(500.0) - 2.0).abs() < 1e-9);
        let rising = PowerLaw::fit(&[(20.0, 1.0), (40.0, 2.0), (60.0, 3.0)]).unwrap();
        assert!((rising.at(100.0) - 2.0).abs() < 1e-9, "more labels are never said to do harm: {rising:?}");
        assert!(PowerLaw::fit(&[(20.0, 1.0), (40.0, 2.0)]).is_none());
        assert!(PowerLaw::fit(&[(20.0, 1.0), (40.0, f64::NAN), (60.0, 1.0)]).is_none());
        let flat =
            [20, 40, 60].map(|n| (n, 10, PathBuf::new(), judged(9, |i| 2.0 + (i % 3) as f64))).to_vec();
        assert!(curve_of(1, flat, None).words.contains("next to nothing"));
        assert!(curve_of(1, vec![], None).words.contains("No test frame"));
    }

    #[test]
    fn parts_are_nested() {
        let keys: Vec<_> = (0..93).map(|i| FrameKey::new("v", format!("img{i:03}.png"))).collect();
        let split = Split {
            shuffle: 2,
            seed: 3,
            train_fraction: 0.8,
            by_video: false,
            folds: 0,
            labels_hash: String::new(),
            train: keys,
            test: vec![],
        };
        let all = parts(&split, 4);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [24, 47, 70, 93]);
        assert!(all.windows(2).all(|w| w[0].iter().all(|k| w[1].contains(k))));
        let two = Split { train: split.train[..2].to_vec(), ..split };
        assert_eq!(parts(&two, 4).iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    }
}
