//! The calibration board: what is printed on it, how it is carried through the room, and its picture.

use super::room::{Room, View};
use super::{Exposure, RigSpec, rig};
use crate::camera::{Board, Camera};
use crate::error::{Error, Kind, Result};
use crate::pose::Keypoint;
use crate::synth::sheet::Sheet;
use nalgebra::{Isometry3, Matrix3, Point3, Rotation3, Translation3, Unit, UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// White paper round the squares, in squares.
const MARGIN: f64 = 0.5;
/// Samples of a pixel in which something changes. They lie on a Fibonacci lattice, whose shadows on x and on y are all
/// different and evenly spaced, so that edges of any direction are weighed to a part in 55.
const SAMPLES: usize = 55;
const STRIDE: usize = 34;
/// How the lens spreads a point to either neighbour.
const LEAK: f32 = 0.10;

/// Display values of paper, ink and the board's back in full light.
const PAPER: f32 = 214.0;
const INK: f32 = 38.0;
const BACK: f32 = 120.0;

#[derive(Clone, Copy, PartialEq)]
enum Ink {
    Outside,
    White,
    Black,
}

/// What is printed on the board.
pub(super) struct Print {
    squares: [usize; 2],
    square: f64,
    markers: Option<Markers>,
}

struct Markers {
    side: f64,
    /// Modules along a side, the black border included.
    modules: usize,
    /// For each marker its modules row after row, true where white.
    white: Vec<Vec<bool>>,
}

impl Print {
    pub(super) fn new(board: &Board) -> Result<Self> {
        let squares = board.corners().map(|c| c + 1);
        let markers = match board {
            Board::Checkerboard { .. } => None,
            Board::Charuco { marker, dictionary, .. } => {
                let (modules, white) = markers(dictionary, squares[0] * squares[1] / 2)?;
                Some(Markers { side: *marker, modules, white })
            }
        };
        Ok(Self { squares, square: board.square(), markers })
    }

    /// The half-open box of the paper, in millimetres from the first corner: left, top, right, bottom.
    fn paper(&self) -> [f64; 4] {
        let [across, down] = self.squares.map(|s| s as f64 - 1.0 + MARGIN);
        [-1.0 - MARGIN, -1.0 - MARGIN, across, down].map(|v| v * self.square)
    }

    /// What is at a place, in millimetres from the first corner.
    #[inline]
    fn at(&self, x: f64, y: f64) -> Ink {
        let (u, v) = (x / self.square + 1.0, y / self.square + 1.0);
        let [across, down] = self.squares;
        let [w, h] = [across as f64, down as f64];
        if !(u >= 0.0 && v >= 0.0 && u < w && v < h) {
            let paper = u >= -MARGIN && v >= -MARGIN && u < w + MARGIN && v < h + MARGIN;
            return if paper { Ink::White } else { Ink::Outside };
        }
        let (i, j) = (u as usize, v as usize);
        if (i + j).is_multiple_of(2) {
            return Ink::Black;
        }
        let Some(m) = &self.markers else { return Ink::White };
        let part = |t: f64, i: usize| ((t - i as f64 - 0.5) * self.square / m.side + 0.5) * m.modules as f64;
        let (a, b) = (part(u, i), part(v, j));
        let n = m.modules as f64;
        if !(a >= 0.0 && b >= 0.0 && a < n && b < n) {
            return Ink::White;
        }
        // White squares are counted row after row; every second row begins with one.
        let before = j / 2 * across + if j.is_multiple_of(2) { 0 } else { across / 2 };
        let marker = m.white.get(before + i / 2);
        let white = marker.and_then(|bits| bits.get(b as usize * m.modules + a as usize));
        if white.copied().unwrap_or(true) { Ink::White } else { Ink::Black }
    }

    /// The piece of the picture with the board, in display values.
    pub(super) fn paint(
        &self,
        pose: &Isometry3<f64>,
        camera: &Camera,
        view: &View,
        room: &Room,
        empty: &Exposure,
    ) -> Sheet {
        let [left, top, right, bottom] = self.paper();
        let world = |x: f64, y: f64| (pose * Point3::new(x, y, 0.0)).coords;
        let outline = (0..=16).flat_map(|i| {
            let t = f64::from(i) / 16.0;
            let (x, y) = (left + (right - left) * t, top + (bottom - top) * t);
            [world(x, top), world(x, bottom), world(left, y), world(right, y)]
        });
        let seen = outline.filter_map(|p| camera.project(&p)).map(|p| [p.x, p.y]);
        let (width, height) = (empty.width, empty.height);
        let mut sheet = Sheet::around(seen, 4.0, width, height);
        sheet.take(&empty.values, width);
        let (cols, rows) = (sheet.width, sheet.height);
        if cols == 0 || rows == 0 {
            return sheet;
        }

        // From a ray to the board, homogeneous: where o + t d meets the plane through c with normal n.
        let axes = pose.rotation.to_rotation_matrix();
        let [e1, e2, n] = [0, 1, 2].map(|k| axes.matrix().column(k).into_owned());
        let off = view.from - pose.translation.vector;
        let k = -n.dot(&off);
        let onto = Matrix3::from_rows(&[
            (n * e1.dot(&off) + e1 * k).transpose(),
            (n * e2.dot(&off) + e2 * k).transpose(),
            n.transpose(),
        ]);
        let front = k > 0.0;
        let flat = |q: Vector3<f64>| (q.x / q.z, q.y / q.z);
        let toward = (-n * n.dot(&-off).signum()).dot(&room.towards).max(0.0) as f32;
        for j in 0..rows {
            for i in 0..cols {
                let (x, y) = (sheet.x + i, sheet.y + j);
                let corners = view.corners(x, y);
                let q = corners.map(|d| onto * d);
                let inside = |(x, y): (f64, f64)| self.at(x, y);
                let middle = flat((q[0] + q[1] + q[2] + q[3]) / 4.0);
                let first = inside(middle);
                let even = q.iter().all(|q| inside(flat(*q)) == first);
                let (mut white, mut black) = (0, 0);
                let mut count = |ink: Ink, by: usize| match ink {
                    Ink::White => white += by,
                    Ink::Black => black += by,
                    Ink::Outside => {}
                };
                if even {
                    count(first, SAMPLES);
                } else {
                    for s in 0..SAMPLES {
                        let u = (s as f64 + 0.5) / SAMPLES as f64;
                        let v = ((s * STRIDE % SAMPLES) as f64 + 0.5) / SAMPLES as f64;
                        let a = q[0] + (q[1] - q[0]) * u;
                        let b = q[2] + (q[3] - q[2]) * u;
                        count(inside(flat(a + (b - a) * v)), 1);
                    }
                }
                if white + black == 0 {
                    continue;
                }
                let p = world(middle.0, middle.1);
                let lamp = room.lamp(p.x as f32, p.y as f32).clamp(0.2, 1.1).powf(0.45);
                let lit = lamp * (0.72 + 0.28 * toward) * view.falloff(x, y, height);
                let (white, black) = (white as f32 / SAMPLES as f32, black as f32 / SAMPLES as f32);
                let ink = if front { white * PAPER + black * INK } else { (white + black) * BACK };
                let at = (j * cols + i) * 3;
                for (k, v) in sheet.rgb[at..at + 3].iter_mut().enumerate() {
                    let tint = 1.0 - 0.015 * k as f32;
                    *v = ink * lit * tint + *v * (1.0 - white - black);
                }
            }
        }
        sheet.defocus(LEAK);
        sheet
    }
}

/// The modules along a side of the dictionary's markers, and the first `count` markers, true where white.
#[cfg(feature = "vision")]
fn markers(dictionary: &str, count: usize) -> Result<(usize, Vec<Vec<bool>>)> {
    use opencv::core::Mat;
    use opencv::prelude::*;
    // In the order of OpenCV's numbers.
    const NAMES: [&str; 21] = [
        "DICT_4X4_50",
        "DICT_4X4_100",
        "DICT_4X4_250",
        "DICT_4X4_1000",
        "DICT_5X5_50",
        "DICT_5X5_100",
        "DICT_5X5_250",
        "DICT_5X5_1000",
        "DICT_6X6_50",
        "DICT_6X6_100",
        "DICT_6X6_250",
        "DICT_6X6_1000",
        "DICT_7X7_50",
        "DICT_7X7_100",
        "DICT_7X7_250",
        "DICT_7X7_1000",
        "DICT_ARUCO_ORIGINAL",
        "DICT_APRILTAG_16h5",
        "DICT_APRILTAG_25h9",
        "DICT_APRILTAG_36h10",
        "DICT_APRILTAG_36h11",
    ];
    let number = NAMES.iter().position(|n| *n == dictionary).ok_or_else(|| {
        Error::new(Kind::Config, format!("there is no dictionary of markers `{dictionary}`"))
            .mend("choose one of OpenCV's, such as `DICT_4X4_50`")
    })?;
    let failed = |e: opencv::Error| {
        Error::new(Kind::Compute, format!("OpenCV cannot draw the markers: {e}")).because(e)
    };
    let known = opencv::aruco::get_predefined_dictionary_i32(number as i32).map_err(failed)?;
    let modules = known.marker_size().max(0) as usize + 2;
    let most = known.bytes_list().rows().max(0) as usize;
    if count > most {
        let what = format!("the board has {count} markers, and `{dictionary}` only {most}");
        return Err(Error::new(Kind::Config, what).mend("choose a larger dictionary or fewer squares"));
    }
    let white = (0..count)
        .map(|id| {
            let mut drawn = Mat::default();
            opencv::aruco::draw_marker(&known, id as i32, modules as i32, &mut drawn, 1)?;
            Ok(drawn.data_bytes()?.iter().map(|v| *v > 127).collect())
        })
        .collect::<opencv::Result<_>>()
        .map_err(failed)?;
    Ok((modules, white))
}

#[cfg(not(feature = "vision"))]
fn markers(_: &str, _: usize) -> Result<(usize, Vec<Vec<bool>>)> {
    Err(Error::new(Kind::Config, "this limn was built without OpenCV, which knows the markers")
        .mend("choose a checkerboard, or build with the feature `vision`"))
}

/// Seconds that the board rests at a place, and that it takes to the next.
const REST: f64 = 0.5;
const MOVE: f64 = 0.5;
/// Places after which the path begins anew.
const PLACES: usize = 240;

/// How the board is carried through the room.
pub(super) struct Path {
    places: Vec<Isometry3<f64>>,
    fps: f64,
}

impl Path {
    pub(super) fn new(seed: u64, cameras: &[Camera], spec: &RigSpec) -> Self {
        let wanted = (spec.frames as f64 / spec.fps / (REST + MOVE)).ceil() as usize + 2;
        let places = (0..wanted.min(PLACES)).map(|i| place(seed, i, cameras, &spec.board)).collect();
        Self { places, fps: spec.fps }
    }

    pub(super) fn pose(&self, frame: usize) -> Isometry3<f64> {
        let time = frame as f64 / self.fps;
        let which = (time / (REST + MOVE)).floor();
        let t = ((time - which * (REST + MOVE) - REST) / MOVE).clamp(0.0, 1.0);
        let t = t * t * (3.0 - 2.0 * t);
        let at = |i: usize| self.places[i % self.places.len()];
        let (a, b) = (at(which as usize), at(which as usize + 1));
        let turn = a.rotation.try_slerp(&b.rotation, t, 1e-9).unwrap_or(if t < 0.5 {
            a.rotation
        } else {
            b.rotation
        });
        Isometry3::from_parts(a.translation.vector.lerp(&b.translation.vector, t).into(), turn)
    }
}

/// A place that one camera sees in some part of its picture, and others too: the best of some tries.
fn place(seed: u64, index: usize, cameras: &[Camera], board: &Board) -> Isometry3<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xB0A2_D000 ^ ((index as u64) << 32));
    let target = &cameras[index % cameras.len()];
    // Each camera gets the board in the nine parts of its picture, one after the other.
    let part = (index / cameras.len() * 4 + index % cameras.len()) % 9;
    let far = (target.position() - rig::MIDDLE).norm();
    let mut best = (f64::NEG_INFINITY, Isometry3::identity());
    for _ in 0..60 {
        let [x, y] = [part % 3, part / 3].map(|k| 0.2 + 0.3 * k as f64 + rng.random_range(-0.08..0.08));
        let pixel = Keypoint::new(x * target.size[0] as f64, y * target.size[1] as f64);
        let Some(ray) = target.ray(pixel) else { continue };
        let centre = target.position() + ray * far * rng.random_range(0.58..0.92);
        // Away from who looks: between the camera's own direction and straight down, then tilted.
        let share = rng.random_range(0.35..1.0);
        let away = (ray * share - Vector3::z() * (1.0 - share)).normalize();
        let across = Unit::new_normalize(away.cross(&Vector3::new(
            rng.random_range(-1.0..1.0),
            rng.random_range(-1.0..1.0),
            rng.random_range(-1.0..1.0),
        )));
        let tilt = Rotation3::from_axis_angle(&across, rng.random_range(0.0..0.75));
        let z = tilt * away;
        let right = target.pose.rotation.inverse() * Vector3::x();
        let roll = rng.random_range(-0.06..0.06) * TAU;
        let x = Rotation3::from_axis_angle(&Unit::new_normalize(z), roll)
            * (right - z * z.dot(&right)).normalize();
        let axes = Matrix3::from_columns(&[x, z.cross(&x), z]);
        let turn = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(axes));
        let half = board.corner(board.count().saturating_sub(1)) / 2.0;
        let pose = Isometry3::from_parts(Translation3::from(centre - turn * half), turn);
        let score = worth(&pose, cameras, board) + 0.2 * rng.random::<f64>();
        if score > best.0 {
            best = (score, pose);
        }
    }
    best.1
}

/// How much of the board how many cameras see well; much less where it would go through the floor.
fn worth(pose: &Isometry3<f64>, cameras: &[Camera], board: &Board) -> f64 {
    let last = board.corner(board.count().saturating_sub(1));
    let square = board.square();
    let points: Vec<Vector3<f64>> = (0..9)
        .map(|i| {
            let (u, v) = (f64::from(i % 3) / 2.0, f64::from(i / 3) / 2.0);
            (pose * Point3::new(last.x * u, last.y * v, 0.0)).coords
        })
        .collect();
    let through = points.iter().any(|p| p.z < 1.5 * square);
    let away = pose.rotation * Vector3::z();
    let one = |camera: &Camera| {
        let facing = away.dot(&(points[4] - camera.position()).normalize());
        let seen = points.iter().filter(|p| camera.sees(p)).count() as f64 / 9.0;
        let whole = matches!(board, Board::Checkerboard { .. });
        if facing < 0.5 || (whole && seen < 1.0) { 0.0 } else { seen }
    };
    // Three cameras are enough: more would keep the board in the middle.
    let seen: f64 = cameras.iter().map(one).sum();
    seen.min(3.0) - if through { 5.0 } else { 0.0 }
}
