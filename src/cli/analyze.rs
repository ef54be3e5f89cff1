use super::bench::Decoder;
use super::{Report, Terminal};
use crate::error::{Error, Kind, Result};
use crate::infer::{Analysis, Engine, Follow, Request, analyze, holds_pictures, result_path};
use crate::net::{Precision, Window, device};
use crate::project::{Project, is_video};
use crate::train::session;
use crate::watch::Watch;
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Find the body parts in every frame of videos
///
/// Writes, for each video, the tracks as HDF5 and CSV in DeepLabCut's layout, and the time of every frame. What is
/// computed is kept as it goes: stopped in whatever way, the same command goes on where it was. A video already
/// analyzed with the same model and settings is left alone.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn analyze openfield-Ada-2026-01-31 videos/day1.mp4 videos/day2.mp4
  limn analyze openfield-Ada-2026-01-31 recordings/ --out tracks --shuffle 2
  limn analyze mouse-model/ day3.mp4        (a model folder copied from elsewhere)
  limn analyze mouse-model/ stills/         (a folder of pictures)
  limn analyze mouse-model/ recordings/ --dynamic-crop --device cuda:0,cuda:1")]
pub(super) struct Args {
    /// A project (its folder or config.yaml), or a model folder
    project: PathBuf,
    /// Videos, folders of videos, or folders of pictures
    #[arg(required = true)]
    videos: Vec<PathBuf>,
    /// Where the results go [default: beside each video]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: Model,
    /// Frames computed at once, at most 256 [default: measured]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Analyze again what is finished
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    decoder: Decoder,
}

/// What of the frames the network sees.
#[derive(clap::Args)]
struct Part {
    /// Look only around the animal, and at the whole frame when it is lost: faster where it is small in the frame
    #[arg(long)]
    dynamic_crop: bool,
    /// Pixels kept around the animal with --dynamic-crop
    #[arg(long, default_value_t = Follow::default().margin, value_name = "PX", requires = "dynamic_crop")]
    crop_margin: usize,
    /// Look only at this part of every frame; positions stay those of the whole frame. `config`: what the project's
    /// config.yaml says for each video
    #[arg(long, value_name = "X1,X2,Y1,Y2")]
    crop: Option<Crop>,
    /// Make frames this much smaller for the network (0.5: half as wide and high); positions stay those of the frame
    #[arg(long, value_name = "FACTOR")]
    resize: Option<f64>,
    /// Only these frames, counted from 0; the rows of the others are empty
    #[arg(long, value_name = "FIRST-LAST", value_parser = frames)]
    frames: Option<Range<usize>>,
    /// Keep the best N places of each point, in a file of their own, for later filters
    #[arg(long, default_value_t = 1, value_name = "N")]
    top_k: usize,
    /// Take a video that breaks off as far as it goes
    #[arg(long)]
    partial: bool,
}

/// A crop as DeepLabCut writes it.
#[derive(Debug, Clone, PartialEq)]
enum Crop {
    Given(Window),
    /// That of the project's config.yaml.
    Config,
}

impl FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "config" {
            return Ok(Self::Config);
        }
        window(text).map(Self::Given).ok_or_else(|| "give X1,X2,Y1,Y2 in pixels, or `config`".to_owned())
    }
}

/// `X1,X2,Y1,Y2`.
fn window(text: &str) -> Option<Window> {
    let numbers: Vec<usize> = text.split(',').map(|n| n.trim().parse().ok()).collect::<Option<_>>()?;
    match numbers[..] {
        [x1, x2, y1, y2] if x1 < x2 && y1 < y2 => {
            Some(Window { x: x1, y: y1, width: x2 - x1, height: y2 - y1 })
        }
        _ => None,
    }
}

/// `FIRST-LAST`, both included.
fn frames(text: &str) -> std::result::Result<Range<usize>, String> {
    text.split_once('-')
        .and_then(|(a, b)| Some((a.trim().parse::<usize>().ok()?, b.trim().parse::<usize>().ok()?)))
        .filter(|(a, b)| a <= b && *b < usize::MAX)
        .map(|(a, b)| a..b + 1)
        .ok_or_else(|| "give the first and the last frame, such as 0-999".to_owned())
}

/// Which model, and what it computes on.
#[derive(clap::Args)]
pub(super) struct Model {
    /// Which shuffle of the project
    #[arg(long, default_value_t = 1, value_name = "N")]
    shuffle: u32,
    /// Which state of the network: last, best, or auto (the last of a finished training, else the best)
    #[arg(long, default_value = "auto", value_parser = ["auto", "best", "last"], value_name = "WHICH")]
    snapshot: String,
    /// What to compute on: auto, cpu, cuda, cuda:0; several GPUs for several videos: cuda:0,cuda:1 or cuda:all
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Number format: fp32, bf16 or fp16 [default: the fastest good one of the device]
    #[arg(long, value_name = "P")]
    precision: Option<Precision>,
}

impl Model {
    /// The model folder that a project or bundle path means.
    pub(super) fn folder(&self, path: &Path, terminal: &Terminal) -> Result<(PathBuf, Option<Project>)> {
        if path.join("model.yaml").is_file() {
            return Ok((path.to_owned(), None));
        }
        let project = Project::open(path, terminal)?;
        let folder = session::snapshot(&project, self.shuffle, &self.snapshot)?;
        Ok((folder, Some(project)))
    }

    /// One engine for each device that was named.
    fn load(&self, folder: &Path, project: Option<&Project>) -> Result<Vec<Engine>> {
        let engines = device::several(&self.device)?
            .iter()
            .map(|device| Engine::load(folder, device, self.precision))
            .collect::<Result<Vec<_>>>()?;
        if let (Some(project), Some(engine)) = (project, engines.first()) {
            engine.fits(&project.skeleton()).map_err(|e| e.at(folder.display()))?;
        }
        Ok(engines)
    }
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let videos = videos(&args.videos)?;
    apart(&videos, args.out.as_deref())?;
    let (folder, project) = args.model.folder(&args.project, terminal)?;
    let engines = args.model.load(&folder, project.as_ref())?;
    let words: Vec<String> = engines.iter().map(Engine::words).collect();
    let scorer = engines.first().map(|e| e.card().scorer.clone()).unwrap_or_default();
    terminal.note(&format!("{scorer} on {}", words.join(" and ")));
    let requests = videos
        .iter()
        .map(|video| Ok((video.clone(), request(args, project.as_ref(), video)?)))
        .collect::<Result<Vec<_>>>()?;
    let outcomes = if engines.len() > 1 && videos.len() > 1 {
        side_by_side(engines, &requests, terminal)?
    } else {
        let mut outcomes = Vec::new();
        let first = engines.first().ok_or_else(|| {
            Error::new(Kind::Usage, "there is no device to compute on").mend("give --device")
        })?;
        for (video, request) in &requests {
            let outcome = analyze(first, video, request, terminal);
            match outcome {
                // One bad video among many must not cost the others; one alone is simply the error.
                Err(e) if videos.len() == 1 || e.kind() == Kind::Cancelled => return Err(e),
                outcome => outcomes.push(heard(video, outcome, terminal)),
            }
        }
        outcomes
    };
    let mut text = String::new();
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for ((video, _), outcome) in requests.iter().zip(outcomes) {
        match outcome {
            Ok(a) => {
                text += &line(&a);
                done.push(a);
            }
            Err(e) => {
                text += &format!("{}: failed: {}\n", video.display(), e.what());
                failures.push(
                    json!({ "video": video, "what": e.what(), "where": e.place(), "mend": e.how_to_mend() }),
                );
            }
        }
    }
    let bad = !failures.is_empty();
    let json = json!({
        "scorer": scorer, "device": words.join(" and "), "videos": done, "failed": failures,
    });
    let mut report = Report::new(text, json);
    report.bad = bad;
    Ok(report)
}

/// What to do with one video.
fn request(args: &Args, project: Option<&Project>, video: &Path) -> Result<Request> {
    let crop = match &args.part.crop {
        None => None,
        Some(Crop::Given(window)) => Some(*window),
        Some(Crop::Config) => {
            let project = project.ok_or_else(|| {
                Error::new(Kind::Usage, "there is no config.yaml to take the crop from")
                    .mend("give --crop X1,X2,Y1,Y2, or a project instead of a model folder")
            })?;
            let said = project.crop_of(video).and_then(|c| window(&c.map(|n| n.to_string()).join(",")));
            Some(said.ok_or_else(|| {
                Error::new(Kind::Config, "the project says no crop for this video")
                    .at(video.display())
                    .mend("add the video to the project, or give --crop X1,X2,Y1,Y2")
            })?)
        }
    };
    let follow =
        args.part.dynamic_crop.then(|| Follow { margin: args.part.crop_margin, ..Follow::default() });
    Ok(Request {
        out: args.out.clone(),
        batch: args.batch,
        force: args.force,
        frames: args.part.frames.clone(),
        crop,
        resize: args.part.resize,
        follow,
        candidates: Some(args.part.top_k),
        partial: args.part.partial,
        hardware: args.decoder.hardware(),
    })
}

fn heard(video: &Path, outcome: Result<Analysis>, terminal: &Terminal) -> Result<Analysis> {
    if let Err(e) = &outcome {
        terminal.warn(&format!("{}: {e}", video.display()));
    }
    outcome
}

/// One worker for each device; each takes the next video that waits.
fn side_by_side(
    engines: Vec<Engine>,
    requests: &[(PathBuf, Request)],
    terminal: &Terminal,
) -> Result<Vec<Result<Analysis>>> {
    let next = Mutex::new(0);
    let outcomes = Mutex::new((0..requests.len()).map(|_| None).collect::<Vec<Option<Result<Analysis>>>>());
    terminal.begin(&format!("videos on {} devices", engines.len()), Some(requests.len() as u64));
    std::thread::scope(|scope| {
        for engine in engines {
            let (next, outcomes) = (&next, &outcomes);
            scope.spawn(move || {
                loop {
                    let i = {
                        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                        *next += 1;
                        *next - 1
                    };
                    let wanted = requests.get(i).filter(|_| !terminal.stopped());
                    let Some((video, request)) = wanted else { return };
                    let outcome = analyze(&engine, video, request, &Beside(terminal));
                    let outcome = heard(video, outcome, terminal);
                    terminal.advance(1);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(outcome);
                }
            });
        }
    });
    terminal.end();
    terminal.check()?;
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(outcomes.into_iter().map(|o| o.unwrap_or_else(|| Err(Error::cancelled()))).collect())
}

/// A worker's watcher where several work at once: its messages are heard, its bars would stand in each other's way.
struct Beside<'a>(&'a Terminal);

impl Watch for Beside<'_> {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn advance(&self, _units: u64) {}
    fn status(&self, _text: &str) {}
    fn note(&self, text: &str) {
        self.0.note(text);
    }
    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
    fn end(&self) {}
    fn stopped(&self) -> bool {
        self.0.stopped()
    }
}

fn line(a: &Analysis) -> String {
    let how = if a.skipped {
        "finished before".to_owned()
    } else {
        let limit = a.stages.map_or(String::new(), |s| format!(", limited by {}", s.limit.word()));
        format!("{:.1} frames/s in batches of {}{limit}", a.fps, a.batch)
    };
    let gaps = if a.missing > 0 { format!(", {} without picture", a.missing) } else { String::new() };
    let before = if a.resumed > 0 { format!(" ({} done before)", a.resumed) } else { String::new() };
    format!("{}: {} frames{gaps}{before}, {how}\n  {}\n", a.video.display(), a.frames, a.h5.display())
}

/// Whether every video has results of its own: they are named by the video, without its ending.
pub(super) fn apart(videos: &[PathBuf], out: Option<&Path>) -> Result<()> {
    let mut seen = std::collections::BTreeMap::new();
    for video in videos {
        let folder = out.map_or_else(|| crate::files::folder_of(video), Path::to_owned);
        let folder = folder.canonicalize().unwrap_or(folder);
        if let Some(other) = seen.insert(result_path(&folder, video, "", ""), video)
            && other != video
        {
            return Err(Error::new(
                Kind::Usage,
                format!("its results would overwrite those of {}: both have one name", other.display()),
            )
            .at(video.display())
            .mend("analyze them into different folders with --out, or rename one"));
        }
    }
    Ok(())
}

/// Files as named; folders are searched for videos, sorted; a folder without videos that holds pictures stands for
/// itself.
pub(super) fn videos(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut videos = Vec::new();
    for path in named {
        if !path.is_dir() {
            videos.push(path.clone());
            continue;
        }
        let found = crate::project::video_files(path);
        if found.is_empty() && holds_pictures(path) {
            videos.push(path.clone());
            continue;
        }
        if found.is_empty() {
            return Err(Error::new(Kind::NotFound, "there are neither videos nor pictures in this folder")
                .at(path.display())
                .mend("give video files, or a folder that holds some (mp4, avi, mov, ...) or pictures (png, jpg)"));
        }
        videos.extend(found.into_iter().filter(|p| is_video(p)));
    }
    Ok(videos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_and_ranges_are_read() {
        let given = Window { x: 10, y: 0, width: 90, height: 48 };
        assert_eq!("10, 100, 0, 48".parse(), Ok(Crop::Given(given)));
        assert_eq!("config".parse(), Ok(Crop::Config));
        for bad in ["", "1,2,3", "5,5,0,9", "a,b,c,d", "-1,2,0,4"] {
            assert!(bad.parse::<Crop>().is_err(), "{bad}");
        }
        assert_eq!(frames("5-9"), Ok(5..10));
        assert!(frames("9-5").is_err() && frames("7").is_err() && frames("-3").is_err());
    }
}
