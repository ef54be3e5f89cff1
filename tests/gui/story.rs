//! The whole way in one window: two videos, a project, frames, labels, undo, reopening, training, analysis, traces.

use crate::common::*;
use crate::label::{in_front, press, ready, table};
use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use limn::gui::Place;
use limn::pose::{FrameKey, Keypoint};
use std::collections::BTreeMap;
use std::path::Path;

const PARTS: [&str; 3] = ["snout", "body", "tail"];

/// Where the story labels a body part of a frame: somewhere of its own, with a fraction of a pixel.
fn spot(n: usize, part: usize) -> Keypoint {
    Keypoint::new(18.3 + 5.1 * n as f64 + 3.0 * part as f64, 22.7 + 30.0 * part as f64 + 0.6 * n as f64)
}

fn key(w: &mut Harnessed, key: Key) {
    w.key_press(key);
    w.run_steps(3);
}

/// Labels every frame that is to do, and says what was clicked.
fn label_all(w: &mut Harnessed, frames: usize) -> BTreeMap<FrameKey, Vec<Keypoint>> {
    let mut clicked = BTreeMap::new();
    for n in 0..frames {
        ready(w);
        let frame = in_front(w);
        for part in 0..PARTS.len() {
            press(w, spot(n, part));
        }
        clicked.insert(frame.clone(), (0..PARTS.len()).map(|p| spot(n, p)).collect());
        if in_front(w) == frame {
            key(w, Key::U);
        }
    }
    clicked
}

/// The tables on disk hold exactly what was clicked.
fn assert_on_disk(root: &Path, clicked: &BTreeMap<FrameKey, Vec<Keypoint>>) {
    let mut rows = 0;
    for video in ["m1", "m2"] {
        for (image, numbers) in table(root, video) {
            rows += 1;
            let wanted = &clicked[&FrameKey::new(video, image.clone())];
            for (part, at) in wanted.iter().enumerate() {
                let (x, y) = (numbers[2 * part].unwrap(), numbers[2 * part + 1].unwrap());
                assert!(
                    (x - at.x).abs() < 1e-3 && (y - at.y).abs() < 1e-3,
                    "{video}/{image} {}: {x}, {y} on disk, clicked at {at:?}",
                    PARTS[part]
                );
            }
        }
    }
    assert_eq!(rows, clicked.len());
}

#[test]
fn from_two_videos_to_traces() {
    let dir = tempfile::tempdir().unwrap();
    let films = [dir.path().join("m1.mp4"), dir.path().join("m2.mp4")];
    for (i, film) in films.iter().enumerate() {
        video(film, i as u64 + 1, 40);
    }

    // A new project.
    let mut w = window(None, None);
    w.key_press_modifiers(Modifiers::COMMAND, Key::N);
    w.run_steps(3);
    type_into(&mut w, "Name of the project", "reach");
    type_into(&mut w, "Who labels (scorer)", "Ada");
    w.state_mut().dialogs().answer_next(vec![dir.path().to_path_buf()]);
    click(&mut w, "Choose folder…");
    for film in &films {
        type_into(&mut w, "Path", &film.display().to_string());
        click(&mut w, "Add video");
    }
    type_into(&mut w, "Body part", &PARTS.join(", "));
    click(&mut w, "Add body part");
    click(&mut w, "Make the project");
    opened(&mut w);
    let root = w.state().project().unwrap().project().root().to_path_buf();
    assert_eq!(w.state().place(), Some(Place::Videos));

    // Ten frames of each video, looked at before they are written.
    type_into(&mut w, "Frames from each video", "10");
    key(&mut w, Key::Enter);
    click(&mut w, "Preview frames");
    until(&mut w, "the gallery", |h| says(h, "These frames would be extracted"));
    settled(&mut w);
    let take = w
        .query_all_by_label_contains("Extract ")
        .filter_map(|n| n.accesskit_node().label())
        .find(|l| l.ends_with("frames"))
        .unwrap();
    click(&mut w, &take);
    until(&mut w, "the frames", |h| h.state().project().is_some_and(|p| !p.contents.pictures.is_empty()));
    settled(&mut w);
    let frames = w.state().project().unwrap().contents.pictures.len();
    assert!((15..=20).contains(&frames), "{frames} frames of 2 x 10 wanted");

    // Every one is labeled; then the last three points, over two frames, are undone and done again.
    w.key_press_modifiers(Modifiers::COMMAND, Key::Num3);
    w.run_steps(3);
    let clicked = label_all(&mut w, frames);
    assert_eq!(clicked.len(), frames);
    saved(&mut w);
    assert_on_disk(&root, &clicked);
    let points = |w: &Harnessed| w.state().project().unwrap().labels.labels().labeled_points();
    for _ in 0..PARTS.len() + 1 {
        w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
        w.run_steps(3);
    }
    assert_eq!(points(&w), (frames - 1) * PARTS.len() - 1);
    saved(&mut w);
    w.state_mut().finish();
    drop(w);

    // Another window takes up where this one ended, its undo steps included.
    let mut w = window(Some(&root), Some(Place::Label));
    opened(&mut w);
    ready(&mut w);
    assert_eq!(points(&w), (frames - 1) * PARTS.len() - 1);
    for _ in 0..PARTS.len() + 1 {
        w.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
        w.run_steps(3);
    }
    assert_eq!(points(&w), frames * PARTS.len());
    saved(&mut w);
    assert_on_disk(&root, &clicked);

    // A few steps of training.
    w.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    w.run_steps(3);
    click(&mut w, "Network");
    until(&mut w, "the networks", |h| says(h, "efficientnet_lite0: "));
    w.query_all_by_label_contains("efficientnet_lite0: ").next().unwrap().click();
    w.run_steps(3);
    click(&mut w, "More");
    click(&mut w, "Random weights");
    type_into(&mut w, "Steps to train", "2");
    key(&mut w, Key::Enter);
    click(&mut w, "Start training");
    until(&mut w, "the end of the training", |h| says(h, "Done: 2 steps"));
    settled(&mut w);

    // Both videos are analyzed, and the traces of one looked at.
    w.key_press_modifiers(Modifiers::COMMAND, Key::Num5);
    w.run_steps(3);
    click(&mut w, "Videos of the project (2)");
    click(&mut w, "m1.mp4");
    click(&mut w, "m2.mp4");
    click(&mut w, "Add the ticked videos");
    click(&mut w, "Start analysis");
    until(&mut w, "the analysis", |h| h.query_all_by_label_contains("40 frames at ").count() == 2);
    settled(&mut w);
    click(&mut w, "Open the tracks of m2.mp4");
    until(&mut w, "the player", |h| h.state_mut().views().analyze.player().is_some_and(|p| p.is_ready()));
    assert!(says(&w, "Traces of x, y and likelihood"));
    key(&mut w, Key::End);
    assert_eq!(w.state_mut().views().analyze.player().map(|p| p.frame()), Some(39));
    let tables: Vec<_> = std::fs::read_dir(root.join("videos"))
        .unwrap()
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("m2DLC"))
        .collect();
    assert!(!tables.is_empty(), "the tracks are beside the video");
    never_slow(&mut w);
    w.state_mut().finish();
    never_waited();
}
