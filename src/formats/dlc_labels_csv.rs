//! DeepLabCut's label table as CSV (`CollectedData_<scorer>.csv`): three header rows, or four with individuals.
//!
//! ```text
//! scorer,,,Ann,Ann,Ann,Ann
//! bodyparts,,,snout,snout,tailbase,tailbase
//! coords,,,x,y,x,y
//! labeled-data,m1,img03.png,10.5,20.25,,
//! ```
//! The specification of what is read and written is `docs/formats/dlc-labels.md`.
//!
//! ```
//! use limn::formats::dlc_labels_csv;
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("labels.csv");
//! std::fs::write(&path, "scorer,Ann,Ann\nbodyparts,snout,snout\ncoords,x,y\nlabeled-data/m1/img3.png,10.5,oops\n")?;
//! let error = dlc_labels_csv::read(&path, &Quiet::default()).unwrap_err();
//! assert!(error.to_string().contains("`oops` in the column `snout y` is not a number"));
//! assert!(error.to_string().contains("labels.csv:4"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::csv_table::CsvTable;
use super::header::{self, Halves, Sort};
use crate::error::{Error, Result};
use crate::files;
use crate::pose::{FrameKey, Labels};
use crate::watch::Watch;
use std::collections::HashMap;
use std::path::Path;

/// Reads a label table with one index column (`labeled-data/m1/img03.png`, `/` or `\`) or three. The skeleton comes from
/// the header, without edges. Likelihood columns are left out and half-labelled points count as unlabelled; both are
/// told as warnings.
///
/// # Errors
/// With file, line and column, of [`crate::Kind::Labels`]: header rows or columns missing or doubled, a ragged row,
/// something that is no finite number, a picture with two rows, text that is not UTF-8, an empty file.
pub fn read(path: &Path, watch: &dyn Watch) -> Result<Labels> {
    let mut table = CsvTable::open(path, Sort::Labels)?;
    if table.index != 1 && table.index != 3 {
        let what = format!("the rows are named by {} columns", table.index);
        return Err(table.wrong(
            1,
            what,
            "name each row by one cell `labeled-data/VIDEO/IMAGE`, or by the three cells labeled-data, VIDEO, IMAGE",
        ));
    }
    table.header.warn(path, Sort::Labels, watch);
    let mut labels = Labels::new(table.header.scorer.clone(), table.header.skeleton.clone());
    let mut lines: HashMap<FrameKey, u64> = HashMap::new();
    let mut halves = Halves::default();
    let mut numbers: Vec<f64> = Vec::new();
    while let Some(row) = table.next_row()? {
        watch.check()?;
        let key = if table.index == 1 {
            header::key_of_path(row.index(0))
        } else {
            let key = FrameKey::new(row.index(1), row.index(2));
            (!key.video.is_empty() && !key.image.is_empty()).then_some(key)
        };
        let Some(key) = key else {
            let named: Vec<_> = (0..table.index).map(|i| row.index(i)).collect();
            let what = format!("`{}` names no picture", named.join(","));
            return Err(table.wrong(row.line, what, "name it labeled-data, VIDEO, IMAGE"));
        };
        table.numbers(&row, &mut numbers)?;
        let mut half = Vec::new();
        let frame = table.header.labeled(&numbers, &mut half).map_err(|f| table.fault(row.line, f))?;
        halves.add(&key, half);
        if let Some(first) = lines.insert(key.clone(), row.line) {
            let what = format!("the picture {key} has two rows, the first in line {first}");
            return Err(table.wrong(row.line, what, "keep the right one and delete the other"));
        }
        labels.frames.insert(key, frame);
    }
    halves.warn(path, watch);
    Ok(labels)
}

/// Writes a label table with three index columns, whole. Numbers have as many digits as it takes to read the same number
/// back; an unlabelled point is two empty cells. Edges are not part of the format.
///
/// # Errors
/// When names or labels cannot be held by the format (nothing is written then), or the file cannot be written.
pub fn write(path: &Path, labels: &Labels) -> Result<()> {
    let rows = header::label_rows(labels).map_err(|e| e.at(path.display()))?;
    let columns = header::columns(&labels.scorer, &labels.skeleton, Sort::Labels);
    let mut out = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| Error::io("write the labels", path, e.into());
    for (level, name) in header::levels(&labels.skeleton).iter().enumerate() {
        let cells = columns.iter().map(|c| c[level].as_str());
        out.write_record([*name, "", ""].into_iter().chain(cells)).map_err(failed)?;
    }
    for (key, row) in rows {
        let index = ["labeled-data", &key.video, &key.image].map(str::to_owned);
        let cells = row.iter().map(|v| if v.is_nan() { String::new() } else { format!("{v:?}") });
        out.write_record(index.into_iter().chain(cells)).map_err(failed)?;
    }
    let bytes = out.into_inner().map_err(|e| Error::io("write the labels", path, e.into_error()))?;
    files::write_whole(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::testing::{labels, openfield};
    use crate::pose::{Keypoint, Skeleton};
    use crate::watch::Quiet;
    use proptest::prelude::*;

    fn read_text(text: impl AsRef<[u8]>) -> (Result<Labels>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let watch = Quiet::default();
        (read(&path, &watch), watch.warnings())
    }

    const HEAD: &str = "scorer,A,A,A,A\nbodyparts,snout,snout,tail,tail\ncoords,x,y,x,y\n";

    #[test]
    fn faults_name_line_column_and_mend() {
        let head = HEAD;
        let cases: &[(&str, String, &[&str])] = &[
            ("empty", String::new(), &["empty", "t.csv:1", "begin with scorer"]),
            ("only blank", "\n\n".into(), &["empty", "begin with scorer"]),
            ("header ends", "scorer,A\nbodyparts,s\n".into(), &["ends within the header", "t.csv:2"]),
            (
                "no header",
                "labeled-data/v/i.png,1,2\n".into(),
                &["header row is missing", "t.csv:1", "begin with"],
            ),
            (
                "no coords",
                "scorer,A,A\nbodyparts,s,s\nlabeled-data/v/i.png,1,2\n".into(),
                &["header row is missing", "t.csv:3"],
            ),
            ("semicolons", "scorer;A;A\nbodyparts;s;s\n".into(), &["commas", "t.csv:1", "save the table"]),
            ("no columns", "scorer,,\nbodyparts,,\ncoords,,\n".into(), &["no columns", "t.csv:3"]),
            (
                "x without y",
                "scorer,A,A,A\nbodyparts,snout,snout,tail\ncoords,x,y,x\n".into(),
                &["`y` of `tail` is missing", "t.csv:3, column 4", "needs the columns x, y"],
            ),
            (
                "twice",
                "scorer,A,A,A,A\nbodyparts,a,a,a,a\ncoords,x,y,x,y\n".into(),
                &["`a x` is there twice", "t.csv:2, column 4", "delete or rename"],
            ),
            (
                "two scorers",
                "scorer,A,B\nbodyparts,a,a\ncoords,x,y\n".into(),
                &["two scorers", "`A` and `B`", "t.csv:1, column 3"],
            ),
            ("z", "scorer,A,A\nbodyparts,a,a\ncoords,x,z\n".into(), &["called `z`", "t.csv:3, column 3"]),
            ("uneven header", "scorer,A,A\nbodyparts,a\n".into(), &["2 cells, the first has 3", "t.csv:2"]),
            (
                "short row",
                format!("{head}labeled-data/v/i.png,1,2,3\n"),
                &["4 cells, the header has 5", "t.csv:4", "missing commas"],
            ),
            (
                "long row",
                format!("{head}\r\n\r\nlabeled-data/v/i.png,1,2,3,4,5\n"),
                &["6 cells, the header has 5", "t.csv:6", "remove the cells"],
            ),
            (
                "text",
                format!("{head}labeled-data/v/i.png,1,2,3,four\n"),
                &["`four` in the column `tail y`", "t.csv:4, column 5", "number with a point"],
            ),
            (
                "infinite",
                format!("{head}labeled-data/v/i.png,1,2,inf,4\n"),
                &["`tail x` holds an infinite", "t.csv:4, column 4", "pixels"],
            ),
            (
                "two rows",
                format!("{head}labeled-data/v/i.png,1,2,3,4\n\nlabeled-data\\v\\i.png,1,2,3,4\n"),
                &["has two rows, the first in line 4", "t.csv:6", "delete the other"],
            ),
            (
                "no picture",
                format!("{head}i.png,1,2,3,4\n"),
                &["`i.png` names no picture", "t.csv:4", "VIDEO, IMAGE"],
            ),
            (
                "two index columns",
                "scorer,,A,A\nbodyparts,,a,a\ncoords,,x,y\n".into(),
                &["named by 2 columns", "t.csv:1"],
            ),
            (
                "no individual",
                "scorer,A,A\nindividuals,,\nbodyparts,a,a\ncoords,x,y\n".into(),
                &["no individual", "t.csv:2, column 2"],
            ),
            (
                "unnamed column with values",
                "scorer,A,A,\nbodyparts,a,a,\ncoords,x,y,\nlabeled-data/v/i.png,1,2,3\n".into(),
                &["no body part above it", "t.csv:4"],
            ),
        ];
        for (name, text, expected) in cases {
            let error = read_text(text).0.unwrap_err();
            for part in *expected {
                assert!(error.to_string().contains(part), "{name}: {part:?} not in:\n{error}");
            }
            assert!(error.how_to_mend().is_some(), "{name}");
        }
        let bad = [HEAD.as_bytes(), b"labeled-data/v/i.png,1,2,\xff,4\n"].concat();
        let error = read_text(bad).0.unwrap_err().to_string();
        assert!(
            error.contains("column 4 is not UTF-8")
                && error.contains("t.csv:4")
                && error.contains("save the")
        );
        let error = read_text(b"\xff\xfes\0c\0o\0").0.unwrap_err().to_string();
        assert!(error.contains("not UTF-8") && error.contains("t.csv:1"), "{error}");
    }

    #[test]
    fn spreadsheets_and_old_projects_are_understood() {
        let rows = "labeled-data\\v\\i2.png,1.5,2,nan,NaN\nlabeled-data/v/i10.png,,,3,4\n";
        let plain = read_text(format!("{HEAD}{rows}")).0.unwrap();
        assert_eq!(plain.scorer, "A");
        assert_eq!(plain.frames[&FrameKey::new("v", "i2.png")].points, [Some(Keypoint::new(1.5, 2.0)), None]);
        let text = format!("{HEAD}{rows}");
        let crlf = text.replace('\n', "\r\n");
        for same in [
            format!("\u{feff}{crlf}\r\n\r\n,,,,\r\n"),
            text.replace('\n', "\r"),
            text.trim_end().to_owned(),
            text.replace('\n', ",,\n"),
        ] {
            let (read, warnings) = read_text(&same);
            assert_eq!(read.unwrap(), plain, "{same:?}");
            assert!(warnings.is_empty());
        }
    }

    #[test]
    fn individuals_may_order_their_parts_differently() {
        let (read, warnings) = read_text(
            "scorer,,,A,A,A,A,A,A,A,A,A,A,A\nindividuals,,,m1,m1,m1,m1,m2,m2,m2,m2,single,single,m1\n\
             bodyparts,,,a,a,b,b,b,b,a,a,c,c,a\ncoords,,,x,y,x,y,y,x,x,y,x,y,likelihood\n\
             labeled-data,v,i.png,1,2,3,4,8,7,5,6,9,,0.5\n",
        );
        let read = read.unwrap();
        assert_eq!(read.skeleton.individuals, ["m1", "m2"]);
        assert_eq!(read.skeleton.unique_bodyparts, ["c"]);
        assert!(read.skeleton.multi_animal);
        let point = |x, y| Some(Keypoint::new(x, y));
        let points = &read.frames[&FrameKey::new("v", "i.png")].points;
        assert_eq!(points, &[point(1.0, 2.0), point(3.0, 4.0), point(5.0, 6.0), point(7.0, 8.0), None]);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("1 likelihood columns"), "{warnings:?}");
        assert!(warnings[1].contains("labeled-data/v/i.png single c"), "{warnings:?}");
    }

    #[test]
    fn what_cannot_be_held_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let key = FrameKey::new("v", "i.png");
        let mut bad = Labels::new("A", Skeleton::single(["a"]));
        bad.set(&key, 0, Some(Keypoint::new(f64::INFINITY, 1.0)));
        assert!(write(&path, &bad).unwrap_err().to_string().contains("labeled-data/v/i.png"));
        for parts in [vec!["nan"], vec!["a", "a"], vec![""], vec![]] {
            assert!(write(&path, &Labels::new("A", Skeleton::single(parts))).is_err());
        }
        assert!(!path.exists());
    }

    #[test]
    fn openfield_labels_are_read() {
        let Some(path) = openfield("labeled-data/m4s1/CollectedData_Pranav.csv") else { return };
        let watch = Quiet::default();
        let labels = read(&path, &watch).unwrap();
        assert_eq!((labels.frames.len(), labels.skeleton.points()), (116, 4));
        assert_eq!(labels.skeleton.bodyparts, ["snout", "leftear", "rightear", "tailbase"]);
        assert_eq!(
            labels.frames[&FrameKey::new("m4s1", "img0000.png")].points[0],
            Some(Keypoint::new(21.521, 265.428))
        );
        assert!(watch.warnings().is_empty(), "{:?}", watch.warnings());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn labels_come_back(labels in labels()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("CollectedData_ä b.csv");
            write(&path, &labels).unwrap();
            prop_assert_eq!(read(&path, &Quiet::default()).unwrap(), labels);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..80) {
            let _ = read_text(&bytes);
            let _ = read_text([&HEAD.as_bytes()[..cut.min(HEAD.len())], &bytes].concat());
        }
    }
}
