//! The share of labelled points that lie within a distance (percentage of correct keypoints, Yang and Ramanan 2013).

use super::evaluate::{Judged, point_title};
use super::verdict::human;
use crate::error::{Error, Kind, Result};
use crate::pose::Skeleton;
use serde::Serialize;
use std::collections::BTreeMap;

/// Steps of the curve: distances from 0 to five times what two people differ by.
const STEPS: usize = 100;
const UP_TO: f64 = 5.0;

/// How many points lie within which distance.
///
/// ```
/// use limn::pose::{FrameKey, Keypoint, Skeleton};
/// use limn::train::{Judged, Pck};
/// let at = |x| Keypoint::new(x, 0.0);
/// let frame = Judged { key: FrameKey::new("v", "a.png"), label: vec![Some(at(0.0)); 2], prediction: vec![(at(1.0), 1.0), (at(9.0), 1.0)] };
/// let pck = Pck::of(&[frame], &Skeleton::single(["snout", "tail"]), (640, 480), 5.0);
/// assert_eq!(pck.fixed[1].within_px, 5.0);
/// assert_eq!(pck.fixed[1].all, Some(0.5));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pck {
    /// The shares at a few distances, for tables.
    pub fixed: Vec<PckAt>,
    /// The distances of the curve, in pixels, from 0.
    pub thresholds_px: Vec<f64>,
    /// The share of all points within each distance; empty without points.
    pub all: Vec<f64>,
    /// The same by body part.
    pub per_bodypart: BTreeMap<String, Vec<f64>>,
}

/// The shares at one distance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PckAt {
    /// The distance in pixels.
    pub within_px: f64,
    /// Of all points.
    pub all: Option<f64>,
    /// By body part.
    pub per_bodypart: BTreeMap<String, Option<f64>>,
}

impl Pck {
    /// Of judged frames of this size; `right_px` is the distance that counts as right, half and twice of which stand in
    /// the table too.
    #[must_use]
    pub fn of(judged: &[Judged], skeleton: &Skeleton, frame: (usize, usize), right_px: f64) -> Self {
        let names: Vec<String> = skeleton.names().map(point_title).collect();
        let errors = |part: Option<usize>| -> Vec<f64> {
            let mut errors: Vec<f64> = judged
                .iter()
                .flat_map(Judged::errors)
                .filter(|(i, ..)| part.is_none_or(|p| p == *i))
                .map(|(_, e, _)| e)
                .collect();
            errors.sort_by(f64::total_cmp); // what is no number comes last and is never near
            errors
        };
        let share = |errors: &[f64], px: f64| {
            (!errors.is_empty()).then(|| errors.partition_point(|e| *e <= px) as f64 / errors.len() as f64)
        };
        let end = UP_TO * human(frame);
        let thresholds_px: Vec<f64> = (0..=STEPS).map(|i| end * i as f64 / STEPS as f64).collect();
        let curve = |errors: &[f64]| -> Vec<f64> {
            thresholds_px.iter().filter_map(|px| share(errors, *px)).collect()
        };
        let (all, parts) = (errors(None), (0..names.len()).map(|i| errors(Some(i))).collect::<Vec<_>>());
        let fixed = [0.5, 1.0, 2.0]
            .map(|f| f * right_px)
            .into_iter()
            .map(|px| PckAt {
                within_px: px,
                all: share(&all, px),
                per_bodypart: names.iter().zip(&parts).map(|(n, e)| (n.clone(), share(e, px))).collect(),
            })
            .collect();
        Self {
            fixed,
            all: curve(&all),
            per_bodypart: names.iter().zip(&parts).map(|(n, e)| (n.clone(), curve(e))).collect(),
            thresholds_px,
        }
    }

    /// The curves as a table: a row for each distance, a column for all points and one for each body part.
    ///
    /// # Errors
    /// None but those of the table's writer.
    pub fn csv(&self) -> Result<Vec<u8>> {
        let failed = |e: csv::Error| Error::new(Kind::Format, format!("cannot write the PCK curves: {e}"));
        let mut out = csv::Writer::from_writer(Vec::new());
        let names = self.per_bodypart.keys().map(String::as_str);
        out.write_record(["within_px", "all"].into_iter().chain(names)).map_err(failed)?;
        for (i, px) in self.thresholds_px.iter().enumerate() {
            let curves = [&self.all].into_iter().chain(self.per_bodypart.values());
            let cells = curves.map(|c| c.get(i).map_or_else(String::new, |v| format!("{v:.4}")));
            out.write_record([format!("{px:.4}")].into_iter().chain(cells)).map_err(failed)?;
        }
        out.into_inner().map_err(|e| Error::new(Kind::Format, format!("cannot write the PCK curves: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{FrameKey, Keypoint};

    #[test]
    fn shares_by_hand() {
        let frame = |errors: [f64; 2], labelled: [bool; 2]| Judged {
            key: FrameKey::new("v", "a.png"),
            label: labelled.map(|l| l.then(|| Keypoint::new(0.0, 0.0))).to_vec(),
            prediction: errors.map(|e| (Keypoint::new(e, 0.0), 0.5)).to_vec(),
        };
        let all = [
            frame([1.0, 2.0], [true; 2]),
            frame([5.0, 100.0], [true, true]),
            frame([3.0, f64::NAN], [true, true]),
            frame([0.0, 0.0], [false, false]),
        ];
        let pck = Pck::of(&all, &Skeleton::single(["a", "b"]), (640, 480), 5.0);
        assert_eq!(pck.thresholds_px.len(), 101);
        assert!((pck.thresholds_px[100] - 13.45).abs() < 1e-9);
        let at: Vec<_> = pck.fixed.iter().map(|f| (f.within_px, f.all.unwrap())).collect();
        assert_eq!(at, [(2.5, 2.0 / 6.0), (5.0, 4.0 / 6.0), (10.0, 4.0 / 6.0)]);
        assert_eq!(pck.fixed[1].per_bodypart["a"], Some(1.0));
        assert_eq!((pck.all[0], pck.per_bodypart["b"][100]), (0.0, 1.0 / 3.0));
        assert!(pck.all.windows(2).all(|w| w[0] <= w[1]));
        let text = String::from_utf8(pck.csv().unwrap()).unwrap();
        assert!(text.starts_with("within_px,all,a,b\n0.0000,0.0000,0.0000,0.0000\n"), "{text}");
        let none = Pck::of(&[], &Skeleton::single(["a"]), (0, 0), 5.0);
        assert!(none.all.is_empty() && none.fixed[0].all.is_none());
        assert!(String::from_utf8(none.csv().unwrap()).unwrap().contains("0.0000,,\n"));
    }
}
