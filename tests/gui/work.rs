//! Training, analysis, and the player of tracks: real networks on a small rendered mouse.

use crate::common::*;
use eframe::egui::{Key, Modifiers, PointerButton, Vec2};
use egui_kittest::kittest::Queryable;
use limn::gui::Place;
use limn::pose::FrameKey;
use limn::project::{LabelStore, NewProject, PointEdit, Project, VideoMode};
use limn::synth::{Scene, SceneSpec};
use limn::train::session::{self, Options, Start};
use limn::train::{Recipe, history, models};
use limn::watch::Quiet;
use std::path::{Path, PathBuf};

const FRAMES: usize = 24;

/// A project with one video of [`FRAMES`] frames, of which 8 are labelled by their truth.
fn labeled(dir: &Path) -> PathBuf {
    let watch = Quiet::default();
    let film = dir.join("m1.mp4");
    video(&film, 3, FRAMES);
    let scene =
        Scene::new(SceneSpec { width: 160, height: 120, seed: 3, arena: 3, fps: 25.0, frames: FRAMES })
            .unwrap();
    let new = NewProject::single("mouse", "Ada", scene.skeleton().bodyparts);
    let mut project =
        Project::create(dir, &new, &[film], VideoMode::Copy, &|_| Ok((160, 120)), &watch).unwrap();
    project.config.skeleton = scene.skeleton().edges;
    project.config.save().unwrap();
    let mut edits = Vec::new();
    std::fs::create_dir_all(project.labeled_data("m1")).unwrap();
    for frame in (0..FRAMES).step_by(3) {
        let key = FrameKey::new("m1", project.image_name("m1", frame as u64, FRAMES as u64));
        scene.render(frame).save_png(&project.image_path(&key)).unwrap();
        for (point, at) in scene.truth(frame).into_iter().enumerate().filter(|(_, at)| at.is_some()) {
            edits.push(PointEdit::new(key.clone(), point, at));
        }
    }
    let mut store = LabelStore::edit(&project, &watch).unwrap();
    store.set_all(&edits).unwrap();
    store.flush(&watch).unwrap();
    project.root().to_path_buf()
}

/// Trains a network that knows nothing, in a second.
fn trained(root: &Path) {
    let mut recipe = Recipe::for_net("efficientnet_lite0").unwrap();
    (recipe.steps, recipe.batch, recipe.crop, recipe.warmup, recipe.evaluations) = (2, 2, 64, 1, 1);
    recipe.head.width = 16;
    let options = Options {
        net: Some("efficientnet_lite0".into()),
        start: Start::Random,
        recipe: Some(recipe),
        ..Options::default()
    };
    let watch = Quiet::default();
    session::train(&mut Project::open(root, &watch).unwrap(), &options, &watch).unwrap();
}

fn look(w: &mut Harnessed, name: &str) {
    if let Ok(dir) = std::env::var("LIMN_LOOK") {
        w.render().unwrap().save(Path::new(&dir).join(format!("{name}.png"))).unwrap();
    }
}

fn click_part(w: &mut Harnessed, part: &str) {
    until(w, &format!("a control with `{part}`"), |h| says(h, part));
    w.query_all_by_label_contains(part).next().unwrap().click();
    w.run_steps(3);
}

/// Types a number where it is asked for.
fn enter(w: &mut Harnessed, what: &str, number: &str) {
    type_into(w, what, number);
    w.key_press(Key::Enter);
    w.run_steps(2);
}

/// The window on a labelled project, where a small network is to be trained from random weights.
fn about_to_train(root: &Path, steps: &str) -> Harnessed {
    let mut w = window(Some(root), Some(Place::Train));
    opened(&mut w);
    click(&mut w, "Network");
    click_part(&mut w, "efficientnet_lite0: ");
    click(&mut w, "More");
    click(&mut w, "Random weights");
    enter(&mut w, "Steps to train", steps);
    w
}

#[test]
fn a_network_is_trained_stopped_resumed_and_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path());
    let mut w = about_to_train(&root, "3");
    click(&mut w, "Start training");
    until(&mut w, "the first step", |h| says(h, "images/s"));
    // It goes on while another view is in front.
    w.key_press_modifiers(Modifiers::COMMAND, Key::Num1);
    w.run_steps(3);
    assert_eq!(w.state().place(), Some(Place::Project));
    until(&mut w, "the end of the training", |h| h.state().jobs().running().is_empty());
    w.key_press_modifiers(Modifiers::COMMAND, Key::Num4);
    until(&mut w, "the verdict", |h| says(h, "Done: 3 steps") && says(h, "On frames it has not seen"));
    assert!(says(&w, "Error (px): Test frames") && says(&w, "Loss: Loss"), "the curves, in words");
    settled(&mut w);
    look(&mut w, "train");
    until(&mut w, "the example frames", |h| says(h, "px off, among the worst"));
    let watch = Quiet::default();
    let project = Project::open(&root, &watch).unwrap();
    let model = models(&project).unwrap().remove(0);
    assert!(model.complete && !model.resumable && model.steps == (3, 3));
    let rows = history(&model.folder).unwrap();
    assert!(rows.last().unwrap().test_px.is_some() && rows.last().unwrap().train_px.is_some());
    settled(&mut w);

    click(&mut w, "Evaluate");
    until(&mut w, "the table", |h| says(h, "All, test frames"));
    assert!(says(&w, "snout"));
    assert!(model.folder.join("evaluation/results.json").is_file());
    settled(&mut w);

    // Again, longer; stopped, and resumed.
    enter(&mut w, "Steps to train", "500");
    click(&mut w, "Train again");
    until(&mut w, "the first step", |h| says(h, "images/s"));
    click(&mut w, "Stop training");
    until(&mut w, "the stop", |h| says(h, "Stopped at step"));
    settled(&mut w);
    let stopped = models(&project).unwrap().remove(0);
    assert!(stopped.resumable && !stopped.complete && stopped.steps.0 < 500, "{stopped:?}");
    click(&mut w, "Resume");
    until(&mut w, "another step", |h| says(h, &format!("Step {} of 500", stopped.steps.0 + 1)));
    click(&mut w, "Stop training");
    settled(&mut w);
    assert!(models(&project).unwrap().remove(0).steps.0 > stopped.steps.0);
    never_waited();
}

#[test]
fn an_ensemble_is_trained_stopped_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path());
    let mut w = about_to_train(&root, "6");
    enter(&mut w, "Networks", "2");
    click(&mut w, "Start training");
    until(&mut w, "the second network", |h| says(h, "Network 2 of 2") && says(h, "images/s"));
    click(&mut w, "Stop training");
    until(&mut w, "the stop", |h| says(h, "Stopped at step"));
    settled(&mut w);
    let project = Project::open(&root, &Quiet::default()).unwrap();
    let stopped = models(&project).unwrap().remove(0);
    assert!(stopped.resumable && stopped.members == 2 && stopped.model.is_none(), "{stopped:?}");
    // What the form says meanwhile does not count.
    enter(&mut w, "Steps to train", "500");
    click(&mut w, "Resume");
    until(&mut w, "the end", |h| says(h, "Done: 2 networks"));
    settled(&mut w);
    let done = models(&project).unwrap().remove(0);
    assert!(!done.resumable && done.members == 2 && done.complete && done.steps.0 == 6, "{done:?}");
    click(&mut w, "Evaluate");
    until(&mut w, "the table", |h| says(h, "All, test frames") && says(h, "Open the report"));
    assert!(says(&w, "likelihood"), "what likelihoods are worth");
    assert!(done.folder.join("evaluation/report.html").is_file());
    settled(&mut w);
    look(&mut w, "ensemble");
    // Another one, over it: what it will take up are its own members alone.
    let checkpoint = |n: u32| done.folder.join(format!("member-{n}/checkpoint.yaml"));
    assert!(checkpoint(2).is_file());
    click(&mut w, "Train again");
    until(&mut w, "the first network", |h| says(h, "Network 1 of 2") && says(h, "images/s"));
    click(&mut w, "Stop training");
    until(&mut w, "the stop", |h| says(h, "Stopped at step"));
    settled(&mut w);
    assert!(checkpoint(1).is_file() && !checkpoint(2).exists());
    let again = models(&project).unwrap().remove(0);
    assert!(again.resumable && !again.complete && again.model.is_some(), "{again:?}");
    never_waited();
}

#[test]
fn a_split_is_drawn_and_the_past_is_read_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path());
    trained(&root);
    let mut w = window(Some(&root), Some(Place::Train));
    opened(&mut w);
    until(&mut w, "the past run", |h| says(h, "efficientnet_lite0: complete, 2 steps"));
    assert!(says(&w, "Error (px): Test frames"));
    click(&mut w, "Draw a new split");
    click(&mut w, "Keep whole videos together");
    click(&mut w, "Draw split");
    until(&mut w, "the refusal", |h| h.state().notices().texts().any(|(_, t)| t.contains("of one video")));
    click(&mut w, "Keep whole videos together");
    click(&mut w, "Draw split");
    until(&mut w, "the new split", |h| says(h, "Nothing was trained on this split yet."));
    let project = Project::open(&root, &Quiet::default()).unwrap();
    let all = models(&project).unwrap();
    assert_eq!(all.iter().map(|m| (m.shuffle, m.net.is_some())).collect::<Vec<_>>(), [(1, true), (2, false)]);
    never_waited();
}

#[test]
fn videos_are_analyzed_and_their_tracks_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path());
    trained(&root);
    let mut w = window(Some(&root), Some(Place::Analyze));
    opened(&mut w);
    until(&mut w, "the model", |h| says(h, "Videos of the project (1)"));

    // What is no video is told, and nothing is queued.
    type_into(&mut w, "Path of a video or folder", &root.join("config.yaml").display().to_string());
    click(&mut w, "Add path");
    until(&mut w, "the refusal", |h| h.state().notices().texts().any(|(_, t)| t.contains("no video")));
    // A broken video fails by itself; the other is analyzed.
    let broken = dir.path().join("broken.mp4");
    std::fs::write(&broken, b"no film").unwrap();
    type_into(&mut w, "Path of a video or folder", &broken.display().to_string());
    click(&mut w, "Add path");
    click(&mut w, "Videos of the project (1)");
    click(&mut w, "m1.mp4");
    click(&mut w, "Add the ticked videos");
    until(&mut w, "the queue", |h| h.query_all_by_label("waiting").count() == 2);
    look(&mut w, "analyze");
    click(&mut w, "Start analysis");
    until(&mut w, "the end of the analysis", |h| says(h, "24 frames at ") && says(h, "failed: "));
    assert!(says(&w, "limited by "));
    settled(&mut w);
    until(&mut w, "the result in the list", |h| says(h, "Open m1 by DLC_EfficientnetLite0"));

    click(&mut w, "Open the tracks of m1.mp4");
    until(&mut w, "the player", |h| h.state_mut().views().analyze.player().is_some_and(|p| p.is_ready()));
    let frame = |w: &mut Harnessed| w.state_mut().views().analyze.player().map(|p| p.frame());
    assert_eq!(frame(&mut w), Some(0));
    w.key_press(Key::ArrowRight);
    w.run_steps(2);
    w.key_press_modifiers(Modifiers::SHIFT, Key::ArrowRight);
    w.run_steps(2);
    assert_eq!(frame(&mut w), Some(11));
    // The cursor is ahead at once; the points stay with the picture until the next one is there.
    let drawn = w.state_mut().views().analyze.player().unwrap().player().drawn();
    assert!(says(&w, &format!("Frame {drawn} with ")), "points of frame {drawn}, whose picture is shown");
    until(&mut w, "the picture of the frame", |h| says(h, "Frame 11 with "));
    click(&mut w, "Last frame");
    assert_eq!(frame(&mut w), Some(FRAMES - 1));
    // A click in the middle of the traces goes to the middle of the video.
    let traces = w.query_all_by_label_contains("Traces of x, y and likelihood").next().unwrap().rect();
    let middle = traces.center() + Vec2::new(26.0, 0.0);
    w.hover_at(middle);
    w.step();
    for pressed in [true, false] {
        w.event(eframe::egui::Event::PointerButton {
            pos: middle,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
        w.step();
    }
    w.run_steps(3);
    let at = frame(&mut w).unwrap();
    assert!(at.abs_diff(FRAMES / 2) <= 1, "frame {at}");
    click(&mut w, "Play");
    until(&mut w, "playing to the end", |h| {
        h.state_mut().views().analyze.player().is_some_and(|p| p.frame() == FRAMES - 1)
    });
    click(&mut w, "First frame");
    assert_eq!(frame(&mut w), Some(0));
    look(&mut w, "player");
    w.state_mut().views().analyze.player().unwrap().set_cutoff(0.0);
    w.run_steps(2);
    until(&mut w, "all points of the first frame", |h| says(h, "Frame 0 with 8 points"));
    look(&mut w, "player3");
    click(&mut w, "Render labeled video");
    look(&mut w, "player2");
    until(&mut w, "the labeled video", |h| {
        h.state().notices().texts().any(|(_, t)| t.contains("_labeled.mp4"))
    });
    let written = std::fs::read_dir(root.join("videos")).unwrap().flatten().map(|e| e.file_name());
    assert!(written.into_iter().any(|n| n.to_string_lossy().ends_with("_p0_labeled.mp4")));
    click(&mut w, "Back to the list");
    assert!(says(&w, "Start analysis"));
    never_waited();
}
