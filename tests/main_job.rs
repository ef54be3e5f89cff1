//! The main job as a user does it, with the built program: from two videos to tracks, on a rendered experiment.
#![cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
#![allow(clippy::unwrap_used, clippy::panic)] // in the helpers of tests too

mod support;

use limn::formats::{dlc_h5, dlc_tracks_csv};
use limn::net::{Bundle, Card, Device, HeadSpec, Net, NetSpec, save_tensors};
use limn::picture::Picture;
use limn::pose::Tracks;
use limn::project::Project;
use limn::synth::{Scene, SceneSpec};
use limn::video::{Decoded, Index, Options, Reader, Writer};
use limn::watch::Quiet;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::json;
use support::project::{FRAMES, label, labelled, recipe, scene};

const PARTS: usize = 8;

fn done(args: &[&str]) -> Value {
    let (code, value) = json(args);
    assert_eq!(code, 0, "{args:?}: {value}");
    value
}

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn path(value: &Value) -> PathBuf {
    PathBuf::from(value.as_str().unwrap_or_else(|| panic!("no path: {value}")))
}

fn film(scene: &Scene, path: &Path, options: &Options) {
    let spec = scene.spec();
    let mut writer = Writer::create_with(path, spec.width, spec.height, spec.fps, options).unwrap();
    (0..spec.frames).for_each(|f| writer.write(&scene.render(f)).unwrap());
    writer.finish().unwrap();
}

fn pngs(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|n| n.ends_with(".png"));
    names.sort();
    names
}

fn frame_of(name: &str) -> usize {
    name.strip_prefix("img").unwrap().strip_suffix(".png").unwrap().parse().unwrap()
}

fn same(a: &Tracks, b: &Tracks) -> bool {
    let equal = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
    a.skeleton.bodyparts == b.skeleton.bodyparts
        && a.values().len() == b.values().len()
        && a.values().iter().zip(b.values()).all(equal)
}

#[test]
fn from_videos_to_tracks() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (one, two) = (scene(1), scene(2));
    std::fs::create_dir(at("recordings")).unwrap();
    let (m1, m2) = (at("recordings/m1.mp4"), at("recordings/m2.mp4"));
    film(&one, &m1, &Options::default());
    film(&two, &m2, &Options::default());

    // A new project: linked and copied.
    let parts = one.skeleton().bodyparts.join(",");
    let new = |name: &str, more: &[&str]| {
        let args =
            ["new", name, "--scorer", "Ada", "--bodyparts", &parts, "--dir", str(dir.path()), str(&m1)];
        path(&done(&[&args, more].concat())["project"])
    };
    let copied = new("copied", &["--copy"]).join("videos/m1.mp4");
    assert!(!copied.is_symlink());
    assert_eq!(std::fs::read(&copied).unwrap(), std::fs::read(&m1).unwrap());
    let root = new("openfield", &["--skeleton", "snout-tailbase"]);
    #[cfg(unix)]
    assert!(root.join("videos/m1.mp4").is_symlink());
    let p = str(&root);
    let added = done(&["add-videos", p, str(&m2)]);
    assert_eq!(added["added"], serde_json::json!(["m2"]));
    assert_ne!(json(&["add-videos", p, str(&m2)]).0, 0, "a second time is refused");

    // Frames: as many as asked for, named by their number, showing that very frame; asking again changes nothing.
    for (method, video, file) in [("uniform", "m1", &m1), ("kmeans", "m2", &m2)] {
        let args = ["extract-frames", p, "--method", method, "--count", "6", "--video", video];
        let first = done(&args);
        assert_eq!(first["videos"][0]["new"], 6);
        let folder = root.join("labeled-data").join(video);
        let names = pngs(&folder);
        assert_eq!(names.len(), 6);
        let mut reader = Reader::open(file, &Quiet::default()).unwrap();
        for name in &names {
            assert_eq!(name.len(), "img00.png".len(), "60 frames have two digits");
            let Decoded::Picture(frame) = reader.frame(frame_of(name)).unwrap() else { panic!("{name}") };
            assert!(Picture::load(&folder.join(name)).unwrap() == frame, "{video}/{name}");
        }
        std::fs::write(folder.join(&names[0]), b"mine").unwrap();
        let again = done(&args);
        assert_eq!(
            (&again["videos"][0]["new"], &again["videos"][0]["frames"]),
            (&0.into(), &first["videos"][0]["frames"])
        );
        assert_eq!(std::fs::read(folder.join(&names[0])).unwrap(), b"mine", "never written over");
        assert_eq!(pngs(&folder), names);
        std::fs::remove_file(folder.join(&names[0])).unwrap();
        assert_eq!(done(&args)["videos"][0]["new"], 1);
    }

    // Labels, check, split.
    let project = Project::open(&root, &Quiet::default()).unwrap();
    for (scene, video) in [(&one, "m1"), (&two, "m2")] {
        let frames: Vec<usize> = pngs(&project.labeled_data(video)).iter().map(|n| frame_of(n)).collect();
        label(&project, scene, video, &frames);
    }
    let check = done(&["check-labels", p]);
    assert_eq!((&check["errors"], &check["labeled_pictures"]), (&0.into(), &12.into()));
    for video in ["m1", "m2"] {
        assert_eq!(pngs(&root.join(format!("labeled-data/{video}_labeled"))).len(), 6);
    }
    let split = done(&["split", p, "--train-fraction", "0.75"]);
    assert_eq!((&split["shuffles"][0]["train"], &split["shuffles"][0]["test"]), (&9.into(), &3.into()));

    // Training and evaluation.
    let recipe = recipe(dir.path(), "resnet_18", 6, 1);
    let tiny = ["--net", "resnet_18", "--init", "random", "--device", "cpu", "--recipe", str(&recipe)];
    let trained = done(&[&["train", p, "--seed", "3"], &tiny[..]].concat());
    assert_eq!((&trained["outcome"]["steps"], &trained["outcome"]["complete"]), (&6.into(), &true.into()));
    assert!(trained["outcome"]["last_error_px"].as_f64().unwrap() > 0.0);
    let folder = path(&trained["folder"]);
    assert!(folder.starts_with(&root) && str(&folder).contains("trainset75shuffle1"));
    for file in ["learning_stats.csv", "checkpoint.yaml", "learning-curve.png"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let evaluated = done(&["evaluate", p, "--device", "cpu"]);
    for (set, frames) in [("test", 3), ("train", 9)] {
        assert_eq!(evaluated[set]["n_frames"], frames);
        for figure in ["mean_error_px", "median_error_px"] {
            assert!(evaluated[set][figure].as_f64().unwrap() >= 0.0, "{set} {figure}");
        }
        let sure = &evaluated[set]["mean_error_px_pcutoff"];
        assert!(sure.is_f64() || (sure.is_null() && evaluated[set]["n_points_pcutoff"] == 0));
    }
    let by_part = evaluated["per_bodypart"].as_object().unwrap();
    assert_eq!(by_part.keys().cloned().collect::<Vec<_>>().join(",").len(), parts.len());
    assert!(by_part["snout"]["mean_error_px"].is_f64());
    let evaluation = path(&evaluated["folder"]);
    assert!(evaluation.join("results.json").is_file() && evaluation.join("errors.csv").is_file());
    assert_eq!(pngs(&evaluation.join("pictures")).len(), 12);

    // Tracks: a row a frame, the same in both files; once is enough.
    let out = at("tracks");
    let analyze = ["analyze", p, str(&m2), "--out", str(&out), "--device", "cpu"];
    let analyzed = done(&analyze);
    let video = &analyzed["videos"][0];
    assert_eq!(
        (&video["frames"], &video["missing"], &video["skipped"]),
        (&FRAMES.into(), &0.into(), &false.into())
    );
    let watch = Quiet::default();
    let (scorer, tracks) = dlc_h5::read_tracks(&path(&video["h5"]), &watch).unwrap();
    assert_eq!(analyzed["scorer"], *scorer);
    assert!(
        scorer.starts_with("DLC_Resnet18_openfield") && scorer.contains("shuffle1_snapshot_"),
        "{scorer}"
    );
    assert_eq!((tracks.frames(), tracks.skeleton.points()), (FRAMES, PARTS));
    assert!(tracks.values().iter().all(|v| v.is_finite()));
    let (csv_scorer, csv) = dlc_tracks_csv::read(&path(&video["csv"]), &watch).unwrap();
    assert!(csv_scorer == scorer && same(&tracks, &csv));
    let index = Index::open(&m2, &watch).unwrap();
    let times = std::fs::read_to_string(path(&video["times"])).unwrap();
    assert_eq!(times.lines().next(), Some("frame,time_s,decoded"));
    assert_eq!(times.lines().count(), 1 + FRAMES);
    for (n, line) in times.lines().skip(1).enumerate() {
        assert_eq!(line, format!("{n},{:.6},1", index.time(n).unwrap()));
    }
    let written = std::fs::metadata(path(&video["h5"])).unwrap().modified().unwrap();
    assert_eq!(done(&analyze)["videos"][0]["skipped"], true);
    assert_eq!(std::fs::metadata(path(&video["h5"])).unwrap().modified().unwrap(), written);
    let forced = done(&[&analyze[..], &["--force"]].concat());
    assert_eq!(forced["videos"][0]["skipped"], false);
    assert!(std::fs::metadata(path(&video["h5"])).unwrap().modified().unwrap() > written);
    assert!(same(&dlc_h5::read_tracks(&path(&video["h5"]), &watch).unwrap().1, &tracks), "the same again");
    let (code, e) = json(&["analyze", p, str(&m2), str(&copied), str(&m1), "--out", str(&out)]);
    assert_eq!(code, 2, "two videos named m1 into one folder: {e}");

    // Labelled video and plots.
    let rendered = done(&["render", p, str(&m2), "--out", str(&out), "--trail", "5", "--skeleton"]);
    let rendered = &rendered["videos"][0];
    assert_eq!(rendered["labeled"]["frames"], FRAMES);
    let drawn = Index::open(&path(&rendered["labeled"]["path"]), &watch).unwrap();
    assert_eq!((drawn.len(), drawn.width(), drawn.height()), (FRAMES, 160, 128));
    assert_eq!(pngs(&path(&rendered["plots"])).len(), 4);

    assert!(done(&["doctor"])["limn"]["found"].is_string());

    // The model by itself, elsewhere, without the project; on a video with a damaged place.
    let model = at("elsewhere/model");
    std::fs::create_dir_all(&model).unwrap();
    for file in ["model.yaml", "weights.safetensors"] {
        std::fs::copy(folder.join("snapshot-last").join(file), model.join(file)).unwrap();
    }
    std::fs::rename(&root, at("gone")).unwrap();
    let alone = done(&["analyze", str(&model), str(&m2), "--out", str(&at("alone")), "--device", "cpu"]);
    let (_, by_model) = dlc_h5::read_tracks(&path(&alone["videos"][0]["h5"]), &watch).unwrap();
    assert!(same(&by_model, &tracks));

    let hurt = at("hurt.mp4");
    film(&two, &hurt, &Options { codec: limn::video::Codec::Mjpeg, ..Options::default() });
    let mut file = std::fs::read(&hurt).unwrap();
    // The 31st picture of the file: the JPEG that begins at the 31st start mark.
    let starts: Vec<usize> =
        (0..file.len() - 2).filter(|i| file[*i..].starts_with(&[0xff, 0xd8, 0xff])).collect();
    assert_eq!(starts.len(), FRAMES);
    file[starts[30]..starts[31]].fill(0x5a);
    std::fs::write(&hurt, file).unwrap();
    let gap = done(&["analyze", str(&model), str(&hurt), "--device", "cpu"]);
    assert_eq!((&gap["videos"][0]["frames"], &gap["videos"][0]["missing"]), (&FRAMES.into(), &1.into()));
    assert!(gap["warnings"][0].as_str().unwrap().contains("hurt.mp4: frame 30 "), "{gap}");
    let (_, holed) = dlc_h5::read_tracks(&path(&gap["videos"][0]["h5"]), &watch).unwrap();
    for n in 0..FRAMES {
        assert!(holed.row(n).iter().all(|v| v.is_nan() == (n == 30)), "frame {n}");
    }
    let times = std::fs::read_to_string(path(&gap["videos"][0]["times"])).unwrap();
    assert!(times.lines().nth(31).unwrap().ends_with(",0"));
    assert_eq!(times.lines().filter(|l| l.ends_with(",0")).count(), 1);
}

/// Waits for a file to appear.
fn wait_for(path: &Path, child: &mut std::process::Child) {
    let begin = Instant::now();
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before {} was there", path.display());
        assert!(begin.elapsed() < Duration::from_secs(120), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_everything_and_resume_goes_on_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe(dir.path(), "efficientnet_lite0", 40, 8);
    let tiny =
        ["--net", "efficientnet_lite0", "--init", "random", "--device", "cpu", "--recipe", str(&recipe)];
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let (whole, parts) = (labelled(&whole, 8), labelled(&parts, 8));
    let folder = |root: &Path| Project::open(root, &Quiet::default()).unwrap().models_folder(0.75, 1);
    let weights =
        |root: &Path| std::fs::read(folder(root).join("snapshot-last/weights.safetensors")).unwrap();

    let args = [&["train", str(&parts)], &tiny[..], &["--json"]].concat();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("limn"))
        .args(&args)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&folder(&parts).join("checkpoint.yaml"), &mut child);
    // The shell's own `kill`: the program of that name is not on every machine.
    let interrupt = format!("kill -INT {}", child.id());
    let kill = std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap();
    assert!(kill.success());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{out:?}");
    let said: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(said["error"]["kind"], "Cancelled");
    let card = Card::read(&folder(&parts).join("snapshot-last")).unwrap();
    assert!(!card.training.complete && (1..40).contains(&card.training.steps), "{}", card.training.steps);
    assert_eq!(card.training.start, "random weights");
    Bundle::load(&folder(&parts).join("snapshot-last"), Device::Cpu).unwrap();

    let resumed = done(&[&["train", str(&parts), "--resume"], &tiny[..]].concat());
    assert_eq!((&resumed["outcome"]["steps"], &resumed["outcome"]["complete"]), (&40.into(), &true.into()));
    assert_eq!(resumed["init"], "random weights");
    done(&[&["train", str(&whole)], &tiny[..]].concat());
    assert!(weights(&whole) == weights(&parts), "the stop left a trace in the weights");
    let log = std::fs::read_to_string(folder(&parts).join("learning_stats.csv")).unwrap();
    let rows: Vec<Vec<&str>> = log.lines().skip(1).map(|l| l.split(',').collect()).collect();
    // 6 frames in batches of 2: an epoch is 3 steps; the last one is cut short by the schedule.
    assert_eq!(rows.len(), 14, "{log}");
    assert!(rows.iter().enumerate().all(|(n, r)| r[1] == (n + 1).to_string()), "{log}");
    assert!(rows.last().unwrap()[6].parse::<f64>().is_ok());
    assert_eq!(rows.iter().filter(|r| !r[6].is_empty()).count(), 8, "{log}");
}

/// Trains on torchvision's names from a file, and tracks a short clip with the outcome.
fn train_from(weights: &Path, dir: &Path) {
    let root = labelled(dir, 4);
    let recipe = recipe(dir, "resnet_50", 2, 1);
    let p = str(&root);
    let trained = done(&[
        "train",
        p,
        "--net",
        "resnet_50",
        "--weights",
        str(weights),
        "--recipe",
        str(&recipe),
        "--device",
        "cpu",
    ]);
    assert_eq!(trained["outcome"]["steps"], 2);
    assert!(trained["init"].as_str().unwrap().contains(str(weights)));
    let clip = dir.join("clip.mp4");
    let short = Scene::new(SceneSpec { frames: 5, ..*scene(3).spec() }).unwrap();
    film(&short, &clip, &Options::default());
    let analyzed = done(&["analyze", p, str(&clip), "--device", "cpu"]);
    assert_eq!((&analyzed["videos"][0]["frames"], &analyzed["videos"][0]["missing"]), (&5.into(), &0.into()));
}

#[test]
fn resnet_50_from_torchvisions_names() {
    let dir = tempfile::tempdir().unwrap();
    let head = HeadSpec { width: 16, ..HeadSpec::default() };
    let spec = NetSpec { net: "resnet_50".into(), backbone_stride: 32, output_stride: 8, points: 1, head };
    let net = Net::new(&spec, Device::Cpu, 9).unwrap();
    let file = dir.path().join("resnet50-abcdef.safetensors");
    let names: Vec<(String, &limn::net::Tensor)> = net
        .params()
        .iter()
        .filter_map(|p| Some((p.name.strip_prefix("backbone.")?.to_owned(), &p.tensor)))
        .collect();
    assert!(names.iter().any(|(n, _)| n == "layer4.2.bn3.running_var"));
    save_tensors(&file, names.iter().map(|(n, t)| (n.as_str(), *t))).unwrap();
    train_from(&file, dir.path());

    // One tensor less, and the file is refused by that tensor's name.
    let less = dir.path().join("less.safetensors");
    save_tensors(&less, names.iter().skip(1).map(|(n, t)| (n.as_str(), *t))).unwrap();
    let root = labelled(&dir.path().join("again"), 4);
    let (code, e) =
        json(&["train", str(&root), "--net", "resnet_50", "--weights", str(&less), "--device", "cpu"]);
    assert_eq!(code, 1);
    assert!(e["error"]["what"].as_str().unwrap().contains(&names[0].0), "{e}");
}

#[test]
fn resnet_50_from_a_pth_file() {
    let python = std::env::var("LIMN_PYTHON").unwrap_or_else(|_| "python3".into());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resnet50.pth");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/make-test-weights.py");
    let made = std::process::Command::new(&python).args([script, str(&file)]).output();
    match made {
        Ok(out) if out.status.success() => train_from(&file, dir.path()),
        Ok(out) if out.status.code() != Some(3) => panic!("{script}: {out:?}"),
        _ => eprintln!("skipped: {python} cannot import torch and torchvision; set LIMN_PYTHON"),
    }
}
