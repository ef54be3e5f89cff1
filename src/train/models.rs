//! What was trained in a project, read back from disk for somebody who chooses among it.

use super::checkpoint::{Row, State};
use super::ensemble::Unfinished;
use super::session::Start;
use super::trainer::snapshot_folder;
use crate::error::{Error, Kind, Result};
use crate::net::{Card, Precision};
use crate::project::{Project, Splits};
use std::path::{Path, PathBuf};

/// One shuffle of the current iteration and the model trained on it, if any.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// The shuffle's number.
    pub shuffle: u32,
    /// The fraction of pictures to train on.
    pub train_fraction: f64,
    /// How many pictures to train on, and how many to test on.
    pub frames: (usize, usize),
    /// Whether whole videos were kept together.
    pub by_video: bool,
    /// The seed that the split was drawn with.
    pub split_seed: u64,
    /// Where its models lie, whether there are any or not.
    pub folder: PathBuf,
    /// The network; `None` when nothing was trained yet.
    pub net: Option<String>,
    /// Steps done, and steps of the schedule.
    pub steps: (u64, u64),
    /// Whether the whole schedule was run.
    pub complete: bool,
    /// Whether training can go on from a checkpoint.
    pub resumable: bool,
    /// How many networks the model is of, or will be of when the training goes on.
    pub members: usize,
    /// The seed that a run which goes on must be given.
    pub seed: u64,
    /// The number format that a run which goes on must be given: fp32, bf16 or fp16.
    pub precision: Option<Precision>,
    /// Whether it began from pretrained weights.
    pub pretrained: bool,
    /// Mean error on the test frames in pixels, as last measured.
    pub test_px: Option<f64>,
    /// When its newest state was written, as `2026-01-31T12:00:00Z`.
    pub created: Option<String>,
    /// What it was trained on, in words.
    pub device: String,
    /// The model folder that analysis takes: the last state of a finished run, else the best one.
    pub model: Option<PathBuf>,
    /// The name that its results carry.
    pub scorer: Option<String>,
    /// Why what lies there cannot be read, in one sentence.
    pub problem: Option<String>,
}

/// The shuffles of the project's current iteration, by number, each with its model.
///
/// # Errors
/// When the splits cannot be read. What is wrong with one model is said in its `problem`.
pub fn models(project: &Project) -> Result<Vec<ModelFacts>> {
    crate::watch::may_wait("looking for models");
    Ok(Splits::read(project)?
        .shuffles
        .iter()
        .map(|split| {
            let folder = project.models_folder(split.train_fraction, split.shuffle);
            let mut facts = ModelFacts {
                shuffle: split.shuffle,
                train_fraction: split.train_fraction,
                frames: (split.train.len(), split.test.len()),
                by_video: split.by_video,
                split_seed: split.seed,
                folder,
                net: None,
                steps: (0, 0),
                complete: false,
                resumable: false,
                members: 1,
                seed: 0,
                precision: None,
                pretrained: false,
                test_px: None,
                created: None,
                device: String::new(),
                model: None,
                scorer: None,
                problem: None,
            };
            if let Err(e) = look(&mut facts) {
                facts.problem = Some(e.what().to_owned());
            }
            facts
        })
        .collect())
}

fn look(facts: &mut ModelFacts) -> Result<()> {
    let there =
        |name: &str| Some(snapshot_folder(&facts.folder, name)).filter(|f| f.join("model.yaml").is_file());
    let (last, best) = (there("last"), there("best"));
    let complete = last.as_ref().is_some_and(|f| Card::read(f).is_ok_and(|c| c.training.complete));
    facts.model = if complete { last.clone() } else { best.or_else(|| last.clone()) };
    facts.complete = complete;
    if let Some(newest) = last.as_ref().or(facts.model.as_ref()) {
        let card = Card::read(newest)?;
        facts.net = Some(card.net.net.clone());
        facts.created = Some(card.created.clone()).filter(|c| !c.is_empty());
        facts.device.clone_from(&card.training.device);
        facts.test_px = card.metrics.get("test_mean_error_px").copied();
        facts.steps = (card.training.steps, card.training.steps);
        facts.seed = card.training.seed;
        facts.members = card.members;
        facts.scorer = Some(card.scorer);
    }
    if let Some(model) = &facts.model {
        facts.scorer = Some(Card::read(model)?.scorer);
    }
    if let Some(begun) = Unfinished::read(&facts.folder)? {
        facts.members = begun.members;
        facts.resumable = true;
        facts.seed = begun.seed;
        facts.net = begun.net.or_else(|| facts.net.take());
        facts.pretrained = begun.start != Start::Random;
        facts.complete = false;
        return Ok(());
    }
    if let Some(state) = State::describe(&facts.folder)? {
        facts.net = Some(state.net.net.clone());
        facts.steps = (state.step, state.total_steps);
        facts.seed = state.seed;
        facts.precision = state.precision.parse().ok();
        facts.pretrained = state.pretrained;
        facts.test_px = state.log.iter().rev().find_map(|r| r.test_px).or(facts.test_px);
        facts.resumable = !state.complete && facts.folder.join(&state.tensors).is_file();
    }
    Ok(())
}

/// The rows of a training folder's `learning_stats.csv`, for curves; none when there is no such file. Columns are found
/// by their names, so that tables of older versions, which lack some, are read too.
///
/// # Errors
/// When the file cannot be read or is no such table.
pub fn history(folder: &Path) -> Result<Vec<Row>> {
    crate::watch::may_wait("reading a training log");
    let path = folder.join("learning_stats.csv");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let broken = |what: String| {
        Error::new(Kind::Format, format!("the log of the training cannot be read: {what}"))
            .at(path.display())
            .mend("the models beside it are not touched by this; train again to get a new log")
    };
    let mut table = csv::Reader::from_path(&path).map_err(|e| broken(e.to_string()))?;
    let header = table.headers().map_err(|e| broken(e.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|h| h == name);
    let (Some(step), Some(loss)) = (column("step"), column("loss")) else {
        return Err(broken("it has no columns `step` and `loss`".into()));
    };
    let [epoch, rate, heat, offset, test, train, speed, seconds] = [
        "epoch",
        "learning_rate",
        "heatmap_loss",
        "offset_loss",
        "test_error_px",
        "train_error_px",
        "images_per_s",
        "seconds",
    ]
    .map(column);
    let mut rows = Vec::new();
    for record in table.records() {
        let record = record.map_err(|e| broken(e.to_string()))?;
        let cell = |at: Option<usize>| at.and_then(|i| record.get(i)).unwrap_or_default().trim();
        let number = |at: Option<usize>| cell(at).parse::<f64>().ok();
        let count = |at: Option<usize>| cell(at).parse::<u64>().ok();
        let Some(step) = count(Some(step)) else {
            return Err(broken(format!("`{}` is no step", cell(Some(step)))));
        };
        rows.push(Row {
            step,
            epoch: count(epoch).unwrap_or(0),
            rate: number(rate).unwrap_or(f64::NAN),
            loss: number(Some(loss)).unwrap_or(f64::NAN),
            heatmap_loss: number(heat).unwrap_or(f64::NAN),
            offset_loss: number(offset).unwrap_or(f64::NAN),
            test_px: number(test),
            train_px: number(train),
            images_per_s: number(speed).unwrap_or(0.0),
            seconds: number(seconds).unwrap_or(0.0),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_this_and_of_older_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(history(dir.path()).unwrap().is_empty());
        let write = |text: &str| std::fs::write(dir.path().join("learning_stats.csv"), text).unwrap();
        write(
            "step,epoch,learning_rate,loss,heatmap_loss,offset_loss,test_error_px,images_per_s,seconds\n\
               3,1,1.0e-4,0.5,0.4,0.1,,5.00,2.0\n6,2,9.0e-5,NaN,NaN,NaN,4.2500,5.00,4.0\n",
        );
        let rows = history(dir.path()).unwrap();
        assert_eq!((rows.len(), rows[0].step, rows[0].test_px, rows[0].train_px), (2, 3, None, None));
        assert_eq!((rows[1].test_px, rows[1].seconds), (Some(4.25), 4.0));
        assert!(rows[1].loss.is_nan());
        write("step,loss,test_error_px,train_error_px\n3,0.5,4,3\n");
        assert_eq!(history(dir.path()).unwrap()[0].train_px, Some(3.0));
        write("a,b\n1,2\n");
        assert!(history(dir.path()).unwrap_err().to_string().contains("learning_stats.csv"));
        write("step,loss\nx,2\n");
        assert!(history(dir.path()).is_err());
    }
}
