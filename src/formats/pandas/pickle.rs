//! Python's pickle, as far as the attributes of pandas' files need it: texts, numbers, lists, tuples and dicts in
//! protocols 0 to 5. Nothing is ever executed: a call in the stream is kept as an opaque value.

use crate::error::{Error, Kind, Result};
use std::collections::HashMap;

/// One value; lists and tuples refer to others by their number, so that shared and unfinished lists cost nothing.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    None,
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<usize>),
    Tuple(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// A class, or what a call would give; with the state set on it.
    Opaque(Option<usize>),
}

/// A decoded pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: usize,
}

/// A value in a [`Pickle`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    of: &'a Pickle,
    node: usize,
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::Format, format!("a pickled Python value cannot be read: {what}"))
}

struct Reader<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: HashMap<u64, usize>,
}

impl Pickle {
    /// Decodes a pickle.
    ///
    /// # Errors
    /// When the bytes end early or hold an instruction that plain values do not need.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader =
            Reader { bytes, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        while !reader.step()? {}
        let root = reader.pop()?;
        Ok(Self { nodes: reader.nodes, root })
    }

    /// The value.
    pub fn value(&self) -> Value<'_> {
        Value { of: self, node: self.root }
    }
}

impl<'a> Value<'a> {
    fn node(self) -> &'a Node {
        self.of.nodes.get(self.node).unwrap_or(&Node::None)
    }

    fn at(self, node: usize) -> Value<'a> {
        Value { of: self.of, node }
    }

    /// A text, or a whole number's digits.
    pub fn name(self) -> Option<String> {
        match self.node() {
            Node::Text(t) => Some(t.clone()),
            Node::Int(i) => Some(i.to_string()),
            _ => None,
        }
    }

    /// A number; `None` is NaN.
    #[allow(clippy::cast_precision_loss)]
    pub fn number(self) -> Option<f64> {
        match *self.node() {
            Node::None => Some(f64::NAN),
            Node::Int(i) => Some(i as f64),
            Node::Float(f) => Some(f),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Value<'a>>> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) => Some(items.iter().map(move |&i| self.at(i))),
            _ => None,
        }
    }

    /// The value of a dict at a text key or at a whole number written as text.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        match self.node() {
            Node::Dict(pairs) => {
                let pair = pairs.iter().rev().find(|&&(k, _)| self.at(k).name().as_deref() == Some(key))?;
                Some(self.at(pair.1))
            }
            _ => None,
        }
    }

    /// The items of a pickled numpy array of objects: the last part of its state.
    pub fn array_items(self) -> Option<impl ExactSizeIterator<Item = Value<'a>>> {
        match self.node() {
            Node::Opaque(Some(state)) => self.at(*state).items()?.last()?.items(),
            _ => None,
        }
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.bytes.len() {
            return Err(wrong("it ends early"));
        }
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }

    /// A little-endian unsigned number of `count` (at most 8) bytes.
    fn unsigned(&mut self, count: usize) -> Result<u64> {
        Ok(self.take(count)?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn sized(&mut self, count: usize) -> Result<&'a [u8]> {
        let length = self.unsigned(count)?;
        self.take(usize::try_from(length).map_err(|_| wrong("it ends early"))?)
    }

    fn line(&mut self) -> Result<&'a [u8]> {
        let end = self.bytes.iter().position(|&b| b == b'\n').ok_or_else(|| wrong("it ends early"))?;
        let line = self.take(end + 1)?;
        Ok(&line[..end])
    }

    fn line_number(&mut self) -> Result<u64> {
        let line = self.line()?;
        std::str::from_utf8(line)
            .ok()
            .and_then(|l| l.parse().ok())
            .ok_or_else(|| wrong("a number was expected"))
    }

    fn push(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    fn pop(&mut self) -> Result<usize> {
        self.stack.pop().ok_or_else(|| wrong("a value is missing"))
    }

    fn after_mark(&mut self) -> Result<Vec<usize>> {
        let mark = self.marks.pop().ok_or_else(|| wrong("a mark is missing"))?;
        if mark > self.stack.len() {
            return Err(wrong("a mark is misplaced"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u64) -> Result<()> {
        let top = *self.stack.last().ok_or_else(|| wrong("a value is missing"))?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let node = *self.memo.get(&key).ok_or_else(|| wrong("it refers to a value that is not there"))?;
        self.stack.push(node);
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<()> {
        // Python 3 keeps lone surrogates; nothing in a table's names needs them.
        let text = std::str::from_utf8(bytes).map_err(|e| wrong("a text is not UTF-8").because(e))?;
        self.push(Node::Text(text.to_owned()));
        Ok(())
    }

    fn append(&mut self, items: &[usize]) -> Result<()> {
        let list = *self.stack.last().ok_or_else(|| wrong("a list is missing"))?;
        match self.nodes.get_mut(list) {
            Some(Node::List(all)) => all.extend_from_slice(items),
            // Appending to an object that a call would have made.
            Some(Node::Opaque(_)) => {}
            _ => return Err(wrong("a list is missing")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[usize]) -> Result<()> {
        let dict = *self.stack.last().ok_or_else(|| wrong("a dict is missing"))?;
        match self.nodes.get_mut(dict) {
            Some(Node::Dict(all)) => all.extend(items.chunks_exact(2).map(|p| (p[0], p[1]))),
            Some(Node::Opaque(_)) => {}
            _ => return Err(wrong("a dict is missing")),
        }
        Ok(())
    }

    /// Does one instruction; true at the end.
    fn step(&mut self) -> Result<bool> {
        match self.take(1)?[0] {
            b'.' => return Ok(true),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Int(1)),
            0x89 => self.push(Node::Int(0)),
            b'I' | b'L' => {
                let line = self.line()?;
                let text = std::str::from_utf8(line).unwrap_or_default().trim_end_matches('L');
                self.push(Node::Int(text.parse().map_err(|_| wrong("a number was expected"))?));
            }
            b'K' => {
                let n = self.take(1)?[0];
                self.push(Node::Int(i64::from(n)));
            }
            b'M' => {
                let n = self.unsigned(2)?;
                self.push(Node::Int(n.cast_signed()));
            }
            b'J' => {
                let b = self.take(4)?;
                self.push(Node::Int(i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))));
            }
            0x8a => {
                let b = self.sized(1)?;
                if b.len() > 8 {
                    return Err(wrong("a number is too large"));
                }
                let fill = if b.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                let mut n = [fill; 8];
                n[..b.len()].copy_from_slice(b);
                self.push(Node::Int(i64::from_le_bytes(n)));
            }
            b'F' => {
                let line = self.line()?;
                let text = std::str::from_utf8(line).unwrap_or_default();
                self.push(Node::Float(text.parse().map_err(|_| wrong("a number was expected"))?));
            }
            b'G' => {
                let bits = self.take(8)?.iter().fold(0, |n, &b| n << 8 | u64::from(b));
                self.push(Node::Float(f64::from_bits(bits)));
            }
            b'V' => {
                let line = self.line()?;
                self.push(Node::Text(unescape(line)?));
            }
            b'S' => {
                let line = self.line()?;
                let inner = match line {
                    [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
                    _ => return Err(wrong("a text is not quoted")),
                };
                if inner.contains(&b'\\') {
                    return Err(wrong("a text of Python 2 has escapes"));
                }
                self.text(inner)?;
            }
            b'X' => {
                let b = self.sized(4)?;
                self.text(b)?;
            }
            0x8c => {
                let b = self.sized(1)?;
                self.text(b)?;
            }
            0x8d => {
                let b = self.sized(8)?;
                self.text(b)?;
            }
            b'U' => {
                let b = self.sized(1)?;
                self.text(b)?;
            }
            b'T' => {
                let b = self.sized(4)?;
                self.text(b)?;
            }
            b'C' => {
                let b = self.sized(1)?.to_vec();
                self.push(Node::Bytes(b));
            }
            b'B' => {
                let b = self.sized(4)?.to_vec();
                self.push(Node::Bytes(b));
            }
            0x8e | 0x96 => {
                let b = self.sized(8)?.to_vec();
                self.push(Node::Bytes(b));
            }
            b']' => self.push(Node::List(vec![])),
            b')' => self.push(Node::Tuple(vec![])),
            b'}' => self.push(Node::Dict(vec![])),
            b'l' => {
                let items = self.after_mark()?;
                self.push(Node::List(items));
            }
            b't' => {
                let items = self.after_mark()?;
                self.push(Node::Tuple(items));
            }
            b'd' => {
                let items = self.after_mark()?;
                self.push(Node::Dict(items.chunks_exact(2).map(|p| (p[0], p[1])).collect()));
            }
            n @ 0x85..=0x87 => {
                let count = usize::from(n - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or_else(|| wrong("a value is missing"))?;
                let items = self.stack.split_off(from);
                self.push(Node::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.after_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.after_mark()?;
                self.set_items(&items)?;
            }
            b'p' => {
                let key = self.line_number()?;
                self.remember(key)?;
            }
            b'q' => {
                let key = self.unsigned(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.unsigned(4)?;
                self.remember(key)?;
            }
            0x94 => {
                let key = self.memo.len() as u64;
                self.remember(key)?;
            }
            b'g' => {
                let key = self.line_number()?;
                self.recall(key)?;
            }
            b'h' => {
                let key = self.unsigned(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.unsigned(4)?;
                self.recall(key)?;
            }
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'0' => {
                self.pop()?;
            }
            // Classes and calls: remembered as something that is not looked into.
            b'c' => {
                self.line()?;
                self.line()?;
                self.push(Node::Opaque(None));
            }
            0x93 | b'R' | 0x81 => {
                self.pop()?;
                self.pop()?;
                self.push(Node::Opaque(None));
            }
            b'b' => {
                let state = self.pop()?;
                let object = *self.stack.last().ok_or_else(|| wrong("an object is missing"))?;
                if let Some(node @ Node::Opaque(_)) = self.nodes.get_mut(object) {
                    *node = Node::Opaque(Some(state));
                }
            }
            other => return Err(wrong(&format!("the instruction {other:#04x} is not one of plain values"))),
        }
        Ok(false)
    }
}

/// Python's raw-unicode-escape: Latin-1, with `\uXXXX` and `\UXXXXXXXX`.
fn unescape(bytes: &[u8]) -> Result<String> {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = match (byte, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                text.push(char::from(byte));
                continue;
            }
        };
        let code = after
            .get(1..=digits)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| wrong("a text has a broken escape"))?;
        text.push(code);
        rest = &after[digits + 1..];
    }
    Ok(text)
}

/// Writes pickles of protocol 0. A text that comes again is written once and referred to, as Python does.
#[derive(Debug, Default)]
pub(super) struct PickleWriter {
    out: Vec<u8>,
    texts: HashMap<String, usize>,
}

impl PickleWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// The pickle.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b'.');
        self.out
    }

    pub fn int(&mut self, value: i64) -> &mut Self {
        self.out.extend(format!("I{value}\n").bytes());
        self
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        if let Some(key) = self.texts.get(text) {
            self.out.extend(format!("g{key}\n").bytes());
            return self;
        }
        self.out.push(b'V');
        for c in text.chars() {
            match c {
                // Printable ASCII as it is; the backslash begins an escape.
                ' '..='~' if c != '\\' => self.out.push(c as u8),
                _ if (c as u32) < 0x1_0000 => self.out.extend(format!("\\u{:04x}", c as u32).bytes()),
                _ => self.out.extend(format!("\\U{:08x}", c as u32).bytes()),
            }
        }
        let key = self.texts.len();
        self.out.extend(format!("\np{key}\n").bytes());
        self.texts.insert(text.to_owned(), key);
        self
    }

    pub fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.out.extend(b"(l");
        for item in items {
            each(self, item);
            self.out.push(b'a');
        }
        self
    }

    pub fn tuple(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.out.push(b'(');
        fill(self);
        self.out.push(b't');
        self
    }

    /// A dict; `fill` writes pairs with [`pair`](Self::pair).
    pub fn dict(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.out.extend(b"(d");
        fill(self);
        self
    }

    /// Writes a key and its value.
    pub fn pair(&mut self, fill: impl FnOnce(&mut Self)) {
        fill(self);
        self.out.push(b's');
    }

    /// A list of tuples of texts, as column names are.
    pub fn columns(&mut self, columns: &[Vec<String>]) -> &mut Self {
        self.list(columns, |w, column| {
            w.tuple(|w| {
                for name in column {
                    w.text(name);
                }
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn columns(pickle: &[u8]) -> Option<Vec<Vec<String>>> {
        let pickle = Pickle::read(pickle).ok()?;
        pickle.value().items()?.map(|c| c.items()?.map(Value::name).collect()).collect()
    }

    #[test]
    fn python_pickles_are_read() {
        // pickle.dumps([('S','snout é','x'),('S','鼠\\','y')], protocol) of CPython
        let expected = vec![vec!["S", "snout é", "x"], vec!["S", "鼠\\", "y"]];
        let cases: [&[u8]; 3] = [
            b"(lp0\n(VS\np1\nVsnout \xe9\np2\nVx\np3\ntp4\na(g1\nV\\u9f20\\u005c\np5\nVy\np6\ntp7\na.",
            b"\x80\x02]q\x00(X\x01\x00\x00\x00Sq\x01X\x08\x00\x00\x00snout \xc3\xa9q\x02X\x01\x00\x00\x00xq\x03\x87q\x04h\x01X\x04\x00\x00\x00\xe9\xbc\xa0\\q\x05X\x01\x00\x00\x00yq\x06\x87q\x07e.",
            b"\x80\x04\x95(\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x01S\x94\x8c\x08snout \xc3\xa9\x94\x8c\x01x\x94\x87\x94h\x01\x8c\x04\xe9\xbc\xa0\\\x94\x8c\x01y\x94\x87\x94e.",
        ];
        for case in cases {
            assert_eq!(columns(case).unwrap(), expected);
        }
    }

    #[test]
    fn calls_are_not_made() {
        // os.system('echo no') as protocol 0: read as something opaque
        let pickle = Pickle::read(b"cos\nsystem\n(S'echo no'\ntR.").unwrap();
        assert!(pickle.value().name().is_none() && pickle.value().items().is_none());
    }

    #[test]
    fn a_list_that_holds_itself_does_no_harm() {
        let pickle = Pickle::read(b"(lp0\ng0\na.").unwrap();
        assert!(pickle.value().items().unwrap().next().unwrap().items().is_some());
    }

    proptest! {
        #[test]
        fn columns_come_back(names in prop::collection::vec(prop::collection::vec(any::<String>(), 3), 0..5)) {
            let mut w = PickleWriter::new();
            w.columns(&names);
            prop_assert_eq!(columns(&w.finish()).unwrap(), names);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pickle::read(&bytes);
        }
    }
}
