//! DeepLabCut's predictions as CSV: `scorer / [individuals] / bodyparts / coords` above, one row for each frame.
//!
//! ```text
//! scorer,DLC_Resnet50_...,DLC_Resnet50_...,DLC_Resnet50_...
//! bodyparts,snout,snout,snout
//! coords,x,y,likelihood
//! 0,10.5,20.25,0.97
//! 1,,,
//! ```
//! The specification of what is read and written is `docs/formats/dlc-tracks.md`.
//!
//! ```
//! use limn::formats::dlc_tracks_csv::{self, TracksCsv};
//! use limn::pose::Skeleton;
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("m1.csv");
//! let mut file = TracksCsv::create(&path, "limn_resnet50", &Skeleton::single(["snout"]))?;
//! file.row(&[10.5, 20.25, 0.97])?;
//! file.row(&[f32::NAN; 3])?; // nothing seen
//! file.finish()?; // only now is there a file
//! let (scorer, tracks) = dlc_tracks_csv::read(&path, &Quiet::default())?;
//! assert_eq!((scorer.as_str(), tracks.frames()), ("limn_resnet50", 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::csv_table::CsvTable;
use super::header::{self, Dense, Sort};
use super::part::Part;
use crate::error::{Error, Kind, Result};
use crate::pose::{Skeleton, Tracks};
use crate::watch::Watch;
use std::fs::File;
use std::path::Path;

/// Reads predictions, and the scorer (the model's name). Frame numbers left out become rows of NaN.
///
/// # Errors
/// With file, line and column, of [`crate::Kind::Format`]: header rows or columns missing or doubled, a ragged row,
/// something that is no number, frame numbers that are no rising whole numbers, text that is not UTF-8, an empty file.
pub fn read(path: &Path, watch: &dyn Watch) -> Result<(String, Tracks)> {
    crate::watch::may_wait("reading tracks");
    let mut table = CsvTable::open(path, Sort::Tracks)?;
    if table.index != 1 {
        let what = format!("the rows are named by {} columns, not by a frame number", table.index);
        return Err(table.wrong(1, what, "give a table of predictions; label tables are read elsewhere"));
    }
    table.header.warn(path, Sort::Tracks, watch);
    let skeleton = table.header.skeleton.clone();
    let mut dense = Dense::new(skeleton.points() * 3);
    let mut numbers: Vec<f32> = Vec::new();
    while let Some(row) = table.next_row()? {
        watch.check()?;
        let Ok(number) = row.index(0).trim().parse::<i64>() else {
            let what = format!("`{}` in the first column is no frame number", row.index(0));
            return Err(table.wrong(row.line, what, "the first column counts the frames: 0, 1, 2, ..."));
        };
        table.numbers(&row, &mut numbers)?;
        let slot = dense.row(number).map_err(|e| e.at(format!("{}:{}", path.display(), row.line)))?;
        table.header.tracked(&numbers, slot);
    }
    let scorer = table.header.scorer;
    Tracks::from_values(skeleton, dense.into_values()).map(|tracks| (scorer, tracks)).ok_or_else(|| {
        Error::new(Kind::Format, "the rows do not fit the columns")
            .at(path.display())
            .mend("export the table again")
    })
}

/// Writes predictions, whole. `scorer` is the model's name.
///
/// # Errors
/// When names cannot be held by the format, or the file cannot be written.
pub fn write(path: &Path, scorer: &str, tracks: &Tracks) -> Result<()> {
    let mut file = TracksCsv::create(path, scorer, &tracks.skeleton)?;
    file.rows(tracks.values())?;
    file.finish()
}

/// Predictions written frame by frame, so that memory does not grow with the video. The file appears, whole, with
/// [`finish`](Self::finish); dropped before, nothing is left.
#[derive(Debug)]
pub struct TracksCsv {
    out: csv::Writer<File>,
    part: Part,
    values: usize,
    frames: u64,
    text: String,
}

impl TracksCsv {
    /// Begins a file that will have the name `path`, with its header rows.
    ///
    /// # Errors
    /// As [`write`].
    pub fn create(path: &Path, scorer: &str, skeleton: &Skeleton) -> Result<Self> {
        Self::with_columns(path, scorer, skeleton, &header::columns(scorer, skeleton, Sort::Tracks))
    }

    /// Begins a file of the same form with one column a point, `sd`: its standard deviation along each axis in pixels.
    ///
    /// # Errors
    /// As [`write`].
    pub fn of_deviations(path: &Path, scorer: &str, skeleton: &Skeleton) -> Result<Self> {
        let mut columns = header::columns(scorer, skeleton, Sort::Tracks);
        columns.retain(|c| c.last().is_some_and(|c| c == "x"));
        for coordinate in columns.iter_mut().filter_map(|c| c.last_mut()) {
            *coordinate = "sd".into();
        }
        Self::with_columns(path, scorer, skeleton, &columns)
    }

    fn with_columns(path: &Path, scorer: &str, skeleton: &Skeleton, columns: &[Vec<String>]) -> Result<Self> {
        header::check_names(scorer, skeleton).map_err(|e| e.at(path.display()))?;
        let (part, file) = Part::beside(path)?;
        let mut out = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(file);
        for (level, name) in header::levels(skeleton).iter().enumerate() {
            let cells = columns.iter().map(|c| c[level].as_str());
            out.write_record([*name].into_iter().chain(cells)).map_err(|e| failed(path, e))?;
        }
        Ok(Self { out, part, values: columns.len(), frames: 0, text: String::new() })
    }

    /// Writes the next frame: `[point][x, y, likelihood]`, NaN where nothing was seen.
    ///
    /// # Errors
    /// When the row has another length than the skeleton asks for, or the disk is full.
    pub fn row(&mut self, row: &[f32]) -> Result<()> {
        use std::fmt::Write;
        if row.len() != self.values {
            let what = format!("a row of {} values was given, the header has {}", row.len(), self.values);
            return Err(Error::new(Kind::Usage, what)
                .at(format!("{}, frame {}", self.part.path.display(), self.frames))
                .mend("give x, y and likelihood of every point of the skeleton"));
        }
        let path = &self.part.path;
        self.out.write_field(self.frames.to_string()).map_err(|e| failed(path, e))?;
        for value in row {
            self.text.clear();
            if !value.is_nan() {
                // As many digits as it takes to read the same f32 back. Writing to a String cannot fail.
                let _ = write!(self.text, "{value:?}");
            }
            self.out.write_field(&self.text).map_err(|e| failed(path, e))?;
        }
        self.out.write_record(None::<&[u8]>).map_err(|e| failed(path, e))?;
        self.frames += 1;
        Ok(())
    }

    /// Writes the next frames, any number of whole rows.
    ///
    /// # Errors
    /// As [`row`](Self::row); nothing is written when the values are no whole rows.
    pub fn rows(&mut self, rows: &[f32]) -> Result<()> {
        if !rows.len().is_multiple_of(self.values) {
            return self.row(rows);
        }
        rows.chunks_exact(self.values).try_for_each(|row| self.row(row))
    }

    /// How many frames were written.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the disk is full or the folder cannot be written; a file of that name stays as it was then.
    pub fn finish(self) -> Result<()> {
        let Self { out, part, .. } = self;
        // What is buffered is written here, and the file is closed.
        let file =
            out.into_inner().map_err(|e| Error::io("write the predictions", &part.path, e.into_error()))?;
        drop(file);
        part.keep()
    }
}

fn failed(path: &Path, e: csv::Error) -> Error {
    let e = match e.into_kind() {
        csv::ErrorKind::Io(e) => e,
        other => std::io::Error::other(format!("{other:?}")),
    };
    Error::io("write the predictions", path, e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{same_tracks, tracks};
    use crate::watch::Quiet;
    use proptest::prelude::*;

    fn read_text(text: &str) -> Result<(String, Tracks)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, &Quiet::default())
    }

    const HEAD: &str = "scorer,D,D,D\nbodyparts,a,a,a\ncoords,x,y,likelihood\n";

    #[test]
    fn faults_name_line_and_mend() {
        let cases = [
            (format!("{HEAD}0,1,2,3\nx,1,2,3\n"), "`x` in the first column", "p.csv:5"),
            (format!("{HEAD}0,1,2,3\n0,1,2,3\n"), "0 comes after 0", "p.csv:5"),
            (format!("{HEAD}-1,1,2,3\n"), "negative", "p.csv:4"),
            (format!("{HEAD}99999999999,1,2,3\n"), "far beyond", "p.csv:4"),
            (format!("{HEAD}0,1,2,high\n"), "`high` in the column `a likelihood`", "p.csv:4, column 4"),
            (format!("{HEAD}0,1,2\n"), "3 cells, the header has 4", "p.csv:4"),
            (
                "scorer,D,D\nbodyparts,a,a\ncoords,x,y\n".into(),
                "`likelihood` of `a` is missing",
                "p.csv:3, column 2",
            ),
            (
                HEAD.replace(",D,D,D", ",,,D,D,D").replace(",a,a,a", ",,,a,a,a").replace(",x", ",,,x"),
                "by 3 columns",
                "p.csv:1",
            ),
        ];
        for (text, what, place) in cases {
            let error = read_text(&text).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(what) && message.contains(place), "{what} {place}:\n{message}");
            assert!(error.how_to_mend().is_some());
        }
    }

    #[test]
    fn frames_left_out_are_empty_rows() {
        let (scorer, tracks) = read_text(&format!("{HEAD}1,1,2,0.5\n3,,,\n")).unwrap();
        assert_eq!((scorer.as_str(), tracks.frames()), ("D", 4));
        assert!(tracks.get(0, 0).is_none() && tracks.get(1, 0).is_some() && tracks.get(3, 0).is_none());
        assert_eq!(read_text(HEAD).unwrap().1.frames(), 0);
    }

    #[test]
    fn an_unfinished_file_leaves_nothing_and_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        std::fs::write(&path, "old").unwrap();
        let mut file = TracksCsv::create(&path, "D", &Skeleton::single(["a"])).unwrap();
        file.row(&[1.0, 2.0, 3.0]).unwrap();
        assert!(file.row(&[1.0]).unwrap_err().to_string().contains("frame 1"));
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let mut file = TracksCsv::create(&path, "D", &Skeleton::single(["a"])).unwrap();
        file.row(&[0.1, 2.0, f32::NAN]).unwrap();
        file.rows(&[f32::NAN, 1e-7, 3.0, 4.0, 5.0, 6e20]).unwrap();
        assert!(file.rows(&[1.0; 4]).unwrap_err().to_string().contains("frame 3"));
        file.finish().unwrap();
        let rows = "0,0.1,2.0,\n1,,1e-7,3.0\n2,4.0,5.0,6e20\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{HEAD}{rows}"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tracks_come_back((scorer, tracks) in tracks()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("v.csv");
            write(&path, &scorer, &tracks).unwrap();
            let (name, back) = read(&path, &Quiet::default()).unwrap();
            prop_assert_eq!(name, scorer);
            prop_assert!(same_tracks(&back, &tracks));
        }
    }
}
