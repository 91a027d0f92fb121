//! When a rule does not answer an event.

use serde::Serialize;

/// Why a rule has no answer to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// In words, for the rule's author.
    pub message: String,
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The rule itself answered with an error.
    RuleError,
    /// The answer breaks the contract, such as an undeclared code.
    InvalidAnswer,
    /// The rule crashed.
    Trap,
    /// The rule's memory or a table would have grown over its limit.
    OutOfMemory,
    /// The rule used up its time, three times over.
    OutOfTime,
    /// The answer was larger than allowed.
    AnswerTooLarge,
    /// The rule went over the budget of its partition or the number of its host calls.
    OverBudget,
    /// The rule was still out of service at the end of a replay.
    OutOfService,
    /// The rule was not asked, for there was no room to park the event, or an older version of the rule
    /// had been waiting for it.
    Skipped,
}

impl FailureKind {
    /// As it is written in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RuleError => "rule error",
            Self::InvalidAnswer => "invalid answer",
            Self::Trap => "trap",
            Self::OutOfMemory => "out of memory",
            Self::OutOfTime => "out of time",
            Self::AnswerTooLarge => "answer too large",
            Self::OverBudget => "over budget",
            Self::OutOfService => "out of service",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the event is set aside with its input, and counts towards taking the rule out of
    /// service: the rule did not even say that it cannot answer.
    pub fn quarantines(self) -> bool {
        !matches!(self, Self::RuleError | Self::InvalidAnswer | Self::OutOfService)
    }
}
