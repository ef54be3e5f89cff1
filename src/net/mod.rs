//! The network: backbone, head, decoding, pretrained weights and the model bundle on disk.
//!
//! Everything that touches tensors is behind the feature `torch`. Weights are fp32 and kept by name in [`Params`];
//! a forward pass is told by a [`Mode`] what to compute in.
//!
//! ```
//! use limn::net::{Device, HeadSpec, Kind, Mode, Net, NetSpec, Tensor, decode};
//! let spec = NetSpec {
//!     net: "efficientnet_lite0".into(),
//!     backbone_stride: 16,
//!     output_stride: 8,
//!     points: 3,
//!     head: HeadSpec::default(),
//! };
//! let net = Net::new(&spec, Device::Cpu, 7)?;
//! let image = Tensor::zeros([1, 3, 64, 96], (Kind::Float, Device::Cpu));
//! let maps = net.forward(&image, Mode::eval(Kind::Float))?;
//! assert_eq!(maps.logits.size(), [1, 3, 8, 12]);
//! let peaks = decode(&maps, 7.2801, spec.head.score)?;
//! assert_eq!(peaks.row(0).len(), 3 * 3); // x, y, likelihood
//! # Ok::<(), limn::Error>(())
//! ```

pub mod device;
pub mod weights;

mod accuracy;
mod backbone;
mod bundle;
mod busy;
mod calibration;
mod decode;
mod ensemble;
mod frames;
mod fused;
mod head;
mod layers;
mod params;
mod pickle;
mod precision;
mod predictor;
mod registry;

pub use accuracy::Accuracy;
pub use backbone::{Backbone, Features};
pub use bundle::{Bundle, Card, SCHEMA, Settings, SkeletonCard, Training, weights_file};
pub use busy::Busy;
pub use calibration::{Calibration, logit, sigmoid};
pub use decode::{LOCREF_STD, Peaks, PeaksAhead, decode, decode_ahead};
pub use ensemble::{RADIUS_90, Spread, spread_around};
pub use frames::Frames;
pub(crate) use fused::script;
pub use head::{Head, HeadSpec, Heatmaps, Score, Upsample};
pub use layers::{Act, Conv, ConvNorm, ConvShape, Mode, Norm, Padding, channels_last};
#[cfg(test)]
pub(crate) use params::testing_params;
pub use params::{Param, Params, Role, load_tensors, save_tensors};
pub use precision::Precision;
pub use predictor::{Ahead, Look, Predictor, Window};
pub use registry::{Entry, registry};
pub use tch::{Device, Kind, Tensor};

use crate::error::{Error, Kind as ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tch::no_grad;

/// What a network is built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetSpec {
    /// The backbone's name in the registry, such as `resnet_50`.
    pub net: String,
    /// Input pixels per cell of the backbone's deepest map: 8, 16 or 32.
    pub backbone_stride: usize,
    /// Input pixels per cell of the heatmaps: 4, 8, 16 or 32, not above `backbone_stride`.
    pub output_stride: usize,
    /// How many points it finds.
    pub points: usize,
    /// The decoder.
    #[serde(default)]
    pub head: HeadSpec,
}

/// A pose network: backbone and head, with all their weights.
#[derive(Debug)]
pub struct Net {
    spec: NetSpec,
    params: Params,
    backbone: Backbone,
    head: Head,
    /// `[1, 3, 1, 1]` each: bytes times `scale` plus `shift` are normalised.
    scale: Tensor,
    shift: Tensor,
}

impl Net {
    /// A network with random weights (He et al. 2015), the same for the same `seed`.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when `spec` is not possible, [`crate::Kind::Memory`] when memory is short.
    pub fn new(spec: &NetSpec, device: Device, seed: u64) -> Result<Self> {
        Self::build(spec, device, Some(seed))
    }

    /// A network whose weights are all zero, to be loaded.
    ///
    /// # Errors
    /// As [`Net::new`].
    pub fn blank(spec: &NetSpec, device: Device) -> Result<Self> {
        Self::build(spec, device, None)
    }

    fn build(spec: &NetSpec, device: Device, seed: Option<u64>) -> Result<Self> {
        let entry = Entry::find(&spec.net)?;
        let mut params = Params::new(device);
        let backbone = Backbone::new(&mut params, &spec.net, spec.backbone_stride, seed)?;
        let head = Head::new(&mut params, &spec.head, &backbone, spec.output_stride, spec.points, seed)?;
        let (scale, shift) = constants(entry.mean, entry.std, device)?;
        Ok(Self { spec: spec.clone(), params, backbone, head, scale, shift })
    }

    /// Sets other normalisation constants (of R, G, B in 0..1) than the registry's.
    pub(crate) fn normalise_by(&mut self, mean: [f64; 3], std: [f64; 3]) -> Result<()> {
        (self.scale, self.shift) = constants(mean, std, self.device())?;
        Ok(())
    }

    /// What it is built from.
    #[must_use]
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// Its weights.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.params.device()
    }

    /// How many first stages of the backbone there are to freeze ([`Mode::frozen_stages`]).
    #[must_use]
    pub fn stages(&self) -> usize {
        self.backbone.stages()
    }

    /// How many first stages of the backbone must be computed in fp32 so that points stay within a tenth of a pixel of
    /// where fp32 has them.
    ///
    /// bf16 has 8 bits. In EfficientNet-Lites the first depthwise convolutions take large activations that cancel each
    /// other, and lose up to 0.2 px by it (measured on a mouse, stage by stage); ResNets begin with a dense 7x7 one.
    pub(crate) fn exact_stages(&self, precision: Precision) -> usize {
        let sensitive = self.spec.net.starts_with("efficientnet");
        if precision == Precision::Bf16 && sensitive { 4 } else { 0 }
    }

    /// Pictures as bytes, `[N, H, W, 3]` RGB, to the network's input, `[N, 3, H, W]`, on its device.
    ///
    /// # Errors
    /// When the shape is another or memory is short.
    pub fn normalise(&self, rgb: &Tensor) -> Result<Tensor> {
        no_grad(|| {
            // Bytes cross to the device, a quarter of what floats would be; the permuted view is channels-last as it is.
            let x = rgb.f_to_device(self.device())?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
            Ok(self.shift.f_addcmul(&x, &self.scale)?)
        })
    }

    /// From `[N, 3, H, W]` (normalised, on the network's device, any size) to heatmaps of `ceil(H / stride)` by
    /// `ceil(W / stride)` cells.
    ///
    /// # Errors
    /// When the shape is another or memory is short.
    pub fn forward(&self, image: &Tensor, mode: Mode) -> Result<Heatmaps> {
        let (h, w) = layers::height_width(image)?;
        let coarse = head::to_i64(self.spec.backbone_stride);
        let missing = |size: i64| (coarse - size % coarse) % coarse;
        let padded = missing(h) > 0 || missing(w) > 0;
        let features = if padded {
            let image = image.f_constant_pad_nd([0, missing(w), 0, missing(h)])?;
            self.backbone.forward(&image, mode)?
        } else {
            self.backbone.forward(image, mode)?
        };
        // The head is new: its norms have no pretrained statistics to keep.
        let mut maps = self.head.forward(&features, Mode { frozen_bn: false, ..mode })?;
        if padded {
            let stride = head::to_i64(maps.stride);
            let cut = |t: &Tensor| {
                t.f_narrow(2, 0, (h + stride - 1) / stride)?.f_narrow(3, 0, (w + stride - 1) / stride)
            };
            maps.logits = cut(&maps.logits)?;
            maps.offsets = cut(&maps.offsets)?;
        }
        Ok(maps)
    }

    /// This network made ready for inference alone: norms folded into the convolutions, weights cast to
    /// `mode.compute`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn fold(mut self, mode: Mode) -> Result<Folded> {
        self.backbone.fold(mode)?;
        self.head.fold(mode)?;
        Ok(Folded { net: self, mode: Mode { train: false, ..mode } })
    }
}

/// Scale and shift of 0..255 bytes for a mean and a standard deviation of 0..1 values.
fn constants(mean: [f64; 3], std: [f64; 3], device: Device) -> Result<(Tensor, Tensor)> {
    let make = |v: [f64; 3]| -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&v)?.f_view([1, 3, 1, 1])?.f_to_kind(Kind::Float)?.f_to_device(device)?)
    };
    let scale = std.map(|s| 1.0 / (255.0 * s));
    let shift = std::array::from_fn(|i| -mean[i] / std[i]);
    Ok((make(scale)?, make(shift)?))
}

/// A network for inference; see [`Net::fold`].
#[derive(Debug)]
pub struct Folded {
    net: Net,
    mode: Mode,
}

impl Folded {
    /// As [`Net::forward`] in evaluation, without gradients.
    ///
    /// # Errors
    /// As [`Net::forward`].
    pub fn forward(&self, image: &Tensor) -> Result<Heatmaps> {
        no_grad(|| self.net.forward(image, self.mode))
    }

    /// As [`Net::normalise`].
    ///
    /// # Errors
    /// As [`Net::normalise`].
    pub fn normalise(&self, rgb: &Tensor) -> Result<Tensor> {
        self.net.normalise(rgb)
    }

    /// What it is built from.
    #[must_use]
    pub fn spec(&self) -> &NetSpec {
        self.net.spec()
    }

    /// Where it computes.
    #[must_use]
    pub fn device(&self) -> Device {
        self.net.device()
    }
}

/// Makes a libtorch error one of ours: its first line, and a mend where the cause is known.
pub(crate) fn torch_error(e: tch::TchError) -> Error {
    let text = e.to_string();
    let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("unknown error").trim();
    // The last two are all that oneDNN says when it finds no memory for its kernels.
    const SHORT: [&str; 7] = [
        "out of memory",
        "can't allocate memory",
        "bad_alloc",
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "could not create a primitive",
        "could not execute a primitive",
    ];
    let error = if SHORT.iter().any(|s| text.contains(s)) {
        Error::new(ErrorKind::Memory, format!("memory is short for the network: {first}"))
            .mend("use a smaller batch, a smaller image or --device cpu, and close other programs")
    } else {
        Error::new(ErrorKind::Compute, format!("libtorch failed: {first}"))
    };
    error.because(e)
}

impl From<tch::TchError> for Error {
    fn from(e: tch::TchError) -> Self {
        torch_error(e)
    }
}
