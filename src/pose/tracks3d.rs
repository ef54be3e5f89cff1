use super::Skeleton;

/// One point in space, with what is known of it. Lengths in millimetres of the rig's world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// x, y, z.
    pub at: [f64; 3],
    /// Standard deviation of each of x, y, z, propagated from the pixels.
    pub deviation: [f64; 3],
    /// Reprojection error: the mean distance in pixels between what the used cameras saw and where the point would be seen.
    pub error: f64,
    /// How many cameras it comes from.
    pub cameras: usize,
    /// Mean likelihood of those cameras' points, 0 to 1.
    pub likelihood: f64,
}

/// Keypoints in space through a whole session: one row per frame, dense, NaN where nothing was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracks3d {
    /// What was tracked.
    pub skeleton: Skeleton,
    /// `[frame][point]`: x, y, z, their deviations, error, cameras, likelihood.
    values: Vec<[f32; Self::NUMBERS]>,
}

impl Tracks3d {
    /// Numbers of one point of one frame.
    pub const NUMBERS: usize = 9;

    /// `frames` rows of nothing found.
    #[must_use]
    pub fn new(skeleton: Skeleton, frames: usize) -> Self {
        let values = vec![[f32::NAN; Self::NUMBERS]; frames * skeleton.points()];
        Self { skeleton, values }
    }

    /// Takes rows of `[point]`, each x, y, z, their deviations, error, cameras, likelihood; `None` when the length is no whole
    /// number of rows.
    #[must_use]
    pub fn from_values(skeleton: Skeleton, values: Vec<[f32; Self::NUMBERS]>) -> Option<Self> {
        let row = skeleton.points();
        (row > 0 && values.len().is_multiple_of(row)).then_some(Self { skeleton, values })
    }

    /// How many frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.values.len() / self.skeleton.points().max(1)
    }

    /// One frame, `[point]`; empty beyond the end.
    #[must_use]
    pub fn row(&self, frame: usize) -> &[[f32; Self::NUMBERS]] {
        let n = self.skeleton.points();
        self.values.get(frame * n..(frame + 1) * n).unwrap_or(&[])
    }

    /// All numbers, frame after frame.
    #[must_use]
    pub fn values(&self) -> &[[f32; Self::NUMBERS]] {
        &self.values
    }

    /// All numbers, to write.
    pub fn values_mut(&mut self) -> &mut [[f32; Self::NUMBERS]] {
        &mut self.values
    }

    /// A point, `None` where nothing was found.
    #[must_use]
    pub fn get(&self, frame: usize, point: usize) -> Option<Spot> {
        Spot::from_numbers(self.row(frame).get(point)?)
    }

    /// Sets or clears a point; an index out of range is ignored.
    pub fn set(&mut self, frame: usize, point: usize, spot: Option<Spot>) {
        let n = self.skeleton.points();
        if point < n
            && let Some(v) = self.values.get_mut(frame * n + point)
        {
            *v = spot.map_or([f32::NAN; Self::NUMBERS], Spot::numbers);
        }
    }
}

impl Spot {
    /// The numbers as [`Tracks3d`] keeps them.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // 24 bits are a ten-thousandth of a millimetre in a metre
    pub fn numbers(self) -> [f32; Tracks3d::NUMBERS] {
        let ([x, y, z], [a, b, c]) = (self.at, self.deviation);
        [x, y, z, a, b, c, self.error, self.cameras as f64, self.likelihood].map(|v| v as f32)
    }

    /// From the numbers as [`Tracks3d`] keeps them; `None` where nothing was found.
    #[must_use]
    pub fn from_numbers(numbers: &[f32; Tracks3d::NUMBERS]) -> Option<Self> {
        let [x, y, z, a, b, c, error, cameras, likelihood] = numbers.map(f64::from);
        (!x.is_nan() && !y.is_nan() && !z.is_nan()).then_some(Self {
            at: [x, y, z],
            deviation: [a, b, c],
            error,
            cameras: cameras as usize, // a cast of NaN is 0
            likelihood,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_come_back_and_gaps_stay() {
        let mut tracks = Tracks3d::new(Skeleton::single(["a", "b"]), 2);
        let spot =
            Spot { at: [1.0, -2.5, 300.0], deviation: [0.5; 3], error: 0.25, cameras: 3, likelihood: 0.75 };
        tracks.set(1, 1, Some(spot));
        tracks.set(7, 0, Some(spot));
        tracks.set(0, 2, Some(spot));
        assert_eq!((tracks.get(1, 1), tracks.get(1, 0), tracks.get(9, 0)), (Some(spot), None, None));
        tracks.set(1, 1, None);
        assert_eq!(tracks.get(1, 1), None);
        assert!(Tracks3d::from_values(Skeleton::single(["a", "b"]), vec![[0.0; 9]; 3]).is_none());
    }
}
