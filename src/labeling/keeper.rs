//! The keeper: the thread that owns the label store and does all reading and writing for a session.

use super::{Notice, Wake};
use crate::error::{Error, Kind, Result};
use crate::project::history::{Entry, History, Past};
use crate::project::{
    BodypartChange, Conflict, Fingerprint, LabelStore, Marks, PointEdit, Project, Severity,
};
use crate::watch::Quiet;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

/// Label files are written so long after the last edit,
const QUIET: Duration = Duration::from_secs(2);
/// and at most so long after the first.
const LATEST: Duration = Duration::from_secs(5);
/// What failed is tried again, and the files are looked at, so often.
const AGAIN: Duration = Duration::from_secs(2);
/// A change by another program is read when nothing more was written for so long.
const SETTLED: Duration = Duration::from_millis(500);
/// At most so many steps go into the journal with one sync.
const BATCH: usize = 1000;

/// What the window asks for.
pub(super) enum Command {
    Edit {
        seq: u64,
        entry: Entry,
        edits: Vec<PointEdit>,
    },
    Save,
    /// The person has decided all that is shown here.
    Settle(Box<Conflict>),
    Reload(Box<Project>),
    Bodyparts(BodypartChange),
    /// Something large to be freed here.
    Drop(Box<Marks>),
}

/// What the keeper answers.
pub(super) enum Answer {
    Opened(Box<Opened>),
    Failed(Error),
    /// Nothing came of a change; the session goes on as it was.
    Back,
    /// All steps up to this one are in the journal.
    Saved(u64),
    InJournal(usize),
    Flushed(SystemTime),
    Trouble(Option<String>),
    Conflict(Option<Conflict>),
    Notice(Notice),
    /// Another program's changes.
    Changed {
        points: Vec<PointEdit>,
        gone: Vec<crate::pose::FrameKey>,
    },
}

/// The labels were read.
pub(super) struct Opened {
    pub project: Project,
    pub marks: Marks,
    /// `None` leaves what can be undone as it is.
    pub past: Option<Past>,
    /// Why they can only be looked at.
    pub read_only: Option<String>,
    pub last_saved: Option<SystemTime>,
}

struct Keeper<'c> {
    commands: &'c Receiver<Command>,
    project: Project,
    store: Option<LabelStore>,
    history: Option<History>,
    answers: Sender<Answer>,
    told_something: bool,
    todo: VecDeque<Command>,
    /// Entries that could not be written to the history yet.
    unwritten: Vec<Entry>,
    /// Steps up to this one are in the history, or in `unwritten`.
    in_history: u64,
    history_failed: bool,
    /// Since when there is something to write to the label files, and when the last of it came.
    dirty: Option<(Instant, Instant)>,
    retry_journal: Option<Instant>,
    retry_files: Option<Instant>,
    /// The causes alone.
    journal_trouble: Option<String>,
    files_trouble: Option<String>,
    next_look: Instant,
    /// What was last told, so that only changes are.
    told: (usize, Option<String>, Option<Conflict>),
    /// The files as they were last read, in a session that only looks.
    looking: Option<Option<Fingerprint>>,
}

/// The thread's work, until the window lets go of its end.
pub(super) fn run(
    project: Project,
    commands: &Receiver<Command>,
    answers: Sender<Answer>,
    wake: &Wake,
) -> Result<()> {
    let mut keeper = Keeper {
        commands,
        project,
        store: None,
        history: None,
        answers,
        told_something: false,
        todo: VecDeque::new(),
        unwritten: Vec::new(),
        in_history: 0,
        history_failed: false,
        dirty: None,
        retry_journal: None,
        retry_files: None,
        journal_trouble: None,
        files_trouble: None,
        next_look: Instant::now() + AGAIN,
        told: (0, None, None),
        looking: None,
    };
    keeper.open();
    loop {
        keeper.say_what_changed();
        if std::mem::take(&mut keeper.told_something) {
            wake();
        }
        match commands.recv_timeout(keeper.wait()) {
            Ok(command) => {
                keeper.todo.push_back(command);
                keeper.todo.extend(commands.try_iter());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return keeper.finish(),
        }
        keeper.work();
    }
}

/// Whether labels can still be looked at: another limn edits them, or the disk takes no writes.
fn only_to_look(e: &Error) -> bool {
    matches!(e.kind(), Kind::Exists | Kind::Io)
}

impl Keeper<'_> {
    fn answer(&mut self, answer: Answer) {
        // The window may have gone; everything is still done to the end.
        let _ = self.answers.send(answer);
        self.told_something = true;
    }

    fn tell(&mut self, severity: Severity, text: impl Into<String>) {
        self.answer(Answer::Notice(Notice::new(severity, text)));
    }

    fn say_what_changed(&mut self) {
        let (in_journal, conflict) = self.store.as_ref().map_or((0, None), |s| (s.unsaved(), s.conflict()));
        let trouble = match (&self.journal_trouble, &self.files_trouble) {
            (Some(why), _) => Some(format!(
                "Edits cannot be saved: {why}\nThey are kept in memory, and saving is tried again every 2 s; do not close \
                 the program."
            )),
            (None, Some(why)) => Some(format!(
                "The label files cannot be written: {why}\n{}, and writing is tried again every 2 s.",
                match self.store.as_ref().is_some_and(|s| !s.unwritten().is_empty()) {
                    true => "All labels are kept in memory; do not close the program",
                    false => "All edits are safe in the journal",
                }
            )),
            (None, None) => None,
        };
        if self.told.0 != in_journal {
            self.answer(Answer::InJournal(in_journal));
        }
        if self.told.1 != trouble {
            self.answer(Answer::Trouble(trouble.clone()));
        }
        if self.told.2 != conflict {
            self.answer(Answer::Conflict(conflict.clone()));
        }
        self.told = (in_journal, trouble, conflict);
    }

    /// Reads the labels, to edit them when nobody else does.
    fn open(&mut self) {
        self.store = None; // and its lock
        self.looking = None;
        self.dirty = None;
        let watch = Quiet::default();
        match LabelStore::edit(&self.project, &watch) {
            Ok(store) => self.opened_to_edit(store, &watch),
            Err(e) if only_to_look(&e) => self.read_only(e.what()),
            Err(e) => self.answer(Answer::Failed(e)),
        }
    }

    fn opened_to_edit(&mut self, store: LabelStore, watch: &Quiet) {
        self.looking = None;
        self.project = store.project().clone();
        let (history, past) = History::open(&self.project, store.marks());
        for text in watch.warnings().into_iter().chain(past.notices.iter().cloned()) {
            self.tell(Severity::Warning, text);
        }
        self.history = Some(history);
        if !store.to_flush().is_empty() {
            self.dirty = Some((Instant::now(), Instant::now()));
        }
        self.answer(Answer::Opened(Box::new(Opened {
            project: self.project.clone(),
            marks: store.marks().clone(),
            past: Some(past),
            read_only: None,
            last_saved: store.last_written(),
        })));
        self.store = Some(store);
    }

    /// Reads the labels only to look at; `why` says who edits them.
    fn read_only(&mut self, why: &str) {
        let print = LabelStore::fingerprint(&self.project).ok();
        let watch = Quiet::default();
        match LabelStore::read(&self.project, &watch) {
            Ok(store) => self.answer(Answer::Opened(Box::new(Opened {
                project: self.project.clone(),
                marks: store.marks().clone(),
                past: None,
                read_only: Some(why.to_owned()),
                last_saved: store.last_written(),
            }))),
            // Shown once; what was read before stays in sight.
            Err(e) if self.looking.is_some() => self.tell(Severity::Warning, e.to_string()),
            Err(e) => self.answer(Answer::Failed(e)),
        }
        if self.looking.is_none() {
            watch.warnings().into_iter().for_each(|text| self.tell(Severity::Warning, text));
        }
        self.looking = Some(print);
    }

    /// How long there is nothing to do.
    fn wait(&self) -> Duration {
        let due = [Some(self.next_look), self.retry_journal, self.flush_due()];
        let first = due.into_iter().flatten().min().unwrap_or(self.next_look);
        first.saturating_duration_since(Instant::now())
    }

    fn flush_due(&self) -> Option<Instant> {
        let (first, last) = self.dirty?;
        let due = (last + QUIET).min(first + LATEST);
        Some(self.retry_files.map_or(due, |again| again.max(due)))
    }

    fn work(&mut self) {
        let now = Instant::now();
        if self.retry_journal.is_none_or(|at| now >= at) {
            self.retry_journal = None;
            self.do_commands();
        }
        if self.flush_due().is_some_and(|at| now >= at) {
            self.flush();
        }
        if now >= self.next_look {
            self.next_look = Instant::now() + AGAIN;
            self.look();
        }
    }

    /// Does what the window asked for, in order; a journal that cannot be written holds up all that comes after.
    fn do_commands(&mut self) {
        loop {
            match self.todo.front() {
                None => return,
                Some(Command::Edit { .. }) => {
                    if !self.journal() {
                        return;
                    }
                    continue;
                }
                Some(_) => {}
            }
            match self.todo.pop_front() {
                Some(Command::Save) => self.flush(),
                Some(Command::Settle(shown)) => {
                    if let Some(store) = &mut self.store {
                        store.settle(&shown);
                    }
                    // The window shows nothing now; what is left must be told again.
                    self.told.2 = Some(Conflict::default());
                    self.flush();
                }
                Some(Command::Reload(project)) => self.reload(*project),
                Some(Command::Bodyparts(change)) => self.change_bodyparts(&change),
                Some(Command::Drop(labels)) => drop(labels),
                Some(Command::Edit { .. }) | None => {}
            }
        }
    }

    /// Puts the first edits in the queue into the journal, with one sync; whether that went well.
    fn journal(&mut self) -> bool {
        let mut all = Vec::new();
        let (mut steps, mut upto) = (0, 0);
        for command in self.todo.iter().take(BATCH) {
            let Command::Edit { seq, entry, edits } = command else { break };
            if *seq > self.in_history {
                self.unwritten.push(entry.clone());
                self.in_history = *seq;
            }
            all.extend(edits.iter().cloned());
            (steps, upto) = (steps + 1, *seq);
        }
        self.remember();
        let Some(store) = &mut self.store else {
            // Edits are taken only while there is a store, so this is a fault of ours; it must not go unseen.
            self.tell(Severity::Error, "an edit came while the labels were not open, and is lost");
            self.todo.pop_front();
            return true;
        };
        let mut written = store.set_all(&all);
        if written.as_ref().is_err_and(|e| e.kind() == Kind::Usage) {
            // One of them can never be written; the others must not wait for it.
            (steps, written) = (1, Ok(()));
            if let Some(Command::Edit { seq, edits, .. }) = self.todo.front() {
                upto = *seq;
                written = store.set_all(edits);
            }
            if let Err(e) = &written
                && e.kind() == Kind::Usage
            {
                let text = e.to_string();
                self.tell(Severity::Error, text);
                written = Ok(());
            }
        }
        match written {
            Ok(()) => {
                self.todo.drain(..steps);
                self.answer(Answer::Saved(upto));
                let now = Instant::now();
                self.dirty = Some((self.dirty.map_or(now, |(first, _)| first), now));
                if self.journal_trouble.take().is_some() {
                    self.tell(
                        Severity::Note,
                        "The journal can be written again; all edits are safe on disk.",
                    );
                }
                true
            }
            Err(e) => {
                self.journal_trouble = Some(e.to_string());
                self.retry_journal = Some(Instant::now() + AGAIN);
                false
            }
        }
    }

    /// Writes what is new to the history. A history that cannot be written holds up nothing.
    fn remember(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let (Some(history), Some(store)) = (&self.history, &self.store) else { return };
        match history.append(&self.unwritten, store.marks()) {
            Ok(()) => {
                self.unwritten.clear();
                self.history_failed = false;
            }
            Err(e) if !self.history_failed => {
                self.history_failed = true;
                self.tell(
                    Severity::Warning,
                    format!("The history for undo cannot be written for now; undo works as long as this window is open. {e}"),
                );
            }
            Err(_) => {}
        }
    }

    fn flush(&mut self) {
        let due = self.store.as_ref().map(LabelStore::to_flush).unwrap_or_default();
        let watch = Quiet::default();
        let mut written = Ok(0);
        for video in due {
            let Some(store) = &mut self.store else { return };
            match (store.flush_folder(&video, &watch), &mut written) {
                (Ok(()), Ok(folders)) => *folders += 1,
                (Err(e), Ok(_)) => written = Err(e),
                (_, Err(_)) => {}
            }
            // Edits made meanwhile must not wait until all folders are done.
            self.todo.extend(self.commands.try_iter());
            if self.retry_journal.is_none() && matches!(self.todo.front(), Some(Command::Edit { .. })) {
                self.journal();
            }
        }
        let more = self.store.as_ref().is_some_and(|s| !s.to_flush().is_empty());
        watch.warnings().into_iter().for_each(|text| self.tell(Severity::Warning, text));
        self.remember();
        if let Some(Err(e)) = self.history.as_ref().map(History::sync)
            && !self.history_failed
        {
            self.history_failed = true;
            self.tell(Severity::Warning, e.to_string());
        }
        let now = Instant::now();
        match written {
            Ok(folders) => {
                if folders > 0 {
                    self.answer(Answer::Flushed(SystemTime::now()));
                }
                if self.files_trouble.take().is_some() {
                    self.tell(Severity::Note, "The label files can be written again, and are up to date.");
                }
                self.retry_files = None;
                self.dirty = more.then_some((now, now));
            }
            Err(e) => {
                self.retry_files = Some(now + AGAIN);
                self.dirty = self.dirty.or(Some((now, now)));
                if e.kind() == Kind::Exists {
                    self.next_look = now; // another program wrote: first take that in
                } else {
                    self.files_trouble = Some(e.to_string());
                }
            }
        }
    }

    /// Reads everything anew; what is not decided yet stays so.
    fn reload(&mut self, project: Project) {
        if let Err(e) = self.bring_to_disk() {
            self.tell(
                Severity::Error,
                format!("The labels were not read again, because they are not all saved: {e}"),
            );
            return self.answer(Answer::Back);
        }
        let disputed = self.store.as_ref().map(LabelStore::disputed).unwrap_or_default();
        self.project = project;
        self.open();
        if let Some(store) = &mut self.store {
            store.dispute_again(disputed);
        }
    }

    /// Writes all there is to write, what others have just broken too. An error when labels are in no file at all.
    fn bring_to_disk(&mut self) -> Result<()> {
        for _ in 0..4 {
            let pending = self.look_at_files();
            self.flush();
            let again = self.store.as_ref().is_some_and(|s| !s.to_flush().is_empty());
            if !pending && (!again || self.files_trouble.is_some()) {
                break;
            }
            std::thread::sleep(SETTLED);
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        for video in store.unwritten() {
            store.rescue(&video)?;
        }
        Ok(())
    }

    /// Whether others wrote.
    fn look(&mut self) {
        if self.looking.is_some() {
            return self.look_on();
        }
        self.look_at_files();
    }

    /// Takes in what others wrote; whether there is more to be read at the next look.
    fn look_at_files(&mut self) -> bool {
        let Some(store) = &mut self.store else { return false };
        let (mut pending, mut rewrite) = (false, false);
        let watch = Quiet::default();
        match store.look_outside(&watch) {
            Ok(found) => {
                (pending, rewrite) = (found.pending, found.rewrite);
                if found.pending {
                    self.next_look = Instant::now() + SETTLED;
                }
                found.notices.into_iter().for_each(|(severity, text)| self.tell(severity, text));
                if !found.taken.is_empty() || !found.gone.is_empty() {
                    self.answer(Answer::Changed { points: found.taken, gone: found.gone });
                }
                watch.warnings().into_iter().for_each(|text| self.tell(Severity::Warning, text));
            }
            Err(e) => tracing::debug!("cannot look at the label files: {e}"),
        }
        if rewrite {
            self.flush();
        }
        pending
    }

    /// In a session that only looks: edits when the other has gone, else reads again what changed.
    fn look_on(&mut self) {
        let watch = Quiet::default();
        match LabelStore::edit(&self.project, &watch) {
            Ok(store) => {
                self.opened_to_edit(store, &watch);
                self.tell(
                    Severity::Note,
                    "The other limn has closed the project; labels can be edited here now.",
                );
            }
            Err(e) if only_to_look(&e) => {
                let print = LabelStore::fingerprint(&self.project).ok();
                if self.looking != Some(print) {
                    self.read_only(e.what());
                    self.tell(
                        Severity::Note,
                        "The labels were changed by the other limn and are shown as they are now.",
                    );
                }
            }
            Err(e) => tracing::debug!("cannot edit the labels yet: {e}"),
        }
    }

    fn change_bodyparts(&mut self, change: &BodypartChange) {
        let saved = self.bring_to_disk().is_ok();
        let done = |s: &LabelStore| s.unsaved() == 0 && s.conflict().is_none() && s.unwritten().is_empty();
        let open = saved && self.store.as_ref().is_some_and(done);
        if !open {
            let why =
                self.files_trouble.clone().unwrap_or_else(|| "decide first which labels hold".to_owned());
            self.tell(
                Severity::Error,
                format!("The body parts were not changed, because the labels are not all written yet: {why}"),
            );
            return self.answer(Answer::Back);
        }
        self.store = None; // and its lock
        let watch = Quiet::default();
        let changed = change.apply(&self.project, &watch);
        watch.warnings().into_iter().for_each(|text| self.tell(Severity::Warning, text));
        match changed {
            Ok(project) => {
                self.project = project;
                self.tell(Severity::Note, change.done());
            }
            Err(e) => self.tell(Severity::Error, format!("The body parts were not changed: {e}")),
        }
        self.open();
    }

    /// The window has closed: everything goes to disk.
    fn finish(mut self) -> Result<()> {
        self.retry_journal = None;
        self.todo.retain(|c| matches!(c, Command::Edit { .. } | Command::Settle(_) | Command::Bodyparts(_)));
        self.do_commands();
        let kept = self.bring_to_disk();
        if !self.todo.is_empty() {
            self.do_commands(); // a folder that had gone may be there again
            self.flush();
        }
        let lost: usize =
            self.todo.iter().map(|c| if let Command::Edit { edits, .. } = c { edits.len() } else { 0 }).sum();
        let place = self.project.root().display();
        if lost > 0 {
            let why = self.journal_trouble.unwrap_or_default();
            return Err(Error::new(Kind::Io, format!("{lost} edits could not be saved and are lost: {why}"))
                .at(place)
                .mend("free some space or make the folder writable, open the project and make these edits again"));
        }
        if let Err(e) = kept {
            let why = self.files_trouble.unwrap_or_else(|| e.to_string());
            return Err(Error::new(
                Kind::Io,
                format!("labels could not be written again and are lost: {why}"),
            )
            .at(place)
            .mend(
                "put the folder of the project back in its place; copies of damaged files are beside them",
            ));
        }
        match self.files_trouble {
            Some(why) => Err(Error::new(Kind::Io, why)
                .at(place)
                .mend("open the project again: the edits in the journal are found and written then")),
            None => Ok(()),
        }
    }
}
