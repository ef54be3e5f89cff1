use crate::error::Result;
use crate::net::{Kind, Tensor, script};
use std::sync::OnceLock;
use tch::{CModule, Device, IValue, no_grad};

/// libtorch's operators over many tensors at once, which are not among its plain functions; TorchScript may name them.
const CODE: &str = r#"class Many(Module):
  __parameters__ = []
  __buffers__ = []
  def adamw(self: __torch__.Many, w: List[Tensor], g: List[Tensor], m: List[Tensor], v: List[Tensor], t: List[Tensor], rate: float, beta1: float, beta2: float, decay: float, eps: float, scale: Tensor) -> int:
    ops.aten._fused_adamw_(w, g, m, v, annotate(List[Tensor], []), t, lr=rate, beta1=beta1, beta2=beta2, weight_decay=decay, eps=eps, amsgrad=False, maximize=False, grad_scale=scale)
    return 0
  def norm(self: __torch__.Many, g: List[Tensor]) -> Tensor:
    return torch.linalg_vector_norm(torch.stack(torch._foreach_norm(g, 2)))
  def lerp(self: __torch__.Many, a: List[Tensor], w: List[Tensor], share: float) -> int:
    torch._foreach_lerp_(a, w, share)
    return 0
  def zero(self: __torch__.Many, g: List[Tensor]) -> int:
    torch._foreach_zero_(g)
    return 0
"#;

/// Work on all tensors of a network in one call: a GPU is given a handful of kernels instead of thousands, and a
/// processor goes through the memory once instead of ten times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Many(&'static CModule);

/// The numbers of a step of AdamW, the same for all tensors of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub decay: f64,
    pub epsilon: f64,
    pub steps: i32,
    /// Gradients are divided by it.
    pub scale: f64,
}

/// Tensors that belong together, one of each kind for every weight.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub weights: Vec<Tensor>,
    pub gradients: Vec<Tensor>,
    pub means: Vec<Tensor>,
    pub squares: Vec<Tensor>,
}

impl Many {
    /// Where this libtorch has them.
    pub fn get() -> Option<Self> {
        static MODULE: OnceLock<Option<CModule>> = OnceLock::new();
        let made = MODULE.get_or_init(|| {
            let module = script("Many", CODE).ok()?;
            let works = try_out(&module);
            if let Err(e) = &works {
                tracing::debug!("operators over many tensors are not to be had: {e}");
            }
            works.is_ok().then_some(module)
        });
        made.as_ref().map(Self)
    }

    /// One step of AdamW (Loshchilov and Hutter 2019).
    pub fn adamw(self, group: &Group, n: Numbers) -> Result<()> {
        let Some(device) = group.weights.first().map(Tensor::device) else { return Ok(()) };
        let number = |v: f64| Tensor::f_full([0_i64; 0], v, (Kind::Float, device));
        let steps = number(f64::from(n.steps))?;
        let inputs: [IValue; 11] = [
            copies(&group.weights),
            copies(&group.gradients),
            copies(&group.means),
            copies(&group.squares),
            IValue::TensorList(group.weights.iter().map(|_| steps.shallow_clone()).collect()),
            n.rate.into(),
            n.beta1.into(),
            n.beta2.into(),
            n.decay.into(),
            n.epsilon.into(),
            number(n.scale)?.into(),
        ];
        self.call("adamw", &inputs)
    }

    /// The Euclidean norm over all of them.
    pub fn norm(self, gradients: &[Tensor]) -> Result<Tensor> {
        Ok(Tensor::try_from(self.0.method_is("norm", &[copies(gradients)])?)?)
    }

    /// Moves each of `from` a share of the way to its partner in `to`.
    pub fn lerp(self, from: &[Tensor], to: &[Tensor], share: f64) -> Result<()> {
        self.call("lerp", &[copies(from), copies(to), share.into()])
    }

    /// Sets all to zero.
    pub fn zero(self, all: &[Tensor]) -> Result<()> {
        if all.is_empty() { Ok(()) } else { self.call("zero", &[copies(all)]) }
    }

    fn call(self, method: &str, inputs: &[IValue]) -> Result<()> {
        no_grad(|| self.0.method_is(method, inputs).map(drop))?;
        Ok(())
    }
}

/// Second handles on the same tensors.
fn copies(all: &[Tensor]) -> IValue {
    IValue::TensorList(all.iter().map(Tensor::shallow_clone).collect())
}

fn try_out(module: &CModule) -> Result<()> {
    let one = || Tensor::f_zeros([2], (Kind::Float, Device::Cpu));
    let list = || Ok::<_, crate::Error>(IValue::TensorList(vec![one()?]));
    let step = Tensor::f_ones([0_i64; 0], (Kind::Float, Device::Cpu))?;
    let numbers = [0.1, 0.9, 0.999, 0.0, 1e-8].map(IValue::Double);
    let mut inputs = vec![list()?, list()?, list()?, list()?, IValue::TensorList(vec![step.shallow_clone()])];
    inputs.extend(numbers);
    inputs.push(step.into());
    no_grad(|| -> Result<()> {
        module.method_is("adamw", &inputs)?;
        module.method_is("norm", &[list()?])?;
        module.method_is("lerp", &[list()?, list()?, IValue::Double(0.5)])?;
        module.method_is("zero", &[list()?])?;
        Ok(())
    })
}
