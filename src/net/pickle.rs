//! Reads PyTorch's weight files and executes nothing.
//!
//! Both of PyTorch's formats are Python pickles with raw tensor bytes beside them: since 1.6 a zip archive
//! (`data.pkl`, `data/0`, `data/1`, ...), before that one stream of five pickles and the bytes. Of the pickle machine
//! only what a state dict needs is understood; whatever else a file asks for is named and refused.

use crate::error::{Error, Kind as ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use tch::{Kind, Tensor};

/// The tensors of a `.pth` file, by name, on the CPU, in their own number formats. A state dict wrapped in
/// `{"state_dict": ...}` or `{"model": ...}` is unwrapped.
pub(crate) fn tensors_of(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let mut file = if bytes.starts_with(b"PK\x03\x04") { from_zip(bytes)? } else { from_stream(bytes)? };
    let mut tensors = BTreeMap::new();
    let root = file.state_dict()?;
    for (name, tensor) in root {
        tensors.insert(name, file.tensor(tensor)?);
    }
    Ok(tensors)
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Weights, format!("this PyTorch file cannot be read: {why}"))
        .mend("check that it is a whole file with a state dict; or save it as .safetensors")
}

/// A value of the pickle machine, by its place in [`Machine::nodes`]. Flat, so that no nesting can exhaust the stack.
type Id = usize;

#[derive(Debug, Clone)]
enum Node {
    None,
    Bool,
    Int(i64),
    /// A number that is only carried along.
    Other,
    Str(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(&'static str, Option<Kind>),
    Storage(Id),
    Tensor {
        storage: Id,
        offset: i64,
        size: Vec<i64>,
        stride: Vec<i64>,
    },
}

/// What a file may name; the storages with their number formats.
const GLOBALS: [(&str, Option<Kind>); 8] = [
    ("collections.OrderedDict", None),
    ("torch._utils._rebuild_tensor_v2", None),
    ("torch._utils._rebuild_parameter", None),
    ("torch.FloatStorage", Some(Kind::Float)),
    ("torch.DoubleStorage", Some(Kind::Double)),
    ("torch.HalfStorage", Some(Kind::Half)),
    ("torch.BFloat16Storage", Some(Kind::BFloat16)),
    ("torch.LongStorage", Some(Kind::Int64)),
];

/// One stretch of raw numbers that tensors are views of.
#[derive(Debug)]
struct Storage {
    key: String,
    kind: Kind,
    count: i64,
    values: Option<Tensor>,
}

#[derive(Debug, Default)]
struct Machine {
    nodes: Vec<Node>,
    storages: Vec<Storage>,
    by_key: HashMap<String, Id>,
    root: Id,
}

/// Bytes with a place in them.
struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&e| e <= self.all.len());
        let end = end.ok_or_else(|| bad("it ends too early"))?;
        let taken = &self.all[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn length(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn line(&mut self) -> Result<String> {
        let rest = self.all.get(self.at..).unwrap_or(&[]);
        let end = rest.iter().position(|&b| b == b'\n').ok_or_else(|| bad("it ends too early"))?;
        let line = self.take(end)?;
        self.at += 1;
        Ok(String::from_utf8_lossy(line).into_owned())
    }
}

impl Machine {
    fn new() -> Self {
        Self { nodes: vec![Node::None], ..Self::default() }
    }

    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn node(&self, id: Id) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    /// Runs one pickle; its result becomes the root.
    fn run(&mut self, from: &mut Bytes) -> Result<()> {
        let mut stack: Vec<Id> = Vec::new();
        let mut marks: Vec<usize> = Vec::new();
        let mut memo: HashMap<usize, Id> = HashMap::new();
        let short = || bad("its pickle takes more from the stack than there is");
        loop {
            let op = from.byte()?;
            let made = match op {
                0x80 => {
                    let version = from.byte()?;
                    if version > 5 {
                        return Err(bad(format_args!("it is of pickle protocol {version}")));
                    }
                    continue;
                }
                0x95 => {
                    from.take(8)?; // FRAME: only a hint for buffering
                    continue;
                }
                b'.' => {
                    self.root = stack.pop().ok_or_else(short)?;
                    return Ok(());
                }
                b'(' => {
                    marks.push(stack.len());
                    continue;
                }
                b'0' => {
                    stack.pop().ok_or_else(short)?;
                    continue;
                }
                b'N' => Node::None,
                0x88 | 0x89 => Node::Bool,
                b'J' => Node::Int(i64::from(i32::from_le_bytes(from.array()?))),
                b'K' => Node::Int(i64::from(from.byte()?)),
                b'M' => Node::Int(i64::from(u16::from_le_bytes(from.array()?))),
                0x8a => {
                    let count = usize::from(from.byte()?);
                    let raw = from.take(count)?;
                    if count > 8 {
                        Node::Other // only the magic number is that long
                    } else {
                        let fill = if raw.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                        let mut wide = [fill; 8];
                        wide[..count].copy_from_slice(raw);
                        Node::Int(i64::from_le_bytes(wide))
                    }
                }
                b'G' => {
                    from.take(8)?;
                    Node::Other
                }
                b'X' | b'T' => {
                    let n = from.length()?;
                    Node::Str(String::from_utf8_lossy(from.take(n)?).into_owned())
                }
                0x8c | b'U' => {
                    let n = usize::from(from.byte()?);
                    Node::Str(String::from_utf8_lossy(from.take(n)?).into_owned())
                }
                b'}' => Node::Dict(Vec::new()),
                b']' => Node::List(Vec::new()),
                b')' => Node::Tuple(Vec::new()),
                b't' => {
                    Node::Tuple(stack.split_off(marks.pop().filter(|&m| m <= stack.len()).ok_or_else(short)?))
                }
                0x85..=0x87 => {
                    let count = usize::from(op - 0x84);
                    Node::Tuple(stack.split_off(stack.len().checked_sub(count).ok_or_else(short)?))
                }
                b'c' => {
                    let (module, name) = (from.line()?, from.line()?);
                    global(&format!("{module}.{name}"))?
                }
                0x93 => {
                    let (name, module) = (stack.pop().ok_or_else(short)?, stack.pop().ok_or_else(short)?);
                    match (self.node(module), self.node(name)) {
                        (Node::Str(module), Node::Str(name)) => global(&format!("{module}.{name}"))?,
                        _ => return Err(bad("a name in it is no text")),
                    }
                }
                b'q' | b'r' | 0x94 => {
                    let at = match op {
                        b'q' => usize::from(from.byte()?),
                        b'r' => from.length()?,
                        _ => memo.len(),
                    };
                    memo.insert(at, *stack.last().ok_or_else(short)?);
                    continue;
                }
                b'h' | b'j' => {
                    let at = if op == b'h' { usize::from(from.byte()?) } else { from.length()? };
                    stack.push(*memo.get(&at).ok_or_else(|| bad("it refers to what it never made"))?);
                    continue;
                }
                b's' | b'u' | b'a' | b'e' => {
                    let first = match op {
                        b's' => stack.len().checked_sub(2),
                        b'a' => stack.len().checked_sub(1),
                        _ => marks.pop().filter(|&m| m <= stack.len()),
                    };
                    let items = stack.split_off(first.ok_or_else(short)?);
                    let target = *stack.last().ok_or_else(short)?;
                    match self.nodes.get_mut(target) {
                        Some(Node::Dict(pairs)) if op == b's' || op == b'u' => {
                            pairs.extend(items.chunks_exact(2).map(|p| (p[0], p[1])));
                        }
                        Some(Node::List(list)) if op == b'a' || op == b'e' => list.extend(items),
                        _ => return Err(bad("it fills what is neither list nor dict")),
                    }
                    continue;
                }
                b'Q' => {
                    let id = stack.pop().ok_or_else(short)?;
                    self.storage(id)?
                }
                b'R' => {
                    let (args, callee) = (stack.pop().ok_or_else(short)?, stack.pop().ok_or_else(short)?);
                    self.call(callee, args)?
                }
                b'b' => {
                    // A state dict's `_metadata`; nothing in it is needed.
                    stack.pop().ok_or_else(short)?;
                    match stack.last().map(|&id| self.node(id)) {
                        Some(Node::Dict(_)) => continue,
                        _ => return Err(bad("it sets the state of what is no state dict")),
                    }
                }
                other => {
                    return Err(bad(format_args!(
                        "pickle operation {other:#04x} is not one of a state dict"
                    )));
                }
            };
            let id = self.add(made);
            stack.push(id);
        }
    }

    /// A persistent id: `("storage", type, key, device, count[, view])`.
    fn storage(&mut self, id: Id) -> Result<Node> {
        let parts = match self.node(id) {
            Node::Tuple(parts) => parts.clone(),
            _ => Vec::new(),
        };
        let (
            Some(Node::Str(tag)),
            Some(Node::Global(_, Some(kind))),
            Some(Node::Str(key)),
            Some(Node::Int(count)),
        ) = (
            parts.first().map(|&p| self.node(p)),
            parts.get(1).map(|&p| self.node(p)),
            parts.get(2).map(|&p| self.node(p)),
            parts.get(4).map(|&p| self.node(p)),
        )
        else {
            return Err(bad("a reference in it is none to a storage"));
        };
        if tag != "storage"
            || *count < 0
            || parts.get(5).is_some_and(|&v| !matches!(self.node(v), Node::None))
        {
            return Err(bad("a storage in it is of an unknown sort"));
        }
        if let Some(&at) = self.by_key.get(key) {
            let known = self.storages.get(at);
            return match known {
                Some(s) if s.kind == *kind && s.count == *count => Ok(Node::Storage(at)),
                _ => Err(bad(format_args!("storage {key} is described in two ways"))),
            };
        }
        let storage = Storage { key: key.clone(), kind: *kind, count: *count, values: None };
        let at = self.storages.len();
        self.by_key.insert(key.clone(), at);
        self.storages.push(storage);
        Ok(Node::Storage(at))
    }

    fn call(&mut self, callee: Id, args: Id) -> Result<Node> {
        let (Node::Global(name, _), Node::Tuple(args)) = (self.node(callee), self.node(args)) else {
            return Err(bad("it calls what is no function"));
        };
        let ints = |id: Option<&Id>| match id.map(|&i| self.node(i)) {
            Some(Node::Tuple(ids)) => ids
                .iter()
                .map(|&i| if let Node::Int(n) = self.node(i) { Some(*n) } else { None })
                .collect::<Option<Vec<i64>>>(),
            _ => None,
        };
        match *name {
            "collections.OrderedDict" if args.is_empty() => Ok(Node::Dict(Vec::new())),
            "torch._utils._rebuild_parameter" => match args.first().map(|&a| self.node(a)) {
                Some(tensor @ Node::Tensor { .. }) => Ok(tensor.clone()),
                _ => Err(bad("a parameter in it is no tensor")),
            },
            "torch._utils._rebuild_tensor_v2" => {
                let (Some(Node::Storage(storage)), Some(Node::Int(offset)), Some(size), Some(stride)) = (
                    args.first().map(|&a| self.node(a)),
                    args.get(1).map(|&a| self.node(a)),
                    ints(args.get(2)),
                    ints(args.get(3)),
                ) else {
                    return Err(bad("a tensor in it is not described as expected"));
                };
                Ok(Node::Tensor { storage: *storage, offset: *offset, size, stride })
            }
            other => Err(bad(format_args!("it calls {other} in an unknown way"))),
        }
    }

    /// The names and tensors of the root, unwrapped when need be.
    fn state_dict(&self) -> Result<Vec<(String, Id)>> {
        let mut at = self.root;
        for wrapper in ["state_dict", "model", "model_state_dict"] {
            let Node::Dict(pairs) = self.node(at) else {
                return Err(bad("it holds no state dict"));
            };
            let inner = pairs.iter().find(|(k, v)| {
                matches!(self.node(*k), Node::Str(k) if k == wrapper)
                    && matches!(self.node(*v), Node::Dict(_))
            });
            at = inner.map_or(at, |p| p.1);
        }
        let Node::Dict(pairs) = self.node(at) else {
            return Err(bad("it holds no state dict"));
        };
        let named = pairs.iter().filter_map(|&(k, v)| match (self.node(k), self.node(v)) {
            (Node::Str(name), Node::Tensor { .. }) => Some((name.clone(), v)),
            _ => None,
        });
        let named: Vec<_> = named.collect();
        if named.is_empty() { Err(bad("it holds no tensors by name")) } else { Ok(named) }
    }

    fn tensor(&mut self, id: Id) -> Result<Tensor> {
        let Node::Tensor { storage, offset, size, stride } = self.node(id) else {
            return Err(bad("it holds no tensor there"));
        };
        let Some(values) = self.storages.get(*storage).and_then(|s| s.values.as_ref()) else {
            return Err(bad("the numbers of a tensor are missing"));
        };
        // More numbers than stored would be an expanded view, which no weight is; torch checks the rest.
        let count = size.iter().try_fold(1_i64, |n, &d| n.checked_mul(d)).filter(|&n| n >= 0);
        let stored = i64::try_from(values.numel()).unwrap_or(0);
        if size.len() != stride.len() || *offset < 0 || count.is_none_or(|n| n > stored) {
            return Err(bad("a tensor in it is larger than its numbers"));
        }
        let view = values
            .f_as_strided(size.as_slice(), stride.as_slice(), *offset)
            .map_err(|_| bad("a tensor in it reaches beyond its numbers"))?;
        Ok(view.f_contiguous()?)
    }

    /// Gives storage `key` its raw little-endian numbers.
    fn fill(&mut self, at: usize, raw: &[u8]) -> Result<()> {
        let Some(s) = self.storages.get_mut(at) else {
            return Err(bad("it has numbers for no storage"));
        };
        s.values = Some(Tensor::f_from_data_size(raw, &[s.count], s.kind)?);
        Ok(())
    }

    /// How many bytes a storage has.
    fn bytes_of(&self, at: usize) -> Result<usize> {
        let s = self.storages.get(at).ok_or_else(|| bad("it has numbers for no storage"))?;
        let count = usize::try_from(s.count).ok();
        count
            .and_then(|n| n.checked_mul(s.kind.elt_size_in_bytes()))
            .ok_or_else(|| bad("a storage in it is impossibly large"))
    }
}

fn global(name: &str) -> Result<Node> {
    match GLOBALS.iter().find(|g| g.0 == name) {
        Some(&(name, kind)) => Ok(Node::Global(name, kind)),
        None => Err(bad(format_args!("it wants to run `{name}`, which is not part of a state dict"))),
    }
}

fn from_zip(bytes: &[u8]) -> Result<Machine> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(bad)?;
    let pickle = archive
        .file_names()
        .find(|n| *n == "data.pkl" || n.ends_with("/data.pkl"))
        .map(str::to_owned)
        .ok_or_else(|| bad("the archive has no data.pkl"))?;
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    let mut read = |name: &str, limit: usize| -> Result<Vec<u8>> {
        let entry = archive.by_name(name).map_err(|e| bad(format_args!("{name}: {e}")))?;
        let mut out = Vec::new();
        entry.take(limit as u64 + 1).read_to_end(&mut out).map_err(|e| bad(format_args!("{name}: {e}")))?;
        if out.len() > limit { Err(bad(format_args!("{name} is larger than it should be"))) } else { Ok(out) }
    };
    if let Ok(order) = read(&format!("{folder}byteorder"), 16)
        && order != b"little"
    {
        return Err(bad("it was written on a big-endian machine"));
    }
    let stream = read(&pickle, 64 << 20)?;
    let mut machine = Machine::new();
    machine.run(&mut Bytes { all: &stream, at: 0 })?;
    for at in 0..machine.storages.len() {
        let expected = machine.bytes_of(at)?;
        let name = format!("{folder}data/{}", machine.storages[at].key);
        let raw = read(&name, expected)?;
        if raw.len() != expected {
            return Err(bad(format_args!("{name} is shorter than it should be")));
        }
        machine.fill(at, &raw)?;
    }
    Ok(machine)
}

fn from_stream(bytes: &[u8]) -> Result<Machine> {
    /// 0x1950a86a20f9469cfc6c, as the pickle has it.
    const MAGIC: [u8; 14] = *b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let mut from = Bytes { all: bytes, at: 0 };
    if !bytes.starts_with(&MAGIC) {
        return Err(bad("it is neither an archive nor a stream of PyTorch's"));
    }
    Machine::new().run(&mut from)?; // the magic number
    Machine::new().run(&mut from)?; // the protocol version
    Machine::new().run(&mut from)?; // the machine it was written on
    let mut machine = Machine::new();
    machine.run(&mut from)?;
    let mut keys = Machine::new();
    keys.run(&mut from)?;
    let Node::List(order) = keys.node(keys.root) else {
        return Err(bad("the list of its storages is missing"));
    };
    for &key in order {
        let Node::Str(key) = keys.node(key) else {
            return Err(bad("the list of its storages is damaged"));
        };
        let at = *machine.by_key.get(key).ok_or_else(|| bad("it has numbers for no storage"))?;
        let count = i64::from_le_bytes(from.array()?);
        if machine.storages.get(at).is_none_or(|s| s.count != count) {
            return Err(bad("a storage has another size than its tensors were told"));
        }
        let raw = from.take(machine.bytes_of(at)?)?;
        machine.fill(at, raw)?;
    }
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `OrderedDict(w=tensor 2x2 transposed view of 0..4 in fp16, b=bfloat16 [1.5], n=int64 [7])`, both formats,
    /// as written by PyTorch 2.11.
    const ZIP: &[u8] = include_bytes!("../../tests/data/small.pth");
    const STREAM: &[u8] = include_bytes!("../../tests/data/small-legacy.pth");

    #[test]
    fn both_formats_give_the_same_tensors() {
        for bytes in [ZIP, STREAM] {
            let t = tensors_of(bytes).unwrap();
            assert_eq!(t.keys().collect::<Vec<_>>(), ["b", "n", "w"]);
            assert_eq!(
                (t["w"].kind(), t["b"].kind(), t["n"].kind()),
                (Kind::Half, Kind::BFloat16, Kind::Int64)
            );
            assert_eq!(t["w"].size(), [2, 2]);
            let w = Vec::<f32>::try_from(t["w"].to_kind(Kind::Float).view(-1)).unwrap();
            assert_eq!(w, [0.0, 2.0, 1.0, 3.0]);
            assert_eq!(f64::try_from(&t["b"]).unwrap(), 1.5);
            assert_eq!(i64::try_from(&t["n"]).unwrap(), 7);
        }
    }

    #[test]
    fn what_a_file_wants_to_run_is_named_and_refused() {
        let evil = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R.";
        let e = tensors_of(evil).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Weights);
        assert!(e.what().contains("posix.system"), "{e}");
        let odd = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02i";
        assert!(tensors_of(odd).unwrap_err().what().contains("0x69"));
        for cut in 0..STREAM.len() {
            assert!(tensors_of(&STREAM[..cut]).is_err(), "{cut}");
        }
        for cut in 0..ZIP.len() {
            assert!(tensors_of(&ZIP[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in 0usize..4000, byte: u8) {
            for original in [ZIP, STREAM] {
                let mut bytes = original.to_vec();
                let n = bytes.len();
                bytes[at % n] = byte;
                let _ = tensors_of(&bytes);
            }
        }
    }
}
