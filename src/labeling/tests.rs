use super::*;
use crate::pose::{FrameKey, Keypoint};
use crate::project::{LabelStore, NewProject, Project, VideoMode};
use crate::watch::Quiet;
use std::path::Path;
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
