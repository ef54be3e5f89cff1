//! What happens when another program writes label files while they are being edited here: a merge of three sides.
//!
//! The base is what was last read or written here, one side is what is edited here, the other what lies in the files
//! now; they are compared point by point. What only one side changed is taken from it; what both changed in different
//! ways is disputed, and nothing is written to that folder until a person has decided.

use super::check::Severity;
use super::label_files::{LabelFiles, Stamp};
use super::label_store::{Folder, LabelStore};
use super::marks::{Mark, PointEdit, Rows};
use crate::error::Result;
use crate::pose::{FrameKey, PointName};
use crate::watch::Watch;
use std::collections::{BTreeMap, BTreeSet};

/// Why a folder is not written for now.
#[derive(Debug, Default)]
pub(super) struct Dispute {
    /// Another state of the files that was seen once; it is read when it is still the same at the next look, because
    /// another program may be in the middle of writing.
    seen: Option<Stamp>,
    /// Points that both sides changed, and what the files say of them.
    points: BTreeMap<(FrameKey, usize), Mark>,
    /// The files cannot be read as they are now: their state and the reason.
    unreadable: Option<(Stamp, String)>,
}

impl Dispute {
    pub fn is_settled(&self) -> bool {
        self.points.is_empty() && self.unreadable.is_none()
    }
}

/// A point that was changed here and by another program, in different ways.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictPoint {
    /// The picture.
    pub key: FrameKey,
    /// The point's index in the skeleton.
    pub point: usize,
    /// Its name, for people.
    pub name: String,
    /// What was set here.
    pub mine: Mark,
    /// What the other program wrote.
    pub theirs: Mark,
}

/// What a person must decide before label files are written again. Both sides are safe until then: the edits made
/// here in the journal, those of the other program in the files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conflict {
    /// Points changed on both sides.
    pub points: Vec<ConflictPoint>,
    /// Folders whose files another program left unreadable and of which no copy could be kept, with the reason.
    /// All their labels are in the journal.
    pub unreadable: Vec<(String, String)>,
}

/// What a look at the files found.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Changes of others that were taken in.
    pub taken: Vec<PointEdit>,
    /// Rows of others that went.
    pub gone: Vec<FrameKey>,
    /// What to tell the person.
    pub notices: Vec<(Severity, String)>,
    /// Whether a change was seen that is read at the next look.
    pub pending: bool,
    /// Whether label files must be written again at once, because the labels are not whole in them any more.
    pub rewrite: bool,
}

impl Outside {
    pub fn look(store: &mut LabelStore, watch: &dyn Watch) -> Result<Self> {
        let mut found = Self::default();
        // Those that have gone too.
        let mut videos: BTreeSet<String> = store.project.labeled_videos()?.into_iter().collect();
        videos.extend(store.folders.keys().cloned());
        for video in videos {
            match store.folders.contains_key(&video) {
                true => found.look_at(store, &video, watch),
                false => found.new_folder(store, &video, watch),
            }
        }
        Ok(found)
    }

    fn warn(&mut self, text: String) {
        self.notices.push((Severity::Warning, text));
    }

    fn note(&mut self, text: String) {
        self.notices.push((Severity::Note, text));
    }

    /// A folder that came while the labels were open.
    fn new_folder(&mut self, store: &mut LabelStore, video: &str, watch: &dyn Watch) {
        let known = store.notices.len();
        if let Err(e) = store.open_told(video, true, watch) {
            if store.refused.insert(video.to_owned()) {
                self.warn(format!("the labels of the new folder {video} cannot be used: {e}"));
            }
            return;
        }
        store.refused.remove(video);
        store.notices.truncate(known); // the watch has heard of them
        let before = self.taken.len();
        for (key, row) in store.marks.rows_of(video) {
            self.taken.extend(row.iter().enumerate().map(|(i, m)| PointEdit::new(key.clone(), i, *m)));
        }
        if self.taken.len() > before {
            self.note(format!("{video}: a new folder with labels was taken in"));
        }
    }

    fn look_at(&mut self, store: &mut LabelStore, video: &str, watch: &dyn Watch) {
        let dir = store.project.labeled_data(video);
        let Some(folder) = store.folders.get_mut(video) else { return };
        let now = folder.files.now();
        if !folder.files.changed() {
            folder.dispute.seen = None;
            return;
        }
        if folder.dispute.unreadable.as_ref().is_some_and(|(stamp, _)| *stamp == now) {
            return;
        }
        if folder.dispute.seen.as_ref() != Some(&now) {
            folder.dispute.seen = Some(now);
            self.pending = true;
            return;
        }
        if !now.any_table() && !folder.base.is_empty() {
            folder.files.accept(now);
            self.warn(format!(
                "{video}: {} removed by another program; {}written again now with the labels as they are here. To take \
                 labels away, remove them here",
                if dir.is_dir() { "the label files were" } else { "the whole folder was" },
                if dir.is_dir() { "they are " } else { "it is made again, without its pictures, and the label files are " },
            ));
            return self.write_again(store, video);
        }
        let mut files = LabelFiles::new(&store.project, video);
        match files.load(&store.project, video, true, watch) {
            Ok(there) => {
                let mut theirs = there.map(|m| m.rows_of(video)).unwrap_or_default();
                let kept = if files.lacks_hidden() { keep_hidden(&folder.base, &mut theirs) } else { 0 };
                folder.files = files;
                folder.dispute.unreadable = None;
                self.merge(store, video, theirs);
                if kept > 0 {
                    self.warn(format!(
                        "{video}: the file of points that are not visible was removed or damaged by another program; its \
                         {kept} marks are written again now"
                    ));
                    self.write_again(store, video);
                }
            }
            // Whole tables that only do not fit this project as it is open here: they are somebody's work, not damage.
            Err(e) if LabelFiles::new(&store.project, video).load_raw(watch).is_ok_and(|t| t.is_some()) => {
                let why = e.what();
                let kept = match folder.files.keep_all_copies("of-another-program") {
                    Ok(_) => "a copy of them is kept".to_owned(),
                    Err(e) => format!("no copy of them could be kept: {}", e.what()),
                };
                self.warn(format!(
                    "{video}: another program wrote labels that do not fit this project as it is open here: {why}; {kept}, and \
                     they are not written over until you decide"
                ));
                folder.dispute.unreadable = Some((folder.files.now(), why.to_owned()));
                self.write_again(store, video);
            }
            Err(e) => {
                let why = e.what();
                match folder.files.keep_all_copies("damaged") {
                    // Written again from that very state: copies of it are there.
                    Ok(kept) if folder.files.now() == now => {
                        let kept: Vec<String> = kept.iter().map(|p| p.display().to_string()).collect();
                        self.warn(format!(
                            "{video}: another program left the label files unreadable: {why}; a copy is kept as {}, and \
                             they are written again now with the labels as they are here",
                            kept.join(" and ")
                        ));
                        folder.files.accept(now);
                        folder.dispute.unreadable = None;
                        folder.dispute.seen = None;
                    }
                    Ok(_) => {
                        self.pending = true;
                        return;
                    }
                    Err(e) => {
                        self.warn(format!(
                            "{video}: another program left the label files unreadable: {why}; no copy could be kept: {}; \
                             they are not written over until you decide, and the labels are put into the journal",
                            e.what()
                        ));
                        folder.dispute.unreadable = Some((now, why.to_owned()));
                    }
                }
                self.write_again(store, video);
            }
        }
    }

    /// The labels of this folder are only in memory now: into the journal at once, and then into the files.
    fn write_again(&mut self, store: &mut LabelStore, video: &str) {
        if let Some(folder) = store.folders.get_mut(video) {
            folder.dirty = true;
        }
        self.rewrite = true;
        if let Err(e) = store.rescue(video) {
            tracing::debug!("{video}: the journal cannot take the labels, the files come next: {e}");
        }
    }

    fn merge(&mut self, store: &mut LabelStore, video: &str, theirs: Rows) {
        let Some(folder) = store.folders.get_mut(video) else { return };
        let mine = store.marks.rows_of(video);
        let at = |rows: &Rows, key: &FrameKey, i: usize| {
            rows.get(key).and_then(|r| r.get(i)).copied().unwrap_or_default()
        };
        let keys: BTreeSet<&FrameKey> = folder.base.keys().chain(mine.keys()).chain(theirs.keys()).collect();
        let count = store.marks.labels.skeleton.points();
        let (first, mut rows, mut disputed) = (self.taken.len(), Vec::new(), BTreeMap::new());
        for key in keys {
            let (mut all_none, mut any) = (true, false);
            for i in 0..count {
                let (b, m, t) = (at(&folder.base, key, i), at(&mine, key, i), at(&theirs, key, i));
                let was_disputed = folder.dispute.points.contains_key(&(key.clone(), i));
                let mut result = m;
                if m.same(t) || (t.same(b) && !was_disputed) {
                    // nothing from outside
                } else if m.same(b) && !was_disputed {
                    self.taken.push(PointEdit::new(key.clone(), i, t));
                    (result, any) = (t, true);
                } else {
                    disputed.insert((key.clone(), i), t);
                }
                all_none &= result == Mark::Unlabeled;
            }
            if !theirs.contains_key(key) && folder.base.contains_key(key) && all_none {
                rows.push(key.clone());
            } else if theirs.contains_key(key) && !mine.contains_key(key) && !any {
                self.taken.push(PointEdit::new(key.clone(), 0, Mark::Unlabeled)); // an empty row
            }
        }
        folder.base = theirs;
        folder.dispute.seen = None;
        // Of these only those still disputed are left.
        let new = disputed.keys().filter(|k| !folder.dispute.points.contains_key(*k)).count();
        folder.dispute.points = disputed;
        let taken = &self.taken[first..];
        for edit in taken {
            store.marks.put(&edit.key, edit.point, edit.at);
        }
        rows.iter().for_each(|key| store.marks.remove_row(key));
        let told = |n: usize| if n == 1 { "1 point".to_owned() } else { format!("{n} points") };
        if !taken.is_empty() {
            let were = if taken.len() == 1 { "was" } else { "were" };
            let n = told(taken.len());
            self.note(format!("{video}: {n} changed by another program {were} taken in"));
        }
        if new > 0 {
            self.warn(format!(
                "{video}: {} changed both here and by another program; say which to keep",
                if new == 1 { "1 point was".to_owned() } else { format!("{new} points were") }
            ));
        }
        self.gone.extend(rows);
    }
}

/// Marks of not visible points do not go with their file; how many that are.
fn keep_hidden(base: &Rows, theirs: &mut Rows) -> usize {
    let mut kept = 0;
    for (key, row) in base {
        for i in row.iter().enumerate().filter(|(_, m)| **m == Mark::Hidden).map(|(i, _)| i) {
            let there = theirs.entry(key.clone()).or_insert_with(|| vec![Mark::Unlabeled; row.len()]);
            if let Some(slot @ Mark::Unlabeled) = there.get_mut(i) {
                *slot = Mark::Hidden;
                kept += 1;
            }
        }
    }
    kept
}

impl Folder {
    /// What is here holds in all that this conflict shows: there the files may be written over. What came up since
    /// stays open.
    pub(super) fn settle(&mut self, video: &str, shown: &Conflict) {
        if self.dispute.is_settled() {
            return;
        }
        if shown
            .unreadable
            .iter()
            .any(|(v, why)| v == video && self.dispute.unreadable.as_ref().is_some_and(|(_, now)| now == why))
            && let Some((stamp, _)) = self.dispute.unreadable.take()
        {
            self.files.accept(stamp);
        }
        for c in &shown.points {
            let place = (c.key.clone(), c.point);
            if self.dispute.points.get(&place).is_some_and(|theirs| theirs.same(c.theirs)) {
                self.dispute.points.remove(&place);
            }
        }
        self.dirty = true;
    }
}

impl LabelStore {
    /// Puts all labels of a folder into its journal, for when its files do not hold them.
    pub(crate) fn rescue(&mut self, video: &str) -> Result<()> {
        let mut edits = Vec::new();
        for (key, row) in self.marks.rows_of(video) {
            let said = row.iter().enumerate().filter(|(_, m)| **m != Mark::Unlabeled);
            edits.extend(said.map(|(i, m)| PointEdit::new(key.clone(), i, *m)));
        }
        self.set_all(&edits)
    }

    /// Folders that are to be written for another reason than edits in the journal: these labels may be nowhere else.
    pub(crate) fn unwritten(&self) -> Vec<String> {
        self.folders.iter().filter(|(_, f)| f.dirty).map(|(video, _)| video.clone()).collect()
    }

    /// Points that a person has not decided, by name.
    pub(crate) fn disputed(&self) -> Vec<(FrameKey, String, String)> {
        let all = self.folders.values().flat_map(|f| f.dispute.points.keys());
        let named = |(key, i): &(FrameKey, usize)| {
            let name = self.marks.labels.skeleton.point(*i)?;
            Some((key.clone(), name.individual.to_owned(), name.bodypart.to_owned()))
        };
        all.filter_map(named).collect()
    }

    /// These are still for a person to decide, after the labels were read anew, where both sides still differ.
    pub(crate) fn dispute_again(&mut self, points: Vec<(FrameKey, String, String)>) {
        for (key, individual, bodypart) in points {
            let name = PointName { individual: &individual, bodypart: &bodypart };
            let Some(i) = self.marks.labels.skeleton.index_of(name) else { continue };
            let mine = self.marks.get(&key, i);
            let Some(folder) = self.folders.get_mut(&key.video) else { continue };
            let theirs = folder.base.get(&key).and_then(|r| r.get(i)).copied().unwrap_or_default();
            if !mine.same(theirs) {
                folder.dispute.points.insert((key, i), theirs);
            }
        }
    }

    /// What a person must decide; `None` when nothing.
    pub(crate) fn conflict(&self) -> Option<Conflict> {
        let mut conflict = Conflict::default();
        for (video, folder) in &self.folders {
            conflict
                .unreadable
                .extend(folder.dispute.unreadable.as_ref().map(|(_, why)| (video.clone(), why.clone())));
            for ((key, point), theirs) in &folder.dispute.points {
                let Some(name) = self.marks.labels.skeleton.point(*point) else { continue };
                let name = match name.individual {
                    "" | "single" => name.bodypart.to_owned(),
                    who => format!("{} of {who}", name.bodypart),
                };
                let mine = self.marks.get(key, *point);
                conflict.points.push(ConflictPoint {
                    key: key.clone(),
                    point: *point,
                    name,
                    mine,
                    theirs: *theirs,
                });
            }
        }
        (conflict != Conflict::default()).then_some(conflict)
    }
}
