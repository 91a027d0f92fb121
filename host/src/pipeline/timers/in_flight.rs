//! Timers of a rule that is behind, from when they fire until they are answered. In the journal they are
//! still the timers that they were, so a restart fires them again; but one that is set anew meanwhile
//! takes the place of the one that fired, which is then parked as an event is.

use std::sync::Arc;

use crate::model::{Change, Event, PersistedTimer, Slot, StoreOp, Timer, Timestamp};
use crate::pipeline::backlog::entry::Entry;
use crate::pipeline::backlog::queue::{Backlog, Queued};
use crate::pipeline::{FIRED_TOGETHER, Pipeline};

impl Pipeline {
    /// Fires the first of a rule's timers that are due at one time: they come before all that waits.
    pub(in crate::pipeline) fn fire_late(&mut self, rule: usize, due: Timestamp, at: Timestamp) {
        let taken = self.timers.take(due, FIRED_TOGETHER, |other| other != rule);
        let events = taken.iter().map(|(_, timer)| Arc::new(self.timer_event(rule, at, timer)));
        let events: Vec<Arc<Event>> = events.collect();
        let Some(backlog) = self.backlog_mut(rule) else { return };
        backlog.now = at;
        // At most `FIRED_TOGETHER` of them are in memory beside the timers' own budget: they count for no room.
        for event in events.into_iter().rev() {
            backlog.push_first(Queued { row: None, bytes: 0, entry: Entry::Ask(event) });
        }
    }

    /// A timer fired, and its rule is behind from then on.
    pub(in crate::pipeline) fn park_fired(&mut self, rule: usize, event: Arc<Event>) {
        let queued = Queued { row: None, bytes: 0, entry: Entry::Ask(event.clone()) };
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.push_fired(queued);
        }
        let Some(timer) = self.timer_of(rule, &event) else { return };
        // Answers to other timers of the moment came before it: one may have set it anew, and one have
        // taken it out of the journal.
        if self.timers.has(&timer.slot, &timer.key) {
            self.store_fired(rule, &event.partition, &timer.key);
        } else {
            self.store(|| StoreOp::Timer(Box::new(timer)));
        }
    }

    /// Where an event is a timer that fired: whose it is, and what was set.
    fn fired_timer(&self, rule: usize, event: &Event) -> Option<(Slot, Timer)> {
        let timer = event.timer.clone().filter(|_| event.change == Change::Timer);
        self.slot(rule, &event.partition).zip(timer)
    }

    /// The timer that fired, as it was set.
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

    /// A timer is set anew that may have fired and not be answered: then it is parked. So are those that
    /// fired with it and come before it, for after a restart what is parked comes first.
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

    /// Whether an event is a timer that fired, and could be set as it was.
    pub(in crate::pipeline) fn may_unfire(&self, rule: usize, event: &Event) -> bool {
        let timer = self.fired_timer(rule, event);
        timer.is_some_and(|(slot, timer)| !self.timers.has(&slot, &timer.key))
    }

    /// The first that waits is a timer that fired and was not answered: it is set, and due, as before.
    pub(in crate::pipeline) fn unfire(&mut self, rule: usize, event: &Event) {
        let row = self.backlog_mut(rule).and_then(Backlog::pop).and_then(|queued| queued.row);
        self.timers.answered(rule, &event.object.meta.identity.unique());
        let Some(timer) = self.timer_of(rule, event) else { return };
        // Else the journal has it still.
        if let Some(row) = row {
            self.store(|| StoreOp::NoBacklog(row));
            self.store(|| StoreOp::Timer(Box::new(timer.clone())));
        }
        self.timers.put(rule, timer);
    }

    /// In the journal a timer is over, unless it is set anew.
    pub(in crate::pipeline) fn remove_stored_timer(&mut self, slot: &Slot, key: &str) {
        if !self.timers.has(slot, key) {
            self.store(|| StoreOp::NoTimer(slot.clone(), key.to_owned()));
        }
    }
}
