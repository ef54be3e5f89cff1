//! Training and evaluation of a project's shuffle: finds labels, split, weights and folders, and hands them on.
//!
//! ```no_run
//! use limn::project::Project;
//! use limn::train::session::{self, Options};
//! use limn::watch::Quiet;
//! let watch = Quiet::default();
//! let mut project = Project::open("openfield-Ada-2026-01-31".as_ref(), &watch)?;
//! let done = session::train(&mut project, &Options::default(), &watch)?;
//! println!("{:?} px", done.outcome.best_error_px);
//! # Ok::<(), limn::Error>(())
//! ```

use super::checkpoint::State;
pub use super::curve::{CurveOptions, learning_curve};
use super::dataset::{Dataset, Example};
use super::ensemble::Unfinished;
use super::evaluate::point_title;
pub use super::evaluation::{
    EvaluateOptions, Evaluated, Member, Repeated, WorstFrame, evaluate, evaluate_shuffles,
};
use super::observer::{BeganSeen, Observer};
use super::recipe::Recipe;
use super::record::{Like, file_hash, hash_of, hashes_of, machine};
use super::trainer::{Outcome, Plan, Trainer, snapshot_folder};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::net::{Card, Net, NetSpec, Precision, Settings, Training, device, weights};
use crate::pose::{FrameKey, LabeledFrame, Labels, Skeleton};
use crate::project::{LabelStore, Project, Split, SplitRequest, Splits};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Start {
    /// ImageNet weights, from the cache or fetched.
    #[default]
    Pretrained,
    /// Backbone weights from this file.
    File(PathBuf),
    /// Random weights, asked for in so many words.
    Random,
}

/// What `limn train` can be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which shuffle of the split.
    pub shuffle: u32,
    /// The network; the project's default when not given.
    pub net: Option<String>,
    /// `auto`, `cpu`, `cuda`, `cuda:0`.
    pub device: String,
    /// Number format; the device's best when not given.
    pub precision: Option<Precision>,
    /// Where the weights come from.
    pub start: Start,
    /// The schedule is shortened to fit into so many minutes.
    pub max_minutes: Option<f64>,
    /// Passes through the training frames, instead of the recipe's steps.
    pub epochs: Option<u64>,
    /// Gradient steps, instead of the recipe's; `epochs` comes before it.
    pub steps: Option<u64>,
    /// Seed of everything random; 0, or that of the run that is resumed, when not given.
    pub seed: Option<u64>,
    /// Go on from the last checkpoint.
    pub resume: bool,
    /// A recipe other than the network's own.
    pub recipe: Option<Recipe>,
    /// Repeat the training of this model (its folder): its settings, seed and split, as a new shuffle. Of the other
    /// options only device and number format count then.
    pub like: Option<PathBuf>,
    /// Train on these frames of the shuffle alone, into another folder.
    pub part: Option<Part>,
}

/// A part of a shuffle's training frames, for a network beside its own.
#[derive(Debug, Clone)]
pub struct Part {
    /// The frames to train on.
    pub train: Vec<FrameKey>,
    /// Where snapshots, checkpoint and log go.
    pub folder: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shuffle: 1,
            net: None,
            device: "auto".into(),
            precision: None,
            start: Start::default(),
            max_minutes: None,
            epochs: None,
            steps: None,
            seed: None,
            resume: false,
            recipe: None,
            like: None,
            part: None,
        }
    }
}

/// What came of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// How it went.
    pub outcome: Outcome,
    /// Which shuffle.
    pub shuffle: u32,
    /// The network.
    pub net: String,
    /// The device and precision really used, in words.
    pub device: String,
    /// Where the weights came from, in words.
    pub start: String,
    /// The folder with snapshots, checkpoint and log.
    pub folder: PathBuf,
    /// What the result means, in plain sentences; `None` when a run that was finished before had nothing to do.
    pub verdict: Option<String>,
}

/// Trains the network of a shuffle. A project without any split gets one first.
///
/// # Errors
/// When labels, split, weights or device are missing or unusable, or training is stopped or diverges.
pub fn train(project: &mut Project, options: &Options, watch: &dyn Watch) -> Result<Trained> {
    train_seen(project, options, watch, None)
}

/// As [`train`], while somebody looks on: what is learnt is the same.
///
/// # Errors
/// As [`train`].
pub fn train_seen(
    project: &mut Project,
    options: &Options,
    watch: &dyn Watch,
    observer: Option<&dyn Observer>,
) -> Result<Trained> {
    // What can be refused at once is, before a split is drawn or a folder made.
    let like = options.like.as_deref().map(Like::read).transpose()?;
    let saved = checkpoint(project, options)?.filter(|_| like.is_none());
    let options = &match (&like, &saved) {
        (Some(like), _) => like.options(options, watch)?,
        (None, Some(saved)) => resumed(saved, options)?,
        (None, None) => options.clone(),
    };
    // limn's own wish comes before the one DeepLabCut shares.
    let net_name = options
        .net
        .clone()
        .or_else(|| project.settings.default_net.clone())
        .unwrap_or_else(|| project.config.default_net_type.clone());
    let recipe = match (&like, &options.recipe) {
        (Some(like), _) => like.recipe.clone(),
        (None, Some(recipe)) => recipe.clone(),
        (None, None) => match &saved {
            Some(saved) => saved.recipe.clone(),
            None => Recipe::for_net(&net_name)?,
        },
    };
    recipe.check()?; // also one out of a checkpoint, or of an ensemble that was begun
    if let Some(minutes) = options.max_minutes.filter(|m| m.is_nan() || *m <= 0.0) {
        return Err(Error::new(Kind::Usage, format!("{minutes} minutes are no time to train"))
            .mend("give --max-minutes a number above 0"));
    }
    let seed = options.seed.unwrap_or(0);
    let (device, words) = device::choose(&options.device)?;
    let precision = options.precision.unwrap_or_else(|| Precision::to_train(device)).check(device)?;
    let labels = LabelStore::read(project, watch)?.labels().clone();
    // A repeated split is stored only once it is known that it can be trained on.
    let repeated = like.as_ref().map(|like| Splits::numbered(project, &like.split(0)?)).transpose()?;
    let mut split = match &repeated {
        Some(split) => {
            watch.note(&format!("repeating that training as shuffle {}", split.shuffle));
            Splits::still_labelled(project, split.clone(), &labels, watch)?
        }
        None => split_of(project, options, &labels, watch)?,
    };
    let mut folder = project.models_folder(split.train_fraction, split.shuffle);
    if let Some(part) = &options.part {
        split.train.clone_from(&part.train);
        folder.clone_from(&part.folder);
    }
    let ensemble = if options.part.is_none() { Unfinished::read(&folder)? } else { None };
    if options.resume && !State::is_in(&folder) {
        let mend = ensemble.map_or_else(
            || "train without --resume".to_owned(),
            |e| format!("an ensemble was begun here: go on with --ensemble {}", e.members),
        );
        return Err(Error::new(Kind::NotFound, "there is no checkpoint to resume from")
            .at(folder.display())
            .mend(mend));
    }
    let train_set = dataset(project, &labels, &split.train, watch)?;
    let test_set =
        if split.test.is_empty() { None } else { Some(dataset(project, &labels, &split.test, watch)?) };

    let skeleton = project.skeleton();
    let spec = NetSpec {
        net: net_name.clone(),
        backbone_stride: recipe.head.backbone_stride,
        output_stride: recipe.head.output_stride,
        points: skeleton.points(),
        head: recipe.head.spec(),
    };
    let net = Net::new(&spec, device, seed)?;
    let Begun { start, init, init_hash } = begin_with(&net, &net_name, options, &folder, watch)?;
    if let Some(split) = &repeated {
        Splits::adopt(project, split)?;
    }
    files::make_folder(&folder)?;
    files::must_be_writable(&folder)?;
    if !options.resume && State::is_in(&folder) {
        watch.note(&format!("replacing the model trained before in {}", folder.display()));
    }
    if ensemble.is_some() && !options.resume {
        Unfinished::remove(&folder)?; // this one takes its place
    }
    tell_of_labels(&train_set, &skeleton, watch);
    let per_epoch = (train_set.len() as u64).div_ceil(recipe.batch as u64).max(1);
    let side = crop_side(&recipe, train_set.animal_extent());
    let plan = Plan {
        folder: folder.clone(),
        seed,
        steps: options.epochs.map(|e| e.max(1).saturating_mul(per_epoch)).or(options.steps.map(|s| s.max(1))),
        max_minutes: options.max_minutes,
        resume: options.resume,
        precision,
        pretrained: options.start != Start::Random,
        data: hash_of(&labels, &split),
    };
    watch.note(&format!(
        "{} {net_name} ({start}) on {words}, {precision}: {} frames to train on, {} to test on, crops of {side} px",
        if options.resume { "going on with" } else { "training" },
        train_set.len(),
        test_set.as_ref().map_or(0, Dataset::len),
    ));
    let settings = Settings {
        recipe: serde_yaml::to_value(&recipe)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the recipe: {e}")))?,
        steps: plan.steps.or(saved.as_ref().map(|s| s.total_steps)).unwrap_or(recipe.steps),
        max_minutes: plan.max_minutes.or(saved.as_ref().and_then(|s| s.max_minutes)),
        crop: side,
        precision: precision.to_string(),
        init,
        init_hash,
        split_seed: split.seed,
        train_fraction: split.train_fraction,
        by_video: split.by_video,
        machine: machine(&words),
        pictures: hashes_of(
            &[Some(&train_set), test_set.as_ref()].into_iter().flatten().collect::<Vec<_>>(),
            watch,
        )?,
    };
    tell_of_twins(&[Some(&train_set), test_set.as_ref()], &settings.pictures, watch);
    if let Some(like) = &like {
        like.compare(&plan.data, &settings, watch);
    }
    let mut card = Card::new(&spec, &skeleton)?;
    card.training = Training {
        settings: Some(settings),
        seed,
        data_hash: plan.data.clone(),
        split_hash: split.labels_hash.clone(),
        start: start.clone(),
        device: format!("{words}, {precision}"),
        train: split.train.iter().map(ToString::to_string).collect(),
        test: split.test.iter().map(ToString::to_string).collect(),
        ..Training::default()
    };
    let pairs = point_pairs(&skeleton, &project.mirror_pairs()?);
    let naming = |uid: &str| project.scorer_of_model(&net_name, split.shuffle, uid);
    let trainer = Trainer::new(&net, card, &naming, &recipe, &plan, side)?.seen_by(observer);
    if let Some(observer) = observer {
        observer.began(&BeganSeen {
            member: (1, 1),
            net: net_name.clone(),
            device: words.clone(),
            precision,
            start: start.clone(),
            train_frames: train_set.len(),
            test_frames: test_set.as_ref().map_or(0, Dataset::len),
            total_steps: trainer.state().total_steps,
            batch: recipe.batch,
            side,
            skeleton,
            folder: folder.clone(),
            resumed: options.resume,
            log: trainer.state().log.clone(),
        });
    }
    let outcome = trainer.run(&train_set, test_set.as_ref(), &pairs, watch)?;
    let frame = frame_size(test_set.as_ref().unwrap_or(&train_set));
    let verdict = outcome.report.as_ref().map(|report| super::verdict(report, frame));
    Ok(Trained {
        outcome,
        shuffle: split.shuffle,
        net: net_name,
        device: format!("{words}, {precision}"),
        start,
        folder,
        verdict,
    })
}

/// The usual size of the pictures, width by height.
pub(super) fn frame_size(data: &Dataset) -> (usize, usize) {
    data.usual_size()
}

/// The model folder of a shuffle: `best` or `last`; `auto` is the last state of a finished training, which no test
/// frame helped to choose, else the best.
///
/// # Errors
/// [`Kind::NotFound`] when nothing was trained on this shuffle.
pub fn snapshot(project: &Project, shuffle: u32, which: &str) -> Result<PathBuf> {
    let fraction = Splits::read(project)?
        .shuffles
        .iter()
        .find(|s| s.shuffle == shuffle)
        .map(|s| s.train_fraction)
        .ok_or_else(|| no_model(project.root(), shuffle))?;
    let folder = project.models_folder(fraction, shuffle);
    let there = |name: &str| Some(snapshot_folder(&folder, name)).filter(|f| f.join("model.yaml").is_file());
    let found = match which {
        "auto" => {
            let last = there("last");
            let complete = last.as_ref().is_some_and(|f| Card::read(f).is_ok_and(|c| c.training.complete));
            if complete { last } else { there("best").or(last) }
        }
        name => there(name),
    };
    found.ok_or_else(|| no_model(&folder, shuffle))
}

fn no_model(place: &Path, shuffle: u32) -> Error {
    Error::new(Kind::NotFound, format!("there is no trained model of shuffle {shuffle}"))
        .at(place.display())
        .mend(format!("train one with `limn train PROJECT --shuffle {shuffle}`"))
}

/// The split of a shuffle; a project that has none at all gets one drawn with its own `TrainingFraction`.
pub(super) fn split_of(
    project: &mut Project,
    options: &Options,
    labels: &Labels,
    watch: &dyn Watch,
) -> Result<Split> {
    let shuffle = options.shuffle;
    if shuffle == 1 && !options.resume && Splits::read(project)?.shuffles.is_empty() {
        let train_fraction = project.config.training_fraction.first().copied().unwrap_or(0.95);
        let by_video = Splits::videos_to_spare(labels);
        let request = SplitRequest { train_fraction, shuffles: 1, seed: 0, by_video, force: false };
        Splits::draw(project, labels, &request)?;
        watch.note(&format!(
            "no split yet: drew shuffle 1 with {train_fraction} of the frames to train on{}",
            if by_video { ", whole videos kept together" } else { "" }
        ));
    }
    Splits::load(project, shuffle, labels, watch)
}

/// The checkpoint that a run goes on from; `None` when it begins anew.
fn checkpoint(project: &Project, options: &Options) -> Result<Option<State>> {
    let split = Splits::read(project)?.shuffles.into_iter().find(|s| s.shuffle == options.shuffle);
    match split.filter(|_| options.resume) {
        Some(split) => {
            let folder = project.models_folder(split.train_fraction, options.shuffle);
            State::describe(options.part.as_ref().map_or(folder.as_path(), |p| p.folder.as_path()))
        }
        None => Ok(None),
    }
}

/// A run that goes on does so with the network, seed and number format it began with, where no others are asked for.
fn resumed(saved: &State, options: &Options) -> Result<Options> {
    Ok(Options {
        net: options.net.clone().or_else(|| Some(saved.net.net.clone())),
        seed: options.seed.or(Some(saved.seed)),
        precision: match options.precision {
            Some(precision) => Some(precision),
            None => Some(saved.precision.parse()?),
        },
        ..options.clone()
    })
}

/// The weights that a run began with.
struct Begun {
    /// In words.
    start: String,
    /// As [`Settings`] has it.
    init: String,
    init_hash: String,
}

/// Loads the weights to begin with, and says which they are; for a run in `folder` that goes on, which they were.
fn begin_with(net: &Net, name: &str, options: &Options, folder: &Path, watch: &dyn Watch) -> Result<Begun> {
    if options.resume {
        if let Some(state) = State::describe(folder)?.filter(|s| !s.init.is_empty()) {
            return Ok(Begun { start: state.start, init: state.init, init_hash: state.init_hash });
        }
        let began = Card::read(&snapshot_folder(folder, "last")).map(|c| c.training).unwrap_or_default();
        let start = Some(began.start).filter(|s| !s.is_empty()).unwrap_or_else(|| "resumed".into());
        let settings = began.settings.unwrap_or_default();
        return Ok(Begun { start, init: settings.init, init_hash: settings.init_hash });
    }
    let (explicit, start, init) = match &options.start {
        Start::Random => {
            return Ok(Begun {
                start: "random weights".into(),
                init: "random".into(),
                init_hash: String::new(),
            });
        }
        Start::Pretrained => (None, "ImageNet weights".to_owned(), "imagenet".to_owned()),
        Start::File(file) => {
            let whole = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            (Some(file), format!("weights of {}", file.display()), whole.to_string_lossy().into_owned())
        }
    };
    let path = weights::locate(name, explicit.map(PathBuf::as_path), watch)?;
    weights::load_backbone(net, &path)?;
    Ok(Begun { start, init, init_hash: file_hash(&path)? })
}

pub(super) fn dataset(
    project: &Project,
    labels: &Labels,
    keys: &[FrameKey],
    watch: &dyn Watch,
) -> Result<Dataset> {
    let examples = keys
        .iter()
        .filter_map(|k| {
            labels.frames.get(k).map(|f: &LabeledFrame| Example::new(k.clone(), project.image_path(k), f))
        })
        .collect();
    Dataset::load(examples, watch)
}

/// Tells of body parts that the network cannot learn, as nobody labelled them.
fn tell_of_labels(train: &Dataset, skeleton: &Skeleton, watch: &dyn Watch) {
    let missing: Vec<String> = skeleton
        .names()
        .enumerate()
        .filter(|(i, _)| !train.examples().iter().any(|e| e.points.get(*i).is_some_and(Option::is_some)))
        .map(|(_, name)| point_title(name))
        .collect();
    if !missing.is_empty() {
        watch.warn(&format!(
            "no frame to train on has a label of {}: the network will learn that it is never there",
            missing.join(", ")
        ));
    }
}

/// Tells of pictures that are the same to the byte and labelled differently: at most one of them can be right.
fn tell_of_twins(sets: &[Option<&Dataset>], hashes: &BTreeMap<String, String>, watch: &dyn Watch) {
    /// Two clicks of the same person are nearer to each other, in pixels.
    const APART: f64 = 5.0;
    if let [Some(train), Some(test)] = sets {
        let hash = |e: &&Example| hashes.get(&e.key.to_string());
        let learnt: BTreeSet<_> = train.examples().iter().filter_map(|e| hash(&e)).collect();
        let twins: Vec<_> =
            test.examples().iter().filter(|e| hash(e).is_some_and(|h| learnt.contains(h))).collect();
        if let Some(one) = twins.first() {
            watch.warn(&format!(
                "{} test frames are also trained on, as the same picture under another name ({} is one): the test error \
                 flatters; keep one of each",
                twins.len(),
                one.key
            ));
        }
    }
    let mut seen: BTreeMap<&str, &Example> = BTreeMap::new();
    for example in sets.iter().flatten().flat_map(|s| s.examples()) {
        let Some(hash) = hashes.get(&example.key.to_string()) else { continue };
        let Some(other) = seen.insert(hash, example) else { continue };
        let apart = example.points.iter().zip(&other.points).any(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => a.distance(*b) > APART,
            (None, None) => false,
            _ => true,
        });
        if apart {
            watch.warn(&format!(
                "{} and {} are the same picture, labelled differently: keep one of them",
                other.key, example.key
            ));
        }
    }
}

/// The recipe's crop, or larger where the animal would not fit: a quarter more than its extent, at most 512 px.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn crop_side(recipe: &Recipe, extent: f64) -> usize {
    let wanted = ((extent * 1.25 / 32.0).ceil() as usize) * 32;
    wanted.clamp(recipe.crop, recipe.crop.max(512))
}

/// Mirror pairs of body parts as pairs of points, for every individual.
fn point_pairs(skeleton: &Skeleton, pairs: &[[usize; 2]]) -> Vec<[usize; 2]> {
    let parts = skeleton.bodyparts.len();
    (0..skeleton.individuals.len())
        .flat_map(|i| pairs.iter().map(move |&[a, b]| [i * parts + a, i * parts + b]))
        .collect()
}
