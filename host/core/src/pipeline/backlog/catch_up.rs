//! Catching up of lagging rules: the backlog of a rule is processed in order, and the rule's timers fire in between,
//! exactly where they would have fired.
//!
//! In the service, a lagging rule is asked on a dedicated thread ([`Pipeline::pump`]). A replay has only the time of
//! the events, so a rule that is out of service continues when the event clock has advanced far enough.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, unique};
use crate::pipeline::output::FailedEvent;
use crate::pipeline::round::{Settled, evaluating};
use crate::pipeline::{Pipeline, Rule};
use klaxon_model::{Answer, Change, Event, Failure, FailureKind, Object, StoreOp, Task, Timestamp};

/// Maximum number of events that a lagging rule is asked about at once.
const TOGETHER: usize = 256;

impl Rule {
    /// Returns `true` if the rule is lagging and may be asked at this time.
    fn may_go_on(&self, now: Timestamp) -> bool {
        self.is_in_service(now) && !self.meter.is_paused(now)
    }

    /// Returns `true` if the rule is lagging and may be asked at this time, regardless of the limits of its meter.
    fn is_in_service(&self, now: Timestamp) -> bool {
        let stays = self.backlog.as_ref().is_none_or(|backlog| backlog.stays);
        !stays && self.breaker.open_until().is_none_or(|until| until <= now)
    }

    /// Returns the maximum number of events to ask about at once. After the rule was out of service, one event is
    /// the trial.
    fn most_events(&self) -> usize {
        if self.breaker.open_until().is_some() { 1 } else { TOGETHER }
    }
}

impl Pipeline {
    /// Returns `true` in a replay if the event clock allows a lagging rule to continue.
    pub(in crate::pipeline) fn goes_on_by(&self, rule: usize, now: Timestamp) -> bool {
        self.waker.is_none() && self.rules.get(rule).is_some_and(|rule| rule.may_go_on(now))
    }

    /// Takes the available answers of lagging rules, and asks the rules about their next events. `now` is the
    /// wall-clock time, at which rules that are out of service may be tried again.
    pub fn pump(&mut self, now: Timestamp) {
        self.wall = now;
        self.flush();
        for rule in 0..self.rules.len() {
            let dedicated = self.backlog_mut(rule).and_then(|backlog| backlog.dedicated.as_mut());
            let answers = dedicated.and_then(|dedicated| dedicated.answers());
            if let Some(answers) = answers {
                self.settle_late(rule, answers);
                self.make_room();
            }
            let is_asked = self.backlog(rule).is_some_and(Backlog::is_asked);
            let may = self.rules.get(rule).is_some_and(|rule| rule.may_go_on(now));
            if !is_asked && may {
                self.go_on(rule);
            }
        }
    }

    fn go_on(&mut self, rule: usize) {
        let now = self.wall;
        let Some(owner) = self.rules.get_mut(rule) else { return };
        owner.meter.resume(now);
        let (loaded, most) = (owner.loaded.clone(), owner.most_events());
        let Some(events) = self.take_up(rule, most) else {
            self.stop_lagging(rule);
            return;
        };
        let (view, waker) = (self.view.clone(), self.waker.clone());
        let has_thread = self.backlog(rule).is_some_and(|backlog| backlog.dedicated.is_some());
        let started = if has_thread { None } else { Some(self.engine.dedicated(loaded.id, waker)) };
        let Some(backlog) = self.backlog_mut(rule) else { return };
        match started {
            Some(Ok(dedicated)) => backlog.dedicated = Some(dedicated),
            Some(Err(error)) => {
                tracing::error!(rule = %loaded.name, %error, "a lagging rule waits for a thread");
                return;
            }
            None => {}
        }
        if let Some(dedicated) = &mut backlog.dedicated {
            dedicated.ask(&view, events);
        }
    }

    /// Lets lagging rules of a replay continue that may do so at this time, on the shared workers.
    pub(in crate::pipeline) fn catch_up(&mut self, now: Timestamp) {
        for rule in 0..self.rules.len() {
            while self.goes_on_by(rule, now) && self.is_lagging(rule) && !self.is_answer_full(rule)
            {
                self.resume(rule, now);
                self.catch_up_some(rule, usize::MAX);
            }
        }
    }

    fn resume(&mut self, rule: usize, now: Timestamp) {
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.meter.resume(now);
        }
    }

    /// Returns `true` if a rule must pause until the output with its answers is taken.
    fn is_answer_full(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.meter.is_full(&rule.loaded.limits))
    }

    /// Asks a lagging rule about its next events.
    fn catch_up_some(&mut self, rule: usize, most: usize) {
        let Some(owner) = self.rules.get(rule) else { return };
        let (loaded, most) = (owner.loaded.clone(), owner.most_events().min(most));
        let Some(events) = self.take_up(rule, most) else {
            self.stop_lagging(rule);
            return;
        };
        let tasks: Vec<Task> =
            events.into_iter().map(|event| Task { rule: loaded.id, event }).collect();
        self.pulse.works(evaluating(tasks.iter().map(|_| &*loaded.name)));
        let answers = self.engine.evaluate(&self.view, &tasks);
        self.settle_late(rule, answers);
    }

    /// Processes the backlog of a rule up to the next events that the rule must be asked about. `None` if the rule
    /// has caught up.
    fn take_up(&mut self, rule: usize, most: usize) -> Option<Vec<Arc<Event>>> {
        let name = self.rules.get(rule)?.loaded.name.clone();
        loop {
            let backlog = self.backlog(rule)?;
            let end = backlog.front().map_or(self.now, Entry::time);
            let fires = backlog.front().is_some_and(Entry::is_timer);
            let due = self.timers.next_of(rule).filter(|_| !backlog.is_suspended());
            if let Some(due) = due.filter(|due| !fires && *due < end) {
                let at = due.max(backlog.now);
                self.expire_late(rule, &name, at);
                self.fire_late(rule, due, at);
                continue;
            }
            self.expire_late(rule, &name, end);
            let backlog = self.backlog(rule)?;
            match backlog.front() {
                None => return None,
                Some(Entry::Ask(_)) => {
                    let expiry = self.expiries.next_of(&name);
                    return Some(backlog.batch(due, expiry, most.max(1)));
                }
                Some(_) => self.pass(rule),
            }
        }
    }

    /// Expires state relative to the rule's position in its backlog: the latest known objects may be newer.
    pub(in crate::pipeline) fn expire_late(&mut self, rule: usize, name: &str, now: Timestamp) {
        let backlog = self.rules.get_mut(rule).and_then(|rule| rule.backlog.take());
        self.expire_of(name, now, |partition| backlog.as_ref()?.knows(partition));
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.backlog = backlog;
        }
    }

    /// Applies answers to the first events of the backlog, in order, up to the first that is missing, the first that
    /// may have read a write that was refused since, or the first that takes the rule out of service or to a limit.
    /// The rule is asked again about the events after it.
    fn settle_late(&mut self, rule: usize, answers: Vec<Option<Answer>>) {
        let mut refused: BTreeSet<Arc<str>> = BTreeSet::new();
        for answer in answers {
            while self.backlog(rule).and_then(|backlog| backlog.front()).is_some_and(is_passed) {
                self.pass(rule);
            }
            let Some(answer) = answer else { return };
            let Some(loaded) = self.rules.get(rule).map(|rule| rule.loaded.clone()) else { return };
            let front = self.backlog(rule).and_then(Backlog::front);
            if matches!(front, Some(Entry::Ask(event)) if refused.contains(&event.partition)) {
                return;
            }
            let Some(event) = self.take_front(rule) else { return };
            let settled = self.settle(loaded.id, &event, answer);
            self.go_past(rule, &event);
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
    pub(in crate::pipeline) fn take_front(&mut self, rule: usize) -> Option<Arc<Event>> {
        let queued = self.backlog_mut(rule)?.pop()?;
        if let Some(row) = queued.row {
            self.store(|| StoreOp::NoBacklog(row));
        }
        match queued.entry {
            Entry::Ask(event) => Some(event),
            _ => None,
        }
    }

    /// Moves the rule's position past an event.
    pub(in crate::pipeline) fn go_past(&mut self, rule: usize, event: &Event) {
        let Some(backlog) = self.backlog_mut(rule) else { return };
        backlog.now = backlog.now.max(event.time);
        // While a timer is being answered there may be no other timer of its object, so changes of the object were
        // not recorded. The timer's event itself carries the form of the object.
        let (object, is_timer) = (&event.object, event.change == Change::Timer);
        let uid = unique(object);
        if is_timer && backlog.forms.contains_key(&uid) {
            self.drop_form(rule, &uid);
        } else {
            let exists = !is_timer || !object.meta.resource_version.is_empty();
            self.see_form(rule, object, exists, event.time);
        }
    }

    /// Records the form of an object at the rule's position. A form that no timer carries is removed.
    fn see_form(&mut self, rule: usize, object: &Arc<Object>, exists: bool, time: Timestamp) {
        let uid = unique(object);
        if self.timers.of_rule_concern(rule, &uid) {
            // The timer may be set only now, and outlast the backlog.
            if exists {
                self.router.touch(object);
            }
            self.set_form(rule, uid, object, exists, time);
        } else {
            self.drop_form(rule, &uid);
        }
    }

    /// Processes the first entry of the backlog, which the rule is not asked about.
    pub(in crate::pipeline) fn pass(&mut self, rule: usize) {
        let Some(queued) = self.backlog_mut(rule).and_then(|backlog| backlog.pop()) else { return };
        if let Some(row) = queued.row {
            self.store(|| StoreOp::NoBacklog(row));
        }
        let time = queued.entry.time();
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.now = backlog.now.max(time);
        }
        match &queued.entry {
            Entry::Ask(_) | Entry::Came(..) => {}
            Entry::Known { object, exists, .. } => self.see_form(rule, object, *exists, time),
            Entry::Went(partition, _) => self.went(rule, partition, time),
            Entry::Unfollowed(partition, _) => self.unfollowed(rule, partition, time),
            Entry::Suspended(is_suspended, _) => {
                let is_suspended = *is_suspended;
                let Some(backlog) = self.backlog_mut(rule) else { return };
                backlog.set_suspended(is_suspended, time);
                let row = backlog.suspension_row;
                self.write_row(
                    rule,
                    row,
                    &PersistedEntry::Suspended { is_suspended, time, is_so: true },
                );
                self.suspend_policy(rule);
            }
        }
    }

    /// Ends all backlogs at the end of a replay. Queued events of rules that are still out of service become
    /// failures.
    pub(in crate::pipeline) fn give_up_backlogs(&mut self, end: Timestamp) {
        self.catch_up(end);
        for rule in 0..self.rules.len() {
            // A limit on the rule's output is no reason to leave an event without an answer.
            while self.waker.is_none()
                && self.is_lagging(rule)
                && self.rules.get(rule).is_some_and(|rule| rule.is_in_service(end))
            {
                self.resume(rule, end);
                if let Some(rule) = self.rules.get_mut(rule) {
                    rule.meter.handed_on();
                }
                self.catch_up_some(rule, usize::MAX);
            }
            let Some(loaded) = self.rules.get(rule).map(|rule| rule.loaded.clone()) else {
                continue;
            };
            while let Some(queued) = self.backlog_mut(rule).and_then(|backlog| backlog.pop()) {
                let Entry::Ask(event) = queued.entry else { continue };
                self.counts.events += 1;
                self.counts.failures += 1;
                let failure = Failure {
                    kind: FailureKind::OutOfService,
                    message: "the rule failed too often and was out of service at the end"
                        .to_owned(),
                };
                self.output.failures.push(FailedEvent::new(&loaded, &event, failure));
            }
        }
    }

    /// Makes a rule lag until [`Pipeline::let_go_on`], for tests and measurements.
    pub fn hold_back(&mut self, rule: usize) {
        self.flush();
        self.start_lagging(rule, self.now);
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.stays = true;
        }
    }

    /// Asks a rule after [`Pipeline::hold_back`] about at most this number of events, on the shared workers. With
    /// `None`, the rule continues by itself.
    pub fn let_go_on(&mut self, rule: usize, events: Option<usize>) {
        self.flush();
        match events {
            Some(most) => {
                let mut left = most;
                while left > 0 && self.is_lagging(rule) {
                    let before = self.counts.events;
                    self.catch_up_some(rule, left);
                    let asked = usize::try_from(self.counts.events - before).unwrap_or(0);
                    left = left.saturating_sub(asked.max(1));
                }
            }
            None => {
                if let Some(backlog) = self.backlog_mut(rule) {
                    backlog.stays = false;
                }
            }
        }
    }
}

fn is_passed(entry: &Entry) -> bool {
    !matches!(entry, Entry::Ask(_))
}
