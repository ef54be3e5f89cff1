//! The journal of label edits: `labeled-data/<video>/labels.journal`, one JSON line an edit, synced before the edit
//! counts as done, so that no crash loses a label.
//!
//! A line is `{"schema":2,"seq":7,"edit":"set","image":"img0003.png","individual":"","bodypart":"snout",
//! "at":[10.5,20.25],"check":"0123456789abcdef"}`: `at` is null for a removed label, `"edit":"hide"` (without `at`) says
//! that the body part cannot be seen, `seq` counts from 1, and `check` is that of [`super::sealed`].

use crate::error::{Error, Result};
use crate::files;
use crate::sealed::{self, keep_copy};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The newest form of a line that this program knows; 2 brought `hide`.
const SCHEMA: u32 = 2;

/// One edit, by names, so that it still means the same when body parts were reordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub(super) enum Edit {
    /// A label set, or removed.
    Set { image: String, individual: String, bodypart: String, at: Option<[f64; 2]> },
    /// A body part that cannot be seen in this picture.
    Hide { image: String, individual: String, bodypart: String },
    /// All labels of a picture removed; the picture stays.
    ClearFrame { image: String },
}

#[derive(Serialize, Deserialize)]
struct Line {
    schema: u32,
    seq: u64,
    #[serde(flatten)]
    edit: Edit,
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Every edit that can be read, in order.
    pub edits: Vec<Edit>,
    /// The last line was cut off in the middle, as a crash while writing does.
    pub torn: bool,
    /// Numbers of other lines that cannot be read.
    pub damaged: Vec<usize>,
    last_seq: u64,
    /// The readable lines as they are, when there are others as well.
    good: String,
}

/// The journal of one folder.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    seq: u64,
    /// Edits in it.
    pub edits: usize,
}

/// Reads a journal; `None` when there is none.
pub(super) fn replay(path: &Path) -> Result<Option<Replay>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read the journal of label edits", path, e)),
    };
    read_lines(&bytes, path).map(Some)
}

fn read_lines(bytes: &[u8], path: &Path) -> Result<Replay> {
    let lines: sealed::Lines<Line> = sealed::read(bytes, SCHEMA, "journal of label edits", path)?;
    Ok(Replay {
        last_seq: lines.whole.iter().map(|l| l.seq).max().unwrap_or(0),
        edits: lines.whole.into_iter().map(|l| l.edit).collect(),
        torn: lines.torn,
        damaged: lines.damaged,
        good: lines.good,
    })
}

impl Journal {
    /// Goes on with the journal at `path`. Unreadable lines are cut out first, after the file was kept as a copy.
    pub fn open(path: PathBuf, replay: Option<&Replay>) -> Result<Self> {
        let mut journal = Self { path, seq: 0, edits: 0 };
        if let Some(replay) = replay {
            if replay.torn || !replay.damaged.is_empty() {
                keep_copy(&journal.path, "damaged")?;
                files::write_whole(&journal.path, replay.good.as_bytes())?;
            }
            journal.seq = replay.last_seq;
            journal.edits = replay.edits.len();
        }
        Ok(journal)
    }

    /// Adds edits and syncs; on an error none of them is in the journal.
    pub fn append(&mut self, edits: &[Edit]) -> Result<()> {
        let failed = |e| Error::io("write the journal of label edits", &self.path, e);
        let mut text = String::new();
        for (seq, edit) in (self.seq + 1..).zip(edits) {
            text += &sealed::seal(&Line { schema: SCHEMA, seq, edit: edit.clone() }).map_err(failed)?;
        }
        sealed::append(&self.path, &text, true).map_err(failed)?;
        self.seq += edits.len() as u64;
        self.edits += edits.len();
        Ok(())
    }

    /// Everything in it is in the label files now.
    pub fn clear(&mut self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => files::sync_folder(&files::folder_of(&self.path))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("empty the journal of label edits", &self.path, e)),
        }
        self.edits = 0;
        self.seq = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let set = (
            "[a-z0-9é\"\\\\]{1,8}",
            "[a-z]{0,3}",
            "\\PC{1,8}",
            prop::option::of((-1e4f64..1e4, any::<f64>())),
        )
            .prop_map(|(image, individual, bodypart, at)| Edit::Set {
                image,
                individual,
                bodypart,
                at: at.map(|(x, y)| [x, if y.is_finite() { y } else { 0.1 }]),
            });
        let clear = "[a-z]{1,8}".prop_map(|image| Edit::ClearFrame { image });
        prop::collection::vec(prop_oneof![4 => set, 1 => clear], 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Whatever byte a crash stops at, every line before it comes back, exactly.
        #[test]
        fn torn_at_any_byte(all in edits()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("labels.journal");
            let mut journal = Journal::open(path.clone(), None).unwrap();
            journal.append(&all).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            for cut in 0..=bytes.len() {
                let got = read_lines(&bytes[..cut], &path).unwrap();
                let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
                prop_assert_eq!(&got.edits[..], &all[..whole]);
                prop_assert_eq!(got.torn, cut > 0 && bytes[cut - 1] != b'\n');
                prop_assert!(got.damaged.is_empty());
            }
        }

        /// One flipped byte costs at most its own line, and is noticed.
        #[test]
        fn a_flipped_byte_is_noticed(all in edits(), at in any::<prop::sample::Index>()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("labels.journal");
            Journal::open(path.clone(), None).unwrap().append(&all).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let i = at.index(bytes.len());
            bytes[i] ^= 1;
            let got = read_lines(&bytes, &path).unwrap();
            prop_assert!(got.torn || !got.damaged.is_empty());
            prop_assert!(got.edits.len() + 2 >= all.len());
            prop_assert!(got.edits.iter().all(|e| all.contains(e)));
        }
    }

    #[test]
    fn half_a_line_that_stayed_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.journal");
        let edit = |n: u32| Edit::ClearFrame { image: format!("img{n}.png") };
        let mut journal = Journal::open(path.clone(), None).unwrap();
        journal.append(&[edit(1)]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_within(..bytes.len() / 2); // a write that failed and could not be taken back
        std::fs::write(&path, bytes).unwrap();
        journal.append(&[edit(2)]).unwrap();
        journal.append(&[edit(3)]).unwrap();
        let got = replay(&path).unwrap().unwrap();
        assert_eq!(got.edits, [edit(1), edit(2), edit(3)]);
        assert_eq!((got.torn, got.damaged), (false, vec![2]));
    }

    #[test]
    fn going_on_after_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.journal");
        let edit = |n: u32| Edit::ClearFrame { image: format!("img{n}.png") };
        Journal::open(path.clone(), None).unwrap().append(&[edit(1), edit(2)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let torn = replay(&path).unwrap().unwrap();
        Journal::open(path.clone(), Some(&torn)).unwrap().append(&[edit(3)]).unwrap();
        let got = replay(&path).unwrap().unwrap();
        assert_eq!(got.edits, [edit(1), edit(3)]);
        assert!(!got.torn && got.damaged.is_empty());
        assert!(dir.path().join("labels.journal.damaged").exists());
    }
}
