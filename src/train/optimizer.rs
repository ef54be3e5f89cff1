use crate::error::Result;
use crate::net::{Param, Params};
use std::collections::BTreeMap;
use tch::{Kind, Tensor, no_grad};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// AdamW (Loshchilov and Hutter 2019) whose state can be saved: libtorch's own, as `tch` has it, cannot be, and a run
/// could not be continued exactly.
#[derive(Debug)]
pub struct AdamW {
    moments: BTreeMap<String, (Tensor, Tensor)>,
    steps: i32,
    weight_decay: f64,
}

impl AdamW {
    /// Zero moments for every trainable tensor.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(params: &Params, weight_decay: f64) -> Result<Self> {
        let moments = params
            .trainable()
            .map(|p| Ok((p.name.clone(), (p.tensor.f_zeros_like()?, p.tensor.f_zeros_like()?))))
            .collect::<Result<_>>()?;
        Ok(Self { moments, steps: 0, weight_decay })
    }

    /// One step down the gradients, each tensor at the rate `rate` gives it. Tensors without a gradient stay.
    /// Returns the gradient's norm before it was shortened to `clip`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn step(&mut self, params: &Params, clip: f64, rate: impl Fn(&Param) -> f64) -> Result<f64> {
        no_grad(|| {
            let mut squares = Vec::new();
            for p in params.trainable() {
                let gradient = p.tensor.grad();
                if gradient.defined() {
                    squares.push(gradient.f_square()?.f_sum(Kind::Float)?);
                }
            }
            if squares.is_empty() {
                return Ok(0.0);
            }
            // One copy from the device for all tensors.
            let norm = Tensor::f_stack(&squares, 0)?.f_sum(Kind::Float)?.f_sqrt()?.f_double_value(&[])?;
            if !norm.is_finite() {
                return Ok(norm); // the caller skips or stops; weights stay as they are
            }
            let shorten = (clip / (norm + 1e-6)).min(1.0);
            self.steps += 1;
            let unbias1 = 1.0 - BETA1.powi(self.steps);
            let unbias2 = (1.0 - BETA2.powi(self.steps)).sqrt();
            for p in params.trainable() {
                let gradient = p.tensor.grad();
                let Some((mean, square)) = self.moments.get_mut(&p.name).filter(|_| gradient.defined())
                else {
                    continue;
                };
                let gradient = gradient.f_mul_scalar(shorten)?;
                let rate = rate(p);
                let mut weight = p.tensor.shallow_clone();
                if p.decays() {
                    let _ = weight.f_mul_scalar_(1.0 - rate * self.weight_decay)?;
                }
                let _ = mean.f_mul_scalar_(BETA1)?.f_add_(&gradient.f_mul_scalar(1.0 - BETA1)?)?;
                let _ =
                    square.f_mul_scalar_(BETA2)?.f_add_(&gradient.f_square()?.f_mul_scalar_(1.0 - BETA2)?)?;
                let size = square.f_sqrt()?.f_div_scalar_(unbias2)?.f_add_scalar_(EPSILON)?;
                let _ = weight.f_sub_(&mean.f_div(&size)?.f_mul_scalar_(rate / unbias1)?)?;
            }
            Ok(norm)
        })
    }

    /// The state by name, to be saved.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.moments
            .iter()
            .flat_map(|(name, (m, v))| {
                [(format!("mean/{name}"), m.shallow_clone()), (format!("square/{name}"), v.shallow_clone())]
            })
            .collect()
    }

    /// How many steps were taken.
    #[must_use]
    pub fn steps(&self) -> i32 {
        self.steps
    }

    /// Puts a saved state back; tensors it lacks start from zero.
    ///
    /// # Errors
    /// When shapes differ.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, steps: i32) -> Result<()> {
        no_grad(|| {
            for (name, (m, v)) in &mut self.moments {
                if let (Some(a), Some(b)) =
                    (state.get(&format!("mean/{name}")), state.get(&format!("square/{name}")))
                {
                    m.f_copy_(a)?;
                    v.f_copy_(b)?;
                }
            }
            self.steps = steps;
            Ok(())
        })
    }
}
