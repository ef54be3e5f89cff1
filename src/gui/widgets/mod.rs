//! What several screens use.

pub mod curves;
pub mod traces;
