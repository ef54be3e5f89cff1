use super::colour::ColourMap;
use super::text::{TextStyle, blend, text, text_width};
use crate::picture::Picture;
use crate::pose::{Keypoint, Skeleton};
use tiny_skia::{FillRule, LineCap, Mask, Path, PathBuilder, Stroke, Transform};

/// A keypoint with its likelihood, or nothing.
type Found = Option<(Keypoint, f64)>;

/// How poses are drawn. The defaults are those of a new DeepLabCut project.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Points of a lower likelihood are left out (`pcutoff`).
    pub cutoff: f64,
    /// Radius of a dot in pixels (half of `dotsize`).
    pub radius: f64,
    /// 0 invisible to 1 opaque (`alphavalue`).
    pub alpha: f64,
    /// Colours of the body parts (`colormap`).
    pub colours: ColourMap,
    /// Whether to draw the skeleton's edges.
    pub edges: bool,
    /// Their colour (`skeleton_color`).
    pub edge_colour: [u8; 3],
    /// Their width in pixels.
    pub edge_width: f64,
    /// Whether to write each part's name beside it.
    pub names: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            cutoff: 0.6,
            radius: 4.0,
            alpha: 0.7,
            colours: ColourMap::default(),
            edges: false,
            edge_colour: [0; 3],
            edge_width: 1.5,
            names: false,
        }
    }
}

impl Style {
    /// The colour of point `index` of `skeleton`: by body part, so the same for every individual.
    #[must_use]
    pub fn colour(&self, skeleton: &Skeleton, index: usize) -> [u8; 3] {
        let per = skeleton.bodyparts.len();
        let many = skeleton.individuals.len() * per;
        let part = if index < many { index % per } else { per + index - many };
        self.colours.pick(part, per + skeleton.unique_bodyparts.len())
    }

    fn shows(&self, found: &Found) -> Option<Keypoint> {
        found.filter(|(p, likelihood)| *likelihood >= self.cutoff && near(*p)).map(|(p, _)| p)
    }
}

/// Finite, and near enough for exact arithmetic.
fn near(p: Keypoint) -> bool {
    p.x.abs() < 30_000.0 && p.y.abs() < 30_000.0
}

/// Draws a pose: the skeleton's edges if wanted, a dot on every point at or above the cutoff, names if wanted.
/// `found` is in the skeleton's point order; what is missing at its end counts as not found.
pub fn points(picture: &mut Picture, skeleton: &Skeleton, found: &[Found], style: &Style) {
    let shown: Vec<Option<Keypoint>> = found.iter().map(|f| style.shows(f)).collect();
    if style.edges {
        let get = |i: usize| shown.get(i).copied().flatten();
        let per = skeleton.bodyparts.len();
        for (individual, [a, b]) in (0..skeleton.individuals.len())
            .flat_map(|i| skeleton.edge_indices().into_iter().map(move |e| (i, e)))
        {
            if let (Some(a), Some(b)) = (get(individual * per + a), get(individual * per + b)) {
                line(picture, a, b, style.edge_width, style.edge_colour, style.alpha);
            }
        }
    }
    for (i, at) in shown.iter().enumerate() {
        if let Some(at) = at {
            dot(picture, *at, style.radius, style.colour(skeleton, i), style.alpha);
        }
    }
    if style.names {
        for (at, name) in shown.iter().zip(skeleton.names()) {
            if let Some(at) = at {
                let size = TextStyle { size: (style.radius * 3.0).clamp(12.0, 40.0), ..TextStyle::default() };
                text(picture, at.x + style.radius + 2.0, at.y - size.size / 2.0, name.bodypart, &size);
            }
        }
    }
}

/// Draws labels, which have no likelihood, as [`points`] draws points.
pub fn labels(picture: &mut Picture, skeleton: &Skeleton, labels: &[Option<Keypoint>], style: &Style) {
    let sure: Vec<Found> = labels.iter().map(|l| l.map(|p| (p, f64::INFINITY))).collect();
    points(picture, skeleton, &sure, style);
}

/// Draws where the points have been: a line through `history` (oldest first) that fades into the past. It breaks where
/// a point was not found or below the cutoff.
pub fn trail(picture: &mut Picture, skeleton: &Skeleton, history: &[&[Found]], style: &Style) {
    let steps = history.len().saturating_sub(1).max(1) as f64;
    for (age, pair) in history.windows(2).enumerate() {
        let alpha = style.alpha * (age + 1) as f64 / steps;
        for (i, (a, b)) in pair[0].iter().zip(pair[1]).enumerate() {
            if let (Some(a), Some(b)) = (style.shows(a), style.shows(b)) {
                line(picture, a, b, (style.radius * 0.5).max(1.0), style.colour(skeleton, i), alpha);
            }
        }
    }
}

/// Compares labels with predictions as DeepLabCut's evaluation pictures do: a label is a `+`, a prediction a dot, one
/// below the cutoff an `x`.
pub fn evaluation(
    picture: &mut Picture,
    skeleton: &Skeleton,
    labels: &[Option<Keypoint>],
    predictions: &[Found],
    style: &Style,
) {
    let arm = if style.radius.is_finite() { style.radius.clamp(1.0, 200.0) * 1.25 } else { 5.0 };
    let cross = |picture: &mut Picture, at: Keypoint, arms: [(f64, f64); 2], colour| {
        // One shape, so that its middle is as opaque as its arms; a dark one under it for bright floors.
        for (wide, colour, alpha) in [(2.6, [0, 0, 0], 0.45), (1.4, colour, 1.0)] {
            let mut path = PathBuilder::new();
            for (dx, dy) in arms {
                path.move_to((at.x - dx) as f32, (at.y - dy) as f32);
                path.line_to((at.x + dx) as f32, (at.y + dy) as f32);
            }
            stroke(picture, path, wide, colour, alpha * style.alpha.max(0.85));
        }
    };
    for (i, (p, likelihood)) in predictions.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))) {
        let colour = style.colour(skeleton, i);
        if !near(p) {
        } else if likelihood >= style.cutoff {
            dot(picture, p, style.radius * 0.75, colour, style.alpha);
        } else {
            let d = arm * std::f64::consts::FRAC_1_SQRT_2;
            cross(picture, p, [(d, d), (d, -d)], colour);
        }
    }
    for (i, p) in labels.iter().enumerate().filter_map(|(i, p)| Some((i, p.filter(|p| near(*p))?))) {
        cross(picture, p, [(arm, 0.0), (0.0, arm)], style.colour(skeleton, i));
    }
}

/// Writes the body parts in their colours on a dark plate in the upper left corner.
pub fn legend(picture: &mut Picture, skeleton: &Skeleton, style: &Style) {
    let names: Vec<&str> =
        skeleton.bodyparts.iter().chain(&skeleton.unique_bodyparts).map(String::as_str).collect();
    if names.is_empty() || picture.height() < 16 {
        return;
    }
    let room = picture.height() as f64 - 16.0;
    let row = (picture.height() as f64 / 24.0).clamp(13.0, 26.0).min(room / names.len() as f64).max(5.0);
    let size = row * 0.86;
    let wide = names.iter().map(|n| text_width(n, size)).fold(0.0, f64::max) + 2.4 * size;
    plate(picture, [4.0, 4.0, wide, row * names.len() as f64 + 8.0], [0; 3], 0.5);
    let first_unique = skeleton.individuals.len() * skeleton.bodyparts.len();
    for (i, name) in names.iter().enumerate() {
        let index =
            if i < skeleton.bodyparts.len() { i } else { first_unique + i - skeleton.bodyparts.len() };
        let y = 8.0 + row * i as f64;
        dot(
            picture,
            Keypoint::new(4.0 + 0.9 * size, y + row / 2.0),
            size * 0.3,
            style.colour(skeleton, index),
            1.0,
        );
        let words = TextStyle { size, colour: [240; 3], halo: false };
        text(picture, 4.0 + 1.7 * size, y + (row - size) / 2.0, name, &words);
    }
}

/// A picture with a strip above it that says `words` (shortened where they do not fit).
#[must_use]
pub fn banner(picture: &Picture, words: &str) -> Picture {
    let size = (picture.height() as f64 / 20.0).clamp(14.0, 32.0);
    let strip = (size * 1.5).round() as usize;
    let mut out = Picture::new(picture.width(), picture.height() + strip);
    let under = strip * picture.width() * 3;
    out.rgb_mut()[..under].fill(28);
    out.rgb_mut()[under..].copy_from_slice(picture.rgb());
    let room = picture.width() as f64 - size;
    let mut words = words.to_owned();
    if text_width(&words, size) > room {
        while !words.is_empty() && text_width(&words, size) + text_width("...", size) > room {
            words.pop();
        }
        words.push_str("...");
    }
    let style = TextStyle { size, colour: [240; 3], halo: false };
    // The words stand inside the strip by their height, so nothing reaches the picture.
    text(&mut out, size / 2.0, size * 0.22, &words, &style);
    out
}

/// Pictures side by side in `columns` columns (at least one), each in a cell of the largest size, on dark grey.
#[must_use]
pub fn mosaic(pictures: &[Picture], columns: usize) -> Picture {
    const GAP: usize = 4;
    let columns = columns.clamp(1, pictures.len().max(1));
    let rows = pictures.len().div_ceil(columns);
    let width = pictures.iter().map(Picture::width).max().unwrap_or(0);
    let height = pictures.iter().map(Picture::height).max().unwrap_or(0);
    if rows == 0 {
        return Picture::new(0, 0);
    }
    let mut out = Picture::new(columns * (width + GAP) - GAP, rows * (height + GAP) - GAP);
    out.rgb_mut().fill(28);
    let row = out.width() * 3;
    for (i, picture) in pictures.iter().enumerate().filter(|(_, p)| p.width() > 0) {
        let x = i % columns * (width + GAP) + (width - picture.width()) / 2;
        let y = i / columns * (height + GAP) + (height - picture.height()) / 2;
        for (j, from) in picture.rgb().chunks_exact(picture.width() * 3).enumerate() {
            let at = (y + j) * row + x * 3;
            out.rgb_mut()[at..at + from.len()].copy_from_slice(from);
        }
    }
    out
}

fn dot(picture: &mut Picture, at: Keypoint, radius: f64, colour: [u8; 3], alpha: f64) {
    let radius = if radius.is_finite() { radius.clamp(0.5, 200.0) } else { 3.0 };
    if let Some(path) = PathBuilder::from_circle(at.x as f32, at.y as f32, radius as f32) {
        fill(picture, &path, colour, alpha);
    }
}

fn line(picture: &mut Picture, a: Keypoint, b: Keypoint, width: f64, colour: [u8; 3], alpha: f64) {
    let Some((a, b)) = cut(picture, a, b, 110.0) else { return };
    let mut path = PathBuilder::new();
    path.move_to(a.x as f32, a.y as f32);
    path.line_to(b.x as f32, b.y as f32);
    stroke(picture, path, width, colour, alpha);
}

fn stroke(picture: &mut Picture, path: PathBuilder, width: f64, colour: [u8; 3], alpha: f64) {
    let width = if width.is_finite() { width.clamp(0.5, 100.0) } else { 1.0 };
    let stroke = Stroke { width: width as f32, line_cap: LineCap::Round, ..Stroke::default() };
    if let Some(path) = path.finish().and_then(|p| p.stroke(&stroke, 1.0)) {
        fill(picture, &path, colour, alpha);
    }
}

fn plate(picture: &mut Picture, [x, y, w, h]: [f64; 4], colour: [u8; 3], alpha: f64) {
    if let Some(rect) = tiny_skia::Rect::from_xywh(x as f32, y as f32, w as f32, h as f32) {
        fill(picture, &PathBuilder::from_rect(rect), colour, alpha);
    }
}

/// Fills a shape with smooth edges, touching only the pixels of its box. The whole shape is drawn into the mask and cut
/// afterwards: tiny-skia's own clipping of shapes that reach far out of a small mask is not exact.
fn fill(picture: &mut Picture, path: &Path, colour: [u8; 3], alpha: f64) {
    let bounds = path.bounds();
    let (left, top) = (bounds.left().floor() - 1.0, bounds.top().floor() - 1.0);
    let (right, bottom) = (bounds.right().ceil() + 1.0, bounds.bottom().ceil() + 1.0);
    if right <= 0.0 || bottom <= 0.0 || left >= picture.width() as f32 || top >= picture.height() as f32 {
        return;
    }
    let Some(mut mask) = Mask::new((right - left) as u32, (bottom - top) as u32) else { return };
    mask.fill_path(path, FillRule::Winding, true, Transform::from_translate(-left, -top));
    let strength = if alpha.is_finite() { (alpha.clamp(0.0, 1.0) * 256.0) as u32 } else { 256 };
    let (skip_x, skip_y) = ((-left).max(0.0) as usize, (-top).max(0.0) as usize);
    let (x, y) = (left.max(0.0) as usize, top.max(0.0) as usize);
    let rows = mask.data().chunks_exact(mask.width() as usize).skip(skip_y);
    for (j, row) in rows.take(picture.height() - y).enumerate() {
        for (i, cover) in row.iter().skip(skip_x).enumerate().filter(|(_, c)| **c > 0) {
            blend(picture, x + i, y + j, colour, u32::from(*cover) * strength / 256);
        }
    }
}

/// The part of a line within `margin` of the picture (Liang and Barsky 1984).
fn cut(picture: &Picture, a: Keypoint, b: Keypoint, margin: f64) -> Option<(Keypoint, Keypoint)> {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let (w, h) = (picture.width() as f64 + margin, picture.height() as f64 + margin);
    let (mut from, mut to) = (0.0f64, 1.0f64);
    for (p, q) in [(-dx, a.x + margin), (dx, w - a.x), (-dy, a.y + margin), (dy, h - a.y)] {
        if p == 0.0 && q < 0.0 {
            return None;
        } else if p < 0.0 {
            from = from.max(q / p);
        } else if p > 0.0 {
            to = to.min(q / p);
        }
    }
    let at = |t: f64| Keypoint::new(a.x + t * dx, a.y + t * dy);
    (from <= to).then(|| (at(from), at(to)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skeleton() -> Skeleton {
        let mut s = Skeleton::single(["a", "b", "c"]);
        s.edges = vec![["a".into(), "b".into()]];
        s
    }

    fn at(x: f64, y: f64, likelihood: f64) -> Found {
        Some((Keypoint::new(x, y), likelihood))
    }

    #[test]
    fn a_dot_is_centred_on_its_point() {
        let s = skeleton();
        let style = Style { alpha: 1.0, ..Style::default() };
        let mut p = Picture::new(60, 50);
        points(&mut p, &s, &[None, None, at(30.25, 20.75, 1.0)], &style);
        assert_eq!(p.get(30, 20), style.colour(&s, 2));
        let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
        for i in 0..60 * 50 {
            let v = f64::from(p.get(i % 60, i / 60)[0]); // the last colour of rainbow is red
            (sum, x, y) = (sum + v, x + v * ((i % 60) as f64 + 0.5), y + v * ((i / 60) as f64 + 0.5));
        }
        assert!((x / sum - 30.25).abs() < 0.1 && (y / sum - 20.75).abs() < 0.1);
        assert!((sum / 255.0 - std::f64::consts::PI * 16.0).abs() < 2.0, "area {}", sum / 255.0);
    }

    #[test]
    fn edges_need_both_ends_above_the_cutoff() {
        let s = skeleton();
        let style = Style { edges: true, edge_colour: [0, 200, 0], alpha: 1.0, ..Style::default() };
        let mut p = Picture::new(60, 20);
        points(&mut p, &s, &[at(5.0, 10.5, 0.9), at(55.0, 10.5, 0.9)], &style);
        assert_eq!(p.get(30, 10), [0, 200, 0]);
        let mut p = Picture::new(60, 20);
        points(&mut p, &s, &[at(5.0, 10.5, 0.9), at(55.0, 10.5, 0.1)], &style);
        assert_eq!(p.get(30, 10), [0, 0, 0]);
    }

    #[test]
    fn evaluation_tells_the_three_marks_apart() {
        let s = skeleton();
        let style = Style { alpha: 1.0, radius: 6.0, ..Style::default() };
        let mut p = Picture::new(90, 30);
        let found = [None, at(45.5, 15.5, 0.9), at(75.5, 15.5, 0.1)];
        evaluation(&mut p, &s, &[Some(Keypoint::new(15.5, 15.5))], &found, &style);
        let ink = |x: usize, y: usize| p.get(x, y).iter().any(|v| *v > 100);
        assert!(ink(15, 15) && ink(15, 10) && ink(20, 15) && !ink(19, 11), "+");
        assert!(ink(45, 15) && ink(45, 12) && ink(47, 17) && !ink(45, 8), "dot");
        assert!(ink(75, 15) && ink(78, 12) && !ink(75, 11) && !ink(79, 15), "x");
    }

    #[test]
    fn trail_fades_and_legend_and_banner_fit() {
        let s = skeleton();
        let style = Style { alpha: 1.0, ..Style::default() };
        let rows: Vec<Vec<Found>> =
            (0..10).map(|t| vec![None, None, at(5.0 + 5.0 * f64::from(t), 5.5, 1.0)]).collect();
        let rows: Vec<&[Found]> = rows.iter().map(Vec::as_slice).collect();
        let mut p = Picture::new(60, 20);
        trail(&mut p, &s, &rows, &style);
        assert!(p.get(45, 5)[0] > p.get(15, 5)[0] && p.get(15, 5)[0] > 0);
        let mut p = Picture::new(120, 90);
        legend(&mut p, &s, &style);
        assert!((0..120 * 90).any(|i| p.get(i % 120, i / 120) == style.colour(&s, 1)));
        let b = banner(&p, &"a very long line that can not fit ".repeat(9));
        assert!(b.height() > 90 && b.width() == 120);
        assert_eq!(b.rgb()[b.rgb().len() - p.rgb().len()..], *p.rgb());
    }

    #[test]
    fn mosaic_keeps_every_picture() {
        let mut red = Picture::new(10, 6);
        red.rgb_mut().chunks_exact_mut(3).for_each(|c| c.copy_from_slice(&[255, 0, 0]));
        let m = mosaic(&[red, Picture::new(20, 8), Picture::new(0, 0)], 2);
        assert_eq!((m.width(), m.height()), (44, 20));
        assert_eq!(m.rgb().chunks_exact(3).filter(|c| *c == [255, 0, 0]).count(), 60);
        assert_eq!(mosaic(&[], 0).width(), 0);
    }

    proptest! {
        #[test]
        fn no_number_breaks_drawing(
            values in prop::collection::vec(prop_oneof![any::<f64>(), -50.0..200.0f64], 9),
            radius in any::<f64>(), alpha in any::<f64>(), width in any::<f64>(),
            w in 0usize..40, h in 0usize..40,
        ) {
            let s = skeleton();
            let style = Style { radius, alpha, edge_width: width, edges: true, names: true, cutoff: -1.0, ..Style::default() };
            let found: Vec<Found> = values.chunks(3).map(|v| at(v[0], v[1], v[2].abs())).collect();
            let plain: Vec<_> = found.iter().map(|f| f.map(|f| f.0)).collect();
            let mut p = Picture::new(w, h);
            points(&mut p, &s, &found, &style);
            labels(&mut p, &s, &plain, &style);
            evaluation(&mut p, &s, &plain, &found, &style);
            trail(&mut p, &s, &[&found[..2], &found], &style);
            legend(&mut p, &s, &style);
            let _ = banner(&p, "x");
        }
    }
}
