//! The animal's body in space: its back bent upwards from the path in the plane, and all its parts as ellipsoids.

use crate::synth::animal::{Animal, RUMP, smooth_line};
use crate::synth::motion::{Posture, SPINE, Vertebra, half_width};
use nalgebra::{Matrix3, Vector3};

/// What a part is made of.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stuff {
    Fur,
    Ear,
    Skin,
    Nose,
    Tail,
    Eye,
}

/// An ellipsoid.
pub(super) struct Blob {
    pub(super) at: Vector3<f64>,
    /// From a point relative to the middle into the unit sphere.
    pub(super) into: Matrix3<f64>,
    /// The largest half axis.
    pub(super) reach: f64,
    pub(super) stuff: Stuff,
    /// Where along the body or the tail, 0 to 1, and how much further one unit of the first axis is.
    pub(super) along: (f32, f32),
}

/// All parts of the animal in one frame, in the world.
pub(super) struct Body {
    pub(super) blobs: Vec<Blob>,
    /// snout, leftear, rightear, spine, lefthip, righthip, tailbase, tailtip.
    pub(super) points: [Vector3<f64>; 8],
}

/// A place on the spine: where, and the directions to the front, to the left and up.
#[derive(Clone, Copy)]
struct Frame {
    at: Vector3<f64>,
    front: Vector3<f64>,
    left: Vector3<f64>,
    up: Vector3<f64>,
}

impl Frame {
    fn offset(&self, front: f64, left: f64, up: f64) -> Vector3<f64> {
        self.at + self.front * front + self.left * left + self.up * up
    }
}

/// How high the spine is, in body lengths, for an animal on four feet.
const HEIGHT: [(f64, f64); 11] = [
    (0.0, 0.105),
    (0.10, 0.140),
    (0.20, 0.168),
    (0.30, 0.180),
    (0.40, 0.176),
    (0.50, 0.182),
    (0.65, 0.194),
    (0.75, 0.190),
    (0.85, 0.170),
    (0.93, 0.138),
    (1.0, 0.105),
];
/// How steeply the spine rises when the animal stands on its hind feet, in radians.
const REARING: [(f64, f64); 7] =
    [(0.0, 0.10), (0.15, 0.25), (0.30, 0.85), (0.45, 1.18), (0.62, 1.10), (0.82, 0.70), (1.0, 0.30)];

fn table(table: &[(f64, f64)], s: f64) -> f64 {
    let i = table.iter().skip(1).position(|p| s <= p.0).unwrap_or(table.len() - 2);
    let ((a, u), (b, v)) = (table[i], table[i + 1]);
    u + (v - u) * ((s - a) / (b - a)).clamp(0.0, 1.0)
}

/// Half the body's width and height at `s`, in body lengths.
fn girth(s: f64) -> (f64, f64) {
    let w = f64::from(half_width(s as f32));
    (w, w * if s < 0.3 { 0.96 } else { 0.96 - 0.08 * ((s - 0.3) / 0.2).min(1.0) })
}

/// How far it has risen, 0 on four feet, 1 on two: the path in the plane knows it from the shortened back.
fn risen(posture: &Posture) -> f64 {
    let t = ((0.93 - posture.stretch) / (0.93 - 0.79)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

impl Body {
    pub(super) fn new(animal: &Animal, posture: &Posture) -> Self {
        let (l, w) = (animal.size.body, animal.size.body * animal.size.stout);
        let up = risen(posture);
        // An animal that looks around lifts its head.
        let nod = 0.6 * posture.head.abs() * (1.0 - up);
        let spine = spine(&posture.spine(&animal.size), l, up, nod);
        let mut made = Maker { blobs: Vec::with_capacity(160) };

        // Trunk and head: slices so near to each other that none can be told apart.
        const SLICES: usize = 64;
        for i in 0..=SLICES {
            let s = i as f64 / SLICES as f64;
            let (wide, high) = girth(s);
            let f = along(&spine, s);
            let radii = [(0.8 * high * l).max(1.2), wide * w, high * w];
            made.add(&f, f.at, radii, Stuff::Fur, (s as f32, (radii[0] / l) as f32));
        }
        let head = along(&spine, 0.25);
        let mut ears = [Vector3::zeros(); 2];
        let mut hips = [Vector3::zeros(); 2];
        for (k, side) in [(0, 1.0), (1, -1.0)] {
            // The ear's disc stands up and leans back and out, and looks ahead and outwards.
            let rise = (head.left * (0.35 * side) + head.up * 0.70 - head.front * 0.50).normalize();
            let face = head.front * 0.50 + head.left * (0.64 * side) + head.up * 0.42;
            let face = (face - rise * rise.dot(&face)).normalize();
            let ear = Frame {
                at: head.offset(-0.005 * l, 0.098 * w * side, 0.105 * w),
                front: rise,
                left: rise.cross(&face),
                up: face,
            };
            made.add(&ear, ear.at, [0.084 * l, 0.072 * l, 0.013 * l], Stuff::Ear, (0.25, 0.0));
            ears[k] = ear.at;
            let f = along(&spine, 0.125);
            let eye = f.offset(0.0, 0.068 * w * side, 0.036 * w);
            made.add(&f, eye, [0.017 * l, 0.015 * l, 0.016 * l], Stuff::Eye, (0.12, 0.0));

            let f = along(&spine, 0.775);
            let haunch = f.offset(0.0, 0.118 * w * side, -0.035 * w);
            let radii = [0.115 * l, 0.086 * w, 0.105 * w];
            made.add(&f, haunch, radii, Stuff::Fur, (0.775, 0.115));
            let slope = std::f64::consts::FRAC_1_SQRT_2;
            hips[k] = haunch + f.left * (slope * radii[1] * side) + f.up * (slope * radii[2]);
            made.legs(&spine, posture, [l, w], side, up);
        }
        made.add(&spine[0], spine[0].at, [0.024 * l; 3], Stuff::Nose, (0.0, 0.0));
        let fur = made.blobs.len();
        let tail = made.tail(&spine[SPINE], posture, l);
        // Where the tail comes out of the fur, however the rump bulges.
        let buried = |p: &Vector3<f64>| made.blobs[..fur].iter().any(|b| b.holds(p));
        let base = (0..30).map(|k| tail_at(&tail, (RUMP + 0.01 * f64::from(k)) * l)).find(|p| !buried(p));

        let back = along(&spine, 0.43);
        let points = [
            spine[0].at,
            ears[0],
            ears[1],
            back.offset(0.0, 0.0, girth(0.43).1 * w),
            hips[0],
            hips[1],
            base.unwrap_or_else(|| tail_at(&tail, RUMP * l)),
            tail.last().copied().unwrap_or(spine[SPINE].at),
        ];
        Self { blobs: made.blobs, points }
    }

    /// Whether the body lies between `from` and a point of it; what is nearer than `deep` to the point is the part itself.
    pub(super) fn hides(&self, from: Vector3<f64>, point: &Vector3<f64>, deep: f64) -> bool {
        let far = (point - from).norm();
        let ray = (point - from) / far;
        self.blobs.iter().any(|b| b.meet(from, ray).is_some_and(|t| t < far - deep))
    }
}

impl Blob {
    /// Whether a point is inside.
    fn holds(&self, point: &Vector3<f64>) -> bool {
        (self.into * (point - self.at)).norm_squared() < 1.0
    }

    /// How far along a ray its surface is first met.
    pub(super) fn meet(&self, from: Vector3<f64>, ray: Vector3<f64>) -> Option<f64> {
        let (o, d) = (self.into * (from - self.at), self.into * ray);
        let (a, b, c) = (d.norm_squared(), o.dot(&d), o.norm_squared() - 1.0);
        let inside = b * b - a * c;
        (inside > 0.0).then(|| (-b - inside.sqrt()) / a).filter(|t| *t > 0.0)
    }
}

/// The spine in space, from the snout to the root of the tail, which is where it is in the plane.
fn spine(flat: &[Vertebra; SPINE + 1], l: f64, up: f64, nod: f64) -> [Frame; SPINE + 1] {
    // In the plane y goes down, as in pictures; in the world it does not.
    let ahead = |v: &Vertebra| Vector3::new(v.front[0], -v.front[1], 0.0);
    let root = &flat[SPINE];
    let at = Vector3::new(root.at[0], -root.at[1], table(&HEIGHT, 1.0) * l);
    let frame = |at: Vector3<f64>, ahead: Vector3<f64>, pitch: f64| {
        let front = ahead * pitch.cos() + Vector3::z() * pitch.sin();
        let left = Vector3::new(-ahead.y, ahead.x, 0.0);
        Frame { at, front, left, up: front.cross(&left) }
    };
    let step = 1.0 / SPINE as f64;
    let pitch = |s: f64| {
        let rise = table(&HEIGHT, s - 0.5 * step) - table(&HEIGHT, s + 0.5 * step);
        let neck = ((0.42 - s) / 0.2).clamp(0.0, 1.0);
        (rise / step).clamp(-0.9, 0.9).asin() * (1.0 - up) + table(&REARING, s) * up + nod * neck
    };
    let mut out = [frame(at, ahead(root), pitch(1.0 - 0.5 * step)); SPINE + 1];
    for i in (0..SPINE).rev() {
        let way = (ahead(&flat[i]) + ahead(&flat[i + 1])).try_normalize(1e-9);
        let way = way.unwrap_or_else(|| ahead(&flat[i]));
        let rise = pitch((i as f64 + 0.5) * step);
        let link = way * rise.cos() + Vector3::z() * rise.sin();
        out[i] = frame(out[i + 1].at + link * (l * step), ahead(&flat[i]), pitch(i as f64 * step));
    }
    out
}

fn along(spine: &[Frame; SPINE + 1], s: f64) -> Frame {
    let t = (s * SPINE as f64).clamp(0.0, SPINE as f64);
    let i = (t as usize).min(SPINE - 1);
    let (a, b, f) = (&spine[i], &spine[i + 1], t - i as f64);
    let front = a.front.lerp(&b.front, f).normalize();
    let left = a.left.lerp(&b.left, f);
    let left = (left - front * front.dot(&left)).normalize();
    Frame { at: a.at.lerp(&b.at, f), front, left, up: front.cross(&left) }
}

/// The point of a line at a length from its beginning.
fn tail_at(line: &[Vector3<f64>], mut length: f64) -> Vector3<f64> {
    for pair in line.windows(2) {
        let piece = (pair[1] - pair[0]).norm();
        if length <= piece {
            return pair[0].lerp(&pair[1], length / piece.max(1e-9));
        }
        length -= piece;
    }
    line.last().copied().unwrap_or_default()
}

struct Maker {
    blobs: Vec<Blob>,
}

impl Maker {
    /// Half axes along the frame's front, left and up.
    fn add(&mut self, f: &Frame, at: Vector3<f64>, radii: [f64; 3], stuff: Stuff, along: (f32, f32)) {
        let [a, b, c] = radii;
        let into = Matrix3::from_rows(&[
            (f.front / a).transpose(),
            (f.left / b).transpose(),
            (f.up / c).transpose(),
        ]);
        self.blobs.push(Blob { at, into, reach: a.max(b).max(c), stuff, along });
    }

    /// One hind leg and one fore leg.
    fn legs(&mut self, spine: &[Frame; SPINE + 1], posture: &Posture, [l, w]: [f64; 2], side: f64, up: f64) {
        let pace = posture.speed.min(1.0);
        let swing = |phase: f64| {
            let phase = phase + if side > 0.0 { 0.0 } else { std::f64::consts::PI };
            0.07 * l * (posture.gait + phase).sin() * pace
        };
        let flat = |f: &Frame| {
            let front = Vector3::new(f.front.x, f.front.y, 0.0).try_normalize(1e-9).unwrap_or(f.left);
            let left = Vector3::new(-front.y, front.x, 0.0);
            Frame { at: Vector3::new(f.at.x, f.at.y, 0.0), front, left, up: Vector3::z() }
        };
        let hip = along(spine, 0.78);
        let ground = flat(&hip);
        let foot = ground.offset(0.055 * l + swing(0.0), 0.165 * w * side, 0.020 * l);
        self.add(&ground, foot, [0.085 * l, 0.028 * w, 0.019 * l], Stuff::Skin, (0.7, 0.0));
        let knee = hip.offset(0.0, 0.150 * w * side, -0.08 * w);
        self.limb(knee, foot - ground.front * (0.05 * l), [0.045 * l, 0.022 * l], (0.78, 0.0));

        let shoulder = along(spine, 0.37);
        let below = shoulder.offset(0.0, 0.088 * w * side, -0.055 * w);
        let ground = flat(&shoulder);
        let on_floor = ground.offset(0.03 * l + swing(std::f64::consts::PI), 0.105 * w * side, 0.016 * l);
        let held = shoulder.offset(0.05 * l, 0.06 * w * side, -0.17 * w);
        let paw = on_floor.lerp(&held, up);
        self.limb(below, paw, [0.042 * l, 0.020 * l], (0.37, 0.0));
        self.add(&shoulder, paw, [0.030 * l, 0.022 * l, 0.020 * l], Stuff::Skin, (0.37, 0.0));
    }

    fn limb(&mut self, from: Vector3<f64>, to: Vector3<f64>, radii: [f64; 2], along: (f32, f32)) {
        let frame = Frame { at: from, front: Vector3::x(), left: Vector3::y(), up: Vector3::z() };
        for i in 0..7 {
            let t = f64::from(i) / 6.0;
            let r = radii[0] + (radii[1] - radii[0]) * t;
            self.add(&frame, from.lerp(&to, t), [r; 3], Stuff::Fur, along);
        }
    }

    /// The tail, which sinks from its root to the floor; its middle line.
    fn tail(&mut self, root: &Frame, posture: &Posture, l: f64) -> Vec<Vector3<f64>> {
        let flat = smooth_line(&posture.tail);
        let n = flat.len().saturating_sub(1).max(1);
        let thick = |t: f64| l * (0.0265 * (1.0 - t).powf(0.8) + 0.0125);
        let line: Vec<Vector3<f64>> = flat
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let t = i as f64 / n as f64;
                let sunk = (t / 0.28).min(1.0);
                let sunk = sunk * sunk * (3.0 - 2.0 * sunk);
                Vector3::new(p[0], -p[1], root.at.z + (thick(t) - root.at.z) * sunk)
            })
            .collect();
        for (i, pair) in line.windows(2).enumerate() {
            let t = (i as f64 + 0.5) / n as f64;
            let link = pair[1] - pair[0];
            let half = 0.5 * link.norm();
            let front = link.try_normalize(1e-9).unwrap_or(root.front);
            let left = Vector3::new(-front.y, front.x, 0.0).try_normalize(1e-9).unwrap_or(root.left);
            let f = Frame { at: (pair[0] + pair[1]) / 2.0, front, left, up: front.cross(&left) };
            let r = thick(t);
            self.add(&f, f.at, [half + 0.6 * r, r, r], Stuff::Tail, (t as f32, (half / l) as f32));
        }
        line
    }
}
