//! Edit lists of MP4 and MOV files that change nothing.
//!
//! Nearly every file has one, which only says where its first frame is. FFmpeg rebuilds its index by it all the same,
//! and holds it twice meanwhile: 30 MB more for a million frames. Where the list hides nothing, FFmpeg is told not to.

use super::packets::Packets;
use super::source::NO_TIME;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The only entry of the video track's edit list (ISO/IEC 14496-12, 8.6.6), which plays a part of it at its own speed.
pub(super) struct Edit {
    /// How long the part is, in ticks of which a second has so many.
    length: u64,
    ticks: u64,
}

impl Edit {
    /// Finds it. `None` where there is no such list, another one, or any doubt.
    pub fn of(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let moov = only(&boxes(&mut file, (0, length))?, b"moov")?;
        let inside = boxes(&mut file, moov)?;
        if inside.iter().any(|b| b.kind == *b"mvex") {
            return None; // in fragments, whose lengths are not known here
        }
        let mvhd: [u8; 24] = start_of(&mut file, only(&inside, b"mvhd")?)?;
        let at = if mvhd[0] == 1 { 20 } else { 12 };
        let ticks = number(mvhd.get(at..at + 4)?);
        let mut found = None;
        for track in inside.iter().filter(|b| b.kind == *b"trak") {
            let track = boxes(&mut file, track.body)?;
            let media = boxes(&mut file, only(&track, b"mdia")?)?;
            let handler: [u8; 12] = start_of(&mut file, only(&media, b"hdlr")?)?;
            if !handler.ends_with(b"vide") {
                continue;
            }
            let lists = boxes(&mut file, only(&track, b"edts")?)?;
            let entry = entry(&mut file, only(&lists, b"elst")?)?;
            if found.replace(entry).is_some() {
                return None; // two films in one file
            }
        }
        found.filter(|length| *length > 0 && ticks > 0).map(|length| Self { length, ticks })
    }

    /// Whether every packet is shown within it; their times count from its start, in parts of a second (above, below).
    #[allow(clippy::cast_precision_loss)] // lengths and times are far below 2^53
    pub fn shows_all(&self, packets: &Packets, (above, below): (f64, f64)) -> bool {
        let end = self.length as f64 / self.ticks as f64;
        packets
            .iter()
            .all(|(_, p)| p.shown != NO_TIME && p.shown >= 0 && p.shown as f64 * above / below < end)
    }
}

struct Part {
    kind: [u8; 4],
    /// First byte, and first after it.
    body: (u64, u64),
}

/// The boxes that follow each other in a stretch of the file; `None` when they do not fill it as they should.
fn boxes(file: &mut File, (mut at, end): (u64, u64)) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while at + 8 <= end && parts.len() < 1000 {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut head = [0; 16];
        let wide = at + 16 <= end;
        file.read_exact(&mut head[..if wide { 16 } else { 8 }]).ok()?;
        let (size, body) = match number(&head[..4]) {
            0 => (end - at, 8),
            1 if wide => (number(&head[8..]), 16),
            size => (size, 8),
        };
        let after = at.checked_add(size).filter(|after| size >= body && *after <= end)?;
        parts.push(Part { kind: [head[4], head[5], head[6], head[7]], body: (at + body, after) });
        at = after;
    }
    Some(parts)
}

/// Where the box of this kind lies, when there is just one.
fn only(parts: &[Part], kind: &[u8; 4]) -> Option<(u64, u64)> {
    let mut all = parts.iter().filter(|b| b.kind == *kind);
    all.next().filter(|_| all.next().is_none()).map(|b| b.body)
}

fn start_of<const N: usize>(file: &mut File, (at, end): (u64, u64)) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at)).ok()?;
    (end - at >= N as u64).then(|| file.read_exact(&mut bytes).ok())??;
    Some(bytes)
}

/// The length of the only entry of an edit list, when it plays media, from no earlier than their beginning, at their
/// own speed.
fn entry(file: &mut File, body: (u64, u64)) -> Option<u64> {
    let head: [u8; 20] = start_of(file, body)?;
    if number(&head[4..8]) != 1 {
        return None;
    }
    // Length, first moment shown, and speed in 16.16: 4 + 4 + 4 bytes, or 8 + 8 + 4.
    let (length, first, speed) = if head[0] == 1 {
        let head: [u8; 28] = start_of(file, body)?;
        (number(&head[8..16]), head[16], number(&head[24..]))
    } else {
        (number(&head[8..12]), head[12], number(&head[16..]))
    };
    (first < 0x80 && speed == 0x1_0000).then_some(length)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use crate::video::source::Source;
    use crate::video::{Codec, Options, Writer};
    use crate::watch::Quiet;

    #[test]
    fn without_rebuilding_the_packets_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        for (name, codec, b) in [
            ("a.mp4", Codec::H264, 3),
            ("b.mp4", Codec::H264, 0),
            ("c.mov", Codec::Mpeg4, 2),
            ("d.mp4", Codec::Mpeg4, 0),
        ] {
            let path = dir.path().join(name);
            let options = Options { codec, b_frames: Some(b), ..Options::default() };
            let mut writer = Writer::create_with(&path, 64, 48, 30.0, &options).unwrap();
            for n in 0..70_u8 {
                writer.write(&Picture::from_rgb(64, 48, vec![n * 3; 64 * 48 * 3]).unwrap()).unwrap();
            }
            writer.finish().unwrap();
            let edit = Edit::of(&path).expect("it has a plain edit list");
            let read = |mut source: Source| {
                let found = Packets::read(&mut source, 1, false, &Quiet::default()).unwrap();
                assert!(edit.shows_all(&found.packets, source.coding().unwrap().tick()), "{name}");
                let all = found.packets.iter();
                all.map(|(_, p)| (p.position, p.size, p.shown, p.decoded, p.key, p.discarded))
                    .collect::<Vec<_>>()
            };
            assert_eq!(read(Source::open_as_it_lies(&path).unwrap()), read(Source::open(&path).unwrap()));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>, begin in 0_usize..4) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.mp4");
            let mut file = [&b"\0\0\0\0moov"[..], b"\0\0\0\x10moov", b"\0\0\0\x01moov\0\0\0\0", b""][begin].to_vec();
            file.extend(bytes);
            std::fs::write(&path, file).unwrap();
            proptest::prop_assert!(Edit::of(&path).is_none());
        }
    }
}
