use crate::draw::{self, Style, plot};
use crate::error::Result;
use crate::files;
use crate::picture::Picture;
use crate::pose::Tracks;
use crate::project::{LabelStore, Project};
use crate::watch::Watch;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Draws every labelled picture with its labels into `labeled-data/<video>_labeled/`, as DeepLabCut's check does.
/// Returns the folders.
///
/// # Errors
/// When a folder cannot be written. Pictures that are gone or damaged are left out: the check of the labels tells of them.
pub fn label_pictures(project: &Project, store: &LabelStore, watch: &dyn Watch) -> Result<Vec<PathBuf>> {
    let style = super::style_of(&project.config);
    let labels = store.labels();
    let frames: Vec<_> = labels.labeled_frames().filter(|(k, _)| project.image_path(k).is_file()).collect();
    let mut folders: Vec<PathBuf> =
        frames.iter().map(|(k, _)| project.labeled_data(&format!("{}_labeled", k.video))).collect();
    folders.dedup();
    folders.iter().try_for_each(|f| files::make_folder(f))?;
    watch.begin("draw labels", Some(frames.len() as u64));
    let drawn: Result<()> = frames.par_iter().try_for_each(|(key, frame)| {
        watch.check()?;
        watch.advance(1);
        // The check itself tells of pictures that are gone or damaged.
        let Ok(mut picture) = Picture::load(&project.image_path(key)) else { return Ok(()) };
        draw::labels(&mut picture, &labels.skeleton, &frame.points, &style);
        draw::legend(&mut picture, &labels.skeleton, &style);
        picture.save_png(&project.labeled_data(&format!("{}_labeled", key.video)).join(&key.image))
    });
    watch.end();
    drawn.map(|()| folders)
}

/// Draws label (+) against prediction (dot; x below the cut-off) for every judged picture, named `Test-...` and
/// `Training-...` as DeepLabCut names them (of several networks the test frames alone), the errors by body part, and the
/// report. Returns the folder of the pictures.
///
/// # Errors
/// When the folder cannot be written or a picture is gone.
#[cfg(all(feature = "torch", feature = "vision"))]
pub fn evaluation_pictures(
    project: &Project,
    done: &crate::train::session::Evaluated,
    watch: &dyn Watch,
) -> Result<PathBuf> {
    let style = super::style_of(&project.config);
    let skeleton = project.skeleton();
    let folder = done.folder.join("pictures");
    files::make_folder(&folder)?;
    let [of_test, of_train] = &done.shuffles;
    let mut all: Vec<_> = done.test.iter().zip(of_test).map(|j| ("Test", j)).collect();
    if done.members.len() < 2 {
        all.extend(done.train.iter().zip(of_train).map(|j| ("Training", j)));
    }
    watch.begin("draw evaluation", Some(all.len() as u64));
    let drawn: Result<()> = all.par_iter().try_for_each(|(set, (j, shuffle))| {
        watch.check()?;
        let picture = Picture::load(&project.image_path(&j.key))?;
        judged_picture(picture, set, j, &skeleton, &style)
            .save_png(&folder.join(done.picture_name(set, **shuffle, &j.key)))?;
        watch.advance(1);
        Ok(())
    });
    watch.end();
    drawn?;
    let report = &done.report;
    let parts: Vec<_> = skeleton
        .names()
        .enumerate()
        .map(|(i, name)| plot::PartError {
            name: name.bodypart.to_owned(),
            train: crate::train::Summary::of(&done.train, &report.pcutoff, Some(i)).mean_error_px,
            test: crate::train::Summary::of(&done.test, &report.pcutoff, Some(i)).mean_error_px,
        })
        .collect();
    plot::part_errors(&parts, &plot::PlotStyle::default())?
        .save_png(&done.folder.join("errors-by-bodypart.png"))?;
    super::evaluation_report(project, done, watch)?;
    Ok(folder)
}

/// A picture with labels and predictions, and its mean error in words above.
#[cfg(all(feature = "torch", feature = "vision"))]
pub(super) fn judged_picture(
    mut picture: Picture,
    set: &str,
    j: &crate::train::Judged,
    skeleton: &crate::pose::Skeleton,
    style: &Style,
) -> Picture {
    let found: Vec<_> = j.prediction.iter().copied().map(Some).collect();
    draw::evaluation(&mut picture, skeleton, &j.label, &found, style);
    let error = j.mean().map_or_else(String::new, |e| format!(", {e:.1} px off on average"));
    draw::banner(&picture, &format!("{set} {}/{}{error}", j.key.video, j.key.image))
}

/// Loss, test and training error over the steps, as `learning-curve.png` beside the log of a training.
///
/// # Errors
/// When the folder's checkpoint cannot be read or the picture not be written.
#[cfg(all(feature = "torch", feature = "vision"))]
pub fn learning_curve(folder: &Path) -> Result<()> {
    let Some(state) = crate::train::State::describe(folder)? else { return Ok(()) };
    #[allow(clippy::cast_precision_loss)]
    let rows: Vec<_> = state
        .log
        .iter()
        .map(|r| plot::Progress {
            step: r.step as f64,
            loss: Some(r.loss).filter(|l| l.is_finite()),
            train_px: r.train_px,
            test_px: r.test_px,
        })
        .collect();
    plot::learning_curve(&rows, &plot::PlotStyle::default())?.save_png(&folder.join("learning-curve.png"))
}

/// The four plots of a video's tracks (path, x and y over time, likelihood, displacements) into
/// `<out>/plot-poses/<video stem>/`, where DeepLabCut puts them. Returns that folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn plots(video: &Path, tracks: &Tracks, fps: f64, style: &Style, out: &Path) -> Result<PathBuf> {
    let stem = video.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = out.join("plot-poses").join(stem);
    files::make_folder(&folder)?;
    let style = plot::PlotStyle {
        marks: style.clone(),
        fps: Some(fps).filter(|f| *f > 0.0),
        ..plot::PlotStyle::default()
    };
    for (name, picture) in plot::poses(tracks, &style)? {
        picture.save_png(&folder.join(format!("{name}.png")))?;
    }
    Ok(folder)
}
