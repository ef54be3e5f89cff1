//! DeepLabCut's keypoints in space: `scorer / [individuals] / bodyparts / coords` above, with the coordinates x, y and z, as CSV
//! and (feature `hdf5`) as a pandas HDF5 file.
//!
//! ```text
//! scorer,DLC_3D,DLC_3D,DLC_3D
//! bodyparts,snout,snout,snout
//! coords,x,y,z
//! 0,10.5,-3.25,120.0
//! 1,,,
//! ```
//! Error, cameras, likelihood and deviations have no place here; `super::anipose_csv` keeps them. The specification is
//! `docs/formats/tracks-3d.md`.
//!
//! ```
//! use limn::formats::dlc_3d;
//! use limn::pose::{Skeleton, Spot, Tracks3d};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("day1_DLC_3D.csv");
//! let mut tracks = Tracks3d::new(Skeleton::single(["snout"]), 2);
//! let spot = Spot { at: [10.5, -3.25, 120.0], deviation: [0.5; 3], error: 0.25, cameras: 3, likelihood: 0.75 };
//! tracks.set(0, 0, Some(spot));
//! dlc_3d::write_csv(&path, "DLC_3D", &tracks)?;
//! let (scorer, back) = dlc_3d::read_csv(&path, &Quiet::default())?;
//! assert_eq!((scorer.as_str(), back.get(0, 0).map(|s| s.at)), ("DLC_3D", Some(spot.at)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::csv_table::CsvTable;
use super::header::{self, Dense, Sort};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{Skeleton, Tracks3d};
use crate::watch::Watch;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Reads points in space from CSV, in millimetres as they stand there, and the scorer. Frame numbers left out become empty
/// frames.
///
/// # Errors
/// With file, line and column, of [`Kind::Format`], as of DeepLabCut's other tables.
pub fn read_csv(path: &Path, watch: &dyn Watch) -> Result<(String, Tracks3d)> {
    crate::watch::may_wait("reading tracks");
    let mut table = CsvTable::open(path, Sort::Space)?;
    if table.index != 1 {
        let what = format!("the rows are named by {} columns, not by a frame number", table.index);
        return Err(table.wrong(1, what, "give a table of points in space, one row a frame"));
    }
    table.header.warn(path, Sort::Space, watch);
    let mut dense = Dense::new(table.header.skeleton.points() * 3);
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
    let tracks = of_positions(path, table.header.skeleton, dense.values())?;
    Ok((table.header.scorer, tracks))
}

/// Writes points in space as CSV, whole. DeepLabCut's own scorer is `DLC_3D`.
///
/// # Errors
/// When names cannot be held by the format, or the file cannot be written.
pub fn write_csv(path: &Path, scorer: &str, tracks: &Tracks3d) -> Result<()> {
    use std::fmt::Write as _;
    let skeleton = &tracks.skeleton;
    header::check_names(scorer, skeleton).map_err(|e| e.at(path.display()))?;
    let columns = header::columns(scorer, skeleton, Sort::Space);
    files::write_with(path, |file| {
        let mut out = csv::Writer::from_writer(BufWriter::new(file));
        for (level, name) in header::levels(skeleton).iter().enumerate() {
            let cells = columns.iter().filter_map(|c| c.get(level).map(String::as_str));
            out.write_record([*name].into_iter().chain(cells))?;
        }
        let mut text = String::new();
        for frame in 0..tracks.frames() {
            out.write_field(frame.to_string())?;
            for value in tracks.row(frame).iter().flat_map(|point| &point[..3]) {
                text.clear();
                if !value.is_nan() {
                    // As many digits as it takes to read the same f32 back. Writing to a String cannot fail.
                    let _ = write!(text, "{value:?}");
                }
                out.write_field(&text)?;
            }
            out.write_record(None::<&[u8]>)?;
        }
        out.into_inner().map_err(csv::IntoInnerError::into_error)?.flush()
    })
}

/// Reads points in space from a pandas HDF5 file, in millimetres as they stand there, and the scorer. Numbers become 32-bit,
/// frame numbers left out empty frames.
///
/// # Errors
/// When the file is damaged, holds no such table or several of which none is called `df_with_missing`, or its rows are not
/// numbered by rising whole numbers.
#[cfg(feature = "hdf5")]
pub fn read_h5(path: &Path, watch: &dyn Watch) -> Result<(String, Tracks3d)> {
    use super::pandas::{self, Frame, Index};
    crate::watch::may_wait("reading tracks");
    let frame: Frame<f32> = pandas::read(path, watch)?;
    let header = header::understand(&frame.levels, &frame.columns, Sort::Space).map_err(|f| {
        Error::new(Kind::Format, f.what).at(format!("{}, column {}", path.display(), f.column)).mend(f.mend)
    })?;
    header.warn(path, Sort::Space, watch);
    let index = match &frame.index {
        Index::Integer(index) => index,
        Index::Text(rows) if rows.is_empty() => &Vec::new(),
        Index::Text(_) => {
            return Err(Error::new(Kind::Format, "the rows are named, not numbered")
                .at(path.display())
                .mend("give a table of points in space, one row a frame"));
        }
    };
    let mut dense = Dense::new(header.skeleton.points() * 3);
    for (i, (&number, row)) in index.iter().zip(frame.values.chunks_exact(frame.columns.len())).enumerate() {
        let out = dense.row(number).map_err(|e| e.at(format!("{}, row {i}", path.display())))?;
        header.tracked(row, out);
    }
    let tracks = of_positions(path, header.skeleton, dense.values())?;
    Ok((header.scorer, tracks))
}

/// Writes points in space as a pandas HDF5 file, whole: 64-bit numbers in the table layout under the key `df_with_missing`, as
/// DeepLabCut does. DeepLabCut's own scorer is `DLC_3D`.
///
/// # Errors
/// When names cannot be held by the format, or the file cannot be written.
#[cfg(feature = "hdf5")]
pub fn write_h5(path: &Path, scorer: &str, tracks: &Tracks3d) -> Result<()> {
    use super::pandas::{self, NewIndex};
    let skeleton = &tracks.skeleton;
    header::check_names(scorer, skeleton).map_err(|e| e.at(path.display()))?;
    let columns = header::columns(scorer, skeleton, Sort::Space);
    let index = NewIndex::Counted(tracks.frames());
    let mut file = pandas::create::<f64>(path, header::levels(skeleton), &columns, &index)?;
    let mut row: Vec<f64> = Vec::with_capacity(columns.len());
    for frame in 0..tracks.frames() {
        row.clear();
        row.extend(tracks.row(frame).iter().flat_map(|point| &point[..3]).map(|v| f64::from(*v)));
        file.rows(&row)?;
    }
    file.finish()
}

/// From `[frame][point][x, y, z]`; the other numbers are not known.
fn of_positions(path: &Path, skeleton: Skeleton, positions: &[f32]) -> Result<Tracks3d> {
    let (points, _) = positions.as_chunks::<3>();
    let numbers = points.iter().map(|at| {
        let mut all = [f32::NAN; Tracks3d::NUMBERS];
        all.iter_mut().zip(at).for_each(|(to, from)| *to = *from);
        all
    });
    Tracks3d::from_values(skeleton, numbers.collect()).ok_or_else(|| {
        Error::new(Kind::Format, "the rows do not fit the columns")
            .at(path.display())
            .mend("write the table again")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{same_tracks_3d, tracks_3d};
    use crate::watch::Quiet;
    use proptest::prelude::*;

    /// What these files hold of a track.
    fn positions_of(tracks: &Tracks3d) -> Tracks3d {
        let mut only = tracks.clone();
        for point in only.values_mut() {
            point[3..].fill(f32::NAN);
        }
        only
    }

    fn small() -> Tracks3d {
        let values = vec![[0.1; 9], [f32::NAN; 9], [-2.5e-7; 9], [1e20; 9]];
        Tracks3d::from_values(Skeleton::single(["snout", "tail base"]), values).unwrap()
    }

    #[test]
    fn the_csv_is_as_deeplabcut_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a_DLC_3D.csv");
        write_csv(&path, "DLC_3D", &small()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let head = "scorer,DLC_3D,DLC_3D,DLC_3D,DLC_3D,DLC_3D,DLC_3D\n\
                    bodyparts,snout,snout,snout,tail base,tail base,tail base\ncoords,x,y,z,x,y,z\n";
        let rows = "0,0.1,0.1,0.1,,,\n1,-2.5e-7,-2.5e-7,-2.5e-7,1e20,1e20,1e20\n";
        assert_eq!(text, format!("{head}{rows}"));
    }

    #[test]
    fn tables_of_other_sorts_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let head = "scorer,D,D,D\nbodyparts,a,a,a\ncoords,x,y,";
        for (text, what) in [
            (format!("{head}likelihood\n0,1,2,3\n"), "a coordinate called `likelihood`"),
            ("scorer,D,D\nbodyparts,a,a\ncoords,x,y\n".into(), "`z` of `a` is missing"),
            (format!("{head}z\nq,1,2,3\n"), "`q` in the first column"),
            (format!("{head}z\n0,1,2,far\n"), "`far` in the column `a z`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read_csv(&path, &Quiet::default()).unwrap_err();
            assert!(error.what().contains(what) && error.place().unwrap().contains("t.csv:"), "{error}");
        }
        std::fs::write(&path, format!("{head}z\n2,1,2,3\n")).unwrap();
        let in_plane = crate::formats::dlc_tracks_csv::read(&path, &Quiet::default()).unwrap_err();
        assert!(in_plane.what().contains("a coordinate called `z`"), "{in_plane}");
        let tracks = read_csv(&path, &Quiet::default()).unwrap().1;
        assert_eq!((tracks.frames(), tracks.get(1, 0)), (3, None));
    }

    /// What pandas sees: types, columns, and values as Python writes them.
    #[cfg(feature = "hdf5")]
    const SHOW: &str = "
import sys, pandas as pd
h5, csv = sys.argv[1:]
df = pd.read_hdf(h5)
text = pd.read_csv(csv, header=list(range(df.columns.nlevels)), index_col=0)
assert df.index.tolist() == list(range(len(df)))
assert df.columns.tolist() == text.columns.tolist(), text.columns
assert df.columns.names == text.columns.names, text.columns.names
assert df.astype('float32').equals(text.astype('float32')), text
print(list(df.columns.names), sorted({str(t) for t in df.dtypes}), df.columns.tolist()[-1])
print(df.to_numpy().tolist())
df.iloc[1:].to_hdf(h5, key='df_with_missing', format='table', mode='w')
";

    #[cfg(feature = "hdf5")]
    #[test]
    fn pandas_reads_what_is_written_and_writes_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (h5, csv) = (dir.path().join("a_DLC_3D.h5"), dir.path().join("a_DLC_3D.csv"));
        write_h5(&h5, "DLC_3D", &small()).unwrap();
        write_csv(&csv, "DLC_3D", &small()).unwrap();
        let python = std::env::var_os("LIMN_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = std::process::Command::new(&python);
        if !command.args(["-c", "import pandas, tables"]).output().is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: {} cannot import pandas and tables; set LIMN_PYTHON", python.display());
            return;
        }
        let mut command = std::process::Command::new(&python);
        let output = command.args(["-W", "ignore", "-c", SHOW]).args([&h5, &csv]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seen = String::from_utf8(output.stdout).unwrap();
        let wide = |v: f32| format!("{:?}", f64::from(v));
        let (a, b, c) = (wide(0.1), wide(-2.5e-7).replace("e-7", "e-07"), wide(1e20));
        let expected = format!(
            "['scorer', 'bodyparts', 'coords'] ['float64'] ('DLC_3D', 'tail base', 'z')\n\
             [[{a}, {a}, {a}, nan, nan, nan], [{b}, {b}, {b}, {c}, {c}, {c}]]\n"
        );
        assert_eq!(seen.replace("e+20", "e20"), expected);
        // pandas wrote frame 1 alone; frame 0 is empty now.
        let (scorer, back) = read_h5(&h5, &Quiet::default()).unwrap();
        assert_eq!((scorer.as_str(), back.frames(), back.get(0, 0)), ("DLC_3D", 2, None));
        assert_eq!(back.row(1)[1][..3], small().row(1)[1][..3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn positions_come_back(tracks in tracks_3d()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("v.csv");
            write_csv(&path, "DLC_3D", &tracks).unwrap();
            let (scorer, back) = read_csv(&path, &Quiet::default()).unwrap();
            prop_assert_eq!(scorer, "DLC_3D");
            prop_assert!(same_tracks_3d(&back, &positions_of(&tracks)));
            #[cfg(feature = "hdf5")]
            {
                let path = dir.path().join("v.h5");
                write_h5(&path, "DLC_3D", &tracks).unwrap();
                let (_, back) = read_h5(&path, &Quiet::default()).unwrap();
                prop_assert!(same_tracks_3d(&back, &positions_of(&tracks)));
            }
        }
    }
}
