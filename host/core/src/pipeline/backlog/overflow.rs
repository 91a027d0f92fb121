//! Skipping of events when a rule's backlog is full and its operator allows it (`when_backlog_full: skip`).
//!
//! The first events to be skipped are those that a later event of the same object and interest follows, at any
//! position, the oldest first: the rule still comes to the newest state of each object, and to each object's end.
//! Only if the newest states alone exceed the limit are the oldest events skipped. All other entries of the rule
//! stay in order, so that its timers and its state stay correct. A fired timer is set again as it was; it is skipped
//! only if it was set again since, or if its object is gone.

use std::sync::Arc;

use klaxon_model::{Event, Timestamp, WhenFull};

use crate::pipeline::backlog::entry::Entry;
use crate::pipeline::backlog::queue::{Backlog, unique};
use crate::pipeline::rule::RuleRuntime;
use crate::pipeline::shared::Shared;

/// The reason for skipping an event.
const NO_ROOM: &str =
    "there is no room in the backlog (`limits.backlog`), and `limits.when_backlog_full` says skip";
/// The reason for skipping an event that a later event of its object follows.
const SUPERSEDED: &str = "there is no room in the backlog (`limits.backlog`), `limits.when_backlog_full` says skip, and a later event of its object follows";

impl RuleRuntime {
    fn backlog_bytes(&self) -> usize {
        self.backlog.as_deref().map_or(0, Backlog::bytes)
    }

    /// Returns `true` if intake must wait. With `when_backlog_full: skip` intake waits only at twice the limit,
    /// which the backlog reaches only while the rule is being asked about its first events, which must then keep
    /// their positions.
    pub(in crate::pipeline) fn is_full(&self) -> bool {
        let limits = &self.info.limits;
        let most = match limits.when_backlog_full {
            WhenFull::Block => limits.backlog,
            WhenFull::Skip => limits.backlog.saturating_mul(2),
        };
        self.backlog.is_some() && self.backlog_bytes() >= most
    }

    fn must_skip(&self) -> bool {
        let limits = &self.info.limits;
        limits.when_backlog_full == WhenFull::Skip && self.backlog_bytes() >= limits.backlog
    }

    /// Skips events if the backlog is over its limit and the operator allows it, until the backlog is below the limit
    /// or no event can be skipped.
    pub(in crate::pipeline) fn make_room(&mut self, shared: &mut Shared) {
        if !self.must_skip() || self.is_asked() {
            return;
        }
        while self.must_skip() && self.leave_superseded(shared) {}
        if !self.must_skip() {
            return;
        }
        // Timers that fired together are removed together: otherwise one could be set again by another that fired
        // after it.
        while (self.must_skip() || self.has_fired_first()) && self.leave_first(shared) {}
        // The skipped entries leave no other record of the position.
        self.store_position(&mut shared.changes);
    }

    /// Skips the oldest event that a later event of its object follows. Returns `true` if there was one.
    fn leave_superseded(&mut self, shared: &mut Shared) -> bool {
        let Some(queued) = self.backlog.as_deref_mut().and_then(Backlog::pop_superseded) else {
            return false;
        };
        shared.changes.remove_row(queued.row);
        if let Entry::Ask(event) = queued.entry {
            // A timer that fires before the event that follows carries the newest form up to then.
            let uid = unique(&event.object);
            if self.timers.concern(&uid) {
                self.set_form(uid, &event.object, true, event.time, &mut shared.changes);
            }
            self.skip(&event, SUPERSEDED.to_owned(), shared);
        }
        true
    }

    fn has_fired_first(&self) -> bool {
        self.first_queued().is_some_and(Entry::is_timer)
    }

    /// Moves the rule past the first entry of its backlog without asking it. Returns `true` if there was an entry.
    fn leave_first(&mut self, shared: &mut Shared) -> bool {
        let Some(first) = self.first_queued().cloned() else {
            return false;
        };
        let time = first.time();
        match first {
            Entry::Ask(event) if self.may_unfire(&event) => self.unfire(&event, shared),
            Entry::Ask(_) => {
                let Some(event) = self.take_front(&mut shared.changes) else { return false };
                self.end_timer(&event, shared);
                self.skip(&event, NO_ROOM.to_owned(), shared);
                self.go_past(&event, shared);
            }
            first => {
                self.expire_late(time, shared);
                if let Entry::Went(partition, _) = &first {
                    self.skip_timers(partition, time, shared);
                }
                self.pass(shared);
            }
        }
        true
    }

    /// Skips the timers of an object that was deleted, if they were due before and had not fired: the rule will not
    /// be asked about them any more.
    fn skip_timers(&mut self, partition: &Arc<str>, time: Timestamp, shared: &mut Shared) {
        let Some(backlog) = &self.backlog else { return };
        let (now, end) =
            (backlog.now, backlog.suspended_since.map_or(time, |since| since.min(time)));
        for timer in self.timers.cancel_due(partition, end) {
            let event: Arc<Event> = Arc::new(self.timer_event(timer.due.max(now), &timer, shared));
            self.skip(&event, NO_ROOM.to_owned(), shared);
            self.forget_timer(timer, shared);
        }
    }
}
