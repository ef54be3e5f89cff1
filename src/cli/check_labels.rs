use super::{Report, Terminal};
use crate::error::Result;
use crate::project::{LabelStore, Project, Severity};
use crate::watch::{Quiet, Watch};
use serde_json::json;
use std::path::PathBuf;

/// Look for mistakes in the labels
///
/// Tells of pictures that are gone, labels outside the picture, body parts never labelled, left and right probably
/// swapped, and label files that contradict each other. Exit code 1 when there is something that training stops at.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn check-labels openfield-Ada-2026-01-31
  limn check-labels openfield-Ada-2026-01-31 --json > problems.json")]
pub(super) struct Args {
    /// The project's folder or its config.yaml
    project: PathBuf,
    /// Only look for mistakes; do not draw the labels into `labeled-data/<video>_labeled/`
    #[arg(long)]
    no_pictures: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let project = Project::open(&args.project, terminal)?;
    // What opening warns of is in the list of problems as well; say it there only.
    let store = LabelStore::read(&project, &Quiet::default())?;
    terminal.check()?;
    let problems = store.check(terminal)?;
    let labels = store.labels();
    let pictures = labels.labeled_frames().count();
    let count = |s: Severity| problems.iter().filter(|p| p.severity == s).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));

    let mut text = String::new();
    for p in &problems {
        let severity = match p.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        text += &format!("{severity}: {}: {}\n", p.place, p.what);
        if !p.mend.is_empty() {
            text += &format!("  mend: {}\n", p.mend);
        }
    }
    text += &format!(
        "{pictures} labelled pictures, {} labels of {} points; {errors} errors, {warnings} warnings",
        labels.labeled_points(),
        labels.skeleton.points(),
    );
    let drawn =
        if args.no_pictures { Vec::new() } else { crate::show::label_pictures(&project, &store, terminal)? };
    for folder in &drawn {
        text += &format!("\ndrawn in {}", folder.display());
    }
    let json = json!({
        "project": project.root(), "drawn": drawn, "labeled_pictures": pictures, "labels": labels.labeled_points(),
        "errors": errors, "warnings_found": warnings, "problems": problems,
    });
    let mut report = Report::new(text, json);
    report.bad = errors > 0;
    Ok(report)
}
