//! The exact list of a video's frames, from reading its packets without decoding them.
//!
//! Most files state a presentation time with every packet and show one picture for each; a short trial decoding
//! checks that this file is one of them. Where it is not (AVI with B-frames, raw streams, hidden frames), the whole
//! file is decoded once to find out.

use super::source::{NO_TIME, Source, broke_off, cut_mend};
use crate::error::{Error, Kind, Result};
use crate::watch::Watch;
use ffmpeg_next as ff;
use std::path::{Path, PathBuf};

/// How many packets the trial decoding takes: past FFmpeg's 16 threads and H.264's 16 reordered frames.
const TRIAL: usize = 48;
/// A packet that shows no picture of its own.
pub(super) const HIDDEN: u32 = u32::MAX;
/// Packets of no more than this many bytes only say "as before" (MPEG-4 in AVI); nothing was lost with them.
const EMPTY_BYTES: u32 = 16;

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

/// One packet, in file order.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketAt {
    pub position: i64,
    pub size: u32,
    pub shown: i64,
    pub decoded: i64,
    pub key: bool,
    /// The frame it shows, or [`HIDDEN`].
    pub frame: u32,
}

/// What is known of a video without decoding it: its frames with their times, its size, its coding.
#[derive(Clone)]
pub struct Index {
    path: PathBuf,
    bytes: u64,
    width: usize,
    height: usize,
    rotation: u16,
    fps: f64,
    start: f64,
    duration: f64,
    codec: String,
    pixels: String,
    frames: Vec<Frame>,
    pub(super) packets: Vec<PacketAt>,
    /// Packets where decoding can begin, in file order.
    pub(super) keys: Vec<u32>,
}

impl Index {
    /// Reads the whole file once (and decodes it, where its timestamps do not tell the frames) and lists its frames.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such file; [`Kind::Video`] when it is no video, has no index, ends before
    /// the frames it promises, or holds only sound; [`Kind::Cancelled`] when stopped.
    pub fn open(path: &Path, watch: &dyn Watch) -> Result<Self> {
        crate::watch::may_wait("indexing a video");
        let mut source = Source::open(path)?;
        let bytes = std::fs::metadata(path).map_err(|e| Error::io("open the video", path, e))?.len();
        let (whole, promised) = source.promised(bytes);
        if whole < promised {
            return Err(cut_off(path, whole, promised));
        }
        let mut packets = read_packets(&mut source, watch)?;
        cut_short(&source, bytes, packets.len())?;
        if packets.is_empty() {
            return Err(Error::new(Kind::Video, "the video has no frames")
                .at(path.display())
                .mend("record or copy it again; the file holds only its header"));
        }

        let order = match by_timestamps(&packets, source.codec_id()) {
            Some(order) => match trial(path, &order)? {
                Trial::Agrees { leading } => Some(order[leading..].to_vec()),
                Trial::Differs => None,
            },
            None => None,
        };
        let order = match order {
            Some(order) => order,
            None => by_decoding(path, &mut packets, watch)?,
        };
        if order.is_empty() {
            return Err(Error::new(
                Kind::Video,
                format!("not one frame of the {} video can be decoded", source.codec_name()),
            )
            .at(path.display())
            .mend("copy it again; if it plays elsewhere, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"));
        }
        for p in &mut packets {
            p.frame = HIDDEN;
        }
        for (n, p) in order.iter().enumerate() {
            packets[*p as usize].frame = u32::try_from(n).unwrap_or(HIDDEN);
        }

        let rate = source.stated_rate();
        let times = seconds(&packets, &order, source.tick(), rate);
        let start = times[0];
        let span = times[times.len() - 1] - start;
        let fps = average_rate(times.len(), span, rate);
        let frames = order
            .iter()
            .zip(&times)
            .map(|(p, t)| Frame { time: t - start, key: packets[*p as usize].key, packet: *p })
            .collect();
        let keys =
            (0_u32..).zip(&packets).filter(|(_, p)| p.key && p.frame != HIDDEN).map(|(i, _)| i).collect();
        let rotation = source.rotation();
        let (w, h) = source.coded_size();
        let (width, height) = if rotation.is_multiple_of(180) { (w, h) } else { (h, w) };
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            width,
            height,
            rotation,
            fps,
            start,
            duration: span + 1.0 / fps,
            codec: source.codec_name(),
            pixels: source.pixel_format(),
            frames,
            packets,
            keys,
        })
    }

    /// The number of frames.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // an index without frames is an error at `open`
    pub fn len(&self) -> usize {
        self.frames.len()
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
        &self.codec
    }

    /// How pixels are stored, by FFmpeg's name, such as `yuv420p`.
    #[must_use]
    pub fn pixel_format(&self) -> &str {
        &self.pixels
    }

    /// All frames in presentation order.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// When frame `n` is shown, in seconds since the first frame.
    #[must_use]
    pub fn time(&self, n: usize) -> Option<f64> {
        self.frames.get(n).map(|f| f.time)
    }

    /// The frame whose time is nearest to `time` (seconds since the first frame).
    #[must_use]
    pub fn nearest(&self, time: f64) -> usize {
        let after = self.frames.partition_point(|f| f.time < time);
        let before = after.saturating_sub(1);
        match (self.time(before), self.time(after)) {
            (Some(b), Some(a)) if (a - time) < (time - b) => after,
            _ => before,
        }
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, width, height, fps, codec, .. } = self;
        write!(
            f,
            "Index({}, {} frames of {width} x {height}, {fps} fps, {codec})",
            path.display(),
            self.len()
        )
    }
}

fn read_packets(source: &mut Source, watch: &dyn Watch) -> Result<Vec<PacketAt>> {
    let stated = source.stated_frames();
    watch.begin("index", (stated > 0).then_some(stated));
    let mut packets = Vec::new();
    loop {
        let read = source.packet().map_err(|e| broke_off(source.path(), packets.len(), e));
        match read {
            Ok(Some(p)) => packets.push(PacketAt {
                position: i64::try_from(p.position()).unwrap_or(-1),
                size: u32::try_from(p.size()).unwrap_or(u32::MAX),
                shown: p.pts().unwrap_or(NO_TIME),
                decoded: p.dts().unwrap_or(NO_TIME),
                key: p.is_key(),
                // Until the frames are known: packets outside an edit list are decoded but never shown.
                frame: if discarded(&p) { HIDDEN } else { 0 },
            }),
            Ok(None) => break,
            Err(e) => {
                watch.end();
                return Err(e);
            }
        }
        if packets.len().is_multiple_of(1024) {
            watch.advance(1024);
            watch.check()?;
        }
    }
    watch.end();
    Ok(packets)
}

/// Packets that only prepare the decoder for the first frame of an edit list.
#[allow(unsafe_code)] // ffmpeg-next drops this flag from its own set
fn discarded(packet: &ff::Packet) -> bool {
    use ff::packet::Ref;
    // SAFETY: reads a number of a packet that is alive.
    unsafe { (*packet.as_ptr()).flags & ff::ffi::AV_PKT_FLAG_DISCARD != 0 }
}

/// The shown packets in order of presentation, when every one has a time of its own.
fn by_timestamps(packets: &[PacketAt], codec: ff::codec::Id) -> Option<Vec<u32>> {
    // VP8 keeps its hidden reference frames in packets like any other.
    if codec == ff::codec::Id::VP8 {
        return None;
    }
    let mut order: Vec<u32> =
        (0_u32..).zip(packets).filter(|(_, p)| p.frame != HIDDEN).map(|(i, _)| i).collect();
    if order.is_empty() || order.iter().any(|i| packets[*i as usize].shown == NO_TIME) {
        return None;
    }
    order.sort_by_key(|i| packets[*i as usize].shown);
    let distinct = order.windows(2).all(|w| packets[w[0] as usize].shown < packets[w[1] as usize].shown);
    distinct.then_some(order)
}

enum Trial {
    /// Frames come as the timestamps say, except the first few, which need frames from before the file begins and
    /// are never shown by any player.
    Agrees { leading: usize },
    /// They do not: only decoding tells.
    Differs,
}

/// Decodes the first packets and compares the pictures that come out with `order`.
fn trial(path: &Path, order: &[u32]) -> Result<Trial> {
    let mut seen = Vec::new();
    let damaged = decode(path, Some(TRIAL), &mut |packet, _| {
        seen.push(packet);
        Ok(())
    })?;
    let Some(leading) = seen.first().and_then(|first| order.iter().position(|p| p == first)) else {
        return Ok(Trial::Differs);
    };
    if damaged {
        // Damage at the start: the container is believed, and what cannot be decoded will be missing in its place.
        return Ok(Trial::Agrees { leading: 0 });
    }
    let agrees = seen.len() <= order.len() - leading && order[leading..].starts_with(&seen);
    Ok(if agrees { Trial::Agrees { leading } } else { Trial::Differs })
}

/// Decodes `limit` packets or all, calling `shown` with the packet number of each picture and whether it stands by
/// itself; gives whether there was damage.
fn decode(path: &Path, limit: Option<usize>, shown: &mut dyn FnMut(u32, bool) -> Result<()>) -> Result<bool> {
    let mut source = Source::open(path)?;
    let mut decoder = source.decoder(0)?;
    let mut frame = ff::frame::Video::empty();
    let (mut number, mut damaged, mut more) = (0_i64, false, true);
    while more {
        let packet = if limit.is_some_and(|l| number >= i64::try_from(l).unwrap_or(i64::MAX)) {
            break; // what is still inside the decoder is not needed to judge
        } else {
            source.packet().map_err(|e| broke_off(path, usize::try_from(number).unwrap_or(0), e))?
        };
        let sent = match packet {
            Some(mut packet) => {
                // The decoder hands this number on to the picture, through any reordering.
                packet.set_pts(Some(number));
                number += 1;
                decoder.send_packet(&packet)
            }
            None => {
                more = false;
                decoder.send_eof()
            }
        };
        damaged |= sent.is_err();
        loop {
            match decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    damaged |= frame.is_corrupt() || frame.has_decode_errors();
                    if let Some(n) = frame.pts().and_then(|n| u32::try_from(n).ok()) {
                        shown(n, frame.is_key())?;
                    }
                }
                Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => break,
                Err(_) => damaged = true,
            }
        }
    }
    Ok(damaged)
}

/// The order of pictures as they come out of decoding everything; keyframes are what the decoder takes for such.
fn by_decoding(path: &Path, packets: &mut [PacketAt], watch: &dyn Watch) -> Result<Vec<u32>> {
    watch.begin("index by decoding", Some(packets.len() as u64));
    let mut order = Vec::new();
    let mut shown = vec![false; packets.len()];
    let done = decode(path, None, &mut |packet, key| {
        // A picture that comes twice from one packet is one row here and in the reader.
        if let Some(seen) = shown.get_mut(packet as usize)
            && !std::mem::replace(seen, true)
        {
            order.push(packet);
            packets[packet as usize].key &= key; // AVI's flags are often wrong
        }
        watch.advance(1);
        watch.check()
    });
    watch.end();
    let damaged = done?;
    // Without timestamps a damaged frame would move the later ones up. Its packet is there, so it keeps a place: right
    // after the picture of the packet before it.
    if damaged && packets.iter().any(|p| p.shown == NO_TIME) && !order.is_empty() {
        let mut whole = Vec::with_capacity(packets.len());
        let take_lost_from = |first: u32, whole: &mut Vec<u32>| {
            for (p, at) in (first..).zip(packets.iter().skip(first as usize)) {
                if shown[p as usize] {
                    break;
                }
                if at.frame != HIDDEN && at.size > EMPTY_BYTES {
                    whole.push(p);
                }
            }
        };
        take_lost_from(0, &mut whole);
        for p in order {
            whole.push(p);
            take_lost_from(p + 1, &mut whole);
        }
        order = whole;
    }
    Ok(order)
}

/// The frames' times in seconds: their own timestamps; else, in AVI, their packets' times in order; else the rate's.
fn seconds(packets: &[PacketAt], order: &[u32], tick: (f64, f64), rate: Option<f64>) -> Vec<f64> {
    #[allow(clippy::cast_precision_loss)] // timestamps are far below 2^53
    let scaled =
        |ticks: Vec<i64>| ticks.into_iter().map(|t| t as f64 * tick.0 / tick.1).collect::<Vec<f64>>();
    let of =
        |field: fn(&PacketAt) -> i64| order.iter().map(|p| field(&packets[*p as usize])).collect::<Vec<_>>();
    let rising = |ticks: &[i64]| ticks.iter().all(|t| *t != NO_TIME) && ticks.windows(2).all(|w| w[0] < w[1]);
    let shown = of(|p| p.shown);
    if rising(&shown) {
        return scaled(shown);
    }
    let mut decoded = of(|p| p.decoded);
    decoded.sort_unstable();
    if rising(&decoded) {
        return scaled(decoded);
    }
    let step = 1.0 / rate.unwrap_or(25.0);
    #[allow(clippy::cast_precision_loss)]
    (0..order.len()).map(|n| n as f64 * step).collect()
}

/// The stated rate when the frames' span agrees with it to a thousandth, else the average over the span.
fn average_rate(frames: usize, span: f64, stated: Option<f64>) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let measured = (frames > 1 && span > 0.0).then(|| (frames - 1) as f64 / span);
    match (measured, stated) {
        (Some(m), Some(s)) if (m / s - 1.0).abs() < 1e-3 => s,
        (Some(m), _) => m,
        (None, s) => s.unwrap_or(25.0),
    }
}

fn cut_off(path: &Path, whole: usize, promised: usize) -> Error {
    Error::new(Kind::Video, format!("the file ends after frame {whole} of {promised}"))
        .at(path.display())
        .mend(cut_mend(path))
}

/// AVI and Matroska say at their start how long they are; FFmpeg reads what is there and says nothing.
fn cut_short(source: &Source, bytes: u64, packets: usize) -> Result<()> {
    let mut head = Vec::new();
    std::fs::File::open(source.path())
        .and_then(|f| std::io::Read::read_to_end(&mut std::io::Read::take(f, 4096), &mut head))
        .map_err(|e| Error::io("read the video", source.path(), e))?;
    let stated = usize::try_from(source.stated_frames()).unwrap_or(0);
    let format = source.format_name();
    if format == "avi" && packets < stated && riff_end(&head).is_some_and(|end| end > bytes) {
        return Err(cut_off(source.path(), packets, stated));
    }
    if format.contains("matroska")
        && let Some(end) = matroska_end(&head)
        && end > bytes
    {
        let what = format!("the file ends after frame {packets}, at {bytes} of its {end} bytes");
        return Err(Error::new(Kind::Video, what).at(source.path().display()).mend(cut_mend(source.path())));
    }
    Ok(())
}

/// Where an AVI's outermost chunk ends; recorders that never came to fill it in leave 0 or the largest number.
fn riff_end(head: &[u8]) -> Option<u64> {
    let size = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    (head.starts_with(b"RIFF") && size != 0 && size != u32::MAX).then_some(u64::from(size) + 8)
}

/// Where a Matroska file's Segment ends (RFC 8794): after the EBML header stand the Segment's id and its size, whose
/// first byte's leading zeros tell how many bytes it has. All ones: never filled in.
fn matroska_end(head: &[u8]) -> Option<u64> {
    fn size(bytes: &[u8]) -> Option<(usize, Option<u64>)> {
        let first = *bytes.first()?;
        let length = first.leading_zeros() as usize + 1;
        let rest = bytes.get(1..length)?;
        let largest = (1_u64 << (7 * length)) - 1;
        let value = rest.iter().fold(u64::from(first), |n, b| (n << 8) | u64::from(*b)) & largest;
        (length <= 8).then_some((length, (value != largest).then_some(value)))
    }
    let after_id = head.strip_prefix(&[0x1a, 0x45, 0xdf, 0xa3])?;
    let (length, header) = size(after_id)?;
    let segment = 4 + length + usize::try_from(header?).ok()?;
    let after_id = head.get(segment..)?.strip_prefix(&[0x18, 0x53, 0x80, 0x67])?;
    let (length, body) = size(after_id)?;
    Some((segment + 4 + length) as u64 + body?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_a_container_states() {
        let ebml = [0x1a, 0x45, 0xdf, 0xa3, 0x81, 0, 0x18, 0x53, 0x80, 0x67];
        let with = |size: &[u8]| matroska_end(&[&ebml[..], size].concat());
        assert_eq!(with(&[0x85]), Some(11 + 5));
        assert_eq!(with(&[0x01, 0, 0, 0, 0, 0, 1, 2]), Some(18 + 258));
        assert_eq!(with(&[0xff]), None);
        assert_eq!(with(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(with(&[0x00]), None);
        assert_eq!(with(&[]), None);
        assert_eq!(riff_end(b"RIFF\x10\0\0\0AVI "), Some(24));
        assert_eq!(riff_end(b"RIFF\0\0\0\0"), None);
        assert_eq!(riff_end(b"RI"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>) {
            let _ = (matroska_end(&bytes), riff_end(&bytes));
            let mut head = vec![0x1a, 0x45, 0xdf, 0xa3];
            head.extend(bytes);
            let _ = matroska_end(&head);
        }
    }
}
