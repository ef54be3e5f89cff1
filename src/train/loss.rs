use super::crop::Crop;
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

impl Loss {
    /// The losses of two parts together; carries no gradient.
    pub(super) fn plus(&self, other: &Self) -> Result<Self> {
        let add = |a: &Tensor, b: &Tensor| a.f_detach()?.f_add(&b.f_detach()?);
        Ok(Self {
            total: add(&self.total, &other.total)?,
            heatmap: add(&self.heatmap, &other.heatmap)?,
            offset: add(&self.offset, &other.offset)?,
        })
    }
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

/// What the network should say of crops.
struct Targets {
    /// `[N, K, h, w]`: the Gaussians.
    heat: Tensor,
    /// `[N, K, h, w]`: 1 within two sigma of the label.
    near: Tensor,
    /// `[N, K, 2, h, w]`: the way from the cell's centre to the label, in [`OFFSET_UNIT`]s.
    way: Tensor,
}

impl Targets {
    /// For maps of this size and stride, on their device.
    fn of(crops: &[Crop], maps: &Heatmaps, sigma: f64) -> Result<Self> {
        let device = maps.logits.device();
        let (_, k, h, w) = maps.logits.size4()?;
        let n = crops.len() as i64;
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
        let whole = [n, k, h, w];
        let dx = at.f_select(2, 0)?.f_sub(&centres(w)?.f_view([1, 1, 1, w])?)?.f_expand(whole, false)?;
        let dy = at.f_select(2, 1)?.f_sub(&centres(h)?.f_view([1, 1, h, 1])?)?.f_expand(whole, false)?;
        let far = dx.f_square()?.f_add(&dy.f_square()?)?;
        Ok(Self {
            heat: far.f_mul_scalar(-0.5 / (sigma * sigma))?.f_exp()?.f_nan_to_num(0.0, None, None)?,
            // NaN compares false: no label, no offset loss.
            near: far.f_le(4.0 * sigma * sigma)?.f_to_kind(Kind::Float)?,
            way: Tensor::f_stack(&[dx, dy], 2)?.f_div_scalar(OFFSET_UNIT)?.f_nan_to_num(0.0, None, None)?,
        })
    }

    /// The mass of the Gaussians and how many numbers are compared near labels, each with 1 added: what losses are
    /// divided by.
    fn measure(&self) -> Result<[Tensor; 2]> {
        Ok([
            self.heat.f_sum(Kind::Float)?.f_add_scalar(1.0)?,
            self.near.f_sum(Kind::Float)?.f_mul_scalar(2.0)?.f_add_scalar(1.0)?,
        ])
    }
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
    let targets = Targets::of(crops, maps, sigma)?;
    let measure = targets.measure()?;
    loss_of(maps, &targets, &measure, offset_weight)
}

/// As [`compare`], of some crops out of a batch: the losses of all parts add up to that of the whole.
///
/// # Errors
/// When memory is short.
pub fn compare_part(
    maps: &Heatmaps,
    part: &[Crop],
    batch: &[Crop],
    sigma: f64,
    offset_weight: f64,
) -> Result<Loss> {
    let measure = Targets::of(batch, maps, sigma)?.measure()?;
    loss_of(maps, &Targets::of(part, maps, sigma)?, &measure, offset_weight)
}

fn loss_of(
    maps: &Heatmaps,
    targets: &Targets,
    [mass, numbers]: &[Tensor; 2],
    offset_weight: f64,
) -> Result<Loss> {
    let (n, k, h, w) = maps.logits.size4()?;
    let logits = maps.logits.f_to_kind(Kind::Float)?;
    let heatmap = logits
        .f_binary_cross_entropy_with_logits::<Tensor>(&targets.heat, None, None, Reduction::Sum)?
        .f_div(mass)?;
    let got = maps.offsets.f_to_kind(Kind::Float)?.f_view([n, k, 2, h, w])?;
    let offset = got
        .f_smooth_l1_loss(&targets.way, Reduction::None, 0.3)?
        .f_mul(&targets.near.f_unsqueeze(2)?)?
        .f_sum(Kind::Float)?
        .f_div(numbers)?;
    let total = heatmap.f_add(&offset.f_mul_scalar(offset_weight)?)?;
    Ok(Loss { total, heatmap, offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use crate::pose::Keypoint;

    fn cut(points: Vec<Option<Keypoint>>) -> Crop {
        Crop { picture: Picture::new(16, 16), points }
    }

    /// Two by two cells of 8 pixels, all outputs 0, one label in the middle of the first cell, sigma 8: by hand.
    #[test]
    fn a_small_case_by_hand() {
        let e = f64::exp;
        let maps = Heatmaps::from_values([1, 2, 2, 2], &[0.0; 8], &[0.0; 16], 8).unwrap();
        let crops = [cut(vec![Some(Keypoint::new(4.0, 4.0)), None])];
        let loss = compare(&maps, &crops, 8.0, 0.5).unwrap();
        // Cross-entropy of a logit of 0 is ln 2 whatever the target, in eight cells; the unlabelled point adds its own.
        let heatmap = 8.0 * 2_f64.ln() / (1.0 + 2.0 * e(-0.5) + e(-1.0) + 1.0);
        assert!((loss.heatmap.double_value(&[]) - heatmap).abs() < 1e-5);
        // All four cells are within 16 px; two lie 8 px off in x, two in y; Huber with 0.3 is |d| - 0.15 there.
        let offset = 4.0 * (8.0 / OFFSET_UNIT - 0.15) / (4.0 * 2.0 + 1.0);
        assert!((loss.offset.double_value(&[]) - offset).abs() < 1e-5);
        assert!((loss.total.double_value(&[]) - heatmap - 0.5 * offset).abs() < 1e-5);
    }

    #[test]
    fn the_right_answer_costs_nearly_nothing_and_decodes_to_the_label() {
        let label = Keypoint::new(13.5, 3.25);
        let (mut logits, mut offsets) = ([0.0_f32; 4], [0.0_f32; 8]);
        for cell in 0..4 {
            let (x, y) = (4.0 + 8.0 * (cell % 2) as f64, 4.0 + 8.0 * (cell / 2) as f64);
            let (dx, dy) = (label.x - x, label.y - y);
            let heat = (-(dx * dx + dy * dy) / 128.0).exp();
            logits[cell] = (heat / (1.0 - heat)).ln() as f32;
            offsets[cell] = (dx / OFFSET_UNIT) as f32;
            offsets[4 + cell] = (dy / OFFSET_UNIT) as f32;
        }
        let maps = Heatmaps::from_values([1, 1, 2, 2], &logits, &offsets, 8).unwrap();
        let loss = compare(&maps, &[cut(vec![Some(label)])], 8.0, 1.0).unwrap();
        assert!(loss.offset.double_value(&[]) < 1e-10);
        let peaks = crate::net::decode(&maps, crate::net::LOCREF_STD, crate::net::Score::Sigmoid).unwrap();
        assert!(peaks.get(0, 0).unwrap().0.distance(label) < 1e-5);
    }

    #[test]
    fn no_labels_at_all_give_a_finite_loss() {
        let maps = Heatmaps::from_values([1, 1, 2, 2], &[0.0; 4], &[0.0; 8], 8).unwrap();
        for points in [vec![None], vec![Some(Keypoint::new(f64::NAN, 3.0))]] {
            let loss = compare(&maps, &[cut(points)], 8.0, 1.0).unwrap();
            assert!(loss.total.double_value(&[]).is_finite());
            assert_eq!(loss.offset.double_value(&[]), 0.0);
        }
    }
}
