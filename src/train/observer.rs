//! Training as somebody sees it who looks on: the window's live curves come from here.

use super::checkpoint::Row;
use crate::net::Precision;
use crate::pose::{FrameKey, Keypoint, Skeleton};
use std::path::PathBuf;

/// Somebody who looks on while a network learns. Called from the training thread: answer at once.
pub trait Observer: Sync {
    /// Labels, weights and device are there, and the first step is about to be taken.
    fn began(&self, seen: &BeganSeen);
    /// Some steps were taken; at most ten times a second.
    fn step(&self, seen: &StepSeen);
    /// The errors were measured.
    fn measured(&self, seen: &MeasuredSeen);
}

/// What is known before the first step.
#[derive(Debug, Clone)]
pub struct BeganSeen {
    /// Which network of an ensemble this is, from 1, and of how many; (1, 1) for a single one.
    pub member: (usize, usize),
    /// The network.
    pub net: String,
    /// The device in words.
    pub device: String,
    /// Number format of the activations.
    pub precision: Precision,
    /// Where the weights came from, in words.
    pub start: String,
    /// Frames to learn from.
    pub train_frames: usize,
    /// Frames held out.
    pub test_frames: usize,
    /// Steps of the whole schedule.
    pub total_steps: u64,
    /// Crops per step.
    pub batch: usize,
    /// Side of the crops in pixels.
    pub side: usize,
    /// What is learnt.
    pub skeleton: Skeleton,
    /// The folder with snapshots, checkpoint and log.
    pub folder: PathBuf,
    /// Whether an earlier run goes on, and its log so far; empty for a new run.
    pub resumed: bool,
    /// The log so far.
    pub log: Vec<Row>,
}

/// How the steps since the last call went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSeen {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole schedule; by the clock it may end before.
    pub total: u64,
    /// Mean loss of the steps since the last call; NaN when none of them had a finite gradient.
    pub loss: f64,
    /// Crops per second since the last call, measurements apart.
    pub images_per_s: f64,
    /// Seconds of training so far, all sittings together.
    pub seconds: f64,
    /// Seconds until the schedule is run, measurements included; unknown at the very start.
    pub seconds_left: Option<f64>,
}

/// What a measurement found.
#[derive(Debug, Clone)]
pub struct MeasuredSeen {
    /// Steps done.
    pub step: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Mean error in pixels on a few training frames, always the same ones.
    pub train_px: Option<f64>,
    /// Mean error in pixels on all test frames; `None` when none are held out.
    pub test_px: Option<f64>,
    /// Mean loss since the last row of the log.
    pub loss: f64,
    /// Frames to look at: the worst ones first, then some that are the same every time.
    pub examples: Vec<ExampleSeen>,
}

/// One labelled frame and what the network says of it at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleSeen {
    /// Which picture.
    pub key: FrameKey,
    /// Its file.
    pub path: PathBuf,
    /// What the network finds, in pixels of the picture, with its likelihood.
    pub predicted: Vec<Option<(Keypoint, f64)>>,
    /// What the person clicked.
    pub label: Vec<Option<Keypoint>>,
    /// Mean distance over the labelled points, in pixels.
    pub error_px: Option<f64>,
    /// Whether it is held out from training.
    pub held_out: bool,
    /// Whether it is shown because it is among the worst.
    pub worst: bool,
}
