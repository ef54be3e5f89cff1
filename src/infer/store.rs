//! An analysis that is not finished: what is computed is on disk, so that it can go on after any stop.
//!
//! Beside the results-to-be stands a folder `<video stem><scorer>_unfinished` (`docs/formats/limn-unfinished.md`):
//! `manifest.jsonl` begins with the [`Plan`] and names every finished chunk with its checksum, `rows.f32` holds the
//! chunks' rows one after the other. A chunk is written and synced before it is named.

use super::pipeline::{Rows, Sink};
use super::plan::Plan;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::sealed::{self, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const SCHEMA: u32 = 1;
const MANIFEST: &str = "manifest.jsonl";
const ROWS: &str = "rows.f32";
const LOCK: &str = "lock";
/// Where the final files are made before they take their places.
const FINAL: &str = "final";

/// A line of the manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Plan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<Chunk>,
}

/// Some consecutive frames whose rows are on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Chunk {
    first: usize,
    frames: usize,
    /// SHA-256 of its bytes in `rows.f32`.
    sha256: String,
    /// Frames without picture, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<(usize, String)>,
}

/// The unfinished results of one video, held by one program.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    plan: Plan,
    rows: File,
    /// Values of one frame.
    row: usize,
    /// The frame that comes next.
    next: usize,
    missing: Vec<(usize, String)>,
    /// Rows of the chunk that is not complete yet.
    open: Vec<f32>,
    open_missing: Vec<(usize, String)>,
    /// Held as long as this lives.
    lock: File,
}

/// What was found at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing of this analysis.
    Nothing,
    /// So many frames of it.
    Frames(usize),
    /// Results of another video, model or setting, or damaged ones; why they could not be used.
    Other(String),
}

impl Store {
    /// Opens the unfinished results in `folder`, or begins them. Forced ones take the place of all others that were not
    /// forced themselves.
    ///
    /// # Errors
    /// [`Kind::Exists`] when another program is at work on them, or when they were begun by another plan; when the folder
    /// cannot be written.
    pub fn open(folder: &Path, plan: &Plan) -> Result<(Self, Found)> {
        files::make_folder(folder)?;
        files::sync_folder(&files::folder_of(folder))?;
        let lock = lock(folder)?;
        let row = plan.row_length();
        let known = read_manifest(&folder.join(MANIFEST), plan)?;
        let (done, found) = match known {
            Ok(None) => (Vec::new(), Found::Nothing),
            Ok(Some(lines)) => {
                let named = lines.len();
                let sound = sound_chunks(&folder.join(ROWS), lines, plan);
                let frames: usize = sound.iter().map(|c| c.frames).sum();
                let found = match (named, sound.len()) {
                    (0, _) => Found::Nothing,
                    (_, 0) => Found::Other("their rows are damaged".to_owned()),
                    _ => Found::Frames(frames),
                };
                (sound, found)
            }
            Err(why) => (Vec::new(), Found::Other(why)),
        };
        let path = folder.join(ROWS);
        let failed = |e| Error::io("write the unfinished results", &path, e);
        let next = plan.first() + done.iter().map(|c| c.frames).sum::<usize>();
        let mut rows = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        // What no line names was never finished.
        rows.set_len(((next - plan.first()) * row * 4) as u64).map_err(failed)?;
        rows.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut text = String::new();
        let line = |plan: Option<Plan>, chunk: Option<Chunk>| {
            sealed::seal(&Line { schema: SCHEMA, plan, chunk }).map_err(failed)
        };
        text += &line(Some(plan.clone()), None)?;
        for chunk in &done {
            text += &line(None, Some(chunk.clone()))?;
        }
        files::write_whole(&folder.join(MANIFEST), text.as_bytes())?;
        let missing = done.into_iter().flat_map(|c| c.missing).collect();
        let store = Self {
            folder: folder.to_owned(),
            plan: plan.clone(),
            rows,
            row,
            next,
            missing,
            open: Vec::new(),
            open_missing: Vec::new(),
            lock,
        };
        Ok((store, found))
    }

    /// The frame to go on with.
    pub fn next(&self) -> usize {
        self.next
    }

    /// Frames without picture so far, and why.
    pub fn missing(&self) -> &[(usize, String)] {
        &self.missing
    }

    /// Writes the open chunk down for good.
    fn close_chunk(&mut self) -> Result<()> {
        let frames = self.open.len() / self.row.max(1);
        if frames == 0 {
            return Ok(());
        }
        let path = self.folder.join(ROWS);
        let bytes: Vec<u8> = self.open.iter().flat_map(|v| v.to_le_bytes()).collect();
        let before = ((self.next - self.plan.first()) * self.row * 4) as u64;
        let written = self.rows.write_all(&bytes).and_then(|()| self.rows.sync_data());
        if let Err(e) = written {
            // Half a chunk is none; the next try begins where this one did.
            let _ = self.rows.set_len(before).and_then(|()| self.rows.seek(SeekFrom::End(0)).map(drop));
            return Err(Error::io("write the unfinished results", &path, e));
        }
        let missing = std::mem::take(&mut self.open_missing);
        let chunk = Chunk {
            first: self.next,
            frames,
            sha256: hex(&Sha256::digest(&bytes)),
            missing: missing.clone(),
        };
        let path = self.folder.join(MANIFEST);
        let failed = |e| Error::io("write the manifest of unfinished results", &path, e);
        let line = sealed::seal(&Line { schema: SCHEMA, plan: None, chunk: Some(chunk) }).map_err(failed)?;
        sealed::append(&path, &line, true).map_err(failed)?;
        self.missing.extend(missing);
        self.next += frames;
        self.open.clear();
        Ok(())
    }

    /// Gives all rows from the first frame on, some thousand values at a time: frames before and after the analyzed
    /// ones are not among them.
    pub fn read_back(&mut self, give: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let path = self.folder.join(ROWS);
        let failed = |e| Error::io("read the unfinished results", &path, e);
        self.rows.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut left = (self.next - self.plan.first()) * self.row;
        let step = ((1 << 16) / self.row.max(1)).max(1) * self.row;
        let mut reader = BufReader::new(&self.rows);
        let mut bytes = vec![0; step * 4];
        let mut values = Vec::with_capacity(step);
        while left > 0 {
            let now = step.min(left);
            reader.read_exact(&mut bytes[..now * 4]).map_err(failed)?;
            values.clear();
            values.extend(
                bytes[..now * 4].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            );
            give(&values)?;
            left -= now;
        }
        Ok(())
    }

    /// A clean folder to make the final files in, on the same disk as their places.
    pub fn final_folder(&self) -> Result<PathBuf> {
        let folder = self.folder.join(FINAL);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|e| Error::io("empty the folder", &folder, e))?;
        }
        files::make_folder(&folder)?;
        Ok(folder)
    }

    /// The final files are in their places: nothing of this is needed any more.
    pub fn remove(self) -> Result<()> {
        let Self { folder, rows, lock, .. } = self;
        drop(rows);
        remove(&folder, lock)
    }
}

impl Sink for Store {
    fn take(&mut self, rows: Rows) -> Result<()> {
        let next = self.next + self.open.len() / self.row.max(1);
        if rows.first != next || rows.values.len() != rows.frames * self.row {
            let what = format!("rows of frame {} came where those of frame {next} were due", rows.first);
            return Err(Error::new(Kind::Compute, what)
                .at(self.folder.display())
                .mend("this is a fault in limn; run it again, what is done is kept"));
        }
        self.open.extend(rows.values);
        self.open_missing.extend(rows.missing);
        let end = rows.first + rows.frames;
        if end.is_multiple_of(self.plan.chunk) || end >= self.plan.end() {
            self.close_chunk()?;
        }
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let failed = |e| Error::io("hold the unfinished results", &path, e);
    for _ in 0..3 {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match fs2::FileExt::try_lock_exclusive(&file) {
            // The one before us may have finished and removed what we opened.
            Ok(()) if path.exists() => return Ok(file),
            Ok(()) => files::make_folder(folder)?,
            Err(e) if e.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                return Err(Error::new(Kind::Exists, "another limn is analyzing this video with this model")
                    .at(folder.display())
                    .mend("wait until it is done, or stop it; what it has done is kept"));
            }
            // Some network disks know no locks: work goes on without.
            Err(e) => {
                tracing::debug!("{} cannot be locked: {e}", path.display());
                return Ok(file);
            }
        }
    }
    Err(Error::new(Kind::Io, "the unfinished results come and go under our hands").at(folder.display()))
}

/// The chunks that a manifest names, `None` when there is no manifest or `plan` is forced past it; or why it is of no
/// use.
///
/// # Errors
/// When a newer limn wrote it, or it was begun by another plan.
fn read_manifest(path: &Path, plan: &Plan) -> Result<std::result::Result<Option<Vec<Chunk>>, String>> {
    let lines = match lines(path) {
        Err(_) if plan.forced => return Ok(Ok(None)),
        lines => lines?,
    };
    let lines = match lines {
        Ok(Some(lines)) => lines,
        Ok(None) => return Ok(Ok(None)),
        Err(why) => return Ok(Err(why)),
    };
    let mut lines = lines.into_iter();
    let Some(old) = lines.next().and_then(|l| l.plan) else {
        return Ok(Err("their manifest is damaged".to_owned()));
    };
    if plan.forced && !old.forced {
        return Ok(Ok(None));
    }
    match plan.differs_from(&old) {
        Some(why) if !plan.forced => Err(Error::new(
            Kind::Exists,
            format!("unfinished results are in the way: {why}"),
        )
        .at(files::folder_of(path).display())
        .mend("run it as it was begun, to go on; --force begins anew, --out with another folder keeps both")),
        Some(_) => Ok(Ok(None)),
        None => Ok(Ok(Some(lines.filter_map(|l| l.chunk).collect()))),
    }
}

fn lines(path: &Path) -> Result<std::result::Result<Option<Vec<Line>>, String>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(e) => return Ok(Err(format!("their manifest cannot be read: {e}"))),
    };
    let newer = |why: &str| {
        Error::new(Kind::Format, format!("unfinished results of a newer limn are here{why}"))
            .at(path.display())
            .mend("go on with that limn, begin anew with --force, or remove the folder")
    };
    let lines: sealed::Lines<Line> =
        sealed::read(&bytes, SCHEMA, "manifest", path).map_err(|e| newer(&format!(": {}", e.what())))?;
    if lines.whole.iter().any(|l| l.schema > SCHEMA) {
        return Err(newer(""));
    }
    Ok(Ok(Some(lines.whole)))
}

/// The batch size with which unfinished results in `folder` were begun, when `plan` differs from theirs in nothing else.
pub(super) fn begun_with_batch(folder: &Path, plan: &Plan) -> Option<usize> {
    let lines = lines(&folder.join(MANIFEST)).ok()?.ok()??;
    let old = lines.into_iter().next()?.plan?;
    let same = Plan { batch: old.batch, ..plan.clone() }.differs_from(&old).is_none();
    (same && old.batch > 0).then_some(old.batch)
}

/// The chunks that follow each other without a gap and whose rows are as they were written.
fn sound_chunks(path: &Path, chunks: Vec<Chunk>, plan: &Plan) -> Vec<Chunk> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut next, mut sound) = (plan.first(), Vec::new());
    for chunk in chunks {
        let fits = chunk.first == next && chunk.frames > 0 && chunk.first + chunk.frames <= plan.end();
        if !fits || chunk.frames > plan.chunk {
            break;
        }
        let mut bytes = vec![0; chunk.frames * plan.row_length() * 4];
        if reader.read_exact(&mut bytes).is_err() || hex(&Sha256::digest(&bytes)) != chunk.sha256 {
            break;
        }
        next += chunk.frames;
        sound.push(chunk);
    }
    sound
}

/// Removes the rest of results that are finished: what a run that was killed at its very end has left. Those of another
/// plan, or of a run that is at work, stay.
pub(super) fn sweep(folder: &Path) {
    if !folder.exists() {
        return;
    }
    let begun = folder.join(MANIFEST).exists();
    if !begun && let Ok(lock) = lock(folder) {
        // It costs only room on the disk when it fails.
        let _ = remove(folder, lock);
    }
}

/// Removes the folder, the manifest first: without it the rest is known as nothing.
fn remove(folder: &Path, lock: File) -> Result<()> {
    let failed = |e| Error::io("remove what is finished", folder, e);
    match std::fs::remove_file(folder.join(MANIFEST)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    for file in [ROWS, LOCK] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    drop(lock); // network disks keep an open file's folder
    std::fs::remove_dir_all(folder).map_err(failed)
}
