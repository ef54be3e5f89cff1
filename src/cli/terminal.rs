//! The terminal as a watcher: progress bars, notes and warnings on standard error, Ctrl-C as the wish to stop.

use crate::watch::Watch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static STOP: AtomicBool = AtomicBool::new(false);

/// Shows work on standard error; nothing it writes goes to standard output.
pub struct Terminal {
    quiet: bool,
    json: bool,
    /// Stages within stages; the last one is shown.
    bars: Mutex<Vec<ProgressBar>>,
    warnings: Mutex<Vec<String>>,
}

impl Terminal {
    /// A terminal that hears Ctrl-C: the first asks the work to stop, the second ends the program at once.
    #[must_use]
    pub fn new(quiet: bool, json: bool) -> Self {
        let heard = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            complain("\nstopping, what is finished is kept; press Ctrl-C again to end at once");
        });
        if let Err(e) = heard {
            tracing::debug!("Ctrl-C cannot be caught: {e}");
        }
        Self { quiet, json, bars: Mutex::default(), warnings: Mutex::default() }
    }

    /// Whether Ctrl-C was pressed, or the system asked the program to end.
    #[must_use]
    pub fn asked_to_stop() -> bool {
        STOP.load(Ordering::SeqCst)
    }

    /// Whether `--json` was given.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// All warnings so far, each once.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes all bars away, when the work is over or failed.
    pub fn clear(&self) {
        for bar in self.bars.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            bar.finish_and_clear();
        }
    }

    fn bar(&self) -> Option<ProgressBar> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    fn say(&self, line: &str) {
        match self.bar() {
            Some(bar) => bar.suspend(|| complain(line)),
            None => complain(line),
        }
    }
}

/// A line on standard error; nobody being there to read it is no reason to fail, as `eprintln!` would.
pub(super) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl Watch for Terminal {
    fn begin(&self, stage: &str, total: Option<u64>) {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        let form = if total.is_some() {
            "{prefix} {bar:24} {human_pos}/{human_len}  {per_sec}  {eta} left  {wide_msg}"
        } else {
            "{prefix} {spinner} {human_pos}  {per_sec}  {elapsed}  {wide_msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).push(bar);
    }

    fn advance(&self, units: u64) {
        if let Some(bar) = self.bar() {
            bar.inc(units);
        }
    }

    fn status(&self, text: &str) {
        if let Some(bar) = self.bar() {
            bar.set_message(text.to_owned());
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    fn warn(&self, text: &str) {
        {
            let mut said = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if said.iter().any(|s| s == text) {
                return;
            }
            said.push(text.to_owned());
        }
        self.say(&format!("warning: {text}"));
    }

    fn end(&self) {
        let bar = self.bars.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn stopped(&self) -> bool {
        Self::asked_to_stop()
    }
}
