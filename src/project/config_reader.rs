//! The values of `config.yaml` by key and type, each fault with its line.

use super::config::{ConversionTables, Cutoff, SnapshotIndex, VideoSet};
use super::yaml::{Data, Node, Value};
use crate::error::{Error, Kind, Result};
use std::collections::HashSet;
use std::path::Path;

/// Typed access with exact errors.
pub(super) struct Reader<'a> {
    pub path: &'a Path,
    pub root: &'a Node,
}

impl Reader<'_> {
    pub fn line(&self, key: &str) -> usize {
        self.root.get(key).map_or(1, |(k, _)| k.line)
    }

    pub fn fault(&self, line: usize, what: String) -> Error {
        Error::new(Kind::Config, what).at(format!("{}:{line}", self.path.display()))
    }

    pub fn wrong(&self, node: &Node, key: &str, expected: &str) -> Error {
        let name = if key == "the file" { key.to_owned() } else { format!("`{key}`") };
        self.fault(node.line, format!("{name} must be {expected}, but it is {}", node.describe()))
            .mend(format!("write {expected} there"))
    }

    /// The value, unless it is absent or nothing.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.root.get(key).map(|(_, v)| v).filter(|v| v.value() != Value::Null)
    }

    pub fn required(&self, key: &str) -> Result<String> {
        match self.text(key)? {
            Some(t) if !t.trim().is_empty() => Ok(t),
            _ => Err(self.fault(self.line(key), format!("the required key `{key}` is missing")).mend(
                format!("add a line such as `{key}: name`; DeepLabCut's own files have it near the top"),
            )),
        }
    }

    pub fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key).map(|n| self.name(n, key)).transpose()
    }

    /// Text; a number or a truth value counts by what is written, since old files do not quote digits.
    pub fn name(&self, node: &Node, key: &str) -> Result<String> {
        match (node.text(), node.value()) {
            (Some(_), Value::Null) | (None, _) => Err(self.wrong(node, key, "text")),
            (Some(t), _) => Ok(t.to_owned()),
        }
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key)
            .map(|n| match n.value() {
                Value::Bool(b) => Ok(b),
                _ => Err(self.wrong(n, key, "`true` or `false`")),
            })
            .transpose()
    }

    pub fn whole(&self, key: &str) -> Result<Option<i64>> {
        self.get(key).map(|n| self.whole_at(n, key)).transpose()
    }

    pub fn whole_at(&self, node: &Node, key: &str) -> Result<i64> {
        match node.value() {
            Value::Int(i) => Ok(i),
            _ => Err(self.wrong(node, key, "a whole number")),
        }
    }

    #[allow(clippy::cast_precision_loss)] // settings are small
    pub fn number_at(&self, node: &Node, key: &str) -> Result<f64> {
        match node.value() {
            Value::Int(i) => Ok(i as f64),
            Value::Float(x) if x.is_finite() => Ok(x),
            _ => Err(self.wrong(node, key, "a number")),
        }
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key).map(|n| self.number_at(n, key)).transpose()
    }

    pub fn list<'n>(&self, node: &'n Node, key: &str, of: &str) -> Result<&'n [Node]> {
        match &node.data {
            Data::List(items) => Ok(items),
            _ => Err(self.wrong(node, key, &format!("a list of {of}, one `- ` line each"))),
        }
    }

    pub fn map<'n>(&self, node: &'n Node, key: &str, of: &str) -> Result<&'n [(Node, Node)]> {
        match &node.data {
            Data::Map(entries) => Ok(entries),
            _ => Err(self.wrong(node, key, &format!("a map of {of}"))),
        }
    }

    pub fn wholes(&self, key: &str) -> Result<Option<Vec<i64>>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let items = self.list(node, key, "whole numbers")?;
        items.iter().map(|n| self.whole_at(n, key)).collect::<Result<_>>().map(Some)
    }

    /// A list of different names.
    pub fn names(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for item in self.list(node, key, "names")? {
            let name = self.name(item, key)?;
            let sort = if key == "individuals" { "individual" } else { "body part" };
            if !seen.insert(name.clone()) {
                return Err(self
                    .fault(item.line, format!("the {sort} `{name}` is listed twice in `{key}`"))
                    .mend("remove one of the two lines; order and number of the others must stay"));
            }
            if name.eq_ignore_ascii_case("nan") || name.trim().is_empty() || name.contains(['\n', '\r']) {
                return Err(self
                    .fault(item.line, format!("`{name}` cannot be the name of a {sort}"))
                    .mend("label files would take it for a missing value; choose another name"));
            }
            names.push(name);
        }
        Ok(Some(names))
    }

    pub fn bodyparts(&self, multi: bool) -> Result<Vec<String>> {
        let literal = self.get("bodyparts").and_then(Node::text) == Some("MULTI!");
        match (multi, self.get("bodyparts")) {
            (true, None) => Ok(Vec::new()),
            (true, Some(_)) if literal => Ok(Vec::new()),
            (true, Some(node)) => Err(self
                .wrong(node, "bodyparts", "the word `MULTI!`")
                .mend("in a multi-animal project the body parts stand under `multianimalbodyparts`")),
            (false, Some(node)) if literal => Err(self
                .fault(node.line, "`bodyparts` is `MULTI!`, but `multianimalproject` is not true".into())
                .mend("set `multianimalproject: true`, or list the body parts")),
            (false, _) => match self.names("bodyparts")? {
                Some(parts) if !parts.is_empty() => Ok(parts),
                _ => Err(self
                    .fault(self.line("bodyparts"), "the required key `bodyparts` is missing or empty".into())
                    .mend("list the body parts, one `- name` line each, in the order of the label files")),
            },
        }
    }

    pub fn edges(&self, parts: &[String], warn: &mut dyn FnMut(String)) -> Result<Vec<[String; 2]>> {
        let Some(node) = self.get("skeleton") else { return Ok(Vec::new()) };
        let mut edges = Vec::new();
        for pair in self.list(node, "skeleton", "pairs of body parts")? {
            let names: Vec<String> = match &pair.data {
                Data::List(items) => items.iter().map(|n| self.name(n, "skeleton")).collect::<Result<_>>()?,
                _ => Vec::new(),
            };
            let Ok([a, b]) = <[String; 2]>::try_from(names) else {
                return Err(self
                    .fault(
                        pair.line,
                        format!(
                            "a line of `skeleton` must join two body parts, but it is {}",
                            pair.describe()
                        ),
                    )
                    .mend("write it as `- - snout` and `  - tail` below"));
            };
            if a == b {
                return Err(self
                    .fault(pair.line, format!("a line of `skeleton` joins `{a}` with itself"))
                    .mend("name two different body parts, or remove the pair"));
            }
            for name in [&a, &b] {
                if !parts.contains(name) {
                    warn(format!(
                        "{}:{}: `skeleton` joins the unknown body part `{name}`; the line is not drawn",
                        self.path.display(),
                        pair.line
                    ));
                }
            }
            edges.push([a, b]);
        }
        Ok(edges)
    }

    pub fn video_sets(&self) -> Result<Vec<VideoSet>> {
        let Some(node) = self.get("video_sets") else { return Ok(Vec::new()) };
        let mut sets = Vec::new();
        for (key, value) in self.map(node, "video_sets", "`path of the video:` with `crop:` below it")? {
            let path = self.name(key, "video_sets")?;
            let crop = match value.value() {
                Value::Null => None,
                _ => {
                    self.map(value, "video_sets", "`crop: x1, x2, y1, y2`")?;
                    value.get("crop").map(|(_, v)| v).filter(|v| v.value() != Value::Null)
                }
            };
            sets.push(VideoSet { path, crop: crop.map(|c| self.crop_text(c)).transpose()? });
        }
        Ok(sets)
    }

    pub fn crop_text(&self, node: &Node) -> Result<[i64; 4]> {
        let numbers: Option<Vec<i64>> =
            node.text().and_then(|t| t.split(',').map(|n| n.trim().parse().ok()).collect());
        match numbers.and_then(|n| <[i64; 4]>::try_from(n).ok()) {
            Some([x1, x2, y1, y2]) if x1 < x2 && y1 < y2 => Ok([x1, x2, y1, y2]),
            _ => Err(self
                .fault(
                    node.line,
                    format!(
                        "`crop` must be four whole numbers `x1, x2, y1, y2`, but it is {}",
                        node.describe()
                    ),
                )
                .mend("write for instance `crop: 0, 640, 0, 480`; x1 is below x2 and y1 below y2")),
        }
    }

    /// `x1, x2, y1, y2`, all given or none.
    pub fn crop(&self) -> Result<Option<[i64; 4]>> {
        let keys = ["x1", "x2", "y1", "y2"];
        let mut all = Vec::new();
        for key in keys {
            all.extend(self.whole(key)?);
        }
        match <[i64; 4]>::try_from(all) {
            Ok([x1, x2, y1, y2]) if x1 < x2 && y1 < y2 => Ok(Some([x1, x2, y1, y2])),
            Err(none) if none.is_empty() => Ok(None),
            _ => {
                let line = keys.iter().find_map(|k| self.root.get(k)).map_or(1, |(k, _)| k.line);
                Err(self
                    .fault(
                        line,
                        "`x1`, `x2`, `y1`, `y2` must be all given or all empty, with x1 < x2 and y1 < y2"
                            .into(),
                    )
                    .mend("set all four, or leave all four empty"))
            }
        }
    }

    pub fn cutoff(&self) -> Result<Option<Cutoff>> {
        let Some(node) = self.get("pcutoff") else { return Ok(None) };
        if let Data::List(items) = &node.data {
            let all: Result<_> = items.iter().map(|n| self.number_at(n, "pcutoff")).collect();
            return all.map(|v| Some(Cutoff::Each(v)));
        }
        self.number_at(node, "pcutoff").map(|p| Some(Cutoff::One(p)))
    }

    pub fn fractions(&self) -> Result<Option<Vec<f64>>> {
        let Some(node) = self.get("TrainingFraction") else { return Ok(None) };
        let mut all = Vec::new();
        for item in self.list(node, "TrainingFraction", "fractions")? {
            let f = self.number_at(item, "TrainingFraction")?;
            if !(0.0..=1.0).contains(&f) {
                return Err(self.wrong(item, "TrainingFraction", "fractions from 0 to 1"));
            }
            all.push(f);
        }
        Ok(Some(all))
    }

    pub fn snapshot(&self, key: &str) -> Result<SnapshotIndex> {
        match self.get(key).map(|n| (n, n.value())) {
            None => Ok(SnapshotIndex::At(-1)),
            Some((_, Value::Int(i))) => Ok(SnapshotIndex::At(i)),
            Some((_, Value::Text(t))) if t == "all" => Ok(SnapshotIndex::All),
            Some((n, _)) => Err(self.wrong(n, key, "a whole number (-1 for the best) or `all`")),
        }
    }

    pub fn conversion(&self) -> Result<ConversionTables> {
        let key = "SuperAnimalConversionTables";
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let mut tables = Vec::new();
        for (name, table) in self.map(node, key, "SuperAnimal names")? {
            let mut pairs = Vec::new();
            for (a, b) in self.map(table, key, "`body part: keypoint` lines")? {
                pairs.push((self.name(a, key)?, self.name(b, key)?));
            }
            tables.push((self.name(name, key)?, pairs));
        }
        Ok(tables)
    }
}
