//! Reusable parts of the window.

pub mod canvas;
