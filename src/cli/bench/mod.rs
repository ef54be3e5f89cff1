mod train;

use super::{Report, Terminal};
use crate::error::{Error, Kind, Result};
use crate::infer::{self, Engine, Length, Measured};
use crate::net::Precision;
use serde_json::json;
use std::path::PathBuf;

/// Measure the speed of this machine, stage by stage, and what limits it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn bench infer video.mp4 --model openfield-Ada-2026-01-31
  limn bench infer video.mp4 --net resnet_50 --init random
  limn bench infer --net resnet_50 --init random --width 1280 --height 1024 --device cuda:0
  limn bench train --net resnet_50 --crop 448 --batch 8
  limn bench train openfield-Ada-2026-01-31 --net efficientnet_lite0 --crop 256
  limn bench decode video.mp4")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Frames per second of an analysis: end to end, each stage, and the network's forward pass alone
    Infer(Infer),
    /// Images per second of training: the loader and steps together, and steps alone
    Train(train::Args),
    /// Frames per second of decoding a video, without and with conversion to RGB
    #[cfg(feature = "video")]
    Decode(Decode),
}

#[derive(clap::Args)]
struct Infer {
    /// A video; without one, frames of noise from memory are computed (no decoding)
    video: Option<PathBuf>,
    /// A project (its folder or config.yaml), or a model folder
    #[arg(long, value_name = "PROJECT", conflicts_with = "net", required_unless_present = "net")]
    model: Option<PathBuf>,
    /// Which shuffle of the project
    #[arg(long, default_value_t = 1, value_name = "N")]
    shuffle: u32,
    /// A network with random weights, such as resnet_50
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    /// Where the network's weights come from: random, which is all that speed needs
    #[arg(long, default_value = "random", value_parser = ["random"], requires = "net", value_name = "HOW")]
    init: String,
    /// Stride of the backbone: 8, 16 or 32
    #[arg(long, default_value_t = 16, value_name = "N", requires = "net")]
    stride: usize,
    /// Body parts of a random network
    #[arg(long, default_value_t = 4, value_name = "N", requires = "net")]
    points: usize,
    /// Width of synthetic frames
    #[arg(long, default_value_t = 640, value_name = "PX", conflicts_with = "video")]
    width: usize,
    /// Height of synthetic frames
    #[arg(long, default_value_t = 480, value_name = "PX", conflicts_with = "video")]
    height: usize,
    /// Frames computed at once, at most 256 [default: measured]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// What to compute on: auto, cpu, cuda, cuda:0
    #[arg(long, default_value = "auto", value_name = "D")]
    device: String,
    /// Number format: fp32, bf16 or fp16 [default: the fastest good one of the device]
    #[arg(long, value_name = "P")]
    precision: Option<Precision>,
    /// How long to measure all stages together at most; the forward pass alone takes up to 10 more [default: 20,
    /// or 600 with --frames]
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Frames to measure at most
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    #[cfg(feature = "video")]
    #[command(flatten)]
    decoder: Decoder,
}

/// What decodes.
#[cfg(feature = "video")]
#[derive(clap::Args)]
pub(super) struct Decoder {
    /// Decode with the graphics card: off, auto, or FFmpeg's name for it (cuda, vaapi, videotoolbox, ...)
    #[arg(long, default_value = "off", value_name = "HOW")]
    hwaccel: String,
}

#[cfg(feature = "video")]
impl Decoder {
    pub(super) fn hardware(&self) -> crate::video::Hardware {
        match self.hwaccel.as_str() {
            "off" => crate::video::Hardware::Off,
            "auto" => crate::video::Hardware::Auto,
            name => crate::video::Hardware::Named(name.to_owned()),
        }
    }
}

#[cfg(feature = "video")]
#[derive(clap::Args)]
struct Decode {
    /// The video
    video: PathBuf,
    /// How long to measure
    #[arg(long, default_value_t = 20.0, value_name = "S")]
    seconds: f64,
    #[command(flatten)]
    decoder: Decoder,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    match &args.what {
        What::Infer(args) => infer(args, terminal),
        What::Train(args) => train::run(args, terminal),
        #[cfg(feature = "video")]
        What::Decode(args) => decode(args, terminal),
    }
}

fn infer(args: &Infer, terminal: &Terminal) -> Result<Report> {
    let seconds = args.seconds.unwrap_or(if args.frames.is_some() { 600.0 } else { 20.0 });
    check_seconds(seconds)?;
    let length = Length { seconds, frames: args.frames.unwrap_or(usize::MAX) };
    let engine = match (&args.net, &args.model) {
        (Some(net), _) => {
            let stride = (args.stride, args.stride.min(8));
            Engine::random(net, stride, args.points, &args.device, args.precision)?
        }
        (None, Some(model)) => {
            Engine::load(&folder(model, args.shuffle, terminal)?, &args.device, args.precision)?
        }
        (None, None) => {
            return Err(
                Error::new(Kind::Usage, "there is no network to measure").mend("give --net or --model")
            );
        }
    };
    let measured = match &args.video {
        None => infer::measure_synthetic(&engine, (args.width, args.height), args.batch, length, terminal)?,
        #[cfg(feature = "video")]
        Some(video) => {
            let hardware = args.decoder.hardware();
            infer::measure_video(&engine, video, &hardware, args.batch, length, terminal)?
        }
        #[cfg(not(feature = "video"))]
        Some(video) => {
            return Err(Error::new(Kind::Video, "this build of limn cannot open videos")
                .at(video.display())
                .mend("leave the video out to measure synthetic frames, or use a limn built with the feature `video`"));
        }
    };
    Ok(Report::new(table(&measured), json!(measured)))
}

fn check_seconds(seconds: f64) -> Result<()> {
    if !(0.1..=3600.0).contains(&seconds) {
        return Err(
            Error::new(Kind::Usage, "that is no time to measure in").mend("give --seconds 0.1 to 3600")
        );
    }
    Ok(())
}

/// The model folder that a project or bundle path means.
fn folder(path: &std::path::Path, shuffle: u32, terminal: &Terminal) -> Result<PathBuf> {
    if path.join("model.yaml").is_file() {
        return Ok(path.to_owned());
    }
    #[cfg(feature = "vision")]
    {
        let project = crate::project::Project::open(path, terminal)?;
        crate::train::session::snapshot(&project, shuffle, "auto")
    }
    #[cfg(not(feature = "vision"))]
    {
        let _ = (shuffle, terminal);
        Err(Error::new(Kind::Bundle, "this is no model folder, and this build of limn knows no trainings")
            .at(path.display())
            .mend("give the folder that holds model.yaml"))
    }
}

fn table(m: &Measured) -> String {
    let decoded = if m.source == "video" { "decoding included" } else { "no decoding: synthetic frames" };
    let row = |name: &str, busy: f64, fps: f64| format!("  {name:<18}{:>6.1} %{fps:>12.1}\n", busy * 100.0);
    let s = &m.stages;
    let mut text = format!(
        "{} on {}, {}, {} x {}, batch {}: {:.2} frames/s ({} frames, {decoded})\n",
        m.net, m.device, m.precision, m.width, m.height, m.batch, m.fps, m.frames
    );
    text += &format!("  {:<18}{:>8}{:>12}\n", "stage", "busy", "frames/s");
    text +=
        &row(if m.source == "video" { "decode" } else { "(counting)" }, s.decode_busy, m.stage_fps.decode);
    text += &row(if m.source == "video" { "convert" } else { "copy" }, s.convert_busy, m.stage_fps.convert);
    text += &row("compute", s.compute_busy, m.stage_fps.compute);
    text += &row("take rows", s.write_busy, m.stage_fps.write);
    text += &format!(
        "limited by {}; the forward pass alone: {:.2} frames/s, of which this is {:.0} %\n",
        m.limit.word(),
        m.ceiling_fps,
        m.of_ceiling * 100.0
    );
    if !m.decoder.is_empty() {
        text += &format!("decoder: {}\n", m.decoder);
    }
    text
}

#[cfg(feature = "video")]
fn decode(args: &Decode, terminal: &Terminal) -> Result<Report> {
    let d = infer::decoding(&args.video, &args.decoder.hardware(), args.seconds, terminal)?;
    let text = format!(
        "{} x {}, {} {}, {}: {:.0} frames/s decoded, {:.0} frames/s decoded and converted on one thread ({} frames; conversion alone {:.0})\n",
        d.width, d.height, d.codec, d.pixels, d.decoder, d.decode_fps, d.fps, d.frames, d.convert_fps
    );
    Ok(Report::new(text, json!(d)))
}
