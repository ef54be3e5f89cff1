//! DeepLabCut's label and prediction tables as HDF5 files of pandas (feature `hdf5`).
//!
//! Labels are written in pandas' *fixed* layout, predictions in its *table* layout, both under the key
//! `df_with_missing`, as DeepLabCut does; `pandas.read_hdf(path)` and DeepLabCut read them. Both layouts are read.
//! The specifications are `docs/formats/dlc-labels.md` and `docs/formats/dlc-tracks.md`.
//!
//! ```
//! use limn::formats::dlc_h5;
//! use limn::pose::{FrameKey, Keypoint, Labels, Skeleton};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("CollectedData_Ann.h5");
//! let mut labels = Labels::new("Ann", Skeleton::single(["snout", "tailbase"]));
//! labels.set(&FrameKey::new("m1", "img07.png"), 1, Some(Keypoint::new(10.5, 20.25)));
//! dlc_h5::write_labels(&path, &labels)?;
//! assert_eq!(dlc_h5::read_labels(&path, &Quiet::default())?, labels);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::h5::{Number, Writer};
use super::header::{self, Dense, Fault, Halves, Header, Sort};
use super::pandas::{self, Frame, Index, NewIndex};
use crate::error::{Error, Kind, Result};
use crate::pose::{FrameKey, Labels, Skeleton, Tracks};
use crate::watch::Watch;
use std::collections::HashMap;
use std::path::Path;

/// Reads a label table (`CollectedData_*.h5`, `machinelabels*.h5`) with rows named by one text
/// (`labeled-data/m1/img03.png`, `/` or `\`) or by three. The skeleton comes from the columns, without edges. Likelihood
/// columns are left out and half-labelled points count as unlabelled; both are told as warnings.
///
/// # Errors
/// When the file is damaged, holds no table or several of which none is called `df_with_missing`, lacks columns or has
/// them twice, has a picture twice, or holds infinite or no numbers.
pub fn read_labels(path: &Path, watch: &dyn Watch) -> Result<Labels> {
    let frame: Frame<f64> = pandas::read(path, watch)?;
    let header = understand(path, &frame, Sort::Labels)?;
    let Index::Text(index) = &frame.index else {
        return Err(Error::new(Kind::Labels, "the rows are numbered, not named by pictures")
            .at(path.display())
            .mend("give a label table; this one holds predictions"));
    };
    header.warn(path, Sort::Labels, watch);
    let mut labels = Labels::new(header.scorer.clone(), header.skeleton.clone());
    let mut rows: HashMap<FrameKey, usize> = HashMap::new();
    let mut halves = Halves::default();
    for (i, (names, values)) in index.iter().zip(frame.values.chunks_exact(frame.columns.len())).enumerate() {
        watch.check()?;
        let wrong = |what: String, mend: &str| {
            Error::new(Kind::Labels, what).at(format!("{}, row {i}", path.display())).mend(mend)
        };
        let key = match &names[..] {
            [path] => header::key_of_path(path),
            [_, video, image] if !video.is_empty() && !image.is_empty() => Some(FrameKey::new(video, image)),
            _ => None,
        };
        let Some(key) = key else {
            let what = format!("`{}` names no picture", names.join(","));
            return Err(wrong(what, "name it labeled-data, VIDEO, IMAGE"));
        };
        let mut half = Vec::new();
        let labeled =
            header.labeled(values, &mut half).map_err(|f| wrong(format!("{}, in {key}", f.what), &f.mend))?;
        halves.add(&key, half);
        if let Some(first) = rows.insert(key.clone(), i) {
            let what = format!("the picture {key} has two rows, the first is row {first}");
            return Err(wrong(
                what,
                "keep the right one and delete the other, in the CSV beside it or with pandas",
            ));
        }
        labels.frames.insert(key, labeled);
    }
    halves.warn(path, watch);
    Ok(labels)
}

/// Writes a label table, whole, in pandas' fixed layout. Edges are not part of the format.
///
/// # Errors
/// When names or labels cannot be held by the format (nothing is written then), or the file cannot be written.
pub fn write_labels(path: &Path, labels: &Labels) -> Result<()> {
    let rows = header::label_rows(labels).map_err(|e| e.at(path.display()))?;
    let mut index = Vec::with_capacity(rows.len());
    let mut values = Vec::with_capacity(rows.len() * labels.skeleton.points() * 2);
    for (key, row) in rows {
        index.push(vec!["labeled-data".to_owned(), key.video.clone(), key.image.clone()]);
        values.extend(row);
    }
    let columns = header::columns(&labels.scorer, &labels.skeleton, Sort::Labels);
    let mut file = pandas::create(path, header::levels(&labels.skeleton), &columns, &NewIndex::Text(&index))?;
    file.rows(&values)?;
    file.finish()
}

/// Reads predictions, and the scorer (the model's name). 64-bit numbers become 32-bit; frame numbers left out become rows
/// of NaN.
///
/// # Errors
/// As [`read_labels`]; also when the rows are not numbered by rising whole numbers.
pub fn read_tracks(path: &Path, watch: &dyn Watch) -> Result<(String, Tracks)> {
    crate::watch::may_wait("reading tracks");
    let frame: Frame<f32> = pandas::read(path, watch)?;
    let header = understand(path, &frame, Sort::Tracks)?;
    header.warn(path, Sort::Tracks, watch);
    let index = match &frame.index {
        Index::Integer(index) => index,
        Index::Text(rows) if rows.is_empty() => &Vec::new(),
        Index::Text(_) => {
            return Err(Error::new(Kind::Format, "the rows are named by pictures, not numbered")
                .at(path.display())
                .mend("give a table of predictions; this one holds labels"));
        }
    };
    let mut dense = Dense::new(header.skeleton.points() * 3);
    for (i, (&number, row)) in index.iter().zip(frame.values.chunks_exact(frame.columns.len())).enumerate() {
        let out = dense.row(number).map_err(|e| e.at(format!("{}, row {i}", path.display())))?;
        header.tracked(row, out);
    }
    let Header { scorer, skeleton, .. } = header;
    Tracks::from_values(skeleton, dense.into_values()).map(|tracks| (scorer, tracks)).ok_or_else(|| {
        Error::new(Kind::Format, "the rows do not fit the columns")
            .at(path.display())
            .mend("write the table again")
    })
}

/// Writes predictions, whole. `scorer` is the model's name.
///
/// # Errors
/// When names cannot be held by the format, or the file cannot be written.
pub fn write_tracks(path: &Path, scorer: &str, tracks: &Tracks) -> Result<()> {
    let mut file = TracksH5::create(path, scorer, &tracks.skeleton, tracks.frames())?;
    file.rows(tracks.values())?;
    file.finish()
}

/// Predictions written as they come, so that memory does not grow with the video, in pandas' table layout with 32-bit
/// numbers (in its fixed layout when there are so many columns that their names do not fit into an attribute). The file
/// appears, whole, with [`finish`](Self::finish); dropped before, nothing is left.
///
/// ```
/// use limn::formats::dlc_h5::{self, TracksH5};
/// use limn::pose::Skeleton;
/// use limn::watch::Quiet;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("m1.h5");
/// let mut file = TracksH5::create(&path, "limn_resnet50", &Skeleton::single(["snout"]), 3)?;
/// file.rows(&[10.5, 20.25, 0.97])?;
/// file.rows(&[f32::NAN; 6])?; // two frames with nothing seen
/// file.finish()?; // only now is there a file
/// let (scorer, tracks) = dlc_h5::read_tracks(&path, &Quiet::default())?;
/// assert_eq!((scorer.as_str(), tracks.frames()), ("limn_resnet50", 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TracksH5(Writer<f32>);

impl TracksH5 {
    /// Begins a file of `frames` rows that will have the name `path`. `scorer` is the model's name.
    ///
    /// # Errors
    /// When names cannot be held by the format, or the folder cannot be written.
    pub fn create(path: &Path, scorer: &str, skeleton: &Skeleton, frames: usize) -> Result<Self> {
        header::check_names(scorer, skeleton).map_err(|e| e.at(path.display()))?;
        let columns = header::columns(scorer, skeleton, Sort::Tracks);
        pandas::create(path, header::levels(skeleton), &columns, &NewIndex::Counted(frames)).map(Self)
    }

    /// Writes the next frames, any number of whole rows `[frame][point][x, y, likelihood]`, NaN where nothing was seen.
    /// At most about 1 MiB of them is kept in memory.
    ///
    /// # Errors
    /// When the values are no whole rows, or more than the file is for (nothing is taken then), or the disk is full.
    pub fn rows(&mut self, rows: &[f32]) -> Result<()> {
        self.0.rows(rows)
    }

    /// Writes the rest and gives the file its name.
    ///
    /// # Errors
    /// When fewer rows came than the file is for, the disk is full, or the folder cannot be written; a file of that name
    /// stays as it was then.
    pub fn finish(self) -> Result<()> {
        self.0.finish()
    }
}

fn understand<T: Number>(path: &Path, frame: &Frame<T>, sort: Sort) -> Result<Header> {
    header::understand(&frame.levels, &frame.columns, sort).map_err(|f: Fault| {
        let kind = if sort == Sort::Labels { Kind::Labels } else { Kind::Format };
        Error::new(kind, f.what).at(format!("{}, column {}", path.display(), f.column)).mend(f.mend)
    })
}

#[cfg(test)]
mod tests;
