use super::{Report, Terminal};
use crate::demo::{Wish, tell};
use crate::error::{Error, Kind, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Show the whole way on a rendered experiment, from two videos to tracks
///
/// Films a mouse that never was, labels frames by its known truth (with a human's jitter), trains, evaluates, and
/// tracks a second, longer video with another mouse in another arena. Prints the error against the exact truth.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn demo
  limn demo /tmp/limn-demo --quick")]
pub(super) struct Args {
    /// A new folder for everything
    #[arg(default_value = "limn-demo")]
    folder: PathBuf,
    /// A short form that shows that everything works, not how well
    #[arg(long)]
    quick: bool,
    /// Seed of animals, arenas, labels and training
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// What to compute on: auto, cpu, cuda, cuda:0
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Longest training in minutes [default: 9]
    #[arg(long, value_name = "M")]
    max_minutes: Option<f64>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let clock = Instant::now();
    let wish = Wish {
        folder: args.folder.clone(),
        quick: args.quick,
        seed: args.seed,
        device: args.device.clone(),
        minutes: args.max_minutes,
    };
    let story = tell(&wish, terminal)?;
    let px = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.2} px"));
    let minutes = clock.elapsed().as_secs_f64() / 60.0;
    let u = &story.unseen;
    let mut text = format!(
        "trained {} steps on {}\n\
         held-out labelled frames: {} mean error (their labels are about 1 px off themselves)\n\
         the unseen video, {} frames, against the exact truth:\n\
         \x20 {} mean, {} median, 95 % below {}\n\
         \x20 {} mean over the {} of {} points with a likelihood above the cut-off\n",
        story.steps,
        story.device,
        px(story.test.mean_error_px),
        story.frames,
        px(u.mean_error_px),
        px(u.median_error_px),
        px(u.p95_error_px),
        px(u.mean_error_px_pcutoff),
        u.n_points_pcutoff,
        u.n_points,
    );
    for (name, s) in &story.unseen_by_bodypart {
        text += &format!("    {name:<10} {} mean, {} median\n", px(s.mean_error_px), px(s.median_error_px));
    }
    text += &format!(
        "analyzed at {:.1} frames/s; the whole demo took {minutes:.1} minutes\n\
         look at: {}\n         {}\n         {}\n",
        story.fps,
        story.picture.display(),
        story.labeled_video.display(),
        story.plots.display(),
    );
    let mut json = serde_json::to_value(&story)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the result: {e}")))?;
    if let Value::Object(map) = &mut json {
        map.insert("minutes".into(), json!(minutes));
        map.insert("quick".into(), json!(args.quick));
    }
    Ok(Report::new(text, json))
}
