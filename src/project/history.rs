//! The history of label edits, for undo over sessions: `labeled-data/.limn-history.jsonl`, only ever added to.
//!
//! Lines are those of [`super::sealed`]. A step is `{"schema":1,"op":"step","id":12,"what":"place snout","points":
//! [{"video":"m1","image":"img01.png","bodypart":"snout","before":null,"after":[10.5,20.25]}]}`, with `individual` in a
//! project of several animals; a value is a place, `"not visible"`, or null. `{"op":"undo","id":12}` and
//! `{"op":"redo","id":12}` say what became of it; `{"op":"rename","from":..,"to":..}` and `{"op":"remove","bodypart":..}`
//! that earlier lines speak of body parts by other names; `{"op":"lost","count":2}` that so many entries before it never
//! came to be.
//!
//! Lines are written before the edits they belong to, and not synced. So after a crash the last of them may be of edits
//! that never came to be; [`History::open`] knows them by the labels, and passes over them.

use super::Project;
use super::marks::{Mark, Marks, Named};
use crate::error::{Error, Result};
use crate::files;
use crate::pose::{FrameKey, Keypoint};
use crate::sealed;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The newest form of a line that this program knows.
const SCHEMA: u32 = 1;
/// At most so many last lines are passed over after a crash.
const MOST_LOST: usize = 1000;

/// One point of a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub key: FrameKey,
    pub point: usize,
    pub before: Mark,
    pub after: Mark,
}

/// What is undone and done again as one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub id: u64,
    pub what: String,
    pub points: Vec<Change>,
}

/// One thing to remember.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Done(Step),
    Undone(u64),
    Redone(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    At([f64; 2]),
    Word(Word),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Word {
    #[serde(rename = "not visible")]
    NotVisible,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PointLine {
    video: String,
    image: String,
    #[serde(flatten)]
    name: Named,
    before: Option<Value>,
    after: Option<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    Step {
        id: u64,
        what: String,
        points: Vec<PointLine>,
    },
    Undo {
        id: u64,
    },
    Redo {
        id: u64,
    },
    /// So many entries before this one never came to be.
    Lost {
        count: usize,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        bodypart: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Line {
    schema: u32,
    #[serde(flatten)]
    op: Op,
}

fn value(mark: Mark) -> Option<Value> {
    match mark {
        Mark::Unlabeled => None,
        Mark::At(p) => Some(Value::At([p.x, p.y])),
        Mark::Hidden => Some(Value::Word(Word::NotVisible)),
    }
}

fn mark(value: Option<Value>) -> Mark {
    match value {
        None => Mark::Unlabeled,
        Some(Value::At([x, y])) => Mark::At(Keypoint::new(x, y)),
        Some(Value::Word(Word::NotVisible)) => Mark::Hidden,
    }
}

/// What can be undone and done again, as it was when the project was opened.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The last of them is undone first.
    pub done: Vec<Step>,
    /// The last of them is done again first.
    pub undone: Vec<Step>,
    /// The number of the next step.
    pub next_id: u64,
    /// What to tell the person.
    pub notices: Vec<String>,
    /// How many of the last entries never came to be.
    lost: usize,
}

/// The file, to add to.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
}

impl History {
    fn path(project: &Project) -> PathBuf {
        project.root().join("labeled-data").join(".limn-history.jsonl")
    }

    /// Reads the past and goes on from it. A damaged file is kept as a copy and goes on with its readable lines; when
    /// it cannot be read at all, undo begins anew.
    pub fn open(project: &Project, present: &Marks) -> (Self, Past) {
        let path = Self::path(project);
        let past = match Self::read(&path, present) {
            Ok(past) => past,
            Err(e) => Past {
                notices: vec![format!("the history of edits cannot be used, and undo begins anew: {e}")],
                // Beyond every number in the file.
                next_id: u64::from(u32::MAX) << 8 | u64::from(std::process::id()),
                ..Past::default()
            },
        };
        let history = Self { path };
        if past.lost > 0 {
            // Else they would come back once there are newer ones. When this fails they are only skipped by undo.
            let _ = history.write([Op::Lost { count: past.lost }], false);
        }
        (history, past)
    }

    fn read(path: &Path, present: &Marks) -> Result<Past> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Past::default()),
            Err(e) => return Err(Error::io("read the history of edits", path, e)),
        };
        let lines: sealed::Lines<Line> = sealed::read(&bytes, SCHEMA, "history of edits", path)?;
        drop(bytes);
        let mut notices = Vec::new();
        if lines.torn || !lines.damaged.is_empty() {
            sealed::keep_copy(path, "damaged")?;
            files::write_whole(path, lines.good.as_bytes())?;
            if !lines.damaged.is_empty() {
                let n = lines.damaged.len();
                notices.push(format!("{}: {n} damaged lines are left out; a copy is kept", path.display()));
            }
        }
        let mut past = replay(lines.whole, present);
        past.notices = notices;
        Ok(past)
    }

    /// Adds entries; they are not synced. `present` has the names of the points.
    pub fn append(&self, entries: &[Entry], present: &Marks) -> Result<()> {
        let skeleton = &present.labels.skeleton;
        let named = |c: &Change| {
            let name = Named::of(skeleton.point(c.point)?);
            let (video, image) = (c.key.video.clone(), c.key.image.clone());
            Some(PointLine { video, image, name, before: value(c.before), after: value(c.after) })
        };
        let ops = entries.iter().map(|entry| match entry {
            Entry::Done(s) => Op::Step {
                id: s.id,
                what: s.what.clone(),
                points: s.points.iter().filter_map(named).collect(),
            },
            Entry::Undone(id) => Op::Undo { id: *id },
            Entry::Redone(id) => Op::Redo { id: *id },
        });
        self.write(ops, false)
    }

    /// Remembers that a body part has another name now.
    pub fn renamed(project: &Project, from: &str, to: &str) -> Result<()> {
        Self { path: Self::path(project) }
            .write([Op::Rename { from: from.to_owned(), to: to.to_owned() }], true)
    }

    /// Remembers that a body part is gone.
    pub fn removed(project: &Project, bodypart: &str) -> Result<()> {
        Self { path: Self::path(project) }.write([Op::Remove { bodypart: bodypart.to_owned() }], true)
    }

    fn write(&self, ops: impl IntoIterator<Item = Op>, sync: bool) -> Result<()> {
        let failed = |e| Error::io("write the history of edits", &self.path, e);
        let mut text = String::new();
        for op in ops {
            text += &sealed::seal(&Line { schema: SCHEMA, op }).map_err(failed)?;
        }
        sealed::append(&self.path, &text, sync).map_err(failed)
    }

    /// Makes all lines safe on disk.
    pub fn sync(&self) -> Result<()> {
        match std::fs::File::open(&self.path).and_then(|f| f.sync_data()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("sync the history of edits", &self.path, e))
            }
            _ => Ok(()),
        }
    }
}

fn replay(lines: Vec<Line>, present: &Marks) -> Past {
    let mut past = Past::default();
    let mut ops: Vec<Op> = lines.into_iter().map(|l| l.op).collect();
    past.next_id = ops
        .iter()
        .filter_map(|op| if let Op::Step { id, .. } = op { Some(id + 1) } else { None })
        .max()
        .unwrap_or(1);
    // Names as they are today, from the end: `None` for a body part that is gone.
    let mut today: HashMap<String, Option<String>> = HashMap::new();
    for op in ops.iter_mut().rev() {
        match op {
            Op::Rename { from, to } => {
                let now = today.get(to).cloned().unwrap_or_else(|| Some(to.clone()));
                today.insert(from.clone(), now);
            }
            Op::Remove { bodypart } => {
                today.insert(bodypart.clone(), None);
            }
            Op::Step { points, .. } if !today.is_empty() => {
                points.retain_mut(|p| match today.get(&p.name.bodypart) {
                    Some(Some(now)) => {
                        p.name.bodypart.clone_from(now);
                        true
                    }
                    Some(None) => false,
                    None => true,
                });
            }
            _ => {}
        }
    }
    let skeleton = &present.labels.skeleton;
    let index: HashMap<Named, usize> = skeleton.names().enumerate().map(|(i, n)| (Named::of(n), i)).collect();
    let resolve = |p: PointLine| {
        let point = *index.get(&p.name)?;
        Some(Change {
            key: FrameKey::new(p.video, p.image),
            point,
            before: mark(p.before),
            after: mark(p.after),
        })
    };
    let mut entries: Vec<Entry> = Vec::with_capacity(ops.len());
    for op in ops {
        match op {
            Op::Step { id, what, points } => {
                let points = points.into_iter().filter_map(resolve).collect();
                entries.push(Entry::Done(Step { id, what, points }));
            }
            Op::Undo { id } => entries.push(Entry::Undone(id)),
            Op::Redo { id } => entries.push(Entry::Redone(id)),
            Op::Lost { count } => entries.truncate(entries.len().saturating_sub(count)),
            Op::Rename { .. } | Op::Remove { .. } => {}
        }
    }
    past.lost = lost(&entries, present);
    entries.truncate(entries.len() - past.lost);
    for entry in entries {
        match entry {
            // All its body parts are gone.
            Entry::Done(step) if step.points.is_empty() => {}
            Entry::Done(step) => {
                past.done.push(step);
                past.undone.clear();
            }
            Entry::Undone(id) => shift(&mut past.done, &mut past.undone, id),
            Entry::Redone(id) => shift(&mut past.undone, &mut past.done, id),
        }
    }
    past
}

/// Moves the step with this number; it is the last one unless lines were lost.
fn shift(from: &mut Vec<Step>, to: &mut Vec<Step>, id: u64) {
    if let Some(at) = from.iter().rposition(|s| s.id == id) {
        to.push(from.remove(at));
    }
}

/// How many of the last entries are of edits that never came to be: as few as make the labels fit.
fn lost(entries: &[Entry], present: &Marks) -> usize {
    let tail = &entries[entries.len().saturating_sub(MOST_LOST)..];
    let ids: HashSet<u64> = tail
        .iter()
        .map(|e| match e {
            Entry::Done(s) => s.id,
            Entry::Undone(id) | Entry::Redone(id) => *id,
        })
        .collect();
    let steps = entries.iter().filter_map(|e| if let Entry::Done(s) = e { Some(s) } else { None });
    let steps: HashMap<u64, &Step> = steps.filter(|s| ids.contains(&s.id)).map(|s| (s.id, s)).collect();
    // What an entry did: of each point, what it was and what it became.
    let did = |entry: &Entry| -> Vec<(FrameKey, usize, Mark, Mark)> {
        let (id, back) = match entry {
            Entry::Done(s) => (s.id, false),
            Entry::Undone(id) => (*id, true),
            Entry::Redone(id) => (*id, false),
        };
        let turned = |c: &Change| {
            let (was, is) = if back { (c.after, c.before) } else { (c.before, c.after) };
            (c.key.clone(), c.point, was, is)
        };
        steps.get(&id).map(|s| s.points.iter().map(turned).collect()).unwrap_or_default()
    };
    // Of the points that the left-out entries touch, what they were before the first of them.
    let mut was: HashMap<(FrameKey, usize), Mark> = HashMap::new();
    let still_so = |was: &HashMap<_, Mark>| {
        was.iter().all(|((k, p), m): (&(FrameKey, usize), _)| m.same(present.get(k, *p)))
    };
    for (n, entry) in tail.iter().rev().enumerate() {
        let done = did(entry);
        let came_to_be = done.iter().all(|(k, p, _, is)| {
            let now = was.get(&(k.clone(), *p)).copied().unwrap_or_else(|| present.get(k, *p));
            is.same(now)
        });
        if came_to_be && still_so(&was) {
            return n;
        }
        was.extend(done.into_iter().map(|(k, p, was, _)| ((k, p), was)));
    }
    // All of them, when these are all there are; else somebody changed the labels since, and nothing is known.
    if entries.len() <= MOST_LOST && still_so(&was) { tail.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{Labels, Skeleton};

    fn marks(parts: &[&str]) -> Marks {
        Marks::new(Labels::new("Ada", Skeleton::single(parts.iter().copied())))
    }

    fn change(marks: &mut Marks, point: usize, x: f64) -> Change {
        let key = FrameKey::new("m1", "img1.png");
        let (before, after) = (marks.get(&key, point), Mark::At(Keypoint::new(x, 0.1 + 0.2)));
        marks.put(&key, point, after);
        Change { key, point, before, after }
    }

    #[test]
    fn steps_come_back_by_todays_names() {
        let dir = tempfile::tempdir().unwrap();
        let history = History { path: dir.path().join("h.jsonl") };
        let mut old = marks(&["hand", "elbow", "nose"]);
        let steps: Vec<Step> = [(0, 1.0), (1, 2.0), (0, 3.0), (2, 4.0)]
            .iter()
            .zip(1..)
            .map(|(&(point, x), id)| Step {
                id,
                what: format!("{id}"),
                points: vec![change(&mut old, point, x)],
            })
            .collect();
        let entries: Vec<Entry> = steps.iter().cloned().map(Entry::Done).collect();
        history.append(&entries, &old).unwrap();
        let past = History::read(&history.path, &old).unwrap();
        assert_eq!((&past.done, past.next_id), (&steps, 5), "exactly");
        history.append(&[Entry::Undone(4), Entry::Undone(3), Entry::Redone(3)], &old).unwrap();
        let op = |from: &str, to: &str| Op::Rename { from: from.into(), to: to.into() };
        history
            .write([op("hand", "x"), Op::Remove { bodypart: "elbow".into() }, op("x", "elbow")], true)
            .unwrap();
        let mut new = marks(&["nose", "elbow"]);
        change(&mut new, 1, 3.0);
        let past = History::read(&history.path, &new).unwrap();
        let ids = |steps: &[Step]| steps.iter().map(|s| (s.id, s.points[0].point)).collect::<Vec<_>>();
        assert_eq!((ids(&past.done), ids(&past.undone)), (vec![(1, 1), (3, 1)], vec![(4, 0)]));
    }

    /// However many of the last entries never came to be, exactly these are passed over.
    #[test]
    fn entries_without_their_edits_are_passed_over() {
        for kept in 0..8 {
            let dir = tempfile::tempdir().unwrap();
            let history = History { path: dir.path().join("h.jsonl") };
            let (mut now, mut after) = (marks(&["hand", "elbow"]), marks(&["hand", "elbow"]));
            let mut steps: Vec<Step> = Vec::new();
            for n in 0..8_u32 {
                let entry = if n == 3 {
                    let step = &steps[steps.len() - 1];
                    now.put(&step.points[0].key, step.points[0].point, step.points[0].before);
                    Entry::Undone(step.id)
                } else {
                    let (point, id) = ((n % 2) as usize, u64::from(n) + 1);
                    let points = vec![change(&mut now, point, f64::from(n))];
                    steps.push(Step { id, what: String::new(), points });
                    Entry::Done(steps[steps.len() - 1].clone())
                };
                history.append(&[entry], &now).unwrap();
                if n < kept {
                    after = now.clone();
                }
            }
            let past = History::read(&history.path, &after).unwrap();
            let undone = u32::from(kept > 3); // the fourth entry
            assert_eq!(past.done.len(), (kept - 2 * undone) as usize, "{kept} kept");
        }
    }
}
