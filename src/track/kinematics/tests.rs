use super::*;
use crate::pose::{Keypoint, Spot, Tracks, Tracks3d};
use nalgebra::Rotation3;
use proptest::prelude::*;

fn spot(at: Vector3<f64>, likelihood: f64) -> Option<Spot> {
    Some(Spot { at: at.into(), deviation: [0.1; 3], error: 0.2, cameras: 2, likelihood })
}

fn edges(pairs: &[[&str; 2]]) -> Vec<[String; 2]> {
    pairs.iter().map(|p| p.map(str::to_owned)).collect()
}

#[test]
fn speeds_come_over_gaps_and_never_from_nothing() {
    let mut tracks = Tracks3d::new(Skeleton::single(["a", "b"]), 10);
    let step = Vector3::new(1.0, -2.0, 2.0); // 3 mm a frame
    for frame in [0, 1, 2, 4, 5, 9] {
        tracks.set(frame, 0, spot(step * frame as f64, 0.9));
    }
    tracks.set(4, 0, spot(step * 4.0 + Vector3::x() * 50.0, 0.1)); // a slip, of low likelihood
    let wanted = Wanted { fps: Some(50.0), window: 5, min_likelihood: 0.5, ..Wanted::default() };
    let found = measure(&tracks, &wanted).unwrap();
    let speed = found.column("a_speed").unwrap();
    assert_eq!((speed.unit.as_str(), speed.count()), ("mm/s", 3));
    for frame in [0, 1, 2] {
        assert!((speed.values[frame] - 150.0).abs() < 1e-3, "{:?}", speed.values);
    }
    // Frames 5 and 9 were seen, but nothing within two frames of them.
    assert!([3, 4, 5, 9].iter().all(|f| speed.values[*f].is_nan()), "{:?}", speed.values);
    let other = found.column("b_speed").unwrap();
    assert_eq!((other.count(), other.mean(), other.deviation()), (0, None, None));
    let narrow = measure(&tracks, &Wanted { min_likelihood: 0.0, ..wanted }).unwrap();
    assert!(narrow.column("a_speed").unwrap().mean().unwrap() > 200.0, "the slip counts without a cut-off");
}

#[test]
fn uneven_times_are_used() {
    let mut tracks = Tracks::new(Skeleton::single(["a"]), 4);
    let times = vec![0.0, 0.1, 0.4, 0.5];
    for (frame, time) in times.iter().enumerate() {
        tracks.set(frame, 0, Keypoint::new(100.0 * time, 7.0), 0.9);
    }
    let found = measure(&tracks, &Wanted { times: Some(times), ..Wanted::default() }).unwrap();
    let speed = found.column("a_speed").unwrap();
    assert_eq!(speed.unit, "px/s");
    assert!(speed.values.iter().all(|v| (v - 100.0).abs() < 1e-3), "{:?}", speed.values);
}

#[test]
fn a_skeleton_gives_its_limbs_and_every_angle_once() {
    let skeleton = Skeleton {
        edges: edges(&[["hip", "knee"], ["foot", "knee"], ["knee", "tail"], ["hip", "gone"]]),
        ..Skeleton::single(["hip", "knee", "foot", "tail"])
    };
    let wanted = Wanted::of_skeleton(&skeleton, &skeleton);
    assert_eq!(wanted.limbs, edges(&[["hip", "knee"], ["foot", "knee"], ["knee", "tail"]]));
    let names: Vec<String> = wanted.angles.iter().map(|a| a.join("-")).collect();
    assert_eq!(names, ["hip-knee-foot", "hip-knee-tail", "foot-knee-tail"]);
    let several = Skeleton {
        individuals: vec!["m1".into(), "m2".into()],
        unique_bodyparts: vec!["tail".into()],
        bodyparts: vec!["hip".into(), "knee".into()],
        multi_animal: true,
        ..skeleton
    };
    let table = Skeleton::single(["m1_hip", "m1_knee", "m2_hip", "m2_knee", "tail"]);
    let limbs = [["m1_hip", "m1_knee"], ["m1_knee", "tail"], ["m2_hip", "m2_knee"], ["m2_knee", "tail"]];
    let of_table = Wanted::of_skeleton(&several, &table);
    assert_eq!(of_table.limbs, edges(&limbs));
    let given = Wanted::angles([["hip", "knee", "foot"], ["tail", "knee", "hip"]]);
    assert_eq!(given.limbs, edges(&[["hip", "knee"], ["knee", "foot"], ["tail", "knee"]]));
}

#[test]
fn every_individual_is_measured() {
    let skeleton = Skeleton {
        individuals: vec!["m1".into(), "m2".into()],
        bodyparts: vec!["a".into(), "b".into()],
        unique_bodyparts: vec!["wall".into(), "door".into()],
        edges: vec![],
        multi_animal: true,
    };
    let mut tracks = Tracks3d::new(skeleton, 1);
    for (point, x) in [0.0, 3.0, 10.0, 14.0, 20.0, 21.0].into_iter().enumerate() {
        tracks.set(0, point, spot(Vector3::new(x, 0.0, 0.0), f64::NAN));
    }
    let limbs = edges(&[["a", "b"], ["b", "wall"], ["wall", "door"]]);
    let found = measure(&tracks, &Wanted { limbs, min_likelihood: 0.6, ..Wanted::default() }).unwrap();
    let lengths: Vec<(&str, f64)> = found
        .columns
        .iter()
        .filter(|c| c.what == What::Length)
        .map(|c| (c.name.as_str(), c.values[0]))
        .collect();
    let expected = [
        ("m1_a-b_length", 3.0),
        ("m2_a-b_length", 4.0),
        ("m1_b-wall_length", 17.0),
        ("m2_b-wall_length", 6.0),
        ("wall-door_length", 1.0),
    ];
    assert_eq!(lengths, expected);
    assert!(found.column("m2_a_speed").is_some() && found.column("door_speed").is_some());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let tracks = Tracks3d::new(Skeleton::single(["a", "b", "c"]), 2);
    let wrong = |wanted: Wanted| {
        let error = measure(&tracks, &wanted).unwrap_err();
        assert!(error.kind() == Kind::Usage && error.how_to_mend().is_some());
        error.what().to_owned()
    };
    let usual = Wanted::default;
    assert!(wrong(Wanted::angles([["a", "b", "tail"]])).contains("no body part `tail`"));
    assert!(wrong(Wanted::angles([["a", "b", "a"]])).contains("`a` stands twice"));
    assert!(wrong(Wanted { window: 4, ..usual() }).contains("4 frames"));
    assert!(wrong(Wanted { fps: Some(0.0), ..usual() }).contains("0 frames a second"));
    assert!(wrong(Wanted { times: Some(vec![0.0]), ..usual() }).contains("1 times"));
    assert!(wrong(Wanted { times: Some(vec![1.0, 1.0]), ..usual() }).contains("do not rise"));
}

#[test]
fn the_files_say_what_is_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t_kinematics.csv");
    let mut tracks = Tracks3d::new(Skeleton::single(["a", "b"]), 3);
    for (frame, x) in [(0, 1.0), (2, 3.0)] {
        tracks.set(frame, 0, spot(Vector3::zeros(), 0.9));
        tracks.set(frame, 1, spot(Vector3::new(x, 0.0, 0.0), 0.9));
    }
    let wanted = Wanted { limbs: edges(&[["a", "b"]]), fps: Some(2.0), ..Wanted::default() };
    let found = measure(&tracks, &wanted).unwrap();
    found.write(&path, "t.csv").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "frame,time_s,a-b_length,a_speed,b_speed\n0,0,1,,\n1,0.5,,,\n2,1,3,,\n");
    let about = std::fs::read_to_string(Kinematics::companion(&path)).unwrap();
    let about: serde_yaml::Value = serde_yaml::from_str(&about).unwrap();
    assert_eq!((about["limn_kinematics"].as_u64(), about["source"].as_str()), (Some(1), Some("t.csv")));
    let length = &about["columns"][0];
    assert_eq!((length["unit"].as_str(), length["mean"].as_f64()), (Some("mm"), Some(2.0)));
    assert!((length["sd"].as_f64().unwrap() - 2f64.sqrt()).abs() < 1e-12);
    assert!(about["columns"][1]["mean"].is_null());
    let twice = Wanted { limbs: edges(&[["a", "b"], ["a", "b"]]), ..wanted };
    let error = measure(&tracks, &twice).unwrap().write(&path, "t.csv").unwrap_err();
    assert!(error.what().contains("`a-b_length`"), "{error}");
}

proptest! {
    #[test]
    fn an_angle_stays_however_the_world_is_turned(
        degrees in 0.0..180.0f64,
        [u, v] in proptest::array::uniform2(1.0..200.0f64),
        turn in proptest::array::uniform3(-3.0..3.0f64),
        shift in proptest::array::uniform3(-500.0..500.0f64),
    ) {
        let turn = Rotation3::new(Vector3::from(turn));
        let put = |p: Vector3<f64>| turn * p + Vector3::from(shift);
        let radians = degrees.to_radians();
        let (a, c) = (Vector3::x() * u, Vector3::new(radians.cos(), radians.sin(), 0.0) * v);
        let found = angle(put(a), put(Vector3::zeros()), put(c)).unwrap();
        prop_assert!((found - degrees).abs() < 1e-6, "{} {}", found, degrees);
        prop_assert_eq!(angle(a, a, c), None);
    }

    #[test]
    fn the_speed_of_a_straight_way_is_exact(
        way in proptest::array::uniform3(-50.0..50.0f64),
        seen in proptest::collection::vec(any::<bool>(), 3..30),
        half in 1usize..6,
        fps in 1.0..500.0f64,
    ) {
        let way = Vector3::from(way);
        let mut tracks = Tracks3d::new(Skeleton::single(["a"]), seen.len());
        for (frame, _) in seen.iter().enumerate().filter(|(_, s)| **s) {
            tracks.set(frame, 0, spot(way * (frame as f64 / fps), 0.9));
        }
        let wanted = Wanted { fps: Some(fps), window: 2 * half + 1, ..Wanted::default() };
        let found = measure(&tracks, &wanted).unwrap();
        for (frame, speed) in found.columns[0].values.iter().enumerate() {
            let around = &seen[frame.saturating_sub(half)..(frame + half + 1).min(seen.len())];
            let known = seen[frame] && around.iter().filter(|s| **s).count() > 1;
            prop_assert_eq!(!speed.is_nan(), known);
            // Tracks hold 24 bits.
            prop_assert!(speed.is_nan() || (speed - way.norm()).abs() < 1e-2, "{} {}", speed, way.norm());
        }
    }
}
