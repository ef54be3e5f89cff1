use super::{Report, Terminal};
use crate::error::Result;
use crate::pose::Labels;
use crate::project::{FoldsRequest, LabelStore, Project, Split, SplitRequest, Splits};
use crate::watch::Watch;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Fix which labelled pictures are for training and which for testing
///
/// The pictures are drawn at random but reproducibly: the same seed on the same labels gives the same split. Several
/// shuffles are several such draws, to see how much a result depends on the choice. Where three videos or more have
/// labelled pictures, whole videos are kept on one side: neighbouring frames look alike, and a test on frames of the
/// training videos flatters.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn split openfield-Ada-2026-01-31
  limn split openfield-Ada-2026-01-31 --train-fraction 0.8 --shuffles 3 --seed 7
  limn split openfield-Ada-2026-01-31 --by-video      (test on videos that training never saw)
  limn split openfield-Ada-2026-01-31 --folds 5       (five shuffles, each picture is tested in one of them)")]
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
    /// Cross-validation: so many shuffles, whose test sets share out all pictures (or videos)
    #[arg(long, value_name = "K", conflicts_with_all = ["train_fraction", "shuffles"])]
    folds: Option<u32>,
    /// Seed of the random choice
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Keep all pictures of a video on the same side, also where there are only two videos
    #[arg(long)]
    by_video: bool,
    /// Draw single pictures, however many videos there are
    #[arg(long, conflicts_with = "by_video")]
    by_frame: bool,
    /// Also replace shuffles that a model was trained on
    #[arg(long)]
    force: bool,
}

impl Args {
    /// Whether whole videos stay together, and why where nobody said so.
    fn by_video(&self, labels: &Labels) -> (bool, Option<String>) {
        let videos = Splits::labeled_videos(labels);
        if self.by_video || self.by_frame || !Splits::videos_to_spare(labels) {
            return (self.by_video, None);
        }
        match self.folds {
            Some(folds) if (folds as usize) > videos => {
                let why = format!("{videos} videos make no {folds} folds: single pictures were drawn");
                (false, Some(why))
            }
            _ => {
                let why = format!(
                    "{videos} videos have labels, so each is kept whole (--by-frame draws single pictures)"
                );
                (true, Some(why))
            }
        }
    }
}

/// Of shuffles that do not bring what their number promises.
fn warn(splits: &[Split], by_video: bool, terminal: &Terminal) {
    let same =
        splits.iter().enumerate().filter(|(i, s)| splits[..*i].iter().any(|o| o.test == s.test)).count();
    if same > 0 {
        terminal.warn(&format!(
            "{same} of {} shuffles test on the very pictures of another one{}",
            splits.len(),
            if by_video {
                ": there are too few videos for so many draws (--folds tests each once)"
            } else {
                ""
            }
        ));
    }
    for s in splits.iter().filter(|_| by_video).take(1) {
        #[allow(clippy::cast_precision_loss)] // counts
        let reached = s.train.len() as f64 / (s.train.len() + s.test.len()).max(1) as f64;
        if (reached - s.train_fraction).abs() > 0.1 {
            terminal.warn(&format!(
                "whole videos make {:.0} % of the pictures to train on, not {:.0} % (--by-frame comes nearer)",
                reached * 100.0,
                s.train_fraction * 100.0
            ));
        }
    }
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let mut project = Project::open(&args.project, terminal)?;
    let store = LabelStore::read(&project, terminal)?;
    let (by_video, why) = args.by_video(store.labels());
    let splits = if let Some(folds) = args.folds {
        let request = FoldsRequest { folds, seed: args.seed, by_video, force: args.force };
        Splits::draw_folds(&mut project, store.labels(), &request)?
    } else {
        let first = project.config.training_fraction.first().copied();
        let request = SplitRequest {
            train_fraction: args.train_fraction.or(first).unwrap_or(0.95),
            shuffles: args.shuffles,
            seed: args.seed,
            by_video,
            force: args.force,
        };
        Splits::draw(&mut project, store.labels(), &request)?
    };
    if let Some(why) = why {
        terminal.note(&why);
    }
    warn(&splits, by_video, terminal);
    let path = Splits::path(&project);
    let mut text = String::new();
    let mut list = Vec::new();
    for s in &splits {
        let videos: BTreeSet<&str> = s.test.iter().map(|k| k.video.as_str()).collect();
        let of = match videos.len() {
            _ if !by_video => String::new(),
            1 => " (1 video)".to_owned(),
            n => format!(" ({n} videos)"),
        };
        text += &format!(
            "shuffle {}: {} pictures to train on, {} to test on{of}\n",
            s.shuffle,
            s.train.len(),
            s.test.len()
        );
        list.push(json!({"shuffle": s.shuffle, "train": s.train.len(), "test": s.test.len(), "test_videos": videos}));
    }
    text += &format!("written to {}\nnext: limn train {}", path.display(), project.root().display());
    if splits.len() > 1 {
        text += &format!(
            " --shuffle 1, and so on to {0}; then limn evaluate {1} --shuffles 1-{0}",
            splits.len(),
            project.root().display()
        );
    }
    let json = json!({
        "project": project.root(), "splits": path, "train_fraction": splits.first().map(|s| s.train_fraction),
        "seed": args.seed, "by_video": by_video, "folds": args.folds, "shuffles": list,
    });
    Ok(Report::new(text, json))
}
