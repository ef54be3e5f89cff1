//! What the columns of a DeepLabCut table mean: `scorer / [individuals] / bodyparts / coords`, in whatever order they
//! come, and back.

use crate::error::{Error, Kind, Result};
use crate::pose::{FrameKey, Keypoint, LabeledFrame, Labels, Skeleton};
use crate::watch::Watch;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The individual under which unique body parts stand.
pub(super) const SINGLE: &str = "single";

/// Which sort of table is read: labels have `x, y`, predictions have `x, y, likelihood`, points in space `x, y, z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Labels,
    Tracks,
    Space,
}

/// What one column holds, of the point with this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    X(usize),
    Y(usize),
    Likelihood(usize),
    Z(usize),
}

/// A fault of the columns or of one value; whoever read the file knows the place.
#[derive(Debug)]
pub(super) struct Fault {
    /// Which column, from 0 after the index columns.
    pub column: usize,
    /// Which level of the header is wrong, from the top; none for a value.
    pub level: Option<usize>,
    pub what: String,
    pub mend: String,
}

/// The columns of a table, understood.
#[derive(Debug)]
pub(super) struct Header {
    pub scorer: String,
    pub skeleton: Skeleton,
    /// One for each column.
    pub places: Vec<Place>,
    /// Short names for messages, one for each column.
    pub names: Vec<String>,
}

/// The names of the header rows of this skeleton.
pub(super) fn levels(skeleton: &Skeleton) -> &'static [&'static str] {
    if skeleton.multi_animal {
        &["scorer", "individuals", "bodyparts", "coords"]
    } else {
        &["scorer", "bodyparts", "coords"]
    }
}

/// The coordinates of one point in column order.
pub(super) fn coords(sort: Sort) -> &'static [&'static str] {
    match sort {
        Sort::Labels => &["x", "y"],
        Sort::Tracks => &["x", "y", "likelihood"],
        Sort::Space => &["x", "y", "z"],
    }
}

/// All columns that a table of this skeleton has, each with one name for each of [`levels`].
pub(super) fn columns(scorer: &str, skeleton: &Skeleton, sort: Sort) -> Vec<Vec<String>> {
    let mut all = Vec::with_capacity(skeleton.points() * 3);
    for point in skeleton.names() {
        for coord in coords(sort) {
            let mut column = vec![scorer.to_owned()];
            if skeleton.multi_animal {
                column.push(point.individual.to_owned());
            }
            column.extend([point.bodypart.to_owned(), (*coord).to_owned()]);
            all.push(column);
        }
    }
    all
}

/// Reads the meaning off the columns. `levels` are the names of the header rows, where the file has them.
pub(super) fn understand(
    levels: &[Option<String>],
    columns: &[Vec<String>],
    sort: Sort,
) -> Result<Header, Fault> {
    let level = find_levels(levels, columns)?;
    let mut scorer: Option<&str> = None;
    let mut individuals: Vec<&str> = Vec::new();
    let mut parts: Vec<&str> = Vec::new();
    let mut unique: Vec<&str> = Vec::new();
    // Every point once, with where its columns are.
    let mut seen: HashMap<(&str, &str), [Option<usize>; 3]> = HashMap::new();
    let mut names = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        let fault = |level, what: String, mend: &str| Fault {
            column: i,
            level: Some(level),
            what,
            mend: mend.to_owned(),
        };
        let part = column[level.bodyparts].as_str();
        let coord = column[level.coords].as_str();
        let individual = level.individuals.map_or("", |l| column[l].as_str());
        names.push(column.iter().skip(1).map(String::as_str).collect::<Vec<_>>().join(" "));
        if part.is_empty() {
            return Err(fault(
                level.bodyparts,
                "a column has no body part".into(),
                "name it, or delete the column",
            ));
        }
        if level.individuals.is_some() && individual.is_empty() {
            let at = level.individuals.unwrap_or(0);
            return Err(fault(at, format!("a column of `{part}` has no individual"), "name the individual"));
        }
        let this = column[level.scorer].as_str();
        match scorer {
            None => scorer = Some(this),
            Some(first) if first != this => {
                return Err(fault(
                    level.scorer,
                    format!("two scorers in one table: `{first}` and `{this}`"),
                    "keep one scorer in each file; split the table, or give all columns one scorer",
                ));
            }
            Some(_) => {}
        }
        let slot = match (coord, sort) {
            ("x", _) => 0,
            ("y", _) => 1,
            ("likelihood", Sort::Labels | Sort::Tracks) | ("z", Sort::Space) => 2,
            (other, _) => {
                let mend = if sort == Sort::Space {
                    "coordinates of points in space are x, y and z; other tables are not read here"
                } else {
                    "coordinates are x, y and likelihood; 3D tables and others are not read here"
                };
                return Err(fault(level.coords, format!("`{part}` has a coordinate called `{other}`"), mend));
            }
        };
        let place = seen.entry((individual, part)).or_default();
        if place[slot].is_some() {
            return Err(fault(
                level.bodyparts,
                format!("the column `{}` is there twice", names[i]),
                "delete or rename one of the two columns",
            ));
        }
        place[slot] = Some(i);
        if level.individuals.is_some() && individual == SINGLE {
            add_once(&mut unique, part);
        } else {
            add_once(&mut parts, part);
            add_once(&mut individuals, individual);
        }
    }
    for (&(_, part), place) in &seen {
        let Some(&some) = place.iter().flatten().next() else { continue };
        for (slot, &coord) in coords(sort).iter().enumerate() {
            if place[slot].is_none() {
                let hint = if sort == Sort::Tracks { "; a label table has no likelihood" } else { "" };
                return Err(Fault {
                    column: some,
                    level: Some(level.coords),
                    what: format!("the column `{coord}` of `{part}` is missing ({})", names[some]),
                    mend: format!("each body part needs the columns {}{hint}", coords(sort).join(", ")),
                });
            }
        }
    }
    let multi = level.individuals.is_some();
    let own = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let find = |all: &[&str]| -> HashMap<String, usize> {
        all.iter().enumerate().map(|(i, n)| ((*n).to_owned(), i)).collect()
    };
    let (find_individual, find_part, find_unique) = (find(&individuals), find(&parts), find(&unique));
    let many = individuals.len() * parts.len();
    let places = columns
        .iter()
        .map(|column| {
            let part = &column[level.bodyparts];
            let individual = level.individuals.map_or("", |l| column[l].as_str());
            let point = if multi && individual == SINGLE {
                many + find_unique.get(part).copied().unwrap_or(0)
            } else {
                find_individual.get(individual).copied().unwrap_or(0) * parts.len()
                    + find_part.get(part).copied().unwrap_or(0)
            };
            match column[level.coords].as_str() {
                "x" => Place::X(point),
                "y" => Place::Y(point),
                "z" => Place::Z(point),
                _ => Place::Likelihood(point),
            }
        })
        .collect();
    let scorer = scorer.unwrap_or_default().to_owned();
    let skeleton = Skeleton {
        individuals: own(individuals),
        bodyparts: own(parts),
        unique_bodyparts: own(unique),
        edges: Vec::new(),
        multi_animal: multi,
    };
    Ok(Header { scorer, skeleton, places, names })
}

fn add_once<'a>(names: &mut Vec<&'a str>, name: &'a str) {
    if !names.contains(&name) {
        names.push(name);
    }
}

struct LevelsAt {
    scorer: usize,
    individuals: Option<usize>,
    bodyparts: usize,
    coords: usize,
}

/// By their names where the file has names, else by their count.
fn find_levels(levels: &[Option<String>], columns: &[Vec<String>]) -> Result<LevelsAt, Fault> {
    let at = |name: &str| levels.iter().position(|l| l.as_deref() == Some(name));
    let found = match (at("scorer"), at("individuals"), at("bodyparts"), at("coords")) {
        (Some(scorer), individuals, Some(bodyparts), Some(coords)) => {
            Some(LevelsAt { scorer, individuals, bodyparts, coords })
        }
        _ => match levels.len() {
            3 => Some(LevelsAt { scorer: 0, individuals: None, bodyparts: 1, coords: 2 }),
            4 => Some(LevelsAt { scorer: 0, individuals: Some(1), bodyparts: 2, coords: 3 }),
            _ => None,
        },
    };
    let fault = |what: String, mend: &str| Fault { column: 0, level: Some(0), what, mend: mend.to_owned() };
    let Some(found) = found else {
        return Err(fault(
            format!("the columns have {} levels, not scorer, [individuals,] bodyparts, coords", levels.len()),
            "give a table that DeepLabCut or limn wrote",
        ));
    };
    if columns.is_empty() {
        return Err(fault(
            "the table has no columns".into(),
            "each body part needs a column for x and one for y, with scorer and body part above",
        ));
    }
    Ok(found)
}

impl Header {
    /// Points that the skeleton has and the table has no columns for (an individual that lacks a body part others have).
    pub fn without_columns(&self) -> Vec<String> {
        let have: HashSet<usize> = self
            .places
            .iter()
            .map(|p| match *p {
                Place::X(i) | Place::Y(i) | Place::Likelihood(i) | Place::Z(i) => i,
            })
            .collect();
        let missing = self.skeleton.names().enumerate().filter(|(i, _)| !have.contains(i));
        missing.map(|(_, n)| format!("{} {}", n.individual, n.bodypart).trim().to_owned()).collect()
    }

    /// Tells `watch` what of a table will not be in the labels or tracks.
    pub fn warn(&self, path: &Path, sort: Sort, watch: &dyn Watch) {
        let missing = self.without_columns();
        if !missing.is_empty() {
            let names = missing.join(", ");
            watch.warn(&format!("{}: no columns for {names}; these count as not seen", path.display()));
        }
        let dropped = self.places.iter().filter(|p| matches!(p, Place::Likelihood(_))).count();
        if sort == Sort::Labels && dropped > 0 {
            watch.warn(&format!(
                "{}: {dropped} likelihood columns are left out; labels have none",
                path.display()
            ));
        }
    }

    /// One row of a label table. Names of points with only one of x and y are added to `halves`.
    pub fn labeled(&self, row: &[f64], halves: &mut Vec<String>) -> Result<LabeledFrame, Fault> {
        let mut xy = vec![[f64::NAN; 2]; self.skeleton.points()];
        for (column, (place, &value)) in self.places.iter().zip(row).enumerate() {
            let slot = match *place {
                Place::X(point) => &mut xy[point][0],
                Place::Y(point) => &mut xy[point][1],
                Place::Likelihood(_) | Place::Z(_) => continue,
            };
            if value.is_infinite() {
                return Err(Fault {
                    column,
                    level: None,
                    what: format!("the column `{}` holds an infinite number", self.names[column]),
                    mend:
                        "a coordinate is a number of pixels; leave the cell empty where nothing was labelled"
                            .into(),
                });
            }
            *slot = value;
        }
        let points = xy.iter().enumerate().map(|(i, &[x, y])| {
            if x.is_nan() != y.is_nan()
                && let Some(name) = self.skeleton.point(i)
            {
                halves.push(format!("{} {}", name.individual, name.bodypart).trim().to_owned());
            }
            (!x.is_nan() && !y.is_nan()).then(|| Keypoint::new(x, y))
        });
        Ok(LabeledFrame { points: points.collect() })
    }

    /// Puts one row of a prediction table in `[point][x, y, likelihood]` order into `out`; `[x, y, z]` of points in space.
    pub fn tracked(&self, row: &[f32], out: &mut [f32]) {
        for (place, &value) in self.places.iter().zip(row) {
            let slot = match *place {
                Place::X(point) => point * 3,
                Place::Y(point) => point * 3 + 1,
                Place::Likelihood(point) | Place::Z(point) => point * 3 + 2,
            };
            out[slot] = value;
        }
    }
}

/// The points with only x or only y, told as one warning.
#[derive(Default)]
pub(super) struct Halves(Vec<String>);

impl Halves {
    pub fn add(&mut self, key: &FrameKey, names: Vec<String>) {
        self.0.extend(names.into_iter().map(|n| format!("{key} {n}")));
    }

    pub fn warn(&self, path: &Path, watch: &dyn Watch) {
        if self.0.is_empty() {
            return;
        }
        let more = self.0.len().saturating_sub(5);
        let shown = self.0.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        watch.warn(&format!(
            "{}: {} points have only one of x and y and count as not labelled: {shown}{more}",
            path.display(),
            self.0.len()
        ));
    }
}

/// `labeled-data/m1/img07.png`, with `/` or `\`, as older projects index their rows.
pub(super) fn key_of_path(text: &str) -> Option<FrameKey> {
    let mut parts = text.rsplit(['/', '\\']);
    let (image, video) = (parts.next()?, parts.next()?);
    (!image.is_empty() && !video.is_empty()).then(|| FrameKey::new(video, image))
}

/// Whether these names and labels can be written so that everybody reads them back; checked before any file is touched.
pub(super) fn check_names(scorer: &str, skeleton: &Skeleton) -> Result<()> {
    let bad = |what: String, mend: &str| Err(Error::new(Kind::Labels, what).mend(mend));
    let rename = "rename it in the project's configuration";
    let mut names: Vec<(&str, &str)> = vec![("scorer", scorer)];
    names.extend(
        skeleton.bodyparts.iter().chain(&skeleton.unique_bodyparts).map(|n| ("body part", n.as_str())),
    );
    if skeleton.multi_animal {
        names.extend(skeleton.individuals.iter().map(|n| ("individual", n.as_str())));
        if skeleton.individuals.iter().any(|n| n == SINGLE) {
            return bad("an individual is called `single`, which means the unique body parts".into(), rename);
        }
    } else if skeleton.individuals.len() != 1 || !skeleton.unique_bodyparts.is_empty() {
        return bad(
            "a single-animal table cannot hold several individuals or unique body parts".into(),
            "make the project multi-animal",
        );
    }
    for (what, name) in names {
        if name.trim().is_empty() {
            return bad(format!("a {what} has no name"), rename);
        }
        // pandas reads the text `nan` in a column name back as a missing name.
        if name.eq_ignore_ascii_case("nan") || name.contains(['\0', '\n', '\r']) {
            return bad(format!("the {what} is called {name:?}, which tables cannot hold"), rename);
        }
    }
    for names in [&skeleton.bodyparts, &skeleton.unique_bodyparts, &skeleton.individuals] {
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|n| !seen.insert(n.as_str())) {
            return bad(format!("the name `{twice}` is there twice"), rename);
        }
    }
    if skeleton.points() == 0 {
        return bad("there is no body part to write".into(), "add body parts to the project");
    }
    Ok(())
}

/// The rows of a label table as numbers, NaN where nothing is labelled, checked to be writable.
pub(super) fn label_rows(labels: &Labels) -> Result<Vec<(&FrameKey, Vec<f64>)>> {
    check_names(&labels.scorer, &labels.skeleton)?;
    let points = labels.skeleton.points();
    let mut rows = Vec::with_capacity(labels.frames.len());
    for (key, frame) in &labels.frames {
        let broken = |what: &str| {
            Err(Error::new(Kind::Labels, what)
                .at(key)
                .mend("set this picture's labels again; nothing was written"))
        };
        if frame.points.len() != points {
            return broken("the picture's labels do not fit the skeleton");
        }
        for name in [&key.video, &key.image] {
            if name.is_empty() || name.contains(['\0', '\n', '\r']) || name.eq_ignore_ascii_case("nan") {
                return Err(Error::new(Kind::Labels, format!("a label table cannot hold the name {name:?}"))
                    .at(key)
                    .mend("rename the video or the picture"));
            }
        }
        let mut row = Vec::with_capacity(points * 2);
        for point in &frame.points {
            match point {
                Some(p) if p.x.is_finite() && p.y.is_finite() => row.extend([p.x, p.y]),
                Some(_) => return broken("a label is not a finite number"),
                None => row.extend([f64::NAN; 2]),
            }
        }
        rows.push((key, row));
    }
    Ok(rows)
}

/// Rows of predictions, each with its frame number, put into one dense table.
pub(super) struct Dense {
    width: usize,
    rows: u64,
    values: Vec<f32>,
}

impl Dense {
    pub fn new(width: usize) -> Self {
        Self { width, rows: 0, values: Vec::new() }
    }

    /// The row of frame `number`, to be filled; frames left out before it are NaN.
    pub fn row(&mut self, number: i64) -> Result<&mut [f32]> {
        let have = self.values.len() / self.width.max(1);
        let bad = |what: String, mend: &str| Error::new(Kind::Format, what).mend(mend);
        let at = usize::try_from(number).map_err(|_| {
            bad(format!("the frame number {number} is negative"), "frames are counted from 0")
        })?;
        if at < have {
            return Err(bad(
                format!("the frame number {number} comes after {}", have.saturating_sub(1)),
                "sort the rows by frame number and remove doubles",
            ));
        }
        self.rows += 1;
        // A wild frame number must not fill the memory.
        if number.unsigned_abs() > self.rows.saturating_mul(1000).saturating_add(1_000_000) {
            return Err(bad(
                format!("the frame number {number} is far beyond the {} rows before it", self.rows - 1),
                "correct the frame numbers in the first column",
            ));
        }
        self.values.resize((at + 1) * self.width, f32::NAN);
        Ok(&mut self.values[at * self.width..])
    }

    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// What was put into it so far.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}
