//! From a decoded frame to an upright RGB picture.
#![allow(unsafe_code)] // the door to FFmpeg: colour matrix and range are not wrapped

use crate::picture::Picture;
use ff::color::{Range, Space};
use ff::ffi;
use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;

/// The way FFmpeg's program and OpenCV convert: frames agree with theirs (and so with labeled frames extracted by other
/// tools) to the bit, and swscale has its fast paths for it. Its exact rounding would shift grey by a level, blur
/// colour edges otherwise than theirs, and take six times as long.
const FLAGS: scaling::Flags = scaling::Flags::BICUBIC;

/// What of a frame decides how it is converted.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    format: Pixel,
    width: u32,
    height: u32,
    space: Space,
    range: Range,
}

/// Converts frames to RGB, keeping its tables and its buffer from one to the next.
pub(super) struct Converter {
    made: Option<(Look, scaling::Context)>,
    rgb: ff::frame::Video,
}

// SAFETY: a swscale context has no tie to the thread that made it, and this one has a single owner.
unsafe impl Send for Converter {}

impl Converter {
    pub fn new() -> Self {
        Self { made: None, rgb: ff::frame::Video::empty() }
    }

    /// Writes `frame`, turned clockwise by `rotation` degrees, into `picture`, which is made anew only when its size
    /// is another.
    pub fn convert(
        &mut self,
        frame: &ff::frame::Video,
        rotation: u16,
        picture: &mut Picture,
    ) -> Result<(), ff::Error> {
        let look = Look {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
            space: frame.color_space(),
            range: frame.color_range(),
        };
        if self.made.as_ref().is_none_or(|(l, _)| *l != look) {
            self.made = Some((look, context(look)?));
            self.rgb = ff::frame::Video::new(Pixel::RGB24, look.width, look.height);
        }
        let Some((_, scaler)) = &mut self.made else { return Err(ff::Error::Bug) };
        scaler.run(frame, &mut self.rgb)?;
        let (w, h) = (look.width as usize, look.height as usize);
        let size = if rotation.is_multiple_of(180) { (w, h) } else { (h, w) };
        if (picture.width(), picture.height()) != size {
            *picture = Picture::new(size.0, size.1);
        }
        turn(self.rgb.data(0), self.rgb.stride(0), w, h, rotation, picture.rgb_mut());
        Ok(())
    }
}

fn context(look: Look) -> Result<scaling::Context, ff::Error> {
    let mut context = scaling::Context::get(
        look.format,
        look.width,
        look.height,
        Pixel::RGB24,
        look.width,
        look.height,
        FLAGS,
    )?;
    // As FFmpeg's own conversion does: what the stream says is obeyed; where it is silent, BT.601 at any size. That
    // is also what OpenCV assumes, so frames agree with those other tools extract.
    let matrix = match look.space {
        Space::BT709 => ffi::SWS_CS_ITU709,
        Space::FCC => ffi::SWS_CS_FCC,
        Space::SMPTE240M => ffi::SWS_CS_SMPTE240M,
        Space::BT2020NCL | Space::BT2020CL => ffi::SWS_CS_BT2020,
        _ => ffi::SWS_CS_ITU601,
    };
    let mut inverse = std::ptr::null_mut();
    let mut table = std::ptr::null_mut();
    let (mut from, mut to, mut brightness, mut contrast, mut saturation) = (0, 0, 0, 0, 0);
    // SAFETY: the context is valid and ours; all pointers are to locals; the coefficient tables are static.
    unsafe {
        let known = ffi::sws_getColorspaceDetails(
            context.as_mut_ptr(),
            &raw mut inverse,
            &raw mut from,
            &raw mut table,
            &raw mut to,
            &raw mut brightness,
            &raw mut contrast,
            &raw mut saturation,
        );
        // RGB and palette formats have no matrix: swscale says so, and nothing is set.
        if known >= 0 {
            let from = match look.range {
                Range::JPEG => 1,
                Range::MPEG => 0,
                Range::Unspecified => from, // full for the yuvj formats and grey, else limited
            };
            ffi::sws_setColorspaceDetails(
                context.as_mut_ptr(),
                ffi::sws_getCoefficients(matrix),
                from,
                table,
                to,
                brightness,
                contrast,
                saturation,
            );
        }
    }
    Ok(context)
}

/// Copies RGB rows of `stride` bytes into `out` without gaps, turned clockwise by `rotation` degrees.
fn turn(rgb: &[u8], stride: usize, w: usize, h: usize, rotation: u16, out: &mut [u8]) {
    match rotation {
        0 => {
            for (row, to) in rgb.chunks(stride).zip(out.chunks_exact_mut(w * 3)) {
                to.copy_from_slice(&row[..w * 3]);
            }
        }
        180 => {
            for (row, to) in rgb.chunks(stride).zip(out.chunks_exact_mut(w * 3).rev()) {
                for (pixel, to) in row.chunks_exact(3).take(w).zip(to.chunks_exact_mut(3).rev()) {
                    to.copy_from_slice(pixel);
                }
            }
        }
        _ => {
            // The new width is the old height; a row becomes a column, from the right (90) or from the left (270).
            for (y, row) in rgb.chunks(stride).take(h).enumerate() {
                let column = if rotation == 90 { h - 1 - y } else { y };
                for (x, pixel) in row.chunks_exact(3).take(w).enumerate() {
                    let line = if rotation == 90 { x } else { w - 1 - x };
                    let at = (line * h + column) * 3;
                    out[at..at + 3].copy_from_slice(pixel);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_is_clockwise() {
        // a b      c a      d c      b d
        // c d  90: d b 180: b a 270: a c
        let rows: Vec<u8> = [[1; 3], [2; 3], [0; 3], [3; 3], [4; 3], [0; 3]].concat();
        let turned = |rotation| {
            let mut out = vec![0; 12];
            turn(&rows, 9, 2, 2, rotation, &mut out);
            out.chunks(3).map(|p| p[0]).collect::<Vec<_>>()
        };
        assert_eq!(turned(0), [1, 2, 3, 4]);
        assert_eq!(turned(90), [3, 1, 4, 2]);
        assert_eq!(turned(180), [4, 3, 2, 1]);
        assert_eq!(turned(270), [2, 4, 1, 3]);
    }
}
