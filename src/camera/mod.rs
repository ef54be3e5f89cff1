//! Several cameras that film the same scene: where they stand, what their lenses do, and points in millimetres.
//!
//! A [`Rig`] (`rig.yaml`) names the cameras and the calibration board. [`Lens`] and [`Camera`] turn points into pixels and
//! back, with derivatives; [`anipose`] shares calibrations with Anipose.
//! The world is right-handed and in millimetres; pictures have x to the right, y down, and the centre
//! of the top-left pixel is (0.5, 0.5).
//!
//! ```
//! use limn::camera::{Camera, Lens};
//! use nalgebra::Vector3;
//! let lens = Lens::plain(600.0, [640, 480]);
//! let camera = Camera::new("left", [640, 480], lens).looking(
//!     Vector3::new(0.0, -300.0, 400.0), // stands here, in mm
//!     Vector3::zeros(),                 // looks here
//!     Vector3::z(),                     // this is up
//! );
//! let seen = camera.project(&Vector3::zeros()).unwrap();
//! assert!((seen.x - 320.0).abs() < 1e-9 && (seen.y - 240.0).abs() < 1e-9);
//! ```

pub mod anipose;
mod board;
#[cfg(feature = "vision")]
pub mod calibrate;
pub mod corrections;
pub mod epipolar;
pub mod labels;
mod lens;
mod rig;
mod sessions;
pub mod triangulate;
mod view;

pub use board::Board;
pub use lens::{LENS_NUMBERS, Lens, LensModel, Projection};
pub use rig::{Made, Mount, Rig};
pub use sessions::{Sessions, suggest_cameras};
pub use view::Camera;
