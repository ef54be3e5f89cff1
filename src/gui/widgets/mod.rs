//! What several screens use.

pub mod canvas;
pub mod curves;
pub mod traces;
