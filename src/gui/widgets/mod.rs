//! What several screens use.

pub mod canvas;
pub mod controls;
pub mod curves;
pub mod player;
pub mod traces;
pub mod words;
