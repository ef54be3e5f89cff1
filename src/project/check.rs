//! What is wrong with the labels of a project, before somebody trains on them.

use super::label_store::LabelStore;
use crate::error::Result;
use crate::picture::Picture;
use crate::pose::{FrameKey, Keypoint, Skeleton};
use crate::watch::Watch;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training stops at it.
    Error,
    /// Training goes on, perhaps not as meant.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The picture, folder or body part.
    #[serde(rename = "where")]
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it; empty when there is nothing to do.
    pub mend: String,
}

/// More missing pictures of one video than this are told in one line.
const MOST_TOLD: usize = 5;

impl LabelStore {
    /// Looks for everything that makes labels unusable or doubtful: pictures that are gone or unreadable, labels
    /// outside the picture, no or one labelled picture, one frame labelled twice, body parts never labelled, left and
    /// right probably swapped, and what was noticed when the labels were opened. Errors come first.
    ///
    /// # Errors
    /// Only when stopped: a bad picture is a problem in the list, not an error.
    pub fn check(&self, watch: &dyn Watch) -> Result<Vec<Problem>> {
        let project = self.project();
        let labels = self.labels();
        let mut found = self.notices.clone();
        let mut add = |severity, place: String, what: String, mend: &str| {
            found.push(Problem { severity, place, what, mend: mend.to_owned() });
        };

        let total = labels.labeled_frames().count();
        let root = project.root().display().to_string();
        match total {
            0 => add(
                Severity::Error,
                root,
                "no picture is labelled".into(),
                "label some with `limn label`, in DeepLabCut's labeller, or write its CSV table",
            ),
            1 => add(
                Severity::Warning,
                root,
                "only one picture is labelled, too few to train and test".into(),
                "label at least 20, of as many different situations as there are",
            ),
            _ => {}
        }

        let mut gone: BTreeMap<&str, Vec<&FrameKey>> = BTreeMap::new();
        // Decoded to the end: training would stop at a picture that is cut off.
        let frames: Vec<_> = labels.labeled_frames().collect();
        watch.begin("check pictures", Some(total as u64));
        let sizes = frames.par_iter().map(|(key, _)| {
            watch.check()?;
            watch.advance(1);
            let path = project.image_path(key);
            Ok(path.is_file().then(|| Picture::load(&path).map(|p| (p.width(), p.height()))))
        });
        let sizes: Result<Vec<_>> = sizes.collect();
        watch.end();
        for ((key, frame), size) in frames.into_iter().zip(sizes?) {
            let (width, height) = match size {
                None => {
                    gone.entry(&key.video).or_default().push(key);
                    continue;
                }
                Some(Ok(size)) => size,
                Some(Err(e)) => {
                    let mend = e.how_to_mend().unwrap_or_default().to_owned();
                    add(Severity::Error, key.to_string(), e.what().to_owned(), &mend);
                    continue;
                }
            };
            #[allow(clippy::cast_precision_loss)] // pixels
            let (w, h) = (width as f64, height as f64);
            for (name, p) in labels.skeleton.names().zip(&frame.points) {
                if let Some(p) = p.filter(|p| !p.inside(w, h)) {
                    add(
                        Severity::Warning,
                        key.to_string(),
                        format!(
                            "`{}` at ({:.1}, {:.1}) lies outside the picture of {width} x {height} pixels and is not \
                                 trained on",
                            name.bodypart, p.x, p.y
                        ),
                        "move the label into the picture, or remove it",
                    );
                }
            }
        }
        for (video, keys) in gone {
            let mend = "put the picture back, extract it again, or remove its labels";
            if keys.len() > MOST_TOLD {
                let what = format!("{} labelled pictures are gone, first {}", keys.len(), keys[0].image);
                add(Severity::Error, format!("labeled-data/{video}"), what, mend);
            } else {
                for key in keys {
                    add(Severity::Error, key.to_string(), "the labelled picture is gone".into(), mend);
                }
            }
        }

        let mut frames: BTreeMap<(&str, u64), &FrameKey> = BTreeMap::new();
        for (key, _) in labels.labeled_frames() {
            let Some(number) = key.frame_number() else { continue };
            if let Some(other) = frames.insert((&key.video, number), key) {
                add(
                    Severity::Warning,
                    key.to_string(),
                    format!("frame {number} is labelled twice, also as {}", other.image),
                    "keep one of the two pictures and its row",
                );
            }
        }

        for (i, name) in labels.skeleton.names().enumerate() {
            if total > 0 && labels.frames.values().all(|f| f.points.get(i).is_none_or(Option::is_none)) {
                let who = if name.individual.is_empty() {
                    String::new()
                } else {
                    format!(" of {}", name.individual)
                };
                add(
                    Severity::Warning,
                    format!("{}{who}", name.bodypart),
                    "this body part is never labelled and cannot be learned".into(),
                    "label it in some pictures, or take it out of config.yaml",
                );
            }
        }

        for (key, left, right) in
            swapped(labels.labeled_frames().map(|(k, f)| (k, &f.points[..])), &labels.skeleton)
        {
            add(
                Severity::Warning,
                key.to_string(),
                format!("`{left}` and `{right}` lie the other way round than in the other pictures"),
                "look at this picture: are left and right swapped?",
            );
        }

        let listed: Vec<_> = project.config.video_sets.iter().map(super::VideoSet::stem).collect();
        for video in project.labeled_videos()? {
            if !listed.contains(&video.as_str()) && labels.labeled_frames().any(|(k, _)| k.video == video) {
                add(
                    Severity::Note,
                    format!("labeled-data/{video}"),
                    "`video_sets` of config.yaml does not name this video; limn uses its labels, DeepLabCut does not".into(),
                    "",
                );
            }
        }
        found.sort_by_key(|p| p.severity);
        Ok(found)
    }
}

/// A pair must be seen so often before its usual side says anything.
const ENOUGH: usize = 10;
/// And be on that side so often.
const USUAL: f64 = 0.9;

/// Pictures in which a left/right pair lies the other way round, seen from the body parts in the middle, than it does
/// in nine of ten pictures. Where the side is no habit (filmed from the side), nothing is said.
fn swapped<'a>(
    frames: impl Iterator<Item = (&'a FrameKey, &'a [Option<Keypoint>])>,
    skeleton: &Skeleton,
) -> Vec<(FrameKey, String, String)> {
    let pairs = skeleton.mirror_pairs();
    let per = skeleton.bodyparts.len();
    let middle: Vec<usize> = (0..per).filter(|i| !pairs.iter().flatten().any(|p| p == i)).collect();
    let frames: Vec<_> = frames.collect();
    let mut found = Vec::new();
    for [l, r] in pairs {
        // On which side of the line from left to right does each middle part lie, in each picture?
        let side = |points: &[Option<Keypoint>], animal: usize, m: usize| -> Option<bool> {
            let at = |i: usize| points.get(animal * per + i).copied().flatten();
            let (l, r, m) = (at(l)?, at(r)?, at(m)?);
            let cross = (r.x - l.x) * (m.y - l.y) - (r.y - l.y) * (m.x - l.x);
            (cross != 0.0).then_some(cross > 0.0)
        };
        let animals = 0..skeleton.individuals.len();
        let habits: Vec<(usize, bool)> = middle
            .iter()
            .filter_map(|&m| {
                let sides: Vec<bool> = frames
                    .iter()
                    .flat_map(|(_, p)| animals.clone().filter_map(move |a| side(p, a, m)))
                    .collect();
                let positive = sides.iter().filter(|s| **s).count();
                let most = positive.max(sides.len() - positive);
                #[allow(clippy::cast_precision_loss)] // counts of pictures
                let habit = sides.len() >= ENOUGH && most as f64 >= USUAL * sides.len() as f64;
                habit.then_some((m, positive == most))
            })
            .collect();
        for (key, points) in &frames {
            for animal in animals.clone() {
                let seen: Vec<bool> =
                    habits.iter().filter_map(|&(m, usual)| Some(side(points, animal, m)? == usual)).collect();
                if !seen.is_empty() && seen.iter().all(|as_usual| !as_usual) {
                    found.push((
                        (*key).clone(),
                        skeleton.bodyparts[l].clone(),
                        skeleton.bodyparts[r].clone(),
                    ));
                }
            }
        }
    }
    found
}
