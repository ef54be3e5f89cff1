//! Datasets and attributes as bytes, with their type beside them.
//!
//! The safe reader of the `hdf5` crate wants a Rust type whose size is known when the program is built; in pandas' files
//! the length of strings and the width of rows are known only when the file is open. So the bytes are read here as
//! libhdf5 has them and taken apart in safe code.

use super::Number;
use crate::error::{Error, Kind, Result};
use hdf5_metno::plist::attribute_create::CharEncoding;
use hdf5_metno::types::{
    FloatSize, IntSize, TypeDescriptor as Type, VarLenArray, VarLenAscii, VarLenUnicode,
};
use hdf5_metno::{
    Attribute, Container, Dataset, Dataspace, Datatype, Extents, Hyperslab, Location, Selection, SliceOrIndex,
};
use hdf5_metno_sys::{h5a, h5d, h5p::H5P_DEFAULT};
use std::ops::Range;

/// What libhdf5 says, as an error of ours. The place is added by whoever knows the path.
pub(in crate::formats) fn failed(what: &str) -> impl FnOnce(hdf5_metno::Error) -> Error + '_ {
    move |e| {
        // libhdf5 tells a stack of calls; the innermost says what is wrong.
        let stack = e.stack();
        let innermost = stack.as_ref().and_then(|s| s.iter().last());
        let reason = innermost.map_or_else(|| e.to_string(), |f| f.desc().to_owned());
        Error::new(Kind::Format, format!("cannot {what}: {reason}")).because(e)
    }
}

/// A fault in the content of a file.
pub(in crate::formats) fn wrong(what: impl Into<String>) -> Error {
    Error::new(Kind::Format, what)
}

/// Elements as bytes, packed, in the byte order of this machine.
pub(in crate::formats) struct Bytes {
    /// The type of one element.
    pub element: Type,
    pub data: Vec<u8>,
}

/// The packed native type of the elements, and libhdf5's handle of it.
fn element_type(of: &Container) -> Result<(Type, Datatype)> {
    let file = of.dtype().map_err(failed("read the type of the data"))?;
    let Ok(described) = file.to_descriptor() else {
        // PyTables writes a Python `bool` as a bit field of one byte.
        return if file.size() == 1 {
            Ok((Type::Unsigned(IntSize::U1), file))
        } else {
            Err(wrong(format!("the data have a type that is not known here: {file}")))
        };
    };
    let packed = described.to_packed_repr();
    if holds_pointers(&packed) {
        return Err(wrong(format!("the data have the type {packed}, which is not expected here")));
    }
    let memory = Datatype::from_descriptor(&packed).map_err(failed("read the type of the data"))?;
    Ok((packed, memory))
}

fn holds_pointers(t: &Type) -> bool {
    match t {
        Type::VarLenArray(_) | Type::VarLenAscii | Type::VarLenUnicode | Type::Reference(_) => true,
        Type::Compound(c) => c.fields.iter().any(|f| holds_pointers(&f.ty)),
        Type::FixedArray(t, _) => holds_pointers(t),
        _ => false,
    }
}

/// A zeroed buffer; an error instead of an abort when a damaged file asks for too much.
fn buffer(elements: usize, size: usize) -> Result<Vec<u8>> {
    let length = elements.checked_mul(size).ok_or_else(|| wrong("the data are larger than memory can be"))?;
    let mut data = Vec::new();
    data.try_reserve_exact(length).map_err(|e| wrong("the data do not fit into memory").because(e))?;
    data.resize(length, 0);
    Ok(data)
}

/// Reads rows (of the first dimension) of a dataset; all of it when `rows` is none.
#[allow(unsafe_code)] // H5Dread with a buffer whose size is known only at run time
pub(in crate::formats) fn read(set: &Dataset, rows: Option<Range<usize>>) -> Result<Bytes> {
    let (element, memory) = element_type(set)?;
    let space = set.space().map_err(failed("read the size of the data"))?;
    let mut shape = space.shape();
    let file_size = set.file().map(|f| f.size()).unwrap_or(u64::MAX);
    let whole = shape.iter().try_fold(memory.size().max(1), |a, &b| a.checked_mul(b));
    // Deflate packs at most about 1 : 1032; a damaged size must not be believed.
    let most = if set.filters().is_empty() { file_size } else { file_size.saturating_mul(1100) };
    if whole.is_none_or(|w| u64::try_from(w).is_ok_and(|w| w > most)) {
        return Err(wrong("the file is shorter than the data it should hold"));
    }
    let mut file_space = space.copy();
    if let (Some(rows), false) = (rows, shape.is_empty()) {
        shape[0] = rows.len();
        let mut slab = vec![SliceOrIndex::from(rows)];
        slab.resize(shape.len(), SliceOrIndex::from(..));
        file_space = space.select(Selection::from(Hyperslab::new(slab))).map_err(failed("select rows"))?;
    }
    let count: usize = shape.iter().product();
    let mut data = buffer(count, memory.size())?;
    if data.is_empty() || space.is_null() {
        return Ok(Bytes { element, data });
    }
    let memory_space = Dataspace::try_new(Extents::from(shape.clone())).map_err(failed("read the data"))?;
    let status = hdf5_metno::sync::sync(|| {
        // SAFETY: `data` has room for `count` elements of `memory`'s size, `memory_space` has `count` elements, the
        // type holds no pointers, all handles are open and the library's lock is held.
        unsafe {
            h5d::H5Dread(
                set.id(),
                memory.id(),
                memory_space.id(),
                file_space.id(),
                H5P_DEFAULT,
                data.as_mut_ptr().cast(),
            )
        }
    });
    if status < 0 {
        let name = set.name();
        let name = last_of(&name);
        return Err(if set.filters().is_empty() {
            wrong(format!("the data of `{name}` cannot be read"))
        } else {
            wrong(format!(
                "the data of `{name}` cannot be unpacked; they are damaged or packed in an unusual way"
            ))
            .mend("with pandas: pandas.read_hdf(path).to_hdf(path, key='df_with_missing', mode='w')")
        });
    }
    Ok(Bytes { element, data })
}

fn last_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Writes rows of a dataset whose elements lie packed in `data`.
#[allow(unsafe_code)] // H5Dwrite, as above
pub(in crate::formats) fn write(set: &Dataset, rows: Range<usize>, data: &[u8]) -> Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let failed = || failed("write the data");
    let (_, memory) = element_type(set)?;
    let space = set.space().map_err(failed())?;
    let mut shape = space.shape();
    if !shape.is_empty() {
        shape[0] = rows.len();
    }
    let mut slab = vec![SliceOrIndex::from(rows)];
    slab.resize(shape.len(), SliceOrIndex::from(..));
    let file_space = space.select(Selection::from(Hyperslab::new(slab))).map_err(failed())?;
    let memory_space = Dataspace::try_new(Extents::from(shape.clone())).map_err(failed())?;
    let count: usize = shape.iter().product();
    if count.checked_mul(memory.size()) != Some(data.len()) {
        return Err(wrong("the data do not fit the rows they are for"));
    }
    hdf5_metno::sync::sync(|| {
        // SAFETY: `data` holds exactly `count` elements of `memory`'s size and is only read.
        let status = unsafe {
            h5d::H5Dwrite(
                set.id(),
                memory.id(),
                memory_space.id(),
                file_space.id(),
                H5P_DEFAULT,
                data.as_ptr().cast(),
            )
        };
        if status >= 0 {
            return Ok(());
        }
        let (Ok(why) | Err(why)) = hdf5_metno::Error::query();
        Err(failed()(why))
    })
}

/// Has libhdf5 write what it still holds. To be called before a dataset that was written is dropped: what cannot be
/// written then, on a full disk, is lost without a word.
pub(in crate::formats) fn settle(set: &Dataset) -> Result<()> {
    // Not a flush of the whole file: that would change how it is laid out.
    set.flush().map_err(failed("write the data"))
}

/// The bytes of an attribute, whatever its type; `None` when there is none of this name.
#[allow(unsafe_code)] // H5Aread, as above
pub(in crate::formats) fn attribute(at: &Location, name: &str) -> Result<Option<Bytes>> {
    let Ok(attribute) = at.attr(name) else { return Ok(None) };
    let cannot = |e| failed(&format!("read the attribute `{name}`"))(e);
    match attribute.dtype().and_then(|t| t.to_descriptor()) {
        Ok(Type::VarLenUnicode) => {
            let text: VarLenUnicode = attribute.read_scalar().map_err(cannot)?;
            return Ok(Some(text_bytes(text.as_bytes())));
        }
        Ok(Type::VarLenAscii) => {
            let text: VarLenAscii = attribute.read_scalar().map_err(cannot)?;
            return Ok(Some(text_bytes(text.as_bytes())));
        }
        _ => {}
    }
    let (element, memory) = element_type(&attribute)?;
    let space = attribute.space().map_err(cannot)?;
    let shape = space.shape();
    if space.is_null() {
        return Ok(Some(Bytes { element, data: Vec::new() }));
    }
    let mut data = buffer(shape.iter().product(), memory.size())?;
    let status = if data.is_empty() {
        0
    } else {
        hdf5_metno::sync::sync(|| {
            // SAFETY: `data` has room for every element of the attribute; the type holds no pointers.
            unsafe { h5a::H5Aread(attribute.id(), memory.id(), data.as_mut_ptr().cast()) }
        })
    };
    if status < 0 {
        return Err(wrong(format!("the attribute `{name}` cannot be read")));
    }
    Ok(Some(Bytes { element, data }))
}

fn text_bytes(text: &[u8]) -> Bytes {
    Bytes { element: Type::FixedUnicode(text.len().max(1)), data: text.to_vec() }
}

/// Writes one attribute of one element.
#[allow(unsafe_code)] // H5Awrite, as above
fn set_attribute(at: &Location, name: &str, element: &Type, data: &[u8]) -> Result<()> {
    let cannot = |e| failed(&format!("write the attribute `{name}`"))(e);
    let builder = at.new_attr_builder().char_encoding(CharEncoding::Ascii).empty_as(element);
    if data.is_empty() {
        // PyTables stores an empty text as an attribute without a value.
        builder.shape(Extents::Null).create(name).map_err(cannot)?;
        return Ok(());
    }
    let attribute: Attribute = builder.shape(()).create(name).map_err(cannot)?;
    let memory = Datatype::from_descriptor(element).map_err(cannot)?;
    if memory.size() != data.len() {
        return Err(wrong(format!("the value does not fit the attribute `{name}`")));
    }
    let status = hdf5_metno::sync::sync(|| {
        // SAFETY: `data` is one element of `memory`'s size and is only read.
        unsafe { h5a::H5Awrite(attribute.id(), memory.id(), data.as_ptr().cast()) }
    });
    if status < 0 { Err(wrong(format!("the attribute `{name}` cannot be written"))) } else { Ok(()) }
}

/// Writes a text attribute; pandas reads it as text only when it is marked as UTF-8.
pub(in crate::formats) fn set_text(at: &Location, name: &str, text: &str) -> Result<()> {
    set_attribute(at, name, &Type::FixedUnicode(text.len().max(1)), text.as_bytes())
}

/// Writes a pickled attribute; bytes, so marked as ASCII.
pub(in crate::formats) fn set_pickle(at: &Location, name: &str, pickle: &[u8]) -> Result<()> {
    set_attribute(at, name, &Type::FixedAscii(pickle.len().max(1)), pickle)
}

pub(in crate::formats) fn set_i64(at: &Location, name: &str, value: i64) -> Result<()> {
    set_attribute(at, name, &Type::Integer(IntSize::U8), &value.to_ne_bytes())
}

pub(in crate::formats) fn set_f32(at: &Location, name: &str, value: f32) -> Result<()> {
    set_attribute(at, name, &Type::Float(FloatSize::U4), &value.to_ne_bytes())
}

pub(in crate::formats) fn set_flag(at: &Location, name: &str, value: bool) -> Result<()> {
    set_attribute(at, name, &Type::Unsigned(IntSize::U1), &[u8::from(value)])
}

/// A text attribute.
pub(in crate::formats) fn text(at: &Location, name: &str) -> Result<Option<String>> {
    Ok(attribute(at, name)?.map(|b| String::from_utf8_lossy(trimmed(&b.data)).into_owned()))
}

/// A whole-number attribute.
pub(in crate::formats) fn integer(at: &Location, name: &str) -> Result<Option<i64>> {
    Ok(attribute(at, name)?.and_then(|b| b.integers().ok()?.first().copied()))
}

/// Fixed strings are padded with NUL.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
    &bytes[..end]
}

/// A scalar type of numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) enum Scalar {
    Signed(IntSize),
    Unsigned(IntSize),
    Float(FloatSize),
}

impl Scalar {
    pub fn of(t: &Type) -> Option<Self> {
        match t {
            Type::Integer(s) => Some(Self::Signed(*s)),
            Type::Unsigned(s) => Some(Self::Unsigned(*s)),
            Type::Boolean => Some(Self::Unsigned(IntSize::U1)),
            Type::Float(s) => Some(Self::Float(*s)),
            _ => None,
        }
    }

    /// One number; bytes of another length are NaN.
    #[allow(clippy::cast_precision_loss)] // whole numbers in these tables are pixels
    pub fn number<T: Number>(self, bytes: &[u8]) -> T {
        match (self, bytes) {
            (Self::Float(FloatSize::U4), &[a, b, c, d]) => T::from_f32(f32::from_ne_bytes([a, b, c, d])),
            (Self::Float(_), b) => b.try_into().map_or(T::NAN, |b| T::from_f64(f64::from_ne_bytes(b))),
            (Self::Signed(_) | Self::Unsigned(_), b) => {
                self.integer(b).map_or(T::NAN, |v| T::from_f64(v as f64))
            }
        }
    }

    fn integer(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Self::Signed(IntSize::U1) => i64::from(i8::from_ne_bytes(bytes.try_into().ok()?)),
            Self::Signed(IntSize::U2) => i64::from(i16::from_ne_bytes(bytes.try_into().ok()?)),
            Self::Signed(IntSize::U4) => i64::from(i32::from_ne_bytes(bytes.try_into().ok()?)),
            Self::Signed(IntSize::U8) => i64::from_ne_bytes(bytes.try_into().ok()?),
            Self::Unsigned(IntSize::U1) => i64::from(u8::from_ne_bytes(bytes.try_into().ok()?)),
            Self::Unsigned(IntSize::U2) => i64::from(u16::from_ne_bytes(bytes.try_into().ok()?)),
            Self::Unsigned(IntSize::U4) => i64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
            Self::Unsigned(IntSize::U8) => i64::try_from(u64::from_ne_bytes(bytes.try_into().ok()?)).ok()?,
            Self::Float(_) => return None,
        })
    }
}

impl Bytes {
    /// The elements as whole numbers.
    pub fn integers(&self) -> Result<Vec<i64>> {
        let no = || wrong(format!("whole numbers were expected, the data are {}", self.element));
        let scalar = Scalar::of(&self.element).ok_or_else(no)?;
        let size = self.element.size().max(1);
        self.data.chunks_exact(size).map(|b| scalar.integer(b).ok_or_else(no)).collect()
    }

    /// The elements as text; whole numbers become their digits.
    pub fn texts(&self) -> Result<Vec<String>> {
        match self.element {
            Type::FixedAscii(size) | Type::FixedUnicode(size) => texts(&self.data, size.max(1)),
            _ => Ok(self.integers()?.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Fixed strings one after the other.
pub(in crate::formats) fn texts(data: &[u8], size: usize) -> Result<Vec<String>> {
    let text = |b: &[u8]| {
        let text = std::str::from_utf8(trimmed(b)).map(str::to_owned);
        text.map_err(|e| wrong("a name is not UTF-8 text").because(e))
    };
    data.chunks_exact(size).map(text).collect()
}

/// The bytes of a variable-length dataset with one element: where PyTables pickles Python objects.
pub(in crate::formats) fn pickled(set: &Dataset) -> Result<Option<Vec<u8>>> {
    if !matches!(set.dtype().and_then(|t| t.to_descriptor()), Ok(Type::VarLenArray(_))) {
        return Ok(None);
    }
    let cannot = |e| failed("read pickled objects")(e);
    let rows: Vec<VarLenArray<u8>> = set.read_raw().map_err(cannot)?;
    match &rows[..] {
        [one] => Ok(Some(one.to_vec())),
        _ => Err(wrong(format!("{} pickled objects where one was expected", rows.len()))),
    }
}
