//! Videos: an exact index of frames and times, a reader that gives any frame by its number, and a writer.
//!
//! Frame numbers are 0-based in presentation order and dense; pictures come out upright, as OpenCV gives them.
//! A frame that cannot be decoded keeps its place: the ones after it never move up.
//!
//! ```
//! use limn::picture::Picture;
//! use limn::video::{Decoded, Reader, Writer};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("clip.mp4");
//! let mut writer = Writer::create(&path, 64, 48, 25.0)?;
//! for _ in 0..10 {
//!     writer.write(&Picture::new(64, 48))?;
//! }
//! writer.finish()?;
//!
//! let mut reader = Reader::open(&path, &Quiet::default())?;
//! assert_eq!(reader.index().len(), 10);
//! assert_eq!(reader.index().time(3), Some(0.12));
//! if let Decoded::Picture(p) = reader.frame(7)? {
//!     assert_eq!((p.width(), p.height()), (64, 48));
//! }
//! while let Some((n, frame)) = reader.next()? {
//!     assert!(n > 7 && matches!(frame, Decoded::Picture(_)));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod column;
mod convert;
mod copies;
mod decoder;
mod edits;
mod ends;
mod index;
mod order;
mod packets;
mod reader;
mod server;
mod source;
mod writer;

pub use convert::{Raw, RgbConverter};
pub use decoder::{Hardware, ReaderOptions};
pub use index::{Frame, Index};
pub use reader::{Decoded, RawStep, Reader, Step};
pub use server::{Copy, FrameServer, ServerOptions, Shot, State};
pub use source::Glance;
pub use writer::{Codec, Options, Pixels, Writer, Written};

use ffmpeg_next as ff;
use std::sync::Once;

/// Makes FFmpeg ready and quiet: what goes wrong comes back as errors, not as lines on stderr.
fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It only fills tables; what would fail here fails again, with a message, where it is used.
        let _ = ff::init();
        ff::log::set_level(ff::log::Level::Quiet);
    });
}

/// A static string of FFmpeg's.
#[allow(unsafe_code)] // FFmpeg gives its names as C strings
fn text(name: *const std::ffi::c_char) -> String {
    if name.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: not null, and FFmpeg's name tables are static and end in zero.
    unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

/// What this machine's FFmpeg offers, as (what, answer) lines for `limn doctor`.
#[must_use]
#[allow(unsafe_code)] // the version is not wrapped
pub fn facts() -> Vec<(String, String)> {
    start();
    let dotted = |v: u32| format!("{}.{}.{}", v >> 16, (v >> 8) & 0xff, v & 0xff);
    // SAFETY: returns a static string.
    let version = text(unsafe { ff::ffi::av_version_info() });
    let encoder = match writer::best_encoder(Codec::H264) {
        Some((Codec::H264, codec)) => codec.name().to_owned(),
        Some((_, codec)) => format!("none (videos are written as {} instead)", codec.name()),
        None => "none, and no other encoder either".to_owned(),
    };
    let decoders: Vec<&str> = [
        ("H.264", ff::codec::Id::H264),
        ("HEVC", ff::codec::Id::HEVC),
        ("VP9", ff::codec::Id::VP9),
        ("AV1", ff::codec::Id::AV1),
        ("MPEG-4", ff::codec::Id::MPEG4),
        ("MJPEG", ff::codec::Id::MJPEG),
        ("FFV1", ff::codec::Id::FFV1),
    ]
    .into_iter()
    .filter_map(|(name, id)| ff::decoder::find(id).map(|_| name))
    .collect();
    let hardware = decoder::hardware_names();
    let hardware = if hardware.is_empty() { "none".to_owned() } else { hardware.join(", ") };
    [
        ("FFmpeg", version),
        ("libavcodec", dotted(ff::codec::version())),
        ("libavformat", dotted(ff::format::version())),
        ("H.264 encoder", encoder),
        ("video decoders", decoders.join(", ")),
        ("hardware decoding compiled into FFmpeg", hardware),
    ]
    .into_iter()
    .map(|(what, answer)| (what.to_owned(), answer))
    .collect()
}

#[cfg(test)]
mod tests;
