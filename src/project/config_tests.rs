use super::*;
use crate::watch::Quiet;
use proptest::prelude::*;

const SMALL: &str = "\
# my project
Task: reach   # the task
scorer: Ada
date: Oct1

# the videos
video_sets:
  C:\\Data\\m1.mp4:   # first day
    crop: 0,640,0,480
    note: keep me
  /old/place/m2.avi:
    crop: 0, 320, 0, 240
bodyparts:
# the paw
- hand   # palm, not fingers
- elbow

skeleton: []
TrainingFraction:
- 0.95 # usual
iteration: 0
lab_room: 7
";

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn fault(text: &str) -> (String, String) {
    let (_dir, path) = file(text);
    let e = Config::read(&path, &Quiet::default()).unwrap_err();
    assert_eq!(e.kind(), Kind::Config, "{e}");
    assert!(e.how_to_mend().is_some(), "{e}");
    let line = e.place().unwrap().rsplit(':').next().unwrap().to_owned();
    (line, e.what().to_owned())
}

#[test]
fn faults_name_line_and_key() {
    let base = "Task: a\nscorer: b\ndate: c\nbodyparts: [x, y]\n";
    let with = |more: &str| fault(&format!("{base}{more}"));
    let is = |(line, what): (String, String), want_line: &str, want: &str| {
        assert_eq!(line, want_line, "{what}");
        assert!(what.contains(want), "{what}");
    };
    is(with("dotsize: big\n"), "5", "`dotsize` must be a whole number, but it is the text `big`");
    is(with("dotsize: 1.5\n"), "5", "the number 1.5");
    is(with("cropping: yes\n"), "5", "`cropping` must be `true` or `false`, but it is the text `yes`");
    is(with("\nskeleton:\n\t- x\n"), "7", "tab");
    is(with("Task: d\n"), "5", "the key `Task` is there twice, first in line 1");
    is(with("skeleton:\n- - x\n  - y\n- - x\n"), "8", "must join two body parts");
    is(with("video_sets:\n  a.mp4:\n    crop: 0, 10, 0\n"), "7", "`crop` must be four whole numbers");
    is(with("x1: 3\n"), "5", "all given or all empty");
    is(with("start: 0.9\nstop: 0.1\n"), "5", "no part of a video");
    is(with("snapshotindex: best\n"), "5", "`all`");
    is(with("TrainingFraction: 0.9\n"), "5", "a list");
    is(with("multianimalproject: true\n"), "4", "`MULTI!`");
    is(with("foo: [a\n"), "6", "no valid YAML");
    is(fault("Task: a\ndate: c\nbodyparts: [x]\n"), "1", "`scorer` is missing");
    is(fault("Task: a\nscorer: b\ndate: c\n"), "1", "`bodyparts` is missing");
    is(fault("Task: a\nscorer: b\ndate: c\nbodyparts:\n- x\n- y\n- x\n"), "7", "`x` is listed twice");
    is(fault("- a\n- b\n"), "1", "`key: value`");
    is(
        fault(
            "Task: a\nscorer: b\ndate: c\nmultianimalproject: true\nbodyparts: MULTI!\nmultianimalbodyparts: [x]\n",
        ),
        "1",
        "needs `individuals`",
    );
}

#[test]
fn old_files_load_with_defaults_and_warnings() {
    let (_dir, path) = file(
        "Task: 7\nscorer: Ada\ndate: Oct1\nbodyparts: [yes, '1']\nskeleton: [[yes, tail]]\nwith_identity: true\nodd: 1\nnothing:\n",
    );
    let watch = Quiet::default();
    let c = Config::read(&path, &watch).unwrap();
    assert_eq!((c.task.as_str(), c.engine.as_str(), c.identity), ("7", "pytorch", Some(true)));
    assert_eq!(c.bodyparts, ["yes", "1"]);
    assert_eq!(c.crop, None);
    let warnings = watch.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains(":7: the key `odd` is unknown") && warnings[1].contains("`tail`"));
}

#[test]
fn an_edit_leaves_all_else_as_it_lies() {
    let (_dir, path) = file(SMALL);
    let mut c = Config::read(&path, &Quiet::default()).unwrap();
    c.video_sets.push(VideoSet { path: "/data/m3.mp4".into(), crop: Some([0, 64, 0, 48]) });
    c.bodyparts = vec!["palm".into(), "elbow".into()];
    c.training_fraction.push(0.8);
    c.iteration = 1;
    c.skeleton = vec![["palm".into(), "elbow".into()]];
    c.dotsize = 9;
    c.save().unwrap();
    let expected = SMALL
        .replace("- hand   #", "- palm   #")
        .replace(
            "    crop: 0, 320, 0, 240\n",
            "    crop: 0, 320, 0, 240\n  /data/m3.mp4:\n    crop: 0, 64, 0, 48\n",
        )
        .replace("- 0.95 # usual\n", "- 0.95 # usual\n- 0.8\n")
        .replace("iteration: 0", "iteration: 1")
        .replace("skeleton: []", "skeleton:\n- - palm\n  - elbow\ndotsize: 9");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);

    // Removing what carries comments keeps the comments.
    c.bodyparts = vec!["elbow".into(), "wrist".into()];
    c.skeleton.clear();
    c.save().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("# the paw\n# palm, not fingers\n- elbow\n- wrist\n"), "{text}");
    assert!(text.contains("skeleton: []\n"), "{text}");
}

#[test]
fn line_ends_and_byte_order_mark_stay() {
    let (_dir, path) = file(&format!("\u{feff}{}", SMALL.replace('\n', "\r\n")));
    let mut c = Config::read(&path, &Quiet::default()).unwrap();
    c.bodyparts.push("wrist".into());
    c.numframes2pick = 30;
    c.save().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with('\u{feff}') && text.contains("- elbow\r\n- wrist\r\n"));
    assert!(!text.replace("\r\n", "").contains('\n'));
    assert_eq!(Config::read(&path, &Quiet::default()).unwrap().numframes2pick, 30);
}

#[test]
fn a_change_by_somebody_else_is_not_overwritten() {
    let (_dir, path) = file(SMALL);
    let mut c = Config::read(&path, &Quiet::default()).unwrap();
    std::fs::write(&path, "Task: [broken").unwrap();
    c.iteration = 5;
    assert_eq!(c.save().unwrap_err().kind(), Kind::Exists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Task: [broken");
}

#[test]
fn contradicting_values_are_not_saved() {
    let (_dir, path) = file(SMALL);
    let mut c = Config::read(&path, &Quiet::default()).unwrap();
    c.bodyparts = vec!["a".into(), "a".into()];
    assert!(c.save().is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), SMALL);
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-z:# '\\-é0-9]{0,6}[a-z]", 1..5)
        .prop_map(|s| s.into_iter().filter(|n| n != "nan").collect::<Vec<_>>())
        .prop_filter("some", |v| !v.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Any sequence of edits is read back as meant, with every comment and unknown key still there.
    #[test]
    fn edits_round_trip(
        parts in prop::collection::vec(names(), 1..4),
        paths in prop::collection::vec("[A-Za-z:/\\\\ #'é.]{1,30}[a-z]", 0..3),
        scorer in "[A-Za-z0-9 :#']{0,8}[a-z]",
        whole in any::<(i64, bool)>(),
        cut in 0.0f64..1.0,
        crlf in any::<bool>(),
    ) {
        let text = if crlf { SMALL.replace('\n', "\r\n") } else { SMALL.to_owned() };
        let (_dir, path) = file(&text);
        let mut c = Config::read(&path, &Quiet::default()).unwrap();
        for parts in parts {
            c.bodyparts = parts;
            for p in &paths {
                if !c.video_sets.iter().any(|v| v.path == *p) {
                    c.video_sets.push(VideoSet { path: p.clone(), crop: Some([0, 10, 0, 20]) });
                }
            }
            c.scorer = scorer.clone();
            (c.dotsize, c.cropping) = whole;
            c.pcutoff = Cutoff::Each(vec![cut, 0.5]);
            c.default_track_method = c.default_track_method.is_none().then(|| "ellipse".into());
            c.save().unwrap();
            let read = Config::read(&path, &Quiet::default()).unwrap();
            prop_assert_eq!(&read, &c);
            let now = std::fs::read_to_string(&path).unwrap();
            for kept in ["# my project", "# the task", "# the videos", "# first day", "# the paw", "# palm, not fingers",
                "# usual", "lab_room: 7", "note: keep me", "crop: 0,640,0,480"] {
                prop_assert!(now.contains(kept), "{} is gone from\n{}", kept, now);
            }
        }
    }
}
