//! Which of the two stages of an analysis holds the other up: both clocks measure only how long each waits.

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
    /// Frames come slower than the network could take them.
    Decoding,
    /// The network takes frames slower than they could come.
    Computing,
}

/// How much of the time each stage worked, 0 to 1, and which of them limits the speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stages {
    /// Share of the time in which frames were decoded.
    pub decode_busy: f64,
    /// Share of the time in which the network computed.
    pub compute_busy: f64,
    /// The stage that sets the pace: the one that waits less.
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

/// Measures both stages; the decoding thread and the computing one share it.
pub(super) struct Clock {
    began: Instant,
    frames: usize,
    done: AtomicUsize,
    decoder_waited: AtomicU64,
    /// Nanoseconds from the start to the last frame decoded; 0 while it goes on.
    decoder_ended: AtomicU64,
    network_waited: AtomicU64,
    told: Mutex<(Instant, usize)>,
}

impl Clock {
    pub(super) fn new(frames: usize) -> Self {
        let began = Instant::now();
        let zero = || AtomicU64::new(0);
        Self {
            began,
            frames,
            done: AtomicUsize::new(0),
            decoder_waited: zero(),
            decoder_ended: zero(),
            network_waited: zero(),
            told: Mutex::new((began, 0)),
        }
    }

    /// Does something in which the decoder may wait for the network.
    pub(super) fn decoder_waits<T>(&self, wait: impl FnOnce() -> T) -> T {
        timed(&self.decoder_waited, wait)
    }

    /// The last frame is decoded.
    pub(super) fn decoded(&self) {
        self.decoder_ended.store(nanoseconds(self.began.elapsed()), Ordering::Relaxed);
    }

    /// Does something in which the network may wait for frames.
    pub(super) fn network_waits<T>(&self, wait: impl FnOnce() -> T) -> T {
        timed(&self.network_waited, wait)
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
        let each = self.began.elapsed().as_secs_f64() / done.max(1) as f64;
        let left = self.frames.saturating_sub(done) as f64 * each;
        Some(Seen { done, frames: self.frames, fps, seconds_left: left, stages: self.stages() })
    }

    /// Who worked how much so far.
    #[allow(clippy::cast_precision_loss)] // for a share
    pub(super) fn stages(&self) -> Stages {
        let whole = nanoseconds(self.began.elapsed()).max(1);
        // Once all is decoded that thread neither waits nor works.
        let ended = self.decoder_ended.load(Ordering::Relaxed);
        let decoding = if ended == 0 { whole } else { ended };
        let share = |waited: &AtomicU64, of: u64| {
            of.saturating_sub(waited.load(Ordering::Relaxed)) as f64 / whole as f64
        };
        let (decode_busy, compute_busy) =
            (share(&self.decoder_waited, decoding), share(&self.network_waited, whole));
        let limit = if decode_busy > compute_busy { Limit::Decoding } else { Limit::Computing };
        Stages { decode_busy, compute_busy, limit }
    }
}

fn timed<T>(waited: &AtomicU64, wait: impl FnOnce() -> T) -> T {
    let clock = Instant::now();
    let got = wait();
    waited.fetch_add(nanoseconds(clock.elapsed()), Ordering::Relaxed);
    got
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_that_waits_less_is_the_limit() {
        let wait = Duration::from_millis(30);
        let clock = Clock::new(4);
        clock.network_waits(|| std::thread::sleep(wait));
        let slow_decoder = clock.stages();
        assert_eq!(slow_decoder.limit, Limit::Decoding);
        assert!(slow_decoder.compute_busy < slow_decoder.decode_busy);
        let clock = Clock::new(4);
        clock.decoder_waits(|| std::thread::sleep(wait));
        assert_eq!(clock.stages().limit, Limit::Computing);
        // The end is always told.
        assert!(clock.advance(3).is_none());
        let end = clock.advance(1).unwrap();
        assert_eq!((end.done, end.frames, end.seconds_left), (4, 4, 0.0));
    }
}
