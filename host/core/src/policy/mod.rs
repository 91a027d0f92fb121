//! The policy: turns the verdicts of a rule into verdicts to deliver. `grants` adds ids, the manifest's
//! defaults and the operator's grants. All other modules decide on suppressing or delaying verdicts,
//! which is opt-in for each rule: by default every verdict passes.
//!
//! [`Incidents`] is a pure function of the verdicts it is given, in event order, and of its state. Event
//! time is its only clock, and its state is persisted with its decisions, so that a restart changes
//! nothing. The stages of a firing, in this order:
//!
//! 1. `repeat` suppresses repeated firings (`repeat`, `pair`).
//! 2. `inhibit` keeps a firing pending while another incident inhibits it.
//! 3. `throttle` suppresses firings above the rule's limit per window.
//!
//! Verdicts that pass and write to the cluster are always limited by a budget for each object (`writes`).

mod budget;
mod codes;
mod decision;
mod evaluate;
mod grants;
mod hold;
mod incident_table;
mod incidents;
mod inhibit;
mod persistence;
mod repeat;
mod rule;
mod suspension;
mod throttle;
mod waiting;
mod writes;

#[cfg(test)]
mod tests;

pub use codes::{UnknownCode, check_codes};
pub use decision::{OverBudget, Passed, Reason, Suppressed, Tally};
pub use grants::{Refusal, RulePolicy, Targets};
pub use incidents::Incidents;
