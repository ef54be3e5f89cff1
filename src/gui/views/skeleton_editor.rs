//! Body parts, left/right pairs and skeleton, edited on a drawing.

use crate::gui::theme::Theme;
use eframe::egui::{self, Align2, Color32, FontId, Pos2, Rect, Sense, Stroke, Vec2};
use std::collections::BTreeMap;

/// Lines of a skeleton, drawn from body part to body part. Where the parts stand on the drawing is only for the eye.
#[derive(Default)]
pub(super) struct SkeletonEditor {
    /// Places on the drawing, 0 to 1, by body part.
    places: BTreeMap<String, Vec2>,
    /// The part a line is being drawn from.
    from: Option<String>,
}

impl SkeletonEditor {
    /// Shows the drawing and changes `edges`; whether they changed. A line is drawn, or taken away, by dragging from
    /// one part to another or by clicking both; without a mouse, by choosing both in turn with Tab and Space.
    pub fn ui(
        &mut self,
        ui: &mut egui::Ui,
        parts: &[String],
        edges: &mut Vec<[String; 2]>,
        pairs: &[[usize; 2]],
    ) -> bool {
        let theme = Theme::of(ui);
        let height = 260.0_f32.min(ui.available_height().max(180.0));
        let (whole, _) =
            ui.allocate_exact_size(Vec2::new(ui.available_width().min(560.0), height), Sense::hover());
        ui.painter().rect(whole, 6, theme.canvas, Stroke::new(1.0, theme.line), egui::StrokeKind::Inside);
        self.spread(parts, pairs);
        let inner = whole.shrink2(Vec2::new(60.0, 28.0));
        let at = |name: &String| -> Option<Pos2> {
            let p = self.places.get(name)?;
            Some(inner.min + Vec2::new(p.x * inner.width(), p.y * inner.height()))
        };
        for [a, b] in edges.iter() {
            if let (Some(a), Some(b)) = (at(a), at(b)) {
                ui.painter().line_segment([a, b], Stroke::new(2.5, theme.accent));
            }
        }
        let mut join: Option<(String, String)> = None;
        let mut from = self.from.clone();
        let pointer = ui.input(|i| i.pointer.interact_pos());
        let mut target = None;
        for name in parts {
            let Some(centre) = at(name) else { continue };
            let spot = Rect::from_center_size(centre, Vec2::splat(22.0));
            let response = ui.interact(spot, ui.scope_id().with(("part", name)), Sense::click_and_drag());
            let words = match &from {
                Some(f) if f != name => format!("Join {f} and {name}, or take their line away"),
                _ => format!("Begin a line at {name}"),
            };
            let response = response.accessible_name(&words);
            let begun = from.as_ref() == Some(name);
            let ring =
                if response.hovered() || response.has_focus() || begun { theme.text } else { theme.line };
            let fill = if begun { theme.accent } else { theme.card };
            ui.painter().circle(centre, 8.0, fill, Stroke::new(2.0, ring));
            ui.painter().text(
                centre + Vec2::new(0.0, 11.0),
                Align2::CENTER_TOP,
                name,
                FontId::proportional(12.5),
                theme.text,
            );
            if pointer.is_some_and(|p| spot.contains(p)) {
                target = Some(name.clone());
            }
            if response.drag_started() {
                from = Some(name.clone());
            }
            if response.clicked() {
                match from.take() {
                    Some(f) if f != *name => join = Some((f, name.clone())),
                    Some(_) => {}
                    None => from = Some(name.clone()),
                }
            }
            if response.dragged()
                && let Some(p) = pointer
            {
                ui.painter().line_segment([centre, p], Stroke::new(2.0, theme.warn));
            }
            if response.drag_stopped() {
                from = None;
                if let Some(to) =
                    target.clone().or_else(|| nearest(pointer, parts, &at)).filter(|t| t != name)
                {
                    join = Some((name.clone(), to));
                }
            }
        }
        self.from = from;
        let Some((a, b)) = join else { return false };
        let old = edges.len();
        edges.retain(|[x, y]| !(*x == a && *y == b || *x == b && *y == a));
        if edges.len() == old {
            edges.push([a, b]);
        }
        true
    }

    /// Left parts to the left, right ones to the right, the others down the middle, in their order.
    #[allow(clippy::cast_precision_loss)] // counts of body parts
    fn spread(&mut self, parts: &[String], pairs: &[[usize; 2]]) {
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for i in 0..parts.len() {
            if let Some([l, r]) = pairs.iter().find(|p| p.contains(&i)) {
                if *l.min(r) == i {
                    rows.push(vec![*l, *r]);
                }
            } else {
                rows.push(vec![i]);
            }
        }
        // A long list in two or more columns of the middle, so that names do not meet.
        let down = rows.len().max(1);
        self.places.clear();
        for (row, members) in rows.iter().enumerate() {
            let y = if down == 1 { 0.5 } else { row as f32 / (down - 1) as f32 };
            // A little to and fro, so that lines down the middle do not lie on each other.
            let sway = if row % 2 == 0 { 0.44 } else { 0.56 };
            let xs: &[f32] = if members.len() == 2 { &[0.12, 0.88] } else { &[sway] };
            for (member, x) in members.iter().zip(xs) {
                if let Some(name) = parts.get(*member) {
                    self.places.insert(name.clone(), Vec2::new(*x, y));
                }
            }
        }
    }
}

fn nearest(pointer: Option<Pos2>, parts: &[String], at: &dyn Fn(&String) -> Option<Pos2>) -> Option<String> {
    let pointer = pointer?;
    parts
        .iter()
        .filter_map(|name| Some((at(name)?.distance(pointer), name)))
        .filter(|(d, _)| *d < 24.0)
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.clone())
}

/// The colours of body parts, as the project's `colormap` has them.
pub(super) fn part_colour(map: crate::draw::ColourMap, index: usize, count: usize) -> Color32 {
    let [r, g, b] = map.pick(index, count);
    Color32::from_rgb(r, g, b)
}
