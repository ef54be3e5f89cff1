//! All labels of a project, in one place, with edits that no crash loses.

use super::Project;
use super::bodyparts;
use super::check::{Problem, Severity};
use super::journal::{Edit, Journal, replay};
use super::label_files::{FileStamp, LabelFiles, stamp_of};
use super::label_merge::{Dispute, Outside};
use super::marks::{Hidden, Mark, Marks, PointEdit, Rows};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{FrameKey, Keypoint, Labels, PointName};
use crate::watch::Watch;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::Mutex;

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
    pub(super) project: Project,
    pub(super) marks: Marks,
    pub(super) folders: BTreeMap<String, Folder>,
    pub(super) notices: Vec<Problem>,
    /// Folders that came while the labels were open and cannot be used.
    pub(super) refused: BTreeSet<String>,
    /// Held while editing; the lock goes with it.
    lock: Option<File>,
}

#[derive(Debug)]
pub(super) struct Folder {
    pub files: LabelFiles,
    pub journal: Journal,
    /// What the label files say, as they were last read or written.
    pub base: Rows,
    /// To be written although there are no edits.
    pub dirty: bool,
    /// Why the files are not written: what somebody must decide first.
    pub dispute: Dispute,
}

impl LabelStore {
    /// All labels, to look at. Edits of a running labeler that are not yet in the label files are included.
    ///
    /// # Errors
    /// [`Kind::Labels`] when a table cannot be read or does not fit `config.yaml`.
    pub fn read(project: &Project, watch: &dyn Watch) -> Result<Self> {
        crate::watch::may_wait("reading labels");
        bodyparts::must_be_finished(project)?;
        Self::open(project, None, watch)
    }

    /// All labels, to edit. A body part that has no columns yet begins unlabelled. A change of the body parts that was
    /// interrupted is finished first; [`LabelStore::project`] is the project after that.
    ///
    /// # Errors
    /// As [`LabelStore::read`]; [`Kind::Exists`] when another limn edits this project's labels.
    pub fn edit(project: &Project, watch: &dyn Watch) -> Result<Self> {
        crate::watch::may_wait("reading labels");
        let lock = lock(project)?;
        match bodyparts::finish(project, &lock, watch)? {
            Some(changed) => Self::open(&changed, Some(lock), watch),
            None => Self::open(project, Some(lock), watch),
        }
    }

    pub(super) fn open(project: &Project, lock: Option<File>, watch: &dyn Watch) -> Result<Self> {
        let editing = lock.is_some();
        let mut store = Self {
            project: project.clone(),
            marks: Marks::new(Labels::new(project.config.scorer.clone(), project.skeleton())),
            folders: BTreeMap::new(),
            notices: Vec::new(),
            refused: BTreeSet::new(),
            lock,
        };
        for video in project.labeled_videos()? {
            watch.check()?;
            store.open_told(&video, editing, watch)?;
        }
        Ok(store)
    }

    /// Opens a folder and remembers what was to be told of it.
    pub(super) fn open_told(&mut self, video: &str, editing: bool, watch: &dyn Watch) -> Result<()> {
        let recorder = Recorder { inner: watch, warnings: Mutex::default() };
        let opened = self.open_folder(video, editing, &recorder);
        for what in recorder.warnings.into_inner().unwrap_or_default() {
            let place = format!("labeled-data/{video}");
            self.notices.push(Problem { severity: Severity::Warning, place, what, mend: String::new() });
        }
        opened
    }

    fn open_folder(&mut self, video: &str, editing: bool, watch: &dyn Watch) -> Result<()> {
        let project = &self.project;
        let mut files = LabelFiles::new(project, video);
        if editing {
            files.clear_away();
        }
        let mut base = Rows::new();
        if let Some(there) = files.load(project, video, editing, watch)? {
            base = there.rows_of(video);
            self.marks.take_in(there);
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
            for edit in &left.edits {
                apply(&mut self.marks, video, edit).map_err(|e| e.at(path.display()))?;
            }
            let after = self.marks.rows_of(video);
            let changed = after.iter().filter(|(k, f)| base.get(*k).is_none_or(|b| b != *f)).count();
            // What is replaced may be another program's, written after these edits.
            let replaces = base.iter().any(|(k, row)| {
                let at = |i: usize| after.get(k).and_then(|r| r.get(i)).copied().unwrap_or_default();
                row.iter().enumerate().any(|(i, b)| *b != Mark::Unlabeled && !b.same(at(i)))
            });
            if changed > 0 {
                if editing {
                    if replaces {
                        files.keep_all_copies("before-recovery")?;
                    }
                    watch.warn(&format!(
                        "{}: unsaved label edits of {changed} pictures are recovered{}",
                        path.display(),
                        if replaces {
                            "; they replace labels in the files, which are kept as they were as `.before-recovery`"
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
        self.folders.insert(video.to_owned(), Folder::new(files, journal, base));
        Ok(())
    }

    /// All labels, in the project's points.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.marks.labels
    }

    /// The points that are marked as not visible.
    #[must_use]
    pub fn hidden(&self) -> &Hidden {
        &self.marks.hidden
    }

    /// Labels and marks together, for a view of its own.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// What is said of one point.
    #[must_use]
    pub fn mark(&self, key: &FrameKey, point: usize) -> Mark {
        self.marks.get(key, point)
    }

    /// What was noticed when the labels were opened.
    #[must_use]
    pub fn notices(&self) -> &[Problem] {
        &self.notices
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
        self.set_all(&[PointEdit::new(key.clone(), point, at)])
    }

    /// Sets, hides or removes many labels at once, with one sync a folder.
    ///
    /// # Errors
    /// As [`LabelStore::set`].
    pub fn set_all(&mut self, edits: &[PointEdit]) -> Result<()> {
        crate::watch::may_wait("writing labels");
        let mut by_video: BTreeMap<&str, Vec<Edit>> = BTreeMap::new();
        for e in edits {
            let Some(name) = self.marks.labels.skeleton.point(e.point) else {
                return Err(Error::new(
                    Kind::Usage,
                    format!("there is no point {} in this project", e.point),
                )
                .at(&e.key));
            };
            if e.at.place().is_some_and(|p| !p.x.is_finite() || !p.y.is_finite()) {
                return Err(Error::new(Kind::Usage, "a label must be at a place in the picture").at(&e.key));
            }
            let (image, individual, bodypart) =
                (e.key.image.clone(), name.individual.to_owned(), name.bodypart.to_owned());
            by_video.entry(&e.key.video).or_default().push(match e.at {
                Mark::Hidden => Edit::Hide { image, individual, bodypart },
                mark => Edit::Set { image, individual, bodypart, at: mark.place().map(|p| [p.x, p.y]) },
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
            return Err(Error::new(Kind::Usage, "the labels were opened to look only")
                .at(self.project.root().display()));
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
            let files = LabelFiles::new(&self.project, video);
            self.folders.insert(video.to_owned(), Folder::new(files, journal, Rows::new()));
        }
        if let Some(folder) = self.folders.get_mut(video) {
            folder.journal.append(edits)?;
        }
        for edit in edits {
            apply(&mut self.marks, video, edit)?;
        }
        Ok(())
    }

    /// Writes the label files of every folder with edits, reads them back, and empties their journals. Gives the
    /// number of folders written. A folder where somebody must decide first is left alone.
    ///
    /// # Errors
    /// [`Kind::Exists`] when another program wrote the files meanwhile, or a failed write, the first of them; the
    /// edits stay in the journal then. The other folders are written all the same.
    pub fn flush(&mut self, watch: &dyn Watch) -> Result<usize> {
        crate::watch::may_wait("writing labels");
        let mut written = 0;
        let mut failed = None;
        for video in self.to_flush() {
            match self.flush_folder(&video, watch) {
                Ok(()) => written += 1,
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        failed.map_or(Ok(written), Err)
    }

    /// The folders with something to write that may be written.
    pub(crate) fn to_flush(&self) -> Vec<String> {
        let due = |f: &Folder| (f.journal.edits > 0 || f.dirty) && f.dispute.is_settled();
        self.folders.iter().filter(|(_, f)| due(f)).map(|(video, _)| video.clone()).collect()
    }

    /// As [`LabelStore::flush`], one folder alone.
    pub(crate) fn flush_folder(&mut self, video: &str, watch: &dyn Watch) -> Result<()> {
        let rows = self.marks.rows_of(video);
        self.folders.get_mut(video).map_or(Ok(()), |folder| folder.save(video, rows, &self.project, watch))
    }

    /// The state of all label files and journals, to see whether somebody wrote.
    pub(crate) fn fingerprint(project: &Project) -> Result<Fingerprint> {
        let of = |video: String| {
            let journal = stamp_of(&project.labeled_data(&video).join("labels.journal"));
            let files = LabelFiles::new(project, &video).now();
            (video, files, journal)
        };
        Ok(Fingerprint(project.labeled_videos()?.into_iter().map(of).collect()))
    }

    /// Looks whether another program wrote label files, and takes in what it changed. See [`Outside`].
    pub(crate) fn look_outside(&mut self, watch: &dyn Watch) -> Result<Outside> {
        Outside::look(self, watch)
    }

    /// The person decided that what this store says holds in all that this conflict shows.
    pub(crate) fn settle(&mut self, shown: &super::Conflict) {
        for (video, folder) in &mut self.folders {
            folder.settle(video, shown);
        }
    }

    /// When label tables were last written, by whomever; `None` when there are none.
    pub(crate) fn last_written(&self) -> Option<std::time::SystemTime> {
        self.folders.values().filter_map(|f| f.files.last_written()).max()
    }
}

/// See [`LabelStore::fingerprint`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fingerprint(Vec<(String, super::label_files::Stamp, FileStamp)>);

impl Folder {
    fn new(files: LabelFiles, journal: Journal, base: Rows) -> Self {
        Self { files, journal, base, dirty: false, dispute: Dispute::default() }
    }

    fn save(&mut self, video: &str, rows: Rows, project: &Project, watch: &dyn Watch) -> Result<()> {
        let hidden = |rows: &Rows| {
            let all = rows.iter().flat_map(|(k, row)| row.iter().enumerate().map(move |(i, m)| (k, i, m)));
            all.filter(|(.., m)| **m == Mark::Hidden).map(|(k, i, _)| (k.clone(), i)).collect::<Vec<_>>()
        };
        let now_hidden = hidden(&rows);
        let hidden_too = hidden(&self.base) != now_hidden || (self.dirty && !now_hidden.is_empty());
        let dir = project.labeled_data(video);
        // The folder alone, never the way to it: a project that was moved or unplugged is not begun anew here.
        if !dir.exists() {
            std::fs::create_dir(&dir).map_err(|e| Error::io("make the folder again", &dir, e))?;
        }
        self.files.save(&rows, hidden_too, project, watch)?;
        self.base = rows;
        self.dirty = false;
        self.journal.clear()
    }
}

/// Makes an edit.
fn apply(marks: &mut Marks, video: &str, edit: &Edit) -> Result<()> {
    let (image, individual, bodypart, mark) = match edit {
        Edit::Set { image, individual, bodypart, at } => {
            (image, individual, bodypart, Mark::from(at.map(|[x, y]| Keypoint::new(x, y))))
        }
        Edit::Hide { image, individual, bodypart } => (image, individual, bodypart, Mark::Hidden),
        Edit::ClearFrame { image } => {
            let key = FrameKey::new(video, image.clone());
            for point in 0..marks.labels.skeleton.points() {
                marks.put(&key, point, Mark::Unlabeled);
            }
            return Ok(());
        }
    };
    let Some(point) = marks.labels.skeleton.index_of(PointName { individual, bodypart }) else {
        return Err(Error::new(
            Kind::Labels,
            format!("an unsaved edit is of the body part `{bodypart}`, which config.yaml lacks now"),
        )
        .mend(format!(
            "add `{bodypart}` to config.yaml again, or move the journal away to give up its edits"
        )));
    };
    marks.put(&FrameKey::new(video, image.clone()), point, mark);
    Ok(())
}

/// The right to edit a project's labels, for as long as the file is open.
pub(super) fn lock(project: &Project) -> Result<File> {
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
