//! A small labelled project, made by the library from rendered frames.

use limn::pose::FrameKey;
use limn::project::{LabelStore, NewProject, PointEdit, Project, SplitRequest, Splits, VideoMode};
use limn::synth::{Scene, SceneSpec};
use limn::train::Recipe;
use limn::watch::Quiet;
use std::path::{Path, PathBuf};

pub const FRAMES: usize = 60;

pub fn scene(seed: u64) -> Scene {
    Scene::new(SceneSpec { width: 160, height: 128, seed, arena: seed, fps: 30.0, frames: FRAMES }).unwrap()
}

/// Labels frames of a video by their truth.
pub fn label(project: &Project, scene: &Scene, video: &str, frames: &[usize]) {
    let mut store = LabelStore::edit(project, &Quiet::default()).unwrap();
    let mut edits = Vec::new();
    for &frame in frames {
        let key = FrameKey::new(video, project.image_name(video, frame as u64, FRAMES as u64));
        for (point, at) in scene.truth(frame).into_iter().enumerate().filter(|(_, at)| at.is_some()) {
            edits.push(PointEdit::new(key.clone(), point, at));
        }
    }
    store.set_all(&edits).unwrap();
    store.flush(&Quiet::default()).unwrap();
}

/// A labelled and split project without videos, made by the library.
pub fn labelled(dir: &Path, count: usize) -> PathBuf {
    let scene = scene(1);
    let new = NewProject::single("openfield", "Ada", scene.skeleton().bodyparts);
    let watch = Quiet::default();
    let mut project = Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((160, 128)), &watch).unwrap();
    let folder = project.labeled_data("m1");
    std::fs::create_dir_all(&folder).unwrap();
    let frames: Vec<usize> = (0..count).map(|i| i * FRAMES / count).collect();
    for &f in &frames {
        scene.render(f).save_png(&folder.join(project.image_name("m1", f as u64, FRAMES as u64))).unwrap();
    }
    label(&project, &scene, "m1", &frames);
    let request = SplitRequest { train_fraction: 0.75, shuffles: 1, seed: 0, by_video: false, force: false };
    let store = LabelStore::read(&project, &watch).unwrap();
    Splits::draw(&mut project, store.labels(), &request).unwrap();
    project.root().to_owned()
}

/// A recipe that takes seconds.
pub fn recipe(dir: &Path, net: &str, steps: u64, evaluations: u64) -> PathBuf {
    let mut recipe = Recipe::for_net(net).unwrap();
    (recipe.steps, recipe.batch, recipe.crop, recipe.evaluations) = (steps, 2, 64, evaluations);
    recipe.head.width = 16;
    let path = dir.join(format!("{net}-{steps}.yaml"));
    std::fs::write(&path, serde_yaml::to_string(&recipe).unwrap()).unwrap();
    path
}
