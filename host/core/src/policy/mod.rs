//! The policy: decides on suppressing or delaying verdicts, which is opt-in for each rule: by default every verdict
//! passes.
//!
//! [`Incidents`] is a pure function of the verdicts it is given, in event order, and of its state. Event
//! time is its only clock, and its state is persisted with its decisions, so that a restart changes
//! nothing. The stages of a firing, in this order:
//!
//! 1. `repeat` suppresses repeated firings (`repeat`, `pair`).
//! 2. `inhibition` keeps a firing pending while another incident inhibits it.
//! 3. `throttle` suppresses firings above the rule's limit per window.
//!
//! Verdicts that pass and write to the cluster are always limited by a budget for each object (`rate_limit`).

mod codes;
mod decision;
mod evaluate;
mod incident_table;
mod incidents;
mod inhibition;
mod persistence;
mod rate_limit;
mod repeat;
mod rule;
mod suspension;
mod throttle;

#[cfg(test)]
mod tests;

pub use codes::{UnknownCode, check_codes};
pub use decision::{Decision, OverBudget, Reason, Suppressed, Tally};
pub use incidents::Incidents;
