//! The part of a video's frames that pictures are taken from: dragged on the picture, or typed.

use crate::gui::Desk;
use crate::gui::theme::{Theme, card, primary_if};
use crate::gui::widgets::canvas::{CanvasResponse, Line, Phase};
use crate::pose::Keypoint;
use crate::project::{Project, ProjectVideo};
use crate::watch::Watch;
use eframe::egui::{self, Color32, DragValue, RichText};

/// The names of the corners, in the order of [`Crop::grips`].
const CORNERS: [&str; 4] =
    ["top left corner", "top right corner", "bottom right corner", "bottom left corner"];
/// No side of a crop is shorter, in pixels.
const LEAST: i64 = 8;

/// A crop being looked at or changed: `x1, x2, y1, y2` in pixels.
#[derive(Default)]
pub(super) struct Crop {
    /// The video it belongs to, and what the project has for it.
    of: Option<(String, Option<[i64; 4]>)>,
    size: Option<[i64; 2]>,
    now: Option<[i64; 4]>,
    /// As it was when a drag began.
    before: Option<[i64; 4]>,
    editing: bool,
}

impl Crop {
    /// Takes another video, or what was saved.
    pub fn follow(&mut self, video: &ProjectVideo, size: Option<[usize; 2]>) {
        self.size = size.map(|s| s.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
        let here = (video.stem.clone(), video.crop);
        if self.of.as_ref() != Some(&here) {
            let other = self.of.as_ref().is_none_or(|(stem, _)| *stem != video.stem);
            *self = Self {
                size: self.size,
                now: video.crop,
                editing: self.editing && !other,
                of: Some(here),
                before: None,
            };
        }
    }

    /// Whether it is being changed on the picture.
    pub fn is_editing(&self) -> bool {
        self.editing
    }

    fn whole(&self) -> Option<[i64; 4]> {
        self.size.map(|[w, h]| [0, w, 0, h])
    }

    /// The part within the frame; `None` when it is all of it, or nothing is known.
    pub fn area(&self) -> Option<[usize; 4]> {
        let whole = self.whole()?;
        let crop = self.saved().filter(|c| *c != whole)?;
        let clamp = |v: i64, limit: i64| usize::try_from(v.clamp(0, limit)).unwrap_or(0);
        Some([
            clamp(crop[0], whole[1]),
            clamp(crop[1], whole[1]),
            clamp(crop[2], whole[3]),
            clamp(crop[3], whole[3]),
        ])
    }

    fn saved(&self) -> Option<[i64; 4]> {
        self.of.as_ref().and_then(|(_, crop)| *crop)
    }

    /// What is drawn: nothing for the whole frame, unless it is being changed.
    #[allow(clippy::cast_precision_loss)] // pixels
    pub fn shown(&self) -> Option<[f64; 4]> {
        let whole = self.whole()?;
        let crop = self.now.unwrap_or(whole);
        (self.editing || crop != whole).then(|| crop.map(|v| v as f64))
    }

    /// The corners that can be dragged, with their names.
    pub fn grips(&self) -> Vec<(&'static str, Keypoint)> {
        match self.shown() {
            Some([x1, x2, y1, y2]) if self.editing => CORNERS
                .into_iter()
                .zip([(x1, y1), (x2, y1), (x2, y2), (x1, y2)].map(|(x, y)| Keypoint::new(x, y)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Follows the pointer on the picture.
    pub fn drag(&mut self, answer: &CanvasResponse) {
        let Some(whole) = self.whole().filter(|_| self.editing) else { return };
        let now = self.now.unwrap_or(whole);
        let (next, phase) = if let Some(drag) = answer.dragged {
            let (x, y) = (round(drag.to.x), round(drag.to.y));
            let [x1, x2, y1, y2] = now;
            let next = match drag.mark {
                0 => [x.min(x2 - LEAST), x2, y.min(y2 - LEAST), y2],
                1 => [x1, x.max(x1 + LEAST), y.min(y2 - LEAST), y2],
                2 => [x1, x.max(x1 + LEAST), y1, y.max(y1 + LEAST)],
                _ => [x.min(x2 - LEAST), x2, y1, y.max(y1 + LEAST)],
            };
            (next, drag.phase)
        } else if let Some(s) = answer.stretched {
            let (a, b) = ([round(s.from.x), round(s.from.y)], [round(s.to.x), round(s.to.y)]);
            ([a[0].min(b[0]), a[0].max(b[0]), a[1].min(b[1]), a[1].max(b[1])], s.phase)
        } else {
            return;
        };
        let before = *self.before.get_or_insert(now);
        self.now = Some(if phase == Phase::GivenUp { before } else { within(next, whole) });
        if phase != Phase::Moving {
            self.before = None;
        }
    }

    /// The fields.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>, video: &ProjectVideo) {
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Crop").size(16.0));
            ui.weak("The part of the frame that matters. k-means compares only this part where pictures are cut to it.");
            let Some(whole) = self.whole() else { return };
            ui.checkbox(&mut self.editing, "Change it on the picture");
            let mut now = self.now.unwrap_or(whole);
            egui::Grid::new("crop").num_columns(4).spacing([8.0, 6.0]).show(ui, |ui| {
                let mut field = |ui: &mut egui::Ui, words: &str, i: usize, low: i64, high: i64| {
                    let label = ui.label(words);
                    ui.add(DragValue::new(&mut now[i]).range(low..=high.max(low)).suffix(" px").speed(1.0).update_while_editing(false))
                        .labelled_by(label.id)
                        .accessible_name(format!("Crop {words}"));
                };
                field(ui, "left", 0, 0, whole[1] - LEAST);
                field(ui, "right", 1, LEAST, whole[1]);
                ui.end_row();
                field(ui, "top", 2, 0, whole[3] - LEAST);
                field(ui, "bottom", 3, LEAST, whole[3]);
                ui.end_row();
            });
            if now != self.now.unwrap_or(whole) {
                self.now = Some(within(now, whole));
            }
            let now = self.now.unwrap_or(whole);
            ui.weak(format!("{} × {} px of {} × {} px", now[1] - now[0], now[3] - now[2], whole[1], whole[3]));
            let changed = now != self.saved().unwrap_or(whole);
            ui.horizontal(|ui| {
                if primary_if(ui, changed, "Save crop").clicked() {
                    let stem = video.stem.clone();
                    desk.open.change(desk.jobs, "Saving the crop", move |p: &mut Project, _: &dyn Watch| {
                        p.set_crop(&stem, now)
                    });
                    self.editing = false;
                }
                if ui.add_enabled(changed, egui::Button::new("Undo change")).clicked() {
                    self.now = self.saved();
                }
                if ui.add_enabled(now != whole, egui::Button::new("Whole frame")).clicked() {
                    self.now = Some(whole);
                }
            });
            if changed {
                ui.colored_label(Theme::of(ui).warn, "Not saved yet.");
            }
        });
    }
}

#[allow(clippy::cast_possible_truncation)] // pixels; beyond the frame they are clamped
fn round(v: f64) -> i64 {
    v.round().clamp(-1e9, 1e9) as i64
}

/// The crop within the frame, no side shorter than the least; frames smaller than that are taken whole.
fn within([x1, x2, y1, y2]: [i64; 4], [_, w, _, h]: [i64; 4]) -> [i64; 4] {
    let side = |a: i64, b: i64, size: i64| {
        if size <= LEAST {
            return (0, size);
        }
        let a = a.clamp(0, size - LEAST);
        (a, b.clamp(a + LEAST, size))
    };
    let ((x1, x2), (y1, y2)) = (side(x1, x2, w), side(y1, y2, h));
    [x1, x2, y1, y2]
}

/// A rectangle's four lines on a canvas.
pub(super) fn outline([x1, x2, y1, y2]: [f64; 4], colour: Color32, width: f32) -> [Line; 4] {
    let corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)].map(|(x, y)| Keypoint::new(x, y));
    let side = |a: usize, b: usize| Line { ends: [corners[a], corners[b]], colour, width };
    [side(0, 1), side(1, 2), side(2, 3), side(3, 0)]
}

#[cfg(test)]
mod tests {
    use super::within;

    proptest::proptest! {
        #[test]
        fn a_crop_always_lies_in_the_frame(c: [i32; 4], w in 1..5000_i64, h in 1..5000_i64) {
            let [x1, x2, y1, y2] = within(c.map(i64::from), [0, w, 0, h]);
            assert!(0 <= x1 && x1 < x2 && x2 <= w && 0 <= y1 && y1 < y2 && y2 <= h);
        }
    }
}
