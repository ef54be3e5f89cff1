//! Any frame of a video by its number, and all of them in order.

use super::convert::Converter;
use super::index::{HIDDEN, Index};
use super::source::{NO_TIME, Source, broke_off};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::watch::Watch;
use ffmpeg_next as ff;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// A frame counts as missing once so many later ones have come: no codec holds one back longer.
const HELD_BACK: usize = 16;
/// How many packets may go by after a seek before one is known (transport streams land in mid-frame).
const LANDING: usize = 64;
/// Up to so many packets, reading on is cheaper than seeking.
const SHORT_WAY: u32 = 64;

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

/// Reads frames of one video. It can be sent to another thread.
pub struct Reader {
    index: Arc<Index>,
    source: Source,
    decoder: ff::decoder::Video,
    converter: Converter,
    /// The frame that `next` gives.
    next: usize,
    /// Decoded frames that wait for their turn.
    ready: BTreeMap<usize, ff::frame::Video>,
    /// The number of the packet that comes from the source next.
    at: u32,
    /// A packet read already while seeking.
    waiting: Option<ff::Packet>,
    /// Where decoding began: a place in `index.keys`, or the file's start.
    began: Option<usize>,
    /// Places in `index.keys` that turned out not to be keyframes.
    false_keys: HashSet<usize>,
    /// The decoder has given everything up to the file's end.
    drained: bool,
    /// What is wanted lies before what the decoder gives next.
    behind: bool,
    /// The decoder's last complaint.
    trouble: Option<String>,
    /// Pictures that no other leans on need not be decoded on the way to a later one.
    skips: bool,
    /// Packets by their place in the file, built at the first seek.
    places: Option<HashMap<(i64, u32), u32>>,
    seekable: bool,
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
        let index = index.into();
        let path = index.path();
        let source = Source::open(path)?;
        if std::fs::metadata(path).map_err(|e| Error::io("open the video", path, e))?.len() != index.bytes() {
            return Err(changed(path));
        }
        let decoder = source.decoder(0)?;
        let skips = source.marks_unreferenced();
        Ok(Self {
            index,
            source,
            skips,
            decoder,
            converter: Converter::new(),
            next: 0,
            ready: BTreeMap::new(),
            at: 0,
            waiting: None,
            began: None,
            false_keys: HashSet::new(),
            drained: false,
            behind: false,
            trouble: None,
            places: None,
            seekable: true,
        })
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
        Ok(match self.raw_while(n, wanted)? {
            Ok(frame) => self.convert(&frame, picture),
            Err(reason) => Some(reason),
        })
    }

    /// Frame `n` as the decoder gives it, neither upright nor RGB, or why it is missing.
    pub(super) fn raw_while(
        &mut self,
        n: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<std::result::Result<ff::frame::Video, String>> {
        self.seek(n)?;
        let frame = self.fetch(n, wanted)?;
        self.next = n + 1;
        Ok(frame)
    }

    /// How many packets have to be read to come to frame `n` from where the reader stands.
    pub(super) fn way(&self, n: usize) -> usize {
        let Some(packet) = self.index.frames().get(n).map(|f| f.packet) else { return 0 };
        let start = self.start_for(n, packet).map_or(0, |k| self.index.keys[k]);
        let from = if self.behind || n < self.next || start > self.at { start } else { self.at };
        packet.saturating_sub(from) as usize
    }

    /// The keyframe that decoding of frame `n` has to begin at.
    pub(super) fn keyframe_of(&self, n: usize) -> usize {
        let packet = self.index.frames().get(n).map_or(0, |f| f.packet);
        let key = self.start_for(n, packet).map_or(0, |k| self.index.keys[k]);
        self.index.packets.get(key as usize).map_or(0, |p| p.frame as usize).min(n)
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

    fn outside(&self, n: usize) -> Error {
        let len = self.index.len();
        Error::new(
            Kind::Usage,
            format!("there is no frame {n}: the video has {len}, numbered 0 to {}", len - 1),
        )
        .at(self.index.path().display())
        .mend(format!("ask for a frame from 0 to {}", len - 1))
    }

    fn convert(&mut self, frame: &ff::frame::Video, picture: &mut Picture) -> Option<String> {
        let (w, h) = (frame.width() as usize, frame.height() as usize);
        let size = if self.index.rotation().is_multiple_of(180) { (w, h) } else { (h, w) };
        let wanted = (self.index.width(), self.index.height());
        if size != wanted {
            return Some(format!(
                "the picture is {} x {} here, not {} x {} as at the start",
                size.0, size.1, wanted.0, wanted.1
            ));
        }
        match self.converter.convert(frame, self.index.rotation(), picture) {
            Ok(()) => None,
            Err(e) => Some(format!("its colours cannot be converted: {e}")),
        }
    }

    /// Frame `n` as decoded, or why it is missing.
    fn fetch(
        &mut self,
        n: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<std::result::Result<ff::frame::Video, String>> {
        crate::watch::may_wait("decoding a frame");
        let Some(entry) = self.index.frames().get(n) else { return Err(self.outside(n)) };
        let packet = entry.packet;
        let start = self.start_for(n, packet);
        let start_packet = start.map_or(0, |k| self.index.keys[k]);
        if self.behind || start_packet > self.at {
            self.go_to(start)?;
        }
        loop {
            let missing = match self.decode_until(n, wanted)? {
                Ok(frame) => return Ok(Ok(frame)),
                Err(reason) => reason,
            };
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

    /// The last keyframe that comes before frame `n` both in the file and on screen, as a place in `index.keys`.
    fn start_for(&self, n: usize, packet: u32) -> Option<usize> {
        let mut k = self.index.keys.partition_point(|p| *p <= packet);
        while k > 0 {
            k -= 1;
            let shown = self.index.packets[self.index.keys[k] as usize].frame as usize;
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
            if let Some(frame) = self.ready.remove(&n) {
                if frame.is_corrupt() || frame.has_decode_errors() {
                    return Ok(Err(self.reason("its data is damaged")));
                }
                return Ok(Ok(frame));
            }
            if self.ready.len() > HELD_BACK || self.drained {
                return Ok(Err(self.reason("the decoder gave no picture for it")));
            }
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    let shown = frame.pts().and_then(|p| usize::try_from(p).ok());
                    if let Some(k) = self.began
                        && !frame.is_key()
                        && shown == Some(self.index.keys[k] as usize)
                    {
                        // The container lied (AVI does): what comes from here on leans on pictures never decoded.
                        self.false_keys.insert(k);
                        return Ok(Err("it has no keyframe before it".to_owned()));
                    }
                    let number = shown.and_then(|p| self.index.packets.get(p)).map_or(HIDDEN, |p| p.frame);
                    if number != HIDDEN && number as usize >= n {
                        let full = std::mem::replace(&mut frame, ff::frame::Video::empty());
                        self.ready.entry(number as usize).or_insert(full);
                    }
                }
                Err(ff::Error::Other { errno: ff::error::EAGAIN }) => {
                    if !wanted() {
                        return Err(Error::cancelled());
                    }
                    self.feed()?;
                }
                Err(ff::Error::Eof) => self.drained = true,
                Err(e) => self.trouble = Some(e.to_string()),
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
        let sent = match self.packet()? {
            Some(mut packet) => {
                let known = self.index.packets.get(self.at as usize);
                if known.is_none_or(|k| (k.position, k.size) != place(&packet)) {
                    return Err(changed(self.index.path()));
                }
                if self.skips {
                    let passed = known.is_some_and(|k| k.frame != HIDDEN && (k.frame as usize) < self.next);
                    self.decoder.skip_frame(if passed {
                        ff::Discard::NonReference
                    } else {
                        ff::Discard::Default
                    });
                }
                packet.set_pts(Some(i64::from(self.at)));
                self.at += 1;
                self.decoder.send_packet(&packet)
            }
            None => self.decoder.send_eof(),
        };
        if let Err(e) = sent {
            self.trouble = Some(e.to_string());
        }
        Ok(())
    }

    fn packet(&mut self) -> Result<Option<ff::Packet>> {
        match self.waiting.take() {
            Some(packet) => Ok(Some(packet)),
            None => self.source.packet().map_err(|e| broke_off(self.index.path(), self.at as usize, e)),
        }
    }

    /// Begins decoding anew at a keyframe (a place in `index.keys`) or at the file's start.
    fn go_to(&mut self, start: Option<usize>) -> Result<()> {
        let target = start.map_or(0, |k| self.index.keys[k]);
        if self.at == 0 && target > 0 {
            // Some streams say only in their first packet how they want to be decoded (old x264 with 4:4:4 names
            // itself there, and FFmpeg mends its fault by that); the decoder keeps it through a flush.
            self.feed()?;
        }
        let near = target >= self.at && target - self.at <= SHORT_WAY;
        let there = near || (self.seekable && start.is_some_and(|k| self.land(k)));
        // A container that cannot seek is read on, or again from its start: slow, and right.
        if !there && target < self.at {
            self.source = Source::open(self.index.path())?;
            self.waiting = None;
            self.at = 0;
        }
        while self.at < target {
            if self.packet()?.is_none() {
                return Err(changed(self.index.path()));
            }
            self.at += 1;
        }
        self.decoder.flush();
        self.ready.clear();
        self.began = start;
        self.drained = false;
        self.behind = false;
        self.trouble = None;
        Ok(())
    }

    /// Seeks so that the next packet is known and not after key `k`; false when the container does not do that.
    fn land(&mut self, k: usize) -> bool {
        let target = self.index.keys[k];
        let by_shown = self.source.seeks_by_presentation();
        // Seeks of some containers overshoot; then one or four keyframes earlier is asked for.
        for back in [0, 1, 4] {
            let Some(from) = k.checked_sub(back) else { break };
            let packet = &self.index.packets[self.index.keys[from] as usize];
            let (first, second) =
                if by_shown { (packet.shown, packet.decoded) } else { (packet.decoded, packet.shown) };
            let time = if first == NO_TIME { second } else { first };
            if time == NO_TIME || !self.source.seek(time) {
                break;
            }
            self.waiting = None;
            if let Some(at) = self.recognise() {
                self.at = at;
                if at <= target {
                    return true;
                }
            } else {
                break;
            }
        }
        // The source now stands nowhere known: only a new start helps, this time and every time.
        self.seekable = false;
        self.at = u32::MAX;
        false
    }

    /// Reads packets until one is found in the index; it stays waiting, and its number comes back.
    fn recognise(&mut self) -> Option<u32> {
        let places = self.places.get_or_insert_with(|| {
            let mut places = HashMap::with_capacity(self.index.packets.len());
            let mut twice = Vec::new();
            for (number, p) in (0_u32..).zip(&self.index.packets) {
                if p.position < 0 || places.insert((p.position, p.size), number).is_some() {
                    twice.push((p.position, p.size));
                }
            }
            for p in twice {
                places.remove(&p);
            }
            places
        });
        for _ in 0..LANDING {
            let packet = self.source.packet().ok()??;
            if let Some(number) = places.get(&place(&packet)) {
                self.waiting = Some(packet);
                return Some(*number);
            }
        }
        None
    }
}

fn place(packet: &ff::Packet) -> (i64, u32) {
    (i64::try_from(packet.position()).unwrap_or(-1), u32::try_from(packet.size()).unwrap_or(u32::MAX))
}

fn changed(path: &Path) -> Error {
    Error::new(Kind::Video, "the video is not the one that was indexed: it changed on disk meanwhile")
        .at(path.display())
        .mend("wait until its copying or recording is finished, then run it again")
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({}, next frame {} of {})", self.index.path().display(), self.next, self.index.len())
    }
}
