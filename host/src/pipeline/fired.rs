//! Timers of a rule that is behind, from when they fire until they are answered. In the journal they are
//! still the timers that they were, so a restart fires them again; but one that is set anew meanwhile
//! takes the place of the one that fired, which is then parked as an event is.

use std::sync::Arc;

use super::behind::{Behind, Waiting};
use super::entry::Entry;
use super::{FIRED_TOGETHER, Pipeline};
use crate::model::{Change, Event, Keep, KeptWake, Slot, Timer, Timestamp};

impl Pipeline {
    /// Fires the first of a rule's timers that are due at one time: they come before all that waits.
    pub(super) fn fire_late(&mut self, rule: usize, due: Timestamp, at: Timestamp) {
        let taken = self.wakes.take(due, FIRED_TOGETHER, |other| other != rule);
        let events = taken.iter().map(|(_, wake)| Arc::new(self.wake_event(rule, at, wake)));
        let events: Vec<Arc<Event>> = events.collect();
        let Some(behind) = self.behind_mut(rule) else { return };
        behind.now = at;
        // At most `FIRED_TOGETHER` of them are in memory beside the timers' own budget: they count for no room.
        for event in events.into_iter().rev() {
            behind.push_first(Waiting { row: None, bytes: 0, entry: Entry::Ask(event) });
        }
    }

    /// A timer fired, and its rule is behind from then on.
    pub(super) fn park_wake(&mut self, rule: usize, event: Arc<Event>) {
        let waiting = Waiting { row: None, bytes: 0, entry: Entry::Ask(event.clone()) };
        if let Some(behind) = self.behind_mut(rule) {
            behind.push_fired(waiting);
        }
        let Some(wake) = self.wake_of(rule, &event) else { return };
        // Answers to other timers of the moment came before it: one may have set it anew, and one have
        // taken it out of the journal.
        if self.wakes.has(&wake.slot, &wake.key) {
            self.keep_fired(rule, &event.partition, &wake.key);
        } else {
            self.keep(|| Keep::Wake(Box::new(wake)));
        }
    }

    /// Where an event is a timer that fired: whose it is, and what was set.
    fn timer_of(&self, rule: usize, event: &Event) -> Option<(Slot, Timer)> {
        let timer = event.timer.clone().filter(|_| event.change == Change::Wake);
        self.slot(rule, &event.partition).zip(timer)
    }

    /// The timer that fired, as it was set.
    fn wake_of(&self, rule: usize, event: &Event) -> Option<KeptWake> {
        let (slot, timer) = self.timer_of(rule, event)?;
        Some(KeptWake {
            slot,
            key: timer.key,
            due: timer.due,
            payload: timer.payload,
            set_by: timer.set_by,
            interest: self.router.interest_name(rule, event.interest),
            object: event.object.clone(),
        })
    }

    /// A timer is set anew that may have fired and not be answered: then it is parked. So are those that
    /// fired with it and come before it, for after a restart what is parked comes first.
    pub(super) fn keep_fired(&mut self, rule: usize, partition: &str, key: &str) {
        let count = self.behind(rule).map_or(0, |behind| behind.fired_up_to(partition, key));
        for place in 0..count {
            let fired = self.behind(rule).and_then(|behind| behind.fired(place));
            let Some(entry) = fired.filter(|one| one.row.is_none()).map(|one| one.entry.clone())
            else {
                continue;
            };
            let Entry::Ask(event) = &entry else { continue };
            let ended = self.timer_of(rule, event);
            let waiting = self.write(rule, entry);
            if let Some(behind) = self.behind_mut(rule) {
                behind.set_row(place, waiting.row, waiting.bytes);
            }
            if let Some((slot, timer)) = ended {
                self.end_timer(&slot, &timer.key);
            }
        }
    }

    /// Whether an event is a timer that fired, and could be set as it was.
    pub(super) fn may_unfire(&self, rule: usize, event: &Event) -> bool {
        let timer = self.timer_of(rule, event);
        timer.is_some_and(|(slot, timer)| !self.wakes.has(&slot, &timer.key))
    }

    /// The first that waits is a timer that fired and was not answered: it is set, and due, as before.
    pub(super) fn unfire(&mut self, rule: usize, event: &Event) {
        let row = self.behind_mut(rule).and_then(Behind::pop).and_then(|waiting| waiting.row);
        self.wakes.answered(rule, &event.object.meta.identity.unique());
        let Some(wake) = self.wake_of(rule, event) else { return };
        // Else the journal has it still.
        if let Some(row) = row {
            self.keep(|| Keep::Unparked(row));
            self.keep(|| Keep::Wake(Box::new(wake.clone())));
        }
        self.wakes.put(rule, wake);
    }

    /// In the journal a timer is over, unless it is set anew.
    pub(super) fn end_timer(&mut self, slot: &Slot, key: &str) {
        if !self.wakes.has(slot, key) {
            self.keep(|| Keep::NoWake(slot.clone(), key.to_owned()));
        }
    }
}
