//! HDF5 files for this room: opened with errors that say what to do, and written row by row in little memory.

pub(super) mod raw;

use super::part::Part;
use crate::error::{Error, Kind, Result};
use hdf5_metno::types::FloatSize;
use hdf5_metno::{Dataset, File};
use raw::failed;
use std::marker::PhantomData;
use std::path::Path;

/// Bytes of rows that are kept before they are written.
const AT_ONCE: usize = 1 << 20;

/// The two widths of numbers in these files.
pub(super) trait Number: Copy + 'static {
    const NAN: Self;
    const SIZE: FloatSize;
    fn from_f32(value: f32) -> Self;
    fn from_f64(value: f64) -> Self;
    fn bytes(self, out: &mut Vec<u8>);
}

impl Number for f64 {
    const NAN: Self = f64::NAN;
    const SIZE: FloatSize = FloatSize::U8;
    fn from_f32(value: f32) -> Self {
        value.into()
    }
    fn from_f64(value: f64) -> Self {
        value
    }
    fn bytes(self, out: &mut Vec<u8>) {
        out.extend(self.to_ne_bytes());
    }
}

impl Number for f32 {
    const NAN: Self = f32::NAN;
    const SIZE: FloatSize = FloatSize::U4;
    fn from_f32(value: f32) -> Self {
        value
    }
    #[allow(clippy::cast_possible_truncation)] // tracks are f32
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn bytes(self, out: &mut Vec<u8>) {
        out.extend(self.to_ne_bytes());
    }
}

/// Opens a file to read; `mend` is for one that is damaged.
pub(super) fn open(path: &Path, mend: &str) -> Result<File> {
    if let Err(e) = std::fs::File::open(path) {
        return Err(Error::io("open the HDF5 file", path, e));
    }
    patiently(path).map_err(|e| {
        let e = failed("open the HDF5 file")(e).at(path.display());
        if e.what().contains("lock") {
            e.mend("another program has it open; close that, or set HDF5_USE_FILE_LOCKING=FALSE on a network disk")
        } else {
            e.mend(mend)
        }
    })
}

/// A file that is locked is tried again for half a second. Besides a program that is just done with it, that may be a
/// process this one is starting: until it has become the other program, it holds what was locked here.
fn patiently(path: &Path) -> hdf5_metno::Result<File> {
    for _ in 0..20 {
        match File::open(path) {
            Err(e) if e.to_string().contains("unable to lock file") => {
                std::thread::sleep(std::time::Duration::from_millis(25));
            }
            opened => return opened,
        }
    }
    File::open(path)
}

/// How the rows of a new file are written.
pub(super) struct Rows {
    /// Where they go, along its first dimension; `None` when there are none.
    pub set: Option<Dataset>,
    /// How many.
    pub count: usize,
    /// Values in each.
    pub width: usize,
    /// Whether each begins with its number, as 64 bits.
    pub numbered: bool,
    /// Rows of a chunk; what is written at a time are whole chunks.
    pub chunk: usize,
}

/// A file whose rows come one after the other. It appears, whole, with [`finish`](Self::finish); dropped before, nothing
/// is left.
pub(super) struct Writer<T> {
    // In the order in which they must be dropped: the file is closed before it is removed.
    rows: Rows,
    file: File,
    part: Part,
    /// Rows taken, written or still in `buffer`.
    taken: usize,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are written at a time.
    block: usize,
    broken: bool,
    number: PhantomData<T>,
}

impl<T> std::fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.part.path).field("rows", &self.taken).finish()
    }
}

impl<T: Number> Writer<T> {
    /// Begins a file; `fill` makes everything but the rows.
    pub fn create(path: &Path, fill: impl FnOnce(&File) -> Result<Rows>) -> Result<Self> {
        let (part, empty) = Part::beside(path)?;
        drop(empty);
        // No lock: nobody else knows this file yet, and a process started meanwhile would keep the lock for a while.
        let made = File::with_options()
            .with_fapl(|access| access.file_locking(false))
            .create(part.now())
            .map_err(failed("make the HDF5 file"))
            .and_then(|file| fill(&file).map(|rows| (rows, file)));
        let (rows, file) = made.map_err(|e| told(path, e))?;
        let row = rows.width * T::SIZE as usize + if rows.numbered { 8 } else { 0 };
        let chunk = rows.chunk.max(1).saturating_mul(row).max(1);
        let block = chunk.saturating_mul((AT_ONCE / chunk).max(1));
        Ok(Self { rows, file, part, taken: 0, buffer: Vec::new(), block, broken: false, number: PhantomData })
    }

    /// Writes the next rows, any number of whole ones.
    pub fn rows(&mut self, values: &[T]) -> Result<()> {
        let at = |e: Error, frame: usize| e.at(format!("{}, frame {frame}", self.part.path.display()));
        let width = self.rows.width.max(1);
        if !values.len().is_multiple_of(width) {
            let what = format!("{} values were given, which are no whole rows of {width}", values.len());
            return Err(at(Error::new(Kind::Usage, what), self.taken)
                .mend("give all values of every point of the skeleton"));
        }
        let (given, left) = (values.len() / width, self.rows.count - self.taken);
        if given > left {
            let what = format!("more rows were given than the {} the file is for", self.rows.count);
            return Err(at(Error::new(Kind::Usage, what), self.rows.count)
                .mend("count the frames again and write the file anew"));
        }
        for row in values.chunks_exact(width) {
            if self.rows.numbered {
                self.buffer.extend(i64::try_from(self.taken).unwrap_or(i64::MAX).to_ne_bytes());
            }
            for value in row {
                value.bytes(&mut self.buffer);
            }
            self.taken += 1;
            if self.buffer.len() >= self.block {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.broken {
            return Err(Error::new(Kind::Io, "the file could not be written before")
                .at(self.part.path.display())
                .mend("write it anew"));
        }
        let Some(set) = self.rows.set.as_ref().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        let row = self.rows.width * T::SIZE as usize + if self.rows.numbered { 8 } else { 0 };
        let from = self.taken - self.buffer.len() / row.max(1);
        let written = raw::write(set, from..self.taken, &self.buffer);
        self.buffer.clear();
        self.broken = written.is_err();
        written.map_err(|e| told(&self.part.path, e))
    }

    /// Writes the rest and gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        if self.taken != self.rows.count {
            let what = format!("{} rows were given, the file is for {}", self.taken, self.rows.count);
            return Err(Error::new(Kind::Usage, what)
                .at(self.part.path.display())
                .mend("count the frames again and write the file anew"));
        }
        self.flush()?;
        let Self { rows, file, part, .. } = self;
        if let Some(set) = rows.set {
            raw::settle(&set).map_err(|e| told(&part.path, e))?;
        }
        file.close().map_err(failed("close the HDF5 file")).map_err(|e| told(&part.path, e))?;
        part.keep()
    }
}

/// An error of writing, as people know it.
fn told(path: &Path, e: Error) -> Error {
    match system_error(&e) {
        Some(system) => Error::io("write the HDF5 file", path, system),
        None => e.at(path.display()).mend("check that the disk is not full, and try again"),
    }
}

/// The operating system's own error, which libhdf5 tells in the middle of many words: `errno = 28`.
fn system_error(e: &Error) -> Option<std::io::Error> {
    let (_, rest) = e.what().split_once("errno = ")?;
    let number = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    number.parse().ok().map(std::io::Error::from_raw_os_error)
}
