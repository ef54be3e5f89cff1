//! Evaluation of trained networks on the frames of their splits: judged, summed up, written down.
//!
//! ```no_run
//! use limn::net::Precision;
//! use limn::project::Project;
//! use limn::train::session::{self, EvaluateOptions};
//! use limn::watch::Quiet;
//! let watch = Quiet::default();
//! let project = Project::open("openfield-Ada-2026-01-31".as_ref(), &watch)?;
//! let done = session::evaluate_shuffles(&project, &[1, 2, 3], &EvaluateOptions::default(), &watch)?;
//! println!("{}", done.verdict);
//! # Ok::<(), limn::Error>(())
//! ```

use super::calibration::{Calibrated, Reliability, calibrate, cross_fitted, told, within_px};
use super::curve::LearningCurve;
use super::evaluate::{Judged, Report, Summary, judge, point_title};
use super::pck::Pck;
use super::record::hash_of;
use super::session::{dataset, frame_size, snapshot};
use super::spread::{Coverage, coverage};
use super::verdict::human;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::net::{Bundle, Calibration, Card, Precision, Predictor, Score, device};
use crate::pose::{FrameKey, Labels, Skeleton};
use crate::project::{LabelStore, Project, Split, Splits};
use crate::watch::Watch;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// So many of the worst frames are listed.
const WORST: usize = 12;

/// What `limn evaluate` can be told.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// Which shuffle.
    pub shuffle: u32,
    /// `best`, `last` or `auto`.
    pub snapshot: String,
    /// `auto`, `cpu`, `cuda`, `cuda:0`.
    pub device: String,
    /// Number format.
    pub precision: Precision,
    /// Likelihood a point must reach; the project's `pcutoff` when not given.
    pub cutoff: Option<f64>,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            shuffle: 1,
            snapshot: "auto".into(),
            device: "auto".into(),
            precision: Precision::Fp32,
            cutoff: None,
        }
    }
}

/// One network that was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// The shuffle it was trained on.
    pub shuffle: u32,
    /// Its name in result files.
    pub scorer: String,
    /// Its folder.
    pub snapshot: PathBuf,
    /// Whether whole videos were kept together in its split.
    pub by_video: bool,
    /// Steps it was trained for.
    pub steps: u64,
    /// When it was written, as `2026-01-31T12:00:00Z`.
    pub trained: String,
    /// On what, in words.
    pub trained_on: String,
    /// Frames trained on.
    pub train_frames: usize,
    /// The test frames alone.
    pub test: Summary,
}

/// What is said of test frames that are in the test sets of several shuffles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// Different test frames.
    pub frames: usize,
    /// How many of them are in more than one test set; each counts every time.
    pub repeated: usize,
}

/// A test frame that the network is far off on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorstFrame {
    /// The picture, as `labeled-data/<video>/<image>`.
    pub image: String,
    /// The shuffle whose network judged it.
    pub shuffle: u32,
    /// Mean error over its labelled points, in pixels.
    pub mean_error_px: f64,
    /// The point that is farthest off.
    pub worst_point: String,
    /// How far that one is off, in pixels.
    pub worst_error_px: f64,
    /// The drawing of label against prediction, in the evaluation's folder.
    pub picture: String,
    /// Which of [`Evaluated::test`].
    #[serde(skip)]
    pub place: usize,
}

/// What came of an evaluation.
#[derive(Debug, Serialize)]
pub struct Evaluated {
    /// The errors, summed up.
    #[serde(flatten)]
    pub report: Report,
    /// What the result means, in plain sentences.
    pub verdict: String,
    /// The share of points within a distance.
    pub pck: Pck,
    /// What the likelihood is worth.
    pub likelihood: Calibrated,
    /// What the standard deviations of an ensemble are worth; `None` for single networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// The test frames with the largest mean errors, the worst first.
    pub worst_frames: Vec<WorstFrame>,
    /// The model's name in result files; the first one's where there are several.
    pub scorer: String,
    /// The model's folder; the first one's where there are several.
    pub snapshot: PathBuf,
    /// The networks that were evaluated, one for each shuffle.
    pub members: Vec<Member>,
    /// About frames in several test sets; `None` for one shuffle.
    pub pooled: Option<Repeated>,
    /// The device and precision really used, in words.
    pub device: String,
    /// What evaluated, such as `limn 0.1.0`.
    pub program: String,
    /// When, as `2026-01-31T12:00:00Z`.
    pub evaluated: String,
    /// Width and height of the first test frame.
    pub frame_px: (usize, usize),
    /// What two people differ by on frames of that size, in pixels.
    pub human_px: f64,
    /// Error against the number of labelled frames, where that was measured too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_curve: Option<LearningCurve>,
    /// Where tables and pictures were written.
    pub folder: PathBuf,
    /// Test frames one by one; their likelihood is what tracks of the model carry.
    #[serde(skip)]
    pub test: Vec<Judged>,
    /// Training frames one by one.
    #[serde(skip)]
    pub train: Vec<Judged>,
    /// The shuffle of each test frame's network, and of each training frame's.
    #[serde(skip)]
    pub shuffles: [Vec<u32>; 2],
}

impl Evaluated {
    /// The name of the drawing of a judged frame: `Test-<video>-<image>` as DeepLabCut has it, with the shuffle where
    /// there are several.
    #[must_use]
    pub fn picture_name(&self, set: &str, shuffle: u32, key: &FrameKey) -> String {
        picture_name(set, shuffle, key, self.members.len() > 1)
    }

    /// As the program's answer in JSON, and as `results.json`.
    ///
    /// # Errors
    /// [`Kind::Format`], which does not happen.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the evaluation: {e}")))
    }

    /// Writes `results.json` again, after something was added.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_json(&self) -> Result<()> {
        let json = serde_json::to_string_pretty(&self.json()?)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the evaluation: {e}")))?;
        files::write_whole(&self.folder.join("results.json"), json.as_bytes())
    }
}

fn picture_name(set: &str, shuffle: u32, key: &FrameKey, several: bool) -> String {
    let shuffle = if several { format!("shuffle{shuffle}-") } else { String::new() };
    format!("{set}-{shuffle}{}-{}", key.video, key.image)
}

/// Measures a trained network on the frames of its split and writes tables: `results.json`, `errors.csv`, `pck.csv` and
/// `worst.csv`.
///
/// # Errors
/// When there is no trained model, or labels or pictures are gone.
pub fn evaluate(project: &Project, options: &EvaluateOptions, watch: &dyn Watch) -> Result<Evaluated> {
    evaluate_shuffles(project, &[options.shuffle], options, watch)
}

/// As [`evaluate`], of the networks of several shuffles, whose test frames are pooled: each frame is judged only by
/// networks that did not train on it, and counts once for each of them. `options.shuffle` has no meaning here.
///
/// # Errors
/// As [`evaluate`], for any of the shuffles.
pub fn evaluate_shuffles(
    project: &Project,
    shuffles: &[u32],
    options: &EvaluateOptions,
    watch: &dyn Watch,
) -> Result<Evaluated> {
    if let Some(cutoff) = options.cutoff.filter(|c| !(0.0..=1.0).contains(c)) {
        return Err(Error::new(Kind::Usage, format!("a cut-off of {cutoff} is no likelihood"))
            .mend("give --pcutoff a number from 0 to 1"));
    }
    let shuffles: Vec<u32> = shuffles.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    // What is missing is said before anything long begins.
    let snapshots =
        shuffles.iter().map(|s| snapshot(project, *s, &options.snapshot)).collect::<Result<Vec<_>>>()?;
    let labels = LabelStore::read(project, watch)?.labels().clone();
    let measured = shuffles
        .iter()
        .zip(&snapshots)
        .map(|(shuffle, folder)| measure(project, &labels, *shuffle, folder, options, watch))
        .collect::<Result<Vec<_>>>()?;
    let Some(first) = measured.first() else {
        return Err(Error::new(Kind::Usage, "no shuffle to evaluate").mend("name at least one"));
    };
    let skeleton = project.skeleton();
    let points = skeleton.points();
    let cutoffs =
        options.cutoff.map_or_else(|| project.config.pcutoff.for_points(points), |c| vec![c; points]);
    let frame_px = measured.iter().map(|m| m.frame).find(|f| *f != (0, 0)).unwrap_or((0, 0));
    let (likelihood, chances) = likelihoods(&measured, within_px(frame_px));

    let reported = |m: &Measured, judged: &[Judged]| -> Vec<Judged> {
        judged.iter().map(|j| carried(j, m.calibration())).collect()
    };
    let members = measured
        .iter()
        .map(|m| Member {
            shuffle: m.split.shuffle,
            scorer: m.card.scorer.clone(),
            snapshot: m.snapshot.clone(),
            by_video: m.split.by_video,
            steps: m.card.training.steps,
            trained: m.card.created.clone(),
            trained_on: m.card.training.device.clone(),
            train_frames: m.train.len(),
            test: Summary::of(&reported(m, &m.test), &cutoffs, None),
        })
        .collect::<Vec<_>>();
    let several = members.len() > 1;
    let test: Vec<Judged> = measured.iter().flat_map(|m| reported(m, &m.test)).collect();
    let train: Vec<Judged> = measured.iter().flat_map(|m| reported(m, &m.train)).collect();
    let of = |set: fn(&Measured) -> &Vec<Judged>| -> Vec<u32> {
        measured.iter().flat_map(|m| vec![m.split.shuffle; set(m).len()]).collect()
    };
    let shuffle_of = [of(|m| &m.test), of(|m| &m.train)];
    let report = Report::of(&test, &train, &skeleton, &cutoffs);
    let pooled = several.then(|| repeated(&test));
    let folder = match measured.as_slice() {
        [one] => project.evaluation_folder(one.split.train_fraction, one.split.shuffle),
        _ => project.iteration_folder().join(format!("evaluation-shuffles-{}", numbers(&shuffles))),
    };
    let coverage = coverage(&test, first.card.members);
    let mut verdict = pooled.as_ref().map_or_else(String::new, |p| pooled_words(&shuffles, p));
    verdict += &super::verdict(&report, frame_px);
    let chosen = measured.iter().any(|m| m.snapshot.ends_with("snapshot-best"));
    if chosen && report.test.n_points > 0 {
        verdict += " This state was chosen as the one with the smallest test error, so that the figure is too good by a little.";
    }
    let words = likelihood.words();
    if !words.is_empty() && report.test.n_points > 0 {
        verdict = format!("{verdict} {words}");
    }
    if let Some(c) = &coverage {
        let _ = write!(verdict, " {}", c.words());
    }
    let done = Evaluated {
        verdict,
        pck: Pck::of(&test, &skeleton, frame_px, likelihood.within_px),
        coverage,
        likelihood,
        worst_frames: worst(&test, &shuffle_of[0], &skeleton, several),
        scorer: first.card.scorer.clone(),
        snapshot: first.snapshot.clone(),
        members,
        pooled,
        device: first.device.clone(),
        program: format!("limn {}", crate::VERSION),
        evaluated: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        frame_px,
        human_px: human(frame_px),
        learning_curve: None,
        folder,
        report,
        test,
        train,
        shuffles: shuffle_of,
    };
    let raw: Vec<&Judged> =
        measured.iter().flat_map(|m| &m.test).chain(measured.iter().flat_map(|m| &m.train)).collect();
    write(&done, &skeleton, &raw, chances.as_deref())?;
    Ok(done)
}

/// A network and what it said of its frames, with the network's own likelihoods.
pub(super) struct Measured {
    pub card: Card,
    pub snapshot: PathBuf,
    pub split: Split,
    pub test: Vec<Judged>,
    pub train: Vec<Judged>,
    /// Width and height of most frames.
    pub frame: (usize, usize),
    pub device: String,
}

impl Measured {
    /// The map that analysis applies.
    fn calibration(&self) -> Option<&Calibration> {
        self.card.calibration.as_ref().filter(|_| self.card.net.head.score == Score::Sigmoid)
    }
}

/// Judges all frames of a shuffle with the network in `snapshot`. A frame that the network was trained on is no test
/// frame, whatever the split says by now.
fn measure(
    project: &Project,
    labels: &Labels,
    shuffle: u32,
    snapshot: &Path,
    options: &EvaluateOptions,
    watch: &dyn Watch,
) -> Result<Measured> {
    let (device, words) = device::choose(&options.device)?;
    let Bundle { card, net, more } = Bundle::load(snapshot, device)?;
    card.fits(&project.skeleton()).map_err(|e| e.at(snapshot.display()))?;
    let mut split = Splits::load(project, shuffle, labels, watch)?;
    if card.training.data_hash != hash_of(labels, &split) {
        watch.warn(&format!("labels or split were changed after the model of shuffle {shuffle} was trained"));
    }
    let known: BTreeSet<&str> = card.training.train.iter().map(String::as_str).collect();
    let (learnt, test): (Vec<_>, Vec<_>) =
        split.test.into_iter().partition(|key| known.contains(key.to_string().as_str()));
    split.test = test;
    if !learnt.is_empty() {
        watch.warn(&format!(
            "{} test frames of shuffle {shuffle} were trained on before the split was changed; they count as training frames",
            learnt.len()
        ));
        split.train.extend(learnt);
        split.train.sort();
    }
    let predictor = Predictor::together(net, more, options.precision)?;
    let (test, frame) = judge_keys(project, labels, &split.test, &predictor, watch)?;
    let (train, other) = judge_keys(project, labels, &split.train, &predictor, watch)?;
    Ok(Measured {
        card,
        snapshot: snapshot.to_owned(),
        split,
        test,
        train,
        frame: frame.or(other).unwrap_or((0, 0)),
        device: format!("{words}, {}", options.precision),
    })
}

/// Width and height in pixels.
type Size = (usize, usize);

/// What a network says of these pictures, and their usual size.
pub(super) fn judge_keys(
    project: &Project,
    labels: &Labels,
    keys: &[FrameKey],
    predictor: &Predictor,
    watch: &dyn Watch,
) -> Result<(Vec<Judged>, Option<Size>)> {
    if keys.is_empty() {
        return Ok((Vec::new(), None));
    }
    let data = dataset(project, labels, keys, watch)?;
    watch.begin("evaluate", Some(data.len() as u64));
    let judged = judge(predictor, &data, watch);
    watch.end();
    Ok((judged?, Some(frame_size(&data))))
}

/// With the likelihood that tracks of the model would carry.
fn carried(judged: &Judged, map: Option<&Calibration>) -> Judged {
    let mut judged = judged.clone();
    if let Some(map) = map {
        for (_, likelihood) in &mut judged.prediction {
            *likelihood = map.apply(*likelihood);
        }
    }
    judged
}

/// What the likelihood of these networks is worth, and the held-out chance of every point of every test frame where
/// there is one. Each network has a map of its own.
fn likelihoods(measured: &[Measured], within_px: f64) -> (Calibrated, Option<Vec<Vec<f64>>>) {
    let right = |test: &[Judged], chance: &dyn Fn(usize, usize, f64) -> f64| -> Vec<(f64, f64, bool)> {
        told(test, within_px)
            .into_iter()
            .enumerate()
            .flat_map(|(f, all)| all.into_iter().map(move |(i, l, right)| (l, chance(f, i, l), right)))
            .collect()
    };
    let raw: Vec<_> = measured.iter().flat_map(|m| right(&m.test, &|_, _, l| l)).collect();
    let (mut chances, mut held, mut why_not) = (Vec::new(), Vec::new(), None);
    for m in measured {
        let all = match calibrate(&m.test, within_px) {
            _ if m.card.net.head.score != Score::Sigmoid => {
                Err("this kind of network has no logits to calibrate".to_owned())
            }
            Err(why) => Err(why),
            Ok(_) => {
                cross_fitted(&m.test, within_px).ok_or_else(|| "there is only one test frame".to_owned())
            }
        };
        match all {
            Ok(all) => {
                held.extend(right(&m.test, &|f, i, _| all[f][i]));
                chances.extend(all);
            }
            Err(why) if measured.len() > 1 => {
                why_not = Some(format!("shuffle {}: {why}", m.split.shuffle));
            }
            Err(why) => why_not = Some(why),
        }
    }
    let alone = match measured {
        [one] => Some(one),
        _ => None,
    };
    let calibrated = Calibrated {
        within_px,
        n_points: raw.len(),
        share_within: (!raw.is_empty())
            .then(|| raw.iter().filter(|(.., right)| *right).count() as f64 / raw.len() as f64),
        tracks_carry: if measured.iter().all(|m| m.calibration().is_some()) { "calibrated" } else { "raw" },
        map_of_model: alone.and_then(Measured::calibration).copied(),
        map_fitted_here: alone.filter(|_| why_not.is_none()).and_then(|m| calibrate(&m.test, within_px).ok()),
        raw: Reliability::grouped(&raw),
        // Of several networks, those that have a map; `why_not` names another.
        calibrated_cross_fitted: Reliability::grouped(&held).filter(|_| !held.is_empty()),
        why_not: why_not.clone(),
    };
    (calibrated, Some(chances).filter(|_| why_not.is_none()))
}

/// The test frames with the largest mean errors.
fn worst(test: &[Judged], shuffles: &[u32], skeleton: &Skeleton, several: bool) -> Vec<WorstFrame> {
    let mut order: Vec<(usize, f64)> =
        test.iter().enumerate().filter_map(|(i, j)| Some((i, j.mean()?))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order
        .into_iter()
        .take(WORST)
        .filter_map(|(place, mean)| {
            let j = &test[place];
            let shuffle = *shuffles.get(place)?;
            let (point, error, _) = j.errors().max_by(|a, b| a.1.total_cmp(&b.1))?;
            let name = picture_name("Test", shuffle, &j.key, several);
            Some(WorstFrame {
                image: j.key.to_string(),
                shuffle,
                mean_error_px: mean,
                worst_point: skeleton.point(point).map(point_title).unwrap_or_default(),
                worst_error_px: error,
                picture: format!("pictures/{name}"),
                place,
            })
        })
        .collect()
}

fn repeated(test: &[Judged]) -> Repeated {
    let mut times: BTreeMap<&FrameKey, usize> = BTreeMap::new();
    for j in test {
        *times.entry(&j.key).or_default() += 1;
    }
    Repeated { frames: times.len(), repeated: times.values().filter(|n| **n > 1).count() }
}

fn pooled_words(shuffles: &[u32], pooled: &Repeated) -> String {
    let more = if pooled.repeated > 0 {
        format!(
            "; {} of {} frames are in several test sets and count each time",
            pooled.repeated, pooled.frames
        )
    } else {
        format!("; no frame is in two test sets, {} frames in all", pooled.frames)
    };
    format!(
        "Pooled over {} networks (shuffles {}), each judged on frames it did not train on{more}. ",
        shuffles.len(),
        numbers(shuffles).replace('_', ", ").replace('-', " to ")
    )
}

/// `1-3` or `1_3_7`: a run of numbers, or a list.
fn numbers(shuffles: &[u32]) -> String {
    match shuffles {
        [first, .., last] if shuffles.windows(2).all(|w| w[1] == w[0] + 1) => format!("{first}-{last}"),
        _ => shuffles.iter().map(u32::to_string).collect::<Vec<_>>().join("_"),
    }
}

/// `results.json`, `errors.csv`, `pck.csv`, `worst.csv`. `raw` are test and training frames with the networks' own
/// likelihoods, `chances` the held-out ones of test frames.
fn write(done: &Evaluated, skeleton: &Skeleton, raw: &[&Judged], chances: Option<&[Vec<f64>]>) -> Result<()> {
    let folder = &done.folder;
    files::make_folder(folder)?;
    done.write_json()?;
    files::write_whole(&folder.join("errors.csv"), &errors_csv(done, skeleton, raw, chances)?)?;
    files::write_whole(&folder.join("pck.csv"), &done.pck.csv()?)?;
    let head = ["rank", "image", "shuffle", "mean_error_px", "worst_point", "worst_error_px", "picture"];
    let rows = done.worst_frames.iter().enumerate().map(|(i, w)| {
        vec![
            (i + 1).to_string(),
            w.image.clone(),
            w.shuffle.to_string(),
            format!("{:.4}", w.mean_error_px),
            w.worst_point.clone(),
            format!("{:.4}", w.worst_error_px),
            w.picture.clone(),
        ]
    });
    files::write_whole(&folder.join("worst.csv"), &table(&head, rows)?)
}

fn errors_csv(
    done: &Evaluated,
    skeleton: &Skeleton,
    raw: &[&Judged],
    chances: Option<&[Vec<f64>]>,
) -> Result<Vec<u8>> {
    let head = [
        "set",
        "image",
        "individual",
        "bodypart",
        "label_x",
        "label_y",
        "x",
        "y",
        "likelihood",
        "error_px",
        "shuffle",
        "likelihood_raw",
        "likelihood_cross_fitted",
    ];
    let [of_test, of_train] = &done.shuffles;
    let all = done.test.iter().zip(of_test).map(|j| ("test", j));
    let all = all.chain(done.train.iter().zip(of_train).map(|j| ("train", j)));
    let mut rows = Vec::new();
    for (n, ((set, (j, shuffle)), raw)) in all.zip(raw).enumerate() {
        for (i, error, likelihood) in j.errors() {
            let (Some(name), Some(label)) = (skeleton.point(i), j.label[i]) else { continue };
            let at = j.prediction[i].0;
            let mut row =
                vec![set.to_owned(), j.key.to_string(), name.individual.into(), name.bodypart.into()];
            row.extend([label.x, label.y, at.x, at.y, likelihood, error].map(|v| format!("{v:.4}")));
            row.push(shuffle.to_string());
            row.push(format!("{:.6}", raw.prediction[i].1));
            let chance = chances.filter(|_| set == "test").and_then(|c| c.get(n)?.get(i));
            row.push(chance.map_or_else(String::new, |c| format!("{c:.6}")));
            rows.push(row);
        }
    }
    table(&head, rows)
}

/// A table as CSV.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let failed = |e: csv::Error| Error::new(Kind::Format, format!("cannot write a table: {e}"));
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(head).map_err(failed)?;
    for row in rows {
        out.write_record(&row).map_err(failed)?;
    }
    out.into_inner().map_err(|e| Error::new(Kind::Format, format!("cannot write a table: {e}")))
}
