//! From what several cameras saw to points in space, with what is known of them.
//!
//! [`Views`] does single points: [`Views::dlt`] from all cameras, [`Views::ransac`] from those that agree. [`session`] does a whole
//! recording from its tracks, one per camera: it matches frames and body parts, measures the pixels' noise ([`Noise`]), triangulates
//! with one of three [`Method`]s, and says how well each camera fits the others ([`Outcome`]).
//!
//! A point's standard deviations come from the pixels': with `J` the derivatives of all its pixels by x, y, z, its covariance is
//! `noise^2 (J^T J)^-1`, which for a good fit is the least that any method can reach (the Cramer-Rao bound).
//! [`Method::Smooth`] adds what neighbouring frames and the lengths of limbs tell.
//!
//! The world is in millimetres; pixels are those of the full frame, undistorted here.
//!
//! ```
//! use limn::camera::triangulate::{Observation, Views};
//! use limn::camera::{Camera, Lens};
//! use nalgebra::Vector3;
//! let camera = |x: f64| {
//!     let from = Vector3::new(x, -600.0, 300.0);
//!     Camera::new("", [640, 480], Lens::plain(600.0, [640, 480])).looking(from, Vector3::zeros(), Vector3::z())
//! };
//! let cameras = [camera(-500.0), camera(0.0), camera(500.0)];
//! let snout = Vector3::new(12.0, -5.0, 30.0);
//! let mut seen: Vec<Option<Observation>> =
//!     cameras.iter().map(|c| c.project(&snout).map(Observation::sure)).collect();
//! let views = Views::new(&cameras);
//! let found = views.dlt(&seen).unwrap();
//! assert!((found.at - snout).norm() < 1e-6 && found.cameras() == 3);
//! // Half a pixel of noise in every camera moves the point by less than a millimetre.
//! assert!(found.deviation(0.5).iter().all(|mm| *mm < 1.0));
//!
//! // One camera takes something else for the snout: the others outvote it.
//! seen[1].as_mut().unwrap().pixel.y += 40.0;
//! let agreed = views.ransac(&seen, 2.0, None).unwrap();
//! assert!((agreed.at - snout).norm() < 1e-6 && agreed.used == 0b101);
//! ```

mod chain;
mod learn;
mod noise;
mod point;
mod ransac;
mod recording;
mod scene;
mod sequence;
mod session;

pub use noise::Noise;
pub use point::{Found, MOST_CAMERAS, Views};
pub use recording::{Recording, recording, track_files};
pub use scene::Choices;
pub use session::{CameraFit, Outcome, session};

use crate::pose::Keypoint;
use std::collections::BTreeMap;

/// What one camera saw of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Where, in pixels of the full frame, distorted as the lens has it.
    pub pixel: Keypoint,
    /// How sure that is, 0 to 1.
    pub likelihood: f64,
}

impl Observation {
    /// An observation beyond doubt.
    #[must_use]
    pub fn sure(pixel: Keypoint) -> Self {
        Self { pixel, likelihood: 1.0 }
    }
}

/// Cameras agree on a point that they saw within so many standard deviations of where it would be seen.
const THRESHOLD: f64 = 4.0;

/// How points are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Each point from all cameras that saw it: fast, and led astray by one wrong observation.
    Dlt,
    /// Each point from the cameras that agree.
    #[default]
    Ransac,
    /// All points of all frames at once, also by what neighbouring frames and the lengths of limbs tell.
    Smooth,
}

impl Method {
    /// Its name on the command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dlt => "dlt",
            Self::Ransac => "ransac",
            Self::Smooth => "smooth",
        }
    }
}

impl std::str::FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Dlt, Self::Ransac, Self::Smooth]
            .into_iter()
            .find(|m| m.name() == text)
            .ok_or_else(|| "give dlt, ransac or smooth".to_owned())
    }
}

/// What [`session`] is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How points are found.
    pub method: Method,
    /// Observations of a lower likelihood are not used.
    pub cutoff: f64,
    /// Standard deviation of a pixel coordinate; measured where it is not given.
    pub noise: Option<f64>,
    /// How many pixels cameras that agree may differ by; four times the noise where it is not given.
    pub threshold: Option<f64>,
    /// How many cameras must agree; see [`Views::ransac`].
    pub agree: Option<usize>,
    /// Take recordings whose lengths differ; frames that a camera does not have are then without it.
    pub allow_lengths: bool,
    /// Take only the body parts that all tracks have, where they differ.
    pub common: bool,
    /// Pairs of body parts joined by a limb.
    pub edges: Vec<[String; 2]>,
    /// [`Method::Smooth`] fills gaps of at most so many frames.
    pub gap: usize,
    /// How much a body part's velocity typically changes from frame to frame, in millimetres per frame in each coordinate (a
    /// typical acceleration in mm/s^2 over the square of the frame rate); learned from the data where it is not given.
    pub acceleration: Option<f64>,
    /// How far the tracks' points lie from held-out labels along one axis, in pixels, by body part, where it is known
    /// ([`Accuracy`](crate::net::Accuracy)). What is not seen as noise between cameras they are taken to be wrong alike in.
    pub accuracy: BTreeMap<String, f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: Method::default(),
            cutoff: 0.6,
            noise: None,
            threshold: None,
            agree: None,
            allow_lengths: false,
            common: false,
            edges: Vec::new(),
            gap: 10,
            acceleration: None,
            accuracy: BTreeMap::new(),
        }
    }
}
