//! The rules' state: a store in memory, and the expiry of the state of objects that are gone.

mod expiry_queue;
mod rule_state;
mod store;

use expiry_queue::Expiries;
pub(super) use rule_state::RuleState;
pub use store::MemoryState;
