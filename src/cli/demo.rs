use super::{Report, Terminal};
use crate::demo::{Wish, tell, tell_in_space};
use crate::error::{Error, Kind, Result};
use crate::watch::Watch;
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
  limn demo /tmp/limn-demo --quick
  limn demo --3d")]
pub(super) struct Args {
    /// A new folder for everything
    #[arg(default_value = "limn-demo")]
    folder: PathBuf,
    /// A short form that shows that everything works, not how well
    #[arg(long)]
    quick: bool,
    /// Four cameras instead: calibrates them by a filmed board, tracks in each, and tells the error in millimetres
    #[arg(long = "3d")]
    in_space: bool,
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
    if args.in_space {
        return space(&wish, args.quick, clock, terminal);
    }
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

/// The demonstration of four cameras.
fn space(wish: &Wish, quick: bool, clock: Instant, watch: &dyn Watch) -> Result<Report> {
    let story = tell_in_space(wish, watch)?;
    let minutes = clock.elapsed().as_secs_f64() / 60.0;
    let mut text = format!(
        "four cameras calibrated to {:.3} px ({}): places within {:.3} % of the rig's size, focal lengths within {:.3} %\n\
         trained {} steps on {}; {:.2} px mean error in single cameras on videos nobody labelled\n\
         points in space against the exact truth, {} frames:\n",
        story.calibration_px,
        story.verdict,
        100.0 * story.place_error,
        100.0 * story.focal_error,
        story.steps,
        story.device,
        story.unseen_px,
        story.frames,
    );
    for s in &story.in_space {
        if s.found <= 0.0 {
            text += &format!("  {:<7} no point was found: the network was trained too little\n", s.method);
            continue;
        }
        text += &format!(
            "  {:<7} {:.2} mm mean, {:.2} median, 95 % below {:.2}; {:.1} % found; {:.0} % within one stated deviation, {:.0} % within two\n",
            s.method,
            s.mean_mm,
            s.median_mm,
            s.p95_mm,
            100.0 * s.found,
            100.0 * s.within_deviations[0],
            100.0 * s.within_deviations[1],
        );
    }
    text += &format!("the whole demo took {minutes:.1} minutes\nlook at: {}\n", story.tracks.display());
    let mut json = serde_json::to_value(&story)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the result: {e}")))?;
    if let Value::Object(map) = &mut json {
        map.insert("minutes".into(), json!(minutes));
        map.insert("quick".into(), json!(quick));
    }
    Ok(Report::new(text, json))
}
