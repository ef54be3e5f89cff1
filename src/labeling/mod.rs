//! A person's label edits, as a window makes them: shown at once, safe on disk a moment later, undone and done again
//! without limit.
//!
//! [`Session`] is the window's handle. None of its calls waits for a disk: a thread of its own, the keeper, owns the
//! [`crate::project::LabelStore`] and does all reading and writing; its answers come in with [`Session::poll`].
//!
//! ```
//! use limn::labeling::{Session, State};
//! use limn::pose::{FrameKey, Keypoint};
//! use limn::project::{NewProject, PointEdit, Project, VideoMode};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let new = NewProject::single("reaching", "Ada", ["hand"]);
//! let project = Project::create(dir.path(), &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &Quiet::default())?;
//! let mut session = Session::open(&project, std::sync::Arc::new(|| {})); // a window asks for a repaint there
//! while matches!(session.state(), State::Opening) {
//!     session.poll(); // a window does this in every pass
//! }
//! let key = FrameKey::new("m1", "img0007.png");
//! session.edit("place hand", vec![PointEdit::new(key.clone(), 0, Keypoint::new(12.5, 30.0))]);
//! assert_eq!(session.labels().frames[&key].labeled(), 1); // shown at once
//! assert_eq!(session.undo().map(|step| step.what).as_deref(), Some("place hand"));
//! session.close()?; // waits until all is on disk
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod keeper;
mod session;
#[cfg(test)]
mod tests;

pub use crate::project::{BodypartChange, Conflict, ConflictPoint, Hidden, Mark, PointEdit, Severity};
pub use crate::watch::Wake;
pub use session::{Resolution, Safety, Session, State, Step};

/// Something to tell the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How bad it is.
    pub severity: Severity,
    /// What happened, what was kept, what to do next.
    pub text: String,
}

impl Notice {
    pub(crate) fn new(severity: Severity, text: impl Into<String>) -> Self {
        Self { severity, text: text.into() }
    }
}
