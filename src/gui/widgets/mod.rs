//! What several screens use.
