//! Calibration of rendered rigs against their exact truth, and how long it takes:
//! `cargo bench --bench calibrate -- [FRAMES] [CAMERAS,...]`.
//!
//! A ChArUco board is filmed by 2, 3, 6 and 12 cameras (as `limn demo --3d` does it), the videos are written, and calibrated
//! as `limn calibrate` does. Rigs are compared as they are, in the first camera's frame: nothing is fitted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use limn::camera::calibrate::{self, Options};
use limn::camera::{Mount, Rig};
use limn::synth::space::{RigScene, RigSpec};
use limn::video::Writer;
use limn::watch::Quiet;
use nalgebra::Point3;
use rayon::prelude::*;
use std::time::Instant;

fn main() {
    let mut words = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let frames: usize = words.next().map_or(400, |w| w.parse().unwrap());
    let counts = words.next().unwrap_or_else(|| "2,3,6,12".into());
    println!(
        "cameras | boards a camera | rms px (lenses fixed) | place, % of the rig's size | focal length, % | look s | calibrate s"
    );
    for count in counts.split(',').map(|c| c.parse::<usize>().unwrap()) {
        one(count, frames);
    }
}

fn one(count: usize, frames: usize) {
    let scene = RigScene::new(RigSpec { frames, fps: 4.0, ..RigSpec::new(count, 5) }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = scene.cameras().iter().map(|c| c.name.clone()).collect();
    let films: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(c, name)| {
            let path = dir.path().join(format!("board_{name}.mp4"));
            let mut writer = Writer::create(&path, 640, 480, 4.0).unwrap();
            for start in (0..frames).step_by(16) {
                let pictures: Vec<_> = (start..frames.min(start + 16))
                    .into_par_iter()
                    .map(|f| scene.render_board(c, f))
                    .collect();
                pictures.iter().for_each(|p| writer.write(p).unwrap());
            }
            writer.finish().unwrap();
            path
        })
        .collect();
    let mount = |name: &String| Mount { name: name.clone(), ..Mount::default() };
    let rig = Rig {
        cameras: names.iter().map(mount).collect(),
        board: Some(scene.spec().board.clone()),
        ..Rig::default()
    };
    let watch = Quiet::default();
    let clock = Instant::now();
    let seen = calibrate::look(&rig, &films, 400, &watch).unwrap();
    let looked = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let seen = calibrate::choose(&rig, seen, 200).unwrap();
    let done = calibrate::calibrate(&rig, &seen, &Options::default(), &watch).unwrap();
    let took = clock.elapsed().as_secs_f64();
    let found = done.rig.calibrated().unwrap();
    let first = scene.cameras()[0].pose;
    let truth = scene.cameras();
    let size = truth
        .iter()
        .flat_map(|a| truth.iter().map(|b| (a.position() - b.position()).norm()))
        .fold(0.0, f64::max);
    let place = truth
        .iter()
        .zip(&found)
        .map(|(t, f)| ((first * Point3::from(t.position())).coords - f.position()).norm() / size)
        .fold(0.0, f64::max);
    let focal = truth
        .iter()
        .zip(&found)
        .flat_map(|(t, f)| (0..2).map(|k| (f.lens.focal[k] / t.lens.focal[k] - 1.0).abs()))
        .fold(0.0, f64::max);
    println!(
        "{count} | {:.0} | {:.3} ({:.3}) | {:.3} | {:.3} | {looked:.1} | {took:.1}",
        done.sights.len() as f64 / count as f64,
        done.rms,
        done.rms_before,
        100.0 * place,
        100.0 * focal,
    );
    for c in &done.cameras {
        println!(
            "    {}: {:.3} px, {} boards, focal {:.2} +- {:.2}, place +- {:.3} mm",
            c.name, c.rms_px, c.boards, c.focal_px[0], c.focal_deviation_px[0], c.place_deviation_mm
        );
    }
    println!("    {}", done.verdict.words().replace('\n', "\n    "));
}
