//! How many frames to compute at once: measured, once for each machine, network and size of frames.

use super::engine::Engine;
use crate::error::{Kind, Result};
use crate::files;
use crate::net::{Device, Frames, Look, Window};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Larger batches must be this much faster to be worth their memory.
const GAIN: f64 = 1.04;
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
    let (mut best, mut best_each) = (1, f64::INFINITY);
    let mut batch = 1;
    while batch <= most {
        watch.check()?;
        let each = match per_frame(engine, (w, h), crop, look, batch) {
            Ok(each) => each,
            Err(e) if e.kind() == Kind::Memory && batch > 1 => break,
            Err(e) => return Err(e),
        };
        if each * GAIN < best_each {
            (best, best_each) = (batch, each);
        } else if batch > 2 * best {
            break; // twice larger and still no better
        }
        batch *= 2;
    }
    Ok(best)
}

/// Seconds a frame, the better of several tries.
#[allow(clippy::cast_precision_loss)] // a count
fn per_frame(
    engine: &Engine,
    (w, h): (usize, usize),
    crop: Option<Window>,
    look: Look,
    batch: usize,
) -> Result<f64> {
    let predictor = engine.predictor();
    let mut frames = Frames::new(batch, w, h, predictor.net().device())?;
    while frames.push().is_some() {}
    let windows: Vec<Window> = crop.into_iter().cycle().take(batch).collect();
    let once = || predictor.submit(&frames, 0..batch, &windows, look)?.wait().map(drop);
    once()?; // the first one prepares
    let (began, mut best) = (Instant::now(), f64::INFINITY);
    for _ in 0..5 {
        let clock = Instant::now();
        once()?;
        best = best.min(clock.elapsed().as_secs_f64());
        if began.elapsed() > Duration::from_millis(700) {
            break;
        }
    }
    Ok(best / batch as f64)
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
