//! Skipping of events, where a rule's backlog has no room and its operator allows it (`when_backlog_full: skip`).
//!
//! First go events that a later one of the same object and interest follows, wherever they are, the oldest
//! first: the rule still comes to the newest state of each object, and to each object's end. Only where the
//! newest states alone have no room are the oldest events skipped. Everything else that happens to the rule
//! keeps its order, so that its timers and its state stay right. A timer that fired is set again as it was;
//! only one that was set anew since, or whose object has gone, is skipped.

use std::sync::Arc;

use crate::model::{Event, StoreOp, Timestamp, WhenFull};
use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::Backlog;
use crate::pipeline::{Pipeline, Rule};

/// Why an event was skipped.
const NO_ROOM: &str =
    "there is no room to park it (`limits.backlog`), and `limits.when_backlog_full` says skip";
/// The same, for an event after which the rule comes to a later one of its object.
const SUPERSEDED: &str = "there is no room to park it (`limits.backlog`), `limits.when_backlog_full` says skip, and a later event of its object follows";

impl Rule {
    fn backlog_bytes(&self) -> usize {
        self.backlog.as_deref().map_or(0, Backlog::bytes)
    }

    /// Whether intake must wait. Where events may be skipped that is so only while the rule is being asked
    /// about the first of them, for those must stay in their places, and as much again has come.
    pub(in crate::pipeline) fn is_full(&self) -> bool {
        let limits = self.loaded.limits();
        let most = match limits.when_backlog_full {
            WhenFull::Block => limits.backlog,
            WhenFull::Skip => limits.backlog.saturating_mul(2),
        };
        self.backlog.is_some() && self.backlog_bytes() >= most
    }

    fn must_skip(&self) -> bool {
        let limits = self.loaded.limits();
        limits.when_backlog_full == WhenFull::Skip && self.backlog_bytes() >= limits.backlog
    }
}

impl Pipeline {
    /// Skips events of all rules until there is room again, where that may be and can be.
    pub(in crate::pipeline) fn make_room(&mut self) {
        for rule in 0..self.rules.len() {
            let is_asked = self.backlog(rule).is_some_and(Backlog::is_asked);
            if is_asked || !self.rules.get(rule).is_some_and(Rule::must_skip) {
                continue;
            }
            while self.rules.get(rule).is_some_and(Rule::must_skip) && self.leave_superseded(rule) {
            }
            if !self.rules.get(rule).is_some_and(Rule::must_skip) {
                continue;
            }
            // Timers that fired together go together, or one could be set anew by another that came after it.
            while self.rules.get(rule).is_some_and(Rule::must_skip) || self.has_fired_first(rule) {
                if !self.leave_first(rule) {
                    break;
                }
            }
            self.note_place(rule);
        }
    }

    /// Skips the oldest event that a later one of its object follows. Returns whether there was one.
    fn leave_superseded(&mut self, rule: usize) -> bool {
        let Some(queued) = self.backlog_mut(rule).and_then(Backlog::pop_superseded) else {
            return false;
        };
        if let Some(row) = queued.row {
            self.store(|| StoreOp::NoBacklog(row));
        }
        if let Entry::Ask(event) = queued.entry {
            self.skip(rule, &event, SUPERSEDED.to_owned());
        }
        true
    }

    fn has_fired_first(&self, rule: usize) -> bool {
        self.backlog(rule).and_then(Backlog::front).is_some_and(Entry::is_timer)
    }

    /// The rule goes past what comes first, and is not asked. Returns whether there was something.
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

    /// The object went, and with it go timers that were due before and had not fired: nobody is asked
    /// about them any more.
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

    /// After a restart the rule is where it is now: what it went past left nothing behind that says so.
    fn note_place(&mut self, rule: usize) {
        let Some(backlog) = self.backlog(rule) else { return };
        let (row, is_suspended, time) =
            (backlog.suspension_row, backlog.is_suspended(), backlog.now);
        self.write_row(rule, row, &PersistedEntry::Suspended { is_suspended, time, is_so: true });
    }
}
