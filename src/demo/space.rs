//! The same with several cameras, up to their tracks: what is needed to calibrate and to find the points in space.

use super::{Reel, Wish, against_truth, film, label, learn, new_project, prepare};
use crate::camera::{Mount, Rig};
use crate::error::Result;
use crate::infer::{self, Engine};
use crate::pose::Tracks;
use crate::project::{Extraction, Method, extract};
use crate::synth::space::{RigScene, RigSpec};
use crate::train::Summary;
use crate::train::session::{Evaluated, Trained};
use crate::watch::Watch;
use std::path::{Path, PathBuf};

/// How many cameras film.
const CAMERAS: usize = 4;

/// Sizes of the demonstration.
struct Size {
    board_frames: usize,
    train_frames: usize,
    test_frames: usize,
    /// Over all cameras.
    labels: usize,
    epochs: Option<u64>,
}

fn size(wish: &Wish) -> Size {
    if wish.quick {
        Size { board_frames: 120, train_frames: 60, test_frames: 60, labels: 20, epochs: Some(12) }
    } else {
        Size { board_frames: 240, train_frames: 600, test_frames: 600, labels: 100, epochs: None }
    }
}

/// What several cameras filmed: `board_cam1.mp4`, `day1_cam1.mp4`, `day2_cam1.mp4` and so on, with the truth of all.
pub struct FilmedRig {
    /// The rig's file, which names the cameras and the board and has no calibration yet.
    pub rig: PathBuf,
    /// The board before each camera.
    pub boards: Vec<PathBuf>,
    /// The animal to learn from, before each camera.
    pub day1: Vec<PathBuf>,
    /// Another animal on another day.
    pub day2: Vec<PathBuf>,
    /// The truth of the board's videos.
    pub board: RigScene,
    /// The truth of the first day.
    pub first: RigScene,
    /// The truth of the second day; its cameras are those of the others.
    pub second: RigScene,
}

/// What was learnt from the first day.
pub struct LearntRig {
    /// The project's folder.
    pub project: PathBuf,
    /// How the training went.
    pub trained: Trained,
    /// Against the jittered labels, on held-out frames.
    pub evaluated: Evaluated,
}

/// The second day as one camera saw it.
pub struct TrackedCamera {
    /// The camera's name.
    pub camera: String,
    /// The tracks' file.
    pub file: PathBuf,
    /// The tracks, which a triangulation takes.
    pub tracks: Tracks,
    /// Against the exact truth where the animal's own body does not hide it.
    pub unseen: Summary,
}

/// Renders and encodes all videos into `wish.folder`, and writes `rig.yaml` beside them.
///
/// # Errors
/// When the folder holds something else, a video cannot be written, or somebody asked to stop.
pub fn film_rig(wish: &Wish, watch: &dyn Watch) -> Result<FilmedRig> {
    prepare(&wish.folder)?;
    let size = size(wish);
    let scene = |visit: u64, fps: f64, frames: usize| {
        RigScene::new(RigSpec { visit, fps, frames, ..RigSpec::new(CAMERAS, wish.seed) })
    };
    // Four frames of the board a second: every other place of it is worth a look.
    let board = scene(0, 4.0, size.board_frames)?;
    let first = scene(1, 30.0, size.train_frames)?;
    let second = scene(2, 30.0, size.test_frames)?;
    let shoot = |scene: &RigScene, session: &str, of_board: bool| -> Result<Vec<PathBuf>> {
        let spec = scene.spec();
        let reel = Reel { size: [spec.width, spec.height], fps: spec.fps, frames: spec.frames };
        let one = |(k, camera): (usize, &crate::camera::Camera)| {
            let path = wish.folder.join(format!("{session}_{}.mp4", camera.name));
            let render = |f| if of_board { scene.render_board(k, f) } else { scene.render_animal(k, f) };
            film(&path, &reel, render, watch)?;
            Ok(path)
        };
        scene.cameras().iter().enumerate().map(one).collect()
    };
    let boards = shoot(&board, "board", true)?;
    let day1 = shoot(&first, "day1", false)?;
    let day2 = shoot(&second, "day2", false)?;
    let mount = |c: &crate::camera::Camera| Mount { name: c.name.clone(), ..Mount::default() };
    let rig = Rig {
        cameras: board.cameras().iter().map(mount).collect(),
        board: Some(board.spec().board.clone()),
        ..Rig::default()
    };
    let path = wish.folder.join("rig.yaml");
    rig.write(&path)?;
    Ok(FilmedRig { rig: path, boards, day1, day2, board, first, second })
}

/// Makes one project of all cameras' videos of the first day, labels some frames of each by the truth with a hand's jitter,
/// trains and evaluates.
///
/// # Errors
/// When weights are missing, the training fails, or somebody asked to stop.
pub fn learn_rig(wish: &Wish, filmed: &FilmedRig, watch: &dyn Watch) -> Result<LearntRig> {
    let size = size(wish);
    let each = size.labels.div_ceil(filmed.day1.len().max(1));
    let skeleton = filmed.first.skeleton();
    let mut project = new_project(&wish.folder, skeleton, &filmed.day1, each, watch)?;
    let wanted =
        Extraction { method: Method::Kmeans, count: each, seed: wish.seed, videos: vec![], crop: false };
    let taken = extract(&project, &wanted, watch)?;
    let truth = |video: &str, frame: usize| {
        let camera = filmed.day1.iter().position(|path| stem(path) == video);
        camera.map(|c| filmed.first.seen(c, frame)).unwrap_or_default()
    };
    let points = label(&project, size.train_frames, truth, &taken, wish.seed, watch)?;
    let frames = taken.iter().map(|e| e.frames.len()).sum::<usize>();
    watch.note(&format!(
        "labelled {points} points in {frames} frames of {} cameras, each about 1 px off as a person's would be",
        filmed.day1.len()
    ));
    let (trained, evaluated) = learn(&mut project, wish, size.epochs, watch)?;
    Ok(LearntRig { project: project.root().to_owned(), trained, evaluated })
}

/// Analyzes the second day's videos of all cameras with what was learnt; tracks go to `tracks/`, in the rig's order.
///
/// # Errors
/// When the model cannot be loaded, a video not be read, or somebody asked to stop.
pub fn track_rig(
    wish: &Wish,
    filmed: &FilmedRig,
    learnt: &LearntRig,
    watch: &dyn Watch,
) -> Result<Vec<TrackedCamera>> {
    let engine = Engine::load(&learnt.evaluated.snapshot, &wish.device, None)?;
    let folder = wish.folder.join("tracks");
    let request = infer::Request { out: Some(folder.clone()), force: true, ..infer::Request::default() };
    let one = |(k, video): (usize, &PathBuf)| {
        let analyzed = infer::analyze(&engine, video, &request, watch)?;
        let tracks = infer::tracks_of(video, Some(&folder), &engine.card().scorer, watch)?;
        let judged = against_truth(&stem(video), |f| filmed.second.seen(k, f), &tracks);
        let cutoffs = vec![0.6; tracks.skeleton.points()];
        let unseen = Summary::of(&judged, &cutoffs, None);
        let camera = filmed.second.cameras().get(k).map(|c| c.name.clone()).unwrap_or_default();
        Ok(TrackedCamera { camera, file: analyzed.h5, tracks, unseen })
    };
    filmed.day2.iter().enumerate().map(one).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
