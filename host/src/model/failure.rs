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

/// Most bytes of a message: a rule writes much of it, and it is logged and recorded for each event.
const MOST_MESSAGE: usize = 4 << 10;

impl Failure {
    /// A failure with as much of a message as is kept.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: cut(message.into()) }
    }
}

/// Returns the beginning of a text, at most so many bytes, cut between characters.
pub fn prefix(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Cuts a text of any length to what is kept of a message, with its true length.
pub fn cut(text: String) -> String {
    if text.len() <= MOST_MESSAGE {
        return text;
    }
    // A new text: the old one would keep its room.
    let begin = prefix(&text, MOST_MESSAGE);
    [begin, &format!("… (cut: {} bytes in all)", text.len())].concat()
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
    /// The answer would take the rule over a budget of one partition or of all. Objects of the cluster fill these
    /// too, so it does not count against the rule.
    OverBudget,
    /// The rule's fields cost too much in the object. Whoever writes the object decides that, so it does not
    /// count against the rule.
    FieldsOverBudget,
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
            Self::FieldsOverBudget => "fields over budget",
            Self::OutOfService => "out of service",
            Self::Skipped => "skipped",
        }
    }

    /// Returns `true` if the event is quarantined with its input: nothing else would tell what was not answered.
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
