//! The command line: one file a subcommand, each parses, calls the library, and says what came out.
//!
//! A command gives a [`Report`]: text for people and one JSON object for scripts (`--json`). Progress, notes and
//! warnings go to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped.
//!
//! A new command is a file with an `Args` (clap) and `run(&Args, &Terminal) -> Result<Report>`, and a line in
//! [`Command`] and in [`Command::run`].
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     limn::cli::run()
//! }
//! ```

mod add_videos;
#[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
mod analyze;
#[cfg(feature = "torch")]
mod bench;
#[cfg(feature = "vision")]
mod calibrate;
mod check_labels;
#[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
mod demo;
mod doctor;
#[cfg(all(feature = "torch", feature = "vision"))]
mod evaluate;
#[cfg(feature = "video")]
mod extract_frames;
#[cfg(feature = "gui")]
mod gui;
mod kinematics;
mod new;
#[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
mod render;
mod split;
mod terminal;
#[cfg(all(feature = "torch", feature = "vision"))]
mod train;
mod triangulate;

pub use terminal::Terminal;

use crate::error::{Error, Kind, Result};
#[cfg(any(test, not(feature = "gui")))]
use clap::CommandFactory;
use clap::{Parser, Subcommand};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Track body parts of animals in videos.
///
/// limn works on DeepLabCut project folders: it makes them, labels them, trains a network on the labels, and turns
/// videos into tracks.
#[derive(Parser)]
#[command(name = "limn", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON object on standard output instead of text, for scripts
    #[arg(long, global = true)]
    json: bool,
    /// Show no progress and no notes, only warnings and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  limn new openfield --scorer Ada --bodyparts snout,leftear,rightear,tailbase m1.mp4 m2.mp4
  limn check-labels openfield-Ada-2026-01-31
  limn split openfield-Ada-2026-01-31 --train-fraction 0.95
  limn help split

PROJECT is the project's folder or the config.yaml in it.";

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "gui")]
    Gui(gui::Args),
    New(new::Args),
    AddVideos(add_videos::Args),
    #[cfg(feature = "gui")]
    Label(gui::LabelArgs),
    CheckLabels(check_labels::Args),
    Split(split::Args),
    #[cfg(feature = "video")]
    ExtractFrames(extract_frames::Args),
    #[cfg(all(feature = "torch", feature = "vision"))]
    Train(train::Args),
    #[cfg(all(feature = "torch", feature = "vision"))]
    Evaluate(evaluate::Args),
    #[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
    Analyze(analyze::Args),
    #[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
    Render(render::Args),
    #[cfg(feature = "vision")]
    Calibrate(calibrate::Args),
    #[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
    Demo(demo::Args),
    #[cfg(feature = "torch")]
    Bench(bench::Args),
    Kinematics(kinematics::Args),
    Triangulate(triangulate::Args),
    Doctor(doctor::Args),
}

impl Command {
    fn run(&self, terminal: &Terminal) -> Result<Report> {
        match self {
            #[cfg(feature = "gui")]
            Self::Gui(args) => gui::run(args, terminal),
            #[cfg(feature = "gui")]
            Self::Label(args) => gui::label(args, terminal),
            Self::New(args) => new::run(args, terminal),
            Self::AddVideos(args) => add_videos::run(args, terminal),
            Self::CheckLabels(args) => check_labels::run(args, terminal),
            Self::Split(args) => split::run(args, terminal),
            #[cfg(feature = "video")]
            Self::ExtractFrames(args) => extract_frames::run(args, terminal),
            #[cfg(all(feature = "torch", feature = "vision"))]
            Self::Train(args) => train::run(args, terminal),
            #[cfg(all(feature = "torch", feature = "vision"))]
            Self::Evaluate(args) => evaluate::run(args, terminal),
            #[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
            Self::Analyze(args) => analyze::run(args, terminal),
            #[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
            Self::Render(args) => render::run(args, terminal),
            #[cfg(feature = "vision")]
            Self::Calibrate(args) => calibrate::run(args, terminal),
            #[cfg(all(feature = "torch", feature = "video", feature = "vision", feature = "hdf5"))]
            Self::Demo(args) => demo::run(args, terminal),
            #[cfg(feature = "torch")]
            Self::Bench(args) => bench::run(args, terminal),
            Self::Kinematics(args) => kinematics::run(args, terminal),
            Self::Triangulate(args) => triangulate::run(args, terminal),
            Self::Doctor(args) => doctor::run(args, terminal),
        }
    }
}

/// What a command has to say when it is done.
pub struct Report {
    /// For people; printed as it is.
    pub text: String,
    /// For scripts; the object that `--json` prints, to which the warnings are added.
    pub json: Map<String, Value>,
    /// Whether what was asked about turned out bad (`check-labels` found errors); the exit code is 1 then.
    pub bad: bool,
}

impl Report {
    /// A report of work that went well. `json` must be an object; anything else is put under `result`.
    #[must_use]
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        let json = match json {
            Value::Object(map) => map,
            other => Map::from_iter([("result".to_owned(), other)]),
        };
        Self { text: text.into(), json, bad: false }
    }
}

/// Runs the program on the arguments it was started with.
#[must_use]
pub fn run() -> ExitCode {
    let log = tracing_subscriber::EnvFilter::try_from_env("LIMN_LOG").unwrap_or_default();
    // It fails only when another one is set, which is then as good.
    let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(log).try_init();

    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    #[cfg(feature = "gui")]
    let command = cli.command.unwrap_or_else(|| Command::Gui(gui::Args::default()));
    #[cfg(not(feature = "gui"))]
    let Some(command) = cli.command else {
        print(&Cli::command().render_help().to_string());
        return ExitCode::SUCCESS;
    };
    let terminal = Terminal::new(cli.quiet, cli.json);
    let outcome = command.run(&terminal);
    terminal.clear();
    match outcome {
        Ok(mut report) => {
            if cli.json {
                report.json.insert("warnings".into(), json!(terminal.warnings()));
                print(&format!("{}\n", Value::Object(report.json)));
            } else if !report.text.is_empty() {
                print(&format!("{}\n", report.text.trim_end()));
            }
            if report.bad { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
        Err(e) => {
            terminal::complain(&format!("error: {e}"));
            if cli.json {
                let object = json!({
                    "error": { "kind": format!("{:?}", e.kind()), "what": e.what(), "where": e.place(), "mend": e.how_to_mend() },
                    "warnings": terminal.warnings(),
                });
                print(&format!("{object}\n"));
            }
            exit_code(&e)
        }
    }
}

fn exit_code(e: &Error) -> ExitCode {
    match e.kind() {
        Kind::Usage => ExitCode::from(2),
        Kind::Cancelled => ExitCode::from(130),
        _ => ExitCode::from(1),
    }
}

/// Help and version, or what is wrong with the arguments.
fn usage(e: &clap::Error) -> ExitCode {
    if !e.use_stderr() {
        print(&e.to_string());
        return ExitCode::SUCCESS;
    }
    let text = e.to_string();
    terminal::complain(text.trim_end());
    if std::env::args_os().any(|a| a == "--json") {
        let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let mend = "see `limn help` for the commands and `limn help COMMAND` for its arguments";
        let object =
            json!({"error": {"kind": "Usage", "what": what, "where": null, "mend": mend}, "warnings": []});
        print(&format!("{object}\n"));
    }
    ExitCode::from(2)
}

/// To standard output; a reader that went away (`limn ... | head`) is no fault of ours.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Width and height of a video's frames.
#[cfg(feature = "video")]
fn probe(path: &std::path::Path, terminal: &Terminal) -> Result<(usize, usize)> {
    let index = crate::video::Index::open(path, terminal)?;
    Ok((index.width(), index.height()))
}

/// Width and height of a video's frames, which this build cannot tell.
#[cfg(not(feature = "video"))]
fn probe(path: &std::path::Path, _terminal: &Terminal) -> Result<(usize, usize)> {
    Err(Error::new(Kind::Video, "this build of limn cannot open videos")
        .at(path.display())
        .mend("use a limn that was built with the feature `video`"))
}

/// `a, b and c`, or `none`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
