use crate::error::{Error, Result};
use crate::net::{Bundle, Card, HeadSpec, Net, NetSpec, Precision, Predictor, device};
use crate::pose::Skeleton;
use sha2::{Digest, Sha256};
use std::path::Path;

/// A model bundle on a device, ready to find keypoints.
#[derive(Debug)]
pub struct Engine {
    card: Card,
    predictor: Predictor,
    device: String,
    precision: Precision,
    identity: String,
}

impl Engine {
    /// Loads a bundle folder onto `device` (`auto`, `cpu`, `cuda`, `cuda:0`). Without a `precision` the fastest good
    /// one of the device is taken.
    ///
    /// # Errors
    /// When the bundle is damaged or the device is not there.
    pub fn load(folder: &Path, device: &str, precision: Option<Precision>) -> Result<Self> {
        crate::watch::may_wait("loading a network");
        let (device, words) = device::choose(device)?;
        let Bundle { card, net } = Bundle::load(folder, device)?;
        let precision = precision.unwrap_or_else(|| Precision::best(device));
        let predictor = Predictor::new(net, precision)?.calibrated(card.calibration);
        let identity = identity(folder, &card)?;
        Ok(Self { card, predictor, device: words, precision, identity })
    }

    /// An engine with random weights, for measuring speed: `net` with `points` points at a backbone stride.
    ///
    /// # Errors
    /// When there is no such network, or the device is not there.
    pub fn random(
        net: &str,
        (backbone_stride, output_stride): (usize, usize),
        points: usize,
        device: &str,
        precision: Option<Precision>,
    ) -> Result<Self> {
        crate::watch::may_wait("making a network");
        let (device, words) = device::choose(device)?;
        let spec = NetSpec {
            net: net.to_owned(),
            backbone_stride,
            output_stride,
            points,
            head: HeadSpec::default(),
        };
        let names: Vec<String> = (1..=points).map(|n| format!("point{n}")).collect();
        let mut card = Card::new(&spec, &Skeleton::single(names))?;
        card.scorer = format!("random_{net}");
        let net = Net::new(&spec, device, 0)?;
        let precision = precision.unwrap_or_else(|| Precision::best(device));
        let predictor = Predictor::new(net, precision)?;
        Ok(Self { card, predictor, device: words, precision, identity: "random".to_owned() })
    }

    /// What the bundle says of itself.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Finds the keypoints in pictures.
    #[must_use]
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// The device really used, in words.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The number format really used.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Device and number format, in words.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{}, {}", self.device, self.precision)
    }

    /// The network's shape in a line: what decides its speed.
    #[must_use]
    pub fn shape(&self) -> String {
        let spec = &self.card.net;
        format!(
            "{} {}/{} {} points {}",
            spec.net, spec.backbone_stride, spec.output_stride, spec.points, self.precision
        )
    }

    /// Bytes of memory of the GPU it computes on, when that is known.
    #[must_use]
    pub fn memory(&self) -> Option<usize> {
        device::memory(self.predictor.net().device())
    }

    /// A hash of the weights and the calibration: two engines with the same one give the same tracks.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether this model finds what a project wants.
    ///
    /// # Errors
    /// [`crate::Kind::Bundle`] when the body parts differ; both lists are named.
    pub fn fits(&self, skeleton: &Skeleton) -> Result<()> {
        self.card.fits(skeleton)
    }
}

/// SHA-256 of the bundle's weights, and of its calibration where it has one.
fn identity(folder: &Path, card: &Card) -> Result<String> {
    let path = folder.join("weights.safetensors");
    let mut file = std::fs::File::open(&path).map_err(|e| Error::io("read the weights", &path, e))?;
    let mut sha = Sha256::new();
    std::io::copy(&mut file, &mut sha).map_err(|e| Error::io("read the weights", &path, e))?;
    if let Some(map) = card.calibration {
        for number in [map.within_px, map.slope, map.offset] {
            sha.update(number.to_le_bytes());
        }
    }
    Ok(crate::sealed::hex(&sha.finalize()))
}
