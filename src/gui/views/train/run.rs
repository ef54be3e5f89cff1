//! What is seen of one training: its curves, its numbers, and frames with prediction against label.

use super::examples::Examples;
use crate::error::Kind;
use crate::gui::Desk;
use crate::gui::lock;
use crate::gui::theme::Theme;
use crate::gui::widgets::curves::{Curve, Thinned, curves};
use crate::gui::widgets::words::{lasting, left};
use crate::jobs::{Handle, Jobs, Wake};
use crate::project::Project;
use crate::show;
use crate::train::session::{self, Options, Trained};
use crate::train::{
    BeganSeen, Coverage, ExampleSeen, MeasuredSeen, Observer, Row, StepSeen, TrainedEnsemble, train_ensemble,
};
use eframe::egui::{self, RichText};
use std::sync::{Arc, Mutex, MutexGuard};

/// Curves, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    loss: Thinned,
    train: Vec<[f64; 2]>,
    test: Vec<[f64; 2]>,
}

impl History {
    /// From the log of a run.
    pub fn of(rows: &[Row]) -> Self {
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

    pub fn is_empty(&self) -> bool {
        self.loss.points().is_empty() && self.test.is_empty()
    }

    /// Draws them side by side.
    pub fn ui(&self, ui: &mut egui::Ui, id: &str) {
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
        lock(&self.told)
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
            (told.last, told.examples) = (None, Vec::new()); // of the network before
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

/// What came of a training, in words.
struct Done {
    words: String,
    verdict: Option<String>,
}

impl Done {
    fn one(done: Trained) -> Self {
        let o = &done.outcome;
        let words = format!("Done: {} steps in {}; {}.", o.steps, lasting(o.seconds), o.ended);
        Self { words, verdict: done.verdict }
    }

    fn ensemble(done: &TrainedEnsemble) -> Self {
        let seconds = done.members.iter().map(|m| m.outcome.seconds).sum();
        let mut words = format!("Done: {} networks in {}", done.members.len(), lasting(seconds));
        if let Some(px) = done.test_px {
            words += &format!("; together {px:.2} px off on test frames");
        }
        let verdict = done.coverage.as_ref().map(Coverage::words);
        Self { words: words + ".", verdict }
    }
}

/// How a training ended.
enum Ended {
    Well(Done),
    Stopped,
    Badly(String),
}

/// One training, running or ended, of this sitting.
pub(super) struct Run {
    /// The shuffle it is of.
    pub shuffle: u32,
    handle: Handle<Done>,
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
    /// Starts it, of one network or of an ensemble.
    pub fn start(desk: &mut Desk<'_>, options: Options, members: usize) -> Self {
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
            if members > 1 {
                let done = train_ensemble(&mut project, &options, members, watch, Some(&*inside))?;
                return Ok(Done::ensemble(&done));
            }
            let done = session::train_seen(&mut project, &options, watch, Some(&*inside))?;
            // The model is there; a picture is no reason to call the training failed.
            if let Err(e) = show::learning_curve(&done.folder) {
                watch.warn(&format!("the learning curve was not drawn: {e}"));
            }
            Ok(Done::one(done))
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
    pub fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Asks it to stop; all is kept.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Takes what has arrived.
    pub fn poll(&mut self, jobs: &mut Jobs) -> News {
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
                Some(Ok(done)) => Some(Ended::Well(done)),
                Some(Err(e)) if e.kind() == Kind::Cancelled => Some(Ended::Stopped),
                Some(Err(e)) => Some(Ended::Badly(e.to_string())),
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
    pub fn ui(&mut self, ui: &mut egui::Ui, project: &Project) {
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
            let (member, count) = b.member;
            if count > 1 {
                ui.strong(format!("Network {member} of {count}"));
            }
            ui.label(format!(
                "{} from {}, on {} in {}. {} frames to train on, {} to test on, {} crops of {} px a step.",
                b.net, b.start, b.device, b.precision, b.train_frames, b.test_frames, b.batch, b.side
            ));
        }
        match &self.ended {
            None => self.progress(ui),
            Some(Ended::Well(done)) => {
                ui.label(RichText::new(&done.words).color(theme.good).strong());
                if let Some(verdict) = &done.verdict {
                    ui.add(egui::Label::new(RichText::new(verdict).size(15.0)).wrap());
                }
            }
            Some(Ended::Stopped) => {
                let at = self.last.map_or_else(String::new, |s| format!(" at step {}", s.step));
                let words = if self.last.is_some() {
                    format!("Stopped{at}. The network as it was is kept; Resume goes on from here.")
                } else if self.began.as_ref().is_some_and(|b| b.member.0 > 1) {
                    "Stopped. The networks that are done are kept; Resume goes on from here.".to_owned()
                } else {
                    "Stopped before the first step; a model that was here before is kept.".to_owned()
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
            ui.label(format!("running for {}", lasting(last.seconds)));
            ui.label(left(last.seconds_left).unwrap_or_else(|| "time left not known yet".to_owned()));
            if last.loss.is_finite() {
                ui.label(format!("loss {:.4}", last.loss));
            }
            if p.stopping {
                ui.label("stopping after this step…");
            }
        });
    }
}
