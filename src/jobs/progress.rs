//! What a job tells while it runs.

use super::Wake;
use crate::error::{Error, Kind};
use crate::watch::Watch;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Progress wakes the window at most so often; results wake it always.
const PACE: Duration = Duration::from_millis(100);

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It is done.
    Done,
    /// It was stopped on request; what it finished is kept.
    Stopped,
    /// It failed; what happened, where and how to mend it.
    Failed(String),
}

/// How far a job is, as of now.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Its number.
    pub id: u64,
    /// What it is.
    pub title: String,
    /// Whether it is listed only when it fails.
    pub quiet: bool,
    /// How it stands.
    pub state: State,
    /// The stage it is in ("frames").
    pub stage: String,
    /// Units done of this stage.
    pub done: u64,
    /// Units of this stage, when known.
    pub total: Option<u64>,
    /// Units per second in this stage.
    pub per_second: f64,
    /// Seconds left of this stage, when that can be told.
    pub seconds_left: Option<f64>,
    /// What the work says of itself.
    pub status: String,
    /// Notes and warnings, oldest first.
    pub said: Vec<String>,
    /// How long it runs, or ran.
    pub elapsed: Duration,
    /// Whether it was asked to stop.
    pub stopping: bool,
}

impl Progress {
    /// Part done of the stage, 0 to 1, when its size is known.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // a progress bar
    pub fn fraction(&self) -> Option<f32> {
        self.total.filter(|t| *t > 0).map(|t| (self.done as f64 / t as f64).min(1.0) as f32)
    }
}

struct Stage {
    name: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
}

struct Inner {
    state: State,
    stages: Vec<Stage>,
    status: String,
    said: Vec<String>,
    warnings: Vec<String>,
    untold: bool,
    began: Instant,
    ended: Option<Instant>,
}

/// The watcher inside the work, and what the outside sees of it.
pub(super) struct Seen {
    id: u64,
    title: String,
    quiet: bool,
    wake: Wake,
    stop: AtomicBool,
    began: Instant,
    /// Milliseconds after `began` at which the window was woken last.
    woken: AtomicU64,
    inner: Mutex<Inner>,
}

impl Seen {
    pub fn new(id: u64, title: String, quiet: bool, wake: Wake) -> Self {
        let inner = Inner {
            state: State::Running,
            stages: Vec::new(),
            status: String::new(),
            said: Vec::new(),
            warnings: Vec::new(),
            untold: false,
            began: Instant::now(),
            ended: None,
        };
        let (began, woken) = (Instant::now(), AtomicU64::new(0));
        Self { id, title, quiet, wake, stop: AtomicBool::new(false), began, woken, inner: Mutex::new(inner) }
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn wake(&self) {
        (self.wake)();
    }

    fn wake_now_and_then(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.woken.load(Ordering::Relaxed);
        if now.saturating_sub(last) >= u64::try_from(PACE.as_millis()).unwrap_or(0)
            && self.woken.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.wake();
        }
    }

    pub fn ended(&self, error: Option<&Error>) {
        let mut inner = self.inner();
        inner.ended = Some(Instant::now());
        inner.stages.clear();
        inner.state = match error {
            None => State::Done,
            Some(e) if e.kind() == Kind::Cancelled => State::Stopped,
            Some(e) => {
                inner.untold = true;
                State::Failed(e.to_string())
            }
        };
    }

    pub fn take_failure(&self) -> Option<(String, String)> {
        let mut inner = self.inner();
        let untold = std::mem::take(&mut inner.untold);
        match &inner.state {
            State::Failed(text) if untold => Some((self.title.clone(), text.clone())),
            _ => None,
        }
    }

    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().warnings)
    }

    #[allow(clippy::cast_precision_loss)] // counts of frames
    pub fn progress(&self) -> Progress {
        let inner = self.inner();
        let (mut stage, mut done, mut total, mut per_second) = (String::new(), 0, None, 0.0);
        if let Some(s) = inner.stages.last() {
            let seconds = s.began.elapsed().as_secs_f64();
            stage.clone_from(&s.name);
            (done, total) = (s.done, s.total);
            per_second = if seconds > 0.0 { s.done as f64 / seconds } else { 0.0 };
        }
        let left = |t: u64| (per_second > 0.0).then(|| t.saturating_sub(done) as f64 / per_second);
        Progress {
            id: self.id,
            title: self.title.clone(),
            quiet: self.quiet,
            state: inner.state.clone(),
            stage,
            done,
            total,
            per_second,
            seconds_left: total.and_then(left),
            status: inner.status.clone(),
            said: inner.said.clone(),
            elapsed: inner.ended.unwrap_or_else(Instant::now).duration_since(inner.began),
            stopping: self.stop.load(Ordering::Relaxed) && inner.ended.is_none(),
        }
    }
}

impl Watch for Seen {
    fn begin(&self, stage: &str, total: Option<u64>) {
        self.inner().stages.push(Stage { name: stage.to_owned(), total, done: 0, began: Instant::now() });
        self.wake_now_and_then();
    }

    fn advance(&self, units: u64) {
        if let Some(stage) = self.inner().stages.last_mut() {
            stage.done += units;
        }
        self.wake_now_and_then();
    }

    fn status(&self, text: &str) {
        text.clone_into(&mut self.inner().status);
        self.wake_now_and_then();
    }

    fn note(&self, text: &str) {
        self.inner().said.push(text.to_owned());
        self.wake_now_and_then();
    }

    fn warn(&self, text: &str) {
        let mut inner = self.inner();
        let line = format!("warning: {text}");
        if !inner.said.contains(&line) {
            inner.said.push(line);
            inner.warnings.push(text.to_owned());
        }
        drop(inner);
        self.wake_now_and_then();
    }

    fn end(&self) {
        self.inner().stages.pop();
        self.wake_now_and_then();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
