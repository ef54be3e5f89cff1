//! Changes one value of a YAML text and leaves every other character, above all the comments, as it lies.

use super::yaml::{Data, Node, Value, dashed, emit_entry, emit_flow, emit_scalar, parse};

/// A replacement of bytes `start..end`.
struct Patch {
    start: usize,
    end: usize,
    with: String,
}

/// `text` with the top-level `key` set to `value`; a key that is not there is put after the nearest one that comes
/// before it in `order`. `None` when that cannot be done without losing something; the caller must not write then.
pub(super) fn set(text: &str, key: &str, value: &Value, order: &[&str]) -> Option<String> {
    let root = parse(text).ok()?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let editor = Editor { text, newline };
    let patches = match root.get(key) {
        Some((name, old)) => editor.change(name, old, value)?,
        None => vec![editor.insert(&root, key, value, order)?],
    };
    let mut new = text.to_owned();
    let mut patches = patches;
    patches.sort_by_key(|p| std::cmp::Reverse(p.start));
    for p in &patches {
        new.replace_range(p.start..p.end, &p.with);
    }
    // The proof: it reads back as wanted, all else is the same, and no comment is gone.
    let after = parse(&new).ok()?;
    let wanted = after.get(key).is_some_and(|(_, v)| v.value() == *value);
    let others = |root: &Node| match root.value() {
        Value::Map(entries) => entries.into_iter().filter(|(k, _)| k != key).collect(),
        _ => Vec::new(),
    };
    let mut left = comments(&new, &after);
    let kept = comments(text, &root)
        .into_iter()
        .all(|c| left.iter().position(|d| *d == c).map(|i| left.swap_remove(i)).is_some());
    (wanted && kept && others(&root) == others(&after)).then_some(new)
}

/// All comments, each from its `#` to the end of the line.
fn comments(text: &str, root: &Node) -> Vec<String> {
    comments_between(text, &[root], 0, text.len())
}

/// The comments in `start..end`, in which these values stand.
fn comments_between(text: &str, nodes: &[&Node], start: usize, end: usize) -> Vec<String> {
    let mut leaves = Vec::new();
    nodes.iter().for_each(|n| n.leaves(&mut leaves));
    let mut found = Vec::new();
    let mut at = start;
    for (from, to) in leaves.iter().map(|n| (n.start, n.end)).chain([(end, end)]) {
        // Between scalars there is only structure, so every `#` there begins a comment.
        if let Some(gap) = text.get(at..from) {
            found.extend(gap.lines().filter_map(|l| l.find('#').map(|i| l[i..].trim_end().to_owned())));
        }
        at = at.max(to);
    }
    found
}

/// One item of a block list, or entry of a block map.
struct Item {
    start: usize,
    end: usize,
    value: Value,
    comments: Vec<String>,
    used: bool,
}

struct Editor<'t> {
    text: &'t str,
    newline: &'t str,
}

impl Editor<'_> {
    fn change(&self, key: &Node, old: &Node, new: &Value) -> Option<Vec<Patch>> {
        if old.value() == *new {
            return Some(Vec::new());
        }
        if let Some(patches) = self.in_place(old, new, false) {
            return Some(patches);
        }
        match (&old.data, new) {
            // An empty `[]` is no liking for brackets.
            (_, Value::List(_) | Value::Map(_)) if old.flow && old.end - old.start > 2 => {
                Some(vec![Patch { start: old.start, end: old.end, with: emit_flow(new) }])
            }
            (Data::List(items), Value::List(wanted)) if !items.is_empty() && !wanted.is_empty() => {
                let old = items.iter().map(|n| self.item(n, n, n.value())).collect();
                Some(vec![self.relist(old, wanted, dashed)?])
            }
            (Data::Map(entries), Value::Map(wanted)) if !entries.is_empty() && !wanted.is_empty() => {
                let pair = |k: &str, v: Value| Value::Map(vec![(k.to_owned(), v)]);
                let old = entries
                    .iter()
                    .map(|(k, v)| self.item(k, v, pair(k.text().unwrap_or_default(), v.value())))
                    .collect();
                let wanted: Vec<_> = wanted.iter().map(|(k, v)| pair(k, v.clone())).collect();
                let emit = |v: &Value, indent| match v {
                    Value::Map(e) => e.iter().flat_map(|(k, v)| emit_entry(k, v, indent)).collect(),
                    _ => Vec::new(),
                };
                Some(vec![self.relist(old, &wanted, emit)?])
            }
            _ => {
                // Another shape altogether: rewrite the value below its key; comments inside it stay as lines.
                let start = key.end + self.text.get(key.end..)?.find(':')? + 1;
                let line_end = self.line_end(old.end.max(start));
                let mut lines = emit_entry("k", new, 0);
                lines[0].replace_range(..2, ""); // its own key and colon stay as they are
                let indent = " ".repeat(self.indent(key.start));
                let mut with = lines[0].clone();
                for c in comments_between(self.text, &[old], start, line_end) {
                    with += &format!("{}{indent}{c}", self.newline);
                }
                for l in &lines[1..] {
                    with += &format!("{}{indent}{l}", self.newline);
                }
                Some(vec![Patch { start, end: line_end, with }])
            }
        }
    }

    /// Scalars replaced where they stand, when the shape stays the same.
    fn in_place(&self, old: &Node, new: &Value, in_flow: bool) -> Option<Vec<Patch>> {
        let flow = in_flow || old.flow;
        match (&old.data, new) {
            (Data::Scalar { .. }, Value::List(l)) if !l.is_empty() => None,
            (Data::Scalar { .. }, Value::Map(m)) if !m.is_empty() => None,
            (Data::Scalar { .. }, new) => {
                if old.value() == *new {
                    return Some(Vec::new());
                }
                let space = if old.start == old.end { " " } else { "" };
                let with = format!("{space}{}", emit_scalar(new, in_flow));
                Some(vec![Patch { start: old.start, end: old.end, with }])
            }
            (Data::List(items), Value::List(wanted)) if items.len() == wanted.len() => {
                // A value that moved takes its comment along, which needs whole lines.
                let moved =
                    |(old, new): (&Node, &Value)| old.value() != *new && wanted.contains(&old.value());
                if !flow && items.iter().zip(wanted).any(moved) {
                    return None;
                }
                let all: Option<Vec<_>> =
                    items.iter().zip(wanted).map(|(o, n)| self.in_place(o, n, flow)).collect();
                Some(all?.into_iter().flatten().collect())
            }
            (Data::Map(entries), Value::Map(wanted)) if entries.len() == wanted.len() => {
                let mut all = Vec::new();
                for ((k, o), (name, n)) in entries.iter().zip(wanted) {
                    if k.text() != Some(name) {
                        return None;
                    }
                    all.extend(self.in_place(o, n, flow)?);
                }
                Some(all)
            }
            _ => None,
        }
    }

    /// The lines from `first` to `last`, which are the same value in a list and key and value in a map.
    fn item(&self, first: &Node, last: &Node, value: Value) -> Item {
        let (start, end) = (self.line_start(first.start), self.line_end(last.end));
        let comments = comments_between(self.text, &[first, last], start, end);
        Item { start, end, value, comments, used: false }
    }

    /// Rewrites the items of a block list or map: those that stay keep their lines, comments of those that go stay.
    fn relist(
        &self,
        mut items: Vec<Item>,
        wanted: &[Value],
        emit: impl Fn(&Value, usize) -> Vec<String>,
    ) -> Option<Patch> {
        let (start, end) = (items.first()?.start, items.last()?.end);
        let indent = self.indent(start);
        let pad = " ".repeat(indent);
        // The comment lines above each item, and its own lines.
        let mut at = start;
        let mut texts = Vec::new();
        for item in &items {
            texts.push((self.text.get(at..item.start)?, self.text.get(item.start..item.end)?));
            at = self.past_newline(item.end);
        }
        let mut lines: Vec<String> = Vec::new();
        let keep = |lines: &mut Vec<String>, text: &str| lines.extend(text.lines().map(str::to_owned));
        let remove = |lines: &mut Vec<String>, items: &mut [Item], i: usize| {
            items[i].used = true;
            keep(lines, texts[i].0);
            lines.extend(items[i].comments.iter().map(|c| format!("{pad}{c}")));
        };
        for (i, new) in wanted.iter().enumerate() {
            let Some(j) = items.iter().position(|old| old.value == *new && !old.used) else {
                lines.extend(emit(new, indent));
                continue;
            };
            // What was removed before this item leaves its comments here.
            for k in 0..j {
                if !items[k].used && !wanted[i..].contains(&items[k].value) {
                    remove(&mut lines, &mut items, k);
                }
            }
            items[j].used = true;
            keep(&mut lines, texts[j].0);
            keep(&mut lines, texts[j].1);
        }
        for k in 0..items.len() {
            if !items[k].used {
                remove(&mut lines, &mut items, k);
            }
        }
        Some(Patch { start, end, with: lines.join(self.newline) })
    }

    fn insert(&self, root: &Node, key: &str, value: &Value, order: &[&str]) -> Option<Patch> {
        let Data::Map(entries) = &root.data else { return None };
        let rank = |k: &str| order.iter().position(|o| *o == k);
        let mine = rank(key)?;
        let before = entries
            .iter()
            .filter_map(|(k, v)| Some((rank(k.text()?).filter(|r| *r < mine)?, v)))
            .max_by_key(|(r, _)| *r);
        let body = emit_entry(key, value, 0).join(self.newline);
        Some(match (before, entries.first()) {
            (Some((_, v)), _) => {
                let at = self.line_end(v.end);
                Patch { start: at, end: at, with: format!("{}{body}", self.newline) }
            }
            (None, Some((k, _))) => {
                let at = self.line_start(k.start);
                Patch { start: at, end: at, with: format!("{body}{}", self.newline) }
            }
            (None, None) => {
                let gap = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { self.newline };
                let at = self.text.len();
                Patch { start: at, end: at, with: format!("{gap}{body}{}", self.newline) }
            }
        })
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |i| i + 1)
    }

    /// The end of the line, before its line break.
    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |i| at + i);
        if self.text[..end].ends_with('\r') { end - 1 } else { end }
    }

    fn past_newline(&self, end: usize) -> usize {
        self.text[end..].find('\n').map_or(self.text.len(), |i| end + i + 1)
    }

    fn indent(&self, at: usize) -> usize {
        let line = &self.text[self.line_start(at)..];
        line.len() - line.trim_start_matches(' ').len()
    }
}
