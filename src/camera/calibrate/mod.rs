//! Calibration: from pictures of a board to lenses and poses of all cameras, with an honest word on how good they are.
//!
//! 1. [`look`] finds the board in videos or pictures (in parallel, frames spread over the recording).
//! 2. [`choose`] keeps the shots that tell most: all parts of every picture, many tilts, two cameras at once.
//! 3. [`calibrate`] starts each lens by itself (OpenCV's method after Zhang 2000), joins the cameras along shared views, and
//!    adjusts everything together ([`bundle`]); boards that do not fit are dropped and named.
//!
//! ```no_run
//! use limn::camera::{Rig, calibrate};
//! use limn::watch::Quiet;
//! let rig = Rig::read("rig".as_ref())?;
//! let watch = Quiet::default();
//! let seen = calibrate::look(&rig, &["board_left.mp4".into(), "board_right.mp4".into()], 400, &watch)?;
//! let done = calibrate::calibrate(&rig, &calibrate::choose(&rig, seen, 200)?, &Default::default(), &watch)?;
//! println!("{:.2} px: {}", done.rms, done.verdict.words());
//! done.rig.write("rig/rig.yaml".as_ref())?;
//! # Ok::<(), limn::Error>(())
//! ```

pub mod bundle;
mod detect;
mod judge;
mod select;
mod sources;
mod start;

pub use detect::{corners, dictionaries};
pub use judge::{CameraFacts, Grade, Verdict};
pub use select::choose;
pub use sources::look;
pub use start::Link;

use super::{Board, Camera, Made, Rig};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::Keypoint;
use crate::watch::Watch;
use bundle::Scene;
use rayon::prelude::*;
use start::{Single, median};
use std::collections::BTreeMap;

/// Errors above this many pixels count linearly.
const HUBER: f64 = 1.5;
/// How often boards that do not fit are looked for.
const ROUNDS: usize = 4;
/// Corners that are off by so many times the median error are not the board's.
const ASTRAY: f64 = 6.0;
/// Fewest boards of a camera.
const FEWEST: usize = 4;

/// A corner of the board in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corner {
    /// Which of the board's corners.
    pub index: usize,
    /// Pixels of the full frame.
    pub at: Keypoint,
}

/// The board as one camera saw it in one shot.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// Which camera of the rig.
    pub camera: usize,
    /// Which shot of [`Seen::shots`].
    pub shot: usize,
    /// The corners found.
    pub corners: Vec<Corner>,
}

/// One moment, seen by one camera or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// The session, as [`Rig::sessions`] names it.
    pub session: String,
    /// The rig's frame, of a video.
    pub frame: Option<usize>,
}

impl std::fmt::Display for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.frame {
            Some(frame) => write!(f, "{} frame {frame}", self.session),
            None => write!(f, "{}", self.session),
        }
    }
}

/// The board in all pictures that were looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// Width and height of each camera's frames, once one was seen.
    pub sizes: Vec<Option<[usize; 2]>>,
    /// The moments.
    pub shots: Vec<Shot>,
    /// The board in them.
    pub sights: Vec<Sight>,
    /// The files looked at.
    pub files: Vec<String>,
    /// For each camera, how many of them are its own,
    pub own_files: Vec<usize>,
    /// and some of its pictures that show no board.
    pub without: Vec<Vec<Picture>>,
    /// A few that show it.
    pub with: Vec<Vec<Picture>>,
}

/// How to calibrate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Whether bundle adjustment may change the lenses too.
    pub lenses: bool,
    /// Boards whose error is above this many times the usual one are dropped.
    pub outlier: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lenses: true, outlier: 4.0 }
    }
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// The rig with its cameras calibrated; the world is the first camera's frame.
    pub rig: Rig,
    /// Each camera, in the rig's order.
    pub cameras: Vec<CameraFacts>,
    /// Root mean square error of all corners before bundle adjustment of the lenses, in pixels.
    pub rms_before: f64,
    /// The same at the end.
    pub rms: f64,
    /// Pairs of cameras that saw boards together.
    pub links: Vec<Link>,
    /// Each used sight: camera, shot, and its root mean square error in pixels.
    pub sights: Vec<(usize, Shot, f64)>,
    /// Sights that did not fit and were left out, with their error.
    pub dropped: Vec<(usize, Shot, f64)>,
    /// Corners of used sights that did not fit and were left out.
    pub astray: usize,
    /// For pictures: of every corner the camera, where it was seen, and how far off in x and y its projection is.
    pub residuals: Vec<(usize, Keypoint, [f64; 2])>,
    /// What to think of it.
    pub verdict: Verdict,
}

/// Calibrates all cameras of `rig` by what was `seen` of its board.
///
/// # Errors
/// When a camera saw too few boards, no shared view joins two groups of cameras, or nothing fits; when stopped.
pub fn calibrate(rig: &Rig, seen: &Seen, options: &Options, watch: &dyn Watch) -> Result<Calibration> {
    let board = rig.board()?;
    enough(rig, rig.board()?, seen)?;
    watch.begin("calibrate each lens", Some(rig.cameras.len() as u64));
    let singles = rig
        .cameras
        .par_iter()
        .enumerate()
        .map(|(i, mount)| {
            let sights: Vec<&Sight> = seen.sights.iter().filter(|s| s.camera == i).collect();
            let size = seen.sizes.get(i).copied().flatten().unwrap_or([640, 480]);
            let single =
                start::single(&mount.name, mount.model, size, board, &sights, watch).map_err(|e| {
                    match detect::other_size(board, seen.with.get(i).map_or(&[], Vec::as_slice)) {
                        Some(why) if e.kind() == Kind::Compute => {
                            Error::new(e.kind(), format!("{}: {why}", e.what()))
                                .mend("count the squares across and down and mend `board` in rig.yaml")
                        }
                        _ => e,
                    }
                })?;
            watch.advance(1);
            Ok(Some(single))
        })
        .collect::<Result<Vec<Option<Single>>>>()?;
    watch.end();
    let alone: Vec<f64> = singles.iter().map(|s| s.as_ref().map_or(f64::NAN, |s| s.rms)).collect();

    let links = start::links(board, &singles, &seen.sights);
    let (poses, groups) = start::chained(rig.cameras.len(), &links);
    if groups.len() > 1 {
        return Err(apart(rig, &groups));
    }
    let cameras: Vec<Camera> = rig
        .cameras
        .iter()
        .zip(&singles)
        .zip(&poses)
        .zip(&seen.sizes)
        .filter_map(|(((mount, single), pose), size)| {
            let lens = single.as_ref()?.lens;
            Some(Camera { name: mount.name.clone(), size: (*size)?, lens, pose: (*pose)? })
        })
        .collect();
    if cameras.len() != rig.cameras.len() {
        return Err(Error::new(Kind::Compute, "not all cameras could be placed").mend("film the board again"));
    }
    let places = start::boards_in_world(&cameras, board, &singles, &seen.sights, seen.shots.len());
    // Only shots whose board has a place, numbered anew.
    let kept: Vec<usize> = (0..places.len()).filter(|s| places[*s].is_some()).collect();
    let mut sights: Vec<Sight> = seen
        .sights
        .iter()
        .filter_map(|s| Some(Sight { shot: kept.binary_search(&s.shot).ok()?, ..s.clone() }))
        .collect();
    let mut scene = Scene { cameras, boards: kept.iter().filter_map(|s| places[*s]).collect() };

    watch.begin("adjust all cameras", None);
    let mut dropped = Vec::new();
    let shot = |s: &Sight| seen.shots[kept[s.shot]].clone();
    let mut astray = 0;
    let mut settle = |scene: &mut Scene, sights: &mut Vec<Sight>, lenses: bool| -> Result<bundle::Fit> {
        let mut steps = bundle::Options { lenses, huber: HUBER, steps: 60 };
        let mut fit = bundle::adjust(scene, board, sights, &steps, watch)?;
        for _ in 0..ROUNDS {
            let wrong = outliers(scene, board, sights, options.outlier);
            if wrong.is_empty() {
                break;
            }
            for (i, error) in wrong.into_iter().rev() {
                let sight = sights.remove(i);
                dropped.push((sight.camera, shot(&sight), error));
            }
            fit = bundle::adjust(scene, board, sights, &steps, watch)?;
        }
        // What is small is known by now: corners that something else drew to itself stand out.
        let mut errors: Vec<f64> = sights.iter().flat_map(|s| bundle::errors(scene, board, s)).collect();
        let usual = median(&mut errors);
        steps.huber = (3.0 * usual).clamp(0.02, HUBER);
        astray += take_out(scene, board, sights, (ASTRAY * usual).max(0.25));
        fit = bundle::adjust(scene, board, sights, &steps, watch).unwrap_or(fit);
        Ok(fit)
    };
    let mut fit = settle(&mut scene, &mut sights, false)?;
    let mut rms_before = fit.rms;
    if options.lenses {
        let before = scene.clone();
        fit = settle(&mut scene, &mut sights, true)?;
        // Of the same sights, so that the two can be compared.
        rms_before = bundle::rms(&before, board, &sights);
    }
    watch.end();

    let facts = judge::facts(&scene, board, &sights, &fit, &alone);
    let verdict = judge::verdict(rig, &facts, &links, &dropped, fit.rms);
    let mut done = rig.clone();
    for (mount, camera) in done.cameras.iter_mut().zip(&scene.cameras) {
        mount.camera = Some(camera.clone());
    }
    done.calibration = Some(Made {
        date: jiff::Zoned::now().date().to_string(),
        from: seen.files.clone(),
        boards: scene.boards.len(),
        rms_px: (fit.rms * 1e4).round() / 1e4,
        verdict: verdict.grade.word().to_owned(),
    });
    let residuals = sights.iter().flat_map(|s| residuals(&scene, board, s)).collect();
    let sights = sights.iter().map(|s| (s.camera, shot(s), bundle::rms(&scene, board, [s]))).collect();
    Ok(Calibration {
        rig: done,
        cameras: facts,
        rms_before,
        rms: fit.rms,
        links,
        sights,
        dropped,
        astray,
        residuals,
        verdict,
    })
}

fn residuals(scene: &Scene, board: &Board, sight: &Sight) -> Vec<(usize, Keypoint, [f64; 2])> {
    let (camera, pose) = (&scene.cameras[sight.camera], scene.boards[sight.shot]);
    let off = |c: &Corner| {
        let p = camera.project(&(pose * nalgebra::Point3::from(board.corner(c.index))).coords)?;
        Some((sight.camera, c.at, [p.x - c.at.x, p.y - c.at.y]))
    };
    sight.corners.iter().filter_map(off).collect()
}

/// Takes out single corners that are more than `limit` pixels off, and boards of which too few corners are left. How many corners.
fn take_out(scene: &Scene, board: &Board, sights: &mut Vec<Sight>, limit: f64) -> usize {
    let mut count = 0;
    for sight in sights.iter_mut() {
        let mut errors = bundle::errors(scene, board, sight).into_iter();
        let before = sight.corners.len();
        sight.corners.retain(|_| errors.next().is_some_and(|e| e <= limit));
        count += before - sight.corners.len();
    }
    sights.retain(|s| s.corners.len() >= FEWEST);
    count
}

/// The sights whose error is `times` the usual one and above a pixel, in rising order, with their errors; of each shot only the
/// worst, since one wrong board drags the others of its shot along.
fn outliers(scene: &Scene, board: &Board, sights: &[Sight], times: f64) -> Vec<(usize, f64)> {
    let errors: Vec<f64> = sights.iter().map(|s| bundle::rms(scene, board, [s])).collect();
    let limit = (times * median(&mut errors.clone())).max(1.0);
    let mut worst: BTreeMap<usize, (usize, f64)> = BTreeMap::new();
    for (i, (sight, error)) in sights.iter().zip(errors).enumerate().filter(|(_, (_, e))| *e > limit) {
        let entry = worst.entry(sight.shot).or_insert((i, error));
        if error > entry.1 {
            *entry = (i, error);
        }
    }
    let mut found: Vec<(usize, f64)> = worst.into_values().collect();
    found.sort_by_key(|f| f.0);
    found
}

/// Whether each camera saw the board often enough.
fn enough(rig: &Rig, board: &Board, seen: &Seen) -> Result<()> {
    let count = |camera: usize| seen.sights.iter().filter(|s| s.camera == camera).count();
    let few: Vec<(usize, &str, usize)> = rig
        .cameras
        .iter()
        .enumerate()
        .map(|(i, m)| (i, m.name.as_str(), count(i)))
        .filter(|(.., n)| *n < FEWEST)
        .collect();
    let Some((camera, name, _)) = few.first().copied() else { return Ok(()) };
    let unnamed: Vec<&str> =
        few.iter().filter(|(i, ..)| seen.own_files.get(*i) == Some(&0)).map(|(_, name, _)| *name).collect();
    if !unnamed.is_empty() {
        let what = format!("no file is of camera `{}`", unnamed.join("`, `"));
        return Err(Error::new(Kind::Usage, what)
            .mend("give its recordings too; the camera's name must stand in their names, or `files` in rig.yaml say where"));
    }
    let list: Vec<String> = few.iter().map(|(_, name, n)| format!("`{name}` ({n} times)")).collect();
    let what = format!("the board was seen too rarely by camera {}", list.join(", "));
    let samples = seen.without.get(camera).map_or(&[][..], Vec::as_slice);
    Err(match detect::suspicion(board, samples) {
        Some((why, mend)) => Error::new(Kind::Compute, format!("{what}: in `{name}` {why}")).mend(mend),
        None => Error::new(Kind::Compute, what).mend(format!(
            "film it again there, at least {FEWEST} times at different places and tilts; 30 are good"
        )),
    })
}

/// That groups of cameras have no shot in common.
fn apart(rig: &Rig, groups: &[Vec<usize>]) -> Error {
    let names = |group: &Vec<usize>| {
        let names: Vec<String> = group.iter().map(|c| format!("`{}`", rig.cameras[*c].name)).collect();
        names.join(", ")
    };
    let groups: Vec<String> = groups.iter().map(names).collect();
    Error::new(
        Kind::Compute,
        format!("no shot shows the board to two of these groups of cameras at once: {}", groups.join(" | ")),
    )
    .mend("film the board where a camera of each group sees it at the same moment; check that recordings of one moment have the same session in their names")
}

#[cfg(test)]
mod tests;
