//! Showing what came out: labelled videos, plots of tracks, pictures of labels and of evaluations.
//!
//! ```
//! use limn::project::Config;
//! let config = Config::new("reaching", "Ada", "Jan31", &["hand".to_owned()]);
//! let style = limn::show::style_of(&config);
//! assert_eq!(style.cutoff, 0.6); // as config.yaml says
//! ```

#[cfg(feature = "vision")]
mod calibration;
mod pictures;
#[cfg(all(feature = "torch", feature = "vision"))]
mod report;
pub mod scene3d;
#[cfg(feature = "video")]
mod video;

#[cfg(feature = "vision")]
pub use calibration::{Calibrated, calibrate_rig, calibration};
#[cfg(all(feature = "torch", feature = "vision"))]
pub use pictures::{evaluation_pictures, learning_curve};
pub use pictures::{label_pictures, plots};
#[cfg(all(feature = "torch", feature = "vision"))]
pub use report::evaluation_report;
#[cfg(feature = "video")]
pub use video::{Rendered, VideoStyle, render_video};

use crate::draw::{ColourMap, Style};
use crate::project::{Config, Cutoff};

/// How a project wants poses drawn: `pcutoff`, `dotsize`, `alphavalue`, `colormap` and `skeleton` of its config.
/// A colour map limn does not have becomes the default one.
#[must_use]
pub fn style_of(config: &Config) -> Style {
    let cutoff = match &config.pcutoff {
        Cutoff::One(v) => *v,
        // Drawing has one cut-off: the most careful of them.
        Cutoff::Each(list) => list.iter().copied().fold(0.0, f64::max),
    };
    #[allow(clippy::cast_precision_loss)]
    let radius = (config.dotsize as f64 / 2.0).clamp(1.0, 100.0);
    Style {
        cutoff,
        radius,
        alpha: config.alphavalue,
        colours: ColourMap::named(&config.colormap).unwrap_or_default(),
        edges: !config.skeleton.is_empty(),
        ..Style::default()
    }
}
