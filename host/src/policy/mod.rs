//! From what a rule says to what is delivered: ids, defaults of the manifest and grants (`grants`), and
//! what is held back between a rule's verdicts and their delivery (all else), which is opt-in for each
//! rule: by default every verdict passes.
//!
//! [`Incidents`] is a pure function of the verdicts it is given, in event order, and of what it
//! remembers: event time is its only clock, and what it remembers is kept with what it decides, so
//! that a restart changes nothing. The stages of a firing, in this order:
//!
//! 1. `repeat`: is it news? (`repeat`, `pair`)
//! 2. `inhibit`: does something inhibit it? Then it waits.
//! 3. `throttle`: may the rule deliver any more in this window?
//!
//! What passes and writes to the cluster is held to a budget for each object (`writes`), always.

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
pub use decision::{HeldBack, OverBudget, Passed, Reason, Tally};
pub use grants::{Refusal, RulePolicy, Targets};
pub use incidents::Incidents;
