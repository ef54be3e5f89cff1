use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pose::Keypoint;
use serde::{Deserialize, Serialize};

/// Members that are further from each other than this, in pixels, do not speak of the same place.
const TOGETHER: f64 = 10.0;

/// A point is within so many standard deviations of the truth in 9 cases of 10, when both axes err alike and normally
/// (the Rayleigh distribution's 90 % quantile, sqrt(2 ln 10)).
pub const RADIUS_90: f64 = 2.145_966_026_289_347;

/// What turns the members' spread into a standard deviation: members err together as well, and people who label do, so
/// that their spread alone says too little. Fitted on labelled frames that training did not see.
///
/// ```
/// let spread = limn::net::Spread { floor_px: 1.5, factor: 2.0 };
/// assert_eq!(spread.sd(0.0), 1.5);
/// assert_eq!(spread.sd(1.0), 2.5); // sqrt(1.5^2 + (2 * 1)^2)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The standard deviation where all members agree, in pixels of the full frame.
    pub floor_px: f64,
    /// Multiplies the members' spread.
    pub factor: f64,
}

impl Spread {
    /// The standard deviation of a point along each axis, in pixels, whose members have this spread.
    #[must_use]
    pub fn sd(&self, spread: f64) -> f64 {
        self.floor_px.hypot(self.factor * spread)
    }

    /// Whether this can be used.
    ///
    /// # Errors
    /// [`crate::Kind::Bundle`] when a number is out of range.
    pub fn check(&self) -> Result<()> {
        let sound = |v: f64| v.is_finite() && v >= 0.0;
        if sound(self.floor_px) && sound(self.factor) && self.floor_px + self.factor > 0.0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Bundle,
            format!("the spread of the ensemble is none: floor {} px, factor {}", self.floor_px, self.factor),
        )
        .mend("take the lines of `spread` out of model.yaml, or copy the whole model folder again"))
    }
}

/// What the members say together of one point: `[x, y, likelihood]` each.
///
/// The place is that of the members around which most likelihood lies (a swapped left and right must not be averaged to
/// the middle), averaged by likelihood; who is elsewhere votes against it, in the likelihood.
pub(super) fn together(members: &[[f32; 3]]) -> [f32; 3] {
    let near = |a: &[f32; 3], b: &[f32; 3]| f64::from(a[0] - b[0]).hypot(f64::from(a[1] - b[1])) <= TOGETHER;
    let weight = |m: &[f32; 3]| f64::from(m[2]).max(1e-6);
    let support = |a: &[f32; 3]| members.iter().filter(|b| near(a, b)).map(weight).sum::<f64>();
    let mut best: Option<(&[f32; 3], f64)> = None;
    for member in members {
        let support = support(member);
        if best.is_none_or(|(_, most)| support > most) {
            best = Some((member, support));
        }
    }
    let Some((centre, support)) = best else { return [f32::NAN; 3] };
    let (mut x, mut y, mut likelihood) = (0.0, 0.0, 0.0);
    for m in members.iter().filter(|m| near(centre, m)) {
        x += weight(m) * f64::from(m[0]);
        y += weight(m) * f64::from(m[1]);
        likelihood += f64::from(m[2]);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // tracks are f32; members are few
    let values = [x / support, y / support, likelihood / members.len() as f64].map(|v| v as f32);
    values
}

/// The members' spread around `centre`: the root of their mean squared distance along one axis, in pixels.
#[must_use]
pub fn spread_around(centre: Keypoint, members: &[Keypoint]) -> f64 {
    let squares: f64 = members.iter().map(|m| m.distance(centre).powi(2)).sum();
    #[allow(clippy::cast_precision_loss)] // members are few
    let count = members.len().max(1) as f64;
    (squares / (2.0 * count)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_many_are_averaged_and_the_one_elsewhere_votes_against() {
        let alike = [[10.0, 20.0, 0.9], [12.0, 20.0, 0.9], [11.0, 23.0, 0.9]];
        let [x, y, l] = together(&alike);
        assert!((x - 11.0).abs() < 1e-5 && (y - 21.0).abs() < 1e-5 && (l - 0.9).abs() < 1e-6);
        let mut one_off = alike.to_vec();
        one_off.push([90.0, 5.0, 0.99]);
        let [x, y, l] = together(&one_off);
        assert!((x - 11.0).abs() < 1e-5 && (y - 21.0).abs() < 1e-5 && (l - 0.675).abs() < 1e-6);
        // Two against two: the surer pair.
        let [x, ..] = together(&[[10.0, 0.0, 0.5], [12.0, 0.0, 0.5], [80.0, 0.0, 0.6], [82.0, 0.0, 0.6]]);
        assert!((x - 81.0).abs() < 1e-5);
        assert!(together(&[]).iter().all(|v| v.is_nan()));
        assert_eq!(together(&[[3.0, 4.0, 0.0]])[..2], [3.0, 4.0]);
    }

    #[test]
    fn spread_is_the_deviation_along_an_axis() {
        let at = Keypoint::new;
        let around = [at(1.0, 0.0), at(-1.0, 0.0), at(0.0, 1.0), at(0.0, -1.0)];
        assert!((spread_around(at(0.0, 0.0), &around) - 0.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(spread_around(at(1.0, 1.0), &[]), 0.0);
        assert!((RADIUS_90 - (2.0 * 10.0_f64.ln()).sqrt()).abs() < 1e-12);
        assert!(Spread { floor_px: f64::NAN, factor: 1.0 }.check().is_err());
        Spread { floor_px: 1.0, factor: 0.0 }.check().unwrap();
    }
}
