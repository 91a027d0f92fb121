//! The counting rule in its first version; `recounter` is the second.

pub mod counting;

/// The version of the rule, and of the state that it keeps.
const VERSION: &str = "1.0.0";
const STATE: u32 = 1;

klaxon_sdk::export!(counting::Counter);
