//! What several screens use.

pub mod canvas;
