//! Points in space that a person put right, in a file beside the tracks: `<session>_corrections.yaml`.
//!
//! ```
//! use limn::camera::corrections::{Correction, Corrections};
//! use limn::pose::{Keypoint, PointName, Spot};
//! let name = PointName { individual: "", bodypart: "snout" };
//! let spot = Spot { at: [1.0, 2.0, 3.0], deviation: [f64::NAN; 3], error: 0.4, cameras: 2, likelihood: 1.0 };
//! let mut all = Corrections::new("day1");
//! all.set(17, name, Some(Correction::new(name, spot, [("left".to_owned(), Keypoint::new(212.4, 96.0))])));
//! assert_eq!(all.spot(17, name).map(|s| s.at), Some([1.0, 2.0, 3.0]));
//! assert!(all.undo().is_some() && all.spot(17, name).is_none());
//! ```

use super::{Camera, epipolar};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{Keypoint, PointName, Spot, Tracks3d};
use crate::sealed::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// The newest form of the file that this program knows.
const VERSION: u32 = 1;
/// Clicks of one point are nearer together than this, on average, unless one of them is a slip.
const FAR_PX: f64 = 20.0;
/// Half a year of 60 frames a second.
const LAST_FRAME: usize = 1_000_000_000;

/// A point that was put right in one frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The individual; empty in a single-animal project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    individual: String,
    bodypart: String,
    /// x, y, z in millimetres.
    at: [f64; 3],
    /// Mean reprojection error in pixels over the cameras it was clicked in.
    error_px: f64,
    /// Where it was clicked, in pixels of the full frame, by the cameras' names.
    clicks: BTreeMap<String, [f64; 2]>,
}

impl Correction {
    /// The point `name` at `spot`, from clicks in cameras.
    #[must_use]
    pub fn new(
        name: PointName<'_>,
        spot: Spot,
        clicks: impl IntoIterator<Item = (String, Keypoint)>,
    ) -> Self {
        Self {
            individual: name.individual.to_owned(),
            bodypart: name.bodypart.to_owned(),
            at: spot.at,
            error_px: spot.error,
            clicks: clicks.into_iter().map(|(c, p)| (c, [p.x, p.y])).collect(),
        }
    }

    /// Which point it is.
    #[must_use]
    pub fn name(&self) -> PointName<'_> {
        PointName { individual: &self.individual, bodypart: &self.bodypart }
    }

    /// Where it is; a person's word has likelihood 1, and a deviation that is not known.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot {
            at: self.at,
            deviation: [f64::NAN; 3],
            error: self.error_px,
            cameras: self.clicks.len(),
            likelihood: 1.0,
        }
    }

    /// Where it was clicked in the camera of this name.
    #[must_use]
    pub fn click(&self, camera: &str) -> Option<Keypoint> {
        self.clicks.get(camera).map(|[x, y]| Keypoint::new(*x, *y))
    }
}

/// All corrections of one session, with what can be undone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrections {
    session: String,
    frames: BTreeMap<usize, Vec<Correction>>,
    undone: Vec<Change>,
    done: Vec<Change>,
}

/// A frame and point with what was there before.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    frame: usize,
    individual: String,
    bodypart: String,
    before: Option<Correction>,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    limn_corrections: u32,
    #[serde(default)]
    program: String,
    session: String,
    #[serde(default)]
    frames: BTreeMap<usize, Vec<Correction>>,
}

impl Corrections {
    /// None yet.
    #[must_use]
    pub fn new(session: impl Into<String>) -> Self {
        Self { session: session.into(), ..Self::default() }
    }

    /// How many points were put right.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames with corrections, in order.
    pub fn frames(&self) -> impl Iterator<Item = usize> {
        self.frames.keys().copied()
    }

    /// The correction of a point of a frame.
    #[must_use]
    pub fn get(&self, frame: usize, name: PointName<'_>) -> Option<&Correction> {
        self.frames.get(&frame)?.iter().find(|c| c.name() == name)
    }

    /// Where a correction puts a point of a frame.
    #[must_use]
    pub fn spot(&self, frame: usize, name: PointName<'_>) -> Option<Spot> {
        self.get(frame, name).map(Correction::spot)
    }

    /// Sets or takes away the correction of a point, as one step that can be undone.
    pub fn set(&mut self, frame: usize, name: PointName<'_>, to: Option<Correction>) {
        let before = self.put(frame, name, to);
        let (individual, bodypart) = (name.individual.to_owned(), name.bodypart.to_owned());
        self.done.push(Change { frame, individual, bodypart, before });
        self.undone.clear();
    }

    /// Puts the last change back; its frame.
    pub fn undo(&mut self) -> Option<usize> {
        let change = self.done.pop()?;
        let back = self.turn(change);
        let frame = back.frame;
        self.undone.push(back);
        Some(frame)
    }

    /// Makes the change that was last undone again; its frame.
    pub fn redo(&mut self) -> Option<usize> {
        let change = self.undone.pop()?;
        let back = self.turn(change);
        let frame = back.frame;
        self.done.push(back);
        Some(frame)
    }

    fn turn(&mut self, change: Change) -> Change {
        let Change { frame, individual, bodypart, before } = change;
        let name = PointName { individual: &individual, bodypart: &bodypart };
        let now = self.put(frame, name, before);
        Change { frame, individual, bodypart, before: now }
    }

    fn put(&mut self, frame: usize, name: PointName<'_>, to: Option<Correction>) -> Option<Correction> {
        let all = self.frames.entry(frame).or_default();
        let before = all.iter().position(|c| c.name() == name).map(|i| all.remove(i));
        all.extend(to);
        if all.is_empty() {
            self.frames.remove(&frame);
        }
        before
    }

    /// Puts the corrected points into `tracks`, each where its clicks meet with `cameras` as they are calibrated now; without cameras,
    /// where it was put. How many were, and what was left out or looks wrong, in words.
    pub fn apply(&self, cameras: &[Camera], tracks: &mut Tracks3d) -> (usize, Vec<String>) {
        let (mut count, mut told) = (0, Vec::new());
        for (frame, correction) in self.frames.iter().flat_map(|(f, all)| all.iter().map(move |c| (*f, c))) {
            let name = correction.name();
            let point = tracks.skeleton.index_of(name).filter(|_| frame < tracks.frames());
            let Some(point) = point else {
                told.push(format!(
                    "`{}` of frame {frame} is corrected, and the tracks have no such",
                    name.bodypart
                ));
                continue;
            };
            let spot = if cameras.is_empty() {
                Some(correction.spot())
            } else {
                let seen: Vec<Option<Keypoint>> = cameras.iter().map(|c| correction.click(&c.name)).collect();
                epipolar::triangulate_clicks(cameras, &seen)
            };
            match spot {
                None => {
                    told.push(format!(
                        "the correction of `{}` in frame {frame} is left out: its clicks in this rig's cameras meet nowhere",
                        name.bodypart
                    ));
                    continue;
                }
                Some(spot) if spot.error > FAR_PX => told.push(format!(
                    "the clicks of `{}` in frame {frame} are {:.0} px apart: look at them again",
                    name.bodypart, spot.error
                )),
                Some(_) => {}
            }
            tracks.set(frame, point, spot);
            count += 1;
        }
        (count, told)
    }

    /// The checksum of a file of corrections, which results that contain them name; none where there is no file.
    #[must_use]
    pub fn checksum(path: &Path) -> Option<String> {
        Some(hex(&Sha256::digest(std::fs::read(path).ok()?)))
    }

    /// Reads the file; there are none where it does not exist.
    ///
    /// # Errors
    /// When it cannot be read, is of a newer version or another session, or is no such file; with the line where known.
    pub fn read(path: &Path, session: &str) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::new(session));
        }
        let wrong = |what: String, line: Option<usize>| {
            let line = line.map(|l| format!(":{l}")).unwrap_or_default();
            Error::new(Kind::Format, what)
                .at(format!("{}{line}", path.display()))
                .mend("mend this line, or move the file away to begin without corrections")
        };
        let disk: OnDisk = serde_yaml::from_str(&files::read_text(path)?).map_err(|e| {
            wrong(format!("the corrections cannot be used: {e}"), e.location().map(|l| l.line()))
        })?;
        if disk.limn_corrections > VERSION {
            let version = disk.limn_corrections;
            let what = format!("the corrections have version {version}, and this limn knows up to {VERSION}");
            return Err(Error::new(Kind::Format, what).at(path.display()).mend("use a newer limn"));
        }
        if disk.session != session {
            return Err(wrong(
                format!("these corrections are of session `{}`, not of `{session}`", disk.session),
                None,
            ));
        }
        if let Some(far) = disk.frames.keys().find(|f| **f > LAST_FRAME) {
            return Err(wrong(format!("a point of frame {far} is corrected, which no recording has"), None));
        }
        if disk.frames.values().flatten().any(|c| c.at.iter().any(|v| !v.is_finite())) {
            return Err(wrong("a corrected point lies nowhere: its numbers are not finite".into(), None));
        }
        Ok(Self { frames: disk.frames, ..Self::new(session) })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let disk = OnDisk {
            limn_corrections: VERSION,
            program: format!("limn {}", crate::VERSION),
            session: self.session.clone(),
            frames: self.frames.clone(),
        };
        let text = serde_yaml::to_string(&disk).map_err(|e| {
            Error::new(Kind::Format, format!("cannot write the corrections: {e}")).at(path.display())
        })?;
        files::write_whole(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(part: &str, x: f64) -> Correction {
        let name = PointName { individual: "", bodypart: part };
        let spot =
            Spot { at: [x, 1.5, -2.0], deviation: [f64::NAN; 3], error: 0.25, cameras: 2, likelihood: 1.0 };
        let clicks =
            [("a".to_owned(), Keypoint::new(10.25, 20.0)), ("b".to_owned(), Keypoint::new(1.0, 2.0))];
        Correction::new(name, spot, clicks)
    }

    #[test]
    fn corrected_points_take_their_places_in_tracks() {
        let skeleton = crate::pose::Skeleton::single(["snout", "tail"]);
        let mut tracks = Tracks3d::new(skeleton, 5);
        let mut all = Corrections::new("day1");
        for (frame, part) in [(1, "tail"), (2, "ear"), (9, "tail")] {
            all.set(frame, PointName { individual: "", bodypart: part }, Some(of(part, 4.0)));
        }
        let (count, told) = all.apply(&[], &mut tracks);
        assert!(count == 1 && told.len() == 2 && told[0].contains("`ear` of frame 2"), "{told:?}");
        // A rig without the cameras that were clicked in cannot use them.
        let other = Camera::new("other", [640, 480], crate::camera::Lens::plain(500.0, [640, 480]));
        let (count, told) = all.apply(&[other], &mut tracks);
        assert!(count == 0 && told[0].contains("meet nowhere"), "{told:?}");
        assert_eq!(tracks.get(1, 1).map(|s| (s.at[0], s.likelihood)), Some((4.0, 1.0)));
    }

    #[test]
    fn changes_are_undone_and_done_again_and_come_back_from_the_file() {
        let snout = PointName { individual: "", bodypart: "snout" };
        let mut all = Corrections::new("day1");
        all.set(3, snout, Some(of("snout", 1.0)));
        all.set(3, snout, Some(of("snout", 2.0)));
        all.set(9, snout, Some(of("snout", 3.0)));
        assert_eq!((all.len(), all.frames().collect::<Vec<_>>()), (2, vec![3, 9]));
        let at = |all: &Corrections, f| all.spot(f, snout).map(|s| s.at[0]);
        assert_eq!((all.undo(), all.undo(), at(&all, 3), at(&all, 9)), (Some(9), Some(3), Some(1.0), None));
        assert_eq!((all.redo(), at(&all, 3)), (Some(3), Some(2.0)));
        all.set(3, snout, None);
        assert!(all.redo().is_none() && all.is_empty(), "a new change leaves nothing to do again");
        all.undo();

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("day1_corrections.yaml");
        assert!(Corrections::read(&path, "day1").unwrap().is_empty());
        all.write(&path).unwrap();
        let read = Corrections::read(&path, "day1").unwrap();
        assert_eq!(read.frames, all.frames);
        assert_eq!(read.get(3, snout).unwrap().click("a"), Some(Keypoint::new(10.25, 20.0)));
        assert!(Corrections::read(&path, "day2").unwrap_err().what().contains("day1"));
        for (text, part) in [
            ("limn_corrections: 7\nsession: day1\n", "version 7"),
            ("limn_corrections: 1\nsession: day1\nframes: {x: 3}\n", "cannot be used"),
            (
                "limn_corrections: 1\nsession: day1\nframes: {1: [{bodypart: a, at: [.nan, 0, 0], error_px: 0, clicks: {}}]}\n",
                "nowhere",
            ),
            (
                "limn_corrections: 1\nsession: day1\nframes: {18446744073709551615: []}\n",
                "18446744073709551615",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Corrections::read(&path, "day1").unwrap_err();
            assert!(error.what().contains(part) && error.place().is_some(), "{error}");
        }
    }
}
