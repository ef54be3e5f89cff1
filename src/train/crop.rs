use crate::picture::Picture;
use crate::pose::Keypoint;

/// A square training crop and where the labels came to lie in it; `None` for labels outside of it.
#[derive(Debug, Clone)]
pub struct Crop {
    /// `side` x `side` pixels.
    pub picture: Picture,
    /// In pixels of the crop, in the skeleton's point order.
    pub points: Vec<Option<Keypoint>>,
}
