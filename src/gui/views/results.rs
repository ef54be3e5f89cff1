//! The player of tracks: video, points, skeleton and trails, with the traces of x, y and likelihood under it.

use crate::draw::Style;
use crate::gui::Desk;
use crate::gui::keys::Action;
use crate::gui::theme::Theme;
use crate::gui::widgets::traces::{Shown, Traces, seconds};
use crate::infer::{self, Loaded};
use crate::jobs::Handle;
use crate::pose::{PointName, TrackPyramids, Tracks};
use crate::show::{self, Rendered, VideoStyle, render_video};
use crate::video::{FrameServer, Shot, State};
use eframe::egui::{
    self, Align2, Color32, ColorImage, FontId, Panel, Pos2, Rect, RichText, Sense, Stroke, TextureHandle,
    TextureOptions, Vec2, pos2, vec2,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Memory for decoded frames.
const MEMORY: usize = 384 << 20;
const LONGEST_TRAIL: usize = 200;
const SPEEDS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// A point's name in lists: the body part, with its individual where there are several.
#[must_use]
pub fn title_of(name: PointName<'_>) -> String {
    if name.individual.is_empty() {
        name.bodypart.to_owned()
    } else {
        format!("{} {}", name.individual, name.bodypart)
    }
}

/// Tracks that were opened, with their video where it was found.
pub struct Player {
    path: PathBuf,
    video: Option<PathBuf>,
    style: Style,
    loading: Option<Handle<Loaded>>,
    failed: Option<String>,
    tracks: Option<Arc<Tracks>>,
    scorer: String,
    times: Option<Vec<f64>>,
    building: Option<Handle<TrackPyramids>>,
    pyramids: Option<TrackPyramids>,
    film: Option<FrameServer<Arc<ColorImage>>>,
    picture: Option<Picture>,
    frame: usize,
    playing: Option<(Instant, usize)>,
    speed: f64,
    cutoff: f64,
    trail: usize,
    names: bool,
    edges: bool,
    /// The points whose traces are shown.
    traced: Vec<bool>,
    traces: Traces,
    /// How the picture is zoomed and moved, on top of fitting it in.
    zoom: f32,
    pan: Vec2,
    rendering: Option<Handle<Rendered>>,
    /// The number field is to get the keyboard.
    jumping: bool,
}

/// The picture on the screen.
struct Picture {
    texture: TextureHandle,
    frame: usize,
    exact: bool,
    missing: Option<String>,
}

impl Player {
    /// Opens tracks, which a job reads, and the video, which threads decode.
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
        let film = video.as_ref().map(|video| {
            let make = |p: &crate::picture::Picture| {
                Arc::new(ColorImage::from_rgb([p.width(), p.height()], p.rgb()))
            };
            FrameServer::open(video, MEMORY, make, Arc::clone(desk.wake))
        });
        if let Some(film) = &film {
            film.want(0);
        }
        Self {
            path,
            video,
            cutoff: style.cutoff,
            edges: style.edges,
            style,
            loading: Some(loading),
            failed: None,
            tracks: None,
            scorer: String::new(),
            times: None,
            building: None,
            pyramids: None,
            film,
            picture: None,
            frame: 0,
            playing: None,
            speed: 1.0,
            trail: 0,
            names: false,
            traced: Vec::new(),
            traces: Traces::default(),
            zoom: 1.0,
            pan: Vec2::ZERO,
            rendering: None,
            jumping: false,
        }
    }

    /// The frame that is looked at.
    #[must_use]
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// Draws only points of at least this likelihood.
    pub fn set_cutoff(&mut self, cutoff: f64) {
        self.cutoff = cutoff.clamp(0.0, 1.0);
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
                (self.scorer, self.times) = (loaded.scorer, loaded.times);
                let points = tracks.skeleton.points();
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
            && let Some(film) = &self.film
            && let State::Ready(index) = film.state()
            && self.tracks.as_ref().is_some_and(|t| t.frames() == index.len())
        {
            self.times = Some(index.frames().iter().map(|f| f.time).collect());
        }
    }

    /// Shows it; whether to go back to the list.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) -> bool {
        let mut back = false;
        ui.horizontal(|ui| {
            back = ui.button("Back to the list").clicked();
            let name = self.video.as_ref().unwrap_or(&self.path).file_name();
            ui.strong(name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
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
        let frames = tracks.frames();
        if frames == 0 {
            ui.label("These tracks have no frames.");
            return back;
        }
        self.keys(desk, frames);
        self.advance(ui, frames);
        Panel::right("player settings").default_size(230.0).min_size(180.0).show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.settings(ui, &tracks));
        });
        Panel::bottom("player traces").resizable(true).default_size(300.0).min_size(140.0).show(ui, |ui| {
            ui.set_min_size(ui.available_size()); // the panel keeps its size while traces are made
            self.transport(ui, desk, frames);
            self.trace(ui, &tracks);
        });
        let size = ui.available_size();
        self.screen(ui, &tracks, size);
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

    fn go(&mut self, frame: usize, frames: usize) {
        self.frame = frame.min(frames.saturating_sub(1));
        if let Some((since, from)) = &mut self.playing {
            (*since, *from) = (Instant::now(), self.frame);
        }
    }

    fn play(&mut self, on: bool, frames: usize) {
        if on && self.frame + 1 >= frames {
            self.frame = 0;
        }
        self.playing = on.then(|| (Instant::now(), self.frame));
        if let Some(film) = &self.film {
            film.play(on);
        }
    }

    fn keys(&mut self, desk: &Desk<'_>, frames: usize) {
        let fired = desk.fired;
        if fired.has(Action::PlayPause) {
            self.play(self.playing.is_none(), frames);
        }
        let forward = fired.count(Action::NextFrame) + 10 * fired.count(Action::Forward);
        let back = fired.count(Action::PreviousFrame) + 10 * fired.count(Action::Back);
        if forward + back > 0 {
            self.go((self.frame + forward).saturating_sub(back), frames);
        }
        if fired.has(Action::FirstFrame) {
            self.go(0, frames);
        }
        if fired.has(Action::LastFrame) {
            self.go(frames - 1, frames);
        }
        if fired.has(Action::JumpToFrame) {
            self.jumping = true;
        }
    }

    /// Frames per second of the video.
    #[allow(clippy::cast_precision_loss)] // frames
    fn fps(&self) -> f64 {
        if let Some(film) = &self.film
            && let State::Ready(index) = film.state()
            && index.fps() > 0.0
        {
            return index.fps();
        }
        match self.times.as_deref() {
            Some([first, .., last]) if last > first => {
                (self.times.as_ref().map_or(0, Vec::len) - 1) as f64 / (last - first)
            }
            _ => 30.0,
        }
    }

    /// Moves on while it plays, at the times of the frames.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count of frames
    fn advance(&mut self, ui: &egui::Ui, frames: usize) {
        if let Some((since, from)) = self.playing {
            let passed = since.elapsed().as_secs_f64() * self.speed;
            let start = self.times.as_ref().and_then(|t| t.get(from).copied()).filter(|t| t.is_finite());
            self.frame = match (start, &self.times) {
                (Some(start), Some(times)) => {
                    times.partition_point(|t| *t <= start + passed).saturating_sub(1).max(from)
                }
                _ => from + (passed * self.fps()) as usize,
            };
            if self.frame + 1 >= frames {
                self.frame = frames - 1;
                self.play(false, frames + 1);
            }
            ui.ctx().request_repaint();
        }
        if let Some(film) = &self.film {
            film.want(self.frame);
        }
    }

    fn transport(&mut self, ui: &mut egui::Ui, desk: &Desk<'_>, frames: usize) {
        ui.horizontal(|ui| {
            let mut button = |words: &str, name: &str| {
                ui.button(words).on_hover_text(name).accessible_name(name).clicked()
            };
            if button("|<", "First frame") {
                self.go(0, frames);
            }
            if button("<", "Previous frame") {
                self.go(self.frame.saturating_sub(1), frames);
            }
            let (words, name) = if self.playing.is_some() { ("Pause", "Pause") } else { ("Play", "Play") };
            if button(words, name) {
                self.play(self.playing.is_none(), frames);
            }
            if button(">", "Next frame") {
                self.go(self.frame + 1, frames);
            }
            if button(">|", "Last frame") {
                self.go(frames - 1, frames);
            }
            let mut at = self.frame;
            let jump = egui::DragValue::new(&mut at).range(0..=frames - 1).prefix("frame ").speed(1.0);
            let jump = ui.add(jump).on_hover_text(desk.prefs.keys.tip(ui.ctx(), Action::JumpToFrame));
            if std::mem::take(&mut self.jumping) {
                jump.request_focus();
            }
            if jump.accessible_name("Frame number").changed() {
                self.go(at, frames);
            }
            let time = self.times.as_ref().and_then(|t| t.get(self.frame));
            ui.weak(format!("of {frames}{}", time.map(|t| format!(", {}", seconds(*t))).unwrap_or_default()));
            let combo = egui::ComboBox::from_id_salt("speed").width(64.0).selected_text(times(self.speed));
            let combo = combo.show_ui(ui, |ui| {
                for speed in SPEEDS {
                    if ui.selectable_value(&mut self.speed, speed, times(speed)).changed() {
                        self.playing = self.playing.map(|_| (Instant::now(), self.frame));
                    }
                }
            });
            combo.response.accessible_name("Speed");
            ui.spacing_mut().slider_width = (ui.available_width() - 12.0).max(60.0);
            let slider = egui::Slider::new(&mut at, 0..=frames - 1).show_value(false).trailing_fill(true);
            if ui.add(slider).accessible_name("Position in the video").changed() {
                self.go(at, frames);
            }
        });
    }

    fn trace(&mut self, ui: &mut egui::Ui, tracks: &Arc<Tracks>) {
        let frames = tracks.frames();
        ui.horizontal(|ui| {
            #[allow(clippy::cast_precision_loss)] // frames
            let about = self.frame as f64 + 0.5;
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
        if self.playing.is_some() {
            self.traces.follow(self.frame, frames);
        }
        let points: Vec<(usize, String, Color32)> = self
            .traced
            .iter()
            .enumerate()
            .filter(|(_, on)| **on)
            .map(|(i, _)| {
                let name = tracks.skeleton.point(i).map(title_of).unwrap_or_default();
                (i, name, readable(colour(&self.style, tracks, i), ui))
            })
            .collect();
        #[allow(clippy::cast_possible_truncation)] // 0 to 1
        let shown = Shown {
            tracks,
            pyramids,
            points: &points,
            frame: self.frame,
            cutoff: self.cutoff as f32,
            times: self.times.as_deref(),
        };
        let size = ui.available_size();
        if let Some(frame) = self.traces.ui(ui, &shown, size) {
            self.go(frame, frames);
            ui.ctx().request_repaint();
        }
    }

    fn settings(&mut self, ui: &mut egui::Ui, tracks: &Arc<Tracks>) {
        ui.spacing_mut().slider_width = 110.0;
        let label = ui.label("Likelihood at least");
        ui.add(egui::Slider::new(&mut self.cutoff, 0.0..=1.0).fixed_decimals(2))
            .labelled_by(label.id)
            .on_hover_text("Points below it are not drawn, and faint in the traces");
        let label = ui.label("Trail");
        ui.add(egui::Slider::new(&mut self.trail, 0..=LONGEST_TRAIL).suffix(" frames")).labelled_by(label.id);
        ui.checkbox(&mut self.edges, "Skeleton");
        ui.checkbox(&mut self.names, "Names");
        ui.separator();
        ui.strong("Traces of");
        ui.horizontal(|ui| {
            if ui.small_button("All").accessible_name("Traces of all body parts").clicked() {
                self.traced.fill(true);
            }
            if ui.small_button("None").accessible_name("Traces of no body part").clicked() {
                self.traced.fill(false);
            }
        });
        for (i, on) in self.traced.iter_mut().enumerate() {
            ui.horizontal(|ui| {
                let (spot, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
                ui.painter().circle_filled(spot.center(), 5.0, colour(&self.style, tracks, i));
                ui.checkbox(on, tracks.skeleton.point(i).map(title_of).unwrap_or_default());
            });
        }
    }

    #[allow(clippy::cast_possible_truncation)] // a likelihood in percent
    fn render(&self, desk: &mut Desk<'_>, video: PathBuf, tracks: Arc<Tracks>) -> Handle<Rendered> {
        let marks = Style { cutoff: self.cutoff, edges: self.edges, names: self.names, ..self.style.clone() };
        let style = VideoStyle { marks, trail: self.trail, legend: !self.names };
        let stem = self.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let percent = (self.cutoff * 100.0).round() as i64;
        let out = self.path.with_file_name(format!("{stem}_p{percent}_labeled.mp4"));
        let name = video.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        desk.jobs.start(format!("Rendering {name}"), move |watch| {
            render_video(&video, &tracks, &style, &out, watch)
        })
    }

    /// The picture with everything drawn on it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // pixels
    fn screen(&mut self, ui: &mut egui::Ui, tracks: &Arc<Tracks>, size: Vec2) {
        let theme = Theme::of(ui);
        let (rect, response) = ui.allocate_exact_size(size.max(Vec2::splat(32.0)), Sense::click_and_drag());
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, 0.0, theme.canvas);
        self.fetch(ui);
        let (picture_size, words) = self.picture_size(tracks);
        let fit = (rect.width() / picture_size.x).min(rect.height() / picture_size.y).max(1e-3);
        if response.double_clicked() {
            (self.zoom, self.pan) = (1.0, Vec2::ZERO);
        }
        if response.dragged() {
            self.pan += response.drag_delta();
        }
        if response.hovered()
            && let Some(pointer) = response.hover_pos()
        {
            let (scroll, zoom) = ui.input(|i| (i.smooth_scroll_delta(), i.zoom_delta()));
            let factor = zoom * (scroll.y * 0.005).exp();
            if (factor - 1.0).abs() > 1e-4 {
                let new = (self.zoom * factor).clamp(0.5, 40.0);
                let from_middle = pointer - rect.center() - self.pan;
                self.pan -= from_middle * (new / self.zoom - 1.0);
                self.zoom = new;
            }
        }
        let scale = fit * self.zoom;
        let place = Rect::from_center_size(rect.center() + self.pan, picture_size * scale);
        // What is drawn belongs to the picture that is shown, even while another is on its way.
        let frame = self.picture.as_ref().map_or(self.frame, |p| p.frame);
        if let Some(picture) = &self.picture {
            let all = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            painter.image(picture.texture.id(), place, all, Color32::WHITE);
        }
        self.draw(&painter, tracks, frame, place.min, scale);
        let mut said: Vec<String> = words.into_iter().collect();
        if let Some(picture) = &self.picture {
            said.extend(picture.missing.as_ref().map(|why| format!("This frame cannot be decoded ({why})")));
            if picture.frame != self.frame && self.playing.is_none() {
                said.push(format!("Frame {} is on its way", self.frame));
            } else if !picture.exact && self.playing.is_none() {
                said.push("A quick preview; the exact picture is on its way".into());
            }
        }
        if !said.is_empty() {
            let at = rect.left_bottom() + vec2(10.0, -10.0);
            painter.text(at, Align2::LEFT_BOTTOM, said.join("\n"), FontId::proportional(13.0), theme.text);
        }
        let seen = (0..tracks.skeleton.points())
            .filter(|i| tracks.get(frame, *i).is_some_and(|(_, l)| l >= self.cutoff))
            .count();
        response.accessible_name(format!("Frame {frame} with {seen} points"));
    }

    /// Takes the newest picture for the screen.
    fn fetch(&mut self, ui: &egui::Ui) {
        let Some(film) = &self.film else { return };
        let Some(shot) = film.get(self.frame).or_else(|| film.newest()) else { return };
        let Shot { frame, exact, missing, image } = &*shot;
        if self.picture.as_ref().is_some_and(|p| p.frame == *frame && p.exact == *exact) {
            return;
        }
        let texture = match self.picture.take() {
            Some(mut old) => {
                old.texture.set(Arc::clone(image), TextureOptions::LINEAR);
                old.texture
            }
            None => ui.ctx().load_texture("player", Arc::clone(image), TextureOptions::LINEAR),
        };
        self.picture = Some(Picture { texture, frame: *frame, exact: *exact, missing: missing.clone() });
    }

    /// The size of the picture in pixels, and what to say of it; without a video, the reach of the tracks.
    #[allow(clippy::cast_precision_loss)] // pixels
    fn picture_size(&self, tracks: &Tracks) -> (Vec2, Option<String>) {
        match self.film.as_ref().map(FrameServer::state) {
            Some(State::Ready(index)) => {
                let size = vec2(index.width() as f32, index.height() as f32);
                let words = (index.len() != tracks.frames()).then(|| {
                    format!(
                        "The video has {} frames and the tracks have {}; they may not belong together",
                        index.len(),
                        tracks.frames()
                    )
                });
                (size, words)
            }
            Some(State::Opening { .. }) => (self.reach(tracks), Some("Opening the video…".into())),
            Some(State::Failed(e)) => (self.reach(tracks), Some(e.to_string())),
            None => (self.reach(tracks), Some("The video of these tracks was not found.".into())),
        }
    }

    fn reach(&self, tracks: &Tracks) -> Vec2 {
        let Some(pyramids) = &self.pyramids else { return vec2(640.0, 480.0) };
        let of = |quantity| {
            let all = (0..tracks.skeleton.points()).filter_map(|i| pyramids.extent(tracks, i, quantity));
            all.map(|[_, high]| high).fold(64.0, f32::max) * 1.05
        };
        vec2(of(crate::pose::Quantity::X), of(crate::pose::Quantity::Y))
    }

    /// Trail, skeleton, points and names of one frame.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // pixels
    fn draw(&self, painter: &egui::Painter, tracks: &Tracks, frame: usize, origin: Pos2, scale: f32) {
        let skeleton = &tracks.skeleton;
        let at = |frame: usize, point: usize| -> Option<Pos2> {
            let (p, likelihood) = tracks.get(frame, point)?;
            (likelihood >= self.cutoff).then(|| origin + vec2(p.x as f32, p.y as f32) * scale)
        };
        if self.trail > 0 {
            let first = frame.saturating_sub(self.trail);
            for point in 0..skeleton.points() {
                let colour = colour(&self.style, tracks, point);
                for f in first..frame {
                    if let (Some(a), Some(b)) = (at(f, point), at(f + 1, point)) {
                        let age = (f + 1 - first) as f32 / (frame - first) as f32;
                        painter
                            .line_segment([a, b], Stroke::new(1.6, colour.gamma_multiply(0.15 + 0.75 * age)));
                    }
                }
            }
        }
        if self.edges {
            let parts = skeleton.bodyparts.len();
            let [r, g, b] = self.style.edge_colour;
            let line = Stroke::new(1.5, Color32::from_rgb(r, g, b));
            let under = Stroke::new(3.0, Color32::from_white_alpha(120));
            for individual in 0..skeleton.individuals.len() {
                for [a, b] in skeleton.edge_indices() {
                    if let (Some(a), Some(b)) =
                        (at(frame, individual * parts + a), at(frame, individual * parts + b))
                    {
                        painter.line_segment([a, b], under);
                        painter.line_segment([a, b], line);
                    }
                }
            }
        }
        for point in 0..skeleton.points() {
            let Some(at) = at(frame, point) else { continue };
            painter.circle_filled(at, 5.5, Color32::from_black_alpha(150));
            painter.circle_filled(at, 4.5, colour(&self.style, tracks, point));
            if self.names
                && let Some(name) = skeleton.point(point)
            {
                let font = FontId::proportional(12.0);
                let place = at + vec2(8.0, -6.0);
                painter.text(
                    place + vec2(1.0, 1.0),
                    Align2::LEFT_BOTTOM,
                    title_of(name),
                    font.clone(),
                    Color32::BLACK,
                );
                painter.text(place, Align2::LEFT_BOTTOM, title_of(name), font, Color32::WHITE);
            }
        }
    }
}

fn colour(style: &Style, tracks: &Tracks, point: usize) -> Color32 {
    let [r, g, b] = style.colour(&tracks.skeleton, point);
    Color32::from_rgb(r, g, b)
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

fn times(speed: f64) -> String {
    format!("{speed}×")
}
