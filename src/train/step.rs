use super::crop::Crop;
use super::loss::{self, Loss};
use super::many::Many;
use super::optimizer::AdamW;
use super::recipe::Recipe;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::net::{Kind, Mode, Net, Precision, Role, Tensor};
use std::collections::BTreeMap;
use tch::no_grad;

/// fp16 gradients are scaled so much at first; halved when they overflow, doubled after so many good steps.
const FIRST_SCALE: f64 = 1024.0;
const SCALE_STEPS: u64 = 500;

/// What learns: a network, its optimizer and the moving average of its weights. Training and the benchmark of training
/// take the very same steps.
#[derive(Debug)]
pub struct Learner<'a> {
    net: &'a Net,
    recipe: &'a Recipe,
    pretrained: bool,
    mode: Mode,
    optimizer: AdamW,
    average: BTreeMap<String, Tensor>,
    scale: f64,
    /// Crops whose gradient is computed at once; fewer than a batch where memory is short.
    at_once: usize,
}

impl<'a> Learner<'a> {
    /// Begins at the network's weights. Only a `pretrained` backbone has stages and statistics to freeze, as the recipe
    /// says.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(net: &'a Net, recipe: &'a Recipe, pretrained: bool, precision: Precision) -> Result<Self> {
        let copy = |t: &Tensor| no_grad(|| t.f_detach_copy());
        let average = net
            .params()
            .iter()
            .map(|p| Ok((p.name.clone(), copy(&p.tensor)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        Ok(Self {
            net,
            recipe,
            pretrained,
            mode: Mode {
                frozen_bn: recipe.frozen_norm && pretrained,
                frozen_stages: if pretrained { recipe.frozen_stages } else { 0 },
                ..Mode::train(precision.kind())
            },
            optimizer: AdamW::new(net.params(), recipe.weight_decay)?,
            average,
            scale: if precision == Precision::Fp16 { FIRST_SCALE } else { 1.0 },
            at_once: usize::MAX,
        })
    }

    /// One gradient step on a batch, at this share of the peak learning rates; `None` when the gradient was not finite,
    /// and the weights are as they were.
    ///
    /// # Errors
    /// When memory is short.
    pub fn step(&mut self, crops: &[Crop], share: f64) -> Result<Option<Loss>> {
        self.step_on(&loss::pixels(crops)?, crops, share)
    }

    /// As [`Learner::step`], of crops whose pixels are a tensor already (`[N, side, side, 3]`, bytes, on any device).
    ///
    /// # Errors
    /// As [`Learner::step`].
    pub fn step_on(&mut self, pixels: &Tensor, crops: &[Crop], share: f64) -> Result<Option<Loss>> {
        let recipe = self.recipe;
        let loss = loop {
            match self.gradient(pixels, crops) {
                Err(e) if e.kind() == ErrorKind::Memory && self.at_once.min(crops.len()) > 1 => {
                    self.at_once = self.at_once.min(crops.len()).div_ceil(2);
                }
                other => break other?,
            }
        };
        self.optimizer.set_scale(self.scale);
        let [head, backbone] = self.rates();
        let norm = self.optimizer.step(self.net.params(), recipe.clip, |p| {
            share * if p.is_backbone() { backbone } else { head }
        })?;
        if !norm.is_finite() {
            // The forward pass may have left the same in the norms' running statistics; the average is sound.
            for p in self.net.params().iter().filter(|p| p.role == Role::Buffer) {
                if let Some(a) = self.average.get(&p.name) {
                    self.net.params().set(&p.name, a)?;
                }
            }
            return Ok(None);
        }
        self.follow()?;
        Ok(Some(loss))
    }

    /// The gradient of a batch, in as many parts as memory asks for. Norms that use batch statistics see the parts.
    fn gradient(&self, pixels: &Tensor, crops: &[Crop]) -> Result<Loss> {
        let (sigma, weight) = (self.recipe.sigma, self.recipe.offset_weight);
        self.forget()?;
        let mut whole: Option<Loss> = None;
        let mut from = 0;
        for part in crops.chunks(self.at_once) {
            let count = part.len() as i64;
            let pixels = if part.len() < crops.len() {
                pixels.f_narrow(0, from, count)?
            } else {
                pixels.shallow_clone()
            };
            from += count;
            let maps = self.net.forward(&self.net.normalise(&pixels)?, self.mode)?;
            let loss = if part.len() < crops.len() {
                loss::compare_part(&maps, part, crops, sigma, weight)?
            } else {
                loss::compare(&maps, crops, sigma, weight)?
            };
            loss.total.f_mul_scalar(self.scale)?.f_backward()?;
            whole = Some(match whole {
                Some(sum) => sum.plus(&loss)?,
                None => loss,
            });
        }
        whole.ok_or_else(|| Error::new(ErrorKind::Compute, "a batch without crops"))
    }

    /// Crops whose gradient is computed at once, of a batch of so many.
    #[must_use]
    pub fn at_once(&self, batch: usize) -> usize {
        self.at_once.min(batch)
    }

    /// Whether the loss of one crop alone is a number.
    ///
    /// # Errors
    /// When memory is short.
    pub fn is_finite(&self, crop: &Crop) -> Result<bool> {
        no_grad(|| {
            let crops = std::slice::from_ref(crop);
            let mode = Mode { train: false, ..self.mode };
            let maps = self.net.forward(&self.net.normalise(&loss::pixels(crops)?)?, mode)?;
            let loss = loss::compare(&maps, crops, self.recipe.sigma, self.recipe.offset_weight)?;
            Ok(loss.total.f_double_value(&[])?.is_finite())
        })
    }

    /// Keeps the loss of an fp16 run as large as its gradients bear; `step` counts the steps from the run's begin, the
    /// last one included.
    pub fn rescale(&mut self, finite: bool, step: u64) {
        if self.mode.compute != Kind::Half {
            return;
        }
        if !finite {
            self.scale = (self.scale / 2.0).max(1.0);
        } else if step.is_multiple_of(SCALE_STEPS) {
            self.scale = (self.scale * 2.0).min(65536.0);
        }
    }

    /// Peak learning rates of the head and of the backbone.
    #[must_use]
    pub fn rates(&self) -> [f64; 2] {
        let r = self.recipe;
        if self.pretrained { [r.head_rate, r.backbone_rate] } else { [r.random_rate, r.random_rate] }
    }

    /// The network that learns.
    #[must_use]
    pub fn net(&self) -> &'a Net {
        self.net
    }

    /// How often the weights were changed.
    #[must_use]
    pub fn steps(&self) -> i32 {
        self.optimizer.steps()
    }

    /// What the loss is multiplied with, so that small gradients do not vanish in fp16.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// A network with the moving average of the weights.
    ///
    /// # Errors
    /// When memory is short.
    pub fn averaged_net(&self) -> Result<Net> {
        let net = Net::blank(self.net.spec(), self.net.device())?;
        net.params().restore(&self.average)?;
        Ok(net)
    }

    /// All that has to be saved to go on exactly: moments, `weight/...` and `average/...`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = self.optimizer.state();
        for p in self.net.params().iter() {
            tensors.push((format!("weight/{}", p.name), p.tensor.f_detach()?));
        }
        tensors.extend(self.average.iter().map(|(n, t)| (format!("average/{n}"), t.shallow_clone())));
        Ok(tensors)
    }

    /// Takes up what [`Learner::tensors`] gave, after so many steps and at this scale of the loss.
    ///
    /// # Errors
    /// When the tensors are of another network.
    pub fn restore(&mut self, tensors: &BTreeMap<String, Tensor>, steps: i32, scale: f64) -> Result<()> {
        let part = |prefix: &str| -> BTreeMap<String, Tensor> {
            tensors
                .iter()
                .filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.to_owned(), t.shallow_clone())))
                .collect()
        };
        self.net.params().restore(&part("weight/"))?;
        for (name, value) in part("average/") {
            if let Some(a) = self.average.get_mut(&name) {
                no_grad(|| a.f_copy_(&value))?;
            }
        }
        self.scale = scale;
        self.optimizer.restore(tensors, steps)
    }

    /// Moves the average of the weights a little towards the weights; faster at the start, when they run away.
    fn follow(&mut self) -> Result<()> {
        let taken = f64::from(self.optimizer.steps());
        let share = 1.0 - self.recipe.ema.min((1.0 + taken) / (10.0 + taken));
        let (averages, weights): (Vec<_>, Vec<_>) = self
            .net
            .params()
            .iter()
            .filter_map(|p| Some((self.average.get(&p.name)?.shallow_clone(), p.tensor.shallow_clone())))
            .unzip();
        if let Some(many) = Many::get() {
            return many.lerp(&averages, &weights, share);
        }
        no_grad(|| {
            for (mut average, weight) in averages.into_iter().zip(weights) {
                let _ = average.f_lerp_(&weight, share)?;
            }
            Ok(())
        })
    }

    /// Forgets all gradients.
    fn forget(&self) -> Result<()> {
        let params = self.net.params();
        let Some(many) = Many::get() else {
            params.zero_grad();
            return Ok(());
        };
        let all: Vec<_> = params.trainable().map(|p| p.tensor.grad()).filter(Tensor::defined).collect();
        many.zero(&all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Device, HeadSpec, NetSpec};
    use crate::picture::Picture;
    use crate::pose::Keypoint;

    #[test]
    fn a_batch_in_parts_has_the_gradient_of_the_whole() {
        let recipe = Recipe::for_net("resnet_18").unwrap();
        let spec = NetSpec {
            net: "resnet_18".into(),
            backbone_stride: 16,
            output_stride: 8,
            points: 2,
            head: HeadSpec { width: 16, ..HeadSpec::default() },
        };
        let net = Net::new(&spec, Device::Cpu, 1).unwrap();
        let mut learner = Learner::new(&net, &recipe, true, Precision::Fp32).unwrap();
        // The same two crops again and again, so that batch statistics of the parts are those of the whole.
        let crops: Vec<Crop> = [0, 1, 0, 1, 0, 1_u8]
            .into_iter()
            .map(|i| Crop {
                picture: Picture::from_rgb(
                    64,
                    64,
                    (0..64 * 64 * 3).map(|p| (p * 7 % 251) as u8 ^ i).collect(),
                )
                .unwrap(),
                points: vec![Some(Keypoint::new(10.0 + 9.0 * f64::from(i), 30.0)), None],
            })
            .collect();
        let pixels = loss::pixels(&crops).unwrap();
        let mut gradient = |at_once: usize| {
            learner.at_once = at_once;
            let loss = learner.gradient(&pixels, &crops).unwrap();
            let p = net.params().get("head.heatmap.weight").unwrap();
            (loss.total.double_value(&[]), p.tensor.grad().copy())
        };
        let (whole, parts) = (gradient(usize::MAX), gradient(2));
        assert!((whole.0 - parts.0).abs() < 1e-4 * whole.0, "{} {}", whole.0, parts.0);
        let (off, size) =
            ((&whole.1 - &parts.1).abs().max().double_value(&[]), whole.1.abs().max().double_value(&[]));
        assert!(size > 0.0 && off < 1e-3 * size, "{off} of {size}");
    }

    #[test]
    fn the_average_follows_the_weights() {
        let recipe = Recipe { ema: 0.9, ..Recipe::for_net("efficientnet_lite0").unwrap() };
        let spec = NetSpec {
            net: "efficientnet_lite0".into(),
            backbone_stride: 16,
            output_stride: 8,
            points: 1,
            head: HeadSpec { width: 16, ..HeadSpec::default() },
        };
        let net = Net::new(&spec, Device::Cpu, 1).unwrap();
        let mut t = Learner::new(&net, &recipe, false, Precision::Fp32).unwrap();
        let name = t.net.params().trainable().next().unwrap().name.clone();
        let size = t.net.params().get(&name).unwrap().tensor.size();
        let fill = |v: f64| Tensor::full(size.as_slice(), v, (Kind::Float, Device::Cpu));
        let average = |t: &Learner| t.average[&name].mean(Kind::Double).double_value(&[]);
        no_grad(|| t.average.get_mut(&name).unwrap().copy_(&fill(1.0)));
        t.net.params().set(&name, &fill(2.0)).unwrap();
        // Untrained, it runs after the weights by 9 parts of 10; after many steps by 1 - ema.
        t.follow().unwrap();
        assert!((average(&t) - 1.9).abs() < 1e-6);
        t.optimizer.restore(&BTreeMap::new(), 1000).unwrap();
        t.net.params().set(&name, &fill(2.9)).unwrap();
        t.follow().unwrap();
        assert!((average(&t) - 2.0).abs() < 1e-6);
    }
}
