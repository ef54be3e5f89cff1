use super::augment::Crop;
use crate::error::Result;
use crate::net::Heatmaps;
use tch::{Kind, Reduction, Tensor};

/// Location refinement is learnt and decoded in units of this many pixels, as DeepLabCut does.
pub const OFFSET_UNIT: f64 = crate::net::LOCREF_STD;

/// The losses of one batch.
#[derive(Debug)]
pub struct Loss {
    /// What is minimised; carries the gradient.
    pub total: Tensor,
    /// The heatmap part.
    pub heatmap: Tensor,
    /// The location refinement part.
    pub offset: Tensor,
}

/// Pixels of a batch, `[N, side, side, 3]` as bytes; they cross to the device as such and are normalised there.
///
/// # Errors
/// When memory is short.
pub fn pixels(crops: &[Crop]) -> Result<Tensor> {
    let side = crops.first().map_or(0, |c| c.picture.width()) as i64;
    let parts = crops
        .iter()
        .map(|c| Ok(Tensor::f_from_slice(c.picture.rgb())?.f_view([side, side, 3])?))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_stack(&parts, 0)?)
}

/// Compares heatmaps and offsets with the labels.
///
/// Targets are a Gaussian of `sigma` pixels around each label, and within two sigma the way from the cell's centre to
/// the label. The heatmap loss is the binary cross-entropy, summed and divided by the mass of the Gaussians, so that
/// it does not depend on the size of the crop; the offset loss is a Huber loss over the cells near a label.
///
/// # Errors
/// When memory is short.
pub fn compare(maps: &Heatmaps, crops: &[Crop], sigma: f64, offset_weight: f64) -> Result<Loss> {
    let device = maps.logits.device();
    let (n, k, h, w) = maps.logits.size4()?;
    let mut coordinates = Vec::with_capacity((n * k * 2).unsigned_abs() as usize);
    for point in crops.iter().flat_map(|c| &c.points) {
        #[allow(clippy::cast_possible_truncation)]
        let (x, y) = point.map_or((f32::NAN, f32::NAN), |p| (p.x as f32, p.y as f32));
        coordinates.extend([x, y]);
    }
    let at = Tensor::f_from_slice(&coordinates)?.f_to_device(device)?.f_view([n, k, 2, 1, 1])?;
    let centres = |count: i64| -> Result<Tensor> {
        #[allow(clippy::cast_precision_loss)]
        let stride = maps.stride as f64;
        Ok(Tensor::f_arange(count, (Kind::Float, device))?.f_add_scalar(0.5)?.f_mul_scalar(stride)?)
    };
    let dx = at.f_select(2, 0)?.f_sub(&centres(w)?.f_view([1, 1, 1, w])?)?.f_expand([n, k, h, w], false)?;
    let dy = at.f_select(2, 1)?.f_sub(&centres(h)?.f_view([1, 1, h, 1])?)?.f_expand([n, k, h, w], false)?;
    let far = dx.f_square()?.f_add(&dy.f_square()?)?;

    let heat = far.f_mul_scalar(-0.5 / (sigma * sigma))?.f_exp()?.f_nan_to_num(0.0, None, None)?;
    let mass = heat.f_sum(Kind::Float)?.f_add_scalar(1.0)?;
    let logits = maps.logits.f_to_kind(Kind::Float)?;
    let heatmap = logits
        .f_binary_cross_entropy_with_logits::<Tensor>(&heat, None, None, Reduction::Sum)?
        .f_div(&mass)?;

    // NaN compares false: no label, no offset loss.
    let near = far.f_le(4.0 * sigma * sigma)?.f_to_kind(Kind::Float)?;
    let wanted = Tensor::f_stack(&[dx, dy], 2)?.f_div_scalar(OFFSET_UNIT)?.f_nan_to_num(0.0, None, None)?;
    let got = maps.offsets.f_to_kind(Kind::Float)?.f_view([n, k, 2, h, w])?;
    let cells = near.f_sum(Kind::Float)?.f_mul_scalar(2.0)?.f_add_scalar(1.0)?;
    let offset = got
        .f_smooth_l1_loss(&wanted, Reduction::None, 0.3)?
        .f_mul(&near.f_unsqueeze(2)?)?
        .f_sum(Kind::Float)?
        .f_div(&cells)?;
    let total = heatmap.f_add(&offset.f_mul_scalar(offset_weight)?)?;
    Ok(Loss { total, heatmap, offset })
}
