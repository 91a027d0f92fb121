//! Timers of a lagging rule, from the time they fire until they are answered. The journal still stores them as
//! timers, so a restart fires them again. A timer that is set again meanwhile replaces the fired one in the journal,
//! which is then stored in the backlog like an event.

use std::sync::Arc;

use klaxon_model::{Change, Event, PersistedTimer, StoreOp, Timer, Timestamp};

use crate::pipeline::FIRED_TOGETHER;
use crate::pipeline::backlog::entry::Entry;
use crate::pipeline::backlog::queue::{Backlog, Queued};
use crate::pipeline::changes::Changes;
use crate::pipeline::rule::RuleRuntime;
use crate::pipeline::shared::Shared;

/// Returns the timer of an event. `None` if the event is not a fired timer.
fn fired_timer(event: &Event) -> Option<&Timer> {
    event.timer.as_ref().filter(|_| event.change == Change::Timer)
}

impl RuleRuntime {
    /// Fires the first of the timers that are due at one time. They come before all queued entries.
    pub(in crate::pipeline) fn fire_late(
        &mut self,
        due: Timestamp,
        at: Timestamp,
        shared: &Shared,
    ) {
        let taken = self.timers.take(due, FIRED_TOGETHER);
        let events = taken.iter().map(|timer| Arc::new(self.timer_event(at, timer, shared)));
        let events: Vec<Arc<Event>> = events.collect();
        let Some(backlog) = &mut self.backlog else { return };
        backlog.now = at;
        // They do not count for the backlog's limit: at most `FIRED_TOGETHER` of them are in memory, in addition to
        // the timers' own budget.
        for event in events.into_iter().rev() {
            backlog.push_first(Queued { row: None, bytes: 0, entry: Entry::Ask(event) });
        }
    }

    /// Queues a timer that fired, as the rule is lagging.
    pub(in crate::pipeline) fn queue_fired(&mut self, event: Arc<Event>, shared: &mut Shared) {
        let queued = Queued { row: None, bytes: 0, entry: Entry::Ask(event.clone()) };
        if let Some(backlog) = &mut self.backlog {
            backlog.push_fired(queued);
        }
        let Some(timer) = self.timer_of(&event, shared) else { return };
        // Answers to other timers of the moment came first: one may have set the timer again, and one may have
        // removed it from the journal.
        if self.timers.has(&event.partition, &timer.key) {
            self.store_fired(&event.partition, &timer.key, shared);
        } else {
            shared.changes.record(|| StoreOp::Timer(Box::new(timer)));
        }
    }

    /// Returns a fired timer as it was set.
    fn timer_of(&self, event: &Event, shared: &Shared) -> Option<PersistedTimer> {
        let timer = fired_timer(event)?.clone();
        Some(PersistedTimer {
            slot: self.slot(&event.partition),
            key: timer.key,
            due: timer.due,
            payload: timer.payload,
            set_by: timer.set_by,
            interest: shared.router.interest_name(self.info.id, event.interest),
            object: event.object.clone(),
        })
    }

    /// Stores a fired timer that is not answered in the backlog, because it is being set again. The timers that
    /// fired with it and come before it are stored too, because after a restart the entries of the backlog come
    /// first.
    pub(in crate::pipeline) fn store_fired(
        &mut self,
        partition: &str,
        key: &str,
        shared: &mut Shared,
    ) {
        let count = self.backlog.as_ref().map_or(0, |one| one.fired_up_to(partition, key));
        for place in 0..count {
            let fired = self.backlog.as_ref().and_then(|backlog| backlog.fired(place));
            let Some(entry) = fired.filter(|one| one.row.is_none()).map(|one| one.entry.clone())
            else {
                continue;
            };
            let Entry::Ask(event) = &entry else { continue };
            let ended =
                fired_timer(event).map(|timer| (event.partition.clone(), timer.key.clone()));
            let queued = self.stored(entry, shared);
            if let Some(backlog) = &mut self.backlog {
                backlog.set_row(place, queued.row, queued.bytes);
            }
            if let Some((partition, key)) = ended {
                self.remove_stored_timer(&partition, &key, &mut shared.changes);
            }
        }
    }

    /// Returns `true` if an event is a fired timer that can be set as it was.
    pub(in crate::pipeline) fn may_unfire(&self, event: &Event) -> bool {
        let timer = fired_timer(event);
        timer.is_some_and(|timer| !self.timers.has(&event.partition, &timer.key))
    }

    /// Sets a fired timer, the first entry of the backlog, again as it was, due as before.
    pub(in crate::pipeline) fn unfire(&mut self, event: &Event, shared: &mut Shared) {
        let queued = self.backlog.as_deref_mut().and_then(Backlog::pop);
        self.timers.answered(&event.object.meta.identity.unique());
        let Some(timer) = self.timer_of(event, shared) else { return };
        // Without a row, the journal still stores it as a timer.
        if let Some(row) = queued.and_then(|queued| queued.row) {
            shared.changes.remove_row(Some(row));
            shared.changes.record(|| StoreOp::Timer(Box::new(timer.clone())));
        }
        self.timers.put(timer);
    }

    /// Removes a timer that fired, after it was answered. It stays in the journal until then, because its rule may
    /// be lagging.
    pub(in crate::pipeline) fn end_timer(&mut self, event: &Event, shared: &mut Shared) {
        let Some(timer) = fired_timer(event) else { return };
        self.timers.answered(&event.object.meta.identity.unique());
        shared.router.touch(&event.object);
        // An earlier answer to timers of the same moment may have set it again.
        self.remove_stored_timer(&event.partition, &timer.key, &mut shared.changes);
    }

    /// Removes a timer from the journal, unless it is set again.
    fn remove_stored_timer(&self, partition: &Arc<str>, key: &str, changes: &mut Changes) {
        if !self.timers.has(partition, key) {
            changes.record(|| StoreOp::NoTimer(self.slot(partition), key.to_owned()));
        }
    }

    /// Records that a timer is gone. The form of its object may not be needed any longer.
    pub(in crate::pipeline) fn forget_timer(&mut self, timer: PersistedTimer, shared: &mut Shared) {
        shared.router.touch(&timer.object);
        self.drop_form(&timer.object.meta.identity.unique(), &mut shared.changes);
        shared.changes.record(|| StoreOp::NoTimer(timer.slot, timer.key));
    }
}
