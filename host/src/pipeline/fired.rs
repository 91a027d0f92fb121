//! Timers of a rule that is behind, from when they fire until they are answered. In the journal they are
//! still the timers that they were, so a restart fires them again; but one that is set anew meanwhile
//! takes the place of the one that fired, which is then parked as an event is.

use std::sync::Arc;

use super::Pipeline;
use super::behind::Waiting;
use super::entry::Entry;
use crate::model::{Event, Keep, Slot, Timestamp};

impl Pipeline {
    /// Fires a rule's timers that are due at one time: they come before all that waits.
    pub(super) fn fire_late(&mut self, rule: usize, due: Timestamp, at: Timestamp) {
        let taken = self.wakes.take(due, |other| other != rule);
        let events = taken.iter().map(|(_, wake)| Arc::new(self.wake_event(rule, at, wake)));
        let events: Vec<Arc<Event>> = events.collect();
        let Some(behind) = self.behind_mut(rule) else { return };
        behind.now = at;
        for event in events {
            behind.push_fired(Waiting { row: None, bytes: 0, entry: Entry::Ask(event) });
        }
    }

    /// A timer fired, and its rule is behind from then on.
    pub(super) fn park_wake(&mut self, rule: usize, entry: Entry) {
        let Entry::Ask(event) = &entry else { return };
        let partition = event.partition.clone();
        let key = event.timer.as_ref().map(|timer| timer.key.clone()).unwrap_or_default();
        if let Some(behind) = self.behind_mut(rule) {
            behind.push_fired(Waiting { row: None, bytes: 0, entry });
        }
        // An answer to another timer of the moment may have set it anew.
        let slot = self.slot(rule, &partition);
        if slot.is_some_and(|slot| self.wakes.has(&slot, &key)) {
            self.keep_fired(rule, &partition, &key);
        }
    }

    /// A timer is set anew that may have fired and not be answered: then it is parked. So are those that
    /// fired with it and come before it, for after a restart what is parked comes first.
    pub(super) fn keep_fired(&mut self, rule: usize, partition: &str, key: &str) {
        let count = self.behind(rule).map_or(0, |behind| behind.fired_up_to(partition, key));
        for place in 0..count {
            let entry = self.behind(rule).and_then(|behind| behind.without_row(place));
            let Some(entry) = entry.cloned() else { continue };
            let timer = match &entry {
                Entry::Ask(event) => event.timer.clone().zip(self.slot(rule, &event.partition)),
                _ => None,
            };
            let waiting = self.write(rule, entry, None);
            if let Some(behind) = self.behind_mut(rule) {
                behind.remove(place);
                behind.insert(place, waiting);
            }
            if let Some((timer, slot)) = timer {
                self.end_timer(&slot, &timer.key);
            }
        }
    }

    /// In the journal a timer is over, unless it is set anew.
    pub(super) fn end_timer(&mut self, slot: &Slot, key: &str) {
        if !self.wakes.has(slot, key) {
            self.keep(|| Keep::NoWake(slot.clone(), key.to_owned()));
        }
    }
}
