use super::decode::{LOCREF_STD, Peaks, PeaksAhead, decode_ahead};
use super::frames::Frames;
use super::head::to_i64;
use super::layers::Mode;
use super::precision::Precision;
use super::{Calibration, Device, Folded, Net};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::picture::Picture;
use std::ops::Range;
use std::time::Instant;
use tch::{Kind, Tensor, no_grad};

/// A part of a picture, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// Its left column.
    pub x: usize,
    /// Its upper row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// How the network looks at frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Frames are made this much smaller (or larger) first; 1 leaves them as they are.
    pub resize: f64,
    /// How many places of each point are wanted, the best first.
    pub candidates: usize,
}

impl Default for Look {
    fn default() -> Self {
        Self { resize: 1.0, candidates: 1 }
    }
}

/// Finds keypoints in whole pictures.
///
/// Bytes cross to the device and are normalised there, and only the peaks come back.
#[derive(Debug)]
pub struct Predictor {
    net: Folded,
    calibration: Option<Calibration>,
}

/// Peaks that the device is still computing.
#[derive(Debug)]
pub struct Ahead {
    peaks: PeaksAhead,
    scale: [f64; 2],
    shifts: Vec<[f64; 2]>,
}

impl Ahead {
    /// Waits for them; positions are in pixels of the whole frames.
    ///
    /// # Errors
    /// [`crate::Kind::Compute`] when the network's output is not a number, or the device failed.
    pub fn wait(self) -> Result<Peaks> {
        let mut peaks = self.peaks.wait()?;
        if self.scale != [1.0; 2] || self.shifts.iter().any(|s| *s != [0.0; 2]) {
            for (image, shift) in self.shifts.iter().enumerate() {
                peaks.place(image, self.scale, *shift);
            }
        }
        Ok(peaks)
    }
}

impl Predictor {
    /// Makes a network ready to predict in `precision`.
    ///
    /// # Errors
    /// When its device does not compute in that precision, or memory is short.
    pub fn new(net: Net, precision: Precision) -> Result<Self> {
        let precision = precision.check(net.device())?;
        let mode = Mode { exact_stages: net.exact_stages(precision), ..Mode::eval(precision.kind()) };
        Ok(Self { net: net.fold(mode)?, calibration: None })
    }

    /// From now on likelihoods are chances, as the model was calibrated; without a calibration they are the network's own.
    #[must_use]
    pub fn calibrated(self, calibration: Option<Calibration>) -> Self {
        Self { calibration, ..self }
    }

    /// The best position of every point in every picture, in pixels of the picture. All pictures of a call must be
    /// of one size.
    ///
    /// # Errors
    /// When sizes differ or memory is short.
    pub fn predict(&self, pictures: &[&Picture]) -> Result<Peaks> {
        let frames = Frames::of(pictures, Device::Cpu)?;
        self.submit(&frames, 0..frames.len(), &[], Look::default())?.wait()
    }

    /// Begins with a batch. On a GPU this returns before it is computed; `frames` must not be written to until
    /// [`Ahead::wait`] is done.
    ///
    /// `which`: the frames of the batch that are meant. `windows`: the part of each of them to look at, all of one
    /// size; the whole frames when empty.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when windows do not fit the frames; [`crate::Kind::Memory`] when memory is short.
    pub(crate) fn submit(
        &self,
        frames: &Frames,
        which: Range<usize>,
        windows: &[Window],
        look: Look,
    ) -> Result<Ahead> {
        no_grad(|| {
            let count = which.len();
            let bytes = self.to_device(&parts(frames, which, windows)?)?;
            let mut image = self.net.normalise(&bytes)?;
            let (_, _, h, w) = image.size4()?;
            let small = [w, h].map(|side| smaller(side, look.resize));
            let scale = [w as f64 / small[0] as f64, h as f64 / small[1] as f64];
            if small != [w, h] {
                image = image.f_internal_upsample_bilinear2d_aa([small[1], small[0]], false, None, None)?;
            }
            let maps = self.net.forward(&image)?;
            let score = self.net.spec().head.score;
            let peaks = decode_ahead(&maps, LOCREF_STD, score, self.calibration.as_ref(), look.candidates)?;
            let shifts =
                (0..count).map(|i| windows.get(i).map_or([0.0; 2], |w| [w.x as f64, w.y as f64])).collect();
            Ok(Ahead { peaks, scale, shifts })
        })
    }

    /// Does not wait for the copy where the memory is page-locked.
    fn to_device(&self, bytes: &Tensor) -> Result<Tensor> {
        let device = self.net.device();
        if !device.is_cuda() {
            return Ok(bytes.shallow_clone());
        }
        Ok(bytes.f_internal_to_copy((bytes.kind(), device), true)?)
    }

    /// Frames per second of the network's forward pass alone, on a batch that lies on the device already: no decoding,
    /// no conversion, no copies, no peaks. Nothing that uses this network can be faster.
    ///
    /// # Errors
    /// [`crate::Kind::Memory`] when memory is short.
    pub fn ceiling(&self, batch: usize, (w, h): (usize, usize), seconds: f64) -> Result<f64> {
        no_grad(|| {
            let device = self.net.device();
            let bytes = Tensor::f_randint(256, [batch, h, w, 3].map(to_i64), (Kind::Uint8, Device::Cpu))?;
            let image = self.net.normalise(&self.to_device(&bytes)?)?;
            let wait = || {
                if let Device::Cuda(index) = device {
                    tch::Cuda::synchronize(to_i64(index));
                }
            };
            for _ in 0..2 {
                self.net.forward(&image)?; // the first ones prepare
            }
            wait();
            let (began, mut count) = (Instant::now(), 0_usize);
            while count < 3 || began.elapsed().as_secs_f64() < seconds {
                self.net.forward(&image)?;
                count += batch;
                if count.is_multiple_of(8 * batch) {
                    wait(); // kernels are queued without bound else
                }
            }
            wait();
            #[allow(clippy::cast_precision_loss)] // a count
            let count = count as f64;
            Ok(count / began.elapsed().as_secs_f64().max(1e-9))
        })
    }

    /// The network inside.
    #[must_use]
    pub fn net(&self) -> &Folded {
        &self.net
    }
}

fn parts(frames: &Frames, which: Range<usize>, windows: &[Window]) -> Result<Tensor> {
    let count = which.len();
    let all = frames.some(which)?;
    let Some(first) = windows.first() else { return Ok(all) };
    let fits = |w: &Window| {
        (w.width, w.height) == (first.width, first.height)
            && w.width * w.height > 0
            && w.x + w.width <= frames.width()
            && w.y + w.height <= frames.height()
    };
    if windows.len() != count || !windows.iter().all(fits) {
        return Err(Error::new(ErrorKind::Usage, "the windows do not fit the frames"));
    }
    let cut = |of: &Tensor, w: &Window| -> Result<Tensor> {
        Ok(of.f_narrow(1, to_i64(w.y), to_i64(w.height))?.f_narrow(2, to_i64(w.x), to_i64(w.width))?)
    };
    if windows.iter().all(|w| w == first) {
        // In one piece: what follows would lay out floats otherwise, at four times the cost.
        return Ok(cut(&all, first)?.f_contiguous()?);
    }
    let parts = windows
        .iter()
        .enumerate()
        .map(|(i, w)| cut(&all.f_narrow(0, to_i64(i), 1)?, w))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_cat(&parts, 0)?)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // sides of pictures
fn smaller(side: i64, by: f64) -> i64 {
    ((side as f64 * by).round() as i64).max(1)
}
