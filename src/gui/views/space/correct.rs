//! Putting a point right: clicks of one body part in one frame, and corrections on their way to disk.

use crate::camera::corrections::{Correction, Corrections};
use crate::camera::epipolar;
use crate::error::Result;
use crate::gui::Desk;
use crate::gui::lock;
use crate::jobs::Handle;
use crate::pose::Keypoint;
use crate::show::scene3d::Scene;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The clicks of one point of one frame, one place per camera.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// Whether clicks put points right.
    pub on: bool,
    /// The point.
    pub part: usize,
    clicks: Vec<Option<Keypoint>>,
    /// What the clicks are of.
    of: Option<(usize, usize)>,
    curves: Vec<Vec<Keypoint>>,
}

impl Hand {
    /// Takes up what was clicked before when another frame or point is in front.
    pub fn follow(&mut self, scene: &Scene, frame: usize) {
        if self.of == Some((frame, self.part)) && self.clicks.len() == scene.cameras.len() {
            return;
        }
        let known = scene.spots.skeleton.point(self.part).and_then(|n| scene.corrections.get(frame, n));
        self.clicks = scene.cameras.iter().map(|c| known.and_then(|k| k.click(&c.name))).collect();
        self.of = Some((frame, self.part));
        self.draw(scene);
    }

    /// Forgets the clicks, to take up what is there now.
    pub fn forget(&mut self) {
        self.of = None;
    }

    /// Where it was clicked in a camera.
    pub fn click(&self, camera: usize) -> Option<Keypoint> {
        self.clicks.get(camera).copied().flatten()
    }

    /// Where a camera sees the ray of the only click so far.
    pub fn curve(&self, camera: usize) -> &[Keypoint] {
        self.curves.get(camera).map_or(&[], Vec::as_slice)
    }

    /// Sets or takes away the click in a camera; with two or more the point follows. Whether corrections changed.
    pub fn set(&mut self, scene: &mut Scene, frame: usize, camera: usize, at: Option<Keypoint>) -> bool {
        self.follow(scene, frame);
        let Some(slot) = self.clicks.get_mut(camera) else { return false };
        *slot = at;
        self.draw(scene);
        let Some(name) = scene.spots.skeleton.point(self.part) else { return false };
        let spot = epipolar::triangulate_clicks(&scene.cameras, &self.clicks);
        let clicks =
            scene.cameras.iter().zip(&self.clicks).filter_map(|(c, p)| Some((c.name.clone(), (*p)?)));
        let to = spot.map(|s| Correction::new(name, s, clicks));
        if to.is_none() && scene.corrections.get(frame, name).is_none() {
            return false;
        }
        scene.corrections.set(frame, name, to);
        true
    }

    fn draw(&mut self, scene: &Scene) {
        self.curves = vec![Vec::new(); scene.cameras.len()];
        let mut clicked = self.clicks.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?)));
        let (Some((from, pixel)), None) = (clicked.next(), clicked.next()) else { return };
        let [near, far] = epipolar::reach(&scene.cameras);
        let Some(source) = scene.cameras.get(from) else { return };
        for (i, (curve, to)) in self.curves.iter_mut().zip(&scene.cameras).enumerate() {
            if i != from {
                *curve = epipolar::curve(source, pixel, to, near, far);
            }
        }
    }
}

/// Writes corrections, the newest state last, by jobs; a failure keeps them for the next try.
#[derive(Default)]
pub(super) struct Saver {
    /// By file.
    waiting: Arc<Mutex<BTreeMap<PathBuf, Corrections>>>,
    turn: Arc<Mutex<()>>,
    job: Option<Handle<()>>,
    /// Whether the last try failed.
    failed: bool,
}

impl Saver {
    /// Begins to write.
    pub fn save(&mut self, desk: &mut Desk<'_>, path: &Path, corrections: &Corrections) {
        lock(&self.waiting).insert(path.to_path_buf(), corrections.clone());
        self.failed = false;
        self.job = Some(desk.jobs.start_quiet("Writing the corrections", self.work()));
    }

    /// What writes all that waits; also for when the project closes.
    pub fn work(&self) -> impl FnOnce(&dyn crate::watch::Watch) -> Result<()> + Send + 'static {
        let (waiting, turn) = (Arc::clone(&self.waiting), Arc::clone(&self.turn));
        move |_| {
            // One at a time, so that an older state never replaces a newer one.
            let _turn = lock(&turn);
            let all = std::mem::take(&mut *lock(&waiting));
            let mut done = Ok(());
            for (path, corrections) in all {
                if let Err(e) = corrections.write(&path) {
                    // Kept for the next try, unless something newer came meanwhile.
                    lock(&waiting).entry(path).or_insert(corrections);
                    done = done.and(Err(e));
                }
            }
            done
        }
    }

    /// Takes what the job has brought.
    pub fn poll(&mut self) {
        if let Some(result) = self.job.as_mut().and_then(Handle::poll) {
            self.job = None;
            self.failed = result.is_err();
        }
    }

    /// Whether everything is on disk.
    pub fn is_saved(&self) -> bool {
        self.job.is_none() && lock(&self.waiting).is_empty()
    }

    /// How safe they are, in words.
    pub fn words(&self) -> &'static str {
        match (self.failed, self.is_saved()) {
            (true, _) => "not saved",
            (false, true) => "saved",
            (false, false) => "saving…",
        }
    }
}
