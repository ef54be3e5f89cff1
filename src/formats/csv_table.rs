//! CSV files with DeepLabCut's header rows, row by row, with exact line numbers whatever wrote the file.

use super::header::{Fault, Header, Sort, understand};
use crate::error::{Error, Kind, Result};
use csv::{ByteRecord, ReaderBuilder};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// An open table: the header is read, the rows are not.
pub(super) struct CsvTable {
    path: PathBuf,
    kind: Kind,
    reader: csv::Reader<Lines<BufReader<File>>>,
    pub header: Header,
    /// Index columns before the values.
    pub index: usize,
    /// Cells that every row must have.
    width: usize,
}

/// One row of a table.
pub(super) struct Row {
    /// 1-based line of the file.
    pub line: u64,
    cells: ByteRecord,
    index: usize,
}

impl CsvTable {
    /// Opens a table and reads its header rows.
    pub fn open(path: &Path, sort: Sort) -> Result<Self> {
        let kind = if sort == Sort::Labels { Kind::Labels } else { Kind::Format };
        let file = File::open(path).map_err(|e| Error::io("open the table", path, e))?;
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(Lines::new(BufReader::new(file)));
        let mut raw = Raw { path, kind, reader };
        let (levels, lines, cells) = raw.header_rows()?;
        let coords = &cells[cells.len() - 1];
        let index = coords.iter().skip(1).take_while(|c| c.is_empty()).count() + 1;
        let width = coords.len();
        // A spreadsheet may have added empty columns at the end.
        let used =
            (index..width).rev().find(|&c| cells.iter().any(|r| !r[c].is_empty())).map_or(index, |c| c + 1);
        let columns: Vec<Vec<String>> =
            (index..used).map(|c| cells.iter().map(|row| row[c].clone()).collect()).collect();
        if columns.is_empty() {
            return Err(Error::new(kind, "the table has no columns")
                .at(place(path, lines[lines.len() - 1]))
                .mend("each body part needs a column for x and one for y, with scorer and body part above"));
        }
        let levels: Vec<_> = levels.into_iter().map(Some).collect();
        let header = understand(&levels, &columns, sort).map_err(|f| {
            let line = f.level.and_then(|l| lines.get(l)).copied().unwrap_or(1);
            fault(path, kind, line, index, f)
        })?;
        let Raw { reader, .. } = raw;
        Ok(Self { path: path.to_owned(), kind, reader, header, index, width })
    }

    /// The next row that is not empty.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        let used = self.index + self.header.places.len();
        let mut raw = Raw { path: &self.path, kind: self.kind, reader: &mut self.reader };
        let Some((line, mut cells)) = raw.row()? else { return Ok(None) };
        if cells.len() != self.width {
            let more = cells.len() > self.width;
            return Err(self.wrong(
                line,
                format!("the row has {} cells, the header has {}", cells.len(), self.width),
                if more {
                    "remove the cells too many, or quote names with commas"
                } else {
                    "add the missing commas"
                },
            ));
        }
        if let Some(extra) =
            (used..self.width).find(|&c| cells.get(c).is_some_and(|c| !c.trim_ascii().is_empty()))
        {
            let what = format!("the cell in column {} has no body part above it", extra + 1);
            return Err(self.wrong(line, what, "name the column, or empty the cell"));
        }
        cells.truncate(used);
        Ok(Some(Row { line, cells, index: self.index }))
    }

    /// An error of this file at `line`.
    pub fn wrong(&self, line: u64, what: impl Into<String>, mend: &str) -> Error {
        Error::new(self.kind, what).at(place(&self.path, line)).mend(mend)
    }

    /// An error about one column.
    pub fn fault(&self, line: u64, f: Fault) -> Error {
        fault(&self.path, self.kind, line, self.index, f)
    }

    /// The numbers of a row, NaN for empty cells and `nan`.
    pub fn numbers<T: std::str::FromStr + Nan>(&self, row: &Row, out: &mut Vec<T>) -> Result<()> {
        out.clear();
        for column in 0..self.header.places.len() {
            let text = row.text(self.index + column).trim();
            if text.is_empty() || text.eq_ignore_ascii_case("nan") {
                out.push(T::NAN);
                continue;
            }
            out.push(text.parse().map_err(|_| {
                let what = format!("`{text}` in the column `{}` is not a number", self.header.names[column]);
                self.fault(
                    row.line,
                    Fault {
                        column,
                        level: None,
                        what,
                        mend: "write a number with a point, or leave the cell empty".into(),
                    },
                )
            })?);
        }
        Ok(())
    }
}

/// Numbers that know "nothing here".
pub(super) trait Nan {
    const NAN: Self;
}
impl Nan for f32 {
    const NAN: Self = f32::NAN;
}
impl Nan for f64 {
    const NAN: Self = f64::NAN;
}

impl Row {
    /// An index cell.
    pub fn index(&self, column: usize) -> &str {
        if column < self.index { self.text(column) } else { "" }
    }

    fn text(&self, column: usize) -> &str {
        // Every record was checked to be UTF-8.
        std::str::from_utf8(self.cells.get(column).unwrap_or_default()).unwrap_or_default()
    }
}

fn place(path: &Path, line: u64) -> String {
    format!("{}:{line}", path.display())
}

fn fault(path: &Path, kind: Kind, line: u64, index: usize, f: Fault) -> Error {
    let at = format!("{}, column {}", place(path, line), f.column + index + 1);
    Error::new(kind, f.what).at(at).mend(f.mend)
}

struct Raw<'a, R> {
    path: &'a Path,
    kind: Kind,
    reader: R,
}

/// Level names, their lines, and all cells of the header rows.
type HeaderRows = (Vec<String>, Vec<u64>, Vec<Vec<String>>);

impl Raw<'_, csv::Reader<Lines<BufReader<File>>>> {
    fn header_rows(&mut self) -> Result<HeaderRows> {
        let (path, kind) = (self.path, self.kind);
        let mend = "the first rows must begin with scorer, [individuals,] bodyparts and coords";
        let wrong = |line, what: String| Error::new(kind, what).at(place(path, line));
        let (mut levels, mut lines, mut cells) = (Vec::new(), Vec::new(), Vec::<Vec<String>>::new());
        loop {
            let mut raw = Raw { path, kind, reader: &mut self.reader };
            let Some((line, row)) = raw.row()? else {
                let line = lines.last().copied().unwrap_or(1);
                let what =
                    if levels.is_empty() { "the file is empty" } else { "the file ends within the header" };
                return Err(wrong(line, what.into()).mend(mend));
            };
            let row: Vec<String> = row.iter().map(|c| String::from_utf8_lossy(c).into_owned()).collect();
            let name = row[0].trim().to_owned();
            if row.len() == 1 && (name.contains(';') || name.contains('\t')) {
                return Err(wrong(line, "the cells are not separated by commas".into())
                    .mend("save the table again as CSV with commas (and points in numbers)"));
            }
            let expected = match levels.last().map(String::as_str) {
                None => name == "scorer",
                Some("scorer") => name == "individuals" || name == "bodyparts",
                Some("individuals") => name == "bodyparts",
                _ => name == "coords",
            };
            if !expected {
                let shown: String = name.chars().take(40).collect();
                return Err(
                    wrong(line, format!("a header row is missing: the row begins with `{shown}`")).mend(mend)
                );
            }
            if let Some(first) = cells.first().map(Vec::len)
                && row.len() != first
            {
                return Err(wrong(
                    line,
                    format!("the header row has {} cells, the first has {first}", row.len()),
                )
                .mend("give all header rows the same number of cells"));
            }
            lines.push(line);
            cells.push(row);
            levels.push(name);
            if levels.last().is_some_and(|l| l == "coords") {
                return Ok((levels, lines, cells));
            }
        }
    }
}

impl Raw<'_, &mut csv::Reader<Lines<BufReader<File>>>> {
    /// The next row with anything in it, and its line.
    fn row(&mut self) -> Result<Option<(u64, ByteRecord)>> {
        let mut cells = ByteRecord::new();
        loop {
            let more = self.reader.read_byte_record(&mut cells).map_err(|e| match e.into_kind() {
                csv::ErrorKind::Io(e) => Error::io("read the table", self.path, e),
                other => Error::new(self.kind, format!("the table cannot be read: {other:?}"))
                    .at(self.path.display())
                    .mend("save the table again as CSV"),
            })?;
            if !more {
                return Ok(None);
            }
            // Every line ends with a line feed here, so the reader stands at the beginning of the next one.
            let line = self.reader.position().line() - 1;
            for (i, cell) in cells.iter().enumerate() {
                if let Err(e) = std::str::from_utf8(cell) {
                    return Err(Error::new(
                        self.kind,
                        format!("the cell in column {} is not UTF-8 text", i + 1),
                    )
                    .at(place(self.path, line))
                    .mend("save the table as CSV with UTF-8 encoding")
                    .because(e));
                }
            }
            if cells.iter().any(|c| !c.trim_ascii().is_empty()) {
                return Ok(Some((line, cells)));
            }
        }
    }
}

/// Gives every line one line feed at its end, whether it had CR, CRLF, LF or none, and takes off a byte order mark.
pub(super) struct Lines<R> {
    from: R,
    begun: bool,
    after_cr: bool,
    last: u8,
}

impl<R: BufRead> Lines<R> {
    pub fn new(from: R) -> Self {
        Self { from, begun: false, after_cr: false, last: b'\n' }
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let bytes = self.from.fill_buf()?;
            if bytes.is_empty() {
                if self.last == b'\n' {
                    return Ok(0);
                }
                self.last = b'\n';
                out[0] = b'\n';
                return Ok(1);
            }
            if !self.begun {
                self.begun = true;
                if bytes.starts_with(b"\xef\xbb\xbf") {
                    self.from.consume(3);
                    continue;
                }
            }
            let (mut read, mut written) = (0, 0);
            for &byte in bytes {
                if written == out.len() {
                    break;
                }
                read += 1;
                if byte == b'\n' && self.after_cr {
                    self.after_cr = false;
                    continue;
                }
                self.after_cr = byte == b'\r';
                self.last = if self.after_cr { b'\n' } else { byte };
                out[written] = self.last;
                written += 1;
            }
            self.from.consume(read);
            if written > 0 {
                return Ok(written);
            }
        }
    }
}
