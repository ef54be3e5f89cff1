use super::Calibration;
use super::head::{Heatmaps, Score, to_i64};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pose::Keypoint;
use tch::{Device, Kind, Tensor, no_grad};

/// The standard deviation, in pixels, that offsets are given in (DeepLabCut's `locref_stdev`).
pub const LOCREF_STD: f64 = 7.2801;

/// Cells beside the best one have a say in the position when their logits are less than this below it.
///
/// The one that is highest by a hair is not more right than its neighbour, and which of the two it is may hang on the
/// number format: shared, positions change smoothly with the heatmap, and come 7 % nearer to the labels of held-out
/// frames than those of the best cell alone (open field, three splits; 1 logit: 6 %, 4: 8 %, but a worse median).
const SHARED: f64 = 2.0;

/// Where the points of every image of a batch are: the best place of each, and the next best ones where asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Peaks {
    points: usize,
    candidates: usize,
    /// `[image][point][candidate][x, y, likelihood]`.
    values: Vec<f32>,
}

impl Peaks {
    /// Peaks from plain numbers, `[image][point][candidate][x, y, likelihood]`, for tests and tools.
    #[must_use]
    pub fn from_rows(points: usize, candidates: usize, values: Vec<f32>) -> Self {
        Self { points, candidates, values }
    }

    /// How many images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.values.len() / self.row_length().max(1)
    }

    /// How many points each.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// How many places of each point there are room for, the best first.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    fn row_length(&self) -> usize {
        self.points * self.candidates * 3
    }

    /// One image: `[point][candidate][x, y, likelihood]`, in pixels of the network's input. NaN where a point has
    /// fewer candidates. Empty beyond the end.
    #[must_use]
    pub fn row(&self, image: usize) -> &[f32] {
        let n = self.row_length();
        self.values.get(image * n..(image + 1) * n).unwrap_or(&[])
    }

    /// The best place of one point and its likelihood (0 to 1).
    #[must_use]
    pub fn get(&self, image: usize, point: usize) -> Option<(Keypoint, f64)> {
        let at = point * self.candidates * 3;
        let v = self.row(image).get(at..at + 3).filter(|_| point < self.points)?;
        Some((Keypoint::new(f64::from(v[0]), f64::from(v[1])), f64::from(v[2])))
    }

    /// All values, image after image.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Moves and scales positions, image by image: x to `scale` x + `shift`, as when the network saw only a part of a
    /// picture, or a smaller one.
    pub fn place(&mut self, image: usize, scale: [f64; 2], shift: [f64; 2]) {
        let n = self.row_length();
        #[allow(clippy::cast_possible_truncation)] // tracks are f32
        for v in self.values.get_mut(image * n..(image + 1) * n).unwrap_or_default().chunks_exact_mut(3) {
            v[0] = (f64::from(v[0]) * scale[0] + shift[0]) as f32;
            v[1] = (f64::from(v[1]) * scale[1] + shift[1]) as f32;
        }
    }
}

/// Peaks still on the device that computes them.
#[derive(Debug)]
pub struct PeaksAhead {
    /// `[N, K, candidates, 3]`, fp32.
    values: Tensor,
}

impl PeaksAhead {
    /// Waits for them and brings them here.
    ///
    /// # Errors
    /// [`crate::Kind::Compute`] when the network's output is not a number, or the device failed.
    pub fn wait(self) -> Result<Peaks> {
        let (_, points, candidates, _) = self.values.size4()?;
        let all = no_grad(|| self.values.f_to_device(Device::Cpu)?.f_contiguous())?;
        let mut values = vec![0.0_f32; all.numel()];
        all.f_copy_data(&mut values, all.numel())?;
        let candidates = usize::try_from(candidates).unwrap_or(1);
        let best = values.chunks_exact(3 * candidates.max(1));
        if best.clone().any(|c| c[..3].iter().any(|v| !v.is_finite())) {
            return Err(Error::new(ErrorKind::Compute, "the network's output is not a number")
                .mend("use --precision fp32 or bf16; if that does not help, train again with a smaller learning rate"));
        }
        Ok(Peaks { points: usize::try_from(points).unwrap_or(0), candidates, values })
    }
}

/// The highest cell of each heatmap, refined by the offsets: each cell points to x = (i + 0.5) stride + `locref_std`
/// dx, as DeepLabCut decodes. Where a neighbour is nearly as high, their positions are averaged by how near.
///
/// # Errors
/// [`crate::Kind::Compute`] when the maps' shapes do not fit, or hold what is no number.
pub fn decode(maps: &Heatmaps, locref_std: f64, score: Score) -> Result<Peaks> {
    decode_ahead(maps, locref_std, score, None, 1)?.wait()
}

/// As [`decode`], without waiting, and with the `candidates` highest of the local maxima of each heatmap. Runs where
/// the heatmaps are; only `[N, K, candidates, 3]` numbers come back. With a `calibration` the likelihoods of a
/// [`Score::Sigmoid`] network are chances; those of the other kind stay as they are.
///
/// # Errors
/// As [`decode`]; [`crate::Kind::Usage`] for 0 candidates.
pub fn decode_ahead(
    maps: &Heatmaps,
    locref_std: f64,
    score: Score,
    calibration: Option<&Calibration>,
    candidates: usize,
) -> Result<PeaksAhead> {
    no_grad(|| {
        let (n, k, h, w) = maps.logits.size4()?;
        if maps.offsets.size() != [n, 2 * k, h, w] {
            return Err(Error::new(ErrorKind::Compute, "heatmaps and offsets are of different sizes"));
        }
        if candidates == 0 {
            return Err(Error::new(ErrorKind::Usage, "0 candidates are none").mend("ask for 1 or more"));
        }
        let logits = maps.logits.f_to_kind(Kind::Float)?.f_contiguous()?;
        let cells = logits.f_view([n, k, h * w])?;
        let (best, index) = if candidates == 1 {
            let (best, index) = cells.f_max_dim(2, true)?;
            (best, index)
        } else {
            local_maxima(&logits, to_i64(candidates))?
        };
        let c = best.size().get(2).copied().unwrap_or(1);
        let likelihood = match score {
            Score::Sigmoid => match calibration {
                Some(map) => best.f_mul_scalar(map.slope)?.f_add_scalar(map.offset)?.f_sigmoid()?,
                None => best.f_sigmoid()?,
            },
            Score::Raw => best.f_clamp(0.0, 1.0)?,
        };
        let row = index.f_floor_divide_scalar(w)?;
        let column = index.f_remainder(w)?;
        let offsets = maps.offsets.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([n, k, 2, h * w])?;

        // The cells that have a say, [N, K, c, s]: their columns and rows, and whether they are inside.
        let around: &[i64] = if score == Score::Sigmoid { &[-1, 0, 1] } else { &[0] };
        let steps = |of: fn(i64, i64) -> i64| -> Vec<i64> {
            around.iter().flat_map(|&dy| around.iter().map(move |&dx| of(dx, dy))).collect()
        };
        let device = logits.device();
        let to =
            |steps: Vec<i64>| -> Result<Tensor> { Ok(Tensor::f_from_slice(&steps)?.f_to_device(device)?) };
        let columns = column.f_unsqueeze(3)?.f_add(&to(steps(|dx, _| dx))?)?;
        let rows = row.f_unsqueeze(3)?.f_add(&to(steps(|_, dy| dy))?)?;
        let s = to_i64(around.len() * around.len());
        let (inner_columns, inner_rows) = (columns.f_clamp(0, w - 1)?, rows.f_clamp(0, h - 1)?);
        let inside = inner_columns.f_eq_tensor(&columns)?.f_logical_and(&inner_rows.f_eq_tensor(&rows)?)?;
        let cell = inner_rows.f_mul_scalar(w)?.f_add(&inner_columns)?.f_view([n, k, c * s])?;
        // 1 for the best cell, falling to 0 for those SHARED below it.
        let below = best.f_unsqueeze(3)?.f_sub(&cells.f_gather(2, &cell, false)?.f_view([n, k, c, s])?)?;
        let say = below
            .f_mul_scalar(-1.0 / SHARED)?
            .f_add_scalar(1.0)?
            .f_clamp(0.0, 1.0)?
            .f_mul(&inside.f_to_kind(Kind::Float)?)?;
        let whole = say.f_sum_dim_intlist([3_i64].as_slice(), false, Kind::Float)?;
        let place = |axis: i64, at: &Tensor| -> Result<Tensor> {
            let to = offsets.f_select(2, axis)?.f_gather(2, &cell, false)?.f_view([n, k, c, s])?;
            let stride = f64::from(u32::try_from(maps.stride).unwrap_or(u32::MAX));
            let centre = at.f_to_kind(Kind::Float)?.f_add_scalar(0.5)?.f_mul_scalar(stride)?;
            let voted = to.f_mul_scalar(locref_std)?.f_add(&centre)?.f_mul(&say)?;
            Ok(voted.f_sum_dim_intlist([3_i64].as_slice(), false, Kind::Float)?.f_div(&whole)?)
        };
        let (x, y) = (place(0, &inner_columns)?, place(1, &inner_rows)?);
        let mut values = Tensor::f_stack(&[x, y, likelihood], 3)?;
        if candidates > 1 {
            // Places that are no local maximum came as -inf.
            let none = best.f_isinf()?.f_unsqueeze(3)?;
            values = values.f_masked_fill(&none, f64::NAN)?;
            let missing = to_i64(candidates) - c;
            if missing > 0 {
                values = values.f_constant_pad_nd([0, 0, 0, missing])?;
                let _ = values.f_narrow(2, c, missing)?.f_fill_(f64::NAN)?;
            }
        }
        Ok(PeaksAhead { values })
    })
}

/// The highest cells that no neighbour tops, best first: values (-inf where there are fewer) and places `[N, K, c]`.
fn local_maxima(logits: &Tensor, candidates: i64) -> Result<(Tensor, Tensor)> {
    let (n, k, h, w) = logits.size4()?;
    let highest = logits.f_max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)?;
    let lower = logits.f_lt_tensor(&highest)?;
    let peaks = logits.f_masked_fill(&lower, f64::NEG_INFINITY)?.f_view([n, k, h * w])?;
    Ok(peaks.f_topk(candidates.min(h * w), 2, true, true)?)
}

impl Heatmaps {
    /// Heatmaps from plain numbers (`[image][point][row][column]`, and offsets `[image][2 point][row][column]`), for
    /// tests and tools; `None` when the lengths do not fit.
    #[must_use]
    pub fn from_values(shape: [usize; 4], logits: &[f32], offsets: &[f32], stride: usize) -> Option<Self> {
        let [n, k, h, w] = shape.map(to_i64);
        let logits = Tensor::f_from_slice(logits).ok()?.f_view([n, k, h, w]).ok()?;
        let offsets = Tensor::f_from_slice(offsets).ok()?.f_view([n, 2 * k, h, w]).ok()?;
        Some(Self { logits, offsets, stride })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images, two points, 3 x 4 cells; one peak each, set by hand.
    fn maps() -> Heatmaps {
        let (h, w) = (3, 4);
        let mut logits = vec![-5.0; 2 * 2 * h * w];
        let mut offsets = vec![9.0; 2 * 4 * h * w]; // of cells that must not be looked at
        let peaks = [(0, 0, 1, 2, 3.0), (0, 1, 2, 3, -1.0), (1, 0, 0, 0, 0.0), (1, 1, 2, 0, 30.0)];
        for (n, k, y, x, logit) in peaks {
            logits[((n * 2 + k) * h + y) * w + x] = logit;
            offsets[((n * 4 + 2 * k) * h + y) * w + x] = 0.25;
            offsets[((n * 4 + 2 * k + 1) * h + y) * w + x] = -0.5;
        }
        Heatmaps::from_values([2, 2, h, w], &logits, &offsets, 8).unwrap()
    }

    #[test]
    fn peaks_of_a_map_made_by_hand() {
        let peaks = decode(&maps(), LOCREF_STD, Score::Sigmoid).unwrap();
        assert_eq!((peaks.images(), peaks.points()), (2, 2));
        let expected = [
            (0, 0, 2.5 * 8.0, 1.5 * 8.0, 1.0 / (1.0 + (-3.0_f64).exp())),
            (0, 1, 3.5 * 8.0, 2.5 * 8.0, 1.0 / (1.0 + 1.0_f64.exp())),
            (1, 0, 0.5 * 8.0, 0.5 * 8.0, 0.5),
            (1, 1, 0.5 * 8.0, 2.5 * 8.0, 1.0),
        ];
        for (n, k, x, y, p) in expected {
            let (at, likelihood) = peaks.get(n, k).unwrap();
            let wanted = Keypoint::new(x + 0.25 * LOCREF_STD, y - 0.5 * LOCREF_STD);
            assert!(at.distance(wanted) < 1e-4, "{at:?} {wanted:?}");
            assert!((likelihood - p).abs() < 1e-5, "{likelihood} {p}");
        }
        let raw = decode(&maps(), 0.0, Score::Raw).unwrap();
        let likelihoods: Vec<_> = raw.values().iter().skip(2).step_by(3).copied().collect();
        assert_eq!(likelihoods, [1.0, 0.0, 0.0, 1.0]);
        assert!(peaks.get(2, 0).is_none() && peaks.get(0, 2).is_none());
    }

    #[test]
    fn neighbours_nearly_as_high_share_the_position() {
        // Cells 1 and 2 of one row point to 10 and 12 pixels; far cells do not count.
        let (stride, off) = (8, |cell: f32, to: f32| (to - (cell + 0.5) * 8.0) / 2.0);
        let x = |left: f32, right: f32| {
            let logits = [-9.0, left, right, -9.0];
            let offsets = [0.0, off(1.0, 10.0), off(2.0, 12.0), 0.0, 0.0, 0.0, 0.0, 0.0];
            let maps = Heatmaps::from_values([1, 1, 1, 4], &logits, &offsets, stride).unwrap();
            decode(&maps, 2.0, Score::Sigmoid).unwrap().get(0, 0).unwrap().0.x
        };
        assert!((x(3.0, 3.0) - 11.0).abs() < 1e-5);
        assert!((x(3.0, 2.5) - (10.0 + 0.75 * 12.0) / 1.75).abs() < 1e-5);
        assert!((x(3.0, 0.9) - 10.0).abs() < 1e-5 && (x(0.9, 3.0) - 12.0).abs() < 1e-5);
        assert!((x(3.0, 3.001) - x(3.001, 3.0)).abs() < 0.01, "no jump where the order changes");
    }

    #[test]
    fn candidates_are_the_local_maxima() {
        let m = maps();
        // A second and a third peak of image 0, point 0; its first neighbour is no peak although it is high.
        let _ = m.logits.get(0).get(0).get(1).get(1).fill_(2.9);
        let _ = m.logits.get(0).get(0).get(2).get(0).fill_(1.0);
        let peaks = decode_ahead(&m, 0.0, Score::Raw, None, 3).unwrap().wait().unwrap();
        assert_eq!((peaks.images(), peaks.points(), peaks.candidates()), (2, 2, 3));
        let row = peaks.row(0);
        assert_eq!(row[..3], [20.0, 12.0, 1.0]);
        assert_eq!(peaks.get(0, 0).unwrap().0, Keypoint::new(20.0, 12.0));
        let best = decode(&m, 0.0, Score::Raw).unwrap();
        for (image, point) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert_eq!(best.get(image, point), peaks.get(image, point));
        }
        assert!(best.get(2, 0).is_none() && best.get(0, 2).is_none() && peaks.get(0, 2).is_none());
        // More than there are cells: the rest is nothing.
        let many = decode_ahead(&m, 0.0, Score::Raw, None, 20).unwrap().wait().unwrap();
        assert!(many.row(0)[19 * 3].is_nan() && !many.row(0)[0].is_nan());
        assert!(decode_ahead(&m, 0.0, Score::Raw, None, 0).is_err());
        let mut moved = best.clone();
        moved.place(0, [2.0, 0.5], [1.0, -1.0]);
        assert_eq!(moved.get(0, 0).unwrap().0, Keypoint::new(41.0, 5.0));
        assert_eq!(moved.get(1, 0), best.get(1, 0));
    }

    #[test]
    fn a_calibration_makes_chances_of_likelihoods() {
        let map = Calibration { within_px: 5.0, slope: 0.5, offset: 2.0 };
        let [own, chance] = [None, Some(&map)]
            .map(|map| decode_ahead(&maps(), 0.0, Score::Sigmoid, map, 2).unwrap().wait().unwrap());
        for (a, b) in own.values().chunks_exact(3).zip(chance.values().chunks_exact(3)) {
            assert!(a[0].is_nan() == b[0].is_nan() && (a[0].is_nan() || a[..2] == b[..2]));
            let wanted = map.apply(f64::from(a[2]));
            assert!(a[2].is_nan() || (f64::from(b[2]) - wanted).abs() < 1e-4, "{a:?} {b:?} {wanted}");
        }
        let raw = decode_ahead(&maps(), 0.0, Score::Raw, Some(&map), 1).unwrap().wait().unwrap();
        assert_eq!(raw, decode(&maps(), 0.0, Score::Raw).unwrap());
    }

    #[test]
    fn no_numbers_are_an_error() {
        let mut m = maps();
        m.logits *= f64::NAN;
        assert_eq!(decode(&m, 1.0, Score::Sigmoid).unwrap_err().kind(), ErrorKind::Compute);
        m.offsets = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        assert!(decode(&m, 1.0, Score::Sigmoid).is_err());
    }
}
