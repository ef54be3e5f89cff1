//! What a training was told and what it saw, kept in its bundle so that it can be repeated.

use super::dataset::Dataset;
use super::recipe::Recipe;
use super::session::{Options, Start};
use crate::error::{Error, Kind, Result};
use crate::net::{Card, Precision, Settings};
use crate::pose::{FrameKey, Labels};
use crate::project::Split;
use crate::sealed::hex;
use crate::watch::Watch;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// SHA-256 over the split's frames and their labels: two runs with the same hash learnt from the same labels.
pub(super) fn hash_of(labels: &Labels, split: &Split) -> String {
    let mut sha = Sha256::new();
    for (part, keys) in [("train", &split.train), ("test", &split.test)] {
        sha.update(part);
        for key in keys {
            sha.update(key.to_string());
            for p in labels.frames.get(key).map(|f| f.points.as_slice()).unwrap_or_default() {
                let (x, y) = p.map_or((f64::NAN, f64::NAN), |p| (p.x, p.y));
                sha.update(x.to_le_bytes());
                sha.update(y.to_le_bytes());
            }
        }
    }
    hex(&sha.finalize())
}

/// SHA-256 of every picture file, by `labeled-data/<video>/<image>`.
pub(super) fn hashes_of(sets: &[&Dataset], watch: &dyn Watch) -> Result<BTreeMap<String, String>> {
    sets.par_iter()
        .flat_map(|set| set.examples().par_iter())
        .map(|e| {
            watch.check()?;
            Ok((e.key.to_string(), file_hash(&e.path)?))
        })
        .collect()
}

pub(super) fn file_hash(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    Ok(hex(&Sha256::digest(&bytes)))
}

/// The machine, in words, as far as it can change what is computed.
pub(super) fn machine(device: &str) -> String {
    let processor = processor().map_or_else(String::new, |p| format!(", {p}"));
    format!("{} {}{processor}, {device}", std::env::consts::OS, std::env::consts::ARCH)
}

/// The processor's name, where the system tells it in a file.
fn processor() -> Option<String> {
    let all = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = all.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The recipe that a model was trained with.
pub(super) fn recipe_of(settings: &Settings) -> Result<Recipe> {
    let recipe: Recipe = serde_yaml::from_value(settings.recipe.clone()).map_err(|e| {
        Error::new(Kind::Bundle, format!("the training recipe in this model cannot be used: {e}"))
            .mend("use the limn that trained it")
    })?;
    recipe.check()?;
    Ok(recipe)
}

/// A training to be repeated.
#[derive(Debug)]
pub(super) struct Like {
    card: Card,
    settings: Settings,
    pub recipe: Recipe,
}

impl Like {
    /// Reads what the model in `folder` was told: a bundle, or the folder of a training with its snapshots.
    pub fn read(folder: &Path) -> Result<Self> {
        let last = super::snapshot_folder(folder, "last");
        let bundle = if last.join("model.yaml").is_file() { last } else { folder.to_owned() };
        let card = Card::read(&bundle)?;
        if card.members > 1 {
            return Err(Error::new(Kind::Usage, "this is an ensemble, not one training")
                .at(bundle.display())
                .mend("repeat one of its members (their folders are member-1, member-2, ...), or train with --ensemble"));
        }
        let Some(settings) = card.training.settings.clone() else {
            return Err(Error::new(Kind::Bundle, "this model does not say how it was trained")
                .at(bundle.display())
                .mend("only models trained by this limn or a newer one do; train it once more with your own wishes"));
        };
        let recipe = recipe_of(&settings).map_err(|e| e.at(bundle.display()))?;
        Ok(Self { card, settings, recipe })
    }

    /// The options that repeat it; device, and number format where one is named, stay as they are wished.
    pub fn options(&self, wished: &Options, watch: &dyn Watch) -> Result<Options> {
        let s = &self.settings;
        let by_clock = s.max_minutes.is_some();
        if by_clock {
            watch.warn(&format!(
                "the schedule of that training went by the clock; it is repeated over the {} steps it came to, and \
                 ends near the same weights, not at them",
                self.card.training.steps
            ));
        }
        let start = match s.init.as_str() {
            "imagenet" => Start::Pretrained,
            "random" => Start::Random,
            file => {
                let path = PathBuf::from(file);
                if file_hash(&path)? != s.init_hash {
                    return Err(Error::new(
                        Kind::Weights,
                        "these weights are others than that training began with",
                    )
                    .at(path.display())
                    .mend("put the old file back"));
                }
                Start::File(path)
            }
        };
        let precision = match wished.precision {
            Some(p) => p,
            None => s.precision.parse::<Precision>()?,
        };
        Ok(Options {
            net: Some(self.card.net.net.clone()),
            precision: Some(precision),
            start,
            max_minutes: None,
            epochs: None,
            steps: Some(if by_clock { self.card.training.steps } else { s.steps }),
            seed: Some(self.card.training.seed),
            ..wished.clone()
        })
    }

    /// Its split, with the number `shuffle`.
    pub fn split(&self, shuffle: u32) -> Result<Split> {
        let keys = |list: &[String]| -> Result<Vec<FrameKey>> {
            list.iter()
                .map(|key| match key.split('/').collect::<Vec<_>>()[..] {
                    ["labeled-data", video, image] => Ok(FrameKey::new(video, image)),
                    _ => Err(Error::new(Kind::Bundle, format!("`{key}` names no labelled picture"))
                        .mend("the model.yaml of that model was changed; use another copy of it")),
                })
                .collect()
        };
        let t = &self.card.training;
        Ok(Split {
            shuffle,
            seed: self.settings.split_seed,
            train_fraction: self.settings.train_fraction,
            by_video: self.settings.by_video,
            labels_hash: t.split_hash.clone(),
            folds: 0,
            train: keys(&t.train)?,
            test: keys(&t.test)?,
        })
    }

    /// Tells what is different from then, so that the result will be.
    pub fn compare(&self, data: &str, now: &Settings, watch: &dyn Watch) {
        let t = &self.card.training;
        if t.data_hash != data {
            watch.warn("labels were changed since that training: this one will end elsewhere");
        }
        let other: Vec<&String> = self
            .settings
            .pictures
            .iter()
            .filter(|(k, v)| now.pictures.get(*k) != Some(v))
            .map(|p| p.0)
            .collect();
        if let Some(first) = other.first() {
            watch.warn(&format!(
                "{} pictures are others than in that training, the first is {first}: this one will end elsewhere",
                other.len()
            ));
        }
        if self.settings.machine != now.machine || self.settings.precision != now.precision {
            watch.warn(&format!(
                "that training ran on another machine or number format ({}, {}): this one ends near the same weights, \
                 not at them",
                self.settings.machine, self.settings.precision
            ));
        }
        if self.card.program != format!("limn {}", crate::VERSION) {
            watch.warn(&format!(
                "that training was made by {}, this one by limn {}",
                self.card.program,
                crate::VERSION
            ));
        }
    }
}
