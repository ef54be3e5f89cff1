//! Clips whose frames carry their number, so that a frame at the wrong place cannot pass.

use super::*;
use crate::error::Kind;
use crate::picture::Picture;
use crate::watch::Quiet;
use std::path::{Path, PathBuf};

mod apart;
mod hurt;
mod serving;

const COLUMNS: usize = 4;
const ROWS: usize = 3;

/// A picture that shows `n` in twelve black or white blocks.
fn numbered(n: usize, width: usize, height: usize) -> Picture {
    let mut p = Picture::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let bit = (y * ROWS / height) * COLUMNS + x * COLUMNS / width;
            let level = if n >> bit & 1 == 1 { 230 } else { 25 };
            p.set(x, y, [level; 3]);
        }
    }
    p
}

/// The number a picture shows.
fn number(p: &Picture) -> usize {
    let mut n = 0;
    for bit in 0..ROWS * COLUMNS {
        let x = (2 * (bit % COLUMNS) + 1) * p.width() / (2 * COLUMNS);
        let y = (2 * (bit / COLUMNS) + 1) * p.height() / (2 * ROWS);
        n |= usize::from(p.get(x, y)[0] > 128) << bit;
    }
    n
}

fn write(path: &Path, frames: usize, size: (usize, usize), options: &Options) -> Written {
    let mut writer = Writer::create_with(path, size.0, size.1, 30.0, options).unwrap();
    for n in 0..frames {
        writer.write(&numbered(n, size.0, size.1)).unwrap();
    }
    writer.finish().unwrap()
}

fn open(path: &Path) -> Reader {
    Reader::open(path, &Quiet::default()).unwrap()
}

fn shown(frame: Decoded) -> usize {
    match frame {
        Decoded::Picture(p) => number(&p),
        Decoded::Missing(why) => panic!("missing: {why}"),
    }
}

/// Every frame in order, and in a scattered order, must show `first` plus its own number.
fn check_all(path: &Path, frames: usize, first: usize) {
    let name = path.display();
    let mut reader = open(path);
    assert_eq!(reader.index().len(), frames, "{name}");
    let mut count = 0;
    while let Some((n, frame)) = reader.next().unwrap() {
        assert_eq!(n, count, "{name}");
        assert_eq!(shown(frame), first + n, "{name}, in order");
        count += 1;
    }
    assert_eq!(count, frames, "{name}");
    let mut fresh = open(path);
    for i in 0..frames * 2 {
        let n = i * 37 % frames;
        assert_eq!(shown(fresh.frame(n).unwrap()), first + n, "{name}, scattered");
        assert_eq!(shown(reader.frame(n).unwrap()), first + n, "{name}, scattered after the end");
    }
    assert_eq!(shown(reader.frame(frames - 3).unwrap()), first + frames - 3);
    assert_eq!(shown(reader.next().unwrap().unwrap().1), first + frames - 2, "{name}, on from there");
    assert_eq!(reader.frame(frames).unwrap_err().kind(), Kind::Usage);
}

fn h264(keyframe_every: u32, b_frames: u8) -> Options {
    Options { keyframe_every: Some(keyframe_every), b_frames: Some(b_frames), ..Options::default() }
}

#[test]
fn every_frame_by_number_in_every_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    let even = (96, 64);
    let old = |codec, b| Options { codec, ..h264(12, b) };
    let cases: [(&str, Options, (usize, usize)); 13] = [
        ("long-gop.mp4", h264(250, 3), even),
        ("short-gop.mp4", h264(10, 2), even),
        ("intra.mov", h264(1, 0), even),
        ("matroska.mkv", h264(10, 3), even),
        ("transport.ts", h264(10, 3), even),
        ("raw.h264", h264(10, 3), even),
        ("h264.avi", h264(10, 3), even),
        ("odd.mp4", Options { pixels: Pixels::Yuv444, lossless: true, ..h264(10, 2) }, (97, 65)),
        ("ten-bit.mp4", Options { pixels: Pixels::Yuv420Bits10, ..h264(10, 2) }, even),
        ("b-frames.avi", old(Codec::Mpeg4, 2), even),
        ("plain.avi", old(Codec::Mpeg4, 0), even),
        ("mpeg4.mp4", old(Codec::Mpeg4, 2), even),
        ("jpeg.avi", old(Codec::Mjpeg, 0), even),
    ];
    for (name, options, size) in cases {
        let path = dir.path().join(name);
        write(&path, 70, size, &options);
        check_all(&path, 70, 0);
        let reader = open(&path);
        let index = reader.index();
        assert_eq!((index.width(), index.height()), size, "{name}");
        if name != "raw.h264" {
            assert!((index.fps() - 30.0).abs() < 0.05, "{name}: {} fps", index.fps());
            for n in 0..index.len() {
                let off = index.time(n).unwrap() - n as f64 / 30.0;
                assert!(off.abs() < 0.0011, "{name}: frame {n} is {off} s off");
                assert_eq!(index.nearest(n as f64 / 30.0 + 0.01), n);
            }
        }
    }
}

#[test]
fn variable_rate_keeps_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let times: Vec<f64> = (0..60).map(|n| f64::from(n) / 25.0 + f64::from(n * n) * 1e-4).collect();
    for (name, precision) in [("a.mp4", 1e-6), ("a.mkv", 6e-4)] {
        let path = dir.path().join(name);
        let mut writer = Writer::create_with(&path, 64, 48, 25.0, &h264(15, 2)).unwrap();
        for (n, t) in times.iter().enumerate() {
            writer.write_at(&numbered(n, 64, 48), *t).unwrap();
        }
        let back = writer.write_at(&numbered(0, 64, 48), 1.0).unwrap_err();
        assert_eq!(back.kind(), Kind::Usage);
        writer.finish().unwrap();
        check_all(&path, 60, 0);
        let reader = open(&path);
        for (n, t) in times.iter().enumerate() {
            assert!((reader.index().time(n).unwrap() - t).abs() < precision, "{name} frame {n}");
        }
        let average = 59.0 / times[59];
        assert!((reader.index().fps() - average).abs() < 0.05);
    }
}

/// The place of an MP4 box's contents.
fn find_box(file: &[u8], kind: &[u8; 4]) -> usize {
    file.windows(4).position(|w| w == kind).expect("the box is there") + 4
}

#[test]
fn rotation_stands_upright() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.mp4");
    write(&plain, 5, (96, 64), &h264(10, 0));
    let one = 0x0001_0000_i32;
    for (turn, matrix) in [(90, [0, one, -one, 0]), (180, [-one, 0, 0, -one]), (270, [0, -one, one, 0])] {
        let mut file = std::fs::read(&plain).unwrap();
        // tkhd, version 0: the 3 x 3 matrix stands after 40 bytes, its upper left four at 0, 4, 12 and 16.
        let at = find_box(&file, b"tkhd") + 40;
        for (offset, value) in [0, 4, 12, 16].into_iter().zip(matrix) {
            file[at + offset..at + offset + 4].copy_from_slice(&value.to_be_bytes());
        }
        let path = dir.path().join(format!("{turn}.mp4"));
        std::fs::write(&path, file).unwrap();
        let mut reader = open(&path);
        assert_eq!(reader.index().rotation(), turn);
        let upright = if turn == 180 { (96, 64) } else { (64, 96) };
        assert_eq!((reader.index().width(), reader.index().height()), upright);
        for n in 0..5 {
            let Decoded::Picture(p) = reader.frame(n).unwrap() else { panic!("frame {n} is missing") };
            assert_eq!((p.width(), p.height()), upright);
            // Turned back anticlockwise, it shows its number again.
            let mut back = Picture::new(96, 64);
            for y in 0..64 {
                for x in 0..96 {
                    let (u, v) = match turn {
                        90 => (63 - y, x),
                        180 => (95 - x, 63 - y),
                        _ => (y, 95 - x),
                    };
                    back.set(x, y, p.get(u, v));
                }
            }
            assert_eq!(number(&back), n);
        }
    }
}

#[test]
fn an_edit_list_hides_the_frames_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    write(&path, 60, (96, 64), &h264(20, 2));
    let mut file = std::fs::read(&path).unwrap();
    let at = find_box(&file, b"elst");
    assert_eq!(file[at], 0, "an elst of version 0");
    // version+flags, count, then duration and media time.
    let start = i32::from_be_bytes(file[at + 12..at + 16].try_into().unwrap());
    let at_mdhd = find_box(&file, b"mdhd");
    let scale = i32::from_be_bytes(file[at_mdhd + 12..at_mdhd + 16].try_into().unwrap());
    let later = start + scale / 30 * 27;
    file[at + 12..at + 16].copy_from_slice(&later.to_be_bytes());
    std::fs::write(&path, file).unwrap();
    check_all(&path, 33, 27);
}

#[test]
fn a_file_that_begins_in_the_middle_of_a_group() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.ts");
    write(&whole, 60, (96, 64), &h264(20, 2));
    let file = std::fs::read(&whole).unwrap();
    // Cut off some transport packets so that the first keyframe is gone.
    let path = dir.path().join("cut.ts");
    std::fs::write(&path, &file[188 * (file.len() / 188 / 5)..]).unwrap();
    let mut reader = open(&path);
    let frames = reader.index().len();
    assert!(frames < 60);
    let first = shown(reader.next().unwrap().unwrap().1);
    assert!(first > 0);
    check_all(&path, frames, first);
}

#[test]
fn a_false_keyframe_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    write(&path, 60, (96, 64), &Options { codec: Codec::Mpeg4, ..h264(20, 0) });
    let mut file = std::fs::read(&path).unwrap();
    // stss: version and flags, count, then the keyframes' numbers from 1: all but the first are moved.
    let at = find_box(&file, b"stss") + 8;
    for later in [1, 2] {
        file[at + later * 4 + 3] += 7;
    }
    std::fs::write(&path, file).unwrap();
    let keys = |path| open(path).index().iter_frames().filter(|f| f.key).count();
    assert_eq!(keys(&path), 3);
    assert!(open(&path).index().frame(27).unwrap().key);
    check_all(&path, 60, 0);
}

#[test]
fn damage_in_the_middle_never_moves_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec) in [("a.mp4", Codec::H264), ("a.mkv", Codec::H264), ("a.avi", Codec::Mpeg4)] {
        let path = dir.path().join(name);
        write(&path, 90, (160, 96), &Options { codec, ..h264(15, 2) });
        let index = Index::open(&path, &Quiet::default()).unwrap();
        let mut file = std::fs::read(&path).unwrap();
        // Three packets of the third group are overwritten whole: their pictures cannot be right.
        let hit: Vec<usize> = (34..37).collect();
        for n in &hit {
            let packet = index.packets.get(index.frame(*n).unwrap().packet).unwrap();
            let from = usize::try_from(packet.position).unwrap() + if name == "a.mp4" { 0 } else { 8 };
            for byte in &mut file[from..from + packet.size as usize - 8] {
                *byte = 0x5a;
            }
        }
        std::fs::write(&path, file).unwrap();
        let mut reader = open(&path);
        assert_eq!(reader.index().len(), 90, "{name}");
        let mut missing = Vec::new();
        while let Some((n, frame)) = reader.next().unwrap() {
            match frame {
                Decoded::Missing(why) => {
                    assert!(!why.is_empty());
                    missing.push(n);
                }
                // Within the damaged group later pictures lean on the lost ones; other groups must be right.
                Decoded::Picture(p) if !(30..46).contains(&n) => assert_eq!(number(&p), n, "{name}"),
                Decoded::Picture(_) => {}
            }
        }
        assert!(hit.iter().all(|n| missing.contains(n)), "{name}: {missing:?}");
        assert!(missing.iter().all(|n| (30..46).contains(n)), "{name}: {missing:?}");
        for n in [80, 50, 20, 46, 89, 0] {
            assert_eq!(shown(reader.frame(n).unwrap()), n, "{name}");
        }
        assert!(matches!(reader.frame(35).unwrap(), Decoded::Missing(_)), "{name}");
    }
}

fn refused(path: &Path) -> crate::Error {
    Index::open(path, &Quiet::default()).unwrap_err()
}

#[test]
fn files_that_are_no_whole_video_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { dir.path().join(name) };
    assert_eq!(refused(&at("none.mp4")).kind(), Kind::NotFound);
    let check = |path: &Path, words: &str| {
        let e = refused(path);
        assert_eq!(e.kind(), Kind::Video, "{e}");
        assert!(e.what().contains(words), "{e}");
        assert!(e.place().is_some() && e.how_to_mend().is_some(), "{e}");
    };
    check(dir.path(), "folder");
    std::fs::write(at("text.mp4"), "Mouse 3, Tuesday.\nIt slept.\n".repeat(40)).unwrap();
    check(&at("text.mp4"), "not a video");
    std::fs::write(at("empty.mp4"), "").unwrap();
    check(&at("empty.mp4"), "empty");

    let good = at("good.mp4");
    write(&good, 90, (96, 64), &h264(15, 2));
    let file = std::fs::read(&good).unwrap();
    std::fs::write(at("half.mp4"), &file[..file.len() * 2 / 3]).unwrap();
    check(&at("half.mp4"), "the file ends after frame");
    assert!(refused(&at("half.mp4")).what().ends_with("of 90"));
    // The index made unfindable: what a recorder leaves when its power fails.
    let mut headless = file.clone();
    let moov = find_box(&headless, b"moov");
    headless[moov - 4..moov].copy_from_slice(b"lost");
    std::fs::write(at("headless.mp4"), headless).unwrap();
    check(&at("headless.mp4"), "no index (moov)");

    write(&at("good.avi"), 90, (96, 64), &Options { codec: Codec::Mjpeg, ..Options::default() });
    let avi = std::fs::read(at("good.avi")).unwrap();
    std::fs::write(at("half.avi"), &avi[..avi.len() / 2]).unwrap();
    check(&at("half.avi"), "the file ends after frame");

    let mut sound =
        b"RIFF\x24\x20\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\x20\0\0"
            .to_vec();
    sound.resize(44 + 8192, 0);
    std::fs::write(at("sound.mp4"), sound).unwrap();
    check(&at("sound.mp4"), "only sound");

    let stopped = Quiet::default();
    stopped.stop();
    // A short clip may be through before it looks; a stopped index is an error, never a short list.
    match Index::open(&good, &stopped) {
        Ok(index) => assert_eq!(index.len(), 90),
        Err(e) => assert_eq!(e.kind(), Kind::Cancelled),
    }
    let index = Index::open(&good, &Quiet::default()).unwrap();
    std::fs::write(&good, &file[..file.len() - 1]).unwrap();
    assert!(Reader::with_index(index).unwrap_err().what().contains("changed"));
}

#[test]
fn a_video_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    std::fs::write(&path, "older").unwrap();
    let mut writer = Writer::create(&path, 33, 17, 30.0).unwrap();
    writer.write(&numbered(1, 33, 17)).unwrap();
    assert_eq!(writer.write(&numbered(1, 32, 17)).unwrap_err().kind(), Kind::Usage);
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), b"older");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file is gone");

    let written = write(&path, 4, (33, 17), &Options::default());
    assert_eq!(written.frames, 4);
    assert!(written.note.unwrap().contains("34 x 18"));
    let mut reader = open(&path);
    assert_eq!((reader.index().width(), reader.index().height()), (34, 18));
    let Decoded::Picture(p) = reader.frame(3).unwrap() else { panic!("missing") };
    assert!(p.get(33, 17)[0].abs_diff(p.get(32, 16)[0]) < 12, "the edge is doubled, not black");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    let empty = Writer::create(&dir.path().join("b.mp4"), 32, 16, 30.0).unwrap();
    assert_eq!(empty.finish().unwrap_err().kind(), Kind::Usage);
    assert!(Writer::create(&dir.path().join("b.mp4"), 0, 16, 30.0).is_err());
    assert!(Writer::create(&dir.path().join("b.mp4"), 32, 16, f64::NAN).is_err());
    assert!(Writer::create(&dir.path().join("nowhere/b.mp4"), 32, 16, 30.0).is_err());
    assert!(Writer::create(&dir.path().join("b.strange"), 32, 16, 30.0).is_err());
}

#[test]
fn colours_survive() {
    let dir = tempfile::tempdir().unwrap();
    let colours =
        [[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 120, 40], [255; 3], [0; 3], [128; 3], [90, 30, 160]];
    for (name, pixels, codec) in [
        ("420.mp4", Pixels::Yuv420, Codec::H264),
        ("444.mp4", Pixels::Yuv444, Codec::H264),
        ("10.mp4", Pixels::Yuv420Bits10, Codec::H264),
        ("jpeg.avi", Pixels::Yuv420, Codec::Mjpeg),
        ("mpeg4.avi", Pixels::Yuv420, Codec::Mpeg4),
    ] {
        let path = dir.path().join(name);
        let mut writer =
            Writer::create_with(&path, 64, 48, 10.0, &Options { pixels, codec, ..Options::default() })
                .unwrap();
        for c in colours {
            writer.write(&Picture::from_rgb(64, 48, c.repeat(64 * 48)).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let mut reader = open(&path);
        let mut p = Picture::new(1, 1);
        while let Some(step) = reader.next_into(&mut p).unwrap() {
            assert_eq!(step.missing, None);
            for (got, want) in p.get(30, 20).into_iter().zip(colours[step.frame]) {
                assert!(got.abs_diff(want) <= 4, "{name} frame {}: {got} for {want}", step.frame);
            }
        }
    }
}

#[test]
fn a_reader_and_a_writer_can_move_to_another_thread() {
    fn can_move<T: Send>() {}
    can_move::<Reader>();
    can_move::<Writer>();
    assert!(facts().iter().any(|(what, answer)| what == "H.264 encoder" && !answer.is_empty()));
}

#[test]
fn the_open_field_video() {
    let shared = std::env::var_os("LIMN_SHARED_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = shared.join("openfield/videos/m3v1mp4.mp4");
    if !path.is_file() {
        eprintln!("skipped: the open-field video is not in {}", shared.display());
        return;
    }
    let index = Index::open(&path, &Quiet::default()).unwrap();
    // The number `ffprobe -count_frames` gives.
    assert_eq!(index.len(), 2330);
    let glance = Glance::at(&path).unwrap();
    assert_eq!((glance.width, glance.height, glance.frames), (640, 480, Some(2330)));
    assert!((glance.fps.unwrap() - 30.0).abs() < 0.01 && (glance.duration.unwrap() - 77.67).abs() < 0.02);
    assert_eq!((index.width(), index.height(), index.rotation()), (640, 480, 0));
    assert_eq!((index.codec(), index.pixel_format()), ("h264", "yuv444p"));
    assert!((index.fps() - 30.0).abs() < 0.001);
    assert!((index.time(1000).unwrap() - 33.333).abs() < 1e-6);
    assert!((index.duration() - 77.665_89).abs() < 1e-4);
    // The same frame, however it is come by. (This stream decodes wrongly where its first packet was not seen.)
    let index = std::sync::Arc::new(index);
    let mut reader = Reader::with_index(index.clone()).unwrap();
    let far = reader.frame(1500).unwrap();
    let mut in_order = Reader::with_index(index).unwrap();
    let mut picture = Picture::new(640, 480);
    for n in 0..=1500 {
        assert_eq!(in_order.next_into(&mut picture).unwrap(), Some(Step { frame: n, missing: None }));
    }
    assert_eq!(far, Decoded::Picture(picture));
    assert_eq!(reader.frame(1200).unwrap(), in_order.frame(1200).unwrap());
}
