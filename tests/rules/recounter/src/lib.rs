//! The counting rule in its second version, which has another state version too.

#[path = "../../counter/src/counting.rs"]
pub mod counting;

/// The version of the rule; `STATE` is the version of its state.
const VERSION: &str = "2.0.0";
const STATE: u32 = 2;

klaxon_sdk::export!(counting::Counter);
