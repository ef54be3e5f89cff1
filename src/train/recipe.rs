use crate::error::{Error, Kind, Result};
use crate::net::{HeadSpec, Upsample};
use serde::{Deserialize, Serialize};

/// Everything that shapes a training run apart from its data, as `config/*.yaml` has it for each family of networks.
///
/// Lengths are pixels of the (rescaled) training image, angles degrees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Gradient steps of the whole schedule.
    pub steps: u64,
    /// Crops per step.
    pub batch: usize,
    /// Side of the square crops; a multiple of 32.
    pub crop: usize,
    /// Peak learning rate of the head.
    pub head_rate: f64,
    /// Peak learning rate of the backbone.
    pub backbone_rate: f64,
    /// Both rates when training starts from random weights.
    pub random_rate: f64,
    /// Steps of linear warm-up; a half cosine follows.
    pub warmup: u64,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// Largest norm of the whole gradient; longer ones are shortened.
    pub clip: f64,
    /// Decay of the moving average of weights that is evaluated and kept.
    pub ema: f64,
    /// First stages of the backbone that keep their pretrained weights (0: none, 1: the stem, ...).
    pub frozen_stages: usize,
    /// Whether the backbone's batch norm keeps its pretrained statistics.
    pub frozen_norm: bool,
    /// Standard deviation of the target Gaussian.
    pub sigma: f64,
    /// Weight of the location refinement loss beside the heatmap loss.
    pub offset_weight: f64,
    /// Test error is measured about so many times in a run.
    pub evaluations: u64,
    /// Training stops when so many evaluations in a row were no better; 0 never stops early.
    pub patience: u64,
    /// How crops are varied.
    pub augment: Augmentation,
    /// The shape of the head.
    pub head: HeadShape,
}

/// Ranges from which each crop draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Share of the crops taken around a labelled point; the others are anywhere in the picture.
    pub on_animal: f64,
    /// Largest shift of a crop's centre from the point it is taken around, as a share of the crop's side.
    pub shift: f64,
    /// Largest rotation either way.
    pub rotation: f64,
    /// Smallest and largest scale.
    pub scale: [f64; 2],
    /// Chance of mirroring, used only where left and right body parts are paired by name.
    pub flip: f64,
    /// Smallest and largest contrast factor about mid-grey.
    pub contrast: [f64; 2],
    /// Largest change of brightness either way, of 255.
    pub brightness: f64,
    /// Largest change of each of red, green and blue by itself, as a share: other lamps, cameras and floors.
    pub tint: f64,
    /// Chance of a Gaussian blur.
    pub blur: f64,
    /// Smallest and largest standard deviation of the blur.
    pub blur_sigma: [f64; 2],
    /// Chance of added noise.
    pub noise: f64,
    /// Largest standard deviation of the noise, of 255.
    pub noise_sigma: f64,
}

/// The upsampling decoder on the backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadShape {
    /// Stride of the backbone's last stage: 8, 16 or 32 (dilated below 32).
    pub backbone_stride: usize,
    /// Stride of the heatmaps: 4, 8, 16 or 32.
    pub output_stride: usize,
    /// Channels of the decoder.
    pub width: usize,
    /// How the decoder doubles the resolution: `bilinear`, or `transposed` as DeepLabCut's deconvolution.
    #[serde(default = "bilinear")]
    pub upsample: Upsample,
}

fn bilinear() -> Upsample {
    Upsample::Bilinear
}

impl HeadShape {
    /// The head of a network that is trained with this recipe.
    #[must_use]
    pub fn spec(&self) -> HeadSpec {
        HeadSpec { width: self.width, upsample: self.upsample, ..HeadSpec::default() }
    }
}

impl Recipe {
    /// The built-in recipe for a network by name.
    ///
    /// # Errors
    /// When no family of that name is known.
    pub fn for_net(net: &str) -> Result<Self> {
        let text = if net.starts_with("efficientnet_lite") {
            include_str!("../../config/efficientnet_lite.yaml")
        } else if net.starts_with("resnet_") {
            include_str!("../../config/resnet.yaml")
        } else {
            return Err(Error::new(Kind::Usage, format!("there is no recipe for the network `{net}`"))
                .mend("use efficientnet_lite0, _lite1, _lite2 or resnet_18, _34, _50, _101, _152"));
        };
        Self::parse(text)
    }

    /// Reads a recipe from YAML.
    ///
    /// # Errors
    /// When a key is missing, unknown or out of range.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Self = serde_yaml::from_str(text).map_err(|e| {
            Error::new(Kind::Config, format!("this is no training recipe: {e}"))
                .mend("compare it with the files in `config/`")
        })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Reads a recipe from a file.
    ///
    /// # Errors
    /// As [`Recipe::parse`], and when the file cannot be read.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        Self::parse(&crate::files::read_text(path)?).map_err(|e| e.at(path.display()))
    }

    /// Whether all numbers make sense together.
    ///
    /// # Errors
    /// Names the first one that does not.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| {
            Err(Error::new(Kind::Config, format!("training recipe: {what}"))
                .mend("compare it with the files in `config/`"))
        };
        if self.batch == 0 || self.steps == 0 {
            return wrong("`batch` and `steps` must be at least 1");
        }
        if self.crop < 64 || !self.crop.is_multiple_of(32) {
            return wrong("`crop` must be a multiple of 32 and at least 64");
        }
        if !(0.0..1.0).contains(&self.ema) || self.sigma.is_nan() || self.sigma <= 0.0 {
            return wrong("`ema` must lie in [0, 1) and `sigma` be above 0");
        }
        let (inner, outer) = (self.head.backbone_stride, self.head.output_stride);
        if ![8, 16, 32].contains(&inner) || ![4, 8, 16, 32].contains(&outer) || outer > inner {
            return wrong(
                "`backbone_stride` must be 8, 16 or 32, and `output_stride` 4, 8, 16 or 32 and no larger than it",
            );
        }
        if self.head.width == 0 {
            return wrong("`width` of the head must be at least 1");
        }
        let a = &self.augment;
        for (name, value) in [
            ("head_rate", self.head_rate),
            ("backbone_rate", self.backbone_rate),
            ("random_rate", self.random_rate),
            ("weight_decay", self.weight_decay),
            ("clip", self.clip),
            ("sigma", self.sigma),
            ("offset_weight", self.offset_weight),
            ("on_animal", a.on_animal),
            ("shift", a.shift),
            ("rotation", a.rotation),
            ("flip", a.flip),
            ("brightness", a.brightness),
            ("tint", a.tint),
            ("blur", a.blur),
            ("noise", a.noise),
            ("noise_sigma", a.noise_sigma),
        ] {
            if !(0.0..=1e6).contains(&value) {
                return wrong(&format!("`{name}` must be a number from 0 up"));
            }
        }
        for (name, chance) in
            [("on_animal", a.on_animal), ("flip", a.flip), ("blur", a.blur), ("noise", a.noise)]
        {
            if chance > 1.0 {
                return wrong(&format!("`{name}` must be a chance from 0 to 1"));
            }
        }
        for (name, [low, high]) in
            [("scale", a.scale), ("contrast", a.contrast), ("blur_sigma", a.blur_sigma)]
        {
            if !(low > 0.0 && low <= high && high <= 1e3) {
                return wrong(&format!("`{name}` must be two positive numbers, the smaller first"));
            }
        }
        Ok(())
    }

    /// The share of the peak learning rate after `step` steps, when `done` (0 to 1) of the schedule has passed, by steps or
    /// by the clock: linear warm-up, then a half cosine down to 2 %.
    ///
    /// Warm-up goes by steps, however fast the clock runs, but takes no more than a tenth of a short schedule.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // step counts are small
    pub fn rate_at(&self, step: u64, done: f64) -> f64 {
        let warm = ((step + 1) as f64 / self.warmup.max(1) as f64).max(done * 10.0).min(1.0);
        warm * Self::cooling(done)
    }

    /// The half cosine: 1 at the beginning (`done` = 0), 2 % at the end (`done` = 1).
    #[must_use]
    pub fn cooling(done: f64) -> f64 {
        0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * done.clamp(0.0, 1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_are_sound() {
        for net in ["efficientnet_lite0", "resnet_50"] {
            let r = Recipe::for_net(net).unwrap();
            assert!(r.rate_at(0, 0.0) < 0.2);
            assert!(r.rate_at(r.warmup, 0.01) > 0.9);
            assert!(r.rate_at(r.steps, 1.0) < 0.03);
        }
        assert_eq!(Recipe::for_net("vgg").unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn the_rate_rises_and_falls() {
        let r = Recipe { warmup: 10, ..Recipe::for_net("resnet_18").unwrap() };
        assert!((r.rate_at(0, 0.0) - 0.1).abs() < 1e-9);
        assert!((r.rate_at(4, 0.04) - 0.5 * Recipe::cooling(0.04)).abs() < 1e-12);
        assert!((r.rate_at(0, 0.2) - Recipe::cooling(0.2)).abs() < 1e-12, "a slow machine's clock");
        assert!((r.rate_at(50, 0.5) - 0.51).abs() < 1e-12);
        assert!((r.rate_at(100, 1.0) - 0.02).abs() < 1e-12);
        let at = |s: u32| r.rate_at(u64::from(s), f64::from(s) / 100.0);
        assert!((10..100).all(|s| at(s) > at(s + 1)));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let text = include_str!("../../config/resnet.yaml");
        for (from, to, name) in [
            ("rotation: 180.0", "rotation: .inf", "rotation"),
            ("shift: 0.35", "shift: .nan", "shift"),
            ("scale: [0.75, 1.3]", "scale: [1.3, 0.75]", "scale"),
            ("head_rate: 1.0e-3", "head_rate: -1", "head_rate"),
            ("crop: 256", "crop: 100", "crop"),
            ("batch: 8", "batch: 0", "batch"),
            ("backbone_stride: 32", "backbone_stride: 7", "backbone_stride"),
            ("output_stride: 8", "output_stride: 2", "output_stride"),
            ("width: 64", "width: 0", "width"),
        ] {
            assert!(text.contains(from), "{from}");
            let e = Recipe::parse(&text.replace(from, to)).unwrap_err();
            assert!(e.to_string().contains(name), "{e}");
        }
    }

    #[test]
    fn a_typo_in_a_recipe_is_named() {
        let text = include_str!("../../config/resnet.yaml").replace("weight_decay", "weight_decoy");
        assert!(Recipe::parse(&text).unwrap_err().to_string().contains("weight_decoy"));
    }
}
