//! The words everything speaks: [`Skeleton`], [`Keypoint`], [`Labels`], [`Tracks`]. No input or output here.
//!
//! Coordinates are pixels of the full source frame, x to the right, y down; the centre of the top-left pixel is
//! (0.5, 0.5) for drawing and decoding alike. Likelihood is 0 to 1. Frames are counted from 0 and dense.
//!
//! ```
//! use limn::pose::{Keypoint, Skeleton, Tracks};
//! let skeleton = Skeleton::single(["snout", "tailbase"]);
//! let mut tracks = Tracks::new(skeleton, 3);
//! tracks.set(1, 0, Keypoint::new(10.5, 20.0), 0.9);
//! assert_eq!(tracks.get(1, 0).map(|(p, _)| p.x), Some(10.5));
//! assert!(tracks.get(0, 0).is_none()); // nothing seen: NaN on disk
//! ```

mod labels;
mod pyramid;
mod skeleton;
mod tracks;
mod tracks3d;

pub use labels::{FrameKey, LabeledFrame, Labels};
pub use pyramid::{Pyramid, Quantity, TrackPyramids};
pub use skeleton::{PointName, Skeleton};
pub use tracks::Tracks;
pub use tracks3d::{Spot, Tracks3d};

/// One point of one animal in one frame, in pixels of the full source frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left edge.
    pub x: f64,
    /// Pixels from the top edge.
    pub y: f64,
}

impl Keypoint {
    /// A point at (x, y).
    #[must_use]
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// Euclidean distance in pixels.
    #[must_use]
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// Strictly inside an image of `width` x `height` pixels, as DeepLabCut asks of a visible label.
    #[must_use]
    pub fn inside(self, width: f64, height: f64) -> bool {
        self.x > 0.0 && self.x < width && self.y > 0.0 && self.y < height
    }
}
