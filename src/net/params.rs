use super::torch_error;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::files;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Device, Kind, Tensor, no_grad};

/// Whether a tensor is learnt, or only kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learnt by gradient descent.
    Trainable,
    /// Kept with the weights but not learnt by gradients, such as a running mean.
    Buffer,
}

/// One named tensor.
#[derive(Debug)]
pub struct Param {
    /// Its name, such as `backbone.layer1.0.conv1.weight`.
    pub name: String,
    /// Learnt or kept.
    pub role: Role,
    /// The values: fp32, on the network's device. Layers hold the same storage, so change it in place
    /// (`f_copy_`, `f_add_`, ... under [`tch::no_grad`]), never by putting another tensor here.
    pub tensor: Tensor,
}

impl Param {
    /// Gradients decay weights of convolutions only, never those of norms or biases; this tells which is which.
    #[must_use]
    pub fn decays(&self) -> bool {
        self.role == Role::Trainable && self.tensor.dim() > 1
    }

    /// Whether its name starts with `backbone.`.
    #[must_use]
    pub fn is_backbone(&self) -> bool {
        self.name.starts_with("backbone.")
    }
}

/// All weights of a network, in the order in which its layers were made.
///
/// The master copies are fp32 whatever the network computes in. 4-d weights lie channels-last in memory.
#[derive(Debug)]
pub struct Params {
    list: Vec<Param>,
    by_name: HashMap<String, usize>,
    device: Device,
}

/// How a new tensor starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// All the same value.
    Constant(f32),
    /// Normal with this standard deviation.
    Normal(f64),
}

impl Params {
    /// No weights yet, to live on `device`.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self { list: Vec::new(), by_name: HashMap::new(), device }
    }

    /// Where the weights live.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// All tensors.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.list.iter()
    }

    /// The tensors that are learnt.
    pub fn trainable(&self) -> impl Iterator<Item = &Param> {
        self.list.iter().filter(|p| p.role == Role::Trainable)
    }

    /// One tensor by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.by_name.get(name).and_then(|&i| self.list.get(i))
    }

    /// How many numbers are learnt.
    #[must_use]
    pub fn learnt_numbers(&self) -> usize {
        self.trainable().map(|p| p.tensor.numel()).sum()
    }

    /// Forgets all gradients.
    pub fn zero_grad(&self) {
        for p in self.trainable() {
            let mut t = p.tensor.shallow_clone();
            t.zero_grad();
        }
    }

    /// Makes a tensor and gives a second handle on it, for a layer. `random` is `None` for networks whose weights
    /// are loaded right after; all start as zeros then.
    pub(crate) fn make(
        &mut self,
        name: String,
        shape: &[i64],
        role: Role,
        init: Init,
        seed: Option<u64>,
    ) -> Result<Tensor> {
        if self.by_name.contains_key(&name) {
            return Err(Error::new(ErrorKind::Compute, format!("two layers are named `{name}`")));
        }
        let tensor = no_grad(|| -> Result<Tensor> {
            let mut tensor = Tensor::f_empty_strided(shape, strides(shape), (Kind::Float, self.device))?;
            match (init, seed) {
                (Init::Constant(value), Some(_)) => {
                    let _ = tensor.f_fill_(f64::from(value))?;
                }
                (Init::Normal(std), Some(seed)) => {
                    let count = shape.iter().product::<i64>().unsigned_abs() as usize;
                    let values = normal(&name, seed, count, std);
                    tensor.f_copy_(&Tensor::f_from_slice(&values)?.f_view(shape)?)?;
                }
                (_, None) => {
                    let _ = tensor.f_zero_()?;
                }
            }
            Ok(tensor)
        })?;
        let tensor = tensor.f_set_requires_grad(role == Role::Trainable)?;
        self.by_name.insert(name.clone(), self.list.len());
        self.list.push(Param { name, role, tensor: tensor.shallow_clone() });
        Ok(tensor)
    }

    /// Sets one tensor from another of the same shape and any number format.
    ///
    /// # Errors
    /// [`crate::Kind::Weights`] when there is no such tensor or its shape is another.
    pub fn set(&self, name: &str, value: &Tensor) -> Result<()> {
        let Some(param) = self.get(name) else {
            return Err(Error::new(ErrorKind::Weights, format!("the network has no tensor `{name}`")));
        };
        if param.tensor.size() != value.size() {
            return Err(Error::new(
                ErrorKind::Weights,
                format!(
                    "`{name}` is {:?} in the network and {:?} in the file",
                    param.tensor.size(),
                    value.size()
                ),
            ));
        }
        // A copy keeps the layers' handles and the channels-last strides.
        no_grad(|| param.tensor.shallow_clone().f_copy_(value)).map_err(torch_error)
    }

    /// A copy of all values on the CPU, to come back to with [`Params::restore`].
    ///
    /// # Errors
    /// [`crate::Kind::Compute`] when memory is short.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        no_grad(|| {
            self.list
                .iter()
                .map(|p| {
                    Ok((
                        p.name.clone(),
                        p.tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_detach_copy()?,
                    ))
                })
                .collect()
        })
    }

    /// Puts back values, from [`Params::snapshot`] or elsewhere. Nothing is changed unless all fit.
    ///
    /// # Errors
    /// [`crate::Kind::Weights`], listing missing tensors, unknown ones and wrong shapes.
    pub fn restore(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut wrong = Vec::new();
        for p in &self.list {
            match values.get(&p.name) {
                None => wrong.push(format!("`{}` is missing", p.name)),
                Some(v) if v.size() != p.tensor.size() => {
                    wrong.push(format!("`{}` is {:?}, not {:?}", p.name, v.size(), p.tensor.size()));
                }
                Some(_) => {}
            }
        }
        wrong.extend(values.keys().filter(|n| self.get(n).is_none()).map(|n| format!("`{n}` is unknown")));
        if !wrong.is_empty() {
            return Err(misfit(&wrong));
        }
        values.iter().try_for_each(|(name, value)| self.set(name, value))
    }

    /// Writes all tensors to a `.safetensors` file, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        save_tensors(path, self.list.iter().map(|p| (p.name.as_str(), &p.tensor)))
    }

    /// Reads all tensors from a `.safetensors` file; names and shapes must be exactly the network's.
    ///
    /// # Errors
    /// [`crate::Kind::Weights`], listing what does not fit; nothing is changed then.
    pub fn load(&self, path: &Path) -> Result<()> {
        self.restore(&load_tensors(path)?).map_err(|e| e.at(path.display()))
    }
}

/// The error of weights that do not fit, with the first few reasons.
pub(crate) fn misfit(wrong: &[String]) -> Error {
    let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    let more = if wrong.len() > 8 { format!(" and {} more", wrong.len() - 8) } else { String::new() };
    Error::new(ErrorKind::Weights, format!("the weights do not fit this network: {shown}{more}"))
        .mend("use the weights of the same network, or let limn fetch them")
}

/// Channels-last strides for 4-d shapes, plain ones else.
fn strides(shape: &[i64]) -> Vec<i64> {
    if let [_, c, h, w] = *shape {
        return vec![h * w * c, 1, w * c, c];
    }
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Normal numbers that depend only on the seed and the tensor's name, whatever other layers a network has.
fn normal(name: &str, seed: u64, count: usize, std: f64) -> Vec<f32> {
    use rand::SeedableRng;
    use rand_distr::Distribution;
    use sha2::Digest;
    let digest = sha2::Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let mut rng = rand_chacha::ChaCha8Rng::from_seed(digest.into());
    #[allow(clippy::cast_possible_truncation)]
    let std = std as f32;
    (0..count)
        .map(|_| {
            let x: f32 = rand_distr::StandardNormal.sample(&mut rng);
            x * std
        })
        .collect()
}

/// Writes named tensors to a `.safetensors` file, whole or not at all. fp32 and int64 are kept, others become fp32.
///
/// # Errors
/// When the folder cannot be written.
pub fn save_tensors<'a>(path: &Path, tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> Result<()> {
    let mut bytes: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, tensor) in tensors {
        let kind = if tensor.kind() == Kind::Int64 { Kind::Int64 } else { Kind::Float };
        let t = no_grad(|| tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(kind)?.f_contiguous())?;
        let shape = t.size().iter().map(|&d| d.unsigned_abs() as usize).collect();
        let (dtype, size) = if kind == Kind::Int64 { (Dtype::I64, 8) } else { (Dtype::F32, 4) };
        let mut raw = vec![0_u8; t.numel() * size];
        t.f_copy_data_u8(&mut raw, t.numel())?;
        bytes.push((name.to_owned(), dtype, shape, raw));
    }
    let failed = |e: safetensors::SafeTensorError| {
        Error::new(ErrorKind::Weights, format!("cannot write the weights: {e}")).at(path.display())
    };
    let views = bytes
        .iter()
        .map(|(n, d, s, b)| Ok((n.as_str(), TensorView::new(*d, s.clone(), b).map_err(failed)?)))
        .collect::<Result<Vec<_>>>()?;
    let all = safetensors::serialize(views, None).map_err(failed)?;
    files::write_whole(path, &all)
}

/// Reads all tensors of a `.safetensors` file, in their own number formats, on the CPU.
///
/// # Errors
/// [`crate::Kind::Weights`] when it is no such file or holds a number format networks do not use.
pub fn load_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the weights", path, e))?;
    tensors_of(&bytes).map_err(|e| e.at(path.display()))
}

/// [`load_tensors`] of a file already in memory.
pub(crate) fn tensors_of(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let bad = |why: String| {
        Error::new(ErrorKind::Weights, format!("this is no whole .safetensors file: {why}"))
            .mend("copy or fetch the file again")
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            other => return Err(bad(format!("`{name}` holds {other:?}"))),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
        tensors.insert(name.to_owned(), Tensor::f_from_data_size(view.data(), &shape, kind)?);
    }
    Ok(tensors)
}

/// Learnt tensors of given names, shapes and values, for tests of what works on any of them.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn testing_params(device: Device, tensors: &[(&str, &[i64], &[f32])]) -> Params {
    let mut params = Params::new(device);
    for (name, shape, values) in tensors {
        let _ =
            params.make((*name).to_owned(), shape, Role::Trainable, Init::Constant(0.0), Some(0)).unwrap();
        params.set(name, &Tensor::from_slice(values).view(*shape)).unwrap();
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(seed: u64) -> Params {
        let mut p = Params::new(Device::Cpu);
        let _ =
            p.make("a.weight".into(), &[4, 3, 2, 2], Role::Trainable, Init::Normal(1.0), Some(seed)).unwrap();
        let _ = p.make("a.bias".into(), &[4], Role::Trainable, Init::Constant(0.5), Some(seed)).unwrap();
        let _ = p.make("n.running_mean".into(), &[4], Role::Buffer, Init::Normal(1.0), Some(seed)).unwrap();
        p
    }

    fn same(a: &Params, b: &Params) -> bool {
        a.iter().zip(b.iter()).all(|(a, b)| a.name == b.name && a.tensor == b.tensor)
    }

    #[test]
    fn save_and_load_keep_every_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let (a, b) = (some(1), some(2));
        assert!(!same(&a, &b));
        assert!(same(&a, &some(1)), "the same seed gives the same weights");
        a.save(&path).unwrap();
        b.load(&path).unwrap();
        assert!(same(&a, &b));
        assert_eq!(b.get("a.weight").unwrap().tensor.stride(), [12, 1, 6, 3], "still channels-last");
    }

    #[test]
    fn misfits_are_listed_and_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let weight = Tensor::zeros([4, 3, 1, 1], (Kind::Float, Device::Cpu));
        save_tensors(&path, [("a.weight", &weight), ("b", &weight)].into_iter()).unwrap();
        let p = some(1);
        let e = p.load(&path).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Weights);
        for part in ["`a.weight` is [4, 3, 1, 1], not [4, 3, 2, 2]", "`a.bias` is missing", "`b` is unknown"]
        {
            assert!(e.what().contains(part), "{part}: {e}");
        }
        assert!(same(&p, &some(1)));
        std::fs::write(&path, b"\x10\0\0\0\0\0\0\0{\"a\":").unwrap();
        assert_eq!(p.load(&path).unwrap_err().kind(), ErrorKind::Weights);
    }
}
