//! 3D: cameras and points in space, the pictures of every camera at the same moment, and putting points right.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the view: which rig and session is in front, what keys and clicks do |
//! | `assistant.rs` | writing a rig |
//! | `orbit.rs` | the eye that turns about the scene (no egui but its points) |
//! | `panels.rs` | what stands around it |
//! | `stage.rs` | the scene, drawn |
//! | `films.rs` | the pictures of the cameras |
//! | `errors.rs` | the reprojection error over the frames |
//! | `correct.rs` | clicks that put a point right, and their way to disk |

mod assistant;
mod correct;
mod errors;
mod films;
mod orbit;
mod panels;
mod stage;

use crate::camera::calibrate::{self, Grade};
use crate::draw::Style;
use crate::gui::Desk;
use crate::gui::keys::Action;
use crate::gui::widgets::canvas::CanvasResponse;
use crate::gui::widgets::player::{Player, Timeline};
use crate::gui::widgets::words::point_title;
use crate::jobs::Handle;
use crate::pose::{Keypoint, Spot};
use crate::show::scene3d::{self, Found, Scene};
use crate::show::{self, Calibrated};
use assistant::Assistant;
use correct::{Hand, Saver};
use eframe::egui::{self, Color32, Panel, PointerButton, ScrollArea};
use films::{Films, Marks};
use stage::{Shown, Stage};
use std::path::{Path, PathBuf};

const RIG: &str = "3D: rig";
const BOARD: &str = "3D: board";
/// Moments looked at in every video of a board, and boards used.
const LOOK: [usize; 2] = [400, 200];

/// The view 3D.
pub struct SpaceView {
    typed: String,
    /// Where recordings of the board are, while that is asked.
    board: Option<String>,
    calibrating: Option<Handle<Calibrated>>,
    /// Whether the project's own rig was looked for.
    looked: bool,
    finding: Option<Handle<Option<Found>>>,
    found: Option<Found>,
    chosen: Option<String>,
    loading: Option<Handle<Scene>>,
    failed: Option<String>,
    scene: Option<Scene>,
    colours: Vec<Color32>,
    titles: Vec<String>,
    traced: Vec<bool>,
    player: Player,
    /// Frames and whether their times are known, as the player has them.
    timeline: (usize, bool),
    stage: Stage,
    films: Films,
    /// The camera whose picture is in the middle; none: the scene.
    large: Option<usize>,
    hand: Hand,
    saver: Saver,
    assistant: Assistant,
    shown: Shown,
    marks: Marks,
    hint: String,
}

impl Default for SpaceView {
    fn default() -> Self {
        Self {
            typed: String::new(),
            board: None,
            calibrating: None,
            looked: false,
            finding: None,
            found: None,
            chosen: None,
            loading: None,
            failed: None,
            scene: None,
            colours: Vec::new(),
            titles: Vec::new(),
            traced: Vec::new(),
            player: Player::default(),
            timeline: (0, false),
            stage: Stage::default(),
            films: Films::default(),
            large: None,
            hand: Hand::default(),
            saver: Saver::default(),
            assistant: Assistant::default(),
            shown: Shown { cameras: true, floor: true, names: false, chosen: None },
            marks: Marks { tracks: true, cutoff: 0.6, reprojected: true, names: false },
            hint: String::new(),
        }
    }
}

impl SpaceView {
    /// Opens a rig and looks for its sessions.
    pub fn open(&mut self, desk: &mut Desk<'_>, rig: &Path) {
        let (rig, more) = (rig.to_path_buf(), more(desk));
        self.failed = None;
        self.finding =
            Some(desk.jobs.start_quiet("Looking for recordings", move |watch| {
                scene3d::find(&rig, &more, watch).map(Some)
            }));
    }

    /// The scene in front.
    #[must_use]
    pub fn scene(&self) -> Option<&Scene> {
        self.scene.as_ref()
    }

    /// A point of the frame in front.
    #[must_use]
    pub fn spot(&self, point: usize) -> Option<Spot> {
        self.scene.as_ref()?.spot(self.player.frame(), point)
    }

    /// The rig's frame in front.
    #[must_use]
    pub fn frame(&self) -> usize {
        self.player.frame()
    }

    /// Where a place on a camera's picture lies on the screen, as of the last pass.
    #[must_use]
    pub fn on_screen(&self, camera: usize, at: Keypoint) -> Option<egui::Pos2> {
        self.films.on_screen(camera, at)
    }

    /// Whether all pictures of the frame in front are there, and corrections are on disk: for tests and pictures.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.scene.is_some() && self.films.is_settled() && self.saver.is_saved()
    }

    /// Whether corrections are not on disk yet.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        !self.saver.is_saved()
    }

    /// What writes the corrections that wait, for when the project or the window closes.
    pub fn closing(&self) -> impl FnOnce(&dyn crate::watch::Watch) -> crate::Result<()> + Send + 'static {
        self.saver.work()
    }

    /// Takes what jobs and threads have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        self.saver.poll();
        if let Some(rig) = self.assistant.poll() {
            self.open(desk, &rig);
        }
        if !std::mem::replace(&mut self.looked, true) {
            let ((rig, named), more) = (desk.open.project().rig_path(), more(desk));
            self.finding = Some(desk.jobs.start_quiet("Looking for a rig", move |watch| {
                if named || rig.is_file() { scene3d::find(&rig, &more, watch).map(Some) } else { Ok(None) }
            }));
        }
        if let Some(paths) = desk.dialogs.take(RIG)
            && let Some(path) = paths.first()
        {
            self.open(desk, path);
        }
        if let Some(path) = desk.dialogs.take(BOARD).and_then(|p| p.into_iter().next()) {
            self.calibrate(desk, path);
        }
        if let Some(result) = self.calibrating.as_mut().and_then(Handle::poll) {
            self.calibrating = None;
            if let Ok(made) = result {
                let words = made.done.verdict.words();
                let text =
                    format!("{:.2} px; {words}\nPictures are in {}", made.done.rms, made.folder.display());
                match made.done.verdict.grade {
                    Grade::Good => desk.notices.note(text),
                    _ => desk.notices.warn("Calibration", text),
                }
                self.open(desk, &made.rig);
            }
        }
        match self.finding.as_mut().and_then(Handle::poll) {
            Some(Ok(found)) => {
                self.finding = None;
                if let Some(found) = found {
                    self.typed.clear();
                    // The first with points in space, where there is one: that is what people come for.
                    let first = found.sessions.iter().find(|s| s.spots.is_some()).or(found.sessions.first());
                    self.chosen = first.map(|s| s.name.clone());
                    (self.scene, self.found) = (None, Some(found));
                    self.load(desk);
                }
            }
            Some(Err(e)) => (self.finding, self.failed) = (None, Some(e.to_string())),
            None => {}
        }
        match self.loading.as_mut().and_then(Handle::poll) {
            Some(Ok(scene)) => {
                self.loading = None;
                self.take(scene, &show::style_of(&desk.open.project().config));
            }
            Some(Err(e)) => (self.loading, self.failed) = (None, Some(e.to_string())),
            None => {}
        }
    }

    /// Calibrates the rig in front by recordings of its board in a file's folder or a folder.
    fn calibrate(&mut self, desk: &mut Desk<'_>, board: PathBuf) {
        let Some(found) = &self.found else { return };
        let rig = found.path.clone();
        self.board = None;
        self.calibrating = Some(desk.jobs.start("Calibrating cameras", move |watch| {
            show::calibrate_rig(&rig, &[board], LOOK, &calibrate::Options::default(), watch)
        }));
    }

    fn load(&mut self, desk: &mut Desk<'_>) {
        let (Some(found), Some(name)) = (self.found.clone(), self.chosen.clone()) else { return };
        let known = desk.open.project().skeleton();
        self.failed = None;
        self.scene = None;
        self.loading = Some(
            desk.jobs
                .start_quiet("Reading a session", move |watch| scene3d::load(&found, &name, &known, watch)),
        );
    }

    fn take(&mut self, scene: Scene, style: &Style) {
        let skeleton = &scene.spots.skeleton;
        let rgb = |i| {
            let [r, g, b] = style.colour(skeleton, i);
            Color32::from_rgb(r, g, b)
        };
        self.colours = (0..skeleton.points()).map(rgb).collect();
        self.titles = skeleton.names().map(point_title).collect();
        self.traced = (0..skeleton.points()).map(|i| i < 4).collect();
        self.stage.look_at(&scene);
        (self.player, self.timeline) = (Player::default(), (0, false));
        (self.films, self.hand, self.large) = (Films::default(), Hand::default(), None);
        self.marks.cutoff = style.cutoff;
        self.hint.clear();
        self.scene = Some(scene);
    }

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        self.assistant.ui(ui.ctx(), desk);
        Panel::top("space head").resizable(false).show(ui, |ui| {
            ui.add_space(4.0);
            ui.horizontal_wrapped(|ui| self.head(ui, desk));
            ui.add_space(4.0);
        });
        let Some(mut scene) = self.scene.take() else {
            egui::CentralPanel::default().show(ui, |ui| self.nothing(ui));
            return;
        };
        self.lead(ui.ctx(), &scene, desk);
        self.act(&mut scene, desk);
        let frame = self.player.frame();
        self.hand.follow(&scene, frame);
        self.shown.chosen = self.hand.on.then_some(self.hand.part);
        self.marks.names = self.shown.names;
        Panel::left("space settings").default_size(210.0).min_size(170.0).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.settings(ui, &scene));
        });
        let mut answers = Vec::new();
        Panel::right("space cameras").resizable(true).default_size(330.0).min_size(160.0).show(ui, |ui| {
            ScrollArea::vertical()
                .auto_shrink(false)
                .show(ui, |ui| self.cameras(ui, &scene, frame, &mut answers));
        });
        Panel::bottom("space timeline").resizable(true).default_size(210.0).min_size(120.0).show(ui, |ui| {
            ui.set_min_size(ui.available_size());
            ui.add_space(4.0);
            let marks: Vec<usize> = scene.corrections.frames().collect();
            self.player.bar(ui, &desk.prefs.keys, desk.fired, &marks);
            let traced = self.titles.iter().enumerate().filter(|(i, _)| self.traced.get(*i) == Some(&true));
            let points: Vec<(usize, &str, Color32)> = traced
                .map(|(i, title)| (i, title.as_str(), self.colours.get(i).copied().unwrap_or(Color32::GRAY)))
                .collect();
            let size = ui.available_size();
            if let Some(to) = errors::errors(ui, &scene, &points, frame, self.player.frames(), size) {
                self.player.go_to(to);
                ui.ctx().request_repaint();
            }
        });
        egui::CentralPanel::default().frame(egui::Frame::NONE).show(ui, |ui| match self.large {
            Some(camera) => {
                let shown = (&self.marks, &self.hand, self.colours.as_slice(), self.titles.as_slice());
                answers.extend(self.films.ui(ui, &scene, camera, frame, shown).map(|a| (camera, a)));
            }
            None => self.stage.ui(ui, &scene, frame, &self.colours, self.shown),
        });
        for (camera, answer) in answers {
            self.clicked(&mut scene, frame, camera, &answer, desk);
        }
        self.scene = Some(scene);
    }

    /// Leads all videos to the cursor, and gives the player their times.
    fn lead(&mut self, ctx: &egui::Context, scene: &Scene, desk: &Desk<'_>) {
        self.player.tick(ctx);
        self.films.lead(scene, self.player.frame(), desk.wake, ctx);
        let frames = self.films.frames(scene);
        if self.timeline.0 != frames || !self.timeline.1 {
            let times = self.films.times(scene);
            if self.timeline.0 != frames || times.is_some() {
                self.timeline = (frames, times.is_some());
                self.player.set_timeline(Timeline::new(frames, times));
            }
        }
    }

    /// Does what keys ask for.
    fn act(&mut self, scene: &mut Scene, desk: &mut Desk<'_>) {
        const STEP: f32 = 15.0;
        let parts = self.titles.len().max(1);
        for action in desk.fired.iter() {
            match action {
                Action::OrbitLeft => self.stage.turn(-STEP, 0.0),
                Action::OrbitRight => self.stage.turn(STEP, 0.0),
                Action::OrbitUp => self.stage.turn(0.0, STEP),
                Action::OrbitDown => self.stage.turn(0.0, -STEP),
                Action::SpaceCloser => self.stage.zoom(1.25),
                Action::SpaceFarther => self.stage.zoom(0.8),
                Action::SpaceReset => self.stage.reset(),
                Action::CorrectPoint => self.hand.on = !self.hand.on,
                Action::SpaceNextPart => self.hand.part = (self.hand.part + 1) % parts,
                Action::SpacePreviousPart => self.hand.part = (self.hand.part + parts - 1) % parts,
                Action::NextCamera => {
                    let next = self.large.map_or(0, |c| c + 1);
                    self.large = (next < scene.cameras.len()).then_some(next);
                }
                Action::Undo | Action::Redo => {
                    let all = &mut scene.corrections;
                    let frame = if action == Action::Undo { all.undo() } else { all.redo() };
                    if let Some(frame) = frame {
                        self.player.play(false);
                        self.player.go_to(frame);
                        self.hand.forget();
                        self.saver.save(desk, &scene.session.corrections, &scene.corrections);
                    } else {
                        self.hint = "No correction of this session is left to undo or redo.".into();
                    }
                }
                _ => {}
            }
        }
    }

    /// What clicks on a camera's picture do.
    fn clicked(
        &mut self,
        scene: &mut Scene,
        frame: usize,
        camera: usize,
        answer: &CanvasResponse,
        desk: &mut Desk<'_>,
    ) {
        for click in &answer.clicks {
            answer.response.ctx.request_repaint();
            if !self.hand.on {
                if click.button == PointerButton::Primary && self.large != Some(camera) {
                    self.large = Some(camera);
                }
                continue;
            }
            let inside = scene
                .cameras
                .get(camera)
                .is_some_and(|c| click.at.inside(c.size[0] as f64, c.size[1] as f64));
            let at = match click.button {
                PointerButton::Primary if inside => Some(click.at),
                PointerButton::Secondary => None,
                _ => continue,
            };
            if !self.films.shows(scene, camera, frame) {
                self.hint = "The picture of this frame is still on its way; click again.".into();
                continue;
            }
            self.player.play(false);
            self.hint.clear();
            if self.hand.set(scene, frame, camera, at) {
                self.saver.save(desk, &scene.session.corrections, &scene.corrections);
            }
        }
    }
}

/// Where recordings may lie besides the rig's folder: the project's videos.
fn more(desk: &Desk<'_>) -> Vec<PathBuf> {
    let root = desk.open.project().root().join("videos");
    desk.open.contents.videos.iter().filter_map(|v| v.path.clone()).chain([root]).collect()
}
