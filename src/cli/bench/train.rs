use super::super::{Report, Terminal};
use crate::error::{Error, Kind, Result};
use crate::net::Precision;
use crate::train::{self, Dataset, Measured, Task};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A project, on all of whose labelled frames to train; without one, pictures of noise are made up
    project: Option<PathBuf>,
    /// The network
    #[arg(long, default_value = "resnet_50", value_name = "NAME")]
    net: String,
    /// Where the network's weights come from: random, which is all that speed needs
    #[arg(long, default_value = "random", value_parser = ["random"], value_name = "HOW")]
    init: String,
    /// Stride of the backbone: 8, 16 or 32
    #[arg(long, default_value_t = 16, value_name = "N")]
    stride: usize,
    /// Side of the crops, a multiple of 32
    #[arg(long, default_value_t = 448, value_name = "PX")]
    crop: usize,
    /// Crops in a step
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    /// Body parts, where there is no project
    #[arg(long, default_value_t = 4, value_name = "N", conflicts_with = "project")]
    points: usize,
    /// First stages of the backbone to freeze (0: none, 1: the stem, ...), and its norms as the network's recipe says;
    /// by default all is trained
    #[arg(long, default_value_t = 0, value_name = "N")]
    frozen: usize,
    /// What to compute on: auto, cpu, cuda, cuda:0
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Number format: fp32, bf16 or fp16 [default: the one that training takes on the device]
    #[arg(long, value_name = "P")]
    precision: Option<Precision>,
    /// Steps to measure at most
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How long to measure at most; the same on a fixed batch comes before and after, half as long together [default:
    /// 20, or 600 with --steps]
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let seconds = args.seconds.unwrap_or(if args.steps.is_some() { 600.0 } else { 20.0 });
    super::check_seconds(seconds)?;
    if args.batch == 0 || args.batch > 1024 || args.crop > 4096 || args.points > 10_000 {
        return Err(Error::new(Kind::Usage, "such steps are not possible")
            .mend("give --batch 1 to 1024, --crop up to 4096 and --points up to 10000"));
    }
    let data = args.project.as_deref().map(|p| frames(p, terminal)).transpose()?;
    let task = Task {
        net: args.net.clone(),
        stride: args.stride,
        crop: args.crop,
        batch: args.batch,
        points: args.points,
        frozen_stages: args.frozen,
        device: args.device.clone(),
        precision: args.precision,
        steps: args.steps.unwrap_or(usize::MAX),
        seconds,
    };
    let measured = train::measure(&task, data, terminal)?;
    Ok(Report::new(table(&measured), json!(measured)))
}

/// All labelled frames of a project.
#[cfg(feature = "vision")]
fn frames(path: &Path, terminal: &Terminal) -> Result<Dataset> {
    use crate::project::{LabelStore, Project};
    let project = Project::open(path, terminal)?;
    let store = LabelStore::read(&project, terminal)?;
    let examples = store
        .labels()
        .frames
        .iter()
        .filter(|(_, frame)| frame.points.iter().any(Option::is_some))
        .map(|(key, frame)| train::Example::new(key.clone(), project.image_path(key), frame))
        .collect();
    Dataset::load(examples, terminal)
}

#[cfg(not(feature = "vision"))]
fn frames(path: &Path, _terminal: &Terminal) -> Result<Dataset> {
    Err(Error::new(Kind::Usage, "this build of limn cuts no crops out of pictures")
        .at(path.display())
        .mend("leave the project out, or use a limn built with the feature `vision`"))
}

fn table(m: &Measured) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let trained = match m.frozen_stages {
        0 => "all stages trained".to_owned(),
        n => format!("{n} stages frozen{}", if m.frozen_norm { ", norms too" } else { "" }),
    };
    let mut text = format!(
        "{} on {}, {}, stride {}, {trained}, crops of {} px, batch {}: {:.2} images/s ({} steps, {:.3} s each)\n",
        m.net, m.device, m.precision, m.stride, m.crop, m.batch, m.images_per_s, m.steps, m.seconds_per_step
    );
    text += &format!("  step: median {:.1} ms, 95 % within {:.1} ms\n", m.step_ms.median, m.step_ms.p95);
    text += &match m.loader {
        "none" => {
            "  loader: none: this build has no OpenCV, and crops are made before the measurement\n".into()
        }
        _ => format!(
            "  loader: busy {} of the time; the device waited for it {}\n",
            percent(m.loader_busy),
            percent(m.waited)
        ),
    };
    let busy = m.device_busy.map_or_else(|| "its driver does not tell".into(), percent);
    text += &format!("  device: busy {busy}\n");
    let limit = match m.limit {
        "launching" => "the processor, which gives the GPU its work",
        other => other,
    };
    text += &format!(
        "limited by {limit}; steps on one batch that lies ready: {:.2} images/s, of which this is {:.0} %\n",
        m.ceiling_images_per_s,
        m.of_ceiling * 100.0
    );
    if m.bad_steps > 0 {
        text += &format!("{} steps had no finite gradient and changed nothing\n", m.bad_steps);
    }
    text
}
