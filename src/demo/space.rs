//! `limn demo --3d`: four cameras, from a board to points in millimetres.

use super::{Reel, Size, Wish, film, label, new_project, prepare, train};
use crate::camera::calibrate::{self, Options as CalibrateOptions};
use crate::camera::triangulate::{self, Method, Options as TriangulateOptions};
use crate::camera::{Camera, Mount, Rig};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::anipose_csv;
use crate::infer::{self, Engine};
use crate::pose::{Tracks, Tracks3d};
use crate::project::{Extraction, Method as Choice, extract};
use crate::show;
use crate::synth::space::{RigScene, RigSpec};
use crate::train::session::{self};
use crate::watch::Watch;
use nalgebra::{Point3, Vector3};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Cameras of the demonstration.
const CAMERAS: usize = 4;

/// How near points in space are to the truth, found in one way.
#[derive(Debug, Clone, Serialize)]
pub struct InSpace {
    /// `dlt`, `ransac` or `smooth`.
    pub method: String,
    /// Share of all points of all frames that were found.
    pub found: f64,
    /// Mean distance from the truth in millimetres.
    pub mean_mm: f64,
    /// Its median.
    pub median_mm: f64,
    /// 95 % are nearer than this.
    pub p95_mm: f64,
    /// Median distance by body part.
    pub median_mm_by_bodypart: BTreeMap<String, f64>,
    /// Share of coordinates within one and within two stated standard deviations.
    pub within_deviations: [f64; 2],
}

/// What came out of the demonstration in space.
#[derive(Debug, Serialize)]
pub struct Story3d {
    /// The rig's folder.
    pub rig: PathBuf,
    /// The project's folder.
    pub project: PathBuf,
    /// The device really used.
    pub device: String,
    /// Steps trained.
    pub steps: u64,
    /// Root mean square error of the calibration's corners in pixels, and what was thought of it.
    pub calibration_px: f64,
    /// `good`, `fair` or `poor`.
    pub verdict: String,
    /// Largest error of a camera's place, as a share of the rig's size (its largest distance between cameras).
    pub place_error: f64,
    /// Largest relative error of a focal length.
    pub focal_error: f64,
    /// Mean error in the single cameras on the videos nobody labelled, of parts that are in sight, in pixels.
    pub unseen_px: f64,
    /// Points in space against the truth, with the calibrated cameras.
    pub in_space: Vec<InSpace>,
    /// Tracks in space.
    pub tracks: PathBuf,
    /// Frames of each of the videos.
    pub frames: usize,
}

struct Lengths {
    board: usize,
    train: usize,
    test: usize,
    size: Size,
}

impl Lengths {
    fn of(wish: &Wish) -> Self {
        let size = wish.size();
        if wish.quick {
            Self { board: 120, train: 60, test: 40, size: Size { labels: 32, epochs: Some(20), ..size } }
        } else {
            Self { board: 400, train: 450, test: 300, size: Size { labels: 120, ..size } }
        }
    }
}

/// Tells the story of four cameras.
///
/// # Errors
/// When the folder holds something else, weights are missing, or somebody asked to stop.
pub fn tell_in_space(wish: &Wish, watch: &dyn Watch) -> Result<Story3d> {
    prepare(&wish.folder)?;
    let lengths = Lengths::of(wish);
    let spec = |visit: u64, frames: usize| RigSpec {
        width: lengths.size.width,
        height: lengths.size.height,
        visit,
        frames,
        ..RigSpec::new(CAMERAS, wish.seed)
    };
    // Four pictures a second: the board is at a new place in every fourth.
    let boards = RigScene::new(RigSpec { fps: 4.0, ..spec(0, lengths.board) })?;
    let first = RigScene::new(spec(1, lengths.train))?;
    let second = RigScene::new(spec(2, lengths.test))?;
    let names: Vec<String> = boards.cameras().iter().map(|c| c.name.clone()).collect();
    let films = |scene: &RigScene, what: &str| -> Result<Vec<PathBuf>> {
        let reel = Reel {
            width: scene.spec().width,
            height: scene.spec().height,
            fps: scene.spec().fps,
            frames: scene.spec().frames,
        };
        let one = |(c, name): (usize, &String)| {
            let path = wish.folder.join(format!("{what}_{name}.mp4"));
            let render =
                |f| if what == "board" { scene.render_board(c, f) } else { scene.render_animal(c, f) };
            film(reel, &path, render, watch)?;
            Ok(path)
        };
        names.iter().enumerate().map(one).collect()
    };
    let (board_films, day1, day2) =
        (films(&boards, "board")?, films(&first, "day1")?, films(&second, "day2")?);

    let folder = wish.folder.join("rig");
    files::make_folder(&folder)?;
    let mount = |name: &String| Mount { name: name.clone(), ..Mount::default() };
    let rig = Rig {
        cameras: names.iter().map(mount).collect(),
        board: Some(boards.spec().board.clone()),
        ..Rig::default()
    };
    let seen = calibrate::look(&rig, &board_films, 300, watch)?;
    let seen = calibrate::choose(&rig, seen, 150)?;
    let calibrated = calibrate::calibrate(&rig, &seen, &CalibrateOptions::default(), watch)?;
    show::calibration(&calibrated, &folder.join("calibration"))?;
    let rig = calibrated.rig.clone();
    rig.write(&folder.join("rig.yaml"))?;
    let cameras = rig.calibrated()?;
    watch.note(&format!(
        "{} cameras to {:.2} px: {}",
        cameras.len(),
        calibrated.rms,
        calibrated.verdict.grade.word()
    ));

    let mut project = new_project(&wish.folder, first.skeleton(), &day1, lengths.size.labels, watch)?;
    let each = (lengths.size.labels / CAMERAS).max(1);
    let wanted =
        Extraction { method: Choice::Kmeans, count: each, seed: wish.seed, videos: vec![], crop: false };
    let taken = extract(&project, &wanted, watch)?;
    let truth = |video: &str, frame: usize| {
        let camera = names.iter().position(|n| video.ends_with(n.as_str()));
        camera.map_or_else(Vec::new, |c| first.seen(c, frame))
    };
    let points = label(&project, lengths.train, truth, &taken, wish.seed, watch)?;
    watch.note(&format!("labelled {points} points, each about 1 px off as a person's would be"));
    let trained = train(&mut project, wish, &lengths.size, watch)?;

    let snapshot = session::snapshot(&project, 1, "auto")?;
    let engine = Engine::load(&snapshot, &wish.device, None)?;
    let out = wish.folder.join("tracks");
    let request = infer::Request { out: Some(out.clone()), force: true, ..infer::Request::default() };
    let mut tracks = Vec::new();
    for video in &day2 {
        infer::analyze(&engine, video, &request, watch)?;
        tracks.push(Some(infer::tracks_of(video, Some(&out), &engine.card().scorer, watch)?));
    }

    let accuracy = engine
        .card()
        .accuracy
        .as_ref()
        .map_or_else(BTreeMap::new, |a| a.by_bodypart(&engine.card().skeleton()));
    let space = wish.folder.join("space");
    files::make_folder(&space)?;
    let path = space.join("day2_3d.csv");
    let mut in_space = Vec::new();
    for method in [Method::Dlt, Method::Ransac, Method::Smooth] {
        let options = TriangulateOptions {
            method,
            edges: first.skeleton().edges,
            accuracy: accuracy.clone(),
            // So short a training makes no likely points; the unlikely ones show that the way is open.
            cutoff: if wish.quick { 0.0 } else { TriangulateOptions::default().cutoff },
            ..TriangulateOptions::default()
        };
        let found = triangulate::session(&rig, &tracks, &[], &options, watch)?;
        in_space.push(judged(method.name(), &second, &found.tracks));
        anipose_csv::write(&path, &found.tracks)?; // the last one stays
    }
    let [place_error, focal_error] = against_truth(boards.cameras(), &cameras);
    Ok(Story3d {
        rig: folder,
        project: project.root().to_owned(),
        device: trained.device,
        steps: trained.outcome.steps,
        calibration_px: calibrated.rms,
        verdict: calibrated.verdict.grade.word().to_owned(),
        place_error,
        focal_error,
        unseen_px: unseen(&second, &tracks)?,
        in_space,
        tracks: path,
        frames: lengths.test,
    })
}

/// Largest error of a place as a share of the rig's size, and of a focal length. Both rigs are seen from their first camera.
fn against_truth(truth: &[Camera], found: &[Camera]) -> [f64; 2] {
    let Some(first) = truth.first() else { return [f64::NAN; 2] };
    let home = |c: &Camera| (first.pose * Point3::from(c.position())).coords;
    let size = truth
        .iter()
        .flat_map(|a| truth.iter().map(|b| (a.position() - b.position()).norm()))
        .fold(1e-9, f64::max);
    let place = truth.iter().zip(found).map(|(t, f)| (home(t) - f.position()).norm() / size);
    let focal = truth
        .iter()
        .zip(found)
        .flat_map(|(t, f)| (0..2).map(|k| (f.lens.focal[k] / t.lens.focal[k] - 1.0).abs()));
    [place.fold(0.0, f64::max), focal.fold(0.0, f64::max)]
}

/// Mean distance in pixels of points that are in sight.
fn unseen(scene: &RigScene, tracks: &[Option<Tracks>]) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    for (camera, tracks) in tracks.iter().enumerate() {
        let Some(tracks) = tracks else { continue };
        for frame in 0..tracks.frames() {
            for (point, truth) in scene.seen(camera, frame).into_iter().enumerate() {
                if let (Some(truth), Some((at, _))) = (truth, tracks.get(frame, point)) {
                    sum += truth.distance(at);
                    count += 1;
                }
            }
        }
    }
    if count == 0 {
        return Err(Error::new(Kind::Compute, "nothing was tracked").mend("train longer"));
    }
    Ok(sum / count as f64)
}

/// Points in space against the truth; the world is the first camera's frame.
fn judged(method: &str, scene: &RigScene, tracks: &Tracks3d) -> InSpace {
    let parts: Vec<String> = tracks.skeleton.names().map(|n| n.bodypart.to_owned()).collect();
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); parts.len()];
    let (mut within, mut coordinates) = ([0.0; 2], 0.0);
    for frame in 0..tracks.frames() {
        let home = scene.cameras().first().map(|c| c.pose).unwrap_or_default();
        for (point, truth) in scene.truth3d(frame).into_iter().enumerate() {
            let Some(spot) = tracks.get(frame, point) else { continue };
            let off = Vector3::from(spot.at) - (home * Point3::from(truth)).coords;
            errors[point].push(off.norm());
            for (d, s) in off.iter().zip(spot.deviation) {
                coordinates += 1.0;
                within[0] += f64::from(u8::from(d.abs() <= s));
                within[1] += f64::from(u8::from(d.abs() <= 2.0 * s));
            }
        }
    }
    let middle = |errors: &[f64], share: f64| -> f64 {
        let mut sorted = errors.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    let all: Vec<f64> = errors.concat();
    InSpace {
        method: method.to_owned(),
        found: all.len() as f64 / (tracks.frames() * parts.len()).max(1) as f64,
        mean_mm: all.iter().sum::<f64>() / all.len() as f64,
        median_mm: middle(&all, 0.5),
        p95_mm: middle(&all, 0.95),
        median_mm_by_bodypart: parts.into_iter().zip(errors.iter().map(|e| middle(e, 0.5))).collect(),
        within_deviations: within.map(|w| w / coordinates),
    }
}
