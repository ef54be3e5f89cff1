//! DeepLabCut's label table as CSV.

use crate::error::{Error, Kind, Result};
use crate::pose::{FrameKey, Keypoint, LabeledFrame, Labels, PointName, Skeleton};
use crate::watch::Watch;
use std::path::Path;

/// Reads a label table; the skeleton is the table's own.
///
/// # Errors
/// [`Kind::Labels`] with the line when the table cannot be used.
pub fn read(path: &Path, watch: &dyn Watch) -> Result<Labels> {
    let text = crate::files::read_text(path)?;
    let bad = |line: usize, what: &str| {
        Error::new(Kind::Labels, what)
            .at(format!("{}:{line}", path.display()))
            .mend("mend this line of the table")
    };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows: Vec<csv::StringRecord> = Vec::new();
    for row in reader.records() {
        rows.push(row.map_err(|e| bad(rows.len() + 1, &e.to_string()))?);
    }
    let multi = rows.get(1).and_then(|r| r.get(0)) == Some("individuals");
    let head = if multi { 4 } else { 3 };
    if rows.len() < head || rows[0].get(0) != Some("scorer") || rows[head - 1].get(0) != Some("coords") {
        return Err(bad(1, "this is no label table of DeepLabCut"));
    }
    let coords = &rows[head - 1];
    let index = coords.iter().position(|c| c == "x").ok_or_else(|| bad(head, "there is no `x` column"))?;
    let mut skeleton = Skeleton { multi_animal: multi, ..Skeleton::default() };
    if !multi {
        skeleton.individuals.push(String::new());
    }
    let mut points: Vec<(usize, String, String)> = Vec::new();
    let mut c = index;
    while c + 1 < coords.len() {
        let part = rows[head - 2][c].to_owned();
        let who = if multi { rows[1][c].to_owned() } else { String::new() };
        let list = if who == "single" { &mut skeleton.unique_bodyparts } else { &mut skeleton.bodyparts };
        if !list.contains(&part) {
            list.push(part.clone());
        }
        if who != "single" && !skeleton.individuals.contains(&who) {
            skeleton.individuals.push(who.clone());
        }
        points.push((c, who, part));
        c += 2;
    }
    let mut labels = Labels::new(rows[0].get(index).unwrap_or_default(), skeleton);
    for (i, row) in rows.iter().enumerate().skip(head) {
        watch.check()?;
        if row.len() != coords.len() {
            return Err(bad(i + 1, &format!("the row has {} cells, the header {}", row.len(), coords.len())));
        }
        let joined: Vec<&str> = row.iter().take(index).flat_map(|c| c.split(['/', '\\'])).collect();
        let [.., video, image] = joined[..] else { return Err(bad(i + 1, "the row names no picture")) };
        let mut frame = LabeledFrame { points: vec![None; labels.skeleton.points()] };
        for (c, individual, bodypart) in &points {
            let number = |cell: &str| -> Result<f64> {
                if cell.is_empty() {
                    Ok(f64::NAN)
                } else {
                    cell.parse().map_err(|_| bad(i + 1, &format!("`{cell}` is no number")))
                }
            };
            let at = Keypoint::new(number(&row[*c])?, number(&row[c + 1])?);
            let name = PointName { individual, bodypart };
            if let Some(p) = labels.skeleton.index_of(name)
                && !at.x.is_nan()
                && !at.y.is_nan()
            {
                frame.points[p] = Some(at);
            }
        }
        if labels.frames.insert(FrameKey::new(video, image), frame).is_some() {
            return Err(bad(i + 1, "the picture has a row already"));
        }
    }
    Ok(labels)
}

/// Writes a label table, whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(path: &Path, labels: &Labels) -> Result<()> {
    let s = &labels.skeleton;
    let mut out = String::new();
    let mut head = |name: &str, cell: &dyn Fn(PointName<'_>) -> String| {
        out += &format!("{name},,");
        for n in s.names() {
            let c = cell(n);
            out += &if name == "coords" { ",x,y".to_owned() } else { format!(",{c},{c}") };
        }
        out.push('\n');
    };
    head("scorer", &|_| labels.scorer.clone());
    if s.multi_animal {
        head("individuals", &|n| n.individual.to_owned());
    }
    head("bodyparts", &|n| n.bodypart.to_owned());
    head("coords", &|_| String::new());
    for (key, frame) in &labels.frames {
        out += &format!("labeled-data,{},{}", key.video, key.image);
        for p in &frame.points {
            out += &p.map_or(",,".to_owned(), |p| format!(",{:?},{:?}", p.x, p.y));
        }
        out.push('\n');
    }
    crate::files::write_whole(path, out.as_bytes())
}
