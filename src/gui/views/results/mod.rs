//! The player of tracks: video, points, skeleton and trails, with the traces of x, y and likelihood under it.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the tracks that are open, the [player](crate::gui::widgets::player), the traces, what is chosen |
//! | `overlay.rs` | what is drawn over the picture |

mod overlay;

use crate::draw::Style;
use crate::gui::Desk;
use crate::gui::theme::Theme;
use crate::gui::widgets::canvas::Content;
use crate::gui::widgets::controls::named_small;
use crate::gui::widgets::player::{Player, Timeline};
use crate::gui::widgets::traces::{Shown, Traces};
use crate::gui::widgets::words::{count, file_name, point_title};
use crate::infer::{self, Loaded};
use crate::jobs::Handle;
use crate::pose::{Quantity, TrackPyramids, Tracks};
use crate::show::{self, Rendered, VideoStyle, render_video};
use eframe::egui::{self, Color32, Panel, RichText, Sense, Vec2};
use overlay::Overlay;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LONGEST_TRAIL: usize = 200;

/// Tracks that were opened, with their video where it was found.
pub struct TracksView {
    path: PathBuf,
    video: Option<PathBuf>,
    loading: Option<Handle<Loaded>>,
    failed: Option<String>,
    tracks: Option<Arc<Tracks>>,
    scorer: String,
    /// The points' names.
    titles: Vec<String>,
    times: Option<Arc<[f64]>>,
    building: Option<Handle<TrackPyramids>>,
    pyramids: Option<TrackPyramids>,
    player: Player,
    overlay: Overlay,
    names: bool,
    /// The points whose traces are shown.
    traced: Vec<bool>,
    traces: Traces,
    rendering: Option<Handle<Rendered>>,
}

impl TracksView {
    /// Opens tracks, which a job reads; the video is opened when it is shown.
    pub fn open(desk: &mut Desk<'_>, tracks: &Path, video: Option<PathBuf>) -> Self {
        let path = tracks.to_path_buf();
        let edges = desk.open.project().skeleton().edges;
        let style = show::style_of(&desk.open.project().config);
        let file = path.clone();
        let loading = desk.jobs.start_quiet("Reading tracks", move |watch| {
            let mut loaded = infer::load(&file, watch)?;
            if loaded.tracks.skeleton.edges.is_empty() {
                loaded.tracks.skeleton.edges = edges; // the files have no place for them
            }
            Ok(loaded)
        });
        Self {
            path,
            video,
            loading: Some(loading),
            failed: None,
            tracks: None,
            scorer: String::new(),
            titles: Vec::new(),
            times: None,
            building: None,
            pyramids: None,
            player: Player::default(),
            overlay: Overlay { cutoff: style.cutoff, trail: 0, edges: style.edges, style },
            names: false,
            traced: Vec::new(),
            traces: Traces::default(),
            rendering: None,
        }
    }

    /// The frame that is looked at.
    #[must_use]
    pub fn frame(&self) -> usize {
        self.player.frame()
    }

    /// The player, for tests and pictures of the window.
    #[must_use]
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// Draws only points of at least this likelihood.
    pub fn set_cutoff(&mut self, cutoff: f64) {
        self.overlay.cutoff = cutoff.clamp(0.0, 1.0);
    }

    /// Whether tracks and traces are there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pyramids.is_some()
    }

    /// Takes what jobs and threads have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        match self.loading.as_mut().and_then(Handle::poll) {
            Some(Ok(loaded)) => {
                self.loading = None;
                let tracks = Arc::new(loaded.tracks);
                (self.scorer, self.times) = (loaded.scorer, loaded.times.map(Arc::from));
                let points = tracks.skeleton.points();
                let title = |i| tracks.skeleton.point(i).map(point_title).unwrap_or_default();
                self.titles = (0..points).map(title).collect();
                self.traced = (0..points).map(|i| i < if points <= 4 { 4 } else { 3 }).collect();
                self.traces.show_all(tracks.frames());
                let of = Arc::clone(&tracks);
                self.building = Some(desk.jobs.start_quiet("Preparing the traces", move |watch| {
                    TrackPyramids::of(&of, || watch.stopped()).ok_or_else(crate::Error::cancelled)
                }));
                self.tracks = Some(tracks);
            }
            Some(Err(e)) => {
                self.loading = None;
                self.failed = Some(e.to_string());
            }
            None => {}
        }
        if let Some(result) = self.building.as_mut().and_then(Handle::poll) {
            self.building = None;
            self.pyramids = result.ok();
        }
        if let Some(result) = self.rendering.as_mut().and_then(Handle::poll) {
            self.rendering = None;
            if let Ok(done) = result {
                desk.notices.note(format!("The labeled video is {}", done.path.display()));
            }
        }
        if self.times.is_none()
            && let Some(index) = self.player.index()
            && self.tracks.as_ref().is_some_and(|t| t.frames() == index.len())
        {
            self.times = Some(index.iter_frames().map(|f| f.time).collect());
        }
    }

    /// Shows it; whether to go back to the list.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) -> bool {
        let mut back = false;
        if let Some(video) = &self.video {
            self.player.open(video, desk.wake, ui.ctx());
        }
        ui.horizontal(|ui| {
            back = ui.button("Back to the list").clicked();
            ui.strong(file_name(self.video.as_ref().unwrap_or(&self.path)));
            ui.add(egui::Label::new(RichText::new(&self.scorer).weak()).truncate())
                .on_hover_text(self.path.display().to_string());
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| self.rendering(ui, desk));
        });
        if let Some(text) = &self.failed {
            let theme = Theme::of(ui);
            ui.label(RichText::new("The tracks could not be opened.").color(theme.bad).strong());
            ui.label(text);
            return back;
        }
        let Some(tracks) = self.tracks.clone() else {
            ui.spinner();
            ui.label("Reading the tracks…");
            return back;
        };
        if tracks.frames() == 0 {
            ui.label("These tracks have no frames.");
            return back;
        }
        if !self.player.has_timeline() {
            self.player.set_timeline(Timeline::new(tracks.frames(), self.times.clone()));
        }
        self.player.tick(ui.ctx());
        Panel::right("player settings").default_size(230.0).min_size(180.0).show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.settings(ui, &tracks));
        });
        Panel::bottom("player traces").resizable(true).default_size(320.0).min_size(160.0).show(ui, |ui| {
            ui.set_min_size(ui.available_size()); // the panel keeps its size while traces are made
            ui.add_space(4.0);
            self.player.bar(ui, &desk.prefs.keys, desk.fired, &[]);
            ui.add_space(4.0);
            self.trace(ui, &tracks);
        });
        self.picture(ui, &tracks);
        back
    }

    /// The labeled video: begun, or how far it is.
    fn rendering(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        if let Some(job) = &self.rendering {
            let p = job.progress();
            if ui.button("Stop rendering").clicked() {
                job.stop();
            }
            let words = format!("Rendering, {} frames done", p.done);
            let bar =
                egui::ProgressBar::new(p.fraction().unwrap_or(0.0)).desired_width(160.0).text("Rendering");
            ui.add(bar).accessible_name(words);
            return;
        }
        let (Some(video), Some(tracks)) = (&self.video, &self.tracks) else { return };
        let button = ui.button("Render labeled video");
        if button
            .on_hover_text("Draws points, skeleton and trail as shown here into a copy of the video")
            .clicked()
        {
            self.rendering = Some(self.render(desk, video.clone(), Arc::clone(tracks)));
        }
    }

    fn trace(&mut self, ui: &mut egui::Ui, tracks: &Arc<Tracks>) {
        let frames = tracks.frames();
        ui.horizontal(|ui| {
            #[allow(clippy::cast_precision_loss)] // frames
            let about = self.player.frame() as f64 + 0.5;
            if ui
                .button("Zoom in")
                .on_hover_text("Fewer frames in the traces; or turn the mouse wheel")
                .clicked()
            {
                self.traces.zoom(2.0, about, frames);
            }
            if ui.button("Zoom out").clicked() {
                self.traces.zoom(0.5, about, frames);
            }
            if ui.button("Whole video").on_hover_text("All frames in the traces; or double-click").clicked() {
                self.traces.show_all(frames);
            }
            ui.weak("Click in the traces to go there, drag to move.");
        });
        let Some(pyramids) = &self.pyramids else {
            ui.spinner();
            ui.label("Preparing the traces…");
            return;
        };
        if self.player.is_playing() {
            self.traces.follow(self.player.frame(), frames);
        }
        let points: Vec<(usize, String, Color32)> = self
            .traced
            .iter()
            .enumerate()
            .filter(|(_, on)| **on)
            .map(|(i, _)| {
                let name = self.titles.get(i).cloned().unwrap_or_default();
                (i, name, readable(self.overlay.colour(tracks, i), ui))
            })
            .collect();
        #[allow(clippy::cast_possible_truncation)] // 0 to 1
        let shown = Shown {
            tracks,
            pyramids,
            points: &points,
            frame: self.player.frame(),
            cutoff: self.overlay.cutoff as f32,
            times: self.times.as_deref(),
        };
        let size = ui.available_size();
        if let Some(frame) = self.traces.ui(ui, &shown, size) {
            self.player.go_to(frame);
            ui.ctx().request_repaint();
        }
    }

    fn settings(&mut self, ui: &mut egui::Ui, tracks: &Arc<Tracks>) {
        ui.spacing_mut().slider_width = 110.0;
        let label = ui.label("Likelihood at least");
        ui.add(egui::Slider::new(&mut self.overlay.cutoff, 0.0..=1.0).fixed_decimals(2))
            .labelled_by(label.id)
            .on_hover_text("Points below it are not drawn, and faint in the traces");
        let label = ui.label("Trail");
        ui.add(egui::Slider::new(&mut self.overlay.trail, 0..=LONGEST_TRAIL).suffix(" frames"))
            .labelled_by(label.id);
        ui.checkbox(&mut self.overlay.edges, "Skeleton");
        ui.checkbox(&mut self.names, "Names");
        ui.separator();
        ui.strong("Traces of");
        ui.horizontal(|ui| {
            if named_small(ui, "All", "Traces of all body parts").clicked() {
                self.traced.fill(true);
            }
            if named_small(ui, "None", "Traces of no body part").clicked() {
                self.traced.fill(false);
            }
        });
        for (i, on) in self.traced.iter_mut().enumerate() {
            ui.horizontal(|ui| {
                let (spot, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
                ui.painter().circle_filled(spot.center(), 5.0, self.overlay.colour(tracks, i));
                ui.checkbox(on, self.titles.get(i).map_or("", String::as_str));
            });
        }
    }

    #[allow(clippy::cast_possible_truncation)] // a likelihood in percent
    fn render(&self, desk: &mut Desk<'_>, video: PathBuf, tracks: Arc<Tracks>) -> Handle<Rendered> {
        let Overlay { style, cutoff, trail, edges } = self.overlay.clone();
        let marks = Style { cutoff, edges, names: self.names, ..style };
        let style = VideoStyle { marks, trail, legend: !self.names };
        let stem = self.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let percent = (cutoff * 100.0).round() as i64;
        let out = self.path.with_file_name(format!("{stem}_p{percent}_labeled.mp4"));
        desk.jobs.start(format!("Rendering {}", file_name(&video)), move |watch| {
            render_video(&video, &tracks, &style, &out, watch)
        })
    }

    /// The picture with everything drawn on it, which belongs to the frame on the screen even while another is on its
    /// way.
    fn picture(&mut self, ui: &mut egui::Ui, tracks: &Tracks) {
        let frame = self.player.drawn();
        let marks = self.overlay.marks(tracks, frame, &self.titles);
        let lines = self.overlay.lines(tracks, frame);
        let name = format!("Frame {frame} with {} points", marks.len());
        let note = match self.player.index() {
            None if self.video.is_none() => Some("The video of these tracks was not found.".to_owned()),
            Some(index) if index.len() != tracks.frames() => Some(format!(
                "The video has {} frames and the tracks have {}; they may not belong together",
                count(index.len()),
                count(tracks.frames())
            )),
            _ => None,
        };
        let content = Content {
            size: self.reach(tracks),
            lines: &lines,
            marks: &marks,
            names: self.names,
            fixed: true,
            note: note.as_deref(),
            ..Content::new(&name)
        };
        self.player.picture(ui, content);
    }

    /// How far the points reach, in pixels: the size of the picture when there is none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // pixels
    fn reach(&self, tracks: &Tracks) -> [usize; 2] {
        let Some(pyramids) = self.pyramids.as_ref().filter(|_| self.player.index().is_none()) else {
            return [640, 480];
        };
        [Quantity::X, Quantity::Y].map(|quantity| {
            let all = (0..tracks.skeleton.points()).filter_map(|i| pyramids.extent(tracks, i, quantity));
            (all.map(|[_, high]| high).fold(64.0, f32::max) * 1.05).ceil() as usize
        })
    }
}

/// A body part's colour, away from the ground of the traces far enough to be seen.
fn readable(colour: Color32, ui: &egui::Ui) -> Color32 {
    let light = |c: Color32| 0.299 * f32::from(c.r()) + 0.587 * f32::from(c.g()) + 0.114 * f32::from(c.b());
    let towards = |to: Color32| colour.lerp_to_gamma(to, 0.45);
    match (ui.visuals().dark_mode, light(colour)) {
        (true, l) if l < 90.0 => towards(Color32::WHITE),
        (false, l) if l > 165.0 => towards(Color32::BLACK),
        _ => colour,
    }
}
