//! 3D: three cameras of one scene, stepped, turned about, and a point put right by clicks in two of them.

use crate::common::*;
use eframe::egui::{Event, Key, Modifiers, PointerButton, Pos2, Vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use limn::camera::{Camera, Lens, Made, Mount, Rig};
use limn::gui::Place;
use limn::picture::Picture;
use limn::pose::{FrameKey, Keypoint};
use limn::project::{LabelStore, NewProject, PointEdit, Project, VideoMode};
use limn::watch::Quiet;
use nalgebra::Vector3;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const FRAMES: usize = 12;
const SIZE: [usize; 2] = [160, 120];
/// The frame whose snout the tracks have wrong, and by how much in x.
const WRONG: (usize, f64) = (2, 25.0);

fn mount(name: &str, from: [f64; 3], offset: i64) -> Mount {
    let mut lens = Lens::plain(150.0, SIZE);
    lens.distortion = [-0.12, 0.02, 0.0, 0.0, 0.0];
    let camera = Camera::new(name, SIZE, lens).looking(from.into(), Vector3::zeros(), Vector3::z());
    Mount { name: name.into(), camera: Some(camera), offset, ..Mount::default() }
}

/// Three cameras; the second one began two frames before the others.
pub fn rig() -> Rig {
    let cameras = vec![
        mount("left", [-260.0, -300.0, 220.0], 0),
        mount("right", [280.0, -280.0, 240.0], 2),
        mount("top", [20.0, 60.0, 480.0], 0),
    ];
    let made = Made { rms_px: 0.31, verdict: "good".into(), boards: 20, ..Made::default() };
    Rig { cameras, calibration: Some(made), ..Rig::default() }
}

/// Where snout and tail really are.
pub fn truth(frame: usize) -> [Vector3<f64>; 2] {
    let turn = frame as f64 * 0.3;
    let (c, s) = (turn.cos(), turn.sin());
    [Vector3::new(50.0 * c, 50.0 * s, 25.0), Vector3::new(-35.0 * c, -35.0 * s, 15.0)]
}

fn film(path: &Path, mount: &Mount) {
    let mut writer = limn::video::Writer::create(path, SIZE[0], SIZE[1], 25.0).unwrap();
    for frame in 0..FRAMES as i64 + mount.offset {
        let mut picture = Picture::new(SIZE[0], SIZE[1]);
        let at = usize::try_from(frame - mount.offset).unwrap_or(0);
        for (world, colour) in truth(at).iter().zip([[240, 200, 60], [90, 160, 250]]) {
            let seen = mount.camera.as_ref().unwrap().project(world).unwrap();
            for y in 0..SIZE[1] {
                for x in 0..SIZE[0] {
                    if seen.distance(Keypoint::new(x as f64 + 0.5, y as f64 + 0.5)) < 5.0 {
                        picture.set(x, y, colour);
                    }
                }
            }
        }
        writer.write(&picture).unwrap();
    }
    writer.finish().unwrap();
}

/// A project with a rig, three videos of one session, and its tracks in space.
pub fn project(dir: &Path) -> PathBuf {
    let films = dir.join("films");
    std::fs::create_dir_all(&films).unwrap();
    let paths: Vec<PathBuf> = rig()
        .cameras
        .iter()
        .map(|mount| {
            let path = films.join(format!("s1_{}.mp4", mount.name));
            film(&path, mount);
            path
        })
        .collect();
    let new = NewProject {
        skeleton: vec![["snout".into(), "tail".into()]],
        ..NewProject::single("arena", "Ada", ["snout", "tail"])
    };
    let probe = |_: &Path| Ok((160, 120));
    let made = Project::create(dir, &new, &paths, VideoMode::Copy, &probe, &Quiet::default()).unwrap();
    let root = made.root().to_path_buf();
    rig().write(&root.join("rig.yaml")).unwrap();
    let mut text = String::new();
    for part in ["snout", "tail"] {
        write!(text, "{part}_x,{part}_y,{part}_z,{part}_error,{part}_ncams,{part}_score,").unwrap();
    }
    text += "fnum\n";
    for frame in 0..FRAMES {
        let [snout, tail] = truth(frame);
        let off = if frame == WRONG.0 { WRONG.1 } else { 0.0 };
        write!(text, "{},{},{},{},3,0.9,", snout.x + off, snout.y, snout.z, 0.4 + off / 4.0).unwrap();
        writeln!(text, "{},{},{},0.5,3,0.9,{frame}", tail.x, tail.y, tail.z).unwrap();
    }
    std::fs::write(root.join("s1_3d.csv"), text).unwrap();
    root
}

fn open(root: &Path) -> Harnessed {
    let mut w = window(Some(root), Some(Place::Space));
    opened(&mut w);
    shown(&mut w);
    w
}

fn shown(w: &mut Harnessed) {
    until(w, "the pictures of all cameras", |h| h.state_mut().views().space.is_settled());
    w.run_steps(3);
}

fn press(w: &mut Harnessed, key: Key) {
    w.key_press(key);
    w.run_steps(2);
}

fn name_of(w: &Harnessed, part: &str) -> String {
    w.query_all_by_label_contains(part).find_map(|n| n.accesskit_node().label()).unwrap_or_default()
}

/// Clicks a place on a camera's picture.
fn click_at(w: &mut Harnessed, camera: usize, at: Keypoint, button: PointerButton) {
    let pos: Pos2 = w.state_mut().views().space.on_screen(camera, at).expect("the picture");
    w.hover_at(pos);
    w.step();
    for pressed in [true, false] {
        w.event(Event::PointerButton { pos, button, pressed, modifiers: Modifiers::NONE });
        w.step();
    }
    w.run_steps(3);
}

/// Where the tracks now put the snout, as `camera` would see it.
fn snout_in(w: &mut Harnessed, camera: usize) -> Keypoint {
    let spot = w.state_mut().views().space.spot(0).expect("the snout");
    rig().calibrated().unwrap()[camera].project(&Vector3::from(spot.at)).unwrap()
}

fn look(w: &mut Harnessed, name: &str) {
    if let Ok(dir) = std::env::var("LIMN_LOOK") {
        w.render().unwrap().save(Path::new(&dir).join(format!("space-{name}.png"))).unwrap();
    }
}

#[test]
fn cameras_are_stepped_together_and_the_scene_is_turned() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = open(&project(dir.path()));
    let whole = name_of(&w, "3D view of frame 0: 2 points");
    assert!(says(&w, "calibration good: 0.31 px"));
    // Every camera shows the same moment, in its own count of frames.
    assert!(says(&w, "Camera left, frame 0") && says(&w, "Camera right, frame 2"));
    press(&mut w, Key::ArrowRight);
    shown(&mut w);
    assert!(says(&w, "3D view of frame 1: 2 points"));
    assert!(says(&w, "Camera top, frame 1") && says(&w, "Camera right, frame 3"));
    assert!(says(&w, "Reprojection error at frame 1: snout 0.40 px from 3 cameras, tail 0.50 px"));
    press(&mut w, Key::End);
    shown(&mut w);
    assert_eq!(w.state_mut().views().space.frame(), FRAMES - 1);
    press(&mut w, Key::Home);

    // By the pointer, by keys, and back.
    let scene = w.query_all_by_label_contains("3D view of frame 0").next().unwrap().rect();
    drag_on_screen(&mut w, scene.center(), scene.center() + Vec2::new(60.0, 25.0));
    let turned = name_of(&w, "3D view of frame 0");
    assert_ne!(turned, whole);
    press(&mut w, Key::J);
    press(&mut w, Key::Plus);
    let again = name_of(&w, "3D view of frame 0");
    assert!(again != turned && again != whole);
    look(&mut w, "turned");
    press(&mut w, Key::R);
    assert_eq!(name_of(&w, "3D view of frame 0"), whole);

    click(&mut w, "Enlarge top");
    assert!(w.query_by_label_contains("3D view of").is_none());
    let large = w.query_by_label_contains("Camera top, frame 0").unwrap().rect();
    assert!(large.width() > 400.0, "{large:?}");
    click(&mut w, "Back to 3D from top");
    assert!(says(&w, "3D view of frame 0"));
    never_waited();
}

#[test]
fn a_point_is_put_right_in_two_cameras_and_the_third_follows() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path());
    let mut w = open(&root);
    for _ in 0..WRONG.0 {
        press(&mut w, Key::ArrowRight);
    }
    shown(&mut w);
    let real = truth(WRONG.0)[0];
    let seen: Vec<Keypoint> = rig().calibrated().unwrap().iter().map(|c| c.project(&real).unwrap()).collect();
    assert!(snout_in(&mut w, 2).distance(seen[2]) > 3.0, "the tracks are wrong");
    press(&mut w, Key::C);
    assert!(says(&w, "0 of 3 clicked"));
    click_at(&mut w, 0, seen[0], PointerButton::Primary);
    assert!(says(&w, "1 of 3 clicked"));
    assert_eq!(w.query_all_by_label_contains("with a line of sight").count(), 2, "in the two others");
    look(&mut w, "line");
    click_at(&mut w, 1, seen[1], PointerButton::Primary);
    assert_eq!(w.query_all_by_label_contains("with a line of sight").count(), 0);
    let off = snout_in(&mut w, 2).distance(seen[2]);
    assert!(off < 0.5, "{off} px beside the truth in the third camera");
    assert!(says(&w, "2 of 3 clicked; 1 point corrected"));
    shown(&mut w);
    look(&mut w, "corrected");
    let file = root.join("s1_corrections.yaml");
    assert!(std::fs::read_to_string(&file).unwrap().contains("bodypart: snout"));

    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    assert!(snout_in(&mut w, 2).distance(seen[2]) > 3.0, "undone");
    w.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    w.run_steps(3);
    assert!(snout_in(&mut w, 2).distance(seen[2]) < 0.5, "done again");
    // A click taken back leaves one, which is no point.
    click_at(&mut w, 1, seen[1], PointerButton::Secondary);
    assert!(says(&w, "1 of 3 clicked; 0 points corrected"));
    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    // Another frame has clicks of its own.
    press(&mut w, Key::ArrowRight);
    assert!(says(&w, "0 of 3 clicked; 1 point corrected"));
    w.state_mut().finish();
    drop(w);

    let mut w = open(&root);
    press(&mut w, Key::ArrowRight);
    press(&mut w, Key::ArrowRight);
    assert!(snout_in(&mut w, 2).distance(seen[2]) < 0.5, "kept from day to day");
    never_waited();
}

#[test]
fn a_rig_that_cannot_be_used_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path());
    std::fs::rename(root.join("rig.yaml"), dir.path().join("good.yaml")).unwrap();
    let mut w = window(Some(&root), Some(Place::Space));
    opened(&mut w);
    until(&mut w, "what to do first", |h| says(h, "No rig yet"));
    let bad = dir.path().join("bad.yaml");
    std::fs::write(&bad, "limn_rig: 1\ncameras:\n- name: a\n  lens: cube\n").unwrap();
    type_into(&mut w, "Path of a rig.yaml", &bad.display().to_string());
    click(&mut w, "Open rig");
    until(&mut w, "the refusal", |h| says(h, "The rig cannot be shown") && says(h, "bad.yaml"));
    w.state_mut().dialogs().answer_next(vec![dir.path().join("good.yaml")]);
    click(&mut w, "Choose rig…");
    shown(&mut w);
    // Without tracks in space the pictures are there all the same.
    assert!(says(&w, "3D view of frame 0: 0 points") && says(&w, "Camera left, frame 0"));
    never_waited();
}

#[test]
fn labels_of_two_cameras_are_proposed_in_the_third_and_saved_only_when_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path());
    let opened_project = Project::open(&root, &Quiet::default()).unwrap();
    let cameras = rig().calibrated().unwrap();
    let [snout, tail] = truth(1);
    // The second camera began two frames earlier.
    let keys = [("s1_left", 1), ("s1_right", 3), ("s1_top", 1)]
        .map(|(folder, frame)| FrameKey::new(folder, format!("img{frame:02}.png")));
    for key in &keys {
        std::fs::create_dir_all(opened_project.labeled_data(&key.video)).unwrap();
        Picture::new(SIZE[0], SIZE[1]).save_png(&opened_project.image_path(key)).unwrap();
    }
    let mut store = LabelStore::edit(&opened_project, &Quiet::default()).unwrap();
    let mut edits = Vec::new();
    for (key, camera) in keys.iter().zip(&cameras).take(2) {
        edits.push(PointEdit::new(key.clone(), 0, camera.project(&snout).unwrap()));
    }
    edits.push(PointEdit::new(keys[0].clone(), 1, cameras[0].project(&tail).unwrap()));
    store.set_all(&edits).unwrap();
    store.flush(&Quiet::default()).unwrap();
    drop(store);

    let mut w = window(Some(&root), Some(Place::Label));
    opened(&mut w);
    until(&mut w, "the picture", |h| h.state_mut().views().label.is_ready());
    press(&mut w, Key::End);
    until(&mut w, "the proposal", |h| says(h, "of s1_top, 1 point proposed"));
    until(&mut w, "the picture", |h| h.state_mut().views().label.is_ready());
    look(&mut w, "label");
    let said = |w: &mut Harnessed, point: usize| {
        let labels = w.state().project().unwrap().labels.labels();
        labels.frames.get(&keys[2]).and_then(|f| f.points[point])
    };
    assert_eq!(said(&mut w, 0), None, "nothing is saved by itself");
    press(&mut w, Key::P);
    let at = said(&mut w, 0).expect("the accepted label");
    let wanted = cameras[2].project(&snout).unwrap();
    assert!(at.distance(wanted) < 0.5, "{at:?} {wanted:?}");
    assert!(!says(&w, "proposed"));
    // Of the tail one camera alone has seen: there is a line, and nothing to accept.
    press(&mut w, Key::P);
    assert!(says(&w, "No other camera shows where to place it") && said(&mut w, 1).is_none());
    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    assert_eq!(said(&mut w, 0), None);
    // By a click near the hollow mark, which puts the label on it exactly.
    let pos = w.state_mut().views().label.on_screen(wanted).unwrap() + Vec2::new(3.0, -2.0);
    w.hover_at(pos);
    w.step();
    for pressed in [true, false] {
        let button = PointerButton::Primary;
        w.event(Event::PointerButton { pos, button, pressed, modifiers: Modifiers::NONE });
        w.step();
    }
    w.run_steps(3);
    assert!(said(&mut w, 0).expect("the clicked proposal").distance(wanted) < 1e-6);
    saved(&mut w);
    never_waited();
}

#[test]
fn a_rig_is_made_with_the_cameras_that_the_videos_suggest() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path());
    let file = root.join("rig.yaml");
    std::fs::remove_file(&file).unwrap();
    let mut w = window(Some(&root), Some(Place::Space));
    opened(&mut w);
    until(&mut w, "what to do first", |h| says(h, "No rig yet"));
    click(&mut w, "New rig…");
    assert!(says(&w, "Name of camera 3") && !says(&w, "Name of camera 4"));
    click(&mut w, "ChArUco");
    look(&mut w, "assistant");
    click(&mut w, "Write rig.yaml");
    until(&mut w, "what is still missing", |h| says(h, "not calibrated: left, right, top"));
    let made = Rig::read(&file).unwrap();
    assert!(matches!(made.board, Some(limn::camera::Board::Charuco { columns: 7, .. })));
    assert_eq!(made.cameras.len(), 3);
    never_waited();
}
