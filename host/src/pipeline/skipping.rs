//! Where there is no room for what is parked of a rule and its operator says that events may be skipped,
//! the oldest are: the rule comes back to what is so now. What else happened to it is taken up in its
//! order, so that its timers and its state stay right, and what waits is bounded whatever it is.

use std::sync::Arc;

use super::behind::Behind;
use super::entry::Entry;
use super::{Pipeline, Rule};
use crate::model::{Event, Keep, Slot, Timestamp, WhenFull};

/// Why an event was skipped.
const NO_ROOM: &str =
    "there is no room to park it (`limits.parked`), and `limits.when_parked_full` says skip";

impl Rule {
    fn skips(&self) -> bool {
        self.loaded.limits().when_parked_full == WhenFull::Skip
    }

    /// Whether there is no more room. Where events may be skipped those that it is being asked about do not
    /// count: they cannot be, and there are never many.
    pub(super) fn is_full(&self) -> bool {
        let most = self.loaded.limits().parked;
        let fixed = |behind: &Behind| if self.skips() { behind.asked_bytes() } else { 0 };
        self.behind
            .as_ref()
            .is_some_and(|behind| behind.bytes().saturating_sub(fixed(behind)) >= most)
    }
}

impl Pipeline {
    /// Skips events until there is room again, where that may be and as far as it can be.
    pub(super) fn make_room(&mut self, rule: usize) {
        let may_skip = |rule: &Rule| rule.skips() && rule.is_full();
        while self.rules.get(rule).is_some_and(may_skip) && self.leave_one(rule) {}
    }

    /// Takes one entry out. Returns whether there was one that can be.
    fn leave_one(&mut self, rule: usize) -> bool {
        let Some(behind) = self.behind(rule) else { return false };
        if behind.asked() > 0 {
            let Some(place) = behind.first_not_asked() else { return false };
            return self.skip_within(rule, place);
        }
        match behind.front() {
            None => false,
            Some(Entry::Ask(_)) => {
                self.skip_front(rule);
                true
            }
            Some(entry) => {
                let (entry, time) = (entry.clone(), entry.time());
                if let Some(name) = self.rules.get(rule).map(|rule| rule.loaded.name.clone()) {
                    self.expire_late(rule, &name, time);
                }
                if let Entry::Went(partition, _) = &entry {
                    self.skip_timers(rule, partition, time);
                }
                self.pass(rule);
                true
            }
        }
    }

    /// The rule goes past the first event that waits, without an answer.
    fn skip_front(&mut self, rule: usize) {
        let Some(event) = self.take_front(rule) else { return };
        let name = self.rules.get(rule).map(|rule| rule.loaded.name.clone());
        if let Some(rule) = name {
            let slot = Slot { rule, partition: event.partition.clone() };
            self.end_wake(&event, &slot);
        }
        self.skip(rule, &event, NO_ROOM.to_owned());
        self.go_past(rule, &event);
    }

    /// An event behind those that the rule is being asked about: the rule has not come to it, and must
    /// still learn of the object's form where that may be carried by a timer.
    fn skip_within(&mut self, rule: usize, place: usize) -> bool {
        let Some(behind) = self.behind(rule) else { return false };
        let Some(Entry::Ask(event)) = behind.get(place) else { return false };
        let event = event.clone();
        let is_needed = self.may_carry(rule, &event.object);
        let Some(behind) = self.behind_mut(rule) else { return false };
        let Some(row) = behind.remove(place) else { return false };
        if is_needed {
            let (object, time) = (event.object.clone(), event.time);
            let known = Entry::Known { object, exists: true, before: None, time };
            let waiting = self.write(rule, known, row);
            if let Some(behind) = self.behind_mut(rule) {
                behind.insert(place, waiting);
            }
        } else if let Some(row) = row {
            self.keep(|| Keep::Unparked(row));
        }
        self.skip(rule, &event, NO_ROOM.to_owned());
        true
    }

    /// The object went, and with it go timers that were due before and had not fired: nobody is asked
    /// about them any more.
    fn skip_timers(&mut self, rule: usize, partition: &Arc<str>, time: Timestamp) {
        let Some(behind) = self.behind(rule).filter(|behind| !behind.is_held) else { return };
        let now = behind.now;
        let Some(slot) = self.slot(rule, partition) else { return };
        for wake in self.wakes.cancel_due(rule, &slot, time) {
            let event: Arc<Event> = Arc::new(self.wake_event(rule, wake.due.max(now), &wake));
            self.skip(rule, &event, NO_ROOM.to_owned());
            self.forget_wake(wake);
        }
    }
}
