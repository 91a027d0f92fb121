//! Catching up of a lagging rule: its backlog is processed in order, and its timers fire in between, exactly where they
//! would have fired.

use std::collections::BTreeSet;
use std::sync::Arc;

use klaxon_model::{Answer, Change, Event, Failure, FailureKind, Object, Timestamp};

use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, unique};
use crate::pipeline::changes::Changes;
use crate::pipeline::rule::{RuleRuntime, Settled};
use crate::pipeline::shared::Shared;

/// Maximum number of events that a lagging rule is asked about at once.
const TOGETHER: usize = 256;

impl RuleRuntime {
    /// Returns `true` if the rule may be asked at this time.
    pub(in crate::pipeline) fn may_go_on(&self, now: Timestamp) -> bool {
        self.is_in_service(now) && !self.meter.is_paused(now)
    }

    /// Returns `true` if the rule may be asked at this time, regardless of the limits of its meter.
    pub(in crate::pipeline) fn is_in_service(&self, now: Timestamp) -> bool {
        let stays = self.backlog.as_ref().is_none_or(|backlog| backlog.stays);
        !stays && self.breaker.open_until().is_none_or(|until| until <= now)
    }

    /// Returns the maximum number of events to ask about at once. After the rule was out of service, one event is
    /// the trial.
    fn most_events(&self) -> usize {
        if self.breaker.open_until().is_some() { 1 } else { TOGETHER }
    }

    /// Processes the backlog up to the next events that the rule must be asked about. `None` if the rule has caught
    /// up; its backlog is then ended.
    pub(in crate::pipeline) fn next_events(
        &mut self,
        most: usize,
        shared: &mut Shared,
    ) -> Option<Vec<Arc<Event>>> {
        let events = self.take_up(most.min(self.most_events()), shared);
        if events.is_none() {
            self.stop_lagging(shared);
        }
        events
    }

    fn take_up(&mut self, most: usize, shared: &mut Shared) -> Option<Vec<Arc<Event>>> {
        loop {
            let backlog = self.backlog.as_deref()?;
            let end = backlog.front().map_or(shared.now, Entry::time);
            let fires = backlog.front().is_some_and(Entry::is_timer);
            let due = self.timers.next_due().filter(|_| !backlog.is_suspended());
            if let Some(due) = due.filter(|due| !fires && *due < end) {
                let at = due.max(backlog.now);
                self.expire_late(at, shared);
                self.fire_late(due, at, shared);
                continue;
            }
            self.expire_late(end, shared);
            let backlog = self.backlog.as_deref()?;
            match backlog.front() {
                None => return None,
                Some(Entry::Ask(_)) => {
                    let expiry = shared.state.next_expiry(&self.info.name);
                    return Some(backlog.batch(due, expiry, most.max(1)));
                }
                Some(_) => self.pass(shared),
            }
        }
    }

    /// Expires state relative to the rule's position in its backlog: the latest known objects may be newer.
    pub(in crate::pipeline) fn expire_late(&self, now: Timestamp, shared: &mut Shared) {
        let Shared { state, router, changes, .. } = shared;
        let exists = |partition: &str| {
            let knew = self.backlog.as_ref().and_then(|backlog| backlog.knows(partition));
            knew.unwrap_or_else(|| router.knows_partition(partition))
        };
        state.expire(&self.info.name, now, exists, changes);
    }

    /// Applies answers to the first events of the backlog, in order, up to the first that is missing, the first that
    /// may have read a write that was refused since, or the first that takes the rule out of service or to a limit.
    /// The rule is asked again about the events after it.
    pub(in crate::pipeline) fn settle_late(
        &mut self,
        answers: Vec<Option<Answer>>,
        shared: &mut Shared,
    ) {
        let mut refused: BTreeSet<Arc<str>> = BTreeSet::new();
        for answer in answers {
            while self.first_queued().is_some_and(is_passed) {
                self.pass(shared);
            }
            let Some(answer) = answer else { return };
            if matches!(self.first_queued(), Some(Entry::Ask(event)) if refused.contains(&event.partition))
            {
                return;
            }
            let Some(event) = self.take_front(&mut shared.changes) else { return };
            let settled = self.settle(&event, answer, shared);
            self.go_past(&event, shared);
            match settled {
                Settled::GoesOn => {}
                Settled::Refused => {
                    refused.insert(event.partition.clone());
                }
                Settled::Stops => return,
            }
        }
    }

    /// Removes the first entry of the backlog and returns its event.
    pub(in crate::pipeline) fn take_front(&mut self, changes: &mut Changes) -> Option<Arc<Event>> {
        let queued = self.backlog.as_mut()?.pop()?;
        changes.remove_row(queued.row);
        match queued.entry {
            Entry::Ask(event) => Some(event),
            _ => None,
        }
    }

    /// Moves the rule's position past an event.
    pub(in crate::pipeline) fn go_past(&mut self, event: &Event, shared: &mut Shared) {
        let Some(backlog) = &mut self.backlog else { return };
        backlog.now = backlog.now.max(event.time);
        // While a timer is being answered there may be no other timer of its object, so changes of the object were
        // not recorded. The timer's event itself carries the form of the object.
        let (object, is_timer) = (&event.object, event.change == Change::Timer);
        let uid = unique(object);
        if is_timer && backlog.forms.contains_key(&uid) {
            self.drop_form(&uid, &mut shared.changes);
        } else {
            let exists = !is_timer || !object.meta.resource_version.is_empty();
            self.see_form(object, exists, event.time, shared);
        }
    }

    /// Records the form of an object at the rule's position. A form that no timer carries is removed.
    fn see_form(
        &mut self,
        object: &Arc<Object>,
        exists: bool,
        time: Timestamp,
        shared: &mut Shared,
    ) {
        let uid = unique(object);
        if self.timers.concern(&uid) {
            // The timer may be set only now, and outlast the backlog.
            if exists {
                shared.router.touch(object);
            }
            self.set_form(uid, object, exists, time, &mut shared.changes);
        } else {
            self.drop_form(&uid, &mut shared.changes);
        }
    }

    /// Processes the first entry of the backlog, which the rule is not asked about.
    pub(in crate::pipeline) fn pass(&mut self, shared: &mut Shared) {
        let Some(backlog) = &mut self.backlog else { return };
        let Some(queued) = backlog.pop() else { return };
        shared.changes.remove_row(queued.row);
        let time = queued.entry.time();
        backlog.now = backlog.now.max(time);
        match &queued.entry {
            Entry::Ask(_) | Entry::Came(..) => {}
            Entry::Known { object, exists, .. } => self.see_form(object, *exists, time, shared),
            Entry::Went(partition, _) => self.object_deleted(partition, time, shared),
            Entry::Unfollowed(partition, _) => self.object_unfollowed(partition, time, shared),
            Entry::Suspended(is_suspended, _) => {
                let is_suspended = *is_suspended;
                backlog.set_suspended(is_suspended, time);
                let position = PersistedEntry::Suspended { is_suspended, time, is_so: true };
                let row = backlog.suspension_row;
                shared.changes.record_row(&self.info.name, row, &position);
                self.suspend_policy(shared);
            }
        }
    }

    /// Makes every queued event a failure, at the end of a replay in which the rule is out of service.
    pub(in crate::pipeline) fn give_up_backlog(&mut self, shared: &mut Shared) {
        while let Some(queued) = self.backlog.as_deref_mut().and_then(Backlog::pop) {
            let Entry::Ask(event) = queued.entry else { continue };
            shared.counts.events += 1;
            let message = "the rule failed too often and was out of service at the end".to_owned();
            self.fail(&event, Failure { kind: FailureKind::OutOfService, message }, shared);
        }
    }
}

fn is_passed(entry: &Entry) -> bool {
    !matches!(entry, Entry::Ask(_))
}
