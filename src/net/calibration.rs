use crate::error::{Error, Kind as ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Logits beyond this are not told apart: a likelihood in fp32 is as good as 0 or 1 there.
const LIMIT: f64 = 15.0;

/// What turns the network's own likelihood into the chance that a point lies within so many pixels of where a person
/// would click: a logistic curve on the logit (Platt 1999), fitted on labelled frames that training did not see.
///
/// ```
/// use limn::net::Calibration;
/// let map = Calibration { within_px: 5.0, slope: 1.5, offset: 2.0 };
/// assert!(map.apply(0.5) > 0.88 && map.apply(0.5) < 0.89); // 1 / (1 + exp(-2))
/// assert!(map.apply(0.9) > map.apply(0.8)); // the order stays
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The distance, in pixels of the full frame, that a mapped likelihood speaks of.
    pub within_px: f64,
    /// Multiplies the logit; above 0, so that the order of likelihoods stays.
    pub slope: f64,
    /// Is added then.
    pub offset: f64,
}

impl Calibration {
    /// The chance that a point with this logit lies within [`Calibration::within_px`].
    #[must_use]
    pub fn of_logit(&self, logit: f64) -> f64 {
        sigmoid(self.slope * logit + self.offset)
    }

    /// The same for the network's own likelihood, 0 to 1. What is no number stays none.
    #[must_use]
    pub fn apply(&self, likelihood: f64) -> f64 {
        if likelihood.is_nan() { likelihood } else { self.of_logit(logit(likelihood)) }
    }

    /// Whether this can be used.
    ///
    /// # Errors
    /// [`crate::Kind::Bundle`] when a number is out of range.
    pub fn check(&self) -> Result<()> {
        let sound = self.within_px > 0.0 && self.within_px.is_finite() && self.slope > 0.0;
        if sound && self.slope.is_finite() && self.offset.is_finite() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Bundle,
            format!(
                "the calibration of the likelihood is none: within {} px, slope {}, offset {}",
                self.within_px, self.slope, self.offset
            ),
        )
        .mend("take the lines of `calibration` out of model.yaml, or copy the whole model folder again"))
    }
}

/// 1 / (1 + exp(-x)).
#[must_use]
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// The inverse of [`sigmoid`], within +-15: what is nearer to 0 or 1 cannot be told apart in fp32.
#[must_use]
pub fn logit(likelihood: f64) -> f64 {
    let logit = likelihood.ln() - (-likelihood).ln_1p();
    if logit.is_nan() { -LIMIT } else { logit.clamp(-LIMIT, LIMIT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_go_and_come_back() {
        for x in [-14.9, -3.0, 0.0, 0.7, 9.0] {
            assert!((logit(sigmoid(x)) - x).abs() < 1e-6, "{x}");
        }
        assert_eq!((logit(0.0), logit(1.0), logit(f64::NAN)), (-LIMIT, LIMIT, -LIMIT));
        let same = Calibration { within_px: 5.0, slope: 1.0, offset: 0.0 };
        assert!((same.apply(0.3) - 0.3).abs() < 1e-12 && same.apply(f64::NAN).is_nan());
        same.check().unwrap();
        assert!(Calibration { slope: 0.0, ..same }.check().is_err());
        assert!(Calibration { offset: f64::NAN, ..same }.check().is_err());
    }
}
