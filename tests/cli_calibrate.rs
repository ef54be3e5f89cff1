//! Cameras calibrated from the command line, by videos of a board whose truth is known.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use limn::camera::{Camera, Rig};
use limn::synth::space::{RigScene, RigSpec};
use limn::video::Writer;
use rayon::prelude::*;
use std::path::Path;
use support::{json, limn};

/// The board before two cameras: 30 moments, each at another place.
fn film(folder: &Path) -> Vec<Camera> {
    let spec = RigSpec { width: 480, height: 360, frames: 30, fps: 1.0, ..RigSpec::new(2, 5) };
    let scene = RigScene::new(spec).unwrap();
    for (i, camera) in scene.cameras().iter().enumerate() {
        let path = folder.join(format!("board_{}.mp4", camera.name));
        let mut writer = Writer::create(&path, 480, 360, 1.0).unwrap();
        let pictures: Vec<_> = (0..30).into_par_iter().map(|f| scene.render_board(i, f)).collect();
        pictures.iter().for_each(|p| writer.write(p).unwrap());
        writer.finish().unwrap();
    }
    scene.cameras().to_vec()
}

#[test]
fn a_rig_is_begun_calibrated_and_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let truth = film(dir.path());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (rig, toml) = (at("rig"), at("calibration.toml"));
    let names = truth.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(",");
    let begin = ["calibrate", &rig, "--new", "--cameras", &names, "--board", "charuco:7x5:30:23:DICT_4X4_50"];
    let (code, report) = json(&begin);
    assert_eq!(code, 0, "{report}");
    let (code, report) = json(&begin);
    assert!(code == 1 && report["error"].to_string().contains("there is a rig already"), "{report}");

    let films: Vec<String> = truth.iter().map(|c| at(&format!("board_{}.mp4", c.name))).collect();
    // One camera's film alone joins nothing.
    let (code, report) = json(&["calibrate", &rig, &films[0]]);
    assert!(code == 2 && report["error"].to_string().contains(&truth[1].name), "{report}");
    assert!(Rig::read(Path::new(&rig)).unwrap().calibrated().is_err(), "a rig that is half calibrated");

    let (code, report) = json(&["calibrate", &rig, &films[0], &films[1], "--export", &toml]);
    assert_eq!(code, 0, "{report}");
    assert!(report["rms_px"].as_f64().unwrap() < 0.3, "{report}");
    for picture in report["pictures"].as_array().unwrap() {
        assert!(Path::new(picture.as_str().unwrap()).is_file(), "{picture}");
    }
    let far = |cameras: &[Camera]| (cameras[0].position() - cameras[1].position()).norm();
    let near = |a: f64, b: f64, share: f64| (a / b - 1.0).abs() < share;
    let found = Rig::read(Path::new(&rig)).unwrap().calibrated().unwrap();
    assert!(near(far(&found), far(&truth), 0.01), "{} {}", far(&found), far(&truth));
    for (f, t) in found.iter().zip(&truth) {
        assert!(near(f.lens.focal[0], t.lens.focal[0], 0.02), "{:?} {:?}", f.lens.focal, t.lens.focal);
    }

    // With recordings taken for others' moments the result is poor, and the good one stays.
    let mut shifted = Rig::read(Path::new(&rig)).unwrap();
    shifted.cameras[1].offset = 7;
    let file = Path::new(&rig).join("rig.yaml");
    shifted.write(&file).unwrap();
    let before = std::fs::read(&file).unwrap();
    let (code, report) = json(&["calibrate", &rig, &films[0], &films[1]]);
    assert!(code == 1 && report["kept"] == false && report["verdict"]["grade"] == "poor", "{report}");
    assert_eq!(std::fs::read(&file).unwrap(), before);

    // Another board than the one filmed: what its markers say of it.
    for (board, words) in [("8x6", "up to 16"), ("5x7", "7 squares across and 5 down"), ("5x5", "up to 16")] {
        let wrong = at(&format!("wrong-{board}"));
        let board = format!("charuco:{board}:30:23:DICT_4X4_50");
        let (code, _) = json(&["calibrate", &wrong, "--new", "--cameras", &names, "--board", &board]);
        assert_eq!(code, 0);
        let (code, report) = json(&["calibrate", &wrong, &films[0], &films[1]]);
        assert!(code == 1 && (report.to_string().contains(words)), "{board}: {report}");
    }

    let other = at("other/rig.yaml");
    let out = limn(&["calibrate", &other, "--import", &toml]).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let handed = Rig::read(Path::new(&other)).unwrap().calibrated().unwrap();
    assert!(near(far(&handed), far(&found), 1e-6));
}
