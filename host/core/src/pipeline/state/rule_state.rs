//! The state of the rules: values in a store, and the expiry of the state of objects that are gone.

use std::sync::Arc;

use klaxon_model::{RuleInfo, Slot, SlotKind, StateKeeper, StateView, StoreOp, Timestamp, Write};

use super::Expiries;
use crate::pipeline::changes::Changes;

/// The state of all rules.
pub(in crate::pipeline) struct RuleState {
    keeper: Arc<dyn StateKeeper>,
    view: Arc<dyn StateView>,
    expiries: Expiries,
}

impl RuleState {
    /// Returns the state in a store.
    pub(in crate::pipeline) fn new<K: StateKeeper + 'static>(keeper: Arc<K>) -> Self {
        Self { keeper: keeper.clone(), view: keeper, expiries: Expiries::default() }
    }

    /// Returns the committed state, as rules read it.
    pub(in crate::pipeline) fn view(&self) -> &Arc<dyn StateView> {
        &self.view
    }

    /// Commits the writes of an event.
    pub(in crate::pipeline) fn commit(
        &mut self,
        (slot, kind): (&Slot, SlotKind),
        version: u32,
        writes: Vec<Write>,
        time: Timestamp,
        changes: &mut Changes,
    ) {
        changes.record(|| StoreOp::State(slot.clone(), kind, version, writes.clone(), time));
        self.keeper.commit(slot, writes, time);
    }

    /// Removes state of a rule whose time to live is over.
    pub(in crate::pipeline) fn purge(
        &mut self,
        rule: &RuleInfo,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let version = rule.manifest.state_version;
        for slot in self.keeper.purge(&rule.name, now) {
            // The journal removes the expired entries of a slot when it writes to the slot.
            changes.record(|| StoreOp::State(slot, SlotKind::Shared, version, Vec::new(), now));
        }
    }

    /// Returns the bytes of a rule's state.
    pub(in crate::pipeline) fn used(&self, rule: &str) -> usize {
        self.keeper.used(rule)
    }

    /// Returns the bytes of a rule's state if writes to a slot were committed.
    pub(in crate::pipeline) fn used_with(&self, slot: &Slot, writes: &[Write]) -> usize {
        self.keeper.used_with(slot, writes)
    }

    /// Returns `true` if a slot has no live entries.
    pub(in crate::pipeline) fn is_empty(&self, slot: &Slot, time: Timestamp) -> bool {
        self.view.sizes(slot, time).is_empty()
    }

    /// Sets the time at which the state of a slot expires.
    pub(in crate::pipeline) fn expire_at(
        &mut self,
        time: Timestamp,
        slot: &Slot,
        changes: &mut Changes,
    ) {
        self.expiries.set(time, slot);
        changes.record(|| StoreOp::Expiry(slot.clone(), Some(time)));
    }

    /// Sets the expiry that the last run stored.
    pub(in crate::pipeline) fn restore_expiry(&mut self, time: Timestamp, slot: &Slot) {
        self.expiries.set(time, slot);
    }

    /// Returns `true` if the state of a slot expires.
    pub(in crate::pipeline) fn expires(&self, slot: &Slot) -> bool {
        self.expiries.has(slot)
    }

    /// Returns the time at which the next state of a rule expires.
    pub(in crate::pipeline) fn next_expiry(&self, rule: &str) -> Option<Timestamp> {
        self.expiries.next_of(rule)
    }

    /// Returns the rules with state that expires by this time.
    pub(in crate::pipeline) fn due(&self, now: Timestamp) -> Vec<Arc<str>> {
        self.expiries.due(now)
    }

    /// Removes expired state of one rule. The state of a partition whose object exists stays.
    pub(in crate::pipeline) fn expire(
        &mut self,
        rule: &str,
        now: Timestamp,
        exists: impl Fn(&str) -> bool,
        changes: &mut Changes,
    ) {
        while let Some(slot) = self.expiries.pop(rule, now) {
            changes.record(|| StoreOp::Expiry(slot.clone(), None));
            if !exists(&slot.partition) {
                changes.record(|| StoreOp::NoState(slot.clone()));
                self.keeper.forget(&slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::MemoryState;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn slot(partition: &str) -> Slot {
        Slot { rule: "rule".into(), partition: partition.into() }
    }

    /// Returns state with one key in each of two partitions, and a recorder of changes.
    fn two_partitions() -> (Arc<MemoryState>, RuleState, Changes) {
        let memory = Arc::new(MemoryState::default());
        let mut state = RuleState::new(memory.clone());
        let mut changes = Changes::new();
        changes.use_journal();
        for partition in ["gone", "there"] {
            let write = Write::Put { key: "k".to_owned(), value: "v".to_owned(), expires_at: None };
            let slot = slot(partition);
            state.commit((&slot, SlotKind::Object), 1, vec![write], at(0), &mut changes);
            state.expire_at(at(10), &slot, &mut changes);
        }
        changes.take();
        (memory, state, changes)
    }

    #[test]
    fn state_expires_at_its_time_and_only_if_its_object_is_gone() {
        let (memory, mut state, mut changes) = two_partitions();
        state.expire("rule", at(9), |_| false, &mut changes);
        assert_eq!((memory.entries().len(), changes.take().len()), (2, 0));
        assert_eq!(state.due(at(10)), ["rule".into()]);
        state.expire("rule", at(10), |partition| partition == "there", &mut changes);
        let left: Vec<_> = memory.entries().into_iter().map(|(slot, ..)| slot).collect();
        assert_eq!(left, [slot("there")]);
        assert_eq!(changes.take().len(), 3, "two expiries and one removal are recorded");
        assert!(state.due(at(100)).is_empty() && !state.expires(&slot("there")));
    }

    #[test]
    fn a_later_expiry_replaces_an_earlier_one() {
        let (memory, mut state, mut changes) = two_partitions();
        state.expire_at(at(50), &slot("gone"), &mut changes);
        state.expire("rule", at(10), |_| false, &mut changes);
        assert_eq!(memory.entries().len(), 1);
        assert_eq!(state.next_expiry("rule"), Some(at(50)));
    }

    #[test]
    fn without_a_journal_nothing_is_recorded() {
        let mut state = RuleState::new(Arc::new(MemoryState::default()));
        let mut changes = Changes::new();
        state.expire_at(at(1), &slot("p"), &mut changes);
        state.expire("rule", at(1), |_| false, &mut changes);
        assert!(changes.take().is_empty());
    }
}
