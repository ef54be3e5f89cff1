//! The command palette, and the list of shortcuts, where they can be changed.

use super::keys::{Action, Keys, Scope};
use super::theme::{Theme, modal};
use super::widgets::controls::named_small;
use eframe::egui::{self, Event, Key, KeyboardShortcut, RichText};

/// Finds a command by a few letters of its words.
#[derive(Default)]
pub(super) struct Palette {
    open: bool,
    fresh: bool,
    text: String,
    at: usize,
    chosen: Option<Action>,
}

impl Palette {
    pub fn open(&mut self) {
        *self = Self { open: true, fresh: true, ..Self::default() };
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The command that was chosen in the last pass.
    pub fn chosen(&mut self) -> Option<Action> {
        self.chosen.take()
    }

    pub fn ui(&mut self, ctx: &egui::Context, keys: &Keys, scopes: &[Scope]) {
        if !self.open {
            return;
        }
        let modal = modal(ctx, "palette", |ui| {
            ui.set_width(460.0);
            ui.heading("Commands");
            let field = ui.add(
                egui::TextEdit::singleline(&mut self.text)
                    .hint_text("Type what you want to do")
                    .desired_width(f32::INFINITY)
                    .id_salt("palette text"),
            );
            let field = field.accessible_name("Search for a command");
            if std::mem::take(&mut self.fresh) {
                field.request_focus();
            }
            if field.changed() {
                self.at = 0;
            }
            let found: Vec<Action> = Action::all()
                .filter(|a| {
                    scopes.contains(&a.scope()) && *a != Action::Palette && fits(a.words(), &self.text)
                })
                .collect();
            let (up, down, enter) = ui.input(|i| {
                (i.key_pressed(Key::ArrowUp), i.key_pressed(Key::ArrowDown), i.key_pressed(Key::Enter))
            });
            let last = found.len().saturating_sub(1);
            self.at = (self.at + usize::from(down)).min(last).saturating_sub(usize::from(up));
            ui.add_space(4.0);
            egui::ScrollArea::vertical().max_height(340.0).auto_shrink([false, true]).show(ui, |ui| {
                if found.is_empty() {
                    ui.weak("No command has these words.");
                }
                for (i, action) in found.iter().enumerate() {
                    let row = ui.horizontal(|ui| {
                        let row = ui.selectable_label(i == self.at, action.words());
                        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                            ui.weak(keys.words(ui.ctx(), *action));
                        });
                        row
                    });
                    if i == self.at && (up || down) {
                        row.inner.scroll_to_me(None);
                    }
                    if row.inner.clicked() || i == self.at && enter {
                        self.chosen = Some(*action);
                    }
                }
            });
        });
        if modal.should_close() || self.chosen.is_some() {
            self.open = false;
            ctx.request_repaint();
        }
    }
}

/// Whether every word of `wanted` begins somewhere in `words`.
fn fits(words: &str, wanted: &str) -> bool {
    let words = words.to_lowercase();
    wanted.to_lowercase().split_whitespace().all(|w| words.contains(w))
}

/// All shortcuts; each can be changed.
#[derive(Default)]
pub(super) struct Help {
    open: bool,
    waiting: Option<Action>,
    said: String,
}

impl Help {
    pub fn open(&mut self) {
        *self = Self { open: true, ..Self::default() };
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn ui(&mut self, ctx: &egui::Context, keys: &mut Keys) {
        if !self.open {
            return;
        }
        if let Some(action) = self.waiting
            && let Some(pressed) = ctx.input_mut(pressed)
        {
            self.waiting = None;
            if pressed.logical_key == Key::Escape {
                self.said.clear();
            } else {
                let words = ctx.format_shortcut(&pressed);
                let taken = keys.set(action, pressed);
                self.said = match taken.as_slice() {
                    [] => format!("{} is now on {words}.", action.words()),
                    all => format!(
                        "{} is now on {words}, which was taken from: {}.",
                        action.words(),
                        all.iter().map(|a| a.words()).collect::<Vec<_>>().join(", ")
                    ),
                };
            }
        }
        let modal = modal(ctx, "shortcuts", |ui| {
            ui.set_width(620.0);
            let theme = Theme::of(ui);
            ui.heading("Keyboard shortcuts");
            ui.label(match self.waiting {
                Some(action) => format!("Press the new key of “{}”, or Escape to leave it.", action.words()),
                None if self.said.is_empty() => "Choose one to change it.".into(),
                None => self.said.clone(),
            });
            egui::ScrollArea::vertical().max_height(ctx.content_rect().height() - 190.0).show(ui, |ui| {
                let mut scope: Option<Scope> = None;
                for action in Action::all() {
                    if scope != Some(action.scope()) {
                        scope = Some(action.scope());
                        ui.add_space(8.0);
                        ui.label(RichText::new(action.scope().heading()).strong());
                    }
                    ui.horizontal(|ui| {
                        ui.label(action.words());
                        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                            if keys.is_own(action) {
                                let name = format!("Usual key of {}", action.words());
                                let reset = named_small(ui, "Reset", &name);
                                if reset.clicked() {
                                    keys.reset(action);
                                }
                            }
                            let waits = self.waiting == Some(action);
                            let now = keys.words(ui.ctx(), action);
                            let shown = match (waits, now.is_empty()) {
                                (true, _) => RichText::new("press a key…").color(theme.warn),
                                (false, true) => RichText::new("none").weak(),
                                (false, false) => RichText::new(now).monospace(),
                            };
                            let name = format!("Change the key of {}", action.words());
                            let change = ui.button(shown).on_hover_text(&name);
                            let change = change.accessible_name(&name);
                            if change.clicked() {
                                self.waiting = Some(action);
                            }
                        });
                    });
                }
            });
            ui.add_space(6.0);
            ui.button("Close").clicked()
        });
        if self.waiting.is_none() && (modal.inner || modal.should_close()) {
            self.open = false;
        }
    }
}

/// The key that was pressed, taken out of the input.
fn pressed(input: &mut egui::InputState) -> Option<KeyboardShortcut> {
    let mut found = None;
    input.events.retain(|event| match event {
        Event::Key { key, pressed: true, modifiers, .. } if found.is_none() => {
            let mut m = *modifiers;
            // One word for Ctrl and Cmd, whichever the machine has.
            if m.command {
                m = egui::Modifiers { ctrl: false, mac_cmd: false, ..m };
            }
            found = Some(KeyboardShortcut::new(m, *key));
            false
        }
        Event::Text(_) => false,
        _ => true,
    });
    found
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_command_is_found_by_parts_of_its_words() {
        assert!(fits("Extract this frame for labeling", "fra ext"));
        assert!(fits("Undo", ""));
        assert!(!fits("Undo", "redo"));
    }
}
