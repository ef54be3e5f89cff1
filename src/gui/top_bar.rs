//! The bar at the top: where one is, and what is always at hand.

use super::desk::Place;
use super::keys::{Action, Fired};
use super::prefs::Prefs;
use super::theme::Wish;
use eframe::egui::{self, Panel, RichText};
use std::path::Path;

/// The action that goes to a view.
pub(super) fn go_action(place: Place) -> Action {
    match place {
        Place::Project => Action::GoProject,
        Place::Videos => Action::GoVideos,
        Place::Label => Action::GoLabel,
        Place::Train => Action::GoTrain,
        Place::Analyze => Action::GoAnalyze,
        Place::Space => Action::GoSpace,
    }
}

/// Shows the bar; `project` is the open project's name and folder, while one is in front.
pub(super) fn top_bar(
    ui: &mut egui::Ui,
    fired: &mut Fired,
    prefs: &mut Prefs,
    at: &mut Place,
    project: Option<(&str, &Path)>,
) {
    let keys = &prefs.keys;
    Panel::top("bar").exact_size(44.0).resizable(false).show(ui, |ui| {
        ui.horizontal_centered(|ui| {
            ui.label(RichText::new("limn").strong().size(18.0));
            if project.is_some() {
                ui.separator();
                for place in Place::ALL {
                    let words = RichText::new(place.name()).size(15.0);
                    let tip = keys.tip(ui.ctx(), go_action(place));
                    if ui.selectable_label(*at == place, words).on_hover_text(tip).clicked() {
                        *at = place;
                    }
                }
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let mut button = |words: &str, action: Action| {
                    if ui.button(words).on_hover_text(keys.tip(ui.ctx(), action)).clicked() {
                        fired.add(action);
                    }
                };
                button("Shortcuts", Action::Help);
                button("Commands…", Action::Palette);
                // A narrow window has no room for what the palette has too.
                if ui.available_width() < 120.0 {
                    return;
                }
                let (words, next) = match prefs.theme {
                    Wish::System => ("Theme: system", Wish::Light),
                    Wish::Light => ("Theme: light", Wish::Dark),
                    Wish::Dark => ("Theme: dark", Wish::System),
                };
                if ui.button(words).on_hover_text("Light, dark, or as the desktop has it").clicked() {
                    prefs.theme = next;
                    ui.ctx().set_theme(next);
                }
                if let Some((name, folder)) = project {
                    ui.add(egui::Label::new(RichText::new(name).weak()).truncate())
                        .on_hover_text(folder.display().to_string());
                }
            });
        });
    });
}
