use super::point::Sight;
use super::{Observation, Options, Views};
use crate::camera::Rig;
use crate::error::{Error, Kind, Result};
use crate::pose::{Keypoint, PointName, Skeleton, Tracks};

/// Other places where a camera's points might be, as `limn analyze --top-k` keeps them.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    skeleton: Skeleton,
    k: usize,
    /// `[frame][point][candidate]`: x, y, likelihood; NaN where there are fewer.
    values: Vec<f32>,
}

impl Choices {
    /// Takes `[frame][point][candidate][x, y, likelihood]`, `k` candidates for each point, the best first, NaN where there are
    /// fewer; `None` when the length is no whole number of frames.
    #[must_use]
    pub fn new(skeleton: Skeleton, k: usize, values: Vec<f32>) -> Option<Self> {
        let row = skeleton.points() * k * 3;
        (row > 0 && values.len().is_multiple_of(row)).then_some(Self { skeleton, k, values })
    }

    fn get(&self, frame: usize, point: usize) -> impl Iterator<Item = Observation> {
        let from = (frame * self.skeleton.points() + point) * self.k * 3;
        let there = self.values.get(from..from + self.k * 3).unwrap_or(&[]);
        there
            .chunks_exact(3)
            .filter(|c| !c[0].is_nan() && !c[1].is_nan())
            .map(|c| Observation { pixel: Keypoint::new(c[0].into(), c[1].into()), likelihood: c[2].into() })
    }
}

/// Cameras and what they saw, frame by frame of the rig.
pub(super) struct Scene<'a> {
    pub views: Views,
    pub skeleton: Skeleton,
    sources: Vec<Option<Source<'a>>>,
    cutoff: f64,
    frames: usize,
}

struct Source<'a> {
    tracks: &'a Tracks,
    choices: Option<&'a Choices>,
    /// For each of the scene's points its place in the tracks.
    place: Vec<usize>,
    /// The same in the choices.
    choice: Vec<Option<usize>>,
    offset: i64,
}

/// Memory for one point, used again and again.
#[derive(Default)]
pub(super) struct Room {
    pub seen: Vec<Option<Observation>>,
    pub sights: Vec<Option<Sight>>,
}

/// Recordings may end so many frames apart without a word: cameras are not stopped at the same instant.
const APART: i64 = 5;

impl<'a> Scene<'a> {
    /// Matches frames and body parts. `tracks` and `choices` have one place per camera of the rig.
    pub fn new(
        rig: &Rig,
        tracks: &'a [Option<Tracks>],
        choices: &'a [Option<Choices>],
        options: &Options,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self> {
        let count = rig.cameras.len();
        if tracks.len() != count || !(choices.is_empty() || choices.len() == count) {
            let what = format!("tracks of {} cameras were given, and the rig has {count}", tracks.len());
            return Err(Error::new(Kind::Usage, what).mend("give one place per camera of the rig"));
        }
        if count > super::MOST_CAMERAS {
            let what = format!("{count} cameras are more than the {} that work", super::MOST_CAMERAS);
            return Err(Error::new(Kind::Usage, what).mend("take cameras out of rig.yaml"));
        }
        let present: Vec<usize> = (0..count).filter(|i| tracks[*i].is_some()).collect();
        let names = |list: &[usize]| {
            list.iter().map(|i| format!("`{}`", rig.cameras[*i].name)).collect::<Vec<_>>().join(", ")
        };
        if present.len() < 2 {
            let what = match present[..] {
                [] => "there are no tracks at all".to_owned(),
                _ => format!("only camera {} has tracks: one camera tells no distance", names(&present)),
            };
            return Err(Error::new(Kind::Usage, what).mend("give the tracks of at least two cameras"));
        }
        let missing: Vec<usize> = (0..count).filter(|i| tracks[*i].is_none()).collect();
        if !missing.is_empty() {
            warn(format!("no tracks of {}: the others must do", names(&missing)));
        }
        let skeleton = common_skeleton(rig, tracks, options)?;
        if skeleton.individuals.len() > 1 {
            warn("individuals are matched by name: each must have the same name in all cameras".into());
        }
        // Frames of the rig, counted from its frame 0.
        let ends: Vec<(usize, i64)> = present
            .iter()
            .filter_map(|i| {
                let frames = i64::try_from(tracks[*i].as_ref()?.frames()).unwrap_or(i64::MAX);
                Some((*i, frames.saturating_sub(rig.cameras[*i].offset)))
            })
            .collect();
        let (first, last) = ends.iter().fold((i64::MAX, i64::MIN), |(a, b), (_, e)| (a.min(*e), b.max(*e)));
        if last.saturating_sub(first) > APART {
            let list: Vec<String> =
                ends.iter().map(|(i, e)| format!("{} {e}", rig.cameras[*i].name)).collect();
            let what = format!("the recordings do not end together (frames of the rig: {})", list.join(", "));
            if !options.allow_lengths {
                return Err(Error::new(Kind::Usage, what).mend(
                    "check that they are of the same session and that no camera dropped frames; if they only began together, \
                     say --allow-lengths; if one began earlier, say so with `frame_offset` in rig.yaml",
                ));
            }
            warn(what);
        }
        // Where a camera's tracks are there its calibration must be, too.
        let uncalibrated: Vec<usize> =
            present.iter().copied().filter(|i| rig.cameras[*i].camera.is_none()).collect();
        if !uncalibrated.is_empty() {
            let what = format!("these cameras are not calibrated: {}", names(&uncalibrated));
            return Err(
                Error::new(Kind::Config, what).mend("run `limn calibrate` on videos of the board first")
            );
        }
        let any = present.iter().find_map(|i| rig.cameras[*i].camera.clone());
        let cameras: Vec<_> =
            rig.cameras.iter().filter_map(|m| m.camera.clone().or_else(|| any.clone())).collect();
        let sources = (0..count)
            .map(|i| {
                let tracks = tracks[i].as_ref()?;
                let choices = choices.get(i).and_then(Option::as_ref);
                let place = skeleton.names().filter_map(|n| find(&tracks.skeleton, n)).collect();
                let choice = skeleton.names().map(|n| choices.and_then(|c| find(&c.skeleton, n))).collect();
                Some(Source { tracks, choices, place, choice, offset: rig.cameras[i].offset })
            })
            .collect();
        Ok(Self {
            views: Views::new(&cameras),
            skeleton,
            sources,
            cutoff: options.cutoff,
            frames: usize::try_from(last).unwrap_or(0),
        })
    }

    /// Frames of the rig.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Points of a frame.
    pub fn points(&self) -> usize {
        self.skeleton.points()
    }

    /// Whether a camera has tracks.
    pub fn has(&self, camera: usize) -> bool {
        self.sources.get(camera).is_some_and(Option::is_some)
    }

    /// Whether some camera has other candidates.
    pub fn has_choices(&self) -> bool {
        self.sources.iter().flatten().any(|s| s.choices.is_some())
    }

    /// What a camera saw of a point, if it is likely enough.
    pub fn seen(&self, camera: usize, frame: usize, point: usize) -> Option<Observation> {
        self.seen_as(camera, camera, frame, point)
    }

    /// What the recording said to be camera `source`'s saw, as if it were camera `camera`'s, whose frame is meant.
    fn seen_as(&self, camera: usize, source: usize, frame: usize, point: usize) -> Option<Observation> {
        let offset = self.sources.get(camera)?.as_ref()?.offset;
        let source = self.sources.get(source)?.as_ref()?;
        let row = usize::try_from(i64::try_from(frame).ok()?.checked_add(offset)?).ok()?;
        let (pixel, likelihood) = source.tracks.get(row, *source.place.get(point)?)?;
        // A likelihood of NaN is none.
        (likelihood >= self.cutoff && pixel.x.is_finite() && pixel.y.is_finite())
            .then_some(Observation { pixel, likelihood })
    }

    /// Other candidates of a camera for a point, whatever their likelihood.
    pub fn choices(&self, camera: usize, frame: usize, point: usize) -> impl Iterator<Item = Observation> {
        let found = || {
            let source = self.sources.get(camera)?.as_ref()?;
            let row = usize::try_from(i64::try_from(frame).ok()?.checked_add(source.offset)?).ok()?;
            Some(source.choices?.get(row, (*source.choice.get(point)?)?))
        };
        found().into_iter().flatten()
    }

    /// What all cameras saw of a point, with its rays; which cameras saw something.
    pub fn gather(&self, frame: usize, point: usize, room: &mut Room) -> u64 {
        self.gather_swapped(frame, point, None, room)
    }

    /// The same with the recordings of two cameras taken for each other's.
    pub fn gather_swapped(
        &self,
        frame: usize,
        point: usize,
        swap: Option<[usize; 2]>,
        room: &mut Room,
    ) -> u64 {
        room.seen.clear();
        room.seen.extend((0..self.views.len()).map(|camera| {
            let source = match swap {
                Some([a, b]) if camera == a => b,
                Some([a, b]) if camera == b => a,
                _ => camera,
            };
            self.seen_as(camera, source, frame, point)
        }));
        self.views.sights(&room.seen, &mut room.sights)
    }
}

/// A point by its names; files without individuals have one unnamed.
fn find(skeleton: &Skeleton, name: PointName<'_>) -> Option<usize> {
    skeleton.index_of(name)
}

/// The body parts of all tracks: those of the first, if the others have the same.
fn common_skeleton(rig: &Rig, tracks: &[Option<Tracks>], options: &Options) -> Result<Skeleton> {
    let all: Vec<(usize, &Skeleton)> =
        tracks.iter().enumerate().filter_map(|(i, t)| Some((i, &t.as_ref()?.skeleton))).collect();
    let Some(((first, base), others)) = all.split_first() else { return Ok(Skeleton::default()) };
    let mut wrong = Vec::new();
    for (i, other) in others {
        let words = |a: &Skeleton, b: &Skeleton| {
            let lacking = a.names().filter(|n| find(b, *n).is_none());
            let named = lacking.map(|n| match n.individual {
                "" => format!("`{}`", n.bodypart),
                individual => format!("`{individual}/{}`", n.bodypart),
            });
            named.collect::<Vec<_>>().join(", ")
        };
        let (less, more) = (words(base, other), words(other, base));
        let (a, b) = (&rig.cameras[*first].name, &rig.cameras[*i].name);
        if !less.is_empty() {
            wrong.push(format!("`{b}` lacks {less} of `{a}`"));
        }
        if !more.is_empty() {
            wrong.push(format!("`{b}` has {more}, which `{a}` has not"));
        }
    }
    let mut skeleton = (*base).clone();
    if !wrong.is_empty() {
        let what = format!("the tracks have different body parts: {}", wrong.join("; "));
        let error = Error::new(Kind::Usage, what).mend(
            "give tracks of the same model, or take only the body parts that all of them have with --common",
        );
        if !options.common {
            return Err(error);
        }
        let everywhere = |name: PointName<'_>| others.iter().all(|(_, s)| find(s, name).is_some());
        let individuals = skeleton.individuals.clone();
        skeleton
            .bodyparts
            .retain(|b| individuals.iter().all(|i| everywhere(PointName { individual: i, bodypart: b })));
        skeleton.unique_bodyparts.retain(|b| everywhere(PointName { individual: "single", bodypart: b }));
        if skeleton.points() == 0 {
            return Err(error);
        }
    }
    skeleton.edges.clone_from(&options.edges);
    Ok(skeleton)
}
