//! Random labels and tracks, and the real data, for the tests of this room.

use crate::pose::{FrameKey, Keypoint, Labels, Skeleton, Tracks, Tracks3d};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::path::PathBuf;

/// A file of the openfield project, or `None` with a line that says what was skipped.
pub fn openfield(file: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LIMN_SHARED_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = shared.join("openfield").join(file);
    if !path.is_file() {
        eprintln!("skipped: {} is not there; set LIMN_SHARED_DATA", path.display());
        return None;
    }
    Some(path)
}

/// Names as people give them: letters of any script, spaces, commas, quotes.
fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äßÿжЖ鼠🐭_,;'\"\\\\. -]{0,12}[a-z鼠]".prop_filter("means something else", |n: &String| {
        n != "single" && !n.eq_ignore_ascii_case("nan") && n.trim() == n
    })
}

fn names(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    btree_set(name(), count).prop_map(|n| n.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

pub fn skeleton() -> impl Strategy<Value = Skeleton> {
    let multi =
        (names(1..4), names(1..4), names(0..3)).prop_map(|(individuals, bodyparts, unique_bodyparts)| {
            Skeleton { individuals, bodyparts, unique_bodyparts, edges: vec![], multi_animal: true }
        });
    prop_oneof![names(1..6).prop_map(Skeleton::single), multi]
}

fn coordinate() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..2000.0, any::<f64>().prop_filter("finite", |v| v.is_finite()), Just(0.1 + 0.2)]
}

pub fn labels() -> impl Strategy<Value = Labels> {
    (name(), skeleton()).prop_flat_map(|(scorer, skeleton)| {
        let point = prop::option::of((coordinate(), coordinate()));
        let key = (name(), name()).prop_map(|(v, i)| FrameKey::new(v, format!("{i}.png")));
        vec((key, vec(point, skeleton.points())), 0..6).prop_map(move |rows| {
            let mut labels = Labels::new(scorer.clone(), skeleton.clone());
            for (key, points) in rows {
                for (i, p) in points.into_iter().enumerate() {
                    labels.set(&key, i, p.map(|(x, y)| Keypoint::new(x, y)));
                }
            }
            labels
        })
    })
}

pub fn tracks() -> impl Strategy<Value = (String, Tracks)> {
    (name(), skeleton(), 0usize..40).prop_flat_map(|(scorer, skeleton, frames)| {
        let value =
            prop_oneof![Just(f32::NAN), 0f32..2000.0, any::<f32>().prop_filter("finite", |v| v.is_finite())];
        vec(value, frames * skeleton.points() * 3)
            .prop_map(move |values| (scorer.clone(), Tracks::from_values(skeleton.clone(), values).unwrap()))
    })
}

/// Equal, where NaN equals NaN.
pub fn same_tracks(a: &Tracks, b: &Tracks) -> bool {
    let bits = |t: &Tracks| {
        t.values().iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect::<Vec<_>>()
    };
    a.skeleton == b.skeleton && bits(a) == bits(b)
}

pub fn tracks_3d() -> impl Strategy<Value = Tracks3d> {
    (skeleton(), 0usize..20).prop_flat_map(|(skeleton, frames)| {
        let value = prop_oneof![
            Just(f32::NAN),
            -2000f32..2000.0,
            any::<f32>().prop_filter("finite", |v| v.is_finite())
        ];
        let point = proptest::array::uniform9(value);
        vec(point, frames * skeleton.points())
            .prop_map(move |values| Tracks3d::from_values(skeleton.clone(), values).unwrap())
    })
}

/// Equal, where NaN equals NaN.
pub fn same_tracks_3d(a: &Tracks3d, b: &Tracks3d) -> bool {
    let bits = |t: &Tracks3d| {
        let values = t.values().iter().flatten();
        values.map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect::<Vec<_>>()
    };
    a.skeleton == b.skeleton && bits(a) == bits(b)
}
