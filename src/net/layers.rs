use super::fused::{self, Geometry, Packs};
use super::params::{Init, Params, Role};
use crate::error::Result;
use std::cell::RefCell;
use tch::{CModule, Device, Kind, Tensor, no_grad};

/// How a forward pass is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// Batch norm uses and updates batch statistics.
    pub train: bool,
    /// What activations are computed in: `Float`, `BFloat16` or `Half`. Weights stay fp32 and are cast on the way.
    pub compute: Kind,
    /// Batch norm uses its running statistics even when training (they are not updated; gains and offsets still are).
    pub frozen_bn: bool,
    /// So many first stages of the backbone (0 is none, 1 the stem, ...) are run without gradients and as in
    /// evaluation, so that their backward pass is never computed.
    pub frozen_stages: usize,
    /// All depthwise convolutions are computed in fp32 whatever `compute` says. Without this, only those are whose
    /// bf16 gradients libtorch's CPU kernels are slow at (see [`Conv`]).
    pub depthwise_f32: bool,
    /// So many first stages of the backbone, and the head, are computed in fp32 whatever `compute` says (in inference):
    /// where rounding to bf16 would move points by more than a tenth of a pixel.
    pub exact_stages: usize,
}

impl Mode {
    /// Inference or validation in `compute`.
    #[must_use]
    pub fn eval(compute: Kind) -> Self {
        Self {
            train: false,
            compute,
            frozen_bn: false,
            frozen_stages: 0,
            depthwise_f32: false,
            exact_stages: 0,
        }
    }

    /// Training in `compute`, all stages, with batch statistics.
    #[must_use]
    pub fn train(compute: Kind) -> Self {
        Self { train: true, ..Self::eval(compute) }
    }

    /// This mode in fp32.
    pub(crate) fn exact(self) -> Self {
        Self { compute: Kind::Float, ..self }
    }

    /// This mode for stage `index` of the backbone.
    pub(crate) fn of_stage(self, index: usize) -> Self {
        if index < self.exact_stages { self.exact() } else { self }
    }

    /// This mode for the head.
    pub(crate) fn of_head(self) -> Self {
        if self.exact_stages > 0 { self.exact() } else { self }
    }

    /// This mode for a frozen stage.
    fn frozen(self) -> Self {
        Self { train: false, ..self }
    }
}

/// The zeros around a convolution's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// As many on every side.
    Each(i64),
    /// TensorFlow's `SAME`: the output is `ceil(input / stride)`, and of an odd count the right and bottom side get
    /// the one more.
    Same,
}

/// What follows a convolution and its norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    None,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Act {
    /// Applies it in place; `x` must be a fresh result.
    pub(crate) fn apply(self, mut x: Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::None => x,
            Self::Relu => x.f_relu_()?,
            Self::Relu6 => x.f_relu6_()?,
        })
    }
}

/// The shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Input channels.
    pub from: i64,
    /// Output channels.
    pub to: i64,
    /// Width and height of the kernel.
    pub kernel: i64,
    /// Step between outputs, in input pixels.
    pub stride: i64,
    /// Zeros around the input.
    pub padding: Padding,
    /// Distance between kernel taps, in input pixels.
    pub dilation: i64,
    /// 1, or `from` for a depthwise convolution.
    pub groups: i64,
}

impl ConvShape {
    /// A plain convolution that keeps the size.
    #[must_use]
    pub fn new(from: i64, to: i64, kernel: i64) -> Self {
        Self { from, to, kernel, stride: 1, padding: Padding::Each(kernel / 2), dilation: 1, groups: 1 }
    }

    /// The same with another stride.
    #[must_use]
    pub fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// The same with another dilation, padded so that it keeps the size.
    #[must_use]
    pub fn dilated(self, dilation: i64) -> Self {
        let padding = match self.padding {
            Padding::Each(_) => Padding::Each(dilation * (self.kernel / 2)),
            same => same,
        };
        Self { dilation, padding, ..self }
    }

    /// The same with TensorFlow's padding.
    #[must_use]
    pub fn same(self) -> Self {
        Self { padding: Padding::Same, ..self }
    }

    /// The same, one kernel per channel.
    #[must_use]
    pub fn depthwise(self) -> Self {
        Self { groups: self.from, ..self }
    }
}

/// A 2-d convolution, with or without bias.
///
/// Depthwise ones trained in bf16 on a CPU stay in fp32 where their step, size or dilation is above the plainest: the
/// bf16 gradients of these take 3 to 10 times as long (measured with libtorch 2.11 on AVX512-BF16), while 3x3 ones of
/// step 1 take half as long.
#[derive(Debug)]
pub struct Conv {
    shape: ConvShape,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Conv {
    /// A convolution named `name` (tensors `name.weight` and `name.bias`), He-initialised by fan-out.
    ///
    /// # Errors
    /// When memory is short or the name is taken.
    pub fn new(
        params: &mut Params,
        name: &str,
        shape: ConvShape,
        bias: bool,
        seed: Option<u64>,
    ) -> Result<Self> {
        #[allow(clippy::cast_precision_loss)] // small numbers
        let fan_out = (shape.to / shape.groups * shape.kernel * shape.kernel) as f64;
        Self::with_std(params, name, shape, bias.then_some(0.0), (2.0 / fan_out).sqrt(), seed)
    }

    /// As [`Conv::new`], with weights of standard deviation `std` and all biases, if any, at one value.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn with_std(
        params: &mut Params,
        name: &str,
        shape: ConvShape,
        bias: Option<f32>,
        std: f64,
        seed: Option<u64>,
    ) -> Result<Self> {
        let size = [shape.to, shape.from / shape.groups, shape.kernel, shape.kernel];
        let weight =
            params.make(format!("{name}.weight"), &size, Role::Trainable, Init::Normal(std), seed)?;
        let bias = bias
            .map(|v| {
                params.make(format!("{name}.bias"), &[shape.to], Role::Trainable, Init::Constant(v), seed)
            })
            .transpose()?;
        Ok(Self { shape, weight, bias })
    }

    /// `[N, from, h, w]` to `[N, to, h', w']`, in the mode's number format.
    ///
    /// # Errors
    /// When shapes do not fit or memory is short.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.run(x, &self.weight, self.bias.as_ref(), mode)
    }

    /// What this convolution is computed in.
    fn kind(&self, mode: Mode, device: Device) -> Kind {
        let s = self.shape;
        let plain = s.kernel <= 3 && s.stride == 1 && s.dilation == 1;
        let slow = mode.train && device == Device::Cpu && mode.compute == Kind::BFloat16 && !plain;
        if s.groups > 1 && (mode.depthwise_f32 || slow) { Kind::Float } else { mode.compute }
    }

    fn run(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let kind = self.kind(mode, x.device());
        let weight = weight.f_to_kind(kind)?;
        let bias = bias.map(|b| b.f_to_kind(kind)).transpose()?;
        let (x, g) = self.ready(x, kind)?;
        let y = x.f_conv2d(&weight, bias.as_ref(), [g.stride; 2], g.padding, [g.dilation; 2], g.groups)?;
        Ok(y.f_to_kind(mode.compute)?)
    }

    /// The input in the number format to compute in, padded where the convolution itself cannot.
    fn ready(&self, x: &Tensor, kind: Kind) -> Result<(Tensor, Geometry)> {
        let s = self.shape;
        let x = x.f_to_kind(kind)?; // no copy when it is that already
        let (x, padding) = match s.padding {
            Padding::Each(p) => (x, [p, p]),
            Padding::Same => pad_same(x, s)?,
        };
        Ok((x, Geometry { stride: s.stride, padding, dilation: s.dilation, groups: s.groups }))
    }
}

/// Pads by hand only where TensorFlow's padding is lopsided; says how much the convolution itself shall add.
fn pad_same(x: Tensor, s: ConvShape) -> Result<(Tensor, [i64; 2])> {
    let (h, w) = height_width(&x)?;
    let total = |size: i64| {
        let out = (size + s.stride - 1) / s.stride;
        ((out - 1) * s.stride + (s.kernel - 1) * s.dilation + 1 - size).max(0)
    };
    let (th, tw) = (total(h), total(w));
    if th % 2 == 0 && tw % 2 == 0 {
        return Ok((x, [th / 2, tw / 2]));
    }
    let x = x.f_constant_pad_nd([tw / 2, tw - tw / 2, th / 2, th - th / 2])?;
    Ok((channels_last(&x)?, [0, 0]))
}

/// The last two dimensions of an image batch.
pub(crate) fn height_width(x: &Tensor) -> Result<(i64, i64)> {
    let (_, _, h, w) = x.size4()?;
    Ok((h, w))
}

/// The same values, with channels side by side in memory: the layout CPU and GPU convolutions are fastest in.
///
/// # Errors
/// When memory is short.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// Batch normalisation (Ioffe and Szegedy 2015): statistics in fp32 whatever the activations are.
#[derive(Debug)]
pub struct Norm {
    gain: Tensor,
    offset: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: f64,
    momentum: f64,
}

impl Norm {
    /// A norm of `channels`, named as torch does (`name.weight`, `.bias`, `.running_mean`, `.running_var`).
    ///
    /// # Errors
    /// When memory is short or the name is taken.
    pub fn new(
        params: &mut Params,
        name: &str,
        channels: i64,
        eps: f64,
        momentum: f64,
        seed: Option<u64>,
    ) -> Result<Self> {
        let mut make = |what: &str, role, value| {
            params.make(format!("{name}.{what}"), &[channels], role, Init::Constant(value), seed)
        };
        Ok(Self {
            gain: make("weight", Role::Trainable, 1.0)?,
            offset: make("bias", Role::Trainable, 0.0)?,
            mean: make("running_mean", Role::Buffer, 0.0)?,
            var: make("running_var", Role::Buffer, 1.0)?,
            eps,
            momentum,
        })
    }

    /// Normalises `[N, C, h, w]`.
    ///
    /// # Errors
    /// When shapes do not fit or memory is short.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let batch = mode.train && !mode.frozen_bn;
        Ok(x.f_batch_norm(
            Some(&self.gain),
            Some(&self.offset),
            Some(&self.mean),
            Some(&self.var),
            batch,
            self.momentum,
            self.eps,
            true,
        )?)
    }
}

/// Convolution, norm, activation: the brick everything is built of.
#[derive(Debug)]
pub struct ConvNorm {
    conv: Conv,
    norm: Norm,
    act: Act,
    /// Weight and bias with the norm folded in, once [`ConvNorm::fold`] was called.
    folded: Option<Folded>,
}

/// A convolution for inference alone.
#[derive(Debug)]
struct Folded {
    weight: Tensor,
    bias: Tensor,
    kind: Kind,
    /// The same for the fused kernels, made when sizes of inputs are known.
    packs: RefCell<Packs>,
}

impl ConvNorm {
    /// Joins the three.
    #[must_use]
    pub fn new(conv: Conv, norm: Norm, act: Act) -> Self {
        Self { conv, norm, act, folded: None }
    }

    /// Convolves, normalises, activates. Without batch statistics the norm is folded into the convolution's weights,
    /// which saves a pass over the activations and is still differentiable.
    ///
    /// # Errors
    /// When shapes do not fit or memory is short.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self.fused(mode, x.device()) {
            Some((folded, module)) => {
                let (x, g) = self.conv.ready(x, folded.kind)?;
                let y = folded.packs.borrow_mut().of(g, &x)?.conv(module, &x, g, self.act)?;
                Ok(y.f_to_kind(mode.compute)?)
            }
            None => self.act.apply(self.forward_linear(x, mode)?),
        }
    }

    /// As [`ConvNorm::forward`] without the activation.
    ///
    /// # Errors
    /// As [`ConvNorm::forward`].
    pub fn forward_linear(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        if mode.train && !mode.frozen_bn {
            return self.norm.forward(&self.conv.forward(x, mode)?, mode);
        }
        match &self.folded {
            Some(f) => self.conv.run(x, &f.weight, Some(&f.bias), mode),
            None => {
                let (weight, bias) = self.fold_now()?;
                self.conv.run(x, &weight, Some(&bias), mode)
            }
        }
    }

    /// `act(to + forward(x))`, where `to` may be written over.
    pub(crate) fn forward_onto(&self, mut to: Tensor, x: &Tensor, act: Act, mode: Mode) -> Result<Tensor> {
        match self.fused(mode, x.device()) {
            Some((folded, module))
                if self.act == Act::None && act != Act::Relu6 && folded.kind == mode.compute =>
            {
                let (x, g) = self.conv.ready(x, folded.kind)?;
                folded.packs.borrow_mut().of(g, &x)?.conv_add(module, &to, &x, g, act == Act::Relu)
            }
            _ => act.apply(to.f_add_(&self.forward(x, mode)?)?),
        }
    }

    fn fused(&self, mode: Mode, device: Device) -> Option<(&Folded, &'static CModule)> {
        let folded = self.folded.as_ref().filter(|_| !mode.train)?;
        fused::module(device, folded.kind).map(|module| (folded, module))
    }

    /// The activation that [`ConvNorm::forward`] ends with.
    #[must_use]
    pub fn act(&self) -> Act {
        self.act
    }

    /// gain (conv(x) - mean) / sqrt(var + eps) + offset = conv'(x) + bias', in fp32; differentiable.
    fn fold_now(&self) -> Result<(Tensor, Tensor)> {
        let n = &self.norm;
        let scale = n.var.f_add_scalar(n.eps)?.f_rsqrt()?.f_mul(&n.gain)?;
        let mut bias = n.offset.f_sub(&n.mean.f_mul(&scale)?)?;
        if let Some(b) = &self.conv.bias {
            bias = bias.f_add(&b.f_mul(&scale)?)?;
        }
        Ok((self.conv.weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?, bias))
    }

    /// Folds and casts for good, for inference in `mode`.
    pub(crate) fn fold(&mut self, mode: Mode) -> Result<()> {
        let kind = self.conv.kind(Mode { train: false, ..mode }, self.conv.weight.device());
        self.folded = Some(no_grad(|| -> Result<_> {
            let (weight, bias) = self.fold_now()?;
            let (weight, bias) = (channels_last(&weight)?.f_to_kind(kind)?, bias.f_to_kind(kind)?);
            let packs = RefCell::new(Packs::new(&weight, &bias));
            Ok(Folded { weight, bias, kind, packs })
        })?);
        Ok(())
    }
}

/// Runs a stage, without gradients when it is frozen.
pub(crate) fn stage(
    x: &Tensor,
    mode: Mode,
    frozen: bool,
    run: impl Fn(&Tensor, Mode) -> Result<Tensor>,
) -> Result<Tensor> {
    if frozen { no_grad(|| run(x, mode.frozen())) } else { run(x, mode) }
}
