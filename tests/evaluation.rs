//! Evaluation as a user does it, with the built program: folds by video, pooled test frames, calibration, learning curve.
#![cfg(all(feature = "torch", feature = "vision"))]
#![allow(clippy::unwrap_used, clippy::panic)] // in the helpers of tests too

mod support;

use limn::net::{Card, Precision};
use limn::pose::FrameKey;
use limn::project::{LabelStore, NewProject, PointEdit, Project, VideoMode};
use limn::synth::{Scene, SceneSpec};
use limn::train::session::{self, Options, Start};
use limn::train::{Recipe, snapshot_folder};
use limn::watch::Quiet;
use serde_json::Value;
use std::path::Path;
use support::json;

const PER_VIDEO: usize = 8;

fn done(args: &[&str]) -> Value {
    let (code, value) = json(args);
    assert_eq!(code, 0, "{args:?}: {value}");
    value
}

/// A project of three videos with eight labelled pictures of eight points each.
fn labelled(dir: &Path) -> Project {
    let scene = |seed: u64| {
        let spec = SceneSpec { width: 96, height: 80, seed, arena: seed, fps: 30.0, frames: PER_VIDEO };
        Scene::new(spec).unwrap()
    };
    let new = NewProject::single("openfield", "Ada", scene(1).skeleton().bodyparts);
    let watch = Quiet::default();
    let project = Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((96, 80)), &watch).unwrap();
    let mut edits = Vec::new();
    for (seed, video) in [(1, "m&1"), (2, "m&2"), (3, "m&3")] {
        let scene = scene(seed);
        std::fs::create_dir_all(project.labeled_data(video)).unwrap();
        for frame in 0..PER_VIDEO {
            let name = project.image_name(video, frame as u64, PER_VIDEO as u64);
            scene.render(frame).save_png(&project.labeled_data(video).join(&name)).unwrap();
            let truth = scene.truth(frame).into_iter().enumerate();
            edits.extend(truth.map(|(i, at)| PointEdit::new(FrameKey::new(video, name.clone()), i, at)));
        }
    }
    let mut store = LabelStore::edit(&project, &watch).unwrap();
    store.set_all(&edits).unwrap();
    store.flush(&watch).unwrap();
    project
}

#[test]
fn folds_are_pooled_and_a_curve_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let mut project = labelled(dir.path());
    let root = project.root().to_path_buf();
    let p = root.to_str().unwrap();

    // Three videos: whole ones are kept together without being asked.
    let split = done(&["split", p, "--train-fraction", "0.6"]);
    assert_eq!((&split["by_video"], &split["shuffles"][0]["test"]), (&true.into(), &PER_VIDEO.into()));
    assert_eq!(done(&["split", p, "--train-fraction", "0.5", "--by-frame"])["shuffles"][0]["test"], 12);
    let folds = done(&["split", p, "--folds", "3"]);
    assert_eq!((&folds["by_video"], &folds["train_fraction"]), (&true.into(), &0.67.into()));
    assert_eq!(done(&["split", p, "--folds", "4"])["by_video"], false);
    done(&["split", p, "--folds", "3"]);
    assert_eq!(json(&["split", p, "--folds", "4", "--by-video"]).0, 1);
    assert_eq!(json(&["split", p, "--folds", "3", "--shuffles", "2"]).0, 2);

    let mut recipe = Recipe::for_net("efficientnet_lite0").unwrap();
    (recipe.steps, recipe.batch, recipe.crop, recipe.warmup, recipe.evaluations) = (2, 2, 64, 1, 1);
    recipe.head.width = 16;
    let watch = Quiet::default();
    for shuffle in 1..=3 {
        let options = Options {
            shuffle,
            net: Some("efficientnet_lite0".into()),
            device: "cpu".into(),
            precision: Some(Precision::Fp32),
            start: Start::Random,
            recipe: Some(recipe.clone()),
            ..Options::default()
        };
        session::train(&mut project, &options, &watch).unwrap();
    }

    // A frame is judged by the one network that did not see it.
    let pooled = done(&["evaluate", p, "--shuffles", "1-3", "--device", "cpu", "--no-pictures"]);
    assert_eq!((&pooled["test"]["n_frames"], &pooled["train"]["n_frames"]), (&24.into(), &48.into()));
    assert_eq!((&pooled["pooled"]["frames"], &pooled["pooled"]["repeated"]), (&24.into(), &0.into()));
    assert_eq!(pooled["members"].as_array().unwrap().len(), 3);
    assert_eq!(pooled["worst_frames"].as_array().unwrap().len(), 12);
    let folder = Path::new(pooled["folder"].as_str().unwrap());
    assert!(folder.ends_with("iteration-0/evaluation-shuffles-1-3"), "{}", folder.display());
    for w in pooled["worst_frames"].as_array().unwrap() {
        assert!(folder.join(w["picture"].as_str().unwrap()).is_file(), "{w}");
    }
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("m&amp;") && !page.contains("m&1"), "names are escaped");
    for file in ["results.json", "errors.csv", "pck.csv", "worst.csv", "pck.png", "reliability.png"] {
        assert!(folder.join(file).is_file(), "{file}");
    }

    // 64 test points are enough for a map, and it is the one that the model carries.
    let one = done(&["evaluate", p, "--device", "cpu", "--learning-curve", "--points", "3"]);
    let last = one["snapshot"].as_str().unwrap();
    let map = Card::read(Path::new(last)).unwrap().calibration.unwrap();
    let likelihood = &one["likelihood"];
    assert_eq!((&likelihood["tracks_carry"], &likelihood["within_px"]), (&"calibrated".into(), &5.0.into()));
    for (name, value) in [("slope", map.slope), ("offset", map.offset)] {
        let here = likelihood["map_fitted_here"][name].as_f64().unwrap();
        assert!((here - value).abs() < 1e-3, "{name} {here} {value}");
    }
    assert!(likelihood["calibrated_cross_fitted"]["ece"].is_f64() && likelihood["raw"]["ece"].is_f64());

    let points = one["learning_curve"]["points"].as_array().unwrap().clone();
    let frames: Vec<_> = points.iter().map(|p| p["frames"].as_u64().unwrap()).collect();
    assert_eq!(frames, [6, 11, 16]);
    assert_eq!(points[2]["model"], one["snapshot"], "the model itself is the last point");
    assert!(one["learning_curve"]["words"].as_str().unwrap().starts_with("With 16 labelled frames"));
    let first = Path::new(points[0]["model"].as_str().unwrap()).join("model.yaml");
    let card = std::fs::read(&first).unwrap();
    assert_eq!(Card::read(first.parent().unwrap()).unwrap().training.train.len(), 6);
    // Once is enough; another model asks for other networks.
    let again = done(&["evaluate", p, "--device", "cpu", "--learning-curve", "--points", "3"]);
    assert_eq!(again["learning_curve"], one["learning_curve"]);
    assert_eq!(card, std::fs::read(&first).unwrap(), "it was not trained again");
    let folder = Path::new(one["folder"].as_str().unwrap());
    for file in ["error-by-labels.json", "error-by-labels.csv", "error-by-labels.png"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert!(snapshot_folder(folder.parent().unwrap(), "last").is_dir());
}
