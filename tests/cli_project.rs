//! Projects from the command line, as a user runs it.
#![allow(clippy::unwrap_used, clippy::panic)] // the helpers are test code too

mod support;

use limn::picture::Picture;
use limn::project::{NewProject, Project, VideoMode};
use limn::watch::Quiet;
use predicates::prelude::*;
use predicates::str::contains;
use std::path::{Path, PathBuf};
use support::{json, limn};

/// A project with `n` labelled pictures in each of two videos.
fn labeled(dir: &Path, n: usize) -> PathBuf {
    let new = NewProject::single("reach", "Ada", ["hand", "elbow"]);
    let project =
        Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((8, 6)), &Quiet::default()).unwrap();
    for video in ["m1", "m2"] {
        let folder = project.labeled_data(video);
        std::fs::create_dir_all(&folder).unwrap();
        let mut table =
            "scorer,,,Ada,Ada,Ada,Ada\nbodyparts,,,hand,hand,elbow,elbow\ncoords,,,x,y,x,y\n".to_owned();
        for i in 0..n {
            Picture::new(8, 6).save_png(&folder.join(format!("img{i:02}.png"))).unwrap();
            table += &format!("labeled-data,{video},img{i:02}.png,1.5,2.5,3.5,{}\n", 1 + i % 4);
        }
        std::fs::write(folder.join("CollectedData_Ada.csv"), table).unwrap();
    }
    project.root().to_path_buf()
}

#[test]
fn help_and_wrong_arguments() {
    limn(&["help"]).assert().success().stdout(contains("Usage").and(contains("check-labels")));
    // Alone it opens the window; where there is no display it says so, and where the commands are told.
    let mut alone = limn(&[]);
    for display in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        alone.env_remove(display);
    }
    if cfg!(target_os = "linux") {
        alone.assert().code(1).stdout("").stderr(contains("no display").and(contains("limn help")));
    }
    limn(&["split", "--help"]).assert().success().stdout(contains("Examples"));
    for wrong in [&["fly"][..], &["split"], &["split", "p", "--seed", "x"], &["new", "a", "--scorer", "b"]] {
        limn(wrong).assert().code(2).stdout("").stderr(contains("error:"));
    }
    let (code, object) = json(&["split"]);
    assert_eq!(code, 2);
    assert_eq!(object["error"]["kind"], "Usage");
}

#[test]
fn a_new_project() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let args = [
        "new",
        "reach",
        "--scorer",
        "Ada",
        "--bodyparts",
        "hand,elbow",
        "--skeleton",
        "hand-elbow",
        "--dir",
        at,
    ];
    let (code, made) = json(&args);
    assert_eq!(code, 0);
    let root = made["project"].as_str().unwrap();
    let project = Project::open(Path::new(root), &Quiet::default()).unwrap();
    assert_eq!(project.skeleton().edge_indices(), [[0, 1]]);
    limn(&args)
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("error: there is a project").and(contains("mend:")));

    let refused = |more: &[&str], code: i32, says: &str| {
        let args = [&["new", "other", "--scorer", "Ada", "--dir", at][..], more].concat();
        limn(&args).assert().code(code).stderr(contains(says.to_owned()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "{more:?} left something behind");
    };
    refused(&["--bodyparts", "hand,hand"], 2, "named twice");
    refused(&["--bodyparts", "hand,"], 2, "cannot be the name");
    refused(&["--bodyparts", "hand", "--skeleton", "hand-foot"], 2, "does not join");
    refused(&["--bodyparts", "hand", "gone.mp4"], 1, "does not exist");
    refused(&["--bodyparts", "hand", "--unique-bodyparts", "corner"], 2, "several animals");
}

#[test]
fn videos_that_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path(), 2);
    let root = root.to_str().unwrap();
    let config = std::fs::read_to_string(Path::new(root).join("config.yaml")).unwrap();
    let junk = dir.path().join("junk.mp4");
    std::fs::write(&junk, b"not a video").unwrap();
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, b"").unwrap();
    let refused = |video: &Path, code: i32, says: &str| {
        let (got, object) = json(&["add-videos", root, video.to_str().unwrap()]);
        assert_eq!(got, code);
        let what = object["error"]["what"].as_str().unwrap();
        assert!(what.contains(says), "{what}");
        assert!(object["error"]["mend"].is_string());
    };
    refused(&dir.path().join("gone.mp4"), 1, "does not exist");
    refused(&text, 2, "no video by its name");
    refused(&dir.path().join(root), 1, "no video in this folder");
    if cfg!(not(feature = "video")) {
        refused(&junk, 1, "cannot open videos");
    }
    limn(&["add-videos", root, junk.to_str().unwrap()]).assert().code(1);
    assert_eq!(config, std::fs::read_to_string(Path::new(root).join("config.yaml")).unwrap());
    assert_eq!(std::fs::read_dir(Path::new(root).join("videos")).unwrap().count(), 0);
}

#[test]
fn splits_are_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path(), 10);
    let root = root.to_str().unwrap();
    let args = ["split", root, "--train-fraction", "0.8", "--shuffles", "2", "--seed", "5"];
    let (code, made) = json(&args);
    assert_eq!(code, 0);
    assert_eq!(made["shuffles"][1]["test"], 4);
    let file = PathBuf::from(made["splits"].as_str().unwrap());
    let first = std::fs::read(&file).unwrap();
    limn(&args).assert().success().stdout(contains("shuffle 2: 16 pictures"));
    assert_eq!(first, std::fs::read(&file).unwrap());
    let config = std::fs::read_to_string(Path::new(root).join("config.yaml")).unwrap();
    assert!(config.contains("TrainingFraction:\n- 0.95\n- 0.8\n"), "{config}");

    let models = file
        .parent()
        .unwrap()
        .join(Project::open(Path::new(root), &Quiet::default()).unwrap().shuffle_name(0.8, 1));
    std::fs::create_dir_all(models.join("snapshot-100")).unwrap();
    limn(&["split", root, "--seed", "6"]).assert().code(1).stderr(contains("--force"));
    assert_eq!(first, std::fs::read(&file).unwrap());
    limn(&["split", root, "--seed", "6", "--force"]).assert().success();
    assert_ne!(first, std::fs::read(&file).unwrap());
    limn(&["split", root, "--train-fraction", "1.0"]).assert().code(2).stderr(contains("fraction"));
}

#[test]
fn configurations_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path(), 3);
    let file = root.join("config.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let refused = |text: &str, says: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let (code, object) = json(&["split", root.to_str().unwrap()]);
        let error = &object["error"];
        assert_eq!((code, error["kind"].as_str()), (1, Some("Config")), "{object}");
        assert!(error["where"].as_str().unwrap().contains("config.yaml:"), "{error}");
        for s in says {
            assert!(error["what"].as_str().unwrap().contains(s), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "an unusable file is never written over");
    };
    refused(&good.replace("dotsize: 12", "dotsize: large"), &["`dotsize`", "whole number", "`large`"]);
    refused(&good.replace("scorer: Ada\n", ""), &["`scorer` is missing"]);
    refused(&good.replace("- elbow", "\t- elbow"), &["tab"]);
    refused(&good.replace("- elbow", "- hand"), &["`hand` is listed twice"]);
    std::fs::write(&file, [0x54, 0xff, 0x0a]).unwrap();
    limn(&["split", root.to_str().unwrap()]).assert().code(1).stderr(contains("UTF-8"));
    limn(&["split", dir.path().join("nowhere").to_str().unwrap()])
        .assert()
        .code(1)
        .stderr(contains("no such project"));
}

#[test]
fn checks_and_tables_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path(), 4);
    let at = root.to_str().unwrap();
    let (code, report) = json(&["check-labels", at]);
    assert_eq!(
        (code, report["errors"].as_i64(), report["labeled_pictures"].as_i64()),
        (0, Some(0), Some(8)),
        "{report}"
    );

    std::fs::remove_file(root.join("labeled-data/m1/img02.png")).unwrap();
    let (code, report) = json(&["check-labels", at]);
    assert_eq!((code, report["errors"].as_i64()), (1, Some(1)));
    assert_eq!(report["problems"][0]["where"], "labeled-data/m1/img02.png");
    limn(&["check-labels", at]).assert().code(1).stdout(contains("img02.png: the labelled picture is gone"));

    let table = root.join("labeled-data/m1/CollectedData_Ada.csv");
    let good = std::fs::read_to_string(&table).unwrap();
    for bad in [
        good.replace("hand", "thumb"),
        good.replace("img01.png,1.5", "img01.png,wide"),
        good.replace("3.5,2\n", "3.5\n"),
        good[..good.len() / 3].to_owned(),
        "\0\u{1}nonsense".to_owned(),
        String::new(),
    ] {
        std::fs::write(&table, &bad).unwrap();
        let (code, object) = json(&["split", at]);
        assert_eq!(code, 1, "{bad}");
        assert!(object["error"]["where"].as_str().unwrap().contains("CollectedData_Ada.csv"), "{object}");
        assert_eq!(std::fs::read_to_string(&table).unwrap(), bad);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let root = labeled(dir.path(), 3);
    let set = |mode| std::fs::set_permissions(&root, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    if std::fs::write(root.join("probe"), b"").is_ok() {
        set(0o755);
        eprintln!("skipped: this user may write everywhere, so that no folder is read-only");
        return;
    }
    let at = root.to_str().unwrap();
    limn(&["check-labels", at]).assert().success();
    limn(&["split", at]).assert().code(1).stderr(contains("make the folder writable"));
    set(0o755);
}

#[test]
fn kinematics_of_tracks_in_space() {
    let dir = tempfile::tempdir().unwrap();
    let tracks = dir.path().join("day1_3d.csv");
    let mut table = "hip_x,hip_y,hip_z,knee_x,knee_y,knee_z,foot_x,foot_y,foot_z\n".to_owned();
    for x in [0, 1, 2] {
        table += &format!("{x},0,30,{x},0,0,{x},20,0\n");
    }
    std::fs::write(&tracks, table).unwrap();
    let (file, out) = (tracks.to_str().unwrap(), dir.path().join("out"));
    let base = ["kinematics", file, "--out", out.to_str().unwrap()];
    let (code, object) = json(&[&base[..], &["--fps", "50", "--angle", "hip,knee,foot"]].concat());
    assert_eq!(code, 0, "{object}");
    let columns = object["files"][0]["columns"].as_array().unwrap();
    let of = |name: &str| columns.iter().find(|c| c["name"] == name).unwrap();
    assert_eq!((of("hip-knee-foot_angle")["mean"].as_f64(), of("hip-knee_length")["mean"].as_f64()), {
        (Some(90.0), Some(30.0))
    });
    let speed = of("foot_speed");
    assert_eq!((speed["unit"].as_str(), speed["known"].as_u64()), (Some("mm/s"), Some(3)));
    assert!((speed["mean"].as_f64().unwrap() - 50.0).abs() < 1e-3);
    assert!(out.join("day1_3d_kinematics.csv").is_file() && out.join("day1_3d_kinematics.yaml").is_file());
    // The skeleton of a project gives angles and limbs.
    let new = NewProject::single("walk", "Ada", ["hip", "knee", "foot"]);
    let mut project =
        Project::create(dir.path(), &new, &[], VideoMode::Link, &|_| Ok((8, 6)), &Quiet::default()).unwrap();
    project.config.skeleton = vec![["hip".into(), "knee".into()], ["knee".into(), "foot".into()]];
    project.config.save().unwrap();
    let (code, object) = json(&[&base[..], &["--skeleton", project.root().to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{object}");
    let columns = object["files"][0]["columns"].as_array().unwrap();
    assert_eq!(columns[0]["name"], "hip-knee-foot_angle");
    assert_eq!(columns.last().unwrap()["unit"], "mm/frame");
    for (wrong, what) in [
        (&["--angle", "hip,knee"][..], "is no angle"),
        (&["--angle", "hip,knee,toe"], "no body part `toe`"),
        (&["--smooth-window", "4"], "4 frames"),
        (&[file], "the same result"),
    ] {
        limn(&[&base[..], wrong].concat()).assert().code(2).stderr(contains(what));
    }
}
