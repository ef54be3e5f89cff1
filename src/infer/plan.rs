//! All that decides what an analysis computes, as its manifest and its note keep it.

use super::follow::Follow;
use super::pipeline::Job;
use crate::net::{Look, Window};
use serde::{Deserialize, Serialize};

/// What is looked at, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// The first frame, and the one after the last.
    pub frames: [usize; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Window>,
    #[serde(default = "one")]
    pub resize: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    #[serde(default = "single")]
    pub candidates: usize,
}

fn one() -> f64 {
    1.0
}

fn single() -> usize {
    1
}

/// All that decides the numbers of an analysis, to the last bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub program: String,
    /// SHA-256 of the model's weights.
    pub model: String,
    /// What the video was known by: see [`crate::video::Index::fingerprint`].
    pub video: String,
    pub points: usize,
    pub settings: Settings,
    /// What was asked to decode: devices round colours otherwise.
    #[serde(default)]
    pub hwaccel: String,
    pub device: String,
    pub precision: String,
    pub batch: usize,
    pub chunk: usize,
    /// Begun to do again what was finished (or begun otherwise).
    #[serde(default)]
    pub forced: bool,
}

impl Plan {
    /// The first frame.
    pub fn first(&self) -> usize {
        self.settings.frames[0]
    }

    /// The frame after the last.
    pub fn end(&self) -> usize {
        self.settings.frames[1]
    }

    /// Values of one frame.
    pub fn row_length(&self) -> usize {
        self.points * self.settings.candidates * 3
    }

    /// What the pipeline is told; `name` is for messages.
    pub fn job(&self, name: &str) -> Job {
        let Settings { crop, resize, follow, candidates, .. } = self.settings;
        Job {
            name: name.to_owned(),
            look: Look { resize, candidates },
            crop,
            follow,
            batch: self.batch,
            chunk: self.chunk,
        }
    }

    /// Why results begun by `old` cannot be gone on with.
    pub fn differs_from(&self, old: &Self) -> Option<String> {
        let differ = [
            ("program", self.program != old.program),
            ("model", self.model != old.model || self.points != old.points),
            ("video", self.video != old.video),
            ("settings", self.settings != old.settings),
            ("decoder", self.hwaccel != old.hwaccel),
            ("device", self.device != old.device),
            ("precision", self.precision != old.precision),
            ("batch", self.batch != old.batch || self.chunk != old.chunk),
        ];
        let names: Vec<&str> = differ.iter().filter(|d| d.1).map(|d| d.0).collect();
        (!names.is_empty()).then(|| format!("they were begun with another {}", names.join(", another ")))
    }
}
