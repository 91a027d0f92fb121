//! Timers of a lagging rule, from the time they fire until they are answered. The journal still stores them as
//! timers, so a restart fires them again. A timer that is set again meanwhile replaces the fired one in the journal,
//! which is then stored in the backlog like an event.

use std::sync::Arc;

use crate::pipeline::backlog::entry::Entry;
use crate::pipeline::backlog::queue::{Backlog, Queued};
use crate::pipeline::{FIRED_TOGETHER, Pipeline};
use klaxon_model::{Change, Event, PersistedTimer, Slot, StoreOp, Timer, Timestamp};

impl Pipeline {
    /// Fires the first of a rule's timers that are due at one time. They come before all queued entries.
    pub(in crate::pipeline) fn fire_late(&mut self, rule: usize, due: Timestamp, at: Timestamp) {
        let taken = self.timers.take(due, FIRED_TOGETHER, |other| other != rule);
        let events = taken.iter().map(|(_, timer)| Arc::new(self.timer_event(rule, at, timer)));
        let events: Vec<Arc<Event>> = events.collect();
        let Some(backlog) = self.backlog_mut(rule) else { return };
        backlog.now = at;
        // They do not count for the backlog's limit: at most `FIRED_TOGETHER` of them are in memory, in addition to
        // the timers' own budget.
        for event in events.into_iter().rev() {
            backlog.push_first(Queued { row: None, bytes: 0, entry: Entry::Ask(event) });
        }
    }

    /// Queues a timer that fired, as its rule is lagging.
    pub(in crate::pipeline) fn park_fired(&mut self, rule: usize, event: Arc<Event>) {
        let queued = Queued { row: None, bytes: 0, entry: Entry::Ask(event.clone()) };
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.push_fired(queued);
        }
        let Some(timer) = self.timer_of(rule, &event) else { return };
        // Answers to other timers of the moment came first: one may have set the timer again, and one may have
        // removed it from the journal.
        if self.timers.has(&timer.slot, &timer.key) {
            self.store_fired(rule, &event.partition, &timer.key);
        } else {
            self.store(|| StoreOp::Timer(Box::new(timer)));
        }
    }

    /// Returns the slot and the timer of an event. `None` if the event is not a fired timer.
    fn fired_timer(&self, rule: usize, event: &Event) -> Option<(Slot, Timer)> {
        let timer = event.timer.clone().filter(|_| event.change == Change::Timer);
        self.slot(rule, &event.partition).zip(timer)
    }

    /// Returns a fired timer as it was set.
    fn timer_of(&self, rule: usize, event: &Event) -> Option<PersistedTimer> {
        let (slot, timer) = self.fired_timer(rule, event)?;
        Some(PersistedTimer {
            slot,
            key: timer.key,
            due: timer.due,
            payload: timer.payload,
            set_by: timer.set_by,
            interest: self.router.interest_name(rule, event.interest),
            object: event.object.clone(),
        })
    }

    /// Stores a fired timer that is not answered in the backlog, because it is being set again. The timers that
    /// fired with it and come before it are stored too, because after a restart the entries of the backlog come
    /// first.
    pub(in crate::pipeline) fn store_fired(&mut self, rule: usize, partition: &str, key: &str) {
        let count = self.backlog(rule).map_or(0, |backlog| backlog.fired_up_to(partition, key));
        for place in 0..count {
            let fired = self.backlog(rule).and_then(|backlog| backlog.fired(place));
            let Some(entry) = fired.filter(|one| one.row.is_none()).map(|one| one.entry.clone())
            else {
                continue;
            };
            let Entry::Ask(event) = &entry else { continue };
            let ended = self.fired_timer(rule, event);
            let queued = self.write(rule, entry);
            if let Some(backlog) = self.backlog_mut(rule) {
                backlog.set_row(place, queued.row, queued.bytes);
            }
            if let Some((slot, timer)) = ended {
                self.remove_stored_timer(&slot, &timer.key);
            }
        }
    }

    /// Returns `true` if an event is a fired timer that can be set as it was.
    pub(in crate::pipeline) fn may_unfire(&self, rule: usize, event: &Event) -> bool {
        let timer = self.fired_timer(rule, event);
        timer.is_some_and(|(slot, timer)| !self.timers.has(&slot, &timer.key))
    }

    /// Sets a fired timer, the first entry of the backlog, again as it was, due as before.
    pub(in crate::pipeline) fn unfire(&mut self, rule: usize, event: &Event) {
        let row = self.backlog_mut(rule).and_then(Backlog::pop).and_then(|queued| queued.row);
        self.timers.answered(rule, &event.object.meta.identity.unique());
        let Some(timer) = self.timer_of(rule, event) else { return };
        // Without a row, the journal still stores it as a timer.
        if let Some(row) = row {
            self.store(|| StoreOp::NoBacklog(row));
            self.store(|| StoreOp::Timer(Box::new(timer.clone())));
        }
        self.timers.put(rule, timer);
    }

    /// Removes a timer from the journal, unless it is set again.
    pub(in crate::pipeline) fn remove_stored_timer(&mut self, slot: &Slot, key: &str) {
        if !self.timers.has(slot, key) {
            self.store(|| StoreOp::NoTimer(slot.clone(), key.to_owned()));
        }
    }
}
