use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pose::Skeleton;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a model's points lie from where a person clicks, measured on labelled pictures that training did not see. It
/// contains what no two cameras and no two frames can tell: where a network is wrong in the same way again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Only points whose likelihood in tracks reaches this were counted, as far as there were enough.
    pub cutoff: f64,
    /// Labelled points that it comes from.
    pub n_points: usize,
    /// Standard deviation along one axis of each point of the skeleton, in pixels of the full frame.
    pub sd_px: Vec<f64>,
}

impl Accuracy {
    /// The same by body part; the root mean square of several individuals'.
    #[must_use]
    pub fn by_bodypart(&self, skeleton: &Skeleton) -> BTreeMap<String, f64> {
        let mut squares: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (name, sd) in skeleton.names().zip(&self.sd_px) {
            let (sum, count) = squares.entry(name.bodypart.to_owned()).or_default();
            *sum += sd * sd;
            *count += 1.0;
        }
        squares.into_iter().map(|(part, (sum, count))| (part, (sum / count).sqrt())).collect()
    }

    /// Whether this can be used for a skeleton of so many points.
    ///
    /// # Errors
    /// [`crate::Kind::Bundle`] when a number is out of range or one is missing.
    pub fn check(&self, points: usize) -> Result<()> {
        if self.sd_px.len() == points && self.sd_px.iter().all(|sd| sd.is_finite() && *sd > 0.0) {
            return Ok(());
        }
        let what = format!("the accuracy of the model is none: {:?} px for {points} points", self.sd_px);
        Err(Error::new(ErrorKind::Bundle, what)
            .mend("take the lines of `accuracy` out of model.yaml, or copy the whole model folder again"))
    }
}
