//! Timers that rules asked for, ordered by (due, rule, partition, key).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::MAX_WAKES;
use crate::model::{Event, Slot, Timestamp};

/// A timer, set.
#[derive(Debug, Clone)]
pub(super) struct Waking {
    pub(super) rule: usize,
    pub(super) slot: Slot,
    pub(super) key: String,
    pub(super) payload: String,
    /// The event whose answer set it last.
    pub(super) set_by: Arc<Event>,
}

type Place = (Timestamp, usize, Arc<str>, String);

/// All timers of all rules.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    queue: BTreeMap<Place, Waking>,
    due: HashMap<Slot, BTreeMap<String, Timestamp>>,
}

impl Wakes {
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|((due, ..), _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Sets or moves a timer.
    ///
    /// # Errors
    /// The key, where the partition has no room for another timer.
    pub(super) fn set(&mut self, due: Timestamp, waking: Waking) -> Result<(), String> {
        let keys = self.due.entry(waking.slot.clone()).or_default();
        if keys.len() >= MAX_WAKES && !keys.contains_key(&waking.key) {
            return Err(waking.key);
        }
        if let Some(before) = keys.insert(waking.key.clone(), due) {
            self.queue.remove(&place(before, waking.rule, &waking.slot, &waking.key));
        }
        self.queue.insert(place(due, waking.rule, &waking.slot, &waking.key), waking);
        Ok(())
    }

    pub(super) fn cancel(&mut self, rule: usize, slot: &Slot, key: &str) {
        let Some(keys) = self.due.get_mut(slot) else { return };
        if let Some(due) = keys.remove(key) {
            self.queue.remove(&place(due, rule, slot, key));
        }
        if keys.is_empty() {
            self.due.remove(slot);
        }
    }

    pub(super) fn cancel_all(&mut self, rule: usize, slot: &Slot) {
        for (key, due) in self.due.remove(slot).into_iter().flatten() {
            self.queue.remove(&place(due, rule, slot, &key));
        }
    }

    /// Takes all timers that are due at exactly this time, in order.
    pub(super) fn take(&mut self, due: Timestamp) -> Vec<Waking> {
        let mut taken = Vec::new();
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= due
        {
            let waking = entry.remove();
            if let Some(keys) = self.due.get_mut(&waking.slot) {
                keys.remove(&waking.key);
                if keys.is_empty() {
                    self.due.remove(&waking.slot);
                }
            }
            taken.push(waking);
        }
        taken
    }
}

fn place(due: Timestamp, rule: usize, slot: &Slot, key: &str) -> Place {
    (due, rule, slot.partition.clone(), key.to_owned())
}
