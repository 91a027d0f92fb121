//! Expiry of the state of objects that are gone, and removal of the timers that concern them.

use std::sync::Arc;

use crate::pipeline::{AFTER_DELETION_MS, Pipeline, UNKNOWN_OBJECT_MS};
use klaxon_model::{Event, Slot, SlotKind, StoreOp, Subject, Timestamp};

impl Pipeline {
    pub(in crate::pipeline) fn slot(&self, rule: usize, partition: &Arc<str>) -> Option<Slot> {
        let rule = self.rules.get(rule)?.loaded.name.clone();
        Some(Slot { rule, partition: partition.clone() })
    }

    /// Removes a rule's timers of a deleted object, even if the rule did not see the deletion, and sets the time at
    /// which its state of the object expires.
    pub(in crate::pipeline) fn went(&mut self, rule: usize, partition: &Arc<str>, time: Timestamp) {
        let Some(slot) = self.slot(rule, partition) else { return };
        for timer in self.timers.cancel_all(rule, &slot) {
            self.forget_timer(rule, timer);
        }
        self.expire_at(time.plus_millis(AFTER_DELETION_MS), &slot);
    }

    /// Sets the expiry of a rule's state of an object that is not followed any longer. The object's end will not be
    /// seen, so the state lasts as long as that of any object that the host does not know.
    pub(in crate::pipeline) fn unfollowed(
        &mut self,
        rule: usize,
        partition: &Arc<str>,
        time: Timestamp,
    ) {
        let Some(slot) = self.slot(rule, partition) else { return };
        if !self.view.sizes(&slot, time).is_empty() {
            self.expire_at(time.plus_millis(UNKNOWN_OBJECT_MS), &slot);
        }
    }

    pub(in crate::pipeline) fn expire_at(&mut self, time: Timestamp, slot: &Slot) {
        self.expiries.set(time, slot);
        self.store(|| StoreOp::Expiry(slot.clone(), Some(time)));
    }

    /// Sets an expiry for state about an object that the host does not watch, which would otherwise stay forever.
    pub(in crate::pipeline) fn expire_if_unknown(
        &mut self,
        slot: &Slot,
        kind: SlotKind,
        event: &Event,
    ) {
        let about_another = matches!(event.object.subject, Subject::KubernetesEvent(_));
        let is_own = kind == SlotKind::Object;
        if about_another && is_own && !self.router.knows_partition(&slot.partition) {
            self.expire_at(event.time.plus_millis(UNKNOWN_OBJECT_MS), slot);
        }
    }

    /// Returns the rules with state that expires with the event clock. State of lagging rules does not.
    pub(in crate::pipeline) fn lapsed(&self, now: Timestamp) -> Vec<Arc<str>> {
        let mut rules = self.expiries.due(now);
        rules.retain(|name| {
            let rule = self.rules.iter().find(|rule| rule.loaded.name == *name);
            rule.is_none_or(|rule| rule.backlog.is_none())
        });
        rules
    }

    /// Removes expired state.
    pub(in crate::pipeline) fn expire(&mut self, now: Timestamp) {
        for rule in self.lapsed(now) {
            self.expire_of(&rule, now, |_| None);
        }
    }

    /// Removes expired state of one rule. `knew` returns `Some(true)` if the object of a partition existed at the
    /// rule's position in its backlog, and `None` if the latest knowledge is valid.
    pub(in crate::pipeline) fn expire_of(
        &mut self,
        rule: &str,
        now: Timestamp,
        knew: impl Fn(&str) -> Option<bool>,
    ) {
        while let Some(slot) = self.expiries.pop(rule, now) {
            self.store(|| StoreOp::Expiry(slot.clone(), None));
            let knows = knew(&slot.partition);
            if !knows.unwrap_or_else(|| self.router.knows_partition(&slot.partition)) {
                self.store(|| StoreOp::NoState(slot.clone()));
                self.state.forget(&slot);
            }
        }
    }
}
