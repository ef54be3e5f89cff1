//! The empty room as each camera sees it: the floor, the table under it with things on it, and the lamp.

use super::HALF;
use crate::camera::Camera;
use crate::pose::Keypoint;
use crate::synth::film::Film;
use crate::synth::noise::{Noise, mix, smoothstep};
use nalgebra::Vector3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;
use std::sync::OnceLock;

/// A sheet of paper or a tool on the table.
struct Thing {
    at: [f32; 2],
    turn: [f32; 2],
    half: [f32; 2],
    colour: [f32; 3],
}

pub(super) struct Room {
    noise: Noise,
    floor: [f32; 3],
    table: [f32; 3],
    things: Vec<Thing>,
    /// Towards the lamp.
    pub(super) towards: Vector3<f64>,
    spot: [f32; 2],
}

impl Room {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0007_0011);
        // Floors that labs have: white acrylic, beige PVC, blue-grey plastic, pale green.
        const FLOORS: [[f32; 3]; 4] =
            [[0.56, 0.57, 0.56], [0.52, 0.46, 0.37], [0.37, 0.43, 0.48], [0.42, 0.50, 0.42]];
        let floor = FLOORS[rng.random_range(0..FLOORS.len())];
        let table = [0.075f32, 0.068, 0.060].map(|c| c * rng.random_range(0.8..1.4));
        let things = (0..26)
            .map(|_| {
                let (s, c) = rng.random_range(0.0..TAU).sin_cos();
                let far = rng.random_range(1.5..3.6) * HALF;
                let turn = rng.random_range(0.0..TAU as f32).sin_cos();
                let half = [rng.random_range(12.0..70.0), rng.random_range(8.0..45.0)];
                let tone: f32 = rng.random_range(0.03..0.4);
                let colour = [0; 3].map(|_| tone * rng.random_range(0.5..1.3));
                Thing { at: [(c * far) as f32, (s * far) as f32], turn: [turn.1, turn.0], half, colour }
            })
            .collect();
        let (s, c) = rng.random_range(0.0..TAU).sin_cos();
        let towards = Vector3::new(0.52 * c, 0.52 * s, 0.85).normalize();
        let spot = [(80.0 * c) as f32, (80.0 * s) as f32];
        Self { noise: Noise::new(&mut rng), floor, table, things, towards, spot }
    }

    /// How much light reaches a place.
    pub(super) fn lamp(&self, x: f32, y: f32) -> f32 {
        let d2 = ((x - self.spot[0]).powi(2) + (y - self.spot[1]).powi(2)) / (430.0 * 430.0);
        0.62 + 0.50 * (-d2).exp()
    }

    /// What lies at a place of the plane z = 0, lit, in linear light.
    fn ground(&self, x: f32, y: f32) -> [f32; 3] {
        let n = &self.noise;
        let out = x.abs().max(y.abs()) - HALF as f32;
        let mut colour = if out < 1.5 {
            let cloud = n.octaves(x / 50.0, y / 50.0, 3, 0.55);
            let fine = n.octaves(x / 2.4, y / 2.4, 2, 0.7);
            let wiped = n.at(x / 30.0, y / 1.9);
            // A stain is where another cloud is thick.
            let stain = smoothstep(0.34, 0.5, n.octaves(x / 24.0 + 70.0, y / 24.0 + 30.0, 2, 0.5));
            let f = (1.0 + 0.09 * cloud + 0.035 * fine + 0.02 * wiped) * (1.0 - 0.06 * stain);
            self.floor.map(|c| c * f)
        } else {
            let f = 1.0 + 0.4 * n.octaves(x / 40.0, y / 40.0, 4, 0.6);
            let mut c = self.table.map(|c| c * f);
            for t in &self.things {
                let (dx, dy) = (x - t.at[0], y - t.at[1]);
                let u = (dx * t.turn[0] + dy * t.turn[1]).abs() - t.half[0];
                let v = (dy * t.turn[0] - dx * t.turn[1]).abs() - t.half[1];
                let cover = 1.0 - smoothstep(-0.8, 0.8, u.max(v));
                if cover > 0.0 {
                    let tone = 1.0 + 0.15 * n.octaves(x / 12.0, y / 12.0, 2, 0.6);
                    for (to, k) in c.iter_mut().zip(t.colour) {
                        *to = mix(*to, k * tone, cover);
                    }
                }
            }
            // The plate's shadow on the table.
            let dark = 1.0 - 0.55 * (-(out / 14.0)).exp();
            c.map(|v| v * dark)
        };
        // A dark edge runs round the floor.
        let edge = if out < 1.5 { smoothstep(-5.5, -4.0, out) } else { 0.0 };
        let lamp = self.lamp(x, y);
        for v in &mut colour {
            *v = mix(*v, 0.10, 0.85 * edge) * lamp;
        }
        colour
    }
}

/// What a camera needs to make pictures: the ray of every pixel's corners, and the empty room.
pub(super) struct View {
    pub(super) from: Vector3<f64>,
    /// Directions in the world, not of unit length, at all corners of pixels, row after row.
    rays: Vec<[f32; 3]>,
    width: usize,
    /// Linear light of the empty room, the lens's own falloff included.
    pub(super) ground: Vec<f32>,
    display: OnceLock<Vec<f32>>,
}

impl View {
    pub(super) fn new(camera: &Camera, room: &Room) -> Self {
        let [width, height] = camera.size;
        let back = camera.pose.rotation.inverse();
        let mut rays = Vec::with_capacity((width + 1) * (height + 1));
        for y in 0..=height {
            for x in 0..=width {
                let pixel = Keypoint::new(x as f64, y as f64);
                // No lens of a rig here folds its picture; a plain one would take its place.
                let at = camera.lens.ray(pixel).unwrap_or_else(|| {
                    let (f, c) = (camera.lens.focal, camera.lens.centre);
                    nalgebra::Vector2::new((pixel.x - c[0]) / f[0], (pixel.y - c[1]) / f[1])
                });
                let ray = back * Vector3::new(at.x, at.y, 1.0);
                rays.push([ray.x as f32, ray.y as f32, ray.z as f32]);
            }
        }
        let from = camera.position();
        let mut view = Self { from, rays, width, ground: Vec::new(), display: OnceLock::new() };
        view.ground = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                let d = view.ray(x, y, 0.5, 0.5);
                let colour = if d.z < -1e-3 {
                    let t = -from.z / d.z;
                    let p = from + d * t;
                    let far = smoothstep(900.0, 2500.0, (t * d.norm()) as f32);
                    room.ground(p.x as f32, p.y as f32).map(|v| mix(v, 0.03, far))
                } else {
                    [0.03; 3]
                };
                let dim = view.falloff(x, y, height);
                view.ground.extend(colour.map(|v| v * dim));
            }
        }
        view
    }

    /// Towards a place in a pixel, `u` and `v` from 0 to 1 across it.
    #[inline]
    pub(super) fn ray(&self, x: usize, y: usize, u: f64, v: f64) -> Vector3<f64> {
        let [a, b, c, d] = self.corners(x, y);
        let top = a + (b - a) * u;
        top + (c + (d - c) * u - top) * v
    }

    /// Towards the corners of a pixel: top left, top right, bottom left, bottom right.
    #[inline]
    pub(super) fn corners(&self, x: usize, y: usize) -> [Vector3<f64>; 4] {
        let at = y * (self.width + 1) + x;
        let below = at + self.width + 1;
        [at, at + 1, below, below + 1].map(|i| {
            let [x, y, z] = self.rays[i].map(f64::from);
            Vector3::new(x, y, z)
        })
    }

    /// Corners of pictures get less light.
    #[inline]
    pub(super) fn falloff(&self, x: usize, y: usize, height: usize) -> f32 {
        let (hx, hy) = (self.width as f32 / 2.0, height as f32 / 2.0);
        let r2 = ((x as f32 - hx).powi(2) + (y as f32 - hy).powi(2)) / (hx * hx + hy * hy);
        1.0 - 0.22 * r2
    }

    /// The empty room in display values.
    pub(super) fn display(&self, film: &Film) -> &[f32] {
        self.display.get_or_init(|| self.ground.iter().map(|v| film.display(v * Film::SCALE)).collect())
    }
}
