//! The host's side of each capability.

pub(super) mod log;
pub(super) mod state;
