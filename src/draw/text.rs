use crate::picture::Picture;
use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// How words look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextStyle {
    /// Height of a line in pixels.
    pub size: f64,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// A dark or light rim around the letters, for words on a picture.
    pub halo: bool,
}

impl Default for TextStyle {
    fn default() -> Self {
        Self { size: 16.0, colour: [255; 3], halo: true }
    }
}

/// The fonts in the order in which they are asked for a letter.
static FACES: LazyLock<Vec<FontRef<'static>>> = LazyLock::new(|| {
    [
        epaint_default_fonts::UBUNTU_LIGHT,
        epaint_default_fonts::HACK_REGULAR,
        epaint_default_fonts::NOTO_EMOJI_REGULAR,
    ]
    .into_iter()
    .filter_map(|bytes| FontRef::try_from_slice(bytes).ok())
    .collect()
});

/// One letter's coverage, 0 to 255, and where it lies from the pen.
struct Stamp {
    left: i64,
    top: i64,
    width: usize,
    cover: Vec<u8>,
}

/// Letters already drawn: face, glyph, size in quarter pixels.
type Drawn = HashMap<(usize, GlyphId, u32), Arc<Stamp>>;
static DRAWN: LazyLock<Mutex<Drawn>> = LazyLock::new(Mutex::default);

fn stamp(face: usize, glyph: GlyphId, quarters: u32) -> Option<Arc<Stamp>> {
    let mut drawn = DRAWN.lock().ok()?;
    if let Some(found) = drawn.get(&(face, glyph, quarters)) {
        return Some(found.clone());
    }
    let font = FACES.get(face)?;
    let outlined = font.outline_glyph(glyph.with_scale(PxScale::from(quarters as f32 / 4.0)))?;
    let bounds = outlined.px_bounds();
    let (width, height) = (bounds.width() as usize, bounds.height() as usize);
    let mut cover = vec![0; width * height];
    outlined.draw(|x, y, c| {
        if let Some(v) = cover.get_mut(y as usize * width + x as usize) {
            // The light face would vanish on a busy picture: a little bolder than it is.
            *v = ((c.clamp(0.0, 1.0).powf(0.75)) * 255.0) as u8;
        }
    });
    let made = Arc::new(Stamp { left: bounds.min.x as i64, top: bounds.min.y as i64, width, cover });
    if drawn.len() > 4096 {
        drawn.clear();
    }
    drawn.insert((face, glyph, quarters), made.clone());
    Some(made)
}

fn quarters(size: f64) -> u32 {
    if size.is_finite() { (size.clamp(4.0, 400.0) * 4.0).round() as u32 } else { 64 }
}

/// Calls `each(face, glyph, pen)` for every letter and returns the width.
fn lay_out(words: &str, quarters: u32, mut each: impl FnMut(usize, GlyphId, f32)) -> f32 {
    let scale = PxScale::from(quarters as f32 / 4.0);
    let mut pen = 0.0;
    let mut before: Option<(usize, GlyphId)> = None;
    for letter in words.chars().filter(|c| !c.is_control()) {
        let face = FACES.iter().position(|f| f.glyph_id(letter).0 != 0).unwrap_or(0);
        let Some(font) = FACES.get(face) else { return 0.0 };
        let font = font.as_scaled(scale);
        let glyph = font.glyph_id(letter);
        if let Some((_, last)) = before.filter(|(f, _)| *f == face) {
            pen += font.kern(last, glyph);
        }
        each(face, glyph, pen);
        pen += font.h_advance(glyph);
        before = Some((face, glyph));
    }
    pen
}

/// The width of one line of text in pixels.
#[must_use]
pub fn text_width(words: &str, size: f64) -> f64 {
    f64::from(lay_out(words, quarters(size), |_, _, _| {}))
}

/// Writes one line of text; (x, y) is the top left of the line in pixels. What lies outside the picture is cut off.
/// Control characters are left out.
pub fn text(picture: &mut Picture, x: f64, y: f64, words: &str, style: &TextStyle) {
    if !(x.abs() < 1e6 && y.abs() < 1e6) {
        return;
    }
    let quarters = quarters(style.size);
    let ascent = FACES.first().map_or(0.0, |f| f.as_scaled(PxScale::from(quarters as f32 / 4.0)).ascent());
    let base = (y + f64::from(ascent)).round() as i64;
    let mut letters = Vec::with_capacity(words.len());
    lay_out(words, quarters, |face, glyph, pen| {
        if let Some(s) = stamp(face, glyph, quarters) {
            letters.push(((x + f64::from(pen)).round() as i64 + s.left, base + s.top, s));
        }
    });
    if style.halo {
        let light = style.colour.iter().map(|c| u32::from(*c)).sum::<u32>() > 330;
        let rim = if light { [0; 3] } else { [255; 3] };
        for (left, top, s) in &letters {
            for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
                put(picture, s, left + dx, top + dy, rim, 130);
            }
        }
    }
    for (left, top, s) in &letters {
        put(picture, s, *left, *top, style.colour, 255);
    }
}

fn put(picture: &mut Picture, stamp: &Stamp, left: i64, top: i64, colour: [u8; 3], strength: u32) {
    for (j, row) in stamp.cover.chunks_exact(stamp.width.max(1)).enumerate() {
        for (i, cover) in row.iter().enumerate().filter(|(_, c)| **c > 0) {
            if let (Ok(x), Ok(y)) = (usize::try_from(left + i as i64), usize::try_from(top + j as i64)) {
                blend(picture, x, y, colour, u32::from(*cover) * strength / 255);
            }
        }
    }
}

/// Mixes `colour` into a pixel, `cover` 0 to 255.
#[inline]
pub(super) fn blend(picture: &mut Picture, x: usize, y: usize, colour: [u8; 3], cover: u32) {
    if x >= picture.width() {
        return;
    }
    let at = (y * picture.width() + x) * 3;
    if let Some(pixel) = picture.rgb_mut().get_mut(at..at + 3) {
        for (v, c) in pixel.iter_mut().zip(colour) {
            *v = ((u32::from(*v) * (255 - cover) + u32::from(c) * cover + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_leave_ink_where_they_stand() {
        let mut p = Picture::new(120, 40);
        text(&mut p, 10.0, 10.0, "snout", &TextStyle::default());
        let wide = text_width("snout", 16.0);
        assert!((25.0..60.0).contains(&wide), "{wide}");
        let ink: Vec<_> = (0..40 * 120).filter(|i| p.get(i % 120, i / 120)[0] > 128).collect();
        assert!(ink.len() > 30);
        assert!(
            ink.iter().all(|i| (9..12 + wide as usize).contains(&(i % 120)) && (10..28).contains(&(i / 120)))
        );
    }

    #[test]
    fn odd_words_and_places_are_safe() {
        let mut p = Picture::new(20, 20);
        for (x, y) in [(-50.0, 3.0), (15.0, 15.0), (f64::NAN, 0.0), (1e300, 0.0), (3.0, -7.0)] {
            for size in [0.0, 16.0, f64::NAN, 1e9] {
                text(&mut p, x, y, "a\n\u{4e00}\u{1F42D} é", &TextStyle { size, ..TextStyle::default() });
            }
        }
        text(&mut Picture::new(0, 0), 0.0, 0.0, "x", &TextStyle::default());
        assert!(text_width("", 12.0) == 0.0);
    }
}
