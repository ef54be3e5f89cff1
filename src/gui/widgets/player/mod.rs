//! A video player: picture, clock, slider, keys. What is drawn over the picture comes from whoever shows it.
//!
//! Frames come from a [`FrameServer`], so nothing here waits; the cursor moves at once and the picture follows. What is
//! drawn over the picture must be that of [`Player::drawn`]: the frame on the screen, not the one that was asked for.
//! Any frame is reached on the exact index; while a lossy viewing copy stands in for it, [`Player::is_exact`] says no.
//! A [`Timeline`] gives frames to go through where there is no video, or it cannot be opened, or it ends too soon.
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

mod bar;

use super::canvas::{Canvas, CanvasImage, CanvasResponse, Content, Tone, colour_image};
use crate::gui::keys::{Action, Fired};
use crate::jobs::Wake;
use crate::video::{Copy, FrameServer, Index, Shot, State};
use eframe::egui::{ColorImage, Context, Ui};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Memory for decoded frames: some sixty of 1920 x 1080.
const MEMORY: usize = 512 << 20;
/// Frames that [`Action::Forward`] and [`Action::Back`] go.
const LEAP: usize = 10;
/// A player that was not shown for so long stands still meanwhile.
const AWAY: Duration = Duration::from_millis(500);
/// Frames per second where nothing says how many.
const USUAL_FPS: f64 = 30.0;

/// Where playing began, so that frames come by their own times and not by passes.
#[derive(Debug, Clone, Copy)]
struct Clock {
    began: Instant,
    /// The time of the frame it began at, in seconds.
    from: f64,
}

/// Frames and their times without a video.
#[derive(Debug, Clone)]
pub struct Timeline {
    frames: usize,
    times: Option<Arc<[f64]>>,
}

impl Timeline {
    /// So many frames, with their times in seconds where those are known: one for each frame, finite and in order.
    /// Other times are not used.
    #[must_use]
    pub fn new(frames: usize, times: Option<Arc<[f64]>>) -> Self {
        let good = |t: &Arc<[f64]>| t.len() == frames && t.is_sorted() && t.iter().all(|t| t.is_finite());
        Self { frames, times: times.filter(good) }
    }

    fn time(&self, frame: usize) -> f64 {
        let known = self.times.as_ref().and_then(|t| t.get(frame).copied());
        known.unwrap_or(frame as f64 / USUAL_FPS)
    }

    fn at(&self, time: f64) -> usize {
        match &self.times {
            Some(times) => times.partition_point(|t| *t <= time).saturating_sub(1),
            None => (time * USUAL_FPS + 1e-6) as usize,
        }
    }
}

/// Plays one video; see the [module](self).
pub struct Player {
    server: Option<FrameServer<Arc<ColorImage>>>,
    path: Option<PathBuf>,
    index: Option<Arc<Index>>,
    timeline: Option<Timeline>,
    failure: Option<String>,
    cursor: usize,
    clock: Option<Clock>,
    speed: f64,
    /// For decoded frames, in bytes.
    memory: usize,
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
            timeline: None,
            failure: None,
            cursor: 0,
            clock: None,
            speed: 1.0,
            memory: MEMORY,
            seen: None,
            image: None,
            shot: None,
            jump: false,
            canvas: Canvas::default(),
        }
    }
}

impl Player {
    /// A player that keeps no more than so many bytes of decoded frames, for where several videos are shown at once.
    #[must_use]
    pub fn with_memory(bytes: usize) -> Self {
        Self { memory: bytes, ..Self::default() }
    }

    /// Opens a video at its first frame; nothing happens when it is open already.
    pub fn open(&mut self, path: &Path, wake: &Wake, ctx: &Context) {
        if self.path.as_deref() == Some(path) {
            return;
        }
        self.close();
        let side = ctx.input(|i| i.max_texture_side);
        let make = move |p: &crate::picture::Picture| Arc::new(colour_image(p, Tone::default(), side));
        let server = FrameServer::open(path, self.memory, make, Arc::clone(wake));
        server.want(0);
        self.server = Some(server);
        self.path = Some(path.to_path_buf());
    }

    /// Closes the video; its threads end by themselves.
    pub fn close(&mut self) {
        *self = Self { speed: self.speed, memory: self.memory, ..Self::default() };
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

    /// The frame that what is drawn over the picture belongs to: the one on the screen, and the cursor's while there
    /// is no picture.
    #[must_use]
    pub fn drawn(&self) -> usize {
        self.shown().unwrap_or(self.cursor)
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

    /// Frames to go through besides those of the video: all of them without one, and those beyond its end.
    pub fn set_timeline(&mut self, timeline: Timeline) {
        self.timeline = Some(timeline);
    }

    /// Whether it was given frames besides those of the video.
    #[must_use]
    pub fn has_timeline(&self) -> bool {
        self.timeline.is_some()
    }

    /// How many frames there are to go through; 0 while that is not known.
    #[must_use]
    pub fn frames(&self) -> usize {
        let own = self.index.as_ref().map_or(0, |i| i.len());
        own.max(self.timeline.as_ref().map_or(0, |t| t.frames))
    }

    /// Moves the cursor; past the end means the last frame.
    pub fn go_to(&mut self, frame: usize) {
        self.cursor = match self.frames() {
            0 => frame, // bounded as soon as the frames are known
            n => frame.min(n - 1),
        };
        self.wind();
        if let Some(server) = &self.server {
            server.want(self.cursor);
        }
    }

    /// Plays on, or stands still.
    pub fn play(&mut self, playing: bool) {
        let frames = self.frames();
        if frames == 0 {
            return;
        }
        if playing && self.cursor + 1 >= frames {
            self.go_to(0);
        }
        self.clock = playing.then(|| Clock { began: Instant::now(), from: self.time() });
        if let Some(server) = &self.server {
            server.play(playing);
        }
    }

    /// Sets the clock, when it runs, to the cursor.
    fn wind(&mut self) {
        if self.clock.is_some() {
            self.clock = Some(Clock { began: Instant::now(), from: self.time() });
        }
    }

    /// The time of the cursor's frame in seconds.
    fn time(&self) -> f64 {
        self.time_of(self.cursor)
    }

    /// Frames beyond the video's end follow it at its rate.
    fn time_of(&self, frame: usize) -> f64 {
        match (&self.index, &self.timeline) {
            (Some(index), _) => index
                .time(frame)
                .unwrap_or_else(|| index.duration() + frame.saturating_sub(index.len()) as f64 / rate(index)),
            (None, Some(timeline)) => timeline.time(frame),
            (None, None) => 0.0,
        }
    }

    /// The frame that is shown at a time in seconds; may be past the end.
    fn frame_at(&self, time: f64) -> usize {
        match (&self.index, &self.timeline) {
            (Some(index), _) if time >= index.duration() => {
                index.len() + ((time - index.duration()) * rate(index) + 1e-6) as usize
            }
            (Some(index), _) => index.at(time),
            (None, Some(timeline)) => timeline.at(time),
            (None, None) => 0,
        }
    }

    /// Whether the cursor is past the video's last frame, where only the timeline goes.
    fn is_beyond(&self) -> bool {
        self.index.as_ref().is_some_and(|i| self.cursor >= i.len())
    }

    /// Does what keys ask for.
    pub fn act(&mut self, fired: &Fired) {
        let Some(last) = self.frames().checked_sub(1) else { return };
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
        if let Some(server) = &self.server
            && self.index.is_none()
            && self.failure.is_none()
        {
            match server.state() {
                State::Ready(index) => {
                    self.index = Some(index);
                    self.wind(); // its times are others than those of the timeline
                }
                State::Failed(e) => self.failure = Some(e.to_string()),
                State::Opening { .. } => {}
            }
        }
        let away = self.seen.replace(Instant::now()).is_none_or(|t| t.elapsed() > AWAY);
        let frames = self.frames();
        if frames > 0 && self.cursor >= frames {
            self.go_to(frames - 1);
        }
        if away {
            self.wind();
        } else if let Some(clock) = self.clock {
            self.advance(clock, frames, ctx);
        }
        self.fetch(ctx);
    }

    /// Moves on while it plays, at the times of the frames.
    fn advance(&mut self, clock: Clock, frames: usize, ctx: &Context) {
        let now = clock.from + clock.began.elapsed().as_secs_f64() * self.speed;
        self.cursor = self.frame_at(now).max(self.cursor).min(frames.saturating_sub(1));
        if let Some(server) = &self.server {
            server.want(self.cursor);
        }
        if self.cursor + 1 >= frames {
            self.play(false);
        } else {
            let wait = ((self.time_of(self.cursor + 1) - now) / self.speed).clamp(0.002, 0.1);
            ctx.request_repaint_after(Duration::from_secs_f64(wait));
        }
    }

    /// Takes the picture for the screen. It changes here only, so that it stays the same throughout a pass.
    fn fetch(&mut self, ctx: &Context) {
        if self.is_beyond() {
            self.shot = None;
            return;
        }
        let (Some(server), Some(index)) = (&self.server, &self.index) else { return };
        let Some(shot) = server.get(self.cursor).or_else(|| server.newest()) else { return };
        if self.shot.as_ref().is_some_and(|old| Arc::ptr_eq(old, &shot)) {
            return;
        }
        let size = [index.width(), index.height()];
        match &mut self.image {
            Some(image) => image.set(Arc::clone(&shot.image), size),
            None => self.image = Some(CanvasImage::new(ctx, "video", Arc::clone(&shot.image), size)),
        }
        self.shot = Some(shot);
    }

    /// The picture, in all the room that is left, with what `content` draws over it. Without a video its size is that
    /// of `content`.
    #[allow(clippy::needless_pass_by_value)] // as the canvas takes it
    pub fn picture(&mut self, ui: &mut Ui, content: Content<'_>) -> CanvasResponse {
        let size = self.index.as_ref().map_or(content.size, |i| [i.width(), i.height()]);
        let missing = self
            .shot
            .as_ref()
            .and_then(|s| s.missing.as_ref().map(|why| format!("Frame {} cannot be shown: {why}", s.frame)));
        let mut notes: Vec<String> = content.note.map(str::to_owned).into_iter().collect();
        notes.extend(self.standing());
        // With a timeline there is something to see without pictures.
        let plight = self.failure.clone().or_else(|| self.opening());
        let middle = if self.timeline.is_some() {
            notes.extend(plight);
            missing
        } else {
            plight.or(missing)
        };
        let words = content.words.or(middle.as_deref());
        let note = notes.join("\n");
        let note = (!note.is_empty()).then_some(note.as_str());
        let image = self.image.as_mut().filter(|_| self.shot.is_some());
        self.canvas.show(ui, Content { size, image, words, note, ..content })
    }

    /// How far the video is open, while it is not.
    fn opening(&self) -> Option<String> {
        match self.server.as_ref()?.state() {
            State::Opening { done, total: Some(total) } if total > 0 => {
                Some(format!("Reading the video… {} %", (done * 100 / total).min(100)))
            }
            State::Opening { .. } => Some("Reading the video…".to_owned()),
            State::Ready(_) | State::Failed(_) => None,
        }
    }

    /// What is to be known of the picture on the screen.
    fn standing(&self) -> Option<String> {
        if self.is_beyond() {
            return Some(format!("The video has no frame {}", self.cursor));
        }
        match &self.shot {
            Some(_) if self.is_playing() => return None,
            Some(s) if s.frame != self.cursor => return Some(format!("Frame {} is on its way", self.cursor)),
            Some(s) if !s.exact => {
                return Some("A quick preview; the exact picture is on its way".to_owned());
            }
            _ => {}
        }
        match self.server.as_ref().map(FrameServer::copy) {
            Some(Copy::Making { done, total }) if total > 0 => {
                Some(format!("Preparing quick jumps: {} %", done * 100 / total))
            }
            _ => None,
        }
    }

    /// Whether nothing more will come for the cursor: for tests and pictures of the window.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.path.is_none() || self.failure.is_some() || self.is_exact() || self.is_beyond()
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Player({:?}, frame {})", self.path, self.cursor)
    }
}

/// A video's frames per second, never 0.
fn rate(index: &Index) -> f64 {
    if index.fps() > 0.0 { index.fps() } else { USUAL_FPS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use eframe::egui;

    #[test]
    fn without_a_video_the_timeline_is_gone_through() {
        let mut player = Player::default();
        player.play(true);
        assert!(player.frames() == 0 && !player.is_playing());
        player.go_to(9); // before anything is known
        player.set_timeline(Timeline::new(5, Some([0.0, 0.5, 1.0, 4.0, 4.5].into())));
        egui::__run_test_ctx(|ctx| player.tick(ctx));
        assert_eq!((player.frame(), player.drawn(), player.shown()), (4, 4, None));
        assert_eq!([-1.0, 0.6, 3.9, 4.0, 99.0].map(|t| player.frame_at(t)), [0, 1, 2, 3, 4]);
        player.play(true);
        assert!(player.is_playing() && player.frame() == 0, "from the start again");
        // Times that are none, or not in order, are not gone by.
        for times in [[0.0, f64::NAN, 1.0], [0.0, 2.0, 1.0]] {
            assert!(Timeline::new(3, Some(times.into())).times.is_none());
        }
        assert_eq!(Timeline::new(300, None).at(2.0), 60);
    }

    #[test]
    fn frames_beyond_the_end_of_the_video_have_no_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m1.mp4");
        let mut writer = crate::video::Writer::create(&path, 64, 48, 25.0).unwrap();
        (0..3).try_for_each(|_| writer.write(&Picture::new(64, 48))).unwrap();
        writer.finish().unwrap();
        let mut player = Player::default();
        let wake: Wake = Arc::new(|| {});
        let until = |done: &dyn Fn(&Player) -> bool, player: &mut Player| {
            let began = Instant::now();
            while !done(player) {
                assert!(began.elapsed() < Duration::from_secs(60));
                std::thread::sleep(Duration::from_millis(2));
                egui::__run_test_ctx(|ctx| player.tick(ctx));
            }
        };
        egui::__run_test_ctx(|ctx| player.open(&path, &wake, ctx));
        player.set_timeline(Timeline::new(6, None));
        until(&|p| p.is_exact(), &mut player);
        assert_eq!((player.frames(), player.shown()), (6, Some(0)));
        player.go_to(5);
        assert_eq!(player.drawn(), 0, "what is drawn stays with the picture");
        until(&|p| p.shown().is_none(), &mut player);
        assert_eq!((player.frame(), player.drawn()), (5, 5));
        assert!(player.is_settled() && player.standing().unwrap().contains("no frame 5"));
        assert!(player.time_of(3) > player.time_of(2) && player.frame_at(player.time_of(4)) == 4);
        player.go_to(2);
        until(&|p| p.is_exact(), &mut player);
        assert_eq!(player.drawn(), 2);
    }
}
