//! An opened file with its one video stream: packets, seeking, a decoder for it, and errors a person can act on.
#![allow(unsafe_code)] // the door to FFmpeg: what ffmpeg-next does not wrap is called here

use super::decoder::Coding;
use super::start;
use crate::error::{Error, Kind, Result};
use ff::ffi;
use ffmpeg_next as ff;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// FFmpeg's "no timestamp".
pub(super) const NO_TIME: i64 = ffi::AV_NOPTS_VALUE;

/// What a video's head says of it: quick for files of any length, and not always true. [`super::Index`] knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// Width in pixels of the upright picture.
    pub width: usize,
    /// Height in pixels of the upright picture.
    pub height: usize,
    /// Frames, when the file says how many.
    pub frames: Option<usize>,
    /// Frames per second, when the file says it.
    pub fps: Option<f64>,
    /// Seconds, when the file says it.
    pub duration: Option<f64>,
    /// The codec's short name, such as `h264`.
    pub codec: String,
    /// The file's length in bytes.
    pub bytes: u64,
}

impl Glance {
    /// Reads the head of a video.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such file; [`Kind::Video`] when it is no video.
    pub fn at(path: &Path) -> Result<Self> {
        let source = Source::open(path)?;
        let bytes = std::fs::metadata(path).map_err(|e| Error::io("open the video", path, e))?.len();
        let (w, h) = source.coded_size();
        let (width, height) = if source.rotation().is_multiple_of(180) { (w, h) } else { (h, w) };
        let frames = usize::try_from(source.stated_frames()).ok().filter(|n| *n > 0);
        #[allow(clippy::cast_precision_loss)] // microseconds, far below 2^53
        let duration = Some(source.input.duration()).filter(|d| *d > 0).map(|d| d as f64 / 1e6);
        Ok(Self {
            width,
            height,
            frames,
            fps: source.stated_rate(),
            duration,
            codec: source.codec_name(),
            bytes,
        })
    }
}

/// An opened file of which only the video stream is read.
pub(super) struct Source {
    input: ff::format::context::Input,
    stream: usize,
    path: PathBuf,
}

impl Source {
    /// Opens `path` and picks its video stream.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, ff::Dictionary::new())
    }

    /// Like [`Source::open`], for an MP4 whose edit list hides nothing: FFmpeg does not rebuild its index by it.
    pub fn open_as_it_lies(path: &Path) -> Result<Self> {
        let mut options = ff::Dictionary::new();
        options.set("advanced_editlist", "0");
        Self::open_with(path, options)
    }

    fn open_with(path: &Path, options: ff::Dictionary) -> Result<Self> {
        crate::watch::may_wait("opening a video");
        start();
        let meta = std::fs::metadata(path).map_err(|e| Error::io("open the video", path, e))?;
        if meta.is_dir() {
            return Err(Error::new(Kind::Video, "this is a folder, not a video")
                .at(path.display())
                .mend("name the video file inside it"));
        }
        File::open(path).map_err(|e| Error::io("open the video", path, e))?;
        if meta.len() == 0 {
            return Err(Error::new(Kind::Video, "the video is empty: 0 bytes")
                .at(path.display())
                .mend("copy it again from where it was recorded"));
        }
        let url = url(path)?;
        let mut input = ff::format::input_with_dictionary(&url, options).map_err(|e| cannot_open(path, e))?;
        let picked = input
            .streams()
            .best(ff::media::Type::Video)
            .filter(|s| !s.disposition().contains(ff::format::stream::Disposition::ATTACHED_PIC));
        let Some(stream) = picked.map(|s| s.index()) else {
            return Err(match input.streams().next() {
                Some(_) => Error::new(Kind::Video, "the file has no video in it, only sound or data")
                    .mend("choose the file with the pictures"),
                None => not_a_video(),
            }
            .at(path.display()));
        };
        for i in 0..input.nb_streams() as usize {
            if let Some(mut other) = input.stream_mut(i)
                && i != stream
            {
                // SAFETY: the pointer is a stream of the input borrowed mutably here.
                unsafe { (*other.as_mut_ptr()).discard = ffi::AVDiscard::AVDISCARD_ALL };
            }
        }
        let source = Self { input, stream, path: path.to_path_buf() };
        let (w, h) = source.coded_size();
        if w == 0 || h == 0 {
            return Err(not_a_video().at(path.display()));
        }
        // FFmpeg's reader of text art takes any text for a film.
        if source.format_name().split(',').any(|n| n == "tty") {
            return Err(not_a_video().at(path.display()));
        }
        Ok(source)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next packet of the video stream, `None` at the end of the file.
    pub fn packet(&mut self) -> std::result::Result<Option<ff::Packet>, ff::Error> {
        loop {
            let mut packet = ff::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => return Ok(Some(packet)),
                Ok(()) | Err(ff::Error::Other { errno: ff::error::EAGAIN }) => {}
                Err(ff::Error::Eof) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// Asks the container for a keyframe at or before `time` (in the stream's time base); false when it cannot.
    pub fn seek(&mut self, time: i64) -> bool {
        // SAFETY: the context is owned by `self.input`; the stream index was taken from it.
        let code = unsafe {
            let index = i32::try_from(self.stream).unwrap_or(-1);
            ffi::av_seek_frame(self.input.as_mut_ptr(), index, time, ffi::AVSEEK_FLAG_BACKWARD)
        };
        code >= 0
    }

    /// Whether the container seeks by presentation time rather than by decoding time.
    pub fn seeks_by_presentation(&self) -> bool {
        // SAFETY: an opened input always has its format.
        unsafe { (*(*self.input.as_ptr()).iformat).flags & ffi::AVFMT_SEEK_TO_PTS != 0 }
    }

    /// How the stream is coded, for decoders that outlive this source.
    pub fn coding(&self) -> Result<Coding> {
        let stream = self.input.stream(self.stream).ok_or_else(|| not_a_video().at(self.path.display()))?;
        Ok(Coding::new(&stream.parameters(), stream.time_base()))
    }

    /// The rate the container states, in frames per second, when it states a sensible one.
    pub fn stated_rate(&self) -> Option<f64> {
        let s = self.input.stream(self.stream)?;
        [s.avg_frame_rate(), s.rate()]
            .into_iter()
            .map(f64::from)
            .find(|r| r.is_finite() && *r > 0.0 && *r < 100_000.0)
    }

    /// The number of frames the container states, 0 when it does not.
    pub fn stated_frames(&self) -> u64 {
        self.input.stream(self.stream).map_or(0, |s| u64::try_from(s.frames()).unwrap_or(0))
    }

    /// The container's short names, separated by commas.
    pub fn format_name(&self) -> String {
        self.input.format().name().to_owned()
    }

    pub fn codec_name(&self) -> String {
        self.input.stream(self.stream).map_or(ff::codec::Id::None, |s| s.parameters().id()).name().to_owned()
    }

    /// Width and height as stored, before rotation.
    pub fn coded_size(&self) -> (usize, usize) {
        self.input.stream(self.stream).map_or((0, 0), |s| {
            let p = s.parameters();
            // SAFETY: the parameters belong to the stream and live as long as it does.
            let (w, h) = unsafe { ((*p.as_ptr()).width, (*p.as_ptr()).height) };
            (usize::try_from(w).unwrap_or(0), usize::try_from(h).unwrap_or(0))
        })
    }

    pub fn pixel_format(&self) -> String {
        let Some(stream) = self.input.stream(self.stream) else { return String::new() };
        let parameters = stream.parameters();
        // SAFETY: the number comes from FFmpeg itself and av_get_pix_fmt_name takes any; its names are static.
        unsafe {
            let number = (*parameters.as_ptr()).format;
            if number < 0 {
                return "unknown".to_owned();
            }
            let name = ffi::av_get_pix_fmt_name(std::mem::transmute::<i32, ffi::AVPixelFormat>(number));
            super::text(name)
        }
    }

    /// By how many degrees clockwise the stored pictures have to be turned to stand upright: 0, 90, 180 or 270.
    pub fn rotation(&self) -> u16 {
        let Some(stream) = self.input.stream(self.stream) else { return 0 };
        for side in stream.side_data() {
            if side.kind() == ff::packet::side_data::Type::DisplayMatrix && side.data().len() >= 36 {
                let mut matrix = [0_i32; 9];
                for (value, bytes) in matrix.iter_mut().zip(side.data().chunks_exact(4)) {
                    *value = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
                // SAFETY: the function reads nine numbers, and nine are there.
                let anticlockwise = unsafe { ffi::av_display_rotation_get(matrix.as_ptr()) };
                if anticlockwise.is_finite() {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 3
                    return ((-anticlockwise / 90.0).round().rem_euclid(4.0)) as u16 * 90;
                }
            }
        }
        0
    }

    /// How many of the samples an MP4's index promises lie wholly inside a file of `length` bytes, and how many it
    /// promises.
    pub fn promised(&mut self, length: u64) -> (usize, usize) {
        if !self.format_name().contains("mp4") {
            return (0, 0);
        }
        let Some(mut stream) = self.input.stream_mut(self.stream) else { return (0, 0) };
        let (mut whole, mut all) = (0, 0);
        // SAFETY: the stream is borrowed mutably, and entries are read before anything else touches it.
        unsafe {
            let stream = stream.as_mut_ptr();
            for i in 0..ffi::avformat_index_get_entries_count(stream) {
                if let Some(entry) = ffi::avformat_index_get_entry(stream, i).as_ref() {
                    let end =
                        u64::try_from(entry.pos).unwrap_or(0) + u64::try_from(entry.size()).unwrap_or(0);
                    all += 1;
                    whole += usize::from(end <= length);
                }
            }
        }
        (whole, all)
    }
}

/// The path as FFmpeg takes it: with the protocol named, so that no colon in a name can mean another.
pub(super) fn url(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(p) if !p.contains('\0') => Ok(format!("file:{p}")),
        _ => Err(Error::new(Kind::Video, "the path has characters FFmpeg cannot take")
            .at(path.display())
            .mend("rename the file or its folder with plain letters")),
    }
}

/// The error of a file that FFmpeg does not read on from.
pub(super) fn broke_off(path: &Path, frame: usize, e: ff::Error) -> Error {
    let e = match e {
        ff::Error::Other { errno } => {
            return Error::io(
                &format!("read on after frame {frame}"),
                path,
                std::io::Error::from_raw_os_error(errno),
            );
        }
        e => e,
    };
    Error::new(Kind::Video, format!("the file cannot be read on after frame {frame}: {e}"))
        .at(path.display())
        .mend(cut_mend(path))
}

pub(super) fn cut_mend(path: &Path) -> String {
    let extension = path.extension().map_or("mp4".into(), |e| e.to_string_lossy());
    format!(
        "copy it again from where it was recorded, or keep what is there: ffmpeg -i {:?} -c copy {:?}; or analyze \
         what is there with --partial",
        path.file_name().unwrap_or_default().to_string_lossy(),
        format!("{}-cut.{extension}", path.file_stem().unwrap_or_default().to_string_lossy())
    )
}

fn not_a_video() -> Error {
    Error::new(Kind::Video, "this is not a video, or not one that FFmpeg knows").mend(
        "look what it is with `ffprobe FILE`; if it plays elsewhere, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
    )
}

fn cannot_open(path: &Path, e: ff::Error) -> Error {
    if let ff::Error::Other { errno } = e {
        return Error::io("open the video", path, std::io::Error::from_raw_os_error(errno));
    }
    if lacks_index(path).unwrap_or(false) {
        return Error::new(
            Kind::Video,
            "the MP4 has no index (moov): it was cut off before the recording or the copy was finished",
        )
        .at(path.display())
        .mend("copy it again; if the recording itself stopped early, `untrunc` with a good file of the same camera can rebuild it");
    }
    not_a_video().at(path.display()).because(e)
}

/// Whether this is an MP4 or MOV without `moov`, from a walk over its outermost boxes.
fn lacks_index(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let (mut at, mut mp4) = (0_u64, false);
    while at + 8 <= length {
        let mut head = [0_u8; 16];
        file.seek(SeekFrom::Start(at))?;
        let wide = at + 16 <= length;
        file.read_exact(&mut head[..if wide { 16 } else { 8 }])?;
        let kind = &head[4..8];
        if !mp4 && !matches!(kind, b"ftyp" | b"mdat" | b"wide" | b"free" | b"skip" | b"pnot") {
            return Ok(false);
        }
        mp4 = true;
        if kind == b"moov" {
            return Ok(false);
        }
        let small = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let size = match small {
            0 => break, // the last box reaches to the end of the file
            1 if wide => head[8..16].iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b)),
            n => u64::from(n),
        };
        if size < 8 {
            break;
        }
        at = at.saturating_add(size);
    }
    Ok(mp4)
}
