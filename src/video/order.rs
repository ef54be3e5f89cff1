//! Which packet shows which frame, and when: from timestamps, checked by a short decoding, or from decoding all.

use super::column::{Bits, Column};
use super::decoder::Coding;
use super::packets::{Feed, Packets};
use super::source::NO_TIME;
use crate::error::Result;
use crate::watch::Watch;
use ffmpeg_next as ff;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

/// How many packets the trial decoding takes: past FFmpeg's 16 threads and H.264's 16 reordered frames.
const TRIAL: usize = 48;
/// How many packets may have to be known before the frame that is shown next: more than any codec reorders.
const REORDERED: usize = 64;
/// Packets of no more than this many bytes only say "as before" (MPEG-4 in AVI); nothing was lost with them.
const EMPTY_BYTES: u32 = 16;

/// The numbers of the packets in the order in which they are shown.
pub(super) fn order(
    path: &Path,
    coding: &Coding,
    packets: &mut Packets,
    watch: &dyn Watch,
) -> Result<Column> {
    if let Some(order) = by_timestamps(packets, coding.codec_id())
        && let Trial::Agrees { leading } = trial(path, coding, packets, &order)?
    {
        return Ok(if leading == 0 { order } else { order.iter().skip(leading).collect() });
    }
    by_decoding(path, coding, packets, watch)
}

/// The shown packets in order of presentation, when every one has a time of its own.
fn by_timestamps(packets: &Packets, codec: ff::codec::Id) -> Option<Column> {
    // VP8 keeps its hidden reference frames in packets like any other.
    if codec == ff::codec::Id::VP8 {
        return None;
    }
    if packets.iter().any(|(_, p)| !p.discarded && p.shown == NO_TIME) {
        return None;
    }
    let shown = || packets.iter().filter(|(_, p)| !p.discarded).map(|(n, p)| (p.shown, n));
    // Nearly in order, as all that was ever encoded is: a small heap is enough.
    let mut order = Column::default();
    let mut heap = BinaryHeap::new();
    let (mut last, mut near) = (None, true);
    let mut take = |(time, packet): (i64, u32)| {
        near &= last.is_none_or(|l| l < time);
        last = Some(time);
        order.push(i64::from(packet));
        near
    };
    for entry in shown() {
        heap.push(Reverse(entry));
        if heap.len() > REORDERED
            && let Some(Reverse(first)) = heap.pop()
            && !take(first)
        {
            break;
        }
    }
    while let Some(Reverse(first)) = heap.pop() {
        take(first);
    }
    if !near {
        let mut all: Vec<(i64, u32)> = shown().collect();
        all.sort_unstable();
        if all.windows(2).any(|w| w[0].0 == w[1].0) {
            return None;
        }
        order = all.into_iter().map(|(_, p)| i64::from(p)).collect();
    }
    (order.len() > 0).then_some(order)
}

enum Trial {
    /// Frames come as the timestamps say, except the first few, which need frames from before the file begins and
    /// are never shown by any player.
    Agrees { leading: usize },
    /// They do not: only decoding tells.
    Differs,
}

/// Decodes the first packets and compares the pictures that come out with `order`.
fn trial(path: &Path, coding: &Coding, packets: &Packets, order: &Column) -> Result<Trial> {
    let mut seen = Vec::new();
    let damaged = decode(path, coding, packets, Some(TRIAL), &mut |packet, _| {
        seen.push(i64::from(packet));
        Ok(())
    })?;
    let Some(leading) = seen.first().and_then(|first| order.iter().position(|p| p == *first)) else {
        return Ok(Trial::Differs);
    };
    if damaged {
        // Damage at the start: the container is believed, and what cannot be decoded will be missing in its place.
        return Ok(Trial::Agrees { leading: 0 });
    }
    let agrees = (leading..).zip(&seen).all(|(n, packet)| order.get(n) == Some(*packet));
    Ok(if agrees { Trial::Agrees { leading } } else { Trial::Differs })
}

/// Decodes `limit` packets or all, calling `shown` with the packet number of each picture and whether it stands by
/// itself; gives whether there was damage.
fn decode(
    path: &Path,
    coding: &Coding,
    packets: &Packets,
    limit: Option<usize>,
    shown: &mut dyn FnMut(u32, bool) -> Result<()>,
) -> Result<bool> {
    let mut feed = Feed::open(path, packets)?;
    let mut decoder = coding.software(0, path)?;
    let mut frame = ff::frame::Video::empty();
    let (mut damaged, mut more) = (false, true);
    while more {
        if limit.is_some_and(|l| feed.at() as usize >= l) {
            break; // what is still inside the decoder is not needed to judge
        }
        let sent = match feed.next(packets)? {
            Some(packet) => decoder.send_packet(&packet),
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
fn by_decoding(path: &Path, coding: &Coding, packets: &mut Packets, watch: &dyn Watch) -> Result<Column> {
    watch.begin("index by decoding", Some(packets.len() as u64));
    let mut order = Column::default();
    let mut shown = Bits::default();
    (0..packets.len()).for_each(|_| shown.push(false));
    let mut false_keys = Vec::new();
    let done = decode(path, coding, packets, None, &mut |packet, key| {
        // A picture that comes twice from one packet is one row here and in the reader.
        if (packet as usize) < packets.len() && !shown.get(packet as usize) {
            shown.set(packet as usize, true);
            order.push(i64::from(packet));
            if !key && packets.is_key(packet) {
                false_keys.push(packet); // AVI's flags are often wrong
            }
        }
        watch.advance(1);
        watch.check()
    });
    watch.end();
    let damaged = done?;
    for packet in false_keys {
        packets.no_key(packet);
    }
    // Without timestamps a damaged frame would move the later ones up. Its packet is there, so it keeps a place: right
    // after the picture of the packet before it.
    if damaged && order.len() > 0 && packets.iter().any(|(_, p)| p.shown == NO_TIME) {
        let mut whole = Column::default();
        let take_lost_from = |first: u32, whole: &mut Column| {
            for n in first.. {
                let Some(at) = packets.get(n).filter(|_| !shown.get(n as usize)) else { break };
                if !at.discarded && at.size > EMPTY_BYTES {
                    whole.push(i64::from(n));
                }
            }
        };
        take_lost_from(0, &mut whole);
        for p in order.iter() {
            whole.push(p);
            take_lost_from(u32::try_from(p + 1).unwrap_or(u32::MAX), &mut whole);
        }
        order = whole;
    }
    order.finish();
    Ok(order)
}

/// When frames are shown, in seconds of the stream's own clock.
#[derive(Clone)]
pub(super) enum Times {
    /// In ticks, of which one lasts so many seconds (above, below).
    Ticks(Column, (f64, f64)),
    /// So many frames, at a constant rate: seconds from one to the next.
    Even(usize, f64),
}

impl Times {
    /// Their own timestamps; else, in AVI, their packets' times in order; else the rate's.
    pub fn of(packets: &Packets, order: &Column, tick: (f64, f64), rate: Option<f64>) -> Self {
        let packet = |p: i64| u32::try_from(p).ok().and_then(|p| packets.get(p));
        let shown = || order.iter().filter_map(packet).map(|p| p.shown);
        if rising(shown()) {
            return Self::Ticks(shown().collect(), tick);
        }
        // In the order of the file they are mostly sorted.
        let decoded =
            || packets.iter().filter(|(_, p)| p.frame != super::packets::HIDDEN).map(|(_, p)| p.decoded);
        if rising(decoded()) {
            return Self::Ticks(decoded().collect(), tick);
        }
        let mut sorted: Vec<i64> = decoded().collect();
        sorted.sort_unstable();
        if rising(sorted.iter().copied()) {
            return Self::Ticks(sorted.into_iter().collect(), tick);
        }
        Self::Even(order.len(), 1.0 / rate.unwrap_or(25.0))
    }

    /// When frame `n` is shown.
    #[allow(clippy::cast_precision_loss)] // timestamps and frames are far below 2^53
    pub fn get(&self, n: usize) -> Option<f64> {
        match self {
            Self::Ticks(ticks, (above, below)) => ticks.get(n).map(|t| t as f64 * above / below),
            Self::Even(count, step) => (n < *count).then(|| n as f64 * step),
        }
    }
}

fn rising(mut ticks: impl Iterator<Item = i64>) -> bool {
    let mut last = None;
    ticks.all(|t| t != NO_TIME && last.replace(t).is_none_or(|l| l < t))
}

/// The stated rate when the frames' span agrees with it to a thousandth, else the average over the span.
pub(super) fn average_rate(frames: usize, span: f64, stated: Option<f64>) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let measured = (frames > 1 && span > 0.0).then(|| (frames - 1) as f64 / span);
    match (measured, stated) {
        (Some(m), Some(s)) if (m / s - 1.0).abs() < 1e-3 => s,
        (Some(m), _) => m,
        (None, s) => s.unwrap_or(25.0),
    }
}
