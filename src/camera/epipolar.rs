//! Where one camera must look for what another sees: epipolar curves, and points from clicks.
//!
//! ```
//! use limn::camera::{Camera, Lens, epipolar};
//! use nalgebra::Vector3;
//! let lens = Lens::plain(600.0, [640, 480]);
//! let at = |x| Camera::new("c", [640, 480], lens).looking(Vector3::new(x, -300.0, 400.0), Vector3::zeros(), Vector3::z());
//! let (left, right) = (at(-200.0), at(200.0));
//! let seen = left.project(&Vector3::new(10.0, 0.0, 5.0)).unwrap();
//! assert!(epipolar::curve(&left, seen, &right, 10.0, 10_000.0).len() > 2);
//! ```

use super::Camera;
use super::triangulate::{Observation, Views};
use crate::pose::{Keypoint, Spot};
use nalgebra::Vector3;

/// How far off a click is, as a standard deviation in pixels.
const CLICK: f64 = 1.0;
/// Places along a ray that are looked at to find where it crosses a frame, and places on the curve that is returned.
const SAMPLES: usize = 240;
/// A ray is followed so far beyond a frame's edges, in parts of its size.
const BEYOND: f64 = 0.05;
/// A place counts as seen when the lens undoes its projection to so many pixels; distortion is not valid beyond.
const SAME: f64 = 0.01;

/// Nearest and farthest distance from a camera, in millimetres, at which the rig's scene can lie: wide around the distances
/// between the cameras, so that it fits rooms and boxes alike.
#[must_use]
pub fn reach(cameras: &[Camera]) -> [f64; 2] {
    let places: Vec<Vector3<f64>> = cameras.iter().map(Camera::position).collect();
    let apart = places.iter().flat_map(|a| places.iter().map(move |b| (a - b).norm())).fold(0.0, f64::max);
    let apart = if apart > 1e-6 { apart } else { 1000.0 };
    [apart / 50.0, apart * 20.0]
}

/// The epipolar curve: where `to` sees what `from` sees at `pixel`, for all distances from `near` to `far` millimetres.
///
/// The ray goes through both lenses, so that the curve bends with their distortion. Only the longest stretch within the frame
/// of `to` (and a little beyond) is returned, from near to far; it is empty where `to` sees nothing of the ray.
#[must_use]
pub fn curve(from: &Camera, pixel: Keypoint, to: &Camera, near: f64, far: f64) -> Vec<Keypoint> {
    let Some(ray) = from.ray(pixel).filter(|_| near > 0.0 && far > near && far.is_finite()) else {
        return Vec::new();
    };
    let start = from.position();
    // In the logarithm of the distance: a ray's picture moves less and less as it goes away.
    let at = |share: f64| start + ray * (near * (far / near).powf(share));
    let seen = |share: f64| {
        let at = at(share);
        let pixel = to.project(&at).filter(|p| around(*p, to.size))?;
        let back = to.ray(pixel)?;
        let again = to.project(&(to.position() + back * (at - to.position()).norm()))?;
        (again.distance(pixel) < SAME && back.dot(&(at - to.position())) > 0.0).then_some(pixel)
    };
    #[allow(clippy::cast_precision_loss)] // samples
    let share = |i: usize| i as f64 / (SAMPLES - 1) as f64;
    let mut best = 0..0;
    let mut begun = 0;
    for i in 0..=SAMPLES {
        if i < SAMPLES && seen(share(i)).is_some() {
            continue;
        }
        if i - begun > best.len() {
            best = begun..i;
        }
        begun = i + 1;
    }
    if best.is_empty() {
        return Vec::new();
    }
    // Again, as finely over that stretch alone, and half a step beyond it to come nearer to the edges.
    let step = 1.0 / (SAMPLES - 1) as f64;
    let (low, high) = (share(best.start) - step / 2.0, share(best.end - 1) + step / 2.0);
    (0..SAMPLES).filter_map(|i| seen((low + (high - low) * share(i)).clamp(0.0, 1.0))).collect()
}

fn around(p: Keypoint, [w, h]: [usize; 2]) -> bool {
    let (w, h) = (w as f64, h as f64);
    (-BEYOND * w..(1.0 + BEYOND) * w).contains(&p.x) && (-BEYOND * h..(1.0 + BEYOND) * h).contains(&p.y)
}

/// The point in space that cameras saw at `seen` (one place per camera, in pixels), with the deviation that clicks one pixel
/// off (standard deviation) give it.
///
/// `None` with fewer than two rays, or where they are parallel.
#[must_use]
pub fn triangulate_clicks(cameras: &[Camera], seen: &[Option<Keypoint>]) -> Option<Spot> {
    let all: Vec<Option<Observation>> = seen.iter().map(|p| p.map(Observation::sure)).collect();
    Views::new(cameras).dlt(&all).map(|found| found.spot(CLICK, 0.0))
}

#[cfg(test)]
mod tests {
    use super::super::{Lens, LensModel};
    use super::*;

    fn cameras(distortion: [f64; 5], model: LensModel) -> Vec<Camera> {
        let lens = Lens { model, distortion, ..Lens::plain(520.0, [640, 480]) };
        [[400.0, -300.0, 350.0], [-450.0, -250.0, 300.0], [0.0, 500.0, 400.0]]
            .iter()
            .map(|from| {
                Camera::new("c", [640, 480], lens).looking(
                    Vector3::from(*from),
                    Vector3::new(5.0, 0.0, 20.0),
                    Vector3::z(),
                )
            })
            .collect()
    }

    #[test]
    fn the_point_lies_on_its_curves_also_through_bent_lenses() {
        for (model, d) in [
            (LensModel::Pinhole, [0.0; 5]),
            (LensModel::Pinhole, [-0.25, 0.08, 0.001, -0.002, 0.0]),
            (LensModel::Fisheye, [-0.02, 0.004, 0.0, 0.0, 0.0]),
        ] {
            let all = cameras(d, model);
            let [near, far] = reach(&all);
            let point = Vector3::new(-30.0, 42.0, 15.0);
            let pixel = all[0].project(&point).unwrap();
            for to in &all[1..] {
                let curve = curve(&all[0], pixel, to, near, far);
                let seen = to.project(&point).unwrap();
                assert!(curve.len() > 100 && curve.iter().all(|p| around(*p, to.size)));
                let beside = curve.windows(2).map(|w| off(seen, w[0], w[1])).fold(f64::INFINITY, f64::min);
                assert!(beside < 0.05, "{model:?} {d:?}: {beside} px beside the curve");
                // Distortion bends it: a straight line from end to end misses it, and without it does not.
                let (a, b) = (curve[0], curve[curve.len() - 1]);
                let bent = curve.iter().map(|p| off(*p, a, b)).fold(0.0, f64::max);
                assert_eq!(bent > 0.3, model == LensModel::Fisheye || d[0] != 0.0, "bent by {bent}");
            }
        }
    }

    /// Distance from a point to the stretch between two others.
    fn off(p: Keypoint, a: Keypoint, b: Keypoint) -> f64 {
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let t = ((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy).max(1e-12);
        let t = t.clamp(0.0, 1.0);
        p.distance(Keypoint::new(a.x + t * dx, a.y + t * dy))
    }

    #[test]
    fn what_cannot_be_seen_has_no_curve() {
        let all = cameras([0.0; 5], LensModel::Pinhole);
        let away = Camera::new("away", [640, 480], Lens::plain(520.0, [640, 480])).looking(
            Vector3::new(0.0, 0.0, 5000.0),
            Vector3::new(0.0, 0.0, 9000.0),
            Vector3::x(),
        );
        let middle = Keypoint::new(320.0, 240.0);
        assert!(curve(&all[0], middle, &away, 10.0, 2000.0).is_empty());
        assert!(curve(&all[0], middle, &all[1], 10.0, f64::NAN).is_empty());
        assert!(curve(&all[0], middle, &all[1], -1.0, 10.0).is_empty());
    }

    #[test]
    fn clicks_in_two_cameras_are_a_point_and_in_one_are_none() {
        let all = cameras([-0.2, 0.05, 0.0, 0.0, 0.0], LensModel::Pinhole);
        let point = Vector3::new(10.0, -20.0, 30.0);
        let mut seen: Vec<Option<Keypoint>> = all.iter().map(|c| c.project(&point)).collect();
        seen[2] = None;
        let spot = triangulate_clicks(&all, &seen).unwrap();
        assert!((Vector3::from(spot.at) - point).norm() < 1e-6 && spot.cameras == 2 && spot.error < 1e-6);
        seen[1] = None;
        assert_eq!(triangulate_clicks(&all, &seen), None);
        let same = [all[0].clone(), all[0].clone()];
        assert_eq!(triangulate_clicks(&same, &[seen[0], seen[0]]), None, "rays that are one");
    }
}
