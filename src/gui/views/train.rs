//! Training and evaluation: what to train, how it goes, and what came of it.

use super::train_run::{History, News, Run, table, wide};
use crate::error::Result;
use crate::gui::Desk;
use crate::gui::dialogs::Ask;
use crate::gui::keys::Action;
use crate::gui::theme::{Theme, primary_if};
use crate::jobs::Handle;
use crate::net::{Entry, Precision, device, registry, weights::Cache};
use crate::project::{LabelStore, Project, SplitRequest, Splits};
use crate::show;
use crate::train::session::{self, EvaluateOptions, Options, Start};
use crate::train::{ModelFacts, Report, Row, history, models};
use crate::watch::Watch;
use eframe::egui::{self, RichText};
use std::path::PathBuf;

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
    evaluating: Option<Handle<Evaluation>>,
    evaluation: Option<Evaluation>,
}

/// What is asked for.
struct Form {
    /// Empty for the project's own.
    net: String,
    shuffle: u32,
    limit: Limit,
    minutes: f64,
    steps: u64,
    init: Init,
    weights: String,
    precision: Option<Precision>,
    seed: u64,
    /// The split to draw.
    percent: u32,
    split_seed: u64,
    by_video: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Recipe,
    Minutes,
    Steps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Init {
    ImageNet,
    Random,
    File,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            net: String::new(),
            shuffle: 1,
            limit: Limit::Recipe,
            minutes: 30.0,
            steps: 1000,
            init: Init::ImageNet,
            weights: String::new(),
            precision: None,
            seed: 0,
            percent: 95,
            split_seed: 0,
            by_video: false,
        }
    }
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
    fn read(root: &std::path::Path, watch: &dyn Watch) -> Result<Self> {
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

/// The devices of this machine: what `--device` calls them, and what they are in words.
pub(super) fn devices() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for wish in ["auto", "cpu"] {
        if let Ok((_, words)) = device::choose(wish) {
            let words = if wish == "auto" { format!("The best there is: {words}") } else { words };
            all.push((wish.to_owned(), words));
        }
    }
    all.extend(device::facts().gpus.into_iter().enumerate().map(|(i, words)| (format!("cuda:{i}"), words)));
    all
}

/// What came of an evaluation.
struct Evaluation {
    shuffle: u32,
    scorer: String,
    device: String,
    verdict: String,
    report: Report,
    folder: PathBuf,
}

const WEIGHTS: &str = "train: weights";

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
                self.evaluation = None;
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
        if let Some(result) = self.evaluating.as_mut().and_then(Handle::poll) {
            self.evaluating = None;
            if let Ok(evaluation) = result {
                desk.notices.note(format!("Evaluated shuffle {}.", evaluation.shuffle));
                self.evaluation = Some(evaluation);
            }
        }
        if let Some(paths) = desk.dialogs.take(WEIGHTS)
            && let Some(path) = paths.first()
        {
            self.form.weights = path.display().to_string();
            self.form.init = Init::File;
        }
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
                self.choose(ui, desk);
            });
        });
        egui::CentralPanel::default().show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.set_max_width(ui.available_width().min(1100.0));
                wide(ui, "Training", |ui| self.training(ui, desk));
                ui.add_space(10.0);
                wide(ui, "Evaluation", |ui| self.evaluation(ui, desk));
                ui.add_space(16.0);
            });
        });
    }

    fn choose(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let Some(facts) = &self.facts else { return };
        let form = &mut self.form;
        egui::Grid::new("training").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
            let label = ui.label("Network");
            ui.vertical(|ui| {
                ui.set_max_width(310.0);
                let combo = egui::ComboBox::from_id_salt("network").width(290.0).selected_text(&form.net);
                let combo = combo.show_ui(ui, |ui| {
                    for (entry, here) in &facts.nets {
                        let weights = if *here { "weights are here" } else { "weights not here yet" };
                        let words = format!("{}: {} ({weights})", entry.net, entry.about);
                        ui.selectable_value(&mut form.net, entry.net.clone(), words);
                    }
                });
                combo.response.labelled_by(label.id);
                if let Some((entry, here)) = facts.nets.iter().find(|(e, _)| e.net == form.net) {
                    ui.weak(format!("{}; {} million numbers to learn.", entry.about, millions(entry.parameters)));
                    if !here && form.init == Init::ImageNet {
                        let theme = Theme::of(ui);
                        let words = if entry.url.is_some() {
                            "Its ImageNet weights are not on this machine; they are downloaded when training starts."
                        } else {
                            "Its ImageNet weights are not on this machine; the set-up script gets them, or begin from a file or random weights."
                        };
                        ui.label(RichText::new(words).color(theme.warn));
                    }
                } else {
                    let theme = Theme::of(ui);
                    ui.label(
                        RichText::new(format!("limn has no network `{}`; choose one of the list.", form.net))
                            .color(theme.warn),
                    );
                }
            });
            ui.end_row();

            let label = ui.label("Split");
            ui.vertical(|ui| split(ui, desk, form, facts, label.id));
            ui.end_row();

            ui.label("Length");
            ui.vertical(|ui| {
                ui.radio_value(&mut form.limit, Limit::Recipe, "As the recipe says");
                ui.horizontal(|ui| {
                    ui.radio_value(&mut form.limit, Limit::Minutes, "Minutes");
                    let minutes =
                        egui::DragValue::new(&mut form.minutes).range(0.1..=100_000.0).speed(0.5).suffix(" min");
                    if ui.add(minutes).accessible_name("Minutes to train").changed() {
                        form.limit = Limit::Minutes;
                    }
                });
                ui.horizontal(|ui| {
                    ui.radio_value(&mut form.limit, Limit::Steps, "Steps");
                    let steps = egui::DragValue::new(&mut form.steps).range(1..=10_000_000).speed(10.0);
                    if ui.add(steps).accessible_name("Steps to train").changed() {
                        form.limit = Limit::Steps;
                    }
                });
            });
            ui.end_row();

            device_choice(ui, &facts.devices, &mut desk.prefs.device);
            ui.end_row();
        });
        ui.collapsing("More", |ui| more(ui, desk, form));
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
            if start.clicked() || good && desk.fired.has(Action::MainStep) {
                let options = self.options(desk);
                self.start(desk, options);
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
                    seed: model.seed,
                    resume: true,
                    max_minutes: (self.form.limit == Limit::Minutes).then_some(self.form.minutes),
                    ..Options::default()
                };
                self.start(desk, options);
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
        let how = if model.complete {
            format!("complete, {done} steps")
        } else if model.resumable {
            format!("stopped at step {done} of {total}; Resume goes on from here")
        } else {
            format!("{done} steps")
        };
        let error =
            model.test_px.map_or_else(String::new, |px| format!(" Error on test frames: {px:.2} px."));
        let when = model.created.as_deref().map_or_else(String::new, |c| format!(" Written {}.", date(c)));
        ui.label(format!("{net}: {how}.{error}{when}"));
        if let Some((_, _, curves)) =
            self.facts.iter().flat_map(|f| &f.logs).find(|(s, ..)| *s == model.shuffle)
        {
            curves.ui(ui, "past");
        }
    }

    fn options(&self, desk: &Desk<'_>) -> Options {
        let form = &self.form;
        Options {
            shuffle: form.shuffle,
            net: Some(form.net.clone()),
            device: desk.prefs.device.clone(),
            precision: form.precision,
            start: match form.init {
                Init::ImageNet => Start::Pretrained,
                Init::Random => Start::Random,
                Init::File => Start::File(PathBuf::from(form.weights.trim())),
            },
            max_minutes: (form.limit == Limit::Minutes).then_some(form.minutes),
            steps: (form.limit == Limit::Steps).then_some(form.steps),
            seed: form.seed,
            ..Options::default()
        }
    }

    fn start(&mut self, desk: &mut Desk<'_>, options: Options) {
        desk.open.labels.save(); // what was labelled a moment ago is trained on
        self.run = Some(Run::start(desk, options));
    }

    fn evaluation(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let model = self.model().filter(|m| m.model.is_some()).cloned();
        let idle = self.evaluating.is_none();
        ui.horizontal(|ui| {
            let button =
                ui.add_enabled(idle && model.is_some() && !self.running(), egui::Button::new("Evaluate"));
            if button
                .on_hover_text(
                    "Measures every frame of the split, by body part, and draws label against prediction",
                )
                .clicked()
                && let Some(model) = &model
            {
                let root = desk.open.project().root().to_path_buf();
                let (shuffle, device) = (model.shuffle, desk.prefs.device.clone());
                let title = format!("Evaluating shuffle {shuffle}");
                self.evaluating =
                    Some(desk.jobs.start(title, move |watch| evaluate(&root, shuffle, device, watch)));
            }
            if let Some(job) = &self.evaluating {
                let p = job.progress();
                ui.spinner();
                ui.label(
                    p.total.map_or_else(|| "evaluating…".to_owned(), |t| format!("{} of {t} frames", p.done)),
                );
            } else if model.is_none() {
                ui.weak("Train a network first.");
            }
        });
        if let Some(e) = self.evaluation.as_ref().filter(|e| e.shuffle == self.form.shuffle) {
            ui.add(egui::Label::new(RichText::new(&e.verdict).size(15.0)).wrap());
            ui.weak(format!("{} on {}", e.scorer, e.device));
            table(ui, &e.report);
            ui.weak(format!("Tables and pictures are in {}", e.folder.display()));
        }
    }
}

/// Choosing a split, and drawing another.
fn split(ui: &mut egui::Ui, desk: &mut Desk<'_>, form: &mut Form, facts: &Facts, label: egui::Id) {
    ui.set_max_width(310.0);
    let chosen = facts.models.iter().find(|m| m.shuffle == form.shuffle);
    let text = chosen.map_or_else(|| "drawn at the start".to_owned(), title);
    let combo =
        egui::ComboBox::from_id_salt("split").width(290.0).truncate().selected_text(text).show_ui(ui, |ui| {
            for m in &facts.models {
                ui.selectable_value(&mut form.shuffle, m.shuffle, title(m));
            }
        });
    combo.response.labelled_by(label);
    if let Some(m) = chosen {
        let used = m.frames.0 + m.frames.1;
        let labeled = desk.open.labels.labels().labeled_frames().count();
        if labeled > used {
            let theme = Theme::of(ui);
            let words =
                format!("{} frames were labeled since; draw a new split to use them.", labeled - used);
            ui.label(RichText::new(words).color(theme.warn));
        }
    }
    ui.collapsing("Draw a new split", |ui| {
        ui.horizontal(|ui| {
            let percent = egui::DragValue::new(&mut form.percent).range(50..=99).suffix(" % to train on");
            ui.add(percent).accessible_name("Percent of the frames to train on");
            let seed = egui::DragValue::new(&mut form.split_seed).prefix("seed ");
            ui.add(seed).accessible_name("Seed of the split");
        });
        ui.checkbox(&mut form.by_video, "Keep whole videos together");
        if ui.add_enabled(!desk.open.is_changing(), egui::Button::new("Draw split")).clicked() {
            let request = SplitRequest {
                train_fraction: f64::from(form.percent) / 100.0,
                shuffles: 1,
                seed: form.split_seed,
                by_video: form.by_video,
                force: false,
            };
            desk.open.labels.save();
            desk.open.change(desk.jobs, "Drawing a split", move |project, watch| {
                let labels = LabelStore::read(project, watch)?.labels().clone();
                Splits::draw_next(project, &labels, &request).map(drop)
            });
        }
    });
}

/// What is seldom changed.
fn more(ui: &mut egui::Ui, desk: &mut Desk<'_>, form: &mut Form) {
    egui::Grid::new("more").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
        ui.label("Begin from");
        ui.vertical(|ui| {
            ui.horizontal(|ui| {
                ui.radio_value(&mut form.init, Init::ImageNet, "ImageNet weights");
                ui.radio_value(&mut form.init, Init::Random, "Random weights")
                    .on_hover_text("Needs many more labels and steps");
                ui.radio_value(&mut form.init, Init::File, "A file");
            });
            if form.init == Init::File {
                ui.horizontal(|ui| {
                    ui.text_edit_singleline(&mut form.weights).accessible_name("Weight file");
                    if ui.button("Choose a file…").clicked() {
                        desk.dialogs.ask(WEIGHTS, Ask::File, "Weights to begin from (.pth or .safetensors)");
                    }
                });
            }
        });
        ui.end_row();
        precision_choice(ui, &mut form.precision);
        ui.end_row();
        let label = ui.label("Seed of the training");
        ui.add(egui::DragValue::new(&mut form.seed)).labelled_by(label.id);
        ui.end_row();
    });
}

/// A line with a list of number formats; `None` for the device's best.
pub(super) fn precision_choice(ui: &mut egui::Ui, precision: &mut Option<Precision>) {
    let label = ui.label("Number format");
    let words = |p: Option<Precision>| match p {
        None => "The fastest good one of the device".to_owned(),
        Some(Precision::Fp32) => "fp32 (the reference)".to_owned(),
        Some(Precision::Bf16) => "bf16".to_owned(),
        Some(Precision::Fp16) => "fp16 (GPU only)".to_owned(),
    };
    let combo = egui::ComboBox::from_id_salt("precision").width(240.0).selected_text(words(*precision));
    let combo = combo.show_ui(ui, |ui| {
        for p in [None, Some(Precision::Fp32), Some(Precision::Bf16), Some(Precision::Fp16)] {
            ui.selectable_value(precision, p, words(p));
        }
    });
    combo.response.labelled_by(label.id);
}

/// A line with a list of the machine's devices.
pub(super) fn device_choice(ui: &mut egui::Ui, devices: &[(String, String)], chosen: &mut String) {
    let label = ui.label("Device");
    let words = |wish: &str| {
        devices
            .iter()
            .find(|(w, _)| w == wish)
            .map_or_else(|| format!("{wish} (not on this machine)"), |(_, words)| words.clone())
    };
    let combo = egui::ComboBox::from_id_salt("device").width(290.0).truncate().selected_text(words(chosen));
    let combo = combo.show_ui(ui, |ui| {
        for (wish, words) in devices {
            ui.selectable_value(chosen, wish.clone(), words);
        }
    });
    combo.response.labelled_by(label.id);
}

/// A shuffle in a list.
pub(super) fn title(m: &ModelFacts) -> String {
    let (train, test) = m.frames;
    let how = if m.by_video { ", whole videos" } else { "" };
    let model = match (&m.net, m.test_px) {
        (Some(net), Some(px)) => format!(": {net}, {px:.1} px"),
        (Some(net), None) => format!(": {net}"),
        (None, _) => String::new(),
    };
    format!("Shuffle {}, {train} + {test} frames{how}{model}", m.shuffle)
}

#[allow(clippy::cast_precision_loss)] // for reading
fn millions(n: usize) -> String {
    format!("{:.1}", n as f64 / 1e6)
}

/// `2026-01-31 13:00` in the user's zone, of a card's time.
fn date(created: &str) -> String {
    created.parse::<jiff::Timestamp>().map_or_else(
        |_| created.to_owned(),
        |t| t.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

fn evaluate(root: &std::path::Path, shuffle: u32, device: String, watch: &dyn Watch) -> Result<Evaluation> {
    let project = Project::open(root, watch)?;
    let options = EvaluateOptions {
        shuffle,
        snapshot: "auto".into(),
        device,
        precision: Precision::Fp32,
        cutoff: None,
    };
    let done = session::evaluate(&project, &options, watch)?;
    show::evaluation_pictures(&project, &done, watch)?;
    Ok(Evaluation {
        shuffle,
        scorer: done.scorer,
        device: done.device,
        verdict: done.verdict,
        report: done.report,
        folder: done.folder,
    })
}
