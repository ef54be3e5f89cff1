//! Convolution, bias, activation and addition in one pass over memory, on the CPU.
//!
//! oneDNN, which libtorch computes CPU convolutions with, applies an activation or adds another tensor while results
//! are still in registers, and keeps weights in the order its kernels read. libtorch registers such operators for its
//! own compiler; they are not among its plain functions, but TorchScript may name them. So a module of two lines is
//! made here, from text, and called. Measured on two cores (AVX512-BF16): ResNet-50 10 % and EfficientNet-Lite0 17 %
//! faster than separate operators.

use super::layers::Act;
use crate::error::Result;
use std::io::{Cursor, Write};
use std::sync::OnceLock;
use tch::{CModule, Device, IValue, Kind, Tensor, no_grad};
use zip::write::SimpleFileOptions;

/// The module's TorchScript. ReLU6 is `hardtanh` from 0 to 6.
const CODE: &str = r#"class Fused(Module):
  __parameters__ = []
  __buffers__ = []
  def conv(self: __torch__.Fused, x: Tensor, w: Tensor, b: Tensor, p: List[int], s: List[int], d: List[int], g: int, act: str) -> Tensor:
    if torch.eq(act, "hardtanh"):
      y = ops.mkldnn._convolution_pointwise(x, w, b, p, s, d, g, act, annotate(List[Optional[number]], [0., 6.]), "")
    else:
      y = ops.mkldnn._convolution_pointwise(x, w, b, p, s, d, g, act, annotate(List[Optional[number]], []), "")
    return y
  def conv_add(self: __torch__.Fused, to: Tensor, x: Tensor, w: Tensor, b: Tensor, p: List[int], s: List[int], d: List[int], g: int, act: Optional[str]) -> Tensor:
    return ops.mkldnn._convolution_pointwise_(to, x, w, b, p, s, d, g, "add", 1, act, annotate(List[Optional[number]], []), None)
"#;

/// Step, padding, dilation and groups of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub stride: i64,
    pub padding: [i64; 2],
    pub dilation: i64,
    pub groups: i64,
}

/// Weight and bias as oneDNN's kernels take them.
#[derive(Debug)]
pub(super) struct Packed {
    weight: Tensor,
    bias: Tensor,
}

/// The same for inputs of several sizes: kernels for other sizes read weights in another order, and are up to three
/// times slower when they are given the wrong one.
#[derive(Debug)]
pub(super) struct Packs {
    weight: Tensor,
    bias: Tensor,
    /// The newest last.
    kept: Vec<(Vec<i64>, Packed)>,
}

/// Sizes that are kept packed; each costs as much memory as the weights.
const KEPT: usize = 6;

impl Packs {
    pub fn new(weight: &Tensor, bias: &Tensor) -> Self {
        Self { weight: weight.shallow_clone(), bias: bias.shallow_clone(), kept: Vec::new() }
    }

    /// What is best for `x`: always the same for a size, whatever sizes came before, so that results are too.
    pub fn of(&mut self, g: Geometry, x: &Tensor) -> Result<&Packed> {
        let size = x.size();
        let newest = match self.kept.iter().position(|k| k.0 == size) {
            Some(at) => self.kept.remove(at),
            None => {
                if self.kept.len() >= KEPT {
                    self.kept.remove(0);
                }
                let packed = Packed::new(&self.weight, &self.bias, g, x)?;
                (size, packed)
            }
        };
        let at = self.kept.len();
        self.kept.push(newest);
        Ok(&self.kept[at].1)
    }
}

impl Packed {
    /// Packs `weight` for inputs of the size of `x`.
    pub fn new(weight: &Tensor, bias: &Tensor, g: Geometry, x: &Tensor) -> Result<Self> {
        let size = x.size();
        let weight = no_grad(|| {
            weight.f_contiguous()?.f_to_mkldnn(None)?.f_mkldnn_reorder_conv2d_weight(
                g.padding,
                [g.stride; 2],
                [g.dilation; 2],
                g.groups,
                &size[..],
            )
        })?;
        Ok(Self { weight, bias: bias.shallow_clone() })
    }

    /// `act(conv(x) + bias)`.
    pub fn conv(&self, module: &CModule, x: &Tensor, g: Geometry, act: Act) -> Result<Tensor> {
        let act = match act {
            Act::None => "none",
            Act::Relu => "relu",
            Act::Relu6 => "hardtanh",
        };
        let mut inputs = self.inputs(x, g);
        inputs.push(act.into());
        Ok(Tensor::try_from(module.method_is("conv", &inputs)?)?)
    }

    /// `act(to + conv(x) + bias)`, written over `to`. There is no ReLU6 of this kind.
    pub fn conv_add(
        &self,
        module: &CModule,
        to: &Tensor,
        x: &Tensor,
        g: Geometry,
        relu: bool,
    ) -> Result<Tensor> {
        let mut inputs = vec![to.shallow_clone().into()];
        inputs.extend(self.inputs(x, g));
        inputs.push(if relu { "relu".into() } else { IValue::None });
        Ok(Tensor::try_from(module.method_is("conv_add", &inputs)?)?)
    }

    fn inputs(&self, x: &Tensor, g: Geometry) -> Vec<IValue> {
        vec![
            x.shallow_clone().into(),
            self.weight.shallow_clone().into(),
            self.bias.shallow_clone().into(),
            g.padding.to_vec().into(),
            vec![g.stride; 2].into(),
            vec![g.dilation; 2].into(),
            g.groups.into(),
        ]
    }
}

/// The module, where this libtorch has oneDNN and the processor computes `kind` with it; else plain operators serve.
pub(super) fn module(device: Device, kind: Kind) -> Option<&'static CModule> {
    static FLOAT: OnceLock<Option<CModule>> = OnceLock::new();
    static BF16: OnceLock<Option<CModule>> = OnceLock::new();
    let made = match (device, kind) {
        (Device::Cpu, Kind::Float) => &FLOAT,
        (Device::Cpu, Kind::BFloat16) => &BF16,
        _ => return None,
    };
    made.get_or_init(|| {
        let module = script("Fused", CODE).ok()?;
        let works = no_grad(|| try_out(&module, kind));
        if let Err(e) = &works {
            tracing::debug!("fused convolutions are not to be had in {kind:?}: {e}");
        }
        works.is_ok().then_some(module)
    })
    .as_ref()
}

fn try_out(module: &CModule, kind: Kind) -> Result<()> {
    let g = Geometry { stride: 1, padding: [1, 1], dilation: 1, groups: 1 };
    let x = Tensor::f_zeros([1, 4, 8, 8], (kind, Device::Cpu))?;
    let weight = Tensor::f_zeros([4, 4, 3, 3], (kind, Device::Cpu))?;
    let bias = Tensor::f_zeros([4], (kind, Device::Cpu))?;
    let packed = Packed::new(&weight, &bias, g, &x)?;
    let y = packed.conv(module, &x, g, Act::Relu6)?;
    packed.conv_add(module, &y, &x, g, true).map(drop)
}

/// A module from the text of one class, for operators of libtorch that are not among its plain functions.
pub(crate) fn script(class: &str, code: &str) -> Result<CModule> {
    // Its own profiling and rewriting gain nothing on single calls.
    tch::jit::f_set_profiling_mode(false)?;
    let archive = archive(class, code).map_err(|e| {
        crate::Error::new(crate::Kind::Compute, "a TorchScript module cannot be made in memory").because(e)
    })?;
    Ok(CModule::load_data(&mut Cursor::new(archive))?)
}

/// A TorchScript archive: a zip of the code and of an object without attributes.
fn archive(class: &str, code: &str) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let object = [b"\x80\x02c__torch__\n", class.as_bytes(), b"\n)\x81}b."].concat();
    let files: [(&str, &[u8]); 4] = [
        ("fused/data.pkl", &object),
        ("fused/code/__torch__.py", code.as_bytes()),
        ("fused/constants.pkl", b"\x80\x02)."),
        ("fused/version", b"3\n"),
    ];
    for (name, bytes) in files {
        zip.start_file(name, stored)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_is_what_separate_operators_give() {
        let Some(module) = module(Device::Cpu, Kind::Float) else {
            eprintln!("skipped: this libtorch has no fused convolutions");
            return;
        };
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        for (groups, kernel, stride, dilation) in [(1, 1, 1, 1), (1, 3, 2, 1), (8, 5, 1, 1), (1, 3, 1, 2)] {
            let padding = [kernel / 2 * dilation; 2];
            let g = Geometry { stride, padding, dilation, groups };
            let (weight, bias) = (random(&[8, 8 / groups, kernel, kernel]) * 3.0, random(&[8]));
            let mut packs = Packs::new(&weight, &bias);
            // Packed, the same again, another size, and the first again.
            for size in [[2, 8, 12, 16], [2, 8, 12, 16], [1, 8, 9, 7], [2, 8, 12, 16]] {
                let x = super::super::channels_last(&random(&size)).unwrap();
                let packed = packs.of(g, &x).unwrap();
                let plain = x.conv2d(&weight, Some(&bias), [stride; 2], padding, [dilation; 2], groups);
                let close = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 1e-4;
                for act in [Act::None, Act::Relu, Act::Relu6] {
                    let fused = packed.conv(module, &x, g, act).unwrap();
                    assert!(close(&fused, &act.apply(plain.copy()).unwrap()), "{act:?}");
                }
                let other = super::super::channels_last(&random(&plain.size())).unwrap();
                let sum = &plain + &other;
                let fused = packed.conv_add(module, &other.copy(), &x, g, true).unwrap();
                assert!(close(&fused, &sum.relu()));
                let to = other.copy();
                let _ = packed.conv_add(module, &to, &x, g, false).unwrap();
                assert!(close(&to, &sum), "the result is written over the tensor given");
            }
        }
    }
}
