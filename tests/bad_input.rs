//! Bad input, as a user meets it: one clear message (what, where, how to mend it), exit code 1 (2 for wrong usage), and
//! nothing lost or half-written.
//!
//! Every story runs the program on a small project of its own and compares all files before and after.
#![cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
#![allow(clippy::unwrap_used, clippy::panic)] // the helpers are test code too

use assert_cmd::Command;
use limn::picture::Picture;
use limn::pose::{FrameKey, Keypoint};
use limn::project::{LabelStore, NewProject, Project, VideoMode};
use limn::synth::{Scene, SceneSpec};
use limn::train::Recipe;
use limn::video::Writer;
use limn::watch::Quiet;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const SIZE: (usize, usize) = (96, 72);
const PARTS: [&str; 2] = ["hand", "elbow"];

/// A folder of a test, with words for what the stories do in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// The project made by [`project`] or [`trained`].
    fn root(&self) -> PathBuf {
        self.at(&NewProject::single("reach", "Ada", PARTS).folder_name())
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.root().join(path), text).unwrap();
    }
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let (width, height) = SIZE;
        Scene::new(SceneSpec { width, height, seed: 3, arena: 1, fps: 20.0, frames: 8 }).unwrap()
    })
}

fn picture(i: usize) -> &'static Picture {
    static PICTURES: OnceLock<Vec<Picture>> = OnceLock::new();
    &PICTURES.get_or_init(|| (0..8).map(|i| scene().render(i)).collect())[i]
}

fn video(path: &Path) {
    let mut writer = Writer::create(path, SIZE.0, SIZE.1, 20.0).unwrap();
    (0..8).for_each(|i| writer.write(picture(i)).unwrap());
    writer.finish().unwrap();
}

const HEADER: &str = "scorer,,,Ada,Ada,Ada,Ada\nbodyparts,,,hand,hand,elbow,elbow\ncoords,,,x,y,x,y\n";

/// A project with one video of eight frames, `n` of them labelled.
fn project(n: usize) -> Place {
    let place = Place::new();
    video(&place.at("m1.mp4"));
    let new = NewProject::single("reach", "Ada", PARTS);
    let probe = |_: &Path| Ok(SIZE);
    let videos = [place.at("m1.mp4")];
    Project::create(place.0.path(), &new, &videos, VideoMode::Copy, &probe, &Quiet::default()).unwrap();
    let folder = place.root().join("labeled-data/m1");
    fs::create_dir_all(&folder).unwrap();
    let mut table = HEADER.to_owned();
    for i in 0..n {
        picture(i).save_png(&folder.join(format!("img{i}.png"))).unwrap();
        table += &format!("labeled-data,m1,img{i}.png,{}.5,30.5,{}.5,40.25\n", 30 + i, 50 + i);
    }
    if n > 0 {
        fs::write(folder.join(TABLE.rsplit('/').next().unwrap()), table).unwrap();
    }
    fs::write(place.at("tiny.yaml"), recipe()).unwrap();
    place
}

const TABLE: &str = "labeled-data/m1/CollectedData_Ada.csv";
const NET: &str = "efficientnet_lite0";
const MODEL: &str = "snapshot-last";

fn recipe() -> String {
    let mut recipe = Recipe::for_net(NET).unwrap();
    (recipe.steps, recipe.batch, recipe.crop, recipe.head.width) = (2, 2, 64, 8);
    serde_yaml::to_string(&recipe).unwrap()
}

fn train(place: &Place, more: &[&str]) -> Vec<String> {
    let tiny = text(place.at("tiny.yaml"));
    let root = text(place.root());
    let args = ["train", &root, "--net", NET, "--recipe", &tiny, "--init", "random", "--device", "cpu"];
    args.iter().chain(more).map(|s| (*s).to_owned()).collect()
}

/// A project with a model: trained once, kept in memory, and written anew for every test.
fn trained() -> Place {
    static FIRST: OnceLock<(String, BTreeMap<String, Vec<u8>>)> = OnceLock::new();
    let (root, kept) = FIRST.get_or_init(|| {
        let place = project(6);
        limn(&train(&place, &["--epochs", "1"])).assert().success();
        let names = files(place.0.path()).into_keys().filter(|f| !f.contains("checkpoint"));
        (text(place.root()), names.map(|f| (f.clone(), fs::read(place.at(&f)).unwrap())).collect())
    });
    let place = Place::new();
    for (file, bytes) in kept {
        let to = place.at(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    place.write("config.yaml", place.read("config.yaml").replace(root, &text(place.root())));
    place
}

fn model(place: &Place) -> PathBuf {
    let found =
        files(&place.root()).into_keys().find(|f| f.ends_with(&format!("{MODEL}/model.yaml"))).unwrap();
    place.root().join(found).parent().unwrap().to_owned()
}

/// Every file below a folder by its path, with a hash of what it holds.
fn files(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let hash = format!("{:x}", Sha256::digest(fs::read(&path).unwrap_or_default()));
                found.insert(text(path.strip_prefix(dir).unwrap()), hash);
            }
        }
    }
    found
}

/// No temporary file or folder is left.
fn clean(dir: &Path) {
    let left: Vec<_> = files(dir).into_keys().filter(|f| f.contains(".limn-")).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn limn<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::cargo_bin("limn").unwrap();
    command.args(args.iter().map(AsRef::as_ref)).env_remove("LIMN_LOG").env("NO_COLOR", "1");
    command
}

/// Runs a command, which must fail with `code` and exactly one message whose parts contain these words, on standard
/// error as text and on standard output as JSON.
fn fails_by(
    run: &dyn Fn(&[String]) -> Command,
    args: &[String],
    code: i32,
    what: &str,
    place: &str,
    mend: &str,
) {
    let out = run(&[args, &["--json".into()]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let all = format!("{args:?}\n{said}");
    assert_eq!(out.status.code(), Some(code), "{all}");
    let lines = |start: &str| said.lines().filter(|l| l.starts_with(start)).count();
    assert!(!said.contains("panicked"), "{all}");
    assert_eq!(lines("error: "), 1, "{all}");
    assert_eq!(lines("  mend:  "), 1, "{all}");
    assert!(code == 2 || lines("  where: ") == 1, "{all}");
    let object: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    for (part, words) in [("what", what), ("where", place), ("mend", mend)] {
        let is = object["error"][part].as_str().unwrap_or_default();
        assert!(is.contains(words), "`{part}` lacks `{words}`: {all}");
        assert!(said.contains(is), "{all}");
        assert!(!is.contains(".limn-"), "a temporary name says nothing to the user: {all}");
    }
}

fn fails(args: &[String], code: i32, what: &str, place: &str, mend: &str) {
    fails_by(&|a| limn(a), args, code, what, place, mend);
}

/// As [`fails`], and no file of the place has changed.
fn refused(at: &Place, args: &[String], code: i32, what: &str, place: &str, mend: &str) {
    let before = files(at.0.path());
    fails(args, code, what, place, mend);
    assert_eq!(before, files(at.0.path()), "{args:?}");
}

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// A RIFF/WAVE file: sound that any decoder opens, and no picture in it.
fn sound() -> Vec<u8> {
    let samples = [0_u8; 3200];
    let n = |v: u32| v.to_le_bytes().to_vec();
    [
        b"RIFF".to_vec(),
        n(36 + 3200),
        b"WAVEfmt ".to_vec(),
        n(16),
        vec![1, 0, 1, 0],
        n(8000),
        n(16000),
        vec![2, 0, 16, 0],
        b"data".to_vec(),
        n(3200),
        samples.to_vec(),
    ]
    .concat()
}

#[test]
fn files_that_are_no_videos() {
    let p = trained();
    let (root, m1) = (text(p.root()), fs::read(p.root().join("videos/m1.mp4")).unwrap());
    let bad = [
        ("text.mp4", b"a text file, by mistake\n".repeat(40), "video"),
        ("empty.mp4", Vec::new(), "empty"),
        ("cut.mp4", m1[..m1.len() / 2].to_vec(), "the file ends after"),
        ("sound.mp4", sound(), "no video"),
    ];
    for (name, bytes, what) in &bad {
        fs::write(p.at(name), bytes).unwrap();
        let file = text(p.at(name));
        let new = ["new", "other", "--scorer", "Ada", "--bodyparts", "hand", "--dir", &text(p.at("")), &file];
        for command in
            [&new[..], &["add-videos", &root, &file], &["analyze", &root, &file, "--device", "cpu"]]
        {
            refused(&p, &args(command), 1, what, name, "");
        }
        // The same where the project's own video has become so.
        p.write("videos/m1.mp4", bytes);
        refused(&p, &args(&["extract-frames", &root, "--count", "2"]), 1, what, "videos/m1.mp4", "");
        p.write("videos/m1.mp4", &m1);
    }
    let gone = text(p.at("gone.mp4"));
    refused(&p, &args(&["add-videos", &root, &gone]), 1, "not exist", "gone.mp4", "check the path");
    refused(&p, &args(&["analyze", &root, &gone]), 1, "", "gone.mp4", "check");
    refused(&p, &args(&["render", &root, &gone]), 1, "", "gone", "");
    let none = text(p.at("none"));
    fs::create_dir(&none).unwrap();
    for (command, says) in
        [("add-videos", "no video"), ("analyze", "neither videos nor"), ("render", "neither videos nor")]
    {
        refused(&p, &args(&[command, &root, &none]), 1, says, "none", "mp4");
    }
    fs::remove_file(p.root().join("videos/m1.mp4")).unwrap();
    refused(&p, &args(&["extract-frames", &root]), 1, "no video", "videos", "add-videos");
    refused(&p, &args(&["extract-frames", &root, "--video", "m7"]), 1, "m7", "", "");
}

#[test]
fn one_bad_video_among_good_ones_costs_only_itself() {
    let p = trained();
    fs::write(p.at("bad.mp4"), "text").unwrap();
    let (root, good, bad, out) =
        (text(p.root()), text(p.at("m1.mp4")), text(p.at("bad.mp4")), text(p.at("out")));
    let run =
        limn(&["analyze", &root, &bad, &good, "--out", &out, "--device", "cpu", "--json"]).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((told["videos"].as_array().unwrap().len(), told["failed"].as_array().unwrap().len()), (1, 1));
    assert!(told["failed"][0]["where"].as_str().unwrap().contains("bad.mp4"), "{told}");
    assert_eq!(files(&p.at("out")).len(), 4, "{:?}", files(&p.at("out")));
}

#[test]
fn a_folder_that_is_no_project() {
    let p = project(0);
    let (none, video) = (text(p.at("nowhere")), text(p.at("m1.mp4")));
    fs::create_dir(p.at("empty")).unwrap();
    let empty = text(p.at("empty"));
    for command in ["check-labels", "split", "extract-frames", "train", "evaluate"] {
        refused(&p, &args(&[command, &none]), 1, "project", &none, "");
    }
    for command in ["add-videos", "analyze", "render"] {
        refused(&p, &args(&[command, &empty, &video]), 1, "project", &empty, "");
    }
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_with_its_line() {
    let p = project(4);
    let good = p.read("config.yaml");
    let root = text(p.root());
    let refuse = |from: &str, to: &str, what: &str| {
        assert!(good.contains(from), "{from}");
        let line = good[..good.find(from).unwrap()].lines().count() + 1;
        p.write("config.yaml", good.replacen(from, to, 1));
        let place = if to.is_empty() { "config.yaml".to_owned() } else { format!("config.yaml:{line}") };
        refused(&p, &args(&["split", &root]), 1, what, &place, "");
        if from.starts_with("pcutoff") {
            for command in ["check-labels", "extract-frames", "train"] {
                refused(&p, &args(&[command, &root]), 1, what, &place, "");
            }
        }
    };
    refuse("numframes2pick: 20", "numframes2pick: many", "`numframes2pick`");
    refuse("pcutoff: 0.6", "pcutoff: [high]", "`pcutoff`");
    refuse("scorer: Ada\n", "", "`scorer` is missing");
    refuse("- elbow", "\t- elbow", "tab");
    refuse("- elbow", "- hand", "`hand` is listed twice");
    refuse("scorer: Ada", "scorer: \"Ada", "");
}

#[test]
fn a_table_that_cannot_be_used_is_told_with_its_line() {
    let p = project(4);
    let good = p.read(TABLE);
    let root = text(p.root());
    let refuse = |bad: String, what: &str, place: &str| {
        assert_ne!(bad, good);
        p.write(TABLE, bad);
        let place = format!("{TABLE}{place}");
        refused(&p, &args(&["split", &root]), 1, what, &place, "");
        if what == "`wide`" {
            refused(&p, &args(&["check-labels", &root]), 1, what, &place, "");
            refused(&p, &train(&p, &[]), 1, what, &place, "");
        }
    };
    let column =
        |s: &str| s.lines().map(|l| l.rsplit_once(',').unwrap().0.to_owned() + "\n").collect::<String>();
    refuse(column(&good), "`y`", "");
    refuse(column(&column(&good)), "`elbow`", "");
    refuse(good.replace("32.5,30.5,52.5,40.25", "32.5,30.5,52.5"), "", ":6");
    refuse(good.replace("32.5,30.5", "wide,30.5"), "`wide`", ":6");
    refuse(good.replace("32.5,30.5", "inf,30.5"), "", ":6");
    refuse(good.replace("hand,hand", "thumb,thumb"), "`thumb`", "");
    refuse(good.replace("img3.png", "img2.png"), "img2.png", ":7");
    refuse("\0\u{1}nonsense".to_owned(), "", "");
    refuse(String::new(), "", "");
}

#[test]
fn a_labelled_picture_that_is_gone_or_damaged() {
    let p = project(4);
    let root = text(p.root());
    limn(&["split", &root]).assert().success();
    let file = p.root().join("labeled-data/m1/img1.png");
    for damaged in [false, true] {
        if damaged {
            fs::write(&file, &fs::read(p.root().join("labeled-data/m1/img0.png")).unwrap()[..200]).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let (what, mend) = if damaged { ("cannot", "extract") } else { ("is gone", "check-labels") };
        refused(&p, &train(&p, &[]), 1, what, "labeled-data/m1/img1.png", mend);
        let out = limn(&["check-labels", &root, "--no-pictures", "--json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(1), "{report}");
        assert_eq!(report["errors"], 1, "{report}");
        assert_eq!(report["problems"][0]["where"], "labeled-data/m1/img1.png");
        limn(&["check-labels", &root]).assert().code(1);
        fs::remove_dir_all(p.root().join("labeled-data/m1_labeled")).unwrap();
    }
}

#[test]
fn no_labelled_frame_and_only_one() {
    for (n, what) in [(0, "no picture is labelled"), (1, "only one picture is labelled")] {
        let p = project(n);
        let root = text(p.root());
        refused(&p, &args(&["split", &root]), 1, what, &root, "label");
        refused(&p, &train(&p, &[]), 1, what, &root, "label");
        let out = limn(&["check-labels", &root, "--no-pictures", "--json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(out.status.code(), Some(i32::from(n == 0)), "{report}");
        assert!(report.to_string().contains(what), "{report}");
    }
}

/// As in DeepLabCut, only labels strictly inside their picture count; the user hears of the others.
#[test]
fn labels_outside_the_picture_are_told_of_and_neither_trained_on_nor_measured() {
    let p = project(6);
    let root = text(p.root());
    let good = p.read(TABLE);
    let bad = good
        .replace("31.5,30.5", "-4.0,30.5")
        .replace("32.5,30.5", "1e9,30.5")
        .replace("55.5,40.25", "55.5,72");
    p.write(TABLE, &bad);
    let out = limn(&["check-labels", &root, "--no-pictures", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((out.status.code(), report["warnings_found"].as_i64()), (Some(0), Some(3)), "{report}");

    limn(&["split", &root, "--train-fraction", "0.5"]).assert().success();
    let out = limn(&[train(&p, &["--epochs", "1"]), args(&["--json"])].concat()).output().unwrap();
    let done: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{done}");
    assert!(done["warnings"].to_string().contains("outside"), "{done}");
    let error = done["outcome"]["best_error_px"].as_f64().unwrap();
    assert!(error < 200.0, "the label at 1e9 was measured: {error}");
    let out = limn(&["evaluate", &root, "--device", "cpu", "--json"]).output().unwrap();
    let done: Value = serde_json::from_slice(&out.stdout).unwrap();
    let points = |set: &str| done[set]["n_points"].as_i64().unwrap();
    assert_eq!(points("train") + points("test"), 9, "12 labels, 3 of them outside: {done}");
    assert_eq!(p.read(TABLE), bad, "the labels are the user's");

    // Nothing inside at all: nothing can be learnt.
    p.write(TABLE, good.replace(".5,30.5", ".5,-30.5").replace(".5,40.25", ".5,-40.25"));
    refused(&p, &train(&p, &[]), 1, "inside", "labeled-data/m1/img", "check-labels");
}

#[test]
fn a_damaged_hdf5_beside_a_good_csv() {
    let p = project(4);
    let root = text(p.root());
    let h5 = "labeled-data/m1/CollectedData_Ada.h5";
    p.write(h5, "no HDF5 at all");
    let out = limn(&["split", &root, "--json"]).output().unwrap();
    let done: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{done}");
    assert!(done["warnings"][0].as_str().unwrap().contains("CollectedData_Ada.h5: damaged"), "{done}");
    assert_eq!(p.read(h5), "no HDF5 at all");
    p.write(TABLE, "nor CSV");
    refused(&p, &args(&["split", &root]), 1, "", "CollectedData_Ada.h5", "");
    fs::remove_file(p.root().join(TABLE)).unwrap();
    refused(&p, &args(&["split", &root]), 1, "", "CollectedData_Ada.h5", "");
}

#[test]
fn a_device_that_is_not_there() {
    let p = trained();
    let (root, video) = (text(p.root()), text(p.at("m1.mp4")));
    let auto = limn(&["analyze", &root, &video, "--out", &text(p.at("out")), "--json"]).output().unwrap();
    let done: Value = serde_json::from_slice(&auto.stdout).unwrap();
    let took = done["device"].as_str().unwrap();
    assert!(took.starts_with("CPU") || took.contains("cuda:0"), "auto says what it took: {took}");
    let none = if took.starts_with("CPU") { "cuda" } else { "cuda:99" };
    for command in [
        args(&["evaluate", &root, "--device", none]),
        args(&["analyze", &root, &video, "--device", none]),
        train(&p, &[]).into_iter().map(|a| if a == "cpu" { none.to_owned() } else { a }).collect(),
    ] {
        refused(&p, &command, 1, "", none, "--device cpu");
    }
    refused(&p, &args(&["evaluate", &root, "--device", "gpu"]), 2, "`gpu` is no device", "", "cuda");
}

#[test]
fn wishes_that_make_no_sense() {
    let p = project(4);
    let (root, video) = (text(p.root()), text(p.at("m1.mp4")));
    refused(&p, &args(&["evaluate", &root]), 1, "no trained model", "", "limn train");
    refused(&p, &args(&["analyze", &root, &video]), 1, "no trained model", "", "limn train");
    refused(&p, &train(&p, &["--max-minutes", "0"]), 2, "0 minutes", "", "above 0");
    refused(&p, &train(&p, &["--max-minutes", "nan"]), 2, "minutes", "", "above 0");
    refused(&p, &train(&p, &["--shuffle", "9"]), 1, "split", "splits.yaml", "limn split");
    refused(&p, &train(&p, &["--resume"]), 1, "no train/test split", "splits.yaml", "limn split");
    let root_only =
        |more: &[&str]| args(&[&["train", &root, "--device", "cpu", "--init", "random"][..], more].concat());
    refused(&p, &root_only(&["--net", "vgg_16"]), 2, "vgg_16", "", "resnet_");
    refused(&p, &root_only(&["--recipe", &text(p.at("gone.yaml"))]), 1, "", "gone.yaml", "");
    for (from, to, what) in [
        ("batch: 2", "batch: 0", "batch"),
        ("batch: 2", "batch: two", "batch"),
        ("batch: 2\n", "", "batch"),
        ("crop: 64", "crop: 50", "crop"),
        ("width: 8", "width: 0", "width"),
        ("width: 8", "wide: 8", "wide"),
        ("backbone_stride: ", "backbone_stride: 1", "stride"),
        ("head_rate: ", "head_rate: -", "head_rate"),
        ("head_rate: ", "head_rate: .nan #", "head_rate"),
        ("flip: ", "flip: 7 #", "flip"),
    ] {
        let file = p.at("odd.yaml");
        assert!(recipe().contains(from), "{}", recipe());
        fs::write(&file, recipe().replacen(from, to, 1)).unwrap();
        refused(&p, &root_only(&["--net", NET, "--recipe", &text(&file)]), 1, what, "odd.yaml", "");
    }
    for fraction in ["0", "1", "nan", "0.123"] {
        refused(&p, &args(&["split", &root, "--train-fraction", fraction]), 2, "fraction", "", "0.95");
    }
    refused(&p, &args(&["split", &root, "--shuffles", "0"]), 2, "0 shuffles", "", "1 to 1000");
    refused(&p, &args(&["extract-frames", &root, "--count", "0"]), 2, "0 frames", "", "--count");

    let p = trained();
    let (root, video) = (text(p.root()), text(p.at("m1.mp4")));
    refused(&p, &args(&["analyze", &root, &video, "--batch", "0"]), 2, "batch", "", "--batch");
    refused(&p, &train(&p, &["--resume"]), 1, "no checkpoint", "limn-models", "without --resume");
    refused(&p, &train(&p, &["--shuffle", "9"]), 1, "shuffle 9", "splits.yaml", "there are: 1");
    refused(&p, &args(&["evaluate", &root, "--shuffle", "9"]), 1, "shuffle 9", "", "");
    refused(&p, &args(&["analyze", &root, &video, "--shuffle", "9"]), 1, "shuffle 9", "", "");
    refused(&p, &args(&["render", &root, &video]), 1, "not been analyzed", "m1", "limn analyze");
    refused(&p, &args(&["evaluate", &root, "--pcutoff", "nan"]), 2, "cut-off", "", "0 to 1");
    refused(
        &p,
        &args(&["analyze", &root, &video, "--out", &text(p.at("tiny.yaml"))]),
        1,
        "",
        "tiny.yaml",
        "",
    );
}

#[test]
fn weights_of_another_network_or_none_at_all() {
    let p = project(4);
    limn(&["split", &text(p.root())]).assert().success();
    let with = |file: &Path| {
        args(&["train", &text(p.root()), "--net", NET, "--device", "cpu", "--weights", &text(file)])
    };
    fs::write(p.at("text.pth"), "these are no weights\n".repeat(99)).unwrap();
    fs::write(p.at("text.safetensors"), "these are no weights\n".repeat(99)).unwrap();
    fs::write(p.at("empty.pth"), "").unwrap();
    for name in ["text.pth", "text.safetensors", "empty.pth", "gone.pth"] {
        refused(&p, &with(&p.at(name)), 1, "", name, "");
    }
    let cache = limn::net::weights::Cache::of_user().unwrap();
    let others = limn::net::registry().unwrap().iter().filter(|e| e.net != NET);
    let Some(other) = others.map(|e| cache.path(e)).find(|f| f.is_file()) else {
        eprintln!("skipped: no pretrained weights of another network in the user's cache");
        return;
    };
    refused(&p, &with(&other), 1, "do not fit", &text(other.file_name().unwrap()), "same network");
}

#[test]
fn a_model_of_another_skeleton() {
    let p = trained();
    let config = p.read("config.yaml").replace("- elbow", "- wrist");
    p.write("config.yaml", config);
    p.write(TABLE, p.read(TABLE).replace("elbow", "wrist"));
    let (root, video) = (text(p.root()), text(p.at("m1.mp4")));
    for command in [
        args(&["analyze", &root, &video, "--device", "cpu"]),
        args(&["evaluate", &root, "--device", "cpu"]),
        args(&["render", &root, &video]),
    ] {
        refused(&p, &command, 1, "the model has elbow, the project wrist", MODEL, "train again");
    }
}

#[test]
fn a_damaged_model() {
    let p = trained();
    let (root, video, model) = (text(p.root()), text(p.at("m1.mp4")), model(&p));
    let refuse = |file: &str, bytes: &[u8]| {
        let path = model.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let at = text(&model);
        refused(&p, &args(&["analyze", &at, &video, "--device", "cpu"]), 1, "", file, "again");
        if bytes.is_empty() {
            refused(&p, &args(&["analyze", &root, &video, "--snapshot", "last"]), 1, "", file, "again");
            refused(&p, &args(&["evaluate", &root, "--snapshot", "last"]), 1, "", file, "again");
        }
        fs::write(&path, good).unwrap();
    };
    let weights = fs::read(model.join("weights.safetensors")).unwrap();
    refuse("weights.safetensors", &weights[..weights.len() / 2]);
    refuse("weights.safetensors", b"text");
    refuse("weights.safetensors", b"");
    refuse("weights.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    let card = fs::read_to_string(model.join("model.yaml")).unwrap();
    refuse("model.yaml", &card.as_bytes()[..card.len() / 3]);
    refuse("model.yaml", b"\xff\xfe\0");
    refuse("model.yaml", b"");
    refuse("model.yaml", card.replace("output_stride: ", "output_stride: 7").as_bytes());
    refuse("model.yaml", card.replace("width: 8", "width: 0").as_bytes());
    refuse("model.yaml", card.replace("backbone_stride: ", "backbone_stride: -").as_bytes());
}

/// A small disk, mounted for one test.
#[cfg(target_os = "linux")]
struct Disk(PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let out = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=160m,mode=777", "limn-test"])
            .arg(&at)
            .output();
        if !out.is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: only root may mount the small disk that this test fills");
            return None;
        }
        Some(Self(at))
    }

    /// Takes all room but so many KiB.
    fn leave(&self, kib: usize) {
        use std::io::Write;
        let path = self.0.join("filler");
        let _ = fs::remove_file(&path);
        let mut file = fs::File::create(&path).unwrap();
        let block = vec![0_u8; 4096];
        let mut blocks = 0;
        while file.write_all(&block).is_ok() {
            blocks += 1;
        }
        file.set_len((blocks * 4096_u64).saturating_sub(kib as u64 * 1024)).unwrap();
    }

    fn free(&self) {
        let _ = fs::remove_file(self.0.join("filler"));
    }

    /// All files but the filler.
    fn files(&self) -> BTreeMap<String, String> {
        let mut all = files(&self.0);
        // What an analysis has done so far is kept for its next try.
        all.retain(|name, _| name != "filler" && !name.contains("_unfinished"));
        all
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
fn moved_to(disk: &Disk, p: &Place) -> PathBuf {
    let out = std::process::Command::new("cp").arg("-r").arg(p.root()).arg(&disk.0).status().unwrap();
    assert!(out.success());
    disk.0.join(p.root().file_name().unwrap())
}

const FULL: &str = "No space left";

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_no_label() {
    let p = project(4);
    let Some(disk) = Disk::mount(p.at("disk")) else { return };
    let root = moved_to(&disk, &p);
    let watch = Quiet::default();
    let project = Project::open(&root, &watch).unwrap();
    let key = FrameKey::new("m1", "img1.png");
    let mut store = LabelStore::edit(&project, &watch).unwrap();
    store.set(&key, 0, Some(Keypoint::new(1.0, 2.0))).unwrap();
    store.flush(&watch).unwrap();
    let saved = disk.files();
    for kib in [0, 4, 8, 12, 16, 20, 24, 28, 36, 48] {
        disk.leave(kib);
        let before = disk.files();
        let at = f64::from(u32::try_from(kib).unwrap()) + 3.5;
        if let Err(e) = store.set(&key, 0, Some(Keypoint::new(at, 2.0))) {
            assert!(e.to_string().contains(FULL) && e.to_string().contains("free some space"), "{e}");
            assert_eq!(disk.files(), before, "with {kib} KiB");
            disk.free();
            store.set(&key, 0, Some(Keypoint::new(at, 2.0))).unwrap();
            disk.leave(kib);
        }
        if let Err(e) = store.flush(&watch) {
            assert!(e.to_string().contains("free some space"), "{e}");
            assert!(!e.to_string().contains(".limn-"), "{e}");
            let now = disk.files();
            for (file, hash) in &saved {
                assert!(now.contains_key(file));
                assert!(file.ends_with(".lock") || *hash == now[file], "{file} changed with {kib} KiB");
            }
            // The program ends here for some users: all edits come back.
            assert_eq!(LabelStore::read(&project, &watch).unwrap().labels(), store.labels());
            disk.free();
            store.flush(&watch).unwrap(); // others free some space and save again
        }
        disk.free();
        clean(&root);
        let back = LabelStore::read(&project, &watch).unwrap();
        assert_eq!(back.labels(), store.labels());
        store.set(&key, 0, Some(Keypoint::new(1.0, 2.0))).unwrap();
        store.flush(&watch).unwrap();
        assert_eq!(store.unsaved(), 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_extraction_with_whole_pictures_only() {
    let p = project(0);
    let Some(disk) = Disk::mount(p.at("disk")) else { return };
    let root = moved_to(&disk, &p);
    disk.leave(40);
    let before = disk.files();
    let ask = args(&["extract-frames", &text(&root), "--count", "8", "--method", "uniform"]);
    fails(&ask, 1, FULL, "labeled-data/m1/img", "free some space");
    clean(&disk.0);
    let after = disk.files();
    assert!(before.iter().all(|(f, h)| after[f] == *h));
    for new in after.keys().filter(|f| !before.contains_key(*f)) {
        let picture = Picture::load(&disk.0.join(new)).unwrap();
        assert_eq!((picture.width(), picture.height()), SIZE, "{new}");
    }
    disk.free();
    limn(&ask).assert().success();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_earlier_tracks_videos_and_models_whole() {
    let p = trained();
    let Some(disk) = Disk::mount(p.at("disk")) else { return };
    let root = moved_to(&disk, &p);
    let (at, video, out) = (text(&root), text(p.at("m1.mp4")), text(disk.0.join("out")));
    let analyze = args(&["analyze", &at, &video, "--out", &out, "--device", "cpu", "--force"]);
    limn(&analyze).assert().success();
    let render = args(&["render", &at, &video, "--out", &out]);
    limn(&render).assert().success();
    let before = disk.files();
    for kib in [0, 4, 8, 16] {
        disk.leave(kib);
        fails(&analyze, 1, "", "out", "space");
        assert_eq!(disk.files(), before, "analyze with {kib} KiB");
    }
    disk.leave(0);
    fails(&render, 1, FULL, "out", "free some space");
    assert_eq!(disk.files(), before, "render");
    disk.leave(8);
    fails(&args(&["render", &at, &video, "--out", &out, "--skeleton"]), 1, FULL, "out", "free some space");
    clean(&disk.0);

    // First no room for a snapshot, then for the checkpoint after it.
    let tiny = text(p.at("tiny.yaml"));
    let train = args(&[
        "train", &at, "--net", NET, "--recipe", &tiny, "--init", "random", "--device", "cpu", "--epochs", "1",
    ]);
    for kib in [4, 6000, 40_000] {
        disk.leave(kib);
        let before = disk.files();
        fails(&train, 1, FULL, "limn-models", "free some space");
        clean(&disk.0);
        let after = disk.files();
        for (f, hash) in &before {
            assert!(after.contains_key(f), "{f} is gone with {kib} KiB");
            assert!(*hash == after[f] || kib > 6000, "{f} changed with {kib} KiB");
        }
        disk.free();
        limn(&["evaluate", &at, "--device", "cpu"]).assert().success();
    }
}

/// Runs the program as a user without rights where this test's own user has all.
#[cfg(unix)]
fn without_rights(args: &[String]) -> Command {
    let limn = assert_cmd::cargo::cargo_bin("limn");
    let probe = tempfile::tempdir().unwrap();
    let locked = probe.path().join("locked");
    fs::create_dir(&locked).unwrap();
    lock(&locked, true);
    let all_powerful = fs::write(locked.join("probe"), b"").is_ok();
    let mut command = if all_powerful {
        let mut c = Command::new("setpriv");
        c.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(limn).env("HOME", "/nonexistent");
        c
    } else {
        Command::new(limn)
    };
    command.args(args);
    command
}

/// Nobody but the owner, or nobody at all, may change anything below.
#[cfg(unix)]
fn lock(dir: &Path, locked: bool) {
    use std::os::unix::fs::PermissionsExt;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(if locked { 0o555 } else { 0o755 })).unwrap();
        folders.extend(fs::read_dir(&folder).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_dir()));
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_read_only() {
    let p = trained();
    let runs = without_rights(&args(&["--version"])).output();
    if !runs.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: the program cannot be run as another user here");
        return;
    }
    let (root, video, above) = (text(p.root()), text(p.at("m1.mp4")), text(p.at("")));
    let more = text(p.at("m2.mp4"));
    fs::copy(&video, &more).unwrap();
    lock(p.0.path(), true);
    let before = files(p.0.path());
    let as_new = args(&["new", "other", "--scorer", "Ada", "--bodyparts", "hand", "--dir", &above, &video]);
    for (command, place) in [
        (as_new, above.trim_end_matches('/')),
        (args(&["add-videos", &root, &more]), root.as_str()),
        (args(&["extract-frames", &root, "--count", "8"]), "labeled-data/m1"),
        (args(&["check-labels", &root]), "labeled-data"),
        (args(&["split", &root, "--seed", "4", "--force"]), root.as_str()),
        (train(&p, &["--epochs", "1"]), "limn-models"),
        (args(&["evaluate", &root, "--device", "cpu"]), root.as_str()),
        (args(&["analyze", &root, &video, "--device", "cpu"]), above.trim_end_matches('/')),
    ] {
        fails_by(&without_rights, &command, 1, "denied", place, "make the folder writable");
        assert_eq!(before, files(p.0.path()), "{command:?}");
    }
    without_rights(&args(&["check-labels", &root, "--no-pictures"])).assert().success();
    lock(p.0.path(), false);
}
