//! Where the picture lies on the screen: zoom, pan, and the way between frame pixels and screen points.

use crate::pose::Keypoint;
use eframe::egui::{Pos2, Rect};

/// The widest zoom, in physical screen pixels for one frame pixel.
const CLOSEST: f64 = 64.0;
/// How much smaller than the whole view a picture can be shown.
const FARTHEST: f64 = 0.25;

/// How one picture lies on the screen in one pass. Frame coordinates are full-frame pixels with the centre of the
/// top-left pixel at (0.5, 0.5); screen coordinates are egui's points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Where the frame's corner (0, 0) lies, in points.
    pub origin: [f64; 2],
    /// Points for one frame pixel.
    pub scale: f64,
}

impl Place {
    /// From the frame to the screen.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the screen's points are f32
    pub fn to_screen(&self, at: Keypoint) -> Pos2 {
        Pos2::new((self.origin[0] + at.x * self.scale) as f32, (self.origin[1] + at.y * self.scale) as f32)
    }

    /// From the screen to the frame; also beyond the picture's edges.
    #[must_use]
    pub fn to_frame(&self, at: Pos2) -> Keypoint {
        Keypoint::new(
            (f64::from(at.x) - self.origin[0]) / self.scale,
            (f64::from(at.y) - self.origin[1]) / self.scale,
        )
    }

    /// Where a whole frame of `size` pixels lies.
    #[must_use]
    pub fn rect(&self, size: [usize; 2]) -> Rect {
        Rect::from_min_max(
            self.to_screen(Keypoint::new(0.0, 0.0)),
            self.to_screen(Keypoint::new(size[0] as f64, size[1] as f64)),
        )
    }
}

/// What the user chose to see of the picture; it stays from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum View {
    /// The whole picture, as large as it goes.
    #[default]
    Fit,
    /// A part of it.
    Part {
        /// Points for one frame pixel.
        scale: f64,
        /// The frame position in the middle of the view.
        centre: [f64; 2],
    },
}

/// The view's room on the screen, and what lies in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Room {
    /// Of the view, in points.
    pub area: Rect,
    /// Width and height of the frame in pixels.
    pub size: [f64; 2],
    /// Physical pixels for one point.
    pub pixels_per_point: f64,
}

impl Room {
    /// The scale at which the whole picture just fits.
    fn fit(&self) -> f64 {
        let [w, h] = self.size.map(|s| s.max(1.0));
        let (aw, ah) = (f64::from(self.area.width()).max(1.0), f64::from(self.area.height()).max(1.0));
        (aw / w).min(ah / h).min(CLOSEST / self.pixels_per_point)
    }

    fn middle(&self) -> [f64; 2] {
        let c = self.area.center();
        [f64::from(c.x), f64::from(c.y)]
    }

    /// A scale within the limits.
    fn bound(&self, scale: f64) -> f64 {
        let far = (self.fit() * FARTHEST).min(1.0 / self.pixels_per_point);
        scale.clamp(far, (CLOSEST / self.pixels_per_point).max(far))
    }
}

impl View {
    pub(super) fn place(&self, room: &Room) -> Place {
        let (scale, centre) = match *self {
            Self::Fit => (room.fit(), room.size.map(|s| s / 2.0)),
            Self::Part { scale, centre } => (room.bound(scale), held(centre, room.size)),
        };
        let middle = room.middle();
        Place { origin: [middle[0] - centre[0] * scale, middle[1] - centre[1] * scale], scale }
    }

    /// Zooms by `factor` so that what lies under the screen position `at` stays there.
    pub(super) fn zoom(&mut self, factor: f64, at: Pos2, room: &Room) {
        let before = self.place(room);
        let scale = room.bound(before.scale * factor);
        let fixed = before.to_frame(at);
        let middle = room.middle();
        let centre = [
            fixed.x + (middle[0] - f64::from(at.x)) / scale,
            fixed.y + (middle[1] - f64::from(at.y)) / scale,
        ];
        *self = Self::Part { scale, centre: held(centre, room.size) };
    }

    /// Shifts the picture by so many points.
    pub(super) fn pan(&mut self, by: [f64; 2], room: &Room) {
        let place = self.place(room);
        let middle = room.middle();
        let centre = [0, 1].map(|i| (middle[i] - by[i] - place.origin[i]) / place.scale);
        *self = Self::Part { scale: place.scale, centre: held(centre, room.size) };
    }

    /// One frame pixel for one physical pixel, about the middle of what is seen.
    pub(super) fn actual_size(&mut self, room: &Room) {
        let place = self.place(room);
        let middle = room.middle();
        let centre = [0, 1].map(|i| (middle[i] - place.origin[i]) / place.scale);
        *self = Self::Part { scale: 1.0 / room.pixels_per_point, centre: held(centre, room.size) };
    }

    /// Brings the frame position `at` into the middle when it is out of sight.
    pub(super) fn reveal(&mut self, at: Keypoint, room: &Room) {
        let place = self.place(room);
        if let Self::Part { centre, .. } = self
            && !room.area.contains(place.to_screen(at))
        {
            *centre = held([at.x, at.y], room.size);
        }
    }
}

/// The middle of the view stays on the picture, so that it cannot be lost.
fn held(centre: [f64; 2], size: [f64; 2]) -> [f64; 2] {
    [0, 1].map(|i| if centre[i].is_finite() { centre[i].clamp(0.0, size[i].max(0.0)) } else { size[i] / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::{pos2, vec2};
    use proptest::prelude::*;

    fn rooms() -> impl Strategy<Value = Room> {
        (
            (10.0f32..2000.0, 10.0f32..2000.0, 0.0f32..500.0, 0.0f32..500.0),
            (1.0f64..8000.0, 1.0f64..8000.0),
            prop::sample::select(vec![1.0, 1.5, 2.0]),
        )
            .prop_map(|((w, h, x, y), size, ppp)| Room {
                area: Rect::from_min_size(pos2(x, y), vec2(w, h)),
                size: [size.0.floor(), size.1.floor()],
                pixels_per_point: ppp,
            })
    }

    proptest! {
        #[test]
        fn what_is_under_the_pointer_stays_there(
            room in rooms(), factor in 0.2f64..5.0, fx in 0.0f32..1.0, fy in 0.0f32..1.0,
        ) {
            let mut view = View::Fit;
            let at = room.area.lerp_inside(vec2(fx, fy));
            let before = view.place(&room).to_frame(at);
            view.zoom(factor, at, &room);
            let after = view.place(&room);
            // Unless the picture's edge had to give way to keep the middle on it.
            if let View::Part { centre, .. } = view
                && (0..2).all(|i| centre[i] > 0.0 && centre[i] < room.size[i])
            {
                let tolerance = 1e-3 / after.scale;
                prop_assert!(before.distance(after.to_frame(at)) < tolerance.max(1e-6));
            }
        }

        #[test]
        fn screen_and_frame_are_inverse(
            room in rooms(), zooms in prop::collection::vec((0.3f64..3.0, 0.0f32..1.0, 0.0f32..1.0), 0..6),
            pan in (-300.0f64..300.0, -300.0f64..300.0), x in 0.0f64..1.0, y in 0.0f64..1.0,
        ) {
            let mut view = View::Fit;
            for (factor, fx, fy) in zooms {
                view.zoom(factor, room.area.lerp_inside(vec2(fx, fy)), &room);
            }
            view.pan([pan.0, pan.1], &room);
            let place = view.place(&room);
            let at = Keypoint::new(x * room.size[0], y * room.size[1]);
            let screen = place.to_screen(at);
            let back = place.to_frame(screen);
            // The screen has f32 points; what is seen comes back to a thousandth of a physical pixel.
            if room.area.contains(screen) {
                prop_assert!(back.distance(at) * place.scale < 1e-3, "{at:?} {back:?} {place:?}");
            }
        }
    }

    #[test]
    fn limits_hold() {
        let room = Room {
            area: Rect::from_min_size(pos2(0.0, 0.0), vec2(400.0, 300.0)),
            size: [640.0, 480.0],
            pixels_per_point: 2.0,
        };
        let mut view = View::Fit;
        assert!((view.place(&room).scale - 0.625).abs() < 1e-9);
        for _ in 0..100 {
            view.zoom(2.0, pos2(10.0, 10.0), &room);
        }
        assert!((view.place(&room).scale - 32.0).abs() < 1e-9);
        view.pan([1e9, -1e9], &room);
        let middle = view.place(&room).to_frame(pos2(200.0, 150.0));
        assert_eq!((middle.x, middle.y), (0.0, 480.0));
        view.actual_size(&room);
        assert!((view.place(&room).scale - 0.5).abs() < 1e-9);
        for _ in 0..100 {
            view.zoom(0.5, pos2(10.0, 10.0), &room);
        }
        assert!(view.place(&room).scale > 0.1);
        view.zoom(f64::NAN, pos2(10.0, 10.0), &room);
        assert!(view.place(&room).origin.iter().all(|v| !v.is_infinite()));
    }
}
