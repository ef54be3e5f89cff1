//! Learning from labels: dataset, augmentation, losses, schedule, checkpoints, evaluation.
//!
//! [`session`] ties it to a project. A run writes into one folder: `snapshot-best/` and `snapshot-last/` (model
//! bundles), `checkpoint.yaml` with its tensors (to continue exactly) and `learning_stats.csv` (a row for
//! every epoch, and for measurements within long ones).
//! Without the feature `vision` there is no augmentation, and only the steps are left, to be measured ([`measure`]).
//! Random numbers depend only on seed, step and place in the batch, so that a seed gives the same run on one machine.
//!
//! ```
//! let recipe = limn::train::Recipe::for_net("efficientnet_lite0")?;
//! assert!(recipe.rate_at(0, recipe.steps) < recipe.rate_at(recipe.warmup, recipe.steps));
//! # Ok::<(), limn::Error>(())
//! ```

#[cfg(feature = "vision")]
mod augment;
mod bench;
mod checkpoint;
mod crop;
mod dataset;
mod evaluate;
#[cfg(feature = "vision")]
mod loader;
mod loss;
#[cfg(feature = "vision")]
mod models;
mod observer;
mod optimizer;
mod recipe;
#[cfg(feature = "vision")]
pub mod session;
mod step;
#[cfg(feature = "vision")]
mod trainer;
mod verdict;

#[cfg(feature = "vision")]
pub use augment::{crop, random_for};
pub use bench::{Measured, Spread, Task, measure};
pub use checkpoint::{Row, State};
pub use crop::Crop;
pub use dataset::{Dataset, Example};
pub use evaluate::{Judged, Report, Summary, judge, judge_some};
pub use loss::{Loss, compare};
#[cfg(feature = "vision")]
pub use models::{ModelFacts, history, models};
pub use observer::{BeganSeen, ExampleSeen, MeasuredSeen, Observer, StepSeen};
pub use optimizer::AdamW;
pub use recipe::{Augmentation, HeadShape, Recipe};
pub use step::Learner;
#[cfg(feature = "vision")]
pub use trainer::{Outcome, Plan, Trainer, snapshot_folder};
pub use verdict::{HUMAN_PX, verdict};
