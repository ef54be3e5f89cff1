//! One picture in memory: 8-bit RGB, row after row. What video frames, label images and renderings all are.
//!
//! ```
//! use limn::picture::Picture;
//! let mut p = Picture::new(4, 3);
//! p.set(1, 2, [255, 0, 0]);
//! assert_eq!(p.get(1, 2), [255, 0, 0]);
//! assert_eq!(p.rgb().len(), 4 * 3 * 3);
//! ```

use crate::error::{Error, Kind, Result};
use std::io::{BufWriter, Cursor, Write};
use std::path::Path;

/// An 8-bit RGB picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A black picture.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgb: vec![0; width * height * 3] }
    }

    /// Takes `rgb`, row after row; `None` when its length is not `width * height * 3`.
    #[must_use]
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        (rgb.len() == width * height * 3).then_some(Self { width, height, rgb })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes, row after row, three per pixel.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// All bytes, to write.
    pub fn rgb_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    /// The bytes themselves.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// One pixel; black outside.
    #[must_use]
    pub fn get(&self, x: usize, y: usize) -> [u8; 3] {
        if x >= self.width || y >= self.height {
            return [0; 3];
        }
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Sets one pixel; outside is ignored.
    pub fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// Reads a PNG or JPEG of any depth; grey becomes RGB, transparency is dropped, 16 bit is scaled to 8.
    ///
    /// # Errors
    /// When the file is not there or is no such picture.
    pub fn load(path: &Path) -> Result<Self> {
        crate::watch::may_wait("reading a picture");
        let bytes = std::fs::read(path).map_err(|e| Error::io("read the picture", path, e))?;
        let decoded = image::load_from_memory(&bytes).map_err(|e| {
            Error::new(Kind::Format, format!("cannot decode the picture: {e}"))
                .at(path.display())
                .mend("extract this frame again, or remove the file and its labels")
        })?;
        let rgb = decoded.into_rgb8();
        let (w, h) = rgb.dimensions();
        Ok(Self { width: w as usize, height: h as usize, rgb: rgb.into_raw() })
    }

    /// The size of a picture file, from its header alone: (width, height).
    ///
    /// # Errors
    /// As [`Picture::load`].
    pub fn size_of(path: &Path) -> Result<(usize, usize)> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("read the picture", path, e))?;
        image::ImageReader::new(std::io::BufReader::new(file))
            .with_guessed_format()
            .map_err(|e| Error::io("read the picture", path, e))?
            .into_dimensions()
            .map(|(w, h)| (w as usize, h as usize))
            .map_err(|e| {
                Error::new(Kind::Format, format!("cannot read the picture's size: {e}"))
                    .at(path.display())
                    .mend("extract this frame again, or remove the file and its labels")
            })
    }

    /// Writes a PNG, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        let mut out = BufWriter::new(Cursor::new(Vec::new()));
        self.encode_png(&mut out).map_err(|e| {
            Error::new(Kind::Format, format!("cannot encode the picture: {e}")).at(path.display())
        })?;
        let bytes = out.into_inner().map_err(|e| Error::io("write the picture", path, e.into_error()))?;
        crate::files::write_whole(path, bytes.get_ref())
    }

    #[allow(clippy::cast_possible_truncation)] // pictures are far smaller than 2^32
    fn encode_png(&self, out: &mut impl Write) -> image::ImageResult<()> {
        use image::ImageEncoder;
        image::codecs::png::PngEncoder::new(out).write_image(
            &self.rgb,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::Rgb8,
        )
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_round_trip_and_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let mut p = Picture::new(5, 7);
        for y in 0..7 {
            for x in 0..5 {
                p.set(x, y, [x as u8 * 50, y as u8 * 30, 7]);
            }
        }
        let path = dir.path().join("a.png");
        p.save_png(&path).unwrap();
        assert_eq!(Picture::load(&path).unwrap(), p);
        assert_eq!(Picture::size_of(&path).unwrap(), (5, 7));

        let grey16 = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(3, 2, image::Luma([0x8000]));
        let path = dir.path().join("g.png");
        grey16.save(&path).unwrap();
        let got = Picture::load(&path).unwrap().get(1, 1)[0];
        assert!((127..=128).contains(&got));
    }
}
