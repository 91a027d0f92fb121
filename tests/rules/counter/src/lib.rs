//! The counting rule in its first version; `recounter` is the second.

pub mod counting;

/// The version of the rule; `STATE` is the version of its state.
const VERSION: &str = "1.0.0";
const STATE: u32 = 1;

klaxon_sdk::export!(counting::Counter);
