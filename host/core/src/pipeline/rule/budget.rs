//! Budgets of one rule over all its partitions, for state and timers. They are checked when an answer is applied, in
//! event order, so that neither the number of workers nor the size of a batch nor a backlog determines which event
//! exceeds them.

use std::sync::Arc;

use klaxon_model::{Answer, Failure, FailureKind, Slot};

use super::RuleRuntime;
use super::meter::Limit;
use crate::pipeline::state::RuleState;

/// The state and timers of a rule, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUsage {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// Bytes of its state over all partitions.
    pub state: usize,
    /// Bytes of its timers.
    pub timers: usize,
}

impl RuleRuntime {
    /// Returns the size of the rule's state and timers.
    pub(in crate::pipeline) fn usage(&self, state: &RuleState) -> RuleUsage {
        let rule = self.info.name.clone();
        RuleUsage { state: state.used(&rule), timers: self.timers.used(), rule }
    }

    /// Returns the failure of an event whose answer would take the rule over a budget. An answer that does not
    /// increase the usage is accepted even over the budget, because the budget may have been lowered.
    pub(super) fn over_budget(
        &self,
        slot: &Slot,
        answer: &Answer,
        state: &RuleState,
    ) -> Option<(Limit, Failure)> {
        let outcome = answer.outcome.as_ref().ok()?;
        let limits = &self.info.limits;
        let sums = [
            (
                Limit::State,
                !answer.writes.is_empty(),
                state.used(&slot.rule),
                state.used_with(slot, &answer.writes),
                limits.state_total,
            ),
            (
                Limit::Timers,
                !outcome.timers.is_empty(),
                self.timers.used(),
                self.timers.used_with(&slot.partition, outcome),
                limits.timers,
            ),
        ];
        let over = |(_, is_asked, before, after, most): &(_, bool, usize, usize, usize)| {
            *is_asked && after > most && after > before
        };
        let (limit, _, _, after, most) = sums.into_iter().find(over)?;
        let (what, hint) = match limit {
            Limit::Timers => {
                ("timers", "cancel timers that are not needed, or raise `limits.timers`")
            }
            _ => ("state", "keep less, remove what is over, or raise `grants.state_total`"),
        };
        let message = format!(
            "the {what} of the rule, over all its partitions, would grow to {after} bytes, over the budget of {most}; hint: {hint}"
        );
        Some((limit, Failure { kind: FailureKind::OverBudget, message }))
    }
}
