//! A project on disk: a DeepLabCut project folder with its configuration, videos, labels and splits.
//!
//! [`Project`] is the folder, [`Config`] its `config.yaml`, [`Settings`] limn's own `limn.yaml` beside it,
//! [`LabelStore`] all labels, [`Split`] which labelled pictures a model is trained and tested on.
//!
//! ```
//! use limn::project::{NewProject, Project, VideoMode};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let new = NewProject::single("reaching", "Ada", ["hand", "elbow"]);
//! let probe = |_: &std::path::Path| Ok((640, 480)); // the size of a video's frames
//! let made = Project::create(dir.path(), &new, &[], VideoMode::Link, &probe, &Quiet::default())?;
//! let project = Project::open(made.root(), &Quiet::default())?;
//! assert_eq!(project.skeleton().bodyparts, ["hand", "elbow"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bodyparts;
mod check;
mod config;
mod config_reader;
mod create;
#[cfg(feature = "video")]
mod extract;
pub(crate) mod history;
mod journal;
mod label_files;
mod label_merge;
mod label_store;
mod marks;
mod moved;
mod settings;
mod split;
mod yaml;
mod yaml_edit;

pub use bodyparts::BodypartChange;
pub use check::{Problem, Severity};
pub use config::{Config, ConversionTables, Cutoff, SnapshotIndex, VideoSet};
pub use create::{NewProject, Probe, VideoMode, today};
#[cfg(feature = "video")]
pub use extract::{Choice, Extracted, Extraction, Method, choose, extract, take};
pub use label_merge::{Conflict, ConflictPoint};
pub(crate) use label_store::Fingerprint;
pub use label_store::LabelStore;
pub(crate) use marks::Marks;
pub use marks::{Hidden, Mark, PointEdit};
pub use moved::{Moved, find_moved};
pub use settings::Settings;
pub use split::{FoldsRequest, Split, SplitRequest, Splits};

use crate::error::{Error, Kind, Result};
use crate::pose::{FrameKey, Skeleton};
use crate::watch::Watch;
use std::path::{Path, PathBuf};

/// Extensions of video files that DeepLabCut accepts, in lower case.
pub const VIDEO_EXTENSIONS: [&str; 10] =
    ["avi", "mp4", "mov", "mpeg", "mpg", "mpv", "mkv", "flv", "qt", "yuv"];

/// A project folder that was opened.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    /// `config.yaml`; call [`Config::save`] after a change.
    pub config: Config,
    /// `limn.yaml`; call [`Project::save_settings`] after a change.
    pub settings: Settings,
}

/// A video of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectVideo {
    /// File name without extension; the name of its folder under `labeled-data/`.
    pub stem: String,
    /// Where the file is on this machine; `None` when it cannot be found.
    pub path: Option<PathBuf>,
    /// `x1, x2, y1, y2`, when `config.yaml` gives it.
    pub crop: Option<[i64; 4]>,
    /// Whether `config.yaml` names it; otherwise it only lies in `videos/`.
    pub listed: bool,
}

impl Project {
    /// Opens a project by its folder or its `config.yaml`. `project_path` is put right in memory; the file is not
    /// touched.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no project there, [`Kind::Config`] when its configuration cannot be used.
    pub fn open(path: &Path, watch: &dyn Watch) -> Result<Self> {
        crate::watch::may_wait("opening a project");
        let (root, file) = find_config(path)?;
        let mut config = Config::read(&file, watch)?;
        let root = std::fs::canonicalize(&root).map_err(|e| Error::io("open the project", &root, e))?;
        config.project_path = slashed(&root);
        let settings = Settings::read(&root, watch)?;
        Ok(Self { root, config, settings })
    }

    /// The project's folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the rig of several cameras is, and whether `limn.yaml` names it; else there need be none.
    #[must_use]
    pub fn rig_path(&self) -> (PathBuf, bool) {
        match &self.settings.rig {
            Some(rig) => (self.root.join(rig), true),
            None => (self.root.join("rig.yaml"), false),
        }
    }

    /// Body parts, individuals and lines, single- or multi-animal.
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        self.config.pose_skeleton()
    }

    /// Pairs of body-part indices that swap when the image is mirrored: those of `limn.yaml`, else by their names.
    ///
    /// # Errors
    /// [`Kind::Config`] when `limn.yaml` names a body part that the project lacks.
    pub fn mirror_pairs(&self) -> Result<Vec<[usize; 2]>> {
        let skeleton = self.skeleton();
        let Some(pairs) = &self.settings.mirror_pairs else { return Ok(skeleton.mirror_pairs()) };
        let find = |name: &String| {
            skeleton.bodyparts.iter().position(|b| b == name).ok_or_else(|| {
                Error::new(Kind::Config, format!("`mirror_pairs` names the unknown body part `{name}`"))
                    .at(Settings::path(&self.root).display())
                    .mend(format!("the body parts are: {}", skeleton.bodyparts.join(", ")))
            })
        };
        pairs.iter().map(|[a, b]| Ok([find(a)?, find(b)?])).collect()
    }

    /// Writes `limn.yaml`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_settings(&self) -> Result<()> {
        self.settings.write(&self.root)
    }

    /// The folder of a video's labelled pictures.
    #[must_use]
    pub fn labeled_data(&self, video: &str) -> PathBuf {
        self.root.join("labeled-data").join(video)
    }

    /// The file of a labelled picture.
    #[must_use]
    pub fn image_path(&self, key: &FrameKey) -> PathBuf {
        self.labeled_data(&key.video).join(&key.image)
    }

    /// The name of the picture of frame `frame` (from 0) of a video with `frames` frames. As in DeepLabCut the number
    /// has as many digits as the count of frames needs, unless the folder's pictures already have another width.
    #[must_use]
    pub fn image_name(&self, video: &str, frame: u64, frames: u64) -> String {
        let width = existing_width(&self.labeled_data(video)).unwrap_or_else(|| digits(frames));
        format!("img{frame:0width$}.png")
    }

    /// Folders under `labeled-data/` that hold labelled pictures, sorted by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn labeled_videos(&self) -> Result<Vec<String>> {
        let dir = self.root.join("labeled-data");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read the folder", &dir, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read the folder", &dir, e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // `<video>_labeled` holds drawings of check_labels and is never data.
            if entry.path().is_dir() && !name.ends_with("_labeled") && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// All pictures under `labeled-data/`, labelled or not, sorted by video and name.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn pictures(&self) -> Result<Vec<FrameKey>> {
        let mut keys = Vec::new();
        for video in self.labeled_videos()? {
            let dir = self.labeled_data(&video);
            for entry in std::fs::read_dir(&dir).map_err(|e| Error::io("read the folder", &dir, e))? {
                let entry = entry.map_err(|e| Error::io("read the folder", &dir, e))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let low = name.to_ascii_lowercase();
                if !name.starts_with('.') && [".png", ".jpg", ".jpeg"].iter().any(|e| low.ends_with(e)) {
                    keys.push(FrameKey::new(video.clone(), name));
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// The videos that `config.yaml` names, in its order, then those that only lie in `videos/`. A path of another
    /// machine is found again by its file name.
    #[must_use]
    pub fn videos(&self) -> Vec<ProjectVideo> {
        let there = video_files(&self.root.join("videos"));
        let stem = |p: &PathBuf| p.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let mut videos: Vec<ProjectVideo> = Vec::new();
        for set in &self.config.video_sets {
            let as_named = self.root.join(&set.path); // an absolute path stays what it is
            let path = if as_named.is_file() {
                Some(as_named)
            } else {
                // A link to where the file once was is no file.
                there.iter().find(|p| stem(p) == set.stem() && p.is_file()).cloned()
            };
            videos.push(ProjectVideo { stem: set.stem().to_owned(), path, crop: set.crop, listed: true });
        }
        for path in there {
            let stem = stem(&path);
            if !videos.iter().any(|v| v.stem == stem) {
                let path = path.is_file().then_some(path);
                videos.push(ProjectVideo { stem, path, crop: None, listed: false });
            }
        }
        videos
    }

    /// `x1, x2, y1, y2` in pixels, the part of a video's frames to look at: of the analysis, where `cropping` is on in
    /// config.yaml, else what stands with the video there.
    #[must_use]
    pub fn crop_of(&self, video: &Path) -> Option<[i64; 4]> {
        if self.config.cropping {
            return self.config.crop;
        }
        let stem = video.file_stem()?.to_string_lossy();
        self.config.video_sets.iter().find(|v| v.stem() == stem)?.crop
    }

    /// The file of a video by its stem.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the project has no such video or its file is gone.
    pub fn video_path(&self, stem: &str) -> Result<PathBuf> {
        let videos = self.videos();
        let found = videos.iter().find(|v| v.stem == stem);
        match found {
            Some(ProjectVideo { path: Some(path), .. }) => Ok(path.clone()),
            Some(_) => Err(Error::new(Kind::NotFound, format!("the file of the video `{stem}` is gone"))
                .at(self.root.join("videos").display())
                .mend("put the video, or a link to it, into `videos/` under its old name")),
            None => Err(Error::new(Kind::NotFound, format!("the project has no video `{stem}`"))
                .at(self.config.path().display())
                .mend("add it with `limn add-videos`")),
        }
    }

    /// `<Task><date>-trainset<100 x fraction>shuffle<k>`, the last folder of model and evaluation paths.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a fraction of 1
    pub fn shuffle_name(&self, fraction: f64, shuffle: u32) -> String {
        // Cut off, not rounded, as DeepLabCut does: 0.29 gives 28.
        let percent = (fraction * 100.0) as u32;
        format!("{}{}-trainset{percent}shuffle{shuffle}", self.config.task, self.config.date)
    }

    /// `limn-models/iteration-<i>`.
    #[must_use]
    pub fn iteration_folder(&self) -> PathBuf {
        self.root.join("limn-models").join(format!("iteration-{}", self.config.iteration))
    }

    /// Where the models of a shuffle lie.
    #[must_use]
    pub fn models_folder(&self, fraction: f64, shuffle: u32) -> PathBuf {
        self.iteration_folder().join(self.shuffle_name(fraction, shuffle))
    }

    /// Where the evaluation of a shuffle's models lies.
    #[must_use]
    pub fn evaluation_folder(&self, fraction: f64, shuffle: u32) -> PathBuf {
        self.models_folder(fraction, shuffle).join("evaluation")
    }

    /// DeepLabCut's name of a model, which goes into result files: `DLC_<Net>_<Task><date>shuffle<k>_snapshot_<uid>`;
    /// `uid` is the number of epochs or `best-<epochs>`.
    #[must_use]
    pub fn scorer_of_model(&self, net: &str, shuffle: u32, uid: &str) -> String {
        let capital = |part: &str| {
            let mut chars = part.chars();
            chars
                .next()
                .map(|c| c.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase())
                .unwrap_or_default()
        };
        let net: String = net.split('_').map(capital).collect();
        format!("DLC_{net}_{}{}shuffle{shuffle}_snapshot_{uid}", self.config.task, self.config.date)
    }
}

fn find_config(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let no_project =
        |what: &str, mend: String| Err(Error::new(Kind::NotFound, what).at(path.display()).mend(mend));
    let plain = "give the project's folder, the one that holds `config.yaml`, or make one with `limn new`";
    if path.is_dir() {
        let file = path.join("config.yaml");
        if file.is_file() {
            return Ok((path.to_path_buf(), file));
        }
        // A frequent slip: a folder inside the project, or the one around it.
        if let Some(above) = path.ancestors().skip(1).find(|a| a.join("config.yaml").is_file()) {
            return no_project("this folder is no project", format!("did you mean {}?", above.display()));
        }
        let below: Vec<String> = std::fs::read_dir(path)
            .map(|d| d.flatten().map(|e| e.path()).filter(|p| p.join("config.yaml").is_file()).collect())
            .map(|v: Vec<PathBuf>| v.iter().map(|p| p.display().to_string()).collect())
            .unwrap_or_default();
        if !below.is_empty() {
            return no_project(
                "this folder is no project, but holds some",
                format!("did you mean {}?", below.join(" or ")),
            );
        }
        return no_project("this folder is no project: it has no `config.yaml`", plain.into());
    }
    if path.is_file() {
        let is_yaml =
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
        return if is_yaml {
            Ok((crate::files::folder_of(path), path.to_path_buf()))
        } else {
            no_project("this file is no `config.yaml`", plain.into())
        };
    }
    no_project("there is no such project", plain.into())
}

/// A path as our own files hold it: with `/`, and without Windows' verbatim prefix.
pub(crate) fn slashed(path: &Path) -> String {
    let text = path.to_string_lossy();
    if cfg!(windows) { text.trim_start_matches(r"\\?\").replace('\\', "/") } else { text.into_owned() }
}

/// Whether the name ends like a video's.
#[must_use]
pub fn is_video(path: &Path) -> bool {
    path.extension().is_some_and(|e| VIDEO_EXTENSIONS.iter().any(|v| e.eq_ignore_ascii_case(v)))
}

/// The videos of a folder, sorted, without those that DeepLabCut or limn drew.
pub(crate) fn video_files(dir: &Path) -> Vec<PathBuf> {
    let drawn = |p: &Path| {
        p.file_stem().is_some_and(|s| {
            s.to_string_lossy().ends_with("_labeled") || s.to_string_lossy().ends_with("_full")
        })
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|d| d.flatten().map(|e| e.path()).filter(|p| is_video(p) && !drawn(p)).collect())
        .unwrap_or_default();
    found.sort();
    found
}

/// Digits of the picture names of a video: the decimal logarithm of the count of frames, rounded up.
fn digits(frames: u64) -> usize {
    let mut width = 0;
    let mut reach: u64 = 1;
    while reach < frames {
        width += 1;
        reach = reach.saturating_mul(10);
    }
    width
}

/// The width most pictures of the folder have, when there are any.
fn existing_width(dir: &Path) -> Option<usize> {
    let mut counts = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = name.strip_prefix("img").and_then(|n| n.strip_suffix(".png"))
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            *counts.entry(number.len()).or_insert(0) += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, n): &(usize, i32)| *n).map(|(width, _)| width)
}

#[cfg(test)]
#[path = "project_tests.rs"]
mod tests;
