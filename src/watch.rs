//! How long work speaks to whoever watches it, and hears that it should stop.
//!
//! The command line draws progress bars from this, the window a jobs panel; the rooms below know neither.
//!
//! ```
//! use limn::watch::{Quiet, Watch};
//! let watch = Quiet::default();
//! watch.begin("frames", Some(10));
//! watch.advance(10);
//! watch.check()?; // an error once somebody asked to stop
//! # Ok::<(), limn::Error>(())
//! ```

use crate::error::{Error, Result};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

thread_local! {
    static MUST_NOT_WAIT: Cell<bool> = const { Cell::new(false) };
}

static WAITED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs `pass` as work that must not wait: a window's pass, during which nothing may read a file, decode a picture or
/// compute at length. Whatever does so all the same is found in [`waited`].
pub fn without_waiting<T>(pass: impl FnOnce() -> T) -> T {
    let before = MUST_NOT_WAIT.replace(true);
    let result = pass();
    MUST_NOT_WAIT.set(before);
    result
}

/// Said at the start of everything that may take long: files, decoding, networks.
pub fn may_wait(what: &str) {
    if MUST_NOT_WAIT.get() {
        tracing::warn!("the window waits for this: {what}");
        if let Ok(mut all) = WAITED.lock() {
            all.push(what.to_owned());
        }
    }
}

/// What windows of this process have waited for against the rule, oldest first.
#[must_use]
pub fn waited() -> Vec<String> {
    WAITED.lock().map(|w| w.clone()).unwrap_or_default()
}

/// Called from any thread when there is something new to look at; a window asks for a repaint there.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Somebody who watches long work.
pub trait Watch: Sync {
    /// A stage of the work begins; `total` units of it are expected when that is known.
    fn begin(&self, stage: &str, total: Option<u64>);
    /// So many units more are done.
    fn advance(&self, units: u64);
    /// A short text that goes with the progress: loss, device, what limits the speed.
    fn status(&self, text: &str);
    /// Something to tell that is no fault ("split by video").
    fn note(&self, text: &str);
    /// Something the user must know although the work goes on ("frame 17 could not be decoded").
    fn warn(&self, text: &str);
    /// The stage is over.
    fn end(&self);
    /// Whether somebody asked to stop.
    fn stopped(&self) -> bool;

    /// An error once somebody asked to stop.
    ///
    /// # Errors
    /// [`crate::Kind::Cancelled`].
    fn check(&self) -> Result<()> {
        if self.stopped() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// A watcher that shows nothing and keeps the warnings, for tests and for work nobody looks at.
#[derive(Debug, Default)]
pub struct Quiet {
    warnings: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Quiet {
    /// The warnings so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().map(|w| w.clone()).unwrap_or_default()
    }

    /// Asks the work to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Watch for Quiet {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn advance(&self, _units: u64) {}
    fn status(&self, _text: &str) {}
    fn note(&self, _text: &str) {}
    fn warn(&self, text: &str) {
        if let Ok(mut w) = self.warnings.lock() {
            w.push(text.to_owned());
        }
    }
    fn end(&self) {}
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
