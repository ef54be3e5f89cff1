use super::decode::{LOCREF_STD, Peaks, decode};
use super::layers::Mode;
use super::precision::Precision;
use super::{Folded, Net};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::picture::Picture;
use tch::{Tensor, no_grad};

/// Finds keypoints in whole pictures.
///
/// Bytes cross to the device and are normalised there, and only the peaks come back.
#[derive(Debug)]
pub struct Predictor {
    net: Folded,
}

impl Predictor {
    /// Makes a network ready to predict in `precision`.
    ///
    /// # Errors
    /// When its device does not compute in that precision, or memory is short.
    pub fn new(net: Net, precision: Precision) -> Result<Self> {
        let precision = precision.check(net.device())?;
        Ok(Self { net: net.fold(Mode::eval(precision.kind()))? })
    }

    /// The best position of every point in every picture, in pixels of the picture. All pictures of a call must be
    /// of one size.
    ///
    /// # Errors
    /// When sizes differ or memory is short.
    pub fn predict(&self, pictures: &[&Picture]) -> Result<Peaks> {
        let Some(first) = pictures.first() else {
            return Err(Error::new(ErrorKind::Usage, "there is no picture to look at"));
        };
        let size = (first.width(), first.height());
        if let Some(other) = pictures.iter().find(|p| (p.width(), p.height()) != size) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("{other:?} cannot go with {first:?} in one batch"),
            ));
        }
        no_grad(|| {
            let (w, h) = (size.0 as i64, size.1 as i64);
            let parts = pictures
                .iter()
                .map(|p| Ok(Tensor::f_from_slice(p.rgb())?.f_view([h, w, 3])?))
                .collect::<Result<Vec<_>>>()?;
            let image = self.net.normalise(&Tensor::f_stack(&parts, 0)?)?;
            decode(&self.net.forward(&image)?, LOCREF_STD, self.net.spec().head.score)
        })
    }

    /// The network inside.
    #[must_use]
    pub fn net(&self) -> &Folded {
        &self.net
    }
}
