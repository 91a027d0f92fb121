//! Where events come from.

mod replay;

pub use replay::{Item, ReplaySource};
