//! Viewing copies: the frames of a long-group video coded again, each for itself, so that any of them shows at once.
//!
//! A copy is for looking only: it is a little lossy, and whatever is measured or labelled comes from the original. It
//! lies in the user's cache folder, in parts of at most [`PART`] frames that are used as soon as each is there. The
//! folder is bounded; the copies used longest ago go first.

use super::convert::{Raw, RgbConverter};
use super::index::Index;
use super::reader::Reader;
use super::start;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::picture::Picture;
use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The form of the files; another form gets another folder, and old ones are forgotten with it.
const FOLDER: &str = "viewing-copies-1";
const MAGIC: &[u8; 8] = b"limncop1";
/// The most frames of one part: about ten seconds' work.
const PART: usize = 250;
/// Groups shorter than this share a part.
const SHORT: usize = 60;
/// Megapixels that may have to be decoded for one frame before a copy is worth its room: about 60 ms of one core.
const BEARABLE: f64 = 20.0;
/// H.264's rate factor of the copy: hard to tell from the original on a screen.
const QUALITY: &str = "21";

/// The copy of one video, as far as it is there.
pub(super) struct Copies {
    index: Arc<Index>,
    root: PathBuf,
    folder: PathBuf,
    limit: u64,
    parts: Vec<Part>,
}

struct Part {
    frames: Range<usize>,
    there: AtomicBool,
}

impl Copies {
    /// Where copies lie unless told otherwise: in `$LIMN_CACHE`, else in the platform's cache folder.
    pub fn usual_root() -> Option<PathBuf> {
        let base = match std::env::var_os("LIMN_CACHE").filter(|v| !v.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => directories::ProjectDirs::from("", "", "limn")?.cache_dir().to_path_buf(),
        };
        Some(base.join(FOLDER))
    }

    /// Whether jumps in this video are so long that a copy helps.
    #[allow(clippy::cast_precision_loss)]
    pub fn help(index: &Index) -> bool {
        let (packets, keys) = (&index.packets, index.packets.keys());
        let end = |k: usize| if k < keys { packets.key(k) as usize } else { packets.len() };
        let longest = (0..keys).map(|k| end(k + 1) - end(k)).max().unwrap_or(packets.len());
        let megapixels = (index.width() * index.height()) as f64 / 1e6;
        longest as f64 * megapixels > BEARABLE
    }

    /// Looks for the copy of a video under `root`, which may grow to `limit` bytes with all copies in it.
    pub fn open(index: Arc<Index>, root: &Path, limit: u64) -> Result<Self> {
        let folder = root.join(identity(&index)?);
        files::make_folder(&folder)?;
        // Its time says when the copy was last of use.
        let _ = std::fs::write(folder.join("used"), index.path().to_string_lossy().as_bytes());
        let parts = parts(&index).into_iter().map(|frames| Part { frames, there: AtomicBool::new(false) });
        let copies = Self { parts: parts.collect(), index, root: root.to_path_buf(), folder, limit };
        for (n, part) in copies.parts.iter().enumerate() {
            part.there.store(Table::read(&copies.file(n), &part.frames).is_ok(), Ordering::Relaxed);
        }
        copies.make_room();
        Ok(copies)
    }

    /// Whether frame `n` is in a finished part.
    pub fn has(&self, n: usize) -> bool {
        self.part_of(n).is_some_and(|p| self.parts[p].there.load(Ordering::Relaxed))
    }

    /// Frames copied.
    pub fn done(&self) -> usize {
        self.parts.iter().filter(|p| p.there.load(Ordering::Relaxed)).map(|p| p.frames.len()).sum()
    }

    /// The part to make next: the unfinished one nearest to frame `near`.
    pub fn next(&self, near: usize) -> Option<usize> {
        let away =
            |p: &Part| p.frames.start.saturating_sub(near).max((near + 1).saturating_sub(p.frames.end));
        let open = self.parts.iter().enumerate().filter(|(_, p)| !p.there.load(Ordering::Relaxed));
        open.min_by_key(|(_, p)| away(p)).map(|(n, _)| n)
    }

    /// Makes one part. `wanted` is asked before every packet and may wait in it.
    ///
    /// # Errors
    /// [`Kind::Cancelled`] when it says no; when there is no encoder, no room, or the disk is full.
    pub fn make(&self, part: usize, reader: &mut Reader, wanted: &dyn Fn() -> bool) -> Result<()> {
        let Some(Part { frames, there }) = self.parts.get(part) else { return Ok(()) };
        let mut encoder: Option<Encoder> = None;
        let (mut sizes, mut bytes) = (Vec::with_capacity(frames.len()), Vec::new());
        for n in frames.clone() {
            if !wanted() {
                return Err(Error::cancelled());
            }
            let packet = match reader.raw_while(n, wanted)? {
                Ok(Raw(frame)) => {
                    if encoder.is_none() {
                        encoder = Some(Encoder::new(&frame)?);
                    }
                    encoder.as_mut().map_or_else(|| Ok(Vec::new()), |e| e.packet(frame))?
                }
                Err(_) => Vec::new(), // a hole: the original will say why
            };
            sizes.push(u32::try_from(packet.len()).unwrap_or(0));
            bytes.extend(packet);
        }
        let codec = encoder.as_ref().map_or(0, |e| e.codec);
        let mut file = MAGIC.to_vec();
        for number in [codec, frames.start, frames.len()] {
            file.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        sizes.iter().for_each(|s| file.extend(s.to_le_bytes()));
        file.append(&mut bytes);
        if self.make_room() + file.len() as u64 > self.limit {
            return Err(Error::new(Kind::Io, "the room for viewing copies is full").at(self.root.display()));
        }
        files::write_whole(&self.file(part), &file)?;
        there.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn part_of(&self, n: usize) -> Option<usize> {
        let p = self.parts.partition_point(|p| p.frames.end <= n);
        self.parts.get(p).is_some_and(|p| p.frames.contains(&n)).then_some(p)
    }

    fn file(&self, part: usize) -> PathBuf {
        let frames = self.parts.get(part).map_or(0..0, |p| p.frames.clone());
        self.folder.join(format!("{}-{}.part", frames.start, frames.end))
    }

    /// Removes other videos' copies, those used longest ago first, until all fit; gives the bytes that stay.
    fn make_room(&self) -> u64 {
        let mut folders: Vec<(std::time::SystemTime, PathBuf, u64)> = std::fs::read_dir(&self.root)
            .map(|d| d.flatten().map(|e| e.path()).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|p| is_copy(p))
            .map(|p| {
                let used = std::fs::metadata(p.join("used")).and_then(|m| m.modified());
                let size = std::fs::read_dir(&p)
                    .map(|d| d.flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum())
                    .unwrap_or(0);
                (used.unwrap_or(std::time::UNIX_EPOCH), p, size)
            })
            .collect();
        folders.sort();
        let mut total: u64 = folders.iter().map(|(_, _, size)| size).sum();
        // Room for one more part, as large as this copy's largest so far.
        let spare = self.limit / 20;
        for (_, folder, size) in folders.iter().filter(|(_, p, _)| *p != self.folder) {
            if total + spare <= self.limit {
                break;
            }
            if std::fs::remove_dir_all(folder).is_ok() {
                total -= size;
            }
        }
        total
    }
}

/// Whether a folder is named like a copy, so that nothing else is ever removed.
fn is_copy(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()) && folder.is_dir()
}

/// The same for the same file, wherever it lies and whatever it is called.
fn identity(index: &Index) -> Result<String> {
    let failed = |e| Error::io("read the video", index.path(), e);
    let mut file = File::open(index.path()).map_err(failed)?;
    let changed = file.metadata().and_then(|m| m.modified()).map_err(failed)?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let mut hash = Sha256::new();
    hash.update(index.bytes().to_le_bytes());
    hash.update(since.to_le_bytes());
    hash.update((index.len() as u64).to_le_bytes());
    let mut ends = Vec::new();
    (&mut file).take(1 << 16).read_to_end(&mut ends).map_err(failed)?;
    file.seek(SeekFrom::Start(index.bytes().saturating_sub(1 << 16))).map_err(failed)?;
    file.take(1 << 16).read_to_end(&mut ends).map_err(failed)?;
    hash.update(&ends);
    Ok(hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect())
}

/// The frames in parts that begin at keyframes where the groups allow it.
fn parts(index: &Index) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (n, frame) in index.iter_frames().enumerate().skip(1) {
        if n - start >= PART || (frame.key && n - start >= SHORT) {
            parts.push(start..n);
            start = n;
        }
    }
    parts.push(start..index.len());
    parts
}

const CODECS: [(&str, ff::codec::Id); 2] =
    [("libx264", ff::codec::Id::H264), ("mjpeg", ff::codec::Id::MJPEG)];

/// Codes pictures one by one, each for itself.
struct Encoder {
    /// Place in [`CODECS`].
    codec: usize,
    open: ff::encoder::video::Encoder,
    format: Pixel,
    scaler: Option<(Pixel, scaling::Context)>,
    /// For formats that are not planes of brightness and colour.
    converter: RgbConverter,
}

impl Encoder {
    /// For frames like this one.
    fn new(like: &ff::frame::Video) -> Result<Self> {
        start();
        let failed = |e: ff::Error| Error::new(Kind::Video, format!("cannot begin a viewing copy: {e}"));
        let (codec, found) = CODECS
            .iter()
            .enumerate()
            .find_map(|(n, (name, _))| ff::encoder::find_by_name(name).map(|c| (n, c)))
            .ok_or_else(|| Error::new(Kind::Video, "this FFmpeg has no encoder for viewing copies"))?;
        let full = like.format() == Pixel::YUVJ420P || codec == 1;
        let format = if full { Pixel::YUVJ420P } else { Pixel::YUV420P };
        let mut context = ff::codec::Context::new_with_codec(found).encoder().video().map_err(failed)?;
        context.set_width(like.width());
        context.set_height(like.height());
        context.set_format(format);
        context.set_time_base(ff::Rational::new(1, 25));
        context.set_gop(1);
        context.set_max_b_frames(0);
        let as_is = codec == 0 && planar(like.format());
        context.set_colorspace(if as_is { like.color_space() } else { ff::color::Space::SMPTE170M });
        context.set_color_range(match like.format() {
            _ if full => ff::color::Range::JPEG,
            Pixel::YUVJ422P | Pixel::YUVJ444P => ff::color::Range::MPEG,
            _ if as_is => like.color_range(),
            _ => ff::color::Range::MPEG,
        });
        let mut settings = ff::Dictionary::new();
        settings.set("threads", "1"); // it makes way for everything else
        if codec == 0 {
            settings.set("preset", "ultrafast");
            settings.set("tune", "zerolatency,fastdecode");
            settings.set("crf", QUALITY);
        } else {
            context.set_global_quality(3 * ff::ffi::FF_QP2LAMBDA);
            context.set_flags(ff::codec::Flags::QSCALE);
        }
        let open = context.open_with(settings).map_err(failed)?;
        Ok(Self { codec, open, format, scaler: None, converter: RgbConverter::new() })
    }

    /// One picture as one packet; empty when it is of another size than the first.
    fn packet(&mut self, frame: ff::frame::Video) -> Result<Vec<u8>> {
        if (frame.width(), frame.height()) != (self.open.width(), self.open.height()) {
            return Ok(Vec::new());
        }
        let failed = |e: ff::Error| Error::new(Kind::Video, format!("cannot make a viewing copy: {e}"));
        let mut ready = self.prepared(frame).map_err(failed)?;
        ready.set_pts(Some(0));
        ready.set_kind(ff::picture::Type::None);
        self.open.send_frame(&ready).map_err(failed)?;
        let mut packet = ff::Packet::empty();
        self.open.receive_packet(&mut packet).map_err(failed)?;
        Ok(packet.data().unwrap_or_default().to_vec())
    }

    fn prepared(&mut self, frame: ff::frame::Video) -> std::result::Result<ff::frame::Video, ff::Error> {
        if frame.format() == self.format && self.codec == 0 {
            return Ok(frame);
        }
        if self.codec == 0 && planar(frame.format()) {
            return self.scaled(&frame);
        }
        let (w, h) = (frame.width() as usize, frame.height() as usize);
        let mut picture = Picture::new(w, h);
        self.converter.upright(&frame, 0, picture.rgb_mut())?;
        let mut rgb = ff::frame::Video::new(Pixel::RGB24, frame.width(), frame.height());
        let stride = rgb.stride(0);
        for (to, row) in rgb.data_mut(0).chunks_mut(stride).zip(picture.rgb().chunks_exact(w * 3)) {
            to[..w * 3].copy_from_slice(row);
        }
        self.scaled(&rgb)
    }

    fn scaled(&mut self, frame: &ff::frame::Video) -> std::result::Result<ff::frame::Video, ff::Error> {
        let (from, w, h) = (frame.format(), frame.width(), frame.height());
        if self.scaler.as_ref().is_none_or(|(f, _)| *f != from) {
            let flags = scaling::Flags::FAST_BILINEAR;
            self.scaler = Some((from, scaling::Context::get(from, w, h, self.format, w, h, flags)?));
        }
        let mut out = ff::frame::Video::empty();
        match &mut self.scaler {
            Some((_, scaler)) => scaler.run(frame, &mut out).map(|()| out),
            None => Err(ff::Error::Bug),
        }
    }
}

/// Planes of 8-bit brightness and colour, which only their resolution tells from the copy's.
fn planar(format: Pixel) -> bool {
    use Pixel as P;
    matches!(format, P::YUV420P | P::YUV422P | P::YUV444P | P::YUVJ420P | P::YUVJ422P | P::YUVJ444P)
}

/// A part's file: where each frame's packet lies.
struct Table {
    file: File,
    codec: usize,
    /// First byte and length of each packet.
    packets: Vec<(u64, usize)>,
}

impl Table {
    /// Reads and checks the head of a part that holds `frames`.
    fn read(path: &Path, frames: &Range<usize>) -> std::io::Result<Self> {
        let odd = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let mut file = File::open(path)?;
        let mut head = vec![0; MAGIC.len() + 12 + frames.len() * 4];
        file.read_exact(&mut head)?;
        let rest = head.strip_prefix(MAGIC).ok_or_else(odd)?;
        let mut numbers = rest.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
        let said = [numbers.next(), numbers.next(), numbers.next()];
        let [Some(codec), Some(first), Some(count)] = said else { return Err(odd()) };
        if codec >= CODECS.len() || first != frames.start || count != frames.len() {
            return Err(odd());
        }
        let mut at = head.len() as u64;
        let packets = numbers
            .map(|size| {
                at += size as u64;
                (at - size as u64, size)
            })
            .collect();
        if file.metadata()?.len() != at {
            return Err(odd());
        }
        Ok(Self { file, codec, packets })
    }
}

/// Reads pictures from a copy.
pub(super) struct CopyReader {
    copies: Arc<Copies>,
    open: Option<(usize, Table)>,
    decoder: Option<(usize, ff::decoder::Video)>,
    converter: RgbConverter,
}

impl CopyReader {
    pub fn new(copies: Arc<Copies>) -> Self {
        Self { copies, open: None, decoder: None, converter: RgbConverter::new() }
    }

    /// Fills `picture` with the copy of frame `n`; false when there is none that can be used.
    pub fn frame_into(&mut self, n: usize, picture: &mut Picture) -> bool {
        let Some(part) = self.copies.part_of(n).filter(|_| self.copies.has(n)) else { return false };
        let done = self.read(part, n, picture);
        if done.is_none() && !self.copies.file(part).is_file() {
            // Another limn needed the room.
            self.copies.parts[part].there.store(false, Ordering::Relaxed);
        }
        done.is_some()
    }

    fn read(&mut self, part: usize, n: usize, picture: &mut Picture) -> Option<()> {
        let frames = self.copies.parts.get(part)?.frames.clone();
        if self.open.as_ref().is_none_or(|(p, _)| *p != part) {
            self.open = Some((part, Table::read(&self.copies.file(part), &frames).ok()?));
        }
        let (_, table) = self.open.as_mut()?;
        let (at, size) = *table.packets.get(n.checked_sub(frames.start)?)?;
        if size == 0 {
            return None;
        }
        let mut packet = ff::Packet::new(size);
        table.file.seek(SeekFrom::Start(at)).ok()?;
        table.file.read_exact(packet.data_mut()?).ok()?;
        packet.set_flags(ff::packet::Flags::KEY);
        let codec = table.codec;
        if self.decoder.as_ref().is_none_or(|(c, _)| *c != codec) {
            self.decoder = Some((codec, decoder(codec)?));
        }
        let (_, decoder) = self.decoder.as_mut()?;
        let frame = alone(decoder, &packet)?;
        let index = &self.copies.index;
        if (picture.width(), picture.height()) != (index.width(), index.height()) {
            *picture = Picture::new(index.width(), index.height());
        }
        self.converter.convert(&Raw(frame), index, picture.rgb_mut()).ok()
    }
}

fn decoder(codec: usize) -> Option<ff::decoder::Video> {
    start();
    let found = ff::decoder::find(CODECS.get(codec)?.1)?;
    let mut context = ff::codec::Context::new_with_codec(found);
    let mut threads = ff::codec::threading::Config::count(1);
    threads.kind = ff::codec::threading::Type::Slice; // frame threads would hold the picture back
    context.set_threading(threads);
    context.decoder().video().ok()
}

/// The picture of a packet that needs no other.
fn alone(decoder: &mut ff::decoder::Video, packet: &ff::Packet) -> Option<ff::frame::Video> {
    let mut frame = ff::frame::Video::empty();
    let sent = decoder.send_packet(packet);
    let mut got = sent.is_ok() && decoder.receive_frame(&mut frame).is_ok();
    if sent.is_ok() && !got {
        // A decoder that waits for more is told that there is no more.
        got = decoder.send_eof().is_ok() && decoder.receive_frame(&mut frame).is_ok();
    }
    if !got {
        decoder.flush();
    }
    // Nothing of this picture may come out for the next.
    let mut rest = ff::frame::Video::empty();
    if got && decoder.receive_frame(&mut rest).is_err_and(|e| e == ff::Error::Eof) {
        decoder.flush();
    }
    (got && !frame.is_corrupt() && !frame.has_decode_errors()).then_some(frame)
}
