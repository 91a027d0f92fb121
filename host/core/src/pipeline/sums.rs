//! Budgets of one rule over all its partitions, for state and timers. They are checked when an answer is applied, in
//! event order, so that neither the number of workers nor the size of a batch nor a backlog determines which event
//! exceeds them.

use super::meter::Limit;
use super::output::Limited;
use super::{Pipeline, Rule};
use klaxon_model::{
    Answer, Event, Failure, FailureKind, PartitionBy, RuleInfo, Slot, SlotKind, StoreOp, Timestamp,
};

/// The state and timers of the rules, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleUsage {
    /// The rule's configured name.
    pub rule: std::sync::Arc<str>,
    /// Bytes of its state over all partitions.
    pub state: usize,
    /// Bytes of its timers.
    pub timers: usize,
}

impl Pipeline {
    /// Returns the state and timers of each rule.
    pub fn usage(&self) -> Vec<RuleUsage> {
        let rules = self.rules.iter().enumerate();
        let usage = rules.map(|(place, rule)| RuleUsage {
            rule: rule.loaded.name.clone(),
            state: self.state.used(&rule.loaded.name),
            timers: self.timers.used(place),
        });
        usage.collect()
    }

    /// Removes state of a rule whose time to live is over.
    pub(super) fn purge(&mut self, rule: usize, now: Timestamp) {
        let Some(loaded) = self.rules.get(rule).map(|rule| rule.loaded.clone()) else { return };
        let version = loaded.manifest.state_version;
        for slot in self.state.purge(&loaded.name, now) {
            // The journal removes the expired entries of a slot when it writes to the slot.
            self.store(|| StoreOp::State(slot, SlotKind::Shared, version, Vec::new(), now));
        }
    }

    /// Returns the failure of an event whose answer would take its rule over a budget. An answer that does not
    /// increase the usage is accepted even over the budget, because the budget may have been lowered.
    pub(super) fn over_sum(
        &self,
        rule: &RuleInfo,
        slot: &Slot,
        answer: &Answer,
    ) -> Option<(Limit, Failure)> {
        let outcome = answer.outcome.as_ref().ok()?;
        let (limits, rule) = (&rule.limits, rule.id.0);
        let sums = [
            (
                Limit::State,
                !answer.writes.is_empty(),
                self.state.used(&slot.rule),
                self.state.used_with(slot, &answer.writes),
                limits.state_total,
            ),
            (
                Limit::Timers,
                !outcome.timers.is_empty(),
                self.timers.used(rule),
                self.timers.used_with(rule, slot, outcome),
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

    pub(super) fn note_limited(&mut self, limited: impl IntoIterator<Item = Limited>) {
        self.output.limited.extend(limited);
    }
}

impl Rule {
    /// Returns the owner of an event's partition.
    pub(super) fn kind_of(&self, event: &Event) -> SlotKind {
        let interests = &self.loaded.manifest.interests;
        let place = usize::try_from(event.interest).unwrap_or(usize::MAX);
        let by = interests.get(place).map(|interest| &interest.partition);
        let is_own = match by {
            Some(PartitionBy::Object) => true,
            Some(PartitionBy::Namespace | PartitionBy::WholeCluster) | None => false,
            // An object without the label or the field is in a partition of its own.
            Some(PartitionBy::Label(_) | PartitionBy::Field(_)) => is_object(&event.partition),
        };
        if is_own { SlotKind::Object } else { SlotKind::Shared }
    }

    /// Returns the owner of a partition whose state was written before owners were stored, as far as the manifest
    /// determines it. `None` if the rule partitions both by object and by namespace.
    pub(super) fn kind_of_old(&self, partition: &str) -> Option<SlotKind> {
        let is_whole =
            |by: &PartitionBy| matches!(by, PartitionBy::Namespace | PartitionBy::WholeCluster);
        let by = || self.loaded.manifest.interests.iter().map(|interest| &interest.partition);
        match (by().any(is_whole), by().any(|by| !is_whole(by))) {
            (true, true) => None,
            (true, false) => Some(SlotKind::Shared),
            (false, _) if is_object(partition) => Some(SlotKind::Object),
            (false, _) => Some(SlotKind::Shared),
        }
    }
}

/// Returns `true` if a partition by object, label or field is an object's own. A shared partition has the namespace,
/// which may be empty, and a slash before its value; a namespace's name does not begin with a capital letter.
fn is_object(partition: &str) -> bool {
    !partition.contains('/') || partition.starts_with(|first: char| first.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::is_object;

    #[test]
    fn a_partition_by_label_is_an_objects_own_where_the_label_is_missing() {
        for own in ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "Node/worker-1", "Pod/a/web"] {
            assert!(is_object(own), "{own}");
        }
        for shared in ["a/shop", "/shop", "3f2504e0-4f89-11d3-9a0c-0305e82c3301/shop", "a/"] {
            assert!(!is_object(shared), "{shared}");
        }
    }
}
