//! limn: markerless pose estimation on DeepLabCut project folders, in one native program.
//!
//! The rooms, from the ground up (a room knows only those below it; `ARCHITECTURE.md` has the whole picture):
//!
//! | floor | rooms |
//! |---|---|
//! | 6 | `cli`, `gui` |
//! | 5 | `demo`, `show`, [`jobs`] |
//! | 4 | `train`, `infer`, [`labeling`], [`synth`], [`track`] |
//! | 3 | `project`, `net`, [`camera`] |
//! | 2 | `frames`, `formats`, `video`, `draw` |
//! | 1 | [`pose`], [`picture`], [`error`], [`files`], [`watch`] |
//!
//! ```
//! use limn::pose::{Keypoint, Skeleton};
//! let skeleton = Skeleton::single(["snout", "tailbase"]);
//! assert_eq!(skeleton.points(), 2);
//! assert!((Keypoint::new(0.0, 3.0).distance(Keypoint::new(4.0, 0.0)) - 5.0).abs() < 1e-12);
//! ```

pub mod camera;
pub mod cli;
#[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
pub mod demo;
pub mod draw;
pub mod error;
pub mod files;
pub mod formats;
pub mod frames;
#[cfg(feature = "gui")]
pub mod gui;
#[cfg(feature = "torch")]
pub mod infer;
pub mod jobs;
pub mod labeling;
#[cfg(feature = "torch")]
pub mod net;
pub mod picture;
pub mod pose;
pub mod project;
mod sealed;
pub mod show;
pub mod synth;
pub mod track;
#[cfg(feature = "torch")]
pub mod train;
#[cfg(feature = "video")]
pub mod video;
pub mod watch;

pub use error::{Error, Kind, Result};

/// The program's version, as written into every file limn makes.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
