//! Labeling: the three modes, moving, removing, not visible, undo over frames, copying, and what then lies on disk.

use crate::common::*;
use eframe::egui::{Event, Key, Modifiers, PointerButton};
use limn::gui::Place;
use limn::labeling::State;
use limn::picture::Picture;
use limn::pose::{FrameKey, Keypoint};
use limn::project::{Mark, NewProject, Project, VideoMode};
use limn::watch::Quiet;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PARTS: [&str; 4] = ["snout", "leftear", "rightear", "tail"];
const SIZE: (usize, usize) = (200, 150);

/// A project with `count` pictures of each video, ready to be labeled.
fn project(dir: &Path, individuals: &[&str], videos: &[(&str, usize)]) -> PathBuf {
    let mut new = NewProject::single("reach", "Ada", PARTS);
    new.individuals = individuals.iter().map(|i| (*i).to_owned()).collect();
    new.skeleton = vec![["snout".to_owned(), "tail".to_owned()]];
    let made = Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok(SIZE), &Quiet::default()).unwrap();
    for (v, (video, count)) in videos.iter().enumerate() {
        let folder = made.labeled_data(video);
        std::fs::create_dir_all(&folder).unwrap();
        for n in 0..*count {
            let mut picture = Picture::new(SIZE.0, SIZE.1);
            for (i, value) in picture.rgb_mut().iter_mut().enumerate() {
                *value = ((i / 3) % SIZE.0 + n * 9 + v * 40) as u8;
            }
            picture.save_png(&folder.join(name(n))).unwrap();
        }
    }
    made.root().to_path_buf()
}

fn name(n: usize) -> String {
    format!("img{n:02}.png")
}

fn key(video: &str, n: usize) -> FrameKey {
    FrameKey::new(video, name(n))
}

/// Where a point is to be, with a fraction of a pixel.
fn spot(video: &str, n: usize, part: usize) -> Keypoint {
    let shift = video.bytes().map(f64::from).sum::<f64>() % 7.0;
    Keypoint::new(
        20.25 + 5.5 * n as f64 + 7.0 * part as f64 + shift,
        15.6 + 28.0 * part as f64 + 0.75 * n as f64,
    )
}

fn labeler(root: &Path) -> Harnessed {
    let mut w = window(Some(root), Some(Place::Label));
    opened(&mut w);
    ready(&mut w);
    w
}

/// Waits for the picture in front.
pub fn ready(w: &mut Harnessed) {
    until(w, "the picture", |h| h.state_mut().views().label.is_ready());
}

pub fn in_front(w: &mut Harnessed) -> FrameKey {
    w.state_mut().views().label.frame().cloned().unwrap()
}

/// Presses and lets go at a position of the frame.
fn press_with(w: &mut Harnessed, at: Keypoint, button: PointerButton) {
    ready(w);
    let pos = w.state_mut().views().label.on_screen(at).unwrap();
    w.hover_at(pos);
    for pressed in [true, false] {
        w.event(Event::PointerButton { pos, button, pressed, modifiers: Modifiers::NONE });
    }
    w.run_steps(3);
}

pub fn press(w: &mut Harnessed, at: Keypoint) {
    press_with(w, at, PointerButton::Primary);
}

fn drag(w: &mut Harnessed, from: Keypoint, to: Keypoint) {
    ready(w);
    let label = &w.state_mut().views().label;
    let (a, b) = (label.on_screen(from).unwrap(), label.on_screen(to).unwrap());
    drag_on_screen(w, a, b);
}

pub fn key_press(w: &mut Harnessed, key: Key) {
    w.key_press(key);
    w.run_steps(3);
}

fn mark(w: &Harnessed, key: &FrameKey, point: usize) -> Mark {
    w.state().project().unwrap().labels.mark(key, point)
}

fn at(w: &Harnessed, key: &FrameKey, point: usize) -> Keypoint {
    mark(w, key, point).place().unwrap_or_else(|| panic!("{key} {point} is not placed"))
}

/// The tables on disk, number by number: picture to x1, y1, x2, y2, ...; as any program reads them.
pub fn table(root: &Path, video: &str) -> BTreeMap<String, Vec<Option<f64>>> {
    let path = root.join("labeled-data").join(video).join("CollectedData_Ada.csv");
    let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(path).unwrap();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let body = rows.iter().filter(|r| &r[0] == "labeled-data");
    body.map(|r| (r[2].to_owned(), r.iter().skip(3).map(|v| v.parse().ok()).collect())).collect()
}

fn assert_spots(root: &Path, video: &str, count: usize) {
    let table = table(root, video);
    assert_eq!(table.len(), count, "{video}");
    for n in 0..count {
        let row = &table[&name(n)];
        for part in 0..PARTS.len() {
            let wanted = spot(video, n, part);
            let got = (row[2 * part].unwrap(), row[2 * part + 1].unwrap());
            let off = (got.0 - wanted.x).abs().max((got.1 - wanted.y).abs());
            assert!(off < 1e-3, "{video} {n} {}: {got:?}, clicked at {wanted:?}", PARTS[part]);
        }
    }
}

fn close(mut w: Harnessed) {
    w.state_mut().finish();
}

#[test]
fn twenty_frames_in_each_mode() {
    let dir = tempfile::tempdir().unwrap();
    let videos = [("m1", 20), ("m2", 20), ("m3", 20)];
    let root = project(dir.path(), &[], &videos);
    let mut w = labeler(&root);
    assert_eq!(in_front(&mut w), key("m1", 0));

    // Sequential: a click more does nothing.
    for n in 0..20 {
        assert_eq!(in_front(&mut w), key("m1", n));
        for part in 0..4 {
            press(&mut w, spot("m1", n, part));
        }
        if n % 10 == 3 {
            press(&mut w, Keypoint::new(190.0, 10.0));
            assert!(says(&w, "is placed already"));
        }
        key_press(&mut w, Key::D);
    }

    // Quick: the first try is wrong, and a second round of clicks moves all of it.
    key_press(&mut w, Key::M);
    for n in 0..20 {
        assert_eq!(in_front(&mut w), key("m2", n));
        for part in 0..4 {
            if n % 5 == 0 {
                press(&mut w, Keypoint::new(150.0 + 10.0 * part as f64, 140.0));
            } else {
                press(&mut w, spot("m2", n, part));
            }
        }
        if n % 5 == 0 {
            (0..3).for_each(|_| key_press(&mut w, Key::W));
            for part in 0..4 {
                press(&mut w, spot("m2", n, part));
            }
        }
        key_press(&mut w, Key::D);
    }

    // Loop: one body part through all frames, then the next, without any key.
    key_press(&mut w, Key::M);
    assert_eq!(in_front(&mut w), key("m3", 0));
    for part in 0..4 {
        for n in 0..20 {
            assert_eq!(in_front(&mut w), key("m3", n), "part {part}");
            press(&mut w, spot("m3", n, part));
        }
    }
    assert!(says(&w, "60 of 60 frames done"));
    key_press(&mut w, Key::Home);
    assert!(says(&w, "m1, 20 of 20 frames done"));
    saved(&mut w);
    close(w);
    videos.iter().for_each(|(video, count)| assert_spots(&root, video, *count));
    never_waited();
}

#[test]
fn corrections_undo_over_frames_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &[], &[("m1", 3), ("m2", 2)]);
    let mut w = labeler(&root);
    let (a, b) = (key("m1", 0), key("m1", 1));
    for part in 0..4 {
        press(&mut w, spot("m1", 0, part));
    }
    // A drag is one step, and ends inside the picture.
    let ear = Keypoint::new(60.5, 70.25);
    drag(&mut w, spot("m1", 0, 1), ear);
    assert!(at(&w, &a, 1).distance(ear) < 1e-3);
    let undo = |w: &Harnessed| w.state().project().unwrap().labels.can_undo().map(str::to_owned);
    assert_eq!(undo(&w).as_deref(), Some("move leftear"));
    drag(&mut w, ear, Keypoint::new(-30.0, 70.25));
    assert!(at(&w, &a, 1).inside(200.0, 150.0) && at(&w, &a, 1).x < 1.0);
    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    assert!(at(&w, &a, 1).distance(ear) < 1e-3);

    // Nudges: ten and one, together one step. Nothing is edited until they end.
    press(&mut w, ear); // all is placed, so a click selects
    key_press(&mut w, Key::ArrowRight);
    key_press(&mut w, Key::ArrowRight);
    w.key_press_modifiers(Modifiers::SHIFT, Key::ArrowDown);
    w.run_steps(2);
    key_press(&mut w, Key::ArrowLeft);
    until(&mut w, "the nudges to end", |h| undo(h).as_deref() == Some("nudge leftear"));
    let nudged = Keypoint::new(ear.x + 1.0, ear.y + 10.0);
    assert!(at(&w, &a, 1).distance(nudged) < 1e-3);
    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    assert!(at(&w, &a, 1).distance(ear) < 1e-3, "one step");
    w.key_press_modifiers(Modifiers::COMMAND, Key::Y);
    w.run_steps(3);
    assert!(at(&w, &a, 1).distance(nudged) < 1e-3);

    // Removed by the right button and by a key; not visible by a key.
    press_with(&mut w, spot("m1", 0, 3), PointerButton::Secondary);
    assert_eq!(mark(&w, &a, 3), Mark::Unlabeled);
    press(&mut w, spot("m1", 0, 3)); // the removed one is the next again
    key_press(&mut w, Key::Backspace);
    assert_eq!(mark(&w, &a, 3), Mark::Unlabeled);
    key_press(&mut w, Key::N);
    assert_eq!(mark(&w, &a, 3), Mark::Hidden);
    assert!(says(&w, "tail, not visible"));
    assert!(says(&w, "img00.png of m1, done"));

    // Copied from the frame before: only what is to do, then all.
    key_press(&mut w, Key::D);
    assert_eq!(in_front(&mut w), b);
    press(&mut w, spot("m1", 1, 0));
    key_press(&mut w, Key::C);
    assert!(at(&w, &b, 0).distance(spot("m1", 1, 0)) < 1e-3);
    assert!(at(&w, &b, 1).distance(nudged) < 1e-3);
    assert_eq!(mark(&w, &b, 3), Mark::Unlabeled);
    w.key_press_modifiers(Modifiers::SHIFT, Key::C);
    w.run_steps(3);
    assert!(at(&w, &b, 0).distance(at(&w, &a, 0)) < 1e-9);
    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    assert!(at(&w, &b, 0).distance(spot("m1", 1, 0)) < 1e-3);

    // Outside the picture nothing is placed.
    press(&mut w, Keypoint::new(100.0, -3.0));
    assert!(says(&w, "only be placed inside the picture"));
    assert_eq!(mark(&w, &b, 3), Mark::Unlabeled);

    // To another video's frame, and back by undo: it goes to the frame it changes.
    key_press(&mut w, Key::U);
    assert_eq!(in_front(&mut w), key("m1", 2));
    key_press(&mut w, Key::U);
    key_press(&mut w, Key::U);
    assert_eq!(in_front(&mut w), key("m2", 1));
    press(&mut w, spot("m2", 1, 0));
    for wanted in [key("m2", 1), b.clone(), b.clone(), a.clone()] {
        w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
        w.run_steps(3);
        assert_eq!(in_front(&mut w), wanted);
    }
    assert_eq!(mark(&w, &a, 3), Mark::Unlabeled, "not visible is undone too");
    assert_eq!(mark(&w, &b, 0), Mark::Unlabeled);
    for wanted in [a.clone(), b.clone(), b.clone()] {
        w.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
        w.run_steps(3);
        assert_eq!(in_front(&mut w), wanted);
    }

    // Closed in the middle of a nudge, and opened again: all of it is there, and can still be undone.
    ready(&mut w);
    key_press(&mut w, Key::W); // from the tail, which is to do, to the right ear
    key_press(&mut w, Key::ArrowUp);
    let last = Keypoint::new(spot("m1", 0, 2).x, spot("m1", 0, 2).y - 1.0);
    close(w);
    let tail = &table(&root, "m1")[&name(0)];
    assert_eq!(tail[6..], [None, None], "not visible is an empty cell");
    let row = &table(&root, "m1")[&name(1)];
    assert!((row[5].unwrap() - last.y).abs() < 1e-3, "{row:?}");

    let mut w = labeler(&root);
    assert_eq!(mark(&w, &a, 3), Mark::Hidden);
    assert!(at(&w, &b, 2).distance(last) < 1e-3);
    assert_eq!(undo(&w).as_deref(), Some("nudge rightear"));
    w.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    w.run_steps(3);
    assert_eq!(in_front(&mut w), b, "undo goes to the frame it changes, in a new session too");
    assert!(at(&w, &b, 2).distance(spot("m1", 0, 2)) < 1e-3);
    saved(&mut w);
    close(w);
    never_waited();
}

#[test]
fn two_animals_are_chosen_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &["mus1", "mus2"], &[("m1", 2)]);
    let mut w = labeler(&root);
    for (animal, digit) in [(1, Key::Num2), (0, Key::Num1)] {
        key_press(&mut w, digit);
        for part in 0..4 {
            press(&mut w, spot("m1", animal * 3, part));
        }
    }
    let k = key("m1", 0);
    for point in 0..8 {
        assert!(at(&w, &k, point).distance(spot("m1", point / 4 * 3, point % 4)) < 1e-3);
    }
    assert!(says(&w, "1 of 2 frames done"));
    // In the next frame the second animal is not there at all.
    key_press(&mut w, Key::D);
    key_press(&mut w, Key::Num2);
    w.key_press_modifiers(Modifiers::SHIFT, Key::N);
    w.run_steps(3);
    assert!((4..8).all(|p| mark(&w, &key("m1", 1), p) == Mark::Hidden));
    saved(&mut w);
    close(w);
    never_waited();
}

#[test]
fn a_corrupt_picture_a_second_window_and_no_frames() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &[], &[("m1", 2)]);
    std::fs::write(root.join("labeled-data/m1/img00.png"), b"\x89PNG cut off").unwrap();
    let mut w = window(Some(&root), Some(Place::Label));
    opened(&mut w);
    until(&mut w, "the words", |h| says(h, "Try the picture again"));
    let middle = w.ctx.content_rect().center();
    w.hover_at(middle);
    for pressed in [true, false] {
        let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
        w.event(Event::PointerButton { pos: middle, button, pressed, modifiers });
    }
    w.run_steps(3);
    assert_eq!(w.state().project().unwrap().labels.labels().labeled_points(), 0, "nobody saw a place");
    // The others go on; and the mended picture comes.
    key_press(&mut w, Key::D);
    press(&mut w, spot("m1", 1, 0));
    std::fs::copy(root.join("labeled-data/m1/img01.png"), root.join("labeled-data/m1/img00.png")).unwrap();
    key_press(&mut w, Key::A);
    click(&mut w, "Try the picture again");
    ready(&mut w);

    // A second window looks only, says why, and refuses.
    let mut second = labeler(&root);
    assert!(matches!(second.state().project().unwrap().labels.state(), State::ReadOnly { .. }));
    assert!(says(&second, "Only to look at"));
    press(&mut second, spot("m1", 0, 1));
    assert!(says(&second, "Nothing can be changed here"));
    drag(&mut second, spot("m1", 1, 0), spot("m1", 1, 2));
    drop(second);
    saved(&mut w);
    close(w);

    let dir = tempfile::tempdir().unwrap();
    let empty = project(dir.path(), &[], &[]);
    let mut w = window(Some(&empty), Some(Place::Label));
    opened(&mut w);
    assert!(says(&w, "No frames yet"));
    click(&mut w, "Go to Videos");
    assert_eq!(w.state().place(), Some(Place::Videos));
    never_waited();
}

#[test]
fn a_held_point_stays_in_its_frame_and_keys_act_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let root = project(dir.path(), &[], &[("m1", 3)]);
    let mut w = labeler(&root);
    for part in 0..PARTS.len() {
        press(&mut w, spot("m1", 0, part));
    }
    // In sequential mode a full frame stays in front; hold its tail, and press keys that would leave or remove it.
    assert_eq!(in_front(&mut w), key("m1", 0));
    let label = &w.state_mut().views().label;
    let (from, to) = (spot("m1", 0, 3), Keypoint::new(150.0, 60.0));
    let (a, b) = (label.on_screen(from).unwrap(), label.on_screen(to).unwrap());
    w.drag_at(a);
    w.step();
    w.hover_at(a + (b - a) * 0.5);
    w.step();
    key_press(&mut w, Key::D);
    key_press(&mut w, Key::Backspace);
    w.hover_at(b);
    w.step();
    w.drop_at(b);
    w.run_steps(3);
    assert_eq!(in_front(&mut w), key("m1", 0));
    assert!(at(&w, &key("m1", 0), 3).distance(to) < 1.0, "{:?}", at(&w, &key("m1", 0), 3));
    assert!((0..PARTS.len()).all(|p| mark(&w, &key("m1", 1), p) == Mark::Unlabeled));

    // "Not visible", then the next frame, both in one slow pass: it is said of the frame that was in front.
    key_press(&mut w, Key::D);
    assert_eq!(in_front(&mut w), key("m1", 1));
    for k in [Key::N, Key::D] {
        let event = Event::Key {
            key: k,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: Modifiers::NONE,
        };
        w.input_mut().events.push(event);
    }
    w.run_steps(3);
    assert_eq!(in_front(&mut w), key("m1", 2));
    assert_eq!(mark(&w, &key("m1", 1), 0), Mark::Hidden);
    assert_eq!(mark(&w, &key("m1", 2), 0), Mark::Unlabeled);
    saved(&mut w);
    close(w);
    never_waited();
}
