//! Data frames in HDF5 as pandas writes them with PyTables: the *fixed* and the *table* layout, without Python.
//!
//! Only what DeepLabCut's files need: frames of numbers whose columns have several levels of names.

mod fixed;
mod pickle;
mod table;

use super::h5::raw::{self, failed, wrong};
use super::h5::{self, Number, Writer};
use crate::error::{Kind, Result};
use crate::watch::Watch;
use hdf5_metno::{Group, Location};
use std::path::Path;

/// The key that DeepLabCut uses.
const KEY: &str = "df_with_missing";

/// A frame of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame<T: Number> {
    /// Names of the column levels, where they have names.
    pub levels: Vec<Option<String>>,
    /// One name for each level, for each column.
    pub columns: Vec<Vec<String>>,
    pub index: Index,
    /// Row after row.
    pub values: Vec<T>,
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

/// Reads the one frame of a file, whichever of the two layouts it has.
pub(super) fn read<T: Number>(path: &Path, watch: &dyn Watch) -> Result<Frame<T>> {
    let mend =
        "the file is damaged or no table of DeepLabCut; restore it, or write it again from the CSV beside it";
    let file = h5::open(path, mend)?;
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

/// What will name the rows of a new table.
pub(super) enum NewIndex<'a> {
    /// Texts for each row, in the *fixed* layout, as DeepLabCut writes labels.
    Text(&'a [Vec<String>]),
    /// Rows numbered from 0, so many, in the *table* layout, as DeepLabCut writes predictions; in the *fixed* layout when
    /// the names of the columns do not fit into an attribute.
    Counted(usize),
}

/// Begins a file with one frame, under DeepLabCut's key; the values come row by row.
pub(super) fn create<T: Number>(
    path: &Path,
    levels: &[&str],
    columns: &[Vec<String>],
    index: &NewIndex<'_>,
) -> Result<Writer<T>> {
    Writer::create(path, |file| {
        head(file)?;
        raw::set_text(file, "PYTABLES_FORMAT_VERSION", "2.1")?;
        let group = file.create_group(KEY).map_err(failed("make the table"))?;
        head(&group)?;
        raw::set_text(&group, "encoding", "UTF-8")?;
        raw::set_text(&group, "errors", "strict")?;
        raw::set_text(&group, "pandas_version", "0.15.2")?;
        match index {
            NewIndex::Counted(rows) if table::fits(columns) => {
                table::create(&group, levels, columns, *rows, T::SIZE)
            }
            _ => fixed::create(&group, levels, columns, index, T::SIZE),
        }
    })
}

/// The attributes of every PyTables group.
fn head(at: &Location) -> Result<()> {
    raw::set_text(at, "CLASS", "GROUP")?;
    raw::set_text(at, "TITLE", "")?;
    raw::set_text(at, "VERSION", "1.0")
}
