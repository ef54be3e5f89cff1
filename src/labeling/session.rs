//! The window's side: what is shown, what can be undone, and what the keeper has answered.

use super::keeper::{self, Answer, Command, Opened};
use super::{Notice, Wake};
use crate::error::{Error, Kind, Result};
use crate::pose::{FrameKey, Labels};
use crate::project::history::{Change, Entry, Step as Record};
use crate::project::{
    BodypartChange, Conflict, ConflictPoint, Hidden, Mark, Marks, PointEdit, Project, Severity,
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

/// Where the session stands.
#[derive(Debug)]
pub enum State {
    /// The labels are being read; edits are not taken yet.
    Opening,
    /// Edits are taken.
    Editing,
    /// The labels are shown and follow what others write, and cannot be edited.
    ReadOnly {
        /// One sentence.
        why: String,
    },
    /// The labels cannot be used; nothing on disk was changed.
    Failed(Error),
}

/// How safe a person's edits are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Safety {
    /// Edited points that are only in memory yet.
    pub in_memory: usize,
    /// Edited points that are safe in the journal, and not yet in the label files.
    pub in_journal: usize,
    /// When label tables were last written, also before this session; `None` while there are none.
    pub last_saved: Option<SystemTime>,
    /// Points that have a place, in all pictures together.
    pub labeled_points: usize,
    /// Why edits stay in memory or in the journal, and what is done about it; `None` when all is well.
    pub trouble: Option<String>,
}

/// What was undone or done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it was, such as "place snout".
    pub what: String,
    /// The pictures it touches, in order; at least one.
    pub keys: Vec<FrameKey>,
}

/// Whose labels hold where both sides changed the same points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Those edited here; the files of the other program are written over.
    Mine,
    /// Those of the other program; that is an edit here, and can be undone.
    Theirs,
}

/// A step that the keeper has not yet put into the journal.
struct Pending {
    seq: u64,
    points: Vec<(FrameKey, usize)>,
}

/// One project whose labels are shown and edited. See [the room](super).
pub struct Session {
    project: Project,
    state: State,
    marks: Marks,
    version: u64,
    /// Versions of the pictures that changed since the labels were read, and of all others.
    frame_versions: HashMap<FrameKey, u64>,
    read_version: u64,
    labeled_points: usize,
    done: Vec<Record>,
    undone: Vec<Record>,
    next_id: u64,
    pending: VecDeque<Pending>,
    next_seq: u64,
    safety: Safety,
    conflict: Option<Conflict>,
    notices: Vec<Notice>,
    commands: Option<Sender<Command>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Session {
    /// Begins to read the project's labels, and returns at once; see [`Session::state`].
    #[must_use]
    pub fn open(project: &Project, wake: Wake) -> Self {
        let (commands, from_window) = channel();
        let (to_window, answers) = channel();
        let for_keeper = project.clone();
        let thread = std::thread::Builder::new()
            .name("label keeper".into())
            .spawn(move || keeper::run(for_keeper, &from_window, to_window, &wake));
        let (state, thread) = match thread {
            Ok(thread) => (State::Opening, Some(thread)),
            Err(e) => {
                let e = Error::new(Kind::Io, "the system gives no thread for keeping the labels").because(e);
                (State::Failed(e.mend("close other programs and open the project again")), None)
            }
        };
        Self {
            project: project.clone(),
            state,
            marks: Marks::new(Labels::new(project.config.scorer.clone(), project.skeleton())),
            version: 0,
            frame_versions: HashMap::new(),
            read_version: 0,
            labeled_points: 0,
            done: Vec::new(),
            undone: Vec::new(),
            next_id: 1,
            pending: VecDeque::new(),
            next_seq: 1,
            safety: Safety::default(),
            conflict: None,
            notices: Vec::new(),
            commands: Some(commands),
            answers,
            thread,
        }
    }

    /// Where the session stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The project as it is now, after a change of body parts too.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// What to show: the labels on disk, and the edits under way.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.marks.labels
    }

    /// Whether this point of the skeleton is marked as not visible in this picture.
    #[must_use]
    pub fn is_hidden(&self, key: &FrameKey, point: usize) -> bool {
        self.marks.hidden.contains(key, point)
    }

    /// All points that are marked as not visible.
    #[must_use]
    pub fn hidden(&self) -> &Hidden {
        &self.marks.hidden
    }

    /// What is said of one point.
    #[must_use]
    pub fn mark(&self, key: &FrameKey, point: usize) -> Mark {
        self.marks.get(key, point)
    }

    /// Grows whenever labels or marks change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Grows whenever labels or marks of this picture change; never above [`Session::version`].
    #[must_use]
    pub fn frame_version(&self, key: &FrameKey) -> u64 {
        self.frame_versions.get(key).copied().unwrap_or(self.read_version)
    }

    /// Makes one step of these edits ("place snout"): shown at once, and journalled by the keeper. Edits that change
    /// nothing are passed over; in another state than [`State::Editing`] nothing is edited, with a notice.
    pub fn edit(&mut self, what: &str, edits: Vec<PointEdit>) {
        if !self.may_edit() {
            return;
        }
        let mut points: Vec<Change> = Vec::with_capacity(edits.len());
        let mut places: HashMap<(FrameKey, usize), usize> = HashMap::new();
        let count = self.marks.labels.skeleton.points();
        for PointEdit { key, point, at } in edits {
            let placed = at.place().is_none_or(|p| p.x.is_finite() && p.y.is_finite());
            let named = !key.video.is_empty()
                && !key.video.starts_with('.')
                && !key.video.contains(['/', '\\'])
                && !key.image.is_empty();
            if point >= count || !placed || !named {
                self.tell(
                    Severity::Error,
                    format!("{key}: point {point} cannot be edited so; nothing was changed there"),
                );
                continue;
            }
            let before = self.marks.get(&key, point);
            if let Some(i) = places.get(&(key.clone(), point)) {
                points[*i].after = at;
            } else if before != at {
                places.insert((key.clone(), point), points.len());
                points.push(Change { key: key.clone(), point, before, after: at });
            } else {
                continue;
            }
            self.show(&key, point, at);
        }
        points.retain(|c| c.before != c.after);
        if points.is_empty() {
            return;
        }
        let record = Record { id: self.next_id, what: what.to_owned(), points };
        self.next_id += 1;
        let edits = record.points.iter().map(|c| PointEdit::new(c.key.clone(), c.point, c.after)).collect();
        self.undone.clear();
        self.done.push(record.clone());
        self.send(Entry::Done(record), edits);
    }

    /// Takes back the last step. Points that are not any more as the step left them stay, with a notice.
    pub fn undo(&mut self) -> Option<Step> {
        if self.done.is_empty() || !self.may_edit() {
            return None;
        }
        let record = self.done.pop()?;
        let step = self.turn(&record, Entry::Undone(record.id), |c| (c.after, c.before), "undo");
        self.undone.push(record);
        Some(step)
    }

    /// Does the last step again that was undone. Points that are not any more as they were before it stay, with a
    /// notice.
    pub fn redo(&mut self) -> Option<Step> {
        if self.undone.is_empty() || !self.may_edit() {
            return None;
        }
        let record = self.undone.pop()?;
        let step = self.turn(&record, Entry::Redone(record.id), |c| (c.before, c.after), "redo");
        self.done.push(record);
        Some(step)
    }

    fn turn(
        &mut self,
        record: &Record,
        entry: Entry,
        way: impl Fn(&Change) -> (Mark, Mark),
        word: &str,
    ) -> Step {
        let mut edits = Vec::new();
        let mut keys: Vec<FrameKey> = Vec::new();
        let mut seen = HashSet::new();
        let mut skipped = 0;
        for change in &record.points {
            let (from, to) = way(change);
            if seen.insert(&change.key) {
                keys.push(change.key.clone());
            }
            if self.marks.get(&change.key, change.point).same(from) {
                self.show(&change.key, change.point, to);
                edits.push(PointEdit::new(change.key.clone(), change.point, to));
            } else {
                skipped += 1;
            }
        }
        if skipped > 0 {
            let (n, were) = if skipped == 1 {
                ("1 point".to_owned(), "was")
            } else {
                (format!("{skipped} points"), "were")
            };
            self.tell(
                Severity::Warning,
                format!(
                    "{word} of \"{}\": {n} {were} changed by something else since, and stay as they are",
                    record.what
                ),
            );
        }
        self.send(entry, edits);
        Step { what: record.what.clone(), keys }
    }

    /// What [`Session::undo`] would take back.
    #[must_use]
    pub fn can_undo(&self) -> Option<&str> {
        self.done.last().filter(|_| matches!(self.state, State::Editing)).map(|s| s.what.as_str())
    }

    /// What [`Session::redo`] would do again.
    #[must_use]
    pub fn can_redo(&self) -> Option<&str> {
        self.undone.last().filter(|_| matches!(self.state, State::Editing)).map(|s| s.what.as_str())
    }

    /// Takes the keeper's answers; to be called in every pass. Gives what is to be told.
    pub fn poll(&mut self) -> Vec<Notice> {
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && !matches!(self.state, State::Failed(_))
            && self.answers.try_recv().is_err()
        {
            self.state = State::Failed(
                Error::new(Kind::Io, "the thread that keeps the labels has ended")
                    .at(self.project.root().display())
                    .mend("open the project again; what was reported as saved is safe in the journal"),
            );
        }
        std::mem::take(&mut self.notices)
    }

    /// How safe the edits are.
    #[must_use]
    pub fn safety(&self) -> Safety {
        Safety {
            in_memory: self.pending.iter().map(|p| p.points.len()).sum(),
            labeled_points: self.labeled_points,
            ..self.safety.clone()
        }
    }

    /// Writes the label files now. They follow by themselves about 2 s after the last edit, and at most 5 s after the
    /// first.
    pub fn save(&mut self) {
        self.command(Command::Save);
    }

    /// What a person must decide before some label files can be written.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        self.conflict.as_ref()
    }

    /// Decides it, for all that [`Session::conflict`] shows; what came up since stays open. In another state than
    /// [`State::Editing`] nothing is decided, with a notice.
    pub fn resolve(&mut self, choice: Resolution) {
        if self.conflict.is_none() || !self.may_edit() {
            return;
        }
        let Some(conflict) = self.conflict.take() else { return };
        if choice == Resolution::Theirs {
            let theirs = |c: &ConflictPoint| PointEdit::new(c.key.clone(), c.point, c.theirs);
            self.edit("take over the other program's labels", conflict.points.iter().map(theirs).collect());
        }
        self.command(Command::Settle(Box::new(conflict)));
    }

    /// Reads everything anew, after frames were extracted or the configuration changed. What was edited before is
    /// saved first.
    pub fn reload(&mut self, project: &Project) {
        self.state = State::Opening;
        self.command(Command::Reload(Box::new(project.clone())));
    }

    /// Renames, adds or removes body parts, with the labels carried along. No edits are taken until it is done; then
    /// [`Session::project`] and [`Session::labels`] are the new ones, and a notice says so.
    pub fn change_bodyparts(&mut self, change: BodypartChange) {
        if self.may_edit() {
            self.state = State::Opening;
            self.command(Command::Bodyparts(change));
        }
    }

    /// Saves everything and ends the session; waits for the disk.
    ///
    /// # Errors
    /// When edits could not be saved: those in the journal are found again at the next start, and the message says
    /// how many are lost otherwise.
    pub fn close(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.commands.take()); // the keeper ends at that
        let ended = self.thread.take().map(JoinHandle::join);
        ended.unwrap_or(Ok(Ok(()))).unwrap_or_else(|_| {
            Err(Error::new(Kind::Io, "the thread that keeps the labels has failed")
                .at(self.project.root().display())
                .mend("open the project again; what was reported as saved is safe in the journal"))
        })
    }

    fn may_edit(&mut self) -> bool {
        let why = match &self.state {
            State::Editing => return true,
            State::Opening => "the labels are still being read".to_owned(),
            State::ReadOnly { why } => why.clone(),
            State::Failed(e) => e.what().to_owned(),
        };
        self.tell(Severity::Warning, format!("Not edited: {why}"));
        false
    }

    fn tell(&mut self, severity: Severity, text: String) {
        self.notices.push(Notice::new(severity, text));
    }

    /// Shows what is said of a point now.
    fn show(&mut self, key: &FrameKey, point: usize, mark: Mark) {
        let was = self.marks.get(key, point).place().is_some();
        let is = mark.place().is_some();
        self.labeled_points = self.labeled_points + usize::from(is) - usize::from(was);
        self.marks.put(key, point, mark);
        self.version += 1;
        self.frame_versions.insert(key.clone(), self.version);
    }

    fn send(&mut self, entry: Entry, edits: Vec<PointEdit>) {
        let points = edits.iter().map(|e| (e.key.clone(), e.point)).collect();
        self.pending.push_back(Pending { seq: self.next_seq, points });
        self.command(Command::Edit { seq: self.next_seq, entry, edits });
        self.next_seq += 1;
    }

    fn command(&mut self, command: Command) {
        // A keeper that has ended is noticed by `poll`.
        let _ = self.commands.as_ref().map(|c| c.send(command));
    }

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Opened(opened) => self.opened(*opened),
            Answer::Failed(e) => self.state = State::Failed(e),
            Answer::Back => self.state = State::Editing,
            Answer::Saved(upto) => {
                while self.pending.front().is_some_and(|p| p.seq <= upto) {
                    self.pending.pop_front();
                }
            }
            Answer::InJournal(points) => self.safety.in_journal = points,
            Answer::Flushed(at) => self.safety.last_saved = Some(at),
            Answer::Trouble(trouble) => self.safety.trouble = trouble,
            Answer::Conflict(conflict) => self.conflict = conflict,
            Answer::Notice(notice) => self.notices.push(notice),
            Answer::Changed { points, gone } => {
                for edit in points {
                    let edited =
                        |p: &Pending| p.points.iter().any(|(k, i)| *k == edit.key && *i == edit.point);
                    if !self.pending.iter().any(edited) {
                        self.show(&edit.key, edit.point, edit.at);
                    }
                }
                for key in gone {
                    let empty = self.marks.labels.frames.get(&key).is_some_and(|f| f.labeled() == 0);
                    if empty && !self.pending.iter().any(|p| p.points.iter().any(|(k, _)| *k == key)) {
                        self.marks.remove_row(&key);
                        self.version += 1;
                        self.frame_versions.insert(key, self.version);
                    }
                }
            }
        }
    }

    fn opened(&mut self, opened: Opened) {
        let Opened { project, marks, past, read_only, last_saved } = opened;
        self.safety.last_saved = last_saved;
        self.project = project;
        self.version += 1;
        self.read_version = self.version;
        self.frame_versions.clear();
        let old = std::mem::replace(&mut self.marks, marks);
        self.command(Command::Drop(Box::new(old))); // freeing many labels takes its time
        self.labeled_points = self.marks.labels.labeled_points();
        if let Some(past) = past {
            self.next_id = self.next_id.max(past.next_id);
            self.done = past.done;
            self.undone = past.undone;
        }
        self.state = read_only.map_or(State::Editing, |why| State::ReadOnly { why });
    }
}

impl Drop for Session {
    /// As [`Session::close`], with nobody to tell of errors.
    fn drop(&mut self) {
        let _ = self.end();
    }
}
