//! YAML with the place of every value: what `config.yaml` is read with, so that an error names the line and an edit
//! touches nothing but the value that changed (see [`super::yaml_edit`]).
//!
//! Plain scalars are read by the YAML 1.2 core schema, as DeepLabCut does: `yes`, `no`, `on`, `off` are text.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// A value without its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(s: &str) -> Self {
        Self::Text(s.to_owned())
    }
}

/// A value and where it stands: bytes `start..end` of the text, from line `line` (counted from 1).
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub data: Data,
    pub start: usize,
    pub end: usize,
    pub line: usize,
    /// Written as `[...]` or `{...}`.
    pub flow: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    /// `plain`: not quoted, so that it may be a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Why a text is no YAML that can be used.
#[derive(Debug)]
pub(super) struct Fault {
    pub line: usize,
    pub what: String,
    pub mend: String,
}

/// Deeper nesting is no configuration, and would only serve to exhaust the stack.
const DEEPEST: usize = 32;
/// More values than any project has; aliases of aliases could otherwise grow without bound.
const MOST_NODES: usize = 200_000;

/// Reads one document. An empty one is an empty map.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    if let Some(line) = indented_with_tab(text) {
        return Err(Fault {
            line,
            what: "the line begins with a tab, and YAML allows only spaces there".into(),
            mend: "replace the tab by spaces".into(),
        });
    }
    let bytes: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let mut builder =
        Builder { text, bytes, parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut root = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamEnd => break,
            Event::DocumentStart(_) if root.is_some() => {
                return Err(Fault {
                    line: span.start.line(),
                    what: "the file holds more than one YAML document".into(),
                    mend: "remove the `---` line and what does not belong here".into(),
                });
            }
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => root = Some(builder.node(event, span, 0)?),
        }
    }
    Ok(root.unwrap_or(Node {
        data: Data::Map(Vec::new()),
        start: text.len(),
        end: text.len(),
        line: 1,
        flow: false,
    }))
}

fn indented_with_tab(text: &str) -> Option<usize> {
    text.lines()
        .position(|line| {
            let body = line.trim_start();
            line[..line.len() - body.len()].contains('\t') && !body.is_empty() && !body.starts_with('#')
        })
        .map(|i| i + 1)
}

struct Builder<'t> {
    text: &'t str,
    /// Byte offset of every character, since the parser counts characters.
    bytes: Vec<usize>,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next() {
            None => Ok((Event::StreamEnd, Span::default())),
            Some(Ok(event)) => Ok(event),
            Some(Err(e)) => Err(Fault {
                line: e.marker().line(),
                what: format!("this is no valid YAML: {}", e.info()),
                mend: "look at this line and the one above: indentation, a missing colon or an open quote"
                    .into(),
            }),
        }
    }

    fn byte(&self, char_index: usize) -> usize {
        self.bytes.get(char_index).copied().unwrap_or(self.text.len())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Fault> {
        let line = span.start.line().max(1);
        let fault =
            |what: &str| Fault { line, what: what.into(), mend: "write the value out plainly".into() };
        self.nodes += 1;
        if depth > DEEPEST || self.nodes > MOST_NODES {
            return Err(fault("the values are nested too deeply or are too many"));
        }
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = tag.is_some_and(|t| t.is_yaml_core_schema() && t.suffix == "str");
                let plain = style == ScalarStyle::Plain && !text_tag;
                let (mut start, mut end) = (start, end);
                if text.is_empty() && style == ScalarStyle::Plain {
                    // Nothing is written: its place is right after the `:` or `-` it would follow.
                    if matches!(self.text.as_bytes().get(start), Some(b':' | b'-')) {
                        start += 1;
                    }
                    end = start;
                } else {
                    // The parser counts in what follows on the line.
                    let written = self.text.get(start..end).unwrap_or_default();
                    end = start
                        + match style {
                            ScalarStyle::Plain => written.trim_end().len(),
                            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => quoted_len(written),
                            _ => written.len(),
                        };
                }
                (
                    anchor,
                    Node {
                        data: Data::Scalar { text: text.into_owned(), plain },
                        start,
                        end,
                        line,
                        flow: false,
                    },
                )
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                let close = loop {
                    let (event, span) = self.next()?;
                    match event {
                        Event::SequenceEnd => break span,
                        Event::StreamEnd => return Err(fault("the list has no end")),
                        event => items.push(self.node(event, span, depth + 1)?),
                    }
                };
                let (flow, end) = self.end_of(start, close, items.last());
                (anchor, Node { data: Data::List(items), start, end, line, flow })
            }
            Event::MappingStart(anchor, _) => {
                let mut entries: Vec<(Node, Node)> = Vec::new();
                let close = loop {
                    let (event, span) = self.next()?;
                    if event == Event::MappingEnd {
                        break span;
                    }
                    if event == Event::StreamEnd {
                        return Err(fault("the map has no end"));
                    }
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, depth + 1)?;
                    if let (Some(name), Some(first)) = (
                        key.text(),
                        entries.iter().find(|(k, _)| k.text().is_some() && k.text() == key.text()),
                    ) {
                        return Err(Fault {
                            line: key.line,
                            what: format!("the key `{name}` is there twice, first in line {}", first.0.line),
                            mend: "keep the one that is right and remove the other".into(),
                        });
                    }
                    entries.push((key, value));
                };
                let (flow, end) = self.end_of(start, close, entries.last().map(|(_, v)| v));
                (anchor, Node { data: Data::Map(entries), start, end, line, flow })
            }
            Event::Alias(id) => {
                let target = self.anchors.get(&id).ok_or_else(|| fault("the alias refers to nothing"))?;
                self.nodes += target.count();
                (0, Node { data: target.data.clone(), start, end, line, flow: target.flow })
            }
            _ => return Err(fault("the document ends where a value should be")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Whether it is a flow collection, and its end: the bracket, or the last value of a block collection.
    fn end_of(&self, start: usize, close: Span, last: Option<&Node>) -> (bool, usize) {
        // A block list may begin with a flow list, so that only both ends together tell.
        let at = |i: usize| self.text.as_bytes().get(i).copied();
        if matches!(
            (at(start), at(self.byte(close.start.index()))),
            (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}'))
        ) {
            (true, self.byte(close.end.index()))
        } else {
            (false, last.map_or(start, |n| n.end))
        }
    }
}

/// The length of the quoted scalar that `text` begins with, quotes included.
fn quoted_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut i = 1;
    while i < bytes.len() {
        match (bytes[0], bytes[i]) {
            (b'\'', b'\'') if bytes.get(i + 1) == Some(&b'\'') => i += 1,
            (b'"', b'\\') => i += 1,
            (b'\'', b'\'') | (b'"', b'"') => return i + 1,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

impl Node {
    /// The text of a scalar, as it would be without quotes.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value without its place.
    pub fn value(&self) -> Value {
        match &self.data {
            Data::Scalar { text, plain: false } => Value::Text(text.clone()),
            Data::Scalar { text, plain: true } => resolve(text),
            Data::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Data::Map(entries) => Value::Map(
                entries.iter().map(|(k, v)| (k.text().unwrap_or_default().to_owned(), v.value())).collect(),
            ),
        }
    }

    /// The entry of this name, when this is a map.
    pub fn get(&self, key: &str) -> Option<&(Node, Node)> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|(k, _)| k.text() == Some(key)),
            _ => None,
        }
    }

    /// All scalars in it, in order.
    pub fn leaves<'n>(&'n self, out: &mut Vec<&'n Node>) {
        match &self.data {
            Data::Scalar { .. } => out.push(self),
            Data::List(items) => items.iter().for_each(|n| n.leaves(out)),
            Data::Map(entries) => entries.iter().for_each(|(k, v)| {
                k.leaves(out);
                v.leaves(out);
            }),
        }
    }

    fn count(&self) -> usize {
        let mut leaves = Vec::new();
        self.leaves(&mut leaves);
        leaves.len() + 1
    }

    /// What stands here, for messages: "the text `big`".
    pub fn describe(&self) -> String {
        match self.value() {
            Value::Null => "nothing".into(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Int(_) | Value::Float(_) => format!("the number {}", self.text().unwrap_or_default()),
            Value::Text(t) => format!("the text `{t}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }
}

/// The YAML 1.2 core schema.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let based = text.strip_prefix("0x").map(|d| (d, 16)).or_else(|| text.strip_prefix("0o").map(|d| (d, 8)));
    if let Some((digits, base)) = based
        && !digits.starts_with(['+', '-'])
        && let Ok(n) = i64::from_str_radix(digits, base)
    {
        return Value::Int(n);
    }
    // Rust also reads `inf` and `nan`, which are text in YAML.
    if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        if let Ok(n) = text.parse::<i64>() {
            return Value::Int(n);
        }
        if let Ok(x) = text.parse::<f64>() {
            return Value::Float(x);
        }
    }
    Value::Text(text.to_owned())
}

/// A scalar as text; inside `[...]` more characters need quotes.
pub(super) fn emit_scalar(value: &Value, in_flow: bool) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(x) if x.is_nan() => ".nan".into(),
        Value::Float(x) if x.is_infinite() => if *x > 0.0 { ".inf" } else { "-.inf" }.into(),
        Value::Float(x) => format!("{x:?}"),
        Value::Text(t) => emit_text(t, in_flow),
        Value::List(_) | Value::Map(_) => emit_flow(value),
    }
}

fn emit_text(t: &str, in_flow: bool) -> String {
    if t.chars().any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        let mut out = String::from("\"");
        for c in t.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                    out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => out.push(c),
            }
        }
        out.push('"');
        return out;
    }
    // What YAML 1.1 readers take for truth values, numbers of base 60 or dates is quoted too.
    let old = matches!(t.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n" | "=" | "<<");
    let numeric = t.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '.'))
        && t.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '_' | ':' | '-' | '.' | '+' | 'o' | 'x'));
    let first = t.chars().next().unwrap_or(' ');
    let quote = !matches!(resolve(t), Value::Text(_))
        || old
        || numeric
        || "-?:,[]{}#&*!|>'\"%@`=".contains(first)
        || t.trim() != t
        || t.contains(": ")
        || t.contains(" #")
        || t.ends_with(':')
        // A dash before a bracket is refused by the parser, though YAML allows it.
        || (in_flow && (t.contains([',', '[', ']', '{', '}', ':']) || t.ends_with('-')));
    if quote { format!("'{}'", t.replace('\'', "''")) } else { t.to_owned() }
}

/// A value on one line.
pub(super) fn emit_flow(value: &Value) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.iter().map(emit_flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let all: Vec<_> =
                entries.iter().map(|(k, v)| format!("{}: {}", emit_text(k, true), emit_flow(v))).collect();
            format!("{{{}}}", all.join(", "))
        }
        scalar => emit_scalar(scalar, true),
    }
}

/// A value as lines of block style behind `indent` spaces: the items of a list, the entries of a map.
pub(super) fn emit_block(value: &Value, indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    match value {
        Value::List(items) if !items.is_empty() => {
            items.iter().flat_map(|item| dashed(item, indent)).collect()
        }
        Value::Map(entries) if !entries.is_empty() => {
            entries.iter().flat_map(|(k, v)| emit_entry(k, v, indent)).collect()
        }
        other => vec![format!("{pad}{}", emit_scalar(other, false))],
    }
}

/// `- ` and the item, whose further lines stand two spaces deeper.
pub(super) fn dashed(item: &Value, indent: usize) -> Vec<String> {
    let mut lines = emit_block(item, indent + 2);
    if let Some(first) = lines.first_mut() {
        first.replace_range(indent..indent + 1, "-");
    }
    lines
}

/// `key: value`, with lists and maps on the lines below as DeepLabCut writes them.
pub(super) fn emit_entry(key: &str, value: &Value, indent: usize) -> Vec<String> {
    let head = format!("{}{}:", " ".repeat(indent), emit_text(key, false));
    let deeper = match value {
        Value::List(items) if !items.is_empty() => emit_block(value, indent),
        Value::Map(entries) if !entries.is_empty() => emit_block(value, indent + 2),
        scalar => return vec![format!("{head} {}", emit_scalar(scalar, false))],
    };
    std::iter::once(head).chain(deeper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e9f64..1e9).prop_map(Value::Float),
            "\\PC{0,12}".prop_map(Value::Text),
            "[-:#'\"\\[\\]{}, a-c0-9\\\\\n\t]{0,8}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map("[a-zA-Z: /\\\\0-9#]{1,10}", inner, 0..4)
                    .prop_map(|m| Value::Map(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let text = emit_entry("key", &value, 0).join("\n") + "\n";
            let read = parse(&text).map_err(|f| TestCaseError::fail(format!("{f:?} in {text}")))?;
            prop_assert_eq!(read.get("key").map(|(_, v)| v.value()), Some(value.clone()), "{}", text);
            let flow = format!("key: {}\n", emit_flow(&value));
            let read = parse(&flow).map_err(|f| TestCaseError::fail(format!("{f:?} in {flow}")))?;
            prop_assert_eq!(read.get("key").map(|(_, v)| v.value()), Some(value), "{}", flow);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }
    }

    #[test]
    fn a_dash_before_a_bracket_is_quoted() {
        let value = Value::List(vec![Value::Map(vec![("k".into(), "a -".into())]), "b-".into()]);
        let text = format!("key: {}\n", emit_flow(&value));
        assert_eq!(text, "key: [{k: 'a -'}, 'b-']\n");
        assert_eq!(parse(&text).unwrap().get("key").unwrap().1.value(), value);
    }

    #[test]
    fn places_are_byte_offsets() {
        let text = "é: ü # c\nlist:\n- a\n- 'b'\nnone:\nflow: [1, 2]\n";
        let root = parse(text).unwrap();
        let of = |k: &str| {
            let n = &root.get(k).unwrap().1;
            &text[n.start..n.end]
        };
        assert_eq!(of("é"), "ü");
        assert!(of("list").ends_with("a\n- 'b'"));
        assert_eq!(of("flow"), "[1, 2]");
        let none = &root.get("none").unwrap().1;
        assert_eq!((&text[none.start - 1..none.end], none.line), (":", 5));
    }
}
