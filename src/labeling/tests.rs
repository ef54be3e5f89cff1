use super::*;
use crate::pose::{FrameKey, Keypoint};
use crate::project::{LabelStore, NewProject, Project, VideoMode};
use crate::watch::Quiet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn project(dir: &Path) -> Project {
    let new = NewProject::single("reach", "Ada", ["hand", "elbow"]);
    Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &Quiet::default()).unwrap()
}

fn key(n: u32) -> FrameKey {
    FrameKey::new("m1", format!("img{n:02}.png"))
}

fn at(x: f64) -> Keypoint {
    Keypoint::new(x, x / 2.0)
}

fn open(p: &Project) -> (Session, Vec<Notice>) {
    let mut s = Session::open(p, Arc::new(|| {}));
    let notices = until(&mut s, |s| !matches!(s.state(), State::Opening));
    (s, notices)
}

/// Polls until it is so, as a window would; gives the notices.
fn until(s: &mut Session, mut so: impl FnMut(&Session) -> bool) -> Vec<Notice> {
    let begun = Instant::now();
    let mut told = s.poll();
    while !so(s) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?} {:?} {told:?}", s.state(), s.safety());
        std::thread::sleep(Duration::from_millis(2));
        told.extend(s.poll());
    }
    told
}

fn place(s: &mut Session, n: u32, point: usize, x: f64) {
    s.edit("place", vec![PointEdit::new(key(n), point, at(x))]);
}

fn on_disk(p: &Project) -> LabelStore {
    LabelStore::read(p, &Quiet::default()).unwrap()
}

#[test]
fn edits_are_shown_saved_and_undone_over_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    let (mut s, told) = open(&p);
    assert!(matches!(s.state(), State::Editing) && told.is_empty(), "{told:?}");
    place(&mut s, 1, 0, 1.0);
    place(&mut s, 1, 0, 2.0);
    s.edit("not visible", vec![PointEdit::new(key(2), 1, Mark::Hidden)]);
    place(&mut s, 1, 0, 2.0); // changes nothing
    s.edit(
        "bad",
        vec![PointEdit::new(key(2), 7, at(1.0)), PointEdit::new(FrameKey::new("../m", "a"), 0, None)],
    );
    assert_eq!(s.poll().iter().filter(|n| n.severity == Severity::Error).count(), 2);
    assert_eq!((s.can_undo(), s.can_redo()), (Some("not visible"), None));
    assert!(s.is_hidden(&key(2), 1));
    assert_eq!(s.undo().unwrap().keys, [key(2)]);
    assert!(!s.is_hidden(&key(2), 1));
    assert!(s.redo().is_some() && s.is_hidden(&key(2), 1));
    assert_eq!(s.safety().labeled_points, 1);
    assert!(s.frame_version(&key(1)) < s.frame_version(&key(2)) && s.frame_version(&key(2)) == s.version());
    until(&mut s, |s| {
        s.safety().in_memory == 0 && s.safety().in_journal == 0 && s.safety().last_saved.is_some()
    });
    s.close().unwrap();
    let looked = on_disk(&p);
    assert_eq!(looked.labels().frames[&key(1)].points[0], Some(at(2.0)));
    assert_eq!(looked.mark(&key(2), 1), Mark::Hidden);
    assert!(!p.labeled_data("m1").join("labels.journal").exists());

    let (mut s, _) = open(&p);
    assert_eq!(s.undo().unwrap().what, "not visible");
    s.undo();
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(1.0)));
    s.close().unwrap();
    let (mut s, _) = open(&p);
    assert!(s.redo().is_some());
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(2.0)));
    place(&mut s, 5, 0, 9.0); // cuts redo
    assert!(s.redo().is_none());
    while s.undo().is_some() {}
    assert_eq!((s.safety().labeled_points, s.hidden().iter().count()), (0, 0));
    s.close().unwrap();
    assert_eq!(on_disk(&p).labels().labeled_points(), 0);
}

fn csv(p: &Project) -> std::path::PathBuf {
    p.labeled_data("m1").join("CollectedData_Ada.csv")
}

/// A project with pictures 1 to 4 labelled and written to the files.
fn labeled(dir: &Path) -> Project {
    let p = project(dir);
    let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
    for n in 1..5 {
        store.set(&key(n), 0, Some(at(f64::from(n)))).unwrap();
        store.set(&key(n), 1, Some(at(f64::from(n) + 50.0))).unwrap();
    }
    store.flush(&Quiet::default()).unwrap();
    p
}

/// As another program would: it writes the CSV alone, later than the HDF5.
fn write_outside(p: &Project, changed: &[(&str, &str)]) {
    std::thread::sleep(Duration::from_millis(20));
    let mut text = std::fs::read_to_string(csv(p)).unwrap();
    for (from, to) in changed {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    std::fs::write(csv(p), text).unwrap();
}

fn has(told: &[Notice], what: &str) -> bool {
    told.iter().any(|n| n.text.contains(what))
}

#[test]
fn what_others_change_is_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (mut s, _) = open(&p);
    place(&mut s, 1, 0, 9.0); // ours, another point than theirs
    until(&mut s, |s| s.safety().in_memory == 0);
    write_outside(&p, &[("img02.png,2.0,1.0", "img02.png,7.0,7.5"), ("img03.png,3.0,1.5", "img03.png,,")]);
    let told = until(&mut s, |s| s.mark(&key(2), 0) == Mark::At(Keypoint::new(7.0, 7.5)));
    assert!(has(&told, "m1: 2 points changed by another program were taken in"), "{told:?}");
    assert_eq!(s.mark(&key(3), 0), Mark::Unlabeled);
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(9.0)));
    assert_eq!(s.safety().labeled_points, 7);
    assert!(s.conflict().is_none());
    s.close().unwrap();
    let store = on_disk(&p);
    assert_eq!(store.mark(&key(1), 0), Mark::At(at(9.0)));
    assert_eq!(store.mark(&key(2), 0), Mark::At(Keypoint::new(7.0, 7.5)));
    assert_eq!(store.mark(&key(3), 0), Mark::Unlabeled);
    assert_eq!(store.labels().labeled_points(), 7);
}

#[test]
fn points_changed_on_both_sides_are_for_the_person() {
    for choice in [Resolution::Mine, Resolution::Theirs] {
        let dir = tempfile::tempdir().unwrap();
        let p = labeled(dir.path());
        let (mut s, _) = open(&p);
        place(&mut s, 1, 0, 9.0);
        place(&mut s, 2, 0, 9.0);
        until(&mut s, |s| s.safety().in_memory == 0);
        write_outside(&p, &[("img02.png,2.0,1.0", "img02.png,7.0,7.5")]);
        let theirs = std::fs::read(csv(&p)).unwrap();
        let told = until(&mut s, |s| s.conflict().is_some());
        assert!(has(&told, "say which to keep"), "{told:?}");
        let conflict = s.conflict().unwrap();
        assert_eq!(conflict.points.len(), 1);
        let point = &conflict.points[0];
        assert_eq!((&point.key, point.name.as_str(), point.mine), (&key(2), "hand", Mark::At(at(9.0))));
        s.save();
        std::thread::sleep(Duration::from_millis(300));
        s.poll();
        assert_eq!(std::fs::read(csv(&p)).unwrap(), theirs, "nothing is written over before that");
        assert!(s.safety().in_journal > 0);
        s.resolve(choice);
        until(&mut s, |s| s.conflict().is_none() && s.safety().in_journal == 0 && s.safety().in_memory == 0);
        let wanted = match choice {
            Resolution::Mine => at(9.0),
            Resolution::Theirs => Keypoint::new(7.0, 7.5),
        };
        assert_eq!(s.mark(&key(2), 0), Mark::At(wanted));
        s.close().unwrap();
        let store = on_disk(&p);
        assert_eq!(store.mark(&key(2), 0), Mark::At(wanted));
        assert_eq!(store.mark(&key(1), 0), Mark::At(at(9.0)));
    }
}

#[test]
fn files_left_unreadable_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    std::fs::remove_file(p.labeled_data("m1").join("CollectedData_Ada.h5")).ok();
    let (mut s, _) = open(&p);
    place(&mut s, 1, 0, 9.0);
    std::fs::write(csv(&p), "half a tab").unwrap();
    let mut told = until(&mut s, |_| std::fs::read_to_string(csv(&p)).is_ok_and(|t| t.starts_with("scorer")));
    told.extend(s.poll());
    assert!(has(&told, "unreadable") && has(&told, "copy is kept"), "{told:?}");
    until(&mut s, |s| s.safety().in_journal == 0 && s.safety().in_memory == 0);
    assert!(s.conflict().is_none());
    s.close().unwrap();
    assert_eq!(on_disk(&p).labels().labeled_points(), 8);
    let kept = p.labeled_data("m1").join("CollectedData_Ada.csv.damaged");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "half a tab");
}

/// Another program's whole table with a body part that is not known here is its work: asked about, not written over.
#[test]
fn tables_that_do_not_fit_are_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let h5 = csv(&p).with_extension("h5");
    let (mut s, _) = open(&p);
    place(&mut s, 1, 0, 9.0);
    until(&mut s, |s| s.safety().in_journal == 0 && s.safety().in_memory == 0);
    let mut theirs = crate::formats::dlc_labels_csv::read(&csv(&p), &Quiet::default()).unwrap();
    theirs.skeleton.bodyparts.push("new part".into());
    theirs.frames.values_mut().for_each(|f| f.points.push(Some(Keypoint::new(1.0, 2.0))));
    std::fs::remove_file(&h5).ok();
    crate::formats::dlc_labels_csv::write(&csv(&p), &theirs).unwrap();
    let bytes = std::fs::read(csv(&p)).unwrap();
    let told = until(&mut s, |s| s.conflict().is_some());
    assert!(has(&told, "do not fit") && has(&told, "a copy of them is kept"), "{told:?}");
    // Closing keeps theirs in the file and ours in the journal.
    place(&mut s, 2, 0, 11.0);
    s.close().unwrap();
    assert_eq!(std::fs::read(csv(&p)).unwrap(), bytes);
    assert!(p.labeled_data("m1").join("labels.journal").metadata().unwrap().len() > 0);

    // Ours over theirs only when a person says so, with theirs kept beside.
    std::fs::remove_file(csv(&p)).unwrap();
    let (mut s, _) = open(&p);
    until(&mut s, |s| s.safety().in_journal == 0 && s.safety().in_memory == 0);
    std::fs::remove_file(&h5).ok();
    std::fs::write(csv(&p), &bytes).unwrap();
    until(&mut s, |s| s.conflict().is_some());
    s.resolve(Resolution::Mine);
    until(&mut s, |_| std::fs::read(csv(&p)).is_ok_and(|now| now != bytes));
    s.close().unwrap();
    assert!(on_disk(&p).labels().labeled_points() > 0);
    let kept = p.labeled_data("m1").join("CollectedData_Ada.csv.of-another-program");
    assert_eq!(std::fs::read(kept).unwrap(), bytes);
}

/// With nothing in the journal the labels would be in memory only; closing at once must keep them too.
#[test]
fn files_broken_or_removed_while_all_was_saved_lose_no_labels() {
    type Harm = fn(&Project);
    let remove: Harm = |p| {
        std::fs::remove_file(csv(p)).unwrap();
        std::fs::remove_file(csv(p).with_extension("h5")).ok();
    };
    let damage: Harm = |p| {
        for path in [csv(p), csv(p).with_extension("h5")].iter().filter(|f| f.exists()) {
            std::fs::write(path, "half a tab").unwrap();
        }
    };
    let whole_folder: Harm = |p| std::fs::remove_dir_all(p.labeled_data("m1")).unwrap();
    for (harm, word) in [(remove, "were removed by"), (damage, "unreadable"), (whole_folder, "made again")] {
        for at_once in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let p = labeled(dir.path());
            let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
            store.set_all(&[PointEdit::new(key(9), 1, Mark::Hidden)]).unwrap();
            store.flush(&Quiet::default()).unwrap();
            drop(store);
            let (mut s, _) = open(&p);
            harm(&p);
            if !at_once {
                let begun = Instant::now();
                let mut told = Vec::new();
                while !has(&told, word) {
                    assert!(begun.elapsed() < Duration::from_secs(30), "{word}: {told:?}");
                    std::thread::sleep(Duration::from_millis(5));
                    told.extend(s.poll());
                }
                // Written again by itself, also when the program then dies.
                let whole = |s: LabelStore| s.labels().labeled_points() == 8 && s.unsaved() == 0;
                until(&mut s, |_| LabelStore::read(&p, &Quiet::default()).is_ok_and(whole));
            }
            s.close().unwrap();
            let store = on_disk(&p);
            assert_eq!((store.labels().labeled_points(), store.unsaved()), (8, 0), "{word} {at_once}");
            assert_eq!(store.mark(&key(9), 1), Mark::Hidden, "{word} {at_once}");
        }
    }
}

#[test]
fn closing_says_when_labels_are_in_memory_only() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (s, _) = open(&p);
    std::fs::remove_dir_all(p.root().join("labeled-data")).unwrap();
    let e = s.close().unwrap_err();
    assert!(e.what().contains("are lost") && !e.what().contains("tried again"), "{e}");
}

#[test]
fn a_dispute_survives_reading_anew() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (mut s, _) = open(&p);
    assert!(s.safety().last_saved.is_some(), "from the tables");
    place(&mut s, 2, 0, 9.0);
    until(&mut s, |s| s.safety().in_memory == 0);
    write_outside(&p, &[("img02.png,2.0,1.0", "img02.png,7.0,7.5")]);
    until(&mut s, |s| s.conflict().is_some());
    let theirs = std::fs::read(csv(&p)).unwrap();
    s.reload(&p);
    s.resolve(Resolution::Theirs); // too soon
    assert!(s.conflict().is_some() && has(&s.poll(), "Not edited"));
    until(&mut s, |s| matches!(s.state(), State::Editing));
    std::thread::sleep(Duration::from_millis(100));
    until(&mut s, |s| s.conflict().is_some_and(|c| c.points.len() == 1));
    s.save();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(std::fs::read(csv(&p)).unwrap(), theirs);
    // At the next start what is here holds, and a copy of theirs is kept.
    s.close().unwrap();
    let (s, told) = open(&p);
    assert!(has(&told, "before-recovery"), "{told:?}");
    s.close().unwrap();
    assert_eq!(on_disk(&p).mark(&key(2), 0), Mark::At(at(9.0)));
    let kept = p.labeled_data("m1").join("CollectedData_Ada.csv.before-recovery");
    assert_eq!(std::fs::read(kept).unwrap(), theirs);
}

#[test]
fn marks_do_not_go_with_their_file() {
    for damaged in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let p = labeled(dir.path());
        let watch = Quiet::default();
        let mut store = LabelStore::edit(&p, &watch).unwrap();
        store.set_all(&[PointEdit::new(key(9), 1, Mark::Hidden)]).unwrap();
        store.flush(&watch).unwrap();
        let file = p.labeled_data("m1").join("not-visible.yaml");
        if damaged {
            std::fs::write(&file, "schema: [").unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        assert!(store.look_outside(&watch).unwrap().pending);
        let found = store.look_outside(&watch).unwrap();
        assert!(found.rewrite && found.taken.is_empty() && found.gone.is_empty(), "{found:?}");
        assert_eq!(store.flush(&watch).unwrap(), 1);
        drop(store);
        assert_eq!(on_disk(&p).mark(&key(9), 1), Mark::Hidden);
        assert_eq!(file.with_extension("yaml.damaged").exists(), damaged);
    }
}

/// What came up after the person was asked is not decided with it.
#[test]
fn only_what_was_shown_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let watch = Quiet::default();
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    store.set(&key(1), 0, Some(at(9.0))).unwrap();
    store.set(&key(2), 0, Some(at(9.0))).unwrap();
    write_outside(&p, &[("img01.png,1.0,0.5", "img01.png,7.0,7.5")]);
    assert!(store.look_outside(&watch).unwrap().pending);
    store.look_outside(&watch).unwrap();
    let shown = store.conflict().unwrap();
    write_outside(&p, &[("img02.png,2.0,1.0", "img02.png,8.0,8.5")]);
    store.look_outside(&watch).unwrap();
    store.look_outside(&watch).unwrap();
    assert_eq!(store.conflict().unwrap().points.len(), 2);
    store.settle(&shown);
    let left = store.conflict().unwrap();
    assert_eq!((left.points.len(), &left.points[0].key), (1, &key(2)));
    assert!(store.to_flush().is_empty());
    store.settle(&left);
    assert_eq!(store.flush(&watch).unwrap(), 1);
}

#[test]
fn the_second_of_two_looks_and_then_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (mut first, _) = open(&p);
    let (mut second, _) = open(&p);
    let State::ReadOnly { why } = second.state() else { panic!("{:?}", second.state()) };
    assert!(why.contains("another limn"), "{why}");
    second.edit("place", vec![PointEdit::new(key(1), 0, at(7.0))]);
    assert!(second.undo().is_none() && has(&second.poll(), "another limn"));
    assert_eq!(second.mark(&key(1), 0), Mark::At(at(1.0)));
    place(&mut first, 1, 0, 9.0);
    let told = until(&mut second, |s| s.mark(&key(1), 0) == Mark::At(at(9.0)));
    assert!(has(&told, "changed by the other limn") || has(&second.poll(), "changed by the other limn"));
    first.close().unwrap();
    let told = until(&mut second, |s| matches!(s.state(), State::Editing));
    assert!(has(&told, "can be edited here now") || has(&second.poll(), "can be edited here now"));
    assert!(second.undo().is_some());
    second.close().unwrap();
    assert_eq!(on_disk(&p).mark(&key(1), 0), Mark::At(at(1.0)));
}

#[test]
fn a_folder_that_cannot_be_written_keeps_edits_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (mut s, _) = open(&p);
    let (folder, away) = (p.labeled_data("m1"), dir.path().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    for n in 1..5 {
        place(&mut s, n, 0, 20.0 + f64::from(n));
    }
    until(&mut s, |s| s.safety().trouble.is_some());
    let trouble = s.safety().trouble.unwrap();
    assert!(trouble.contains("kept in memory") && trouble.contains("labels.journal"), "{trouble}");
    assert_eq!((s.safety().in_memory, s.mark(&key(4), 0)), (4, Mark::At(at(24.0))));
    std::fs::rename(&away, &folder).unwrap();
    let told = until(&mut s, |s| s.safety().trouble.is_none() && s.safety().in_memory == 0);
    assert!(has(&told, "safe on disk") || has(&s.poll(), "safe on disk"), "{told:?}");
    assert!(s.undo().is_some());
    s.close().unwrap();
    let store = on_disk(&p);
    assert_eq!(store.mark(&key(3), 0), Mark::At(at(23.0)));
    assert_eq!(store.mark(&key(4), 0), Mark::At(at(4.0)));
    // What cannot be saved to the end is said.
    let (mut s, _) = open(&p);
    std::fs::rename(p.root().join("labeled-data"), &away).unwrap();
    place(&mut s, 1, 0, 99.0);
    let e = s.close().unwrap_err();
    assert!(e.what().contains("1 edits could not be saved"), "{e}");
    assert!(!e.what().contains("tried again"), "{e}");
}

#[test]
fn crashes_leave_what_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
    store.set(&key(1), 0, Some(at(8.0))).unwrap();
    store.set_all(&[PointEdit::new(key(2), 0, Mark::Hidden)]).unwrap();
    store.set(&key(3), 0, Some(at(8.0))).unwrap();
    drop(store);
    let journal = p.labeled_data("m1").join("labels.journal");
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 7]).unwrap();
    let (mut s, told) = open(&p);
    assert!(has(&told, "cut off by a crash") && has(&told, "edits of 2 pictures are recovered"), "{told:?}");
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(8.0)));
    assert!(s.is_hidden(&key(2), 0));
    assert_eq!(s.mark(&key(3), 0), Mark::At(at(3.0)));
    until(&mut s, |s| s.safety().in_journal == 0 && s.safety().last_saved.is_some());
}

/// Steps whose edits never came to the journal are no steps; a torn history and values of others harm nothing.
#[test]
fn undo_never_sets_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (mut s, _) = open(&p);
    place(&mut s, 1, 0, 21.0);
    place(&mut s, 2, 0, 22.0);
    s.close().unwrap();
    // The crash between history and journal: the last step's edit is not there.
    let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
    store.set(&key(2), 0, Some(at(2.0))).unwrap();
    store.flush(&Quiet::default()).unwrap();
    drop(store);
    let (mut s, _) = open(&p);
    assert_eq!(s.undo().unwrap().keys, [key(1)]);
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(1.0)));
    assert!(s.redo().is_some());
    place(&mut s, 3, 0, 23.0);
    s.close().unwrap();
    // Somebody else's value is not undone.
    let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
    store.set(&key(3), 0, Some(at(77.0))).unwrap();
    store.flush(&Quiet::default()).unwrap();
    drop(store);
    let history = p.root().join("labeled-data/.limn-history.jsonl");
    let mut bytes = std::fs::read(&history).unwrap();
    bytes.extend(b"{\"schema\":1,\"op\":\"st");
    std::fs::write(&history, &bytes).unwrap();
    let (mut s, _) = open(&p);
    assert_eq!(s.undo().unwrap().what, "place");
    assert!(has(&s.poll(), "changed by something else"));
    assert_eq!(s.mark(&key(3), 0), Mark::At(at(77.0)));
    assert_eq!(s.undo().unwrap().keys, [key(1)], "the lost step stays lost");
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(1.0)));
    s.close().unwrap();
    assert_eq!(on_disk(&p).mark(&key(3), 0), Mark::At(at(77.0)));
}

#[test]
fn body_parts_change_under_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    let (mut s, _) = open(&p);
    place(&mut s, 1, 0, 9.0);
    s.change_bodyparts(BodypartChange::Rename { from: "hand".into(), to: "paw".into() });
    s.edit("too soon", vec![PointEdit::new(key(1), 0, None)]);
    let told = until(&mut s, |s| matches!(s.state(), State::Editing));
    assert!(has(&told, "is called paw now") && has(&told, "Not edited"), "{told:?}");
    assert_eq!(s.project().skeleton().bodyparts, ["paw", "elbow"]);
    assert_eq!(s.labels().skeleton.bodyparts, ["paw", "elbow"]);
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(9.0)));
    assert!(s.undo().is_some(), "steps follow the name");
    assert_eq!(s.mark(&key(1), 0), Mark::At(at(1.0)));
    s.change_bodyparts(BodypartChange::Remove { name: "paw".into() });
    until(&mut s, |s| matches!(s.state(), State::Editing));
    assert_eq!((s.labels().labeled_points(), s.safety().labeled_points), (4, 4));
    assert!(s.can_undo().is_none() && s.can_redo().is_none());
    s.change_bodyparts(BodypartChange::Remove { name: "elbow".into() });
    let told = until(&mut s, |s| matches!(s.state(), State::Editing));
    assert!(has(&told, "were not changed") && has(&told, "at least one"), "{told:?}");
    let project = s.project().clone();
    s.reload(&project);
    until(&mut s, |s| matches!(s.state(), State::Editing));
    s.close().unwrap();
}

#[test]
fn a_project_that_cannot_be_read_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let p = labeled(dir.path());
    std::fs::write(csv(&p), "nonsense").unwrap();
    std::fs::remove_file(p.labeled_data("m1").join("CollectedData_Ada.h5")).ok();
    let (mut s, _) = open(&p);
    let State::Failed(e) = s.state() else { panic!("{:?}", s.state()) };
    assert!(e.place().is_some());
    s.edit("place", vec![PointEdit::new(key(1), 0, None)]);
    assert_eq!(s.poll().len(), 1);
    s.close().unwrap();
    assert_eq!(std::fs::read_to_string(csv(&p)).unwrap(), "nonsense");
}
