//! Analyses that are killed, run twice at once, or run out of memory or disk; and the parts of frames they can look at.
#![cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
#![allow(clippy::unwrap_used, clippy::panic)] // in the helpers of tests too

mod support;

use limn::formats::{candidates, dlc_h5};
use limn::infer::{Engine, Follow, Request, analyze};
use limn::net::{Bundle, Card, Device, HeadSpec, Net, NetSpec, Window};
use limn::pose::{Skeleton, Tracks};
use limn::synth::{Scene, SceneSpec};
use limn::video::Writer;
use limn::watch::{Quiet, Watch};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{json, limn};

const SCORER: &str = "DLC_tiny";
/// Kills of an ordinary run of the tests; `LIMN_KILLS` asks for more.
const KILLS: usize = 12;

/// A folder with a model of random weights.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let net = NetSpec {
            net: "efficientnet_lite0".into(),
            backbone_stride: 16,
            output_stride: 8,
            points: 3,
            head: HeadSpec { width: 16, ..HeadSpec::default() },
        };
        let mut card = Card::new(&net, &Skeleton::single(["a", "b", "c"])).unwrap();
        card.scorer = SCORER.into();
        let made = Net::new(&net, Device::Cpu, 5).unwrap();
        Bundle::save(&card, &made, &dir.path().join("model"), false).unwrap();
        // The same, but sure of finding everything in the upper left corner: an animal that can be followed.
        for param in made.params().iter().filter(|p| p.name.starts_with("head.heatmap.")) {
            let bias = if param.name.ends_with("bias") { 3.0 } else { 0.0 };
            let _ = tch::no_grad(|| param.tensor.shallow_clone().fill_(bias));
        }
        Bundle::save(&card, &made, &dir.path().join("corner"), false).unwrap();
        Self(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn film(&self, name: &str, frames: usize, (width, height): (usize, usize)) -> PathBuf {
        let path = self.at(name);
        let scene = Scene::new(SceneSpec { width, height, seed: 1, arena: 1, fps: 30.0, frames }).unwrap();
        let mut writer = Writer::create(&path, width, height, 30.0).unwrap();
        // Rendering is slower than analyzing: a few pictures serve over and over.
        let pictures: Vec<_> = (0..frames.min(60)).map(|f| scene.render(f)).collect();
        (0..frames).for_each(|f| writer.write(&pictures[f % pictures.len()]).unwrap());
        writer.finish().unwrap();
        path
    }

    fn command(&self, video: &Path, out: &Path, more: &[&str]) -> Command {
        self.command_of("model", video, out, more)
    }

    fn command_of(&self, model: &str, video: &Path, out: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
        command.args([
            "analyze",
            self.at(model).to_str().unwrap(),
            video.to_str().unwrap(),
            "--device",
            "cpu",
        ]);
        command.args(["--quiet", "--out", out.to_str().unwrap()]).args(more).env_remove("LIMN_LOG");
        command
    }

    fn engine(&self) -> Engine {
        Engine::load(&self.at("model"), "cpu", None).unwrap()
    }

    fn tracks(&self, video: &Path, name: &str, request: Request) -> Tracks {
        let request = Request { out: Some(self.at(name)), ..request };
        let done = analyze(&self.engine(), video, &request, &Quiet::default()).unwrap();
        dlc_h5::read_tracks(&done.h5, &Quiet::default()).unwrap().1
    }
}

/// Names and contents of the files of a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

#[test]
fn killed_at_any_moment_it_goes_on_to_the_same_bytes() {
    let kills = std::env::var("LIMN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let place = Place::new();
    let plain = place.film("m1.mp4", 1500 + 300 * kills, (96, 80));
    std::fs::create_dir(place.at("larger")).unwrap();
    let larger = place.film("larger/m1.mp4", 1000 + 40 * kills, (320, 256));
    let (undisturbed, killed) = (place.at("undisturbed"), place.at("killed"));
    for dynamic in [false, true] {
        let part = format!("100-{}", 899 + 40 * kills);
        let more: &[&str] =
            if dynamic { &["--dynamic-crop", "--top-k", "3", "--frames", &part] } else { &[] };
        let (model, video) = if dynamic { ("corner", &larger) } else { ("model", &plain) };
        let run = |out: &Path| place.command_of(model, video, out, more);
        assert!(run(&undisturbed).status().unwrap().success());
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let (mut alive, mut went_on) = (0, 0);
        // The second way is the rarer one.
        let times = if dynamic { kills / 4 } else { kills };
        let rows = killed.join(format!("m1{SCORER}_unfinished/rows.f32"));
        let bytes = |file: &Path| file.metadata().map_or(0, |m| m.len());
        for _ in 0..times {
            let mut child = run(&killed).stderr(Stdio::null()).spawn().unwrap();
            // At the start, or a chunk later; then at any moment of what comes.
            let wanted = bytes(&rows) + random.random_range(0..2);
            while child.try_wait().unwrap().is_none() && bytes(&rows) < wanted {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
            alive += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            went_on += usize::from(bytes(&rows) > 0);
            // Results are whole or not there: none of them without its note but in the moment before it.
            for (name, bytes) in files(&killed) {
                assert!(!name.starts_with(".limn"), "{name} was left behind");
                if name.ends_with(".csv") && !name.ends_with("_times.csv") {
                    let (_, sound) = files(&undisturbed).into_iter().find(|f| f.0 == name).unwrap();
                    assert!(bytes == sound, "{name} is not whole");
                }
            }
        }
        assert!(run(&killed).status().unwrap().success());
        let (a, b) = (files(&undisturbed), files(&killed));
        let names = |f: &[(String, Vec<u8>)]| f.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&a), names(&b));
        assert_eq!(a.len(), if dynamic { 5 } else { 4 }, "{:?}", names(&a));
        for (a, b) in a.iter().zip(&b) {
            assert!(a.1 == b.1, "{} differs", a.0);
        }
        eprintln!("{times} kills, {alive} while it ran, {went_on} left finished chunks behind");
        assert!(alive > times / 3 && went_on > 0, "{alive} {went_on}");
        std::fs::remove_dir_all(&undisturbed).unwrap();
        std::fs::remove_dir_all(&killed).unwrap();
    }
}

#[test]
fn the_corner_is_looked_at_through_a_window() {
    let place = Place::new();
    let video = place.film("m1.mp4", 40, (320, 256));
    let engine = Engine::load(&place.at("corner"), "cpu", None).unwrap();
    let tracks = |name: &str, follow: Option<Follow>| {
        let request = Request { out: Some(place.at(name)), follow, ..Request::default() };
        let done = analyze(&engine, &video, &request, &Quiet::default()).unwrap();
        dlc_h5::read_tracks(&done.h5, &Quiet::default()).unwrap().1
    };
    let (whole, followed) = (tracks("whole", None), tracks("followed", Some(Follow::default())));
    assert!(whole.values() != followed.values(), "what lies outside the window was not seen");
    for frame in 0..40 {
        let ((a, sure), (b, _)) = (whole.get(frame, 1).unwrap(), followed.get(frame, 1).unwrap());
        assert!(sure > 0.9 && a.x < 16.0 && a.y < 16.0 && a.distance(b) < 1.0, "{a:?} {b:?}");
    }
}

/// Asks to stop after some frames.
struct StopAfter(std::sync::atomic::AtomicI64);

impl Watch for StopAfter {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, units: u64) {
        self.0.fetch_sub(i64::try_from(units).unwrap(), std::sync::atomic::Ordering::SeqCst);
    }
    fn status(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn end(&self) {}
    fn stopped(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst) < 0
    }
}

#[test]
fn what_is_kept_is_used_only_where_it_fits() {
    let place = Place::new();
    let video = place.film("m1.mp4", 1000, (96, 80));
    let engine = place.engine();
    let out = place.at("out");
    let request = Request { out: Some(out.clone()), batch: Some(16), ..Request::default() };
    let unfinished = out.join(format!("m1{SCORER}_unfinished"));
    let stop = |request: &Request| {
        let e = analyze(&engine, &video, request, &StopAfter(600.into())).unwrap_err();
        assert_eq!(e.kind(), limn::Kind::Cancelled);
        assert!(unfinished.join("manifest.jsonl").is_file() && !out.join(format!("m1{SCORER}.h5")).exists());
    };
    let resumed = |request: &Request| {
        let quiet = Quiet::default();
        let done = analyze(&engine, &video, request, &quiet).unwrap();
        assert!(!unfinished.exists() && !done.skipped && done.frames == 1000);
        for file in [&done.csv, &done.h5, &done.times, &out.join(format!("m1{SCORER}_meta.yaml"))] {
            std::fs::remove_file(file).unwrap();
        }
        (done.resumed, quiet.warnings())
    };
    stop(&request);
    let (frames, warnings) = resumed(&request);
    assert!(frames >= 512 && frames.is_multiple_of(256) && warnings.is_empty(), "{frames} {warnings:?}");
    // The size of batches that it was begun with goes on, whatever would be measured now.
    stop(&request);
    assert!(resumed(&Request { batch: None, ..request.clone() }).0 >= 512);
    // Another setting: refused, and nothing is lost by it; unless it is forced, and that can be gone on with too.
    stop(&request);
    let other = Request { resize: Some(0.5), ..request.clone() };
    let e = analyze(&engine, &video, &other, &Quiet::default()).unwrap_err();
    assert!(e.kind() == limn::Kind::Exists && e.what().contains("another settings"), "{e}");
    assert!(resumed(&request).0 >= 512);
    stop(&request);
    let forced = Request { force: true, ..other };
    stop(&forced);
    assert!(resumed(&forced).0 >= 512);
    // A chunk that rotted costs itself and what comes after it; a cut manifest its last line.
    stop(&request);
    let rows = unfinished.join("rows.f32");
    let mut bytes = std::fs::read(&rows).unwrap();
    bytes[256 * 9 * 4 + 100] ^= 1;
    std::fs::write(&rows, bytes).unwrap();
    assert_eq!(resumed(&request), (256, vec![]));
    stop(&request);
    let manifest = unfinished.join("manifest.jsonl");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() - 20]).unwrap();
    assert!(resumed(&request).0 >= 256);
    stop(&request);
    std::fs::write(&manifest, "no manifest\n").unwrap();
    let (frames, warnings) = resumed(&request);
    assert!(frames == 0 && warnings[0].contains("damaged"), "{warnings:?}");
    // What a newer limn has begun is not touched.
    stop(&request);
    let newer = text.replace("\"schema\":1", "\"schema\":99");
    let sealed: String = newer
        .lines()
        .map(|l| {
            use sha2::{Digest, Sha256};
            let body = l.rsplit_once(",\"check\":\"").unwrap().0;
            let check: String =
                Sha256::digest(body.as_bytes())[..8].iter().map(|b| format!("{b:02x}")).collect();
            format!("{body},\"check\":\"{check}\"}}\n")
        })
        .collect();
    std::fs::write(&manifest, &sealed).unwrap();
    let e = analyze(&engine, &video, &request, &Quiet::default()).unwrap_err();
    assert!(e.what().contains("newer limn"), "{e}");
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), sealed);
    // Unless everything is asked for anew.
    let (frames, _) = resumed(&Request { force: true, ..request });
    assert_eq!(frames, 0);
}

#[test]
fn two_at_once_do_not_mix() {
    let place = Place::new();
    let video = place.film("m1.mp4", 3000, (96, 80));
    let out = place.at("out");
    let mut first = place.command(&video, &out, &["--batch", "1"]).spawn().unwrap();
    let rows = out.join(format!("m1{SCORER}_unfinished/rows.f32"));
    let began = Instant::now();
    while !rows.metadata().is_ok_and(|m| m.len() > 0) {
        assert!(began.elapsed() < Duration::from_secs(60) && first.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let model = place.at("model");
    let (code, said) = json(&[
        "analyze",
        model.to_str().unwrap(),
        video.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--device",
        "cpu",
    ]);
    assert_eq!(code, 1, "{said}");
    assert!(said["error"]["what"].as_str().unwrap().contains("another limn is analyzing"), "{said}");
    assert!(first.wait().unwrap().success());
    let done = place.tracks(&video, "out", Request::default());
    assert_eq!(done.frames(), 3000);
}

#[test]
fn several_devices_share_the_videos() {
    let place = Place::new();
    let videos = [("m1.mp4", 300), ("m2.mp4", 40), ("m3.mp4", 41)].map(|(n, f)| place.film(n, f, (96, 80)));
    let broken = place.at("m4.mp4");
    std::fs::write(&broken, "no video").unwrap();
    let model = place.at("model");
    let mut args = vec!["analyze", model.to_str().unwrap(), "--device", "cpu,cpu"];
    args.extend(videos.iter().chain([&broken]).map(|v| v.to_str().unwrap()));
    let (code, said) = json(&args);
    assert_eq!(code, 1, "{said}");
    let frames: Vec<u64> =
        said["videos"].as_array().unwrap().iter().map(|v| v["frames"].as_u64().unwrap()).collect();
    assert_eq!(frames, [300, 40, 41]);
    assert_eq!(said["failed"].as_array().unwrap().len(), 1);
    for (code, args) in [(2, "cpu,"), (1, "cuda:all")] {
        if args == "cuda:all" && limn::net::device::choose("cuda").is_ok() {
            eprintln!("skipped: cuda:all, as there is a GPU here");
            continue;
        }
        let mut wish =
            limn(&["analyze", model.to_str().unwrap(), videos[0].to_str().unwrap(), "--device", args]);
        wish.assert().code(code);
    }
}

#[test]
fn parts_of_frames_keep_the_coordinates_of_the_whole() {
    let place = Place::new();
    let video = place.film("m1.mp4", 60, (256, 192));
    let whole = place.tracks(&video, "whole", Request { batch: Some(4), ..Request::default() });
    let points = |t: &Tracks, frame: usize| (0..3).map(|p| t.get(frame, p)).collect::<Vec<_>>();
    // Some frames only: the others' rows are empty, the numbers stay.
    let some = Request { frames: Some(21..40), batch: Some(1), ..Request::default() };
    let tracks = place.tracks(&video, "some", some);
    assert_eq!(tracks.frames(), 60);
    for frame in 0..60 {
        for (a, b) in points(&tracks, frame).into_iter().zip(points(&whole, frame)) {
            match a {
                None => assert!(!(21..40).contains(&frame)),
                Some((at, _)) => assert!((21..40).contains(&frame) && at.distance(b.unwrap().0) < 0.1),
            }
        }
    }
    // A crop: all points lie in it, or next to it by their offsets.
    let crop = Window { x: 64, y: 32, width: 128, height: 96 };
    let tracks = place.tracks(&video, "crop", Request { crop: Some(crop), ..Request::default() });
    for (at, _) in (0..60).flat_map(|f| points(&tracks, f)).flatten() {
        assert!(at.x > 48.0 && at.x < 208.0 && at.y > 16.0 && at.y < 144.0, "{at:?}");
    }
    // Half as large for the network: still all over the frame.
    let half = Request { resize: Some(0.5), ..Request::default() };
    let tracks = place.tracks(&video, "half", half);
    let far = (0..60).flat_map(|f| points(&tracks, f)).flatten().any(|(at, _)| at.x > 140.0 || at.y > 110.0);
    assert!(far && tracks.frames() == 60);
    // What cannot be is refused.
    let refused = |request: Request| {
        let e = analyze(&place.engine(), &video, &request, &Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), limn::Kind::Usage, "{e}");
    };
    refused(Request { crop: Some(Window { width: 300, ..crop }), ..Request::default() });
    refused(Request { frames: Some(10..61), ..Request::default() });
    refused(Request { resize: Some(0.0), ..Request::default() });
    refused(Request { candidates: Some(0), ..Request::default() });
    refused(Request { batch: Some(0), ..Request::default() });
}

#[test]
fn settings_are_part_of_what_is_finished() {
    let place = Place::new();
    let video = place.film("m1.mp4", 30, (96, 80));
    let engine = place.engine();
    let skipped = |request: &Request| {
        let done = analyze(&engine, &video, request, &Quiet::default()).unwrap();
        if request.candidates.is_some_and(|k| k > 1) {
            let read = candidates::read(done.candidates.as_ref().unwrap(), 0..30, &Quiet::default()).unwrap();
            let tracks = dlc_h5::read_tracks(&done.h5, &Quiet::default()).unwrap().1;
            for frame in 0..30 {
                let best = read.get(frame, 1)[0];
                assert_eq!(best, tracks.row(frame)[3..6]);
            }
        }
        done.skipped
    };
    let plain = Request::default();
    let follow = Request { follow: Some(Follow::default()), ..Request::default() };
    let top = Request { candidates: Some(4), ..Request::default() };
    let refused = |video: &Path, request: &Request| {
        let e = analyze(&engine, video, request, &Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), limn::Kind::Exists, "{e}");
    };
    assert!(!skipped(&plain));
    for (request, before) in [(&follow, &plain), (&top, &follow), (&plain, &top)] {
        refused(&video, request);
        assert!(skipped(before), "nothing was touched");
        let forced = Request { force: true, ..(*request).clone() };
        assert!(!skipped(&forced) && skipped(request), "the same is not computed again");
    }
    let candidates = files(video.parent().unwrap()).iter().any(|f| f.0.contains("_candidates"));
    assert!(!candidates, "those of other tracks are gone");
    let other = place.film("m1.mp4", 31, (96, 80));
    refused(&other, &plain); // another video of that name
    assert!(!analyze(&engine, &other, &Request { force: true, ..plain }, &Quiet::default()).unwrap().skipped);
}

#[test]
fn a_folder_of_pictures_is_analyzed_by_name() {
    let place = Place::new();
    let folder = place.at("stills.day1");
    std::fs::create_dir(&folder).unwrap();
    let spec = |width, height| SceneSpec { width, height, seed: 1, arena: 1, fps: 30.0, frames: 12 };
    let (scene, larger) = (Scene::new(spec(96, 80)).unwrap(), Scene::new(spec(128, 96)).unwrap());
    for i in 0..12 {
        // One of another size in the middle.
        let picture = if i == 5 { larger.render(i) } else { scene.render(i) };
        picture.save_png(&folder.join(format!("img{i}.png"))).unwrap();
    }
    std::fs::write(folder.join("img7.png"), "no picture").unwrap();
    let model = place.at("model");
    let (code, said) = json(&["analyze", model.to_str().unwrap(), folder.to_str().unwrap(), "--batch", "4"]);
    assert_eq!(code, 0, "{said}");
    let done = &said["videos"][0];
    assert_eq!((done["frames"].as_u64(), done["missing"].as_u64()), (Some(12), Some(1)));
    let h5 = PathBuf::from(done["h5"].as_str().unwrap());
    assert_eq!(h5, place.at(&format!("stills.day1{SCORER}.h5")));
    let tracks = dlc_h5::read_tracks(&h5, &Quiet::default()).unwrap().1;
    assert!(tracks.get(7, 0).is_none() && (0..12).filter(|f| tracks.get(*f, 0).is_some()).count() == 11);
    let names = std::fs::read_to_string(done["times"].as_str().unwrap()).unwrap();
    assert!(
        names.starts_with("frame,picture,decoded\n0,img0.png,1\n1,img1.png,1\n2,img2.png,1\n"),
        "{names}"
    );
    assert!(names.contains("\n7,img7.png,0\n") && names.contains("\n10,img10.png,1\n"));
    let (code, again) = json(&["analyze", model.to_str().unwrap(), folder.to_str().unwrap()]);
    assert!(code == 0 && again["videos"][0]["skipped"].as_bool().unwrap(), "{again}");
}

#[test]
fn too_large_a_batch_is_halved() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("prlimit") {
        eprintln!("skipped: no prlimit");
        return;
    }
    let place = Place::new();
    let video = place.film("m1.mp4", 80, (640, 480));
    let small = place.at("small");
    let mut one = place.command(&video, &small, &["--batch", "1", "--precision", "fp32"]).spawn().unwrap();
    let mut peak = 0_u64;
    while one.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", one.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmPeak:"));
        let kib = line.and_then(|l| l.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
        peak = peak.max(kib * 1024);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(one.wait().unwrap().success() && peak > 0);
    // Address space for some of the 80 frames that are asked for at once, and not for all.
    let limited = place.at("limited");
    let wish = place.command(&video, &limited, &["--batch", "80", "--precision", "fp32"]);
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={}", peak + (2 << 30))).arg(wish.get_program()).args(wish.get_args());
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("memory does not hold"), "{said}");
    let read = |folder: &Path| {
        dlc_h5::read_tracks(&folder.join(format!("m1{SCORER}.h5")), &Quiet::default()).unwrap().1
    };
    let (a, b) = (read(&small), read(&limited));
    for (a, b) in a.values().iter().zip(b.values()) {
        assert!((a - b).abs() < 0.05, "{a} {b}");
    }
}
