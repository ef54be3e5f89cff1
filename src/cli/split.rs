use super::{Report, Terminal};
use crate::error::Result;
use crate::project::{LabelStore, Project, SplitRequest, Splits};
use serde_json::json;
use std::path::PathBuf;

/// Fix which labelled pictures are for training and which for testing
///
/// The pictures are drawn at random but reproducibly: the same seed on the same labels gives the same split. Several
/// shuffles are several such draws, to see how much a result depends on the choice.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn split openfield-Ada-2026-01-31
  limn split openfield-Ada-2026-01-31 --train-fraction 0.8 --shuffles 3 --seed 7
  limn split openfield-Ada-2026-01-31 --by-video      (test on videos that training never saw)")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// Part of the labelled pictures to train on, above 0 and below 1 [default: the first TrainingFraction of
    /// config.yaml]
    #[arg(long, value_name = "F")]
    train_fraction: Option<f64>,
    /// How many shuffles to make
    #[arg(long, default_value_t = 1, value_name = "N")]
    shuffles: u32,
    /// Seed of the random choice
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Keep all pictures of a video on the same side
    #[arg(long)]
    by_video: bool,
    /// Also replace shuffles that a model was trained on
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let mut project = Project::open(&args.project, terminal)?;
    let store = LabelStore::read(&project, terminal)?;
    let request = SplitRequest {
        train_fraction: args
            .train_fraction
            .or_else(|| project.config.training_fraction.first().copied())
            .unwrap_or(0.95),
        shuffles: args.shuffles,
        seed: args.seed,
        by_video: args.by_video,
        force: args.force,
    };
    let splits = Splits::draw(&mut project, store.labels(), &request)?;
    let path = Splits::path(&project);
    let mut text = String::new();
    let mut list = Vec::new();
    for s in &splits {
        text += &format!(
            "shuffle {}: {} pictures to train on, {} to test on\n",
            s.shuffle,
            s.train.len(),
            s.test.len()
        );
        list.push(json!({"shuffle": s.shuffle, "train": s.train.len(), "test": s.test.len()}));
    }
    text += &format!("written to {}\nnext: limn train {}", path.display(), project.root().display());
    let json = json!({
        "project": project.root(), "splits": path, "train_fraction": request.train_fraction, "seed": request.seed,
        "by_video": request.by_video, "shuffles": list,
    });
    Ok(Report::new(text, json))
}
