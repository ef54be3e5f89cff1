//! Where the cameras stand, and what is particular about each of them.

use super::{HALF, RigSpec};
use crate::camera::{Camera, Lens, LensModel};
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{PI, TAU};

/// What all cameras look at, a little above the floor.
pub(super) const MIDDLE: Vector3<f64> = Vector3::new(0.0, 0.0, 20.0);
/// How far the two cameras of a stereo pair stand apart, in millimetres.
const BASE: f64 = 200.0;

pub(super) fn cameras(spec: &RigSpec) -> Vec<Camera> {
    let mut rng = ChaCha8Rng::seed_from_u64(spec.seed ^ 0x00CA_3E2A);
    let size = [spec.width, spec.height];
    let (w, h) = (spec.width as f64, spec.height as f64);
    let turn: f64 = rng.random_range(0.0..TAU);
    (0..spec.cameras)
        .map(|i| {
            let mut about = |by: f64| rng.random_range(-by..by);
            // The floor fills the smaller side as seen from three and a half half-sides away.
            let focal = 0.95 * w.min(h * 4.0 / 3.0) * (1.0 + about(0.04));
            let lens = Lens {
                model: LensModel::Pinhole,
                focal: [focal, focal * (1.0 + about(0.002))],
                centre: [w / 2.0 + about(0.012 * w), h / 2.0 + about(0.012 * w)],
                distortion: [-0.10 + about(0.15), about(0.04), about(3e-4), about(3e-4), 0.0],
            };
            let far = 3.3 * HALF * (1.0 + about(0.04));
            let from = if spec.cameras == 2 {
                let side = if i == 0 { -0.5 } else { 0.5 } * BASE;
                Vector3::new(side, -0.55 * far + about(4.0), 0.83 * far + about(4.0))
            } else {
                let low = i.is_multiple_of(2);
                let rise: f64 = if low { 0.62 } else { 0.98 } + about(0.05);
                let round = turn + TAU * (i as f64 + about(0.12)) / spec.cameras as f64;
                Vector3::new(rise.cos() * round.cos(), rise.cos() * round.sin(), rise.sin()) * far
            };
            // Near things look larger, so that the middle of the picture is nearer than the middle of the floor.
            let nearer = Vector3::new(from.x, from.y, 0.0) * (22.0 / far);
            let to = MIDDLE + nearer + Vector3::new(about(12.0), about(12.0), about(5.0));
            // Nobody screws a camera on quite level.
            let roll = about(PI / 60.0);
            let ahead = (to - from).normalize();
            let right = ahead.cross(&Vector3::z()).normalize();
            let up = Vector3::z() * roll.cos() + right * roll.sin();
            Camera::new(format!("cam{}", i + 1), size, lens).looking(from, to, up)
        })
        .collect()
}
