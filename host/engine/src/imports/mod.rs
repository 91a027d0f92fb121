//! Host implementations of the capabilities.

pub(super) mod log;
pub(super) mod state;
