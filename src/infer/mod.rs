//! From a video and a model bundle to tracks on disk.
//!
//! A thread decodes while the network computes; between them stands a bounded queue. One row is written per frame of
//! the video, in order; a frame that cannot be decoded gives a row of NaN and a warning, never a shift.
//!
//! ```no_run
//! use limn::infer::{Analysis, Engine, Request};
//! use limn::watch::Quiet;
//! let engine = Engine::load("mouse-bundle".as_ref(), "auto", None)?;
//! let request = Request { out: None, batch: None, force: false };
//! let done: Analysis = limn::infer::analyze(&engine, "m1.mp4".as_ref(), &request, &Quiet::default())?;
//! println!("{} frames at {:.1} per second: {}", done.frames, done.fps, done.h5.display());
//! # Ok::<(), limn::Error>(())
//! ```

mod engine;
pub use engine::Engine;

#[cfg(all(feature = "video", feature = "hdf5"))]
mod analyze;
#[cfg(all(feature = "video", feature = "hdf5"))]
mod results;
#[cfg(all(feature = "video", feature = "hdf5"))]
mod stages;
#[cfg(all(feature = "video", feature = "hdf5"))]
pub use analyze::{Analysis, Request, analyze, analyze_seen, result_path, tracks_of};
#[cfg(all(feature = "video", feature = "hdf5"))]
pub use results::{Loaded, ResultFacts, load, results, results_in};
#[cfg(all(feature = "video", feature = "hdf5"))]
pub use stages::{Limit, Seen, Stages};
