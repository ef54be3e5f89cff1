//! Frames in, rows out: decode, convert, compute and write at the same time, with bounded queues between.

use super::engine::Engine;
use super::follow::{Follow, Follower};
use super::source::{Given, Paint, Source};
use super::stages::{Clock, Seen, Stage};
use crate::error::{Error, Kind, Result};
use crate::net::{Ahead, Frames, Look, Peaks, Window};
use crate::watch::Watch;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

/// Frames after which an unfinished analysis is put on disk: what a sudden end can cost at most.
pub(super) const CHUNK: usize = 256;
/// Decoded frames that wait to be converted.
const DECODED_AHEAD: usize = 4;
/// Batches that wait to be computed; more would only cost memory.
const BATCHES_AHEAD: usize = 1;
/// Batches' memories: one filled, one waiting, one computed, one whose peaks are still on their way.
const BUFFERS: usize = 4;
/// So many undecodable frames are named one by one.
pub(super) const NAMED: usize = 5;
/// So often a wish to stop is listened for while frames are waited for.
const LISTEN: Duration = Duration::from_millis(100);
/// Stretches of rows that wait to be written.
const ROWS_AHEAD: usize = 8;

/// How frames are looked at.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// What the frames are of, for messages.
    pub name: String,
    /// What the network sees and gives.
    pub look: Look,
    /// The part of every frame to look at; the whole when `None`.
    pub crop: Option<Window>,
    /// Look only where the animal is.
    pub follow: Option<Follow>,
    /// Frames computed at once.
    pub batch: usize,
    /// Frames after which a new stretch begins: batches never reach over it, so that a run that goes on after a stop
    /// computes what an undisturbed one would.
    pub chunk: usize,
}

/// Rows of consecutive frames: `[frame][point][candidate][x, y, likelihood]`, NaN where nothing was seen.
#[derive(Debug)]
#[cfg_attr(not(all(feature = "video", feature = "hdf5")), allow(dead_code))] // only counted there
pub(super) struct Rows {
    /// The first frame's number.
    pub first: usize,
    /// How many frames.
    pub frames: usize,
    /// Their values.
    pub values: Vec<f32>,
    /// Those without picture, and why.
    pub missing: Vec<(usize, String)>,
}

/// Takes rows, in order.
pub(super) trait Sink: Send {
    /// Takes the next rows.
    fn take(&mut self, rows: Rows) -> Result<()>;
}

/// A batch on its way to the network.
struct Batch {
    first: usize,
    /// All frames of the stretch, those without picture as well.
    count: usize,
    frames: Frames,
    numbers: Vec<usize>,
    missing: Vec<(usize, String)>,
}

/// Runs all frames of `source` through the network into `sink`.
///
/// # Errors
/// When a stage fails or somebody asked to stop; what was written till then stays.
pub(super) fn run<S: Source>(
    engine: &Engine,
    job: &Job,
    mut source: S,
    sink: &mut dyn Sink,
    clock: &Clock,
    watch: &dyn Watch,
    tell: &mut dyn FnMut(Seen),
) -> Result<()> {
    let paint = source.paint();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (give_raw, take_raw) = sync_channel::<Given<S::Raw>>(DECODED_AHEAD);
        let (give_batch, take_batch) = sync_channel::<Batch>(BATCHES_AHEAD);
        let (give_back, take_back) = channel::<Frames>();
        let (give_rows, take_rows) = sync_channel::<Rows>(ROWS_AHEAD);
        let device = engine.predictor().net().device();
        let over = &over;
        let decoder = scope.spawn(move || -> Result<()> {
            let wanted = || !over.load(Ordering::Relaxed);
            while let Some(given) = clock.work(Stage::Decode, || source.next(&wanted))? {
                if give_raw.send(given).is_err() {
                    break; // nobody wants more
                }
            }
            Ok(())
        });
        let converter = scope.spawn(move || {
            let mut gather =
                Gather { job, device, give: give_batch, back: take_back, made: 0, open: None, clock };
            gather.all(&take_raw, paint)
        });
        let writer = scope.spawn(move || -> Result<()> {
            while let Ok(rows) = take_rows.recv() {
                clock.work(Stage::Write, || sink.take(rows))?;
            }
            Ok(())
        });
        let mut compute =
            Compute { engine, job, clock, watch, tell, most: job.batch, named: 0, rows: give_rows };
        let computed = compute.all(&take_batch, &give_back);
        // Lets the others end when we stop early.
        over.store(true, Ordering::Relaxed);
        drop((take_batch, give_back, compute));
        let ended = |thread: std::thread::Result<Result<()>>, what: &str| {
            thread.unwrap_or_else(|_| {
                Err(Error::new(Kind::Compute, format!("the {what} thread ended unexpectedly")))
            })
        };
        let decoded = match ended(decoder.join(), "decoding") {
            // It was told to, by what is the real cause.
            Err(e) if e.kind() == Kind::Cancelled => Ok(()),
            other => other,
        };
        let converted = ended(converter.join(), "converting");
        let written = ended(writer.join(), "writing");
        // What could not be written or decoded is why the computing stopped, not the other way round.
        written.and(decoded).and(converted).and(computed)
    })
}

/// The second stage: pixels into the memory of batches.
struct Gather<'a> {
    job: &'a Job,
    device: crate::net::Device,
    give: SyncSender<Batch>,
    back: Receiver<Frames>,
    made: usize,
    open: Option<Batch>,
    clock: &'a Clock,
}

impl Gather<'_> {
    fn all<R>(&mut self, raws: &Receiver<Given<R>>, mut paint: impl Paint<R>) -> Result<()> {
        while let Ok(Given { frame, raw }) = raws.recv() {
            let size = raw.as_ref().ok().map(|r| paint.size(r));
            if self.must_close(frame, size) && !self.close() {
                return Ok(());
            }
            let (clock, crop) = (self.clock, self.job.crop);
            let Some(batch) = self.batch(frame, size)? else { return Ok(()) };
            batch.count += 1;
            let painted = raw.and_then(|raw| {
                let (w, h) = paint.size(&raw);
                if crop.is_some_and(|c| c.x + c.width > w || c.y + c.height > h) {
                    return Err(format!("the crop is not inside this picture of {w} x {h}"));
                }
                let Some(slot) = batch.frames.push() else { return Err("its batch is full".to_owned()) };
                clock.work(Stage::Convert, || paint.write(&raw, slot))
            });
            match painted {
                Ok(()) => batch.numbers.push(frame),
                Err(reason) => {
                    if batch.frames.len() > batch.numbers.len() {
                        batch.frames.pop();
                    }
                    batch.missing.push((frame, reason));
                }
            }
        }
        self.close();
        Ok(())
    }

    /// Whether the open batch cannot take this frame.
    fn must_close(&self, frame: usize, size: Option<(usize, usize)>) -> bool {
        self.open.as_ref().is_some_and(|b| {
            b.count >= self.job.batch
                || frame.is_multiple_of(self.job.chunk)
                || size.is_some_and(|s| s != (b.frames.width(), b.frames.height()))
        })
    }

    /// Sends the open batch on; false when nobody wants it.
    fn close(&mut self) -> bool {
        self.open.take().is_none_or(|batch| self.give.send(batch).is_ok())
    }

    /// The open batch, opened when there is none; `None` when nobody wants more.
    fn batch(&mut self, frame: usize, size: Option<(usize, usize)>) -> Result<Option<&mut Batch>> {
        if self.open.is_none() {
            let (w, h) = size.unwrap_or((1, 1));
            let Some(frames) = self.memory(w, h)? else { return Ok(None) };
            self.open =
                Some(Batch { first: frame, count: 0, frames, numbers: Vec::new(), missing: Vec::new() });
        }
        Ok(self.open.as_mut())
    }

    /// Memory for a batch: one that came back, or a new one while there are few.
    fn memory(&mut self, w: usize, h: usize) -> Result<Option<Frames>> {
        let used = match self.back.try_recv() {
            Ok(frames) => Some(frames),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) if self.made < BUFFERS => None,
            Err(TryRecvError::Empty) => match self.back.recv() {
                Ok(frames) => Some(frames),
                Err(_) => return Ok(None),
            },
        };
        match used {
            Some(mut frames) if (frames.width(), frames.height()) == (w, h) => {
                frames.clear();
                Ok(Some(frames))
            }
            other => {
                self.made += usize::from(other.is_none());
                drop(other);
                Frames::new(self.job.batch, w, h, self.device).map(Some)
            }
        }
    }
}

/// The third stage: the network.
struct Compute<'a> {
    engine: &'a Engine,
    job: &'a Job,
    clock: &'a Clock,
    watch: &'a dyn Watch,
    tell: &'a mut dyn FnMut(Seen),
    /// Frames that fit into the device's memory at once, as far as is known.
    most: usize,
    /// Frames without picture that were named one by one.
    named: usize,
    rows: SyncSender<Rows>,
}

impl Compute<'_> {
    fn all(&mut self, batches: &Receiver<Batch>, give_back: &Sender<Frames>) -> Result<()> {
        let mut follower = self.job.follow.map(Follower::new);
        // On a GPU the next batch is on its way before the last one's peaks are asked for.
        let ahead = self.engine.predictor().net().device().is_cuda();
        let mut waiting: Option<(Batch, Vec<Ahead>)> = None;
        let mut size = (0, 0);
        loop {
            self.watch.check()?;
            // Decoding up to the first frame may take minutes: a wish to stop is heard meanwhile.
            let batch = match batches.recv_timeout(LISTEN) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(follower) = &mut follower {
                let new = (batch.frames.width(), batch.frames.height());
                if batch.first.is_multiple_of(self.job.chunk) || new != size {
                    follower.forget();
                }
                size = new;
                let crop = self.job.crop;
                let values = self.clock.work(Stage::Compute, || {
                    follower.look(&batch.frames, crop, &mut |which, windows| {
                        self.peaks(&batch.frames, which, windows)
                    })
                })?;
                if !self.finish(batch, &values, give_back) {
                    return Ok(());
                }
                continue;
            }
            let windows: Vec<Window> = self.job.crop.into_iter().cycle().take(batch.frames.len()).collect();
            let clock = self.clock;
            let begun =
                clock.work(Stage::Compute, || self.begin(&batch.frames, 0..batch.frames.len(), &windows))?;
            let last = waiting.replace((batch, begun));
            let done = if ahead { last } else { waiting.take() };
            if let Some((batch, begun)) = done
                && !self.collect(batch, begun, give_back)?
            {
                return Ok(());
            }
        }
        match waiting {
            Some((batch, begun)) => self.collect(batch, begun, give_back).map(drop),
            None => Ok(()),
        }
    }

    /// Waits for a batch's peaks and sends its rows on; false when nobody wants them.
    fn collect(&mut self, batch: Batch, begun: Vec<Ahead>, give_back: &Sender<Frames>) -> Result<bool> {
        let values = self.clock.work(Stage::Compute, || -> Result<Vec<f32>> {
            let mut values = Vec::new();
            for part in begun {
                values.extend_from_slice(part.wait()?.values());
            }
            Ok(values)
        })?;
        Ok(self.finish(batch, &values, give_back))
    }

    fn finish(&mut self, batch: Batch, values: &[f32], give_back: &Sender<Frames>) -> bool {
        let Batch { first, count, frames, numbers, missing } = batch;
        for (frame, reason) in missing.iter().take(NAMED.saturating_sub(self.named)) {
            self.watch.warn(&format!(
                "{}: frame {frame} cannot be decoded ({reason}); its row is empty",
                self.job.name
            ));
            self.named += 1;
        }
        let each = self.engine.predictor().candidates(self.job.look.candidates);
        let length = self.engine.card().skeleton().points() * each * 3;
        let mut all = vec![f32::NAN; count * length];
        for (row, frame) in values.chunks_exact(length.max(1)).zip(numbers) {
            let at = (frame - first) * length;
            all[at..at + length].copy_from_slice(row);
        }
        let _ = give_back.send(frames); // the converter may have come to its end
        let wanted = self.rows.send(Rows { first, frames: count, values: all, missing }).is_ok();
        self.watch.advance(count as u64);
        if let Some(seen) = self.clock.advance(count) {
            (self.tell)(seen);
        }
        wanted
    }

    /// The peaks of some frames of a batch, at once.
    fn peaks(&mut self, frames: &Frames, which: Range<usize>, windows: &[Window]) -> Result<Vec<Peaks>> {
        self.begin(frames, which, windows)?.into_iter().map(Ahead::wait).collect()
    }

    /// Begins with some frames of a batch: in one piece, or in several where the device's memory is short.
    fn begin(&mut self, frames: &Frames, which: Range<usize>, windows: &[Window]) -> Result<Vec<Ahead>> {
        let mut begun = Vec::new();
        let mut at = which.start;
        while at < which.end {
            let part = at..(at + self.most.max(1)).min(which.end);
            let seen = windows.get(part.start - which.start..part.end - which.start).unwrap_or(&[]);
            match self.engine.predictor().submit(frames, part.clone(), seen, self.job.look) {
                Ok(ahead) => {
                    begun.push(ahead);
                    at = part.end;
                }
                Err(e) if e.kind() == Kind::Memory && part.len() > 1 => {
                    self.most = part.len().div_ceil(2);
                    self.watch.warn(&format!(
                        "the device's memory does not hold {} frames at once: going on with {}",
                        part.len(),
                        self.most
                    ));
                    self.watch.check()?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(begun)
    }
}
