//! What is to be trained: network, split, length, device, and what is seldom changed.

use super::Facts;
use crate::gui::Desk;
use crate::gui::dialogs::Ask;
use crate::gui::theme::Theme;
use crate::gui::views::choices::{device_choice, precision_choice, shuffle_title};
use crate::net::Precision;
use crate::project::{LabelStore, SplitRequest, Splits};
use crate::train::MOST_MEMBERS;
use crate::train::session::{Options, Start};
use eframe::egui::{self, RichText};
use std::path::PathBuf;

const WEIGHTS: &str = "train: weights";

/// What is asked for.
pub(super) struct Form {
    /// Empty for the project's own.
    pub net: String,
    pub shuffle: u32,
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
    /// As the labels suggest, until somebody says.
    by_video: Option<bool>,
    /// How many networks are to be one model.
    members: usize,
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
            by_video: None,
            members: 1,
        }
    }
}

impl Form {
    /// Takes what a dialog brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        if let Some(paths) = desk.dialogs.take(WEIGHTS)
            && let Some(path) = paths.first()
        {
            self.weights = path.display().to_string();
            self.init = Init::File;
        }
    }

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>, facts: &Facts) {
        let form = self;
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

    /// The longest a training may take, when that was asked for.
    pub fn max_minutes(&self) -> Option<f64> {
        (self.limit == Limit::Minutes).then_some(self.minutes)
    }

    /// How many networks are to be one model.
    pub fn members(&self) -> usize {
        self.members
    }

    /// What was asked for, for a training on `device`.
    pub fn options(&self, device: String) -> Options {
        Options {
            shuffle: self.shuffle,
            net: Some(self.net.clone()),
            device,
            precision: self.precision,
            start: match self.init {
                Init::ImageNet => Start::Pretrained,
                Init::Random => Start::Random,
                Init::File => Start::File(PathBuf::from(self.weights.trim())),
            },
            max_minutes: self.max_minutes(),
            steps: (self.limit == Limit::Steps).then_some(self.steps),
            seed: Some(self.seed),
            ..Options::default()
        }
    }
}

/// Choosing a split, and drawing another.
fn split(ui: &mut egui::Ui, desk: &mut Desk<'_>, form: &mut Form, facts: &Facts, label: egui::Id) {
    ui.set_max_width(310.0);
    let chosen = facts.models.iter().find(|m| m.shuffle == form.shuffle);
    let text = chosen.map_or_else(|| "drawn at the start".to_owned(), shuffle_title);
    let combo =
        egui::ComboBox::from_id_salt("split").width(290.0).truncate().selected_text(text).show_ui(ui, |ui| {
            for m in &facts.models {
                ui.selectable_value(&mut form.shuffle, m.shuffle, shuffle_title(m));
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
        let labels = desk.open.labels.labels();
        let mut by_video = form.by_video.unwrap_or_else(|| Splits::videos_to_spare(labels));
        let tip = "Neighbouring frames look alike: a test on frames of the training videos flatters";
        if ui.checkbox(&mut by_video, "Keep whole videos together").on_hover_text(tip).changed() {
            form.by_video = Some(by_video);
        }
        if ui.add_enabled(!desk.open.is_changing(), egui::Button::new("Draw split")).clicked() {
            let request = SplitRequest {
                train_fraction: f64::from(form.percent) / 100.0,
                shuffles: 1,
                seed: form.split_seed,
                by_video,
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
        let label = ui.label("Networks");
        ui.horizontal(|ui| {
            let range = 1..=MOST_MEMBERS;
            ui.add(egui::DragValue::new(&mut form.members).range(range).speed(0.05)).labelled_by(label.id);
            ui.weak(match form.members {
                1 => "one".to_owned(),
                n => format!("an ensemble, {n} times as long"),
            })
            .on_hover_text(
                "Several networks tell how sure they are of every point: a standard deviation in pixels",
            );
        });
        ui.end_row();
        let label = ui.label("Seed of the training");
        ui.add(egui::DragValue::new(&mut form.seed)).labelled_by(label.id);
        ui.end_row();
    });
}

#[allow(clippy::cast_precision_loss)] // for reading
fn millions(n: usize) -> String {
    format!("{:.1}", n as f64 / 1e6)
}
