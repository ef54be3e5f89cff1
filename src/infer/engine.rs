use crate::error::{Error, Result};
use crate::net::{Bundle, Card, Precision, Predictor, device};
use crate::pose::Skeleton;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;

/// A model bundle on a device, ready to find keypoints.
#[derive(Debug)]
pub struct Engine {
    card: Card,
    predictor: Predictor,
    device: String,
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
        let predictor = Predictor::new(net, precision)?;
        let identity = identity(folder)?;
        Ok(Self { card, predictor, device: format!("{words}, {precision}"), identity })
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

    /// The device and number format really used, in words.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// A hash of the weights: two engines with the same one give the same tracks.
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

/// SHA-256 of the bundle's weights.
fn identity(folder: &Path) -> Result<String> {
    let path = folder.join("weights.safetensors");
    let mut file = std::fs::File::open(&path).map_err(|e| Error::io("read the weights", &path, e))?;
    let mut sha = Sha256::new();
    std::io::copy(&mut file, &mut sha).map_err(|e| Error::io("read the weights", &path, e))?;
    Ok(sha.finalize().iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    }))
}
