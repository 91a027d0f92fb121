//! State in memory that records which partitions a rule reads.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use klaxon_core::pipeline::MemoryState;
use klaxon_model::{Slot, StateKeeper, StateView, Timestamp, Write};

/// In-memory state that reveals a test whose state is given to a partition without events.
#[derive(Debug, Default)]
pub(super) struct WatchedState {
    inner: MemoryState,
    read: Mutex<BTreeSet<Arc<str>>>,
}

impl WatchedState {
    pub(super) fn partitions(&self) -> BTreeSet<Arc<str>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the remaining state: partition, key and value, sorted.
    pub(super) fn left(&self) -> Vec<(Arc<str>, String, String)> {
        let entries = self.inner.entries().into_iter();
        entries.map(|(slot, key, value)| (slot.partition, key, value)).collect()
    }

    fn note(&self, slot: &Slot) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(slot.partition.clone());
    }
}

impl StateView for WatchedState {
    fn get(&self, slot: &Slot, key: &str, now: Timestamp) -> Option<String> {
        self.note(slot);
        self.inner.get(slot, key, now)
    }

    fn sizes(&self, slot: &Slot, now: Timestamp) -> Vec<(String, usize)> {
        self.note(slot);
        self.inner.sizes(slot, now)
    }
}

impl StateKeeper for WatchedState {
    fn commit(&self, slot: &Slot, writes: Vec<Write>, now: Timestamp) {
        self.inner.commit(slot, writes, now);
    }

    fn forget(&self, slot: &Slot) {
        self.inner.forget(slot);
    }

    fn purge(&self, rule: &str, now: Timestamp) -> Vec<Slot> {
        self.inner.purge(rule, now)
    }

    fn used(&self, rule: &str) -> usize {
        self.inner.used(rule)
    }

    fn used_with(&self, slot: &Slot, writes: &[Write]) -> usize {
        self.inner.used_with(slot, writes)
    }
}
