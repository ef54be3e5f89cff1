//! What a person can say of a point: where it is, that it is not visible, or nothing yet; and the file
//! `labeled-data/<video>/not-visible.yaml`, which holds what DeepLabCut's tables have no word for.
//!
//! ```
//! use limn::pose::{FrameKey, Keypoint};
//! use limn::project::{Mark, PointEdit};
//! let edit = PointEdit::new(FrameKey::new("m1", "img07.png"), 0, Keypoint::new(3.5, 4.0));
//! assert_eq!(edit.at.place().map(|p| p.x), Some(3.5));
//! assert_eq!(PointEdit::new(edit.key, 0, Mark::Hidden).at.place(), None);
//! ```

use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{FrameKey, Keypoint, LabeledFrame, Labels, PointName, Skeleton};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The newest form of `not-visible.yaml` that this program knows.
const SCHEMA: u32 = 1;

/// What is said of one point of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Mark {
    /// Nothing: nobody looked, or the label was removed.
    #[default]
    Unlabeled,
    /// It is here, in pixels of the picture.
    At(Keypoint),
    /// Somebody looked, and it cannot be seen. An empty cell in DeepLabCut's tables.
    Hidden,
}

impl Mark {
    /// Where it is, when it is anywhere.
    #[must_use]
    pub fn place(self) -> Option<Keypoint> {
        match self {
            Self::At(p) => Some(p),
            Self::Unlabeled | Self::Hidden => None,
        }
    }

    /// The same, to a millionth of a pixel: tables of other programs may round the last digit.
    pub(crate) fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::At(a), Self::At(b)) => (a.x - b.x).abs() < 1e-6 && (a.y - b.y).abs() < 1e-6,
            (a, b) => a == b,
        }
    }
}

impl From<Keypoint> for Mark {
    fn from(at: Keypoint) -> Self {
        Self::At(at)
    }
}

impl From<Option<Keypoint>> for Mark {
    /// `None` removes the label.
    fn from(at: Option<Keypoint>) -> Self {
        at.map_or(Self::Unlabeled, Self::At)
    }
}

/// One change to one label.
#[derive(Debug, Clone, PartialEq)]
pub struct PointEdit {
    /// The picture.
    pub key: FrameKey,
    /// The point's index in the skeleton.
    pub point: usize,
    /// What it is now; [`Mark::Unlabeled`] removes the label.
    pub at: Mark,
}

impl PointEdit {
    /// `point` of `key` becomes `at`: a [`Mark`], a place, or `None` to remove the label.
    pub fn new(key: FrameKey, point: usize, at: impl Into<Mark>) -> Self {
        Self { key, point, at: at.into() }
    }
}

/// The points that are marked as not visible.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hidden {
    frames: BTreeMap<FrameKey, BTreeSet<usize>>,
}

impl Hidden {
    /// Whether this point is marked.
    #[must_use]
    pub fn contains(&self, key: &FrameKey, point: usize) -> bool {
        self.frames.get(key).is_some_and(|f| f.contains(&point))
    }

    /// All of them: picture, and index of the point in the skeleton.
    pub fn iter(&self) -> impl Iterator<Item = (&FrameKey, usize)> {
        self.frames.iter().flat_map(|(k, f)| f.iter().map(move |p| (k, *p)))
    }

    fn set(&mut self, key: &FrameKey, point: usize, hidden: bool) {
        if hidden {
            self.frames.entry(key.clone()).or_default().insert(point);
        } else if let Some(frame) = self.frames.get_mut(key) {
            frame.remove(&point);
            if frame.is_empty() {
                self.frames.remove(key);
            }
        }
    }
}

/// Labels and marks together: all that is said of all points.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Marks {
    pub labels: Labels,
    pub hidden: Hidden,
}

/// The marks of one folder: one for each point of the skeleton.
pub(super) type Rows = BTreeMap<FrameKey, Vec<Mark>>;

impl Marks {
    pub fn new(labels: Labels) -> Self {
        Self { labels, hidden: Hidden::default() }
    }

    /// What is said of a point.
    pub fn get(&self, key: &FrameKey, point: usize) -> Mark {
        match self.labels.frames.get(key).and_then(|f| f.points.get(point).copied().flatten()) {
            Some(p) => Mark::At(p),
            None if self.hidden.contains(key, point) => Mark::Hidden,
            None => Mark::Unlabeled,
        }
    }

    /// Says it; an index beyond the skeleton is ignored.
    pub fn put(&mut self, key: &FrameKey, point: usize, mark: Mark) {
        self.labels.set(key, point, mark.place());
        self.hidden.set(key, point, mark == Mark::Hidden && point < self.labels.skeleton.points());
    }

    /// Adds the rows of another folder of the same project.
    pub(super) fn take_in(&mut self, other: Self) {
        self.labels.frames.extend(other.labels.frames);
        self.hidden.frames.extend(other.hidden.frames);
    }

    /// Takes a picture's row away.
    pub fn remove_row(&mut self, key: &FrameKey) {
        self.labels.frames.remove(key);
        self.hidden.frames.remove(key);
    }

    /// The labels of one folder.
    pub fn frames_of<'m>(&'m self, video: &'m str) -> impl Iterator<Item = (&'m FrameKey, &'m LabeledFrame)> {
        let first = FrameKey::new(video, "");
        self.labels.frames.range(first..).take_while(move |(k, _)| k.video == video)
    }

    /// All of one folder.
    pub(super) fn rows_of(&self, video: &str) -> Rows {
        let mut rows: Rows = self
            .frames_of(video)
            .map(|(k, f)| (k.clone(), f.points.iter().map(|p| Mark::from(*p)).collect()))
            .collect();
        let count = self.labels.skeleton.points();
        for (key, points) in self.hidden.frames.range(FrameKey::new(video, "")..) {
            if key.video != video {
                break;
            }
            let row = rows.entry(key.clone()).or_insert_with(|| vec![Mark::Unlabeled; count]);
            points.iter().for_each(|p| {
                if let Some(slot @ Mark::Unlabeled) = row.get_mut(*p) {
                    *slot = Mark::Hidden;
                }
            });
        }
        rows
    }
}

/// A point by its names, as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Named {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub individual: String,
    pub bodypart: String,
}

impl Named {
    pub fn of(name: PointName<'_>) -> Self {
        Self { individual: name.individual.to_owned(), bodypart: name.bodypart.to_owned() }
    }

    pub fn index_in(&self, skeleton: &Skeleton) -> Option<usize> {
        skeleton.index_of(PointName { individual: &self.individual, bodypart: &self.bodypart })
    }
}

/// `not-visible.yaml`: for each scorer and picture the points that cannot be seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct HiddenFile {
    schema: u32,
    program: String,
    pub scorers: BTreeMap<String, BTreeMap<String, Vec<Named>>>,
}

impl HiddenFile {
    /// `None` when there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read the file of points that are not visible", path, e)),
        };
        let file: Self = serde_yaml::from_str(&text).map_err(|e| {
            let line = e.location().map(|l| format!(":{}", l.line())).unwrap_or_default();
            Error::new(Kind::Labels, format!("the file of points that are not visible cannot be used: {e}"))
                .at(format!("{}{line}", path.display()))
                .mend("mend this line, or move the file away; the labels themselves do not need it")
        })?;
        if file.schema > SCHEMA {
            return Err(Error::new(
                Kind::Labels,
                format!(
                    "the file of points that are not visible has schema {}, and this limn knows up to {SCHEMA}",
                    file.schema
                ),
            )
            .at(path.display())
            .mend("use a newer limn for this project"));
        }
        Ok(Some(file))
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let stamped = Self {
            schema: SCHEMA,
            program: format!("limn {}", crate::VERSION),
            scorers: self.scorers.clone(),
        };
        let text = serde_yaml::to_string(&stamped).map_err(|e| {
            Error::new(Kind::Labels, format!("cannot write the points that are not visible: {e}"))
                .at(path.display())
        })?;
        let head =
            "# Body parts that somebody looked for and could not see; the tables have an empty cell there.\n";
        files::write_whole(path, format!("{head}{text}").as_bytes())
    }

    /// Adds this scorer's marks of one folder; points that the project lacks are passed over.
    pub fn put_into(&self, marks: &mut Marks, video: &str) {
        let Some(pictures) = self.scorers.get(&marks.labels.scorer) else { return };
        let mut all = Vec::new();
        for (image, points) in pictures {
            let key = FrameKey::new(video, image.clone());
            all.extend(
                points.iter().filter_map(|n| Some((key.clone(), n.index_in(&marks.labels.skeleton)?))),
            );
        }
        for (key, point) in all {
            if marks.get(&key, point) == Mark::Unlabeled {
                marks.put(&key, point, Mark::Hidden);
            }
        }
    }

    /// Takes this scorer's marks from `rows`; those of points that the project lacks stay.
    pub fn take_from(&mut self, rows: &Rows, scorer: &str, skeleton: &Skeleton) {
        let mine = self.scorers.entry(scorer.to_owned()).or_default();
        mine.values_mut().for_each(|points| points.retain(|n| n.index_in(skeleton).is_none()));
        let names: Vec<Named> = skeleton.names().map(Named::of).collect();
        for (key, row) in rows {
            let hidden = row.iter().zip(&names).filter(|(m, _)| **m == Mark::Hidden).map(|(_, n)| n.clone());
            let hidden: Vec<Named> = hidden.collect();
            if !hidden.is_empty() {
                mine.entry(key.image.clone()).or_default().extend(hidden);
            }
        }
        mine.retain(|_, points| !points.is_empty());
        self.scorers.retain(|_, pictures| !pictures.is_empty());
    }
}
