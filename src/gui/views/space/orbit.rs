//! The view's own camera: it turns about a point, and what it sees is drawn with plain lines. No egui but its points.

use crate::camera::{Camera, Lens};
use eframe::egui::{Pos2, Rect, Vec2, pos2};
use nalgebra::{Point3, Vector3};

/// Half of the angle that is seen upwards, as the tangent.
const HALF: f64 = 0.4;
/// As near to straight up or down as it goes, in radians.
const STEEPEST: f64 = 1.55;

/// Where the view is seen from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Orbit {
    /// What it turns about, in millimetres.
    pub target: Vector3<f64>,
    /// Round the upright axis, in radians.
    pub azimuth: f64,
    /// Above the floor, in radians.
    pub elevation: f64,
    /// From the target, in millimetres.
    pub distance: f64,
    /// The world's upright axis, a unit vector.
    pub up: Vector3<f64>,
}

impl Default for Orbit {
    fn default() -> Self {
        Self { target: Vector3::zeros(), azimuth: -0.9, elevation: 0.5, distance: 1000.0, up: Vector3::z() }
    }
}

/// What the orbit sees in a part of the screen.
pub(super) struct Eye {
    camera: Camera,
    corner: Pos2,
    near: f64,
}

impl Orbit {
    /// Seen from the usual side, so far away that all of `points` are in sight.
    pub fn fit(target: Vector3<f64>, up: Vector3<f64>, points: &[Vector3<f64>]) -> Self {
        let radius = points.iter().map(|p| (p - target).norm()).fold(1.0, f64::max);
        Self { target, up, distance: radius * (1.0 + HALF * HALF).sqrt() / HALF, ..Self::default() }
    }

    /// Two axes of the floor.
    pub fn floor(&self) -> [Vector3<f64>; 2] {
        let other = if self.up.x.abs() < 0.9 { Vector3::x() } else { Vector3::y() };
        let across = self.up.cross(&other).normalize();
        [across.cross(&self.up), across]
    }

    /// Where the eye is.
    pub fn position(&self) -> Vector3<f64> {
        let [a, b] = self.floor();
        let flat = a * self.azimuth.cos() + b * self.azimuth.sin();
        self.target + (flat * self.elevation.cos() + self.up * self.elevation.sin()) * self.distance
    }

    /// Turns by so many points on the screen: half the view is a quarter turn or so.
    pub fn turn(&mut self, by: Vec2) {
        self.azimuth = (self.azimuth - f64::from(by.x) * 0.01).rem_euclid(std::f64::consts::TAU);
        self.elevation = (self.elevation + f64::from(by.y) * 0.01).clamp(-STEEPEST, STEEPEST);
    }

    /// Moves what is seen by so many points on a screen of `height` points.
    pub fn pan(&mut self, by: Vec2, height: f32) {
        let scale = self.distance * HALF * 2.0 / f64::from(height.max(1.0));
        let ahead = (self.target - self.position()).normalize();
        let right = ahead.cross(&self.up).normalize();
        let upwards = right.cross(&ahead);
        self.target += (upwards * f64::from(by.y) - right * f64::from(by.x)) * scale;
    }

    /// Comes nearer by a factor above 1, goes away below.
    pub fn zoom(&mut self, factor: f64) {
        if factor.is_finite() && factor > 0.0 {
            self.distance = (self.distance / factor).clamp(1.0, 1e7);
        }
    }

    /// The eye that fills `area`.
    pub fn eye(&self, area: Rect) -> Eye {
        let height = f64::from(area.height().max(1.0));
        let mut lens = Lens::plain(height / 2.0 / HALF, [1, 1]);
        lens.centre = [f64::from(area.width()) / 2.0, height / 2.0];
        let camera = Camera::new("eye", [1, 1], lens).looking(self.position(), self.target, self.up);
        Eye { camera, corner: area.min, near: self.distance * 1e-3 }
    }
}

impl Eye {
    fn inside(&self, at: &Vector3<f64>) -> Vector3<f64> {
        (self.camera.pose * Point3::from(*at)).coords
    }

    #[allow(clippy::cast_possible_truncation)] // the screen's points are f32
    fn on_screen(&self, inside: &Vector3<f64>) -> Option<Pos2> {
        let p = self.camera.lens.project(inside)?;
        Some(self.corner + Vec2::new(p.x as f32, p.y as f32))
    }

    /// Where a point is on the screen, and how far away in millimetres; `None` behind the eye.
    pub fn point(&self, at: &Vector3<f64>) -> Option<(Pos2, f64)> {
        let inside = self.inside(at);
        (inside.z > self.near).then(|| self.on_screen(&inside))?.map(|p| (p, inside.z))
    }

    /// A line on the screen and how far away its middle is, cut off where it goes behind the eye.
    pub fn line(&self, a: &Vector3<f64>, b: &Vector3<f64>) -> Option<([Pos2; 2], f64)> {
        let (mut a, mut b) = (self.inside(a), self.inside(b));
        if a.z < self.near && b.z < self.near {
            return None;
        }
        let cut = |out: Vector3<f64>, other: Vector3<f64>| {
            out + (other - out) * ((self.near * 1.01 - out.z) / (other.z - out.z))
        };
        if a.z < self.near {
            a = cut(a, b);
        } else if b.z < self.near {
            b = cut(b, a);
        }
        let ends = [self.on_screen(&a)?, self.on_screen(&b)?]
            .map(|p| pos2(p.x.clamp(-1e5, 1e5), p.y.clamp(-1e5, 1e5)));
        Some((ends, (a.z + b.z) / 2.0))
    }
}

/// The world's upright axis: the one that most cameras have upwards.
pub(super) fn upright(cameras: &[Camera]) -> Vector3<f64> {
    let sum: Vector3<f64> = cameras.iter().map(|c| c.pose.rotation.inverse() * -Vector3::y()).sum();
    let axis = sum.iamax();
    let mut up = Vector3::zeros();
    up[axis] = if sum[axis] < 0.0 { -1.0 } else { 1.0 };
    if sum.norm() < 1e-9 { Vector3::z() } else { up }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::vec2;

    #[test]
    fn the_target_is_in_the_middle_and_all_points_are_in_sight() {
        let area = Rect::from_min_size(pos2(100.0, 50.0), vec2(600.0, 400.0));
        let points = [Vector3::new(300.0, 0.0, 100.0), Vector3::new(-300.0, -100.0, 0.0)];
        for up in [Vector3::z(), -Vector3::y(), Vector3::x()] {
            let mut orbit = Orbit::fit(Vector3::new(0.0, 10.0, 0.0), up, &points);
            for step in 0..12 {
                let eye = orbit.eye(area);
                let (middle, depth) = eye.point(&orbit.target).unwrap();
                assert!(middle.distance(area.center()) < 0.01 && (depth - orbit.distance).abs() < 1e-6);
                assert!(points.iter().all(|p| area.contains(eye.point(p).unwrap().0)), "step {step}");
                let (above, _) = eye.point(&(orbit.target + up * 20.0)).unwrap();
                assert!(above.y < middle.y, "up is up");
                orbit.turn(vec2(31.0, 7.0));
            }
        }
    }

    #[test]
    fn panning_follows_the_pointer_and_lines_are_cut_behind_the_eye() {
        let area = Rect::from_min_size(Pos2::ZERO, vec2(500.0, 400.0));
        let mut orbit = Orbit::fit(Vector3::zeros(), Vector3::z(), &[Vector3::new(100.0, 0.0, 0.0)]);
        let before = orbit.eye(area).point(&Vector3::zeros()).unwrap().0;
        orbit.pan(vec2(20.0, -10.0), area.height());
        let after = orbit.eye(area).point(&Vector3::zeros()).unwrap().0;
        assert!((after - before - vec2(20.0, -10.0)).length() < 0.1, "{before:?} {after:?}");
        let eye = orbit.eye(area);
        let behind = orbit.position() * 2.0 - orbit.target;
        assert!(eye.point(&behind).is_none() && eye.line(&behind, &(behind * 1.1)).is_none());
        assert!(eye.line(&orbit.target, &behind).unwrap().0.iter().all(|p| p.x.is_finite()));
        orbit.zoom(f64::NAN);
        orbit.zoom(1e12);
        assert!((orbit.distance - 1.0).abs() < 1e-9);
    }
}
