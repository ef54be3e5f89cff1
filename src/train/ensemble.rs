//! Several networks that learn the same from different beginnings, and become one model.

use super::accuracy::accuracy;
use super::calibration::{calibrate, within_px};
use super::checkpoint::State;
use super::evaluate::{Summary, judge};
use super::observer::{BeganSeen, MeasuredSeen, Observer, StepSeen};
use super::recipe::Recipe;
use super::session::{Options, Part, Start, Trained, dataset, frame_size, split_of, train_seen};
use super::snapshot_folder;
use super::spread::{Coverage, coverage};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::net::{Bundle, Card, Precision, Predictor, device};
use crate::project::{LabelStore, Project};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// More members cost time and gain little (Lakshminarayanan et al. 2017 see most of it by five).
pub const MOST_MEMBERS: usize = 16;

/// What came of training an ensemble.
#[derive(Debug, Clone)]
pub struct TrainedEnsemble {
    /// The members, in order.
    pub members: Vec<Trained>,
    /// Which shuffle.
    pub shuffle: u32,
    /// The ensemble's model folder.
    pub model: PathBuf,
    /// Its mean error on the test frames in pixels.
    pub test_px: Option<f64>,
    /// What its standard deviations are worth; `None` when the test frames are too few.
    pub coverage: Option<Coverage>,
}

/// Trains `count` networks on the frames of a shuffle, with the seeds `seed`, `seed + 1` and so on, in folders
/// `member-1`, `member-2`, ... of the shuffle's, and makes one model of them. With `resume` finished members are kept, and
/// the others are trained as was asked for when it began.
///
/// # Errors
/// As [`train_seen`]; [`Kind::Usage`] for fewer than 2 members or more than 16.
pub fn train_ensemble(
    project: &mut Project,
    options: &Options,
    count: usize,
    watch: &dyn Watch,
    observer: Option<&dyn Observer>,
) -> Result<TrainedEnsemble> {
    if !(2..=MOST_MEMBERS).contains(&count) {
        return Err(Error::new(Kind::Usage, format!("{count} networks make no ensemble"))
            .mend(format!("give --ensemble a number from 2 to {MOST_MEMBERS}")));
    }
    let labels = LabelStore::read(project, watch)?.labels().clone();
    let split = split_of(project, options, &labels, watch)?;
    let folder = project.models_folder(split.train_fraction, split.shuffle);
    let options = &match Unfinished::read(&folder)?.filter(|_| options.resume) {
        Some(begun) => begun.go_on(options, count, &folder)?,
        None => {
            files::make_folder(&folder)?;
            if !options.resume {
                forget_members(&folder)?;
            }
            Unfinished::of(options, count).write(&folder)?;
            options.clone()
        }
    };
    let mut members = Vec::new();
    for member in 1..=count {
        let part = Part { train: split.train.clone(), folder: folder.join(format!("member-{member}")) };
        let resume = options.resume && State::is_in(&part.folder);
        watch.note(&format!("member {member} of {count}"));
        // A member that was begun goes on with the seed it has.
        let seed = if resume { None } else { Some(options.seed.unwrap_or(0) + member as u64 - 1) };
        let one = Options { part: Some(part), seed, resume, ..options.clone() };
        let numbered = observer.map(|to| Numbered { to, member, count });
        let numbered = numbered.as_ref().map(|n| n as &dyn Observer);
        members.push(train_seen(project, &one, watch, numbered)?);
    }
    let (wished, _) = device::choose(&options.device)?;
    let mut bundles = members
        .iter()
        .map(|m| Bundle::load(&finished(&m.folder), wished))
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    let Some(Bundle { mut card, net, .. }) = bundles.next() else {
        return Err(Error::new(Kind::Usage, "an ensemble of no networks"));
    };
    let others: Vec<Bundle> = bundles.collect();
    card.training.complete &= others.iter().all(|b| b.card.training.complete);
    card.scorer = format!("{}x{count}", card.scorer);
    card.metrics.clear();
    let more: Vec<_> = others.into_iter().map(|b| b.net).collect();
    let all: Vec<_> = std::iter::once(&net).chain(&more).collect();
    // The weights first, so that they can be read twice; what is measured of them is added then.
    let model = snapshot_folder(&folder, "last");
    (card.calibration, card.accuracy, card.spread) = (None, None, None);
    forget_single(&folder)?;
    Bundle::save_all(&card, &all, &model, true)?;
    let mut test_px = None;
    let mut covered = None;
    if !split.test.is_empty() {
        let test = dataset(project, &labels, &split.test, watch)?;
        let predictor = Predictor::together(net, more, Precision::Fp32)?;
        watch.begin("measure the ensemble", Some(test.len() as u64));
        let judged = judge(&predictor, &test, watch);
        watch.end();
        let judged = judged?;
        test_px = Summary::mean(&judged);
        card.calibration = calibrate(&judged, within_px(frame_size(&test))).ok();
        card.accuracy = accuracy(&judged, card.calibration.as_ref());
        covered = coverage(&judged, count);
        card.spread = covered.as_ref().map(|c| c.fitted);
        if let Some(px) = test_px {
            card.metrics.insert("test_mean_error_px".into(), px);
        }
        let Bundle { net, more, .. } = Bundle::load(&model, wished)?;
        let all: Vec<_> = std::iter::once(&net).chain(&more).collect();
        Bundle::save_all(&card, &all, &model, true)?;
    }
    Unfinished::remove(&folder)?;
    Ok(TrainedEnsemble { members, shuffle: split.shuffle, model, test_px, coverage: covered })
}

/// Tells which member it is that begins.
struct Numbered<'a> {
    to: &'a dyn Observer,
    member: usize,
    count: usize,
}

impl Observer for Numbered<'_> {
    fn began(&self, seen: &BeganSeen) {
        self.to.began(&BeganSeen { member: (self.member, self.count), ..seen.clone() });
    }
    fn step(&self, seen: &StepSeen) {
        self.to.step(seen);
    }
    fn measured(&self, seen: &MeasuredSeen) {
        self.to.measured(seen);
    }
}

const SCHEMA: u32 = 1;

/// What an ensemble was begun with, as `ensemble.yaml` in its folder; the file goes when all members are one model.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unfinished {
    schema: u32,
    program: String,
    /// How many members it is to have.
    pub members: usize,
    /// The first member's seed; the others' follow it.
    pub seed: u64,
    pub net: Option<String>,
    pub start: Start,
    precision: Option<String>,
    recipe: Option<Recipe>,
    epochs: Option<u64>,
    steps: Option<u64>,
    pub max_minutes: Option<f64>,
}

impl Unfinished {
    fn of(options: &Options, members: usize) -> Self {
        Self {
            schema: SCHEMA,
            program: crate::VERSION.to_owned(),
            members,
            seed: options.seed.unwrap_or(0),
            net: options.net.clone(),
            start: options.start.clone(),
            precision: options.precision.map(|p| p.to_string()),
            recipe: options.recipe.clone(),
            epochs: options.epochs,
            steps: options.steps,
            max_minutes: options.max_minutes,
        }
    }

    /// The options for members that were not begun yet.
    fn go_on(self, options: &Options, count: usize, folder: &Path) -> Result<Options> {
        if count != self.members {
            return Err(Error::new(
                Kind::Usage,
                format!("an ensemble of {} networks was begun here, not of {count}", self.members),
            )
            .at(folder.display())
            .mend(format!("go on with --ensemble {}, or train without --resume", self.members)));
        }
        Ok(Options {
            net: self.net,
            start: self.start,
            precision: self.precision.map(|p| p.parse()).transpose()?,
            recipe: self.recipe,
            epochs: self.epochs,
            steps: self.steps,
            max_minutes: self.max_minutes,
            seed: Some(self.seed),
            ..options.clone()
        })
    }

    /// The one that was begun in a shuffle's folder; `None` where there is none, or it was finished.
    ///
    /// # Errors
    /// When the file cannot be read or is of another version.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        if !path.is_file() {
            return Ok(None);
        }
        let broken = |what: String| {
            Error::new(Kind::Format, format!("the begun ensemble cannot be read: {what}"))
                .at(path.display())
                .mend("train without --resume")
        };
        let begun: Self =
            serde_yaml::from_str(&files::read_text(&path)?).map_err(|e| broken(e.to_string()))?;
        if begun.schema != SCHEMA {
            return Err(broken(format!("its layout is of version {}", begun.schema)));
        }
        Ok(Some(begun))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_yaml::to_string(self)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the begun ensemble: {e}")))?;
        files::write_whole(&Self::path(folder), text.as_bytes())
    }

    /// Forgets it.
    pub fn remove(folder: &Path) -> Result<()> {
        let path = Self::path(folder);
        if path.is_file() {
            std::fs::remove_file(&path).map_err(|e| Error::io("remove the begun ensemble", &path, e))?;
        }
        Ok(())
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("ensemble.yaml")
    }
}

/// A member's last state, or its best one when it was stopped.
pub(super) fn finished(folder: &Path) -> PathBuf {
    let last = snapshot_folder(folder, "last");
    let best = snapshot_folder(folder, "best");
    let complete = Card::read(&last).is_ok_and(|c| c.training.complete);
    if complete || !best.join("model.yaml").is_file() { last } else { best }
}

/// The members of an ensemble that was trained in this place before are none of this one, which takes up what it finds
/// when it goes on.
fn forget_members(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, e))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("member-") {
            State::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A single network that was trained in this place before gives way, as it does to the next single one.
fn forget_single(folder: &Path) -> Result<()> {
    let best = snapshot_folder(folder, "best");
    if best.join("model.yaml").is_file() {
        std::fs::remove_dir_all(&best).map_err(|e| Error::io("remove the earlier model", &best, e))?;
    }
    State::remove(folder)
}
