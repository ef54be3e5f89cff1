use super::recipe::Recipe;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::net::{NetSpec, load_tensors, save_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

const SCHEMA: u32 = 1;

/// Where a run stands: everything but the tensors. With the tensors it continues exactly where it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this file's layout.
    pub schema: u32,
    /// The program that wrote it.
    pub program: String,
    /// The file of tensors that belongs to it, in the same folder.
    pub tensors: String,
    /// Gradient steps done.
    pub step: u64,
    /// Steps the optimizer took (those with a finite gradient).
    pub optimizer_steps: i32,
    /// What the loss is multiplied by before its gradient is taken; 1 but in fp16.
    #[serde(default = "one")]
    pub loss_scale: f64,
    /// Of the first batch, before anything was learnt.
    #[serde(default)]
    pub first_loss: Option<f64>,
    /// Seconds of training so far, all sittings together.
    pub seconds: f64,
    /// Smallest mean test error so far, in pixels.
    pub best_px: Option<f64>,
    /// Evaluations since it was reached.
    pub stale: u64,
    /// Evaluations done.
    pub evaluations: u64,
    /// Whether the whole schedule was run.
    pub complete: bool,
    /// The run's seed.
    pub seed: u64,
    /// What it began with, in words; empty in files of older versions, as the next two.
    #[serde(default)]
    pub start: String,
    /// The same as the bundle's settings have it.
    #[serde(default)]
    pub init: String,
    /// The hash of the weights it began with.
    #[serde(default)]
    pub init_hash: String,
    /// The time the schedule is stretched over, if it goes by the clock.
    pub max_minutes: Option<f64>,
    /// Total steps of the schedule.
    pub total_steps: u64,
    /// Side of the crops in pixels.
    pub side: usize,
    /// Number format of the activations: fp32, bf16 or fp16.
    pub precision: String,
    /// Whether it began from pretrained weights.
    pub pretrained: bool,
    /// Hash of the labels it is trained on.
    pub data: String,
    /// The network.
    pub net: NetSpec,
    /// The recipe in force.
    pub recipe: Recipe,
    /// One row per epoch, as in the log.
    pub log: Vec<Row>,
}

fn one() -> f64 {
    1.0
}

/// One epoch in `learning_stats.csv`. Losses are means over the epoch's steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Steps done at the end of the epoch.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Learning rate of the head.
    pub rate: f64,
    /// The whole loss.
    pub loss: f64,
    /// The heatmaps' part.
    pub heatmap_loss: f64,
    /// The location refinement's part.
    pub offset_loss: f64,
    /// Mean error on the test frames in pixels, where it was measured.
    pub test_px: Option<f64>,
    /// Mean error on a few training frames in pixels, where it was measured.
    #[serde(default)]
    pub train_px: Option<f64>,
    /// Crops per second since the last row, evaluation apart.
    pub images_per_s: f64,
    /// Seconds of training.
    pub seconds: f64,
}

impl State {
    /// The layout's version, for new states.
    #[must_use]
    pub fn schema() -> u32 {
        SCHEMA
    }

    /// Writes tensors first, then the state that names them, then removes older tensors: a crash between any two
    /// steps leaves a whole checkpoint.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&mut self, folder: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
        files::make_folder(folder)?;
        // A name that is free: the tensors that the old state names must stay until the new state is written.
        let name = |n: u32| format!("checkpoint-{:07}-{n}.safetensors", self.step);
        self.tensors = (0..).map(name).find(|n| !folder.join(n).exists()).unwrap_or_else(|| name(0));
        save_tensors(&folder.join(&self.tensors), tensors.iter().map(|(n, t)| (n.as_str(), t)))?;
        let text = serde_yaml::to_string(self)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the checkpoint: {e}")))?;
        files::write_whole(&Self::path(folder), text.as_bytes())?;
        files::write_whole(&folder.join("learning_stats.csv"), self.log_csv().as_bytes())?;
        for old in checkpoints(folder) {
            if old.file_name().is_some_and(|n| n.to_string_lossy() != self.tensors) {
                let _ = std::fs::remove_file(old); // only space is lost if it stays
            }
        }
        Ok(())
    }

    /// Whether there is a checkpoint in the folder.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        Self::path(folder).exists()
    }

    /// Reads a checkpoint; `None` when there is none in the folder.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub fn load(folder: &Path) -> Result<Option<(Self, BTreeMap<String, Tensor>)>> {
        let Some(state) = Self::describe(folder)? else { return Ok(None) };
        let tensors = load_tensors(&folder.join(&state.tensors))?;
        Ok(Some((state, tensors)))
    }

    /// Reads a checkpoint without its tensors; `None` when there is none in the folder.
    ///
    /// # Errors
    /// When it is damaged or of another version.
    pub fn describe(folder: &Path) -> Result<Option<Self>> {
        if !Self::is_in(folder) {
            return Ok(None);
        }
        let path = Self::path(folder);
        let state: Self = serde_yaml::from_str(&files::read_text(&path)?).map_err(|e| {
            Error::new(Kind::Format, format!("the checkpoint cannot be read: {e}"))
                .at(path.display())
                .mend("train again without --resume")
        })?;
        if state.schema != SCHEMA {
            return Err(Error::new(Kind::Format, format!("the checkpoint has layout {}", state.schema))
                .at(path.display())
                .mend(format!("this limn reads layout {SCHEMA}; train again without --resume")));
        }
        Ok(Some(state))
    }

    /// Takes a checkpoint away, so that nobody goes on from it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn remove(folder: &Path) -> Result<()> {
        let path = Self::path(folder);
        for file in [path.clone()].into_iter().filter(|p| p.exists()).chain(checkpoints(folder)) {
            std::fs::remove_file(&file).map_err(|e| Error::io("remove the checkpoint", &path, e))?;
        }
        Ok(())
    }

    /// Whether this run, saved in `folder`, can go on as the one that is planned.
    ///
    /// # Errors
    /// Names what differs.
    pub fn must_fit(&self, now: &Self, folder: &Path) -> Result<()> {
        let what = if self.net != now.net {
            "network"
        } else if self.data != now.data {
            "set of labels or split"
        } else if self.seed != now.seed {
            "seed"
        } else if self.precision != now.precision {
            "precision"
        } else if self.recipe != now.recipe || self.side != now.side {
            "recipe"
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Usage, format!("the checkpoint was trained with another {what}"))
            .at(folder.display())
            .mend("resume with the same settings, or train again without --resume"))
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("checkpoint.yaml")
    }

    /// The log as a table; an empty cell where the test error was not measured.
    #[must_use]
    pub fn log_csv(&self) -> String {
        let mut text = String::from(
            "step,epoch,learning_rate,loss,heatmap_loss,offset_loss,test_error_px,train_error_px,images_per_s,seconds\n",
        );
        for r in &self.log {
            let px = |e: Option<f64>| e.map(|e| format!("{e:.4}")).unwrap_or_default();
            text.push_str(&format!(
                "{},{},{:.3e},{:.5},{:.5},{:.5},{},{},{:.2},{:.1}\n",
                r.step,
                r.epoch,
                r.rate,
                r.loss,
                r.heatmap_loss,
                r.offset_loss,
                px(r.test_px),
                px(r.train_px),
                r.images_per_s,
                r.seconds
            ));
        }
        text
    }
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with("checkpoint-") && name.ends_with(".safetensors")
        })
        .collect()
}
