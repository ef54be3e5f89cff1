use super::*;
use crate::watch::Quiet;

fn probe(_: &Path) -> Result<(usize, usize)> {
    Ok((640, 480))
}

fn new() -> NewProject {
    NewProject { date: (2026, 10, 1), ..NewProject::single("reach", "Ada", ["hand", "elbow"]) }
}

fn video(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, b"frames").unwrap();
    path
}

#[test]
fn a_project_is_made_opened_moved_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Quiet::default();
    let videos = [video(dir.path(), "m1.mp4"), video(dir.path(), "m2.AVI")];
    let p = Project::create(dir.path(), &new(), &videos[..1], VideoMode::Link, &probe, &watch).unwrap();
    assert!(p.root().ends_with("reach-Ada-2026-10-01"));
    for folder in ["videos", "labeled-data", "training-datasets", "dlc-models"] {
        assert!(p.root().join(folder).is_dir());
    }
    let text = std::fs::read_to_string(p.config.path()).unwrap();
    assert!(
        text.starts_with("# Project definitions (do not edit)\nTask: reach\n")
            || text.starts_with("config_version: 0\n"),
        "{text}"
    );
    assert!(text.contains("date: Oct1\n") && text.contains("    crop: 0, 640, 0, 480\n"), "{text}");
    let again = Project::create(dir.path(), &new(), &[], VideoMode::Link, &probe, &watch);
    assert_eq!(again.unwrap_err().kind(), Kind::Exists);

    // Moved: the path is right in memory, and the video is found by its stem.
    let moved = dir.path().join("elsewhere");
    std::fs::rename(p.root(), &moved).unwrap();
    let mut p = Project::open(&moved.join("config.yaml"), &watch).unwrap();
    assert!(p.config.project_path.ends_with("/elsewhere"));
    assert!(text == std::fs::read_to_string(p.config.path()).unwrap(), "reading writes nothing");
    assert_eq!(p.video_path("m1").unwrap().file_name().unwrap(), "m1.mp4");

    assert_eq!(p.add_videos(&videos[1..], VideoMode::Copy, &probe, &watch).unwrap(), ["m2"]);
    assert!(!p.root().join("videos/m2.AVI").is_symlink());
    assert_eq!(p.videos().iter().map(|v| v.stem.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
    assert!(
        std::fs::read_to_string(p.config.path()).unwrap().contains("/elsewhere\n"),
        "saved with the right path"
    );

    let refused = |p: &mut Project, v: PathBuf| {
        let before = std::fs::read_to_string(p.config.path()).unwrap();
        let e = p.add_videos(&[v], VideoMode::Link, &probe, &Quiet::default()).unwrap_err();
        assert_eq!(before, std::fs::read_to_string(p.config.path()).unwrap());
        assert!(e.how_to_mend().is_some(), "{e}");
        e.kind()
    };
    assert_eq!(refused(&mut p, videos[0].clone()), Kind::Exists);
    assert_eq!(refused(&mut p, video(dir.path(), "m1.mkv")), Kind::Exists);
    assert_eq!(refused(&mut p, dir.path().join("none.mp4")), Kind::NotFound);
    assert_eq!(refused(&mut p, video(dir.path(), "notes.txt")), Kind::Usage);
    let bad = |_: &Path| Err(Error::new(Kind::Video, "no video").mend("record it again"));
    let e = p.add_videos(&[video(dir.path(), "m9.mp4")], VideoMode::Link, &bad, &watch).unwrap_err();
    assert_eq!(e.kind(), Kind::Video);
    assert!(!p.root().join("videos/m9.mp4").exists());
}

#[test]
fn a_stopped_copy_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let v = video(dir.path(), "m1.mp4");
    let watch = Quiet::default();
    let stopping = |_: &Path| {
        watch.stop();
        Ok((4, 4))
    };
    let e = Project::create(dir.path(), &new(), &[v], VideoMode::Copy, &stopping, &watch).unwrap_err();
    assert_eq!(e.kind(), Kind::Cancelled);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "only the video is there");
}

#[test]
fn a_multi_animal_project_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Quiet::default();
    let asked = NewProject {
        individuals: vec!["a".into(), "b".into()],
        unique_bodyparts: vec!["corner".into()],
        skeleton: vec![["hand".into(), "elbow".into()]],
        ..new()
    };
    let p = Project::create(dir.path(), &asked, &[], VideoMode::Link, &probe, &watch).unwrap();
    let q = Project::open(p.root(), &watch).unwrap();
    assert_eq!(q.skeleton(), p.skeleton());
    assert_eq!(q.skeleton().points(), 5);
    assert_eq!(q.config, p.config);
    let twice = NewProject { bodyparts: vec!["a".into(), "a".into()], ..new() };
    let e = Project::create(dir.path(), &twice, &[], VideoMode::Link, &probe, &watch).unwrap_err();
    assert_eq!(e.kind(), Kind::Usage);
}

#[test]
fn what_is_no_project_is_said_helpfully() {
    let dir = tempfile::tempdir().unwrap();
    let p = Project::create(dir.path(), &new(), &[], VideoMode::Link, &probe, &Quiet::default()).unwrap();
    let mend = |path: &Path| Project::open(path, &Quiet::default()).unwrap_err().to_string();
    assert!(mend(&p.root().join("videos")).contains("did you mean"));
    assert!(mend(dir.path()).contains("holds some"));
    assert!(mend(&dir.path().join("nowhere")).contains("no such project"));
}

#[test]
fn names_are_deeplabcuts() {
    let dir = tempfile::tempdir().unwrap();
    let p = Project::create(dir.path(), &new(), &[], VideoMode::Link, &probe, &Quiet::default()).unwrap();
    assert_eq!(p.shuffle_name(0.95, 1), "reachOct1-trainset95shuffle1");
    assert_eq!(p.shuffle_name(0.29, 2), "reachOct1-trainset28shuffle2");
    assert!(p.models_folder(0.8, 3).ends_with("limn-models/iteration-0/reachOct1-trainset80shuffle3"));
    assert_eq!(
        p.scorer_of_model("resnet_50", 1, "best-180"),
        "DLC_Resnet50_reachOct1shuffle1_snapshot_best-180"
    );
    assert_eq!(
        p.scorer_of_model("dlcrnet_stride16_ms5", 1, "200"),
        "DLC_DlcrnetStride16Ms5_reachOct1shuffle1_snapshot_200"
    );
    for (frames, name) in
        [(1, "img7.png"), (10, "img7.png"), (11, "img07.png"), (100, "img07.png"), (1001, "img0007.png")]
    {
        assert_eq!(p.image_name("m1", 7, frames), name);
    }
    std::fs::create_dir_all(p.labeled_data("m1")).unwrap();
    std::fs::write(p.labeled_data("m1").join("img00003.png"), b"").unwrap();
    assert_eq!(p.image_name("m1", 7, 100), "img00007.png");
    assert_eq!(config::stem_of(r"C:\data\day 1\m.1.mp4"), "m.1");
}

#[test]
fn settings_keep_what_they_do_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Quiet::default();
    let p = Project::create(dir.path(), &new(), &[], VideoMode::Link, &probe, &watch).unwrap();
    let path = Settings::path(p.root());
    std::fs::write(&path, "schema: 1\nmirror_pairs:\n- [hand, elbow]\nfuture: [1]\n").unwrap();
    let mut p = Project::open(p.root(), &watch).unwrap();
    assert_eq!(p.mirror_pairs().unwrap(), [[0, 1]]);
    assert_eq!(watch.warnings().len(), 1);
    p.settings.default_net = Some("resnet_18".into());
    p.save_settings().unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("future:"));
    std::fs::write(&path, "schema: 9\n").unwrap();
    assert!(Project::open(p.root(), &watch).unwrap_err().to_string().contains("newer limn"));
    std::fs::write(&path, "mirror_pairs: 3\n").unwrap();
    assert_eq!(Project::open(p.root(), &watch).unwrap_err().kind(), Kind::Config);
}
