//! The counting rule in its second version, whose state is of another version too.

#[path = "../../counter/src/counting.rs"]
pub mod counting;

/// The version of the rule, and of the state that it keeps.
const VERSION: &str = "2.0.0";
const STATE: u32 = 2;

klaxon_sdk::export!(counting::Counter);
