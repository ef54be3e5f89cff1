//! Making a project, and adding videos to one.

use super::config::{Config, VideoSet, stem_of};
use super::{Project, Settings, is_video, slashed, video_files};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::watch::Watch;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Tells width and height of a video's frames in pixels; an error when the file is no video that can be decoded.
pub type Probe<'a> = &'a dyn Fn(&Path) -> Result<(usize, usize)>;

/// How a video comes into the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoMode {
    /// A symbolic link to where it lies; a copy where the system allows no links.
    Link,
    /// A copy.
    Copy,
}

/// What a new project is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its name.
    pub task: String,
    /// Who labels; also the experimenter in the folder's name.
    pub scorer: String,
    /// Body parts of the animal, or of each animal.
    pub bodyparts: Vec<String>,
    /// Names of the animals; empty for the plain case of one.
    pub individuals: Vec<String>,
    /// Body parts that exist once per frame (only with individuals).
    pub unique_bodyparts: Vec<String>,
    /// Pairs of body parts joined by a line.
    pub skeleton: Vec<[String; 2]>,
    /// Year, month and day; see [`today`].
    pub date: (i16, i8, i8),
}

/// Today in the user's time zone: year, month, day.
#[must_use]
pub fn today() -> (i16, i8, i8) {
    let date = jiff::Zoned::now().date();
    (date.year(), date.month(), date.day())
}

impl NewProject {
    /// A project of one animal, of today.
    pub fn single<S: Into<String>>(
        task: impl Into<String>,
        scorer: impl Into<String>,
        bodyparts: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            task: task.into(),
            scorer: scorer.into(),
            bodyparts: bodyparts.into_iter().map(Into::into).collect(),
            individuals: Vec::new(),
            unique_bodyparts: Vec::new(),
            skeleton: Vec::new(),
            date: today(),
        }
    }

    /// `Task-experimenter-YYYY-MM-DD`.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let (y, m, d) = self.date;
        format!("{}-{}-{y:04}-{m:02}-{d:02}", self.task, self.scorer)
    }

    /// DeepLabCut's short date: English month and day without leading zero, such as `Oct1`.
    fn short_date(&self) -> String {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = usize::try_from(self.date.1 - 1).ok().and_then(|i| MONTHS.get(i)).unwrap_or(&"Jan");
        format!("{month}{}", self.date.2)
    }

    fn config(&self) -> Result<Config> {
        let usage = |what: String, mend: &str| Err(Error::new(Kind::Usage, what).mend(mend));
        for (sort, name) in [("project", &self.task), ("scorer", &self.scorer)] {
            let odd = |c: char| c.is_control() || r#"/\:*?"<>|,"#.contains(c);
            if name.trim().is_empty() || name.contains(odd) || name.starts_with('.') {
                return usage(
                    format!("`{name}` cannot be the name of the {sort}"),
                    "it becomes part of file names: use letters, digits, `_` and `-`",
                );
            }
        }
        if self.bodyparts.is_empty() {
            return usage(
                "a project needs at least one body part".into(),
                "name them: `--bodyparts snout,tailbase`",
            );
        }
        let all = [&self.bodyparts, &self.individuals, &self.unique_bodyparts];
        for (list, sort) in all.iter().zip(["body part", "individual", "unique body part"]) {
            for (i, name) in list.iter().enumerate() {
                if name.trim().is_empty()
                    || name.contains([',', '\n', '\r', '"'])
                    || name.eq_ignore_ascii_case("nan")
                {
                    return usage(
                        format!("`{name}` cannot be the name of a {sort}"),
                        "it becomes a column name in CSV files: use letters, digits, `_` and `-`",
                    );
                }
                if list[..i].contains(name) {
                    return usage(format!("the {sort} `{name}` is named twice"), "name each one once");
                }
            }
        }
        if self.individuals.is_empty() && !self.unique_bodyparts.is_empty() {
            return usage(
                "unique body parts are only for projects with several animals".into(),
                "name the animals with `--individuals`, or put these among the `--bodyparts`",
            );
        }
        if let Some(name) = self.skeleton.iter().flatten().find(|n| !self.bodyparts.contains(n)) {
            return usage(format!("the skeleton joins the unknown body part `{name}`"), "check its spelling");
        }
        let mut config = Config::new(&self.task, &self.scorer, &self.short_date(), &self.bodyparts);
        config.skeleton.clone_from(&self.skeleton);
        config.individuals = vec!["individual_1".into()];
        if !self.individuals.is_empty() {
            config.multi_animal = true;
            config.identity = Some(false);
            config.bodyparts.clear();
            config.multi_animal_bodyparts.clone_from(&self.bodyparts);
            config.individuals.clone_from(&self.individuals);
            config.unique_bodyparts.clone_from(&self.unique_bodyparts);
            config.default_augmenter = "albumentations".into();
            config.default_track_method = Some("ellipse".into());
        }
        Ok(config)
    }
}

impl Project {
    /// Makes a project folder in `parent`, with these videos (files, or folders of them). The folder appears whole,
    /// or not at all.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the names cannot be used, [`Kind::Exists`] when there is such a folder already, and what
    /// [`Project::add_videos`] refuses.
    pub fn create(
        parent: &Path,
        new: &NewProject,
        videos: &[PathBuf],
        mode: VideoMode,
        probe: Probe<'_>,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let mut config = new.config()?;
        files::make_folder(parent)?;
        let parent = std::fs::canonicalize(parent).map_err(|e| Error::io("open the folder", parent, e))?;
        let root = parent.join(new.folder_name());
        if root.symlink_metadata().is_ok() {
            return Err(Error::new(Kind::Exists, "there is a project of this name, scorer and date already")
                .at(root.display())
                .mend("choose another name, or open this one and add videos to it with `limn add-videos`"));
        }
        let found = collect(videos)?;
        let sized = checked(&config.video_sets, &found, probe, watch)?;
        let building = tempfile::Builder::new()
            .prefix(".limn-new-")
            .tempdir_in(&parent)
            .map_err(|e| Error::io("make the project in the folder", &parent, e))?;
        for folder in ["videos", "labeled-data", "training-datasets", "dlc-models"] {
            files::make_folder(&building.path().join(folder))?;
        }
        config.project_path = slashed(&root);
        bring(building.path(), &root, &mut config, &sized, mode, watch)?;
        config.create(&building.path().join("config.yaml"))?;
        let settings = Settings::default();
        settings.write(building.path())?;
        #[cfg(unix)]
        {
            // Temporary folders are private; a project is as open as any new folder.
            use std::os::unix::fs::PermissionsExt;
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(building.path(), open)
                .map_err(|e| Error::io("make the project", &root, e))?;
        }
        let built = building.keep();
        if let Err(e) = std::fs::rename(&built, &root) {
            let _ = std::fs::remove_dir_all(&built); // only what was made a moment ago
            return Err(Error::io("make the project", &root, e));
        }
        files::sync_folder(&parent)?;
        config.moved_to(&root.join("config.yaml"));
        Ok(Self { root, config, settings })
    }

    /// Adds videos (files, or folders of them) to the project and its `config.yaml`; gives their stems. All are
    /// checked before the first one is added.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when one is not there, [`Kind::Usage`] when one is no video, [`Kind::Exists`] when the
    /// project has one of the same name, whatever `probe` finds wrong, and a failed write.
    pub fn add_videos(
        &mut self,
        videos: &[PathBuf],
        mode: VideoMode,
        probe: Probe<'_>,
        watch: &dyn Watch,
    ) -> Result<Vec<String>> {
        let found = collect(videos)?;
        let sized = checked(&self.config.video_sets, &found, probe, watch)?;
        for (video, ..) in &sized {
            let place = self.root.join("videos").join(video.file_name().unwrap_or_default());
            if place.symlink_metadata().is_ok() && !same_file(&place, video) {
                return Err(Error::new(
                    Kind::Exists,
                    "another file of this name lies in the project's `videos/`",
                )
                .at(place.display())
                .mend("rename one of the two"));
            }
        }
        let mut config = self.config.clone();
        let made = bring(&self.root, &self.root, &mut config, &sized, mode, watch)?;
        if let Err(e) = config.save() {
            for path in made {
                let _ = std::fs::remove_file(path); // links and copies of a moment ago
            }
            return Err(e);
        }
        self.config = config;
        Ok(sized.iter().map(|(v, ..)| stem_of(&slashed(v)).to_owned()).collect())
    }
}

/// Files as they are; of folders the videos in them.
fn collect(videos: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in videos {
        if path.is_dir() {
            let inside = video_files(path);
            if inside.is_empty() {
                return Err(Error::new(Kind::NotFound, "there is no video in this folder")
                    .at(path.display())
                    .mend(format!(
                        "limn knows videos by their ending: {}",
                        super::VIDEO_EXTENSIONS.join(", ")
                    )));
            }
            found.extend(inside);
        } else if !path.exists() {
            return Err(Error::new(Kind::NotFound, "the video does not exist")
                .at(path.display())
                .mend("check the path; quote it when it contains spaces"));
        } else if !is_video(path) {
            return Err(Error::new(Kind::Usage, "this file is no video by its name")
                .at(path.display())
                .mend(format!("limn knows videos by their ending: {}", super::VIDEO_EXTENSIONS.join(", "))));
        } else {
            found.push(path.clone());
        }
    }
    found
        .iter()
        .map(|p| {
            let name = p.file_name().unwrap_or_default();
            // The folder's real place, but the file's own name, even where it is a link to another name.
            let dir = files::folder_of(p);
            std::fs::canonicalize(&dir).map(|d| d.join(name)).map_err(|e| Error::io("find the video", p, e))
        })
        .collect()
}

/// The videos with their frames' sizes, after everything that can be refused was.
fn checked(
    listed: &[VideoSet],
    videos: &[PathBuf],
    probe: Probe<'_>,
    watch: &dyn Watch,
) -> Result<Vec<(PathBuf, usize, usize)>> {
    let mut sized: Vec<(PathBuf, usize, usize)> = Vec::new();
    for video in videos {
        let text = slashed(video);
        let stem = stem_of(&text);
        if video.file_name().and_then(|n| n.to_str()).is_none() {
            return Err(Error::new(Kind::Usage, "the video's name is no readable text")
                .at(video.display())
                .mend("rename it"));
        }
        let twice =
            |what: &str, mend: &str| Err(Error::new(Kind::Exists, what).at(video.display()).mend(mend));
        if let Some(other) = listed.iter().find(|v| v.stem() == stem) {
            return twice(
                &format!("the project has a video `{stem}` already ({})", other.path),
                "labels belong to a video by its name: rename the new file if it is another video",
            );
        }
        if sized.iter().any(|(v, ..)| stem_of(&slashed(v)) == stem) {
            return twice(
                &format!("two of the videos are called `{stem}`"),
                "labels belong to a video by its name: name each file differently, and each only once",
            );
        }
        if stem.ends_with("_labeled") {
            return twice(
                &format!("`{stem}` ends in `_labeled`, as drawn videos do, and its labels would be ignored"),
                "rename the video",
            );
        }
        watch.check()?;
        let (width, height) = probe(video)?;
        sized.push((video.clone(), width, height));
    }
    Ok(sized)
}

/// Links or copies the videos into `at/videos` and lists them as lying in `root/videos`; gives the new files.
fn bring(
    at: &Path,
    root: &Path,
    config: &mut Config,
    videos: &[(PathBuf, usize, usize)],
    mode: VideoMode,
    watch: &dyn Watch,
) -> Result<Vec<PathBuf>> {
    files::make_folder(&at.join("videos"))?;
    let mut made = Vec::new();
    let undo = |made: &[PathBuf]| {
        for path in made {
            let _ = std::fs::remove_file(path);
        }
    };
    for (video, width, height) in videos {
        let name = video.file_name().unwrap_or_default();
        let place = at.join("videos").join(name);
        // It may lie there already, put by hand.
        if !same_file(&place, video) {
            let linked = mode == VideoMode::Link
                && match link(video, &place) {
                    Ok(()) => true,
                    Err(e) => {
                        watch.note(&format!("{}: cannot be linked ({e}), so it is copied", video.display()));
                        false
                    }
                };
            if !linked && let Err(e) = copy(video, &place, watch) {
                undo(&made);
                return Err(e);
            }
            made.push(place);
        }
        let crop = [0, *width, 0, *height].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        config.video_sets.push(VideoSet { path: slashed(&root.join("videos").join(name)), crop: Some(crop) });
    }
    Ok(made)
}

pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    matches!((std::fs::canonicalize(a), std::fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

pub(super) fn link(video: &Path, place: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(video, place);
    #[cfg(windows)]
    return std::os::windows::fs::symlink_file(video, place);
    #[cfg(not(any(unix, windows)))]
    return Err(std::io::ErrorKind::Unsupported.into());
}

/// A whole copy, with progress in bytes.
pub(super) fn copy(video: &Path, place: &Path, watch: &dyn Watch) -> Result<()> {
    let failed = |e| Error::io("copy the video", video, e);
    let mut from = std::fs::File::open(video).map_err(failed)?;
    let size = from.metadata().map_err(failed)?.len();
    watch.begin(&format!("copy {}", video.file_name().unwrap_or_default().to_string_lossy()), Some(size));
    let mut stopped = Ok(());
    let done = files::write_with(place, |to| {
        let mut buffer = vec![0; 1 << 20];
        loop {
            stopped = watch.check();
            if stopped.is_err() {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let n = from.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            to.write_all(&buffer[..n])?;
            watch.advance(n as u64);
        }
    });
    watch.end();
    stopped.and(done)
}
