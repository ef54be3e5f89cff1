use super::{Report, Terminal};
use crate::error::Result;
use crate::gui::{self, Place, Renderer};
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;

/// Open the window
///
/// Without a project it begins with the recent ones.
#[derive(clap::Args, Default)]
#[command(after_help = "\
Examples:
  limn gui
  limn gui openfield-Ada-2026-01-31")]
pub(super) struct Args {
    /// The project's folder, or the config.yaml in it
    project: Option<PathBuf>,
    /// What draws the window; `auto` tries wgpu, then OpenGL
    #[arg(long, value_enum, env = "LIMN_RENDERER", default_value_t = Draw::Auto)]
    renderer: Draw,
}

/// Label frames in the window
#[derive(clap::Args)]
pub(super) struct LabelArgs {
    /// The project's folder, or the config.yaml in it
    project: PathBuf,
    /// What draws the window; `auto` tries wgpu, then OpenGL
    #[arg(long, value_enum, env = "LIMN_RENDERER", default_value_t = Draw::Auto)]
    renderer: Draw,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Draw {
    #[default]
    Auto,
    Wgpu,
    Opengl,
}

impl From<Draw> for Renderer {
    fn from(draw: Draw) -> Self {
        match draw {
            Draw::Auto => Self::Auto,
            Draw::Wgpu => Self::Wgpu,
            Draw::Opengl => Self::OpenGl,
        }
    }
}

pub(super) fn run(args: &Args, _: &Terminal) -> Result<Report> {
    gui::run(args.project.clone(), None, args.renderer.into(), Terminal::asked_to_stop)?;
    Ok(Report::new("", json!({"project": args.project})))
}

pub(super) fn label(args: &LabelArgs, _: &Terminal) -> Result<Report> {
    let place = Some(Place::Label);
    gui::run(Some(args.project.clone()), place, args.renderer.into(), Terminal::asked_to_stop)?;
    Ok(Report::new("", json!({"project": args.project})))
}
