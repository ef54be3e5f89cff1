//! Pictures on their way to the graphics card: tone, size limit, and the choice of filter.

use crate::picture::Picture;
use eframe::egui::{Color32, ColorImage, Context, TextureHandle, TextureId, TextureOptions};
use std::sync::Arc;

/// Brightness and contrast of a picture as it is shown; labels and files never change with it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tone {
    /// -1 (all black) to 1 (all white); 0 as it is.
    pub brightness: f32,
    /// -1 (all grey) to 1 (only black and white); 0 as it is.
    pub contrast: f32,
}

impl Tone {
    /// What becomes of each of the 256 values.
    #[must_use]
    pub fn table(self) -> [u8; 256] {
        let contrast = self.contrast.clamp(-1.0, 0.98);
        // The slope through the middle grey: 0 at -1, 1 at 0, steep towards 1.
        let slope = ((contrast + 1.0) * std::f32::consts::FRAC_PI_4).tan();
        let mut table = [0; 256];
        for (value, to) in (0u8..=255).zip(&mut table) {
            let v = f32::from(value) / 255.0 + self.brightness.clamp(-1.0, 1.0);
            *to = (((v - 0.5) * slope + 0.5).clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
        table
    }
}

/// A picture as the graphics card takes it: with this tone, no side longer than `max_side` (the card's limit, egui's
/// `max_texture_side`). Milliseconds for a large picture: call it off the window's thread.
#[must_use]
pub fn colour_image(picture: &Picture, tone: Tone, max_side: usize) -> ColorImage {
    let table = (tone != Tone::default()).then(|| tone.table());
    let map = |c: [u8; 3]| {
        let [r, g, b] = table.map_or(c, |t| c.map(|v| t[usize::from(v)]));
        Color32::from_rgb(r, g, b)
    };
    let (w, h) = (picture.width(), picture.height());
    if w.max(h) <= max_side.max(1) {
        let pixels = picture.rgb().as_chunks::<3>().0.iter().map(|c| map(*c)).collect();
        return ColorImage::new([w, h], pixels);
    }
    let to = fitted([w, h], max_side.max(1));
    let mut pixels = Vec::with_capacity(to[0] * to[1]);
    for y in 0..to[1] {
        let rows = y * h / to[1]..((y + 1) * h / to[1]).max(y * h / to[1] + 1);
        for x in 0..to[0] {
            let columns = x * w / to[0]..((x + 1) * w / to[0]).max(x * w / to[0] + 1);
            let count = (rows.len() * columns.len()).max(1) as u64;
            let mut sum = [0u64; 3];
            for row in rows.clone() {
                for column in columns.clone() {
                    let c = picture.get(column, row);
                    (0..3).for_each(|i| sum[i] += u64::from(c[i]));
                }
            }
            pixels.push(map(sum.map(|s| (s / count) as u8)));
        }
    }
    ColorImage::new(to, pixels)
}

/// `size` made smaller, in proportion, until no side is longer than `max_side`.
fn fitted(size: [usize; 2], max_side: usize) -> [usize; 2] {
    let longest = size[0].max(size[1]).max(1);
    size.map(|s| if longest <= max_side { s } else { (s * max_side / longest).max(1) })
}

/// One picture on the graphics card, that the canvas can show. Made from an image that [`colour_image`] prepared; the
/// upload itself happens after the pass.
pub struct CanvasImage {
    texture: TextureHandle,
    pixels: Arc<ColorImage>,
    size: [usize; 2],
    nearest: bool,
}

impl CanvasImage {
    /// Takes `pixels` for a frame of `size` pixels (larger than `pixels` where those were scaled down).
    #[must_use]
    pub fn new(ctx: &Context, name: &str, pixels: Arc<ColorImage>, size: [usize; 2]) -> Self {
        let texture = ctx.load_texture(name, Arc::clone(&pixels), TextureOptions::LINEAR);
        Self { texture, pixels, size, nearest: false }
    }

    /// Shows other pixels from now on, such as a video's next frame.
    pub fn set(&mut self, pixels: Arc<ColorImage>, size: [usize; 2]) {
        self.texture.set(Arc::clone(&pixels), self.options());
        self.pixels = pixels;
        self.size = size;
    }

    /// Width and height of the full frame, in pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The pixels as they are shown: with their tone, and scaled down if need be.
    #[must_use]
    pub fn pixels(&self) -> &Arc<ColorImage> {
        &self.pixels
    }

    /// How many bytes it takes on the card, and as many beside it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pixels.pixels.len() * 4
    }

    fn options(&self) -> TextureOptions {
        if self.nearest { TextureOptions::NEAREST } else { TextureOptions::LINEAR }
    }

    /// The texture with square pixels (`nearest`) or smooth; uploads it again only when that changes.
    pub(super) fn texture(&mut self, nearest: bool) -> TextureId {
        if nearest != self.nearest {
            self.nearest = nearest;
            self.texture.set(Arc::clone(&self.pixels), self.options());
        }
        self.texture.id()
    }
}

impl std::fmt::Debug for CanvasImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CanvasImage({} x {})", self.size[0], self.size[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_goes_both_ways_and_leaves_all_as_it_is_at_zero() {
        let as_is = Tone::default().table();
        assert!((0..=255u8).all(|v| as_is[usize::from(v)] == v));
        let of = |brightness, contrast| Tone { brightness, contrast }.table();
        assert!(of(0.2, 0.0)[100] > 100 && of(-0.2, 0.0)[100] < 100);
        let (soft, hard) = (of(0.0, -0.5), of(0.0, 0.5));
        assert!(soft[20] > 20 && soft[230] < 230 && hard[100] < 100 && hard[150] > 150);
        for table in [of(1.0, 1.0), of(-1.0, 1.0), of(0.3, 0.7), of(0.0, -1.0), of(f32::NAN, 0.0)] {
            assert!(table.is_sorted(), "order is kept");
        }
    }

    #[test]
    fn too_large_pictures_are_averaged_down() {
        let mut picture = Picture::new(100, 40);
        for y in 0..40 {
            for x in 50..100 {
                picture.set(x, y, [200, 100, 50]);
            }
        }
        let small = colour_image(&picture, Tone::default(), 50);
        assert_eq!(small.size, [50, 20]);
        assert_eq!(small.pixels[0], Color32::BLACK);
        assert_eq!(small.pixels[49], Color32::from_rgb(200, 100, 50));
        assert_eq!(colour_image(&picture, Tone::default(), 4096).size, [100, 40]);
        assert_eq!(colour_image(&Picture::new(3, 9000), Tone::default(), 10).size, [1, 10]);
    }
}
