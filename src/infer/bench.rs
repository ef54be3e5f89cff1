//! How fast this machine analyzes, stage by stage, and what limits it.

use super::batch;
use super::engine::Engine;
use super::pipeline::{self, CHUNK, Job, Rows, Sink};
use super::source::{Given, Source, Synthetic};
use super::stages::{Clock, Limit, Seen, Stage, Stages};
use crate::error::Result;
use crate::net::Look;
use crate::watch::Watch;
use serde::Serialize;
use std::time::{Duration, Instant};

/// How fast the whole pipeline is, and the network alone.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Frames per second from the first stage to rows, all stages at work.
    pub fps: f64,
    /// Frames per second of the forward pass alone on a batch that lies on the device: before and after the whole
    /// was measured, the better of the two.
    pub ceiling_fps: f64,
    /// `fps / ceiling_fps`.
    pub of_ceiling: f64,
    /// How much of the time each stage worked.
    pub stages: Stages,
    /// Frames per second of each stage while it works: what it would reach if the others were endlessly fast. On a
    /// CPU stages share the cores, so that each is slowed down by the others.
    pub stage_fps: StageFps,
    /// The stage that sets the pace.
    pub limit: Limit,
    /// Device, in words.
    pub device: String,
    /// Threads that libtorch uses on the CPU.
    pub threads: i32,
    /// Number format.
    pub precision: String,
    /// The network's name.
    pub net: String,
    /// Width of the frames.
    pub width: usize,
    /// Height of the frames.
    pub height: usize,
    /// Frames computed at once.
    pub batch: usize,
    /// Frames measured.
    pub frames: usize,
    /// `video` (decoding and colour conversion included) or `synthetic` (neither: frames come from memory).
    pub source: &'static str,
    /// What decoded, in words; empty for synthetic frames.
    pub decoder: String,
}

/// Frames per second of each stage while it works.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StageFps {
    /// Decoding.
    pub decode: f64,
    /// Colour conversion, or copying where frames are synthetic.
    pub convert: f64,
    /// Upload, normalisation, forward pass and peaks.
    pub compute: f64,
    /// Taking rows; here they are only counted.
    pub write: f64,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// At most so many seconds of all stages together; the forward pass alone takes up to ten more.
    pub seconds: f64,
    /// At most so many frames.
    pub frames: usize,
}

/// Measures the pipeline on frames of noise from memory.
///
/// # Errors
/// When memory is short or somebody asked to stop.
pub fn measure_synthetic(
    engine: &Engine,
    size: (usize, usize),
    batch: Option<usize>,
    length: Length,
    watch: &dyn Watch,
) -> Result<Measured> {
    let source = Synthetic::new(length.frames, size.0, size.1)?;
    measure(engine, source, size, batch, length, watch)
}

/// Measures the pipeline on a video, to its end at most.
///
/// # Errors
/// As [`measure_synthetic`], and when the video cannot be read.
#[cfg(feature = "video")]
pub fn measure_video(
    engine: &Engine,
    video: &std::path::Path,
    hardware: &crate::video::Hardware,
    batch: Option<usize>,
    length: Length,
    watch: &dyn Watch,
) -> Result<Measured> {
    let index = std::sync::Arc::new(crate::video::Index::open(video, watch)?);
    let source = super::input::VideoFrames::new(&index, 0, index.len().min(length.frames), hardware)?;
    let decoder = source.decoder();
    let measured = measure(engine, source, (index.width(), index.height()), batch, length, watch)?;
    Ok(Measured { source: "video", decoder, ..measured })
}

/// Gives frames until the time is over.
struct For<S> {
    source: S,
    began: Option<Instant>,
    time: Duration,
}

impl<S: Source> Source for For<S> {
    type Raw = S::Raw;
    type Paint = S::Paint;

    fn next(&mut self, wanted: &dyn Fn() -> bool) -> Result<Option<Given<S::Raw>>> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() > self.time {
            return Ok(None);
        }
        self.source.next(wanted)
    }

    fn paint(&self) -> S::Paint {
        self.source.paint()
    }
}

/// Counts rows.
struct Count(usize);

impl Sink for Count {
    fn take(&mut self, rows: Rows) -> Result<()> {
        self.0 += rows.frames;
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss)] // counts
fn measure(
    engine: &Engine,
    source: impl Source,
    size: (usize, usize),
    batch: Option<usize>,
    length: Length,
    watch: &dyn Watch,
) -> Result<Measured> {
    let look = Look::default();
    let batch = match batch {
        Some(batch) => batch.clamp(1, CHUNK),
        None => batch::choose(engine, size, None, look, watch)?,
    };
    let part = (length.seconds / 4.0).min(5.0);
    watch.begin("measure", None);
    watch.status("the forward pass alone");
    let before = engine.predictor().ceiling(batch, size, part)?;
    watch.status("all stages");
    let clock = Clock::new(usize::MAX, 0);
    let job = Job { name: "bench".into(), look, crop: None, follow: None, batch, chunk: CHUNK };
    let source = For { source, began: None, time: Duration::from_secs_f64(length.seconds.max(0.0)) };
    let mut count = Count(0);
    let mut tell = |seen: Seen| watch.status(&format!("{:.1} frames/s", seen.fps));
    let result = pipeline::run(engine, &job, source, &mut count, &clock, watch, &mut tell);
    let (fps, stages) = (clock.fps(), clock.stages());
    watch.status("the forward pass alone, again");
    let after = result.and_then(|()| engine.predictor().ceiling(batch, size, part));
    watch.end();
    let ceiling_fps = before.max(after?);
    let each = |stage| count.0 as f64 / clock.seconds(stage).max(1e-9);
    Ok(Measured {
        fps,
        ceiling_fps,
        of_ceiling: fps / ceiling_fps,
        stages,
        stage_fps: StageFps {
            decode: each(Stage::Decode),
            convert: each(Stage::Convert),
            compute: each(Stage::Compute),
            write: each(Stage::Write),
        },
        limit: stages.limit,
        device: engine.device().to_owned(),
        threads: crate::net::device::threads(),
        precision: engine.precision().to_string(),
        net: engine.card().net.net.clone(),
        width: size.0,
        height: size.1,
        batch,
        frames: count.0,
        source: "synthetic",
        decoder: String::new(),
    })
}

/// How fast a video is decoded here.
#[cfg(feature = "video")]
#[derive(Debug, Clone, Serialize)]
pub struct Decoding {
    /// Frames per second, decoding alone.
    pub decode_fps: f64,
    /// Frames per second, decoding and conversion to RGB one after the other on one thread.
    pub fps: f64,
    /// Frames per second of the conversion alone.
    pub convert_fps: f64,
    /// Frames decoded in each of the two passes.
    pub frames: usize,
    /// Width of the frames.
    pub width: usize,
    /// Height of the frames.
    pub height: usize,
    /// The codec's short name.
    pub codec: String,
    /// How pixels are stored, by FFmpeg's name.
    pub pixels: String,
    /// What decoded, in words.
    pub decoder: String,
}

/// Decodes a video (for `seconds` at most) without and with conversion.
///
/// # Errors
/// When it cannot be read, or somebody asked to stop.
#[cfg(feature = "video")]
#[allow(clippy::cast_precision_loss)] // counts
pub fn decoding(
    video: &std::path::Path,
    hardware: &crate::video::Hardware,
    seconds: f64,
    watch: &dyn Watch,
) -> Result<Decoding> {
    use super::source::Paint;
    let index = std::sync::Arc::new(crate::video::Index::open(video, watch)?);
    let open = || super::input::VideoFrames::new(&index, 0, index.len(), hardware);
    watch.begin("measure", None);
    let mut alone = open()?;
    let decoder = alone.decoder();
    let (began, mut frames) = (Instant::now(), 0_usize);
    while began.elapsed().as_secs_f64() < seconds / 2.0 {
        watch.check()?;
        match alone.next(&|| true)? {
            Some(given) => frames += usize::from(given.raw.is_ok()),
            None => break,
        }
    }
    let decode_fps = frames as f64 / began.elapsed().as_secs_f64().max(1e-9);
    let mut both = open()?;
    let mut paint = both.paint();
    let mut rgb = vec![0; index.width() * index.height() * 3];
    let (began, mut converting, mut done) = (Instant::now(), Duration::ZERO, 0_usize);
    while done < frames {
        watch.check()?;
        let Some(given) = both.next(&|| true)? else { break };
        let Ok(raw) = given.raw else { continue };
        let clock = Instant::now();
        done += usize::from(paint.write(&raw, &mut rgb).is_ok());
        converting += clock.elapsed();
    }
    watch.end();
    Ok(Decoding {
        decode_fps,
        fps: done as f64 / began.elapsed().as_secs_f64().max(1e-9),
        convert_fps: done as f64 / converting.as_secs_f64().max(1e-9),
        frames,
        width: index.width(),
        height: index.height(),
        codec: index.codec().to_owned(),
        pixels: index.pixel_format().to_owned(),
        decoder,
    })
}
