use super::layers::{Act, Conv, ConvNorm, ConvShape, Mode, Norm, stage};
use super::params::Params;
use super::registry::registry;
use crate::error::{Error, Kind as ErrorKind, Result};
use tch::Tensor;

/// What a backbone sees of a batch of images, at several scales.
#[derive(Debug)]
pub struct Features {
    /// Four maps from fine to coarse: their stride in input pixels, and `[N, C, h, w]`. Strides are 4, 8, 16 and 32,
    /// less where dilation keeps them from growing (4, 8, 16, 16 at backbone stride 16).
    pub maps: Vec<(usize, Tensor)>,
}

/// An image network without its classifier.
///
/// ResNets (He et al. 2015) are torchvision's, EfficientNet-Lites (Tan and Le 2019, without squeeze and excitation)
/// are those of the PyTorch ports of Google's checkpoints; tensors are named as in their checkpoints, after
/// `backbone.`. A backbone stride below 32 keeps the resolution of the last stages and dilates their kernels instead
/// (DeepLab), so that the pretrained weights still fit.
#[derive(Debug)]
pub struct Backbone {
    stages: Vec<Stage>,
}

/// Blocks that share a scale.
#[derive(Debug)]
struct Stage {
    layers: Vec<Layer>,
    stride: usize,
    channels: i64,
    /// Whether its output is one of the four maps.
    tap: bool,
}

#[derive(Debug)]
enum Layer {
    Plain(ConvNorm),
    /// 3x3, stride 2, padding 1.
    MaxPool,
    Residual(Residual),
}

/// act(path(x) + shortcut(x)): both kinds of ResNet block, and EfficientNet's inverted one.
#[derive(Debug)]
struct Residual {
    path: Vec<ConvNorm>,
    shortcut: Shortcut,
    act: Act,
}

#[derive(Debug)]
enum Shortcut {
    None,
    Identity,
    Project(Box<ConvNorm>),
}

impl Backbone {
    /// The backbone `net` (a name of the registry) at `stride` 8, 16 or 32. Its weights go into `params`: random ones
    /// when there is a `seed`, zeros else.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] for an unknown name or stride.
    pub fn new(params: &mut Params, net: &str, stride: usize, seed: Option<u64>) -> Result<Self> {
        if ![8, 16, 32].contains(&stride) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("a backbone stride of {stride} is not possible"),
            )
            .mend("use 8, 16 or 32"));
        }
        let make = Make { params, seed };
        match net {
            "resnet_18" => make.resnet(stride, [2, 2, 2, 2], false),
            "resnet_34" => make.resnet(stride, [3, 4, 6, 3], false),
            "resnet_50" => make.resnet(stride, [3, 4, 6, 3], true),
            "resnet_101" => make.resnet(stride, [3, 4, 23, 3], true),
            "resnet_152" => make.resnet(stride, [3, 8, 36, 3], true),
            "efficientnet_lite0" => make.efficientnet(stride, 1.0, 1.0),
            "efficientnet_lite1" => make.efficientnet(stride, 1.0, 1.1),
            "efficientnet_lite2" => make.efficientnet(stride, 1.1, 1.2),
            _ => {
                let known: Vec<_> = registry()?.iter().map(|e| e.net.as_str()).collect();
                Err(Error::new(ErrorKind::Usage, format!("`{net}` is no network limn knows"))
                    .mend(format!("use one of {}", known.join(", "))))
            }
        }
    }

    /// `[N, 3, H, W]`, normalised, to maps at four scales. The first `mode.frozen_stages` stages are run without
    /// gradients.
    ///
    /// # Errors
    /// When shapes do not fit or memory is short.
    pub fn forward(&self, image: &Tensor, mode: Mode) -> Result<Features> {
        let mut x = super::channels_last(&image.f_to_kind(mode.of_stage(0).compute)?)?;
        let mut maps = Vec::with_capacity(4);
        for (i, s) in self.stages.iter().enumerate() {
            let mode = mode.of_stage(i);
            x = stage(&x.f_to_kind(mode.compute)?, mode, i < mode.frozen_stages, |x, mode| {
                s.forward(x, mode)
            })?;
            if s.tap {
                maps.push((s.stride, x.shallow_clone()));
            }
        }
        Ok(Features { maps })
    }

    /// How many stages there are to freeze, the stem counted as one: 5 in ResNets, 8 in EfficientNet-Lites.
    #[must_use]
    pub fn stages(&self) -> usize {
        self.stages.len()
    }

    /// Stride and channels of the four maps, from fine to coarse.
    #[must_use]
    pub fn maps(&self) -> Vec<(usize, i64)> {
        self.stages.iter().filter(|s| s.tap).map(|s| (s.stride, s.channels)).collect()
    }

    /// The channels of the deepest map at this stride.
    #[must_use]
    pub fn channels(&self, stride: usize) -> Option<i64> {
        self.maps().into_iter().rev().find(|m| m.0 == stride).map(|m| m.1)
    }

    pub(crate) fn fold(&mut self, mode: Mode) -> Result<()> {
        for (i, stage) in self.stages.iter_mut().enumerate() {
            let mode = mode.of_stage(i);
            for layer in &mut stage.layers {
                match layer {
                    Layer::Plain(unit) => unit.fold(mode)?,
                    Layer::MaxPool => {}
                    Layer::Residual(block) => {
                        block.path.iter_mut().try_for_each(|unit| unit.fold(mode))?;
                        if let Shortcut::Project(unit) = &mut block.shortcut {
                            unit.fold(mode)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Features {
    /// The deepest map at this stride.
    #[must_use]
    pub fn at(&self, stride: usize) -> Option<&Tensor> {
        self.maps.iter().rev().find(|m| m.0 == stride).map(|m| &m.1)
    }
}

impl Stage {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            x = match layer {
                Layer::Plain(unit) => unit.forward(&x, mode)?,
                Layer::MaxPool => x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?,
                // What comes into a stage may be one of the maps that the head looks at: not to be written over.
                Layer::Residual(block) => block.forward(x, i > 0 && !mode.train, mode)?,
            };
        }
        Ok(x)
    }
}

impl Residual {
    /// `own`: nobody else looks at `x`.
    fn forward(&self, x: Tensor, own: bool, mode: Mode) -> Result<Tensor> {
        let Some((last, first)) = self.path.split_last() else { return self.act.apply(x) };
        let mut y = x.shallow_clone();
        for unit in first {
            y = unit.forward(&y, mode)?;
        }
        match &self.shortcut {
            Shortcut::None => self.act.apply(last.forward(&y, mode)?),
            Shortcut::Project(unit) if !mode.train => {
                last.forward_onto(unit.forward(&x, mode)?, &y, self.act, mode)
            }
            Shortcut::Identity if own => last.forward_onto(x, &y, self.act, mode),
            // In place: neither convolution nor norm looks at its own output again.
            Shortcut::Identity => self.act.apply(last.forward(&y, mode)?.f_add_(&x)?),
            Shortcut::Project(unit) => {
                self.act.apply(last.forward(&y, mode)?.f_add_(&unit.forward(&x, mode)?)?)
            }
        }
    }
}

/// What is needed while layers are made.
struct Make<'a> {
    params: &'a mut Params,
    seed: Option<u64>,
}

/// Lets strides grow until the wished one, then dilation instead. As torchvision and timm have it, the first block
/// of a stage still uses the dilation of the stage before.
struct Scale {
    limit: usize,
    stride: usize,
    dilation: i64,
}

impl Scale {
    /// A stage that would step by `step` (1 or 2): what its first block really steps by, the first block's dilation,
    /// and that of the others.
    fn enter(&mut self, step: usize) -> (i64, i64, i64) {
        let before = self.dilation;
        if self.stride * step > self.limit {
            self.dilation *= if step == 2 { 2 } else { 1 };
            (1, before, self.dilation)
        } else {
            self.stride *= step;
            (if step == 2 { 2 } else { 1 }, before, before)
        }
    }
}

impl Make<'_> {
    fn unit(
        &mut self,
        conv: &str,
        norm: &str,
        shape: ConvShape,
        act: Act,
        (eps, momentum): (f64, f64),
    ) -> Result<ConvNorm> {
        let conv = Conv::new(self.params, &format!("backbone.{conv}"), shape, false, self.seed)?;
        let norm = Norm::new(self.params, &format!("backbone.{norm}"), shape.to, eps, momentum, self.seed)?;
        Ok(ConvNorm::new(conv, norm, act))
    }

    fn resnet(mut self, limit: usize, depths: [usize; 4], bottleneck: bool) -> Result<Backbone> {
        const NORM: (f64, f64) = (1e-5, 0.1);
        let stem = self.unit("conv1", "bn1", ConvShape::new(3, 64, 7).stride(2), Act::Relu, NORM)?;
        let mut stages = vec![Stage {
            layers: vec![Layer::Plain(stem), Layer::MaxPool],
            stride: 4,
            channels: 64,
            tap: false,
        }];
        let mut scale = Scale { limit, stride: 4, dilation: 1 };
        let mut from = 64;
        let widths = [64, 128, 256, 512];
        for (i, (&depth, &width)) in depths.iter().zip(&widths).enumerate() {
            let (step, first_dilation, dilation) = scale.enter(if i == 0 { 1 } else { 2 });
            let to = if bottleneck { width * 4 } else { width };
            let mut layers = Vec::with_capacity(depth);
            for j in 0..depth {
                let name = format!("layer{}.{j}", i + 1);
                let (stride, dil) = if j == 0 { (step, first_dilation) } else { (1, dilation) };
                let mut add = |k: usize, shape, act| {
                    self.unit(&format!("{name}.conv{k}"), &format!("{name}.bn{k}"), shape, act, NORM)
                };
                let path = if bottleneck {
                    let middle = ConvShape::new(width, width, 3).dilated(dil).stride(stride);
                    vec![
                        add(1, ConvShape::new(from, width, 1), Act::Relu)?,
                        add(2, middle, Act::Relu)?,
                        add(3, ConvShape::new(width, to, 1), Act::None)?,
                    ]
                } else {
                    let first = ConvShape::new(from, to, 3).dilated(dil).stride(stride);
                    vec![
                        add(1, first, Act::Relu)?,
                        add(2, ConvShape::new(to, to, 3).dilated(dilation), Act::None)?,
                    ]
                };
                let shortcut = if stride != 1 || from != to {
                    let shape = ConvShape::new(from, to, 1).stride(stride);
                    let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
                    Shortcut::Project(Box::new(self.unit(&conv, &norm, shape, Act::None, NORM)?))
                } else {
                    Shortcut::Identity
                };
                layers.push(Layer::Residual(Residual { path, shortcut, act: Act::Relu }));
                from = to;
            }
            stages.push(Stage { layers, stride: scale.stride, channels: to, tap: true });
        }
        Ok(Backbone { stages })
    }

    fn efficientnet(mut self, limit: usize, width: f64, depth: f64) -> Result<Backbone> {
        // Google's checkpoints were trained with TensorFlow's eps and decay (0.99 there is a momentum of 0.01 here).
        const NORM: (f64, f64) = (1e-3, 0.01);
        // Repeats, kernel, step, expansion, channels, whether this is the last stage at its scale.
        const STAGES: [(usize, i64, usize, i64, i64, bool); 7] = [
            (1, 3, 1, 1, 16, false),
            (2, 3, 2, 6, 24, true),
            (2, 5, 2, 6, 40, true),
            (3, 3, 2, 6, 80, false),
            (3, 5, 1, 6, 112, true),
            (4, 5, 2, 6, 192, false),
            (1, 3, 1, 6, 320, true),
        ];
        let stem = ConvShape::new(3, 32, 3).stride(2).same();
        let stem = self.unit("_conv_stem", "_bn0", stem, Act::Relu6, NORM)?;
        let mut stages =
            vec![Stage { layers: vec![Layer::Plain(stem)], stride: 2, channels: 32, tap: false }];
        let mut scale = Scale { limit, stride: 2, dilation: 1 };
        let (mut from, mut index) = (32, 0);
        for (i, &(repeats, kernel, step, expand, channels, tap)) in STAGES.iter().enumerate() {
            let to = round_channels(channels, width);
            // The Lite variants do not scale the depth of the first and last stage.
            let repeats = if i == 0 || i == 6 { repeats } else { scaled_depth(repeats, depth) };
            let (step, first_dilation, dilation) = scale.enter(step);
            let mut layers = Vec::with_capacity(repeats);
            for j in 0..repeats {
                let (stride, dil) = if j == 0 { (step, first_dilation) } else { (1, dilation) };
                let wide = from * expand;
                let mut add = |conv: &str, norm: &str, shape, act| {
                    let name = format!("_blocks.{index}");
                    self.unit(&format!("{name}.{conv}"), &format!("{name}.{norm}"), shape, act, NORM)
                };
                let mut path = Vec::with_capacity(3);
                if expand > 1 {
                    path.push(add("_expand_conv", "_bn0", ConvShape::new(from, wide, 1), Act::Relu6)?);
                }
                let depthwise =
                    ConvShape::new(wide, wide, kernel).depthwise().dilated(dil).stride(stride).same();
                path.push(add("_depthwise_conv", "_bn1", depthwise, Act::Relu6)?);
                path.push(add("_project_conv", "_bn2", ConvShape::new(wide, to, 1), Act::None)?);
                let shortcut = if j > 0 { Shortcut::Identity } else { Shortcut::None };
                layers.push(Layer::Residual(Residual { path, shortcut, act: Act::None }));
                from = to;
                index += 1;
            }
            stages.push(Stage { layers, stride: scale.stride, channels: to, tap });
        }
        Ok(Backbone { stages })
    }
}

/// EfficientNet's channel scaling: to a multiple of 8, and never down by more than a tenth.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // small numbers
fn round_channels(channels: i64, width: f64) -> i64 {
    let wanted = channels as f64 * width;
    let rounded = ((wanted + 4.0) as i64 / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * wanted { rounded + 8 } else { rounded }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // small numbers
fn scaled_depth(repeats: usize, depth: f64) -> usize {
    (repeats as f64 * depth).ceil() as usize
}
