//! x, y and likelihood of body parts over the frames of a video, smooth for a million frames.
//!
//! What is drawn depends on the pixels, not on the frames: a column of pixels shows the smallest and largest value of
//! its frames, which [`TrackPyramids`] answer in a few steps. Shapes are made anew only when the view changes.

use crate::gui::theme::Theme;
use crate::gui::widgets::words::clock_brief;
use crate::pose::{Quantity, TrackPyramids, Tracks};
use eframe::egui::{self, Align2, Color32, FontId, Mesh, Pos2, Rect, Sense, Shape, Stroke, Vec2, pos2, vec2};
use std::ops::Range;
use std::sync::Arc;

/// What is shown.
pub struct Shown<'a> {
    /// The tracks.
    pub tracks: &'a Tracks,
    /// Their pyramids.
    pub pyramids: &'a TrackPyramids,
    /// Points to show, with their names and colours.
    pub points: &'a [(usize, String, Color32)],
    /// The frame that is looked at.
    pub frame: usize,
    /// Where every point of a column is below this likelihood, it is drawn faintly.
    pub cutoff: f32,
    /// Times of the frames in seconds.
    pub times: Option<&'a [f64]>,
}

/// The traces and the stretch of frames in view.
#[derive(Debug, Default)]
pub struct Traces {
    /// First and last frame in view; all of them when empty.
    view: Range<f64>,
    made: Option<Made>,
}

/// Shapes of the traces, with what they were made for.
#[derive(Debug)]
struct Made {
    of: Key,
    rows: [Row; 3],
}

#[derive(Debug, Clone, PartialEq)]
struct Key {
    tracks: usize,
    view: Range<f64>,
    area: Rect,
    columns: usize,
    points: Vec<(usize, Color32)>,
    cutoff: f32,
}

#[derive(Debug, Default)]
struct Row {
    range: [f32; 2],
    shapes: Vec<Shape>,
}

const QUANTITIES: [(Quantity, &str); 3] =
    [(Quantity::X, "x (px)"), (Quantity::Y, "y (px)"), (Quantity::Likelihood, "likelihood")];
/// Room for numbers at the left, and for frame numbers below.
const LEFT: f32 = 52.0;
const BELOW: f32 = 20.0;
const BETWEEN: f32 = 6.0;
/// Fewer frames than this are drawn one by one, as lines with dots.
const FEW: usize = 300;
/// No more columns than this, however fine the screen: they bound what a pass takes.
const COLUMNS: usize = 1200;
/// No closer than so many frames.
const CLOSEST: f64 = 10.0;

impl Traces {
    /// The frames in view.
    #[must_use]
    pub fn view(&self) -> Range<f64> {
        self.view.clone()
    }

    /// Shows all `frames`.
    #[allow(clippy::cast_precision_loss)] // frames
    pub fn show_all(&mut self, frames: usize) {
        self.view = 0.0..(frames as f64).max(1.0);
    }

    /// Zooms about a frame; a `factor` above 1 shows fewer frames.
    pub fn zoom(&mut self, factor: f64, about: f64, frames: usize) {
        let (from, to) = (self.view.start, self.view.end);
        let about = about.clamp(from, to);
        self.place(about - (about - from) / factor, about + (to - about) / factor, frames);
    }

    /// Turns the page when `frame` is out of view.
    #[allow(clippy::cast_precision_loss)] // frames
    pub fn follow(&mut self, frame: usize, frames: usize) {
        let (frame, width) = (frame as f64, self.view.end - self.view.start);
        if !self.view.contains(&(frame + 0.5)) {
            let from = frame - width * 0.1;
            self.place(from, from + width, frames);
        }
    }

    #[allow(clippy::cast_precision_loss)] // frames
    fn place(&mut self, from: f64, to: f64, frames: usize) {
        let all = (frames as f64).max(1.0);
        let width = (to - from).clamp(CLOSEST.min(all), all);
        // A width that was bounded grows or shrinks about the middle.
        let from = if (to - from - width).abs() > 1e-9 { (from + to - width) / 2.0 } else { from };
        let from = from.clamp(0.0, all - width);
        self.view = from..from + width;
    }

    /// Draws the traces in all of `size`; the frame that was clicked, if any.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // frames and pixels
    pub fn ui(&mut self, ui: &mut egui::Ui, shown: &Shown<'_>, size: Vec2) -> Option<usize> {
        let frames = shown.tracks.frames();
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        if frames == 0 || rect.width() < LEFT + 20.0 || rect.height() < 60.0 {
            return None;
        }
        if self.view.is_empty() || self.view.end > frames as f64 {
            self.show_all(frames);
        }
        let area = Rect::from_min_max(
            pos2(rect.left() + LEFT, rect.top()),
            pos2(rect.right(), rect.bottom() - BELOW),
        );
        let per_point = (self.view.end - self.view.start) / f64::from(area.width());
        let frame_at = |x: f32| self.view.start + f64::from(x - area.left()) * per_point;

        let mut clicked = None;
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            clicked = Some((frame_at(at.x).max(0.0) as usize).min(frames - 1));
        }
        let hovered = response.hover_pos().map(|at| frame_at(at.x));
        if response.double_clicked() {
            self.show_all(frames);
        } else if response.dragged() && response.drag_delta().x != 0.0 {
            let by = -f64::from(response.drag_delta().x) * per_point;
            self.place(self.view.start + by, self.view.end + by, frames);
        } else if let Some(about) = hovered.filter(|_| response.hovered()) {
            let (scroll, zoom) = ui.input(|i| (i.smooth_scroll_delta(), i.zoom_delta()));
            let factor = f64::from(zoom) * f64::from(scroll.y * 0.005).exp();
            if (factor - 1.0).abs() > 1e-6 {
                self.zoom(factor, about, frames);
            }
            if scroll.x != 0.0 {
                let by = -f64::from(scroll.x) * per_point;
                self.place(self.view.start + by, self.view.end + by, frames);
            }
        }
        self.paint(ui, shown, rect, area);

        let here =
            Range { start: self.view.start as usize, end: (self.view.end.ceil() as usize).min(frames) };
        let name = format!(
            "Traces of x, y and likelihood, frames {} to {} of {frames}",
            here.start,
            here.end.saturating_sub(1)
        );
        let response = response.accessible_name(name);
        if let Some(frame) = hovered.map(|f| f.max(0.0) as usize).filter(|f| *f < frames) {
            response.on_hover_text_at_pointer(self.tip(shown, frame));
        }
        clicked
    }

    /// A frame's values in words.
    fn tip(&self, shown: &Shown<'_>, frame: usize) -> String {
        let time = shown.times.and_then(|t| t.get(frame)).map(|t| format!(", {t:.3} s")).unwrap_or_default();
        let mut text = format!("Frame {frame}{time}; click to go there");
        for (point, name, _) in shown.points.iter().take(8) {
            text += &match shown.tracks.get(frame, *point) {
                Some((p, l)) => format!("\n{name}: {:.1}, {:.1} px, likelihood {l:.2}", p.x, p.y),
                None => format!("\n{name}: nothing seen"),
            };
        }
        text
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // frames and pixels
    fn paint(&mut self, ui: &egui::Ui, shown: &Shown<'_>, rect: Rect, area: Rect) {
        let theme = Theme::of(ui);
        let columns = ((area.width() * ui.ctx().pixels_per_point()) as usize).clamp(1, COLUMNS);
        let of = Key {
            tracks: shown.tracks.values().as_ptr() as usize,
            view: self.view.clone(),
            area,
            columns,
            points: shown.points.iter().map(|(i, _, colour)| (*i, *colour)).collect(),
            cutoff: shown.cutoff,
        };
        if self.made.as_ref().is_none_or(|m| m.of != of) {
            let rows = make(&of, shown);
            self.made = Some(Made { of, rows });
        }
        let Some(made) = &self.made else { return };
        let painter = ui.painter_at(rect);
        let font = FontId::proportional(11.0);
        for (n, (row, (quantity, title))) in made.rows.iter().zip(QUANTITIES).enumerate() {
            let band = band(area, n);
            painter.rect_filled(band, 3.0, theme.field);
            let painter = painter.with_clip_rect(band);
            let [low, high] = row.range;
            for value in ticks(f64::from(low), f64::from(high), f64::from(band.height() / 28.0)) {
                let y = y_of(value as f32, row.range, band);
                painter.hline(band.x_range(), y, Stroke::new(1.0, theme.line.gamma_multiply(0.5)));
                ui.painter_at(rect).text(
                    pos2(band.left() - 5.0, y),
                    Align2::RIGHT_CENTER,
                    number(value),
                    font.clone(),
                    theme.weak,
                );
            }
            if quantity == Quantity::Likelihood {
                let y = y_of(shown.cutoff, row.range, band);
                painter.hline(band.x_range(), y, Stroke::new(1.0, theme.warn));
            }
            painter.extend(row.shapes.iter().cloned());
            painter.text(band.left_top() + vec2(6.0, 4.0), Align2::LEFT_TOP, title, font.clone(), theme.weak);
        }
        let per_frame = area.width() / (self.view.end - self.view.start) as f32;
        let x_of = |frame: f64| area.left() + ((frame - self.view.start) as f32 + 0.5) * per_frame;
        for frame in ticks(self.view.start, self.view.end, f64::from(area.width() / 110.0)) {
            let x = x_of(frame);
            if frame.fract() != 0.0 || !area.x_range().contains(x) {
                continue;
            }
            let time = shown.times.and_then(|t| t.get(frame as usize));
            let words =
                time.map_or_else(|| number(frame), |t| format!("{} ({})", number(frame), clock_brief(*t)));
            painter.text(pos2(x, area.bottom() + 4.0), Align2::CENTER_TOP, words, font.clone(), theme.weak);
        }
        let x = x_of(shown.frame as f64);
        if area.x_range().contains(x) {
            painter.vline(x, area.y_range(), Stroke::new(1.5, theme.accent));
            for n in 0..QUANTITIES.len() {
                let top = band(area, n).center_top();
                let tip = pos2(x, top.y);
                let corners = vec![tip + vec2(-4.0, 0.0), tip + vec2(4.0, 0.0), tip + vec2(0.0, 6.0)];
                painter.add(Shape::convex_polygon(corners, theme.accent, Stroke::NONE));
            }
        }
    }
}

/// The band of the `n`th quantity.
#[allow(clippy::cast_precision_loss)] // three of them
fn band(area: Rect, n: usize) -> Rect {
    let height = (area.height() - 2.0 * BETWEEN) / 3.0;
    Rect::from_min_size(area.min + vec2(0.0, n as f32 * (height + BETWEEN)), vec2(area.width(), height))
}

fn y_of(value: f32, [low, high]: [f32; 2], band: Rect) -> f32 {
    band.bottom() - (value - low) / (high - low).max(1e-9) * band.height()
}

/// Makes the shapes of all traces.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // frames and pixels
fn make(key: &Key, shown: &Shown<'_>) -> [Row; 3] {
    let frames = shown.tracks.frames();
    let view = (key.view.start.floor() as usize)..(key.view.end.ceil() as usize).min(frames);
    let few = view.len() <= FEW;
    // Column by column the edges of the view are whole frames; so few are missing that it does not show.
    let columns = if few { 0 } else { key.columns.min(view.len()) };
    let of = |quantity| -> Vec<Vec<Option<[f32; 2]>>> {
        let columns = if few { view.len() } else { columns };
        let one = |(i, _, _): &(usize, String, Color32)| {
            shown.pyramids.columns(shown.tracks, *i, quantity, view.clone(), columns)
        };
        shown.points.iter().map(one).collect()
    };
    let likelihood = of(Quantity::Likelihood);
    QUANTITIES.map(|(quantity, _)| {
        let all = if quantity == Quantity::Likelihood { likelihood.clone() } else { of(quantity) };
        let range = if quantity == Quantity::Likelihood {
            [-0.03, 1.03]
        } else {
            let seen = all.iter().flatten().flatten();
            let [low, high] =
                seen.fold([f32::INFINITY, f32::NEG_INFINITY], |r, v| [r[0].min(v[0]), r[1].max(v[1])]);
            let pad = ((high - low) * 0.06).max(1.0);
            if low <= high { [low - pad, high + pad] } else { [0.0, 1.0] }
        };
        let n = QUANTITIES.iter().position(|(q, _)| *q == quantity).unwrap_or(0);
        let band = band(key.area, n);
        let mut shapes = Vec::new();
        let mut mesh = Mesh::default();
        for ((values, sure), (_, _, colour)) in all.iter().zip(&likelihood).zip(shown.points) {
            let faint = |c: usize| sure.get(c).copied().flatten().is_none_or(|[_, high]| high < key.cutoff);
            let colour_of = |c: usize| if faint(c) { colour.gamma_multiply(0.3) } else { *colour };
            let x_of = |c: usize| {
                let frame = view.start as f64 + (c as f64 + 0.5) * view.len() as f64 / values.len() as f64;
                let share = (frame - key.view.start) / (key.view.end - key.view.start);
                band.left() + share as f32 * band.width()
            };
            if few {
                one_by_one(values, x_of, |v| y_of(v, range, band), colour_of, &mut shapes);
            } else {
                let width = band.width() / values.len().max(1) as f32;
                columns_into(&mut mesh, values, x_of, width, |v| y_of(v, range, band), colour_of);
            }
        }
        if !mesh.is_empty() {
            shapes.push(Shape::Mesh(Arc::new(mesh)));
        }
        Row { range, shapes }
    })
}

/// A line from frame to frame, with dots where there is room for them.
fn one_by_one(
    values: &[Option<[f32; 2]>],
    x_of: impl Fn(usize) -> f32,
    y_of: impl Fn(f32) -> f32,
    colour_of: impl Fn(usize) -> Color32,
    shapes: &mut Vec<Shape>,
) {
    let at = |c: usize| values[c].map(|[v, _]| pos2(x_of(c), y_of(v)));
    let dots = values.len() < 2 || x_of(1) - x_of(0) > 6.0;
    for c in 0..values.len() {
        let Some(here) = at(c) else { continue };
        let before = c.checked_sub(1).and_then(at);
        if let Some(before) = before {
            shapes.push(Shape::line_segment([before, here], Stroke::new(1.3, colour_of(c))));
        }
        // A frame between gaps would not be seen at all.
        if dots || before.is_none() {
            shapes.push(Shape::circle_filled(here, 1.8, colour_of(c)));
        }
    }
}

/// An upright bar for each column from its smallest to its largest value, reaching its neighbour's.
fn columns_into(
    mesh: &mut Mesh,
    values: &[Option<[f32; 2]>],
    x_of: impl Fn(usize) -> f32,
    width: f32,
    y_of: impl Fn(f32) -> f32,
    colour_of: impl Fn(usize) -> Color32,
) {
    mesh.reserve_vertices(values.len() * 4);
    mesh.reserve_triangles(values.len() * 2);
    let mut before: Option<[f32; 2]> = None;
    for (c, value) in values.iter().enumerate() {
        let Some([low, high]) = *value else {
            before = None;
            continue;
        };
        let (mut from, mut to) = (low, high);
        if let Some([l, h]) = before {
            (from, to) = (from.min(h), to.max(l));
        }
        before = Some([low, high]);
        let (top, bottom) = (y_of(to) - 0.6, y_of(from) + 0.6);
        let left = x_of(c) - width / 2.0;
        mesh.add_colored_rect(
            Rect::from_min_max(Pos2::new(left, top), Pos2::new(left + width.max(1.0), bottom)),
            colour_of(c),
        );
    }
}

/// Round numbers between `low` and `high`, about `wanted` of them.
fn ticks(low: f64, high: f64, wanted: f64) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0 && wanted >= 1.0) {
        return Vec::new();
    }
    let rough = span / wanted;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(power);
    let mut all = Vec::new();
    let mut at = (low / step).ceil() * step;
    while at <= high && all.len() < 100 {
        all.push(if at.abs() < step * 1e-6 { 0.0 } else { at });
        at += step;
    }
    all
}

/// `12 500`, `0.5`.
fn number(value: f64) -> String {
    if value.fract() != 0.0 {
        return ((value * 1e4).round() / 1e4).to_string();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{a0}');
        }
        text.push(c);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{Keypoint, Skeleton};

    #[test]
    fn ticks_and_numbers_are_round() {
        assert_eq!(ticks(0.0, 100.0, 5.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(-1.5, 1.5, 3.0), [-1.0, 0.0, 1.0]);
        assert!(ticks(5.0, 5.0, 3.0).is_empty() && ticks(0.0, f64::NAN, 3.0).is_empty());
        assert_eq!(number(1_234_567.0), "1\u{a0}234\u{a0}567");
        assert_eq!([number(1234.0), number(-0.5)], ["1234", "-0.5"]);
    }

    #[test]
    fn the_view_stays_within_the_video() {
        let mut traces = Traces::default();
        traces.show_all(1000);
        traces.zoom(4.0, 900.0, 1000);
        assert!((traces.view().end - traces.view().start - 250.0).abs() < 1e-6);
        assert!(traces.view().contains(&900.0));
        for _ in 0..20 {
            traces.zoom(4.0, 999.0, 1000);
        }
        assert!((traces.view().end - traces.view().start - CLOSEST).abs() < 1e-6);
        assert!(traces.view().end <= 1000.0);
        traces.follow(3, 1000);
        assert!(traces.view().contains(&3.5) && traces.view().start >= 0.0);
        traces.zoom(1e-9, 3.0, 1000);
        assert_eq!(traces.view(), 0.0..1000.0);
        traces.show_all(3);
        traces.zoom(2.0, 1.0, 3);
        assert_eq!(traces.view(), 0.0..3.0);
    }

    #[test]
    fn a_million_frames_make_no_more_shapes_than_pixels() {
        for frames in [200, 1_000_000] {
            let mut tracks = Tracks::new(Skeleton::single(["a"]), frames);
            for f in (0..frames).filter(|f| f % 3 != 0) {
                tracks.set(f, 0, Keypoint::new(f as f64, 5.0), 0.9);
            }
            let pyramids = TrackPyramids::of(&tracks, || false).unwrap();
            let shown = Shown {
                tracks: &tracks,
                pyramids: &pyramids,
                points: &[(0, "a".into(), Color32::RED)],
                frame: 0,
                cutoff: 0.5,
                times: None,
            };
            let key = Key {
                tracks: 0,
                view: 0.0..frames as f64,
                area: Rect::from_min_size(Pos2::ZERO, vec2(800.0, 300.0)),
                columns: 800,
                points: vec![(0, Color32::RED)],
                cutoff: 0.5,
            };
            let rows = make(&key, &shown);
            for row in &rows {
                if frames == 200 {
                    // Two thirds of the frames, each with a dot or a line or both.
                    assert!(row.shapes.len() > 100 && row.shapes.len() < 400, "{}", row.shapes.len());
                } else {
                    let [Shape::Mesh(mesh)] = row.shapes.as_slice() else { panic!("one mesh") };
                    assert_eq!(mesh.vertices.len(), 800 * 4);
                    let bounds = mesh.calc_bounds();
                    assert!(bounds.left() >= -1.0 && bounds.right() <= 802.0, "{bounds:?}");
                }
            }
            assert!((rows[0].range[1] - frames as f32).abs() < 0.1 * frames as f32);
        }
    }
}
