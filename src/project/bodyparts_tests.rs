use super::*;
use crate::pose::{FrameKey, Keypoint};
use crate::project::{Mark, NewProject, PointEdit, VideoMode};
use crate::watch::Quiet;
use std::path::Path;

fn make(dir: &Path, several: bool) -> Project {
    let mut new = NewProject::single("reach", "Ada", ["hand", "elbow", "nose"]);
    new.skeleton = vec![["hand".into(), "elbow".into()], ["elbow".into(), "nose".into()]];
    if several {
        new.individuals = vec!["mouse1".into(), "mouse2".into()];
        new.unique_bodyparts = vec!["corner".into()];
    }
    let watch = Quiet::default();
    let mut p = Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &watch).unwrap();
    p.settings.mirror_pairs = Some(vec![["hand".into(), "nose".into()]]);
    p.save_settings().unwrap();
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    for video in ["m1", "m2"] {
        for point in 0..p.skeleton().points() {
            let mark = if point == 0 { Mark::Hidden } else { Mark::At(place(point)) };
            store.set_all(&[PointEdit::new(key(video, 2), point, mark)]).unwrap();
            store.set(&key(video, 1), point, Some(place(point))).unwrap();
        }
    }
    store.flush(&watch).unwrap();
    store.set(&key("m1", 3), 0, Some(place(0))).unwrap(); // only in the journal
    p
}

fn key(video: &str, n: u32) -> FrameKey {
    FrameKey::new(video, format!("img{n}.png"))
}

fn place(point: usize) -> Keypoint {
    Keypoint::new(f64::from(u32::try_from(point).unwrap()) + 0.5, 2.25)
}

fn rename() -> BodypartChange {
    BodypartChange::Rename { from: "hand".into(), to: "paw".into() }
}

/// Every label by the names of its point.
fn all(store: &LabelStore) -> Vec<(String, String, String, Mark)> {
    let skeleton = &store.labels().skeleton;
    let mut found = Vec::new();
    for key in store.labels().frames.keys() {
        for (i, n) in skeleton.names().enumerate() {
            let mark = store.mark(key, i);
            if mark != Mark::Unlabeled {
                found.push((key.to_string(), n.individual.to_owned(), n.bodypart.to_owned(), mark));
            }
        }
    }
    found.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
    found
}

fn renamed(mut labels: Vec<(String, String, String, Mark)>) -> Vec<(String, String, String, Mark)> {
    labels.iter_mut().filter(|l| l.2 == "hand").for_each(|l| l.2 = "paw".into());
    labels.sort_by(|a, b| (&a.0, &a.1, &a.2).cmp(&(&b.0, &b.1, &b.2)));
    labels
}

#[test]
fn labels_are_carried_along() {
    for several in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let p = make(dir.path(), several);
        let watch = Quiet::default();
        let before = all(&LabelStore::read(&p, &watch).unwrap());
        let p = rename().apply(&p, &watch).unwrap();
        assert_eq!(p.skeleton().bodyparts, ["paw", "elbow", "nose"]);
        assert_eq!(p.skeleton().edges[0], ["paw", "elbow"]);
        assert_eq!(p.mirror_pairs().unwrap(), [[0, 2]]);
        let p = Project::open(p.root(), &watch).unwrap();
        let after = all(&LabelStore::read(&p, &watch).unwrap());
        assert_eq!(after, renamed(before));

        let add = BodypartChange::Add { names: vec!["tail".into(), "ear".into()] };
        let p = add.apply(&p, &watch).unwrap();
        let store = LabelStore::read(&p, &watch).unwrap();
        assert_eq!((all(&store), store.labels().skeleton.bodyparts.len()), (after.clone(), 5));
        assert!(
            std::fs::read_to_string(p.labeled_data("m2").join("CollectedData_Ada.csv"))
                .unwrap()
                .contains("tail")
        );

        let p = BodypartChange::Remove { name: "elbow".into() }.apply(&p, &watch).unwrap();
        assert_eq!(p.skeleton().edges, Vec::<[String; 2]>::new());
        let left: Vec<_> = after.into_iter().filter(|l| l.2 != "elbow").collect();
        assert_eq!(all(&LabelStore::read(&p, &watch).unwrap()), left);
        let copy = p.labeled_data("m1").join("CollectedData_Ada.csv.before-removing-elbow");
        assert!(std::fs::read_to_string(copy).unwrap().contains("elbow"));
        assert!(!intent_path(&p).exists());
        assert!(watch.warnings().iter().all(|w| w.contains("recovered")), "{:?}", watch.warnings());
    }
}

/// A crash after any part of the work: who only reads is told, who edits finishes it.
#[test]
fn an_interrupted_change_is_finished() {
    for done in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let p = make(dir.path(), false);
        let watch = Quiet::default();
        LabelStore::edit(&p, &watch).unwrap().flush(&watch).unwrap();
        let before = all(&LabelStore::read(&p, &watch).unwrap());
        let change = rename();
        change.note_down(&p).unwrap();
        let mut work = p.clone();
        if done > 0 {
            change.do_folder(&work, "m1", &watch).unwrap();
        }
        if done > 1 {
            change.do_folder(&work, "m2", &watch).unwrap();
        }
        if done > 2 {
            change.do_config(&mut work).unwrap();
        }
        if done > 3 {
            History::renamed(&work, "hand", "paw").unwrap();
        }
        let p = Project::open(p.root(), &watch).unwrap();
        let refused = LabelStore::read(&p, &watch).unwrap_err();
        assert!(refused.what().contains("not finished") && refused.how_to_mend().is_some());
        let store = LabelStore::edit(&p, &watch).unwrap();
        assert_eq!(store.project().skeleton().bodyparts[0], "paw");
        assert_eq!(all(&store), renamed(before), "after {done} parts");
        assert!(watch.warnings().iter().any(|w| w.contains("finished")));
        drop(store);
        let p = Project::open(p.root(), &watch).unwrap();
        assert_eq!(p.mirror_pairs().unwrap(), [[0, 2]]);
        LabelStore::read(&p, &watch).unwrap();
    }
}

#[test]
fn names_that_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let p = make(dir.path(), true);
    let config = std::fs::read(p.config.path()).unwrap();
    let bad = [
        BodypartChange::Rename { from: "hand".into(), to: "elbow".into() },
        BodypartChange::Rename { from: "hand".into(), to: "corner".into() },
        BodypartChange::Rename { from: "wing".into(), to: "arm".into() },
        BodypartChange::Rename { from: "hand".into(), to: "a,b".into() },
        BodypartChange::Add { names: vec![] },
        BodypartChange::Add { names: vec!["x".into(), "x".into()] },
        BodypartChange::Remove { name: "wing".into() },
    ];
    for change in bad {
        let e = change.apply(&p, &Quiet::default()).unwrap_err();
        assert!(e.kind() == Kind::Usage && e.how_to_mend().is_some(), "{e}");
    }
    let store = LabelStore::edit(&p, &Quiet::default()).unwrap();
    assert_eq!(rename().apply(&p, &Quiet::default()).unwrap_err().kind(), Kind::Exists);
    drop(store);
    assert_eq!(std::fs::read(p.config.path()).unwrap(), config);
    // The other scorer's table follows too, and a unique body part can be renamed.
    let theirs = p.labeled_data("m1").join("CollectedData_Bob.csv");
    let ours = std::fs::read_to_string(p.labeled_data("m1").join("CollectedData_Ada.csv")).unwrap();
    std::fs::write(&theirs, ours.replace("Ada", "Bob")).unwrap();
    let change = BodypartChange::Rename { from: "corner".into(), to: "edge".into() };
    change.apply(&p, &Quiet::default()).unwrap();
    let text = std::fs::read_to_string(&theirs).unwrap();
    assert!(text.contains("edge") && !text.contains("corner") && text.contains("Bob"));
}
