//! Videos written frame by frame, whole or not at all.
#![allow(unsafe_code)] // the door to FFmpeg: the frame's pixel rows and the output's error latch

use super::source::url;
use super::start;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::picture::Picture;
use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;
use std::path::{Path, PathBuf};

/// How a video is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// H.264, which plays everywhere.
    H264,
    /// MPEG-4 part 2, as older AVI files have.
    Mpeg4,
    /// A JPEG for every frame.
    Mjpeg,
}

/// How pixels are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// Colour at half resolution, 8 bit: what every player takes. Needs even sizes.
    Yuv420,
    /// Colour at full resolution, 8 bit (H.264 only).
    Yuv444,
    /// Colour at half resolution, 10 bit (H.264 only). Needs even sizes.
    Yuv420Bits10,
}

/// How [`Writer::create_with`] writes. The default is what [`Writer::create`] does.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The wanted codec; where FFmpeg has no encoder for it, the next simpler one is taken and said.
    pub codec: Codec,
    /// How pixels are stored.
    pub pixels: Pixels,
    /// H.264's constant rate factor: 0 best, 51 worst, 18 visually without loss.
    pub quality: u8,
    /// H.264 without any loss but that of the colour conversion; `quality` is not used then.
    pub lossless: bool,
    /// At most so many frames from one keyframe to the next; `None` leaves it to the encoder.
    pub keyframe_every: Option<u32>,
    /// At most so many B-frames in a row; `None` leaves it to the encoder.
    pub b_frames: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            codec: Codec::H264,
            pixels: Pixels::Yuv420,
            quality: 18,
            lossless: false,
            keyframe_every: None,
            b_frames: None,
        }
    }
}

/// What [`Writer::finish`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// The encoder's name, such as `libx264`.
    pub codec: String,
    /// How many frames it has.
    pub frames: usize,
    /// What the user should know: another codec than wanted, a size made even.
    pub note: Option<String>,
}

/// Writes a video. It stands under a temporary name in the same folder until [`Writer::finish`]; dropped before, it
/// is removed.
pub struct Writer {
    // Closed before the temporary file is removed: fields drop in this order.
    output: ff::format::context::Output,
    temporary: tempfile::TempPath,
    encoder: ff::encoder::video::Encoder,
    scaler: scaling::Context,
    rgb: ff::frame::Video,
    path: PathBuf,
    width: usize,
    height: usize,
    name: String,
    notes: Vec<String>,
    /// The encoder's ticks, and how many of them one frame lasts at the constant rate.
    time_base: ff::Rational,
    frame_ticks: i64,
    last: Option<i64>,
    frames: usize,
}

// SAFETY: a swscale context has no tie to the thread that made it, and this one has a single owner; the rest is Send.
unsafe impl Send for Writer {}

impl Writer {
    /// Begins a video of `width` x `height` pixels at `fps` frames per second: H.264, or what FFmpeg has instead.
    /// The container goes by the name's ending (`.mp4`, `.mov`, `.avi`, `.mkv`).
    ///
    /// # Errors
    /// [`Kind::Usage`] for a size of 0 or a senseless rate; [`Kind::Io`] when the folder cannot be written;
    /// [`Kind::Video`] when FFmpeg has no encoder at all or does not know the ending.
    pub fn create(path: &Path, width: usize, height: usize, fps: f64) -> Result<Self> {
        Self::create_with(path, width, height, fps, &Options::default())
    }

    /// Like [`Writer::create`], with more to choose.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_with(
        path: &Path,
        width: usize,
        height: usize,
        fps: f64,
        options: &Options,
    ) -> Result<Self> {
        start();
        if !(1..=16384).contains(&width) || !(1..=16384).contains(&height) {
            return Err(Error::new(Kind::Usage, format!("a video cannot be {width} x {height} pixels"))
                .at(path.display())
                .mend("choose a width and height from 1 to 16384"));
        }
        if !(fps.is_finite() && (0.001..=100_000.0).contains(&fps)) {
            return Err(Error::new(Kind::Usage, format!("a video cannot have {fps} frames per second"))
                .at(path.display())
                .mend("choose a rate from 0.001 to 100000"));
        }
        let suffix = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        let folder = files::folder_of(path);
        let temporary = tempfile::Builder::new()
            .prefix(".limn-")
            .suffix(&suffix)
            .tempfile_in(&folder)
            .map_err(|e| Error::io("write in the folder", &folder, e))?
            .into_temp_path();
        let mut output = ff::format::output(&url(&temporary)?).map_err(|e| match e {
            ff::Error::Other { .. } => cannot(path, "begin the video", e),
            _ => cannot(path, "begin the video", e).mend("let the name end in .mp4, .mov, .avi or .mkv"),
        })?;
        let (codec, encoder) = best_encoder(options.codec).ok_or_else(|| {
            Error::new(Kind::Video, "this FFmpeg has no video encoder that limn knows")
                .at(path.display())
                .mend("install an FFmpeg with libx264")
        })?;
        let mut notes = Vec::new();
        if codec != options.codec {
            notes.push(format!(
                "this FFmpeg has no {:?} encoder (libx264), so the video is written as {}, which is larger and may \
                 not play everywhere",
                options.codec,
                encoder.name()
            ));
        }
        let format = match (codec, options.pixels) {
            (Codec::H264, Pixels::Yuv444) => Pixel::YUV444P,
            (Codec::H264, Pixels::Yuv420Bits10) => Pixel::YUV420P10LE,
            (Codec::Mjpeg, _) => Pixel::YUVJ420P,
            _ => Pixel::YUV420P,
        };
        let even = |n: usize| if format == Pixel::YUV444P { n } else { n.next_multiple_of(2) };
        let (full_width, full_height) = (even(width), even(height));
        if (full_width, full_height) != (width, height) {
            notes.push(format!(
                "the video is {full_width} x {full_height}: the last column or row of {width} x {height} is \
                 doubled, as the codec needs even sizes"
            ));
        }
        // Frames are timed much finer than the rate, for `write_at`; MPEG-4 and AVI allow no more than this.
        let rate = rational(fps, if codec == Codec::Mpeg4 { 65_535 } else { 1_000_000 });
        let fine = match codec {
            _ if output.format().name() == "avi" => 1,
            Codec::Mpeg4 => (65_535 / rate.numerator()).max(1),
            _ => (1_000_000 / rate.numerator()).max(1),
        };
        let time_base = ff::Rational::new(rate.denominator(), rate.numerator() * fine);

        let failed = |e| cannot(path, &format!("begin the video as {}", encoder.name()), e);
        let mut context = ff::codec::Context::new_with_codec(encoder).encoder().video().map_err(failed)?;
        context.set_width(u32::try_from(full_width).unwrap_or(0));
        context.set_height(u32::try_from(full_height).unwrap_or(0));
        context.set_format(format);
        context.set_time_base(time_base);
        context.set_frame_rate(Some(rate));
        // What the colour conversion below does, so that readers need not guess.
        context.set_colorspace(ff::color::Space::SMPTE170M);
        context.set_color_range(if codec == Codec::Mjpeg {
            ff::color::Range::JPEG
        } else {
            ff::color::Range::MPEG
        });
        if let Some(n) = options.keyframe_every {
            context.set_gop(n.max(1));
        }
        if let Some(n) = options.b_frames {
            context.set_max_b_frames(usize::from(n));
        }
        let mut flags = ff::codec::Flags::empty();
        if output.format().flags().contains(ff::format::Flags::GLOBAL_HEADER) {
            flags |= ff::codec::Flags::GLOBAL_HEADER;
        }
        let mut settings = ff::Dictionary::new();
        if codec == Codec::H264 {
            if options.lossless {
                settings.set("qp", "0");
            } else {
                settings.set("crf", &options.quality.to_string());
            }
        } else {
            // A constant quantiser of 3 of 31, near the look of H.264 at 18.
            context.set_global_quality(3 * ff::ffi::FF_QP2LAMBDA);
            flags |= ff::codec::Flags::QSCALE;
        }
        context.set_flags(flags);
        let encoder_open = context.open_with(settings).map_err(failed)?;
        {
            let mut stream = output.add_stream_with(&encoder_open).map_err(failed)?;
            stream.set_time_base(time_base);
            stream.set_avg_frame_rate(rate);
        }
        let mut settings = ff::Dictionary::new();
        settings.set("movflags", "+faststart"); // the index first, so that a copy can be checked and played at once
        output.write_header_with(settings).map_err(failed)?;

        let scaler = scaling::Context::get(
            Pixel::RGB24,
            encoder_open.width(),
            encoder_open.height(),
            format,
            encoder_open.width(),
            encoder_open.height(),
            scaling::Flags::BICUBIC | scaling::Flags::ACCURATE_RND,
        )
        .map_err(failed)?;
        let rgb = ff::frame::Video::new(Pixel::RGB24, encoder_open.width(), encoder_open.height());
        Ok(Self {
            output,
            temporary,
            encoder: encoder_open,
            scaler,
            rgb,
            path: path.to_path_buf(),
            width,
            height,
            name: encoder.name().to_owned(),
            notes,
            time_base,
            frame_ticks: i64::from(fine),
            last: None,
            frames: 0,
        })
    }

    /// Appends a frame, one frame's time after the last.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the picture has another size; [`Kind::Io`] when the disk is full.
    pub fn write(&mut self, picture: &Picture) -> Result<()> {
        self.append(picture, self.last.map_or(0, |t| t + self.frame_ticks))
    }

    /// Appends a frame shown `time` seconds after the beginning. AVI rounds it to its constant rate.
    ///
    /// # Errors
    /// As [`Writer::write`], and [`Kind::Usage`] when `time` is not after the last frame's.
    pub fn write_at(&mut self, picture: &Picture, time: f64) -> Result<()> {
        let ticks = (time / f64::from(self.time_base)).round();
        if !(0.0..9e15).contains(&ticks) {
            return Err(Error::new(Kind::Usage, format!("a frame cannot be shown at {time} s"))
                .at(self.path.display())
                .mend("times count from 0 at the beginning of the video"));
        }
        #[allow(clippy::cast_possible_truncation)] // checked above
        self.append(picture, ticks as i64)
    }

    fn append(&mut self, picture: &Picture, ticks: i64) -> Result<()> {
        if (picture.width(), picture.height()) != (self.width, self.height) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "frame {} is {} x {}, but the video is {} x {}",
                    self.frames,
                    picture.width(),
                    picture.height(),
                    self.width,
                    self.height
                ),
            )
            .at(self.path.display())
            .mend("give every frame the video's size"));
        }
        if self.last.is_some_and(|last| ticks <= last) {
            return Err(Error::new(
                Kind::Usage,
                format!("frame {} is not later than the frame before it", self.frames),
            )
            .at(self.path.display())
            .mend("give rising times, no closer than the video's clock can tell apart"));
        }
        let stride = self.rgb.stride(0);
        let row_bytes = self.width * 3;
        let full = self.rgb.width() as usize * 3;
        let rows = picture.rgb().chunks_exact(row_bytes);
        let last_row = rows.clone().next_back().into_iter();
        for (to, row) in self.rgb.data_mut(0).chunks_mut(stride).zip(rows.chain(last_row)) {
            to[..row_bytes].copy_from_slice(row);
            if full > row_bytes {
                to.copy_within(row_bytes - 3..row_bytes, row_bytes);
            }
        }
        // The encoder may keep a frame, so each is a new one.
        let mut frame = ff::frame::Video::empty();
        self.scaler.run(&self.rgb, &mut frame).map_err(|e| self.cannot("convert a frame", e))?;
        frame.set_pts(Some(ticks));
        self.encoder.send_frame(&frame).map_err(|e| self.cannot("encode a frame", e))?;
        self.last = Some(ticks);
        self.frames += 1;
        self.drain()
    }

    /// Writes what the encoder has finished.
    fn drain(&mut self) -> Result<()> {
        let mut packet = ff::Packet::empty();
        let stream_base = self.output.stream(0).map_or(self.time_base, |s| s.time_base());
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_stream(0);
                    if packet.duration() == 0 {
                        packet.set_duration(self.frame_ticks);
                    }
                    packet.rescale_ts(self.time_base, stream_base);
                    let written = packet.write_interleaved(&mut self.output);
                    written.map_err(|e| self.cannot("write the video", e))?;
                }
                Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => return Ok(()),
                Err(e) => return Err(self.cannot("encode a frame", e)),
            }
        }
    }

    /// Ends the video and gives it its name, replacing an older file of that name.
    ///
    /// # Errors
    /// [`Kind::Usage`] when nothing was written; [`Kind::Io`] when the disk is full. The temporary file is removed
    /// then, and an older file stays.
    pub fn finish(mut self) -> Result<Written> {
        if self.frames == 0 {
            return Err(Error::new(Kind::Usage, "a video needs at least one frame")
                .at(self.path.display())
                .mend("check that the source has frames in the chosen window"));
        }
        self.encoder.send_eof().map_err(|e| self.cannot("encode a frame", e))?;
        self.drain()?;
        self.output.write_trailer().map_err(|e| self.cannot("finish the video", e))?;
        // SAFETY: the output is open until it is dropped below; flushing and reading its error are always allowed.
        let late = unsafe {
            let io = (*self.output.as_mut_ptr()).pb;
            if io.is_null() {
                0
            } else {
                ff::ffi::avio_flush(io);
                (*io).error
            }
        };
        if late < 0 {
            return Err(self.cannot("finish the video", ff::Error::from(late)));
        }
        let Self { output, temporary, path, name, frames, notes, .. } = self;
        drop(output); // closes the file
        files::write_path(&path, |to| {
            std::fs::rename(&temporary, to).map_err(|e| Error::io("write the video", &path, e))
        })?;
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(Written { path, codec: name, frames, note })
    }

    fn cannot(&self, what: &str, e: ff::Error) -> Error {
        cannot(&self.path, what, e)
    }
}

fn cannot(path: &Path, what: &str, e: ff::Error) -> Error {
    if let ff::Error::Other { errno } = e {
        return Error::io(what, path, std::io::Error::from_raw_os_error(errno));
    }
    Error::new(Kind::Video, format!("cannot {what}: {e}"))
        .at(path.display())
        .mend("see with `limn doctor` what this FFmpeg can write")
}

/// The encoder for `wanted`, or of the next simpler codec that there is one for.
pub(super) fn best_encoder(wanted: Codec) -> Option<(Codec, ff::Codec)> {
    [(Codec::H264, "libx264"), (Codec::Mpeg4, "mpeg4"), (Codec::Mjpeg, "mjpeg")]
        .into_iter()
        .skip_while(|(codec, _)| *codec != wanted)
        .find_map(|(codec, name)| ff::encoder::find_by_name(name).map(|c| (codec, c)))
}

/// A rate as the fraction it stands for: 29.97 is 30000/1001.
///
/// Neither part is larger than `limit`, unless the rate itself is.
fn rational(fps: f64, limit: i32) -> ff::Rational {
    for denominator in [1, 1001] {
        let numerator = fps * f64::from(denominator);
        let whole = if denominator == 1 { numerator.round() } else { (numerator / 1000.0).round() * 1000.0 };
        // 29.97 and 23.976 are written so for 30000/1001 and 24000/1001.
        if whole >= 1.0 && whole <= f64::from(limit) && (whole / numerator - 1.0).abs() < 2e-6 {
            #[allow(clippy::cast_possible_truncation)] // checked above
            return ff::Rational::new(whole as i32, denominator);
        }
    }
    // SAFETY: plain arithmetic, allowed for every finite number.
    unsafe { ff::ffi::av_d2q(fps, limit) }.into()
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({}, {} frames)", self.path.display(), self.frames)
    }
}
