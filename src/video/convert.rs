//! From a decoded frame to an upright RGB picture.
#![allow(unsafe_code)] // the door to FFmpeg: colour matrix and range are not wrapped

use super::index::Index;
use ff::color::{Range, Space};
use ff::ffi;
use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;

/// The way FFmpeg's program and OpenCV convert: frames agree with theirs (and so with labeled frames extracted by other
/// tools) to the bit, and swscale has its fast paths for it. Its exact rounding would shift grey by a level, blur
/// colour edges otherwise than theirs, and take six times as long.
const FLAGS: scaling::Flags = scaling::Flags::BICUBIC;

/// swscale takes up to so many pixels at a time, and writes so many where fewer are left: only rows of whole steps may
/// lie without gaps in somebody else's memory.
const WHOLE_STEPS: usize = 32;

/// What of a frame decides how it is converted.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    format: Pixel,
    width: u32,
    height: u32,
    space: Space,
    range: Range,
}

/// A decoded frame as the decoder gives it: neither upright nor RGB. It owns its pixels and can be sent to the thread
/// that converts it; while it lives, the decoder uses other memory.
pub struct Raw(pub(super) ff::frame::Video);

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({} x {}, {:?})", self.0.width(), self.0.height(), self.0.format())
    }
}

/// Makes upright RGB pictures of decoded frames, keeping its tables and its buffer from one to the next. Each thread
/// that converts has its own.
///
/// ```
/// # use limn::picture::Picture;
/// # use limn::video::{Reader, RgbConverter, Writer};
/// # use limn::watch::Quiet;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("clip.mp4");
/// # let mut writer = Writer::create(&path, 64, 48, 25.0)?;
/// # for _ in 0..4 {
/// #     writer.write(&Picture::new(64, 48))?;
/// # }
/// # writer.finish()?;
/// let mut reader = Reader::open(&path, &Quiet::default())?;
/// let index = reader.shared_index();
/// let (send, receive) = std::sync::mpsc::sync_channel(8);
/// std::thread::scope(|threads| {
///     threads.spawn(move || {
///         while let Ok(Some(step)) = reader.next_raw() {
///             if send.send(step).is_err() {
///                 break;
///             }
///         }
///     });
///     let mut converter = RgbConverter::new();
///     let mut batch = vec![0; 4 * 64 * 48 * 3];
///     for (step, rgb) in receive.iter().zip(batch.chunks_exact_mut(64 * 48 * 3)) {
///         let done = step.picture.and_then(|raw| converter.convert(&raw, &index, rgb));
///         assert!(done.is_ok(), "frame {} is missing", step.frame);
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct RgbConverter {
    made: Option<(Look, scaling::Context)>,
    /// For what cannot be written straight to its place.
    rgb: Option<ff::frame::Video>,
}

// SAFETY: a swscale context has no tie to the thread that made it, and this one has a single owner.
unsafe impl Send for RgbConverter {}

impl std::fmt::Debug for RgbConverter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RgbConverter")
    }
}

impl RgbConverter {
    /// A converter that has nothing ready yet: its tables come with the first frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a frame of `index`, upright, into `rgb`: row after row without gaps, three bytes for each pixel, red
    /// first, `index.width() * index.height() * 3` in all.
    ///
    /// # Errors
    /// The reason, when the frame's size is not the index' or its colours cannot be converted, and when `rgb` has
    /// another length; `rgb` may be written in part then.
    pub fn convert(&mut self, raw: &Raw, index: &Index, rgb: &mut [u8]) -> Result<(), String> {
        let (w, h) = (raw.0.width() as usize, raw.0.height() as usize);
        let size = if index.rotation().is_multiple_of(180) { (w, h) } else { (h, w) };
        let wanted = (index.width(), index.height());
        if size != wanted {
            return Err(format!(
                "the picture is {} x {} here, not {} x {} as at the start",
                size.0, size.1, wanted.0, wanted.1
            ));
        }
        self.upright(&raw.0, index.rotation(), rgb)
            .map_err(|e| format!("its colours cannot be converted: {e}"))
    }

    /// Writes `frame`, turned clockwise by `rotation` degrees, into `out`.
    pub(super) fn upright(
        &mut self,
        frame: &ff::frame::Video,
        rotation: u16,
        out: &mut [u8],
    ) -> Result<(), ff::Error> {
        let look = Look {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
            space: frame.color_space(),
            range: frame.color_range(),
        };
        let (w, h) = (look.width as usize, look.height as usize);
        if w == 0 || h == 0 || out.len() != w * h * 3 {
            return Err(ff::Error::InvalidData);
        }
        if self.made.as_ref().is_none_or(|(l, _)| *l != look) {
            self.made = Some((look, context(look)?));
            self.rgb = None;
        }
        let Some((_, scaler)) = &mut self.made else { return Err(ff::Error::Bug) };
        if rotation == 0 && w.is_multiple_of(WHOLE_STEPS) {
            return straight(scaler, frame, w, h, out);
        }
        let rgb =
            self.rgb.get_or_insert_with(|| ff::frame::Video::new(Pixel::RGB24, look.width, look.height));
        scaler.run(frame, rgb)?;
        turn(rgb.data(0), rgb.stride(0), w, h, rotation, out);
        Ok(())
    }
}

/// Lets swscale write where the picture shall be, in rows without gaps.
fn straight(
    scaler: &mut scaling::Context,
    frame: &ff::frame::Video,
    w: usize,
    h: usize,
    out: &mut [u8],
) -> Result<(), ff::Error> {
    let (Ok(stride), Ok(height)) = (i32::try_from(w * 3), i32::try_from(h)) else {
        return Err(ff::Error::InvalidData);
    };
    if out.len() != w * h * 3 {
        return Err(ff::Error::InvalidData);
    }
    let planes = [out.as_mut_ptr(), std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut()];
    // SAFETY: the context was made for this frame's format and size; `out` has room for `h` rows of `stride` bytes,
    // and swscale writes past a row's end only where the width is no multiple of the pixels it takes at a time.
    let rows = unsafe {
        let from = &*frame.as_ptr();
        ffi::sws_scale(
            scaler.as_mut_ptr(),
            from.data.as_ptr().cast(),
            from.linesize.as_ptr(),
            0,
            height,
            planes.as_ptr(),
            [stride, 0, 0, 0].as_ptr(),
        )
    };
    if rows == height { Ok(()) } else { Err(if rows < 0 { ff::Error::from(rows) } else { ff::Error::Bug }) }
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
