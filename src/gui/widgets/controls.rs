//! Small controls and cards that look and are named the same on every screen.

use crate::gui::theme::card;
use eframe::egui::{self, Response, RichText, TextEdit, Ui};

/// A small button that shows a sign or a word, and says in full what it does.
pub fn named_small(ui: &mut Ui, sign: &str, words: &str) -> Response {
    ui.small_button(sign).on_hover_text(words).accessible_name(words)
}

/// A card as wide as there is room.
pub fn titled_card<T>(ui: &mut Ui, title: &str, inside: impl FnOnce(&mut Ui) -> T) -> T {
    let inside = |ui: &mut Ui| {
        ui.set_width(ui.available_width());
        ui.label(RichText::new(title).strong());
        inside(ui)
    };
    card(ui).show(ui, inside).inner
}

/// A line of text to be entered with a button behind it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry<'a> {
    /// Before the field; nothing when empty.
    pub label: &'a str,
    /// The field's name for screen readers, where it is not the label.
    pub name: &'a str,
    /// In the field while it is empty.
    pub hint: &'a str,
    /// The field's width in points; as usual when 0.
    pub width: f32,
    /// On the button.
    pub button: &'a str,
    /// The button's name for screen readers, where it is not what stands on it.
    pub button_name: &'a str,
}

impl Entry<'_> {
    /// Shows it in one row; whether `text` was entered, by Enter or the button. Blanks alone cannot be entered.
    pub fn show(self, ui: &mut Ui, text: &mut String) -> bool {
        let label = (!self.label.is_empty()).then(|| ui.label(self.label));
        let mut field = TextEdit::singleline(text).hint_text(self.hint);
        if self.width > 0.0 {
            field = field.desired_width(self.width);
        }
        let mut field = ui.add(field);
        if let Some(label) = label {
            field = field.labelled_by(label.id);
        }
        if !self.name.is_empty() {
            field = field.accessible_name(self.name);
        }
        let enter = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        let mut button = ui.button(self.button);
        if !self.button_name.is_empty() {
            button = button.accessible_name(self.button_name);
        }
        if enter {
            field.request_focus(); // for the next one, and so that Tab goes on from here
        }
        (enter || button.clicked()) && !text.trim().is_empty()
    }
}
