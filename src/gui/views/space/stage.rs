//! The scene as the orbit sees it: floor, cameras, skeleton, sorted by depth and drawn with lines and discs.

use super::orbit::{Orbit, upright};
use crate::camera::Camera;
use crate::gui::theme::Theme;
use crate::gui::widgets::words::counted;
use crate::show::scene3d::Scene;
use eframe::egui::{self, Align2, Color32, FontId, PointerButton, Pos2, Sense, Shape, Stroke, Vec2, vec2};
use nalgebra::Vector3;

/// Squares of the floor to either side of its middle.
const SQUARES: i32 = 6;

/// What is drawn besides the points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub cameras: bool,
    pub floor: bool,
    pub names: bool,
    /// The point that is being put right, drawn with a ring.
    pub chosen: Option<usize>,
}

/// The 3D view.
#[derive(Debug, Default)]
pub(super) struct Stage {
    orbit: Orbit,
    home: Orbit,
    floor: Vector3<f64>,
    /// Side of a square of the floor, in millimetres.
    square: f64,
    /// Size of a drawn camera, in millimetres.
    body: f64,
}

/// What is drawn, with its distance from the eye.
struct Things(Vec<(f64, Shape)>);

impl Stage {
    /// Looks at a scene from the usual side.
    pub fn look_at(&mut self, scene: &Scene) {
        let [low, high] = scene.bounds.map(Vector3::from);
        let up = upright(&scene.cameras);
        let target = (low + high) / 2.0;
        let corners = (0..8)
            .map(|i| Vector3::from_fn(|axis, _| if i >> axis & 1 == 0 { low[axis] } else { high[axis] }));
        let places: Vec<Vector3<f64>> =
            scene.cameras.iter().map(Camera::position).chain(corners.clone()).collect();
        self.home = Orbit::fit(target, up, &places);
        self.orbit = self.home.clone();
        let deepest = corners.map(|c| (c - target).dot(&up)).fold(0.0, f64::min);
        self.floor = target + up * deepest;
        // A round number of millimetres, so that the floor is some three times as wide as what moves on it.
        let wide = (high - low).norm().max(1.0) / 4.0;
        let ten = 10f64.powf(wide.log10().floor());
        self.square = [1.0, 2.0, 5.0, 10.0].iter().map(|n| n * ten).find(|s| *s >= wide).unwrap_or(ten);
        let near = scene.cameras.iter().map(|c| (c.position() - target).norm()).fold(f64::INFINITY, f64::min);
        self.body = if near.is_finite() { near * 0.12 } else { wide };
    }

    /// As [`look_at`](Self::look_at) had it.
    pub fn reset(&mut self) {
        self.orbit = self.home.clone();
    }

    /// Turns by so many degrees, round and upwards.
    pub fn turn(&mut self, round: f32, upwards: f32) {
        self.orbit.turn(vec2(-round, upwards) * std::f32::consts::PI / 1.8);
    }

    /// Comes nearer by a factor.
    pub fn zoom(&mut self, factor: f64) {
        self.orbit.zoom(factor);
    }

    /// Draws the scene in all the room that is left.
    pub fn ui(&mut self, ui: &mut egui::Ui, scene: &Scene, frame: usize, colours: &[Color32], shown: Shown) {
        let (area, response) =
            ui.allocate_exact_size(ui.available_size().max(Vec2::splat(40.0)), Sense::click_and_drag());
        let by = response.drag_delta();
        let shifted = ui.input(|i| i.modifiers.shift);
        if response.dragged_by(PointerButton::Primary) && !shifted {
            self.orbit.turn(by);
        } else if response.dragged() {
            self.orbit.pan(by, area.height());
        }
        if response.contains_pointer() {
            let (scroll, zoom) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta()));
            self.orbit.zoom(f64::from(zoom) * f64::from(scroll * 0.004).exp());
        }
        if response.double_clicked() {
            self.reset();
        }
        let found = self.paint(ui, area, scene, frame, colours, shown);
        let turn = |radians: f64| radians.to_degrees().round();
        let name = format!(
            "3D view of frame {frame}: {}, seen from {}° round and {}° up at {:.0} mm",
            counted(found, "point"),
            turn(self.orbit.azimuth),
            turn(self.orbit.elevation),
            self.orbit.distance
        );
        response.accessible_name(name);
    }

    fn paint(
        &self,
        ui: &egui::Ui,
        area: egui::Rect,
        scene: &Scene,
        frame: usize,
        colours: &[Color32],
        shown: Shown,
    ) -> usize {
        let theme = Theme::of(ui);
        let painter = ui.painter_at(area);
        painter.rect_filled(area, 0.0, theme.canvas);
        let eye = self.orbit.eye(area);
        let mut things = Things(Vec::new());
        let line = |a: &Vector3<f64>, b: &Vector3<f64>, stroke: Stroke| {
            eye.line(a, b).map(|(ends, depth)| (depth, Shape::line_segment(ends, stroke)))
        };
        if shown.floor {
            let [a, b] = self.orbit.floor();
            let stroke = Stroke::new(1.0, theme.line);
            let far = f64::from(SQUARES) * self.square;
            for i in -SQUARES..=SQUARES {
                let at = f64::from(i) * self.square;
                for (along, across) in [(a, b), (b, a)] {
                    let middle = self.floor + across * at;
                    things.0.extend(line(&(middle - along * far), &(middle + along * far), stroke));
                }
            }
            // The floor is below everything that stands on it, from above.
            things.0.iter_mut().for_each(|(depth, _)| *depth += 1e9);
            let words = format!("squares of {} mm", self.square);
            painter.text(
                area.left_bottom() + vec2(10.0, -8.0),
                Align2::LEFT_BOTTOM,
                words,
                FontId::proportional(11.5),
                theme.weak,
            );
        }
        let mut labels: Vec<(Pos2, String, Color32)> = Vec::new();
        if shown.cameras {
            for camera in &scene.cameras {
                let [tip, corners @ ..] = frustum(camera, self.body);
                let stroke = Stroke::new(1.3, theme.accent);
                for (i, corner) in corners.iter().enumerate() {
                    things.0.extend(line(&tip, corner, stroke));
                    things.0.extend(line(corner, &corners[(i + 1) % 4], stroke));
                }
                // The upper edge is thick, so that one sees which way up it is.
                things.0.extend(line(&corners[0], &corners[1], Stroke::new(3.0, theme.accent)));
                labels.extend(
                    eye.point(&tip).map(|(at, _)| (at + vec2(0.0, 12.0), camera.name.clone(), theme.text)),
                );
            }
        }
        let skeleton = &scene.spots.skeleton;
        let spots: Vec<Option<Vector3<f64>>> =
            (0..skeleton.points()).map(|p| scene.spot(frame, p).map(|s| Vector3::from(s.at))).collect();
        let at = |point: usize| spots.get(point).copied().flatten();
        let edges = skeleton.edge_indices();
        for animal in 0..skeleton.individuals.len() {
            for [from, to] in &edges {
                let point = |part: usize| at(animal * skeleton.bodyparts.len() + part);
                if let (Some(from), Some(to)) = (point(*from), point(*to)) {
                    things.0.extend(line(&from, &to, Stroke::new(2.0, theme.text.gamma_multiply(0.7))));
                }
            }
        }
        for (point, spot) in spots.iter().enumerate() {
            let Some((on, depth)) = spot.as_ref().and_then(|s| eye.point(s)) else { continue };
            let colour = colours.get(point).copied().unwrap_or(theme.text);
            things.0.push((depth - 1e-6, Shape::circle_filled(on, 5.0, colour)));
            if shown.chosen == Some(point) {
                things.0.push((depth - 2e-6, Shape::circle_stroke(on, 8.5, Stroke::new(2.0, theme.text))));
            }
            if shown.names
                && let Some(name) = skeleton.point(point)
            {
                labels.push((on + vec2(8.0, -8.0), name.bodypart.to_owned(), theme.text));
            }
        }
        things.0.sort_by(|a, b| b.0.total_cmp(&a.0));
        painter.extend(things.0.into_iter().map(|(_, shape)| shape));
        for (at, words, colour) in labels {
            painter.text(at, Align2::LEFT_CENTER, words, FontId::proportional(12.0), colour);
        }
        spots.iter().flatten().count()
    }
}

/// A camera as a pyramid: its place, then the corners of its picture from the upper left on, `size` millimetres ahead.
fn frustum(camera: &Camera, size: f64) -> [Vector3<f64>; 5] {
    let [w, h] = camera.size.map(|s| s as f64);
    let [fx, fy] = camera.lens.focal;
    // Of a very wide lens only the middle: its edge would be at infinity.
    let (x, y) = ((w / 2.0 / fx).min(1.0), (h / 2.0 / fy).min(1.0));
    let corner =
        |x: f64, y: f64| camera.position() + camera.pose.rotation.inverse() * Vector3::new(x, y, 1.0) * size;
    [camera.position(), corner(-x, -y), corner(x, -y), corner(x, y), corner(-x, y)]
}
