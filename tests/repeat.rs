//! Trainings that are repeated, and trainings that are killed: the same weights, bit for bit.
#![cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
#![allow(clippy::unwrap_used, clippy::panic)] // in the helpers of tests too

mod support;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::json;
use support::project::{labelled, recipe};

/// Kills, if the variable `LIMN_KILLS` does not say another number.
const KILLS: usize = 6;

fn train(project: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.arg("train").arg(project).args(["--net", "efficientnet_lite0", "--init", "random"]);
    command.args(["--device", "cpu", "--quiet"]).args(more).env_remove("LIMN_LOG").stdout(Stdio::null());
    command
}

fn folder(project: &Path, shuffle: u32) -> PathBuf {
    let models = project.join("limn-models/iteration-0");
    let end = format!("shuffle{shuffle}");
    let mut found = std::fs::read_dir(models).unwrap().flatten().map(|e| e.path());
    found.find(|p| p.to_string_lossy().ends_with(&end)).unwrap()
}

fn weights(project: &Path, shuffle: u32) -> Vec<u8> {
    std::fs::read(folder(project, shuffle).join("snapshot-last/weights.safetensors")).unwrap()
}

#[test]
fn a_model_is_repeated_from_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let project = labelled(&dir.path().join("p"), 8);
    let p = project.to_str().unwrap();
    let recipe = recipe(dir.path(), "efficientnet_lite0", 6, 2);
    assert!(
        train(&project, &["--recipe", recipe.to_str().unwrap(), "--seed", "5"]).status().unwrap().success()
    );
    let model = folder(&project, 1).join("snapshot-last");
    let copy = dir.path().join("kept");
    std::fs::create_dir(&copy).unwrap();
    for file in ["model.yaml", "weights.safetensors"] {
        std::fs::copy(model.join(file), copy.join(file)).unwrap();
    }
    let (code, done) = json(&["train", p, "--like", copy.to_str().unwrap(), "--device", "cpu"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!((&done["shuffle"], &done["warnings"]), (&serde_json::json!(2), &serde_json::json!([])));
    assert!(weights(&project, 1) == weights(&project, 2), "the same weights");
    // Into another project with the same labels, and told when a picture is another.
    let mut pictures =
        std::fs::read_dir(project.join("labeled-data/m1")).unwrap().flatten().map(|e| e.path());
    let picture = pictures.find(|p| p.extension().is_some_and(|e| e == "png")).unwrap();
    limn::picture::Picture::new(160, 128).save_png(&picture).unwrap();
    let (code, done) = json(&["train", p, "--like", copy.to_str().unwrap(), "--device", "cpu"]);
    let warnings = done["warnings"].to_string();
    assert!(code == 0 && warnings.contains("1 pictures are others"), "{done}");
    assert!(weights(&project, 1) != weights(&project, 3));
    // A model that does not say how it was trained.
    let card = std::fs::read_to_string(copy.join("model.yaml")).unwrap();
    let (before, rest) = card.split_once("  settings:").unwrap();
    let after = &rest[rest.find("\n  train:").unwrap()..];
    std::fs::write(copy.join("model.yaml"), format!("{before}{}", after.trim_start_matches('\n'))).unwrap();
    let (code, done) = json(&["train", p, "--like", copy.to_str().unwrap()]);
    assert!(code == 1 && done.to_string().contains("does not say how it was trained"), "{done}");
}

#[test]
fn killed_at_any_moment_it_ends_at_the_same_weights() {
    let kills = std::env::var("LIMN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let dir = tempfile::tempdir().unwrap();
    let steps = 20 + 4 * kills as u64;
    let recipe = recipe(dir.path(), "efficientnet_lite0", steps, steps / 2);
    let (sound, killed) = (labelled(&dir.path().join("sound"), 8), labelled(&dir.path().join("killed"), 8));
    let recipe = ["--recipe", recipe.to_str().unwrap()];
    assert!(train(&sound, &recipe).status().unwrap().success());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut alive, mut kept) = (0, Vec::new());
    for _ in 0..kills {
        let last = step_kept(&killed).unwrap_or(0);
        // At the start, or some steps later; then at any moment of what comes.
        let wanted = last + random.random_range(0..3);
        let more: &[&str] = if step_kept(&killed).is_some() { &["--resume"] } else { &recipe };
        let mut child = train(&killed, more).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() && step_kept(&killed).unwrap_or(0) < wanted {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..1000)));
        alive += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let now = step_kept(&killed).unwrap_or(0);
        assert!(now >= last, "nothing kept is lost again");
        kept.push(now);
    }
    let more: &[&str] = if step_kept(&killed).is_some() { &["--resume"] } else { &recipe };
    assert!(train(&killed, more).status().unwrap().success());
    eprintln!("{kills} kills, {alive} while it ran; steps kept: {kept:?} of {steps}");
    assert!(alive > kills / 3, "{alive}");
    assert!(weights(&sound, 1) == weights(&killed, 1), "the same weights");
}

/// The step of the checkpoint that lies there.
fn step_kept(project: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(project.join("limn-models/iteration-0")).ok()?;
    let folder = entries.flatten().map(|e| e.path()).find(|p| p.to_string_lossy().ends_with("shuffle1"))?;
    let text = std::fs::read_to_string(folder.join("checkpoint.yaml")).ok()?;
    text.lines().find_map(|l| l.strip_prefix("step: "))?.parse().ok()
}
