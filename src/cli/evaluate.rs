use super::{Report, Terminal};
use crate::error::{Error, Kind, Result};
use crate::net::Precision;
use crate::project::Project;
use crate::show;
use crate::train::session;
use serde_json::json;
use std::path::PathBuf;

/// Measure a trained network against the labels
///
/// The error is the distance between label and prediction in pixels, over all labelled points of the training and of
/// the test frames. Tables and pictures go to the model's `evaluation` folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn evaluate openfield-Ada-2026-01-31
  limn evaluate openfield-Ada-2026-01-31 --shuffle 2 --json")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// Which shuffle
    #[arg(long, default_value_t = 1, value_name = "N")]
    shuffle: u32,
    /// Which state of the network: last, best, or auto (the last of a finished training, else the best)
    #[arg(long, default_value = "auto", value_parser = ["auto", "best", "last"], value_name = "WHICH")]
    snapshot: String,
    /// What to compute on: auto, cpu, cuda, cuda:0
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Number format: fp32, bf16 or fp16
    #[arg(long, default_value = "fp32", value_name = "P")]
    precision: Precision,
    /// Only the tables, no pictures of label against prediction
    #[arg(long)]
    no_pictures: bool,
    /// Likelihood a point must reach for the figures with cut-off [default: pcutoff of config.yaml]
    #[arg(long, value_name = "L")]
    pcutoff: Option<f64>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let project = Project::open(&args.project, terminal)?;
    let options = session::EvaluateOptions {
        shuffle: args.shuffle,
        snapshot: args.snapshot.clone(),
        device: args.device.clone(),
        precision: args.precision,
        cutoff: args.pcutoff,
    };
    let done = session::evaluate(&project, &options, terminal)?;
    if !args.no_pictures {
        show::evaluation_pictures(&project, &done, terminal)?;
    }
    let (test, train) = (&done.report.test, &done.report.train);
    let px = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    let spread = test
        .mean_error_px_ci95
        .map(|[l, h]| format!(" (95 % interval {l:.2} to {h:.2})"))
        .unwrap_or_default();
    let mut text = format!(
        "{} on {}\n\
         test:  {} px mean{spread}, {} median, over {} points of {} frames\n\
         \x20      {} px mean over the {} points with a likelihood above the cut-off\n\
         train: {} px mean, {} median, over {} points of {} frames\n",
        done.scorer,
        done.device,
        px(test.mean_error_px),
        px(test.median_error_px),
        test.n_points,
        test.n_frames,
        px(test.mean_error_px_pcutoff),
        test.n_points_pcutoff,
        px(train.mean_error_px),
        px(train.median_error_px),
        train.n_points,
        train.n_frames,
    );
    for (name, s) in &done.report.per_bodypart {
        text += &format!(
            "  {name}: {} px mean, {} median, {} points\n",
            px(s.mean_error_px),
            px(s.median_error_px),
            s.n_points
        );
    }
    text += &format!("tables and pictures: {}", done.folder.display());
    let mut json = serde_json::to_value(&done.report)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the evaluation: {e}")))?;
    if let Some(map) = json.as_object_mut() {
        map.insert("scorer".into(), json!(done.scorer));
        map.insert("snapshot".into(), json!(done.snapshot));
        map.insert("device".into(), json!(done.device));
        map.insert("folder".into(), json!(done.folder));
    }
    Ok(Report::new(text, json))
}
