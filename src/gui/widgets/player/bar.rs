//! The player's controls: a slider, and under it a row of buttons, the frame's number, its time and the speed.

use super::Player;
use crate::gui::keys::{Action, Fired, Keys};
use crate::gui::theme::Theme;
use crate::gui::widgets::words::{clock, count};
use eframe::egui::{self, ComboBox, DragValue, Ui};

const SPEEDS: [f64; 7] = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
/// With less room than this, in points, the row leaves away how many frames and how much time there is in all.
const ROOMY: f32 = 640.0;

impl Player {
    /// Slider, buttons, frame number, time and speed, in two lines; the lower one needs 640 points, and 470 without
    /// totals. Does what keys ask for, too. `marks` are frames shown as ticks on the slider.
    pub fn bar(&mut self, ui: &mut Ui, keys: &Keys, fired: &Fired, marks: &[usize]) {
        self.act(fired);
        let last = self.frames().saturating_sub(1);
        ui.add_enabled_ui(self.frames() > 0, |ui| {
            self.slider(ui, last, marks);
            let roomy = ui.available_width() >= ROOMY;
            ui.horizontal_wrapped(|ui| {
                let mut pressed = Fired::default();
                let mut button = |ui: &mut Ui, sign: &str, name: &str, action: Action| {
                    let button = ui.button(sign).on_hover_text(keys.tip(ui.ctx(), action));
                    if button.accessible_name(name).clicked() {
                        pressed.add(action);
                    }
                };
                let play = if self.is_playing() { "Pause" } else { "Play" };
                for (sign, action) in [
                    ("|<", Action::FirstFrame),
                    ("<<", Action::Back),
                    ("<", Action::PreviousFrame),
                    (play, Action::PlayPause),
                    (">", Action::NextFrame),
                    (">>", Action::Forward),
                    (">|", Action::LastFrame),
                ] {
                    let name = if action == Action::PlayPause { play } else { action.words() };
                    button(ui, sign, name, action);
                }
                ui.separator();
                self.number(ui, keys, last, roomy);
                ui.separator();
                ui.label(self.times(last, roomy));
                ui.separator();
                self.speeds(ui);
                self.act(&pressed);
            });
        });
    }

    fn slider(&mut self, ui: &mut Ui, last: usize, marks: &[usize]) {
        ui.scope(|ui| {
            ui.spacing_mut().slider_width = (ui.available_width() - 8.0).max(60.0);
            let mut frame = self.cursor;
            let slider = egui::Slider::new(&mut frame, 0..=last.max(1)).show_value(false);
            let response = ui.add(slider).accessible_name("Position in the video");
            if response.changed() && last > 0 {
                self.play(false);
                self.go_to(frame);
            }
            let theme = Theme::of(ui);
            let rail = response.rect.shrink2(egui::vec2(response.rect.height() / 2.5, 0.0));
            let mut drawn = f32::NEG_INFINITY;
            for mark in marks.iter().filter(|m| **m <= last) {
                #[allow(clippy::cast_precision_loss)]
                let x = rail.left() + rail.width() * (*mark as f32 / last.max(1) as f32);
                // Thousands of ticks on one pixel are one.
                if x - drawn >= 1.0 {
                    let y = response.rect.bottom() - 4.0..=response.rect.bottom();
                    ui.painter().vline(x, egui::Rangef::new(*y.start(), *y.end()), (2.0, theme.good));
                    drawn = x;
                }
            }
        });
    }

    fn number(&mut self, ui: &mut Ui, keys: &Keys, last: usize, roomy: bool) {
        let label = ui.label("Frame");
        let mut frame = self.cursor;
        if std::mem::take(&mut self.jump) {
            // Before the field is there, so that it finds itself chosen and its number ready to be typed over.
            let id = ui.next_auto_id();
            ui.memory_mut(|m| m.request_focus(id));
        }
        ui.add(DragValue::new(&mut frame).range(0..=last).speed(0.2).update_while_editing(false))
            .labelled_by(label.id)
            .accessible_name("Frame number")
            .on_hover_text(keys.tip(ui.ctx(), Action::JumpToFrame));
        if frame != self.cursor {
            self.play(false);
            self.go_to(frame);
        }
        if roomy {
            ui.label(format!("of {}", count(self.frames())));
        }
    }

    fn times(&self, last: usize, roomy: bool) -> String {
        let end = match (&self.index, &self.timeline) {
            (Some(index), _) => index.duration().max(self.time_of(last)),
            (None, Some(timeline)) if timeline.times.is_some() => self.time_of(last),
            (None, Some(_)) => return "no times".to_owned(),
            (None, None) => 0.0,
        };
        if roomy { format!("{} of {}", clock(self.time()), clock(end)) } else { clock(self.time()) }
    }

    fn speeds(&mut self, ui: &mut Ui) {
        let mut speed = self.speed;
        let combo = ComboBox::from_id_salt("speed").width(56.0).selected_text(format!("{speed}×"));
        let combo = combo.show_ui(ui, |ui| {
            for s in SPEEDS {
                ui.selectable_value(&mut speed, s, format!("{s}×"));
            }
        });
        combo.response.on_hover_text("Speed of playing").accessible_name("Speed");
        if (speed - self.speed).abs() > f64::EPSILON {
            self.speed = speed;
            self.wind();
        }
    }
}
