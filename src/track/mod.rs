//! What happens to tracks once they are there: angles, speeds and lengths ([`kinematics`]).
//!
//! Everything here works on tracks in the plane and in space alike, as [`Positions`]: [`crate::pose::Tracks`] in pixels,
//! [`crate::pose::Tracks3d`] in millimetres; [`Found`] is what a file of either sort holds.
//!
//! ```
//! use limn::pose::{Skeleton, Spot, Tracks3d};
//! use limn::track::kinematics::{Wanted, measure};
//! let mut tracks = Tracks3d::new(Skeleton::single(["hip", "knee", "foot"]), 2);
//! for (point, at) in [[0.0, 0.0, 30.0], [0.0, 0.0, 0.0], [0.0, 20.0, 0.0]].into_iter().enumerate() {
//!     let spot = Spot { at, deviation: [0.1; 3], error: 0.2, cameras: 3, likelihood: 0.9 };
//!     tracks.set(0, point, Some(spot));
//!     tracks.set(1, point, Some(Spot { at: [at[0] + 1.0, at[1], at[2]], ..spot })); // 1 mm further
//! }
//! let wanted = Wanted { fps: Some(100.0), ..Wanted::angles([["hip", "knee", "foot"]]) };
//! let found = measure(&tracks, &wanted)?;
//! assert_eq!(found.column("hip-knee-foot_angle").unwrap().values, [90.0, 90.0]);
//! assert_eq!(found.column("hip-knee_length").unwrap().mean(), Some(30.0));
//! assert!((found.column("foot_speed").unwrap().values[0] - 100.0).abs() < 1e-9); // mm/s
//! # Ok::<(), limn::Error>(())
//! ```

mod found;
pub mod kinematics;

pub use found::Found;

use crate::pose::{Skeleton, Tracks, Tracks3d};
use nalgebra::Vector3;

/// Points through time, in the plane or in space.
pub trait Positions {
    /// What was tracked.
    fn skeleton(&self) -> &Skeleton;
    /// How many frames.
    fn frames(&self) -> usize;
    /// Where a point is, in [`unit`](Self::unit), and its likelihood (NaN where none is known); none where nothing was found.
    /// In the plane z is 0.
    fn at(&self, frame: usize, point: usize) -> Option<(Vector3<f64>, f64)>;
    /// The unit of lengths: `px` or `mm`.
    fn unit(&self) -> &'static str;
}

impl Positions for Tracks {
    fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }
    fn frames(&self) -> usize {
        self.frames()
    }
    fn at(&self, frame: usize, point: usize) -> Option<(Vector3<f64>, f64)> {
        self.get(frame, point).map(|(p, likelihood)| (Vector3::new(p.x, p.y, 0.0), likelihood))
    }
    fn unit(&self) -> &'static str {
        "px"
    }
}

impl Positions for Tracks3d {
    fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }
    fn frames(&self) -> usize {
        self.frames()
    }
    fn at(&self, frame: usize, point: usize) -> Option<(Vector3<f64>, f64)> {
        self.get(frame, point).map(|spot| (Vector3::from(spot.at), spot.likelihood))
    }
    fn unit(&self) -> &'static str {
        "mm"
    }
}
