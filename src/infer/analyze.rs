use super::batch;
use super::engine::Engine;
use super::follow::Follow;
use super::input::{Input, PictureFrames, VideoFrames};
use super::pipeline::{self, CHUNK, NAMED};
use super::plan::{Plan, Settings};
use super::results::{Meta, result_path};
use super::stages::{Clock, Seen, Stages};
use super::store::{Found, Store, begun_with_batch, sweep};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::candidates::CandidatesH5;
use crate::formats::dlc_h5::TracksH5;
use crate::formats::dlc_tracks_csv::TracksCsv;
use crate::net::{Look, Spread, Window, spread_around};
use crate::pose::Keypoint;
use crate::video::Hardware;
use crate::watch::Watch;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How to analyze.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Where results go; beside the video when not given.
    pub out: Option<PathBuf>,
    /// Frames per batch; measured when not given.
    pub batch: Option<usize>,
    /// Analyze again what is finished, and begin unfinished ones anew.
    pub force: bool,
    /// Only these frames; the rows of the others are empty.
    pub frames: Option<Range<usize>>,
    /// Only this part of every frame. Positions stay those of the whole frame.
    pub crop: Option<Window>,
    /// Make frames this much smaller (or larger) for the network. Positions stay those of the frame as it is.
    pub resize: Option<f64>,
    /// Look only around the animal, and at the whole frame when it is lost.
    pub follow: Option<Follow>,
    /// How many places of each point are kept for later filters; with more than one they are written to a file of
    /// their own ([`crate::formats::candidates`]).
    pub candidates: Option<usize>,
    /// Take a video that breaks off as far as it goes.
    pub partial: bool,
    /// Decode with the graphics card.
    pub hardware: Hardware,
}

/// What came of a video.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    /// The video, or the folder of pictures.
    pub video: PathBuf,
    /// Rows written: the frames of the video.
    pub frames: usize,
    /// Frames that could not be decoded; their rows are NaN.
    pub missing: usize,
    /// Frames that an earlier, interrupted run had finished.
    pub resumed: usize,
    /// Frames per second of this run, decoding and writing included; 0 when it was finished before.
    pub fps: f64,
    /// The tracks, as pandas reads them.
    pub h5: PathBuf,
    /// The same as a table.
    pub csv: PathBuf,
    /// The time of every frame in seconds (or the name of every picture), and whether it was decoded.
    pub times: PathBuf,
    /// The candidates, when more than one of each point was asked for.
    pub candidates: Option<PathBuf>,
    /// The standard deviation of every point in pixels, from an ensemble.
    pub deviations: Option<PathBuf>,
    /// Device and number format.
    pub device: String,
    /// What decoded, in words.
    pub decoder: String,
    /// Frames computed at once.
    pub batch: usize,
    /// It was finished before with the same model, video and settings, and left as it is.
    pub skipped: bool,
    /// Which stage took how much of the time; `None` when nothing was computed.
    pub stages: Option<Stages>,
}

/// One video, or a folder of pictures, to tracks: CSV and HDF5 in DeepLabCut's layout, named `<video stem><scorer>`,
/// the frames' times, and a note of what made them.
///
/// What is computed is on disk after every 256 frames, in a folder `<video stem><scorer>_unfinished`. Stopped in
/// whatever way, the same call goes on there, and its results are those of an undisturbed run, bit for bit. They
/// appear whole at the end or not at all. A video already analyzed with this very model and these settings is left alone
/// unless `force` is given.
///
/// # Errors
/// When the video cannot be read, the folder cannot be written, another limn is at work on this video, or somebody
/// asked to stop ([`Kind::Cancelled`]).
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
    let input = Input::open(video, request.partial, watch)?;
    let settings = settings(request, &input, engine).map_err(|e| e.at(video.display()))?;
    let ensemble = engine.predictor().members() > 1;
    let out = request.out.clone().unwrap_or_else(|| files::folder_of(video));
    files::make_folder(&out)?;
    let path = |end: &str| result_path(&out, video, &engine.card().scorer, end);
    let mut done = Analysis {
        video: video.to_owned(),
        frames: input.frames(),
        missing: 0,
        resumed: 0,
        fps: 0.0,
        h5: path(".h5"),
        csv: path(".csv"),
        times: path("_times.csv"),
        candidates: (settings.candidates > 1 && !ensemble).then(|| path("_candidates.h5")),
        deviations: ensemble.then(|| path("_sd.csv")),
        device: engine.words(),
        decoder: String::new(),
        batch: 0,
        skipped: false,
        stages: None,
    };
    let meta = Meta::new(engine, video, &input, &settings);
    let note = path("_meta.yaml");
    // What an earlier run has finished, and whether that is what is wanted.
    let finished = |done: &Analysis| {
        [&done.h5, &done.csv, &done.times].iter().all(|p| p.exists()).then(|| Meta::read(&note)).flatten()
    };
    let vouched = |done: &Analysis| {
        let whole = [&done.candidates, &done.deviations].into_iter().flatten().all(|p| p.exists());
        finished(done).filter(|old| whole && old.vouches_for(&meta))
    };
    let left_alone = |done: Analysis, old: Meta| {
        watch.note(&format!("{}: already analyzed with this model (--force does it again)", video.display()));
        Analysis { skipped: true, missing: old.missing, device: old.device, ..done }
    };
    let unfinished = path("_unfinished");
    if !request.force
        && let Some(old) = vouched(&done)
    {
        sweep(&unfinished);
        return Ok(left_alone(done, old));
    }
    if !request.force
        && let Some(why) = finished(&done).and_then(|old| old.other_than(&meta))
    {
        return Err(Error::new(Kind::Exists, format!("there are results of {why} already"))
            .at(done.h5.display())
            .mend("--force (in the window: analyze again what is finished) replaces them, --out with another folder keeps both"));
    }
    if request.batch == Some(0) {
        return Err(
            Error::new(Kind::Usage, "a batch of 0 frames is none").mend("give --batch a number above 0")
        );
    }
    let name = video.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    watch.begin(&format!("analyze {name}"), Some((settings.frames[1] - settings.frames[0]) as u64));
    let result = (|| {
        let look = Look { resize: settings.resize, candidates: settings.candidates };
        let mut plan = Plan {
            program: format!("limn {}", crate::VERSION),
            model: engine.identity().to_owned(),
            video: input.fingerprint().to_owned(),
            points: engine.card().skeleton().points(),
            settings: settings.clone(),
            hwaccel: format!("{:?}", request.hardware),
            // Neither which of equal cards it is nor how many threads a CPU lends today.
            device: engine.device().split([',', '(']).next().unwrap_or_default().trim().to_owned(),
            precision: engine.precision().to_string(),
            batch: 0,
            chunk: CHUNK,
            forced: request.force,
        };
        plan.batch = match request.batch.or_else(|| begun_with_batch(&unfinished, &plan)) {
            Some(batch) => batch.min(CHUNK),
            None => batch::choose(engine, input.size(), settings.crop, look, watch)?,
        };
        done.batch = plan.batch;
        let mut store = open(&unfinished, &plan, &name, watch)?;
        // Another limn may have finished it while this one looked.
        if !request.force
            && let Some(old) = vouched(&done)
        {
            cleared(store, &note, watch);
            return Ok(left_alone(done, old));
        }
        done.resumed = store.next() - plan.first();
        watch.advance(done.resumed as u64);
        let began = Instant::now();
        let clock = Clock::new(plan.end() - plan.first(), done.resumed);
        let mut tell = |now: Seen| {
            watch.status(&format!("{}, limited by {}", engine.words(), now.stages.limit.word()));
            seen(&now);
        };
        watch.status(&engine.words());
        let (job, next) = (plan.job(&name), store.next());
        match &input {
            _ if next >= plan.end() => {}
            Input::Video(index) => {
                let source = VideoFrames::new(index, next, plan.end(), &request.hardware)?;
                done.decoder = source.decoder();
                pipeline::run(engine, &job, source, &mut store, &clock, watch, &mut tell)?;
            }
            Input::Pictures { paths, .. } => {
                let source = PictureFrames::new(paths, next, plan.end());
                pipeline::run(engine, &job, source, &mut store, &clock, watch, &mut tell)?;
            }
        }
        if store.next() < plan.end() {
            return Err(Error::new(
                Kind::Video,
                format!("the frames ended at {} of {}", store.next(), plan.end()),
            )
            .at(video.display())
            .mend("run it again; what is done is kept"));
        }
        done.stages = Some(clock.stages());
        done.missing = store.missing().len();
        let mut meta = Meta::new(engine, video, &input, &settings);
        meta.missing = done.missing;
        let others = [path("_candidates.h5"), path("_sd.csv")];
        finish(store, &plan, (engine, &input), (&done, &others), (&meta, &note), watch)?;
        #[allow(clippy::cast_precision_loss)]
        let computed = (plan.end() - plan.first() - done.resumed) as f64;
        done.fps = computed / began.elapsed().as_secs_f64().max(1e-9);
        Ok(done)
    })();
    watch.end();
    let done = result?;
    if done.missing > NAMED && !done.skipped {
        watch.warn(&format!(
            "{name}: {} frames in all could not be decoded; their rows are empty",
            done.missing
        ));
    }
    Ok(done)
}

/// What the request means for this video.
fn settings(request: &Request, input: &Input, engine: &Engine) -> Result<Settings> {
    let usage = |what: String, mend: &str| Err(Error::new(Kind::Usage, what).mend(mend));
    let frames = request.frames.clone().unwrap_or(0..input.frames());
    if frames.is_empty() || frames.end > input.frames() {
        return usage(
            format!(
                "frames {} to {} are not all in it: it has {}",
                frames.start,
                frames.end.saturating_sub(1),
                input.frames()
            ),
            "give --frames FIRST-LAST, counted from 0",
        );
    }
    let (w, h) = input.size();
    if let Some(c) = request.crop
        && (c.width == 0 || c.height == 0 || c.x + c.width > w || c.y + c.height > h)
    {
        return usage(
            format!(
                "the crop {},{},{},{} is not inside its frames of {w} x {h}",
                c.x,
                c.x + c.width,
                c.y,
                c.y + c.height
            ),
            "give --crop X1,X2,Y1,Y2 in pixels of the frame",
        );
    }
    let resize = request.resize.unwrap_or(1.0);
    if !(0.05..=4.0).contains(&resize) {
        return usage(
            format!("a resize by {resize} is not possible"),
            "give --resize a number from 0.05 to 4",
        );
    }
    if request.follow.is_some_and(|f| f.margin > 10_000) {
        return usage("that is no margin around an animal".into(), "give --crop-margin up to 10000 pixels");
    }
    let candidates = request.candidates.unwrap_or(1);
    if !(1..=64).contains(&candidates) {
        return usage(
            format!("{candidates} candidates are not possible"),
            "give --top-k a number from 1 to 64",
        );
    }
    if candidates > 1 && engine.predictor().members() > 1 {
        return usage(
            "an ensemble gives one place of each point, with its standard deviation".into(),
            "leave --top-k out, or analyze with one network",
        );
    }
    // An ensemble's rows hold what its members say, which their spread is made of at the end.
    let candidates = engine.predictor().candidates(candidates);
    Ok(Settings {
        frames: [frames.start, frames.end],
        crop: request.crop,
        resize,
        follow: request.follow,
        candidates,
    })
}

/// Opens what an earlier run has done, and says so.
fn open(folder: &Path, plan: &Plan, name: &str, watch: &dyn Watch) -> Result<Store> {
    let (store, found) = Store::open(folder, plan)?;
    match found {
        Found::Nothing => {}
        Found::Frames(n) => watch.note(&format!("{name}: going on after {n} frames that are done")),
        Found::Other(why) => {
            watch.warn(&format!("{name}: there were unfinished results, but {why}; it is begun anew"));
        }
    }
    Ok(store)
}

/// Makes the final files of all rows and puts them into their places.
fn finish(
    mut store: Store,
    plan: &Plan,
    (engine, input): (&Engine, &Input),
    (done, others): (&Analysis, &[PathBuf; 2]),
    (meta, note): (&Meta, &Path),
    watch: &dyn Watch,
) -> Result<()> {
    let folder = store.final_folder()?;
    let out = files::folder_of(note);
    let new = |path: &Path| folder.join(path.file_name().unwrap_or_default());
    write_all(&mut store, plan, (engine, input), done, (meta, note), &new)
        .map_err(|e| e.relocated(&folder, &out))?;
    // The old note must not vouch for new tracks, should we be stopped in between; the new one comes last.
    if note.exists() {
        std::fs::remove_file(note).map_err(|e| Error::io("replace the note", note, e))?;
        // Nor may other candidates or deviations than these stand beside them.
        for (other, new) in others.iter().zip([&done.candidates, &done.deviations]) {
            if new.is_none() && other.exists() {
                std::fs::remove_file(other).map_err(|e| Error::io("replace", other, e))?;
            }
        }
    }
    let places = [
        done.candidates.as_deref(),
        done.deviations.as_deref(),
        Some(&done.times),
        Some(&done.csv),
        Some(&done.h5),
        Some(note),
    ];
    let moves: Vec<(PathBuf, &Path)> = places.into_iter().flatten().map(|p| (new(p), p)).collect();
    files::take_places(moves.iter().map(|(from, to)| (from.as_path(), *to)))?;
    files::sync_folder(&out)?;
    cleared(store, note, watch);
    Ok(())
}

/// Removes what is finished; that it cannot be is no fault of the results.
fn cleared(store: Store, note: &Path, watch: &dyn Watch) {
    if let Err(e) = store.remove() {
        watch.warn(&format!("{}: the results are whole, but {e}", note.display()));
    }
}

/// Writes the final files into the places that `new` gives.
fn write_all(
    store: &mut Store,
    plan: &Plan,
    (engine, input): (&Engine, &Input),
    done: &Analysis,
    (meta, note): (&Meta, &Path),
    new: &dyn Fn(&Path) -> PathBuf,
) -> Result<()> {
    let (scorer, skeleton) = (&meta.scorer, &meta.skeleton);
    let (frames, k) = (input.frames(), plan.settings.candidates);
    let mut csv = TracksCsv::create(&new(&done.csv), scorer, skeleton)?;
    let mut h5 = TracksH5::create(&new(&done.h5), scorer, skeleton, frames)?;
    let mut more = match &done.candidates {
        Some(path) => Some(CandidatesH5::create(&new(path), scorer, skeleton, frames, k)?),
        None => None,
    };
    let spread = engine.card().spread.unwrap_or(Spread { floor_px: 0.0, factor: 1.0 });
    let mut deviations = match &done.deviations {
        Some(path) => Some(TracksCsv::of_deviations(&new(path), scorer, skeleton)?),
        None => None,
    };
    let mut best = Vec::new();
    let mut give = |rows: &[f32]| -> Result<()> {
        best.clear();
        best.extend(rows.chunks_exact(3 * k).flat_map(|point| &point[..3]));
        csv.rows(&best)?;
        h5.rows(&best)?;
        if let Some(csv) = &mut deviations {
            best.clear();
            best.extend(rows.chunks_exact(3 * k).map(|point| deviation(point, &spread)));
            csv.rows(&best)?;
        }
        more.as_mut().map_or(Ok(()), |c| c.rows(rows))
    };
    let nothing = vec![f32::NAN; plan.row_length()];
    (0..plan.first()).try_for_each(|_| give(&nothing))?;
    store.read_back(&mut give)?;
    (plan.end()..frames).try_for_each(|_| give(&nothing))?;
    csv.finish()?;
    h5.finish()?;
    if let Some(more) = more {
        more.finish()?;
    }
    if let Some(csv) = deviations {
        csv.finish()?;
    }
    write_times(&new(&done.times), input, plan, store.missing())?;
    files::write_whole(&new(note), meta.text()?.as_bytes())
}

/// The standard deviation in pixels of a point: `[together, member, member, ...][x, y, likelihood]`.
#[allow(clippy::cast_possible_truncation)] // tracks are f32
fn deviation(point: &[f32], spread: &Spread) -> f32 {
    let mut places = point.chunks_exact(3).map(|v| Keypoint::new(f64::from(v[0]), f64::from(v[1])));
    let Some(centre) = places.next().filter(|p| !p.x.is_nan()) else { return f32::NAN };
    spread.sd(spread_around(centre, &places.collect::<Vec<_>>())) as f32
}

fn write_times(path: &Path, input: &Input, plan: &Plan, missing: &[(usize, String)]) -> Result<()> {
    let mut gaps = missing.iter().map(|m| m.0).peekable();
    files::write_with(path, |file| {
        let mut out = BufWriter::new(file);
        let mark = if matches!(input, Input::Video(_)) { "time_s" } else { "picture" };
        writeln!(out, "frame,{mark},decoded")?;
        for frame in 0..input.frames() {
            let looked_at = (plan.first()..plan.end()).contains(&frame);
            let decoded = u8::from(looked_at && gaps.next_if_eq(&frame).is_none());
            writeln!(out, "{frame},{},{decoded}", input.mark(frame))?;
        }
        out.flush()
    })
}
