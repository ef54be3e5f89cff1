//! A video player: picture, clock, slider, keys. What is drawn over the picture comes from whoever shows it.
//!
//! Frames come from a [`FrameServer`], so nothing here waits; the cursor moves at once and the picture follows. Any
//! frame is reached on the exact index; while a lossy viewing copy stands in for it, [`Player::is_exact`] says no.
//!
//! ```
//! use limn::gui::widgets::canvas::Content;
//! use limn::gui::widgets::player::Player;
//! let mut player = Player::default();
//! eframe::egui::__run_test_ui(|ui| {
//!     // player.open(path, &wake, ui.ctx()) once; then in each pass:
//!     player.tick(ui.ctx());
//!     player.bar(ui, &Default::default(), &Default::default(), &[]);
//!     player.picture(ui, Content::new("Nothing is open"));
//! });
//! ```

use super::canvas::{Canvas, CanvasImage, CanvasResponse, Content, Tone, colour_image};
use crate::gui::keys::{Action, Fired, Keys};
use crate::gui::theme::Theme;
use crate::jobs::Wake;
use crate::video::{Copy, FrameServer, Index, Shot, State};
use eframe::egui::{self, Color32, ColorImage, ComboBox, Context, DragValue, Ui};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Memory for decoded frames: some sixty of 1920 x 1080.
const MEMORY: usize = 512 << 20;
/// Frames that [`Action::Forward`] and [`Action::Back`] go.
const LEAP: usize = 10;
/// A player that was not shown for so long stands still meanwhile.
const AWAY: Duration = Duration::from_millis(500);
const SPEEDS: [f64; 7] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// Where playing began, so that frames come by their own times and not by passes.
#[derive(Debug, Clone, Copy)]
struct Clock {
    began: Instant,
    /// The time of the frame it began at, in seconds.
    from: f64,
}

/// Plays one video; see the [module](self).
pub struct Player {
    server: Option<FrameServer<Arc<ColorImage>>>,
    path: Option<PathBuf>,
    index: Option<Arc<Index>>,
    failure: Option<String>,
    cursor: usize,
    clock: Option<Clock>,
    speed: f64,
    seen: Option<Instant>,
    image: Option<CanvasImage>,
    shot: Option<Arc<Shot<Arc<ColorImage>>>>,
    jump: bool,
    /// The picture's place and zoom.
    pub canvas: Canvas,
}

impl Default for Player {
    fn default() -> Self {
        Self {
            server: None,
            path: None,
            index: None,
            failure: None,
            cursor: 0,
            clock: None,
            speed: 1.0,
            seen: None,
            image: None,
            shot: None,
            jump: false,
            canvas: Canvas::default(),
        }
    }
}

impl Player {
    /// Opens a video at its first frame; nothing happens when it is open already.
    pub fn open(&mut self, path: &Path, wake: &Wake, ctx: &Context) {
        if self.path.as_deref() == Some(path) {
            return;
        }
        let speed = self.speed;
        *self = Self { speed, ..Self::default() };
        let side = ctx.input(|i| i.max_texture_side);
        let make = move |p: &crate::picture::Picture| Arc::new(colour_image(p, Tone::default(), side));
        let server = FrameServer::open(path, MEMORY, make, Arc::clone(wake));
        server.want(0);
        self.server = Some(server);
        self.path = Some(path.to_path_buf());
    }

    /// Closes the video; its threads end by themselves.
    pub fn close(&mut self) {
        let speed = self.speed;
        *self = Self { speed, ..Self::default() };
    }

    /// The open video's file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its index, once it was read.
    #[must_use]
    pub fn index(&self) -> Option<&Arc<Index>> {
        self.index.as_ref()
    }

    /// Why it cannot be shown.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The frame of the cursor.
    #[must_use]
    pub fn frame(&self) -> usize {
        self.cursor
    }

    /// The frame on the screen, which may follow the cursor by a moment.
    #[must_use]
    pub fn shown(&self) -> Option<usize> {
        self.shot.as_ref().map(|s| s.frame)
    }

    /// Whether the cursor's own frame is on the screen, and it is the video's own picture.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.shot.as_ref().is_some_and(|s| s.exact && s.frame == self.cursor)
    }

    /// Whether it plays.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.clock.is_some()
    }

    /// Moves the cursor; past the end means the last frame.
    pub fn go_to(&mut self, frame: usize) {
        let last = self.index.as_ref().map_or(usize::MAX, |i| i.len() - 1);
        self.cursor = frame.min(last);
        if self.clock.is_some() {
            self.clock = Some(Clock { began: Instant::now(), from: self.time() });
        }
        if let Some(server) = &self.server {
            server.want(self.cursor);
        }
    }

    /// Plays on, or stands still.
    pub fn play(&mut self, playing: bool) {
        let Some(index) = &self.index else { return };
        let at_end = self.cursor + 1 >= index.len();
        if playing && at_end {
            self.go_to(0);
        }
        self.clock = playing.then(|| Clock { began: Instant::now(), from: self.time() });
        if let Some(server) = &self.server {
            server.play(playing);
        }
    }

    fn time(&self) -> f64 {
        self.index.as_ref().and_then(|i| i.time(self.cursor)).unwrap_or(0.0)
    }

    /// Does what keys ask for.
    pub fn act(&mut self, fired: &Fired) {
        let Some(last) = self.index.as_ref().map(|i| i.len() - 1) else { return };
        if fired.count(Action::PlayPause) % 2 == 1 {
            self.play(!self.is_playing());
        }
        let ahead = fired.count(Action::NextFrame) + LEAP * fired.count(Action::Forward);
        let back = fired.count(Action::PreviousFrame) + LEAP * fired.count(Action::Back);
        if ahead + back > 0 {
            self.play(false);
            self.go_to((self.cursor + ahead).min(last).saturating_sub(back));
        }
        if fired.has(Action::FirstFrame) {
            self.go_to(0);
        }
        if fired.has(Action::LastFrame) {
            self.play(false);
            self.go_to(last);
        }
        self.jump |= fired.has(Action::JumpToFrame);
    }

    /// Takes what the threads have brought and moves the clock; to be called in every pass before anything is shown.
    pub fn tick(&mut self, ctx: &Context) {
        let Some(server) = &self.server else { return };
        if self.index.is_none() && self.failure.is_none() {
            match server.state() {
                State::Ready(index) => {
                    self.cursor = self.cursor.min(index.len() - 1);
                    self.index = Some(index);
                }
                State::Failed(e) => self.failure = Some(e.to_string()),
                State::Opening { .. } => {}
            }
        }
        let away = self.seen.replace(Instant::now()).is_none_or(|t| t.elapsed() > AWAY);
        if let (Some(clock), Some(index)) = (self.clock, self.index.clone()) {
            if away {
                self.clock = Some(Clock { began: Instant::now(), from: self.time() });
            } else {
                let now = clock.from + clock.began.elapsed().as_secs_f64() * self.speed;
                let frame = index.frames().partition_point(|f| f.time <= now).saturating_sub(1);
                self.cursor = frame.max(self.cursor.min(index.len() - 1));
                server.want(self.cursor);
                if self.cursor + 1 >= index.len() {
                    self.play(false);
                } else {
                    let next = index.time(self.cursor + 1).unwrap_or(now);
                    let wait = ((next - now) / self.speed).clamp(0.002, 0.1);
                    ctx.request_repaint_after(Duration::from_secs_f64(wait));
                }
            }
        }
        let Some(server) = &self.server else { return };
        let Some(shot) = server.get(self.cursor).or_else(|| server.newest()) else { return };
        if self.shot.as_ref().is_some_and(|old| Arc::ptr_eq(old, &shot)) {
            return;
        }
        let size = self.index.as_ref().map_or([0, 0], |i| [i.width(), i.height()]);
        match &mut self.image {
            Some(image) => image.set(Arc::clone(&shot.image), size),
            None => self.image = Some(CanvasImage::new(ctx, "video", Arc::clone(&shot.image), size)),
        }
        self.shot = Some(shot);
    }

    /// The picture, in all the room that is left, with what `content` draws over it.
    #[allow(clippy::needless_pass_by_value)] // as the canvas takes it
    pub fn picture(&mut self, ui: &mut Ui, content: Content<'_>) -> CanvasResponse {
        let size = self.index.as_ref().map_or(content.size, |i| [i.width(), i.height()]);
        let opening = self.server.as_ref().map(FrameServer::state).and_then(|state| match state {
            State::Opening { done, total: Some(total) } if total > 0 => {
                Some(format!("Reading the video… {} %", (done * 100 / total).min(100)))
            }
            State::Opening { .. } => Some("Reading the video…".to_owned()),
            _ => None,
        });
        let missing = self
            .shot
            .as_ref()
            .and_then(|s| s.missing.as_ref().map(|why| format!("Frame {} cannot be shown: {why}", s.frame)));
        let words = self.failure.clone().or(opening).or(missing);
        let words = content.words.or(words.as_deref());
        self.canvas.show(ui, Content { size, image: self.image.as_mut(), words, ..content })
    }

    /// Buttons, slider, frame number, time and speed, in two lines. `marks` are frames shown as ticks on the slider.
    pub fn bar(&mut self, ui: &mut Ui, keys: &Keys, fired: &Fired, marks: &[usize]) {
        self.act(fired);
        let last = self.index.as_ref().map_or(0, |i| i.len() - 1);
        ui.add_enabled_ui(self.index.is_some(), |ui| {
            self.slider(ui, last, marks);
            ui.horizontal_wrapped(|ui| {
                let mut pressed = Fired::default();
                let mut button = |ui: &mut Ui, words: &str, action: Action| {
                    if ui.button(words).on_hover_text(keys.tip(ui.ctx(), action)).clicked() {
                        pressed.add(action);
                    }
                };
                button(ui, "First", Action::FirstFrame);
                button(ui, "Back 10", Action::Back);
                button(ui, "Previous", Action::PreviousFrame);
                button(ui, if self.is_playing() { "Pause" } else { "Play" }, Action::PlayPause);
                button(ui, "Next", Action::NextFrame);
                button(ui, "Forward 10", Action::Forward);
                button(ui, "Last", Action::LastFrame);
                self.act(&pressed);
            });
            ui.horizontal_wrapped(|ui| {
                self.number(ui, keys, last);
                ui.separator();
                ui.label(self.times());
                ui.separator();
                self.speeds(ui);
                ui.weak(self.standing());
            });
        });
    }

    fn slider(&mut self, ui: &mut Ui, last: usize, marks: &[usize]) {
        ui.scope(|ui| {
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).max(60.0);
            let mut frame = self.cursor;
            let slider = egui::Slider::new(&mut frame, 0..=last.max(1)).show_value(false);
            let response = ui.add(slider).accessible_name("Position in the video");
            if response.changed() && last > 0 {
                self.play(false);
                self.go_to(frame);
            }
            let theme = Theme::of(ui);
            let rail = response.rect.shrink2(egui::vec2(response.rect.height() / 2.5, 0.0));
            let mut drawn = f32::NEG_INFINITY;
            for mark in marks.iter().filter(|m| **m <= last) {
                #[allow(clippy::cast_precision_loss)]
                let x = rail.left() + rail.width() * (*mark as f32 / last.max(1) as f32);
                // Thousands of ticks on one pixel are one.
                if x - drawn >= 1.0 {
                    let y = response.rect.bottom() - 4.0..=response.rect.bottom();
                    ui.painter().vline(x, egui::Rangef::new(*y.start(), *y.end()), (2.0, theme.good));
                    drawn = x;
                }
            }
        });
    }

    fn number(&mut self, ui: &mut Ui, keys: &Keys, last: usize) {
        let label = ui.label("Frame");
        let mut frame = self.cursor;
        if std::mem::take(&mut self.jump) {
            // Before the field is there, so that it finds itself chosen and its number ready to be typed over.
            let id = ui.next_auto_id();
            ui.memory_mut(|m| m.request_focus(id));
        }
        ui.add(DragValue::new(&mut frame).range(0..=last).speed(0.2).update_while_editing(false))
            .labelled_by(label.id)
            .accessible_name("Frame number")
            .on_hover_text(keys.tip(ui.ctx(), Action::JumpToFrame));
        if frame != self.cursor {
            self.play(false);
            self.go_to(frame);
        }
        ui.label(format!("of {}", crate::gui::widgets::count(last + usize::from(self.index.is_some()))));
    }

    fn times(&self) -> String {
        match &self.index {
            Some(index) => format!("{} of {}", clock(self.time()), clock(index.duration())),
            None => "0:00.000".to_owned(),
        }
    }

    fn speeds(&mut self, ui: &mut Ui) {
        let mut speed = self.speed;
        ComboBox::from_label("Speed").width(64.0).selected_text(format!("{speed}×")).show_ui(ui, |ui| {
            for s in SPEEDS {
                ui.selectable_value(&mut speed, s, format!("{s}×"));
            }
        });
        if (speed - self.speed).abs() > f64::EPSILON {
            self.speed = speed;
            if self.clock.is_some() {
                self.clock = Some(Clock { began: Instant::now(), from: self.time() });
            }
        }
    }

    /// What is to be known of the picture on the screen.
    fn standing(&self) -> String {
        let copy = self.server.as_ref().map(FrameServer::copy);
        let making = match copy {
            Some(Copy::Making { done, total }) if total > 0 => {
                format!("preparing quick jumps: {} %", done * 100 / total)
            }
            _ => String::new(),
        };
        let now = match &self.shot {
            Some(_) if self.is_playing() => "",
            Some(s) if s.frame != self.cursor => "loading…",
            Some(s) if !s.exact => "preview; the exact frame follows",
            _ => "",
        };
        if now.is_empty() { making } else { now.to_owned() }
    }

    /// Whether nothing more will come for the cursor: for tests and pictures of the window.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.path.is_none() || self.failure.is_some() || self.is_exact()
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Player({:?}, frame {})", self.path, self.cursor)
    }
}

/// Hours, minutes and seconds to the millisecond, such as `1:02:03.040`.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // times of videos
pub fn clock(seconds: f64) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    if h > 0 { format!("{h}:{m:02}:{s:02}.{ms:03}") } else { format!("{m}:{s:02}.{ms:03}") }
}

/// A rectangle's four lines on a canvas.
#[must_use]
pub fn outline([x1, x2, y1, y2]: [f64; 4], colour: Color32, width: f32) -> [super::canvas::Line; 4] {
    use crate::pose::Keypoint;
    let corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)].map(|(x, y)| Keypoint::new(x, y));
    let side = |a: usize, b: usize| super::canvas::Line { ends: [corners[a], corners[b]], colour, width };
    [side(0, 1), side(1, 2), side(2, 3), side(3, 0)]
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn clocks() {
        assert_eq!(clock(0.0), "0:00.000");
        assert_eq!(clock(61.5), "1:01.500");
        assert_eq!(clock(3723.0404), "1:02:03.040");
        assert_eq!(clock(-1.0), "0:00.000");
    }
}
