//! Labels of one camera as a help in the others: what two views say together, and where one view's ray runs.
//!
//! Nothing here is saved by itself: a [`Proposal`] becomes a label only when a person accepts it.
//!
//! ```
//! use limn::camera::{Camera, Lens, Mount, Rig, labels::LabelViews};
//! use limn::pose::{FrameKey, Labels, Skeleton};
//! use nalgebra::Vector3;
//! let mount = |name: &str, x: f64| {
//!     let camera = Camera::new(name, [640, 480], Lens::plain(600.0, [640, 480]));
//!     let camera = camera.looking(Vector3::new(x, -300.0, 400.0), Vector3::zeros(), Vector3::z());
//!     Mount { name: name.into(), camera: Some(camera), ..Mount::default() }
//! };
//! let rig = Rig { cameras: vec![mount("a", 0.0), mount("b", 200.0), mount("c", -200.0)], ..Rig::default() };
//! let views = LabelViews::of(&rig, ["day1_a", "day1_b", "day1_c"])?;
//! let snout = Vector3::new(10.0, 20.0, 5.0);
//! let mut labels = Labels::new("Ada", Skeleton::single(["snout"]));
//! for (folder, mount) in ["day1_a", "day1_b"].iter().zip(&rig.cameras) {
//!     let seen = mount.camera.as_ref().and_then(|c| c.project(&snout));
//!     labels.set(&FrameKey::new(*folder, "img007.png"), 0, seen);
//! }
//! let help = views.help(&labels, &FrameKey::new("day1_c", "img007.png"));
//! assert_eq!(help.proposals.len(), 1);
//! # Ok::<(), limn::Error>(())
//! ```

use super::{Camera, Rig, epipolar};
use crate::error::Result;
use crate::pose::{FrameKey, Keypoint, Labels};
use nalgebra::Vector3;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which folders of pictures were filmed by which camera at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelViews {
    cameras: Vec<Camera>,
    offsets: Vec<i64>,
    /// For each folder its session and camera.
    of: BTreeMap<String, (String, usize)>,
    /// For each session the folder of each camera.
    folders: BTreeMap<String, Vec<Option<String>>>,
}

/// Where a point is to be expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The point of the skeleton.
    pub point: usize,
    /// Where, in pixels of the full frame.
    pub at: Keypoint,
    /// Mean reprojection error, in pixels, in the views it comes from: how well they agree.
    pub error: f64,
    /// From how many views it comes.
    pub views: usize,
}

/// A line that a point is to be expected on.
#[derive(Debug, Clone, PartialEq)]
pub struct SightLine {
    /// The point of the skeleton.
    pub point: usize,
    /// The line, in pixels of the full frame.
    pub line: Vec<Keypoint>,
}

/// What other views say of a picture, in the order of the skeleton's points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Help {
    /// Points that two or more other views show.
    pub proposals: Vec<Proposal>,
    /// Lines of those that one other view shows.
    pub lines: Vec<SightLine>,
}

impl LabelViews {
    /// Sorts folders of pictures (`labeled-data/<session and camera>`) by the rig's cameras.
    ///
    /// # Errors
    /// When the rig is not calibrated, or two folders claim the same camera of one session.
    pub fn of<S: AsRef<str>>(rig: &Rig, folders: impl IntoIterator<Item = S>) -> Result<Self> {
        let cameras = rig.calibrated()?;
        let offsets = rig.cameras.iter().map(|m| m.offset).collect();
        // Names are those of video files without their ending: with one, nothing after a dot is lost.
        let paths: Vec<PathBuf> =
            folders.into_iter().map(|f| PathBuf::from(format!("{}.png", f.as_ref()))).collect();
        let name = |p: &PathBuf| p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut of = BTreeMap::new();
        let mut sorted = BTreeMap::new();
        for (session, paths) in rig.sessions(&paths)?.by_name {
            let folders: Vec<Option<String>> = paths.iter().map(|p| p.as_ref().map(name)).collect();
            for (camera, folder) in folders.iter().enumerate() {
                of.extend(folder.clone().map(|f| (f, (session.clone(), camera))));
            }
            sorted.insert(session, folders);
        }
        Ok(Self { cameras, offsets, of, folders: sorted })
    }

    /// What the labels of other cameras at the same moment say of a picture. Points with a label of their own there are left
    /// out; so is what would lie outside of the frame.
    #[must_use]
    pub fn help(&self, labels: &Labels, key: &FrameKey) -> Help {
        let mut help = Help::default();
        let Some((session, own)) = self.of.get(&key.video) else { return help };
        let (Some(camera), Some(folders)) = (self.cameras.get(*own), self.folders.get(session)) else {
            return help;
        };
        let Some(moment) = self.moment(*own, key) else { return help };
        // The labelled picture of each other camera at this moment.
        let frames: Vec<_> = folders
            .iter()
            .enumerate()
            .map(|(i, folder)| {
                let folder = folder.as_ref().filter(|_| i != *own)?;
                let first = FrameKey::new(folder.clone(), "");
                let all = labels.frames.range(first..).take_while(|(k, _)| k.video == *folder);
                all.into_iter().find(|(k, _)| self.moment(i, k) == Some(moment)).map(|(_, frame)| frame)
            })
            .collect();
        let labelled = labels.frames.get(key);
        let [near, far] = epipolar::reach(&self.cameras);
        let [w, h] = camera.size.map(|s| s as f64);
        for point in 0..labels.skeleton.points() {
            if labelled.and_then(|f| f.points.get(point).copied().flatten()).is_some() {
                continue;
            }
            let seen: Vec<Option<Keypoint>> =
                frames.iter().map(|f| f.and_then(|f| f.points.get(point).copied().flatten())).collect();
            if let Some(spot) = epipolar::triangulate_clicks(&self.cameras, &seen) {
                let at = camera.project(&Vector3::from(spot.at)).filter(|at| at.inside(w, h));
                let from = |at| Proposal { point, at, error: spot.error, views: spot.cameras };
                help.proposals.extend(at.map(from));
            } else if let Some((from, pixel)) =
                self.cameras.iter().zip(&seen).find_map(|(c, p)| Some((c, (*p)?)))
            {
                let line = epipolar::curve(from, pixel, camera, near, far);
                if line.len() > 1 {
                    help.lines.push(SightLine { point, line });
                }
            }
        }
        help
    }

    /// The rig's frame of a picture.
    fn moment(&self, camera: usize, key: &FrameKey) -> Option<i64> {
        i64::try_from(key.frame_number()?).ok()?.checked_sub(*self.offsets.get(camera)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lens, Mount};
    use super::*;
    use crate::pose::Skeleton;

    fn rig() -> Rig {
        let mount = |name: &str, x: f64, offset| {
            let camera = Camera::new(name, [640, 480], Lens::plain(500.0, [640, 480])).looking(
                Vector3::new(x, -300.0, 300.0),
                Vector3::zeros(),
                Vector3::z(),
            );
            Mount { name: name.into(), camera: Some(camera), offset, ..Mount::default() }
        };
        Rig {
            cameras: vec![mount("a", 0.0, 0), mount("b", 300.0, 3), mount("c", -300.0, 0)],
            ..Rig::default()
        }
    }

    #[test]
    fn two_views_propose_one_view_draws_and_nothing_else_is_mixed_in() {
        let rig = rig();
        let views = LabelViews::of(&rig, ["s1_a", "s1_b", "s1_c", "s2_a", "other"]).unwrap();
        let mut labels = Labels::new("Ada", Skeleton::single(["snout", "tail"]));
        let (snout, tail) = (Vector3::new(30.0, -10.0, 20.0), Vector3::new(-40.0, 15.0, 5.0));
        let seen =
            |camera: usize, at: &Vector3<f64>| rig.cameras[camera].camera.as_ref().unwrap().project(at);
        let key = |folder: &str, frame: u32| FrameKey::new(folder, format!("img{frame:03}.png"));
        // Camera b began three frames earlier: its picture 10 is the moment of picture 7.
        labels.set(&key("s1_a", 7), 0, seen(0, &snout));
        labels.set(&key("s1_b", 10), 0, seen(1, &snout));
        labels.set(&key("s1_a", 7), 1, seen(0, &tail));
        labels.set(&key("s1_b", 7), 1, seen(1, &tail)); // another moment
        labels.set(&key("s2_a", 7), 1, seen(0, &snout)); // another session
        let help = views.help(&labels, &key("s1_c", 7));
        assert_eq!((help.proposals.len(), help.lines.len()), (1, 1));
        let proposal = &help.proposals[0];
        assert!(proposal.at.distance(seen(2, &snout).unwrap()) < 1e-6 && proposal.error < 1e-6);
        assert_eq!((proposal.point, proposal.views, help.lines[0].point), (0, 2, 1));
        let wanted = seen(2, &tail).unwrap();
        let nearest = help.lines[0].line.iter().map(|p| p.distance(wanted)).fold(f64::INFINITY, f64::min);
        assert!(nearest < 4.0, "{nearest} px from the line's points");
        // What has a label needs no help, and what is of no camera gets none.
        labels.set(&key("s1_c", 7), 0, Some(Keypoint::new(1.0, 1.0)));
        assert!(views.help(&labels, &key("s1_c", 7)).proposals.is_empty());
        for other in [key("s1_c", 8), key("other", 7), FrameKey::new("s1_c", "x.png")] {
            assert_eq!(views.help(&labels, &other), Help::default());
        }
        let mut raw = rig.clone();
        raw.cameras[1].camera = None;
        assert!(LabelViews::of(&raw, ["s1_a"]).is_err());
    }
}
