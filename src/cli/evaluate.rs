use super::{Report, Terminal};
use crate::error::Result;
use crate::net::Precision;
use crate::project::Project;
use crate::show;
use crate::train::session;
use std::path::PathBuf;

/// Measure a trained network against the labels
///
/// The error is the distance between label and prediction in pixels, over all labelled points of the training and of
/// the test frames. Tables, pictures and `report.html`, which any browser shows, go to the model's `evaluation` folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn evaluate openfield-Ada-2026-01-31
  limn evaluate openfield-Ada-2026-01-31 --shuffle 2 --json
  limn evaluate openfield-Ada-2026-01-31 --shuffles 1-5      (the test frames of five networks in one report)
  limn evaluate openfield-Ada-2026-01-31 --learning-curve    (trains again on fewer frames: what would more bring?)")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// Which shuffle
    #[arg(long, default_value_t = 1, value_name = "N")]
    shuffle: u32,
    /// Several shuffles, such as 1-5 or 1,3: their test frames are pooled in one report, each judged only by networks that
    /// did not train on it
    #[arg(long, value_name = "LIST", conflicts_with = "shuffle", value_parser = Shuffles::parse)]
    shuffles: Option<Shuffles>,
    /// Which state of the network: last, best, or auto (the last of a finished training, else the best)
    #[arg(long, default_value = "auto", value_parser = ["auto", "best", "last"], value_name = "WHICH")]
    snapshot: String,
    /// What to compute on: auto, cpu, cuda, cuda:0
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Number format: fp32, bf16 or fp16
    #[arg(long, default_value = "fp32", value_name = "P")]
    precision: Precision,
    /// Only tables and the report, and of all pictures of label against prediction the worst ones
    #[arg(long)]
    no_pictures: bool,
    /// Likelihood a point must reach for the figures with cut-off [default: pcutoff of config.yaml]
    #[arg(long, value_name = "L")]
    pcutoff: Option<f64>,
    /// Also train on parts of the training frames, and say what 50 labelled frames more would bring; this takes about as
    /// long as training the model, for each point
    #[arg(long, conflicts_with = "shuffles")]
    learning_curve: bool,
    /// Points of that curve, the model itself among them
    #[arg(long, default_value_t = 4, value_name = "N", requires = "learning_curve")]
    points: usize,
    /// No training for that curve takes longer than so many minutes
    #[arg(long, value_name = "M", requires = "learning_curve")]
    max_minutes: Option<f64>,
}

/// Numbers of shuffles.
#[derive(Clone, Debug, PartialEq)]
struct Shuffles(Vec<u32>);

impl Shuffles {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("`{text}` is no list of shuffles; write 1-5, or 1,3,4");
        let mut all = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let [from, to] = [from, to].map(|n| n.trim().parse::<u32>());
            let (from, to) = (from.map_err(|_| wrong())?, to.map_err(|_| wrong())?);
            if from == 0 || to < from || to - from >= 1000 {
                return Err(wrong());
            }
            all.extend(from..=to);
        }
        Ok(Self(all))
    }
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let mut project = Project::open(&args.project, terminal)?;
    let options = session::EvaluateOptions {
        shuffle: args.shuffle,
        snapshot: args.snapshot.clone(),
        device: args.device.clone(),
        precision: args.precision,
        cutoff: args.pcutoff,
    };
    let shuffles = args.shuffles.as_ref().map_or(vec![args.shuffle], |s| s.0.clone());
    let mut done = session::evaluate_shuffles(&project, &shuffles, &options, terminal)?;
    if args.learning_curve {
        let options =
            session::CurveOptions { evaluate: options, points: args.points, max_minutes: args.max_minutes };
        done.learning_curve = Some(session::learning_curve(&mut project, &options, terminal)?);
        done.write_json()?;
    }
    if args.no_pictures {
        show::evaluation_report(&project, &done, terminal)?;
    } else {
        show::evaluation_pictures(&project, &done, terminal)?;
    }
    Ok(Report::new(words(&done), done.json()?))
}

fn words(done: &session::Evaluated) -> String {
    let (test, train) = (&done.report.test, &done.report.train);
    let px = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    let interval = |ci: Option<[f64; 2]>| {
        ci.map(|[l, h]| format!(" (95 % interval {l:.2} to {h:.2})")).unwrap_or_default()
    };
    let name = match done.members.as_slice() {
        [_, _, ..] => format!("{} networks, each on its own test frames,", done.members.len()),
        _ => done.scorer.clone(),
    };
    let mut text = format!(
        "{name} on {}\n\
         test:  {} px mean{}, {} median, over {} points of {} frames\n\
         \x20      {} px mean{} over the {} points with a likelihood above the cut-off\n\
         train: {} px mean, {} median, over {} points of {} frames\n",
        done.device,
        px(test.mean_error_px),
        interval(test.mean_error_px_ci95),
        px(test.median_error_px),
        test.n_points,
        test.n_frames,
        px(test.mean_error_px_pcutoff),
        interval(test.mean_error_px_pcutoff_ci95),
        test.n_points_pcutoff,
        px(train.mean_error_px),
        px(train.median_error_px),
        train.n_points,
        train.n_frames,
    );
    for (name, s) in &done.report.per_bodypart {
        text += &format!(
            "  {name}: {} px mean{}, {} median, {} points\n",
            px(s.mean_error_px),
            interval(s.mean_error_px_ci95),
            px(s.median_error_px),
            s.n_points
        );
    }
    let near =
        |at: &crate::train::PckAt| Some(format!("{:.0} % within {} px", 100.0 * at.all?, at.within_px));
    let near: Vec<String> = done.pck.fixed.iter().filter_map(near).collect();
    if !near.is_empty() {
        text += &format!("test points: {}\n", near.join(", "));
    }
    if done.members.len() > 1 {
        for m in &done.members {
            text += &format!("  shuffle {}: {} px mean\n", m.shuffle, px(m.test.mean_error_px));
        }
    }
    if let Some(curve) = &done.learning_curve {
        for p in &curve.points {
            text += &format!("trained on {} frames: {:.2} px mean\n", p.frames, p.mean_error_px);
        }
        text += &format!("{}\n", curve.words);
    }
    text += &format!("{}\nreport: {}", done.verdict, done.folder.join("report.html").display());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_shuffles() {
        let list = |text: &str| Shuffles::parse(text).map(|s| s.0);
        assert_eq!(list("1-3"), Ok(vec![1, 2, 3]));
        assert_eq!(list("1, 4-5"), Ok(vec![1, 4, 5]));
        for wrong in ["", "0", "3-1", "a", "1-", "1-99999"] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }
}
