//! The exact list of a video's frames, from reading its packets without decoding them.
//!
//! Most files state a presentation time with every packet and show one picture for each; a short trial decoding
//! checks that this file is one of them. Where it is not (AVI with B-frames, raw streams, hidden frames), the whole
//! file is decoded once to find out. A million frames take 5 to 10 MB.

use super::column::Column;
use super::decoder::Coding;
use super::edits::Edit;
use super::ends::{cut_off, cut_short};
use super::order::{Times, average_rate, order};
use super::packets::Packets;
use super::source::Source;
use crate::error::{Error, Kind, Result};
use crate::watch::Watch;
use std::path::{Path, PathBuf};

/// One frame of the index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Seconds since the first frame, from the stream's timestamps.
    pub time: f64,
    /// Whether decoding can begin here.
    pub key: bool,
    /// Which packet of the stream, in file order, holds it.
    pub(super) packet: u32,
}

/// What is known of a video without decoding it: its frames with their times, its size, its coding.
#[derive(Clone)]
pub struct Index {
    path: PathBuf,
    bytes: u64,
    fingerprint: String,
    broken_off: Option<String>,
    width: usize,
    height: usize,
    rotation: u16,
    fps: f64,
    start: f64,
    duration: f64,
    pixels: String,
    pub(super) coding: Coding,
    pub(super) packets: Packets,
    /// For every frame its packet.
    order: Column,
    times: Times,
}

impl Index {
    /// Reads the whole file once (and decodes it, where its timestamps do not tell the frames) and lists its frames.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such file; [`Kind::Video`] when it is no video, has no index, ends before
    /// the frames it promises, or holds only sound; [`Kind::Cancelled`] when stopped.
    pub fn open(path: &Path, watch: &dyn Watch) -> Result<Self> {
        Self::read(path, false, watch)
    }

    /// Like [`Index::open`], for recordings that cannot be repeated: of a file that breaks off, the frames that are
    /// wholly there are listed, and `watch` is warned ([`Index::broken_off`] says it again).
    ///
    /// # Errors
    /// As [`Index::open`], but for files that end before the frames they promise. An MP4 whose index (`moov`) is
    /// missing tells nothing of its frames, and stays an error.
    pub fn open_partial(path: &Path, watch: &dyn Watch) -> Result<Self> {
        Self::read(path, true, watch)
    }

    fn read(path: &Path, partial: bool, watch: &dyn Watch) -> Result<Self> {
        crate::watch::may_wait("indexing a video");
        let edit = Edit::of(path);
        let mut source = if edit.is_some() { Source::open_as_it_lies(path)? } else { Source::open(path)? };
        let bytes = std::fs::metadata(path).map_err(|e| Error::io("open the video", path, e))?.len();
        let (whole, promised) = source.promised(bytes);
        let mut cut = (whole < promised).then(|| cut_off(path, whole, promised));
        if let Some(cut) = cut.take_if(|_| !partial) {
            return Err(cut);
        }
        let mut found = Packets::read(&mut source, bytes, partial, watch)?;
        let coding = source.coding()?;
        if edit.is_some_and(|edit| !edit.shows_all(&found.packets, coding.tick())) {
            drop(source);
            source = Source::open(path)?;
            found = Packets::read(&mut source, bytes, partial, watch)?;
        }
        let mut packets = found.packets;
        if cut.is_none() {
            cut = found.broke.map_or_else(|| cut_short(&source, bytes, packets.len()), |e| Ok(Some(e)))?;
        }
        if let Some(cut) = cut.take_if(|_| !partial) {
            return Err(cut);
        }
        if packets.len() == 0 {
            return Err(Error::new(Kind::Video, "the video has no frames")
                .at(path.display())
                .mend("record or copy it again; the file holds only its header"));
        }
        let pixels = source.pixel_format();
        let (rate, rotation, (w, h)) = (source.stated_rate(), source.rotation(), source.coded_size());
        drop(source); // what FFmpeg knows of the file takes more room than all of this

        let order = order(path, &coding, &mut packets, watch)?;
        packets.set_order(&order);
        let times = Times::of(&packets, &order, coding.tick(), rate);
        let (Some(start), Some(end)) = (times.get(0), times.get(order.len().saturating_sub(1))) else {
            let what = format!("not one frame of the {} video can be decoded", coding.codec_id().name());
            return Err(Error::new(Kind::Video, what).at(path.display()).mend(
                "copy it again; if it plays elsewhere, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
            ));
        };
        if let Some(cut) = &cut {
            let (what, there) = (cut.what(), order.len());
            watch.warn(&format!("{}: {what}; only the {there} that are there are used", path.display()));
        }
        let fps = average_rate(order.len(), end - start, rate);
        let (width, height) = if rotation.is_multiple_of(180) { (w, h) } else { (h, w) };
        give_back(packets.len());
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            fingerprint: found.fingerprint,
            broken_off: cut.map(|c| c.what().to_owned()),
            width,
            height,
            rotation,
            fps,
            start,
            duration: end - start + 1.0 / fps,
            pixels,
            coding,
            packets,
            order,
            times,
        })
    }

    /// The number of frames.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // an index without frames is an error at `open`
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes when it was indexed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A name for the file's content, the same wherever it lies: the hexadecimal SHA-256 over its length, every
    /// packet's place, size, time and keyframe mark as the container gives them, and 64 evenly spaced blocks of 64 KiB.
    ///
    /// Equal fingerprints mean the same recording for all that happens by itself: another file, a longer or shorter
    /// one, one encoded anew or cut otherwise has another. It is no proof against changes made on purpose, nor
    /// against single damaged bytes between the blocks of a file larger than 4 MiB; and another version of FFmpeg
    /// may read a damaged file otherwise.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Why the file ends before the frames it promises, when [`Index::open_partial`] took what is there.
    #[must_use]
    pub fn broken_off(&self) -> Option<&str> {
        self.broken_off.as_deref()
    }

    /// Width in pixels of the upright picture.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels of the upright picture.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// By how many degrees clockwise stored pictures are turned to stand upright: 0, 90, 180 or 270. Readers have
    /// done it already.
    #[must_use]
    pub fn rotation(&self) -> u16 {
        self.rotation
    }

    /// Frames per second: the stated rate where the timestamps agree with it, else their average.
    #[must_use]
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// The first frame's own timestamp in seconds, which [`Frame::time`] counts from.
    #[must_use]
    pub fn start(&self) -> f64 {
        self.start
    }

    /// Seconds from the first frame to the end of the last.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.duration
    }

    /// The codec's short name, such as `h264`.
    #[must_use]
    pub fn codec(&self) -> &str {
        self.coding.codec_id().name()
    }

    /// How pixels are stored, by FFmpeg's name, such as `yuv420p`.
    #[must_use]
    pub fn pixel_format(&self) -> &str {
        &self.pixels
    }

    /// Frame `n`; `None` past the end.
    #[must_use]
    pub fn frame(&self, n: usize) -> Option<Frame> {
        let packet = self.packet(n)?;
        Some(Frame { time: self.time(n)?, key: self.packets.is_key(packet), packet })
    }

    /// All frames in presentation order.
    pub fn iter_frames(&self) -> impl Iterator<Item = Frame> {
        (0..self.len()).map_while(|n| self.frame(n))
    }

    /// The packet of frame `n`.
    pub(super) fn packet(&self, n: usize) -> Option<u32> {
        self.order.get(n).and_then(|p| u32::try_from(p).ok())
    }

    /// When frame `n` is shown, in seconds since the first frame.
    #[must_use]
    pub fn time(&self, n: usize) -> Option<f64> {
        self.times.get(n).map(|t| t - self.start)
    }

    /// The frame whose time is nearest to `time` (seconds since the first frame).
    #[must_use]
    pub fn nearest(&self, time: f64) -> usize {
        let after = self.earlier(|t| t < time);
        let before = after.saturating_sub(1);
        match (self.time(before), self.time(after)) {
            (Some(b), Some(a)) if (a - time) < (time - b) => after,
            _ => before,
        }
    }

    /// The frame that stands on the screen at `time` (seconds since the first frame): the last that began.
    #[must_use]
    pub fn at(&self, time: f64) -> usize {
        self.earlier(|t| t <= time).saturating_sub(1)
    }

    /// How many frames have a time that is early enough.
    fn earlier(&self, enough: impl Fn(f64) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.time(middle).is_some_and(&enough) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Gives what FFmpeg used to open a long file back to the system: the C library keeps up to 64 MB of it otherwise,
/// which would make a long video's analysis larger than a short one's.
fn give_back(packets: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)] // the C library's own door; nothing else offers it
    if packets > 20_000 {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: allowed at any time from any thread; it only returns unused pages.
        unsafe { malloc_trim(0) };
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = packets;
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, width, height, fps, .. } = self;
        let codec = self.codec();
        write!(
            f,
            "Index({}, {} frames of {width} x {height}, {fps} fps, {codec})",
            path.display(),
            self.len()
        )
    }
}
