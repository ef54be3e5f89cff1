//! Decoding and converting in two places, decoders to choose, and what names a file.

use super::*;

#[test]
fn apart_is_the_same_as_together() {
    let dir = tempfile::tempdir().unwrap();
    let old = Options { codec: Codec::Mpeg4, ..h264(12, 2) };
    for (name, size, options) in [
        ("a.mp4", (96, 64), h264(20, 3)),
        ("b.mp4", (98, 50), h264(20, 0)),
        ("c.avi", (96, 64), old),
        ("d.mkv", (96, 64), h264(9, 2)),
    ] {
        let path = dir.path().join(name);
        write(&path, 60, size, &options);
        let mut together = open(&path);
        let mut apart = Reader::with_options(
            together.shared_index(),
            &ReaderOptions { threads: 1, ..ReaderOptions::default() },
        )
        .unwrap();
        assert_eq!(apart.decoder(), "software, 1 thread");
        let index = together.shared_index();
        let length = size.0 * size.1 * 3;
        let mut picture = Picture::new(1, 1);
        let mut check = |apart: &mut Reader, together: &mut Reader| {
            // As a pipeline does: a few frames wait, another thread converts them into one batch.
            let mut steps: Vec<RawStep> = Vec::new();
            while let Some(step) = apart.next_raw().unwrap() {
                let step_number = step.frame;
                steps.push(step);
                if steps.len() < 7 && step_number + 1 < index.len() {
                    continue;
                }
                let mut batch = vec![7_u8; steps.len() * length];
                let numbers = std::thread::scope(|threads| {
                    let converted = threads.spawn(|| {
                        let mut converter = RgbConverter::new();
                        for (step, rgb) in steps.iter().zip(batch.chunks_exact_mut(length)) {
                            converter.convert(step.picture.as_ref().unwrap(), &index, rgb).unwrap();
                        }
                        steps.iter().map(|s| s.frame).collect::<Vec<_>>()
                    });
                    converted.join().unwrap()
                });
                for (frame, rgb) in numbers.into_iter().zip(batch.chunks_exact(length)) {
                    let step = together.next_into(&mut picture).unwrap().unwrap();
                    assert_eq!(step, Step { frame, missing: None });
                    assert!(picture.rgb() == rgb, "{name} frame {frame}");
                }
                steps.clear();
            }
            assert_eq!(together.next_into(&mut picture).unwrap(), None);
        };
        check(&mut apart, &mut together);
        apart.seek(33).unwrap();
        together.seek(33).unwrap();
        check(&mut apart, &mut together);
        let mut again = open(&path);
        let raw = again.next_raw().unwrap().unwrap().picture.unwrap();
        assert!(RgbConverter::new().convert(&raw, &index, &mut vec![0; length - 1]).is_err());
    }
}

/// Whatever its size, a picture is written to its place and not a byte beside it, and is the same as one converted with
/// room to spare.
#[test]
fn nothing_is_written_beside_a_picture() {
    use ff::format::Pixel as P;
    start();
    const GUARD: usize = 256;
    let formats = [
        P::YUV420P,
        P::YUVJ420P,
        P::YUV422P,
        P::YUV444P,
        P::YUV420P10LE,
        P::NV12,
        P::GRAY8,
        P::BGR24,
        P::RGB24,
    ];
    for format in formats {
        for (w, h) in [
            (32, 5),
            (64, 48),
            (96, 3),
            (640, 7),
            (33, 6),
            (40, 9),
            (48, 4),
            (720, 5),
            (8, 8),
            (2, 2),
            (1, 1),
        ] {
            let mut frame = ff::frame::Video::new(format, w, h);
            for plane in 0..frame.planes() {
                for (i, byte) in frame.data_mut(plane).iter_mut().enumerate() {
                    // Ten bits at most, in two bytes.
                    *byte = if format == P::YUV420P10LE && i % 2 == 1 {
                        (i / 2 % 4) as u8
                    } else {
                        (i * 7 % 251) as u8
                    };
                }
            }
            let (w, h) = (w as usize, h as usize);
            let converted = |shift: usize| {
                let mut bytes = vec![0xa5_u8; w * h * 3 + 2 * GUARD];
                let at = GUARD + shift;
                RgbConverter::new().upright(&frame, 0, &mut bytes[at..at + w * h * 3]).unwrap();
                let beside = bytes[..at].iter().chain(&bytes[at + w * h * 3..]);
                assert!(beside.copied().all(|b| b == 0xa5), "{format:?} {w} x {h}");
                bytes[at..at + w * h * 3].to_vec()
            };
            let picture = converted(0);
            assert!(picture == converted(1), "{format:?} {w} x {h}: the place in memory makes no difference");
            // Turned twice by 180 degrees it goes through rows of its own.
            let mut turned = vec![0; w * h * 3];
            RgbConverter::new().upright(&frame, 180, &mut turned).unwrap();
            let back: Vec<u8> = turned.chunks(3).rev().flatten().copied().collect();
            assert!(picture == back, "{format:?} {w} x {h}");
        }
    }
}

#[test]
fn a_device_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    write(&path, 20, (96, 64), &h264(10, 2));
    let index = open(&path).shared_index();
    let with = |hardware| {
        let options = ReaderOptions { threads: 2, hardware };
        Reader::with_options(std::sync::Arc::clone(&index), &options)
    };
    // Whatever decodes here, the frames are the right ones.
    for hardware in [Hardware::Off, Hardware::Auto] {
        let mut reader = with(hardware.clone()).unwrap();
        if hardware == Hardware::Off {
            assert_eq!(reader.decoder(), "software, 2 threads");
        }
        for n in [0, 1, 2, 13, 5, 19] {
            assert_eq!(shown(reader.frame(n).unwrap()), n, "{}", reader.decoder());
        }
    }
    let e = with(Hardware::Named("abacus".to_owned())).unwrap_err();
    assert_eq!(e.kind(), Kind::Device);
    assert!(e.what().contains("abacus") && e.what().contains("built without"), "{e}");
    assert!(e.how_to_mend().unwrap().contains("auto"), "{e}");
    for name in decoder::hardware_names() {
        match with(Hardware::Named(name.clone())) {
            Ok(mut reader) => {
                assert_eq!(reader.decoder(), name);
                assert_eq!(shown(reader.frame(7).unwrap()), 7);
            }
            Err(e) => {
                assert_eq!(e.kind(), Kind::Device, "{e}");
                assert!(e.what().contains(&name) && e.how_to_mend().is_some(), "{e}");
            }
        }
    }
}

#[test]
fn a_fingerprint_goes_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    write(&path, 40, (96, 64), &h264(10, 2));
    let of = |path: &Path| Index::open(path, &Quiet::default()).unwrap().fingerprint().to_owned();
    let first = of(&path);
    assert!(first.len() == 64 && first.bytes().all(|b| b.is_ascii_hexdigit()));
    let moved = dir.path().join("b.mov");
    std::fs::copy(&path, &moved).unwrap();
    assert_eq!(of(&moved), first);
    // One byte of a picture in a short file.
    let mut file = std::fs::read(&path).unwrap();
    let last = file.len() - 3;
    file[last] ^= 1;
    std::fs::write(&moved, &file).unwrap();
    assert_ne!(of(&moved), first);
    write(&moved, 41, (96, 64), &h264(10, 2));
    assert_ne!(of(&moved), first);
}
