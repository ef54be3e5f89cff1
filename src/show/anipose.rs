//! Reading of 3D tracks in Anipose's layout: `part_x, part_y, part_z, part_error, part_ncams, part_score`, and `fnum`.

use crate::error::{Error, Kind, Result};
use crate::pose::{Skeleton, Spot, Tracks3d};
use crate::watch::Watch;
use std::path::Path;

/// Reads the table; its body parts are those with `_x`, `_y` and `_z`, in the file's order.
///
/// # Errors
/// When it cannot be read, has no body parts, or a number is none; with the line.
pub(super) fn read(path: &Path, watch: &dyn Watch) -> Result<Tracks3d> {
    let wrong = |what: String, line: usize| {
        Error::new(Kind::Format, what)
            .at(format!("{}:{line}", path.display()))
            .mend("give 3D tracks as Anipose or `limn triangulate` write them")
    };
    let unreadable = |e: csv::Error| {
        let line = e.position().map_or(1, |p| usize::try_from(p.line()).unwrap_or(1));
        wrong(format!("the 3D tracks cannot be read: {e}"), line)
    };
    let mut reader = csv::Reader::from_path(path).map_err(unreadable)?;
    let head = reader.headers().map_err(unreadable)?.clone();
    let column = |name: &str| head.iter().position(|h| h == name);
    let mut parts = Vec::new();
    let mut columns = Vec::new();
    for part in head.iter().filter_map(|h| h.strip_suffix("_x")) {
        let of = |end: &str| column(&format!("{part}_{end}"));
        if let (Some(x), Some(y), Some(z)) = (of("x"), of("y"), of("z")) {
            columns.push(([x, y, z], of("error"), of("ncams"), of("score")));
            parts.push(part.to_owned());
        }
    }
    if parts.is_empty() {
        return Err(wrong("no body part has columns _x, _y and _z".into(), 1));
    }
    let frame_column = column("fnum");
    let mut tracks: Vec<[f32; Tracks3d::NUMBERS]> = Vec::new();
    let nothing = vec![[f32::NAN; Tracks3d::NUMBERS]; parts.len()];
    for (row, record) in reader.records().enumerate() {
        watch.check()?;
        let (record, line) = (record.map_err(unreadable)?, row + 2);
        let number = |at: usize| -> Result<f64> {
            let text = record.get(at).unwrap_or("").trim();
            if text.is_empty() {
                return Ok(f64::NAN);
            }
            text.parse().map_err(|_| wrong(format!("`{text}` is no number"), line))
        };
        if let Some(at) = frame_column
            && number(at)? != row as f64
        {
            let what = "the frames do not follow each other from 0 (column `fnum`)";
            return Err(wrong(what.into(), line));
        }
        let first = tracks.len();
        tracks.extend_from_slice(&nothing);
        for (slot, (at, error, cameras, score)) in tracks[first..].iter_mut().zip(&columns) {
            let optional = |at: &Option<usize>| at.map_or(Ok(f64::NAN), number);
            let cameras = optional(cameras)?;
            let spot = Spot {
                at: [number(at[0])?, number(at[1])?, number(at[2])?],
                deviation: [f64::NAN; 3],
                error: optional(error)?,
                cameras: if cameras > 0.0 { cameras as usize } else { 0 },
                likelihood: optional(score)?,
            };
            if spot.at.iter().all(|v| v.is_finite()) {
                *slot = spot.numbers();
            }
        }
    }
    Tracks3d::from_values(Skeleton::single(parts), tracks)
        .ok_or_else(|| wrong("rows of different lengths".into(), 1))
}
