use crate::gui::lock;
use crate::gui::prefs::Prefs;
use crate::gui::theme::{Theme, card, primary};
use crate::gui::widgets::controls::{Entry, named_small};
use crate::jobs::Wake;
use eframe::egui::{self, RichText};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What the user wants from the start screen.
pub enum StartWish {
    /// The assistant for a new project.
    New,
    /// The file dialog.
    Browse,
    /// This project.
    Open(PathBuf),
    /// Take it off the list.
    Forget(PathBuf),
}

/// The screen without a project: recent ones, open, new.
#[derive(Default)]
pub struct StartView {
    typed: String,
    /// Which recent projects are there, found out on a thread.
    there: Arc<Mutex<BTreeMap<PathBuf, bool>>>,
    asked: Vec<PathBuf>,
}

impl StartView {
    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, prefs: &Prefs, opening: bool, wake: &Wake) -> Option<StartWish> {
        self.look(&prefs.recent, wake);
        let mut wish = None;
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.vertical_centered(|ui| {
                ui.set_max_width(720.0);
                ui.add_space((ui.available_height() * 0.08).min(60.0));
                ui.label(RichText::new("limn").size(44.0).strong());
                ui.label(
                    RichText::new("Find body parts of animals in videos: label, train, analyze.").size(16.0),
                );
                ui.add_space(20.0);
                ui.horizontal(|ui| {
                    if primary(ui, "New project…").clicked() {
                        wish = Some(StartWish::New);
                    }
                    if ui.button("Open project…").clicked() {
                        wish = Some(StartWish::Browse);
                    }
                    if opening {
                        ui.spinner();
                        ui.label("Opening…");
                    }
                });
                ui.add_space(10.0);
                ui.horizontal(|ui| {
                    let path = Entry {
                        label: "Project folder",
                        hint: "folder or config.yaml of a DeepLabCut or limn project",
                        width: ui.available_width() - 190.0,
                        button: "Open",
                        ..Entry::default()
                    };
                    if path.show(ui, &mut self.typed) {
                        wish = Some(StartWish::Open(PathBuf::from(self.typed.trim())));
                    }
                });
                ui.weak("A project folder can also be dropped on this window.");
                ui.add_space(18.0);
                if let Some(w) = self.recent(ui, &prefs.recent) {
                    wish = Some(w);
                }
            });
        });
        wish
    }

    fn recent(&self, ui: &mut egui::Ui, recent: &[PathBuf]) -> Option<StartWish> {
        let mut wish = None;
        ui.with_layout(egui::Layout::top_down(egui::Align::LEFT), |ui| {
            ui.label(RichText::new("Recent projects").size(16.0));
            if recent.is_empty() {
                ui.weak("None yet. A DeepLabCut project opens as it is; its labels and settings stay as they are until you change them.");
            }
            let theme = Theme::of(ui);
            for path in recent {
                let there = lock(&self.there).get(path).copied();
                card(ui).inner_margin(egui::Margin::symmetric(12, 8)).show(ui, |ui| {
                    ui.horizontal(|ui| {
                        let name = name_of(path);
                        ui.vertical(|ui| {
                            ui.set_width(ui.available_width() - 150.0);
                            ui.label(RichText::new(&name).strong());
                            ui.add(egui::Label::new(RichText::new(path.display().to_string()).weak().small()).truncate());
                        });
                        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                            let forget = format!("Take {name} off this list");
                            if named_small(ui, "×", &forget).clicked() {
                                wish = Some(StartWish::Forget(path.clone()));
                            }
                            if there == Some(false) {
                                ui.label(RichText::new("not there").color(theme.warn));
                            } else {
                                let open = format!("Open {name}");
                                let button = ui.button("Open");
                                let button = button.accessible_name(&open);
                                if button.clicked() {
                                    wish = Some(StartWish::Open(path.clone()));
                                }
                            }
                        });
                    });
                });
            }
        });
        wish
    }

    /// Finds out, on a thread, which projects are still there: a network disk may take its time.
    fn look(&mut self, recent: &[PathBuf], wake: &Wake) {
        if self.asked == recent {
            return;
        }
        self.asked = recent.to_vec();
        let (there, wake, paths) = (Arc::clone(&self.there), Arc::clone(wake), recent.to_vec());
        std::thread::spawn(move || {
            for path in paths {
                let found = path.join("config.yaml").is_file();
                lock(&there).insert(path, found);
                wake();
            }
        });
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
