//! The sources of events.

pub mod kubernetes;
mod replay;

pub use replay::{Record, ReplaySource};
