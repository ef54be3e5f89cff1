//! The network: backbone, head, decoding, pretrained weights and the model bundle on disk.
//!
//! Everything that touches tensors is behind the feature `torch`. Weights are fp32 and kept by name in [`Params`];
//! a forward pass is told by a [`Mode`] what to compute in.
//!
//! ```
//! use limn::net::{Backbone, Device, Kind, Mode, Params, Tensor};
//! let mut params = Params::new(Device::Cpu);
//! let net = Backbone::new(&mut params, "efficientnet_lite0", 16, Some(7))?;
//! let image = Tensor::zeros([1, 3, 64, 96], (Kind::Float, Device::Cpu));
//! let features = net.forward(&image, Mode::eval(Kind::Float))?;
//! let (stride, deepest) = &features.maps[3];
//! assert_eq!((*stride, deepest.size()), (16, vec![1, 320, 4, 6]));
//! # Ok::<(), limn::Error>(())
//! ```

pub mod device;

mod backbone;
mod layers;
mod params;
mod registry;

pub use backbone::{Backbone, Features};
pub use layers::{Act, Conv, ConvNorm, ConvShape, Mode, Norm, Padding, channels_last};
pub use params::{Param, Params, Role, load_tensors, save_tensors};
pub use registry::{Entry, registry};
pub use tch::{Device, Kind, Tensor};

use crate::error::{Error, Kind as ErrorKind};

/// Makes a libtorch error one of ours: its first line, and a mend where the cause is known.
pub(crate) fn torch_error(e: tch::TchError) -> Error {
    let text = e.to_string();
    let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("unknown error").trim();
    let error = if text.contains("out of memory") || text.contains("can't allocate memory") {
        Error::new(ErrorKind::Compute, format!("memory is short for the network: {first}"))
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
