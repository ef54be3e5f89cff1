use super::many::{Group, Many, Numbers};
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
    scale: f64,
    /// None: tensors are gone through one by one.
    many: Option<Many>,
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
        Ok(Self { moments, steps: 0, weight_decay, scale: 1.0, many: Many::get() })
    }

    /// The gradients that come are so many times too large: those of a loss scaled up, so that the small ones do not
    /// vanish in fp16 (Micikevicius et al. 2018).
    pub fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
    }

    /// One step down the gradients, each tensor at the rate `rate` gives it. Tensors without a gradient stay.
    /// Returns the gradient's norm before it was shortened to `clip`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn step(&mut self, params: &Params, clip: f64, rate: impl Fn(&Param) -> f64) -> Result<f64> {
        no_grad(|| {
            let learnt: Vec<_> =
                params.trainable().map(|p| (p, p.tensor.grad())).filter(|(_, g)| g.defined()).collect();
            if learnt.is_empty() {
                return Ok(0.0);
            }
            let norm = self.norm(&learnt)? / self.scale;
            if !norm.is_finite() {
                return Ok(norm); // the caller skips or stops; weights stay as they are
            }
            let shorten = (clip / (norm + 1e-6)).min(1.0) / self.scale;
            self.steps += 1;
            let mut groups: BTreeMap<(u64, bool), (Numbers, Group)> = BTreeMap::new();
            for (p, gradient) in learnt {
                let Some((mean, square)) = self.moments.get(&p.name) else { continue };
                let (rate, decay) = (rate(p), if p.decays() { self.weight_decay } else { 0.0 });
                let numbers = Numbers {
                    rate,
                    beta1: BETA1,
                    beta2: BETA2,
                    decay,
                    epsilon: EPSILON,
                    steps: self.steps,
                    scale: 1.0 / shorten,
                };
                let (_, group) =
                    groups.entry((rate.to_bits(), p.decays())).or_insert((numbers, Group::default()));
                group.weights.push(p.tensor.shallow_clone());
                group.gradients.push(gradient);
                group.means.push(mean.shallow_clone());
                group.squares.push(square.shallow_clone());
            }
            for (numbers, group) in groups.into_values() {
                match self.many {
                    Some(many) => many.adamw(&group, numbers)?,
                    None => one_by_one(group, numbers)?,
                }
            }
            Ok(norm)
        })
    }

    /// Of the whole gradient; one copy from the device for all tensors.
    fn norm(&self, learnt: &[(&Param, Tensor)]) -> Result<f64> {
        let gradients: Vec<_> = learnt.iter().map(|(_, g)| g.shallow_clone()).collect();
        let norm = match self.many {
            Some(many) => many.norm(&gradients)?,
            None => {
                let squares = gradients
                    .iter()
                    .map(|g| Ok(g.f_square()?.f_sum(Kind::Float)?))
                    .collect::<Result<Vec<_>>>()?;
                Tensor::f_stack(&squares, 0)?.f_sum(Kind::Float)?.f_sqrt()?
            }
        };
        Ok(norm.f_double_value(&[])?)
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

/// [`Many::adamw`], for a libtorch that lacks it.
fn one_by_one(group: Group, n: Numbers) -> Result<()> {
    let unbias1 = 1.0 - n.beta1.powi(n.steps);
    let unbias2 = (1.0 - n.beta2.powi(n.steps)).sqrt();
    let moments = group.means.into_iter().zip(group.squares);
    for ((mut weight, gradient), (mut mean, mut square)) in
        group.weights.into_iter().zip(group.gradients).zip(moments)
    {
        let gradient = gradient.f_div_scalar(n.scale)?;
        let _ = weight.f_mul_scalar_(1.0 - n.rate * n.decay)?;
        let _ = mean.f_mul_scalar_(n.beta1)?.f_add_(&gradient.f_mul_scalar(1.0 - n.beta1)?)?;
        let _ = square.f_mul_scalar_(n.beta2)?.f_add_(&gradient.f_square()?.f_mul_scalar_(1.0 - n.beta2)?)?;
        let size = square.f_sqrt()?.f_div_scalar_(unbias2)?.f_add_scalar_(n.epsilon)?;
        let _ = weight.f_sub_(&mean.f_div(&size)?.f_mul_scalar_(n.rate / unbias1)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing_params as params;
    use crate::net::{Device, Role};

    /// A 3 x 2 input, and how far `x w' + b` is from 1: `sum((y - 1)^2) / 2`.
    fn backward(p: &Params) {
        let at = |n: &str| p.get(n).unwrap().tensor.shallow_clone();
        let x = Tensor::from_slice(&[1.0_f32, 2.0, -1.0, 0.5, 0.25, -3.0]).view([3, 2]);
        let y = x.matmul(&at("w").transpose(0, 1)) + at("b");
        p.zero_grad();
        ((y - 1.0).square().sum(Kind::Float) * 0.5).backward();
    }

    fn start() -> Params {
        params(Device::Cpu, &[("w", &[2, 2], &[0.5, -0.25, 1.5, 2.0]), ("b", &[2], &[0.1, -0.2])])
    }

    fn values(p: &Params) -> Vec<f32> {
        p.iter().flat_map(|p| Vec::<f32>::try_from(p.tensor.detach().view(-1)).unwrap()).collect()
    }

    /// The rates of step `n`: the bias has one of its own.
    fn rate(n: usize) -> impl Fn(&Param) -> f64 {
        move |p| if p.name == "b" { 0.05 } else { 0.02 } / (n + 1) as f64
    }

    /// The numbers are those of PyTorch 2's `torch.optim.AdamW` on the same problem: two parameter groups
    /// (`weight_decay` 0.1 for `w`, 0 for `b`), rates divided by the step's number, `clip_grad_norm_` to 4.
    #[test]
    fn steps_are_pytorchs() {
        let wanted = [
            [0.479_000_03, -0.229_500_01, 1.477, 1.976_000_07, 0.150_000_01, -0.150_000_01, 29.077_662],
            [
                0.468_524_07,
                -0.219_300_81,
                1.465_522_53,
                1.964_023_71,
                0.174_966_92,
                -0.125_017_02,
                28.667_078,
            ],
            [
                0.461_549_07,
                -0.212_527_11,
                1.457_878_23,
                1.956_047_18,
                0.191_590_32,
                -0.108_372_76,
                28.462_978,
            ],
            [
                0.456_322_79,
                -0.207_464_07,
                1.452_148_56,
                1.950_068_59,
                0.204_042_29,
                -0.095_897_75,
                28.327_353,
            ],
            [
                0.452_145_04,
                -0.203_426_55,
                1.447_566_87,
                1.945_288_06,
                0.213_991_57,
                -0.085_924_22,
                28.225_872,
            ],
        ];
        for many in [Many::get(), None] {
            let p = start();
            let mut adam = AdamW { many, ..AdamW::new(&p, 0.1).unwrap() };
            for (n, want) in wanted.iter().enumerate() {
                backward(&p);
                let norm = adam.step(&p, 4.0, rate(n)).unwrap();
                assert!((norm - want[6]).abs() < 1e-4, "step {n}: {norm}");
                for (got, want) in values(&p).iter().zip(want) {
                    assert!((f64::from(*got) - want).abs() < 2e-6, "step {n}: {got} is not {want}");
                }
            }
            assert_eq!(adam.steps(), 5);
        }
    }

    #[test]
    fn a_saved_state_goes_on_exactly() {
        let (p, q) = (start(), start());
        let mut adam = AdamW::new(&p, 0.1).unwrap();
        for n in 0..3 {
            backward(&p);
            adam.step(&p, 4.0, rate(n)).unwrap();
        }
        let state: BTreeMap<String, Tensor> = adam.state().into_iter().map(|(n, t)| (n, t.copy())).collect();
        for t in p.iter() {
            q.set(&t.name, &t.tensor).unwrap();
        }
        let mut other = AdamW::new(&q, 0.1).unwrap();
        other.restore(&state, adam.steps()).unwrap();
        for n in 3..5 {
            backward(&p);
            backward(&q);
            adam.step(&p, 4.0, rate(n)).unwrap();
            other.step(&q, 4.0, rate(n)).unwrap();
        }
        assert_eq!(values(&p), values(&q));
    }

    #[test]
    fn a_gradient_that_is_no_number_changes_nothing() {
        let p = start();
        let mut adam = AdamW::new(&p, 0.1).unwrap();
        backward(&p);
        adam.step(&p, 4.0, rate(0)).unwrap();
        let before = values(&p);
        for bad in [f64::NAN, f64::INFINITY] {
            backward(&p);
            let _ = p.get("b").unwrap().tensor.grad().fill_(bad);
            assert!(!adam.step(&p, 4.0, rate(1)).unwrap().is_finite());
        }
        assert_eq!(values(&p), before);
        assert_eq!(adam.steps(), 1);
        assert!(p.iter().all(|p| p.role == Role::Trainable));
        assert!(adam.state().iter().all(|(_, t)| bool::try_from(t.isfinite().all()).unwrap()));
    }

    #[test]
    fn a_scaled_loss_takes_the_same_step() {
        let take = |scale: f64| {
            let p = start();
            let mut optimizer = AdamW::new(&p, 0.1).unwrap();
            optimizer.set_scale(scale);
            backward(&p);
            no_grad(|| {
                for t in p.trainable() {
                    let _ = t.tensor.grad().f_mul_scalar_(scale).unwrap();
                }
            });
            let norm = optimizer.step(&p, 4.0, rate(0)).unwrap();
            (values(&p), norm)
        };
        let ((plain, a), (scaled, b)) = (take(1.0), take(1024.0));
        assert!((a - b).abs() < 1e-3, "{a} {b}");
        assert!(plain.iter().zip(&scaled).all(|(x, y)| (x - y).abs() < 1e-6));
    }
}
