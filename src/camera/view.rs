use super::lens::{Lens, Projection};
use crate::error::{Error, Kind, Result};
use crate::pose::Keypoint;
use nalgebra::{Isometry3, Matrix3x4, Point3, Rotation3, Translation3, UnitQuaternion, Vector3};

/// One calibrated camera: its lens, the size of its frames, and where it stands.
///
/// The world is in millimetres (the unit of the board's squares). The camera's own frame has x to the right, y down and z
/// ahead, as its pictures have.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// The name, as in file names.
    pub name: String,
    /// Width and height of the frames in pixels.
    pub size: [usize; 2],
    /// What it does to a ray.
    pub lens: Lens,
    /// From the world into the camera's frame.
    pub pose: Isometry3<f64>,
}

impl Camera {
    /// A camera at the world's origin that looks along z.
    #[must_use]
    pub fn new(name: impl Into<String>, size: [usize; 2], lens: Lens) -> Self {
        Self { name: name.into(), size, lens, pose: Isometry3::identity() }
    }

    /// The same camera at `from`, turned so that it sees `to` in the direction of its axis and `up` upwards.
    #[must_use]
    pub fn looking(mut self, from: Vector3<f64>, to: Vector3<f64>, up: Vector3<f64>) -> Self {
        let ahead = (to - from).normalize();
        let right = ahead.cross(&up).try_normalize(1e-9).unwrap_or_else(|| {
            // `up` is the axis itself: any direction across will do.
            ahead.cross(&Vector3::x()).try_normalize(1e-9).unwrap_or_else(Vector3::y)
        });
        let rows = nalgebra::Matrix3::from_rows(&[
            right.transpose(),
            ahead.cross(&right).transpose(),
            ahead.transpose(),
        ]);
        let turn = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(rows));
        self.pose = Isometry3::from_parts(Translation3::from(-(turn * from)), turn);
        self
    }

    /// The pose of a rotation vector (axis times angle, radians) and a shift (millimetres), as `rig.yaml` and OpenCV have them.
    ///
    /// # Errors
    /// [`Kind::Config`] when they are not finite, or larger than any pose is.
    pub fn pose_of(turn: [f64; 3], shift: [f64; 3]) -> Result<Isometry3<f64>> {
        let small = |all: [f64; 3], most: f64| all.iter().all(|v| v.abs() <= most); // NaN is not
        if !small(turn, 100.0) || !small(shift, 1e9) {
            let what = format!("no camera stands at a rotation of {turn:?} and a translation of {shift:?}");
            return Err(Error::new(Kind::Config, what).mend("calibrate this camera again"));
        }
        Ok(Isometry3::new(Vector3::from(shift), Vector3::from(turn)))
    }

    /// Whether its numbers can be those of a camera.
    ///
    /// # Errors
    /// [`Kind::Config`] that names what cannot be.
    pub fn check(&self) -> Result<()> {
        if !self.size.iter().all(|s| (1..=100_000).contains(s)) {
            let what = format!("frames of {} x {} pixels cannot be", self.size[0], self.size[1]);
            return Err(Error::new(Kind::Config, what).mend("mend `size`, or calibrate this camera again"));
        }
        self.lens.check()?;
        Self::pose_of(self.pose.rotation.scaled_axis().into(), self.pose.translation.vector.into())
            .map(|_| ())
    }

    /// Where the camera stands, in millimetres.
    #[must_use]
    pub fn position(&self) -> Vector3<f64> {
        -(self.pose.rotation.inverse() * self.pose.translation.vector)
    }

    /// Where a point of the world is seen, in pixels; `None` behind the camera. It may lie outside of the frame.
    #[must_use]
    pub fn project(&self, world: &Vector3<f64>) -> Option<Keypoint> {
        self.lens.project(&(self.pose * Point3::from(*world)).coords)
    }

    /// As [`project`](Self::project), with derivatives; those by the point are by the *world's* coordinates.
    #[must_use]
    pub fn project_with(&self, world: &Vector3<f64>) -> Option<Projection> {
        let mut found = self.lens.project_with(&(self.pose * Point3::from(*world)).coords)?;
        found.by_point *= self.pose.rotation.to_rotation_matrix().matrix();
        Some(found)
    }

    /// Whether a point of the world lies within the frame.
    #[must_use]
    pub fn sees(&self, world: &Vector3<f64>) -> bool {
        self.project(world).is_some_and(|p| p.inside(self.size[0] as f64, self.size[1] as f64))
    }

    /// The ray of a pixel in the world, a unit vector from [`position`](Self::position); `None` where the lens sees none.
    #[must_use]
    pub fn ray(&self, pixel: Keypoint) -> Option<Vector3<f64>> {
        let at = self.lens.ray(pixel)?;
        Some(self.pose.rotation.inverse() * Vector3::new(at.x, at.y, 1.0).normalize())
    }

    /// `[R | t]`, from the world into the camera's frame.
    #[must_use]
    pub fn matrix(&self) -> Matrix3x4<f64> {
        self.pose.to_matrix().fixed_view::<3, 4>(0, 0).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_sees_what_it_looks_at_in_the_middle_and_up_is_up() {
        let (from, to) = (Vector3::new(300.0, -200.0, 500.0), Vector3::new(0.0, 10.0, 0.0));
        let camera =
            Camera::new("a", [640, 480], Lens::plain(600.0, [640, 480])).looking(from, to, Vector3::z());
        assert!((camera.position() - from).norm() < 1e-9);
        let seen = camera.project(&to).unwrap();
        assert!(seen.distance(Keypoint::new(320.0, 240.0)) < 1e-9);
        let above = camera.project(&(to + Vector3::z() * 20.0)).unwrap();
        assert!(above.y < 235.0 && (above.x - 320.0).abs() < 1e-9);
        // No mirror: what is to the right when one looks from there is at larger x.
        let right = (to - from).cross(&Vector3::z()).normalize();
        assert!(camera.project(&(to + right * 20.0)).unwrap().x > 325.0);
        let ray = camera.ray(above).unwrap();
        assert!(ray.cross(&(to + Vector3::z() * 20.0 - from)).norm() < 1e-6);
        assert!(camera.sees(&to) && !camera.sees(&(from + (from - to))));
    }
}
