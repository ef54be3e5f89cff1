use super::{Report, Terminal};
use crate::error::Result;
use crate::net::Precision;
use crate::project::Project;
use crate::show;
use crate::train::session::{self, Start};
use crate::train::{self, Recipe};
use crate::watch::Watch;
use serde_json::json;
use std::path::PathBuf;

/// Train a network on the labelled frames
///
/// It starts from weights learnt on ImageNet, keeps the best and the last state as model folders, and logs every
/// epoch. Ctrl-C stops it with everything kept; --resume goes on from there.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn train openfield-Ada-2026-01-31
  limn train openfield-Ada-2026-01-31 --shuffle 2 --net resnet_50 --device cuda --max-minutes 30
  limn train openfield-Ada-2026-01-31 --resume
  limn train openfield-Ada-2026-01-31 --ensemble 4
  limn train openfield-Ada-2026-01-31 --like models/of-last-spring")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// Which shuffle of `limn split` to train on
    #[arg(long, default_value_t = 1, value_name = "N")]
    shuffle: u32,
    /// The network: efficientnet_lite0/1/2 or resnet_18/34/50/101/152 [default: default_net_type of config.yaml]
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// What to compute on: auto, cpu, cuda, cuda:0
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Number format: fp32, bf16 or fp16 [default: the fastest good one of the device]
    #[arg(long, value_name = "P")]
    precision: Option<Precision>,
    /// Where to begin: `imagenet` or `random`
    #[arg(long, default_value = "imagenet", value_parser = ["imagenet", "random"], value_name = "W")]
    init: String,
    /// Begin from this weight file (.pth or .safetensors) instead of limn's own copy
    #[arg(long, value_name = "FILE", conflicts_with = "init")]
    weights: Option<PathBuf>,
    /// End after so many minutes at most, with the whole schedule in them; of an ensemble, for each network
    #[arg(long, value_name = "M")]
    max_minutes: Option<f64>,
    /// Length of the schedule in passes through the training frames [default: by steps, as the recipe says]
    #[arg(long, value_name = "E")]
    epochs: Option<u64>,
    /// Seed of everything random [default: 0, or that of the training that goes on]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Go on with an interrupted training
    #[arg(long)]
    resume: bool,
    /// A training recipe of your own, as the YAML files in `config/`
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Train so many networks, with seeds of their own, as one model that says how sure it is of every point
    #[arg(long, value_name = "N", conflicts_with = "like")]
    ensemble: Option<usize>,
    /// Repeat the training of this model: its network, recipe, seed, length and split, as a new shuffle
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["shuffle", "net", "init", "weights", "max_minutes", "epochs",
        "seed", "resume", "recipe"])]
    like: Option<PathBuf>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let mut project = Project::open(&args.project, terminal)?;
    let options = session::Options {
        shuffle: args.shuffle,
        net: args.net.clone(),
        device: args.device.clone(),
        precision: args.precision,
        start: match (&args.weights, args.init.as_str()) {
            (Some(file), _) => Start::File(file.clone()),
            (None, "random") => Start::Random,
            (None, _) => Start::Pretrained,
        },
        max_minutes: args.max_minutes,
        epochs: args.epochs,
        steps: None,
        seed: args.seed,
        resume: args.resume,
        recipe: args.recipe.as_deref().map(Recipe::read).transpose()?,
        like: args.like.clone(),
        ..session::Options::default()
    };
    if let Some(members) = args.ensemble {
        return ensemble(&mut project, &options, members, terminal);
    }
    let done = session::train(&mut project, &options, terminal)?;
    if let Err(e) = show::learning_curve(&done.folder) {
        // The model is there; a picture is no reason to call the training failed.
        terminal.warn(&format!("the learning curve was not drawn: {e}"));
    }
    let o = &done.outcome;
    let error = |e: Option<f64>| e.map_or_else(|| "not measured".to_owned(), |e| format!("{e:.2} px"));
    let text = format!(
        "trained {} on {} for {} steps in {:.1} minutes ({:.1} images/s): {}\n\
         mean test error: {} at the end, {} at best\n\
         model: {}\nnext: limn evaluate {} --shuffle {}",
        done.net,
        done.device,
        o.steps,
        o.seconds / 60.0,
        o.images_per_s,
        o.ended,
        error(o.last_error_px),
        error(o.best_error_px),
        done.folder.display(),
        project.root().display(),
        done.shuffle,
    );
    let json = json!({
        "project": project.root(), "shuffle": done.shuffle, "net": done.net, "device": done.device,
        "init": done.start, "folder": done.folder, "outcome": o,
    });
    Ok(Report::new(text, json))
}

fn ensemble(
    project: &mut Project,
    options: &session::Options,
    members: usize,
    terminal: &Terminal,
) -> Result<Report> {
    let done = train::train_ensemble(project, options, members, terminal, None)?;
    let px = |e: Option<f64>| e.map_or_else(|| "not measured".to_owned(), |e| format!("{e:.2} px"));
    let mut text = String::new();
    for (n, m) in done.members.iter().enumerate() {
        let o = &m.outcome;
        text += &format!(
            "member {}: {} for {} steps, mean test error {} ({})\n",
            n + 1,
            m.net,
            o.steps,
            px(o.last_error_px),
            o.ended
        );
    }
    text += &format!("together: mean test error {}\n", px(done.test_px));
    match &done.coverage {
        Some(c) => text += &format!("{}\n", c.words()),
        None => {
            text += "standard deviations are the members' spread alone: there are too few test points to say what it is worth\n";
        }
    }
    text += &format!("model: {}", done.model.display());
    let outcomes: Vec<_> = done.members.iter().map(|m| &m.outcome).collect();
    let json = json!({
        "project": project.root(), "shuffle": done.shuffle, "model": done.model, "members": outcomes,
        "test_mean_error_px": done.test_px, "coverage": done.coverage,
    });
    Ok(Report::new(text, json))
}
