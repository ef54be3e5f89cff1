//! Several networks that learn the same from different beginnings, and become one model.

use super::calibration::{calibrate, within_px};
use super::checkpoint::State;
use super::evaluate::{Summary, judge};
use super::session::{Options, Part, Trained, dataset, frame_size, split_of, train_seen};
use super::snapshot_folder;
use super::spread::{Coverage, coverage};
use crate::error::{Error, Kind, Result};
use crate::net::{Bundle, Card, Precision, Predictor, device};
use crate::project::{LabelStore, Project};
use crate::watch::Watch;
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
/// `member-1`, `member-2`, ... of the shuffle's, and makes one model of them. With `resume` finished members are kept.
///
/// # Errors
/// As [`train_seen`]; [`Kind::Usage`] for fewer than 2 members or more than 16.
pub fn train_ensemble(
    project: &mut Project,
    options: &Options,
    count: usize,
    watch: &dyn Watch,
) -> Result<TrainedEnsemble> {
    if !(2..=MOST_MEMBERS).contains(&count) {
        return Err(Error::new(Kind::Usage, format!("{count} networks make no ensemble"))
            .mend(format!("give --ensemble a number from 2 to {MOST_MEMBERS}")));
    }
    let labels = LabelStore::read(project, watch)?.labels().clone();
    let split = split_of(project, options, &labels, watch)?;
    let folder = project.models_folder(split.train_fraction, split.shuffle);
    let mut members = Vec::new();
    for member in 0..count {
        let part = Part { train: split.train.clone(), folder: folder.join(format!("member-{}", member + 1)) };
        let resume = options.resume && State::is_in(&part.folder);
        watch.note(&format!("member {} of {count}", member + 1));
        // A member that was begun goes on with the seed it has.
        let seed = if resume { None } else { Some(options.seed.unwrap_or(0) + member as u64) };
        let one = Options { part: Some(part), seed, resume, ..options.clone() };
        members.push(train_seen(project, &one, watch, None)?);
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
    (card.calibration, card.spread) = (None, None);
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
        covered = coverage(&judged, count);
        card.spread = covered.as_ref().map(|c| c.fitted);
        if let Some(px) = test_px {
            card.metrics.insert("test_mean_error_px".into(), px);
        }
        let Bundle { net, more, .. } = Bundle::load(&model, wished)?;
        let all: Vec<_> = std::iter::once(&net).chain(&more).collect();
        Bundle::save_all(&card, &all, &model, true)?;
    }
    Ok(TrainedEnsemble { members, shuffle: split.shuffle, model, test_px, coverage: covered })
}

/// A member's last state, or its best one when it was stopped.
fn finished(folder: &Path) -> PathBuf {
    let last = snapshot_folder(folder, "last");
    let best = snapshot_folder(folder, "best");
    let complete = Card::read(&last).is_ok_and(|c| c.training.complete);
    if complete || !best.join("model.yaml").is_file() { last } else { best }
}

/// A single network that was trained in this place before gives way, as it does to the next single one.
fn forget_single(folder: &Path) -> Result<()> {
    let best = snapshot_folder(folder, "best");
    if best.join("model.yaml").is_file() {
        std::fs::remove_dir_all(&best).map_err(|e| Error::io("remove the earlier model", &best, e))?;
    }
    State::remove(folder)
}
