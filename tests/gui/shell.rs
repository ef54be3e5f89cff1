//! The frame: start screen, assistant, palette, shortcuts, themes, what cannot be opened.

use crate::common::*;
use eframe::egui::{Key, Modifiers};
use limn::gui::Place;
use limn::project::{NewProject, Project, VideoMode};
use limn::watch::Quiet;
use std::path::{Path, PathBuf};

/// A project without videos.
pub fn project(dir: &Path) -> PathBuf {
    let new = NewProject::single("reach", "Ada", ["snout", "leftear", "rightear", "tail"]);
    Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((1, 1)), &Quiet::default())
        .unwrap()
        .root()
        .to_path_buf()
}

#[test]
fn a_new_project_from_the_start_screen() {
    let dir = tempfile::tempdir().unwrap();
    let films = [dir.path().join("m1.mp4"), dir.path().join("m2.mp4")];
    for (i, film) in films.iter().enumerate() {
        video(film, i as u64, 12);
    }
    let mut w = window(None, None);
    click(&mut w, "New project…");
    assert!(says(&w, "Give the project a name."));
    type_into(&mut w, "Name of the project", "open field");
    type_into(&mut w, "Who labels (scorer)", "Ada");
    w.state_mut().dialogs().answer_next(vec![dir.path().to_path_buf()]);
    click(&mut w, "Choose folder…");
    w.state_mut().dialogs().answer_next(films.to_vec());
    click(&mut w, "Choose videos…");
    type_into(&mut w, "Body part", "snout, leftear, rightear, tail");
    click(&mut w, "Add body part");
    assert!(says(&w, "leftear / rightear"), "the pair is found by its names");
    // A line from snout to tail, by two presses on the drawing.
    click(&mut w, "Begin a line at snout");
    click(&mut w, "Join snout and tail, or take their line away");
    click(&mut w, "Make the project");
    opened(&mut w);
    let open = w.state().project().unwrap();
    assert_eq!(open.project().skeleton().bodyparts, ["snout", "leftear", "rightear", "tail"]);
    assert_eq!(open.project().config.skeleton, [["snout".to_owned(), "tail".to_owned()]]);
    assert_eq!(open.contents.videos.len(), 2);
    assert!(open.project().root().join("config.yaml").exists());
    assert_eq!(w.state().place(), Some(Place::Videos));
    never_waited();
}

#[test]
fn a_folder_that_is_no_project_is_told_and_nothing_else_happens() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = window(None, None);
    type_into(&mut w, "Project folder", &dir.path().display().to_string());
    click(&mut w, "Open");
    settled(&mut w);
    assert!(w.state().project().is_none());
    let said: Vec<&str> = w.state().notices().texts().map(|(_, t)| t).collect();
    assert!(said.iter().any(|t| t.contains("no project") && t.contains("limn new")), "{said:?}");
    never_waited();
}

#[test]
fn everything_of_the_frame_goes_by_keys() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path());
    let mut w = window(Some(&root), None);
    opened(&mut w);
    for (key, place) in [
        (Key::Num2, Place::Videos),
        (Key::Num3, Place::Label),
        (Key::Num4, Place::Train),
        (Key::Num5, Place::Analyze),
        (Key::Num1, Place::Project),
    ] {
        w.key_press_modifiers(Modifiers::COMMAND, key);
        w.run_steps(3);
        assert_eq!(w.state().place(), Some(place));
    }
    // The palette, by letters and Enter.
    w.key_press_modifiers(Modifiers::COMMAND, Key::K);
    w.run_steps(3);
    w.event(eframe::egui::Event::Text("train".into()));
    w.run_steps(2);
    w.key_press(Key::Enter);
    w.run_steps(4);
    assert_eq!(w.state().place(), Some(Place::Train));
    // All shortcuts stand under `?`, and can be changed there.
    w.key_press_modifiers(Modifiers::SHIFT, Key::Questionmark);
    w.run_steps(3);
    assert!(says(&w, "Keyboard shortcuts"));
    click(&mut w, "Change the key of Go to Videos");
    assert!(says(&w, "Press the new key of “Go to Videos”"));
    w.key_press_modifiers(Modifiers::ALT, Key::V);
    w.run_steps(3);
    click(&mut w, "Close");
    w.key_press_modifiers(Modifiers::ALT, Key::V);
    w.run_steps(3);
    assert_eq!(w.state().place(), Some(Place::Videos));
    never_waited();
}

#[test]
fn body_parts_and_pairs_are_changed_in_the_project_view() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path());
    let mut w = window(Some(&root), Some(Place::Project));
    opened(&mut w);
    type_into(&mut w, "New body part", "paw");
    click(&mut w, "Add body part");
    until(&mut w, "the new body part", |h| {
        h.state().project().is_some_and(|p| p.project().skeleton().bodyparts.len() == 5)
    });
    click(&mut w, "Take the pair leftear and rightear away");
    settled(&mut w);
    let read = Project::open(&root, &Quiet::default()).unwrap();
    assert_eq!(read.skeleton().bodyparts, ["snout", "leftear", "rightear", "tail", "paw"]);
    assert_eq!(read.settings.mirror_pairs, Some(vec![]));
    never_waited();
}
