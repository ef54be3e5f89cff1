use super::{Report, Terminal, listed, probe};
use crate::error::{Error, Kind, Result};
use crate::project::{NewProject, Project, VideoMode, today};
use serde_json::json;
use std::path::PathBuf;

/// Make a new project
///
/// Makes a folder NAME-SCORER-DATE with a config.yaml that DeepLabCut reads too. Videos are linked, not copied, unless
/// --copy is given.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  limn new openfield --scorer Ada --bodyparts snout,leftear,rightear,tailbase m1.mp4 m2.mp4
  limn new reaching --scorer Ada --bodyparts hand,elbow --skeleton hand-elbow --copy videos/
  limn new pair --scorer Ada --individuals mouse1,mouse2 --bodyparts snout,tailbase pair.mp4")]
pub(super) struct Args {
    /// Name of the project, such as openfield
    name: String,
    /// Videos, or folders of videos; more can be added later
    #[arg(value_name = "VIDEO")]
    videos: Vec<PathBuf>,
    /// Name of the person who labels
    #[arg(long)]
    scorer: String,
    /// Body parts to track, separated by commas; name left and right ones alike (leftear,rightear)
    #[arg(long, value_delimiter = ',', required = true, value_name = "A,B,C")]
    bodyparts: Vec<String>,
    /// Names of the animals, when there are several in a video
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    individuals: Vec<String>,
    /// With --individuals: points that exist once in a frame, such as corners of the box
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    unique_bodyparts: Vec<String>,
    /// Lines between body parts, as pairs, such as snout-tailbase,leftear-rightear
    #[arg(long, value_delimiter = ',', value_name = "A-B")]
    skeleton: Vec<String>,
    /// Copy the videos into the project instead of linking to them
    #[arg(long)]
    copy: bool,
    /// Folder to make the project in
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> Result<Report> {
    let trimmed = |names: &[String]| names.iter().map(|n| n.trim().to_owned()).collect::<Vec<_>>();
    let new = NewProject {
        task: args.name.clone(),
        scorer: args.scorer.clone(),
        bodyparts: trimmed(&args.bodyparts),
        individuals: trimmed(&args.individuals),
        unique_bodyparts: trimmed(&args.unique_bodyparts),
        skeleton: args
            .skeleton
            .iter()
            .map(|pair| edge(pair, &trimmed(&args.bodyparts)))
            .collect::<Result<_>>()?,
        date: today(),
    };
    let mode = if args.copy { VideoMode::Copy } else { VideoMode::Link };
    let probe = |path: &std::path::Path| probe(path, terminal);
    let project = Project::create(&args.dir, &new, &args.videos, mode, &probe, terminal)?;
    let videos: Vec<String> = project.videos().into_iter().map(|v| v.stem).collect();
    let root = project.root().display();
    let next = if videos.is_empty() {
        format!("limn add-videos {root} VIDEO...")
    } else {
        format!("limn extract-frames {root}")
    };
    Ok(Report::new(
        format!("made {root}\nvideos: {}\nnext: {next}", listed(&videos)),
        json!({"project": project.root(), "config": project.config.path(), "videos": videos}),
    ))
}

/// `a-b`, where names may hold a `-` themselves.
fn edge(pair: &str, parts: &[String]) -> Result<[String; 2]> {
    pair.match_indices('-')
        .map(|(i, _)| [pair[..i].trim().to_owned(), pair[i + 1..].trim().to_owned()])
        .find(|names| names.iter().all(|n| parts.contains(n)) && names[0] != names[1])
        .ok_or_else(|| {
            Error::new(Kind::Usage, format!("`--skeleton {pair}` does not join two of the body parts"))
                .mend(format!("write it as A-B; the body parts are: {}", parts.join(", ")))
        })
}
