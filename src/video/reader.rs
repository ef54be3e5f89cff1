//! Any frame of a video by its number, and all of them in order.

use super::convert::{Raw, RgbConverter};
use super::decoder::{Decoder, ReaderOptions};
use super::index::Index;
use super::packets::{Feed, HIDDEN, changed};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::watch::Watch;
use ffmpeg_next as ff;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// A frame counts as missing once so many later ones have come: no codec holds one back longer.
const HELD_BACK: usize = 16;

/// How many packets a device gets to show its first picture.
const TRIED: usize = 48;

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The upright picture.
    Picture(Picture),
    /// It cannot be decoded, and why. Its number and those of the others stay as they are.
    Missing(String),
}

/// One step of [`Reader::next_into`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The frame's number.
    pub frame: usize,
    /// Why there is no picture; `None` when the picture was filled.
    pub missing: Option<String>,
}

/// One step of [`Reader::next_raw`].
#[derive(Debug)]
pub struct RawStep {
    /// The frame's number.
    pub frame: usize,
    /// What the decoder gave, for [`RgbConverter`]; or why the frame is missing.
    pub picture: std::result::Result<Raw, String>,
}

/// Reads frames of one video. It can be sent to another thread.
pub struct Reader {
    index: Arc<Index>,
    feed: Feed,
    decoder: Decoder,
    /// A device failed, and the CPU begins anew.
    fell_back: bool,
    converter: RgbConverter,
    /// The frame that `next` gives.
    next: usize,
    /// Decoded frames that wait for their turn.
    ready: BTreeMap<usize, ff::frame::Video>,
    /// Where decoding began: the place of a keyframe, or the file's start.
    began: Option<usize>,
    /// Places of keyframes that turned out not to be keyframes.
    false_keys: HashSet<usize>,
    /// The decoder has given everything up to the file's end.
    drained: bool,
    /// What is wanted lies before what the decoder gives next.
    behind: bool,
    /// The decoder's last complaint.
    trouble: Option<String>,
    /// Pictures that no other leans on need not be decoded on the way to a later one.
    skips: bool,
}

impl Reader {
    /// Indexes the video and opens it.
    ///
    /// # Errors
    /// As [`Index::open`], and when there is no decoder for it.
    pub fn open(path: &Path, watch: &dyn Watch) -> Result<Self> {
        Self::with_index(Index::open(path, watch)?)
    }

    /// Opens a video indexed before.
    ///
    /// # Errors
    /// When the file is gone or is no longer the one that was indexed, or when there is no decoder for it.
    pub fn with_index(index: impl Into<Arc<Index>>) -> Result<Self> {
        Self::with_options(index, &ReaderOptions::default())
    }

    /// Like [`Reader::with_index`], with more to choose.
    ///
    /// # Errors
    /// As [`Reader::with_index`], and [`Kind::Device`] when the device named cannot be had.
    pub fn with_options(index: impl Into<Arc<Index>>, options: &ReaderOptions) -> Result<Self> {
        crate::watch::may_wait("opening a video");
        let index = index.into();
        let path = index.path();
        if std::fs::metadata(path).map_err(|e| Error::io("open the video", path, e))?.len() != index.bytes() {
            return Err(changed(path));
        }
        let feed = Feed::open(path, &index.packets)?;
        let decoder =
            index.coding.decoder(options, path, &mut |d| try_out(d, &index).map_err(|e| e.to_string()))?;
        let skips = index.coding.marks_unreferenced();
        Ok(Self {
            index,
            feed,
            skips,
            decoder,
            fell_back: false,
            converter: RgbConverter::new(),
            next: 0,
            ready: BTreeMap::new(),
            began: None,
            false_keys: HashSet::new(),
            drained: false,
            behind: false,
            trouble: None,
        })
    }

    /// What really decodes, in words: `software, 2 threads`, or the kind of device, such as `cuda`.
    #[must_use]
    pub fn decoder(&self) -> String {
        self.decoder.words()
    }

    /// The video's index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The index, to open more readers with.
    #[must_use]
    pub fn shared_index(&self) -> Arc<Index> {
        Arc::clone(&self.index)
    }

    /// Frame `n`, exactly. Asking for rising numbers decodes on without seeking where that is shorter;
    /// [`Reader::next`] goes on after it.
    ///
    /// # Errors
    /// [`Kind::Usage`] when `n` is not below the number of frames; [`Kind::Io`] or [`Kind::Video`] when the file
    /// cannot be read on. A frame that cannot be decoded is no error but [`Decoded::Missing`].
    pub fn frame(&mut self, n: usize) -> Result<Decoded> {
        let mut picture = Picture::new(self.index.width(), self.index.height());
        Ok(match self.frame_into(n, &mut picture)? {
            None => Decoded::Picture(picture),
            Some(reason) => Decoded::Missing(reason),
        })
    }

    /// Like [`Reader::frame`], into a picture at hand; gives the reason when the frame is missing.
    ///
    /// # Errors
    /// As [`Reader::frame`].
    pub fn frame_into(&mut self, n: usize, picture: &mut Picture) -> Result<Option<String>> {
        crate::watch::may_wait("decoding a frame");
        self.frame_while(n, picture, &|| true)
    }

    /// Like [`Reader::frame_into`], but asks before every packet whether the frame is still wanted. What was decoded
    /// till then is not lost: a later frame goes on from there.
    ///
    /// # Errors
    /// As [`Reader::frame`], and [`Kind::Cancelled`] when it is not.
    pub fn frame_while(
        &mut self,
        n: usize,
        picture: &mut Picture,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<String>> {
        let raw = match self.raw_while(n, wanted)? {
            Ok(raw) => raw,
            Err(reason) => return Ok(Some(reason)),
        };
        if (picture.width(), picture.height()) != (self.index.width(), self.index.height()) {
            *picture = Picture::new(self.index.width(), self.index.height());
        }
        Ok(self.converter.convert(&raw, &self.index, picture.rgb_mut()).err())
    }

    /// Frame `n` as the decoder gives it, or why it is missing.
    pub(super) fn raw_while(
        &mut self,
        n: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<std::result::Result<Raw, String>> {
        self.seek(n)?;
        let frame = self.fetch(n, wanted)?;
        self.next = n + 1;
        Ok(frame.map(Raw))
    }

    /// How many packets have to be read to come to frame `n` from where the reader stands.
    pub(super) fn way(&self, n: usize) -> usize {
        let Some(packet) = self.index.packet(n) else { return 0 };
        let start = self.start_for(n, packet).map_or(0, |k| self.index.packets.key(k));
        let at = self.feed.at();
        let from = if self.behind || n < self.next || start > at { start } else { at };
        packet.saturating_sub(from) as usize
    }

    /// The keyframe that decoding of frame `n` has to begin at.
    pub(super) fn keyframe_of(&self, n: usize) -> usize {
        let packet = self.index.packet(n).unwrap_or(0);
        let key = self.start_for(n, packet).map_or(0, |k| self.index.packets.key(k));
        (self.index.packets.frame_of(key) as usize).min(n)
    }

    /// Lets [`Reader::next`] go on at frame `n`; nothing is decoded yet. `n` may be the number of frames: the end.
    ///
    /// # Errors
    /// [`Kind::Usage`] when `n` is larger.
    pub fn seek(&mut self, n: usize) -> Result<()> {
        if n > self.index.len() {
            return Err(self.outside(n));
        }
        self.behind |= n < self.next;
        self.next = n;
        self.ready = self.ready.split_off(&n);
        Ok(())
    }

    /// The next frame with its number, `None` after the last. From a fresh reader it yields exactly
    /// [`Index::len`] frames, in order.
    ///
    /// # Errors
    /// As [`Reader::frame`].
    #[allow(clippy::should_implement_trait)] // an iterator could not give back errors and go on
    pub fn next(&mut self) -> Result<Option<(usize, Decoded)>> {
        let mut picture = Picture::new(self.index.width(), self.index.height());
        Ok(self.next_into(&mut picture)?.map(|step| match step.missing {
            None => (step.frame, Decoded::Picture(picture)),
            Some(reason) => (step.frame, Decoded::Missing(reason)),
        }))
    }

    /// Like [`Reader::next`], into a picture at hand, so that a long run allocates nothing. A missing frame leaves
    /// the picture as it was.
    ///
    /// # Errors
    /// As [`Reader::frame`].
    pub fn next_into(&mut self, picture: &mut Picture) -> Result<Option<Step>> {
        let n = self.next;
        if n >= self.index.len() {
            return Ok(None);
        }
        let missing = self.frame_into(n, picture)?;
        Ok(Some(Step { frame: n, missing }))
    }

    /// The next frame as the decoder gives it, with its number, `None` after the last: the same frames in the same
    /// order as [`Reader::next_into`] gives, for an [`RgbConverter`] on another thread. [`Reader::seek`] chooses where
    /// to begin.
    ///
    /// # Errors
    /// As [`Reader::frame`].
    pub fn next_raw(&mut self) -> Result<Option<RawStep>> {
        self.next_raw_while(&|| true)
    }

    /// Like [`Reader::next_raw`], but asks before every packet whether the frame is still wanted.
    ///
    /// # Errors
    /// As [`Reader::frame`], and [`Kind::Cancelled`] when it is not.
    pub fn next_raw_while(&mut self, wanted: &dyn Fn() -> bool) -> Result<Option<RawStep>> {
        let frame = self.next;
        if frame >= self.index.len() {
            return Ok(None);
        }
        let picture = self.raw_while(frame, wanted)?;
        Ok(Some(RawStep { frame, picture }))
    }

    fn outside(&self, n: usize) -> Error {
        let len = self.index.len();
        Error::new(
            Kind::Usage,
            format!("there is no frame {n}: the video has {len}, numbered 0 to {}", len - 1),
        )
        .at(self.index.path().display())
        .mend(format!("ask for a frame from 0 to {}", len - 1))
    }

    /// Frame `n` as decoded, or why it is missing.
    fn fetch(
        &mut self,
        n: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<std::result::Result<ff::frame::Video, String>> {
        crate::watch::may_wait("decoding a frame");
        let Some(packet) = self.index.packet(n) else { return Err(self.outside(n)) };
        let start = self.start_for(n, packet);
        let start_packet = start.map_or(0, |k| self.index.packets.key(k));
        if self.behind || start_packet > self.feed.at() {
            self.go_to(start)?;
        }
        loop {
            let missing = match self.decode_until(n, wanted)? {
                Ok(frame) => return Ok(Ok(frame)),
                Err(reason) => reason,
            };
            if std::mem::take(&mut self.fell_back) {
                // The new decoder has to see the file's first packet too.
                self.feed.go_to(&self.index.packets, None)?;
                self.go_to(start)?;
                continue;
            }
            if let Some(k) = self.began.filter(|k| self.false_keys.contains(k)) {
                self.go_to((0..k).rev().find(|k| !self.false_keys.contains(k)))?;
                continue;
            }
            // After a seek a frame may lack something that an earlier start would give it; two keyframes earlier is
            // enough for every real stream, and at a damaged place it makes no difference.
            let enough = start.map_or(0, |s| s.saturating_sub(2));
            match self.began {
                Some(began) if began > enough || start.is_none() => {
                    self.go_to((enough > 0).then_some(enough))?;
                }
                _ => return Ok(Err(missing)),
            }
        }
    }

    /// The last keyframe that comes before frame `n` both in the file and on screen, as the place of a keyframe.
    fn start_for(&self, n: usize, packet: u32) -> Option<usize> {
        let packets = &self.index.packets;
        let mut k = packets.keys_to(packet);
        while k > 0 {
            k -= 1;
            let shown = packets.frame_of(packets.key(k)) as usize;
            if shown <= n && !self.false_keys.contains(&k) {
                return Some(k);
            }
        }
        None
    }

    fn decode_until(
        &mut self,
        n: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<std::result::Result<ff::frame::Video, String>> {
        let mut frame = ff::frame::Video::empty();
        loop {
            if self.fell_back {
                return Ok(Err("the device that decodes failed".to_owned()));
            }
            if let Some(frame) = self.ready.remove(&n) {
                if frame.is_corrupt() || frame.has_decode_errors() {
                    return Ok(Err(self.reason("its data is damaged")));
                }
                return Ok(Ok(frame));
            }
            if self.ready.len() > HELD_BACK || self.drained {
                return Ok(Err(self.reason("the decoder gave no picture for it")));
            }
            match self.decoder.open.receive_frame(&mut frame) {
                Ok(()) => {
                    let shown = frame.pts().and_then(|p| u32::try_from(p).ok());
                    if let Some(k) = self.began
                        && !frame.is_key()
                        && shown == Some(self.index.packets.key(k))
                    {
                        // The container lied (AVI does): what comes from here on leans on pictures never decoded.
                        self.false_keys.insert(k);
                        return Ok(Err("it has no keyframe before it".to_owned()));
                    }
                    let number = shown.map_or(HIDDEN, |p| self.index.packets.frame_of(p));
                    if number != HIDDEN && number as usize >= n {
                        let full = std::mem::replace(&mut frame, ff::frame::Video::empty());
                        // At once: devices have room for few frames.
                        match self.decoder.fetched(full) {
                            Ok(full) => drop(self.ready.entry(number as usize).or_insert(full)),
                            Err(e) => self.failed(e)?,
                        }
                    }
                }
                Err(ff::Error::Other { errno: ff::error::EAGAIN }) => {
                    if !wanted() {
                        return Err(Error::cancelled());
                    }
                    self.feed()?;
                }
                Err(ff::Error::Eof) => self.drained = true,
                Err(e) => self.failed(e)?,
            }
        }
    }

    fn reason(&mut self, what: &str) -> String {
        match self.trouble.take() {
            Some(trouble) => format!("{what}: {trouble}"),
            None => what.to_owned(),
        }
    }

    /// Gives the decoder one packet, numbered, or the end.
    fn feed(&mut self) -> Result<()> {
        let number = self.feed.at();
        let sent = match self.feed.next(&self.index.packets)? {
            Some(packet) => {
                if self.skips {
                    let frame = self.index.packets.frame_of(number);
                    let passed = frame != HIDDEN && (frame as usize) < self.next;
                    self.decoder.open.skip_frame(if passed {
                        ff::Discard::NonReference
                    } else {
                        ff::Discard::Default
                    });
                }
                self.decoder.open.send_packet(&packet)
            }
            None => self.decoder.open.send_eof(),
        };
        sent.or_else(|e| self.failed(e))
    }

    /// Keeps what the decoder complains of. A device's complaint may be of the data or of itself: the CPU takes over,
    /// and decides.
    fn failed(&mut self, e: ff::Error) -> Result<()> {
        if self.decoder.is_hardware() {
            tracing::warn!("{} failed ({e}); decoding goes on on the CPU", self.decoder.words());
            let path = self.index.path();
            self.decoder = self.index.coding.decoder(&ReaderOptions::default(), path, &mut |_| Ok(()))?;
            self.fell_back = true;
        }
        self.trouble = Some(e.to_string());
        Ok(())
    }

    /// Begins decoding anew at a keyframe (by its place among them) or at the file's start.
    fn go_to(&mut self, start: Option<usize>) -> Result<()> {
        if self.feed.at() == 0 && start.is_some_and(|k| self.index.packets.key(k) > 0) {
            // Some streams say only in their first packet how they want to be decoded (old x264 with 4:4:4 names
            // itself there, and FFmpeg mends its fault by that); the decoder keeps it through a flush.
            self.feed()?;
        }
        self.feed.go_to(&self.index.packets, start)?;
        self.decoder.open.flush();
        self.ready.clear();
        self.began = start;
        self.drained = false;
        self.behind = false;
        self.trouble = None;
        Ok(())
    }
}

/// Whether a device gives the video's first picture, in memory and in colours that can be used. Leaves the decoder at
/// its start.
fn try_out(decoder: &mut Decoder, index: &Index) -> std::result::Result<(), ff::Error> {
    let mut feed = Feed::open(index.path(), &index.packets).map_err(|_| ff::Error::Exit)?;
    let mut frame = ff::frame::Video::empty();
    for _ in 0..TRIED {
        match feed.next(&index.packets).map_err(|_| ff::Error::Exit)? {
            Some(packet) => decoder.open.send_packet(&packet)?,
            None => decoder.open.send_eof()?,
        }
        match decoder.open.receive_frame(&mut frame) {
            Ok(()) if decoder.is_there(&frame) => {
                let frame = decoder.fetched(frame)?;
                let mut rgb = vec![0; frame.width() as usize * frame.height() as usize * 3];
                RgbConverter::new().upright(&frame, 0, &mut rgb)?;
                decoder.open.flush();
                return Ok(());
            }
            Ok(()) => break, // it came from the CPU: the device cannot do this stream
            Err(ff::Error::Other { errno: ff::error::EAGAIN }) => {}
            Err(e) => return Err(e),
        }
    }
    Err(ff::Error::DecoderNotFound)
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({}, next frame {} of {})", self.index.path().display(), self.next, self.index.len())
    }
}
