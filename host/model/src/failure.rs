//! Failures: the reasons why a rule gives no answer to an event.

use serde::Serialize;

/// The reason why a rule has no answer to an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The description, for the rule's author.
    pub message: String,
}

/// Maximum size of a message in bytes. Rules write most messages, and each is logged and recorded for
/// each event.
const MOST_MESSAGE: usize = 4 << 10;

impl Failure {
    /// Returns a failure whose message is cut by [`cut`].
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: cut(message.into()) }
    }
}

/// Returns the beginning of a text: at most `most` bytes, cut between characters.
pub fn prefix(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Cuts a text to the maximum size of a message, and appends its original length.
pub fn cut(text: String) -> String {
    if text.len() <= MOST_MESSAGE {
        return text;
    }
    // Allocates a new text: truncating the old one would keep its capacity.
    let begin = prefix(&text, MOST_MESSAGE);
    [begin, &format!("… (cut: {} bytes in all)", text.len())].concat()
}

/// The kind of a failure.
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
    /// The answer would exceed a budget of one partition or of the whole rule. Objects of the cluster
    /// fill these budgets too, so the failure does not count against the rule.
    OverBudget,
    /// Evaluating the rule's fields on the object cost too much. The author of the object decides that,
    /// so the failure does not count against the rule.
    FieldsOverBudget,
    /// The rule was still out of service at the end of a replay.
    OutOfService,
    /// The rule was not called: the backlog had no capacity for the event, or the event was in the
    /// backlog of an older version of the rule.
    Skipped,
}

impl FailureKind {
    /// Returns the name used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RuleError => "rule error",
            Self::InvalidAnswer => "invalid answer",
            Self::Trap => "trap",
            Self::OutOfMemory => "out of memory",
            Self::OutOfTime => "out of time",
            Self::AnswerTooLarge => "answer too large",
            Self::OverBudget => "over budget",
            Self::FieldsOverBudget => "fields over budget",
            Self::OutOfService => "out of service",
            Self::Skipped => "skipped",
        }
    }

    /// Returns `true` if the event is quarantined with its input: no other record shows that it was not
    /// answered.
    pub fn quarantines(self) -> bool {
        self != Self::OutOfService
    }

    /// Returns `true` if the failure counts towards taking the rule out of service: the rule did not even report
    /// that it cannot answer, and no user of the cluster can bring it about with many objects.
    pub fn counts_against_rule(self) -> bool {
        !matches!(
            self,
            Self::RuleError
                | Self::InvalidAnswer
                | Self::OverBudget
                | Self::FieldsOverBudget
                | Self::OutOfService
                | Self::Skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters_and_keeps_no_room() {
        let message = "é".repeat(4 << 20);
        let failure = Failure::new(FailureKind::RuleError, message);
        assert!(failure.message.ends_with("é… (cut: 8388608 bytes in all)"));
        assert!(failure.message.capacity() < 2 * MOST_MESSAGE);
        let short = "x".repeat(MOST_MESSAGE);
        assert_eq!(Failure::new(FailureKind::RuleError, short.as_str()).message, short);
    }
}
