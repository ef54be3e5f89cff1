//! A video's packets, as they lie in the file: the list of them in little memory, and reading them again by number.
//!
//! Where packets lie in the file as they are (MP4, MOV, AVI), they are read from there with no container in between:
//! FFmpeg's own index of a million samples takes 24 to 70 MB in every reader, and its seeks miss.

use super::column::{Bits, Column};
use super::source::{NO_TIME, Source, broke_off};
use crate::error::{Error, Kind, Result};
use crate::watch::Watch;
use ff::packet::{Mut, Ref};
use ffmpeg_next as ff;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A packet that shows no picture of its own.
pub(super) const HIDDEN: u32 = u32::MAX;
/// How many packets may go by after a seek before one is known (transport streams land in mid-frame).
const LANDING: usize = 64;
/// Up to so many packets, reading on is cheaper than seeking.
const SHORT_WAY: u32 = 64;
/// Bytes compared at both ends of every packet, to know that it lies in the file as it is.
const SAMPLE: usize = 64;
/// What the fingerprint takes of the file's content: so many blocks of so many bytes.
const BLOCKS: u64 = 64;
const BLOCK_BYTES: u64 = 1 << 16;

/// One packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacketAt {
    pub position: i64,
    pub size: u32,
    pub shown: i64,
    pub decoded: i64,
    pub key: bool,
    /// Outside an edit list: decoded, as others may lean on it, but never shown.
    pub discarded: bool,
    /// The frame it shows, or [`HIDDEN`]; also while frames are not known yet.
    pub frame: u32,
}

/// All packets of a video in file order.
#[derive(Clone, Default)]
pub(super) struct Packets {
    position: Column,
    size: Column,
    shown: Column,
    decoded: Column,
    key: Bits,
    discarded: Bits,
    /// For every packet its frame.
    frame: Column,
    /// Packets that show a frame and where decoding can begin.
    keys: Column,
    /// How far behind its position every packet's data begins, where they all lie in the file as they are.
    plain: Option<u8>,
}

/// What reading all packets brought.
pub(super) struct Found {
    pub packets: Packets,
    pub fingerprint: String,
    /// Why reading ended before the file did.
    pub broke: Option<Error>,
}

impl Packets {
    /// Reads all packets from a source just opened. With `partial`, what cannot be read on ends the list.
    pub fn read(source: &mut Source, bytes: u64, partial: bool, watch: &dyn Watch) -> Result<Found> {
        let stated = source.stated_frames();
        watch.begin("index", (stated > 0).then_some(stated));
        let mut packets = Self::default();
        let mut hash = Sha256::new();
        hash.update(bytes.to_le_bytes());
        let read = packets.fill(source, bytes, partial, &mut hash, watch);
        watch.end();
        let broke = read?;
        hash_content(source.path(), bytes, &mut hash)?;
        let fingerprint = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Found { packets, fingerprint, broke })
    }

    fn fill(
        &mut self,
        source: &mut Source,
        bytes: u64,
        partial: bool,
        hash: &mut Sha256,
        watch: &dyn Watch,
    ) -> Result<Option<Error>> {
        let mut plain = Plain::new(source.path());
        loop {
            let packet = match source.packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(e) => {
                    let e = broke_off(source.path(), self.len(), e);
                    return if partial { Ok(Some(e)) } else { Err(e) };
                }
            };
            let (position, size) = place(&packet);
            // The file's last packet, of which the rest is gone.
            if partial
                && packet.is_corrupt()
                && u64::try_from(position).is_ok_and(|p| p + u64::from(size) + SAMPLE as u64 > bytes)
            {
                break;
            }
            plain.look(&packet);
            hash.update(position.to_le_bytes());
            hash.update(size.to_le_bytes());
            hash.update(packet.pts().unwrap_or(NO_TIME).to_le_bytes());
            hash.update([u8::from(packet.is_key())]);
            self.position.push(position);
            self.size.push(i64::from(size));
            self.shown.push(packet.pts().unwrap_or(NO_TIME));
            self.decoded.push(packet.dts().unwrap_or(NO_TIME));
            self.key.push(packet.is_key());
            self.discarded.push(flags(&packet) & ff::ffi::AV_PKT_FLAG_DISCARD != 0);
            if self.len().is_multiple_of(1024) {
                watch.advance(1024);
                watch.check()?;
            }
        }
        self.plain = plain.found();
        for column in [&mut self.position, &mut self.size, &mut self.shown, &mut self.decoded] {
            column.finish();
        }
        Ok(None)
    }

    pub fn len(&self) -> usize {
        self.position.len()
    }

    pub fn get(&self, number: u32) -> Option<PacketAt> {
        let n = number as usize;
        Some(PacketAt {
            position: self.position.get(n)?,
            size: u32::try_from(self.size.get(n)?).unwrap_or(u32::MAX),
            shown: self.shown.get(n)?,
            decoded: self.decoded.get(n)?,
            key: self.key.get(n),
            discarded: self.discarded.get(n),
            frame: self.frame_of(number),
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, PacketAt)> {
        (0_u32..).map_while(|n| self.get(n).map(|p| (n, p)))
    }

    /// The frame a packet shows, or [`HIDDEN`].
    pub fn frame_of(&self, number: u32) -> u32 {
        self.frame.get(number as usize).and_then(|f| u32::try_from(f).ok()).unwrap_or(HIDDEN)
    }

    pub fn is_key(&self, number: u32) -> bool {
        self.key.get(number as usize)
    }

    /// Corrects the container, which took this packet for a keyframe.
    pub fn no_key(&mut self, number: u32) {
        self.key.set(number as usize, false);
    }

    /// Learns which packet shows which frame.
    pub fn set_order(&mut self, order: &Column) {
        let mut frames = vec![HIDDEN; self.len()];
        for (n, packet) in (0..HIDDEN).zip(order.iter()) {
            if let Some(frame) = usize::try_from(packet).ok().and_then(|p| frames.get_mut(p)) {
                *frame = n;
            }
        }
        let keys = (0_u32..).zip(&frames).filter(|(p, f)| **f != HIDDEN && self.is_key(*p));
        self.keys = keys.map(|(p, _)| i64::from(p)).collect();
        self.frame = frames.into_iter().map(i64::from).collect();
    }

    /// How many keyframes there are.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The packet of the keyframe at place `k`; of the file's first packet, where there is none.
    pub fn key(&self, k: usize) -> u32 {
        self.keys.get(k).and_then(|p| u32::try_from(p).ok()).unwrap_or(0)
    }

    /// How many keyframes come no later in the file than this packet.
    pub fn keys_to(&self, packet: u32) -> usize {
        self.keys.partition_point(|p| p <= i64::from(packet))
    }
}

/// Finds out whether packets lie in the file as FFmpeg gives them.
struct Plain {
    file: Option<BufReader<File>>,
    at: Option<u64>,
    /// The distance from packets' positions to their data, once one is seen.
    offset: Option<u8>,
}

impl Plain {
    fn new(path: &Path) -> Self {
        // A small buffer: of large packets only the ends are read.
        Self {
            file: File::open(path).ok().map(|f| BufReader::with_capacity(4096, f)),
            at: None,
            offset: None,
        }
    }

    #[allow(unsafe_code)] // ffmpeg-next has no count of a packet's side data
    fn look(&mut self, packet: &ff::Packet) {
        let Some(data) = packet.data().filter(|_| self.file.is_some()) else { return };
        // SAFETY: reads a number of a packet that is alive.
        let more = unsafe { (*packet.as_ptr()).side_data_elems } != 0 || packet.is_corrupt();
        // AVI gives the place of a chunk, whose data follows its name and size.
        let tried = self.offset.map_or(vec![0, 8], |known| vec![known]);
        self.offset = tried.into_iter().find(|o| !more && self.same(packet, data, *o) == Some(true));
        if self.offset.is_none() {
            self.file = None;
        }
    }

    fn same(&mut self, packet: &ff::Packet, data: &[u8], offset: u8) -> Option<bool> {
        let begin = u64::try_from(packet.position()).ok()?.checked_add(u64::from(offset))?;
        let sample = data.len().min(SAMPLE);
        let mut bytes = [0; SAMPLE];
        let file = self.file.as_mut()?;
        for (from, wanted) in
            [(begin, &data[..sample]), (begin + (data.len() - sample) as u64, &data[data.len() - sample..])]
        {
            read_at(file, &mut self.at, from, &mut bytes[..sample]).ok()?;
            if bytes[..sample] != *wanted {
                return Some(false);
            }
        }
        Some(true)
    }

    fn found(self) -> Option<u8> {
        self.file.and(self.offset)
    }
}

/// Reads at a place without giving up what is buffered around it; `at` is where the file stands, when that is known.
fn read_at(
    file: &mut BufReader<File>,
    at: &mut Option<u64>,
    from: u64,
    bytes: &mut [u8],
) -> std::io::Result<()> {
    let here = at.take(); // should anything fail, the place is unknown
    match here.and_then(|here| Some(i64::try_from(from).ok()? - i64::try_from(here).ok()?)) {
        Some(way) => file.seek_relative(way)?,
        None => drop(file.seek(SeekFrom::Start(from))?),
    }
    file.read_exact(bytes)?;
    *at = Some(from + bytes.len() as u64);
    Ok(())
}

/// Evenly spaced blocks of the file, from its first byte to its last.
fn hash_content(path: &Path, bytes: u64, hash: &mut Sha256) -> Result<()> {
    let failed = |e| Error::io("read the video", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut block = Vec::new();
    for n in 0..BLOCKS {
        let span = u128::from(bytes.saturating_sub(BLOCK_BYTES)) * u128::from(n) / u128::from(BLOCKS - 1);
        file.seek(SeekFrom::Start(u64::try_from(span).unwrap_or(0))).map_err(failed)?;
        block.clear();
        (&mut file).take(BLOCK_BYTES).read_to_end(&mut block).map_err(failed)?;
        hash.update(&block);
    }
    Ok(())
}

/// A packet's flags; ffmpeg-next drops some from its own set.
#[allow(unsafe_code)] // see above
fn flags(packet: &ff::Packet) -> i32 {
    // SAFETY: reads a number of a packet that is alive.
    unsafe { (*packet.as_ptr()).flags }
}

fn place(packet: &ff::Packet) -> (i64, u32) {
    (i64::try_from(packet.position()).unwrap_or(-1), u32::try_from(packet.size()).unwrap_or(u32::MAX))
}

/// Gives the packets of a list again, from the file.
pub(super) struct Feed {
    path: PathBuf,
    /// The number of the packet that comes next.
    at: u32,
    how: How,
}

enum How {
    /// From their places in the file.
    Plain { file: BufReader<File>, at: Option<u64>, offset: u8 },
    /// Through FFmpeg's container.
    Container {
        source: Source,
        /// A packet read already while seeking.
        waiting: Option<ff::Packet>,
        /// Packets by their place in the file, built at the first seek.
        places: Option<HashMap<(i64, u32), u32>>,
        seekable: bool,
    },
}

impl Feed {
    /// Opens the file that `packets` were read from.
    pub fn open(path: &Path, packets: &Packets) -> Result<Self> {
        let how = match packets.plain {
            Some(offset) => {
                let file = File::open(path).map_err(|e| Error::io("open the video", path, e))?;
                How::Plain { file: BufReader::with_capacity(1 << 18, file), at: None, offset }
            }
            None => {
                How::Container { source: Source::open(path)?, waiting: None, places: None, seekable: true }
            }
        };
        Ok(Self { path: path.to_path_buf(), at: 0, how })
    }

    /// The number of the packet that comes next.
    pub fn at(&self) -> u32 {
        self.at
    }

    /// The next packet, whose presentation time is its number, so that the decoder hands that on to the picture
    /// through any reordering; `None` after the last.
    pub fn next(&mut self, packets: &Packets) -> Result<Option<ff::Packet>> {
        let Some(known) = packets.get(self.at) else { return Ok(None) };
        let path = &self.path;
        let mut packet = match &mut self.how {
            How::Plain { file, at, offset } => {
                let mut packet = ff::Packet::new(known.size as usize);
                let from = u64::try_from(known.position).map_err(|_| changed(path))? + u64::from(*offset);
                if let Some(data) = packet.data_mut().filter(|d| !d.is_empty()) {
                    read_at(file, at, from, data).map_err(|e| match e.kind() {
                        std::io::ErrorKind::UnexpectedEof => changed(path),
                        _ => Error::io(&format!("read on after frame {}", self.at), path, e),
                    })?;
                } else if known.size > 0 {
                    return Err(Error::io("read the video", path, std::io::ErrorKind::OutOfMemory.into()));
                }
                packet.set_dts((known.decoded != NO_TIME).then_some(known.decoded));
                set_flags(&mut packet, known);
                packet
            }
            How::Container { source, waiting, .. } => {
                let packet = match waiting.take() {
                    Some(packet) => Some(packet),
                    None => source.packet().map_err(|e| broke_off(path, self.at as usize, e))?,
                };
                let Some(packet) = packet else { return Ok(None) };
                if (known.position, known.size) != place(&packet) {
                    return Err(changed(path));
                }
                packet
            }
        };
        packet.set_pts(Some(i64::from(self.at)));
        self.at += 1;
        Ok(Some(packet))
    }

    /// Goes to the keyframe at place `start`, or to the file's first packet.
    pub fn go_to(&mut self, packets: &Packets, start: Option<usize>) -> Result<()> {
        let target = start.map_or(0, |k| packets.key(k));
        if matches!(self.how, How::Plain { .. }) {
            self.at = target;
            return Ok(());
        }
        let near = target >= self.at && target - self.at <= SHORT_WAY;
        let there = near || start.is_some_and(|k| self.land(packets, k));
        // A container that cannot seek is read on, or again from its start: slow, and right.
        if !there && target < self.at {
            if let How::Container { source, waiting, .. } = &mut self.how {
                *waiting = None;
                *source = Source::open(&self.path)?;
            }
            self.at = 0;
        }
        while self.at < target {
            if self.next(packets)?.is_none() {
                return Err(changed(&self.path));
            }
        }
        Ok(())
    }

    /// Seeks so that the next packet is known and not after key `k`; false when the container does not do that.
    fn land(&mut self, packets: &Packets, k: usize) -> bool {
        let How::Container { source, waiting, places, seekable } = &mut self.how else { return false };
        if !*seekable {
            return false;
        }
        let target = packets.key(k);
        let places = places.get_or_insert_with(|| by_place(packets));
        let by_shown = source.seeks_by_presentation();
        // Seeks of some containers overshoot; then one or four keyframes earlier is asked for.
        for back in [0, 1, 4] {
            let Some(packet) = k.checked_sub(back).and_then(|k| packets.get(packets.key(k))) else { break };
            let (first, second) =
                if by_shown { (packet.shown, packet.decoded) } else { (packet.decoded, packet.shown) };
            let time = if first == NO_TIME { second } else { first };
            if time == NO_TIME || !source.seek(time) {
                break;
            }
            *waiting = None;
            let Some((at, packet)) = recognise(source, places) else { break };
            *waiting = Some(packet);
            self.at = at;
            if at <= target {
                return true;
            }
        }
        // The source now stands nowhere known: only a new start helps, this time and every time.
        *seekable = false;
        self.at = u32::MAX;
        false
    }
}

#[allow(unsafe_code)] // ffmpeg-next does not know all flags
fn set_flags(packet: &mut ff::Packet, known: PacketAt) {
    let key = if known.key { ff::ffi::AV_PKT_FLAG_KEY } else { 0 };
    let discard = if known.discarded { ff::ffi::AV_PKT_FLAG_DISCARD } else { 0 };
    // SAFETY: sets a number of a packet that is ours.
    unsafe { (*packet.as_mut_ptr()).flags = key | discard };
}

fn by_place(packets: &Packets) -> HashMap<(i64, u32), u32> {
    let mut places = HashMap::with_capacity(packets.len());
    let mut twice = Vec::new();
    for (number, p) in packets.iter() {
        if p.position < 0 || places.insert((p.position, p.size), number).is_some() {
            twice.push((p.position, p.size));
        }
    }
    for p in twice {
        places.remove(&p);
    }
    places
}

/// Reads packets until one is known by its place.
fn recognise(source: &mut Source, places: &HashMap<(i64, u32), u32>) -> Option<(u32, ff::Packet)> {
    for _ in 0..LANDING {
        let packet = source.packet().ok()??;
        if let Some(number) = places.get(&place(&packet)) {
            return Some((*number, packet));
        }
    }
    None
}

pub(super) fn changed(path: &Path) -> Error {
    Error::new(Kind::Video, "the video is not the one that was indexed: it changed on disk meanwhile")
        .at(path.display())
        .mend("wait until its copying or recording is finished, then run it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use crate::video::{Codec, Index, Options, Writer};
    use crate::watch::Quiet;

    /// From their places in the file, packets are those that the container gives.
    #[test]
    fn packets_from_their_places() {
        let dir = tempfile::tempdir().unwrap();
        for (name, codec, plain) in [
            ("a.mp4", Codec::H264, true),
            ("b.mov", Codec::Mpeg4, true),
            ("c.avi", Codec::Mjpeg, true),
            ("d.avi", Codec::Mpeg4, true),
            ("e.mkv", Codec::H264, false),
            ("f.ts", Codec::H264, false),
        ] {
            let path = dir.path().join(name);
            let b_frames = Some(if codec == Codec::Mjpeg { 0 } else { 2 });
            let options = Options { codec, b_frames, ..Options::default() };
            let mut writer = Writer::create_with(&path, 64, 48, 25.0, &options).unwrap();
            for n in 0..50_u8 {
                writer.write(&Picture::from_rgb(64, 48, vec![n * 5; 64 * 48 * 3]).unwrap()).unwrap();
            }
            writer.finish().unwrap();
            let index = Index::open(&path, &Quiet::default()).unwrap();
            let packets = &index.packets;
            assert_eq!(packets.plain.is_some(), plain, "{name}: {:?}", packets.plain);
            let mut source = Source::open(&path).unwrap();
            let mut feed = Feed::open(&path, packets).unwrap();
            while let Some(wanted) = source.packet().unwrap() {
                let number = feed.at();
                let got = feed.next(packets).unwrap().unwrap();
                assert_eq!(got.data(), wanted.data(), "{name} packet {number}");
                assert_eq!(
                    (got.dts(), flags(&got)),
                    (wanted.dts(), flags(&wanted)),
                    "{name} packet {number}"
                );
                assert_eq!(got.pts(), Some(i64::from(number)));
            }
            assert!(feed.next(packets).unwrap().is_none());
            for k in (0..packets.keys()).rev() {
                feed.go_to(packets, Some(k)).unwrap();
                assert_eq!(feed.at(), packets.key(k), "{name}");
                assert!(feed.next(packets).unwrap().unwrap().is_key());
            }
        }
    }
}
