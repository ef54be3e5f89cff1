//! The desktop application.

pub mod pictures;
pub mod widgets;
