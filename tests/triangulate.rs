//! Points in space from simulated rigs: how near to what can be known, and what goes wrong is said.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

#[path = "support/ring.rs"]
mod ring;

use limn::Kind;
use limn::camera::corrections::{Correction, Corrections};
use limn::camera::triangulate::{Choices, Method, Options, recording, session, track_files};
use limn::camera::{Mount, Rig};
use limn::formats::times;
use limn::pose::{PointName, Skeleton, Spot, Tracks};
use limn::track::Found;
use limn::watch::Quiet;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use ring::{Score, Truth, bound, edges, film, film_lasting, normal, ring, run, score, simulate, walk};
use std::path::Path;

fn options(method: Method) -> Options {
    Options { method, edges: edges(), ..Options::default() }
}

/// 68.3 % within one deviation and 95.4 % within two, each within 5 points.
fn honest(s: &Score) -> bool {
    (s.one - 0.683).abs() < 0.05 && (s.two - 0.954).abs() < 0.05
}

#[test]
fn the_linear_point_is_as_good_as_can_be() {
    for cameras in [2, 3, 6, 12] {
        let rig = ring(cameras);
        let truth = simulate(&rig, 500, 0.5, 0.0, 3);
        let s = score(&rig, &truth, &run(&rig, &truth, &options(Method::Dlt)).tracks);
        assert!(s.found > 0.999 && s.rms < 1.1 * s.bound && honest(&s), "{cameras}: {s:?}");
        assert!(s.rms > 0.9 * s.bound, "better than possible: {cameras}: {s:?}");
    }
}

#[test]
fn cameras_that_agree_outvote_wrong_ones() {
    for (cameras, found) in [(3, 0.95), (6, 0.97), (12, 0.999)] {
        let rig = ring(cameras);
        let truth = simulate(&rig, 500, 0.5, 0.2, 4);
        let plain = score(&rig, &truth, &run(&rig, &truth, &options(Method::Dlt)).tracks);
        assert!(plain.rms > 20.0 * plain.bound, "outliers that do no harm: {plain:?}");
        let s = score(&rig, &truth, &run(&rig, &truth, &options(Method::Ransac)).tracks);
        assert!(s.found > found && honest(&s), "{cameras}: {s:?}");
        // Of three cameras two may agree by chance, once in a few hundred points; of more that does not happen.
        assert!(s.gross < if cameras == 3 { 0.01 } else { 1e-9 }, "{cameras}: {s:?}");
        assert!(s.rms_else < 1.5 * s.bound && (cameras == 3 || s.rms < 1.5 * s.bound), "{cameras}: {s:?}");
    }
}

#[test]
fn two_cameras_agree_or_there_is_no_point() {
    let rig = ring(2);
    let truth = simulate(&rig, 1000, 0.5, 0.2, 5);
    let s = score(&rig, &truth, &run(&rig, &truth, &options(Method::Ransac)).tracks);
    // A wrong observation that lies on the other's epipolar line by chance cannot be told.
    assert!(s.found > 0.99 && s.false_finds < 0.05 && s.rms < 1.1 * s.bound && honest(&s), "{s:?}");
}

#[test]
fn noise_is_measured_with_any_number_of_cameras() {
    for (cameras, outliers) in [(2, 0.0), (2, 0.2), (3, 0.2), (6, 0.2)] {
        for noise in [0.3, 4.0] {
            let rig = ring(cameras);
            let truth = simulate(&rig, 600, noise, outliers, 6);
            let got = run(&rig, &truth, &options(Method::Ransac)).noise;
            // Of two cameras, some that agree by chance remain, more where they are noisy.
            let near = if cameras == 2 && outliers > 0.0 { 0.12 } else { 0.06 };
            assert!(
                (got.all / noise - 1.0).abs() < near && got.measured > 100,
                "{cameras}, {noise}: {got:?}"
            );
            assert!(got.points.iter().all(|p| (p / noise - 1.0).abs() < 0.2), "{cameras}, {noise}: {got:?}");
        }
    }
}

fn with_tracks(truth: &Truth, change: impl Fn(usize, &Tracks) -> Option<Tracks>) -> Vec<Option<Tracks>> {
    truth.tracks.iter().enumerate().map(|(i, t)| change(i, t.as_ref().unwrap())).collect()
}

fn rows(tracks: &Tracks, from: usize, to: usize) -> Tracks {
    let width = tracks.skeleton.points() * 3;
    Tracks::from_values(tracks.skeleton.clone(), tracks.values()[from * width..to * width].to_vec()).unwrap()
}

#[test]
fn frames_are_matched_by_their_offsets() {
    let mut rig = ring(3);
    let truth = simulate(&rig, 200, 0.5, 0.0, 7);
    rig.cameras[1].offset = -40; // began 40 frames later
    rig.cameras[2].offset = 10; // and this one earlier
    let tracks = with_tracks(&truth, |i, t| match i {
        1 => Some(rows(t, 40, 200)),
        2 => {
            let mut values = vec![f32::NAN; 10 * 6 * 3];
            values.extend_from_slice(t.values());
            Tracks::from_values(t.skeleton.clone(), values)
        }
        _ => Some(t.clone()),
    });
    let outcome = session(&rig, &tracks, &[], &options(Method::Ransac), &Quiet::default()).unwrap();
    let s = score(&rig, &truth, &outcome.tracks);
    assert!(outcome.tracks.frames() == 200 && s.found > 0.99 && s.gross == 0.0, "{s:?}");
    assert_eq!(outcome.tracks.get(39, 0).unwrap().cameras, 2);
    assert!((40..200).filter_map(|f| outcome.tracks.get(f, 0)).filter(|p| p.cameras == 3).count() > 150);
    assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    assert!((outcome.by_cameras.iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn other_lengths_are_refused_unless_allowed() {
    let rig = ring(3);
    let truth = simulate(&rig, 100, 0.5, 0.0, 8);
    let short = with_tracks(&truth, |i, t| Some(if i == 2 { rows(t, 0, 60) } else { t.clone() }));
    let ask = options(Method::Ransac);
    let e = session(&rig, &short, &[], &ask, &Quiet::default()).unwrap_err();
    assert!(e.kind() == Kind::Usage && e.what().contains("cam0 100") && e.what().contains("cam2 60"), "{e}");
    let ask = Options { allow_lengths: true, ..ask };
    let outcome = session(&rig, &short, &[], &ask, &Quiet::default()).unwrap();
    assert!(outcome.tracks.frames() == 100 && outcome.warnings[0].contains("cam2 60"));
    assert_eq!(outcome.tracks.get(80, 0).map(|s| s.cameras), Some(2));
    // A few frames are no matter.
    let tracks = with_tracks(&truth, |i, t| Some(if i == 2 { rows(t, 0, 97) } else { t.clone() }));
    let outcome = session(&rig, &tracks, &[], &options(Method::Dlt), &Quiet::default()).unwrap();
    assert!(outcome.warnings.is_empty() && outcome.tracks.get(99, 0).is_some());
}

#[test]
fn a_missing_camera_is_done_without_and_one_alone_is_refused() {
    let rig = ring(3);
    let truth = simulate(&rig, 100, 0.5, 0.0, 9);
    let tracks = with_tracks(&truth, |i, t| (i != 1).then(|| t.clone()));
    let outcome = session(&rig, &tracks, &[], &options(Method::Ransac), &Quiet::default()).unwrap();
    assert!(outcome.warnings[0].contains("`cam1`") && outcome.tracks.get(5, 0).unwrap().cameras == 2);
    assert!(outcome.cameras[1].mean_px.is_nan() && outcome.cameras[0].mean_px < 1.0);
    let alone = with_tracks(&truth, |i, t| (i == 1).then(|| t.clone()));
    let e = session(&rig, &alone, &[], &options(Method::Dlt), &Quiet::default()).unwrap_err();
    assert!(e.what().contains("only camera `cam1`"), "{e}");
    let mut rig = rig;
    rig.cameras[0].camera = None;
    let e = session(&rig, &tracks, &[], &options(Method::Dlt), &Quiet::default()).unwrap_err();
    assert!(e.kind() == Kind::Config && e.what().contains("`cam0`"), "{e}");
}

#[test]
fn body_parts_are_matched_by_name() {
    let rig = ring(3);
    let truth = simulate(&rig, 50, 0.5, 0.0, 10);
    let renamed = |names: [&str; 6], t: &Tracks| {
        let mut other = Tracks::new(Skeleton::single(names), t.frames());
        for f in 0..t.frames() {
            for p in 0..6 {
                let to = other.skeleton.names().position(|n| Some(n) == t.skeleton.point(p)).unwrap_or(p);
                let (at, likelihood) = t.get(f, p).unwrap();
                other.set(f, to, at, likelihood);
            }
        }
        other
    };
    let turned = ["tailtip", "tailbase", "back", "rightear", "leftear", "snout"];
    let tracks = with_tracks(&truth, |i, t| Some(if i == 1 { renamed(turned, t) } else { t.clone() }));
    let outcome = session(&rig, &tracks, &[], &options(Method::Dlt), &Quiet::default()).unwrap();
    assert!(score(&rig, &truth, &outcome.tracks).rms < 2.0);
    let other = ["snout", "leftear", "rightear", "back", "tailbase", "nose"];
    let tracks = with_tracks(&truth, |i, t| Some(if i == 1 { renamed(other, t) } else { t.clone() }));
    let e = session(&rig, &tracks, &[], &options(Method::Dlt), &Quiet::default()).unwrap_err();
    assert!(e.what().contains("lacks `tailtip`") && e.what().contains("`nose`"), "{e}");
    let ask = Options { common: true, ..options(Method::Dlt) };
    let outcome = session(&rig, &tracks, &[], &ask, &Quiet::default()).unwrap();
    assert_eq!(outcome.tracks.skeleton.bodyparts, ["snout", "leftear", "rightear", "back", "tailbase"]);
    assert!(outcome.tracks.get(7, 4).is_some());
}

#[test]
fn nothing_seen_is_nothing_found_and_said() {
    let rig = ring(3);
    let truth = simulate(&rig, 30, 0.5, 0.0, 11);
    let empty = with_tracks(&truth, |_, t| Some(Tracks::new(t.skeleton.clone(), 30)));
    for method in [Method::Dlt, Method::Ransac, Method::Smooth] {
        let outcome = session(&rig, &empty, &[], &options(method), &Quiet::default()).unwrap();
        assert!(outcome.tracks.frames() == 30 && (0..30).all(|f| outcome.tracks.get(f, 0).is_none()));
        assert!(outcome.warnings[0].contains("not one point"), "{:?}", outcome.warnings);
    }
    let unlikely = Options { cutoff: 0.95, ..options(Method::Dlt) };
    assert_eq!(run(&rig, &truth, &unlikely).by_cameras[0], 1.0);
}

#[test]
fn swapped_recordings_are_named() {
    for cameras in [2, 4] {
        let rig = ring(cameras);
        let truth = simulate(&rig, 60, 0.5, 0.0, 12);
        let mut tracks = truth.tracks.clone();
        tracks.swap(0, 1);
        let outcome = session(&rig, &tracks, &[], &options(Method::Ransac), &Quiet::default()).unwrap();
        let said = outcome.warnings.join("\n");
        assert!(said.contains("`cam0` and `cam1` seem to be swapped"), "{cameras}: {said}");
    }
    // A camera that was turned is something else.
    let rig = ring(4);
    let truth = simulate(&rig, 60, 0.5, 0.0, 12);
    let mut turned = ring(4);
    let moved = turned.cameras[2].camera.as_mut().unwrap();
    *moved = moved.clone().looking(
        moved.position(),
        nalgebra::Vector3::new(0.0, 0.0, 200.0),
        nalgebra::Vector3::z(),
    );
    let outcome = session(&turned, &truth.tracks, &[], &options(Method::Dlt), &Quiet::default()).unwrap();
    let said = outcome.warnings.join("\n");
    assert!(said.contains("no camera was moved") && !said.contains("swapped"), "{said}");
    assert!(score(&rig, &truth, &outcome.tracks).rms > 10.0);
}

#[test]
fn what_makes_no_sense_is_refused_and_stopping_is_heard() {
    let rig = ring(2);
    let truth = simulate(&rig, 10, 0.5, 0.0, 13);
    let base = options(Method::Ransac);
    for wrong in [
        Options { noise: Some(0.0), ..base.clone() },
        Options { threshold: Some(f64::NAN), ..base.clone() },
        Options { acceleration: Some(-1.0), ..base.clone() },
        Options { cutoff: 1.5, ..base.clone() },
    ] {
        let e = session(&rig, &truth.tracks, &[], &wrong, &Quiet::default()).unwrap_err();
        assert!(e.kind() == Kind::Usage && e.how_to_mend().is_some(), "{e}");
    }
    let e = session(&rig, &truth.tracks[..1], &[], &base, &Quiet::default()).unwrap_err();
    assert_eq!(e.kind(), Kind::Usage);
    let stopped = Quiet::default();
    stopped.stop();
    let e = session(&rig, &truth.tracks, &[], &base, &stopped).unwrap_err();
    assert_eq!(e.kind(), Kind::Cancelled);
    assert!(bound(&rig, &truth.points[0][0], 1, 0.5).is_none());
    let _ = film; // used by other users of this file
}

#[test]
fn the_whole_sequence_is_better_than_single_frames_and_honest() {
    for (cameras, outliers) in [(2, 0.0), (2, 0.2), (3, 0.2), (6, 0.2)] {
        let rig = ring(cameras);
        let truth = simulate(&rig, 450, 0.5, outliers, 14);
        let s = score(&rig, &truth, &run(&rig, &truth, &options(Method::Smooth)).tracks);
        assert!(s.found > 0.99 && s.gross < 1e-9 && honest(&s), "{cameras}, {outliers}: {s:?}");
        assert!(s.rms < 0.9 * s.bound && s.false_finds < 0.01, "{cameras}, {outliers}: {s:?}");
    }
}

#[test]
fn short_gaps_are_filled_with_growing_deviations_and_long_ones_stay() {
    let rig = ring(3);
    let mut truth = simulate(&rig, 900, 0.5, 0.0, 15);
    // The snout is hidden for 8 frames of every 60, and once for 100.
    let hidden = |f: usize| (f % 60 >= 30 && f % 60 < 38) || (700..800).contains(&f);
    let nowhere = limn::pose::Keypoint::new(f64::NAN, f64::NAN);
    for tracks in truth.tracks.iter_mut().flatten() {
        (0..900).filter(|f| hidden(*f)).for_each(|f| tracks.set(f, 0, nowhere, 0.0));
    }
    // Without limbs, so that time alone tells.
    let ask = Options { edges: vec![], ..options(Method::Smooth) };
    let tracks = run(&rig, &truth, &ask).tracks;
    assert!((700..800).all(|f| tracks.get(f, 0).is_none()), "a long gap was filled");
    let (mut one, mut two, mut n) = (0.0, 0.0, 0.0_f64);
    for f in (0..700).filter(|f| hidden(*f)) {
        let spot = tracks.get(f, 0).unwrap();
        assert!(spot.cameras == 0 && spot.error.is_nan());
        for k in 0..3 {
            let wrong = (spot.at[k] - truth.points[f][0][k]).abs() / spot.deviation[k];
            one += f64::from(u8::from(wrong <= 1.0));
            two += f64::from(u8::from(wrong <= 2.0));
            n += 1.0;
        }
    }
    // Frames of a gap are wrong together, so that few say much: 11 gaps.
    assert!((one / n - 0.683_f64).abs() < 0.15 && two / n > 0.88, "{} {}", one / n, two / n);
    let deviation = |f| tracks.get(f, 0).unwrap().deviation[0];
    let [near, middle, seen] = [30, 34, 15].map(deviation);
    assert!(middle > 1.3 * near && near > 1.2 * seen, "{middle} {near} {seen}");
    let ask = Options { gap: 7, ..ask };
    assert!(run(&rig, &truth, &ask).tracks.get(34, 0).is_none());
}

#[test]
fn limbs_hold_what_one_camera_pair_sees_badly() {
    // Two cameras nearly side by side: depth is poor, and the limbs know better.
    let mut rig = ring(24);
    rig.cameras.truncate(2);
    let truth = simulate(&rig, 300, 0.5, 0.0, 16);
    let with = score(&rig, &truth, &run(&rig, &truth, &options(Method::Smooth)).tracks);
    let bare = Options { edges: vec![], ..options(Method::Smooth) };
    let without = score(&rig, &truth, &run(&rig, &truth, &bare).tracks);
    assert!(with.rms < 0.97 * without.rms && honest(&without), "{with:?} {without:?}");
}

/// An animal that rests, then leaps, again and again: 250 mm in half a second at 60 frames a second.
#[test]
fn leaps_are_not_smoothed_away() {
    let rig = ring(3);
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let points = (0..900_usize)
        .map(|f| {
            let phase = (f % 100) as f64 / 30.0;
            let s = if phase < 1.0 { 0.5 - 0.5 * (std::f64::consts::PI * phase).cos() } else { 1.0 };
            let x = if f / 100 % 2 == 0 { -125.0 + 250.0 * s } else { 125.0 - 250.0 * s };
            (0..6).map(|p| nalgebra::Vector3::new(x, 20.0 * p as f64 - 50.0, 10.0)).collect()
        })
        .collect();
    let truth = film(&rig, points, 0.5, 0.2, &mut rng);
    let s = score(&rig, &truth, &run(&rig, &truth, &options(Method::Smooth)).tracks);
    assert!(s.found > 0.99 && s.gross < 1e-9 && s.rms < 0.7 * s.bound && honest(&s), "{s:?}");
}

#[test]
fn slow_waves_keep_honest_deviations() {
    let rig = ring(3);
    let mut rng = ChaCha8Rng::seed_from_u64(18);
    let points = (0..900_usize)
        .map(|f| {
            let at = |p: usize| {
                let wave = |period: f64| (std::f64::consts::TAU * f as f64 / period + p as f64).sin();
                nalgebra::Vector3::new(60.0 * wave(60.0), 50.0 * wave(47.0), 20.0 * wave(33.0))
            };
            (0..6).map(at).collect()
        })
        .collect();
    let truth = film(&rig, points, 0.5, 0.0, &mut rng);
    let bare = Options { edges: vec![], ..options(Method::Smooth) };
    let s = score(&rig, &truth, &run(&rig, &truth, &bare).tracks);
    assert!(s.rms < 0.9 * s.bound && honest(&s), "{s:?}");
}

#[test]
fn noise_that_lasts_is_not_averaged_away() {
    for lasting in [0.5, 0.9] {
        let rig = ring(4);
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let points = walk(3000, &mut rng);
        let truth = film_lasting(&rig, points, 1.5, lasting, &mut rng);
        for method in [Method::Ransac, Method::Smooth] {
            let got = run(&rig, &truth, &options(method));
            let s = score(&rig, &truth, &got.tracks);
            assert!(honest(&s) && s.rms < 1.1 * s.bound, "{lasting}, {method:?}: {s:?}");
            let measured = got.noise.lasting.iter().all(|l| (l - lasting).abs() < 0.05);
            assert!(measured == (method == Method::Smooth), "{:?}", got.noise);
        }
    }
}

#[test]
fn what_cameras_are_wrong_in_alike_is_told_by_labels() {
    let rig = ring(4);
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let points = walk(4000, &mut rng);
    // Every point is taken for another one, some 3 mm beside, that moves slowly over the body.
    let mut beside = vec![nalgebra::Vector3::<f64>::zeros(); 6];
    let shifted = points
        .iter()
        .map(|row| {
            for b in &mut beside {
                *b = 0.9 * *b + nalgebra::Vector3::from_fn(|_, _| 3.0 * 0.19_f64.sqrt() * normal(&mut rng));
            }
            row.iter().zip(&beside).map(|(p, b)| p + b).collect()
        })
        .collect();
    let truth = Truth { points, ..film(&rig, shifted, 0.7, 0.0, &mut rng) };
    // What held-out labels would have told, along an axis.
    let pixel = 1000.0 / 600.0;
    let accuracy = ring::names().map(|n| (n.to_owned(), f64::hypot(0.7, 3.0 / pixel)));
    for method in [Method::Dlt, Method::Ransac, Method::Smooth] {
        let blind = score(&rig, &truth, &run(&rig, &truth, &options(method)).tracks);
        let told = Options { accuracy: accuracy.clone().into(), ..options(method) };
        let s = score(&rig, &truth, &run(&rig, &truth, &told).tracks);
        assert!(blind.one < 0.3 && honest(&s), "{method:?}: {blind:?}, {s:?}");
    }
}

#[test]
fn other_candidates_are_taken_where_they_fit() {
    let rig = ring(3);
    let truth = simulate(&rig, 300, 0.5, 0.0, 19);
    let wrong = simulate(&rig, 300, 0.5, 1.0, 20);
    // In every third frame two of three cameras like something else better.
    let mut tracks = truth.tracks.clone();
    let mut choices = Vec::new();
    for (c, t) in tracks.iter_mut().enumerate() {
        let t = t.as_mut().unwrap();
        let mut values = Vec::new();
        for f in 0..300 {
            for p in 0..6 {
                let (right, _) = t.get(f, p).unwrap();
                let (other, _) = wrong.tracks[c].as_ref().unwrap().get(f, p).unwrap();
                let fooled = f % 3 == 0 && c < 2;
                let (first, second) = if fooled { (other, right) } else { (right, other) };
                if fooled {
                    t.set(f, p, other, 0.9);
                }
                for (at, likelihood) in [(first, 0.9), (second, 0.5)] {
                    values.extend([at.x as f32, at.y as f32, likelihood]);
                }
            }
        }
        choices.push(Choices::new(t.skeleton.clone(), 2, values));
    }
    let ask = options(Method::Smooth);
    let bare = session(&rig, &tracks, &[], &ask, &Quiet::default()).unwrap();
    let with = session(&rig, &tracks, &choices, &ask, &Quiet::default()).unwrap();
    let cameras = |o: &limn::camera::triangulate::Outcome| o.by_cameras[3];
    assert!(cameras(&with) > 0.98 && cameras(&bare) < 0.7, "{} {}", cameras(&with), cameras(&bare));
    let s = score(&rig, &truth, &with.tracks);
    assert!(s.found > 0.999 && s.gross < 1e-9 && s.rms < 0.9 * s.bound && honest(&s), "{s:?}");
}

#[test]
fn files_of_tracks_become_results_beside_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let rig = ring(3);
    let rig_path = dir.path().join("rig.yaml");
    rig.write(&rig_path).unwrap();
    let truth = simulate(&rig, 60, 0.5, 0.0, 21);
    for (i, t) in truth.tracks.iter().flatten().enumerate() {
        for session in ["a", "b"] {
            let name = format!("{session}_cam{i}DLC_resnet50_x.csv");
            limn::formats::dlc_tracks_csv::write(&dir.path().join(name), "DLC_resnet50_x", t).unwrap();
        }
    }
    for other in
        ["a_cam0DLC_resnet50_x_times.csv", "a_cam0DLC_resnet50_x_sd.csv", "a_3d.csv", "CollectedData_x.csv"]
    {
        std::fs::write(dir.path().join(other), "no tracks").unwrap();
    }
    let rig = Rig::read(dir.path()).unwrap();
    let found = track_files(&[dir.path().to_path_buf()]).unwrap();
    assert_eq!(found.len(), 6, "{found:?}");
    let sessions = rig.sessions(&found).unwrap();
    assert_eq!(sessions.by_name.keys().collect::<Vec<_>>(), ["a", "b"]);
    let out = dir.path().join("3d");
    let ask = options(Method::Ransac);
    let done =
        recording(&rig, &rig_path, "a", &sessions.by_name["a"], &out, &ask, &Quiet::default()).unwrap();
    let s = score(&rig, &truth, &done.outcome.tracks);
    assert!(s.found > 0.99 && s.rms < 1.2 * s.bound, "{s:?}");
    let note = std::fs::read_to_string(out.join("a_3d_meta.yaml")).unwrap();
    for part in
        ["limn_triangulation: 1", "method: ransac", "a_cam2DLC_resnet50_x.csv", "median_px", "rig: rig.yaml"]
    {
        assert!(note.contains(part), "{part}: {note}");
    }
    assert!(!note.contains(&*dir.path().to_string_lossy()), "a path of this machine: {note}");
    let e = track_files(&[out]).unwrap_err();
    assert!(e.kind() == Kind::NotFound && e.how_to_mend().is_some(), "{e}");
    assert_eq!(track_files(&[rig_path]).unwrap_err().kind(), Kind::Usage);
    assert_eq!(track_files(&["nowhere.h5".into()]).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn corrections_and_times_go_into_the_results_once() {
    let dir = tempfile::tempdir().unwrap();
    // One camera more, which was never calibrated and filmed nothing.
    let mut rig = ring(3);
    rig.cameras.push(Mount { name: "spare".into(), ..Mount::default() });
    let truth = simulate(&ring(3), 60, 0.5, 0.0, 22);
    let mut sources = vec![None; 4];
    for (i, t) in truth.tracks.iter().flatten().enumerate() {
        let path = dir.path().join(format!("a_cam{i}DLC_x.csv"));
        limn::formats::dlc_tracks_csv::write(&path, "DLC_x", t).unwrap();
        sources[i] = Some(path);
    }
    let seconds: Vec<f64> = (0..60).map(|f| f64::from(f) * 0.02).collect();
    times::write(&dir.path().join("a_cam1DLC_x_times.csv"), &seconds).unwrap();
    // The clicks say where; the numbers beside them are of an earlier calibration.
    let there = nalgebra::Vector3::new(30.0, -20.0, 40.0);
    let name = PointName { individual: "", bodypart: "snout" };
    let clicks = rig.cameras.iter().filter_map(|m| {
        let camera = m.camera.as_ref()?;
        Some((camera.name.clone(), camera.project(&there)?))
    });
    let spot =
        Spot { at: [1.0, 2.0, 3.0], deviation: [f64::NAN; 3], error: 0.0, cameras: 3, likelihood: 1.0 };
    let out = dir.path().join("3d");
    std::fs::create_dir(&out).unwrap();
    let mut corrections = Corrections::new("a");
    corrections.set(17, name, Some(Correction::new(name, spot, clicks)));
    corrections.write(&out.join("a_corrections.yaml")).unwrap();

    let ask = options(Method::Ransac);
    let done = recording(&rig, Path::new("rig.yaml"), "a", &sources, &out, &ask, &Quiet::default()).unwrap();
    let near = |tracks: &limn::pose::Tracks3d| {
        (nalgebra::Vector3::from(tracks.get(17, 0).unwrap().at) - there).norm() < 0.01
    };
    assert!(done.corrected == 1 && near(&done.outcome.tracks));
    let table = out.join("a_3d.csv");
    assert_eq!(times::beside(&table), Some(seconds));
    let mut read = Found::read(&table, &Quiet::default()).unwrap();
    assert_eq!(read.correct(&table).unwrap(), (0, vec![]), "they are in it");
    let Found::Space(tracks) = &read else { panic!("no points in space") };
    assert!(near(tracks));
    // A table of somebody else's does not say so: there they are put in.
    std::fs::remove_file(out.join("a_3d_meta.yaml")).unwrap();
    assert_eq!(read.correct(&table).unwrap().0, 1);
    // Corrections that cannot be read stop it before the work, and nothing is changed.
    std::fs::write(out.join("a_corrections.yaml"), "limn_corrections: 9\nsession: a\n").unwrap();
    let before = std::fs::read(&table).unwrap();
    assert!(recording(&rig, Path::new("rig.yaml"), "a", &sources, &out, &ask, &Quiet::default()).is_err());
    assert_eq!(std::fs::read(&table).unwrap(), before);
}
