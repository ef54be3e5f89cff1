//! Learning from labels: dataset, augmentation, losses, schedule, checkpoints, evaluation.
//!
//! [`session`] ties it to a project. A run writes into one folder: `snapshot-best/` and `snapshot-last/` (model
//! bundles), `checkpoint.yaml` with its tensors (to continue exactly) and `learning_stats.csv` (a row for
//! every epoch, and for measurements within long ones).
//! Without the feature `vision` no crops are cut: steps can be measured ([`measure`]), nothing can be trained.
//! Random numbers depend only on seed, step and place in the batch, so that a seed gives the same run on one machine.
//!
//! ```
//! let recipe = limn::train::Recipe::for_net("efficientnet_lite0")?;
//! assert!(recipe.rate_at(0, 0.0) < recipe.rate_at(recipe.warmup, 0.01));
//! # Ok::<(), limn::Error>(())
//! ```

mod accuracy;
mod augment;
mod bench;
mod calibration;
mod checkpoint;
mod crop;
mod curve;
mod dataset;
mod ensemble;
mod epoch;
mod evaluate;
mod evaluation;
mod loader;
mod loss;
mod many;
mod models;
mod observer;
mod optimizer;
mod pck;
mod recipe;
mod record;
pub mod session;
mod spread;
mod step;
mod trainer;
mod verdict;

pub use accuracy::accuracy;
pub use augment::{crop, random_for};
pub use bench::{Measured, Spread, Task, measure};
pub use calibration::{Bin, Calibrated, Reliability, calibrate, cross_fitted, platt, within_px};
pub use checkpoint::{Row, State};
pub use crop::Crop;
pub use curve::{CurvePoint, Gain, LearningCurve, PowerLaw};
pub use dataset::{Dataset, Example};
pub use ensemble::{MOST_MEMBERS, TrainedEnsemble, train_ensemble};
pub use evaluate::{Judged, Report, Summary, judge, judge_some};
pub use loss::{Loss, compare};
pub use models::{ModelFacts, history, models};
pub use observer::{BeganSeen, ExampleSeen, MeasuredSeen, Observer, StepSeen};
pub use optimizer::AdamW;
pub use pck::{Pck, PckAt};
pub use recipe::{Augmentation, HeadShape, Recipe};
pub use spread::{Coverage, coverage};
pub use step::Learner;
pub use trainer::{Outcome, Plan, Trainer, snapshot_folder};
pub use verdict::{HUMAN_PX, verdict};
