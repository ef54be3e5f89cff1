//! Videos: the player, frames by hand and by method, the crop, adding videos and finding those that moved.

use crate::common::*;
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use limn::gui::Place;
use limn::picture::Picture;
use limn::pose::Keypoint;
use limn::project::{NewProject, Project, VideoMode};
use limn::video::Reader;
use limn::watch::Quiet;
use std::path::{Path, PathBuf};

/// A project with rendered videos of 40 frames, linked from `dir/films`.
fn project(dir: &Path, names: &[&str]) -> PathBuf {
    let films = dir.join("films");
    std::fs::create_dir_all(&films).unwrap();
    let paths: Vec<PathBuf> = names.iter().map(|n| films.join(n)).collect();
    for (i, path) in paths.iter().enumerate() {
        video(path, i as u64, 40);
    }
    let new = NewProject::single("reach", "Ada", ["snout", "tail"]);
    let probe = |_: &Path| Ok((160, 120));
    let made = Project::create(dir, &new, &paths, VideoMode::Link, &probe, &Quiet::default());
    made.unwrap().root().to_path_buf()
}

fn open(root: &Path) -> Harnessed {
    let mut w = window(Some(root), Some(Place::Videos));
    opened(&mut w);
    shown(&mut w);
    w
}

/// Waits until everything the view shows is there.
fn shown(w: &mut Harnessed) {
    until(w, "the view of videos", |h| h.state_mut().views().videos.is_settled());
    settled(w);
}

fn frame(w: &mut Harnessed) -> usize {
    w.state_mut().views().videos.player().frame()
}

fn press(w: &mut Harnessed, key: Key) {
    w.key_press(key);
    w.run_steps(3);
}

/// Writes the window as it is now to the folder `$LIMN_LOOK`, to be looked at.
fn look(w: &mut Harnessed, name: &str) {
    if let Ok(dir) = std::env::var("LIMN_LOOK") {
        w.render().unwrap().save(Path::new(&dir).join(format!("videos-{name}.png"))).unwrap();
    }
}

/// The pictures of a video on disk.
fn pictures(root: &Path, video: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join("labeled-data").join(video)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|n| n.ends_with(".png"));
    names.sort();
    names
}

#[test]
fn a_video_is_stepped_jumped_and_played_by_keys() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &["m1.mp4", "m2.mp4"]);
    let mut w = open(&root);
    assert!(says(&w, "40 frames"), "what is known of a video stands in the list");
    assert!(says(&w, "160 × 120 px"));
    for (key, wanted) in [
        (Key::ArrowRight, 1),
        (Key::D, 2),
        (Key::ArrowLeft, 1),
        (Key::End, 39),
        (Key::ArrowRight, 39),
        (Key::Home, 0),
        (Key::A, 0),
    ] {
        press(&mut w, key);
        assert_eq!(frame(&mut w), wanted, "{key:?}");
    }
    w.key_press_modifiers(Modifiers::SHIFT, Key::ArrowRight);
    w.run_steps(3);
    assert_eq!(frame(&mut w), 10);
    shown(&mut w);
    assert_eq!(w.state_mut().views().videos.player().shown(), Some(10));
    assert!(says(&w, "Frame 10 of m1"));
    look(&mut w, "player");
    // By its number, typed.
    w.key_press_modifiers(Modifiers::COMMAND, Key::G);
    w.run_steps(3);
    type_into(&mut w, "Frame number", "25");
    w.key_press(Key::Enter);
    w.run_steps(3);
    assert_eq!(frame(&mut w), 25);
    shown(&mut w);
    // To the end, where it stops.
    click(&mut w, "Play");
    until(&mut w, "playing", |h| h.state_mut().views().videos.player().frame() > 25);
    until(&mut w, "the end", |h| !h.state_mut().views().videos.player().is_playing());
    assert_eq!(frame(&mut w), 39);
    // Again from the start by the space bar, and held.
    press(&mut w, Key::Home);
    until(&mut w, "the first frame", |h| h.state_mut().views().videos.player().is_settled());
    click(&mut w, "Next frame");
    w.get_by_label("Next frame").click();
    w.run_steps(3);
    assert_eq!(frame(&mut w), 2);
    click(&mut w, "m2");
    shown(&mut w);
    assert_eq!(frame(&mut w), 0);
    assert!(says(&w, "Frame 0 of m2"));
    never_waited();
}

#[test]
fn frames_by_hand_and_by_method_with_a_look_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &["m1.mp4", "m2.mp4"]);
    let mut w = open(&root);
    w.key_press_modifiers(Modifiers::SHIFT, Key::ArrowRight);
    w.run_steps(2);
    press(&mut w, Key::E);
    shown(&mut w);
    assert_eq!(pictures(&root, "m1"), ["img10.png"]);
    let mut reader = Reader::open(&dir.path().join("films/m1.mp4"), &Quiet::default()).unwrap();
    let limn::video::Decoded::Picture(exact) = reader.frame(10).unwrap() else { panic!("missing") };
    assert_eq!(Picture::load(&root.join("labeled-data/m1/img10.png")).unwrap(), exact);
    assert!(says(&w, "1 extracted, 0 labeled"));
    // Once more changes nothing and says so.
    click(&mut w, "Extract this frame");
    shown(&mut w);
    assert!(says(&w, "had been extracted before"));
    assert_eq!(pictures(&root, "m1").len(), 1);

    // Five of each by k-means: looked at, two unticked, then taken.
    type_into(&mut w, "Frames from each video", "5");
    w.key_press(Key::Enter);
    w.run_steps(2);
    click(&mut w, "Preview frames");
    until(&mut w, "the gallery", |h| says(h, "These frames would be extracted"));
    shown(&mut w);
    assert_eq!(pictures(&root, "m1").len() + pictures(&root, "m2").len(), 1, "nothing is written yet");
    let offered: Vec<String> = w
        .query_all_by_label_contains(" of m2")
        .filter_map(|n| n.accesskit_node().label())
        .filter(|l| l.starts_with("Frame "))
        .collect();
    assert_eq!(offered.len(), 5, "{offered:?}");
    click(&mut w, &offered[0]);
    click(&mut w, &offered[3]);
    look(&mut w, "gallery");
    let button = w
        .query_all_by_label_contains("Extract ")
        .filter_map(|n| n.accesskit_node().label())
        .find(|l| l.ends_with("frames"))
        .unwrap();
    click(&mut w, &button);
    shown(&mut w);
    until(&mut w, "the pictures", |_| pictures(&root, "m2").len() == 3);
    shown(&mut w);
    let taken = pictures(&root, "m2");
    for (i, label) in offered.iter().enumerate() {
        let n: usize = label.trim_start_matches("Frame ").trim_end_matches(" of m2").parse().unwrap();
        assert_eq!(taken.contains(&format!("img{n:02}.png")), i != 0 && i != 3, "{label}");
    }
    assert!((5..=6).contains(&pictures(&root, "m1").len()));
    assert!(says(&w, "extracted."));
    assert_eq!(w.state().project().unwrap().contents.pictures.len(), 3 + pictures(&root, "m1").len());
    click(&mut w, "Go to labeling");
    assert_eq!(w.state().place(), Some(Place::Label));
    never_waited();
}

#[test]
fn a_crop_is_dragged_saved_and_cut_to() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &["m1.mp4"]);
    let mut w = open(&root);
    click(&mut w, "Change it on the picture");
    let on_screen = |w: &mut Harnessed, x: f64, y: f64| {
        w.state_mut().views().videos.player().canvas.on_screen(Keypoint::new(x, y)).unwrap()
    };
    let (a, b) = (on_screen(&mut w, 20.0, 10.0), on_screen(&mut w, 100.0, 90.0));
    drag_on_screen(&mut w, a, b);
    assert!(says(&w, "80 × 80 px of 160 × 120 px"));
    assert!(says(&w, "Not saved yet."));
    look(&mut w, "crop");
    type_into(&mut w, "Crop bottom", "70");
    w.key_press(Key::Enter);
    w.run_steps(3);
    click(&mut w, "Save crop");
    shown(&mut w);
    let config = std::fs::read_to_string(root.join("config.yaml")).unwrap();
    assert!(config.contains("crop: 20, 100, 10, 70"), "{config}");
    assert!(!says(&w, "Not saved yet."));
    click(&mut w, "Cut pictures to the crop");
    click(&mut w, "Extract this frame");
    shown(&mut w);
    assert_eq!(Picture::size_of(&root.join("labeled-data/m1/img00.png")).unwrap(), (80, 60));
    never_waited();
}

#[test]
fn videos_are_added_and_moved_ones_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &["m1.mp4", "m2.mp4"]);
    let other = dir.path().join("m3.mp4");
    video(&other, 7, 12);
    let mut w = open(&root);
    type_into(&mut w, "Path of a video to add", &other.display().to_string());
    click(&mut w, "Add the typed video");
    until(&mut w, "the third video", |h| h.state().project().is_some_and(|p| p.contents.videos.len() == 3));
    shown(&mut w);
    assert!(says(&w, "12 frames"));
    // What is no video is refused with words, and nothing else happens.
    type_into(&mut w, "Path of a video to add", &dir.path().join("gone.mp4").display().to_string());
    click(&mut w, "Add the typed video");
    settled(&mut w);
    assert!(w.state().notices().texts().any(|(_, t)| t.contains("does not exist")));
    drop(w);

    // The films are moved; the project is opened again.
    let attic = dir.path().join("attic/2024");
    std::fs::create_dir_all(&attic).unwrap();
    for name in ["m1.mp4", "m2.mp4"] {
        std::fs::rename(dir.path().join("films").join(name), attic.join(name)).unwrap();
    }
    let mut w = open(&root);
    assert_eq!(w.query_all_by_label_contains("The file was not found").count(), 2);
    click(&mut w, "Find m2…");
    assert!(says(&w, "The file of m2 was not found"));
    w.state_mut().dialogs().answer_next(vec![dir.path().join("attic")]);
    click(&mut w, "Search a folder…");
    until(&mut w, "the search", |h| says(h, "Found 2 of 2 missing videos"));
    look(&mut w, "missing");
    click(&mut w, "Link all 2 found");
    until(&mut w, "the links", |h| {
        h.state().project().is_some_and(|p| p.contents.videos.iter().all(|v| v.path.is_some()))
    });
    shown(&mut w);
    assert!(says(&w, "Frame 0 of m2"));
    let project = Project::open(&root, &Quiet::default()).unwrap();
    assert!(project.video_path("m1").unwrap().is_file());
    never_waited();
}

#[test]
fn a_file_that_is_no_video_says_so_and_every_control_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &["m1.mp4", "m2.mp4"]);
    std::fs::write(dir.path().join("films/m1.mp4"), "It slept.\n".repeat(50)).unwrap();
    let mut w = open(&root);
    assert!(says(&w, "not a video"));
    look(&mut w, "no-video");
    named(&w);
    click(&mut w, "m2");
    shown(&mut w);
    named(&w);
    click(&mut w, "Some videos");
    click(&mut w, "Preview frames");
    w.run_steps(3);
    assert!(!says(&w, "These frames would be extracted"), "no video is ticked");
    click(&mut w, "Only m2");
    type_into(&mut w, "Frames from each video", "3");
    w.key_press(Key::Enter);
    w.run_steps(2);
    click(&mut w, "Preview frames");
    until(&mut w, "the gallery", |h| says(h, "These frames would be extracted"));
    shown(&mut w);
    named(&w);
    click(&mut w, "Untick all");
    click(&mut w, "Back without extracting");
    assert!(pictures(&root, "m2").is_empty());
    never_waited();
}

/// Everything that can be pressed or changed has words for a screen reader.
fn named(w: &Harnessed) {
    use eframe::egui::accesskit::Role;
    let nameless: Vec<String> = w
        .query_all_by(|n| {
            let control = matches!(
                n.role(),
                Role::Button
                    | Role::CheckBox
                    | Role::RadioButton
                    | Role::ComboBox
                    | Role::Slider
                    | Role::SpinButton
                    | Role::TextInput
                    | Role::Image
            );
            let label = n.label().or_else(|| n.labelled_by().find_map(|l| l.label().or(l.value())));
            control && label.is_none_or(|l| l.trim().is_empty())
        })
        .map(|n| format!("{:?}", n.accesskit_node().role()))
        .collect();
    assert!(nameless.is_empty(), "controls without a name: {nameless:?}");
}
