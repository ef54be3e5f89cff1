use super::analyze::{Model, apart, videos};
use super::{Report, Terminal};
use crate::draw::Style;
use crate::error::Result;
use crate::files;
use crate::infer::{result_path, tracks_of};
use crate::net::Card;
use crate::show::{self, VideoStyle};
use crate::video::Index;
use serde_json::json;
use std::path::PathBuf;

/// Draw the tracks over the videos, and plot them
///
/// Needs the results of `limn analyze`. Writes `<video><model>_p<cutoff>_labeled.mp4` and, in `plot-poses/<video>/`,
/// the path, x and y over time, the likelihood and the displacements.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn render openfield-Ada-2026-01-31 videos/day1.mp4
  limn render openfield-Ada-2026-01-31 recordings/ --out tracks --trail 30 --skeleton")]
pub(super) struct Args {
    /// A project (its folder or config.yaml), or a model folder
    project: PathBuf,
    /// Videos, or folders of videos
    #[arg(required = true)]
    videos: Vec<PathBuf>,
    /// Where the tracks are and the results go [default: beside each video]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: Model,
    /// Points of a lower likelihood are not drawn [default: pcutoff of config.yaml]
    #[arg(long, value_name = "L")]
    pcutoff: Option<f64>,
    /// Draw the way of the last N frames
    #[arg(long, default_value_t = 0, value_name = "N")]
    trail: usize,
    /// Join the points as the skeleton says
    #[arg(long)]
    skeleton: bool,
    /// No list of body parts in the corner
    #[arg(long)]
    no_legend: bool,
    /// Only the plots, no video
    #[arg(long)]
    plots_only: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let videos = videos(&args.videos)?;
    apart(&videos, args.out.as_deref())?;
    let (folder, project) = args.model.folder(&args.project, terminal)?;
    let card = Card::read(&folder)?;
    if let Some(project) = &project {
        card.fits(&project.skeleton()).map_err(|e| e.at(folder.display()))?;
    }
    let mut marks = project.map_or_else(Style::default, |p| show::style_of(&p.config));
    if let Some(cutoff) = args.pcutoff {
        marks.cutoff = cutoff;
    }
    marks.edges = args.skeleton;
    let style = VideoStyle { marks, trail: args.trail, legend: !args.no_legend };
    #[allow(clippy::cast_possible_truncation)] // a likelihood in percent
    let percent = (style.marks.cutoff * 100.0).round() as i64;
    let mut text = String::new();
    let mut list = Vec::new();
    for video in &videos {
        let tracks = tracks_of(video, args.out.as_deref(), &card.scorer, terminal)?;
        let out = args.out.clone().unwrap_or_else(|| files::folder_of(video));
        let index = Index::open(video, terminal)?;
        let plots = show::plots(video, &tracks, index.fps(), &style.marks, &out)?;
        text += &format!("{}: plots in {}\n", video.display(), plots.display());
        let mut entry = json!({ "video": video, "plots": plots });
        if !args.plots_only {
            let path = result_path(&out, video, &card.scorer, &format!("_p{percent}_labeled.mp4"));
            let done = show::render_video(video, &tracks, &style, &path, terminal)?;
            text += &format!("  {} frames ({}) in {}\n", done.frames, done.codec, done.path.display());
            entry["labeled"] = json!(done);
        }
        list.push(entry);
    }
    Ok(Report::new(text, json!({ "scorer": card.scorer, "videos": list })))
}
