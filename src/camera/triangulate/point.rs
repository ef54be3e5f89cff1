use super::Observation;
use crate::camera::Camera;
use crate::pose::{Keypoint, Spot};
use nalgebra::{Matrix3, Vector2, Vector3};

/// The most cameras that are taken together.
pub const MOST_CAMERAS: usize = 64;

/// Cameras made ready for many points.
#[derive(Debug, Clone)]
pub struct Views {
    views: Vec<View>,
}

#[derive(Debug, Clone)]
struct View {
    camera: Camera,
    turn: Matrix3<f64>,
    shift: Vector3<f64>,
    /// Mean focal length, which makes pixels of normalised coordinates.
    focal: f64,
}

/// An observation with its ray.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub pixel: Keypoint,
    pub likelihood: f64,
    /// Where the ray meets the plane at distance 1.
    at: Vector2<f64>,
}

/// A point in space as found from several cameras. Millimetres of the world; pixels of the full frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Where it is.
    pub at: Vector3<f64>,
    /// Covariance of `at` where the pixels' standard deviation is 1 px in x and in y; it grows with its square.
    pub covariance: Matrix3<f64>,
    /// Mean distance between what was seen and where the point would be seen, over the used cameras, in pixels.
    pub error: f64,
    /// Sum of the squares of those distances.
    pub squares: f64,
    /// Which cameras were used: bit `n` is camera `n`.
    pub used: u64,
    /// Mean likelihood of what they saw.
    pub likelihood: f64,
    /// What a pixel is at the point, in millimetres: its distance over the focal length, on average over the used cameras.
    pub pixel: f64,
}

impl Found {
    /// How many cameras were used.
    #[must_use]
    pub fn cameras(&self) -> usize {
        self.used.count_ones() as usize
    }

    /// Standard deviation of x, y and z in millimetres where that of the pixels is `noise`.
    #[must_use]
    pub fn deviation(&self, noise: f64) -> [f64; 3] {
        [0, 1, 2].map(|i| noise * self.covariance[(i, i)].max(0.0).sqrt())
    }

    /// The same as [`Tracks3d`](crate::pose::Tracks3d) keeps it, where the pixels' standard deviation is `noise`, and another
    /// `common` pixels in which all cameras are wrong alike: they mean another place in space.
    #[must_use]
    pub fn spot(&self, noise: f64, common: f64) -> Spot {
        Spot {
            at: self.at.into(),
            deviation: self.deviation(noise).map(|d| d.hypot(common * self.pixel)),
            error: self.error,
            cameras: self.cameras(),
            likelihood: self.likelihood,
        }
    }
}

/// The indices of the bits that are set.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let lowest = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            lowest
        })
    })
}

impl Views {
    /// Makes cameras ready; those beyond [`MOST_CAMERAS`] are not looked at.
    #[must_use]
    pub fn new(cameras: &[Camera]) -> Self {
        let view = |camera: &Camera| View {
            camera: camera.clone(),
            turn: *camera.pose.rotation.to_rotation_matrix().matrix(),
            shift: camera.pose.translation.vector,
            focal: (camera.lens.focal[0] + camera.lens.focal[1]) / 2.0,
        };
        Self { views: cameras.iter().take(MOST_CAMERAS).map(view).collect() }
    }

    /// How many cameras there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether there is no camera.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// The point that fits all observations (one place per camera) best: linear least squares on the undistorted rays, twice
    /// weighted anew by depth (Hartley and Sturm 1997), then Gauss-Newton on the pixels.
    ///
    /// `None` from fewer than two cameras, where rays are nearly parallel (one pixel of noise would move the point by more
    /// than a quarter of its distance), or where the point would lie behind a camera.
    #[must_use]
    pub fn dlt(&self, seen: &[Option<Observation>]) -> Option<Found> {
        let mut sights = Vec::with_capacity(seen.len());
        let all = self.sights(seen, &mut sights);
        self.fit(&sights, all)
    }

    /// Undistorts what was seen into `sights`; which cameras saw something that can be used.
    pub(super) fn sights(&self, seen: &[Option<Observation>], sights: &mut Vec<Option<Sight>>) -> u64 {
        let mut mask = 0;
        sights.clear();
        for (i, (view, one)) in self.views.iter().zip(seen).enumerate() {
            let sight = one.and_then(|o| {
                let at = view.camera.lens.ray(o.pixel)?;
                (at.x.is_finite() && at.y.is_finite()).then_some(Sight {
                    pixel: o.pixel,
                    likelihood: o.likelihood,
                    at,
                })
            });
            mask |= u64::from(sight.is_some()) << i;
            sights.push(sight);
        }
        mask
    }

    /// Linear least squares over the cameras in `used`, weighted anew by depth so many times.
    pub(super) fn linear(&self, sights: &[Option<Sight>], used: u64, rounds: usize) -> Option<Vector3<f64>> {
        let mut point: Option<Vector3<f64>> = None;
        for _ in 0..=rounds {
            let mut normal = Matrix3::zeros();
            let mut right = Vector3::zeros();
            for i in bits(used) {
                let (view, sight) = (self.views.get(i)?, sights.get(i)?.as_ref()?);
                // Errors of the linear equations are pixels times depth over focal length.
                let weight = match &point {
                    None => 1.0,
                    Some(p) => {
                        let depth = (view.turn.row(2) * p)[0] + view.shift.z;
                        (depth > 1e-9).then(|| (view.focal / depth).powi(2))?
                    }
                };
                for (k, seen) in [sight.at.x, sight.at.y].into_iter().enumerate() {
                    let row = (view.turn.row(k) - view.turn.row(2) * seen).transpose();
                    normal += row * row.transpose() * weight;
                    right += row * ((view.shift.z * seen - view.shift[k]) * weight);
                }
            }
            let found = normal.try_inverse()? * right;
            found.iter().all(|v| v.is_finite()).then_some(())?;
            point = Some(found);
        }
        point
    }

    /// The point that fits the cameras in `used` best.
    pub(super) fn fit(&self, sights: &[Option<Sight>], used: u64) -> Option<Found> {
        (used.count_ones() >= 2).then_some(())?;
        let mut at = self.linear(sights, used, 2)?;
        let mut covariance = Matrix3::zeros();
        let mut nearest = f64::INFINITY;
        let mut pixel = 0.0;
        for _ in 0..5 {
            let mut normal = Matrix3::zeros();
            let mut right = Vector3::zeros();
            pixel = 0.0;
            for i in bits(used) {
                let (view, sight) = (self.views.get(i)?, sights.get(i)?.as_ref()?);
                let local = view.turn * at + view.shift;
                (local.z > 1e-9).then_some(())?;
                nearest = nearest.min(local.z);
                pixel += local.z / view.focal;
                let seen = view.camera.lens.project_with(&local)?;
                let slope = seen.by_point * view.turn;
                let wrong = Vector2::new(sight.pixel.x - seen.at.x, sight.pixel.y - seen.at.y);
                normal += slope.transpose() * slope;
                right += slope.transpose() * wrong;
            }
            covariance = normal.try_inverse()?;
            let step = covariance * right;
            at += step;
            // A hundredth of a pixel.
            if step.dot(&(normal * step)) < 1e-4 {
                break;
            }
        }
        let widest = covariance.diagonal().max().sqrt();
        (widest < 0.25 * nearest && at.iter().all(|v| v.is_finite())).then_some(())?;
        let (mut error, mut squares, mut likelihood) = (0.0, 0.0, 0.0);
        for i in bits(used) {
            let sight = sights.get(i)?.as_ref()?;
            let far = self.project(i, &at)?.distance(sight.pixel);
            error += far;
            squares += far * far;
            likelihood += sight.likelihood;
        }
        let count = f64::from(used.count_ones());
        let (error, likelihood, pixel) = (error / count, likelihood / count, pixel / count);
        Some(Found { at, covariance, error, squares, used, likelihood, pixel })
    }

    /// Which cameras saw the point within `most` pixels of where it would be seen, and the sum of their squared distances.
    pub(super) fn within(&self, sights: &[Option<Sight>], at: &Vector3<f64>, most: f64) -> (u64, f64) {
        let (mut mask, mut squares) = (0, 0.0);
        for (i, sight) in sights.iter().enumerate() {
            let Some(far) = sight.and_then(|s| Some(self.project(i, at)?.distance(s.pixel))) else {
                continue;
            };
            if far <= most {
                mask |= 1 << i;
                squares += far * far;
            }
        }
        (mask, squares)
    }

    /// What a pixel of camera `i` is at a point, in millimetres.
    pub(super) fn pixel(&self, i: usize, at: &Vector3<f64>) -> Option<f64> {
        let view = self.views.get(i)?;
        Some((view.turn.row(2) * at)[0] + view.shift.z).filter(|z| *z > 1e-9).map(|z| z / view.focal)
    }

    /// Where camera `i` would see a point.
    pub(super) fn project(&self, i: usize, at: &Vector3<f64>) -> Option<Keypoint> {
        let view = self.views.get(i)?;
        view.camera.lens.project(&(view.turn * at + view.shift))
    }

    /// As [`project`](Self::project), with the derivatives by the world's coordinates.
    pub(super) fn project_with(
        &self,
        i: usize,
        at: &Vector3<f64>,
    ) -> Option<(Keypoint, nalgebra::Matrix2x3<f64>)> {
        let view = self.views.get(i)?;
        let seen = view.camera.lens.project_with(&(view.turn * at + view.shift))?;
        Some((seen.at, seen.by_point * view.turn))
    }
}
