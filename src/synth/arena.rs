//! The open field itself: floor, walls, dirt and light, painted once and kept.

use super::noise::{Noise, mix, smoothstep};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// The floor's outline: a rectangle or a circle, turned a little as cameras are.
#[derive(Clone, Copy)]
pub(super) struct Floor {
    centre: [f64; 2],
    half: [f64; 2],
    turn: [f64; 2], // cosine and sine
    pub(super) round: bool,
}

impl Floor {
    /// A square around the origin.
    pub(super) fn square(half: f64) -> Self {
        Self { centre: [0.0; 2], half: [half; 2], turn: [1.0, 0.0], round: false }
    }

    fn local(&self, p: [f64; 2]) -> [f64; 2] {
        let (x, y) = (p[0] - self.centre[0], p[1] - self.centre[1]);
        [x * self.turn[0] + y * self.turn[1], y * self.turn[0] - x * self.turn[1]]
    }

    fn global(&self, q: [f64; 2]) -> [f64; 2] {
        [
            self.centre[0] + q[0] * self.turn[0] - q[1] * self.turn[1],
            self.centre[1] + q[1] * self.turn[0] + q[0] * self.turn[1],
        ]
    }

    /// Pixels to the wall, negative on the floor; and the direction away from the floor's inside, in the image.
    fn outside(&self, p: [f64; 2]) -> (f64, [f64; 2]) {
        let q = self.local(p);
        let (d, n) = if self.round {
            let r = q[0].hypot(q[1]);
            (r - self.half[0], [q[0] / r.max(1e-9), q[1] / r.max(1e-9)])
        } else {
            let (dx, dy) = (q[0].abs() - self.half[0], q[1].abs() - self.half[1]);
            if dx > dy { (dx, [q[0].signum(), 0.0]) } else { (dy, [0.0, q[1].signum()]) }
        };
        (d, [n[0] * self.turn[0] - n[1] * self.turn[1], n[1] * self.turn[0] + n[0] * self.turn[1]])
    }

    /// The nearest place to `p` that is at least `margin` pixels away from the wall.
    pub(super) fn hold(&self, p: [f64; 2], margin: f64) -> [f64; 2] {
        let q = self.local(p);
        if self.round {
            let (r, most) = (q[0].hypot(q[1]), (self.half[0] - margin).max(0.0));
            if r <= most { p } else { self.global([q[0] * most / r, q[1] * most / r]) }
        } else {
            let held = |v: f64, half: f64| {
                let most = (half - margin).max(0.0);
                v.clamp(-most, most)
            };
            let h = [held(q[0], self.half[0]), held(q[1], self.half[1])];
            if h == q { p } else { self.global(h) }
        }
    }

    /// A random place `margin` pixels from the wall when `edge`, else anywhere inside that.
    pub(super) fn random(&self, rng: &mut ChaCha8Rng, margin: f64, edge: bool) -> [f64; 2] {
        let half = [(self.half[0] - margin).max(1.0), (self.half[1] - margin).max(1.0)];
        if self.round {
            let r = if edge { 1.0 } else { rng.random::<f64>().sqrt() };
            let (s, c) = rng.random_range(0.0..TAU).sin_cos();
            return self.global([c * r * half[0], s * r * half[0]]);
        }
        let mut q = [rng.random_range(-half[0]..half[0]), rng.random_range(-half[1]..half[1])];
        if edge {
            let side = usize::from(rng.random_bool(half[0] / (half[0] + half[1])));
            q[side] = half[side] * if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        }
        self.global(q)
    }

    pub(super) fn reach(&self) -> f64 {
        self.half[0].min(self.half[1])
    }
}

/// The lamp: where it stands, and how it drifts and flickers.
pub(super) struct Light {
    /// Towards the lamp: x, y in the image, z up.
    pub(super) towards: [f32; 3],
    spot: [f32; 2],
    spot_strength: f32,
    spot_size: f32,
    drift: f32,
    flicker: f32,
    phases: [f32; 6],
}

/// Cells of the coarse light field, in pixels.
pub(super) const CELL: usize = 16;

impl Light {
    fn new(rng: &mut ChaCha8Rng, width: usize, height: usize) -> Self {
        let (s, c) = rng.random_range(0.0..TAU as f32).sin_cos();
        let z: f32 = rng.random_range(0.70..0.82);
        let flat = (1.0 - z * z).sqrt();
        let (w, h) = (width as f32, height as f32);
        Self {
            towards: [c * flat, s * flat, z],
            spot: [w * (0.5 + 0.28 * c), h * (0.5 + 0.28 * s)],
            spot_strength: rng.random_range(0.30..0.55),
            spot_size: rng.random_range(0.35..0.5) * w.hypot(h),
            drift: 0.05,
            flicker: 0.008,
            phases: std::array::from_fn(|_| rng.random_range(0.0..TAU as f32)),
        }
    }

    /// The light field at `time` seconds: factors at the corners of cells of [`CELL`] pixels.
    pub(super) fn field(&self, time: f32, width: usize, height: usize) -> (usize, Vec<f32>) {
        let wave = |i: usize, period: f32| (time * std::f32::consts::TAU / period + self.phases[i]).sin();
        let level = 1.18
            + 0.6 * self.drift * wave(0, 23.0)
            + 0.4 * self.drift * wave(1, 61.0)
            + self.flicker * wave(2, 0.217)
            + 0.5 * self.flicker * wave(3, 0.0731);
        let cx = self.spot[0] + self.drift * width as f32 * wave(4, 37.0);
        let cy = self.spot[1] + self.drift * height as f32 * wave(5, 29.0);
        let columns = width / CELL + 2;
        let rows = height / CELL + 2;
        let (mx, my) = (width as f32 / 2.0, height as f32 / 2.0);
        let mut field = Vec::with_capacity(columns * rows);
        for j in 0..rows {
            for i in 0..columns {
                let (x, y) = ((i * CELL) as f32, (j * CELL) as f32);
                let d2 = ((x - cx).powi(2) + (y - cy).powi(2)) / (self.spot_size * self.spot_size);
                let r2 = ((x - mx).powi(2) + (y - my).powi(2)) / (mx * mx + my * my);
                let vignette = 1.0 - 0.26 * r2;
                field.push(level * vignette * (1.0 - self.spot_strength * (1.0 - (-d2 * 1.4).exp())));
            }
        }
        (columns, field)
    }

    #[cfg(test)]
    pub(super) fn even() -> Self {
        Self {
            towards: [0.0, 0.0, 1.0],
            spot: [0.0; 2],
            spot_strength: 0.0,
            spot_size: 1e6,
            drift: 0.0,
            flicker: 0.0,
            phases: [0.0; 6],
        }
    }
}

pub(super) struct Arena {
    pub(super) floor: Floor,
    pub(super) light: Light,
    /// Linear light before the lamp, `[y][x][rgb]`.
    pub(super) ground: Vec<f32>,
}

impl Arena {
    pub(super) fn new(seed: u64, width: usize, height: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xA2E4_A000_5EED);
        let (w, h) = (width as f64, height as f64);
        let small = w.min(h);
        let round = rng.random_bool(0.35);
        let angle: f64 = rng.random_range(-0.02..0.02);
        let wall = small * rng.random_range(0.055..0.085);
        let rim = small * 0.012;
        let half = if round {
            let r = small * 0.5 - small * rng.random_range(0.03..0.06);
            [r, r]
        } else {
            [w * 0.5 - wall - small * 0.012, h * 0.5 - wall - small * 0.012]
        };
        let shift = small * 0.008;
        let floor = Floor {
            centre: [w / 2.0 + rng.random_range(-shift..shift), h / 2.0 + rng.random_range(-shift..shift)],
            half,
            turn: [angle.cos(), angle.sin()],
            round,
        };
        let light = Light::new(&mut rng, width, height);
        let noise = Noise::new(&mut rng);
        let unit = (small / 360.0) as f32; // textures keep their look in larger pictures

        // Floors that labs have: white acrylic, beige PVC, blue-grey plastic, sealed wood, pale green.
        const FLOORS: [[f32; 3]; 5] = [
            [0.60, 0.61, 0.60],
            [0.54, 0.47, 0.37],
            [0.37, 0.44, 0.49],
            [0.50, 0.37, 0.24],
            [0.43, 0.52, 0.42],
        ];
        let kind = rng.random_range(0..FLOORS.len());
        let tone: f32 = rng.random_range(0.88..1.1);
        let base = FLOORS[kind].map(|c| c * tone);
        let wood = kind == 3;
        let mottle: f32 = rng.random_range(0.05..0.11);
        let brush = rng.random_range(-0.5..0.5f32).sin_cos();
        let grain: f32 = rng.random_range(0.02..0.045);
        let wall_tone: f32 = rng.random_range(0.45..0.8);
        let table = [0.060f32, 0.058, 0.055].map(|c| c * rng.random_range(0.6..1.6));

        let mut ground = vec![0.0f32; width * height * 3];
        for y in 0..height {
            for x in 0..width {
                let p = [x as f64 + 0.5, y as f64 + 0.5];
                let (d, n) = floor.outside(p);
                let (px, py) = (p[0] as f32 / unit, p[1] as f32 / unit);
                let mut c = base;
                let cloud = noise.octaves(px / 55.0, py / 55.0, 5, 0.55);
                let fine = noise.octaves(px / 2.6, py / 2.6, 3, 0.7);
                let streaks = if wood {
                    let warp = px * 0.14 + 2.2 * noise.octaves(px / 40.0, py / 120.0, 3, 0.5);
                    0.12 * noise.at(warp, py / 130.0) + 0.07 * noise.at(px / 1.7, py / 45.0)
                } else {
                    // Brushed by years of wiping.
                    0.018
                        * noise.at((px * brush.1 + py * brush.0) / 30.0, (py * brush.1 - px * brush.0) / 1.9)
                };
                let f = 1.0 + mottle * cloud + grain * fine + streaks;
                let warm = 0.03 * noise.octaves(px / 80.0 + 40.0, py / 80.0, 3, 0.5);
                c = [c[0] * f * (1.0 + warm), c[1] * f, c[2] * f * (1.0 - warm)];
                let d = d as f32;
                let (wall, rim) = (wall as f32, rim as f32);
                if d < 0.0 {
                    // The corner between floor and wall gets less light.
                    let corner = 1.0 - 0.30 * (d / (10.0 * unit)).exp() - 0.10 * (d / (45.0 * unit)).exp();
                    c = c.map(|v| v * corner);
                }
                // Walls face inwards: those opposite the lamp are lit.
                let facing = -(n[0] as f32 * light.towards[0] + n[1] as f32 * light.towards[1]);
                let up = (d / wall).clamp(0.0, 1.0);
                let wall_light = wall_tone * (0.62 + 0.55 * facing) * (0.50 + 0.5 * up.sqrt());
                let rub = 1.0 + 0.10 * noise.octaves(px / 9.0, py / 9.0, 4, 0.6) + 0.4 * streaks;
                let grey = (base[0] + base[1] + base[2]) / 3.0;
                let wall_colour = base.map(|v| (0.5 * v + 0.5 * grey) * wall_light * rub);
                let rim_light = 1.25 * wall_tone * grey * (0.95 + 0.3 * facing);
                let outer = 1.0 + 0.35 * noise.octaves(px / 30.0, py / 30.0, 4, 0.6);
                let seam = 1.0 - 0.45 * (-(d / (1.1 * unit)).powi(2)).exp();
                for (k, v) in c.iter_mut().enumerate() {
                    *v = mix(*v, wall_colour[k], smoothstep(-0.6, 0.6, d));
                    *v = mix(*v, rim_light, smoothstep(wall - 0.7, wall + 0.7, d));
                    *v = mix(*v, table[k] * outer, smoothstep(wall + rim - 0.7, wall + rim + 0.7, d));
                    *v *= seam;
                }
                ground[(y * width + x) * 3..][..3].copy_from_slice(&c);
            }
        }
        let mut canvas = Canvas { width, height, unit, floor: &floor, noise: &noise, ground: &mut ground };
        canvas.stains(&mut rng);
        canvas.scratches(&mut rng);
        canvas.bedding(&mut rng, light.towards);
        Self { floor, light, ground }
    }
}

/// Dirt goes on the painted floor.
struct Canvas<'a> {
    width: usize,
    height: usize,
    unit: f32,
    floor: &'a Floor,
    noise: &'a Noise,
    ground: &'a mut [f32],
}

impl Canvas<'_> {
    fn each(&mut self, at: [f32; 2], reach: f32, mut f: impl FnMut(f32, f32, &mut [f32])) {
        let range = |v: f32, limit: usize| {
            let low = (v - reach).floor().clamp(0.0, limit as f32) as usize;
            let high = (v + reach + 1.0).ceil().clamp(0.0, limit as f32) as usize;
            low..high
        };
        for y in range(at[1], self.height) {
            for x in range(at[0], self.width) {
                let i = (y * self.width + x) * 3;
                f(x as f32 + 0.5, y as f32 + 0.5, &mut self.ground[i..i + 3]);
            }
        }
    }

    fn place(&self, rng: &mut ChaCha8Rng, margin: f64, edge: bool) -> [f32; 2] {
        let p = self.floor.random(rng, margin, edge);
        [p[0] as f32, p[1] as f32]
    }

    /// Dried spots, a little darker, darkest at their rim.
    fn stains(&mut self, rng: &mut ChaCha8Rng) {
        for _ in 0..rng.random_range(5..11) {
            let at = self.place(rng, 20.0, false);
            let radius = self.unit * rng.random_range(5.0..22.0f32);
            let depth: f32 = rng.random_range(0.03..0.10);
            let noise = self.noise;
            let s = 1.4 / radius;
            self.each(at, radius * 1.7, |x, y, c| {
                let wobble = 0.35 * noise.octaves(x * s + at[1], y * s + at[0], 3, 0.5);
                let d = (x - at[0]).hypot(y - at[1]) / radius + wobble;
                let inside = 1.0 - smoothstep(0.85, 1.05, d);
                let rim = (-((d - 0.93) / 0.08).powi(2)).exp();
                let f = 1.0 - depth * (0.55 * inside + 0.6 * rim);
                c[0] *= f;
                c[1] *= f * (1.0 - 0.1 * depth * inside);
                c[2] *= f * (1.0 - 0.6 * depth * inside);
            });
        }
    }

    /// Fine curved scratches, light or dark.
    fn scratches(&mut self, rng: &mut ChaCha8Rng) {
        for _ in 0..rng.random_range(35..70) {
            let mut at = self.place(rng, 4.0, false);
            let mut angle: f32 = rng.random_range(0.0..TAU as f32);
            let curve: f32 = rng.random_range(-0.02..0.02) / self.unit;
            let length = self.unit * rng.random_range(8.0..90.0f32);
            let strength: f32 = rng.random_range(-0.10..0.12) * rng.random_range(0.2..1.0f32);
            let steps = (length / 0.5) as usize;
            for i in 0..steps {
                let fade = (std::f32::consts::PI * i as f32 / steps as f32).sin();
                self.each(at, 1.0, |x, y, c| {
                    let d2 = (x - at[0]).powi(2) + (y - at[1]).powi(2);
                    let f = 1.0 + strength * fade * 0.5 * (-d2 * 2.2).exp();
                    c.iter_mut().for_each(|v| *v *= f);
                });
                angle += curve * 0.5;
                at = [at[0] + 0.5 * angle.cos(), at[1] + 0.5 * angle.sin()];
                if self.floor.outside([f64::from(at[0]), f64::from(at[1])]).0 > -2.0 {
                    break;
                }
            }
        }
    }

    /// Chips of bedding, more of them along the walls, and a few droppings; each with its little shadow.
    fn bedding(&mut self, rng: &mut ChaCha8Rng, towards: [f32; 3]) {
        let chips = rng.random_range(45..130);
        let droppings = rng.random_range(3..9);
        for i in 0..chips + droppings {
            let dropping = i >= chips;
            let edge = rng.random_bool(0.55);
            let margin = f64::from(self.unit) * (3.0 + 12.0 * rng.random::<f64>().powi(2));
            let at = self.place(rng, margin, edge);
            let (s, c) = rng.random_range(0.0..TAU as f32).sin_cos();
            let (long, thick, colour) = if dropping {
                (rng.random_range(1.3..2.1), rng.random_range(0.75..1.0), [0.035, 0.028, 0.022])
            } else {
                let t: f32 = rng.random_range(0.6..1.15);
                let long: f32 = rng.random_range(0.4..2.2);
                (long, rng.random_range(0.3..0.75), [0.66 * t, 0.52 * t, 0.34 * t])
            };
            let (long, thick) = (long * self.unit, thick * self.unit);
            let distance = move |x: f32, y: f32, ox: f32, oy: f32| {
                let (dx, dy) = (x - at[0] - ox, y - at[1] - oy);
                let along = (dx * c + dy * s).clamp(-long, long);
                (dx - along * c).hypot(dy - along * s) - thick
            };
            let (ox, oy) = (-towards[0] * 1.8 * self.unit, -towards[1] * 1.8 * self.unit);
            self.each(at, long + thick + 4.0 * self.unit, |x, y, px| {
                let shade = 1.0 - 0.35 * (1.0 - smoothstep(-0.8, 1.6, distance(x, y, ox, oy)));
                let cover = 0.9 * (0.5 - distance(x, y, 0.0, 0.0) / 1.2).clamp(0.0, 1.0);
                for k in 0..3 {
                    px[k] = mix(px[k] * shade, colour[k], cover);
                }
            });
        }
    }
}
