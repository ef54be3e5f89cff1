use super::{Keypoint, Skeleton};

/// Keypoints through a whole video: one row per frame, dense, NaN where nothing was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracks {
    /// What was tracked.
    pub skeleton: Skeleton,
    /// `[frame][point][x, y, likelihood]`, row-major, as the files have it.
    values: Vec<f32>,
}

impl Tracks {
    /// `frames` rows of nothing seen.
    #[must_use]
    pub fn new(skeleton: Skeleton, frames: usize) -> Self {
        let values = vec![f32::NAN; frames * skeleton.points() * 3];
        Self { skeleton, values }
    }

    /// Takes rows of `[point][x, y, likelihood]`; `None` when the length is no whole number of rows.
    #[must_use]
    pub fn from_values(skeleton: Skeleton, values: Vec<f32>) -> Option<Self> {
        let row = skeleton.points() * 3;
        (row > 0 && values.len().is_multiple_of(row)).then_some(Self { skeleton, values })
    }

    /// How many frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.values.len() / (self.skeleton.points() * 3).max(1)
    }

    /// One frame: `[point][x, y, likelihood]`; empty beyond the end.
    #[must_use]
    pub fn row(&self, frame: usize) -> &[f32] {
        let n = self.skeleton.points() * 3;
        self.values.get(frame * n..(frame + 1) * n).unwrap_or(&[])
    }

    /// All values, frame after frame.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// A point and its likelihood, `None` where nothing was seen.
    #[must_use]
    pub fn get(&self, frame: usize, point: usize) -> Option<(Keypoint, f64)> {
        let v = self.row(frame).get(point * 3..point * 3 + 3)?;
        (!v[0].is_nan() && !v[1].is_nan())
            .then(|| (Keypoint::new(f64::from(v[0]), f64::from(v[1])), f64::from(v[2])))
    }

    /// Sets a point; an index out of range is ignored.
    #[allow(clippy::cast_possible_truncation)] // files hold f32
    pub fn set(&mut self, frame: usize, point: usize, at: Keypoint, likelihood: f64) {
        let n = self.skeleton.points() * 3;
        if point * 3 < n
            && let Some(v) = self.values.get_mut(frame * n + point * 3..frame * n + point * 3 + 3)
        {
            v.copy_from_slice(&[at.x as f32, at.y as f32, likelihood as f32]);
        }
    }

    /// Appends one frame's `[point][x, y, likelihood]`; a row of another length is ignored and `false` returned.
    pub fn push_row(&mut self, row: &[f32]) -> bool {
        let fits = row.len() == self.skeleton.points() * 3;
        if fits {
            self.values.extend_from_slice(row);
        }
        fits
    }
}
