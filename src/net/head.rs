use super::layers::{Act, Conv, ConvNorm, ConvShape, Mode, Norm};
use super::params::{Init, Params, Role};
use super::{Backbone, Features};
use crate::error::{Error, Kind as ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// What stands on the backbone: a small decoder up to the output stride, and two 1x1 convolutions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeadSpec {
    /// Channels of the decoder.
    pub width: usize,
    /// How it doubles the resolution.
    pub upsample: Upsample,
    /// Whether finer maps of the backbone are added on the way up (as in a feature pyramid, Lin et al. 2017).
    pub skips: bool,
    /// How a heatmap value becomes a likelihood.
    pub score: Score,
}

impl Default for HeadSpec {
    fn default() -> Self {
        Self { width: 64, upsample: Upsample::Bilinear, skips: true, score: Score::Sigmoid }
    }
}

/// How the decoder doubles the resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsample {
    /// Interpolation.
    Bilinear,
    /// A learnt 4x4 transposed convolution.
    Transposed,
}

/// How a heatmap value becomes a likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// By the logistic function: networks trained with cross-entropy.
    Sigmoid,
    /// As it is, clipped to 0..1: networks trained on the heatmap's values, as DeepLabCut 3 does.
    Raw,
}

/// What a network says of a batch.
#[derive(Debug)]
pub struct Heatmaps {
    /// `[N, K, h, w]`, fp32: where each of K points is, before [`Score`].
    pub logits: Tensor,
    /// `[N, 2K, h, w]`, fp32: from each cell's centre to point k, x in channel 2k and y in 2k + 1, in units of the
    /// location refinement's standard deviation.
    pub offsets: Tensor,
    /// Pixels of the network's input per cell; cell (i, j) has its centre at ((i + 0.5) stride, (j + 0.5) stride).
    pub stride: usize,
}

/// The decoder and the two outputs.
#[derive(Debug)]
pub struct Head {
    lateral: ConvNorm,
    levels: Vec<Level>,
    heatmap: Conv,
    offset: Conv,
    stride: usize,
}

/// One step up: double, add the finer map, mix.
#[derive(Debug)]
struct Level {
    stride: usize,
    /// None: bilinear.
    up: Option<Transposed>,
    skip: Option<Conv>,
    mix: ConvNorm,
    /// The first mix of a head that does not go up at all.
    stay: bool,
}

/// Before training every cell says "point here" with this likelihood, so that the many empty cells do not dominate
/// the first steps (as in RetinaNet, Lin et al. 2017).
const PRIOR: f64 = 0.01;
const NORM: (f64, f64) = (1e-5, 0.1);

impl Head {
    /// A head for `points` points on `backbone`, with outputs at `stride`.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when the stride is not 4, 8, 16 or 32, or coarser than the backbone's.
    pub fn new(
        params: &mut Params,
        spec: &HeadSpec,
        backbone: &Backbone,
        stride: usize,
        points: usize,
        seed: Option<u64>,
    ) -> Result<Self> {
        let maps = backbone.maps();
        let (deepest, channels) = maps.last().copied().unwrap_or((32, 0));
        if ![4, 8, 16, 32].contains(&stride) || stride > deepest {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("an output stride of {stride} is not possible on a backbone of stride {deepest}"),
            )
            .mend("use 4, 8, 16 or 32, and not more than the backbone's"));
        }
        if points == 0 || spec.width == 0 {
            return Err(Error::new(ErrorKind::Usage, "a network needs at least one point and one channel"));
        }
        let width = to_i64(spec.width);
        let unit = |params: &mut Params, name: &str, from: i64, kernel: i64| -> Result<ConvNorm> {
            let conv =
                Conv::new(params, &format!("{name}.conv"), ConvShape::new(from, width, kernel), false, seed)?;
            let norm = Norm::new(params, &format!("{name}.norm"), width, NORM.0, NORM.1, seed)?;
            Ok(ConvNorm::new(conv, norm, Act::Relu))
        };
        let lateral = unit(params, "head.lateral", channels, 1)?;
        let mut levels = Vec::new();
        let mut at = deepest;
        while at > stride || levels.is_empty() {
            let stay = at == stride;
            at = if stay { at } else { at / 2 };
            let name = format!("head.level{at}");
            let up = match spec.upsample {
                Upsample::Transposed if !stay => {
                    Some(Transposed::new(params, &format!("{name}.up"), width, seed)?)
                }
                _ => None,
            };
            let skip = match backbone.channels(at) {
                Some(from) if spec.skips && !stay => {
                    let shape = ConvShape::new(from, width, 1);
                    Some(Conv::new(params, &format!("{name}.skip"), shape, true, seed)?)
                }
                _ => None,
            };
            levels.push(Level { stride: at, up, skip, mix: unit(params, &name, width, 3)?, stay });
        }
        let last = |params: &mut Params, name: &str, per_point: i64, bias: f64| {
            let shape = ConvShape::new(width, per_point * to_i64(points), 1);
            #[allow(clippy::cast_possible_truncation)]
            Conv::with_std(params, name, shape, Some(bias as f32), 0.001, seed)
        };
        let prior = match spec.score {
            Score::Sigmoid => (PRIOR / (1.0 - PRIOR)).ln(),
            Score::Raw => 0.0,
        };
        Ok(Self {
            lateral,
            levels,
            heatmap: last(params, "head.heatmap", 1, prior)?,
            offset: last(params, "head.offset", 2, 0.0)?,
            stride,
        })
    }

    /// From the backbone's maps to heatmaps.
    ///
    /// # Errors
    /// When shapes do not fit or memory is short.
    pub fn forward(&self, features: &Features, mode: Mode) -> Result<Heatmaps> {
        let Some((_, deepest)) = features.maps.last() else {
            return Err(Error::new(ErrorKind::Compute, "the backbone gave no maps"));
        };
        let mode = mode.of_head();
        let mut x = self.lateral.forward(deepest, mode)?;
        for level in &self.levels {
            let mut y = if level.stay { x } else { level.double(&x, mode)? };
            if let (Some(skip), Some(map)) = (&level.skip, features.at(level.stride)) {
                y = y.f_add(&skip.forward(map, mode)?)?;
            }
            x = level.mix.forward(&y, mode)?;
        }
        // The outputs themselves are small and always fp32, so that positions lose nothing to rounding.
        let exact = Mode { compute: Kind::Float, ..mode };
        let x = x.f_to_kind(Kind::Float)?;
        Ok(Heatmaps {
            logits: self.heatmap.forward(&x, exact)?,
            offsets: self.offset.forward(&x, exact)?,
            stride: self.stride,
        })
    }

    pub(crate) fn fold(&mut self, mode: Mode) -> Result<()> {
        let mode = mode.of_head();
        self.lateral.fold(mode)?;
        self.levels.iter_mut().try_for_each(|l| l.mix.fold(mode))
    }
}

impl Level {
    fn double(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.up {
            Some(up) => up.forward(x, mode),
            None => {
                let (h, w) = super::layers::height_width(x)?;
                Ok(x.f_upsample_bilinear2d([2 * h, 2 * w], false, None, None)?)
            }
        }
    }
}

/// A transposed 4x4 convolution that exactly doubles height and width.
#[derive(Debug)]
struct Transposed {
    weight: Tensor,
}

impl Transposed {
    fn new(params: &mut Params, name: &str, width: i64, seed: Option<u64>) -> Result<Self> {
        #[allow(clippy::cast_precision_loss)] // small numbers
        let std = (2.0 / (width * 4) as f64).sqrt(); // each output is reached by 4 of the 16 taps
        let shape = [width, width, 4, 4];
        let weight =
            params.make(format!("{name}.weight"), &shape, Role::Trainable, Init::Normal(std), seed)?;
        Ok(Self { weight })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let weight = self.weight.f_to_kind(mode.compute)?;
        Ok(x.f_conv_transpose2d(&weight, None::<&Tensor>, [2, 2], [1, 1], [0, 0], 1, [1, 1])?)
    }
}

pub(crate) fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
