//! Where events come from.

pub mod kubernetes;
mod replay;

pub use replay::{Record, ReplaySource};
