//! Long work as seen from outside: started, watched, stopped, and its result taken, none of it ever waiting.
//!
//! A window starts work with [`Jobs::start`] and keeps the [`Handle`]; in every pass it asks [`Handle::poll`] whether
//! the result is there, and draws what [`Jobs::list`] says. The work itself is any function of the library that takes
//! a [`Watch`](crate::watch::Watch).
//!
//! ```
//! use limn::jobs::Jobs;
//! use limn::watch::Watch;
//! use std::sync::Arc;
//! let mut jobs = Jobs::new(Arc::new(|| {})); // a window asks for a repaint here
//! let mut sum = jobs.start("Adding up", |watch| {
//!     watch.begin("numbers", Some(3));
//!     watch.advance(3);
//!     Ok(1 + 2 + 3)
//! });
//! let result = loop {
//!     if let Some(result) = sum.poll() {
//!         break result;
//!     }
//!     std::thread::yield_now();
//! };
//! assert_eq!(result?, 6);
//! # Ok::<(), limn::Error>(())
//! ```

mod progress;

pub use progress::{Progress, State};

use crate::error::{Error, Kind, Result};
pub use crate::watch::Wake;
use crate::watch::Watch;
use progress::Seen;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Everything that runs, and what has run.
pub struct Jobs {
    wake: Wake,
    next: u64,
    list: Vec<Arc<Seen>>,
}

/// Ended jobs that are kept for the list; older ones are forgotten.
const KEPT: usize = 50;

impl Jobs {
    /// Nothing runs yet. `wake` is called, from the work's thread, whenever progress or a result is there.
    #[must_use]
    pub fn new(wake: Wake) -> Self {
        Self { wake, next: 1, list: Vec::new() }
    }

    /// Starts work on a thread of its own. `title` says what it is, in the words of a list ("Training shuffle 1").
    pub fn start<T: Send + 'static>(
        &mut self,
        title: impl Into<String>,
        work: impl FnOnce(&dyn Watch) -> Result<T> + Send + 'static,
    ) -> Handle<T> {
        self.launch(title.into(), false, work)
    }

    /// Like [`Jobs::start`], for short work that is listed only when it fails.
    pub fn start_quiet<T: Send + 'static>(
        &mut self,
        title: impl Into<String>,
        work: impl FnOnce(&dyn Watch) -> Result<T> + Send + 'static,
    ) -> Handle<T> {
        self.launch(title.into(), true, work)
    }

    fn launch<T: Send + 'static>(
        &mut self,
        title: String,
        quiet: bool,
        work: impl FnOnce(&dyn Watch) -> Result<T> + Send + 'static,
    ) -> Handle<T> {
        let seen = Arc::new(Seen::new(self.next, title, quiet, Arc::clone(&self.wake)));
        self.next += 1;
        self.forget_old();
        self.list.push(Arc::clone(&seen));
        let (give, take) = sync_channel(1);
        let inside = Arc::clone(&seen);
        let thread = std::thread::Builder::new().name(format!("job {}", seen.id())).spawn(move || {
            // A panic below is a defect, but must not take labels in memory with it.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&*inside)))
                .unwrap_or_else(|panic| Err(of_panic(&*panic)));
            inside.ended(result.as_ref().err());
            // Whoever started it may have lost interest.
            let _ = give.send(result);
            inside.wake();
        });
        if let Err(e) = thread {
            seen.ended(Some(&Error::new(Kind::Io, format!("the system starts no more threads: {e}"))));
        }
        Handle { seen, take }
    }

    fn forget_old(&mut self) {
        let ended = self.list.iter().filter(|s| s.progress().state != State::Running).count();
        let mut spare = ended.saturating_sub(KEPT);
        self.list.retain(|s| {
            let old = spare > 0 && s.progress().state != State::Running;
            spare -= usize::from(old);
            !old
        });
    }

    /// What runs and what has ended, oldest first; quiet work only when it failed.
    #[must_use]
    pub fn list(&self) -> Vec<Progress> {
        let shown = |p: &Progress| !p.quiet || matches!(p.state, State::Failed(_));
        self.list.iter().map(|s| s.progress()).filter(shown).collect()
    }

    /// The listed work that runs, newest first.
    #[must_use]
    pub fn running(&self) -> Vec<Progress> {
        let mut all = self.list();
        all.retain(|p| p.state == State::Running);
        all.reverse();
        all
    }

    /// Whether anything runs, quiet work included.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.list.iter().any(|s| s.progress().state == State::Running)
    }

    /// Asks a job to stop; what it finished is kept.
    pub fn stop(&self, id: u64) {
        for seen in self.list.iter().filter(|s| s.id() == id) {
            seen.stop();
        }
    }

    /// Asks everything to stop.
    pub fn stop_all(&self) {
        for seen in &self.list {
            seen.stop();
        }
    }

    /// Takes ended work off the list.
    pub fn clear_ended(&mut self) {
        self.list.retain(|s| s.progress().state == State::Running);
    }

    /// The failures that nobody has been told of yet, as (title, error text); each is given once.
    pub fn take_failures(&mut self) -> Vec<(String, String)> {
        self.list.iter().filter_map(|s| s.take_failure()).collect()
    }

    /// The warnings that nobody has been told of yet, as (title, text); each is given once.
    pub fn take_warnings(&mut self) -> Vec<(String, String)> {
        self.list
            .iter()
            .flat_map(|s| s.take_warnings().into_iter().map(|w| (s.progress().title, w)))
            .collect()
    }
}

fn of_panic(panic: &(dyn std::any::Any + Send)) -> Error {
    let words = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason given".into());
    Error::new(Kind::Compute, format!("this work broke off through a fault in limn: {words}"))
        .mend("nothing that was finished is lost; please report this with what you did before")
}

/// Work that was started; whoever holds it takes the result.
pub struct Handle<T> {
    seen: Arc<Seen>,
    take: Receiver<Result<T>>,
}

impl<T> Handle<T> {
    /// The result, once, when it is there.
    ///
    /// The error has been, or will be, told by [`Jobs::take_failures`]; whoever polls need not show it again.
    pub fn poll(&mut self) -> Option<Result<T>> {
        self.take.try_recv().ok()
    }

    /// Number of the job in [`Jobs::list`].
    #[must_use]
    pub fn id(&self) -> u64 {
        self.seen.id()
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.seen.progress()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.seen.progress().state == State::Running
    }

    /// Asks it to stop; what it finished is kept.
    pub fn stop(&self) {
        self.seen.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn wait<T>(handle: &mut Handle<T>) -> Result<T> {
        loop {
            if let Some(result) = handle.poll() {
                return result;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn results_failures_and_stops_arrive_once() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let mut jobs = Jobs::new(Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let mut good = jobs.start("good", |w| {
            w.warn("a frame is missing");
            Ok(7)
        });
        assert_eq!(wait(&mut good).unwrap(), 7);
        assert!(good.poll().is_none());
        assert_eq!(jobs.take_warnings(), [("good".to_owned(), "a frame is missing".to_owned())]);
        assert!(jobs.take_warnings().is_empty());

        let mut bad = jobs.start("bad", |_| -> Result<()> { Err(Error::new(Kind::Io, "the disk is gone")) });
        assert!(wait(&mut bad).is_err());
        assert_eq!(jobs.take_failures(), [("bad".to_owned(), "the disk is gone".to_owned())]);
        assert!(jobs.take_failures().is_empty());

        let mut endless = jobs.start("endless", |w| -> Result<()> {
            loop {
                w.check()?;
                std::thread::yield_now();
            }
        });
        assert!(endless.is_running());
        jobs.stop(endless.id());
        assert_eq!(wait(&mut endless).unwrap_err().kind(), Kind::Cancelled);
        assert_eq!(endless.progress().state, State::Stopped);
        assert!(jobs.take_failures().is_empty(), "a stop that was asked for is no failure");
        assert!(woken.load(Ordering::SeqCst) >= 3);
    }

    #[test]
    fn a_panic_is_a_failure_of_that_job_alone() {
        let mut jobs = Jobs::new(Arc::new(|| {}));
        let mut broken = jobs.start_quiet("broken", |_| -> Result<()> { panic!("index out of bounds") });
        assert!(wait(&mut broken).unwrap_err().what().contains("index out of bounds"));
        assert_eq!(jobs.list().len(), 1, "quiet work that fails is listed");
        jobs.clear_ended();
        assert!(jobs.list().is_empty());
    }
}
