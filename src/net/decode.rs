use super::head::{Heatmaps, Score, to_i64};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pose::Keypoint;
use tch::{Device, Kind, Tensor, no_grad};

/// The standard deviation, in pixels, that offsets are given in (DeepLabCut's `locref_stdev`).
pub const LOCREF_STD: f64 = 7.2801;

/// The best position of every point in every image of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Peaks {
    points: usize,
    values: Vec<f32>,
}

impl Peaks {
    /// How many images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.values.len() / (self.points * 3).max(1)
    }

    /// How many points each.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// One image: `[point][x, y, likelihood]`, in pixels of the network's input. Empty beyond the end.
    #[must_use]
    pub fn row(&self, image: usize) -> &[f32] {
        let n = self.points * 3;
        self.values.get(image * n..(image + 1) * n).unwrap_or(&[])
    }

    /// One point and its likelihood (0 to 1).
    #[must_use]
    pub fn get(&self, image: usize, point: usize) -> Option<(Keypoint, f64)> {
        let v = self.row(image).get(point * 3..point * 3 + 3)?;
        Some((Keypoint::new(f64::from(v[0]), f64::from(v[1])), f64::from(v[2])))
    }

    /// All values, image after image.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// The highest cell of each heatmap, refined by its offset: x = (i + 0.5) stride + `locref_std` dx, as DeepLabCut
/// decodes. Runs where the heatmaps are; only `[N, K, 3]` numbers come back.
///
/// # Errors
/// [`crate::Kind::Compute`] when the maps' shapes do not fit, or hold what is no number.
pub fn decode(maps: &Heatmaps, locref_std: f64, score: Score) -> Result<Peaks> {
    no_grad(|| {
        let (n, k, h, w) = maps.logits.size4()?;
        if maps.offsets.size() != [n, 2 * k, h, w] {
            return Err(Error::new(ErrorKind::Compute, "heatmaps and offsets are of different sizes"));
        }
        let stride = f64::from(u32::try_from(maps.stride).unwrap_or(u32::MAX));
        let cells = maps.logits.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([n, k, h * w])?;
        let (best, index) = cells.f_max_dim(2, false)?;
        let likelihood = match score {
            Score::Sigmoid => best.f_sigmoid()?,
            Score::Raw => best.f_clamp(0.0, 1.0)?,
        };
        let offsets = maps.offsets.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([n, k, 2, h * w])?;
        let pick = index.f_view([n, k, 1, 1])?.f_expand([n, k, 2, 1], false)?;
        let offsets = offsets.f_gather(3, &pick, false)?.f_view([n, k, 2])?.f_mul_scalar(locref_std)?;
        let row = index.f_floor_divide_scalar(w)?;
        let column = index.f_remainder(w)?;
        let centres = Tensor::f_stack(&[column, row], 2)?.f_to_kind(Kind::Float)?;
        let xy = centres.f_add_scalar(0.5)?.f_mul_scalar(stride)?.f_add(&offsets)?;
        let all =
            Tensor::f_cat(&[xy, likelihood.f_unsqueeze(2)?], 2)?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut values = vec![0.0_f32; all.numel()];
        all.f_copy_data(&mut values, all.numel())?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::new(ErrorKind::Compute, "the network's output is not a number")
                .mend("use --precision fp32 or bf16; if that does not help, train again with a smaller learning rate"));
        }
        Ok(Peaks { points: usize::try_from(k).unwrap_or(0), values })
    })
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
    fn no_numbers_are_an_error() {
        let mut m = maps();
        m.logits *= f64::NAN;
        assert_eq!(decode(&m, 1.0, Score::Sigmoid).unwrap_err().kind(), ErrorKind::Compute);
        m.offsets = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        assert!(decode(&m, 1.0, Score::Sigmoid).is_err());
    }
}
