//! Files that break off, and headers that lie.

use super::*;

fn partial(path: &Path) -> (Index, Vec<String>) {
    let watch = Quiet::default();
    let index = Index::open_partial(path, &watch).unwrap();
    (index, watch.warnings())
}

/// All frames of what is there, in order and in a scattered order.
fn check_index(index: Index, first: usize) {
    let frames = index.len();
    let index = std::sync::Arc::new(index);
    let mut reader = Reader::with_index(std::sync::Arc::clone(&index)).unwrap();
    for n in 0..frames {
        let (at, frame) = reader.next().unwrap().unwrap();
        assert_eq!((at, shown(frame)), (n, first + n), "{}", index.path().display());
    }
    assert!(reader.next().unwrap().is_none());
    for i in 0..frames * 2 {
        let n = i * 37 % frames;
        assert_eq!(shown(reader.frame(n).unwrap()), n + first, "{}", index.path().display());
    }
}

#[test]
fn what_is_there_of_a_file_that_breaks_off() {
    let dir = tempfile::tempdir().unwrap();
    let old = |codec| Options { codec, ..h264(15, 0) };
    for (name, options) in [
        ("a.mp4", h264(15, 0)),
        ("b.mp4", h264(15, 2)),
        ("c.avi", old(Codec::Mjpeg)),
        ("d.avi", old(Codec::Mpeg4)),
        ("e.mkv", h264(15, 0)),
    ] {
        let whole = dir.path().join(format!("whole-{name}"));
        write(&whole, 90, (96, 64), &options);
        let file = std::fs::read(&whole).unwrap();
        let path = dir.path().join(name);
        for cut in [file.len() * 2 / 3, file.len() * 4 / 5 + 1] {
            std::fs::write(&path, &file[..cut]).unwrap();
            let strict = refused(&path);
            assert!(strict.what().contains("the file ends after frame"), "{name}: {strict}");
            assert!(strict.how_to_mend().unwrap().contains("--partial"), "{name}: {strict}");
            let (index, warnings) = partial(&path);
            assert!((20..90).contains(&index.len()), "{name}: {} frames", index.len());
            assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
            assert!(index.broken_off().is_some_and(|why| warnings[0].contains(why)), "{name}");
            if options.b_frames == Some(0) {
                check_index(index, 0);
            } else {
                // The last frames may lean on one that is gone; the others are right.
                let mut reader = Reader::with_index(index).unwrap();
                let frames = reader.index().len();
                for n in 0..frames - 4 {
                    assert_eq!(shown(reader.frame(n).unwrap()), n, "{name}");
                }
                while let Some((n, frame)) = reader.next().unwrap() {
                    assert!(n < frames);
                    drop(frame);
                }
            }
        }
        let (index, warnings) = partial(&whole);
        assert_eq!((index.len(), index.broken_off(), warnings.len()), (90, None, 0), "{name}");
    }
}

#[test]
fn a_header_that_lies_about_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lie");
    for (name, options) in [("a.avi", Options { codec: Codec::Mjpeg, ..h264(1, 0) }), ("b.avi", h264(10, 0))]
    {
        let honest = dir.path().join(name);
        write(&honest, 60, (96, 64), &options);
        let file = std::fs::read(&honest).unwrap();
        // avih: dwTotalFrames is its fifth number; strh: dwLength is its ninth (after type, handler, flags...).
        let (avih, strh) = (find_box(&file, b"avih") + 4 + 16, find_box(&file, b"strh") + 4 + 32);
        for said in [0_u32, 7, 61, 1_000_000_000] {
            let mut lie = file.clone();
            for at in [avih, strh] {
                assert_eq!(lie[at..at + 4], 60_u32.to_le_bytes(), "{name}");
                lie[at..at + 4].copy_from_slice(&said.to_le_bytes());
            }
            std::fs::write(&path, lie).unwrap();
            check_all(&path, 60, 0);
            let (index, warnings) = partial(&path);
            assert_eq!((index.len(), warnings.len()), (60, 0), "{name} said {said}");
        }
    }
    let honest = dir.path().join("a.mp4");
    write(&honest, 60, (96, 64), &h264(10, 2));
    let file = std::fs::read(&honest).unwrap();
    // mvhd, tkhd, mdhd: how long the film, the track, its media are said to last.
    for (kind, offset) in [(b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)] {
        for said in [1_u32, 0x7000_0000] {
            let mut lie = file.clone();
            let at = find_box(&lie, kind) + offset;
            lie[at..at + 4].copy_from_slice(&said.to_be_bytes());
            std::fs::write(&path, lie).unwrap();
            check_all(&path, 60, 0);
        }
    }
    // stsz: version and flags, one size for all, then how many samples there are.
    for said in [59_u32, 40, 1] {
        let mut lie = file.clone();
        let at = find_box(&lie, b"stsz") + 8;
        lie[at..at + 4].copy_from_slice(&said.to_be_bytes());
        std::fs::write(&path, lie).unwrap();
        let index = Index::open(&path, &Quiet::default()).unwrap();
        assert_eq!(index.len(), said as usize, "without their sizes no more samples can be found");
    }
    for said in [61_u32, 1_000, 0x7fff_ffff, u32::MAX] {
        let mut lie = file.clone();
        let at = find_box(&lie, b"stsz") + 8;
        lie[at..at + 4].copy_from_slice(&said.to_be_bytes());
        std::fs::write(&path, lie).unwrap();
        for opened in [Index::open(&path, &Quiet::default()), Index::open_partial(&path, &Quiet::default())] {
            match opened {
                Ok(index) => assert!((59..=62).contains(&index.len()), "{} frames, said {said}", index.len()),
                Err(e) => assert_eq!(e.kind(), Kind::Video, "{e}"),
            }
        }
    }
}

#[test]
fn another_size_in_mid_stream() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.h264"), dir.path().join("b.h264"));
    write(&a, 30, (96, 64), &h264(10, 0));
    write(&b, 30, (128, 96), &h264(10, 0));
    let path = dir.path().join("both.h264");
    std::fs::write(&path, [std::fs::read(a).unwrap(), std::fs::read(b).unwrap()].concat()).unwrap();
    let mut reader = open(&path);
    assert_eq!(reader.index().len(), 60);
    assert_eq!((reader.index().width(), reader.index().height()), (96, 64));
    let index = reader.shared_index();
    let mut raw = Reader::with_index(std::sync::Arc::clone(&index)).unwrap();
    let mut converter = RgbConverter::new();
    let mut rgb = vec![0; 96 * 64 * 3];
    for n in 0..60 {
        let (at, frame) = reader.next().unwrap().unwrap();
        assert_eq!(at, n);
        let step = raw.next_raw().unwrap().unwrap();
        let converted = step.picture.and_then(|raw| converter.convert(&raw, &index, &mut rgb));
        match frame {
            Decoded::Picture(p) => {
                assert!(n < 30, "frame {n}");
                assert_eq!((number(&p), converted), (n, Ok(())));
            }
            Decoded::Missing(why) => {
                assert!(n >= 30 && why.contains("128 x 96 here, not 96 x 64"), "frame {n}: {why}");
                assert_eq!(converted, Err(why));
            }
        }
    }
}

#[test]
fn no_frames_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    write(&path, 10, (96, 64), &Options { codec: Codec::Mjpeg, ..Options::default() });
    let mut file = std::fs::read(&path).unwrap();
    // The list of pictures is emptied, the index after it goes, and all sizes are right.
    let movi = find_box(&file, b"movi");
    file.truncate(movi);
    file[movi - 8..movi - 4].copy_from_slice(&4_u32.to_le_bytes());
    let length = u32::try_from(file.len() - 8).unwrap();
    file[4..8].copy_from_slice(&length.to_le_bytes());
    std::fs::write(&path, file).unwrap();
    for e in [refused(&path), Index::open_partial(&path, &Quiet::default()).unwrap_err()] {
        assert_eq!(e.kind(), Kind::Video);
        assert!(e.what().contains("no frames"), "{e}");
    }
}
