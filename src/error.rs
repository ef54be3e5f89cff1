//! Errors as values: every one says what happened, where, and how to mend it.
//!
//! One type serves the whole program, so that a message looks the same on the command line and in the window.
//!
//! ```
//! use limn::error::{Error, Kind};
//! let e = Error::new(Kind::NotFound, "the video does not exist")
//!     .at("videos/m1.mp4")
//!     .mend("check the path, or add the video with `limn add-videos`");
//! assert_eq!(e.kind(), Kind::NotFound);
//! assert!(e.to_string().contains("videos/m1.mp4"));
//! ```

use std::fmt;
use std::path::Path;

/// What sort of thing went wrong; callers and tests branch on this, people read the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A file, folder, body part or the like that was named is not there.
    NotFound,
    /// Something is in the way that would have to be overwritten.
    Exists,
    /// A project's configuration cannot be used as it is.
    Config,
    /// A label table cannot be used as it is.
    Labels,
    /// A video cannot be opened, decoded or written.
    Video,
    /// A file of another format (HDF5, weights, bundle, image) cannot be used.
    Format,
    /// The operating system refused to read or write.
    Io,
    /// The wanted computing device is not there or failed.
    Device,
    /// Pretrained weights are missing, damaged or of another network.
    Weights,
    /// A model bundle does not fit what it is used on.
    Bundle,
    /// Training or inference cannot go on.
    Compute,
    /// The memory of the computing device does not suffice.
    Memory,
    /// The request itself makes no sense.
    Usage,
    /// The user stopped the work; what was done is kept.
    Cancelled,
}

/// An error with the place it happened at and the way to mend it.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    what: String,
    place: Option<String>,
    mend: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error: `what` is one plain sentence without a full stop.
    #[must_use]
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, what: what.into(), place: None, mend: None, source: None }))
    }

    /// An operating-system error while doing `what` ("write the labels") at `path`, with a mend for the common causes.
    #[must_use]
    pub fn io(what: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let (kind, mend) = match source.kind() {
            K::NotFound => (Kind::NotFound, "check that the path is right and the disk is there"),
            K::PermissionDenied | K::ReadOnlyFilesystem => {
                (Kind::Io, "make the folder writable, or work on a copy of it")
            }
            K::StorageFull | K::QuotaExceeded => (Kind::Io, "free some space on this disk and run it again"),
            _ => (Kind::Io, "check the disk and try again"),
        };
        let said = source.to_string();
        // `tempfile` adds its temporary path, of which the user knows nothing.
        let said = said.split(" at path \"").next().unwrap_or_default();
        Self::new(kind, format!("cannot {what}: {said}"))
            .at(path.as_ref().display())
            .mend(mend)
            .because(source)
    }

    /// Adds where it happened: a path, `file:line`, a key or a frame. The first place named stays.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place.get_or_insert_with(|| place.to_string());
        self
    }

    /// Names `to` wherever the place and the message name `from`: for work in a temporary folder, of which the user
    /// knows nothing.
    #[must_use]
    pub fn relocated(mut self, from: &Path, to: &Path) -> Self {
        let (from, to) = (from.display().to_string(), to.display().to_string());
        self.0.what = self.0.what.replace(&from, &to);
        self.0.place = self.0.place.map(|p| p.replace(&from, &to));
        self
    }

    /// Adds how to mend it. The first mend named stays.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.0.mend.get_or_insert_with(|| mend.into());
        self
    }

    /// Adds the error underneath, for logs.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The sort of error.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What happened, without place and mend.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// Where it happened, when known.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// How to mend it, when known.
    #[must_use]
    pub fn how_to_mend(&self) -> Option<&str> {
        self.0.mend.as_deref()
    }

    /// The error of work stopped by the user.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "stopped on request; what was finished is kept")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.what)?;
        if let Some(place) = &self.0.place {
            write!(f, "\n  where: {place}")?;
        }
        if let Some(mend) = &self.0.mend {
            write!(f, "\n  mend:  {mend}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
