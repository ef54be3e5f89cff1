use super::noise::{Noise, median};
use super::scene::{Choices, Room, Scene};
use super::sequence::smooth;
use super::{Method, Options, THRESHOLD};
use crate::camera::Rig;
use crate::error::{Error, Kind, Result};
use crate::pose::{Tracks, Tracks3d};
use crate::watch::Watch;
use rayon::prelude::*;

/// A session in space.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The points; frames are those of the rig.
    pub tracks: Tracks3d,
    /// The pixels' noise that the deviations come from.
    pub noise: Noise,
    /// How well each camera fits the points, in the rig's order.
    pub cameras: Vec<CameraFit>,
    /// Part of all points that come from 0, 1, 2, ... cameras (0: not found, or filled in).
    pub by_cameras: Vec<f64>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// How points were found.
    pub method: Method,
}

/// How well one camera fits the points in space. NaN where it saw none of them.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraFit {
    /// The camera's name.
    pub name: String,
    /// Observations that were looked at: likely enough, of points that were found, in at most 20,000 frames.
    pub observations: usize,
    /// Mean reprojection error in pixels of those that agree with the point.
    pub mean_px: f64,
    /// Median reprojection error in pixels of all.
    pub median_px: f64,
    /// Part of all that does not agree with the point.
    pub outliers: f64,
}

/// Frames computed between two looks at whether somebody wants to stop.
const AT_ONCE: usize = 4096;
/// Frames that errors are told from.
const LOOKED_AT: usize = 20_000;
/// Where all cameras together are wrong by so many pixels, the recordings may have been taken for each other's.
const SWAPPED: f64 = 10.0;
/// No threshold is lower: tables and calibrations are rounded.
const LEAST: f64 = 0.25;

/// Triangulates a session. `tracks` has one place per camera of the rig, none where it has no recording; `choices` is empty, or has
/// one place per camera, and is used by [`Method::Smooth`] alone.
///
/// Row `n` of the outcome is frame `n` of the rig, which is frame `n + offset` of a camera. Frames and cameras without a
/// recording are done without. What is strange but can be worked with (a camera without tracks, other lengths where they are
/// allowed, recordings that seem to be swapped, nothing found) is among the warnings, and told to `watch`.
///
/// # Errors
/// When fewer than two cameras have tracks or one of them is not calibrated, body parts or lengths differ (see [`Options`]), a
/// number of the options makes no sense, or `watch` asks to stop.
pub fn session(
    rig: &Rig,
    tracks: &[Option<Tracks>],
    choices: &[Option<Choices>],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Outcome> {
    check(options)?;
    let mut warnings = Vec::new();
    let scene = Scene::new(rig, tracks, choices, options, &mut |text| {
        watch.warn(&text);
        warnings.push(text);
    })?;
    let (frames, points) = (scene.frames(), scene.points());
    watch.check()?;
    if rig.calibration.as_ref().is_some_and(|made| made.is_poor()) {
        let text = "the rig's calibration is poor: what is found in space may be far off; calibrate again"
            .to_owned();
        watch.warn(&text);
        warnings.push(text);
    }
    if let Some(text) = swapped(rig, &scene) {
        watch.warn(&text);
        warnings.push(text);
    }
    let noise = match options.noise {
        Some(pixels) => Noise::given(pixels, points),
        None => Noise::measure(&scene, options.agree),
    };
    let noise = noise.with_accuracy(&scene.skeleton, &options.accuracy);
    let thresholds: Vec<f64> =
        noise.points.iter().map(|n| options.threshold.unwrap_or((THRESHOLD * n).max(LEAST))).collect();
    let noise = match options.method {
        Method::Smooth => noise.with_lasting(&scene, &thresholds, options.agree),
        Method::Dlt | Method::Ransac => noise,
    };
    let mut found = Tracks3d::new(scene.skeleton.clone(), frames);
    watch.begin("triangulating", Some(frames as u64));
    let done = each_point(&scene, &noise, &thresholds, options, &mut found, watch);
    watch.end();
    done?;
    if options.method == Method::Smooth {
        found = smooth(&scene, &noise, &thresholds, options, found, watch)?;
    }
    let (cameras, by_cameras) = fits(rig, &scene, &found, &thresholds);
    if by_cameras.first().is_none_or(|none| *none >= 1.0) {
        let text =
            "not one point was found in space: all likelihoods are below the cutoff, or no cameras agree";
        watch.warn(text);
        warnings.push(text.to_owned());
    }
    Ok(Outcome { tracks: found, noise, cameras, by_cameras, warnings, method: options.method })
}

fn check(options: &Options) -> Result<()> {
    let positive = |name: &str, value: Option<f64>| match value {
        Some(v) if !(v > 0.0 && v.is_finite()) => {
            let what = format!("{name} of {v} makes no sense");
            Err(Error::new(Kind::Usage, what).mend("give a number above 0, or none"))
        }
        _ => Ok(()),
    };
    positive("a noise", options.noise)?;
    positive("a threshold", options.threshold)?;
    positive("an acceleration", options.acceleration)?;
    if !(0.0..=1.0).contains(&options.cutoff) {
        let what = format!("a cutoff of {} makes no sense", options.cutoff);
        return Err(Error::new(Kind::Usage, what).mend("give a likelihood from 0 to 1"));
    }
    Ok(())
}

/// Every point for itself.
fn each_point(
    scene: &Scene,
    noise: &Noise,
    thresholds: &[f64],
    options: &Options,
    found: &mut Tracks3d,
    watch: &dyn Watch,
) -> Result<()> {
    let points = scene.points().max(1);
    for (chunk, rows) in found.values_mut().chunks_mut(points * AT_ONCE).enumerate() {
        watch.check()?;
        rows.par_chunks_mut(points).enumerate().for_each_init(Room::default, |room, (row, out)| {
            for (point, out) in out.iter_mut().enumerate() {
                let all = scene.gather(chunk * AT_ONCE + row, point, room);
                let at = match options.method {
                    Method::Dlt => scene.views.fit(&room.sights, all),
                    _ => scene.views.agreed(&room.sights, all, thresholds[point], options.agree),
                };
                if let Some(at) = at {
                    // Where all frames are looked at together, what is wrong alike in all of them is added in the end.
                    let common = if options.method == Method::Smooth { 0.0 } else { noise.common[point] };
                    *out = at.spot(noise.points[point], common).numbers();
                }
            }
        });
        watch.advance((rows.len() / points) as u64);
    }
    Ok(())
}

/// How well each camera fits, and the share of points by number of cameras.
fn fits(rig: &Rig, scene: &Scene, found: &Tracks3d, thresholds: &[f64]) -> (Vec<CameraFit>, Vec<f64>) {
    let step = scene.frames().div_ceil(LOOKED_AT).max(1);
    let looked_at = || (0..scene.frames()).step_by(step);
    let cameras = (0..rig.cameras.len()).into_par_iter().map(|camera| {
        let (mut all, mut sum, mut agree) = (Vec::new(), 0.0, 0_usize);
        for frame in looked_at() {
            for (point, most) in thresholds.iter().enumerate() {
                let far = scene.seen(camera, frame, point).and_then(|seen| {
                    let spot = found.get(frame, point)?;
                    Some(scene.views.project(camera, &spot.at.into())?.distance(seen.pixel))
                });
                if let Some(far) = far {
                    all.push(far);
                    if far <= *most {
                        sum += far;
                        agree += 1;
                    }
                }
            }
        }
        CameraFit {
            name: rig.cameras[camera].name.clone(),
            observations: all.len(),
            mean_px: sum / agree as f64,
            outliers: 1.0 - agree as f64 / all.len() as f64,
            median_px: median(&mut all).unwrap_or(f64::NAN),
        }
    });
    let cameras = cameras.collect();
    let mut counts = vec![0_usize; rig.cameras.len() + 1];
    for row in found.values() {
        let from = crate::pose::Spot::from_numbers(row).map_or(0, |s| s.cameras);
        if let Some(count) = counts.get_mut(from) {
            *count += 1;
        }
    }
    let all = counts.iter().sum::<usize>();
    if all == 0 {
        counts[0] = 1; // of no frames nothing was found
    }
    (cameras, counts.into_iter().map(|n| n as f64 / all.max(1) as f64).collect())
}

/// Whether two cameras' recordings seem to have been taken for each other's: all together fit badly, and well once two are
/// swapped.
fn swapped(rig: &Rig, scene: &Scene) -> Option<String> {
    let step = scene.frames().div_ceil(200).max(1);
    let error = |swap: Option<[usize; 2]>| {
        let mut room = Room::default();
        let mut errors: Vec<f64> = Vec::new();
        let (mut lost, mut seen) = (0, 0);
        for frame in (0..scene.frames()).step_by(step) {
            for point in 0..scene.points() {
                let all = scene.gather_swapped(frame, point, swap, &mut room);
                if all.count_ones() >= 2 {
                    seen += 1;
                    match scene.views.fit(&room.sights, all) {
                        Some(found) => errors.push(found.error),
                        None => lost += 1,
                    }
                }
            }
        }
        // Points behind a camera are as wrong as can be.
        errors.extend(std::iter::repeat_n(f64::INFINITY, lost));
        (seen >= 10).then(|| median(&mut errors)).flatten()
    };
    let now = error(None).filter(|e| *e > SWAPPED)?;
    let there: Vec<usize> = (0..rig.cameras.len()).filter(|c| scene.has(*c)).collect();
    let pairs: Vec<[usize; 2]> =
        there.iter().flat_map(|a| there.iter().filter(move |b| *b > a).map(move |b| [*a, *b])).collect();
    let tried = pairs.into_par_iter().filter_map(|pair| Some((error(Some(pair))?, pair)));
    let ([a, b], then) = tried.min_by(|x, y| x.0.total_cmp(&y.0)).map(|(e, p)| (p, e))?;
    let (a, b) = (&rig.cameras[a].name, &rig.cameras[b].name);
    let drops = then < SWAPPED && then < 0.4 * now;
    let now = if now.is_finite() {
        format!("the cameras differ by {now:.0} px in the middle")
    } else {
        "most points lie behind a camera".to_owned()
    };
    Some(if drops {
        format!(
            "the recordings of cameras `{a}` and `{b}` seem to be swapped: {now}, and by {then:.1} px with these two exchanged; \
             rename their files"
        )
    } else {
        format!(
            "{now}: check that the calibration is of this rig, that no camera was moved since, and that all \
             recordings began at the same frame (`frame_offset` in rig.yaml)"
        )
    })
}
