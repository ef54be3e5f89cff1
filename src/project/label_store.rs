//! All labels of a project, in one place, with edits that no crash loses.

use super::Project;
use super::check::{Problem, Severity};
use super::journal::{Edit, Journal, replay};
use super::label_files::LabelFiles;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{FrameKey, Keypoint, LabeledFrame, Labels, PointName};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Mutex;

/// One change to one label.
#[derive(Debug, Clone, PartialEq)]
pub struct PointEdit {
    /// The picture.
    pub key: FrameKey,
    /// The point's index in the skeleton.
    pub point: usize,
    /// Where it is now, in pixels of the picture; `None` removes it.
    pub at: Option<Keypoint>,
}

/// All labels of a project's scorer.
///
/// An edit goes first to the folder's journal and is synced there; [`LabelStore::flush`] writes the label files (CSV
/// and HDF5) whole, reads them back, and then empties the journal. Opening replays what a crash left in a journal.
///
/// ```
/// # use limn::project::{LabelStore, NewProject, Project, VideoMode};
/// # use limn::pose::{FrameKey, Keypoint};
/// # use limn::watch::Quiet;
/// # let dir = tempfile::tempdir()?;
/// # let new = NewProject::single("reaching", "Ada", ["hand"]);
/// # let watch = Quiet::default();
/// # let probe = |_: &std::path::Path| Ok((640, 480));
/// # let project = Project::create(dir.path(), &new, &[], VideoMode::Link, &probe, &watch)?;
/// let mut store = LabelStore::edit(&project, &watch)?;
/// store.set(&FrameKey::new("m1", "img0007.png"), 0, Some(Keypoint::new(12.5, 30.0)))?;
/// store.flush(&watch)?;
/// assert!(project.labeled_data("m1").join("CollectedData_Ada.csv").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LabelStore {
    root: PathBuf,
    project: Project,
    labels: Labels,
    folders: BTreeMap<String, Folder>,
    pub(super) notices: Vec<Problem>,
    /// Held while editing; the lock goes with it.
    lock: Option<File>,
}

#[derive(Debug)]
struct Folder {
    files: LabelFiles,
    journal: Journal,
}

impl LabelStore {
    /// All labels, to look at. Edits of a running labeler that are not yet in the label files are included.
    ///
    /// # Errors
    /// [`Kind::Labels`] when a table cannot be read or does not fit `config.yaml`.
    pub fn read(project: &Project, watch: &dyn Watch) -> Result<Self> {
        Self::open(project, None, watch)
    }

    /// All labels, to edit. A body part that has no columns yet begins unlabelled.
    ///
    /// # Errors
    /// As [`LabelStore::read`]; [`Kind::Exists`] when another limn edits this project's labels.
    pub fn edit(project: &Project, watch: &dyn Watch) -> Result<Self> {
        let lock = lock(project)?;
        Self::open(project, Some(lock), watch)
    }

    fn open(project: &Project, lock: Option<File>, watch: &dyn Watch) -> Result<Self> {
        let editing = lock.is_some();
        let mut store = Self {
            root: project.root().to_path_buf(),
            project: project.clone(),
            labels: Labels::new(project.config.scorer.clone(), project.skeleton()),
            folders: BTreeMap::new(),
            notices: Vec::new(),
            lock,
        };
        for video in project.labeled_videos()? {
            watch.check()?;
            let recorder = Recorder { inner: watch, warnings: Mutex::default() };
            store.open_folder(&video, editing, &recorder)?;
            for what in recorder.warnings.into_inner().unwrap_or_default() {
                let place = format!("labeled-data/{video}");
                store.notices.push(Problem { severity: Severity::Warning, place, what, mend: String::new() });
            }
        }
        Ok(store)
    }

    fn open_folder(&mut self, video: &str, editing: bool, watch: &dyn Watch) -> Result<()> {
        let project = &self.project;
        let mut files = LabelFiles::new(project, video);
        if let Some(labels) = files.load(project, video, editing, watch)? {
            self.labels.frames.extend(labels.frames);
        }
        let path = project.labeled_data(video).join("labels.journal");
        let left = replay(&path)?;
        if let Some(left) = &left {
            if left.torn && editing {
                watch.warn(&format!(
                    "{}: the last edit was cut off by a crash and is lost; the {} before it are whole",
                    path.display(),
                    left.edits.len()
                ));
            }
            if !left.damaged.is_empty() {
                watch.warn(&format!(
                    "{}: {} lines are damaged and left out",
                    path.display(),
                    left.damaged.len()
                ));
            }
            // Counted by the outcome: after a crash between saving and emptying the journal nothing changes.
            let before = of_video(&self.labels, video);
            for edit in &left.edits {
                apply(&mut self.labels, video, edit).map_err(|e| e.at(path.display()))?;
            }
            let after = of_video(&self.labels, video);
            let changed = after.iter().filter(|(k, f)| before.get(*k).is_none_or(|b| b != *f)).count();
            if changed > 0 {
                let later = std::fs::metadata(&path).and_then(|m| m.modified()).ok() < files.last_written();
                if editing {
                    if later {
                        files.keep_copies("before-recovery")?;
                    }
                    watch.warn(&format!(
                        "{}: unsaved label edits of {changed} pictures are recovered{}",
                        path.display(),
                        if later {
                            "; the label files were changed after them, and are kept as they were as `.before-recovery`"
                        } else {
                            ""
                        }
                    ));
                } else {
                    watch.note(&format!(
                        "{}: edits of {changed} pictures that are not yet in the label files are included",
                        path.display()
                    ));
                }
            }
        }
        let journal = if editing { Journal::open(path, left.as_ref())? } else { Journal::open(path, None)? };
        self.folders.insert(video.to_owned(), Folder { files, journal });
        Ok(())
    }

    /// All labels, in the project's points.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The project it was opened on.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Edits that are in the journal and not yet in the label files.
    #[must_use]
    pub fn unsaved(&self) -> usize {
        self.folders.values().map(|f| f.journal.edits).sum()
    }

    /// Sets one label, or removes it. It is safe on disk, in the journal, when this returns.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is no such point, the place is no number, or the store was opened to look only;
    /// the operating system's error when the journal cannot be written: then nothing has changed.
    pub fn set(&mut self, key: &FrameKey, point: usize, at: Option<Keypoint>) -> Result<()> {
        self.set_all(&[PointEdit { key: key.clone(), point, at }])
    }

    /// Sets or removes many labels at once, with one sync a folder.
    ///
    /// # Errors
    /// As [`LabelStore::set`].
    pub fn set_all(&mut self, edits: &[PointEdit]) -> Result<()> {
        let mut by_video: BTreeMap<&str, Vec<Edit>> = BTreeMap::new();
        for e in edits {
            let Some(name) = self.labels.skeleton.point(e.point) else {
                return Err(Error::new(
                    Kind::Usage,
                    format!("there is no point {} in this project", e.point),
                )
                .at(&e.key));
            };
            if e.at.is_some_and(|p| !p.x.is_finite() || !p.y.is_finite()) {
                return Err(Error::new(Kind::Usage, "a label must be at a place in the picture").at(&e.key));
            }
            by_video.entry(&e.key.video).or_default().push(Edit::Set {
                image: e.key.image.clone(),
                individual: name.individual.to_owned(),
                bodypart: name.bodypart.to_owned(),
                at: e.at.map(|p| [p.x, p.y]),
            });
        }
        for (video, edits) in by_video {
            self.record(video, &edits)?;
        }
        Ok(())
    }

    /// Removes all labels of a picture; its row stays, empty.
    ///
    /// # Errors
    /// As [`LabelStore::set`].
    pub fn clear_frame(&mut self, key: &FrameKey) -> Result<()> {
        self.record(&key.video, &[Edit::ClearFrame { image: key.image.clone() }])
    }

    fn record(&mut self, video: &str, edits: &[Edit]) -> Result<()> {
        if self.lock.is_none() {
            return Err(
                Error::new(Kind::Usage, "the labels were opened to look only").at(self.root.display())
            );
        }
        if video.is_empty() || video.starts_with('.') || video.contains(['/', '\\']) {
            return Err(Error::new(
                Kind::Usage,
                format!("`{video}` cannot be the name of a folder of labels"),
            ));
        }
        if !self.folders.contains_key(video) {
            let dir = self.project.labeled_data(video);
            files::make_folder(&dir)?;
            let journal = Journal::open(dir.join("labels.journal"), None)?;
            self.folders
                .insert(video.to_owned(), Folder { files: LabelFiles::new(&self.project, video), journal });
        }
        if let Some(folder) = self.folders.get_mut(video) {
            folder.journal.append(edits)?;
        }
        for edit in edits {
            apply(&mut self.labels, video, edit)?;
        }
        Ok(())
    }

    /// Writes the label files of every folder with edits, reads them back, and empties their journals. Gives the
    /// number of folders written.
    ///
    /// # Errors
    /// [`Kind::Exists`] when another program wrote the files meanwhile, or a failed write; the edits stay in the
    /// journal then.
    pub fn flush(&mut self, watch: &dyn Watch) -> Result<usize> {
        let mut written = 0;
        for (video, folder) in &mut self.folders {
            if folder.journal.edits == 0 {
                continue;
            }
            let mut labels = Labels::new(self.labels.scorer.clone(), self.labels.skeleton.clone());
            labels.frames = of_video(&self.labels, video);
            folder.files.save(&labels, watch)?;
            folder.journal.clear()?;
            written += 1;
        }
        Ok(written)
    }
}

/// The labelled pictures of one video.
fn of_video(labels: &Labels, video: &str) -> BTreeMap<FrameKey, LabeledFrame> {
    labels.frames.iter().filter(|(k, _)| k.video == video).map(|(k, f)| (k.clone(), f.clone())).collect()
}

/// Makes an edit.
fn apply(labels: &mut Labels, video: &str, edit: &Edit) -> Result<()> {
    match edit {
        Edit::Set { image, individual, bodypart, at } => {
            let name = PointName { individual, bodypart };
            let Some(point) = labels.skeleton.index_of(name) else {
                return Err(Error::new(
                    Kind::Labels,
                    format!("an unsaved edit is of the body part `{bodypart}`, which config.yaml lacks now"),
                )
                .mend(format!(
                    "add `{bodypart}` to config.yaml again, or move the journal away to give up its edits"
                )));
            };
            let key = FrameKey::new(video, image.clone());
            labels.set(&key, point, at.map(|[x, y]| Keypoint::new(x, y)));
        }
        Edit::ClearFrame { image } => {
            let key = FrameKey::new(video, image.clone());
            for point in 0..labels.skeleton.points() {
                labels.set(&key, point, None);
            }
        }
    }
    Ok(())
}

/// The right to edit a project's labels, for as long as the file is open.
fn lock(project: &Project) -> Result<File> {
    let dir = project.root().join("labeled-data");
    files::make_folder(&dir)?;
    let path = dir.join(".limn.lock");
    let failed = |e| Error::io("lock the labels for editing", &path, e);
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match fs2::FileExt::try_lock_exclusive(&file) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
            let mut who = String::new();
            let _ = file.read_to_string(&mut who);
            let who =
                if who.trim().is_empty() { String::new() } else { format!(" (process {})", who.trim()) };
            return Err(Error::new(
                Kind::Exists,
                format!("another limn{who} is editing the labels of this project"),
            )
            .at(project.root().display())
            .mend("close it first; two editors at once would lose labels"));
        }
        Err(e) => return Err(failed(e)),
    }
    // Only for the message above.
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = write!(file, "{}", std::process::id());
    Ok(file)
}

/// Passes everything on and remembers the warnings.
struct Recorder<'w> {
    inner: &'w dyn Watch,
    warnings: Mutex<Vec<String>>,
}

impl Watch for Recorder<'_> {
    fn begin(&self, stage: &str, total: Option<u64>) {
        self.inner.begin(stage, total);
    }
    fn advance(&self, units: u64) {
        self.inner.advance(units);
    }
    fn status(&self, text: &str) {
        self.inner.status(text);
    }
    fn note(&self, text: &str) {
        self.inner.note(text);
    }
    fn warn(&self, text: &str) {
        if let Ok(mut w) = self.warnings.lock() {
            w.push(text.to_owned());
        }
        self.inner.warn(text);
    }
    fn end(&self) {
        self.inner.end();
    }
    fn stopped(&self) -> bool {
        self.inner.stopped()
    }
}

#[cfg(test)]
#[path = "label_tests.rs"]
mod tests;
