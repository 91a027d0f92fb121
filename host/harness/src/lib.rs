//! Offline runs of rules on recorded streams: the service's pipeline with a virtual clock and no network.
//!
//! [`Replay`] feeds streams to a pipeline. [`RuleUnderTest`] is one rule, loaded once and run in every
//! [`Mode`]; [`invariants::check`] compares the modes. [`run_tests`] runs the test files of `klaxon test`.

mod case;
mod compare;
mod coverage;
mod discover;
mod expect;
mod explain;
pub mod invariants;
mod location;
mod measure;
pub mod record;
mod redaction_allowlist;
mod replay;
pub mod report;
mod rule;
mod runner;
mod snapshot;
mod state;
pub mod strategies;
mod suite;

pub use case::{CaseReport, DearestEvent, Failure, FailureKind};
pub use coverage::Coverage;
pub use discover::{TestError, module};
pub use explain::{Decisions, ExplainedRule, Explainer, Outcomes, explain};
pub use measure::{Costs, Measured, Speed, Spread};
pub use redaction_allowlist::{field, keep_for};
pub use replay::{Replay, ReplayError, Summary};
pub use rule::{Input, Mode, Ran, RuleError, RuleUnderTest, Sandboxes};
pub use runner::{CaseError, FileReport, TestOptions, TestReport, run_tests};
pub use snapshot::Update;

/// Returns the JSON Schema of a test file, for editors.
pub fn schema() -> serde_json::Value {
    suite::schema()
}
