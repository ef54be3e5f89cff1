//! Angles at joints in degrees, speeds of body parts and lengths of limbs, frame by frame, from tracks in the plane or in space.
//!
//! The speed in a frame is that of the straight line that fits best through the positions of a few frames around it; frames
//! where the point was not found are left out of the fit, and have no speed themselves.
//!
//! ```
//! use limn::pose::{Keypoint, Skeleton, Tracks};
//! use limn::track::kinematics::{Wanted, measure};
//! let mut tracks = Tracks::new(Skeleton::single(["snout"]), 4);
//! for frame in [0, 1, 3] {
//!     tracks.set(frame, 0, Keypoint::new(10.0 + 3.0 * frame as f64, 5.0), 0.9);
//! }
//! let found = measure(&tracks, &Wanted { window: 5, ..Wanted::default() })?;
//! let speed = found.column("snout_speed").unwrap();
//! assert_eq!(speed.unit, "px/frame"); // no rate of frames was given
//! assert!((speed.values[1] - 3.0).abs() < 1e-9 && speed.values[2].is_nan());
//! # Ok::<(), limn::Error>(())
//! ```

use super::Positions;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{PointName, Skeleton};
use nalgebra::Vector3;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The form of the files.
const VERSION: u32 = 1;

/// What to measure, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Angles at the second of three body parts, between the lines to the first and the third.
    pub angles: Vec<[String; 3]>,
    /// Lengths from one body part to another.
    pub limbs: Vec<[String; 2]>,
    /// Frames a second; none: speeds are those of a frame.
    pub fps: Option<f64>,
    /// The time of every frame in seconds, instead of `fps`, where frames are not evenly apart.
    pub times: Option<Vec<f64>>,
    /// How many frames a speed comes from: odd, at least 3.
    pub window: usize,
    /// Points of a lower likelihood count as not found; those of unknown likelihood count.
    pub min_likelihood: f64,
}

impl Default for Wanted {
    fn default() -> Self {
        let (angles, limbs) = (Vec::new(), Vec::new());
        Self { angles, limbs, fps: None, times: None, window: 3, min_likelihood: 0.0 }
    }
}

impl Wanted {
    /// These angles, and the lengths of the limbs that meet in them.
    pub fn angles<S: Into<String>>(angles: impl IntoIterator<Item = [S; 3]>) -> Self {
        let angles: Vec<[String; 3]> = angles.into_iter().map(|a| a.map(Into::into)).collect();
        let mut limbs: Vec<[String; 2]> = Vec::new();
        for [a, b, c] in &angles {
            for [from, to] in [[a, b], [b, c]] {
                if !limbs.iter().any(|[x, y]| (x == from && y == to) || (x == to && y == from)) {
                    limbs.push([from.clone(), to.clone()]);
                }
            }
        }
        Self { angles, limbs, ..Self::default() }
    }

    /// All that a skeleton's edges say about body parts in `known`: an angle for every two edges that meet, a length for every
    /// edge.
    #[must_use]
    pub fn of_skeleton(skeleton: &Skeleton, known: &Skeleton) -> Self {
        let has = |name: &String| known.bodyparts.contains(name) || known.unique_bodyparts.contains(name);
        // Tables that know no individuals have them in the names: `m1_snout`.
        let owners = skeleton.individuals.iter().filter(|i| !i.is_empty()).map(|i| format!("{i}_"));
        let mut limbs: Vec<[String; 2]> = Vec::new();
        for owner in std::iter::once(String::new()).chain(owners) {
            let full = |name: &String| {
                let own = !skeleton.unique_bodyparts.contains(name);
                if own { format!("{owner}{name}") } else { name.clone() }
            };
            for [a, b] in skeleton.edges.iter().map(|[a, b]| [full(a), full(b)]) {
                if a != b && has(&a) && has(&b) && !limbs.contains(&[a.clone(), b.clone()]) {
                    limbs.push([a, b]);
                }
            }
        }
        let mut angles = Vec::new();
        for (i, one) in limbs.iter().enumerate() {
            for other in limbs.iter().skip(i + 1) {
                for ([a, b], [c, d]) in [one, &flipped(one)]
                    .into_iter()
                    .flat_map(|one| [(one.clone(), other.clone()), (one.clone(), flipped(other))])
                {
                    if b == c && a != d {
                        angles.push([a, b, d]);
                    }
                }
            }
        }
        Self { angles, limbs, ..Self::default() }
    }

    fn check(&self, frames: usize) -> Result<()> {
        let wrong = |what: String, mend: &str| Err(Error::new(Kind::Usage, what).mend(mend));
        if self.window < 3 || self.window.is_multiple_of(2) {
            return wrong(
                format!("a speed cannot come from {} frames", self.window),
                "give an odd number, at least 3",
            );
        }
        if let Some(fps) = self.fps
            && !(fps.is_finite() && fps > 0.0)
        {
            return wrong(format!("{fps} frames a second are none"), "give the rate of the recording");
        }
        match &self.times {
            Some(times) if times.len() != frames => wrong(
                format!("{} times were given for {frames} frames", times.len()),
                "give one time for every frame",
            ),
            Some(times) if !times.windows(2).all(|w| matches!(w, [a, b] if a < b)) => {
                wrong("the times of the frames do not rise".into(), "give times in seconds that rise")
            }
            _ => Ok(()),
        }
    }

    /// The time of a frame; in frames where seconds are not known.
    #[allow(clippy::cast_precision_loss)]
    fn time(&self, frame: usize) -> f64 {
        let given = self.times.as_ref().and_then(|t| t.get(frame)).copied();
        given.unwrap_or(frame as f64 / self.fps.unwrap_or(1.0))
    }

    fn seconds(&self) -> bool {
        self.fps.is_some() || self.times.is_some()
    }
}

fn flipped([a, b]: &[String; 2]) -> [String; 2] {
    [b.clone(), a.clone()]
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// An angle between 0 and 180 degrees.
    Angle,
    /// How fast a point moves.
    Speed,
    /// How far two points are apart.
    Length,
}

/// One quantity through time.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// `hip-knee-foot_angle`, `foot_speed`, `hip-knee_length`; before it `m1_` for an individual.
    pub name: String,
    /// What it is.
    pub what: What,
    /// `deg`, `mm/s`, `mm`, `px/frame` and the like.
    pub unit: String,
    /// One a frame, NaN where it cannot be known.
    pub values: Vec<f64>,
}

impl Column {
    /// In how many frames it is known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.iter().filter(|v| !v.is_nan()).count()
    }

    /// The mean over the frames where it is known; none where there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        let sum: f64 = self.values.iter().filter(|v| !v.is_nan()).sum();
        (count > 0).then(|| sum / count as f64)
    }

    /// The standard deviation over these frames (of a sample); none where there are fewer than two.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn deviation(&self) -> Option<f64> {
        let (count, mean) = (self.count(), self.mean()?);
        let sum: f64 = self.values.iter().filter(|v| !v.is_nan()).map(|v| (v - mean).powi(2)).sum();
        (count > 1).then(|| (sum / (count - 1) as f64).sqrt())
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Kinematics {
    /// Angles, then lengths, then speeds.
    pub columns: Vec<Column>,
    /// The time of every frame in seconds; none where it is not known.
    pub times: Option<Vec<f64>>,
    /// How many frames.
    pub frames: usize,
    wanted: Wanted,
}

/// Measures tracks; speeds of all points are always among the results.
///
/// # Errors
/// [`Kind::Usage`] when a body part is not there or stands twice in an angle, or window, rate or times make no sense.
pub fn measure(tracks: &dyn Positions, wanted: &Wanted) -> Result<Kinematics> {
    let frames = tracks.frames();
    wanted.check(frames)?;
    let skeleton = tracks.skeleton();
    let unit = tracks.unit();
    let at = |frame: usize, point: usize| -> Option<Vector3<f64>> {
        let (at, likelihood) = tracks.at(frame, point)?;
        (likelihood.is_nan() || likelihood >= wanted.min_likelihood).then_some(at)
    };
    let each = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<f64> {
        (0..frames).map(|frame| value(frame).unwrap_or(f64::NAN)).collect()
    };
    let mut columns = Vec::new();
    for names in &wanted.angles {
        for (individual, [a, b, c]) in points(skeleton, names)? {
            let values = each(&|frame| angle(at(frame, a)?, at(frame, b)?, at(frame, c)?));
            let name = format!("{individual}{}_angle", names.join("-"));
            columns.push(Column { name, what: What::Angle, unit: "deg".into(), values });
        }
    }
    for names in &wanted.limbs {
        for (individual, [a, b]) in points(skeleton, names)? {
            let values = each(&|frame| Some((at(frame, a)? - at(frame, b)?).norm()));
            let name = format!("{individual}{}_length", names.join("-"));
            columns.push(Column { name, what: What::Length, unit: unit.into(), values });
        }
    }
    let per = if wanted.seconds() { "s" } else { "frame" };
    for (point, name) in skeleton.names().enumerate() {
        let values = each(&|frame| {
            at(frame, point)?;
            let half = wanted.window / 2;
            let around = frame.saturating_sub(half)..(frame + half + 1).min(frames);
            slope(around.filter_map(|f| Some((wanted.time(f) - wanted.time(frame), at(f, point)?))))
        });
        let name = format!("{}{}_speed", of(name), name.bodypart);
        columns.push(Column { name, what: What::Speed, unit: format!("{unit}/{per}"), values });
    }
    let times = wanted.seconds().then(|| (0..frames).map(|f| wanted.time(f)).collect());
    Ok(Kinematics { columns, times, frames, wanted: wanted.clone() })
}

/// The angle at `b` in degrees; none where two points are one.
fn angle(a: Vector3<f64>, b: Vector3<f64>, c: Vector3<f64>) -> Option<f64> {
    let (u, v) = (a - b, c - b);
    (u.norm() > 0.0 && v.norm() > 0.0).then(|| u.cross(&v).norm().atan2(u.dot(&v)).to_degrees())
}

/// How fast the straight line through these positions goes that fits best (least squares); none from fewer than two.
fn slope(seen: impl Iterator<Item = (f64, Vector3<f64>)> + Clone) -> Option<f64> {
    let (mut count, mut mid_time, mut mid) = (0.0, 0.0, Vector3::zeros());
    for (time, at) in seen.clone() {
        count += 1.0;
        mid_time += time;
        mid += at;
    }
    (count >= 2.0).then_some(())?;
    let (mid_time, mid) = (mid_time / count, mid / count);
    let (mut spread, mut sum) = (0.0, Vector3::zeros());
    for (time, at) in seen {
        spread += (time - mid_time).powi(2);
        sum += (at - mid) * (time - mid_time);
    }
    (spread > 0.0).then(|| (sum / spread).norm())
}

/// What stands before the names of an individual's columns.
fn of(name: PointName<'_>) -> String {
    match name.individual {
        "" | "single" => String::new(),
        individual => format!("{individual}_"),
    }
}

/// The points of these names, for every individual that has all of them; unique body parts belong to everybody.
fn points<const N: usize>(skeleton: &Skeleton, names: &[String; N]) -> Result<Vec<(String, [usize; N])>> {
    let wrong = |what: String, mend: String| Error::new(Kind::Usage, what).mend(mend);
    for (i, name) in names.iter().enumerate() {
        if !skeleton.bodyparts.contains(name) && !skeleton.unique_bodyparts.contains(name) {
            let all: Vec<&str> =
                skeleton.bodyparts.iter().chain(&skeleton.unique_bodyparts).map(String::as_str).collect();
            let mend = format!("the body parts are: {}", all.join(", "));
            return Err(wrong(format!("there is no body part `{name}`"), mend));
        }
        if names.iter().skip(i + 1).any(|n| n == name) {
            let what = format!("`{name}` stands twice in `{}`", names.join(","));
            return Err(wrong(what, "give different body parts".into()));
        }
    }
    let mut all: Vec<(String, [usize; N])> = Vec::new();
    for individual in &skeleton.individuals {
        let mut found = [0; N];
        let mut own = false;
        let complete = found.iter_mut().zip(names).all(|(slot, bodypart)| {
            let part = skeleton.index_of(PointName { individual, bodypart });
            own |= part.is_some();
            let unique = || skeleton.index_of(PointName { individual: "single", bodypart });
            part.or_else(unique).map(|point| *slot = point).is_some()
        });
        let before = if own { of(PointName { individual, bodypart: "" }) } else { String::new() };
        // Where all are unique, every individual finds the same.
        if complete && !all.iter().any(|(_, points)| *points == found) {
            all.push((before, found));
        }
    }
    Ok(all)
}

/// The companion file.
#[derive(Serialize)]
struct OnDisk<'a> {
    limn_kinematics: u32,
    program: String,
    source: &'a str,
    frames: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    fps: Option<f64>,
    window: usize,
    min_likelihood: f64,
    columns: Vec<ColumnOnDisk<'a>>,
}

#[derive(Serialize)]
struct ColumnOnDisk<'a> {
    name: &'a str,
    what: What,
    unit: &'a str,
    /// Frames where it is known.
    known: usize,
    mean: Option<f64>,
    sd: Option<f64>,
}

impl Kinematics {
    /// A column by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The file beside `csv` that says what its columns are.
    #[must_use]
    pub fn companion(csv: &Path) -> PathBuf {
        csv.with_extension("yaml")
    }

    /// Writes one row a frame as CSV (`frame`, `time_s` where it is known, then the columns; empty where nothing is known) and,
    /// beside it, a YAML file with version, source, units, means and standard deviations: both or none.
    ///
    /// # Errors
    /// When two columns have one name, or the folder cannot be written.
    pub fn write(&self, csv: &Path, source: &str) -> Result<()> {
        for (i, column) in self.columns.iter().enumerate() {
            if self.columns.iter().skip(i + 1).any(|c| c.name == column.name) {
                let what = format!("two columns would be called `{}`", column.name);
                return Err(Error::new(Kind::Usage, what)
                    .at(csv.display())
                    .mend("name each angle once; rename a body part where names run into each other"));
            }
        }
        let yaml = serde_yaml::to_string(&self.on_disk(source))
            .map_err(|e| Error::new(Kind::Format, format!("cannot write what was measured: {e}")))?;
        files::write_together([csv, &Self::companion(csv)], |[table, about]| {
            files::write_with(table, |file| self.rows(file))?;
            files::write_whole(about, yaml.as_bytes())
        })
    }

    fn on_disk<'a>(&'a self, source: &'a str) -> OnDisk<'a> {
        let columns = self.columns.iter().map(|c| ColumnOnDisk {
            name: &c.name,
            what: c.what,
            unit: &c.unit,
            known: c.count(),
            mean: c.mean(),
            sd: c.deviation(),
        });
        OnDisk {
            limn_kinematics: VERSION,
            program: format!("limn {}", crate::VERSION),
            source,
            frames: self.frames,
            fps: self.wanted.fps,
            window: self.wanted.window,
            min_likelihood: self.wanted.min_likelihood,
            columns: columns.collect(),
        }
    }

    fn rows(&self, file: &mut std::fs::File) -> std::io::Result<()> {
        let mut out = csv::Writer::from_writer(BufWriter::new(file));
        let time = self.times.as_ref().map(|_| "time_s");
        out.write_record(
            ["frame"].into_iter().chain(time).chain(self.columns.iter().map(|c| c.name.as_str())),
        )?;
        let known = |v: Option<&f64>| v.filter(|v| !v.is_nan()).map(f64::to_string).unwrap_or_default();
        for frame in 0..self.frames {
            out.write_field(frame.to_string())?;
            if let Some(times) = &self.times {
                out.write_field(known(times.get(frame)))?;
            }
            for column in &self.columns {
                out.write_field(known(column.values.get(frame)))?;
            }
            out.write_record(None::<&[u8]>)?;
        }
        out.into_inner().map_err(csv::IntoInnerError::into_error)?.flush()
    }
}

#[cfg(test)]
mod tests;
