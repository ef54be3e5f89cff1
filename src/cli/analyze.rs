use super::{Report, Terminal};
use crate::error::{Error, Kind, Result};
use crate::infer::{Analysis, Engine, Request, analyze};
use crate::net::Precision;
use crate::project::{Project, is_video};
use crate::train::session;
use crate::watch::Watch;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Find the body parts in every frame of videos
///
/// Writes, for each video, the tracks as HDF5 and CSV in DeepLabCut's layout, and the time of every frame. A video
/// already analyzed with the same model is left alone.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn analyze openfield-Ada-2026-01-31 videos/day1.mp4 videos/day2.mp4
  limn analyze openfield-Ada-2026-01-31 recordings/ --out tracks --shuffle 2
  limn analyze mouse-model/ day3.mp4        (a model folder copied from elsewhere)")]
pub(super) struct Args {
    /// A project (its folder or config.yaml), or a model folder
    project: PathBuf,
    /// Videos, or folders of videos
    #[arg(required = true)]
    videos: Vec<PathBuf>,
    /// Where the results go [default: beside each video]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: Model,
    /// Frames computed at once [default: by their size]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Analyze again what is finished
    #[arg(long)]
    force: bool,
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
    /// What to compute on: auto, cpu, cuda, cuda:0
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

    fn load(&self, path: &Path, terminal: &Terminal) -> Result<Engine> {
        let (folder, project) = self.folder(path, terminal)?;
        let engine = Engine::load(&folder, &self.device, self.precision)?;
        if let Some(project) = project {
            engine.fits(&project.skeleton()).map_err(|e| e.at(folder.display()))?;
        }
        Ok(engine)
    }
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let videos = videos(&args.videos)?;
    apart(&videos, args.out.as_deref())?;
    let engine = args.model.load(&args.project, terminal)?;
    terminal.note(&format!("{} on {}", engine.card().scorer, engine.device()));
    let request = Request { out: args.out.clone(), batch: args.batch, force: args.force };
    let mut done: Vec<Analysis> = Vec::new();
    let mut failed: Vec<(PathBuf, Error)> = Vec::new();
    for video in &videos {
        match analyze(&engine, video, &request, terminal) {
            Ok(a) => done.push(a),
            // One bad video among many must not cost the others; one alone is simply the error.
            Err(e) if videos.len() > 1 && e.kind() != Kind::Cancelled => {
                terminal.warn(&format!("{}: {e}", video.display()));
                failed.push((video.clone(), e));
            }
            Err(e) => return Err(e),
        }
    }
    let mut text = String::new();
    for a in &done {
        let how = if a.skipped { "finished before".to_owned() } else { format!("{:.1} frames/s", a.fps) };
        let gaps = if a.missing > 0 { format!(", {} without picture", a.missing) } else { String::new() };
        text += &format!("{}: {} frames{gaps}, {how}\n  {}\n", a.video.display(), a.frames, a.h5.display());
    }
    for (video, e) in &failed {
        text += &format!("{}: failed: {}\n", video.display(), e.what());
    }
    let failures: Vec<_> = failed
        .iter()
        .map(|(v, e)| json!({ "video": v, "what": e.what(), "where": e.place(), "mend": e.how_to_mend() }))
        .collect();
    let json = json!({
        "scorer": engine.card().scorer, "device": engine.device(), "videos": done, "failed": failures,
    });
    let mut report = Report::new(text, json);
    report.bad = !failed.is_empty();
    Ok(report)
}

/// Whether every video has results of its own: they are named by the video, without its ending.
pub(super) fn apart(videos: &[PathBuf], out: Option<&Path>) -> Result<()> {
    let mut seen = std::collections::BTreeMap::new();
    for video in videos {
        let folder = out.map_or_else(|| crate::files::folder_of(video), Path::to_owned);
        if let Some(other) = seen.insert((folder, video.file_stem()), video)
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

/// Files as named; folders are searched for videos, sorted.
pub(super) fn videos(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut videos = Vec::new();
    for path in named {
        if !path.is_dir() {
            videos.push(path.clone());
            continue;
        }
        let found = crate::project::video_files(path);
        if found.is_empty() {
            return Err(Error::new(Kind::NotFound, "there are no videos in this folder")
                .at(path.display())
                .mend("give video files, or a folder that holds some (mp4, avi, mov, mkv, ...)"));
        }
        videos.extend(found.into_iter().filter(|p| is_video(p)));
    }
    Ok(videos)
}
