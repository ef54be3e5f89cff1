//! The reprojection error of body parts over the frames, linked to the cursor.

use crate::gui::theme::Theme;
use crate::show::scene3d::Scene;
use eframe::egui::{self, Align2, Color32, FontId, Sense, Shape, Stroke, Vec2, pos2, vec2};

/// Room for numbers at the left.
const LEFT: f32 = 52.0;
/// No more columns than this, however wide the screen.
const COLUMNS: usize = 1200;
/// Fewer frames than this are drawn with a dot for each.
const FEW: usize = 200;

/// Draws the errors of `points` (with their names and colours) in all of `size`; the frame that was clicked, if any.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // frames and pixels
pub(super) fn errors(
    ui: &mut egui::Ui,
    scene: &Scene,
    points: &[(usize, &str, Color32)],
    frame: usize,
    frames: usize,
    size: Vec2,
) -> Option<usize> {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
    if rect.width() < LEFT + 20.0 || rect.height() < 30.0 || frames == 0 {
        return None;
    }
    let theme = Theme::of(ui);
    let mut area = rect.shrink2(vec2(0.0, 4.0));
    area.min.x += LEFT;
    let painter = ui.painter_at(rect);
    painter.rect_filled(area, 3.0, theme.field);
    let columns = (area.width() as usize).clamp(1, COLUMNS).min(frames);
    let of: Vec<Vec<Option<[f32; 2]>>> = points
        .iter()
        .map(|(point, _, _)| {
            scene
                .errors
                .get(*point)
                .map_or_else(Vec::new, |p| p.columns(0..frames, columns, |f| scene.error(f, *point)))
        })
        .collect();
    let top =
        of.iter().flatten().flatten().map(|v| v[1]).filter(|v| v.is_finite()).fold(0.0, f32::max).max(1.0)
            * 1.1;
    let y_of = |v: f32| area.bottom() - (v / top).clamp(0.0, 1.0) * area.height();
    let font = FontId::proportional(11.0);
    for share in [0.0, 0.5, 1.0] {
        let value = top / 1.1 * share;
        painter.text(
            pos2(area.left() - 5.0, y_of(value)),
            Align2::RIGHT_CENTER,
            format!("{value:.1}"),
            font.clone(),
            theme.weak,
        );
        painter.hline(area.x_range(), y_of(value), Stroke::new(1.0, theme.line.gamma_multiply(0.5)));
    }
    let shown = scene.spots.frames().min(frames).max(1);
    for (values, (_, _, colour)) in of.iter().zip(points) {
        // Columns cover the frames that have tracks.
        let wide = area.width() * shown as f32 / frames as f32 / values.len().max(1) as f32;
        let mut before: Option<[egui::Pos2; 2]> = None;
        for (c, value) in values.iter().enumerate() {
            let x = area.left() + (c as f32 + 0.5) * wide;
            let here = value.map(|[low, high]| [pos2(x, y_of(low)), pos2(x, y_of(high))]);
            if let Some([low, high]) = here {
                let stroke = Stroke::new(1.3, *colour);
                painter.add(Shape::line_segment([low, high], stroke));
                if let Some([_, from]) = before {
                    painter.add(Shape::line_segment([from, low], stroke));
                }
                if frames < FEW || before.is_none() {
                    painter.add(Shape::circle_filled(high, 1.8, *colour));
                }
            }
            before = here;
        }
    }
    painter.text(
        area.left_top() + vec2(6.0, 4.0),
        Align2::LEFT_TOP,
        "reprojection error (px)",
        font,
        theme.weak,
    );
    let x = area.left() + (frame as f32 + 0.5) * area.width() / frames as f32;
    painter.vline(x, area.y_range(), Stroke::new(1.5, theme.accent));

    let now: Vec<String> = points
        .iter()
        .map(|(point, name, _)| match scene.spot(frame, *point) {
            Some(s) if s.error.is_finite() => format!("{name} {:.2} px from {} cameras", s.error, s.cameras),
            Some(_) => format!("{name} found"),
            None => format!("{name} not found"),
        })
        .collect();
    let name = format!("Reprojection error at frame {frame}: {}", now.join(", "));
    let at = response.interact_pointer_pos().filter(|_| response.clicked() || response.dragged());
    let response = response.accessible_name(name);
    response.on_hover_text_at_pointer(format!("Click to go there\n{}", now.join("\n")));
    at.map(|at| (((at.x - area.left()) / area.width() * frames as f32).max(0.0) as usize).min(frames - 1))
}
