//! What the window tells: warnings and errors stay until they are dismissed, the rest fades; all can be read again.

use super::theme::Theme;
use super::widgets::controls::named_small;
use crate::error::Error;
pub use crate::project::Severity;
use eframe::egui::{self, Align2, Id, RichText};
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
struct Notice {
    severity: Severity,
    title: String,
    text: String,
    at: jiff::Zoned,
    until: Option<Instant>,
    count: u32,
}

/// All that was told, oldest first.
#[derive(Debug, Default)]
pub struct Notices {
    all: Vec<Notice>,
}

const SHOWN: Duration = Duration::from_secs(7);
const KEPT: usize = 200;

impl Notices {
    /// Tells that something went well.
    pub fn note(&mut self, text: impl Into<String>) {
        self.tell(Severity::Note, "", text);
    }

    /// Tells something to know.
    pub fn warn(&mut self, title: &str, text: impl Into<String>) {
        self.tell(Severity::Warning, title, text);
    }

    /// Tells an error: what, where, and the mend.
    pub fn error(&mut self, title: &str, error: &Error) {
        self.tell(Severity::Error, title, error.to_string());
    }

    /// Tells something. The same once more is counted, not repeated.
    pub fn tell(&mut self, severity: Severity, title: &str, text: impl Into<String>) {
        let text = text.into();
        let until = (severity == Severity::Note).then(|| Instant::now() + SHOWN);
        if let Some(last) = self.all.last_mut().filter(|n| n.title == title && n.text == text) {
            last.count += 1;
            last.until = until;
            return;
        }
        let at = jiff::Zoned::now();
        self.all.push(Notice { severity, title: title.to_owned(), text, at, until, count: 1 });
        if self.all.len() > KEPT {
            self.all.remove(0);
        }
    }

    /// Takes all cards off the screen.
    pub fn dismiss(&mut self) {
        let now = Instant::now();
        self.all.iter_mut().for_each(|n| n.until = Some(now));
    }

    /// How many warnings and errors there were.
    #[must_use]
    pub fn grave(&self) -> usize {
        self.all.iter().filter(|n| n.severity != Severity::Note).count()
    }

    /// All texts, for tests and for reading again.
    pub fn texts(&self) -> impl Iterator<Item = (Severity, &str)> {
        self.all.iter().map(|n| (n.severity, n.text.as_str()))
    }

    /// The newest ones, as cards in the lower right corner.
    pub(super) fn show(&mut self, ctx: &egui::Context) {
        let now = Instant::now();
        let fresh: Vec<usize> =
            (0..self.all.len()).filter(|i| self.all[*i].until.is_none_or(|u| u > now)).collect();
        let first = fresh.len().saturating_sub(4);
        let mut dismissed = Vec::new();
        egui::Area::new(Id::unique("notices"))
            .order(egui::Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, [-14.0, -40.0])
            .show(ctx, |ui| {
                ui.set_max_width(420.0);
                for i in &fresh[first..] {
                    if card(ui, &self.all[*i]) {
                        dismissed.push(*i);
                    }
                }
            });
        for i in dismissed {
            self.all[i].until = Some(now);
        }
        if let Some(next) = fresh.iter().filter_map(|i| self.all[*i].until).min() {
            ctx.request_repaint_after(next.saturating_duration_since(now) + Duration::from_millis(20));
        }
    }

    /// All of them, to read again.
    pub(super) fn list(&self, ui: &mut egui::Ui) {
        if self.all.is_empty() {
            ui.weak("Nothing has been said yet.");
        }
        let theme = Theme::of(ui);
        for n in self.all.iter().rev() {
            ui.horizontal_wrapped(|ui| {
                ui.weak(n.at.strftime("%H:%M:%S").to_string());
                ui.label(RichText::new(word(n.severity)).color(colour(n.severity, &theme)));
                if !n.title.is_empty() {
                    ui.strong(&n.title);
                }
                ui.label(&n.text);
                if n.count > 1 {
                    ui.weak(format!("({} times)", n.count));
                }
            });
            ui.separator();
        }
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn colour(severity: Severity, theme: &Theme) -> egui::Color32 {
    match severity {
        Severity::Note => theme.good,
        Severity::Warning => theme.warn,
        Severity::Error => theme.bad,
    }
}

/// Draws one; whether it was dismissed.
fn card(ui: &mut egui::Ui, notice: &Notice) -> bool {
    let theme = Theme::of(ui);
    let colour = colour(notice.severity, &theme);
    let mut dismissed = false;
    egui::Frame::popup(ui.style()).stroke(egui::Stroke::new(1.0, colour)).show(ui, |ui| {
        ui.set_width(390.0);
        ui.horizontal_top(|ui| {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::TOP), |ui| {
                let close = named_small(ui, "×", "Dismiss this message");
                dismissed = close.clicked();
                ui.with_layout(egui::Layout::top_down(egui::Align::LEFT), |ui| {
                    if !notice.title.is_empty() {
                        ui.label(RichText::new(&notice.title).strong().color(colour));
                    }
                    ui.add(egui::Label::new(&notice.text).wrap());
                    if notice.count > 1 {
                        ui.weak(format!("{} times", notice.count));
                    }
                });
            });
        });
    });
    dismissed
}
