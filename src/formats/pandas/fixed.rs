//! pandas' *fixed* layout: axes as levels and codes, values in blocks.

use super::pickle::Pickle;
use super::{Frame, Index, NewIndex};
use crate::error::Result;
use crate::formats::h5::raw::{self, Scalar, failed, wrong};
use crate::formats::h5::{Number, Rows};
use crate::watch::Watch;
use hdf5_metno::types::{FloatSize, IntSize, TypeDescriptor as Type};
use hdf5_metno::{Dataset, Group};
use std::collections::{BTreeMap, HashMap};

/// Bytes of values read at a time.
const AT_ONCE: usize = 16 << 20;

fn dataset(group: &Group, name: &str) -> Result<Dataset> {
    group.dataset(name).map_err(|e| wrong(format!("the table has no `{name}`")).because(e))
}

pub(super) fn read<T: Number>(group: &Group, watch: &dyn Watch) -> Result<Frame<T>> {
    if raw::integer(group, "ndim")?.unwrap_or(2) != 2 {
        return Err(wrong("the table is not two-dimensional"));
    }
    let (levels, columns) = match axis(group, "axis0")? {
        (levels, Index::Text(columns)) => (levels, columns),
        (levels, Index::Integer(columns)) => (levels, columns.iter().map(|c| vec![c.to_string()]).collect()),
    };
    let (_, index) = axis(group, "axis1")?;
    let rows = index.rows();
    let blocks = raw::integer(group, "nblocks")?.ok_or_else(|| wrong("the table does not say its blocks"))?;
    let mut at: HashMap<&[String], usize> = HashMap::new();
    for (i, column) in columns.iter().enumerate() {
        if at.insert(column, i).is_some() {
            return Err(wrong(format!("the column `{}` is there twice", column.join(" ")))
                .mend("remove one of the two columns with pandas and save the table again"));
        }
    }
    let cells = rows.checked_mul(columns.len()).ok_or_else(|| wrong("the table is larger than memory"))?;
    let mut values = Vec::new();
    values.try_reserve_exact(cells).map_err(|e| wrong("the table does not fit into memory").because(e))?;
    values.resize(cells, T::NAN);
    let mut filled = vec![false; columns.len()];
    for block in 0..blocks {
        watch.check()?;
        let name = format!("block{block}_items");
        let (_, Index::Text(items)) = axis(group, &name)? else {
            return Err(wrong(format!("`{name}` does not name columns")));
        };
        let places: Vec<usize> = items
            .iter()
            .map(|i| at.get(&i[..]).copied().ok_or_else(|| wrong(format!("`{}` is no column", i.join(" ")))))
            .collect::<Result<_>>()?;
        let name = format!("block{block}_values");
        let set = dataset(group, &name)?;
        let mut put = |row: usize, item: usize, value: T| {
            if let Some(cell) = places.get(item).and_then(|p| values.get_mut(row * columns.len() + p)) {
                *cell = value;
            }
        };
        read_block(&set, &name, rows, places.len(), watch, &mut put)?;
        for place in places {
            filled[place] = true;
        }
    }
    if let Some(empty) = filled.iter().position(|f| !f) {
        return Err(wrong(format!("the column `{}` has no values", columns[empty].join(" "))));
    }
    Ok(Frame { levels, columns, index, values })
}

/// Reads the values of one block; `put` gets row, item and value.
fn read_block<T: Number>(
    set: &Dataset,
    name: &str,
    rows: usize,
    items: usize,
    watch: &dyn Watch,
    put: &mut impl FnMut(usize, usize, T),
) -> Result<()> {
    if rows == 0 || items == 0 {
        return Ok(());
    }
    if let Some(pickle) = raw::pickled(set)? {
        // Columns that are partly empty may be stored as Python objects.
        let mend = "with pandas: df.astype(float).to_hdf(path, key='df_with_missing', mode='w')";
        let not_numbers = || wrong(format!("`{name}` holds Python objects that are no numbers")).mend(mend);
        let pickle = Pickle::read(&pickle).map_err(|e| e.mend(mend))?;
        let cells =
            pickle.value().array_items().filter(|c| c.len() == rows * items).ok_or_else(not_numbers)?;
        for (i, cell) in cells.enumerate() {
            put(i / items, i % items, T::from_f64(cell.number().ok_or_else(not_numbers)?));
        }
        return Ok(());
    }
    let shape = set.shape();
    let transposed = raw::integer(set, "transposed")?.unwrap_or(0) != 0;
    // What pandas calls transposed is the natural order, rows by columns.
    let natural = match shape[..] {
        [a, b] if a == rows && b == items && (transposed || rows != items) => true,
        [a, b] if a == items && b == rows => false,
        _ => {
            return Err(wrong(format!(
                "`{name}` has the shape {shape:?}, not {rows} rows by {items} columns"
            )));
        }
    };
    let width = if natural { items } else { rows };
    let step = (AT_ONCE / (width * 8).max(1)).max(1);
    for from in (0..shape[0]).step_by(step) {
        watch.check()?;
        let bytes = raw::read(set, Some(from..(from + step).min(shape[0])))?;
        let scalar = Scalar::of(&bytes.element)
            .ok_or_else(|| wrong(format!("`{name}` holds {}, not numbers", bytes.element)))?;
        for (i, cell) in bytes.data.chunks_exact(bytes.element.size().max(1)).enumerate() {
            let (a, b) = (from + i / width, i % width);
            let (row, item) = if natural { (a, b) } else { (b, a) };
            put(row, item, scalar.number(cell));
        }
    }
    Ok(())
}

/// The names of the levels of an axis, and its entries.
type Axis = (Vec<Option<String>>, Index);

fn axis(group: &Group, name: &str) -> Result<Axis> {
    let variety = raw::text(group, &format!("{name}_variety"))?;
    match variety.as_deref() {
        Some("multi") => {}
        Some("regular") => {
            let set = dataset(group, name)?;
            let names = vec![level_name(&set)?];
            let kind = raw::text(&set, "kind")?.unwrap_or_default();
            return match kind.as_str() {
                _ if is_empty(&set)? => Ok((names, Index::Text(vec![]))),
                "integer" => Ok((names, Index::Integer(raw::read(&set, None)?.integers()?))),
                _ => Ok((names, Index::Text(level(&set, name)?.into_iter().map(|t| vec![t]).collect()))),
            };
        }
        other => return Err(wrong(format!("the axis `{name}` is `{}`", other.unwrap_or("not described")))),
    }
    let count = raw::integer(group, &format!("{name}_nlevels"))?
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| (1..=16).contains(n))
        .ok_or_else(|| wrong(format!("`{name}_nlevels` is missing or wrong")))?;
    let mut names = Vec::with_capacity(count);
    let mut entries: Vec<Vec<String>> = Vec::new();
    for l in 0..count {
        let set = dataset(group, &format!("{name}_level{l}"))?;
        names.push(level_name(&set)?);
        let values = level(&set, &format!("{name}_level{l}"))?;
        let codes = dataset(group, &format!("{name}_label{l}"))?;
        let codes = if is_empty(&codes)? { Vec::new() } else { raw::read(&codes, None)?.integers()? };
        if l == 0 {
            entries = vec![Vec::with_capacity(count); codes.len()];
        } else if codes.len() != entries.len() {
            return Err(wrong(format!("the levels of `{name}` differ in length")));
        }
        for (i, (entry, code)) in entries.iter_mut().zip(codes).enumerate() {
            let value = usize::try_from(code).ok().and_then(|c| values.get(c));
            let value = value.ok_or_else(|| {
                let what = if name == "axis1" { "row" } else { "column" };
                wrong(format!("the {what} {i} has no name in level {l} of `{name}`"))
            })?;
            entry.push(value.clone());
        }
    }
    Ok((names, Index::Text(entries)))
}

/// Whether pandas noted an array without entries, which PyTables cannot store as such.
fn is_empty(set: &Dataset) -> Result<bool> {
    Ok(raw::attribute(set, "shape")?.is_some() || set.shape().contains(&0))
}

fn level(set: &Dataset, name: &str) -> Result<Vec<String>> {
    if is_empty(set)? {
        return Ok(vec![]);
    }
    if let Some(pickle) = raw::pickled(set)? {
        let pickle = Pickle::read(&pickle)?;
        let names = pickle.value().array_items().and_then(|items| items.map(|i| i.name()).collect());
        return names.ok_or_else(|| wrong(format!("`{name}` holds names that are no text")));
    }
    raw::read(set, None)?.texts()
}

/// The name of a level; a missing name is stored as a pickled `None`.
fn level_name(set: &Dataset) -> Result<Option<String>> {
    Ok(raw::text(set, "name")?.filter(|n| n != "N." && !n.is_empty()))
}

/// Makes everything but the values.
pub(super) fn create(
    group: &Group,
    levels: &[&str],
    columns: &[Vec<String>],
    index: &NewIndex<'_>,
    size: FloatSize,
) -> Result<Rows> {
    raw::set_text(group, "pandas_type", "frame")?;
    raw::set_i64(group, "ndim", 2)?;
    raw::set_i64(group, "nblocks", 1)?;
    let levels: Vec<Option<&str>> = levels.iter().map(|l| Some(*l)).collect();
    write_multi(group, "axis0", &levels, columns)?;
    let rows = match index {
        NewIndex::Text(rows) => {
            let levels = rows.first().map_or(3, Vec::len);
            write_multi(group, "axis1", &vec![None; levels], rows)?;
            rows.len()
        }
        NewIndex::Counted(rows) => {
            write_count(group, *rows)?;
            *rows
        }
    };
    write_multi(group, "block0_items", &levels, columns)?;
    let (number, width) = (Type::Float(size), columns.len());
    let set = if rows == 0 {
        let dtype = format!("float{}", 8 * number.size());
        empty_array(group, "block0_values", &number, &dtype, &[width, 0])?;
        None
    } else {
        Some(make_array(group, "block0_values", &number, &[rows, width])?)
    };
    Ok(Rows { set, count: rows, width, numbered: false, chunk: 1 })
}

/// The index 0, 1, 2, ..., a piece at a time.
fn write_count(group: &Group, rows: usize) -> Result<()> {
    const STEP: usize = 1 << 16;
    let element = Type::Integer(IntSize::U8);
    raw::set_text(group, "axis1_variety", "regular")?;
    let set = if rows == 0 {
        empty_array(group, "axis1", &element, "int64", &[0])?
    } else {
        let set = make_array(group, "axis1", &element, &[rows])?;
        for from in (0..rows).step_by(STEP) {
            let piece = from..rows.min(from + STEP);
            let numbers = piece.clone().map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            let bytes: Vec<u8> = numbers.flat_map(i64::to_ne_bytes).collect();
            raw::write(&set, piece, &bytes)?;
        }
        raw::settle(&set)?;
        set
    };
    raw::set_text(&set, "kind", "integer")?;
    raw::set_pickle(&set, "name", b"N.")
}

/// Writes an axis as sorted level values and codes into them, as pandas does.
fn write_multi(group: &Group, name: &str, levels: &[Option<&str>], entries: &[Vec<String>]) -> Result<()> {
    raw::set_text(group, &format!("{name}_variety"), "multi")?;
    raw::set_i64(group, &format!("{name}_nlevels"), i64::try_from(levels.len()).unwrap_or(i64::MAX))?;
    for (l, level_name) in levels.iter().enumerate() {
        let mut codes: BTreeMap<&str, i32> = entries.iter().map(|e| (e[l].as_str(), 0)).collect();
        if codes.is_empty() {
            codes.insert("", 0); // PyTables has no empty arrays
        }
        for (code, at) in (0..).zip(codes.values_mut()) {
            *at = code;
        }
        let size = codes.keys().map(|k| k.len()).max().unwrap_or(0).max(1);
        let mut bytes = Vec::with_capacity(size * codes.len());
        for key in codes.keys() {
            let end = bytes.len() + size;
            bytes.extend(key.bytes());
            bytes.resize(end, 0);
        }
        let set = array(group, &format!("{name}_level{l}"), &Type::FixedAscii(size), &[codes.len()], &bytes)?;
        raw::set_text(&set, "kind", "string")?;
        match level_name {
            Some(text) => {
                raw::set_text(&set, "name", text)?;
                raw::set_text(&set, &format!("{name}_name{text}"), text)?;
            }
            None => {
                raw::set_pickle(&set, "name", b"N.")?;
                raw::set_pickle(&set, &format!("{name}_nameNone"), b"N.")?;
            }
        }
        write_codes(
            group,
            &format!("{name}_label{l}"),
            codes.len(),
            entries.iter().map(|e| codes[e[l].as_str()]),
        )?;
    }
    Ok(())
}

/// Codes in the smallest type that holds them, as pandas has it.
fn write_codes(
    group: &Group,
    name: &str,
    values: usize,
    codes: impl ExactSizeIterator<Item = i32>,
) -> Result<()> {
    let (size, dtype) = match values {
        0..127 => (IntSize::U1, "int8"),
        127..32_767 => (IntSize::U2, "int16"),
        _ => (IntSize::U4, "int32"),
    };
    let element = Type::Integer(size);
    let count = codes.len();
    if count == 0 {
        empty_array(group, name, &element, dtype, &[0])?;
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(count * element.size());
    for code in codes {
        match size {
            // The codes fit: they are smaller than `values`.
            IntSize::U1 => bytes.extend(i8::try_from(code).unwrap_or(-1).to_ne_bytes()),
            IntSize::U2 => bytes.extend(i16::try_from(code).unwrap_or(-1).to_ne_bytes()),
            _ => bytes.extend(code.to_ne_bytes()),
        }
    }
    array(group, name, &element, &[count], &bytes)?;
    Ok(())
}

fn make_array(group: &Group, name: &str, element: &Type, shape: &[usize]) -> Result<Dataset> {
    let set = group
        .new_dataset_builder()
        .obj_track_times(false) // the same table is the same file
        .empty_as(element)
        .shape(shape.to_vec())
        .create(name)
        .map_err(failed(&format!("make `{name}`")))?;
    for (key, value) in [("CLASS", "ARRAY"), ("VERSION", "2.4"), ("FLAVOR", "numpy"), ("TITLE", "")] {
        raw::set_text(&set, key, value)?;
    }
    raw::set_flag(&set, "transposed", true)?;
    Ok(set)
}

fn array(group: &Group, name: &str, element: &Type, shape: &[usize], bytes: &[u8]) -> Result<Dataset> {
    let set = make_array(group, name, element, shape)?;
    raw::write(&set, 0..shape.first().copied().unwrap_or(0), bytes)?;
    raw::settle(&set)?;
    Ok(set)
}

/// pandas' stand-in for an array without entries: one entry, with the true shape beside it.
fn empty_array(group: &Group, name: &str, element: &Type, dtype: &str, shape: &[usize]) -> Result<Dataset> {
    let ones = vec![1; shape.len()];
    let set = group
        .new_dataset_builder()
        .obj_track_times(false)
        .empty_as(element)
        .shape(ones)
        .create(name)
        .map_err(failed(&format!("make `{name}`")))?;
    for (key, value) in [("CLASS", "ARRAY"), ("VERSION", "2.4"), ("FLAVOR", "numpy"), ("TITLE", "")] {
        raw::set_text(&set, key, value)?;
    }
    raw::set_flag(&set, "transposed", false)?;
    raw::set_text(&set, "value_type", dtype)?;
    let mut tuple = super::pickle::PickleWriter::new();
    tuple.tuple(|w| {
        for &n in shape {
            w.int(i64::try_from(n).unwrap_or(0));
        }
    });
    raw::set_pickle(&set, "shape", &tuple.finish())?;
    Ok(set)
}
