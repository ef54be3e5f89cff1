//! Data frames in HDF5 as pandas writes them with PyTables: the *fixed* and the *table* layout, without Python.
//!
//! Only what DeepLabCut's files need: frames of numbers whose columns have several levels of names.

mod fixed;
mod pickle;
mod raw;
mod table;

use crate::error::{Error, Kind, Result};
use crate::files;
use crate::watch::Watch;
use hdf5_metno::types::FloatSize;
use hdf5_metno::{File, Group, Location};
use raw::{failed, wrong};
use std::borrow::Cow;
use std::path::Path;

/// The key that DeepLabCut uses.
const KEY: &str = "df_with_missing";

/// A frame of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame<'a, T: Number> {
    /// Names of the column levels, where they have names.
    pub levels: Vec<Option<String>>,
    /// One name for each level, for each column.
    pub columns: Vec<Vec<String>>,
    pub index: Index,
    /// Row after row.
    pub values: Cow<'a, [T]>,
}

/// What names the rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Index {
    /// One or several texts for each row.
    Text(Vec<Vec<String>>),
    Integer(Vec<i64>),
}

impl Index {
    pub fn rows(&self) -> usize {
        match self {
            Self::Text(rows) => rows.len(),
            Self::Integer(rows) => rows.len(),
        }
    }
}

/// The two widths of numbers in these files.
pub(super) trait Number: Copy + 'static {
    const NAN: Self;
    const SIZE: FloatSize;
    fn from_f32(value: f32) -> Self;
    fn from_f64(value: f64) -> Self;
    fn bytes(self, out: &mut Vec<u8>);
}

impl Number for f64 {
    const NAN: Self = f64::NAN;
    const SIZE: FloatSize = FloatSize::U8;
    fn from_f32(value: f32) -> Self {
        value.into()
    }
    fn from_f64(value: f64) -> Self {
        value
    }
    fn bytes(self, out: &mut Vec<u8>) {
        out.extend(self.to_ne_bytes());
    }
}

impl Number for f32 {
    const NAN: Self = f32::NAN;
    const SIZE: FloatSize = FloatSize::U4;
    fn from_f32(value: f32) -> Self {
        value
    }
    #[allow(clippy::cast_possible_truncation)] // tracks are f32
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn bytes(self, out: &mut Vec<u8>) {
        out.extend(self.to_ne_bytes());
    }
}

/// Opens a file; one that is locked is tried again for half a second. Besides a program that is just done with it, that
/// may be a process this one is starting: until it has become the other program, it holds what was locked here.
fn open(path: &Path) -> hdf5_metno::Result<File> {
    for _ in 0..20 {
        match File::open(path) {
            Err(e) if e.to_string().contains("unable to lock file") => {
                std::thread::sleep(std::time::Duration::from_millis(25));
            }
            opened => return opened,
        }
    }
    File::open(path)
}

/// Reads the one frame of a file, whichever of the two layouts it has.
pub(super) fn read<T: Number>(path: &Path, watch: &dyn Watch) -> Result<Frame<'static, T>> {
    if let Err(e) = std::fs::File::open(path) {
        return Err(Error::io("open the HDF5 file", path, e));
    }
    let mend =
        "the file is damaged or no table of DeepLabCut; restore it, or write it again from the CSV beside it";
    let file = open(path).map_err(|e| {
        let e = failed("open the HDF5 file")(e).at(path.display());
        if e.what().contains("lock") {
            e.mend("another program has it open; close that, or set HDF5_USE_FILE_LOCKING=FALSE on a network disk")
        } else {
            e.mend(mend)
        }
    })?;
    let mut found = Vec::new();
    find_frames(&file, "", 0, &mut found).map_err(|e| e.at(path.display()).mend(mend))?;
    let keys: Vec<&str> = found.iter().map(|(k, _)| k.as_str()).collect();
    let chosen = match found.iter().position(|(k, _)| k == KEY) {
        Some(at) => at,
        None if found.len() == 1 => 0,
        None if found.is_empty() => {
            return Err(wrong("the HDF5 file holds no pandas table").at(path.display()).mend(mend));
        }
        None => {
            return Err(wrong(format!("the HDF5 file holds several tables: {}", keys.join(", ")))
                .at(path.display())
                .mend(format!("keep one table in it, or name the right one {KEY}")));
        }
    };
    let (key, group) = &found[chosen];
    if found.len() > 1 {
        watch.warn(&format!("{}: of the tables {} only {key} is read", path.display(), keys.join(", ")));
    }
    let layout = raw::text(group, "pandas_type")?.unwrap_or_default();
    let frame = match layout.as_str() {
        "frame" => fixed::read(group, watch),
        "frame_table" => table::read(group, watch),
        other => Err(wrong(format!("the table is a pandas `{other}`, not a frame"))),
    };
    frame.map_err(|e| {
        if e.kind() == Kind::Cancelled {
            e
        } else {
            e.at(format!("{}, key {key}", path.display())).mend(mend)
        }
    })
}

fn find_frames(group: &Group, path: &str, depth: usize, found: &mut Vec<(String, Group)>) -> Result<()> {
    // Links can make circles; pandas' keys are not deep.
    if depth > 4 || found.len() > 100 {
        return Ok(());
    }
    for name in group.member_names().map_err(failed("list the tables"))? {
        let Ok(member) = group.group(&name) else { continue };
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        if raw::attribute(&member, "pandas_type").is_ok_and(|a| a.is_some()) {
            found.push((path, member));
        } else {
            find_frames(&member, &path, depth + 1, found)?;
        }
    }
    Ok(())
}

/// How a frame is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As DeepLabCut writes labels.
    Fixed,
    /// As DeepLabCut writes predictions; only for an integer index.
    Table,
}

/// Writes a file with one frame, whole, under DeepLabCut's key.
pub(super) fn write<T: Number>(path: &Path, frame: &Frame<'_, T>, layout: Layout) -> Result<()> {
    files::write_path(path, |temp| {
        let write = || {
            let file = File::create(temp).map_err(failed("make the HDF5 file"))?;
            head(&file)?;
            raw::set_text(&file, "PYTABLES_FORMAT_VERSION", "2.1")?;
            let group = file.create_group(KEY).map_err(failed("make the table"))?;
            head(&group)?;
            raw::set_text(&group, "encoding", "UTF-8")?;
            raw::set_text(&group, "errors", "strict")?;
            raw::set_text(&group, "pandas_version", "0.15.2")?;
            match (&frame.index, layout) {
                (Index::Integer(index), Layout::Table) if table::fits(frame) => {
                    table::write(&group, frame, index)?;
                }
                _ => fixed::write(&group, frame)?,
            }
            drop(group);
            file.close().map_err(failed("close the HDF5 file"))
        };
        write().map_err(|e| match system_error(&e) {
            Some(system) => Error::io("write the HDF5 file", path, system),
            None => e.at(path.display()).mend("check that the disk is not full, and try again"),
        })
    })
}

/// The operating system's own error, which libhdf5 tells in the middle of many words: `errno = 28`.
fn system_error(e: &Error) -> Option<std::io::Error> {
    let (_, rest) = e.what().split_once("errno = ")?;
    let number = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    number.parse().ok().map(std::io::Error::from_raw_os_error)
}

/// The attributes of every PyTables group.
fn head(at: &Location) -> Result<()> {
    raw::set_text(at, "CLASS", "GROUP")?;
    raw::set_text(at, "TITLE", "")?;
    raw::set_text(at, "VERSION", "1.0")
}
