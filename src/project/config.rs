//! `config.yaml`: DeepLabCut's description of a project, typed, with exact errors, and edited in place.

use super::config_reader::Reader;
use super::yaml::{self, Data, Node, Value};
use super::yaml_edit;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::Skeleton;
use crate::watch::Watch;
use std::path::{Path, PathBuf};

/// A video as `config.yaml` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoSet {
    /// The path as it stands in the file: absolute, relative to the project, or stale from another machine.
    pub path: String,
    /// `x1, x2, y1, y2` in pixels, the part of the frame that frames are extracted from; `None` when not given.
    pub crop: Option<[i64; 4]>,
}

impl VideoSet {
    /// The file name without folder and extension, whichever way its slashes lean; it names the folder of its labels.
    #[must_use]
    pub fn stem(&self) -> &str {
        stem_of(&self.path)
    }
}

/// File name without folder and last extension, for paths of any system.
pub(super) fn stem_of(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    match name.rfind('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    }
}

/// The likelihood below which a point does not count: one for all, or one for each body part.
#[derive(Debug, Clone, PartialEq)]
pub enum Cutoff {
    /// The same for every body part.
    One(f64),
    /// In the order of the body parts.
    Each(Vec<f64>),
}

impl Cutoff {
    /// The cut-off of each of `points` points of a skeleton, in its order; the list is repeated for every individual.
    #[must_use]
    pub fn for_points(&self, points: usize) -> Vec<f64> {
        match self {
            Self::One(v) => vec![*v; points],
            Self::Each(list) => {
                (0..points).map(|i| list.get(i % list.len().max(1)).copied().unwrap_or(0.6)).collect()
            }
        }
    }
}

/// Which snapshot DeepLabCut evaluates and analyses with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotIndex {
    /// Index into the sorted list of snapshots; -1 is the best, else the newest.
    At(i64),
    /// Every snapshot.
    All,
}

/// `{superanimal: {project body part: its keypoint}}`, in the file's order.
pub type ConversionTables = Vec<(String, Vec<(String, String)>)>;

/// All settings of `config.yaml` (DeepLabCut 2.x to 3.0), missing ones at their defaults.
///
/// Change the public fields and call [`Config::save`]: only what changed is rewritten, textually, so that comments,
/// order and unknown keys of the file stay as they are.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the fields are DeepLabCut's keys, described in its documentation
pub struct Config {
    pub config_version: i64,
    /// The name of the project.
    pub task: String,
    /// The person who labels.
    pub scorer: String,
    /// Month and day such as `Oct30`; part of almost every name.
    pub date: String,
    /// DeepLabCut's `multianimalproject`.
    pub multi_animal: bool,
    pub identity: Option<bool>,
    /// Where the project was when the file was last saved by DeepLabCut; repaired in memory by [`super::Project::open`].
    pub project_path: String,
    pub pose_config_path: Option<String>,
    /// `pytorch` or `tensorflow`.
    pub engine: String,
    pub video_sets: Vec<VideoSet>,
    /// Body parts of a single-animal project, in the order of channels and columns.
    pub bodyparts: Vec<String>,
    pub individuals: Vec<String>,
    /// Body parts that exist once per frame in a multi-animal project.
    pub unique_bodyparts: Vec<String>,
    /// Body parts every individual has, in a multi-animal project.
    pub multi_animal_bodyparts: Vec<String>,
    /// Fraction of a video at which frame extraction starts.
    pub start: f64,
    /// Fraction of a video at which frame extraction stops.
    pub stop: f64,
    /// Frames to extract from each video.
    pub numframes2pick: i64,
    /// Pairs of body parts joined by a line.
    pub skeleton: Vec<[String; 2]>,
    pub skeleton_color: String,
    pub pcutoff: Cutoff,
    pub dotsize: i64,
    pub alphavalue: f64,
    pub colormap: String,
    /// Fractions of the labelled frames that are trained on.
    pub training_fraction: Vec<f64>,
    /// The round of labelling and training.
    pub iteration: i64,
    pub default_net_type: String,
    pub default_augmenter: String,
    pub default_track_method: Option<String>,
    pub snapshot_index: SnapshotIndex,
    pub detector_snapshot_index: SnapshotIndex,
    pub batch_size: i64,
    pub detector_batch_size: i64,
    /// Whether analysis uses only the part of the frame that `crop` names.
    pub cropping: bool,
    /// `x1, x2, y1, y2` in pixels for analysis.
    pub crop: Option<[i64; 4]>,
    pub corner2move2: Vec<i64>,
    pub move2corner: bool,
    pub super_animal_conversion: ConversionTables,
    path: PathBuf,
    /// The text of the file as it was read or last saved.
    text: String,
}

/// DeepLabCut's keys in the order it writes them, with the comment it puts before a group.
const KEYS: [(&str, &str); 44] = [
    ("config_version", ""),
    ("Task", "Project definitions (do not edit)"),
    ("scorer", ""),
    ("date", ""),
    ("multianimalproject", ""),
    ("identity", ""),
    ("project_path", "Project path (change when moving around)"),
    ("pose_config_path", ""),
    ("engine", "Default DeepLabCut engine to use for shuffle creation (either pytorch or tensorflow)"),
    ("video_sets", "Annotation data set configuration (and individual video cropping parameters)"),
    ("bodyparts", ""),
    ("individuals", ""),
    ("uniquebodyparts", ""),
    ("multianimalbodyparts", ""),
    ("start", "Fraction of video to start/stop when extracting frames for labeling/refinement"),
    ("stop", ""),
    ("numframes2pick", ""),
    ("skeleton", "Plotting configuration"),
    ("skeleton_color", ""),
    ("pcutoff", ""),
    ("dotsize", ""),
    ("alphavalue", ""),
    ("colormap", ""),
    ("TrainingFraction", "Training, evaluation and analysis configuration"),
    ("iteration", ""),
    ("default_net_type", ""),
    ("default_augmenter", ""),
    ("default_track_method", ""),
    ("snapshotindex", ""),
    ("detector_snapshotindex", ""),
    ("batch_size", ""),
    ("detector_batch_size", ""),
    ("cropping", "Cropping parameters (for analysis and outlier frame detection)"),
    ("x1", "If cropping is true for analysis, then set the values here:"),
    ("x2", ""),
    ("y1", ""),
    ("y2", ""),
    (
        "corner2move2",
        "Refinement configuration (parameters from annotation dataset configuration also relevant in this stage)",
    ),
    ("move2corner", ""),
    ("SuperAnimalConversionTables", "Conversion tables to fine-tune SuperAnimal weights"),
    // Accepted in old files and never written by us.
    ("resnet", ""),
    ("croppedtraining", ""),
    ("with_identity", ""),
    ("unique_bodyparts", ""),
];

impl Config {
    /// The settings of a new single-animal project; not yet on disk.
    #[must_use]
    pub fn new(task: &str, scorer: &str, date: &str, bodyparts: &[String]) -> Self {
        Self {
            config_version: 0,
            task: task.to_owned(),
            scorer: scorer.to_owned(),
            date: date.to_owned(),
            multi_animal: false,
            identity: None,
            project_path: String::new(),
            pose_config_path: None,
            engine: "pytorch".into(),
            video_sets: Vec::new(),
            bodyparts: bodyparts.to_vec(),
            individuals: Vec::new(),
            unique_bodyparts: Vec::new(),
            multi_animal_bodyparts: Vec::new(),
            start: 0.0,
            stop: 1.0,
            numframes2pick: 20,
            skeleton: Vec::new(),
            skeleton_color: "black".into(),
            pcutoff: Cutoff::One(0.6),
            dotsize: 12,
            alphavalue: 0.7,
            colormap: "rainbow".into(),
            training_fraction: vec![0.95],
            iteration: 0,
            default_net_type: "resnet_50".into(),
            default_augmenter: "default".into(),
            default_track_method: None,
            snapshot_index: SnapshotIndex::At(-1),
            detector_snapshot_index: SnapshotIndex::At(-1),
            batch_size: 8,
            detector_batch_size: 1,
            cropping: false,
            crop: Some([0, 640, 277, 624]),
            corner2move2: vec![50, 50],
            move2corner: true,
            super_animal_conversion: Vec::new(),
            path: PathBuf::new(),
            text: String::new(),
        }
    }

    /// Reads a `config.yaml` of any version of DeepLabCut from 2.0 on.
    ///
    /// # Errors
    /// [`Kind::Config`] with file and line when the file is no YAML, a key is missing, there twice or of the wrong
    /// type, or values contradict each other; the operating system's error when it cannot be read. Unknown keys and
    /// skeleton lines to unknown body parts are warnings.
    pub fn read(path: &Path, watch: &dyn Watch) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("read the configuration", path, e))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let line =
                1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Error::new(Kind::Config, "the configuration is not UTF-8 text")
                .at(format!("{}:{line}", path.display()))
                .mend("save it as UTF-8 in your editor")
        })?;
        let mut config = Self::parse(&text, path, &mut |w| watch.warn(&w))?;
        config.path = path.to_path_buf();
        Ok(config)
    }

    /// The file it was read from or is saved to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn parse(text: &str, path: &Path, warn: &mut dyn FnMut(String)) -> Result<Self> {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = yaml::parse(body).map_err(|f| {
            Error::new(Kind::Config, f.what).at(format!("{}:{}", path.display(), f.line)).mend(f.mend)
        })?;
        let r = Reader { path, root: &root };
        let Data::Map(entries) = &root.data else {
            return Err(r.wrong(&root, "the file", "`key: value` lines"));
        };
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            if !KEYS.iter().any(|(k, _)| *k == name) && value.value() != Value::Null {
                warn(format!(
                    "{}:{}: the key `{name}` is unknown and is kept as it is; DeepLabCut 3.0.1 and later refuse to load \
                     a configuration with unknown keys",
                    path.display(),
                    key.line
                ));
            }
        }
        let mut c = Self::new(&r.required("Task")?, &r.required("scorer")?, &r.required("date")?, &[]);
        c.text = body.to_owned();
        c.config_version = r.whole("config_version")?.unwrap_or(0);
        c.multi_animal = r.flag("multianimalproject")?.unwrap_or(false);
        c.identity = r.flag("identity")?.or(r.flag("with_identity")?);
        c.project_path = r.text("project_path")?.unwrap_or_default();
        c.pose_config_path = r.text("pose_config_path")?;
        c.engine = r.text("engine")?.unwrap_or(c.engine);
        c.video_sets = r.video_sets()?;
        c.individuals = r.names("individuals")?.unwrap_or_default();
        c.unique_bodyparts = r.names("uniquebodyparts")?.or(r.names("unique_bodyparts")?).unwrap_or_default();
        c.multi_animal_bodyparts = r.names("multianimalbodyparts")?.unwrap_or_default();
        c.bodyparts = r.bodyparts(c.multi_animal)?;
        c.start = r.number("start")?.unwrap_or(0.0);
        c.stop = r.number("stop")?.unwrap_or(1.0);
        c.numframes2pick = r.whole("numframes2pick")?.unwrap_or(20);
        c.skeleton = r.edges(c.parts(), warn)?;
        c.skeleton_color = r.text("skeleton_color")?.unwrap_or(c.skeleton_color);
        c.pcutoff = r.cutoff()?.unwrap_or(c.pcutoff);
        c.dotsize = r.whole("dotsize")?.unwrap_or(12);
        c.alphavalue = r.number("alphavalue")?.unwrap_or(0.7);
        c.colormap = r.text("colormap")?.unwrap_or(c.colormap);
        c.training_fraction = r.fractions()?.unwrap_or(c.training_fraction);
        c.iteration = r.whole("iteration")?.unwrap_or(0);
        c.default_net_type = r.text("default_net_type")?.unwrap_or(c.default_net_type);
        c.default_augmenter = r.text("default_augmenter")?.unwrap_or(c.default_augmenter);
        c.default_track_method = r.text("default_track_method")?;
        c.snapshot_index = r.snapshot("snapshotindex")?;
        c.detector_snapshot_index = r.snapshot("detector_snapshotindex")?;
        c.batch_size = r.whole("batch_size")?.unwrap_or(8);
        c.detector_batch_size = r.whole("detector_batch_size")?.unwrap_or(1);
        c.cropping = r.flag("cropping")?.unwrap_or(false);
        c.crop = r.crop()?;
        c.corner2move2 = r.wholes("corner2move2")?.unwrap_or(c.corner2move2);
        c.move2corner = r.flag("move2corner")?.unwrap_or(true);
        c.super_animal_conversion = r.conversion()?;
        c.consistent(&r)?;
        Ok(c)
    }

    /// What no single key can tell.
    fn consistent(&self, r: &Reader<'_>) -> Result<()> {
        let fault = |key: &str, what: String, mend: &str| Err(r.fault(r.line(key), what).mend(mend));
        if self.iteration < 0 {
            return fault("iteration", format!("`iteration` is {}, below 0", self.iteration), "set it to 0");
        }
        if !(0.0..=1.0).contains(&self.start) || !(0.0..=1.0).contains(&self.stop) || self.start >= self.stop
        {
            let what = format!("`start` {} and `stop` {} are no part of a video", self.start, self.stop);
            return fault("start", what, "both are fractions from 0 to 1, and `start` is below `stop`");
        }
        if self.multi_animal {
            if self.individuals.is_empty() {
                let what = "a multi-animal project needs `individuals`".into();
                return fault("individuals", what, "list their names, such as `- mouse1` and `- mouse2`");
            }
            if self.multi_animal_bodyparts.is_empty() && self.unique_bodyparts.is_empty() {
                let what = "a multi-animal project needs `multianimalbodyparts`".into();
                return fault("multianimalbodyparts", what, "list the body parts every individual has");
            }
            if self.individuals.iter().any(|i| i == "single") {
                let what =
                    "an individual is called `single`, the name that unique body parts stand under".into();
                return fault("individuals", what, "give it another name");
            }
            if let Some(both) = self.unique_bodyparts.iter().find(|u| self.multi_animal_bodyparts.contains(u))
            {
                let what = format!("`{both}` is a body part of every individual and a unique one as well");
                return fault("uniquebodyparts", what, "keep it in one of the two lists");
            }
        }
        Ok(())
    }

    /// The body parts that each animal has.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        if self.multi_animal { &self.multi_animal_bodyparts } else { &self.bodyparts }
    }

    /// The body parts, individuals and lines as the other rooms speak of them.
    #[must_use]
    pub fn pose_skeleton(&self) -> Skeleton {
        if self.multi_animal {
            Skeleton {
                individuals: self.individuals.clone(),
                bodyparts: self.multi_animal_bodyparts.clone(),
                unique_bodyparts: self.unique_bodyparts.clone(),
                edges: self.skeleton.clone(),
                multi_animal: true,
            }
        } else {
            let mut skeleton = Skeleton::single(self.bodyparts.clone());
            skeleton.edges.clone_from(&self.skeleton);
            skeleton
        }
    }

    /// Every key we write with its value, in DeepLabCut's order.
    fn entries(&self) -> Vec<(&'static str, Value)> {
        let texts = |names: &[String]| Value::List(names.iter().map(|n| Value::Text(n.clone())).collect());
        let text = |t: &str| Value::Text(t.to_owned());
        let maybe = |t: &Option<String>| t.as_deref().map_or(Value::Null, Value::from);
        let wholes = |v: &[i64]| Value::List(v.iter().copied().map(Value::Int).collect());
        let floats = |v: &[f64]| Value::List(v.iter().copied().map(Value::Float).collect());
        let index = |s: SnapshotIndex| match s {
            SnapshotIndex::At(i) => Value::Int(i),
            SnapshotIndex::All => Value::from("all"),
        };
        let videos = self.video_sets.iter().map(|v| {
            let crop = v.crop.map_or(Value::Null, |[a, b, c, d]| {
                Value::Map(vec![("crop".into(), Value::Text(format!("{a}, {b}, {c}, {d}")))])
            });
            (v.path.clone(), crop)
        });
        let tables = self.super_animal_conversion.iter().map(|(name, table)| {
            (name.clone(), Value::Map(table.iter().map(|(a, b)| (a.clone(), text(b))).collect()))
        });
        let mut all = vec![
            ("config_version", Value::Int(self.config_version)),
            ("Task", text(&self.task)),
            ("scorer", text(&self.scorer)),
            ("date", text(&self.date)),
            ("multianimalproject", Value::Bool(self.multi_animal)),
            ("identity", self.identity.map_or(Value::Null, Value::Bool)),
            ("project_path", text(&self.project_path)),
            ("pose_config_path", maybe(&self.pose_config_path)),
            ("engine", text(&self.engine)),
            ("video_sets", Value::Map(videos.collect())),
            ("bodyparts", if self.multi_animal { text("MULTI!") } else { texts(&self.bodyparts) }),
            ("individuals", texts(&self.individuals)),
            ("uniquebodyparts", texts(&self.unique_bodyparts)),
            ("multianimalbodyparts", texts(&self.multi_animal_bodyparts)),
            ("start", Value::Float(self.start)),
            ("stop", Value::Float(self.stop)),
            ("numframes2pick", Value::Int(self.numframes2pick)),
            ("skeleton", Value::List(self.skeleton.iter().map(|pair| texts(pair)).collect())),
            ("skeleton_color", text(&self.skeleton_color)),
            (
                "pcutoff",
                match &self.pcutoff {
                    Cutoff::One(p) => Value::Float(*p),
                    Cutoff::Each(all) => floats(all),
                },
            ),
            ("dotsize", Value::Int(self.dotsize)),
            ("alphavalue", Value::Float(self.alphavalue)),
            ("colormap", text(&self.colormap)),
            ("TrainingFraction", floats(&self.training_fraction)),
            ("iteration", Value::Int(self.iteration)),
            ("default_net_type", text(&self.default_net_type)),
            ("default_augmenter", text(&self.default_augmenter)),
            ("default_track_method", maybe(&self.default_track_method)),
            ("snapshotindex", index(self.snapshot_index)),
            ("detector_snapshotindex", index(self.detector_snapshot_index)),
            ("batch_size", Value::Int(self.batch_size)),
            ("detector_batch_size", Value::Int(self.detector_batch_size)),
            ("cropping", Value::Bool(self.cropping)),
        ];
        for (i, key) in ["x1", "x2", "y1", "y2"].into_iter().enumerate() {
            all.push((key, self.crop.map_or(Value::Null, |c| Value::Int(c[i]))));
        }
        all.push(("corner2move2", wholes(&self.corner2move2)));
        all.push(("move2corner", Value::Bool(self.move2corner)));
        let tables: Vec<_> = tables.collect();
        all.push((
            "SuperAnimalConversionTables",
            if tables.is_empty() { Value::Null } else { Value::Map(tables) },
        ));
        all
    }

    /// The whole file as DeepLabCut would write it, group comments included.
    fn whole_text(&self) -> String {
        let mut out = String::new();
        for (key, value) in self.entries() {
            let comment = KEYS.iter().find(|(k, _)| *k == key).map_or("", |(_, c)| *c);
            if !comment.is_empty() {
                let gap = if key == "x1" || out.is_empty() { "" } else { "\n\n" };
                out += &format!("{gap}# {comment}\n");
            }
            out += &(yaml::emit_entry(key, &value, 0).join("\n") + "\n");
        }
        out
    }

    /// The file's text with everything that changed since it was read set anew.
    fn edited_text(&self) -> Result<String> {
        let before = Self::parse(&self.text, &self.path, &mut |_| {})?;
        let order: Vec<&str> = KEYS.iter().map(|(k, _)| *k).collect();
        let old = before.entries();
        let mut text = self.text.clone();
        let root = yaml::parse(&text).ok();
        for ((key, mut new), (_, was)) in self.entries().into_iter().zip(&old) {
            if new == *was {
                continue;
            }
            if let (true, Value::Map(videos)) = (key == "video_sets", &mut new) {
                self.keep_of_videos(&before, root.as_ref(), videos);
            }
            // An old file may have the key under its other name.
            let alias = match key {
                "identity" => "with_identity",
                "uniquebodyparts" => "unique_bodyparts",
                _ => key,
            };
            let there = |k: &str| root.as_ref().is_some_and(|r| r.get(k).is_some());
            let name = if !there(key) && there(alias) { alias } else { key };
            text = yaml_edit::set(&text, name, &new, &order).ok_or_else(|| {
                Error::new(
                    Kind::Config,
                    format!("the key `{key}` cannot be changed without losing something else"),
                )
                .at(self.path.display())
                .mend(format!("write `{key}` plainly, one value a line, and do it again"))
            })?;
        }
        // The proof that what is on disk will be read as what is in memory.
        let after = Self::parse(&text, &self.path, &mut |_| {})?;
        if after.entries() != self.entries() {
            return Err(Error::new(Kind::Config, "the change would not be read back as it was meant")
                .at(self.path.display())
                .mend("check the changed values for contradictions"));
        }
        Ok(text)
    }

    /// A video that did not change keeps its value as it is written, and one that did its keys other than `crop`.
    fn keep_of_videos(&self, before: &Self, root: Option<&Node>, videos: &mut [(String, Value)]) {
        let Some((_, sets)) = root.and_then(|r| r.get("video_sets")) else { return };
        for ((path, value), now) in videos.iter_mut().zip(&self.video_sets) {
            let Some((_, was)) = sets.get(path) else { continue };
            if before.video_sets.contains(now) {
                *value = was.value();
            } else if let (Value::Map(was), Value::Map(entries)) = (was.value(), value) {
                entries.extend(was.into_iter().filter(|(k, _)| k != "crop"));
            }
        }
    }

    /// Writes what changed since the file was read, whole or not at all. Nothing is written when nothing changed.
    ///
    /// # Errors
    /// [`Kind::Config`] when the new values contradict each other or cannot be put in place without losing a comment,
    /// [`Kind::Exists`] when the file was changed by somebody else in between, or the operating system's error; the
    /// file is as before then.
    pub fn save(&mut self) -> Result<()> {
        let on_disk = files::read_text(&self.path)?;
        let mark = if on_disk.starts_with('\u{feff}') { "\u{feff}" } else { "" };
        if on_disk.strip_prefix('\u{feff}').unwrap_or(&on_disk) != self.text {
            return Err(Error::new(
                Kind::Exists,
                "the configuration was changed by another program meanwhile",
            )
            .at(self.path.display())
            .mend("open the project again and repeat the change"));
        }
        let text = self.edited_text()?;
        if text != self.text {
            files::write_whole(&self.path, format!("{mark}{text}").as_bytes())?;
            self.text = text;
        }
        Ok(())
    }

    /// Writes a new file with all keys, as DeepLabCut would.
    ///
    /// # Errors
    /// [`Kind::Exists`] when there is one already, [`Kind::Config`] when the values contradict each other.
    pub fn create(&mut self, path: &Path) -> Result<()> {
        if path.exists() {
            return Err(Error::new(Kind::Exists, "there is a configuration already")
                .at(path.display())
                .mend("choose another name, or open this project"));
        }
        let text = self.whole_text();
        let read = Self::parse(&text, path, &mut |_| {})?;
        debug_assert_eq!(read.entries(), self.entries());
        files::write_whole(path, text.as_bytes())?;
        self.text = text;
        self.path = path.to_path_buf();
        Ok(())
    }

    /// After the folder got its final name.
    pub(super) fn moved_to(&mut self, path: &Path) {
        self.path = path.to_path_buf();
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
