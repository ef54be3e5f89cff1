//! What is seen of one training: its curves, its numbers, and frames with prediction against label.

use crate::error::{Error, Kind};
use crate::gui::Desk;
use crate::gui::status::lasting;
use crate::gui::theme::{Theme, card};
use crate::gui::widgets::curves::{Curve, Thinned, curves};
use crate::jobs::{Handle, Jobs, Wake};
use crate::picture::Picture;
use crate::pose::{FrameKey, Skeleton};
use crate::project::Project;
use crate::show;
use crate::train::session::{self, Options, Trained};
use crate::train::{BeganSeen, ExampleSeen, MeasuredSeen, Observer, Row, StepSeen};
use eframe::egui::{
    self, Align2, Color32, ColorImage, FontId, Rect, RichText, Sense, Stroke, TextureHandle, Vec2, pos2, vec2,
};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Curves, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    loss: Thinned,
    train: Vec<[f64; 2]>,
    test: Vec<[f64; 2]>,
}

impl History {
    /// From the log of a run.
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut history = Self::default();
        for row in rows {
            history.loss.push([steps(row.step), row.loss]);
            history.measured(row.step, row.train_px, row.test_px);
        }
        history
    }

    fn measured(&mut self, step: u64, train: Option<f64>, test: Option<f64>) {
        self.train.extend(train.map(|px| [steps(step), px]));
        self.test.extend(test.map(|px| [steps(step), px]));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.loss.points().is_empty() && self.test.is_empty()
    }

    /// Draws them side by side.
    pub(super) fn ui(&self, ui: &mut egui::Ui, id: &str) {
        let theme = Theme::of(ui);
        let loss = [Curve { name: "Loss", points: self.loss.points(), colour: theme.accent, dots: false }];
        let errors = [
            Curve { name: "Test frames", points: &self.test, colour: theme.warn, dots: true },
            Curve { name: "Training frames", points: &self.train, colour: theme.good, dots: true },
        ];
        ui.columns_const(|[left, right]| {
            curves(left, &format!("{id} loss"), "Loss", &loss, 190.0);
            curves(right, &format!("{id} errors"), "Error (px)", &errors, 190.0);
        });
    }
}

#[allow(clippy::cast_precision_loss)] // steps
fn steps(step: u64) -> f64 {
    step as f64
}

/// What the training thread tells and the window reads.
#[derive(Default)]
struct Told {
    version: u64,
    began: Option<BeganSeen>,
    last: Option<StepSeen>,
    history: History,
    examples: Vec<ExampleSeen>,
}

struct Watcher {
    told: Mutex<Told>,
    wake: Wake,
}

impl Watcher {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.told();
        change(&mut told);
        told.version += 1;
        drop(told);
        (self.wake)();
    }
}

impl Observer for Watcher {
    fn began(&self, seen: &BeganSeen) {
        self.tell(|told| {
            told.history = History::of(&seen.log);
            told.began = Some(seen.clone());
        });
    }

    fn step(&self, seen: &StepSeen) {
        self.tell(|told| {
            told.history.loss.push([steps(seen.step), seen.loss]);
            told.last = Some(*seen);
        });
    }

    fn measured(&self, seen: &MeasuredSeen) {
        self.tell(|told| {
            told.history.measured(seen.step, seen.train_px, seen.test_px);
            told.examples.clone_from(&seen.examples);
        });
    }
}

/// How a training ended.
enum Ended {
    Well(Box<Trained>),
    Stopped,
    Badly(String),
}

/// One training, running or ended, of this sitting.
pub(super) struct Run {
    /// The shuffle it is of.
    pub(super) shuffle: u32,
    handle: Handle<Trained>,
    watcher: Arc<Watcher>,
    version: u64,
    began: Option<BeganSeen>,
    last: Option<StepSeen>,
    history: History,
    examples: Examples,
    ended: Option<Ended>,
}

/// What a pass brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that changes files.
    None,
    /// The first step is about to be taken: splits are drawn and folders made.
    Began,
    /// It ended.
    Ended,
}

impl Run {
    /// Starts it.
    pub(super) fn start(desk: &mut Desk<'_>, options: Options) -> Self {
        let root = desk.open.project().root().to_path_buf();
        let watcher = Arc::new(Watcher { told: Mutex::default(), wake: Arc::clone(desk.wake) });
        let (inside, shuffle) = (Arc::clone(&watcher), options.shuffle);
        let title = if options.resume {
            format!("Going on with shuffle {shuffle}")
        } else {
            format!("Training shuffle {shuffle}")
        };
        let handle = desk.jobs.start(title, move |watch| {
            let mut project = Project::open(&root, watch)?;
            let done = session::train_seen(&mut project, &options, watch, Some(&*inside))?;
            // The model is there; a picture is no reason to call the training failed.
            if let Err(e) = show::learning_curve(&done.folder) {
                watch.warn(&format!("the learning curve was not drawn: {e}"));
            }
            Ok(done)
        });
        Self {
            shuffle,
            handle,
            watcher,
            version: 0,
            began: None,
            last: None,
            history: History::default(),
            examples: Examples::default(),
            ended: None,
        }
    }

    /// Whether it still runs.
    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Asks it to stop; all is kept.
    pub(super) fn stop(&self) {
        self.handle.stop();
    }

    /// Takes what has arrived.
    pub(super) fn poll(&mut self, jobs: &mut Jobs) -> News {
        let mut news = News::None;
        {
            let told = self.watcher.told();
            if told.version != self.version {
                self.version = told.version;
                if self.began.is_none() && told.began.is_some() {
                    news = News::Began;
                }
                self.began.clone_from(&told.began);
                self.last = told.last;
                self.history = told.history.clone();
                self.examples.set(&told.examples);
            }
        }
        if self.ended.is_none() {
            let ended = match self.handle.poll() {
                Some(Ok(done)) => Some(Ended::Well(Box::new(done))),
                Some(Err(e)) if e.kind() == Kind::Cancelled => Some(Ended::Stopped),
                Some(Err(e)) => Some(Ended::Badly(words(&e))),
                None if !self.handle.is_running()
                    && !matches!(self.handle.progress().state, crate::jobs::State::Done) =>
                {
                    // Its thread could not be started, which the list of jobs tells.
                    match self.handle.progress().state {
                        crate::jobs::State::Failed(text) => Some(Ended::Badly(text)),
                        _ => None,
                    }
                }
                None => None,
            };
            if ended.is_some() {
                self.ended = ended;
                news = News::Ended;
            }
        }
        self.examples.poll(jobs);
        news
    }

    /// Shows it.
    pub(super) fn ui(&mut self, ui: &mut egui::Ui, project: &Project) {
        self.state(ui);
        if !self.history.is_empty() {
            ui.add_space(8.0);
            self.history.ui(ui, "run");
        }
        let skeleton = self.began.as_ref().map_or_else(|| project.skeleton(), |b| b.skeleton.clone());
        self.examples.ui(ui, &skeleton, &show::style_of(&project.config));
    }

    fn state(&self, ui: &mut egui::Ui) {
        let theme = Theme::of(ui);
        if let Some(b) = &self.began {
            ui.label(format!(
                "{} from {}, on {} in {}. {} frames to train on, {} to test on, {} crops of {} px a step.",
                b.net, b.start, b.device, b.precision, b.train_frames, b.test_frames, b.batch, b.side
            ));
        }
        match &self.ended {
            None => self.progress(ui),
            Some(Ended::Well(done)) => {
                let o = &done.outcome;
                let time = lasting(Duration::from_secs_f64(o.seconds.max(0.0)));
                ui.label(
                    RichText::new(format!("Done: {} steps in {time}; {}.", o.steps, o.ended))
                        .color(theme.good)
                        .strong(),
                );
                if let Some(verdict) = &done.verdict {
                    ui.add(egui::Label::new(RichText::new(verdict).size(15.0)).wrap());
                }
            }
            Some(Ended::Stopped) => {
                let at = self.last.map_or_else(String::new, |s| format!(" at step {}", s.step));
                let words = if self.last.is_some() {
                    format!("Stopped{at}. The network as it was is kept; Resume goes on from here.")
                } else {
                    "Stopped before the first step; nothing was changed.".to_owned()
                };
                ui.label(RichText::new(words).color(theme.warn).strong());
            }
            Some(Ended::Badly(text)) => {
                ui.label(RichText::new("The training failed.").color(theme.bad).strong());
                ui.add(egui::Label::new(text).wrap());
                if self.last.is_some() {
                    ui.weak("What was measured and saved before is kept.");
                }
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // a progress bar
    fn progress(&self, ui: &mut egui::Ui) {
        let p = self.handle.progress();
        let Some(last) = &self.last else {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(match p.stage.as_str() {
                    "" => "Getting ready…".to_owned(),
                    "train" => "Taking the first step…".to_owned(),
                    stage => format!("Getting ready: {stage}…"),
                });
            });
            return;
        };
        let share = last.step as f32 / last.total.max(1) as f32;
        let words = format!("Step {} of {}", last.step, last.total);
        let bar = egui::ProgressBar::new(share.clamp(0.0, 1.0)).desired_height(20.0).text(words.clone());
        ui.add(bar).accessible_name(words);
        ui.horizontal_wrapped(|ui| {
            ui.strong(format!("{:.1} images/s", last.images_per_s));
            ui.label(format!("running for {}", lasting(Duration::from_secs_f64(last.seconds.max(0.0)))));
            match last.seconds_left.filter(|s| s.is_finite() && *s < 1e7) {
                Some(left) => ui.label(format!("{} left", lasting(Duration::from_secs_f64(left.max(0.0))))),
                None => ui.label("time left not known yet"),
            };
            if last.loss.is_finite() {
                ui.label(format!("loss {:.4}", last.loss));
            }
            if p.stopping {
                ui.label("stopping after this step…");
            }
        });
    }
}

fn words(e: &Error) -> String {
    e.to_string()
}

/// Example frames with their pictures, which come from a thread.
#[derive(Default)]
struct Examples {
    list: Vec<ExampleSeen>,
    pictures: HashMap<FrameKey, Small>,
    reading: Option<Handle<Vec<(FrameKey, Read)>>>,
}

/// A picture of at most [`SIDE`] pixels with the size of the whole one, or why there is none.
type Read = Result<(ColorImage, Vec2), String>;

enum Small {
    /// A picture of at most [`SIDE`] pixels, and the size of the whole one.
    Read(ColorImage, Vec2),
    Shown(TextureHandle, Vec2),
    Failed(String),
}

/// Longest side of the pictures that are kept for the examples.
const SIDE: u32 = 960;
/// Side of an example on the screen.
const SHOWN: f32 = 210.0;
const KEPT: usize = 24;

impl Examples {
    fn set(&mut self, list: &[ExampleSeen]) {
        if self.list != list {
            self.list = list.to_vec();
            if self.pictures.len() > KEPT {
                let list = &self.list;
                self.pictures.retain(|key, _| list.iter().any(|e| e.key == *key));
            }
        }
    }

    fn poll(&mut self, jobs: &mut Jobs) {
        if let Some(result) = self.reading.as_mut().and_then(Handle::poll) {
            self.reading = None;
            for (key, read) in result.unwrap_or_default() {
                self.pictures.insert(
                    key,
                    match read {
                        Ok((image, size)) => Small::Read(image, size),
                        Err(e) => Small::Failed(e),
                    },
                );
            }
        }
        let wanted: Vec<(FrameKey, PathBuf)> = self
            .list
            .iter()
            .filter(|e| !self.pictures.contains_key(&e.key))
            .map(|e| (e.key.clone(), e.path.clone()))
            .collect();
        if self.reading.is_none() && !wanted.is_empty() {
            self.reading = Some(jobs.start_quiet("Reading example frames", move |_| {
                let read = |path: &Path| Picture::load(path).map(small).map_err(|e| e.what().to_owned());
                Ok(wanted.into_iter().map(|(key, path)| (key, read(&path))).collect())
            }));
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, skeleton: &Skeleton, style: &crate::draw::Style) {
        if self.list.is_empty() {
            return;
        }
        ui.add_space(8.0);
        let held_out = self.list.iter().any(|e| e.held_out);
        ui.label(RichText::new(if held_out { "Test frames" } else { "Training frames" }).strong());
        ui.weak("Rings are labels, crosses are what the network finds. The worst frames come first.");
        ui.horizontal_wrapped(|ui| {
            for e in &self.list {
                let picture = self.pictures.get_mut(&e.key);
                if let Some(Small::Read(image, size)) = picture {
                    let texture =
                        ui.ctx().load_texture(e.key.to_string(), image.clone(), egui::TextureOptions::LINEAR);
                    let shown = Small::Shown(texture, *size);
                    self.pictures.insert(e.key.clone(), shown);
                }
                example(ui, e, self.pictures.get(&e.key), skeleton, style);
            }
        });
    }
}

/// Shrinks a picture for the screen; with the size it had.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // pixels
fn small(picture: Picture) -> (ColorImage, Vec2) {
    let (w, h) = (picture.width(), picture.height());
    let size = vec2(w as f32, h as f32);
    let full = image::RgbImage::from_raw(w as u32, h as u32, picture.into_rgb()).unwrap_or_default();
    let longest = full.width().max(full.height()).max(1);
    if longest <= SIDE {
        return (ColorImage::from_rgb([full.width() as usize, full.height() as usize], full.as_raw()), size);
    }
    let to = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as u32;
    let less = image::imageops::thumbnail(&full, to(full.width()), to(full.height()));
    (ColorImage::from_rgb([less.width() as usize, less.height() as usize], less.as_raw()), size)
}

/// One frame, cut out around the animal.
#[allow(clippy::cast_possible_truncation)] // pixels
fn example(
    ui: &mut egui::Ui,
    e: &ExampleSeen,
    picture: Option<&Small>,
    skeleton: &Skeleton,
    style: &crate::draw::Style,
) {
    let theme = Theme::of(ui);
    ui.vertical(|ui| {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(SHOWN), Sense::hover());
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, 4.0, theme.canvas);
        let error = e.error_px.map_or_else(|| "no label".to_owned(), |px| format!("{px:.1} px off"));
        let name = format!(
            "{}/{}: {error}{}",
            e.key.video,
            e.key.image,
            if e.worst { ", among the worst" } else { "" }
        );
        let message = |words: &str| {
            painter.text(rect.center(), Align2::CENTER_CENTER, words, FontId::proportional(12.0), theme.weak);
        };
        match picture {
            Some(Small::Shown(texture, size)) => {
                let view = around(e, *size);
                let scale = rect.width() / view.width().max(1.0);
                let there = view.intersect(Rect::from_min_size(pos2(0.0, 0.0), *size));
                let uv = Rect::from_min_max(
                    (there.min.to_vec2() / *size).to_pos2(),
                    (there.max.to_vec2() / *size).to_pos2(),
                );
                let place =
                    Rect::from_min_size(rect.min + (there.min - view.min) * scale, there.size() * scale);
                painter.image(texture.id(), place, uv, Color32::WHITE);
                let at =
                    |p: crate::pose::Keypoint| rect.min + (pos2(p.x as f32, p.y as f32) - view.min) * scale;
                for (i, (label, found)) in e.label.iter().zip(&e.predicted).enumerate() {
                    let [r, g, b] = style.colour(skeleton, i);
                    let colour = Color32::from_rgb(r, g, b);
                    let label = label.map(at);
                    if let Some(at) = label {
                        painter.circle_stroke(at, 5.0, Stroke::new(3.0, Color32::from_black_alpha(140)));
                        painter.circle_stroke(at, 5.0, Stroke::new(1.6, colour));
                    }
                    let Some((found, _)) = found else { continue };
                    let found = at(*found);
                    if let Some(label) = label {
                        painter.line_segment([label, found], Stroke::new(1.0, colour));
                    }
                    for d in [vec2(4.0, 4.0), vec2(4.0, -4.0)] {
                        painter.line_segment(
                            [found - d, found + d],
                            Stroke::new(3.0, Color32::from_black_alpha(140)),
                        );
                        painter.line_segment([found - d, found + d], Stroke::new(1.6, colour));
                    }
                }
            }
            Some(Small::Failed(why)) => message(why),
            Some(Small::Read(..)) | None => message("Loading…"),
        }
        let response = response.accessible_name(name.clone());
        response.on_hover_ui(|ui| {
            ui.label(name);
            for (i, (label, found)) in e.label.iter().zip(&e.predicted).enumerate() {
                if let (Some(label), Some((found, likelihood)), Some(point)) =
                    (label, found, skeleton.point(i))
                {
                    ui.label(format!(
                        "{}: {:.1} px off, likelihood {likelihood:.2}",
                        super::results::title_of(point),
                        label.distance(*found)
                    ));
                }
            }
        });
        let words = format!("{} · {error}", e.key.image);
        let colour = if e.worst { theme.warn } else { theme.weak };
        ui.add(egui::Label::new(RichText::new(words).size(11.5).color(colour)).truncate());
    });
}

/// The square of the picture around labels and predictions, with room beside them; the whole where there are none.
#[allow(clippy::cast_possible_truncation)] // pixels
fn around(e: &ExampleSeen, size: Vec2) -> Rect {
    let mut seen = Rect::NOTHING;
    let labels: Vec<_> = e.label.iter().flatten().copied().collect();
    for p in &labels {
        seen.extend_with(pos2(p.x as f32, p.y as f32));
    }
    let reach = f64::from(seen.width().max(seen.height())).max(48.0);
    // A prediction far away would make the animal a dot; the line to it leaves the view then.
    for (p, _) in e.predicted.iter().flatten() {
        if labels.is_empty() || labels.iter().any(|l| l.distance(*p) < reach) {
            seen.extend_with(pos2(p.x as f32, p.y as f32));
        }
    }
    if !seen.is_finite() {
        seen = Rect::from_min_size(pos2(0.0, 0.0), size);
    }
    let side = (seen.width().max(seen.height()) * 1.4).clamp(64.0, size.x.max(size.y).max(64.0));
    Rect::from_center_size(seen.center(), Vec2::splat(side))
}

/// The table of an evaluation, by body part.
pub(super) fn table(ui: &mut egui::Ui, report: &crate::train::Report) {
    let px = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let row = |ui: &mut egui::Ui, name: &str, s: &crate::train::Summary, strong: bool| {
        let text = |words: String| if strong { RichText::new(words).strong() } else { RichText::new(words) };
        ui.label(text(name.to_owned()));
        for cell in [
            s.n_points.to_string(),
            px(s.mean_error_px),
            px(s.median_error_px),
            px(s.p95_error_px),
            px(s.mean_error_px_pcutoff),
        ] {
            ui.label(text(cell));
        }
        ui.end_row();
    };
    egui::ScrollArea::horizontal().id_salt("evaluation").show(ui, |ui| {
        egui::Grid::new("errors by body part").num_columns(6).striped(true).spacing([18.0, 4.0]).show(
            ui,
            |ui| {
                for head in [
                    "Body part",
                    "Points",
                    "Mean (px)",
                    "Half within (px)",
                    "95 % within (px)",
                    "Mean of sure points (px)",
                ] {
                    ui.weak(head);
                }
                ui.end_row();
                row(ui, "All, test frames", &report.test, true);
                row(ui, "All, training frames", &report.train, true);
                let parts: &BTreeMap<String, crate::train::Summary> = &report.per_bodypart;
                for (name, summary) in parts {
                    row(ui, name, summary, false);
                }
            },
        );
    });
}

/// A card as wide as there is room.
pub(super) fn wide(ui: &mut egui::Ui, title: &str, inside: impl FnOnce(&mut egui::Ui)) {
    card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.label(RichText::new(title).strong());
        inside(ui);
    });
}
