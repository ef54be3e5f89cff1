use crate::error::{Error, Kind, Result};
use crate::pose::Keypoint;
use nalgebra::{Matrix2, SMatrix, Vector2, Vector3};
use serde::{Deserialize, Serialize};

/// How a lens bends rays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LensModel {
    /// A pinhole with radial and tangential distortion `k1 k2 p1 p2 k3` (Brown 1971; OpenCV's usual model).
    #[default]
    Pinhole,
    /// A fisheye whose distortion `k1 k2 k3 k4` is a polynomial of the angle (Kannala and Brandt 2006; OpenCV's `fisheye`).
    Fisheye,
}

impl LensModel {
    /// How many distortion coefficients the model has.
    #[must_use]
    pub const fn coefficients(self) -> usize {
        match self {
            Self::Pinhole => 5,
            Self::Fisheye => 4,
        }
    }
}

/// What a camera does to a ray: focal lengths, principal point and distortion, all in pixels of its full frame.
///
/// The centre of the top-left pixel is (0.5, 0.5), as everywhere in limn; OpenCV and Anipose count it as (0, 0), so that their
/// principal point is half a pixel smaller in x and y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lens {
    /// The model.
    pub model: LensModel,
    /// Focal lengths in x and y, in pixels.
    pub focal: [f64; 2],
    /// Principal point, in pixels.
    pub centre: [f64; 2],
    /// Distortion coefficients in OpenCV's order; those that the model does not have are 0.
    pub distortion: [f64; 5],
}

/// How many numbers a lens has: focal lengths, principal point, distortion, in this order.
pub const LENS_NUMBERS: usize = 9;

/// A projection with its derivatives.
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    /// Where the point is seen, in pixels.
    pub at: Keypoint,
    /// By the point in the camera's frame.
    pub by_point: SMatrix<f64, 2, 3>,
    /// By focal lengths, principal point and distortion.
    pub by_lens: SMatrix<f64, 2, LENS_NUMBERS>,
}

impl Lens {
    /// A lens without distortion whose principal point is the middle of a picture of `size` (width, height).
    #[must_use]
    pub fn plain(focal: f64, size: [usize; 2]) -> Self {
        Self {
            model: LensModel::Pinhole,
            focal: [focal; 2],
            centre: size.map(|s| s as f64 / 2.0),
            distortion: [0.0; 5],
        }
    }

    /// All numbers, in the order of [`Projection::by_lens`].
    #[must_use]
    pub fn numbers(&self) -> [f64; LENS_NUMBERS] {
        let ([fx, fy], [cx, cy], [a, b, c, d, e]) = (self.focal, self.centre, self.distortion);
        [fx, fy, cx, cy, a, b, c, d, e]
    }

    /// The same model with other numbers.
    #[must_use]
    pub fn with_numbers(&self, n: [f64; LENS_NUMBERS]) -> Self {
        let [fx, fy, cx, cy, a, b, c, d, e] = n;
        Self { model: self.model, focal: [fx, fy], centre: [cx, cy], distortion: [a, b, c, d, e] }
    }

    /// Whether all numbers can be those of a lens.
    ///
    /// # Errors
    /// [`Kind::Config`] when one is not finite or a focal length is not above 0.
    pub fn check(&self) -> Result<()> {
        let finite = self.numbers().iter().all(|n| n.is_finite());
        if finite && self.focal.iter().all(|f| *f > 0.0) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Config,
            "these are not the numbers of a lens: focal lengths must be above 0, all others finite",
        )
        .mend("calibrate this camera again"))
    }

    /// Where a point in the camera's frame (x right, y down, z ahead) is seen, in pixels; `None` behind the camera.
    #[must_use]
    pub fn project(&self, p: &Vector3<f64>) -> Option<Keypoint> {
        let [x, y] = match self.model {
            LensModel::Pinhole => {
                (p.z > 1e-9).then_some(())?;
                self.bend(Vector2::new(p.x / p.z, p.y / p.z)).into()
            }
            LensModel::Fisheye => {
                let across = p.x.hypot(p.y);
                let angle = across.atan2(p.z);
                (angle < 3.1).then_some(())?;
                // Towards the axis, the angle over the distance tends to 1 / z.
                let s = if across > 1e-12 { self.bend_angle(angle) / across } else { 1.0 / p.z };
                [p.x * s, p.y * s]
            }
        };
        Some(Keypoint::new(self.focal[0] * x + self.centre[0], self.focal[1] * y + self.centre[1]))
    }

    /// As [`project`](Self::project), with the derivatives.
    #[must_use]
    pub fn project_with(&self, p: &Vector3<f64>) -> Option<Projection> {
        let at = self.project(p)?;
        let [fx, fy] = self.focal;
        let mut by_lens = SMatrix::<f64, 2, LENS_NUMBERS>::zeros();
        // Bent coordinates by the point, and by the coefficients.
        let (bent, by_point) = match self.model {
            LensModel::Pinhole => {
                let (x, y) = (p.x / p.z, p.y / p.z);
                let r2 = x * x + y * y;
                for (k, r) in [(4, r2), (5, r2 * r2), (8, r2 * r2 * r2)] {
                    by_lens[(0, k)] = fx * x * r;
                    by_lens[(1, k)] = fy * y * r;
                }
                by_lens[(0, 6)] = fx * 2.0 * x * y;
                by_lens[(1, 6)] = fy * (r2 + 2.0 * y * y);
                by_lens[(0, 7)] = fx * (r2 + 2.0 * x * x);
                by_lens[(1, 7)] = fy * 2.0 * x * y;
                let flat = SMatrix::<f64, 2, 3>::new(1.0, 0.0, -x, 0.0, 1.0, -y) / p.z;
                (self.bend(Vector2::new(x, y)), self.bend_slope(Vector2::new(x, y)) * flat)
            }
            LensModel::Fisheye => {
                let across = p.x.hypot(p.y);
                let angle = across.atan2(p.z);
                let norm2 = across * across + p.z * p.z;
                if across < 1e-9 {
                    let flat = SMatrix::<f64, 2, 3>::new(1.0, 0.0, 0.0, 0.0, 1.0, 0.0) / p.z;
                    (Vector2::zeros(), flat)
                } else {
                    let bent = self.bend_angle(angle);
                    let side = Vector2::new(p.x, p.y) / across;
                    for k in 0..4 {
                        let power = angle.powi(2 * k as i32 + 3);
                        by_lens[(0, 4 + k)] = fx * side.x * power;
                        by_lens[(1, 4 + k)] = fy * side.y * power;
                    }
                    let slope = self.bend_angle_slope(angle);
                    // The angle by x, y, z; then the direction in the picture by x and y.
                    let by_angle = SMatrix::<f64, 1, 3>::new(side.x * p.z, side.y * p.z, -across) / norm2;
                    let mut by_point = side * by_angle * slope;
                    let turn = Matrix2::identity() - side * side.transpose();
                    let turned = by_point.fixed_view::<2, 2>(0, 0) + turn * (bent / across);
                    by_point.fixed_view_mut::<2, 2>(0, 0).copy_from(&turned);
                    (side * bent, by_point)
                }
            }
        };
        by_lens[(0, 0)] = bent.x;
        by_lens[(1, 1)] = bent.y;
        by_lens[(0, 2)] = 1.0;
        by_lens[(1, 3)] = 1.0;
        let scale = Matrix2::new(fx, 0.0, 0.0, fy);
        Some(Projection { at, by_point: scale * by_point, by_lens })
    }

    /// The ray of a pixel as the point at distance 1 ahead, (x, y) of (x, y, 1); `None` where the lens sees no such ray (the
    /// distortion cannot be undone there, or the ray does not point ahead).
    #[must_use]
    pub fn ray(&self, pixel: Keypoint) -> Option<Vector2<f64>> {
        let seen = Vector2::new(
            (pixel.x - self.centre[0]) / self.focal[0],
            (pixel.y - self.centre[1]) / self.focal[1],
        );
        match self.model {
            LensModel::Pinhole => {
                if self.distortion == [0.0; 5] {
                    return Some(seen);
                }
                // Newton's method; quadratic, so that a few steps reach the last bits in any usual lens.
                let mut at = seen;
                for _ in 0..20 {
                    let wrong = self.bend(at) - seen;
                    if wrong.norm_squared() < 1e-24 {
                        return Some(at);
                    }
                    let slope = self.bend_slope(at);
                    // Where the picture folds over itself the slope changes its sign: no ray beyond.
                    let det = slope.determinant();
                    (det > 1e-6).then_some(())?;
                    let step = Vector2::new(
                        slope[(1, 1)] * wrong.x - slope[(0, 1)] * wrong.y,
                        slope[(0, 0)] * wrong.y - slope[(1, 0)] * wrong.x,
                    ) / det;
                    at -= step;
                }
                ((self.bend(at) - seen).norm_squared() < 1e-18).then_some(at)
            }
            LensModel::Fisheye => {
                let bent = seen.norm();
                let mut angle = bent;
                for _ in 0..20 {
                    let slope = self.bend_angle_slope(angle);
                    (slope > 1e-6).then_some(())?;
                    let step = (self.bend_angle(angle) - bent) / slope;
                    angle -= step;
                    if step.abs() < 1e-13 {
                        break;
                    }
                }
                let reached = (self.bend_angle(angle) - bent).abs() < 1e-9;
                (reached && (0.0..1.55).contains(&angle)).then_some(())?;
                Some(if bent > 1e-12 { seen * (angle.tan() / bent) } else { seen })
            }
        }
    }

    /// Distorts normalised coordinates.
    fn bend(&self, p: Vector2<f64>) -> Vector2<f64> {
        let [k1, k2, p1, p2, k3] = self.distortion;
        let r2 = p.norm_squared();
        let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        let xy = 2.0 * p.x * p.y;
        Vector2::new(
            p.x * radial + p1 * xy + p2 * (r2 + 2.0 * p.x * p.x),
            p.y * radial + p1 * (r2 + 2.0 * p.y * p.y) + p2 * xy,
        )
    }

    /// Derivatives of [`bend`](Self::bend).
    fn bend_slope(&self, p: Vector2<f64>) -> Matrix2<f64> {
        let [k1, k2, p1, p2, k3] = self.distortion;
        let r2 = p.norm_squared();
        let radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
        let slope = 2.0 * (k1 + r2 * (2.0 * k2 + 3.0 * k3 * r2));
        let cross = p.x * p.y * slope + 2.0 * (p1 * p.x + p2 * p.y);
        Matrix2::new(
            radial + p.x * p.x * slope + 2.0 * p1 * p.y + 6.0 * p2 * p.x,
            cross,
            cross,
            radial + p.y * p.y * slope + 6.0 * p1 * p.y + 2.0 * p2 * p.x,
        )
    }

    fn bend_angle(&self, t: f64) -> f64 {
        let [k1, k2, k3, k4, _] = self.distortion;
        let t2 = t * t;
        t * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    }

    fn bend_angle_slope(&self, t: f64) -> f64 {
        let [k1, k2, k3, k4, _] = self.distortion;
        let t2 = t * t;
        1.0 + t2 * (3.0 * k1 + t2 * (5.0 * k2 + t2 * (7.0 * k3 + t2 * 9.0 * k4)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lens(model: LensModel, d: [f64; 5]) -> Lens {
        let mut distortion = d;
        if model == LensModel::Fisheye {
            distortion[4] = 0.0;
        }
        Lens { model, focal: [500.0, 510.0], centre: [320.0, 240.0], distortion }
    }

    fn models() -> impl Strategy<Value = LensModel> {
        prop_oneof![Just(LensModel::Pinhole), Just(LensModel::Fisheye)]
    }

    proptest! {
        #[test]
        fn a_ray_comes_back(
            model in models(),
            d in [-0.12_f64..0.12, -0.03_f64..0.03, -2e-3_f64..2e-3, -2e-3_f64..2e-3, -0.01_f64..0.01],
            x in -0.6_f64..0.6, y in -0.5_f64..0.5, z in 0.1_f64..9.0,
        ) {
            let lens = lens(model, d);
            let seen = lens.project(&Vector3::new(x * z, y * z, z)).unwrap();
            let ray = lens.ray(seen).unwrap();
            prop_assert!((ray - Vector2::new(x, y)).norm() < 1e-8, "{ray:?}");
        }

        #[test]
        fn derivatives_are_those_of_small_differences(
            model in models(),
            d in [-0.2_f64..0.2, -0.05_f64..0.05, -2e-3_f64..2e-3, -2e-3_f64..2e-3, -0.01_f64..0.01],
            p in [-0.6_f64..0.6, -0.5_f64..0.5, 0.5_f64..2.0],
        ) {
            let lens = lens(model, d);
            let p = Vector3::from(p);
            let got = lens.project_with(&p).unwrap();
            let slope = |move_by: &dyn Fn(f64) -> Keypoint, h: f64| {
                let (a, b) = (move_by(h), move_by(-h));
                Vector2::new(a.x - b.x, a.y - b.y) / (2.0 * h)
            };
            for k in 0..3 {
                let moved = |h: f64| { let mut q = p; q[k] += h; lens.project(&q).unwrap() };
                let want = slope(&moved, 1e-6);
                prop_assert!((got.by_point.column(k) - want).norm() < 1e-4 * (1.0 + want.norm()));
            }
            for k in 0..4 + model.coefficients() {
                let moved = |h: f64| {
                    let mut n = lens.numbers();
                    n[k] += h;
                    lens.with_numbers(n).project(&p).unwrap()
                };
                let want = slope(&moved, 1e-6);
                prop_assert!((got.by_lens.column(k) - want).norm() < 1e-4 * (1.0 + want.norm()), "number {k}");
            }
        }
    }

    #[test]
    fn what_no_lens_sees_is_none() {
        let lens = lens(LensModel::Pinhole, [-0.4, 0.0, 0.0, 0.0, 0.0]);
        assert!(lens.project(&Vector3::new(0.0, 0.0, -1.0)).is_none());
        assert!(lens.ray(Keypoint::new(5000.0, 240.0)).is_none()); // beyond the fold
        assert!(Lens { focal: [0.0, 1.0], ..lens }.check().is_err());
        let axis = self::lens(LensModel::Fisheye, [0.1; 5]).project(&Vector3::new(0.0, 0.0, 2.0)).unwrap();
        assert_eq!(axis, Keypoint::new(320.0, 240.0));
    }
}
