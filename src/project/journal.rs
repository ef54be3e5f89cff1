//! The journal of label edits: `labeled-data/<video>/labels.journal`, one JSON line an edit, synced before the edit
//! counts as done, so that no crash loses a label.
//!
//! A line is `{"schema":1,"seq":7,"edit":"set","image":"img0003.png","individual":"","bodypart":"snout",
//! "at":[10.5,20.25],"check":"0123456789abcdef"}`: `at` is null for a removed label, `seq` counts from 1, `check` is the
//! start of the SHA-256 of all that stands before it in the line.

use crate::error::{Error, Kind, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The newest form of a line that this program knows.
const SCHEMA: u32 = 1;
const CHECK: &str = ",\"check\":\"";

/// One edit, by names, so that it still means the same when body parts were reordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub(super) enum Edit {
    /// A label set, or removed.
    Set { image: String, individual: String, bodypart: String, at: Option<[f64; 2]> },
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
    /// The readable lines as they are.
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

fn check_of(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().take(8).fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
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
    let mut replay = Replay::default();
    let mut lines = bytes.split_inclusive(|b| *b == b'\n').enumerate().peekable();
    while let Some((i, line)) = lines.next() {
        let whole = line.ends_with(b"\n");
        match std::str::from_utf8(line).ok().filter(|_| whole).and_then(|l| read_line(l.trim_end())) {
            Some(Line { schema, .. }) if schema > SCHEMA => {
                return Err(Error::new(
                    Kind::Labels,
                    format!(
                        "the journal of label edits has schema {schema}, and this limn knows up to {SCHEMA}"
                    ),
                )
                .at(format!("{}:{}", path.display(), i + 1))
                .mend("open the project once with the newer limn that wrote it"));
            }
            Some(Line { seq, edit, .. }) => {
                replay.last_seq = replay.last_seq.max(seq);
                replay.edits.push(edit);
                replay.good += &String::from_utf8_lossy(line);
            }
            None if lines.peek().is_none() => replay.torn = true,
            None => replay.damaged.push(i + 1),
        }
    }
    Ok(replay)
}

fn read_line(line: &str) -> Option<Line> {
    let at = line.rfind(CHECK)?;
    let check = line.get(at + CHECK.len()..)?.strip_suffix("\"}")?;
    (check == check_of(&line[..at])).then(|| serde_json::from_str(line).ok()).flatten()
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
        let count = edits.len();
        for (i, edit) in edits.iter().enumerate() {
            let line = Line { schema: SCHEMA, seq: self.seq + 1 + i as u64, edit: edit.clone() };
            let json = serde_json::to_string(&line).map_err(|e| failed(e.into()))?;
            let body = json.strip_suffix('}').unwrap_or(&json);
            let _ = writeln!(text, "{body}{CHECK}{}\"}}", check_of(body));
        }
        let is_new = !self.path.exists();
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(&self.path).map_err(failed)?;
        let before = file.metadata().map_err(failed)?.len();
        if let Err(e) = file.write_all(text.as_bytes()).and_then(|()| file.sync_data()) {
            let _ = file.set_len(before); // half a line would spoil the next one
            if is_new {
                let _ = std::fs::remove_file(&self.path);
            }
            return Err(failed(e));
        }
        if is_new {
            files::sync_folder(&files::folder_of(&self.path))?;
        }
        self.seq += count as u64;
        self.edits += count;
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

/// Keeps what `path` holds beside it as `<name>.<why>`, `<name>.<why>-2` and so on; never overwrites.
pub(super) fn keep_copy(path: &Path, why: &str) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for n in 1..10_000 {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let copy = path.with_file_name(format!("{name}.{why}{number}"));
        if copy.symlink_metadata().is_ok() {
            continue;
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io("keep a copy of the file", path, e))?;
        files::write_whole(&copy, &bytes)?;
        return Ok(copy);
    }
    Err(Error::new(Kind::Exists, "there are too many kept copies of this file")
        .at(path.display())
        .mend("remove old ones"))
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
