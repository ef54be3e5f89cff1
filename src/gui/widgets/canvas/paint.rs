//! Drawing the canvas: the picture, lines, marks, names and the magnifier.

use super::{CanvasImage, CanvasResponse, Content, Mark, Place, Shape};
use crate::gui::theme::Theme;
use crate::pose::Keypoint;
use eframe::egui::{
    Align2, Color32, ColorImage, CornerRadius, FontId, Painter, Pos2, Rect, Stroke, StrokeKind, TextStyle,
    TextureHandle, TextureOptions, Ui, Vec2, pos2, vec2,
};
use std::sync::Arc;

/// Physical pixels for one texel beyond which single pixels are shown as squares.
const SQUARES: f64 = 2.0;
/// Behind and around marks, so that they stand out on bright and dark pictures alike.
const SHADE: Color32 = Color32::from_black_alpha(170);

pub(super) fn paint(
    ui: &Ui,
    painter: &Painter,
    place: &Place,
    content: Content<'_>,
    answer: &CanvasResponse,
) {
    let area = answer.response.rect;
    painter.rect_filled(area, CornerRadius::ZERO, Theme::of(ui).canvas);
    if let Some(image) = content.image {
        picture(ui, painter, place, area, image);
    }
    for line in content.lines {
        painter.line_segment(line.ends.map(|e| place.to_screen(e)), Stroke::new(line.width, line.colour));
    }
    let dots = |selected: bool| content.marks.iter().enumerate().filter(move |(_, m)| m.selected == selected);
    for (index, mark) in dots(false).chain(dots(true)) {
        let at = place.to_screen(mark.at);
        if !area.expand(mark.radius + 200.0).contains(at) {
            continue;
        }
        let hovered = answer.hovered == Some(index);
        dot(painter, at, mark, hovered);
        if !mark.name.is_empty() && (hovered || (content.names && mark.grip)) {
            name(ui, painter, at, mark);
        }
    }
    if let Some(words) = content.words {
        let font = TextStyle::Body.resolve(ui.style());
        let wide = (area.width() - 32.0).max(60.0);
        let galley = painter.layout(words.to_owned(), font, ui.visuals().text_color(), wide.min(520.0));
        let rect = Align2::CENTER_CENTER.anchor_size(area.center(), galley.size());
        painter.rect_filled(rect.expand(12.0), CornerRadius::same(6), ui.visuals().window_fill);
        painter.galley(rect.min, galley, ui.visuals().text_color());
    }
    if let Some(note) = content.note {
        let font = TextStyle::Small.resolve(ui.style());
        let colour = ui.visuals().text_color();
        let galley = painter.layout(note.to_owned(), font, colour, (area.width() - 32.0).max(60.0));
        let rect = Align2::LEFT_BOTTOM.anchor_size(area.left_bottom() + vec2(10.0, -8.0), galley.size());
        painter.rect_filled(rect.expand2(vec2(6.0, 3.0)), CornerRadius::same(4), ui.visuals().window_fill);
        painter.galley(rect.min, galley, colour);
    }
}

/// Only the part in sight, so that coordinates stay small enough for the card at any zoom.
fn picture(ui: &Ui, painter: &Painter, place: &Place, area: Rect, image: &mut CanvasImage) {
    let size = image.size();
    let whole = place.rect(size);
    let seen = whole.intersect(area);
    if seen.is_negative() || size.contains(&0) {
        return;
    }
    let share = |at: Pos2| {
        let at = place.to_frame(at);
        pos2((at.x / size[0] as f64) as f32, (at.y / size[1] as f64) as f32)
    };
    let uv = Rect::from_min_max(share(seen.min), share(seen.max));
    let texel = size[0] as f64 / image.pixels().size[0].max(1) as f64;
    let nearest = place.scale * f64::from(ui.pixels_per_point()) * texel > SQUARES;
    painter.image(image.texture(nearest), seen, uv, Color32::WHITE);
}

fn dot(painter: &Painter, at: Pos2, mark: &Mark<'_>, hovered: bool) {
    let r = mark.radius.max(1.0) + if hovered { 1.5 } else { 0.0 };
    let fill = mark.colour;
    let rim = Stroke::new(1.0, if mark.grip { SHADE } else { SHADE.gamma_multiply(0.4) });
    match mark.shape {
        Shape::Disc => {
            painter.circle(at, r, fill, rim);
        }
        Shape::Ring => {
            painter.circle_stroke(at, r + 0.5, Stroke::new(3.0, rim.color));
            painter.circle_stroke(at, r, Stroke::new(1.5, fill));
        }
        Shape::Square => {
            let rect = Rect::from_center_size(at, Vec2::splat(r * 1.8));
            painter.rect(rect, CornerRadius::ZERO, fill, rim, StrokeKind::Middle);
        }
        Shape::Cross => {
            for stroke in [Stroke::new(3.5, rim.color), Stroke::new(1.5, fill)] {
                painter.line_segment([at - vec2(r, r), at + vec2(r, r)], stroke);
                painter.line_segment([at - vec2(r, -r), at + vec2(r, -r)], stroke);
            }
        }
    }
    if mark.selected {
        painter.circle_stroke(at, r + 3.5, Stroke::new(4.0, SHADE));
        painter.circle_stroke(at, r + 3.5, Stroke::new(2.0, Color32::WHITE));
    }
}

fn name(ui: &Ui, painter: &Painter, at: Pos2, mark: &Mark<'_>) {
    let font = TextStyle::Small.resolve(ui.style());
    let galley = painter.layout_no_wrap(mark.name.to_owned(), font, Color32::WHITE);
    let off = mark.radius + if mark.selected { 8.0 } else { 4.0 };
    let rect = Rect::from_min_size(at + vec2(off, -off - galley.size().y * 0.5), galley.size());
    painter.rect_filled(rect.expand2(vec2(3.0, 1.0)), CornerRadius::same(3), SHADE);
    painter.galley(rect.min, galley, Color32::WHITE);
}

/// The magnifier: the pixels around the pointer, large, with a crosshair on the exact spot.
#[derive(Default)]
pub(super) struct Lens {
    texture: Option<TextureHandle>,
    /// What the texture shows: its first texel, and which image it was taken from.
    of: Option<([i64; 2], usize)>,
    /// The pixels of the last picture that was painted.
    source: Option<(Arc<ColorImage>, [usize; 2])>,
    /// The marks that are drawn in it.
    marks: Vec<(Keypoint, Color32)>,
}

/// Side of the magnifier in points, points for one frame pixel in it, and texels it needs for that.
const LENS: f32 = 162.0;
const LENS_SCALE: f32 = 6.0;
const LENS_TEXELS: i64 = 29;

impl Lens {
    /// Remembers what is on show.
    pub(super) fn look_at(&mut self, image: Option<&CanvasImage>, marks: &[Mark<'_>]) {
        self.source = image.map(|i| (Arc::clone(i.pixels()), i.size()));
        self.marks.clear();
        self.marks.extend(marks.iter().filter(|m| m.grip).map(|m| (m.at, m.colour)));
    }

    pub(super) fn show(&mut self, ui: &Ui, painter: &Painter, place: &Place, answer: &CanvasResponse) {
        let (Some((pixels, size)), Some(pointer)) = (self.source.clone(), answer.pointer) else { return };
        let at = answer.dragged.map_or(pointer, |d| d.to);
        if !at.inside(size[0] as f64, size[1] as f64) {
            return;
        }
        // The texel under the spot, and where in that texel.
        let texel = [0, 1].map(|i| [at.x, at.y][i] * pixels.size[i] as f64 / size[i] as f64);
        let first = texel.map(|t| t.floor() as i64 - LENS_TEXELS / 2);
        let of = (first, Arc::as_ptr(&pixels) as usize);
        if self.of != Some(of) || self.texture.is_none() {
            let cut = cut_out(&pixels, first);
            match &mut self.texture {
                Some(texture) => texture.set(cut, TextureOptions::NEAREST),
                None => {
                    self.texture = Some(ui.ctx().load_texture("magnifier", cut, TextureOptions::NEAREST));
                }
            }
            self.of = Some(of);
        }
        let Some(texture) = &self.texture else { return };

        let area = answer.response.rect.shrink(8.0);
        let side = LENS.min(area.width()).min(area.height());
        let right = Rect::from_min_size(pos2(area.right() - side, area.top()), Vec2::splat(side));
        let left = Rect::from_min_size(area.min, Vec2::splat(side));
        // Never under the pointer.
        let near = right.expand(24.0).contains(place.to_screen(pointer));
        let rect = if near { left } else { right };
        let inner = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
        inner.rect_filled(rect, CornerRadius::ZERO, Color32::BLACK);
        let middle = rect.center();
        let corner = [0, 1].map(|i| (first[i] as f64 - texel[i]) as f32 * LENS_SCALE);
        let image = Rect::from_min_size(
            middle + vec2(corner[0], corner[1]),
            Vec2::splat(LENS_TEXELS as f32 * LENS_SCALE),
        );
        inner.image(texture.id(), image, Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0)), Color32::WHITE);
        for (mark, colour) in &self.marks {
            let scale = |i: usize| pixels.size[i] as f32 / size[i] as f32 * LENS_SCALE;
            let off = vec2((mark.x - at.x) as f32 * scale(0), (mark.y - at.y) as f32 * scale(1));
            inner.circle_stroke(middle + off, 4.0, Stroke::new(3.0, SHADE));
            inner.circle_stroke(middle + off, 4.0, Stroke::new(1.5, *colour));
        }
        for stroke in [Stroke::new(3.0, SHADE), Stroke::new(1.0, Color32::WHITE)] {
            for way in [vec2(1.0, 0.0), vec2(-1.0, 0.0), vec2(0.0, 1.0), vec2(0.0, -1.0)] {
                inner.line_segment([middle + way * 5.0, middle + way * side], stroke);
            }
        }
        let words = format!("x {:.1} px, y {:.1} px", at.x, at.y);
        let font = FontId::proportional(12.0);
        let galley = painter.layout_no_wrap(words, font, Color32::WHITE);
        let low = Align2::CENTER_BOTTOM.anchor_size(rect.center_bottom() - vec2(0.0, 3.0), galley.size());
        inner.rect_filled(low.expand2(vec2(3.0, 1.0)), CornerRadius::same(3), SHADE);
        inner.galley(low.min, galley, Color32::WHITE);
        painter.rect_stroke(
            rect,
            CornerRadius::ZERO,
            Stroke::new(1.0, ui.visuals().window_stroke.color),
            StrokeKind::Outside,
        );
    }
}

/// A square of texels from `first` on; black beyond the picture.
fn cut_out(pixels: &ColorImage, first: [i64; 2]) -> ColorImage {
    let side = LENS_TEXELS as usize;
    let mut cut = Vec::with_capacity(side * side);
    for y in 0..LENS_TEXELS {
        for x in 0..LENS_TEXELS {
            let at = (usize::try_from(first[0] + x), usize::try_from(first[1] + y));
            cut.push(match at {
                (Ok(x), Ok(y)) if x < pixels.size[0] && y < pixels.size[1] => {
                    pixels.pixels.get(y * pixels.size[0] + x).copied().unwrap_or(Color32::BLACK)
                }
                _ => Color32::BLACK,
            });
        }
    }
    ColorImage::new([side, side], cut)
}
