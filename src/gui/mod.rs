//! The desktop application: an egui window on wgpu, with nothing in it that waits.
//!
//! | part | what it is |
//! |---|---|
//! | [`Window`] | the frame around all views: bars, jobs, messages, palette, shortcuts |
//! | [`Desk`] | what every view is handed: the open project, jobs, messages, dialogs, preferences, this pass's actions |
//! | `views/` | one file a screen; each has `ui(&mut self, &mut Ui, &mut Desk)` |
//! | `widgets/` | what several screens use, such as the [canvas](widgets::canvas) |
//! | [`pictures`] | pictures of files, loaded off the window's thread |
//! | [`keys`] | every action with its keys; views ask [`keys::Fired`] and never look at keys themselves |
//! | [`theme`] | colours by meaning; views mix none of their own |
//!
//! Rules: the window's thread reads no file, decodes no picture and computes nothing long; such work is a
//! [job](crate::jobs) or a thread that wakes the window ([`crate::watch::may_wait`] finds offenders, and tests assert
//! that there are none). Every control has a name that a screen reader can say; everything but placing points can be
//! done by keys.
//!
//! Stories through the window's own events are in `tests/gui/`, one module a screen, all in one program so that it is
//! linked once; `tests/gui/common.rs` opens windows and waits for them.
//!
//! ```no_run
//! limn::gui::run(None, None, limn::gui::Renderer::Auto, || false)?;
//! # Ok::<(), limn::Error>(())
//! ```

mod desk;
pub mod dialogs;
pub mod keys;
mod leaving;
pub mod notices;
mod palette;
pub mod pictures;
pub mod prefs;
mod run;
mod status;
pub mod theme;
mod top_bar;
pub mod views;
pub mod widgets;
mod window;

pub use desk::{Contents, Desk, OpenProject, Place};
pub use run::{Renderer, run};
pub use window::{Start, Window};

/// Takes what a thread and the window share; after a thread that panicked, as it left it.
fn lock<T>(of: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
