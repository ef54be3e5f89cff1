use super::{Accuracy, Calibration, Device, Entry, Net, NetSpec, Spread};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::files;
use crate::pose::Skeleton;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of `model.yaml` that this program writes.
pub const SCHEMA: u32 = 1;
const CARD: &str = "model.yaml";
const WEIGHTS: &str = "weights.safetensors";

/// All of a model but its weights: the `model.yaml` of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The version of this file's layout, [`SCHEMA`].
    pub schema: u32,
    /// What wrote it, such as `limn 0.1.0`.
    pub program: String,
    /// When, as `2026-01-31T12:00:00Z`.
    pub created: String,
    /// The name of the scorer that tracks made with this model carry.
    pub scorer: String,
    /// What it finds.
    pub skeleton: SkeletonCard,
    /// The network.
    pub net: NetSpec,
    /// Subtracted from R, G, B in 0..1.
    pub mean: [f64; 3],
    /// Divides R, G, B then.
    pub std: [f64; 3],
    /// The unit of offsets, in pixels.
    pub locref_std: f64,
    /// What makes a chance of its likelihood; none in a model that was not measured on enough labelled frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// How far its points lie from held-out labels; none in a model that was not measured on enough of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// How it was trained.
    pub training: Training,
    /// Networks it consists of: more than one is an ensemble, whose members' weights are `weights.safetensors`,
    /// `weights-2.safetensors` and so on.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub members: usize,
    /// What an ensemble's spread is worth; none when no held-out frames could say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Errors in pixels and the like, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's way
fn is_one(n: &usize) -> bool {
    *n == 1
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Training {
    /// The seed of weights, batches and augmentation.
    pub seed: u64,
    /// SHA-256 of the labels and of the split; of the pictures, see [`Settings::pictures`].
    pub data_hash: String,
    /// SHA-256 of the split.
    pub split_hash: String,
    /// Gradient steps taken.
    #[serde(default)]
    pub steps: u64,
    /// Whether its schedule was run to the end.
    #[serde(default)]
    pub complete: bool,
    /// Where its weights began, in words.
    #[serde(default)]
    pub start: String,
    /// The device and number format it was trained with, in words.
    #[serde(default)]
    pub device: String,
    /// All that is needed to train it again; `None` in bundles of limn 0.1.0's first days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// The pictures trained on, as `labeled-data/<video>/<image>`.
    pub train: Vec<String>,
    /// The pictures held out.
    pub test: Vec<String>,
}

/// What a training was told, so that it can be repeated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// The training recipe in full, as in `config/*.yaml`.
    pub recipe: serde_yaml::Value,
    /// Gradient steps of the whole schedule.
    pub steps: u64,
    /// Where the schedule went by the clock: its minutes. Such a run can be repeated in kind, but not bit for bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<f64>,
    /// The side of the crops in pixels.
    pub crop: usize,
    /// The number format: `fp32`, `bf16` or `fp16`.
    pub precision: String,
    /// `imagenet`, `random`, or the path of a weight file.
    pub init: String,
    /// SHA-256 of the weight file it began with; empty for random weights.
    #[serde(default)]
    pub init_hash: String,
    /// The seed that the split was drawn with.
    pub split_seed: u64,
    /// The fraction of the frames that was to be trained on.
    pub train_fraction: f64,
    /// Whether whole videos were kept on one side of the split.
    #[serde(default)]
    pub by_video: bool,
    /// The machine, in words: system, processor, threads.
    pub machine: String,
    /// SHA-256 of every picture file of the split, by `labeled-data/<video>/<image>`.
    pub pictures: BTreeMap<String, String>,
}

/// A [`Skeleton`] as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkeletonCard {
    /// Names of the body parts every individual has, in column order.
    pub bodyparts: Vec<String>,
    /// Names of the individuals; one empty name in a single-animal project.
    pub individuals: Vec<String>,
    /// Body parts that exist once per frame.
    #[serde(default)]
    pub unique_bodyparts: Vec<String>,
    /// Pairs of body parts joined by a line.
    #[serde(default)]
    pub edges: Vec<[String; 2]>,
    /// Whether files carry the `individuals` level.
    #[serde(default)]
    pub multi_animal: bool,
}

impl From<&Skeleton> for SkeletonCard {
    fn from(s: &Skeleton) -> Self {
        Self {
            bodyparts: s.bodyparts.clone(),
            individuals: s.individuals.clone(),
            unique_bodyparts: s.unique_bodyparts.clone(),
            edges: s.edges.clone(),
            multi_animal: s.multi_animal,
        }
    }
}

impl From<&SkeletonCard> for Skeleton {
    fn from(s: &SkeletonCard) -> Self {
        Self {
            bodyparts: s.bodyparts.clone(),
            individuals: s.individuals.clone(),
            unique_bodyparts: s.unique_bodyparts.clone(),
            edges: s.edges.clone(),
            multi_animal: s.multi_animal,
        }
    }
}

impl Card {
    /// A card for `net` and `skeleton`, with the normalisation of its backbone and DeepLabCut's offsets; fill in the
    /// rest.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when limn does not know the backbone.
    pub fn new(net: &NetSpec, skeleton: &Skeleton) -> Result<Self> {
        let entry = Entry::find(&net.net)?;
        Ok(Self {
            schema: SCHEMA,
            program: format!("limn {}", crate::VERSION),
            created: String::new(),
            scorer: String::new(),
            skeleton: skeleton.into(),
            net: net.clone(),
            mean: entry.mean,
            std: entry.std,
            locref_std: super::LOCREF_STD,
            calibration: None,
            accuracy: None,
            training: Training::default(),
            members: 1,
            spread: None,
            metrics: BTreeMap::new(),
        })
    }

    /// What it finds.
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        (&self.skeleton).into()
    }

    /// Whether the model finds the points of this skeleton: the same names in the same order.
    ///
    /// # Errors
    /// [`crate::Kind::Bundle`], telling the difference.
    pub fn fits(&self, skeleton: &Skeleton) -> Result<()> {
        let ours = self.skeleton();
        let words = |s: &Skeleton| -> Vec<String> {
            let name = |n: crate::pose::PointName| {
                if n.individual.is_empty() {
                    n.bodypart.to_owned()
                } else {
                    format!("{}/{}", n.individual, n.bodypart)
                }
            };
            s.names().map(name).collect()
        };
        let (model, project) = (words(&ours), words(skeleton));
        if model == project {
            return Ok(());
        }
        let only = |a: &[String], b: &[String]| -> String {
            a.iter().filter(|n| !b.contains(n)).cloned().collect::<Vec<_>>().join(", ")
        };
        let (more, less) = (only(&model, &project), only(&project, &model));
        let why = match (more.is_empty(), less.is_empty()) {
            (true, true) => "they are in another order".to_owned(),
            (false, true) => format!("only the model has {more}"),
            (true, false) => format!("only the project has {less}"),
            (false, false) => format!("the model has {more}, the project {less}"),
        };
        Err(Error::new(ErrorKind::Bundle, format!("the model was trained for other points: {why}"))
            .mend("use the body parts the model was trained with, or train again"))
    }

    /// The card of the bundle in `dir`, without its weights.
    ///
    /// # Errors
    /// [`crate::Kind::Bundle`] when there is no bundle there, or one of another schema, or a damaged one.
    pub fn read(dir: &Path) -> Result<Self> {
        crate::watch::may_wait("reading a model");
        /// What every schema has.
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let path = dir.join(CARD);
        if !path.is_file() {
            return Err(missing(&path));
        }
        let text = files::read_text(&path)?;
        let damaged = |e: serde_yaml::Error| {
            Error::new(ErrorKind::Bundle, format!("the model's description cannot be read: {e}"))
                .at(path.display())
                .mend("copy the whole model folder again, or train again")
        };
        let version: Version = serde_yaml::from_str(&text).map_err(damaged)?;
        if version.schema != SCHEMA {
            return Err(Error::new(
                ErrorKind::Bundle,
                format!("the model is of schema {}, this limn reads schema {SCHEMA}", version.schema),
            )
            .at(path.display())
            .mend(if version.schema > SCHEMA {
                "use a newer limn"
            } else {
                "train the model again"
            }));
        }
        let card: Self = serde_yaml::from_str(&text).map_err(damaged)?;
        if let Some(calibration) = &card.calibration {
            calibration.check().map_err(|e| e.at(path.display()))?;
        }
        if let Some(accuracy) = &card.accuracy {
            accuracy.check(card.net.points).map_err(|e| e.at(path.display()))?;
        }
        if card.net.points != card.skeleton().points() {
            return Err(Error::new(
                ErrorKind::Bundle,
                format!(
                    "the network finds {} points, the skeleton has {}",
                    card.net.points,
                    card.skeleton().points()
                ),
            )
            .at(path.display())
            .mend("copy the whole model folder again, or train again"));
        }
        Ok(card)
    }
}

/// A trained model: its description and its network. On disk one folder that explains itself, `model.yaml` and
/// `weights.safetensors`, which can be copied to another machine and used without the project.
#[derive(Debug)]
pub struct Bundle {
    /// Everything about it.
    pub card: Card,
    /// The network with its weights; the first member of an ensemble.
    pub net: Net,
    /// The other members of an ensemble.
    pub more: Vec<Net>,
}

impl Bundle {
    /// Reads the bundle in `dir`, its network on `device`.
    ///
    /// # Errors
    /// As [`Card::read`]; [`crate::Kind::Bundle`] too when weights are missing, and [`crate::Kind::Weights`] when they
    /// do not fit the description.
    pub fn load(dir: &Path, device: Device) -> Result<Self> {
        if !dir.exists() {
            Self::put_back(dir);
        }
        let card = Card::read(dir)?;
        if let Some(spread) = &card.spread {
            spread.check().map_err(|e| e.at(dir.join(CARD).display()))?;
        }
        let net = Self::member(&card, dir, 0, device)?;
        let more =
            (1..card.members).map(|n| Self::member(&card, dir, n, device)).collect::<Result<Vec<_>>>()?;
        Ok(Self { card, net, more })
    }

    fn member(card: &Card, dir: &Path, n: usize, device: Device) -> Result<Net> {
        let weights = dir.join(weights_file(n));
        if !weights.is_file() {
            return Err(missing(&weights));
        }
        let mut net = Net::blank(&card.net, device).map_err(|e| match e.kind() {
            // Nobody asked for this network: the file says so.
            ErrorKind::Usage => {
                Error::new(ErrorKind::Bundle, format!("the model's description is wrong: {}", e.what()))
                    .at(dir.join(CARD).display())
                    .mend("copy the whole model folder again, or train again")
            }
            _ => e.at(dir.join(CARD).display()),
        })?;
        net.normalise_by(card.mean, card.std)?;
        net.params().load(&weights)?;
        Ok(net)
    }

    /// What a killed save of `dir` left: the old bundle goes back to its place when that is empty, and folders that no running
    /// save can be writing (an hour old) are removed. Gives how such folders' names begin.
    fn put_back(dir: &Path) -> String {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".limn-model-{name}~");
        let entries = std::fs::read_dir(files::folder_of(dir)).into_iter().flatten().flatten();
        for left in entries.filter(|e| e.file_name().to_string_lossy().starts_with(&prefix)).map(|e| e.path())
        {
            let old = left.join("old");
            if !dir.exists() && old.join(CARD).is_file() {
                let _ = std::fs::rename(&old, dir); // tried again at the next save
            }
            let age = std::fs::metadata(&left).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            if age.is_some_and(|a| a.as_secs() > 3600) && !old.exists() {
                let _ = std::fs::remove_dir_all(&left);
            }
        }
        prefix
    }

    /// Writes a bundle to `dir`, whole or not at all: into a folder beside it, then renamed. A bundle that is there
    /// already is replaced when `replace` says so; anything else never.
    ///
    /// # Errors
    /// [`crate::Kind::Exists`] when something is in the way; when the folder above cannot be written.
    pub fn save(card: &Card, net: &Net, dir: &Path, replace: bool) -> Result<()> {
        Self::save_all(card, &[net], dir, replace)
    }

    /// As [`Bundle::save`], of an ensemble.
    ///
    /// # Errors
    /// As [`Bundle::save`].
    pub fn save_all(card: &Card, nets: &[&Net], dir: &Path, replace: bool) -> Result<()> {
        let card = &Card { members: nets.len().max(1), ..card.clone() };
        let prefix = Self::put_back(dir);
        let old_bundle = dir.join(CARD).is_file();
        if dir.exists() && !(replace && old_bundle) {
            return Err(Error::new(ErrorKind::Exists, "there is something in the model's place already")
                .at(dir.display())
                .mend("choose another folder, or move this one away"));
        }
        let parent = files::folder_of(dir);
        files::make_folder(&parent)?;
        let failed = |e| Error::io("write the model", dir, e);
        let temp = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map_err(failed)?;
        let new = temp.path().join("new");
        files::make_folder(&new)?;
        let text = serde_yaml::to_string(card).map_err(|e| {
            Error::new(ErrorKind::Bundle, format!("the model's description cannot be written: {e}"))
                .at(dir.display())
        })?;
        let into = |e: Error| e.relocated(&new, dir);
        for (n, net) in nets.iter().enumerate() {
            net.params().save(&new.join(weights_file(n))).map_err(into)?;
        }
        files::write_whole(&new.join(CARD), text.as_bytes()).map_err(into)?;
        // Folders cannot be swapped in one step everywhere: the old one steps aside and is put back should the new one
        // not get its place.
        let old = temp.path().join("old");
        if old_bundle {
            std::fs::rename(dir, &old).map_err(failed)?;
        }
        if let Err(e) = std::fs::rename(&new, dir) {
            if old_bundle && std::fs::rename(&old, dir).is_err() {
                let kept = temp.keep(); // better a strange folder than a lost model
                return Err(failed(e).mend(format!("the earlier model is in {}", kept.join("old").display())));
            }
            return Err(failed(e));
        }
        files::sync_folder(&parent)
    }
}

/// Where the weights of an ensemble's member lie in its bundle, counted from 0.
#[must_use]
pub fn weights_file(member: usize) -> String {
    if member == 0 { WEIGHTS.to_owned() } else { format!("weights-{}.safetensors", member + 1) }
}

fn missing(path: &Path) -> Error {
    Error::new(ErrorKind::Bundle, "this is no model folder: a file is missing")
        .at(path.display())
        .mend("name the folder that holds model.yaml and weights.safetensors, or copy it whole again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::HeadSpec;

    fn bundle(seed: u64) -> Bundle {
        let skeleton = Skeleton::single(["snout", "tailbase"]);
        let net = NetSpec {
            net: "efficientnet_lite0".into(),
            backbone_stride: 16,
            output_stride: 8,
            points: 2,
            head: HeadSpec { width: 16, ..HeadSpec::default() },
        };
        let mut card = Card::new(&net, &skeleton).unwrap();
        card.metrics.insert("test_px".into(), 2.75);
        card.calibration = Some(Calibration { within_px: 5.0, slope: 1.25, offset: 2.5 });
        card.training.train.push("labeled-data/m1/img0001.png".into());
        Bundle { card, net: Net::new(&net, Device::Cpu, seed).unwrap(), more: Vec::new() }
    }

    fn save(b: &Bundle, dir: &Path, replace: bool) -> Result<()> {
        Bundle::save(&b.card, &b.net, dir, replace)
    }

    #[test]
    fn a_save_killed_between_its_two_renames_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("best");
        let one = bundle(1);
        save(&one, &at, false).unwrap();
        let killed = || {
            let left = dir.path().join(".limn-model-best~a1b2");
            std::fs::create_dir_all(&left).unwrap();
            std::fs::rename(&at, left.join("old")).unwrap();
        };
        killed();
        assert!(Bundle::load(&dir.path().join("bes"), Device::Cpu).is_err());
        assert_eq!(Bundle::load(&at, Device::Cpu).unwrap().card, one.card);
        killed();
        assert_eq!(save(&one, &at, false).unwrap_err().kind(), ErrorKind::Exists, "it is back in its place");
        save(&one, &at, true).unwrap();
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("models/best");
        let (one, two) = (bundle(1), bundle(2));
        save(&one, &at, false).unwrap();
        assert_eq!(save(&two, &at, false).unwrap_err().kind(), ErrorKind::Exists);
        save(&two, &at, true).unwrap();
        let back = Bundle::load(&at, Device::Cpu).unwrap();
        assert_eq!(back.card, two.card);
        assert!(back.net.params().iter().zip(two.net.params().iter()).all(|(a, b)| a.tensor == b.tensor));
        assert_eq!(std::fs::read_dir(dir.path().join("models")).unwrap().count(), 1, "nothing else is left");
        let mut names: Vec<_> = std::fs::read_dir(&at).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [CARD, WEIGHTS]);

        let precious = dir.path().join("precious");
        std::fs::create_dir(&precious).unwrap();
        assert_eq!(save(&one, &precious, true).unwrap_err().kind(), ErrorKind::Exists);
    }

    #[test]
    fn misfits_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("m");
        let b = bundle(1);
        assert_eq!(Card::read(&at).unwrap_err().kind(), ErrorKind::Bundle);
        save(&b, &at, false).unwrap();
        let card = at.join(CARD);
        let text = std::fs::read_to_string(&card).unwrap();
        let broken = |from: &str, to: &str| {
            assert!(text.contains(from), "{from} in {text}");
            std::fs::write(&card, text.replacen(from, to, 1)).unwrap();
            Bundle::load(&at, Device::Cpu).unwrap_err()
        };
        assert!(broken("schema: 1", "schema: 2").how_to_mend().unwrap().contains("newer"));
        assert!(broken("points: 2", "points: 3").what().contains("3 points"));
        assert!(broken("width: 16", "width: 24").what().contains("head."));
        assert!(broken("efficientnet_lite0", "efficientnet_b0").what().contains("efficientnet_b0"));
        assert_eq!(broken("net:", "nett:").kind(), ErrorKind::Bundle);
        assert!(broken("slope: 1.25", "slope: -1").what().contains("slope -1"));
        std::fs::write(&card, &text).unwrap();
        std::fs::remove_file(at.join(WEIGHTS)).unwrap();
        let e = Bundle::load(&at, Device::Cpu).unwrap_err();
        assert!(e.place().unwrap().ends_with(WEIGHTS), "{e}");

        b.card.fits(&Skeleton::single(["snout", "tailbase"])).unwrap();
        for (parts, why) in [
            (vec!["tailbase", "snout"], "another order"),
            (vec!["snout"], "only the model has tailbase"),
            (vec!["snout", "tailbase", "ear"], "only the project has ear"),
            (vec!["nose", "tailbase"], "the model has snout, the project nose"),
        ] {
            let e = b.card.fits(&Skeleton::single(parts)).unwrap_err();
            assert!(e.what().contains(why), "{e}");
        }
    }
}
