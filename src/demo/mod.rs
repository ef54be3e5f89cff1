//! `limn demo`: a whole experiment from nothing to tracks, whose truth is known exactly.
//!
//! The two videos are rendered ([`crate::synth`]); everything after that takes the paths a user takes: project,
//! extraction, label files, split, training, evaluation, analysis, labelled video. Only the labelling is done by
//! looking up the truth, with the jitter of a human hand. The test video has another animal in another arena.
//!
//! ```no_run
//! use limn::demo::{Wish, tell};
//! let wish = Wish { folder: "limn-demo".into(), quick: true, seed: 1, device: "auto".into(), minutes: None };
//! let story = tell(&wish, &limn::watch::Quiet::default())?;
//! println!("{:?} px on frames nobody labelled", story.unseen.mean_error_px);
//! # Ok::<(), limn::Error>(())
//! ```

mod space;

pub use space::{FilmedRig, LearntRig, TrackedCamera, film_rig, learn_rig, track_rig};

use crate::draw::{self, plot};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::infer::{self, Engine};
use crate::picture::Picture;
use crate::pose::{FrameKey, Keypoint, Skeleton, Tracks};
use crate::project::{
    Extraction, LabelStore, Method, NewProject, PointEdit, Project, Severity, SplitRequest, Splits,
    VideoMode, extract,
};
use crate::show::{self, VideoStyle};
use crate::synth::{Scene, SceneSpec};
use crate::train::session::{self, EvaluateOptions, Evaluated, Options, Trained};
use crate::train::{Judged, Summary};
use crate::video::{Index, Writer};
use crate::watch::Watch;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A careful person's hand: this standard deviation in x and in y makes 1 px of distance on average.
const JITTER: f64 = 0.8;
/// Marks a folder as ours to replace.
const MARKER: &str = "limn-demo.txt";

/// What kind of demonstration.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where everything goes.
    pub folder: PathBuf,
    /// A short form that shows that everything works, not how well.
    pub quick: bool,
    /// Seed of animals, arenas, jitter and training.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda`.
    pub device: String,
    /// Longest training; 9 minutes when not given.
    pub minutes: Option<f64>,
}

/// Sizes of the demonstration.
struct Size {
    width: usize,
    height: usize,
    train_frames: usize,
    test_frames: usize,
    labels: usize,
    epochs: Option<u64>,
}

impl Wish {
    fn size(&self) -> Size {
        if self.quick {
            Size { width: 320, height: 240, train_frames: 90, test_frames: 120, labels: 20, epochs: Some(12) }
        } else {
            Size { width: 640, height: 480, train_frames: 900, test_frames: 1200, labels: 100, epochs: None }
        }
    }
}

/// What came out.
#[derive(Debug, Serialize)]
pub struct Story {
    /// The project's folder.
    pub project: PathBuf,
    /// The device really used.
    pub device: String,
    /// Steps trained.
    pub steps: u64,
    /// Against the jittered labels, on held-out frames of the first video.
    pub test: Summary,
    /// Against the exact truth, on the frames of the second video, which nobody labelled.
    pub unseen: Summary,
    /// The same by body part.
    pub unseen_by_bodypart: BTreeMap<String, Summary>,
    /// Frames of the second video, and of its tracks.
    pub frames: usize,
    /// Frames analyzed per second, decoding included.
    pub fps: f64,
    /// Tracks of the second video.
    pub tracks: PathBuf,
    /// The second video with its tracks drawn.
    pub labeled_video: PathBuf,
    /// Plots of the second video's tracks.
    pub plots: PathBuf,
    /// A page of frames with their tracks.
    pub picture: PathBuf,
}

/// Tells the story.
///
/// # Errors
/// When the folder holds something else, weights are missing, or somebody asked to stop.
pub fn tell(wish: &Wish, watch: &dyn Watch) -> Result<Story> {
    prepare(&wish.folder)?;
    let size = wish.size();
    let scene = |seed: u64, frames: usize| {
        let (width, height) = (size.width, size.height);
        Scene::new(SceneSpec { width, height, seed, arena: seed, fps: 30.0, frames })
    };
    let first = scene(wish.seed, size.train_frames)?;
    let second = scene(wish.seed + 1, size.test_frames)?;
    let (day1, day2) = (wish.folder.join("day1.mp4"), wish.folder.join("day2.mp4"));
    for (scene, path) in [(&first, &day1), (&second, &day2)] {
        let spec = scene.spec();
        let reel = Reel { size: [spec.width, spec.height], fps: spec.fps, frames: spec.frames };
        film(path, &reel, |f| scene.render(f), watch)?;
    }

    let mut project =
        new_project(&wish.folder, first.skeleton(), std::slice::from_ref(&day1), size.labels, watch)?;
    let wanted = Extraction {
        method: Method::Kmeans,
        count: size.labels,
        seed: wish.seed,
        videos: vec![],
        crop: false,
    };
    let taken = extract(&project, &wanted, watch)?;
    let labelled = taken.iter().map(|e| e.frames.len()).sum::<usize>();
    let truth = |_: &str, frame: usize| first.truth(frame);
    let points = label(&project, size.train_frames, truth, &taken, wish.seed, watch)?;
    watch.note(&format!(
        "labelled {points} points in {labelled} frames, each about 1 px off as a person's would be"
    ));

    let (trained, evaluated) = learn(&mut project, wish, size.epochs, watch)?;

    let engine = Engine::load(&evaluated.snapshot, &wish.device, None)?;
    let tracks_folder = wish.folder.join("tracks");
    let request =
        infer::Request { out: Some(tracks_folder.clone()), force: true, ..infer::Request::default() };
    let analyzed = infer::analyze(&engine, &day2, &request, watch)?;
    let tracks = infer::tracks_of(&day2, Some(&tracks_folder), &engine.card().scorer, watch)?;

    let mut marks = show::style_of(&project.config);
    marks.radius = 3.0;
    let fps = Index::open(&day2, watch)?.fps();
    let plots = show::plots(&day2, &tracks, fps, &marks, &tracks_folder)?;
    let style = VideoStyle { marks, trail: 15, legend: true };
    let video = infer::result_path(&tracks_folder, &day2, &engine.card().scorer, "_p60_labeled.mp4");
    let rendered = show::render_video(&day2, &tracks, &style, &video, watch)?;
    let picture = wish.folder.join("demo.png");
    page(&second, &tracks, &style)?.save_png(&picture)?;

    let judged = against_truth("day2", |f| second.truth(f), &tracks);
    let cutoffs = project.config.pcutoff.for_points(tracks.skeleton.points());
    let by_part = tracks
        .skeleton
        .names()
        .enumerate()
        .map(|(i, n)| (n.bodypart.to_owned(), Summary::of(&judged, &cutoffs, Some(i))))
        .collect();
    Ok(Story {
        project: project.root().to_owned(),
        device: trained.device,
        steps: trained.outcome.steps,
        test: evaluated.report.test,
        unseen: Summary::of(&judged, &cutoffs, None),
        unseen_by_bodypart: by_part,
        frames: analyzed.frames,
        fps: analyzed.fps,
        tracks: analyzed.h5,
        labeled_video: rendered.path,
        plots,
        picture,
    })
}

/// Splits, trains and evaluates what was labelled.
fn learn(
    project: &mut Project,
    wish: &Wish,
    epochs: Option<u64>,
    watch: &dyn Watch,
) -> Result<(Trained, Evaluated)> {
    let store = LabelStore::read(project, watch)?;
    if let Some(p) = store.check(watch)?.into_iter().find(|p| p.severity == Severity::Error) {
        return Err(Error::new(Kind::Labels, p.what).at(p.place).mend(p.mend));
    }
    let request =
        SplitRequest { train_fraction: 0.9, shuffles: 1, seed: wish.seed, by_video: false, force: true };
    Splits::draw(project, store.labels(), &request)?;
    let options = Options {
        net: Some("efficientnet_lite0".into()),
        device: wish.device.clone(),
        seed: Some(wish.seed),
        epochs,
        max_minutes: Some(wish.minutes.unwrap_or(9.0)),
        ..Options::default()
    };
    let trained = session::train(project, &options, watch)?;

    let evaluation = EvaluateOptions {
        shuffle: 1,
        snapshot: "auto".into(),
        device: wish.device.clone(),
        precision: crate::net::Precision::Fp32,
        cutoff: None,
    };
    let evaluated = session::evaluate(project, &evaluation, watch)?;
    show::evaluation_pictures(project, &evaluated, watch)?;
    Ok((trained, evaluated))
}

/// An empty folder, or one that an earlier demonstration made.
fn prepare(folder: &Path) -> Result<()> {
    let marker = folder.join(MARKER);
    let taken = folder.is_dir() && std::fs::read_dir(folder).is_ok_and(|mut d| d.next().is_some());
    if taken && !marker.is_file() {
        return Err(Error::new(
            Kind::Exists,
            "this folder is not empty and no earlier demonstration made it",
        )
        .at(folder.display())
        .mend("name a new folder: `limn demo FOLDER`"));
    }
    if taken {
        std::fs::remove_dir_all(folder)
            .map_err(|e| Error::io("clear the earlier demonstration", folder, e))?;
    }
    files::make_folder(folder)?;
    let words =
        format!("Made by `limn demo` (limn {}). Running it again replaces this folder.\n", crate::VERSION);
    files::write_whole(&marker, words.as_bytes())
}

/// What is to be filmed.
struct Reel {
    size: [usize; 2],
    fps: f64,
    frames: usize,
}

/// Renders on all cores and encodes in order.
fn film(path: &Path, reel: &Reel, render: impl Fn(usize) -> Picture + Sync, watch: &dyn Watch) -> Result<()> {
    const AT_ONCE: usize = 16;
    let mut writer = Writer::create(path, reel.size[0], reel.size[1], reel.fps)?;
    watch.begin(
        &format!("film {}", path.file_name().unwrap_or_default().to_string_lossy()),
        Some(reel.frames as u64),
    );
    for start in (0..reel.frames).step_by(AT_ONCE) {
        watch.check()?;
        let end = (start + AT_ONCE).min(reel.frames);
        let pictures: Vec<Picture> = (start..end).into_par_iter().map(&render).collect();
        pictures.iter().try_for_each(|p| writer.write(p))?;
        watch.advance(pictures.len() as u64);
    }
    watch.end();
    if let Some(note) = writer.finish()?.note {
        watch.note(&note);
    }
    Ok(())
}

fn new_project(
    folder: &Path,
    skeleton: Skeleton,
    videos: &[PathBuf],
    labels: usize,
    watch: &dyn Watch,
) -> Result<Project> {
    let wanted = NewProject::single("demo", "limn", skeleton.bodyparts);
    let probe = |path: &Path| Index::open(path, watch).map(|i| (i.width(), i.height()));
    let mut project = Project::create(folder, &wanted, videos, VideoMode::Link, &probe, watch)?;
    project.config.skeleton = skeleton.edges;
    project.config.numframes2pick = i64::try_from(labels).unwrap_or(i64::MAX);
    project.config.save()?;
    Ok(project)
}

/// Labels every taken frame by its truth (of a video's stem and a frame), with a human's jitter; a hidden point stays
/// unlabelled. Every video has `frames` frames.
fn label(
    project: &Project,
    frames: usize,
    truth: impl Fn(&str, usize) -> Vec<Option<Keypoint>>,
    taken: &[crate::project::Extracted],
    seed: u64,
    watch: &dyn Watch,
) -> Result<usize> {
    let mut hand = ChaCha8Rng::seed_from_u64(seed);
    let normal = Normal::new(0.0, JITTER).map_err(|e| Error::new(Kind::Compute, e.to_string()))?;
    let mut store = LabelStore::edit(project, watch)?;
    let mut edits = Vec::new();
    for video in taken {
        for &frame in &video.frames {
            let image = project.image_name(&video.video, frame as u64, frames as u64);
            let key = FrameKey::new(&video.video, image);
            for (point, truth) in truth(&video.video, frame).into_iter().enumerate() {
                let at = truth
                    .map(|t| Keypoint::new(t.x + normal.sample(&mut hand), t.y + normal.sample(&mut hand)));
                if at.is_some() {
                    edits.push(PointEdit::new(key.clone(), point, at));
                }
            }
        }
    }
    store.set_all(&edits)?;
    store.flush(watch)?;
    Ok(edits.len())
}

/// Every frame of the tracks against the truth.
fn against_truth(
    video: &str,
    truth: impl Fn(usize) -> Vec<Option<Keypoint>>,
    tracks: &Tracks,
) -> Vec<Judged> {
    (0..tracks.frames())
        .map(|frame| Judged {
            spread: Vec::new(),
            key: FrameKey::new(video, format!("img{frame}.png")),
            label: truth(frame),
            prediction: (0..tracks.skeleton.points())
                .map(|p| tracks.get(frame, p).unwrap_or((Keypoint::new(f64::NAN, f64::NAN), 0.0)))
                .collect(),
        })
        .collect()
}

/// Six moments of the second video with their tracks, and the traces under them.
fn page(scene: &Scene, tracks: &Tracks, style: &VideoStyle) -> Result<Picture> {
    let n = tracks.frames();
    let moments: Vec<Picture> = (0..6)
        .into_par_iter()
        .map(|i| {
            let frame = (i * 2 + 1) * n / 12;
            let mut picture = scene.render(frame);
            let row: Vec<_> = (0..tracks.skeleton.points()).map(|p| tracks.get(frame, p)).collect();
            draw::points(&mut picture, &tracks.skeleton, &row, &style.marks);
            if i == 0 {
                draw::legend(&mut picture, &tracks.skeleton, &style.marks);
            }
            picture
        })
        .collect();
    let frames = draw::mosaic(&moments, 3);
    let wide = plot::PlotStyle {
        width: frames.width(),
        height: frames.height(), // a mosaic's cells are all of one size
        marks: style.marks.clone(),
        fps: Some(scene.spec().fps),
        ..plot::PlotStyle::default()
    };
    Ok(draw::mosaic(&[frames, plot::traces(tracks, &wide)?], 1))
}
