//! Which stage of an analysis holds the others up: each clock measures how long its stage works.

use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So often somebody is told how it goes.
const TELL: Duration = Duration::from_millis(500);

/// The stage that sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Frames come slower than the others could take them.
    Decoding,
    /// Colours are converted slower.
    Converting,
    /// The network takes frames slower than they come.
    Computing,
    /// Rows are written slower.
    Writing,
}

impl Limit {
    /// In a word for a status line: `limited by ...`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Decoding => "decoding",
            Self::Converting => "colour conversion",
            Self::Computing => "computing",
            Self::Writing => "writing",
        }
    }
}

/// How much of the time each stage worked, 0 to 1, and which of them limits the speed. They run at the same time, so
/// the shares do not add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stages {
    /// Share of the time in which frames were decoded.
    pub decode_busy: f64,
    /// Share of the time in which colours were converted, into the memory of a batch.
    pub convert_busy: f64,
    /// Share of the time in which the network computed, peaks included.
    pub compute_busy: f64,
    /// Share of the time in which rows were written and synced.
    pub write_busy: f64,
    /// The stage that sets the pace: the one that works most of the time.
    pub limit: Limit,
}

/// An analysis as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Frames done.
    pub done: usize,
    /// Frames of the video.
    pub frames: usize,
    /// Frames per second since the last call.
    pub fps: f64,
    /// Seconds until the last frame, at the speed so far.
    pub seconds_left: f64,
    /// Who worked how much since the start.
    pub stages: Stages,
}

/// The stages, for [`Clock::work`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Decode,
    Convert,
    Compute,
    Write,
}

/// Measures all stages; their threads share it.
pub(super) struct Clock {
    began: Instant,
    frames: usize,
    /// Frames that were there before this run.
    before: usize,
    done: AtomicUsize,
    busy: [AtomicU64; 4],
    told: Mutex<(Instant, usize)>,
}

impl Clock {
    /// For `frames` frames of which `before` are done already.
    pub(super) fn new(frames: usize, before: usize) -> Self {
        let began = Instant::now();
        Self {
            began,
            frames,
            before,
            done: AtomicUsize::new(before),
            busy: std::array::from_fn(|_| AtomicU64::new(0)),
            told: Mutex::new((began, before)),
        }
    }

    /// Does a piece of a stage's work.
    pub(super) fn work<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let clock = Instant::now();
        let got = work();
        self.busy[stage as usize].fetch_add(nanoseconds(clock.elapsed()), Ordering::Relaxed);
        got
    }

    /// So many frames more are done; how it goes, when it is time to tell.
    #[allow(clippy::cast_precision_loss)] // counts
    pub(super) fn advance(&self, frames: usize) -> Option<Seen> {
        let done = self.done.fetch_add(frames, Ordering::Relaxed) + frames;
        let mut told = self.told.lock().ok()?;
        let since = told.0.elapsed();
        if since < TELL && done < self.frames {
            return None;
        }
        let fps = done.saturating_sub(told.1) as f64 / since.as_secs_f64().max(1e-9);
        *told = (Instant::now(), done);
        let each = self.began.elapsed().as_secs_f64() / done.saturating_sub(self.before).max(1) as f64;
        let left = self.frames.saturating_sub(done) as f64 * each;
        Some(Seen { done, frames: self.frames, fps, seconds_left: left, stages: self.stages() })
    }

    /// Frames per second since the start, of this run alone.
    #[allow(clippy::cast_precision_loss)] // counts
    pub(super) fn fps(&self) -> f64 {
        let done = self.done.load(Ordering::Relaxed).saturating_sub(self.before);
        done as f64 / self.began.elapsed().as_secs_f64().max(1e-9)
    }

    /// Seconds a stage has worked.
    pub(super) fn seconds(&self, stage: Stage) -> f64 {
        Duration::from_nanos(self.busy[stage as usize].load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Who worked how much so far.
    pub(super) fn stages(&self) -> Stages {
        let whole = self.began.elapsed().as_secs_f64().max(1e-9);
        let share = |stage| (self.seconds(stage) / whole).min(1.0);
        let all = [
            (share(Stage::Compute), Limit::Computing),
            (share(Stage::Decode), Limit::Decoding),
            (share(Stage::Convert), Limit::Converting),
            (share(Stage::Write), Limit::Writing),
        ];
        let most = all.iter().fold(all[0], |most, s| if s.0 > most.0 { *s } else { most });
        Stages {
            compute_busy: all[0].0,
            decode_busy: all[1].0,
            convert_busy: all[2].0,
            write_busy: all[3].0,
            limit: most.1,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_that_works_most_is_the_limit() {
        let nap = Duration::from_millis(30);
        let clock = Clock::new(4, 0);
        clock.work(Stage::Decode, || std::thread::sleep(nap));
        let slow = clock.stages();
        assert_eq!(slow.limit, Limit::Decoding);
        assert!(slow.compute_busy < slow.decode_busy && slow.decode_busy <= 1.0);
        let clock = Clock::new(4, 1);
        clock.work(Stage::Compute, || std::thread::sleep(nap));
        assert_eq!(clock.stages().limit, Limit::Computing);
        // The end is always told.
        assert!(clock.advance(2).is_none());
        let end = clock.advance(1).unwrap();
        assert_eq!((end.done, end.frames, end.seconds_left), (4, 4, 0.0));
    }
}
