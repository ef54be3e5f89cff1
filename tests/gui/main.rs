//! Stories through the window's own events: real pointer and key events, real files, real work on threads.
//!
//! One program for all screens, so that it is linked once. Pictures of every view in both themes are in
//! `tests/gui/pictures`; `UPDATE_SNAPSHOTS=true` makes them anew, and then they want to be looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // tests
#![cfg(feature = "gui")]

mod common;
mod label;
mod pictures;
mod shell;
mod space;
mod story;
mod videos;
mod work;
