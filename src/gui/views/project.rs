//! What the project is: where it lies, how far it is, its body parts, pairs and skeleton.

use super::skeleton_editor::{SkeletonEditor, part_colour};
use crate::draw::ColourMap;
use crate::gui::theme::{Theme, card, modal, primary};
use crate::gui::widgets::controls::{Entry, named_small};
use crate::gui::widgets::words::counted;
use crate::gui::{Desk, Place};
use crate::jobs::Handle;
use crate::labeling::{BodypartChange, State};
use crate::pose::{FrameKey, LabeledFrame};
use crate::project::{LabelStore, Problem, Project};
use crate::watch::Watch;
use eframe::egui::{self, RichText};
use std::collections::BTreeSet;

/// Problems that are listed.
const SHOWN: usize = 200;

/// The view of the project itself.
#[derive(Default)]
pub struct ProjectView {
    editor: SkeletonEditor,
    typed_part: String,
    renaming: Option<(String, String)>,
    removing: Option<String>,
    left: String,
    right: String,
    checking: Option<Handle<Vec<Problem>>>,
    problems: Option<Vec<Problem>>,
}

impl ProjectView {
    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        if let Some(Ok(problems)) = self.checking.as_mut().and_then(Handle::poll) {
            self.problems = Some(problems);
        }
        if self.checking.as_ref().is_some_and(|h| !h.is_running()) {
            self.checking = None;
        }
        egui::CentralPanel::default().show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.set_max_width(900.0);
                summary(ui, desk);
                ui.add_space(10.0);
                self.body_parts(ui, desk);
                ui.add_space(10.0);
                self.skeleton(ui, desk);
                ui.add_space(10.0);
                self.check(ui, desk);
                ui.add_space(16.0);
            });
        });
        self.dialogs(ui.ctx(), desk);
    }

    fn body_parts(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let skeleton = desk.open.project().skeleton();
        let map = ColourMap::named(&desk.open.project().config.colormap).unwrap_or_default();
        let editable = matches!(desk.open.labels.state(), State::Editing);
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Body parts").size(16.0));
            let labels = desk.open.labels.labels();
            let mut counts = vec![0usize; skeleton.bodyparts.len()];
            for frame in labels.frames.values() {
                for (i, _) in frame.points.iter().enumerate().filter(|(_, p)| p.is_some()) {
                    // Those that exist once in a frame come after all individuals.
                    if i < skeleton.individuals.len() * counts.len()
                        && let Some(count) = i.checked_rem(counts.len()).and_then(|i| counts.get_mut(i))
                    {
                        *count += 1;
                    }
                }
            }
            egui::Grid::new("parts").num_columns(4).striped(true).spacing([16.0, 4.0]).show(ui, |ui| {
                for (i, name) in skeleton.bodyparts.iter().enumerate() {
                    ui.horizontal(|ui| {
                        let (spot, _) = ui.allocate_exact_size(egui::Vec2::splat(14.0), egui::Sense::hover());
                        ui.painter().circle_filled(
                            spot.center(),
                            6.0,
                            part_colour(map, i, skeleton.bodyparts.len()),
                        );
                        ui.label(name);
                    });
                    ui.weak(format!("{} labels", counts.get(i).copied().unwrap_or(0)));
                    ui.horizontal(|ui| {
                        ui.add_enabled_ui(editable, |ui| {
                            if named_small(ui, "Rename…", &format!("Rename {name}…")).clicked() {
                                self.renaming = Some((name.clone(), name.clone()));
                            }
                            if named_small(ui, "Remove…", &format!("Remove {name}…")).clicked() {
                                self.removing = Some(name.clone());
                            }
                        });
                    });
                    ui.end_row();
                }
            });
            ui.add_enabled_ui(editable, |ui| {
                ui.horizontal(|ui| {
                    let (label, button) = ("New body part", "Add body part");
                    if (Entry { label, button, ..Entry::default() }).show(ui, &mut self.typed_part) {
                        let name = std::mem::take(&mut self.typed_part).trim().to_owned();
                        desk.open.labels.change_bodyparts(BodypartChange::Add { names: vec![name] });
                    }
                });
            });
            if skeleton.multi_animal {
                ui.label(format!("Individuals: {}", skeleton.individuals.join(", ")));
                if !skeleton.unique_bodyparts.is_empty() {
                    ui.label(format!("Once in a frame: {}", skeleton.unique_bodyparts.join(", ")));
                }
            }
        });
    }

    fn skeleton(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let project = desk.open.project();
        let skeleton = project.skeleton();
        let own = project.settings.mirror_pairs.clone();
        let pairs = project.mirror_pairs().unwrap_or_default();
        let mut edges = skeleton.edges.clone();
        let theme = Theme::of(ui);
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Skeleton").size(16.0));
            ui.weak("Drag from one body part to another to join them, again to part them. Only for drawing.");
            if self.editor.ui(ui, &skeleton.bodyparts, &mut edges, &pairs) {
                desk.open.change(desk.jobs, "Saving the skeleton", move |p: &mut Project, _: &dyn Watch| {
                    p.config.skeleton = edges;
                    p.config.save()
                });
            }
            ui.add_space(8.0);
            ui.label(RichText::new("Left and right").size(16.0));
            ui.weak("These swap when training mirrors a picture.");
            let named = |i: usize| skeleton.bodyparts.get(i).cloned().unwrap_or_default();
            let named_pairs: Vec<[String; 2]> = pairs.iter().map(|[a, b]| [named(*a), named(*b)]).collect();
            let mut change: Option<Option<Vec<[String; 2]>>> = None;
            ui.horizontal_wrapped(|ui| {
                for (i, [a, b]) in named_pairs.iter().enumerate() {
                    let words = format!("Take the pair {a} and {b} away");
                    let button = ui.button(format!("{a} / {b}  ×")).on_hover_text(&words);
                    let button = button.accessible_name(&words);
                    if button.clicked() {
                        let mut left = named_pairs.clone();
                        left.remove(i);
                        change = Some(Some(left));
                    }
                }
                if named_pairs.is_empty() {
                    ui.weak("none");
                }
            });
            ui.horizontal(|ui| {
                pick(ui, "Left part", &mut self.left, &skeleton.bodyparts);
                pick(ui, "Right part", &mut self.right, &skeleton.bodyparts);
                let taken = |n: &String| n.is_empty() || named_pairs.iter().flatten().any(|p| p == n);
                let good = self.left != self.right && !taken(&self.left) && !taken(&self.right);
                if ui.add_enabled(good, egui::Button::new("Add pair")).clicked() {
                    let mut more = named_pairs.clone();
                    more.push([std::mem::take(&mut self.left), std::mem::take(&mut self.right)]);
                    change = Some(Some(more));
                }
                if own.is_some() {
                    if ui.button("Find them by their names").clicked() {
                        change = Some(None);
                    }
                } else {
                    ui.label(RichText::new("found by their names").color(theme.weak));
                }
            });
            if let Some(pairs) = change {
                desk.open.change(
                    desk.jobs,
                    "Saving left and right",
                    move |p: &mut Project, _: &dyn Watch| {
                        p.settings.mirror_pairs = pairs;
                        p.save_settings()
                    },
                );
            }
        });
    }

    fn check(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Check").size(16.0));
            ui.horizontal(|ui| {
                let idle = self.checking.is_none();
                if ui.add_enabled(idle, egui::Button::new("Check the labels")).clicked() {
                    let root = desk.open.project().root().to_path_buf();
                    self.problems = None;
                    self.checking = Some(desk.jobs.start("Checking the labels", move |watch| {
                        LabelStore::read(&Project::open(&root, watch)?, watch)?.check(watch)
                    }));
                }
                ui.weak("finds labels outside their picture, missing pictures, damaged tables and the like");
            });
            match &self.problems {
                Some(all) if all.is_empty() => {
                    let theme = Theme::of(ui);
                    ui.label(RichText::new("Everything is in order.").color(theme.good));
                }
                Some(all) => {
                    for p in all.iter().take(SHOWN) {
                        let end = if p.mend.is_empty() {
                            String::new()
                        } else {
                            format!(" To mend it: {}.", p.mend)
                        };
                        ui.label(format!("{}: {}.{end}", p.place, p.what));
                    }
                    if all.len() > SHOWN {
                        ui.label(format!(
                            "… and {} more; `limn check-labels` lists them all",
                            all.len() - SHOWN
                        ));
                    }
                }
                None => {}
            }
        });
    }

    fn dialogs(&mut self, ctx: &egui::Context, desk: &mut Desk<'_>) {
        if let Some((old, new)) = &mut self.renaming {
            let mut done = None;
            let modal = modal(ctx, "rename part", |ui| {
                ui.set_width(380.0);
                ui.heading(format!("Rename {old}"));
                ui.label("Its labels in every video, its lines in the skeleton and its pair go with it. Models trained before keep the old name.");
                let label = ui.label("New name");
                let field = ui.text_edit_singleline(new).labelled_by(label.id);
                let enter = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
                ui.horizontal(|ui| {
                    let good = !new.trim().is_empty() && new.trim() != old.as_str();
                    if ui.add_enabled(good, egui::Button::new("Rename")).clicked() || enter && good {
                        done = Some(true);
                    }
                    if ui.button("Cancel").clicked() {
                        done = Some(false);
                    }
                });
            });
            if done == Some(true) {
                desk.open.labels.change_bodyparts(BodypartChange::Rename {
                    from: old.clone(),
                    to: new.trim().to_owned(),
                });
            }
            if done.is_some() || modal.should_close() {
                self.renaming = None;
            }
        }
        if let Some(name) = &self.removing {
            let mut done = None;
            let modal = modal(ctx, "remove part", |ui| {
                ui.set_width(380.0);
                ui.heading(format!("Remove {name}?"));
                ui.label(
                    "Its labels go from every table. A copy of each table as it is now is kept beside it.",
                );
                ui.horizontal(|ui| {
                    if ui.button(format!("Remove {name}")).clicked() {
                        done = Some(true);
                    }
                    if ui.button("Cancel").clicked() {
                        done = Some(false);
                    }
                });
            });
            if done == Some(true) {
                desk.open.labels.change_bodyparts(BodypartChange::Remove { name: name.clone() });
            }
            if done.is_some() || modal.should_close() {
                self.removing = None;
            }
        }
    }
}

/// What it is, how far it is, and what comes next.
fn summary(ui: &mut egui::Ui, desk: &mut Desk<'_>) {
    let theme = Theme::of(ui);
    let contents = std::sync::Arc::clone(&desk.open.contents);
    let config = &contents.project.config;
    let labels = desk.open.labels.labels();
    let labeled = labels.labeled_frames().count();
    let said = |key: &FrameKey, frame: &LabeledFrame| {
        let mut points = frame.points.iter().enumerate();
        points.all(|(i, p)| p.is_some() || desk.open.labels.is_hidden(key, i))
    };
    let done = labels.frames.iter().filter(|(key, frame)| said(key, frame)).count();
    let parts = contents.project.skeleton().points();
    let lost: Vec<&str> =
        contents.videos.iter().filter(|v| v.path.is_none()).map(|v| v.stem.as_str()).collect();
    card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.heading(&config.task);
        ui.horizontal_wrapped(|ui| {
            ui.weak(contents.project.root().display().to_string());
        });
        ui.add_space(4.0);
        egui::Grid::new("facts").num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
            let folders: BTreeSet<&str> = contents.pictures.iter().map(|k| k.video.as_str()).collect();
            for (what, value) in [
                ("Labeled by", config.scorer.clone()),
                ("Videos", contents.videos.len().to_string()),
                (
                    "Frames to label",
                    format!("{} from {}", contents.pictures.len(), counted(folders.len(), "video")),
                ),
                ("Frames done", format!("{done}, and {} begun", labeled.saturating_sub(done))),
                ("Labels", format!("{} points", labels.labeled_points())),
                ("Points in a frame", parts.to_string()),
            ] {
                ui.label(what);
                ui.strong(value);
                ui.end_row();
            }
        });
        if !lost.is_empty() {
            ui.label(
                RichText::new(format!(
                    "The files of these videos are gone: {}. Find them in Videos.",
                    lost.join(", ")
                ))
                .color(theme.warn),
            );
        }
        match desk.open.labels.state() {
            State::ReadOnly { why } => {
                ui.label(RichText::new(why).color(theme.warn));
            }
            State::Failed(error) => {
                ui.label(RichText::new(error.to_string()).color(theme.bad));
            }
            State::Opening | State::Editing => {}
        }
        ui.add_space(8.0);
        let (words, button, place) = match (contents.videos.len(), contents.pictures.len(), done) {
            (0, 0, _) => ("Next: add videos.", "Go to Videos", Place::Videos),
            (_, 0, _) => ("Next: choose the frames to label.", "Choose frames", Place::Videos),
            (_, n, l) if l < n => (
                "Next: label the frames. 20 are enough for a first look, 100 to 200 for good tracks.",
                "Label frames",
                Place::Label,
            ),
            _ => ("All frames are labeled. Next: train a network.", "Train", Place::Train),
        };
        ui.horizontal(|ui| {
            if primary(ui, button).clicked() {
                *desk.go = Some(place);
            }
            ui.label(words);
        });
    });
}

/// A list to choose one name from.
fn pick(ui: &mut egui::Ui, what: &str, chosen: &mut String, names: &[String]) {
    let shown = if chosen.is_empty() { what.to_owned() } else { chosen.clone() };
    let combo = egui::ComboBox::from_id_salt(what).selected_text(shown).show_ui(ui, |ui| {
        for name in names {
            ui.selectable_value(chosen, name.clone(), name);
        }
    });
    combo.response.accessible_name(what);
}
