//! Expiry times of the state of partitions. Each rule has a queue of its own, because a rule may be lagging.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use klaxon_model::{Slot, Timestamp};

/// Times at which the state of slots expires, by rule.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Expiries {
    queues: BTreeMap<Arc<str>, BTreeSet<(Timestamp, Arc<str>)>>,
    of: HashMap<Slot, Timestamp>,
}

impl Expiries {
    /// Sets or moves the expiry time of a slot.
    pub(in crate::pipeline) fn set(&mut self, time: Timestamp, slot: &Slot) {
        let queue = self.queues.entry(slot.rule.clone()).or_default();
        if let Some(before) = self.of.insert(slot.clone(), time) {
            queue.remove(&(before, slot.partition.clone()));
        }
        queue.insert((time, slot.partition.clone()));
    }

    pub(in crate::pipeline) fn has(&self, slot: &Slot) -> bool {
        self.of.contains_key(slot)
    }

    /// Returns the time at which the next state of a rule expires.
    pub(in crate::pipeline) fn next_of(&self, rule: &str) -> Option<Timestamp> {
        self.queues.get(rule)?.first().map(|(time, _)| *time)
    }

    /// Returns the rules with state that expires by this time.
    pub(in crate::pipeline) fn due(&self, now: Timestamp) -> Vec<Arc<str>> {
        let is_due = |queue: &BTreeSet<(Timestamp, Arc<str>)>| {
            queue.first().is_some_and(|(time, _)| *time <= now)
        };
        let queues = self.queues.iter().filter(|(_, queue)| is_due(queue));
        queues.map(|(rule, _)| rule.clone()).collect()
    }

    /// Removes and returns the next slot of a rule whose expiry time has come.
    pub(in crate::pipeline) fn pop(&mut self, rule: &str, now: Timestamp) -> Option<Slot> {
        let (rule, _) = self.queues.get_key_value(rule)?;
        let rule = rule.clone();
        let queue = self.queues.get_mut(&rule)?;
        queue.first().filter(|(time, _)| *time <= now)?;
        let (_, partition) = queue.pop_first()?;
        let slot = Slot { rule, partition };
        self.of.remove(&slot);
        Some(slot)
    }
}
