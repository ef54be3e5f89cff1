use crate::camera::Rig;
use crate::camera::calibrate::{self, Calibration, Grade, Options};
use crate::draw::plot::{self, PlotStyle};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::Keypoint;
use crate::watch::Watch;
use serde_json::json;
use std::path::{Path, PathBuf};

/// How much longer than life misses are drawn.
const TIMES: f64 = 30.0;

/// A calibration that is on disk.
#[derive(Debug)]
pub struct Calibrated {
    /// What came out.
    pub done: Calibration,
    /// Shots in which the board was found.
    pub shots: usize,
    /// The rig's file, with its cameras calibrated now.
    pub rig: PathBuf,
    /// Where tables and pictures are.
    pub folder: PathBuf,
    /// The pictures.
    pub pictures: Vec<PathBuf>,
    /// Whether the rig's file has it now; one that is poor never takes the place of another.
    pub kept: bool,
}

/// Calibrates the rig in `rig` (rig.yaml or its folder) by `files` (videos, pictures, folders of them), of each video some
/// `frames` moments and at most `boards` boards, and writes the result into rig.yaml and `calibration/` beside it (of one
/// that is not [`kept`](Calibrated::kept) into `calibration-poor/`).
///
/// # Errors
/// As [`calibrate::look`] and [`calibrate::calibrate`], and when the folder cannot be written; rig.yaml stays as it was then.
pub fn calibrate_rig(
    rig: &Path,
    files: &[PathBuf],
    [frames, boards]: [usize; 2],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Calibrated> {
    let path = Rig::path(rig);
    let rig = Rig::read(&path)?;
    let seen = calibrate::look(&rig, files, frames, watch)?;
    let shots = seen.shots.len();
    let seen = calibrate::choose(&rig, seen, boards)?;
    let done = calibrate::calibrate(&rig, &seen, options, watch)?;
    let kept = done.verdict.grade != Grade::Poor || rig.calibrated().is_err();
    let folder = files::folder_of(&path).join(if kept { "calibration" } else { "calibration-poor" });
    let pictures = calibration(&done, &folder)?;
    if kept {
        done.rig.replace(&path)?;
    } else {
        watch.warn(
            "a poor calibration does not take the place of the one that is there: rig.yaml stays as it is",
        );
    }
    Ok(Calibrated { done, shots, rig: path, folder, pictures, kept })
}

/// Writes what a calibration found into `folder`: `calibration.json`, `boards.csv` (the error of every board in every camera),
/// and for each camera `coverage-<camera>.png` and `errors-<camera>.png`. Gives the pictures.
///
/// # Errors
/// When the folder cannot be written.
pub fn calibration(done: &Calibration, folder: &Path) -> Result<Vec<PathBuf>> {
    files::make_folder(folder)?;
    let name = |camera: usize| done.rig.cameras.get(camera).map_or("", |m| m.name.as_str());
    let facts = json!({
        "version": 1,
        "program": format!("limn {}", crate::VERSION),
        "rms_px": done.rms,
        "rms_before_px": done.rms_before,
        "verdict": done.verdict,
        "cameras": done.cameras,
        "links": done.links.iter().map(|l| json!({
            "cameras": l.cameras.map(name), "shots": l.shots, "disagreement_px": l.disagreement,
        })).collect::<Vec<_>>(),
        "left_out": done.dropped.len(),
        "corners_left_out": done.astray,
    });
    let text = serde_json::to_string_pretty(&facts)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the calibration: {e}")))?;
    files::write_whole(&folder.join("calibration.json"), format!("{text}\n").as_bytes())?;

    let wrong = |e: &dyn std::fmt::Display| Error::new(Kind::Format, format!("cannot write the boards: {e}"));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["camera", "session", "frame", "rms_px", "used"]).map_err(|e| wrong(&e))?;
    let rows = done.sights.iter().map(|s| (s, "1")).chain(done.dropped.iter().map(|s| (s, "0")));
    for ((camera, shot, rms), used) in rows {
        let frame = shot.frame.map_or_else(String::new, |f| f.to_string());
        let row = [name(*camera), &shot.session, &frame, &format!("{rms:.4}"), used];
        table.write_record(row).map_err(|e| wrong(&e))?;
    }
    let bytes = table.into_inner().map_err(|e| wrong(&e))?;
    files::write_whole(&folder.join("boards.csv"), &bytes)?;

    let mut pictures = Vec::new();
    for (i, mount) in done.rig.cameras.iter().enumerate() {
        let Some(camera) = &mount.camera else { continue };
        let own: Vec<(Keypoint, [f64; 2])> =
            done.residuals.iter().filter(|r| r.0 == i).map(|r| (r.1, r.2)).collect();
        let places: Vec<Keypoint> = own.iter().map(|r| r.0).collect();
        let rms = done.cameras.get(i).map_or(f64::NAN, |c| c.rms_px);
        let height = 860 * camera.size[1] / camera.size[0].max(1) + 100;
        let style = |title: String| PlotStyle {
            width: 960,
            height: height.clamp(300, 2000),
            title,
            ..PlotStyle::default()
        };
        let title = format!("{}: corners seen, red where none", mount.name);
        let coverage = folder.join(format!("coverage-{}.png", mount.name));
        plot::coverage(camera.size, &places, &style(title))?.save_png(&coverage)?;
        let title = format!("{}: {rms:.2} px; misses drawn {TIMES} times as long", mount.name);
        let errors = folder.join(format!("errors-{}.png", mount.name));
        plot::misses(camera.size, &own, TIMES, &style(title))?.save_png(&errors)?;
        pictures.extend([coverage, errors]);
    }
    Ok(pictures)
}
