use super::{Choices, Method, Options, Outcome, session};
use crate::camera::Rig;
use crate::camera::corrections::Corrections;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::{anipose_csv, dlc_3d, is_beside_tracks, read_tracks, times};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The newest form of the note that is written beside results.
const VERSION: u32 = 1;

/// So much is told of corrections that cannot be used.
const MOST_TOLD: usize = 10;
/// The scorer that DeepLabCut gives points in space.
const SCORER: &str = "DLC_3D";

/// What one session came to.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The session's name.
    pub session: String,
    /// The tracks that it comes from, in the rig's order.
    pub sources: Vec<Option<PathBuf>>,
    /// The points and what is known of them.
    pub outcome: Outcome,
    /// How many of them a person put right ([`Corrections`]).
    pub corrected: usize,
    /// What was written.
    pub written: Vec<PathBuf>,
}

/// The note beside results: what made them.
#[derive(Serialize)]
struct Note<'a> {
    limn_triangulation: u32,
    program: String,
    session: &'a str,
    rig: String,
    /// When and how well the rig was calibrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: &'a Option<crate::camera::Made>,
    method: &'static str,
    cutoff: f64,
    frames: usize,
    bodyparts: Vec<String>,
    noise_px: f64,
    noise_measured: bool,
    noise_px_of_points: &'a [f64],
    /// What all cameras are taken to be wrong in alike; zeros where no held-out labels told it.
    common_px_of_points: &'a [f64],
    /// Correlation of the noise in neighbouring frames.
    lasting_of_points: &'a [f64],
    cameras: Vec<CameraNote<'a>>,
    points_by_cameras: &'a [f64],
    /// Points that a person put right, and that stand in the results.
    corrected_points: usize,
    /// SHA-256 of the file they are from.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrections: Option<String>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct CameraNote<'a> {
    name: &'a str,
    source: Option<String>,
    frame_offset: i64,
    observations: usize,
    // YAML knows `.nan`: a camera that saw nothing.
    mean_px: f64,
    median_px: f64,
    outliers: f64,
}

/// Tables of 2D tracks among files and folders, sorted by name. Of a table that is there as HDF5 and as CSV the first is taken
/// where this build reads it. Folders are not searched deeper, and what limn writes beside tracks is left out.
///
/// # Errors
/// When a file or folder is not there, a file is no table of tracks by its name, or a folder holds none.
pub fn track_files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for path in named {
        if !path.is_dir() {
            if !path.is_file() {
                return Err(Error::new(Kind::NotFound, "these tracks are not there")
                    .at(path.display())
                    .mend("check the path, or make tracks with `limn analyze`"));
            }
            if !is_table(path) {
                return Err(Error::new(Kind::Usage, "this is no table of 2D tracks")
                    .at(path.display())
                    .mend(
                        "give the .h5 or .csv files that `limn analyze` or DeepLabCut wrote, or their folder",
                    ));
            }
            found.insert(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|e| Error::io("look into the folder", path, e))?;
        let before = found.len();
        for entry in entries {
            let file = entry.map_err(|e| Error::io("look into the folder", path, e))?.path();
            if file.is_file() && is_table(&file) {
                found.insert(file);
            }
        }
        if found.len() == before {
            return Err(Error::new(Kind::NotFound, "there are no tracks in this folder")
                .at(path.display())
                .mend("make some with `limn analyze`, or give another folder"));
        }
    }
    let twice = |p: &PathBuf| {
        let other = p.with_extension(if cfg!(feature = "hdf5") { "h5" } else { "csv" });
        other != *p && found.contains(&other)
    };
    Ok(found.iter().filter(|p| !twice(p)).cloned().collect())
}

fn is_table(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let table = path.extension().is_some_and(|e| e == "h5" || e == "csv");
    table && !stem.starts_with('.') && !stem.starts_with("CollectedData") && !is_beside_tracks(&stem)
}

/// Triangulates one session from files of tracks, one place per camera of `rig`, and writes the results to `out`.
/// `rig_path` is named in the note beside them. With [`Method::Smooth`], candidates that `limn analyze --top-k` wrote beside the
/// tracks are looked at, too. Points that a person put right (`<name>_corrections.yaml` in `out`) take the places of those found.
///
/// # Errors
/// When tracks, candidates or corrections cannot be read, as [`session`], or `out` cannot be written.
pub fn recording(
    rig: &Rig,
    rig_path: &Path,
    name: &str,
    sources: &[Option<PathBuf>],
    out: &Path,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Recording> {
    let mut tracks = Vec::with_capacity(sources.len());
    let mut choices = Vec::with_capacity(sources.len());
    for path in sources {
        watch.check()?;
        tracks.push(path.as_deref().map(|p| read_tracks(p, watch).map(|t| t.1)).transpose()?);
        let beside = path.as_deref().filter(|_| options.method == Method::Smooth);
        choices.push(beside.map(|p| read_choices(p, watch)).transpose()?.flatten());
    }
    let mut options = options.clone();
    if options.accuracy.is_empty() {
        options.accuracy = accuracy(sources);
    }
    let options = &options;
    // Before the work: a file of corrections that cannot be read must not cost it.
    let beside = out.join(format!("{name}_corrections.yaml"));
    let corrections = Corrections::read(&beside, name)?;
    let mut outcome = session(rig, &tracks, &choices, options, watch)?;
    let cameras: Vec<_> = rig.cameras.iter().filter_map(|m| m.camera.clone()).collect();
    let (corrected, told) = corrections.apply(&cameras, &mut outcome.tracks);
    for text in told.into_iter().take(MOST_TOLD) {
        watch.warn(&text);
        outcome.warnings.push(text);
    }
    let corrections = Corrections::checksum(&beside);
    files::make_folder(out)?;
    let mut written = write_points(out, name, &outcome)?;
    if let Some(times) = write_times(rig, sources, out, name, outcome.tracks.frames())? {
        written.push(times);
    }
    let note = out.join(format!("{name}_3d_meta.yaml"));
    files::write_whole(
        &note,
        note_text(rig, rig_path, name, sources, options, &outcome, (corrected, corrections))?.as_bytes(),
    )?;
    written.push(note);
    Ok(Recording { session: name.to_owned(), sources: sources.to_vec(), outcome, corrected, written })
}

/// The times of the rig's frames, from the first camera that knows them all; the table that was written.
fn write_times(
    rig: &Rig,
    sources: &[Option<PathBuf>],
    out: &Path,
    name: &str,
    frames: usize,
) -> Result<Option<PathBuf>> {
    let known = rig.cameras.iter().zip(sources).find_map(|(mount, path)| {
        let all = times::beside(path.as_ref()?)?;
        let first = usize::try_from(mount.offset).ok()?;
        all.get(first..first.checked_add(frames)?).map(<[f64]>::to_vec)
    });
    let path = out.join(format!("{name}_3d_times.csv"));
    match known {
        Some(known) => {
            times::write(&path, &known)?;
            Ok(Some(path))
        }
        // Those of an earlier run would be of other frames.
        None if path.is_file() => {
            std::fs::remove_file(&path).map_err(|e| Error::io("remove the old table of times", &path, e))?;
            Ok(None)
        }
        None => Ok(None),
    }
}

/// What the notes of `limn analyze` beside the tracks say of how far body parts lie from held-out labels; the root mean square
/// of several models'. Empty where not all of them say it.
fn accuracy(sources: &[Option<PathBuf>]) -> BTreeMap<String, f64> {
    #[derive(Deserialize)]
    struct Beside {
        accuracy_px: Option<BTreeMap<String, f64>>,
    }
    let read = |tracks: &PathBuf| {
        let stem = tracks.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(tracks.with_file_name(format!("{stem}_meta.yaml"))).ok()?;
        serde_yaml::from_str::<Beside>(&text).ok()?.accuracy_px
    };
    let Some(all) = sources.iter().flatten().map(read).collect::<Option<Vec<_>>>() else {
        return BTreeMap::new();
    };
    let mut squares: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (part, sd) in all.into_iter().flatten().filter(|(_, sd)| sd.is_finite() && *sd > 0.0) {
        let (sum, count) = squares.entry(part).or_default();
        *sum += sd * sd;
        *count += 1.0;
    }
    squares.into_iter().map(|(part, (sum, count))| (part, (sum / count).sqrt())).collect()
}

/// Writes the points of a session; which files those are.
fn write_points(out: &Path, name: &str, outcome: &Outcome) -> Result<Vec<PathBuf>> {
    let anipose = out.join(format!("{name}_3d.csv"));
    let deviations = anipose_csv::deviations_path(&anipose);
    anipose_csv::write(&anipose, &outcome.tracks)?; // the deviations with it
    let table = out.join(format!("{name}_DLC_3D.csv"));
    dlc_3d::write_csv(&table, SCORER, &outcome.tracks)?;
    #[allow(unused_mut)] // without HDF5 that is all
    let mut written = vec![anipose, deviations, table];
    #[cfg(feature = "hdf5")]
    {
        let table = out.join(format!("{name}_DLC_3D.h5"));
        dlc_3d::write_h5(&table, SCORER, &outcome.tracks)?;
        written.push(table);
    }
    Ok(written)
}

fn note_text(
    rig: &Rig,
    rig_path: &Path,
    name: &str,
    sources: &[Option<PathBuf>],
    options: &Options,
    outcome: &Outcome,
    (corrected, corrections): (usize, Option<String>),
) -> Result<String> {
    let file = |p: &Path| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cameras =
        rig.cameras.iter().zip(&outcome.cameras).zip(sources).map(|((mount, fit), source)| CameraNote {
            name: &mount.name,
            source: source.as_deref().map(file),
            frame_offset: mount.offset,
            observations: fit.observations,
            mean_px: fit.mean_px,
            median_px: fit.median_px,
            outliers: fit.outliers,
        });
    let named = outcome.tracks.skeleton.names().map(|n| match n.individual {
        "" => n.bodypart.to_owned(),
        individual => format!("{individual}/{}", n.bodypart),
    });
    let note = Note {
        limn_triangulation: VERSION,
        program: format!("limn {}", crate::VERSION),
        session: name,
        rig: file(rig_path),
        calibration: &rig.calibration,
        method: outcome.method.name(),
        cutoff: options.cutoff,
        frames: outcome.tracks.frames(),
        bodyparts: named.collect(),
        noise_px: outcome.noise.all,
        noise_measured: outcome.noise.measured > 0,
        noise_px_of_points: &outcome.noise.points,
        common_px_of_points: &outcome.noise.common,
        lasting_of_points: &outcome.noise.lasting,
        cameras: cameras.collect(),
        points_by_cameras: &outcome.by_cameras,
        corrected_points: corrected,
        corrections,
        warnings: &outcome.warnings,
    };
    serde_yaml::to_string(&note).map_err(|e| Error::new(Kind::Format, format!("cannot write the note: {e}")))
}

/// The candidates beside a table of tracks, where there are some.
#[cfg(feature = "hdf5")]
fn read_choices(tracks: &Path, watch: &dyn Watch) -> Result<Option<Choices>> {
    use crate::formats::candidates;
    let stem = tracks.file_stem().unwrap_or_default().to_string_lossy();
    let path = tracks.with_file_name(format!("{stem}_candidates.h5"));
    if !path.is_file() {
        return Ok(None);
    }
    let frames = candidates::read(&path, 0..0, watch)?.file_frames;
    let read = candidates::read(&path, 0..frames, watch)?;
    let values = read.values().to_vec();
    Ok(Choices::new(read.skeleton, read.k, values))
}

#[cfg(not(feature = "hdf5"))]
fn read_choices(_tracks: &Path, _watch: &dyn Watch) -> Result<Option<Choices>> {
    Ok(None)
}
