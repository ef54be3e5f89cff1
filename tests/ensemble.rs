//! Several networks as one model: trained, measured, and analyzing with standard deviations.
#![cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
#![allow(clippy::unwrap_used, clippy::panic)] // in the helpers of tests too

mod support;

use limn::video::Writer;
use support::json;
use support::project::{labelled, recipe, scene};

#[test]
fn two_networks_are_one_model() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let project = labelled(&at("p"), 8);
    let p = project.to_str().unwrap();
    let recipe = recipe(dir.path(), "efficientnet_lite0", 4, 2);
    let train = |more: &[&str]| {
        let fixed =
            ["train", p, "--net", "efficientnet_lite0", "--init", "random", "--device", "cpu", "--recipe"];
        json(&[&fixed[..], &[recipe.to_str().unwrap()], more].concat())
    };
    let (code, refused) = train(&["--ensemble", "1"]);
    assert!(code != 0 && refused.to_string().contains("2 to 16"), "{refused}");
    let (code, done) = train(&["--ensemble", "2", "--seed", "7"]);
    assert_eq!(code, 0, "{done}");
    let model = std::path::PathBuf::from(done["model"].as_str().unwrap());
    let weights = |name: &str| std::fs::read(model.join(name)).unwrap();
    let (one, two) = (weights("weights.safetensors"), weights("weights-2.safetensors"));
    assert!(one != two, "each from a beginning of its own");
    let member =
        |n: u32| model.parent().unwrap().join(format!("member-{n}/snapshot-last/weights.safetensors"));
    assert!(std::fs::read(member(1)).unwrap() == one && std::fs::read(member(2)).unwrap() == two);
    // What is finished is kept.
    let (code, again) = train(&["--ensemble", "2", "--resume"]);
    assert!(
        code == 0 && weights("weights.safetensors") == one && weights("weights-2.safetensors") == two,
        "{again}"
    );

    let (code, report) = json(&["evaluate", p, "--device", "cpu", "--no-pictures"]);
    assert!(code == 0 && report["scorer"].as_str().unwrap().ends_with("x2"), "{report}");
    assert!(report["test"]["n_points"].as_u64().unwrap() > 4, "{report}");

    let video = at("m9.mp4");
    let scene = scene(9);
    let mut writer = Writer::create(&video, 160, 128, 30.0).unwrap();
    (0..20).for_each(|f| writer.write(&scene.render(f)).unwrap());
    writer.finish().unwrap();
    let (v, m) = (video.to_str().unwrap(), model.to_str().unwrap());
    let (code, refused) = json(&["analyze", m, v, "--device", "cpu", "--top-k", "3"]);
    assert!(code != 0 && refused.to_string().contains("leave --top-k out"), "{refused}");
    let (code, done) = json(&["analyze", m, v, "--device", "cpu"]);
    assert_eq!(code, 0, "{done}");
    let csv = std::fs::read_to_string(done["videos"][0]["deviations"].as_str().unwrap()).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines.len() == 3 + 20 && lines[2].starts_with("coords,sd,sd"), "{}", lines[2]);
    let cells: Vec<f64> = lines[3].split(',').skip(1).map(|c| c.parse().unwrap()).collect();
    assert!(
        cells.len() == 8 && cells.iter().all(|sd| *sd >= 0.0) && cells.iter().any(|sd| *sd > 0.0),
        "{cells:?}"
    );
    // Its tracks are none of a single network's.
    let (code, single) =
        json(&["analyze", member(1).parent().unwrap().to_str().unwrap(), v, "--device", "cpu"]);
    assert!(code == 0 && single["videos"][0]["deviations"].is_null(), "{single}");
    // A training cannot be repeated from an ensemble, but from a member.
    let (code, refused) = json(&["train", p, "--like", m]);
    assert!(code != 0 && refused.to_string().contains("an ensemble"), "{refused}");
    std::fs::remove_file(model.join("weights-2.safetensors")).unwrap();
    let (code, refused) = json(&["analyze", m, v, "--device", "cpu", "--force"]);
    assert!(code != 0 && refused.to_string().contains("weights-2.safetensors"), "{refused}");
}
