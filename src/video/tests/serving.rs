//! The server of frames and its viewing copies.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

type Server = FrameServer<Picture>;

fn serve(path: &Path, memory_bytes: usize, copies: Option<&Path>) -> Server {
    let options =
        ServerOptions { memory_bytes, copies: copies.map(Path::to_path_buf), copies_bytes: 64 << 20 };
    Server::open_with(path, options, Picture::clone, Arc::new(|| ()))
}

/// Waits for what must come at last.
fn until<R>(what: &str, mut get: impl FnMut() -> Option<R>) -> R {
    let begun = Instant::now();
    loop {
        if let Some(r) = get() {
            return r;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn exact(server: &Server, n: usize) -> Arc<Shot<Picture>> {
    server.want(n);
    until("the exact frame", || server.get(n).filter(|s| s.exact))
}

/// Frames of 480 x 320 with their number in a corner, so that no change of scene makes a keyframe.
fn write_large(path: &Path, frames: usize) {
    let mut writer = Writer::create_with(path, 480, 320, 30.0, &h264(300, 2)).unwrap();
    for n in 0..frames {
        let mut p = Picture::new(480, 320);
        p.rgb_mut().fill(120);
        let small = numbered(n, 96, 64);
        for (x, y) in (0..96 * 64).map(|i| (i % 96, i / 96)) {
            p.set(x, y, small.get(x, y));
        }
        writer.write(&p).unwrap();
    }
    writer.finish().unwrap();
}

fn corner(p: &Picture) -> usize {
    let mut small = Picture::new(96, 64);
    for (x, y) in (0..96 * 64).map(|i| (i % 96, i / 96)) {
        small.set(x, y, p.get(x, y));
    }
    number(&small)
}

fn copied(server: &Server) {
    until("the viewing copy", || server.copy().is_settled().then_some(()));
}

#[test]
fn every_frame_is_the_readers() {
    let dir = tempfile::tempdir().unwrap();
    for (name, options) in [("a.mp4", h264(40, 3)), ("b.avi", h264(12, 3)), ("c.mp4", h264(100, 0))] {
        let path = dir.path().join(name);
        write(&path, 100, (96, 64), &options);
        // In order no picture is skipped on the way.
        let mut reader = open(&path);
        let mut in_order = Vec::new();
        while let Some((_, frame)) = reader.next().unwrap() {
            in_order.push(frame);
        }
        let server = serve(&path, 1 << 20, None);
        for i in 0..150 {
            // Jumps, then steps on, then steps back.
            let n = match i / 50 {
                0 => i * 37 % 100,
                1 => i - 20,
                _ => 180 - i,
            };
            let shot = exact(&server, n);
            assert_eq!((shot.frame, shot.missing.clone()), (n, None));
            assert_eq!(in_order[n], Decoded::Picture(shot.image.clone()), "{name} frame {n}");
            assert_eq!(server.newest().unwrap().frame, n);
        }
    }
}

#[test]
fn the_latest_wish_wins_and_memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    write(&path, 400, (96, 64), &h264(100, 2));
    let woken = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&woken);
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let options = ServerOptions { memory_bytes: 20 * 96 * 64 * 4, copies: None, copies_bytes: 0 };
    let server = Server::open_with(
        &path,
        options,
        move |p| {
            counted.fetch_add(1, Ordering::Relaxed);
            p.clone()
        },
        Arc::new(move || {
            heard.fetch_add(1, Ordering::Relaxed);
        }),
    );
    until("ready", || matches!(server.state(), State::Ready(_)).then_some(()));
    for n in 0..5000 {
        server.want(n * 7919 % 400);
    }
    assert_eq!(number(&exact(&server, 333).image), 333);
    assert!(made.load(Ordering::Relaxed) < 1500, "wishes passed over cost nothing");
    assert!(woken.load(Ordering::Relaxed) > 0);
    server.play(true);
    for n in 0..400 {
        let shot = exact(&server, n);
        assert_eq!(number(&shot.image), n);
        let (held, room) = server.held();
        assert!(room == 20 && held <= room, "{held} of {room}");
    }
    server.play(false);
    // Past the end means the last, and frames around the cursor come by themselves.
    server.want(999);
    until("the last", || server.get(399));
    server.want(200);
    for n in [201, 205, 199, 196] {
        until("a frame around the cursor", || server.get(n));
    }
}

#[test]
fn a_copy_shows_at_once_and_the_exact_frame_follows() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let path = dir.path().join("a.mp4");
    // One group of 300 frames: far to go, and large enough to be worth a copy.
    write_large(&path, 300);
    let mut reader = open(&path);
    {
        let server = serve(&path, 1 << 20, Some(&cache));
        copied(&server);
        assert_eq!(server.copy(), Copy::Whole);
    }
    let server = serve(&path, 1 << 20, Some(&cache));
    until("the copy found again", || (server.copy() == Copy::Whole).then_some(()));
    for n in [299, 7, 150, 260] {
        server.want(n);
        let first = until("a picture", || server.get(n));
        assert_eq!(corner(&first.image), n, "the copy has the right frame");
        let last = until("the exact one", || server.get(n).filter(|s| s.exact));
        assert_eq!(reader.frame(n).unwrap(), Decoded::Picture(last.image.clone()));
        assert!(server.newest().unwrap().exact);
    }
    drop(server);

    // A damaged part is made anew; a full folder makes none and says so.
    let part = std::fs::read_dir(std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "part"))
        .unwrap();
    let whole = std::fs::read(&part).unwrap();
    std::fs::write(&part, &whole[..whole.len() / 2]).unwrap();
    let server = serve(&path, 1 << 20, Some(&cache));
    copied(&server);
    assert_eq!(std::fs::read(&part).unwrap().len(), whole.len());
    drop(server);
    let small = ServerOptions { memory_bytes: 1 << 20, copies: Some(cache.join("2")), copies_bytes: 2000 };
    let server = Server::open_with(&path, small, Picture::clone, Arc::new(|| ()));
    copied(&server);
    assert!(matches!(server.copy(), Copy::Off(_)), "{:?}", server.copy());
    assert_eq!(corner(&exact(&server, 123).image), 123);
}

#[test]
fn other_copies_make_room_and_nothing_else_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let old = cache.join("0123456789abcdef0123456789abcdef");
    let foreign = cache.join("holiday");
    for folder in [&old, &foreign] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("0-250.part"), vec![0; 64 << 20]).unwrap();
    }
    let path = dir.path().join("a.mp4");
    write_large(&path, 250);
    let server = serve(&path, 1 << 20, Some(&cache));
    copied(&server);
    assert_eq!(server.copy(), Copy::Whole);
    assert!(!old.exists() && foreign.join("0-250.part").exists());
}

#[test]
fn bad_videos_say_so_and_threads_end() {
    let dir = tempfile::tempdir().unwrap();
    let failed = |path: &Path| {
        let server = serve(path, 1 << 20, None);
        server.want(3);
        until("the error", || match server.state() {
            State::Failed(e) => Some(e),
            _ => None,
        })
    };
    assert_eq!(failed(&dir.path().join("none.mp4")).kind(), Kind::NotFound);
    std::fs::write(dir.path().join("text.mp4"), "It slept.\n".repeat(90)).unwrap();
    assert_eq!(failed(&dir.path().join("text.mp4")).kind(), Kind::Video);

    // Damage in the middle: a missing frame has its reason, the others are there.
    let path = dir.path().join("a.mp4");
    write(&path, 90, (160, 96), &h264(15, 2));
    let index = Index::open(&path, &Quiet::default()).unwrap();
    let mut file = std::fs::read(&path).unwrap();
    let packet = index.packets.get(index.frame(35).unwrap().packet).unwrap();
    let from = usize::try_from(packet.position).unwrap();
    file[from..from + packet.size as usize - 8].fill(0x5a);
    std::fs::write(&path, file).unwrap();
    let marker = Arc::new(());
    let held = Arc::downgrade(&marker);
    let server = Server::open_with(
        &path,
        ServerOptions { copies: None, ..ServerOptions::default() },
        move |p| {
            let _ = &marker;
            p.clone()
        },
        Arc::new(|| ()),
    );
    assert!(exact(&server, 35).missing.is_some());
    assert_eq!(number(&exact(&server, 60).image), 60);
    // The file goes away while it is open.
    let index = match server.state() {
        State::Ready(index) => index,
        other => panic!("{other:?}"),
    };
    assert_eq!(index.len(), 90);
    drop(server);
    until("the threads' end", || (held.strong_count() == 0).then_some(()));
}

#[test]
fn a_stopped_frame_costs_nothing_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    write(&path, 200, (96, 64), &h264(200, 3));
    let mut reader = open(&path);
    let mut picture = Picture::new(96, 64);
    for round in 0..60 {
        let left = std::cell::Cell::new(round * 3 % 40_usize);
        let wanted = || left.replace(left.get().saturating_sub(1)) > 0;
        match reader.frame_while(round * 67 % 200, &mut picture, &wanted) {
            Ok(missing) => assert_eq!((missing, number(&picture)), (None, round * 67 % 200)),
            Err(e) => assert_eq!(e.kind(), Kind::Cancelled),
        }
        let n = round * 31 % 200;
        assert_eq!(shown(reader.frame(n).unwrap()), n);
    }
}
