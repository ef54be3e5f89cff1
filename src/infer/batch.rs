//! How many frames to compute at once: measured, once for each machine, network and size of frames.

use super::engine::Engine;
use crate::error::{Kind, Result};
use crate::files;
use crate::net::{Device, Frames, Look, Window};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The smallest batch is taken that is at most this much slower than the fastest.
const WITHIN: f64 = 1.01;
/// Every size is tried so often.
const ROUNDS: usize = 3;
/// No more than this is spent on it.
const LONGEST: Duration = Duration::from_secs(8);
/// Bytes that a network needs for each pixel it looks at, roughly: the widest layers of all networks here.
const PER_PIXEL: usize = 256;
/// What a batch may need on a CPU.
const CPU_BYTES: usize = 1 << 30;
const MOST: usize = 256;

/// The batch size that is fastest within the memory bound. What was measured is kept in the user's cache, so that the
/// same command always computes the same.
///
/// # Errors
/// When the network cannot compute even one frame, or somebody asked to stop.
pub(super) fn choose(
    engine: &Engine,
    size: (usize, usize),
    crop: Option<Window>,
    look: Look,
    watch: &dyn Watch,
) -> Result<usize> {
    let seen = crop.map_or(size, |c| (c.width, c.height));
    let key = format!(
        "{} | {} | {} | {}x{} of {}x{} by {}",
        crate::VERSION,
        engine.device(),
        engine.shape(),
        seen.0,
        seen.1,
        size.0,
        size.1,
        look.resize
    );
    let mut known = read();
    if let Some(batch) = known.get(&key) {
        return Ok((*batch).clamp(1, MOST));
    }
    let batch = measure(engine, size, crop, look, watch)?;
    known.insert(key, batch);
    write(&known);
    Ok(batch)
}

fn measure(
    engine: &Engine,
    (w, h): (usize, usize),
    crop: Option<Window>,
    look: Look,
    watch: &dyn Watch,
) -> Result<usize> {
    let device = engine.predictor().net().device();
    let pixels = crop.map_or(w * h, |c| c.width * c.height);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let pixels = (pixels as f64 * look.resize * look.resize) as usize;
    let bytes = match device {
        Device::Cuda(_) => engine.memory().unwrap_or(4 << 30) / 4,
        _ => CPU_BYTES,
    };
    let most = (bytes / (pixels * PER_PIXEL).max(1)).clamp(1, MOST);
    watch.status("choosing how many frames to compute at once");
    let mut sizes: Vec<(usize, f64)> = Vec::new();
    let mut batch = 1;
    let began = Instant::now();
    // In rounds, so that a disturbance does not hit one size alone.
    for round in 0..ROUNDS {
        while round == 0 && batch <= most {
            watch.check()?;
            match Try::new(engine, (w, h), crop, look, batch).and_then(|t| t.seconds_a_frame(2)) {
                Ok(each) => sizes.push((batch, each)),
                Err(e) if e.kind() == Kind::Memory && batch > 1 => break,
                Err(e) => return Err(e),
            }
            let fastest = sizes.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
            // Twice larger than the fastest and clearly slower: larger ones are no better.
            if sizes.last().is_some_and(|s| s.1 > 1.25 * fastest) || began.elapsed() > LONGEST {
                break;
            }
            batch *= 2;
        }
        for (batch, each) in &mut sizes {
            watch.check()?;
            if round > 0 && began.elapsed() < LONGEST {
                *each = each.min(Try::new(engine, (w, h), crop, look, *batch)?.seconds_a_frame(1)?);
            }
        }
    }
    let fastest = sizes.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
    Ok(sizes.into_iter().find(|s| s.1 <= fastest * WITHIN).map_or(1, |s| s.0))
}

/// A batch to try.
struct Try<'a> {
    engine: &'a Engine,
    frames: Frames,
    windows: Vec<Window>,
    look: Look,
}

impl<'a> Try<'a> {
    fn new(
        engine: &'a Engine,
        (w, h): (usize, usize),
        crop: Option<Window>,
        look: Look,
        batch: usize,
    ) -> Result<Self> {
        let mut frames = Frames::new(batch, w, h, engine.predictor().net().device())?;
        while frames.push().is_some() {}
        Ok(Self { engine, frames, windows: crop.into_iter().cycle().take(batch).collect(), look })
    }

    /// The better of several tries, after one that prepares.
    #[allow(clippy::cast_precision_loss)] // a count
    fn seconds_a_frame(&self, tries: usize) -> Result<f64> {
        let count = self.frames.len();
        let once = || -> Result<f64> {
            let clock = Instant::now();
            self.engine.predictor().submit(&self.frames, 0..count, &self.windows, self.look)?.wait()?;
            Ok(clock.elapsed().as_secs_f64())
        };
        once()?;
        let mut best = f64::INFINITY;
        for _ in 0..tries {
            best = best.min(once()?);
        }
        Ok(best / count as f64)
    }
}

fn path() -> Option<PathBuf> {
    files::cache_folder().map(|d| d.join("batch-sizes.json"))
}

/// What was measured before; a file that cannot be read is measured anew.
fn read() -> BTreeMap<String, usize> {
    path()
        .and_then(|p| std::fs::read_to_string(p).ok())
        .and_then(|t| serde_json::from_str(&t).ok())
        .unwrap_or_default()
}

/// Not being able to keep it costs only time.
fn write(known: &BTreeMap<String, usize>) {
    let Some(path) = path() else { return };
    let kept = serde_json::to_string_pretty(known).map_err(std::io::Error::other).and_then(|text| {
        files::make_folder(&files::folder_of(&path)).map_err(std::io::Error::other)?;
        files::write_whole(&path, text.as_bytes()).map_err(std::io::Error::other)
    });
    if let Err(e) = kept {
        tracing::debug!("{} cannot be written: {e}", path.display());
    }
}
