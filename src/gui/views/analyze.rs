//! Analysis: a queue of videos, how each goes, and the results that can be opened.

use super::analyze_queue::{Item, Queue, Stand, Terms, expand};
use super::choices::{device_choice, devices, precision_choice, shuffle_title};
use super::results::TracksView;
use crate::gui::Desk;
use crate::gui::dialogs::Ask;
use crate::gui::keys::Action;
use crate::gui::theme::{Theme, primary_if};
use crate::gui::widgets::controls::{Entry, named_small, titled_card};
use crate::gui::widgets::words::{brief, counted, date, file_name, left};
use crate::infer::{Limit, ResultFacts, Stages, results};
use crate::jobs::Handle;
use crate::net::Precision;
use crate::project::Project;
use crate::train::{ModelFacts, models};
use eframe::egui::{self, RichText};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The view Analyze.
#[derive(Default)]
pub struct AnalyzeView {
    facts: Option<Facts>,
    asking: Option<Handle<Facts>>,
    revision: u64,
    /// The pass in which it was shown last.
    shown: u64,
    queue: Queue,
    working: Option<Handle<usize>>,
    expanding: Vec<Handle<Vec<PathBuf>>>,
    typed: String,
    ticked: BTreeSet<PathBuf>,
    form: Form,
    player: Option<TracksView>,
}

struct Form {
    model: Model,
    folder: String,
    precision: Option<Precision>,
    out: String,
    force: bool,
    /// Look only around the animal.
    follow: bool,
    /// Frames are made this much smaller for the network, in percent.
    resize: u32,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            model: Model::Newest,
            folder: String::new(),
            precision: None,
            out: String::new(),
            force: false,
            follow: false,
            resize: 100,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    /// Of the shuffle with the model written last.
    Newest,
    Shuffle(u32),
    /// A model folder from elsewhere.
    Folder,
}

/// What lies on disk, as a job found it.
struct Facts {
    models: Vec<ModelFacts>,
    results: Vec<ResultFacts>,
    devices: Vec<(String, String)>,
}

const VIDEOS: &str = "analyze: videos";
const FOLDER: &str = "analyze: folder";
const MODEL: &str = "analyze: model";
const OUT: &str = "analyze: out";

impl AnalyzeView {
    /// Takes what jobs and threads have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        if self.revision != desk.open.revision {
            self.revision = desk.open.revision;
            self.ask(desk);
        }
        if let Some(result) = self.asking.as_mut().and_then(Handle::poll) {
            self.asking = None;
            self.facts = result.ok().or(self.facts.take());
        }
        if let Some(result) = self.working.as_mut().and_then(Handle::poll) {
            self.working = None;
            self.queue.at_rest();
            if let Ok(n) = result {
                desk.notices.note(format!("Analyzed {}.", counted(n, "video")));
            }
            self.ask(desk);
        }
        let queue = &self.queue;
        self.expanding.retain_mut(|handle| match handle.poll() {
            Some(Ok(videos)) => {
                queue.add(videos);
                false
            }
            Some(Err(_)) => false,
            None => true,
        });
        for who in [VIDEOS, FOLDER] {
            if let Some(paths) = desk.dialogs.take(who) {
                self.add(desk, paths);
            }
        }
        let one =
            |paths: Option<Vec<PathBuf>>| paths.and_then(|p| p.first().map(|p| p.display().to_string()));
        if let Some(path) = one(desk.dialogs.take(MODEL)) {
            (self.form.folder, self.form.model) = (path, Model::Folder);
        }
        if let Some(path) = one(desk.dialogs.take(OUT)) {
            self.form.out = path;
        }
        if let Some(player) = &mut self.player {
            player.poll(desk);
        }
    }

    fn ask(&mut self, desk: &mut Desk<'_>) {
        let root = desk.open.project().root().to_path_buf();
        let more = self.out().into_iter().collect::<Vec<_>>();
        self.asking = Some(desk.jobs.start_quiet("Looking for models and results", move |watch| {
            let project = Project::open(&root, watch)?;
            Ok(Facts { models: models(&project)?, results: results(&project, &more), devices: devices() })
        }));
    }

    fn out(&self) -> Option<PathBuf> {
        let out = self.form.out.trim();
        (!out.is_empty()).then(|| PathBuf::from(out))
    }

    /// Adds files and folders to the queue; a thread looks what they are.
    fn add(&mut self, desk: &mut Desk<'_>, paths: Vec<PathBuf>) {
        if !paths.is_empty() {
            self.expanding.push(desk.jobs.start_quiet("Looking for videos", move |_| expand(&paths)));
        }
    }

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        // Another view, or another program, may have trained or analyzed since.
        let pass = ui.ctx().cumulative_pass_nr();
        if pass > self.shown + 1 && self.facts.is_some() && self.asking.is_none() {
            self.ask(desk);
        }
        self.shown = pass;
        let dropped: Vec<PathBuf> =
            ui.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        self.add(desk, dropped.into_iter().filter(|p| p.extension().is_none_or(|e| e != "yaml")).collect());
        if desk.fired.has(Action::OpenNewest)
            && let Some(newest) = self.facts.as_ref().and_then(|f| f.results.first())
        {
            let (tracks, video) = (newest.tracks.clone(), newest.video.clone());
            self.open(desk, &tracks, video);
        }
        egui::CentralPanel::default().show(ui, |ui| {
            if let Some(player) = &mut self.player {
                if player.ui(ui, desk) {
                    self.player = None;
                }
                return;
            }
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.set_max_width(ui.available_width().min(1100.0));
                titled_card(ui, "Model", |ui| self.terms(ui, desk));
                ui.add_space(10.0);
                titled_card(ui, "Videos", |ui| {
                    self.sources(ui, desk);
                    ui.add_space(6.0);
                    self.work(ui, desk);
                    self.list(ui, desk);
                });
                ui.add_space(10.0);
                titled_card(ui, "Results", |ui| self.results(ui, desk));
                ui.add_space(16.0);
            });
        });
    }

    fn usable(&self) -> impl Iterator<Item = &ModelFacts> {
        self.facts.iter().flat_map(|f| &f.models).filter(|m| m.model.is_some())
    }

    /// The shuffle whose model is taken.
    fn chosen(&self) -> Option<&ModelFacts> {
        match self.form.model {
            Model::Newest => self.usable().max_by(|a, b| a.created.cmp(&b.created)),
            Model::Shuffle(n) => self.usable().find(|m| m.shuffle == n),
            Model::Folder => None,
        }
    }

    fn terms(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        egui::Grid::new("analysis").num_columns(2).spacing([16.0, 8.0]).show(ui, |ui| {
            let label = ui.label("Trained network");
            let text = match self.form.model {
                Model::Folder => "A model folder".to_owned(),
                _ => self.chosen().map_or_else(|| "none trained yet".to_owned(), shuffle_title),
            };
            ui.vertical(|ui| {
                let of: Vec<(u32, String)> = self.usable().map(|m| (m.shuffle, shuffle_title(m))).collect();
                let combo = egui::ComboBox::from_id_salt("model")
                    .width(380.0)
                    .truncate()
                    .selected_text(text)
                    .show_ui(ui, |ui| {
                        for (shuffle, words) in of {
                            ui.selectable_value(&mut self.form.model, Model::Shuffle(shuffle), words);
                        }
                        ui.selectable_value(
                            &mut self.form.model,
                            Model::Folder,
                            "A model folder from elsewhere",
                        );
                    });
                combo.response.labelled_by(label.id);
                if self.form.model == Model::Folder {
                    ui.horizontal(|ui| {
                        ui.text_edit_singleline(&mut self.form.folder).accessible_name("Model folder");
                        if ui.button("Choose a model folder…").clicked() {
                            desk.dialogs.ask(MODEL, Ask::Folder, "The folder with model.yaml");
                        }
                    });
                } else if self.facts.is_some() && self.chosen().is_none() {
                    ui.weak("Train a network first, or take a model folder from elsewhere.");
                }
            });
            ui.end_row();
            let devices = self.facts.as_ref().map_or(&[][..], |f| &f.devices);
            device_choice(ui, devices, &mut desk.prefs.device);
            ui.end_row();
            precision_choice(ui, &mut self.form.precision);
            ui.end_row();
            let label = ui.label("Faster");
            ui.horizontal(|ui| {
                ui.checkbox(&mut self.form.follow, "Follow the animal").on_hover_text(
                    "The network looks only around the animal, and at the whole frame when it is lost.\n\
                     Several times faster where the animal is small in the frame.",
                );
                let size = egui::DragValue::new(&mut self.form.resize).range(5..=400).suffix(" %");
                ui.label("Frame size for the network");
                ui.add(size)
                    .on_hover_text("Smaller frames are computed faster and located less exactly. Positions stay those of the frame.")
                    .labelled_by(label.id);
            });
            ui.end_row();
            let label = ui.label("Results go to");
            ui.horizontal(|ui| {
                ui.add(egui::TextEdit::singleline(&mut self.form.out).hint_text("beside each video"))
                    .labelled_by(label.id);
                if ui.button("Choose a folder…").clicked() {
                    desk.dialogs.ask(OUT, Ask::Folder, "Where results go");
                }
                ui.checkbox(&mut self.form.force, "Analyze again what is finished");
            });
            ui.end_row();
        });
    }

    fn sources(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        ui.horizontal_wrapped(|ui| {
            if ui.button("Add videos…").clicked() {
                desk.dialogs.ask(VIDEOS, Ask::Videos, "Videos to analyze");
            }
            if ui.button("Add a folder…").clicked() {
                desk.dialogs.ask(FOLDER, Ask::Folder, "A folder of videos");
            }
            let path = Entry {
                name: "Path of a video or folder",
                hint: "or type a path",
                button: "Add path",
                ..Entry::default()
            };
            if path.show(ui, &mut self.typed) {
                let path = PathBuf::from(std::mem::take(&mut self.typed).trim());
                self.add(desk, vec![path]);
            }
            ui.weak("Videos and folders can also be dropped here.");
        });
        let contents = std::sync::Arc::clone(&desk.open.contents);
        let there: Vec<&PathBuf> = contents.videos.iter().filter_map(|v| v.path.as_ref()).collect();
        if there.is_empty() {
            return;
        }
        ui.collapsing(format!("Videos of the project ({})", there.len()), |ui| {
            egui::ScrollArea::vertical().id_salt("project videos").max_height(160.0).show(ui, |ui| {
                for path in &there {
                    let mut on = self.ticked.contains(*path);
                    if ui.checkbox(&mut on, file_name(path)).changed() {
                        if on {
                            self.ticked.insert((*path).clone());
                        } else {
                            self.ticked.remove(*path);
                        }
                    }
                }
            });
            ui.horizontal(|ui| {
                if ui.button("Tick all").clicked() {
                    self.ticked.extend(there.iter().map(|p| (*p).clone()));
                }
                let any = !self.ticked.is_empty();
                if ui.add_enabled(any, egui::Button::new("Add the ticked videos")).clicked() {
                    let ticked = std::mem::take(&mut self.ticked).into_iter().collect();
                    self.add(desk, ticked);
                }
            });
        });
    }

    fn work(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let working = self.working.is_some();
        let folder = PathBuf::from(self.form.folder.trim());
        let model = match self.form.model {
            Model::Folder => (!self.form.folder.trim().is_empty()).then_some((folder, None)),
            _ => self
                .chosen()
                .and_then(|m| Some((m.model.clone()?, Some(desk.open.project().root().to_path_buf())))),
        };
        let (todo, all) = {
            let items = self.queue.items();
            (items.iter().filter(|i| !matches!(i.stand, Stand::Done(_))).count(), items.len())
        };
        ui.horizontal(|ui| {
            let good = !working && todo > 0 && model.is_some();
            let start = primary_if(ui, good, "Start analysis").clicked();
            if (start || good && desk.fired.has(Action::MainStep))
                && let Some((model, project)) = model
            {
                let terms = Terms {
                    model,
                    project,
                    device: desk.prefs.device.clone(),
                    precision: self.form.precision,
                    out: self.out(),
                    force: self.form.force,
                    follow: self.form.follow,
                    resize: f64::from(self.form.resize) / 100.0,
                };
                self.working = Some(self.queue.start(desk.jobs, terms, std::sync::Arc::clone(desk.wake)));
            }
            let stop = ui.add_enabled(working, egui::Button::new("Stop analysis"));
            if stop.on_hover_text("What is done is kept; the next start goes on from there").clicked()
                && let Some(working) = &self.working
            {
                working.stop();
            }
            if ui.add_enabled(!working && todo < all, egui::Button::new("Clear finished")).clicked() {
                self.queue.items().retain(|i| !matches!(i.stand, Stand::Done(_)));
            }
            if let Some(p) = self.working.as_ref().map(Handle::progress) {
                if p.stopping {
                    ui.label("Stopping…");
                } else if p.stage.is_empty() {
                    ui.spinner();
                    ui.label("Loading the network…");
                }
            }
        });
    }

    fn list(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let items: Vec<Item> = self.queue.items().clone();
        if items.is_empty() {
            ui.weak("No videos to analyze yet.");
            return;
        }
        let mut open = None;
        egui::Grid::new("queue").num_columns(3).striped(true).spacing([16.0, 6.0]).show(ui, |ui| {
            for item in &items {
                let words = file_name(&item.video);
                ui.label(brief(&words)).on_hover_text(item.video.display().to_string());
                ui.horizontal(|ui| stand(ui, &item.stand, &words));
                ui.horizontal(|ui| match &item.stand {
                    Stand::Done(a) => {
                        if ui.button("Open").accessible_name(format!("Open the tracks of {words}")).clicked()
                        {
                            open = Some((a.h5.clone(), Some(a.video.clone())));
                        }
                    }
                    Stand::Running(_) => {}
                    _ => {
                        if named_small(ui, "Remove", &format!("Take {words} off the list")).clicked() {
                            self.queue.remove(item.id);
                        }
                    }
                });
                ui.end_row();
            }
        });
        if let Some((tracks, video)) = open {
            self.open(desk, &tracks, video);
        }
    }

    fn results(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let Some(facts) = &self.facts else {
            ui.spinner();
            return;
        };
        ui.horizontal(|ui| {
            if facts.results.is_empty() {
                ui.weak("No tracks were found in this project's folders.");
            }
            if ui.button("Look again").clicked() {
                self.revision = 0;
            }
        });
        let Some(facts) = &self.facts else { return };
        let mut open = None;
        egui::ScrollArea::vertical().id_salt("results").max_height(320.0).show(ui, |ui| {
            egui::Grid::new("results").num_columns(4).striped(true).spacing([16.0, 4.0]).show(ui, |ui| {
                for r in &facts.results {
                    ui.label(brief(&r.stem)).on_hover_text(r.tracks.display().to_string());
                    ui.weak(brief(&r.scorer)).on_hover_text(&r.scorer);
                    let frames = r.frames.map(|n| counted(n, "frame")).unwrap_or_default();
                    ui.weak(format!("{frames}  {}", r.when.map(date).unwrap_or_default()));
                    let name = format!("Open {} by {}", r.stem, r.scorer);
                    if ui.button("Open").accessible_name(name).clicked() {
                        open = Some((r.tracks.clone(), r.video.clone()));
                    }
                    ui.end_row();
                }
            });
        });
        if let Some((tracks, video)) = open {
            self.open(desk, &tracks, video);
        }
    }

    /// Opens tracks in the player.
    pub fn open(&mut self, desk: &mut Desk<'_>, tracks: &Path, video: Option<PathBuf>) {
        self.player = Some(TracksView::open(desk, tracks, video));
    }

    /// The player, when tracks are open.
    pub fn player(&mut self) -> Option<&mut TracksView> {
        self.player.as_mut()
    }
}

/// How a video stands, in words and a bar.
#[allow(clippy::cast_precision_loss)] // a progress bar
fn stand(ui: &mut egui::Ui, stand: &Stand, name: &str) {
    let theme = Theme::of(ui);
    match stand {
        Stand::Waiting => {
            ui.weak("waiting");
        }
        Stand::Running(None) => {
            ui.spinner();
            ui.label("beginning…");
        }
        Stand::Running(Some(seen)) => {
            let share = seen.done as f32 / seen.frames.max(1) as f32;
            let words = format!("{} of {} frames", seen.done, seen.frames);
            let bar =
                egui::ProgressBar::new(share).desired_width(200.0).text(RichText::new(&words).size(11.5));
            ui.add(bar).accessible_name(format!("{name}: {words}"));
            ui.strong(format!("{:.1} frames/s", seen.fps));
            if let Some(left) = left(Some(seen.seconds_left)) {
                ui.label(left);
            }
            limit(ui, &seen.stages);
        }
        Stand::Done(a) if a.skipped => {
            ui.label(RichText::new(format!("{} frames, finished before", a.frames)).color(theme.good));
        }
        Stand::Done(a) => {
            let before = if a.resumed > 0 { format!(" ({} done before)", a.resumed) } else { String::new() };
            let words = format!("{} frames{before} at {:.1} frames/s", a.frames, a.fps);
            ui.label(RichText::new(words).color(theme.good));
            if let Some(stages) = &a.stages {
                limit(ui, stages);
            }
            if a.missing > 0 {
                let words = format!("{} could not be decoded", a.missing);
                ui.label(RichText::new(words).color(theme.warn)).on_hover_text("Their rows are empty");
            }
        }
        Stand::Failed(text) => {
            let first = text.lines().next().unwrap_or_default();
            ui.label(RichText::new(format!("failed: {first}")).color(theme.bad)).on_hover_text(text);
        }
        Stand::Stopped => {
            ui.label(RichText::new("stopped; what is done is kept").color(theme.warn));
        }
    }
}

fn limit(ui: &mut egui::Ui, stages: &Stages) {
    let (words, more) = match stages.limit {
        Limit::Decoding => {
            ("limited by decoding", "The network waits for frames; a faster disk or processor helps")
        }
        Limit::Converting => {
            ("limited by colour conversion", "The network waits for frames; a faster processor helps")
        }
        Limit::Computing => {
            ("limited by the network", "Frames wait for the network; a GPU or a smaller network helps")
        }
        Limit::Writing => ("limited by writing", "Results wait for the disk; a faster one helps"),
    };
    let percent = |share: f64| share * 100.0;
    ui.weak(words).on_hover_text(format!(
        "Decoding worked {:.0} % of the time, colour conversion {:.0} %, the network {:.0} %, writing {:.0} %.\n{more}.",
        percent(stages.decode_busy),
        percent(stages.convert_busy),
        percent(stages.compute_busy),
        percent(stages.write_busy)
    ));
}
