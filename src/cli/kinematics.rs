use super::{Report, Terminal};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::{is_beside_tracks, times};
use crate::project::Project;
use crate::track::kinematics::{Kinematics, Wanted, What, measure};
use crate::track::{Found, Positions};
use crate::watch::Watch;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Measure angles, speeds and lengths of tracks
///
/// Takes tracks in space (Anipose's CSV, as limn writes it, or DeepLabCut's 3D tables) and in the plane (DeepLabCut's tables).
/// Writes `<file>_kinematics.csv`, one row a frame, and `<file>_kinematics.yaml` with units, means and standard deviations.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn kinematics day1_3d.csv --fps 100 --angle hip,knee,ankle
  limn kinematics tracks/*.h5 --skeleton openfield-Ada-2026-01-31 --min-likelihood 0.6 --out measures")]
pub(super) struct Args {
    /// Tracks: .csv or .h5
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The angle at B between A and C; may be given several times [default: all of the skeleton]
    #[arg(long = "angle", value_name = "A,B,C")]
    angles: Vec<String>,
    /// The project whose skeleton says which body parts are joined
    #[arg(long, value_name = "PROJECT")]
    skeleton: Option<PathBuf>,
    /// Frames a second [default: the table of times beside the tracks; without it, speeds are those of a frame]
    #[arg(long, value_name = "F")]
    fps: Option<f64>,
    /// How many frames a speed comes from; odd
    #[arg(long, default_value_t = 3, value_name = "N")]
    smooth_window: usize,
    /// Points of a lower likelihood count as not found
    #[arg(long, default_value_t = 0.0, value_name = "L")]
    min_likelihood: f64,
    /// Where the results go [default: beside each file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let angles = args.angles.iter().map(|a| three(a)).collect::<Result<Vec<_>>>()?;
    // A wildcard takes what lies beside tracks as well.
    let beside = |f: &&PathBuf| {
        let stem = f.file_stem().unwrap_or_default().to_string_lossy();
        is_beside_tracks(&stem) && !stem.ends_with("_3d") && !stem.ends_with("_DLC_3D")
    };
    let given: Vec<PathBuf> = args.files.iter().filter(|f| !beside(f)).cloned().collect();
    if given.is_empty() {
        let what = "these files lie beside tracks and are none themselves";
        return Err(
            Error::new(Kind::Usage, what).mend("give the tracks: the names without _times, _sd and the like")
        );
    }
    let results: Vec<PathBuf> = given.iter().map(|f| result(f, args.out.as_deref())).collect();
    for (i, path) in results.iter().enumerate() {
        if results.iter().take(i).any(|p| p == path) {
            return Err(Error::new(Kind::Usage, "two files would have the same result")
                .at(path.display())
                .mend("give files of different names, or one at a time with different --out"));
        }
    }
    let project = args.skeleton.as_ref().map(|p| Project::open(p, terminal)).transpose()?;
    let skeleton = project.map(|p| p.skeleton());
    if let Some(out) = &args.out {
        files::make_folder(out)?;
    }
    let (mut text, mut list) = (String::new(), Vec::new());
    for (file, path) in given.iter().zip(&results) {
        terminal.check()?;
        let mut tracks = Found::read(file, terminal)?;
        let (corrected, unused) = tracks.correct(file)?;
        unused.iter().take(10).for_each(|text| terminal.warn(text));
        if corrected > 0 {
            let points = if corrected == 1 { "1 point".to_owned() } else { format!("{corrected} points") };
            terminal.note(&format!("{}: {points} that a person put right are used", file.display()));
        }
        let joined = skeleton.as_ref().map(|s| Wanted::of_skeleton(s, tracks.skeleton()));
        let mut wanted = match (&angles[..], joined) {
            ([], Some(joined)) => joined,
            (_, None) => Wanted::angles(angles.clone()),
            (_, Some(joined)) => Wanted { angles: angles.clone(), ..joined },
        };
        wanted.fps = args.fps;
        wanted.times = if args.fps.is_none() {
            times::beside(file).filter(|t| t.len() == tracks.frames())
        } else {
            None
        };
        wanted.window = args.smooth_window;
        wanted.min_likelihood = args.min_likelihood;
        let found = measure(&tracks, &wanted).map_err(|e| e.at(file.display()))?;
        if found.times.is_none() {
            terminal.note(&format!("{}: speeds are per frame; --fps makes them per second", file.display()));
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        found.write(path, &name)?;
        text += &told(file, path, &found);
        list.push(json!({
            "file": file,
            "kinematics": path,
            "about": Kinematics::companion(path),
            "frames": found.frames,
            "columns": found.columns.iter().map(|c| json!({
                "name": c.name, "what": c.what, "unit": c.unit, "known": c.count(),
                "mean": c.mean(), "sd": c.deviation(),
            })).collect::<Vec<_>>(),
        }));
    }
    Ok(Report::new(text, json!({ "files": list })))
}

fn three(text: &str) -> Result<[String; 3]> {
    let names: Vec<String> = text.split(',').map(|n| n.trim().to_owned()).collect();
    names.try_into().map_err(|_| {
        Error::new(Kind::Usage, format!("`{text}` is no angle"))
            .mend("name three body parts, the joint in the middle: --angle hip,knee,ankle")
    })
}

fn result(file: &Path, out: Option<&Path>) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    out.map_or_else(|| files::folder_of(file), Path::to_path_buf).join(format!("{stem}_kinematics.csv"))
}

/// The means, for people.
fn told(file: &Path, path: &Path, found: &Kinematics) -> String {
    let mut text = format!("{}: {} frames, in {}\n", file.display(), found.frames, path.display());
    let width = found.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
    for what in [What::Angle, What::Length, What::Speed] {
        for column in found.columns.iter().filter(|c| c.what == what) {
            let mean = match (column.mean(), column.deviation()) {
                (Some(mean), Some(sd)) => format!("{mean:.2} ± {sd:.2} {}", column.unit),
                (Some(mean), None) => format!("{mean:.2} {}", column.unit),
                _ => "not known in any frame".into(),
            };
            text += &format!("  {:width$}  {mean}\n", column.name);
        }
    }
    text
}
