use super::engine::Engine;
use super::stages::{Clock, Limit, Seen, Stages};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::{dlc_h5, dlc_tracks_csv};
use crate::picture::Picture;
use crate::pose::Tracks;
use crate::video::{Index, Reader};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Batches that wait decoded; more would only cost memory.
const AHEAD: usize = 2;
/// So many undecodable frames are named one by one.
const NAMED: usize = 5;

/// How to analyze.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Where results go; beside the video when not given.
    pub out: Option<PathBuf>,
    /// Frames per batch; chosen by the size of the frames when not given.
    pub batch: Option<usize>,
    /// Analyze again what is finished.
    pub force: bool,
}

/// What came of a video.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    /// The video.
    pub video: PathBuf,
    /// Rows written: the frames of the video.
    pub frames: usize,
    /// Frames that could not be decoded; their rows are NaN.
    pub missing: usize,
    /// Frames per second, decoding and writing included; 0 when it was finished before.
    pub fps: f64,
    /// The tracks, as pandas reads them.
    pub h5: PathBuf,
    /// The same as a table.
    pub csv: PathBuf,
    /// The time of every frame in seconds, and whether it was decoded.
    pub times: PathBuf,
    /// Device and number format.
    pub device: String,
    /// It was finished before with the same model and video, and left as it is.
    pub skipped: bool,
    /// Which stage took how much of the time; `None` when nothing was computed.
    pub stages: Option<Stages>,
}

/// Written beside the tracks: what made them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    schema: u32,
    program: String,
    pub(super) scorer: String,
    model: String,
    pub(super) video: String,
    video_bytes: u64,
    pub(super) frames: usize,
    pub(super) missing: usize,
    pub(super) fps_of_video: f64,
    width: usize,
    height: usize,
    pub(super) device: String,
}

/// One video to tracks: CSV and HDF5 in DeepLabCut's layout, named `<video stem><scorer>`, the frames' times, and a
/// note of what made them.
///
/// A video already analyzed with this very model is left alone unless `force` is given. Results appear whole at the
/// end or not at all.
///
/// # Errors
/// When the video cannot be read, the folder cannot be written, or somebody asked to stop ([`Kind::Cancelled`]).
pub fn analyze(engine: &Engine, video: &Path, request: &Request, watch: &dyn Watch) -> Result<Analysis> {
    analyze_seen(engine, video, request, watch, &|_| ())
}

/// As [`analyze`], telling `seen` about twice a second how far it is and what limits it. Called from the computing
/// thread: answer at once.
///
/// # Errors
/// As [`analyze`].
pub fn analyze_seen(
    engine: &Engine,
    video: &Path,
    request: &Request,
    watch: &dyn Watch,
    seen: &dyn Fn(&Seen),
) -> Result<Analysis> {
    let index = Arc::new(Index::open(video, watch)?);
    let out = request.out.clone().unwrap_or_else(|| files::folder_of(video));
    files::make_folder(&out)?;
    let path = |end: &str| result_path(&out, video, &engine.card().scorer, end);
    let mut done = Analysis {
        video: video.to_owned(),
        frames: index.len(),
        missing: 0,
        fps: 0.0,
        h5: path(".h5"),
        csv: path(".csv"),
        times: path("_times.csv"),
        device: engine.device().to_owned(),
        skipped: false,
        stages: None,
    };
    let mut meta = Meta {
        schema: 1,
        program: format!("limn {}", crate::VERSION),
        scorer: engine.card().scorer.clone(),
        model: engine.identity().to_owned(),
        video: video.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        video_bytes: index.bytes(),
        frames: index.len(),
        missing: 0,
        fps_of_video: index.fps(),
        width: index.width(),
        height: index.height(),
        device: engine.device().to_owned(),
    };
    let meta_path = path("_meta.yaml");
    if !request.force
        && let Some(old) = finished(&done, &meta_path, &meta)
    {
        watch.note(&format!("{}: already analyzed with this model (--force does it again)", video.display()));
        return Ok(Analysis { skipped: true, missing: old.missing, device: old.device, ..done });
    }
    if request.batch == Some(0) {
        return Err(
            Error::new(Kind::Usage, "a batch of 0 frames is none").mend("give --batch a number above 0")
        );
    }
    files::must_be_writable(&out)?; // better heard now than after hours
    let clock = Instant::now();
    let (tracks, missing, stages) = track(engine, &index, request, watch, seen)?;
    done.stages = Some(stages);
    meta.missing = missing.len();
    done.missing = missing.len();
    let text = serde_yaml::to_string(&meta)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the analysis' note: {e}")))?;
    // The note last, so that it vouches for all the others.
    files::write_together([&done.times, &done.csv, &done.h5, &meta_path], |[times, csv, h5, note]| {
        write_times(times, &index, &missing)?;
        dlc_tracks_csv::write(csv, &meta.scorer, &tracks)?;
        dlc_h5::write_tracks(h5, &meta.scorer, &tracks)?;
        files::write_whole(note, text.as_bytes())?;
        // The old note must not vouch for new tracks, should we be stopped between the two.
        if meta_path.exists() {
            std::fs::remove_file(&meta_path).map_err(|e| Error::io("replace the note", &meta_path, e))?;
        }
        Ok(())
    })?;
    #[allow(clippy::cast_precision_loss)]
    let frames = done.frames as f64;
    done.fps = frames / clock.elapsed().as_secs_f64().max(1e-9);
    Ok(done)
}

/// `<out>/<video stem><scorer><end>`, where DeepLabCut looks for results.
#[must_use]
pub fn result_path(out: &Path, video: &Path, scorer: &str, end: &str) -> PathBuf {
    let stem = video.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    out.join(format!("{stem}{scorer}{end}"))
}

/// The note of an earlier analysis with the same model of the same video, if all its files are there.
fn finished(done: &Analysis, note: &Path, now: &Meta) -> Option<Meta> {
    if ![&done.h5, &done.csv, &done.times].iter().all(|p| p.exists()) {
        return None;
    }
    let old: Meta = serde_yaml::from_str(&std::fs::read_to_string(note).ok()?).ok()?;
    let same = old.model == now.model && old.video_bytes == now.video_bytes && old.frames == now.frames;
    same.then_some(old)
}

/// What goes from the decoder to the network: pictures with their frame numbers, and frames that were not to be had.
#[derive(Default)]
struct Batch {
    pictures: Vec<Picture>,
    numbers: Vec<usize>,
    missing: Vec<(usize, String)>,
}

fn track(
    engine: &Engine,
    index: &Arc<Index>,
    request: &Request,
    watch: &dyn Watch,
    seen: &dyn Fn(&Seen),
) -> Result<(Tracks, Vec<usize>, Stages)> {
    let size = request.batch.unwrap_or_else(|| good_batch(index.width(), index.height())).max(1);
    let mut tracks = Tracks::new(engine.card().skeleton(), index.len());
    let mut missing = Vec::new();
    let name = index.path().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    watch.begin(&format!("analyze {name}"), Some(index.len() as u64));
    watch.status(engine.device());
    let clock = Clock::new(index.len());
    let result = std::thread::scope(|scope| {
        let (send, receive) = sync_channel(AHEAD);
        let index = Arc::clone(index);
        let waits = &clock;
        let decoder = scope.spawn(move || decode(index, size, &send, waits));
        let mut tell = |now: Seen| {
            let by = if now.stages.limit == Limit::Decoding { "decoding" } else { "computing" };
            watch.status(&format!("{}, limited by {by}", engine.device()));
            seen(&now);
        };
        let result =
            consume(engine, &name, &receive, (&mut tracks, &mut missing), (&clock, &mut tell), watch);
        drop(receive); // lets the decoder end when we stop early
        let decoded = decoder
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Video, "the decoding thread ended unexpectedly")));
        result.and(decoded)
    });
    watch.end();
    result?;
    if missing.len() > NAMED {
        watch.warn(&format!(
            "{name}: {} frames in all could not be decoded; their rows are empty",
            missing.len()
        ));
    }
    Ok((tracks, missing, clock.stages()))
}

fn decode(index: Arc<Index>, size: usize, send: &SyncSender<Batch>, clock: &Clock) -> Result<()> {
    let (w, h) = (index.width(), index.height());
    let mut reader = Reader::with_index(index)?;
    let mut batch = Batch::default();
    let mut picture = Picture::new(w, h);
    while let Some(step) = reader.next_into(&mut picture)? {
        match step.missing {
            None => {
                batch.numbers.push(step.frame);
                batch.pictures.push(std::mem::replace(&mut picture, Picture::new(w, h)));
            }
            Some(reason) => batch.missing.push((step.frame, reason)),
        }
        if batch.numbers.len() + batch.missing.len() >= size {
            let full = std::mem::take(&mut batch);
            if clock.decoder_waits(|| send.send(full)).is_err() {
                return Ok(()); // nobody wants more
            }
        }
    }
    let _ = clock.decoder_waits(|| send.send(batch));
    clock.decoded();
    Ok(())
}

fn consume(
    engine: &Engine,
    name: &str,
    receive: &Receiver<Batch>,
    (tracks, missing): (&mut Tracks, &mut Vec<usize>),
    (clock, tell): (&Clock, &mut dyn FnMut(Seen)),
    watch: &dyn Watch,
) -> Result<()> {
    while let Ok(batch) = clock.network_waits(|| receive.recv()) {
        let frames = batch.numbers.len() + batch.missing.len();
        watch.check()?;
        for (frame, reason) in batch.missing {
            if missing.len() < NAMED {
                watch.warn(&format!("{name}: frame {frame} cannot be decoded ({reason}); its row is empty"));
            }
            missing.push(frame);
            watch.advance(1);
        }
        if batch.pictures.is_empty() {
            clock.advance(frames).map(&mut *tell);
            continue;
        }
        let pictures: Vec<&Picture> = batch.pictures.iter().collect();
        let peaks = engine.predictor().predict(&pictures)?;
        for (i, &frame) in batch.numbers.iter().enumerate() {
            for point in 0..peaks.points() {
                if let Some((at, likelihood)) = peaks.get(i, point) {
                    tracks.set(frame, point, at, likelihood);
                }
            }
        }
        watch.advance(batch.numbers.len() as u64);
        clock.advance(frames).map(&mut *tell);
    }
    Ok(())
}

/// About two megapixels at a time: more gains nothing on a CPU, and memory stays small.
fn good_batch(width: usize, height: usize) -> usize {
    ((2 << 20) / (width * height).max(1)).clamp(1, 32)
}

fn write_times(path: &Path, index: &Index, missing: &[usize]) -> Result<()> {
    let mut gaps = missing.iter().copied().peekable();
    let mut text = String::from("frame,time_s,decoded\n");
    for frame in 0..index.len() {
        let decoded = u8::from(gaps.next_if_eq(&frame).is_none());
        let time = index.time(frame).unwrap_or(f64::NAN);
        text.push_str(&format!("{frame},{time:.6},{decoded}\n"));
    }
    files::write_whole(path, text.as_bytes())
}

/// Reads the tracks that [`analyze`] wrote for a video.
///
/// # Errors
/// When there are none, or they cannot be read.
pub fn tracks_of(video: &Path, out: Option<&Path>, scorer: &str, watch: &dyn Watch) -> Result<Tracks> {
    crate::watch::may_wait("reading tracks");
    let folder = out.map_or_else(|| files::folder_of(video), Path::to_owned);
    let path = result_path(&folder, video, scorer, ".h5");
    if !path.exists() {
        return Err(Error::new(Kind::NotFound, "this video has not been analyzed with this model")
            .at(path.display())
            .mend("run `limn analyze` on it first"));
    }
    dlc_h5::read_tracks(&path, watch).map(|(_, tracks)| tracks)
}
