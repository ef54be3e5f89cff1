//! Lines of JSON that carry their own checksum, in a file that is only ever added to.
//!
//! A line ends in `,"check":"0123456789abcdef"}`: the start of the SHA-256 of all that stands before it in the line. So a
//! line that a crash cut off, or that rotted on the disk, is known as such and costs only itself.

use crate::error::{Error, Kind, Result};
use crate::files;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

const CHECK: &str = ",\"check\":\"";

/// What a file of sealed lines holds.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    /// Every line that can be read, in order.
    pub whole: Vec<T>,
    /// The last line was cut off in the middle, as a crash while writing does.
    pub torn: bool,
    /// Numbers of other lines that cannot be read.
    pub damaged: Vec<usize>,
    /// The readable lines as they are, when there are others as well.
    pub good: String,
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn check_of(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes())[..8])
}

/// The line of a value (a map), with its check and its line break.
pub(crate) fn seal<T: Serialize>(value: &T) -> std::io::Result<String> {
    let json = serde_json::to_string(value)?;
    let body = json.strip_suffix('}').unwrap_or(&json);
    Ok(format!("{body}{CHECK}{}\"}}\n", check_of(body)))
}

/// Reads lines, of which each names its `schema`; `newest` is the one this program knows.
pub(crate) fn read<T: DeserializeOwned>(
    bytes: &[u8],
    newest: u32,
    what: &str,
    path: &Path,
) -> Result<Lines<T>> {
    #[derive(Deserialize)]
    struct Form {
        schema: u32,
    }
    let mut read = Lines { whole: Vec::new(), torn: false, damaged: Vec::new(), good: String::new() };
    let mut lines = bytes.split_inclusive(|b| *b == b'\n').enumerate().peekable();
    let mut bad = Vec::new();
    while let Some((i, line)) = lines.next() {
        let sound = std::str::from_utf8(line)
            .ok()
            .filter(|_| line.ends_with(b"\n"))
            .map(str::trim_end)
            .filter(|l| is_sound(l));
        let value = sound.and_then(|l| serde_json::from_str(l).ok());
        if value.is_none()
            && let Some(Form { schema }) = sound.and_then(|l| serde_json::from_str(l).ok())
            && schema > newest
        {
            return Err(Error::new(
                Kind::Labels,
                format!("the {what} has schema {schema}, and this limn knows up to {newest}"),
            )
            .at(format!("{}:{}", path.display(), i + 1))
            .mend("open the project once with the newer limn that wrote it"));
        }
        match value {
            Some(value) => {
                read.whole.push(value);
                continue;
            }
            None if lines.peek().is_none() => read.torn = true,
            None => read.damaged.push(i + 1),
        }
        bad.push(i);
    }
    if !bad.is_empty() {
        let good = bytes.split_inclusive(|b| *b == b'\n').enumerate().filter(|(i, _)| !bad.contains(i));
        good.for_each(|(_, line)| read.good += &String::from_utf8_lossy(line));
    }
    Ok(read)
}

fn is_sound(line: &str) -> bool {
    line.rfind(CHECK)
        .and_then(|at| {
            let check = line.get(at + CHECK.len()..)?.strip_suffix("\"}")?;
            Some(check == check_of(&line[..at]))
        })
        .unwrap_or(false)
}

/// Adds `text` (whole lines) to the file; with `sync` it is safe on disk when this returns. On an error none of it is
/// in the file, or a half line that the next one does not touch.
pub(crate) fn append(path: &Path, text: &str, sync: bool) -> std::io::Result<()> {
    let is_new = !path.exists();
    let mut file = std::fs::OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let before = file.metadata()?.len();
    let mut text = std::borrow::Cow::Borrowed(text);
    if before > 0 {
        // Half a line that could not be taken back is a damaged line of its own.
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text = format!("\n{text}").into();
        }
    }
    let written = file.write_all(text.as_bytes()).and_then(|()| if sync { file.sync_data() } else { Ok(()) });
    if let Err(e) = written {
        let _ = file.set_len(before);
        if is_new {
            let _ = std::fs::remove_file(path);
        }
        return Err(e);
    }
    if is_new && sync {
        files::sync_folder(&files::folder_of(path)).map_err(std::io::Error::other)?;
    }
    Ok(())
}

/// Keeps what `path` holds beside it as `<name>.<why>`, `<name>.<why>-2` and so on; never overwrites.
pub(crate) fn keep_copy(path: &Path, why: &str) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = std::fs::read(path).map_err(|e| Error::io("keep a copy of the file", path, e))?;
    for n in 1..10_000 {
        let number = if n == 1 { String::new() } else { format!("-{n}") };
        let copy = path.with_file_name(format!("{name}.{why}{number}"));
        if copy.symlink_metadata().is_ok() {
            if std::fs::read(&copy).is_ok_and(|kept| kept == bytes) {
                return Ok(copy); // kept before, when the work was interrupted
            }
            continue;
        }
        files::write_whole(&copy, &bytes)?;
        return Ok(copy);
    }
    Err(Error::new(Kind::Exists, "there are too many kept copies of this file")
        .at(path.display())
        .mend("remove old ones"))
}
