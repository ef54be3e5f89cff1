use super::{Report, Terminal};
use crate::camera::Rig;
use crate::camera::triangulate::{Method, Noise, Options, Recording, recording, track_files};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::project::Project;
use crate::watch::Watch;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Turn the tracks of several cameras into points in space
///
/// Takes the 2D tracks of all cameras of a calibrated rig, sorts them into sessions by their names, and gives for each session
/// every body part's place in millimetres with its standard deviation, its reprojection error and the number of cameras it
/// comes from. What is not known stays empty.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn triangulate rig.yaml tracks/
  limn triangulate rig.yaml day1_left.h5 day1_right.h5 --out 3d
  limn triangulate rig.yaml tracks/ --method smooth --project openfield-Ada-2026-01-31
  limn triangulate rig.yaml tracks/ --cutoff 0.4 --allow-lengths --json

Methods:
  dlt     each point from all cameras that saw it
  ransac  each point from the cameras that agree
  smooth  all frames at once, also by how far a body part can move from frame to frame and by the lengths of limbs (those of
          the project's skeleton); it fills short gaps, and looks at the candidates of limn analyze --top-k")]
pub(super) struct Args {
    /// The rig's rig.yaml, or its folder
    rig: PathBuf,
    /// Tables of 2D tracks (.h5 or .csv), or folders of them
    #[arg(required = true)]
    tracks: Vec<PathBuf>,
    /// Where the results go [default: beside the first camera's tracks]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How points are found: dlt, ransac or smooth
    #[arg(long, default_value = "ransac", value_name = "M")]
    method: Method,
    /// Do not use 2D points of a lower likelihood
    #[arg(long, default_value_t = 0.6, value_name = "P")]
    cutoff: f64,
    /// Standard deviation of the 2D points, which those in space come from [default: measured]
    #[arg(long, value_name = "PX")]
    noise: Option<f64>,
    /// Cameras agree on a point within so many pixels [default: four times the noise]
    #[arg(long, value_name = "PX")]
    threshold: Option<f64>,
    /// So many cameras must agree on a point [default: 3 where 4 or more saw it, else 2]
    #[arg(long, value_name = "N")]
    agree: Option<usize>,
    /// Fill gaps of at most so many frames (smooth)
    #[arg(long, default_value_t = Options::default().gap, value_name = "FRAMES")]
    gap: usize,
    /// Take recordings of different lengths
    #[arg(long)]
    allow_lengths: bool,
    /// Take only the body parts that all tracks have
    #[arg(long)]
    common: bool,
    /// The project whose skeleton tells which body parts limbs join (smooth)
    #[arg(long, value_name = "PROJECT")]
    project: Option<PathBuf>,
    /// Also write a file of NWB for every animal: the subject's name
    #[cfg(feature = "hdf5")]
    #[arg(long, value_name = "SUBJECT", requires = "start")]
    nwb: Option<String>,
    /// When the recording began, for NWB: 2026-01-31T14:05:00+01:00
    #[cfg(feature = "hdf5")]
    #[arg(long, value_name = "TIME", requires = "nwb")]
    start: Option<String>,
    /// Frames a second, for NWB [default: the table of times beside the tracks]
    #[cfg(feature = "hdf5")]
    #[arg(long, value_name = "F")]
    fps: Option<f64>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let rig = Rig::read(&args.rig)?;
    let edges = match &args.project {
        Some(path) => Project::open(path, terminal)?.skeleton().edges,
        None => Vec::new(),
    };
    let options = Options {
        method: args.method,
        cutoff: args.cutoff,
        noise: args.noise,
        threshold: args.threshold,
        agree: args.agree,
        allow_lengths: args.allow_lengths,
        common: args.common,
        edges,
        gap: args.gap,
        ..Options::default()
    };
    let sessions = rig.sessions(&track_files(&args.tracks)?)?;
    let names = || rig.cameras.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
    for other in &sessions.others {
        terminal.warn(&format!("{}: its name names no camera ({})", other.display(), names()));
    }
    if sessions.by_name.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!("no file's name names a camera of the rig ({})", names()),
        )
        .mend("tell limn how files are named with `files` in rig.yaml, such as `{session}_{camera}`"));
    }
    let (mut text, mut list, mut failed) = (String::new(), Vec::new(), Vec::new());
    for (name, sources) in &sessions.by_name {
        terminal.check()?;
        let first = sources.iter().flatten().next();
        let out = args.out.clone().or_else(|| first.map(|f| files::folder_of(f))).unwrap_or_default();
        let done = recording(&rig, &Rig::path(&args.rig), name, sources, &out, &options, terminal);
        #[cfg(feature = "hdf5")]
        let done = done.and_then(|mut done| {
            if let Some(subject) = &args.nwb {
                let files = nwb(args, subject, name, &out, &done)?;
                done.written.extend(files);
            }
            Ok(done)
        });
        let done = match done {
            Ok(done) => done,
            Err(e) if sessions.by_name.len() == 1 || e.kind() == Kind::Cancelled => {
                return Err(e.at(format!("session `{name}`")));
            }
            // The others can do without it.
            Err(e) => {
                terminal.warn(&format!("session `{name}`: {e}"));
                failed.push(name.clone());
                continue;
            }
        };
        text += &words(&done);
        list.push(object(&done));
    }
    if !failed.is_empty() {
        text += &format!("not done: {}\n", super::listed(&failed));
    }
    let json = json!({
        "rig": Rig::path(&args.rig), "method": args.method.name(), "sessions": list, "failed": failed,
    });
    let mut report = Report::new(text, json);
    report.bad = !failed.is_empty();
    Ok(report)
}

/// A file of NWB for every animal.
#[cfg(feature = "hdf5")]
fn nwb(
    args: &Args,
    subject: &str,
    session: &str,
    out: &std::path::Path,
    done: &Recording,
) -> Result<Vec<PathBuf>> {
    use crate::formats::nwb::{self, About, Clock, Subject};
    use crate::formats::times;
    let frames = done.outcome.tracks.frames();
    let clock = match (args.fps, times::beside(&out.join(format!("{session}_3d.csv")))) {
        (Some(fps), _) => Clock::Rate(fps),
        (None, Some(times)) => Clock::Times(times),
        _ => {
            let what =
                format!("NWB wants to know when the {frames} frames were taken; all other files are written");
            return Err(Error::new(Kind::Usage, what).mend(
                "give --fps, or leave the `_times.csv` of a camera that was there for all of them beside its tracks",
            ));
        }
    };
    let skeleton = &done.outcome.tracks.skeleton;
    let mut written = Vec::new();
    for (i, individual) in skeleton.individuals.iter().enumerate() {
        let id = if individual.is_empty() { subject.to_owned() } else { format!("{subject}-{individual}") };
        let path = out.join(if individual.is_empty() {
            format!("{session}.nwb")
        } else {
            format!("{session}_{individual}.nwb")
        });
        let about = About {
            identifier: format!("{session}-{id}"),
            description: format!("session {session}, points in space by limn {}", crate::VERSION),
            start: args.start.clone().unwrap_or_default(),
            subject: Subject { id, ..Subject::default() },
            clock: clock.clone(),
            scorer: format!("limn {}", args.method.name()),
        };
        nwb::write(&path, &done.outcome.tracks, i, &about)?;
        written.push(path);
    }
    Ok(written)
}

fn words(done: &Recording) -> String {
    let outcome = &done.outcome;
    let found = 100.0 * (1.0 - outcome.by_cameras.first().copied().unwrap_or(1.0));
    let mut text = format!(
        "{}: {} frames, {found:.1} % of all points seen in space, noise {:.2} px{}{}\n",
        done.session,
        outcome.tracks.frames(),
        outcome.noise.all,
        if outcome.noise.measured > 0 { "" } else { " (not measured)" },
        common_words(&outcome.noise),
    );
    for camera in &outcome.cameras {
        text += &if camera.observations == 0 {
            format!("  {}: nothing\n", camera.name)
        } else {
            format!(
                "  {}: reprojection error {:.2} px in the mean, {:.2} px in the median; {:.1} % do not agree\n",
                camera.name,
                camera.mean_px,
                camera.median_px,
                100.0 * camera.outliers
            )
        };
    }
    if done.corrected > 0 {
        let points =
            if done.corrected == 1 { "1 point".to_owned() } else { format!("{} points", done.corrected) };
        text += &format!("  {points} that a person put right stand in place of what was found\n");
    }
    for path in &done.written {
        text += &format!("  written to {}\n", path.display());
    }
    text
}

/// What all cameras are taken to be wrong in alike.
fn common_words(noise: &Noise) -> String {
    let range = |a: f64, b: f64| if b - a < 0.05 { format!("{b:.1}") } else { format!("{a:.1} to {b:.1}") };
    let least = noise.common.iter().copied().fold(f64::INFINITY, f64::min);
    match noise.common.iter().copied().fold(0.0, f64::max) {
        0.0 => "; what cameras are wrong in alike is not known and not in the deviations".to_owned(),
        most => format!(", and {} px in all cameras alike, by held-out labels", range(least, most)),
    }
}

fn object(done: &Recording) -> Value {
    let outcome = &done.outcome;
    // JSON knows no NaN; what is none becomes null.
    let cameras = outcome.cameras.iter().map(|c| {
        json!({
            "camera": c.name, "observations": c.observations, "mean_px": c.mean_px, "median_px": c.median_px,
            "outliers": c.outliers,
        })
    });
    let points = outcome
        .tracks
        .skeleton
        .names()
        .zip(outcome.noise.points.iter().zip(&outcome.noise.common))
        .map(|(n, (px, common))| {
            json!({"individual": n.individual, "bodypart": n.bodypart, "noise_px": px, "common_px": common})
        });
    json!({
        "session": done.session, "sources": done.sources, "frames": outcome.tracks.frames(), "noise_px": outcome.noise.all,
        "noise_measured": outcome.noise.measured > 0, "points": points.collect::<Vec<_>>(),
        "cameras": cameras.collect::<Vec<_>>(), "share_by_cameras": outcome.by_cameras, "written": done.written,
        "corrected": done.corrected, "warnings": outcome.warnings,
    })
}
