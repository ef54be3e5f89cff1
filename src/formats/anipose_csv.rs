//! Keypoints in space in Anipose's CSV (Karashchuk et al. 2021), and their deviations in a second file beside it.
//!
//! ```text
//! snout_x,snout_y,snout_z,snout_error,snout_ncams,snout_score,M_00,...,M_22,center_0,center_1,center_2,fnum
//! 10.5,-3.25,120.0,0.31,3,0.97,1.0,...,1.0,0.0,0.0,0.0,0
//! ,,,,,,1.0,...,1.0,0.0,0.0,0.0,1
//! ```
//! The second file, `<name>_deviations.csv`, has `snout_sx,snout_sy,snout_sz,fnum`. The specification is
//! `docs/formats/tracks-3d.md`.
//!
//! ```
//! use limn::formats::anipose_csv;
//! use limn::pose::{Skeleton, Spot, Tracks3d};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("day1_3d.csv");
//! let mut tracks = Tracks3d::new(Skeleton::single(["snout", "tailbase"]), 2);
//! let spot = Spot { at: [10.5, -3.25, 120.0], deviation: [0.5; 3], error: 0.25, cameras: 3, likelihood: 0.75 };
//! tracks.set(1, 0, Some(spot));
//! anipose_csv::write(&path, &tracks)?;
//! assert_eq!(anipose_csv::read(&path, &Quiet::default())?.get(1, 0), Some(spot));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::csv_table::Lines;
use super::header::{Dense, SINGLE, check_names};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{Skeleton, Tracks3d};
use crate::watch::Watch;
use csv::ByteRecord;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What follows a body part's name, and which of [`Tracks3d::NUMBERS`] it is; the first three must be there.
const MAIN: [(&str, usize); 6] =
    [("_x", 0), ("_y", 1), ("_z", 2), ("_error", 6), ("_ncams", 7), ("_score", 8)];

/// The same of the second file.
const DEVIATIONS: [(&str, usize); 3] = [("_sx", 3), ("_sy", 4), ("_sz", 5)];

/// How Anipose turned and moved the points, and the values that mean "not at all".
const FRAME: [(&str, &str); 12] = [
    ("M_00", "1.0"),
    ("M_01", "0.0"),
    ("M_02", "0.0"),
    ("M_10", "0.0"),
    ("M_11", "1.0"),
    ("M_12", "0.0"),
    ("M_20", "0.0"),
    ("M_21", "0.0"),
    ("M_22", "1.0"),
    ("center_0", "0.0"),
    ("center_1", "0.0"),
    ("center_2", "0.0"),
];

const NUMBER: &str = "fnum";

/// Where the deviations of these tracks are: `day1.csv` has `day1_deviations.csv` beside it.
#[must_use]
pub fn deviations_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_deviations.csv"))
}

/// Whether the header of a CSV file is that of such a table: it begins with `<name>_x`, `<name>_y`, `<name>_z`.
#[must_use]
pub fn is_one(path: &Path) -> bool {
    Table::open(path).is_ok_and(|t| t.points(&MAIN).is_ok())
}

/// Reads tracks in millimetres, as they stand in the file, and their deviations where the second file is there. Body parts
/// keep their names; individuals are not told apart. Frames left out are empty; without `fnum`, rows count the frames.
/// Columns of error, cameras or score that are not there are NaN. Points that Anipose turned or moved stay so, which is noted.
///
/// # Errors
/// With file, line and column, of [`Kind::Format`]: no columns of points, columns doubled, a ragged row, something that is no
/// number, frame numbers that do not rise; or the second file has other body parts or another number of frames.
pub fn read(path: &Path, watch: &dyn Watch) -> Result<Tracks3d> {
    crate::watch::may_wait("reading tracks");
    let (names, mut values) = fill(path, &MAIN, watch)?;
    let second = deviations_path(path);
    if second.is_file() {
        let (others, deviations) = fill(&second, &DEVIATIONS, watch)?;
        let differ = |what: &str| {
            Error::new(Kind::Format, format!("the deviations have {what} than the tracks"))
                .at(second.display())
                .mend("delete this file, or write both again")
        };
        if others.iter().collect::<HashSet<_>>() != names.iter().collect::<HashSet<_>>() {
            return Err(differ("other body parts"));
        }
        if deviations.len() != values.len() {
            return Err(differ("another number of frames"));
        }
        let places: Vec<usize> =
            names.iter().filter_map(|name| others.iter().position(|o| o == name)).collect();
        let rows = values.chunks_exact_mut(names.len()).zip(deviations.chunks_exact(names.len()));
        for (row, from) in rows {
            for (point, &place) in row.iter_mut().zip(&places) {
                let Some(from) = from.get(place) else { continue };
                for (_, slot) in DEVIATIONS {
                    point[slot] = from[slot];
                }
            }
        }
    }
    Tracks3d::from_values(Skeleton::single(names), values).ok_or_else(|| {
        Error::new(Kind::Format, "the rows do not fit the columns").at(path.display()).mend("write it again")
    })
}

/// Writes tracks and, beside them, their deviations ([`deviations_path`]): both files or none. A point of several individuals
/// is called `<individual>_<bodypart>`; that of a unique body part has its name alone.
///
/// # Errors
/// When two points would have one name, a name cannot stand in a table, or the folder cannot be written.
pub fn write(path: &Path, tracks: &Tracks3d) -> Result<()> {
    let names = names(&tracks.skeleton).map_err(|e| e.at(path.display()))?;
    let second = deviations_path(path);
    files::write_together([path, &second], |[main, deviations]| {
        put(main, &names, tracks, &MAIN, &FRAME)?;
        put(deviations, &names, tracks, &DEVIATIONS, &[])
    })
}

/// One name for each point.
fn names(skeleton: &Skeleton) -> Result<Vec<String>> {
    check_names("limn", skeleton)?;
    let name = |p: crate::pose::PointName<'_>| match p.individual {
        "" | SINGLE => p.bodypart.to_owned(),
        individual => format!("{individual}_{}", p.bodypart),
    };
    let names: Vec<String> = skeleton.names().map(name).collect();
    let mut seen = HashSet::new();
    match names.iter().find(|n| !seen.insert(n.as_str())) {
        None => Ok(names),
        Some(twice) => {
            Err(Error::new(Kind::Labels, format!("two points would have columns called `{twice}_x`"))
                .mend("rename an individual or a body part, or write the tracks as DeepLabCut's 3D table"))
        }
    }
}

fn put(
    path: &Path,
    names: &[String],
    tracks: &Tracks3d,
    columns: &[(&str, usize)],
    frame: &[(&str, &str)],
) -> Result<()> {
    use std::fmt::Write as _;
    files::write_with(path, |file| {
        let mut out = csv::Writer::from_writer(BufWriter::new(file));
        for name in names {
            for (suffix, _) in columns {
                out.write_field(format!("{name}{suffix}"))?;
            }
        }
        for (name, _) in frame {
            out.write_field(name)?;
        }
        out.write_record([NUMBER])?;
        let mut text = String::new();
        for number in 0..tracks.frames() {
            for point in tracks.row(number) {
                for &(suffix, slot) in columns {
                    text.clear();
                    let value = point[slot];
                    // As many digits as it takes to read the same f32 back. Writing to a String cannot fail.
                    let _ = match suffix {
                        _ if value.is_nan() => Ok(()),
                        "_ncams" => write!(text, "{value}"),
                        _ => write!(text, "{value:?}"),
                    };
                    out.write_field(&text)?;
                }
            }
            for (_, value) in frame {
                out.write_field(value)?;
            }
            out.write_record([number.to_string()])?;
        }
        out.into_inner().map_err(csv::IntoInnerError::into_error)?.flush()
    })
}

/// The names of the points, and `[frame][point]`.
type Filled = (Vec<String>, Vec<[f32; Tracks3d::NUMBERS]>);

fn fill(path: &Path, columns: &[(&str, usize)], watch: &dyn Watch) -> Result<Filled> {
    let mut table = Table::open(path)?;
    let points = table.points(columns)?;
    // (column, place in the row)
    let mut places = Vec::new();
    for (i, (_, at)) in points.iter().enumerate() {
        let slots = at.iter().zip(columns);
        places.extend(slots.filter_map(|(c, (_, slot))| Some(((*c)?, i * Tracks3d::NUMBERS + slot))));
    }
    let number = table.names.iter().position(|n| n == NUMBER);
    let mut dense = Dense::new(points.len() * Tracks3d::NUMBERS);
    let mut counted = 0;
    while let Some((line, cells)) = table.row()? {
        watch.check()?;
        if counted == 0 {
            table.note_frame(&cells, watch);
        }
        let at = match number {
            None => counted,
            Some(column) => {
                let text = cell(&cells, column);
                let whole = text.strip_suffix(".0").unwrap_or(text);
                whole.parse::<i64>().map_err(|_| {
                    table.wrong(
                        line,
                        format!("`{text}` in the column `{NUMBER}` is no frame number"),
                        "frames are counted 0, 1, 2, ...",
                    )
                })?
            }
        };
        counted += 1;
        let row = dense.row(at).map_err(|e| e.at(format!("{}:{line}", path.display())))?;
        for &(column, place) in &places {
            let text = cell(&cells, column);
            if text.is_empty() || text.eq_ignore_ascii_case("nan") {
                continue;
            }
            let value = text.parse().map_err(|_| {
                let name = table.names.get(column).map_or("", String::as_str);
                table.wrong(
                    line,
                    format!("`{text}` in the column `{name}` is not a number"),
                    "write a number with a point, or leave the cell empty",
                )
            })?;
            if let Some(slot) = row.get_mut(place) {
                *slot = value;
            }
        }
    }
    let (values, _) = dense.values().as_chunks::<{ Tracks3d::NUMBERS }>();
    Ok((points.into_iter().map(|(name, _)| name).collect(), values.to_vec()))
}

/// A cell; every record was checked to be UTF-8.
fn cell(cells: &ByteRecord, column: usize) -> &str {
    std::str::from_utf8(cells.get(column).unwrap_or_default()).unwrap_or_default().trim()
}

/// A CSV table with one header row, row by row.
struct Table {
    path: PathBuf,
    reader: csv::Reader<Lines<BufReader<File>>>,
    names: Vec<String>,
}

impl Table {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io("open the table", path, e))?;
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(Lines::new(BufReader::new(file)));
        let mut table = Self { path: path.to_owned(), reader, names: Vec::new() };
        let Some((line, cells)) = table.row()? else {
            return Err(table.wrong(1, "the file is empty".into(), "write it again"));
        };
        table.names = (0..cells.len()).map(|c| cell(&cells, c).to_owned()).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = table.names.iter().find(|n| !n.is_empty() && !seen.insert(n.as_str())) {
            let what = format!("the column `{twice}` is there twice");
            return Err(table.wrong(line, what, "delete or rename one of the two columns"));
        }
        Ok(table)
    }

    fn wrong(&self, line: u64, what: String, mend: &str) -> Error {
        Error::new(Kind::Format, what).at(format!("{}:{line}", self.path.display())).mend(mend)
    }

    /// The next row that is not empty, and its line.
    fn row(&mut self) -> Result<Option<(u64, ByteRecord)>> {
        let mut cells = ByteRecord::new();
        loop {
            let line = self.reader.position().line();
            let more = self.reader.read_byte_record(&mut cells).map_err(|e| match e.into_kind() {
                csv::ErrorKind::Io(e) => Error::io("read the table", &self.path, e),
                other => {
                    self.wrong(line, format!("the table cannot be read: {other:?}"), "save it again as CSV")
                }
            })?;
            if !more {
                return Ok(None);
            }
            // Every line ends with a line feed here, so the reader stands at the beginning of the next one.
            let line = self.reader.position().line().saturating_sub(1).max(line);
            if cells.iter().any(|c| std::str::from_utf8(c).is_err()) {
                let what = "a cell is not UTF-8 text".into();
                return Err(self.wrong(line, what, "save the table as CSV with UTF-8 encoding"));
            }
            if !self.names.is_empty() && cells.len() != self.names.len() && !blank(&cells) {
                let what = format!("the row has {} cells, the header has {}", cells.len(), self.names.len());
                return Err(self.wrong(line, what, "give every row as many cells as the header has"));
            }
            if !blank(&cells) {
                return Ok(Some((line, cells)));
            }
        }
    }

    /// The names of the points, and where each of `columns` is.
    fn points(&self, columns: &[(&str, usize)]) -> Result<Vec<(String, Vec<Option<usize>>)>> {
        let at: HashMap<&str, usize> = self.names.iter().zip(0..).map(|(n, i)| (n.as_str(), i)).collect();
        let must = columns.get(..3).unwrap_or(columns);
        let first = must.first().map_or("", |(suffix, _)| suffix);
        let mut points = Vec::new();
        for name in self.names.iter().filter_map(|n| n.strip_suffix(first)).filter(|n| !n.is_empty()) {
            let places: Vec<Option<usize>> =
                columns.iter().map(|(suffix, _)| at.get(&*format!("{name}{suffix}")).copied()).collect();
            if let Some((_, (suffix, _))) = places.iter().zip(must).find(|(p, _)| p.is_none()) {
                let what = format!("the column `{name}{suffix}` is missing");
                return Err(self.wrong(1, what, "each point needs columns for all three directions"));
            }
            points.push((name.to_owned(), places));
        }
        if points.is_empty() {
            let wanted: Vec<String> = must.iter().map(|(suffix, _)| format!("<name>{suffix}")).collect();
            return Err(self.wrong(1, format!("the table has no columns {}", wanted.join(", ")), {
                "give 3D tracks as limn or Anipose write them"
            }));
        }
        Ok(points)
    }

    /// Notes when Anipose turned or moved the points.
    fn note_frame(&self, cells: &ByteRecord, watch: &dyn Watch) {
        let other = |(name, usual): &(&str, &str)| {
            let Some(column) = self.names.iter().position(|n| n == name) else { return false };
            let (is, usual) = (cell(cells, column).parse::<f64>(), usual.parse::<f64>());
            matches!((is, usual), (Ok(is), Ok(usual)) if (is - usual).abs() > 1e-9)
        };
        if FRAME.iter().any(other) {
            watch.note(&format!(
                "{}: the points were turned or moved by Anipose and stay so (the columns M and center)",
                self.path.display()
            ));
        }
    }
}

fn blank(cells: &ByteRecord) -> bool {
    cells.iter().all(|c| c.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{same_tracks_3d, tracks_3d};
    use crate::pose::Spot;
    use crate::watch::Quiet;
    use proptest::prelude::*;

    fn read_text(text: &str, deviations: Option<&str>) -> Result<Tracks3d> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        if let Some(text) = deviations {
            std::fs::write(dir.path().join("t_deviations.csv"), text).unwrap();
        }
        read(&path, &Quiet::default())
    }

    #[test]
    fn the_file_is_as_anipose_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let mut tracks = Tracks3d::new(Skeleton::single(["a", "b"]), 2);
        let spot = Spot {
            at: [f64::from(0.1f32), -2.0, 300.0],
            deviation: [0.5; 3],
            error: 0.25,
            cameras: 3,
            likelihood: 0.75,
        };
        tracks.set(1, 1, Some(spot));
        write(&path, &tracks).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let identity = "1.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0";
        let head = "a_x,a_y,a_z,a_error,a_ncams,a_score,b_x,b_y,b_z,b_error,b_ncams,b_score,M_00,M_01,M_02,M_10,M_11,\
                    M_12,M_20,M_21,M_22,center_0,center_1,center_2,fnum";
        let rows = format!(",,,,,,,,,,,,{identity},0\n,,,,,,0.1,-2.0,300.0,0.25,3,0.75,{identity},1\n");
        assert_eq!(text, format!("{head}\n{rows}"));
        let second = std::fs::read_to_string(deviations_path(&path)).unwrap();
        assert_eq!(second, "a_sx,a_sy,a_sz,b_sx,b_sy,b_sz,fnum\n,,,,,,0\n,,,0.5,0.5,0.5,1\n");
        assert_eq!(read(&path, &Quiet::default()).unwrap().get(1, 1), Some(spot));
        std::fs::remove_file(deviations_path(&path)).unwrap();
        assert!(read(&path, &Quiet::default()).unwrap().get(1, 1).unwrap().deviation[0].is_nan());
        assert!(is_one(&path) && !is_one(dir.path()));
    }

    #[test]
    fn what_others_leave_out_or_add_is_read() {
        let text = "other,b_x,b_y,b_z,a_z_x,a_z_y,a_z_z\r\n9,1,2,3,nan,,4\r\n\r\n9,4,5,6,7,8,9\r\n";
        let tracks = read_text(text, None).unwrap();
        assert_eq!(tracks.skeleton.bodyparts, ["b", "a_z"]);
        assert_eq!((tracks.frames(), tracks.get(0, 1)), (2, None));
        let spot = tracks.get(1, 1).unwrap();
        assert!(spot.at == [7.0, 8.0, 9.0] && spot.error.is_nan() && spot.cameras == 0);
        // Frames left out are empty, and numbers may have become floats.
        let tracks = read_text("a_x,a_y,a_z,fnum\n1,2,3,1.0\n4,5,6,3\n", None).unwrap();
        assert_eq!((tracks.frames(), tracks.get(2, 0)), (4, None));
        assert!(tracks.get(1, 0).is_some() && tracks.get(3, 0).is_some());
        assert_eq!(read_text("a_x,a_y,a_z\n", None).unwrap().frames(), 0);
    }

    #[test]
    fn faults_name_line_and_mend() {
        let head = "a_x,a_y,a_z,fnum\n";
        let cases = [
            (String::new(), "empty", "t.csv:1"),
            ("scorer,x,y\n".into(), "no columns <name>_x, <name>_y, <name>_z", "t.csv:1"),
            ("a_x,a_y\n".into(), "`a_z` is missing", "t.csv:1"),
            ("a_x,a_y,a_z,a_x\n".into(), "`a_x` is there twice", "t.csv:1"),
            (format!("{head}1,2,3,0\n1,2,3\n"), "3 cells, the header has 4", "t.csv:3"),
            (format!("{head}1,2,3,0\n\n1,high,3,1\n"), "`high` in the column `a_y`", "t.csv:4"),
            (format!("{head}1,2,3,0\n1,2,3,0\n"), "0 comes after 0", "t.csv:3"),
            (format!("{head}1,2,3,z\n"), "`z` in the column `fnum`", "t.csv:2"),
            (format!("{head}1,2,3,99999999999\n"), "far beyond", "t.csv:2"),
        ];
        for (text, what, place) in cases {
            let error = read_text(&text, None).unwrap_err();
            assert!(error.what().contains(what), "{what}: {error}");
            assert!(error.place().unwrap().contains(place), "{place}: {error}");
            assert!(error.how_to_mend().is_some());
        }
        let main = format!("{head}1,2,3,0\n");
        for (second, what) in [
            ("b_sx,b_sy,b_sz\n1,1,1\n", "other body parts"),
            ("a_sx,a_sy,a_sz\n1,1,1\n2,2,2\n", "another number of frames"),
            ("a_sx,a_sy\n1,1\n", "`a_sz` is missing"),
        ] {
            let error = read_text(&main, Some(second)).unwrap_err();
            assert!(error.what().contains(what), "{error}");
            assert!(error.place().unwrap().contains("t_deviations.csv"), "{error}");
        }
    }

    #[test]
    fn individuals_are_in_the_names_and_never_two_alike() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let skeleton = Skeleton {
            individuals: vec!["m1".into(), "m2".into()],
            bodyparts: vec!["a".into()],
            unique_bodyparts: vec!["corner".into()],
            edges: vec![],
            multi_animal: true,
        };
        write(&path, &Tracks3d::new(skeleton.clone(), 1)).unwrap();
        let back = read(&path, &Quiet::default()).unwrap();
        assert_eq!(back.skeleton, Skeleton::single(["m1_a", "m2_a", "corner"]));
        let unique_bodyparts = vec!["m1_a".into()];
        let error = write(&path, &Tracks3d::new(Skeleton { unique_bodyparts, ..skeleton }, 1)).unwrap_err();
        assert!(error.what().contains("`m1_a_x`"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn tracks_come_back(tracks in tracks_3d()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ä b.csv");
            let Ok(names) = names(&tracks.skeleton) else { return Ok(()) };
            write(&path, &tracks).unwrap();
            let back = read(&path, &Quiet::default()).unwrap();
            let named = Tracks3d::from_values(Skeleton::single(names), tracks.values().to_vec()).unwrap();
            prop_assert!(same_tracks_3d(&back, &named));
        }
    }
}
