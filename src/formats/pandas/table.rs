//! pandas' *table* layout: one compound dataset, described by pickled attributes.

use super::pickle::{Pickle, PickleWriter, Value};
use super::{Frame, Index};
use crate::error::Result;
use crate::formats::h5::raw::{self, Bytes, Scalar, failed, wrong};
use crate::formats::h5::{Number, Rows};
use crate::watch::Watch;
use hdf5_metno::types::{CompoundField, CompoundType, FloatSize, IntSize, TypeDescriptor as Type};
use hdf5_metno::{Extent, Group, Location, SimpleExtents};
use std::collections::HashMap;

/// An attribute can hold 64 KiB; the list of columns must fit, or the frame is written in the fixed layout.
const ATTRIBUTE: usize = 60_000;
/// Bytes of a chunk, and of what is read at a time.
const CHUNK: usize = 64 << 10;
const AT_ONCE: usize = 16 << 20;

fn pickle(at: &Location, name: &str) -> Result<Pickle> {
    let bytes =
        raw::attribute(at, name)?.ok_or_else(|| wrong(format!("the table has no attribute `{name}`")))?;
    Pickle::read(&bytes.data).map_err(|e| wrong(format!("the attribute `{name}`: {}", e.what())).because(e))
}

/// A list of tuples of names.
fn columns_of(value: Value<'_>) -> Option<Vec<Vec<String>>> {
    value.items()?.map(|c| c.items()?.map(Value::name).collect()).collect()
}

/// One block of columns within a row of the table.
struct Block {
    offset: usize,
    /// Bytes of one value.
    size: usize,
    /// Numbers, or texts (`nan` and digits) where a column was of Python objects.
    scalar: Option<Scalar>,
    /// Which column of the frame each value is.
    places: Vec<usize>,
}

pub(super) fn read<T: Number>(group: &Group, watch: &dyn Watch) -> Result<Frame<T>> {
    let set = group.dataset("table").map_err(|e| wrong("the table has no rows (`table`)").because(e))?;
    let axes = pickle(group, "non_index_axes")?;
    let columns = axes
        .value()
        .items()
        .and_then(|mut a| a.next())
        .and_then(|a| a.items()?.nth(1))
        .and_then(columns_of)
        .ok_or_else(|| wrong("the columns have one level of names (`non_index_axes`)"))?;
    let count = columns.first().map_or(0, Vec::len);
    if columns.iter().any(|c| c.len() != count) {
        return Err(wrong("the columns have different numbers of levels"));
    }
    let levels = pickle(group, "info")
        .ok()
        .and_then(|info| info.value().get("1")?.get("names")?.items().map(|n| n.map(Value::name).collect()))
        .filter(|names: &Vec<_>| names.len() == count)
        .unwrap_or_else(|| vec![None; count]);
    let mut at: HashMap<&[String], usize> = HashMap::new();
    for (i, column) in columns.iter().enumerate() {
        if at.insert(column, i).is_some() {
            return Err(wrong(format!("the column `{}` is there twice", column.join(" "))));
        }
    }
    let dtype = set.dtype().and_then(|t| t.to_descriptor()).map_err(failed("read the type of the rows"))?;
    let Type::Compound(row_type) = dtype.to_packed_repr() else {
        return Err(wrong(format!("the rows are {dtype}, not records")));
    };
    let index_field = pickle(group, "index_cols")?;
    let index_field = index_field
        .value()
        .items()
        .filter(|i| i.len() == 1)
        .and_then(|mut i| i.next()?.items()?.nth(1)?.name())
        .ok_or_else(|| wrong("the rows are named by several columns (`index_cols`)"))?;
    let mut blocks = Vec::new();
    let mut index_at = None;
    let mut filled = vec![false; columns.len()];
    for field in &row_type.fields {
        if field.name == index_field {
            index_at = Some(field);
        } else if raw::attribute(&set, &format!("{}_kind", field.name))?.is_some() {
            blocks.push(block(&set, field, &at, &mut filled)?);
        }
    }
    if let Some(empty) = filled.iter().position(|f| !f) {
        return Err(wrong(format!("the column `{}` has no values", columns[empty].join(" "))));
    }
    let index_at = index_at.ok_or_else(|| wrong(format!("the rows have no field `{index_field}`")))?;
    let rows = set.shape().first().copied().unwrap_or(0);
    let mut reader = Reader { blocks, width: columns.len(), values: Vec::new(), index: None };
    let cells = rows.checked_mul(columns.len()).ok_or_else(|| wrong("the table is larger than memory"))?;
    reader
        .values
        .try_reserve_exact(cells)
        .map_err(|e| wrong("the table does not fit into memory").because(e))?;
    let step = (AT_ONCE / row_type.size.max(1)).max(1);
    for from in (0..rows).step_by(step) {
        watch.check()?;
        let bytes = raw::read(&set, Some(from..(from + step).min(rows)))?;
        reader.take(&bytes, index_at)?;
    }
    let index = reader.index.unwrap_or(match index_at.ty {
        Type::Integer(_) | Type::Unsigned(_) => Index::Integer(vec![]),
        _ => Index::Text(vec![]),
    });
    let values = reader.values;
    Ok(Frame { levels, columns, index, values })
}

fn block(
    set: &Location,
    field: &CompoundField,
    at: &HashMap<&[String], usize>,
    filled: &mut [bool],
) -> Result<Block> {
    let name = &field.name;
    let kind = pickle(set, &format!("{name}_kind"))?;
    let items =
        columns_of(kind.value()).ok_or_else(|| wrong(format!("`{name}_kind` does not name columns")))?;
    let (element, count) = match &field.ty {
        Type::FixedArray(element, count) => (&**element, *count),
        single => (single, 1),
    };
    if count != items.len() {
        return Err(wrong(format!("`{name}` has {count} values for {} columns", items.len())));
    }
    let scalar = Scalar::of(element);
    if scalar.is_none() && !matches!(element, Type::FixedAscii(_) | Type::FixedUnicode(_)) {
        return Err(wrong(format!("`{name}` holds {element}, not numbers")));
    }
    let mut places = Vec::with_capacity(count);
    for item in items {
        let place = *at.get(&item[..]).ok_or_else(|| wrong(format!("`{}` is no column", item.join(" "))))?;
        filled[place] = true;
        places.push(place);
    }
    Ok(Block { offset: field.offset, size: element.size(), scalar, places })
}

struct Reader<T> {
    blocks: Vec<Block>,
    width: usize,
    values: Vec<T>,
    index: Option<Index>,
}

impl<T: Number> Reader<T> {
    /// Adds the rows in `bytes`.
    fn take(&mut self, bytes: &Bytes, index_at: &CompoundField) -> Result<()> {
        let size = bytes.element.size().max(1);
        let mut index = Vec::new();
        for row in bytes.data.chunks_exact(size) {
            index.extend_from_slice(&row[index_at.offset..index_at.offset + index_at.ty.size()]);
            let start = self.values.len();
            self.values.resize(start + self.width, T::NAN);
            let values = &mut self.values[start..];
            for block in &self.blocks {
                let cells = row[block.offset..].chunks_exact(block.size.max(1));
                for (&place, cell) in block.places.iter().zip(cells) {
                    values[place] = match block.scalar {
                        Some(scalar) => scalar.number(cell),
                        None => text_number(cell)?,
                    };
                }
            }
        }
        let index = Bytes { element: index_at.ty.clone(), data: index };
        match (&mut self.index, &index_at.ty) {
            (Some(Index::Integer(all)), _) => all.extend(index.integers()?),
            (Some(Index::Text(all)), _) => all.extend(index.texts()?.into_iter().map(|t| vec![t])),
            (none, Type::Integer(_) | Type::Unsigned(_)) => *none = Some(Index::Integer(index.integers()?)),
            (none, _) => *none = Some(Index::Text(index.texts()?.into_iter().map(|t| vec![t]).collect())),
        }
        Ok(())
    }
}

/// A number that pandas stored as text, with `nan` or nothing for a missing one.
fn text_number<T: Number>(cell: &[u8]) -> Result<T> {
    let text = raw::texts(cell, cell.len().max(1))?.pop().unwrap_or_default();
    if text.is_empty() || text.eq_ignore_ascii_case("nan") || text == "None" {
        return Ok(T::NAN);
    }
    let number = text.trim().parse().map(T::from_f64);
    number.map_err(|_| {
        wrong(format!("`{text}` is not a number")).mend("with pandas: save df.astype(float) again")
    })
}

/// Whether the list of columns fits into an attribute.
pub(super) fn fits(columns: &[Vec<String>]) -> bool {
    axes(columns).len() < ATTRIBUTE
}

/// `[(1, [columns])]`
fn axes(columns: &[Vec<String>]) -> Vec<u8> {
    let mut w = PickleWriter::new();
    w.list([()], |w, ()| {
        w.tuple(|w| {
            w.int(1).columns(columns);
        });
    });
    w.finish()
}

/// Makes everything but the rows.
pub(super) fn create(
    group: &Group,
    levels: &[&str],
    columns: &[Vec<String>],
    rows: usize,
    size: FloatSize,
) -> Result<Rows> {
    let block = "values_block_0";
    let number = Type::Float(size);
    let dtype = format!("float{}", 8 * number.size());
    raw::set_text(group, "pandas_type", "frame_table")?;
    raw::set_text(group, "table_type", "appendable_frame")?;
    raw::set_text(group, "nan_rep", "nan")?;
    raw::set_i64(group, "levels", 1)?;
    let mut w = PickleWriter::new();
    w.list([()], |w, ()| {
        w.tuple(|w| {
            w.int(0).text("index");
        });
    });
    raw::set_pickle(group, "index_cols", &w.finish())?;
    let mut w = PickleWriter::new();
    w.list([block], |w, name| {
        w.text(name);
    });
    raw::set_pickle(group, "values_cols", &w.finish())?;
    for empty in ["data_columns", "metadata"] {
        let mut w = PickleWriter::new();
        w.list([(); 0], |_, ()| {});
        raw::set_pickle(group, empty, &w.finish())?;
    }
    raw::set_pickle(group, "non_index_axes", &axes(columns))?;
    raw::set_pickle(group, "info", &info(levels, block))?;

    let width = columns.len();
    let row_type = CompoundType {
        fields: vec![
            CompoundField::new("index", Type::Integer(IntSize::U8), 0, 0),
            CompoundField::new(block, Type::FixedArray(Box::new(number.clone()), width), 8, 1),
        ],
        size: 8 + width * number.size(),
    };
    let chunk = (CHUNK / row_type.size).clamp(1, rows.max(1));
    let set = group
        .new_dataset_builder()
        .obj_track_times(false) // the same tracks are the same file
        .chunk(chunk)
        .packed(true)
        .empty_as(Type::Compound(row_type))
        .shape(SimpleExtents::from_vec(vec![Extent::resizable(rows)]))
        .create("table")
        .map_err(failed("make the table"))?;
    for (key, value) in [
        ("CLASS", "TABLE"),
        ("VERSION", "2.7"),
        ("TITLE", ""),
        ("FIELD_0_NAME", "index"),
        ("FIELD_1_NAME", block),
        ("index_kind", "integer"),
        ("values_block_0_dtype", dtype.as_str()),
    ] {
        raw::set_text(&set, key, value)?;
    }
    raw::set_i64(&set, "NROWS", i64::try_from(rows).unwrap_or(i64::MAX))?;
    raw::set_i64(&set, "FIELD_0_FILL", 0)?;
    raw::set_f32(&set, "FIELD_1_FILL", 0.0)?;
    let mut kind = PickleWriter::new();
    kind.columns(columns);
    raw::set_pickle(&set, "values_block_0_kind", &kind.finish())?;
    raw::set_pickle(&set, "values_block_0_meta", b"N.")?;
    Ok(Rows { set: Some(set), count: rows, width, numbered: true, chunk })
}

/// `{1: {'names': [...], 'type': 'MultiIndex'}, 'index': {}, 'values_block_0': {}}`
fn info(levels: &[&str], block: &str) -> Vec<u8> {
    let mut w = PickleWriter::new();
    w.dict(|w| {
        w.pair(|w| {
            w.int(1).dict(|w| {
                w.pair(|w| {
                    w.text("names").list(levels, |w, name| {
                        w.text(name);
                    });
                });
                w.pair(|w| {
                    w.text("type").text("MultiIndex");
                });
            });
        });
        for empty in ["index", block] {
            w.pair(|w| {
                w.text(empty).dict(|_| {});
            });
        }
    });
    w.finish()
}
