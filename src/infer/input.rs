//! What can be analyzed: a video, or a folder of pictures.

use super::source::{Given, Paint, Source};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::sealed::hex;
use crate::video::{Hardware, Index, Raw, Reader, ReaderOptions, RgbConverter};
use crate::watch::Watch;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Frames with their facts.
#[derive(Debug)]
pub(super) enum Input {
    Video(Arc<Index>),
    Pictures { paths: Arc<Vec<PathBuf>>, size: (usize, usize), fingerprint: String },
}

impl Input {
    /// Opens a video or a folder of pictures. `partial`: a video that breaks off is taken as far as it goes.
    pub fn open(path: &Path, partial: bool, watch: &dyn Watch) -> Result<Self> {
        if path.is_dir() {
            return pictures(path);
        }
        let index = if partial { Index::open_partial(path, watch)? } else { Index::open(path, watch)? };
        Ok(Self::Video(Arc::new(index)))
    }

    pub fn frames(&self) -> usize {
        match self {
            Self::Video(index) => index.len(),
            Self::Pictures { paths, .. } => paths.len(),
        }
    }

    /// Width and height; of pictures, those of the first.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Video(index) => (index.width(), index.height()),
            Self::Pictures { size, .. } => *size,
        }
    }

    pub fn fingerprint(&self) -> &str {
        match self {
            Self::Video(index) => index.fingerprint(),
            Self::Pictures { fingerprint, .. } => fingerprint,
        }
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Self::Video(index) => index.bytes(),
            Self::Pictures { .. } => 0,
        }
    }

    pub fn fps(&self) -> f64 {
        match self {
            Self::Video(index) => index.fps(),
            Self::Pictures { .. } => 0.0,
        }
    }

    /// The line of a frame in the table beside the tracks: its time in seconds, or the picture's name.
    pub fn mark(&self, frame: usize) -> String {
        match self {
            Self::Video(index) => format!("{:.6}", index.time(frame).unwrap_or(f64::NAN)),
            Self::Pictures { paths, .. } => {
                let name = paths.get(frame).and_then(|p| p.file_name()).unwrap_or_default();
                let name = name.to_string_lossy();
                if name.contains(['"', ',', '\n']) {
                    format!("\"{}\"", name.replace('"', "\"\""))
                } else {
                    name.into_owned()
                }
            }
        }
    }
}

fn pictures(folder: &Path) -> Result<Input> {
    let paths = picture_files(folder);
    if paths.is_empty() {
        return Err(Error::new(Kind::NotFound, "there are neither videos nor pictures in this folder")
            .at(folder.display())
            .mend(
                "give video files, or a folder that holds some (mp4, avi, mov, ...) or pictures (png, jpg)",
            ));
    }
    let Some(size) = paths.iter().find_map(|path| Picture::size_of(path).ok()) else {
        return Err(Error::new(Kind::Format, "not one picture of this folder can be read")
            .at(folder.display())
            .mend("copy the pictures again"));
    };
    let mut sha = Sha256::new();
    for path in &paths {
        let facts = path.metadata().map_err(|e| Error::io("read the picture", path, e))?;
        let when = facts.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        sha.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        sha.update([0]);
        sha.update(facts.len().to_le_bytes());
        sha.update(when.map_or(0, |t| t.as_nanos()).to_le_bytes());
    }
    Ok(Input::Pictures { paths: Arc::new(paths), size, fingerprint: hex(&sha.finalize()) })
}

/// Whether a folder holds pictures that could be analyzed.
#[must_use]
pub fn holds_pictures(folder: &Path) -> bool {
    !picture_files(folder).is_empty()
}

/// The pictures of a folder, in the order of the numbers in their names (`img2` before `img10`).
pub(super) fn picture_files(folder: &Path) -> Vec<PathBuf> {
    let is_picture = |p: &PathBuf| {
        let end = p.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        ["png", "jpg", "jpeg"].contains(&end.as_str()) && p.is_file()
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|d| d.flatten().map(|e| e.path()).filter(is_picture).collect())
        .unwrap_or_default();
    paths.sort_by_cached_key(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (natural(&name), name)
    });
    paths
}

/// Text and numbers of a name, alternating, so that numbers are compared as such.
fn natural(name: &str) -> Vec<(String, u128)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, from) = rest.split_at(digits);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        parts.push((text.to_owned(), number.parse().unwrap_or(u128::MAX)));
        rest = after;
    }
    parts
}

/// Frames `first..end` of a video.
pub(super) struct VideoFrames {
    reader: Reader,
    index: Arc<Index>,
    end: usize,
}

impl VideoFrames {
    pub fn new(index: &Arc<Index>, first: usize, end: usize, hardware: &Hardware) -> Result<Self> {
        let options = ReaderOptions { hardware: hardware.clone(), ..ReaderOptions::default() };
        let mut reader = Reader::with_options(Arc::clone(index), &options)?;
        reader.seek(first)?;
        Ok(Self { reader, index: Arc::clone(index), end })
    }

    /// What decodes, in words.
    pub fn decoder(&self) -> String {
        self.reader.decoder()
    }
}

impl Source for VideoFrames {
    type Raw = Raw;
    type Paint = VideoPaint;

    fn next(&mut self, wanted: &dyn Fn() -> bool) -> Result<Option<Given<Raw>>> {
        let step = self.reader.next_raw_while(wanted)?;
        Ok(step.filter(|s| s.frame < self.end).map(|s| Given { frame: s.frame, raw: s.picture }))
    }

    fn paint(&self) -> VideoPaint {
        VideoPaint { index: Arc::clone(&self.index), converter: RgbConverter::new() }
    }
}

pub(super) struct VideoPaint {
    index: Arc<Index>,
    converter: RgbConverter,
}

impl Paint<Raw> for VideoPaint {
    fn size(&self, _: &Raw) -> (usize, usize) {
        // A frame of another size is told as missing by the converter.
        (self.index.width(), self.index.height())
    }

    fn write(&mut self, raw: &Raw, rgb: &mut [u8]) -> std::result::Result<(), String> {
        self.converter.convert(raw, &self.index, rgb)
    }
}

/// The pictures of a folder as frames.
pub(super) struct PictureFrames {
    paths: Arc<Vec<PathBuf>>,
    next: usize,
    end: usize,
}

impl PictureFrames {
    pub fn new(paths: &Arc<Vec<PathBuf>>, first: usize, end: usize) -> Self {
        Self { paths: Arc::clone(paths), next: first, end }
    }
}

impl Source for PictureFrames {
    type Raw = Picture;
    type Paint = Copied;

    fn next(&mut self, _: &dyn Fn() -> bool) -> Result<Option<Given<Picture>>> {
        let frame = self.next;
        let Some(path) = self.paths.get(frame).filter(|_| frame < self.end) else { return Ok(None) };
        self.next += 1;
        let raw = match Picture::load(path) {
            Ok(picture) => Ok(picture),
            // A disk that went away is no damaged picture.
            Err(e) if e.kind() != Kind::Format => return Err(e),
            Err(e) => Err(e.what().to_owned()),
        };
        Ok(Some(Given { frame, raw }))
    }

    fn paint(&self) -> Copied {
        Copied
    }
}

pub(super) struct Copied;

impl Paint<Picture> for Copied {
    fn size(&self, raw: &Picture) -> (usize, usize) {
        (raw.width(), raw.height())
    }

    fn write(&mut self, raw: &Picture, rgb: &mut [u8]) -> std::result::Result<(), String> {
        rgb.copy_from_slice(raw.rgb());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Quiet;

    #[test]
    fn pictures_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["img10.png", "img2.png", "img1.PNG", "a,b.jpg", "notes.txt"] {
            let path = dir.path().join(name);
            if name.ends_with("txt") {
                std::fs::write(path, b"").unwrap();
            } else {
                image::RgbImage::new(8, 6).save_with_format(path, image::ImageFormat::Png).unwrap();
            }
        }
        let input = Input::open(dir.path(), false, &Quiet::default()).unwrap();
        assert_eq!((input.frames(), input.size()), (4, (8, 6)));
        let names: Vec<String> = (0..4).map(|n| input.mark(n)).collect();
        assert_eq!(names, ["\"a,b.jpg\"", "img1.PNG", "img2.png", "img10.png"]);
        let again = Input::open(dir.path(), false, &Quiet::default()).unwrap();
        assert_eq!(input.fingerprint(), again.fingerprint());
        std::fs::write(dir.path().join("img2.png"), b"no picture").unwrap();
        let changed = Input::open(dir.path(), false, &Quiet::default()).unwrap();
        assert_ne!(changed.fingerprint(), again.fingerprint());
        let empty = tempfile::tempdir().unwrap();
        let e = Input::open(empty.path(), false, &Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound);
    }
}
