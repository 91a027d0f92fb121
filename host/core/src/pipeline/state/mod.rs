//! The rules' state in memory, and its expiry.

mod expiry;
mod expiry_queue;
mod store;

pub(super) use expiry_queue::Expiries;
pub use store::MemoryState;
