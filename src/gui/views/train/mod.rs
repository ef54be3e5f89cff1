//! Training and evaluation: what to train, how it goes, and what came of it.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the view: what lies on disk, and the buttons of the training |
//! | `form.rs` | what is to be trained |
//! | `run.rs` | one training of this sitting: its curves and numbers |
//! | `examples.rs` | its example frames, prediction against label |
//! | `evaluation.rs` | a model measured on every frame of its split |

mod evaluation;
mod examples;
mod form;
mod run;

use super::choices::devices;
use crate::error::Result;
use crate::gui::Desk;
use crate::gui::keys::Action;
use crate::gui::theme::{Theme, primary_if};
use crate::gui::widgets::controls::titled_card;
use crate::gui::widgets::words::date;
use crate::jobs::Handle;
use crate::net::{Entry, device, registry, weights::Cache};
use crate::project::Project;
use crate::train::session::{Options, Start};
use crate::train::{ModelFacts, Row, history, models};
use crate::watch::Watch;
use eframe::egui::{self, RichText};
use evaluation::Evaluating;
use form::Form;
use run::{History, News, Run};
use std::path::Path;

/// The view Train.
#[derive(Default)]
pub struct TrainView {
    form: Form,
    facts: Option<Facts>,
    asking: Option<Handle<Facts>>,
    revision: u64,
    /// The pass in which it was shown last.
    shown: u64,
    run: Option<Run>,
    evaluating: Evaluating,
}

/// What lies on disk and what the machine offers, as a job found it.
struct Facts {
    models: Vec<ModelFacts>,
    logs: Vec<(u32, Vec<Row>, History)>,
    /// Every network, and whether its weights are on this machine.
    nets: Vec<(&'static Entry, bool)>,
    default_net: String,
    devices: Vec<(String, String)>,
}

impl Facts {
    fn read(root: &Path, watch: &dyn Watch) -> Result<Self> {
        let project = Project::open(root, watch)?;
        let models = models(&project)?;
        let cache = Cache::of_user().ok();
        let nets: Vec<_> =
            registry()?.iter().map(|e| (e, cache.as_ref().is_some_and(|c| c.has(e)))).collect();
        let logs = models
            .iter()
            .filter_map(|m| {
                // A log that cannot be read leaves its curves away; the model itself tells of problems.
                let rows = history(&m.folder).ok().filter(|rows| !rows.is_empty())?;
                Some((m.shuffle, rows.clone(), History::of(&rows)))
            })
            .collect();
        let here = |net: &str| nets.iter().any(|(e, here)| e.net == net && *here);
        let usual = &project.config.default_net_type;
        // Without a GPU the small network is the right one, all the more where the usual one would have to be fetched.
        let small = device::facts().gpus.is_empty() && !here(usual) && here(SMALL);
        let default_net = project
            .settings
            .default_net
            .clone()
            .or_else(|| models.iter().rev().find_map(|m| m.net.clone()))
            .unwrap_or_else(|| if small { SMALL.to_owned() } else { usual.clone() });
        Ok(Self { models, logs, nets, default_net, devices: devices() })
    }
}

/// The network that trains on a processor in minutes.
const SMALL: &str = "efficientnet_lite0";

impl TrainView {
    /// Takes what jobs and threads have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        if self.revision != desk.open.revision {
            self.revision = desk.open.revision;
            self.ask(desk);
        }
        if let Some(result) = self.asking.as_mut().and_then(Handle::poll) {
            self.asking = None;
            if let Ok(facts) = result {
                self.take(facts);
            }
        }
        if let Some(run) = &mut self.run {
            let news = run.poll(desk.jobs);
            if news == News::Ended {
                self.evaluating.forget();
            }
            if news != News::None {
                let none_before = self.facts.as_ref().is_none_or(|f| f.models.is_empty());
                if none_before {
                    // A split was drawn, which config.yaml mentions.
                    desk.open.refresh(desk.jobs);
                } else {
                    self.ask(desk);
                }
            }
        }
        self.evaluating.poll(desk);
        self.form.poll(desk);
    }

    fn ask(&mut self, desk: &mut Desk<'_>) {
        let root = desk.open.project().root().to_path_buf();
        self.asking = Some(desk.jobs.start_quiet("Looking at the models", move |w| Facts::read(&root, w)));
    }

    fn take(&mut self, facts: Facts) {
        if self.form.net.is_empty() || !facts.nets.iter().any(|(e, _)| e.net == self.form.net) {
            self.form.net.clone_from(&facts.default_net);
        }
        let known = self.facts.as_ref().map_or(0, |f| f.models.len());
        if let Some(newest) = facts.models.last().filter(|_| known != 0 && facts.models.len() > known) {
            self.form.shuffle = newest.shuffle; // just drawn
        } else if !facts.models.iter().any(|m| m.shuffle == self.form.shuffle) {
            self.form.shuffle = facts.models.first().map_or(1, |m| m.shuffle);
        }
        self.facts = Some(facts);
    }

    fn model(&self) -> Option<&ModelFacts> {
        self.facts.as_ref()?.models.iter().find(|m| m.shuffle == self.form.shuffle)
    }

    fn running(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_running)
    }

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        // Another view, or another program, may have changed splits or models since.
        let pass = ui.ctx().cumulative_pass_nr();
        if pass > self.shown + 1 && self.facts.is_some() && self.asking.is_none() {
            self.ask(desk);
        }
        self.shown = pass;
        if self.facts.is_none() {
            egui::CentralPanel::default().show(ui, |ui| {
                ui.spinner();
                ui.label("Looking at the models and at this machine…");
            });
            return;
        }
        egui::Panel::left("what to train").default_size(440.0).min_size(320.0).show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.heading("What to train");
                if let Some(facts) = &self.facts {
                    self.form.ui(ui, desk, facts);
                }
            });
        });
        egui::CentralPanel::default().show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.set_max_width(ui.available_width().min(1100.0));
                titled_card(ui, "Training", |ui| self.training(ui, desk));
                ui.add_space(10.0);
                titled_card(ui, "Evaluation", |ui| {
                    let (model, training) = (self.model().cloned(), self.running());
                    self.evaluating.ui(ui, desk, self.form.shuffle, model.as_ref(), training);
                });
                ui.add_space(16.0);
            });
        });
    }

    fn training(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let model = self.model().cloned();
        let labeled = desk.open.labels.labels().labeled_frames().count();
        let running = self.running();
        let resumable = model.as_ref().is_some_and(|m| m.resumable);
        let trained = model.as_ref().is_some_and(|m| m.net.is_some());
        let net_known =
            self.facts.as_ref().is_some_and(|f| f.nets.iter().any(|(e, _)| e.net == self.form.net));
        ui.horizontal(|ui| {
            let good = !running && labeled >= 2 && net_known;
            let words = if trained { "Train again" } else { "Start training" };
            let start = primary_if(ui, good, words);
            let start = if trained {
                start.on_hover_text("The model of this shuffle is replaced; draw a new split to keep it")
            } else {
                start
            };
            // A key alone replaces no model.
            if start.clicked() || good && !trained && desk.fired.has(Action::MainStep) {
                let options = self.form.options(desk.prefs.device.clone());
                self.start(desk, options, self.form.members());
            }
            if ui
                .add_enabled(!running && resumable, egui::Button::new("Resume"))
                .on_hover_text("Go on exactly where it stopped, with the settings of then")
                .clicked()
                && let Some(model) = &model
            {
                let options = Options {
                    shuffle: model.shuffle,
                    net: model.net.clone(),
                    device: desk.prefs.device.clone(),
                    precision: model.precision,
                    start: if model.pretrained { Start::Pretrained } else { Start::Random },
                    seed: Some(model.seed),
                    resume: true,
                    ..Options::default()
                };
                self.start(desk, options, model.members);
            }
            if ui
                .add_enabled(running, egui::Button::new("Stop training"))
                .on_hover_text("Everything so far is kept, and can be resumed")
                .clicked()
                && let Some(run) = &self.run
            {
                run.stop();
            }
            if labeled < 2 {
                ui.weak("Label at least 2 frames first; 20 to 200 are usual.");
            }
        });
        ui.add_space(6.0);
        // A run of this sitting is shown while it runs, and after it for its own shuffle.
        match &mut self.run {
            Some(run) if run.is_running() || run.shuffle == self.form.shuffle => {
                run.ui(ui, desk.open.project());
            }
            _ => self.past(ui, model.as_ref()),
        }
    }

    /// What the disk has of this shuffle.
    fn past(&self, ui: &mut egui::Ui, model: Option<&ModelFacts>) {
        let theme = Theme::of(ui);
        let Some(model) = model else {
            ui.weak("No split was drawn yet; the first training draws one.");
            return;
        };
        if let Some(problem) = &model.problem {
            ui.label(RichText::new(problem).color(theme.bad));
        }
        let Some(net) = &model.net else {
            ui.weak("Nothing was trained on this split yet.");
            return;
        };
        let (done, total) = model.steps;
        let how = if model.members > 1 && model.resumable {
            format!("an ensemble of {} that was stopped; Resume goes on from here", model.members)
        } else if model.members > 1 {
            format!("an ensemble of {}, complete", model.members)
        } else if model.complete {
            format!("complete, {done} steps")
        } else if model.resumable {
            format!("stopped at step {done} of {total}; Resume goes on from here")
        } else {
            format!("{done} steps")
        };
        let error =
            model.test_px.map_or_else(String::new, |px| format!(" Error on test frames: {px:.2} px."));
        let when = model.created.as_deref().map_or_else(String::new, |c| format!(" Written {}.", written(c)));
        ui.label(format!("{net}: {how}.{error}{when}"));
        if let Some((_, _, curves)) =
            self.facts.iter().flat_map(|f| &f.logs).find(|(s, ..)| *s == model.shuffle)
        {
            curves.ui(ui, "past");
        }
    }

    fn start(&mut self, desk: &mut Desk<'_>, options: Options, members: usize) {
        desk.open.labels.save(); // what was labelled a moment ago is trained on
        self.run = Some(Run::start(desk, options, members));
    }
}

/// When a model was written, from its card.
fn written(created: &str) -> String {
    created.parse::<jiff::Timestamp>().map_or_else(|_| created.to_owned(), |t| date(t.into()))
}
