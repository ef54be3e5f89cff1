//! What a view of several cameras shows: which recordings and tracks belong to a rig, and one session of them, loaded.
//!
//! ```no_run
//! use limn::pose::Skeleton;
//! use limn::show::scene3d;
//! use limn::watch::Quiet;
//! use std::path::Path;
//! let found = scene3d::find(Path::new("rig.yaml"), &[], &Quiet::default())?;
//! let first = &found.sessions[0];
//! let scene = scene3d::load(&found, &first.name, &Skeleton::default(), &Quiet::default())?;
//! println!("{}: {} frames, {} cameras", first.name, scene.frames(), scene.cameras.len());
//! # Ok::<(), limn::Error>(())
//! ```

use crate::camera::corrections::Corrections;
use crate::camera::{Camera, Rig};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::{anipose_csv, is_beside_tracks, read_tracks};
use crate::pose::{Keypoint, Pyramid, Skeleton, Spot, Tracks, Tracks3d};
use crate::project::{is_video, video_files};
use crate::watch::{Watch, may_wait};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A rig with the sessions that were found for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The rig's file.
    pub path: PathBuf,
    /// What it says.
    pub rig: Rig,
    /// Sessions with a video or 3D tracks, by name.
    pub sessions: Vec<Session>,
}

/// The files of one session; one place per camera of the rig.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// The videos.
    pub videos: Vec<Option<PathBuf>>,
    /// 2D tracks of the videos, the newest of each.
    pub tracks: Vec<Option<PathBuf>>,
    /// 3D tracks in Anipose's layout.
    pub spots: Option<PathBuf>,
    /// Where corrections are kept, whether there are any or not.
    pub corrections: PathBuf,
}

/// One session of a calibrated rig, loaded.
#[derive(Debug)]
pub struct Scene {
    /// The session's files.
    pub session: Session,
    /// The cameras, calibrated.
    pub cameras: Vec<Camera>,
    /// Frame `n` of the rig is frame `n + offset` of each camera's video.
    pub offsets: Vec<i64>,
    /// The points in space, in the rig's frames.
    pub spots: Tracks3d,
    /// 2D tracks, each in the frames of its camera's video.
    pub tracks: Vec<Option<Tracks>>,
    /// For each camera and 2D track: the place of each point of `spots.skeleton` in it.
    points: Vec<Vec<Option<usize>>>,
    /// What a person put right.
    pub corrections: Corrections,
    /// For each point its reprojection error over the frames, to draw in any width.
    pub errors: Vec<Pyramid>,
    /// Lowest and highest x, y, z of the points, in millimetres; around the middle of the cameras where there are none.
    pub bounds: [[f64; 3]; 2],
    frames: usize,
}

/// Reads a rig (its file or folder) and looks for its recordings: among `more` (videos, and folders), beside it, where its folder is
/// called `rig` also beside that, and there in the folders `videos`, `tracks`, `space` and `pose-3d` (Anipose's). Of videos
/// with the same name the first counts.
///
/// # Errors
/// As [`Rig::read`], and when two files claim the same camera of one session.
pub fn find(rig: &Path, more: &[PathBuf], watch: &dyn Watch) -> Result<Found> {
    may_wait("looking for recordings");
    let path = Rig::path(rig);
    let rig = Rig::read(&path)?;
    let home = files::folder_of(&path);
    let mut folders = Vec::new();
    let mut videos = Vec::new();
    for given in more {
        if is_video(given) {
            folders.push(files::folder_of(given));
            videos.push(given.clone());
        } else {
            folders.push(given.clone());
        }
    }
    let around = home.ends_with("rig").then(|| home.join(".."));
    for near in [Some(home.clone()), around].into_iter().flatten() {
        folders.extend(["", "videos", "tracks", "space", "pose-3d"].map(|inside| near.join(inside)));
    }
    let mut known = BTreeSet::new();
    folders.retain(|f| known.insert(f.canonicalize().unwrap_or_else(|_| f.clone())));
    let mut tables = BTreeSet::new();
    for folder in &folders {
        watch.check()?;
        videos.extend(video_files(folder));
        let all = std::fs::read_dir(folder).map(|d| d.flatten().map(|e| e.path()).collect::<Vec<_>>());
        let table = |p: &PathBuf| p.extension().is_some_and(|e| e == "csv" || e == "h5");
        tables.extend(all.unwrap_or_default().into_iter().filter(table));
    }
    // A link and its target are one recording.
    let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
    videos.retain(|v| {
        let new = seen.insert(v.canonicalize().unwrap_or_else(|_| v.clone()));
        new && names.insert(v.file_name().map(ToOwned::to_owned))
    });
    videos.sort();
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    let empty = |name: &str| Session {
        name: name.to_owned(),
        videos: vec![None; rig.cameras.len()],
        tracks: vec![None; rig.cameras.len()],
        spots: None,
        corrections: home.join(format!("{name}_corrections.yaml")),
    };
    for (name, videos) in rig.sessions(&videos)?.by_name {
        let tracks = videos.iter().map(|v| tracks_of(v.as_deref()?, &tables)).collect();
        sessions.insert(name.clone(), Session { videos, tracks, ..empty(&name) });
    }
    for table in tables.iter().filter(|t| t.extension().is_some_and(|e| e == "csv")) {
        let stem = table.file_stem().unwrap_or_default().to_string_lossy();
        let in_poses = files::folder_of(table).ends_with("pose-3d");
        let anipose = (in_poses && !is_beside_tracks(&stem)).then_some(&*stem);
        let Some(name) = stem.strip_suffix("_3d").or(anipose) else { continue };
        let session = sessions.entry(name.to_owned()).or_insert_with(|| empty(name));
        // Of several results the newest.
        if session.spots.as_ref().is_none_or(|known| written(known) <= written(table)) {
            session.corrections = table.with_file_name(format!("{name}_corrections.yaml"));
            session.spots = Some(table.clone());
        }
    }
    Ok(Found { path, rig, sessions: sessions.into_values().collect() })
}

/// The newest 2D tracks of a video: `<video>DLC_....h5` or `.csv`.
fn tracks_of(video: &Path, tables: &BTreeSet<PathBuf>) -> Option<PathBuf> {
    let stem = video.file_stem()?.to_string_lossy();
    let fits = |p: &&PathBuf| {
        let name = p.file_stem().unwrap_or_default().to_string_lossy();
        let model =
            name.strip_prefix(&*stem).is_some_and(|m| ["DLC_", "DeepCut_"].iter().any(|d| m.starts_with(d)));
        let readable = cfg!(feature = "hdf5") || p.extension().is_some_and(|e| e == "csv");
        model && readable && !is_beside_tracks(&name) && !name.ends_with("_filtered")
    };
    let h5 = |p: &PathBuf| p.extension().is_some_and(|e| e == "h5");
    let mut all: Vec<&PathBuf> = tables.iter().filter(fits).collect();
    all.sort_by_key(|p| (p.with_extension(""), h5(p)));
    // Of the two forms of one result the .h5, and of several results the newest.
    all.dedup_by(|later, kept| {
        let same = later.with_extension("") == kept.with_extension("");
        if same {
            *kept = *later;
        }
        same
    });
    all.into_iter().max_by_key(|p| written(p)).cloned()
}

fn written(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// Loads a session. `known` is the project's skeleton: its lines, for which the files have no place, and its points where no
/// file has any.
///
/// # Errors
/// When the rig is not calibrated, there is no such session, or a file cannot be read.
pub fn load(found: &Found, session: &str, known: &Skeleton, watch: &dyn Watch) -> Result<Scene> {
    may_wait("loading a session");
    let session = found.sessions.iter().find(|s| s.name == session).cloned().ok_or_else(|| {
        Error::new(Kind::NotFound, format!("the rig has no session `{session}`"))
            .at(found.path.display())
            .mend("put its videos beside rig.yaml, named by session and camera")
    })?;
    let cameras = found.rig.calibrated().map_err(|e| e.at(found.path.display()))?;
    let tracks = session
        .tracks
        .iter()
        .map(|p| p.as_deref().map(|p| read_tracks(p, watch).map(|t| t.1)).transpose())
        .collect::<Result<Vec<_>>>()?;
    let spots = session.spots.as_deref().map(|p| anipose_csv::read(p, watch)).transpose()?;
    let corrections = Corrections::read(&session.corrections, &session.name)?;
    let offsets: Vec<i64> = found.rig.cameras.iter().map(|m| m.offset).collect();
    Scene::new(session, cameras, offsets, spots, tracks, known, corrections, watch)
}

impl Scene {
    /// Puts a session together; without 3D tracks every frame that 2D tracks have is there with nothing found.
    ///
    /// # Errors
    /// When it is stopped.
    #[allow(clippy::too_many_arguments)] // the parts it is made of
    pub fn new(
        session: Session,
        cameras: Vec<Camera>,
        offsets: Vec<i64>,
        spots: Option<Tracks3d>,
        tracks: Vec<Option<Tracks>>,
        known: &Skeleton,
        corrections: Corrections,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let last = tracks.iter().zip(&offsets).filter_map(|(t, offset)| {
            let frames = i64::try_from(t.as_ref()?.frames()).ok()?;
            usize::try_from(frames - offset).ok()
        });
        let last = last.max().unwrap_or(0);
        let mut spots = spots.unwrap_or_else(|| {
            let skeleton =
                tracks.iter().flatten().next().map_or_else(|| known.clone(), |t| t.skeleton.clone());
            Tracks3d::new(skeleton, last)
        });
        if spots.skeleton.edges.is_empty() {
            spots.skeleton.edges.clone_from(&known.edges);
        }
        let points = tracks.iter().map(|t| places(&spots.skeleton, t.as_ref())).collect();
        let mut errors = Vec::new();
        for point in 0..spots.skeleton.points() {
            watch.check()?;
            errors.push(Pyramid::new(spots.frames(), |f| error_of(&spots, f, point)));
        }
        let bounds = bounds(&cameras, &spots);
        let frames = spots.frames().max(last).max(corrections.frames().last().map_or(0, |f| f + 1));
        Ok(Self { session, cameras, offsets, spots, tracks, points, corrections, errors, bounds, frames })
    }

    /// How many frames of the rig there are to look at; of the videos there may be more.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// A point in space, as a person put it right or as it was found.
    #[must_use]
    pub fn spot(&self, frame: usize, point: usize) -> Option<Spot> {
        let name = self.spots.skeleton.point(point)?;
        self.corrections.spot(frame, name).or_else(|| self.spots.get(frame, point))
    }

    /// The frame of a camera's video at a frame of the rig; `None` before its beginning.
    #[must_use]
    pub fn camera_frame(&self, camera: usize, frame: usize) -> Option<usize> {
        usize::try_from(i64::try_from(frame).ok()? + self.offsets.get(camera)?).ok()
    }

    /// The rig's frame at a frame of a camera's video; `None` before the rig's beginning.
    #[must_use]
    pub fn rig_frame(&self, camera: usize, frame: usize) -> Option<usize> {
        usize::try_from(i64::try_from(frame).ok()? - self.offsets.get(camera)?).ok()
    }

    /// What the 2D tracks of a camera say of a point at a frame of the rig, with its likelihood.
    #[must_use]
    pub fn seen(&self, camera: usize, frame: usize, point: usize) -> Option<(Keypoint, f64)> {
        let tracks = self.tracks.get(camera)?.as_ref()?;
        let place = (*self.points.get(camera)?.get(point)?)?;
        tracks.get(self.camera_frame(camera, frame)?, place)
    }

    /// A point's reprojection error in a frame, in pixels; NaN where there is none.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // as the tracks have it
    pub fn error(&self, frame: usize, point: usize) -> f32 {
        error_of(&self.spots, frame, point)
    }
}

fn error_of(spots: &Tracks3d, frame: usize, point: usize) -> f32 {
    spots.row(frame).get(point).map_or(f32::NAN, |v| v[6])
}

/// The place of every point of `skeleton` in 2D tracks: by individual and body part, or by Anipose's one name of both, or
/// by the body part alone where both have one animal.
fn places(skeleton: &Skeleton, tracks: Option<&Tracks>) -> Vec<Option<usize>> {
    let Some(tracks) = tracks else { return vec![None; skeleton.points()] };
    let own = &tracks.skeleton;
    let alone = own.individuals.len() == 1 && skeleton.individuals.len() == 1;
    let joined = |i: &str, b: &str| if i.is_empty() { b.to_owned() } else { format!("{i}_{b}") };
    skeleton
        .names()
        .map(|name| {
            own.index_of(name).or_else(|| {
                own.names().position(|n| {
                    joined(n.individual, n.bodypart) == name.bodypart || alone && n.bodypart == name.bodypart
                })
            })
        })
        .collect()
}

/// The middle 98 of 100 of a sample of the points: strays do not count.
fn bounds(cameras: &[Camera], spots: &Tracks3d) -> [[f64; 3]; 2] {
    let step = (spots.values().len() / 20_000).max(1);
    let mut bounds = [[0.0; 3]; 2];
    for axis in 0..3 {
        let all = spots.values().iter().step_by(step).map(|v| f64::from(v[axis]));
        let mut all: Vec<f64> = all.filter(|v| v.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        let cut = all.len() / 100;
        let middle = cameras.iter().map(|c| c.position()[axis]).sum::<f64>() / cameras.len().max(1) as f64;
        bounds[0][axis] = all.get(cut).copied().unwrap_or(middle - 100.0);
        bounds[1][axis] = all.get(all.len().saturating_sub(cut + 1)).copied().unwrap_or(middle + 100.0);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{Lens, Mount};
    use crate::watch::Quiet;
    use nalgebra::Vector3;

    fn mount(name: &str, x: f64, offset: i64) -> Mount {
        let camera = Camera::new(name, [640, 480], Lens::plain(500.0, [640, 480])).looking(
            Vector3::new(x, -300.0, 200.0),
            Vector3::zeros(),
            Vector3::z(),
        );
        Mount { name: name.into(), camera: Some(camera), offset, ..Mount::default() }
    }

    #[test]
    fn what_the_commands_write_around_a_folder_called_rig_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["rig", "tracks", "space", "pose-3d"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let rig = Rig { cameras: vec![mount("a", 100.0, 0), mount("b", -100.0, 0)], ..Rig::default() };
        rig.write(&dir.path().join("rig/rig.yaml")).unwrap();
        for name in
            ["day1_a.mp4", "tracks/day1_aDLC_x.csv", "space/day1_3d.csv", "space/day1_3d_deviations.csv"]
        {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        for name in ["day2.csv", "day2_kinematics.csv", "day2_DLC_3D.csv"] {
            std::fs::write(dir.path().join("pose-3d").join(name), "").unwrap();
        }
        let found = find(&dir.path().join("rig"), &[], &Quiet::default()).unwrap();
        let names: Vec<&str> = found.sessions.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["day1", "day2"]);
        let day1 = &found.sessions[0];
        assert!(day1.videos[0].is_some() && day1.tracks[0].is_some() && day1.spots.is_some(), "{day1:?}");
    }

    #[test]
    fn sessions_are_found_and_loaded_with_all_that_belongs_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let rig = Rig { cameras: vec![mount("a", 100.0, 0), mount("b", -100.0, 2)], ..Rig::default() };
        rig.write(&dir.path().join("rig.yaml")).unwrap();
        let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        file("day1_a.mp4", "");
        file("day1_b.mp4", "");
        file("day1_a_labeled.mp4", "");
        file("day2_a.mp4", "");
        file(
            "day1_bDLC_x.csv",
            "scorer,s,s,s\nbodyparts,snout,snout,snout\ncoords,x,y,likelihood\n0,1,1,0.5\n1,2,2,0.5\n2,7,8,0.5\n",
        );
        file("day1_bDLC_x_times.csv", "frame,time_s\n");
        file("day1_bDLC_x_sd.csv", "scorer,s\nbodyparts,snout\ncoords,sd\n0,1.5\n");
        file(
            "day1_3d.csv",
            "snout_x,snout_y,snout_z,snout_error,snout_ncams,snout_score,fnum\n1,2,3,0.5,2,0.9,0\n,,,,,,1\n",
        );
        let watch = Quiet::default();
        let edges = vec![["snout".to_owned(), "tail".to_owned()]];
        let known = Skeleton { edges, ..Skeleton::single(["snout", "tail"]) };
        let found = find(dir.path(), &[], &watch).unwrap();
        assert_eq!(found.sessions.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["day1", "day2"]);
        assert_eq!(found.sessions[1].videos[1], None);
        let scene = load(&found, "day1", &known, &watch).unwrap();
        assert_eq!((scene.frames(), scene.spots.skeleton.edges.len()), (2, 1));
        assert_eq!(scene.spot(0, 0).map(|s| (s.at, s.cameras)), Some(([1.0, 2.0, 3.0], 2)));
        assert!(scene.spot(1, 0).is_none() && scene.error(0, 0) == 0.5 && scene.error(1, 0).is_nan());
        // Camera b began two frames before: its row 2 is the rig's frame 0.
        assert_eq!(scene.seen(1, 0, 0), Some((Keypoint::new(7.0, 8.0), 0.5)));
        assert_eq!((scene.seen(1, 1, 0), scene.seen(0, 0, 0)), (None, None));
        assert_eq!((scene.camera_frame(1, 3), scene.rig_frame(1, 1)), (Some(5), None));
        let bare = load(&found, "day2", &known, &watch).unwrap();
        assert_eq!((bare.spots.skeleton.points(), bare.frames()), (2, 0), "the points to put by hand");
        assert!(load(&found, "day9", &known, &watch).unwrap_err().what().contains("day9"));
    }
}
