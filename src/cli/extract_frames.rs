use super::{Report, Terminal};
use crate::error::Result;
use crate::project::{Extraction, Method, Project, extract};
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;

/// Take frames out of the videos, to be labelled
///
/// Pictures go to `labeled-data/<video>/`, named by their frame number. Pictures that are there already stay as they
/// are, so asking again only adds.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn extract-frames openfield-Ada-2026-01-31
  limn extract-frames openfield-Ada-2026-01-31 --method uniform --count 50 --video m1")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// How to choose: frames that differ (kmeans) or at random (uniform)
    #[arg(long, value_enum, default_value = "kmeans")]
    method: Wanted,
    /// How many from each video [default: numframes2pick of config.yaml]
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Seed of the choice
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Only from this video, by its name without ending; can be given several times
    #[arg(long = "video", value_name = "NAME")]
    videos: Vec<String>,
    /// Cut the pictures to each video's `crop` in config.yaml
    #[arg(long)]
    crop: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wanted {
    Kmeans,
    Uniform,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let project = Project::open(&args.project, terminal)?;
    let wish = Extraction {
        method: match args.method {
            Wanted::Kmeans => Method::Kmeans,
            Wanted::Uniform => Method::Uniform,
        },
        count: args.count.unwrap_or_else(|| usize::try_from(project.config.numframes2pick).unwrap_or(20)),
        seed: args.seed,
        videos: args.videos.clone(),
        crop: args.crop || project.config.cropping,
    };
    let done = extract(&project, &wish, terminal)?;
    let mut text = String::new();
    for e in &done {
        text += &format!(
            "{}: {} frames, {} of them new, in {}\n",
            e.video,
            e.frames.len(),
            e.new,
            e.folder.display()
        );
    }
    text += "next: label them";
    Ok(Report::new(text, json!({ "project": project.root(), "videos": done })))
}
