//! From a video and a model bundle to tracks on disk.
//!
//! A thread decodes while the network computes; between them stands a bounded queue. One row is written per frame of
//! the video, in order; a frame that cannot be decoded gives a row of NaN and a warning, never a shift.
//!
//! ```no_run
//! use limn::infer::{Analysis, Engine, Request};
//! use limn::watch::Quiet;
//! let engine = Engine::load("mouse-bundle".as_ref(), "auto", None)?;
//! let request = Request::default();
//! let done: Analysis = limn::infer::analyze(&engine, "m1.mp4".as_ref(), &request, &Quiet::default())?;
//! println!("{} frames at {:.1} per second: {}", done.frames, done.fps, done.h5.display());
//! # Ok::<(), limn::Error>(())
//! ```

mod batch;
mod bench;
mod engine;
mod follow;
mod pipeline;
mod source;
mod stages;
#[cfg(feature = "video")]
pub use bench::{Decoding, decoding, measure_video};
pub use bench::{Length, Measured, StageFps, measure_synthetic};
pub use engine::Engine;
pub use follow::Follow;
#[cfg(feature = "video")]
pub use input::holds_pictures;
pub use source::{Given, Paint, Source, Synthetic};
pub use stages::{Limit, Seen, Stages};

#[cfg(all(feature = "video", feature = "hdf5"))]
mod analyze;
#[cfg(feature = "video")]
mod input;
#[cfg(all(feature = "video", feature = "hdf5"))]
mod plan;
#[cfg(all(feature = "video", feature = "hdf5"))]
mod results;
#[cfg(all(feature = "video", feature = "hdf5"))]
mod store;
#[cfg(all(feature = "video", feature = "hdf5"))]
pub use analyze::{Analysis, Request, analyze, analyze_seen};
#[cfg(all(feature = "video", feature = "hdf5"))]
pub use results::{Loaded, ResultFacts, load, result_path, results, results_in, tracks_of};
