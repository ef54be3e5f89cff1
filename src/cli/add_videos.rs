use super::{Report, Terminal, listed, probe};
use crate::error::Result;
use crate::project::{Project, VideoMode};
use serde_json::json;
use std::path::PathBuf;

/// Add videos to a project
///
/// All videos are checked before the first one is added. A video belongs to its labels by its file name, so that two
/// videos of one name are refused.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn add-videos openfield-Ada-2026-01-31 m3.mp4 m4.mp4
  limn add-videos openfield-Ada-2026-01-31 --copy /media/camera/day2")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// Videos, or folders of videos
    #[arg(value_name = "VIDEO", required = true)]
    videos: Vec<PathBuf>,
    /// Copy the videos into the project instead of linking to them
    #[arg(long)]
    copy: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let mut project = Project::open(&args.project, terminal)?;
    let mode = if args.copy { VideoMode::Copy } else { VideoMode::Link };
    let probe = |path: &std::path::Path| probe(path, terminal);
    let added = project.add_videos(&args.videos, mode, &probe, terminal)?;
    Ok(Report::new(
        format!("added {}\nnext: limn extract-frames {}", listed(&added), project.root().display()),
        json!({"project": project.root(), "added": added}),
    ))
}
