//! Drawing: poses over frames, words on pictures, and plots of tracks.
//!
//! [`points`] and [`edges`](Style::edges) go on video frames, hundreds a second: only the pixels of each mark are
//! touched. [`evaluation`] compares labels with predictions. [`plot`] makes the pictures of `limn plot` and `limn train`.
//! Body parts have the same colour in all of them ([`Style::colour`]). Places that are `None`, not finite or outside the
//! picture are left out or clipped; nothing here fails on odd numbers.
//!
//! ```
//! use limn::draw::{self, Style};
//! use limn::picture::Picture;
//! use limn::pose::{Keypoint, Skeleton};
//! let skeleton = Skeleton::single(["snout", "tailbase"]);
//! let mut frame = Picture::new(64, 48);
//! let found = [Some((Keypoint::new(20.5, 10.5), 0.98)), Some((Keypoint::new(50.5, 40.5), 0.03))];
//! let style = Style { alpha: 1.0, ..Style::default() };
//! draw::points(&mut frame, &skeleton, &found, &style);
//! assert_eq!(frame.get(20, 10), style.colour(&skeleton, 0));
//! assert_eq!(frame.get(50, 40), [0, 0, 0]); // below the cutoff
//! ```

mod colour;
mod overlay;
pub mod plot;
mod text;

pub use colour::ColourMap;
pub use overlay::{Style, banner, evaluation, labels, legend, mosaic, points, trail};
pub use text::{TextStyle, text, text_width};
