//! Seconds of triangulation, and how near it comes to what can be known: `cargo bench --bench triangulate`.
//!
//! Needs none of the native libraries: `cargo bench --no-default-features --bench triangulate`.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss)]

#[path = "../tests/support/ring.rs"]
mod ring;

use limn::camera::triangulate::{Method, Options};
use ring::{edges, ring, run, score, simulate};
use std::time::Instant;

fn accuracy() {
    println!(
        "| cameras | outliers | method | found | false | gross | RMS mm | without gross | bound | within 1 sd | 2 sd |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for cameras in [2, 3, 6, 12] {
        let rig = ring(cameras);
        for outliers in [0.0, 0.2] {
            let truth = simulate(&rig, 3000, 0.5, outliers, 1);
            for method in [Method::Dlt, Method::Ransac, Method::Smooth] {
                let options = Options { method, edges: edges(), ..Options::default() };
                let s = score(&rig, &truth, &run(&rig, &truth, &options).tracks);
                println!(
                    "| {cameras} | {:.0} % | {} | {:.2} % | {:.2} % | {:.2} % | {:.3} | {:.3} | {:.3} | {:.1} % | {:.1} % |",
                    outliers * 100.0,
                    method.name(),
                    s.found * 100.0,
                    s.false_finds * 100.0,
                    s.gross * 100.0,
                    s.rms,
                    s.rms_else,
                    s.bound,
                    s.one * 100.0,
                    s.two * 100.0
                );
            }
        }
    }
}

/// Seconds of all processors together that this program has taken, so that others on the machine do not count; `None` where
/// there is no `/proc`.
fn processors() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let numbers: Vec<f64> = stat.rsplit(") ").next()?.split(' ').filter_map(|n| n.parse().ok()).collect();
    // The state, a letter, is no number: user and system time are the 11th and 12th left, in hundredths.
    Some((numbers.get(10)? + numbers.get(11)?) / 100.0)
}

fn speed() {
    let rig = ring(6);
    // Twice six points are twelve.
    let mut truth = simulate(&rig, 200_000, 0.5, 0.0, 2);
    let given = Options { noise: Some(0.5), ..Options::default() };
    println!("| method | 100,000 frames x 6 cameras x 12 points | all processors together |\n|---|---|---|");
    for (method, share) in [(Method::Dlt, 1), (Method::Ransac, 1), (Method::Smooth, 20)] {
        if share > 1 {
            truth = simulate(&rig, 200_000 / share, 0.5, 0.0, 2);
        }
        let options = Options { method, edges: edges(), ..given.clone() };
        let (since, before) = (Instant::now(), processors());
        let outcome = run(&rig, &truth, &options);
        let seconds = since.elapsed().as_secs_f64();
        assert_eq!(outcome.tracks.frames(), truth.points.len());
        let taken = processors().zip(before).map_or(f64::NAN, |(now, then)| now - then);
        println!(
            "| {} | {:.2} s | {:.2} s{} |",
            method.name(),
            seconds * share as f64,
            taken * share as f64,
            if share > 1 { " (from a part)" } else { "" }
        );
    }
}

fn main() {
    accuracy();
    println!();
    speed();
}
