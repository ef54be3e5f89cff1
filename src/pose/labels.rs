use super::{Keypoint, Skeleton};
use std::collections::BTreeMap;

/// Which picture a label belongs to: `labeled-data/<video>/<image>`. Labels are never matched by row position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameKey {
    /// The stem of the video's file name, which names the folder.
    pub video: String,
    /// The picture's file name, such as `img0017.png`.
    pub image: String,
}

impl FrameKey {
    /// The key of `image` in the folder of `video`.
    pub fn new(video: impl Into<String>, image: impl Into<String>) -> Self {
        Self { video: video.into(), image: image.into() }
    }

    /// The 0-based frame number that the picture's name carries (`img0017.png` is frame 17).
    #[must_use]
    pub fn frame_number(&self) -> Option<u64> {
        let stem = self.image.rsplit_once('.').map_or(self.image.as_str(), |(s, _)| s);
        stem.strip_prefix("img")?.parse().ok()
    }
}

impl std::fmt::Display for FrameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "labeled-data/{}/{}", self.video, self.image)
    }
}

/// The labels of one picture: one entry per point of the skeleton, `None` where nothing was labelled.
#[derive(Debug, Clone, PartialEq)]
pub struct LabeledFrame {
    /// In the skeleton's point order.
    pub points: Vec<Option<Keypoint>>,
}

impl LabeledFrame {
    /// How many points are labelled.
    #[must_use]
    pub fn labeled(&self) -> usize {
        self.points.iter().flatten().count()
    }
}

/// All labels of one scorer, by picture. Sorted by key, so that every file and split has one order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels {
    /// The person who labelled.
    pub scorer: String,
    /// What was labelled.
    pub skeleton: Skeleton,
    /// The labelled pictures.
    pub frames: BTreeMap<FrameKey, LabeledFrame>,
}

impl Labels {
    /// No labels yet.
    #[must_use]
    pub fn new(scorer: impl Into<String>, skeleton: Skeleton) -> Self {
        Self { scorer: scorer.into(), skeleton, frames: BTreeMap::new() }
    }

    /// Sets or clears one point of one picture; the picture's row is made if need be. An index beyond the skeleton is
    /// ignored.
    pub fn set(&mut self, key: &FrameKey, point: usize, at: Option<Keypoint>) {
        let count = self.skeleton.points();
        let frame =
            self.frames.entry(key.clone()).or_insert_with(|| LabeledFrame { points: vec![None; count] });
        if let Some(slot) = frame.points.get_mut(point) {
            *slot = at;
        }
    }

    /// How many points are labelled in all pictures together.
    #[must_use]
    pub fn labeled_points(&self) -> usize {
        self.frames.values().map(LabeledFrame::labeled).sum()
    }

    /// The pictures with at least one label.
    pub fn labeled_frames(&self) -> impl Iterator<Item = (&FrameKey, &LabeledFrame)> {
        self.frames.iter().filter(|(_, f)| f.labeled() > 0)
    }
}
