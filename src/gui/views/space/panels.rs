//! What stands around the scene: the rig and session, the settings, and the list of cameras.

use super::{BOARD, RIG, SpaceView};
use crate::gui::Desk;
use crate::gui::dialogs::Ask;
use crate::gui::theme::Theme;
use crate::gui::widgets::canvas::CanvasResponse;
use crate::gui::widgets::controls::Entry;
use crate::gui::widgets::words::{counted, file_name};
use crate::show::scene3d::Scene;
use eframe::egui::{self, Color32, ComboBox, RichText, Sense, Vec2};
use std::path::PathBuf;

impl SpaceView {
    pub(super) fn head(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        if let Some(found) = &self.found {
            ui.strong(file_name(&found.path)).on_hover_text(found.path.display().to_string());
            let before = self.chosen.clone();
            let label = ui.label("Session");
            let combo =
                ComboBox::from_id_salt("space session").selected_text(before.as_deref().unwrap_or("none"));
            let combo = combo.show_ui(ui, |ui| {
                for session in &found.sessions {
                    ui.selectable_value(&mut self.chosen, Some(session.name.clone()), &session.name);
                }
            });
            combo.response.labelled_by(label.id);
            if let Some(made) = &found.rig.calibration {
                let theme = Theme::of(ui);
                let colour = match made.verdict.as_str() {
                    "good" => theme.good,
                    "poor" => theme.bad,
                    _ => theme.warn,
                };
                let words = format!("calibration {}: {:.2} px", made.verdict, made.rms_px);
                let more = format!(
                    "{}, from {}: {}",
                    made.date,
                    counted(made.boards, "board"),
                    made.from.join(", ")
                );
                ui.label(RichText::new(words).color(colour)).on_hover_text(more);
            }
            if before != self.chosen {
                self.load(desk);
            }
            ui.separator();
        }
        let path = Entry {
            name: "Path of a rig.yaml",
            hint: "rig.yaml or its folder",
            width: 240.0,
            button: "Open rig",
            ..Entry::default()
        };
        if path.show(ui, &mut self.typed) {
            let rig = PathBuf::from(self.typed.trim());
            self.open(desk, &rig);
        }
        if ui.button("Choose rig…").clicked() {
            desk.dialogs.ask(RIG, Ask::File, "Open a rig.yaml");
        }
        match &self.found {
            Some(found) if ui.button("Change rig…").clicked() => {
                self.assistant.change(found.rig.clone(), &found.path);
            }
            None if ui.button("New rig…").clicked() => self.assistant.begin(desk),
            _ => {}
        }
        self.calibration(ui, desk);
    }

    /// The way to a calibration: a folder of recordings of the board.
    fn calibration(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        if self.found.as_ref().is_none_or(|f| f.rig.board.is_none()) {
            return;
        }
        if self.calibrating.as_ref().is_some_and(|h| h.is_running()) {
            ui.spinner();
            ui.label("Calibrating");
            return;
        }
        let Some(mut typed) = self.board.take() else {
            let more = "From videos or pictures of the board, one or more of each camera, in one folder";
            if ui.button("Calibrate…").on_hover_text(more).clicked() {
                self.board = Some(String::new());
            }
            return;
        };
        let folder = Entry {
            name: "Folder of recordings of the board",
            hint: "folder of board videos or pictures",
            width: 240.0,
            button: "Calibrate",
            ..Entry::default()
        };
        let entered = folder.show(ui, &mut typed);
        if ui.button("Choose board folder…").clicked() {
            desk.dialogs.ask(BOARD, Ask::Folder, "Recordings of the board");
        }
        let leave = ui.button("Cancel").clicked();
        let path = PathBuf::from(typed.trim());
        self.board = (!leave).then_some(typed);
        if entered {
            self.calibrate(desk, path);
        }
    }

    /// What to do first, when there is nothing to show.
    pub(super) fn nothing(&self, ui: &mut egui::Ui) {
        let waiting = self.finding.is_some() || self.loading.is_some();
        ui.vertical_centered(|ui| {
            ui.add_space(ui.available_height() * 0.3);
            if let Some(text) = &self.failed {
                ui.heading(RichText::new("The rig cannot be shown").color(Theme::of(ui).bad));
                ui.label(text);
            } else if waiting {
                ui.spinner();
                ui.label("Reading the recordings…");
            } else if self.found.is_some() {
                ui.heading("No recordings yet");
                ui.label("Put the videos beside rig.yaml; the name of each has its camera's name in it.");
            } else {
                ui.heading("No rig yet");
                ui.label(
                    "Open a rig.yaml, which says which cameras film the same scene, and where they stand.",
                );
            }
        });
    }

    pub(super) fn settings(&mut self, ui: &mut egui::Ui, scene: &Scene) {
        ui.add_space(4.0);
        ui.toggle_value(&mut self.hand.on, "Correct points").on_hover_text(
            "Click the chosen body part in two cameras or more; a right click takes a click back",
        );
        if self.hand.on {
            ui.weak(format!(
                "{} of {} clicked; {} corrected, {}",
                (0..scene.cameras.len()).filter(|c| self.hand.click(*c).is_some()).count(),
                scene.cameras.len(),
                counted(scene.corrections.len(), "point"),
                self.saver.words()
            ));
        }
        if !self.hint.is_empty() {
            ui.colored_label(Theme::of(ui).warn, &self.hint);
        }
        ui.separator();
        ui.checkbox(&mut self.shown.cameras, "Cameras");
        ui.checkbox(&mut self.shown.floor, "Floor");
        ui.checkbox(&mut self.shown.names, "Names");
        ui.checkbox(&mut self.marks.tracks, "2D tracks");
        ui.checkbox(&mut self.marks.reprojected, "Reprojected points");
        if ui.button("Reset the view").clicked() {
            self.stage.reset();
        }
        ui.separator();
        ui.strong("Body parts");
        for (i, title) in self.titles.iter().enumerate() {
            ui.horizontal(|ui| {
                let (spot, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
                ui.painter().circle_filled(
                    spot.center(),
                    5.0,
                    self.colours.get(i).copied().unwrap_or(Color32::GRAY),
                );
                if let Some(on) = self.traced.get_mut(i) {
                    ui.checkbox(on, "")
                        .on_hover_text("Its error below")
                        .accessible_name(format!("Error of {title}"));
                }
                if ui.selectable_label(self.hand.part == i, title).clicked() {
                    self.hand.part = i;
                }
            });
        }
    }

    pub(super) fn cameras(
        &mut self,
        ui: &mut egui::Ui,
        scene: &Scene,
        frame: usize,
        answers: &mut Vec<(usize, CanvasResponse)>,
    ) {
        let (height, count) = (ui.clip_rect().height(), scene.cameras.len().max(1) as f32);
        for (i, camera) in scene.cameras.iter().enumerate() {
            let large = self.large == Some(i);
            ui.horizontal(|ui| {
                ui.strong(&camera.name);
                let (sign, words) =
                    if large { ("Smaller", "Back to 3D from") } else { ("Larger", "Enlarge") };
                let name = format!("{words} {}", camera.name);
                if ui.small_button(sign).accessible_name(name).clicked() {
                    self.large = (!large).then_some(i);
                }
            });
            if large {
                ui.weak("shown in the middle");
                continue;
            }
            // As large as there is room for all of them, but never tiny.
            let [w, h] = camera.size.map(|s| s.max(1) as f32);
            let high = (height / count - 34.0).clamp(110.0, 420.0);
            let wide = (ui.available_width() - 4.0).max(60.0).min(high * w / h);
            let size = Vec2::new(wide, wide * h / w);
            ui.allocate_ui(size, |ui| {
                ui.set_min_size(size);
                let shown = (&self.marks, &self.hand, self.colours.as_slice(), self.titles.as_slice());
                answers.extend(self.films.ui(ui, scene, i, frame, shown).map(|a| (i, a)));
            });
        }
    }
}
