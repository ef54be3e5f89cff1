use super::device;
use crate::error::{Error, Kind as ErrorKind, Result};
use std::fmt;
use std::str::FromStr;
use tch::{Device, Kind};

/// The number format activations are computed in; weights are always kept in fp32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats: the reference.
    Fp32,
    /// 16-bit floats with the range of fp32.
    Bf16,
    /// 16-bit floats with more digits and less range; CUDA only.
    Fp16,
}

impl Precision {
    /// The one to train in on `device`: bf16 where there is a choice, whose range needs no scaling of the loss.
    #[must_use]
    pub fn to_train(device: Device) -> Self {
        match device::best_compute(device) {
            Kind::BFloat16 => Self::Bf16,
            Kind::Half => Self::Fp16,
            _ => Self::Fp32,
        }
    }

    /// The fastest one on `device` that is as good as fp32 for poses.
    #[must_use]
    pub fn best(device: Device) -> Self {
        match (device, device::best_compute(device)) {
            // Tensor cores take both at one speed, and fp16 has three bits more.
            (Device::Cuda(_), Kind::BFloat16 | Kind::Half) => Self::Fp16,
            (_, Kind::BFloat16) => Self::Bf16,
            _ => Self::Fp32,
        }
    }

    /// As libtorch calls it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::Fp16 => Kind::Half,
        }
    }

    /// Whether `device` computes in it at all.
    ///
    /// # Errors
    /// [`crate::Kind::Device`] for fp16 on a CPU.
    pub fn check(self, device: Device) -> Result<Self> {
        if self == Self::Fp16 && !device.is_cuda() {
            return Err(Error::new(ErrorKind::Device, "fp16 is not computed on this CPU")
                .mend("use --precision bf16 or fp32"));
        }
        Ok(self)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "fp32" => Ok(Self::Fp32),
            "bf16" => Ok(Self::Bf16),
            "fp16" => Ok(Self::Fp16),
            other => Err(Error::new(ErrorKind::Usage, format!("`{other}` is no precision"))
                .mend("use fp32, bf16 or fp16")),
        }
    }
}
