//! Labels and pictures that training must not fall over, and trainings that go wrong.
#![cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
#![allow(clippy::unwrap_used, clippy::panic)] // in the helpers of tests too

mod support;

use limn::pose::FrameKey;
use limn::project::{LabelStore, PointEdit, Project};
use limn::watch::Quiet;
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::json;
use support::project::{labelled, recipe};

struct Place {
    dir: tempfile::TempDir,
    project: PathBuf,
}

impl Place {
    fn new(frames: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = labelled(&dir.path().join("p"), frames);
        Self { dir, project }
    }

    fn train(&self, recipe: &Path) -> (i32, Value) {
        let (p, recipe) = (self.project.to_str().unwrap(), recipe.to_str().unwrap());
        let init = ["--net", "efficientnet_lite0", "--init", "random", "--device", "cpu", "--recipe", recipe];
        json(&[&["train", p], &init[..]].concat())
    }

    fn quick(&self, steps: u64) -> PathBuf {
        recipe(self.dir.path(), "efficientnet_lite0", steps, 2)
    }

    fn pictures(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.project.join("labeled-data/m1")).unwrap().flatten();
        let mut found: Vec<_> = entries.map(|e| e.path()).collect();
        found.retain(|p| p.extension().is_some_and(|e| e == "png"));
        found.sort();
        found
    }

    /// Takes away labels: all those for which `gone` is true.
    fn unlabel(&self, gone: impl Fn(usize) -> bool) {
        let project = Project::open(&self.project, &Quiet::default()).unwrap();
        let mut store = LabelStore::edit(&project, &Quiet::default()).unwrap();
        let mut edits = Vec::new();
        for (key, frame) in store.labels().labeled_frames() {
            let points = (0..frame.points.len()).filter(|p| gone(*p) && frame.points[*p].is_some());
            edits.extend(points.map(|p| PointEdit::new(key.clone(), p, None)));
        }
        store.set_all(&edits).unwrap();
        store.flush(&Quiet::default()).unwrap();
    }
}

fn warned(done: &Value, of: &str) -> bool {
    done["warnings"].as_array().unwrap().iter().any(|w| w.as_str().unwrap().contains(of))
}

#[test]
fn all_labels_in_one_body_part() {
    let place = Place::new(8);
    place.unlabel(|point| point != 2);
    let (code, done) = place.train(&place.quick(3));
    assert_eq!(code, 0, "{done}");
    assert!(warned(&done, "will learn that it is never there"), "{done}");
    let (code, report) =
        json(&["evaluate", place.project.to_str().unwrap(), "--device", "cpu", "--no-pictures"]);
    assert!(code == 0 && report["test"]["n_points"] == 2, "{report}");
}

#[test]
fn the_same_picture_labelled_in_two_ways_is_told() {
    let place = Place::new(8);
    let pictures = place.pictures();
    std::fs::copy(&pictures[0], &pictures[4]).unwrap();
    let (code, done) = place.train(&place.quick(3));
    assert!(code == 0 && warned(&done, "are the same picture, labelled differently"), "{done}");
    let name = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().into_owned();
    assert!(warned(&done, &name(&pictures[0])) && warned(&done, &name(&pictures[4])), "{done}");
}

#[test]
fn pictures_of_other_sizes_depths_and_channels() {
    let place = Place::new(8);
    let pictures = place.pictures();
    let open = |i: usize| image::open(&pictures[i]).unwrap();
    // Grey, grey of 16 bits, transparent, and larger than the others; the labels stay inside.
    open(0).into_luma8().save(&pictures[0]).unwrap();
    open(1).into_luma16().save(&pictures[1]).unwrap();
    let mut clear = open(2).into_rgba8();
    clear.pixels_mut().for_each(|p| p.0[3] = 128);
    clear.save(&pictures[2]).unwrap();
    let mut wide = image::RgbImage::new(320, 200);
    image::imageops::overlay(&mut wide, &open(3).into_rgb8(), 0, 0);
    wide.save(&pictures[3]).unwrap();
    let (code, done) = place.train(&place.quick(4));
    assert!(code == 0 && done["warnings"] == serde_json::json!([]), "{done}");
    let (code, report) =
        json(&["evaluate", place.project.to_str().unwrap(), "--device", "cpu", "--no-pictures"]);
    assert!(code == 0 && report["train"]["n_frames"] == 6, "{report}");
    // What is seen of them is the same picture: 16 bits are not taken for 8, and no colour is lost by transparency.
    let sound = limn::picture::Picture::load(&pictures[2]).unwrap();
    let grey = limn::picture::Picture::load(&pictures[1]).unwrap();
    let mean = |p: &limn::picture::Picture| {
        p.rgb().iter().map(|v| f64::from(*v)).sum::<f64>() / p.rgb().len() as f64
    };
    assert!((mean(&sound) - mean(&grey)).abs() < 12.0, "{} {}", mean(&sound), mean(&grey));
    let key = FrameKey::new("m1", pictures[3].file_name().unwrap().to_string_lossy());
    assert!(key.to_string().contains("m1"));
}

#[test]
fn a_learning_rate_that_diverges_is_said_and_the_best_is_kept() {
    let place = Place::new(8);
    let text = std::fs::read_to_string(place.quick(400)).unwrap();
    let wild: String = text
        .lines()
        .map(|l| match l.split_once(':') {
            Some((k @ ("random_rate" | "head_rate" | "backbone_rate"), _)) => format!("{k}: 30.0\n"),
            Some((k @ "clip", _)) => format!("{k}: 1000000.0\n"),
            Some((k @ "evaluations", _)) => format!("{k}: 200\n"),
            Some((k @ ("warmup" | "patience"), _)) => format!("{k}: 0\n"),
            _ => format!("{l}\n"),
        })
        .collect();
    let recipe = place.dir.path().join("wild.yaml");
    std::fs::write(&recipe, wild).unwrap();
    let (code, done) = place.train(&recipe);
    let text = done.to_string();
    assert!(
        code == 1 && text.contains("training diverged at step") && text.contains("lower the learning rates"),
        "{done}"
    );
    assert!(text.contains("the best state before it is kept"), "{done}");
    let (code, report) =
        json(&["evaluate", place.project.to_str().unwrap(), "--device", "cpu", "--no-pictures"]);
    assert!(code == 0 && report["snapshot"].as_str().unwrap().ends_with("snapshot-best"), "{report}");
}
