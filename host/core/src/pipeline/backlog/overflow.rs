//! Skipping of events when a rule's backlog is full and its operator allows it (`when_backlog_full: skip`).
//!
//! The first events to be skipped are those that a later event of the same object and interest follows, at any
//! position, the oldest first: the rule still comes to the newest state of each object, and to each object's end.
//! Only if the newest states alone exceed the limit are the oldest events skipped. All other entries of the rule
//! stay in order, so that its timers and its state stay correct. A fired timer is set again as it was; it is skipped
//! only if it was set again since, or if its object is gone.

use std::sync::Arc;

use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, unique};
use crate::pipeline::{Pipeline, Rule};
use klaxon_model::{Event, StoreOp, Timestamp, WhenFull};

/// The reason for skipping an event.
const NO_ROOM: &str =
    "there is no room in the backlog (`limits.backlog`), and `limits.when_backlog_full` says skip";
/// The reason for skipping an event that a later event of its object follows.
const SUPERSEDED: &str = "there is no room in the backlog (`limits.backlog`), `limits.when_backlog_full` says skip, and a later event of its object follows";

impl Rule {
    fn backlog_bytes(&self) -> usize {
        self.backlog.as_deref().map_or(0, Backlog::bytes)
    }

    /// Returns `true` if intake must wait. With `when_backlog_full: skip` intake waits only at twice the limit,
    /// which the backlog reaches only while the rule is being asked about its first events, which must then keep
    /// their positions.
    pub(in crate::pipeline) fn is_full(&self) -> bool {
        let limits = &self.loaded.limits;
        let most = match limits.when_backlog_full {
            WhenFull::Block => limits.backlog,
            WhenFull::Skip => limits.backlog.saturating_mul(2),
        };
        self.backlog.is_some() && self.backlog_bytes() >= most
    }

    fn must_skip(&self) -> bool {
        let limits = &self.loaded.limits;
        limits.when_backlog_full == WhenFull::Skip && self.backlog_bytes() >= limits.backlog
    }
}

impl Pipeline {
    /// Skips events of each rule whose backlog is over its limit, if the operator allows it, until the backlog is
    /// below the limit or no event can be skipped.
    pub(in crate::pipeline) fn make_room(&mut self) {
        for rule in 0..self.rules.len() {
            let is_asked = self.backlog(rule).is_some_and(Backlog::is_asked);
            if is_asked || !self.must_skip(rule) {
                continue;
            }
            while self.must_skip(rule) && self.leave_superseded(rule) {}
            if !self.must_skip(rule) {
                continue;
            }
            // Timers that fired together are removed together: otherwise one could be set again by another that
            // fired after it.
            while self.must_skip(rule) || self.has_fired_first(rule) {
                if !self.leave_first(rule) {
                    break;
                }
            }
            self.note_place(rule);
        }
    }

    fn must_skip(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(Rule::must_skip)
    }

    /// Skips the oldest event that a later event of its object follows. Returns `true` if there was one.
    fn leave_superseded(&mut self, rule: usize) -> bool {
        let Some(queued) = self.backlog_mut(rule).and_then(Backlog::pop_superseded) else {
            return false;
        };
        if let Some(row) = queued.row {
            self.store(|| StoreOp::NoBacklog(row));
        }
        if let Entry::Ask(event) = queued.entry {
            // A timer that fires before the event that follows carries the newest form up to then.
            let uid = unique(&event.object);
            if self.timers.of_rule_concern(rule, &uid) {
                self.set_form(rule, uid, &event.object, true, event.time);
            }
            self.skip(rule, &event, SUPERSEDED.to_owned());
        }
        true
    }

    fn has_fired_first(&self, rule: usize) -> bool {
        self.backlog(rule).and_then(Backlog::front).is_some_and(Entry::is_timer)
    }

    /// Moves the rule past the first entry of its backlog without asking it. Returns `true` if there was an entry.
    fn leave_first(&mut self, rule: usize) -> bool {
        let Some(first) = self.backlog(rule).and_then(Backlog::front).cloned() else {
            return false;
        };
        let time = first.time();
        match first {
            Entry::Ask(event) if self.may_unfire(rule, &event) => self.unfire(rule, &event),
            Entry::Ask(_) => {
                let Some(event) = self.take_front(rule) else { return false };
                if let Some(slot) = self.slot(rule, &event.partition) {
                    self.end_timer(rule, &event, &slot);
                }
                self.skip(rule, &event, NO_ROOM.to_owned());
                self.go_past(rule, &event);
            }
            first => {
                if let Some(name) = self.rules.get(rule).map(|rule| rule.loaded.name.clone()) {
                    self.expire_late(rule, &name, time);
                }
                if let Entry::Went(partition, _) = &first {
                    self.skip_timers(rule, partition, time);
                }
                self.pass(rule);
            }
        }
        true
    }

    /// Skips the timers of an object that was deleted, if they were due before and had not fired: the rule will not
    /// be asked about them any more.
    fn skip_timers(&mut self, rule: usize, partition: &Arc<str>, time: Timestamp) {
        let Some(backlog) = self.backlog(rule) else { return };
        let (now, end) =
            (backlog.now, backlog.suspended_since.map_or(time, |since| since.min(time)));
        let Some(slot) = self.slot(rule, partition) else { return };
        for timer in self.timers.cancel_due(rule, &slot, end) {
            let event: Arc<Event> = Arc::new(self.timer_event(rule, timer.due.max(now), &timer));
            self.skip(rule, &event, NO_ROOM.to_owned());
            self.forget_timer(rule, timer);
        }
    }

    /// Stores the rule's position for a restart: the skipped entries leave no other record of it.
    fn note_place(&mut self, rule: usize) {
        let Some(backlog) = self.backlog(rule) else { return };
        let (row, is_suspended, time) =
            (backlog.suspension_row, backlog.is_suspended(), backlog.now);
        self.write_row(rule, row, &PersistedEntry::Suspended { is_suspended, time, is_so: true });
    }
}
