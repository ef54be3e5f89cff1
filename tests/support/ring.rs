//! Cameras on a ring around 400 mm of an animal's world, what they would see of it, and how well it can be known.
#![allow(dead_code)]

use limn::camera::triangulate::{Options, Outcome, session};
use limn::camera::{Camera, Lens, Mount, Rig};
use limn::pose::{Keypoint, Skeleton, Spot, Tracks, Tracks3d};
use limn::watch::Quiet;
use nalgebra::{Matrix3, Rotation3, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

pub const SIZE: [usize; 2] = [640, 480];

/// `count` cameras a metre away that look at the middle; two stand at a right angle, more all around.
pub fn ring(count: usize) -> Rig {
    let camera = |i: usize| {
        let turn = if count == 2 { 4.0 } else { count as f64 };
        let angle = std::f64::consts::TAU * i as f64 / turn;
        let from = Vector3::new(920.0 * angle.cos(), 920.0 * angle.sin(), 400.0);
        let lens = Lens { distortion: [-0.08, 0.02, 5e-4, -3e-4, 0.0], ..Lens::plain(600.0, SIZE) };
        Camera::new(format!("cam{i}"), SIZE, lens).looking(from, Vector3::zeros(), Vector3::z())
    };
    let mount = |i| Mount { name: format!("cam{i}"), camera: Some(camera(i)), ..Mount::default() };
    Rig { cameras: (0..count).map(mount).collect(), ..Rig::default() }
}

pub struct Truth {
    /// `[frame][point]`.
    pub points: Vec<Vec<Vector3<f64>>>,
    pub tracks: Vec<Option<Tracks>>,
    /// `[frame][point]`: the cameras whose observations are right.
    pub right: Vec<Vec<u64>>,
    pub noise: f64,
}

pub fn names() -> [&'static str; 6] {
    ["snout", "leftear", "rightear", "back", "tailbase", "tailtip"]
}

pub fn edges() -> Vec<[String; 2]> {
    let pairs = [
        ["snout", "leftear"],
        ["snout", "rightear"],
        ["leftear", "back"],
        ["rightear", "back"],
        ["back", "tailbase"],
    ];
    pairs.map(|e| e.map(str::to_owned)).to_vec()
}

pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// An animal that accelerates at random and turns, and is driven back to the middle.
pub fn walk(frames: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<Vector3<f64>>> {
    let body = [
        [45.0, 0.0, 10.0],
        [25.0, 12.0, 20.0],
        [25.0, -12.0, 20.0],
        [0.0, 0.0, 15.0],
        [-40.0, 0.0, 5.0],
        [-110.0, 5.0, 0.0],
    ];
    let (mut at, mut speed, mut angle, mut turning) = (Vector3::zeros(), Vector3::zeros(), 0.0_f64, 0.0_f64);
    (0..frames)
        .map(|_| {
            let push = Vector3::from_fn(|_, _| 0.6 * normal(rng));
            speed = speed * 0.98 + push - at * 5e-4;
            at += speed;
            turning = turning * 0.98 + 0.004 * normal(rng);
            angle += turning;
            let turn = Rotation3::from_axis_angle(&Vector3::z_axis(), angle);
            body.iter().map(|p| at + turn * Vector3::from(*p)).collect()
        })
        .collect()
}

/// What the cameras see: with noise, and of the part `outliers` something anywhere in the frame.
pub fn film(
    rig: &Rig,
    points: Vec<Vec<Vector3<f64>>>,
    noise: f64,
    outliers: f64,
    rng: &mut ChaCha8Rng,
) -> Truth {
    let skeleton = Skeleton::single(names());
    let mut right = vec![vec![0_u64; skeleton.points()]; points.len()];
    let tracks = rig
        .cameras
        .iter()
        .enumerate()
        .map(|(c, mount)| {
            let camera = mount.camera.as_ref().unwrap();
            let mut tracks = Tracks::new(skeleton.clone(), points.len());
            for (frame, row) in points.iter().enumerate() {
                for (point, at) in row.iter().enumerate() {
                    let mut seen = camera.project(at).unwrap();
                    seen = Keypoint::new(seen.x + noise * normal(rng), seen.y + noise * normal(rng));
                    if rng.random::<f64>() < outliers {
                        seen = Keypoint::new(640.0 * rng.random::<f64>(), 480.0 * rng.random::<f64>());
                    } else {
                        right[frame][point] |= 1 << c;
                    }
                    tracks.set(frame, point, seen, 0.9);
                }
            }
            Some(tracks)
        })
        .collect();
    Truth { points, tracks, right, noise }
}

/// As [`film`] without outliers, but the noise of a frame is that of the one before to the part `lasting` (a first-order
/// autoregression).
pub fn film_lasting(
    rig: &Rig,
    points: Vec<Vec<Vector3<f64>>>,
    noise: f64,
    lasting: f64,
    rng: &mut ChaCha8Rng,
) -> Truth {
    let mut truth = film(rig, points, 0.0, 0.0, rng);
    for tracks in truth.tracks.iter_mut().flatten() {
        for point in 0..tracks.skeleton.points() {
            let mut off = [noise * normal(rng), noise * normal(rng)];
            for frame in 0..tracks.frames() {
                let (at, likelihood) = tracks.get(frame, point).unwrap();
                tracks.set(frame, point, Keypoint::new(at.x + off[0], at.y + off[1]), likelihood);
                off = off.map(|o| lasting * o + (1.0 - lasting * lasting).sqrt() * noise * normal(rng));
            }
        }
    }
    Truth { noise, ..truth }
}

pub fn simulate(rig: &Rig, frames: usize, noise: f64, outliers: f64, seed: u64) -> Truth {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let points = walk(frames, &mut rng);
    film(rig, points, noise, outliers, &mut rng)
}

/// The least covariance that any unbiased method of single frames can have (Cramer and Rao) from these cameras.
pub fn bound(rig: &Rig, at: &Vector3<f64>, cameras: u64, noise: f64) -> Option<Matrix3<f64>> {
    let mut information = Matrix3::zeros();
    for (i, mount) in rig.cameras.iter().enumerate().filter(|(i, _)| cameras >> i & 1 == 1) {
        let by_point =
            mount.camera.as_ref()?.project_with(at).unwrap_or_else(|| panic!("camera {i}")).by_point;
        information += by_point.transpose() * by_point / (noise * noise);
    }
    (cameras.count_ones() >= 2).then(|| information.try_inverse()).flatten()
}

/// How good tracks are. Lengths in millimetres.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// Part of the points that at least two cameras saw rightly which was found.
    pub found: f64,
    /// Part of the other points which was found all the same: wrong cameras agreed by chance.
    pub false_finds: f64,
    /// Root mean square error, and that of its bound, both over the points found.
    pub rms: f64,
    pub bound: f64,
    /// Part of the points found that is wrong by more than ten times its own bound, and what is left without these.
    pub gross: f64,
    pub rms_else: f64,
    /// Part of coordinates within one and two stated deviations.
    pub one: f64,
    pub two: f64,
}

pub fn score(rig: &Rig, truth: &Truth, tracks: &Tracks3d) -> Score {
    let (mut possible, mut found, mut gross, mut n) = (0.0, 0.0, 0.0, 0.0);
    let (mut impossible, mut false_finds) = (0.0_f64, 0.0);
    let (mut squares, mut bounds, mut fine, mut one, mut two) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (frame, row) in truth.points.iter().enumerate() {
        for (point, at) in row.iter().enumerate() {
            let Some(best) = bound(rig, at, truth.right[frame][point], truth.noise) else {
                impossible += 1.0;
                false_finds += f64::from(u8::from(tracks.get(frame, point).is_some_and(|s| s.cameras > 0)));
                continue;
            };
            possible += 1.0;
            let Some(Spot { at: got, deviation, .. }) = tracks.get(frame, point) else { continue };
            found += 1.0;
            let wrong = Vector3::from(got) - at;
            squares += wrong.norm_squared();
            bounds += best.trace();
            if wrong.norm_squared() > 100.0 * best.trace() {
                gross += 1.0;
            } else {
                fine += wrong.norm_squared();
            }
            for k in 0..3 {
                n += 1.0;
                one += f64::from(u8::from(wrong[k].abs() <= deviation[k]));
                two += f64::from(u8::from(wrong[k].abs() <= 2.0 * deviation[k]));
            }
        }
    }
    Score {
        found: found / possible,
        false_finds: false_finds / impossible.max(1.0),
        rms: (squares / found).sqrt(),
        bound: (bounds / found).sqrt(),
        gross: gross / found,
        rms_else: (fine / (found - gross)).sqrt(),
        one: one / n,
        two: two / n,
    }
}

pub fn run(rig: &Rig, truth: &Truth, options: &Options) -> Outcome {
    session(rig, &truth.tracks, &[], options, &Quiet::default()).unwrap()
}
