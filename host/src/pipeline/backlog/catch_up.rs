//! How a rule that is behind goes on: what waits for it is taken in its order, and the rule's timers
//! fire between, exactly where they would have fired.
//!
//! In the service it is asked on a thread of its own ([`Pipeline::pump`]); a replay has no other time
//! than that of the events, so a rule that is out of service goes on when their clock has come so far.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::{Answer, Task};
use crate::model::{Change, Event, Failure, FailureKind, Object, StoreOp, Timestamp};
use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, unique};
use crate::pipeline::output::FailedEvent;
use crate::pipeline::round::{Settled, evaluating};
use crate::pipeline::{Pipeline, Rule};

/// Most events that a rule which is behind is asked about at once.
const TOGETHER: usize = 256;

impl Rule {
    /// Whether the rule is behind and may be asked at this time.
    fn may_go_on(&self, now: Timestamp) -> bool {
        self.is_in_service(now) && !self.meter.is_paused(now)
    }

    /// The same, however much it has said.
    fn is_in_service(&self, now: Timestamp) -> bool {
        let stays = self.backlog.as_ref().is_none_or(|backlog| backlog.stays);
        !stays && self.breaker.open_until().is_none_or(|until| until <= now)
    }

    /// After a pause one event is the trial.
    fn most_events(&self) -> usize {
        if self.breaker.open_until().is_some() { 1 } else { TOGETHER }
    }
}

impl Pipeline {
    /// Whether a replay's clock lets a rule go on.
    pub(in crate::pipeline) fn goes_on_by(&self, rule: usize, now: Timestamp) -> bool {
        self.waker.is_none() && self.rules.get(rule).is_some_and(|rule| rule.may_go_on(now))
    }

    /// Takes the answers that are there of rules that are behind, and asks them on. `now` is the time by
    /// the clock, at which those that are out of service may be tried again.
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
        let started = if has_thread { None } else { Some(self.engine.dedicated(&loaded, waker)) };
        let Some(backlog) = self.backlog_mut(rule) else { return };
        match started {
            Some(Ok(dedicated)) => backlog.dedicated = Some(dedicated),
            Some(Err(error)) => {
                tracing::error!(rule = %loaded.name, %error, "a rule that is behind waits for a thread");
                return;
            }
            None => {}
        }
        if let Some(dedicated) = &mut backlog.dedicated {
            dedicated.ask(&view, events);
        }
    }

    /// Lets rules go on whose time has come, on the shared workers.
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

    /// Returns `true` if a rule goes on only when its answers were handed on.
    fn is_answer_full(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.meter.is_full(rule.loaded.limits()))
    }

    /// Asks a rule that is behind about the next events.
    fn catch_up_some(&mut self, rule: usize, most: usize) {
        let Some(owner) = self.rules.get(rule) else { return };
        let (loaded, most) = (owner.loaded.clone(), owner.most_events().min(most));
        let Some(events) = self.take_up(rule, most) else {
            self.stop_lagging(rule);
            return;
        };
        let tasks: Vec<Task> =
            events.into_iter().map(|event| Task { rule: loaded.clone(), event }).collect();
        self.pulse.works(evaluating(&tasks));
        let answers = self.engine.evaluate(&self.view, &tasks);
        self.settle_late(rule, answers);
    }

    /// Takes what waits for a rule up to the next events that it must be asked about; none: it is in
    /// step again.
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

    /// State goes relative to where the rule is: what is known of its objects by now may be later.
    pub(in crate::pipeline) fn expire_late(&mut self, rule: usize, name: &str, now: Timestamp) {
        let backlog = self.rules.get_mut(rule).and_then(|rule| rule.backlog.take());
        self.expire_of(name, now, |partition| backlog.as_ref()?.knows(partition));
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.backlog = backlog;
        }
    }

    /// Takes answers to the first events that wait, in order, up to the first that is none, that may have
    /// read what was refused since, or that takes the rule out of service or to a bound: what comes after is
    /// asked again.
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
            let task = Task { rule: loaded, event };
            let settled = self.settle(&task, answer);
            self.go_past(rule, &task.event);
            match settled {
                Settled::GoesOn => {}
                Settled::Refused => {
                    refused.insert(task.event.partition.clone());
                }
                Settled::Stops => return,
            }
        }
    }

    /// Takes the event that comes first.
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

    /// The rule has come past an event.
    pub(in crate::pipeline) fn go_past(&mut self, rule: usize, event: &Event) {
        let Some(backlog) = self.backlog_mut(rule) else { return };
        backlog.now = backlog.now.max(event.time);
        // While a timer is being answered no other may concern its object, so that changes of it
        // were not noted; it says itself what the object was like.
        let (object, is_timer) = (&event.object, event.change == Change::Timer);
        let uid = unique(object);
        if is_timer && backlog.forms.contains_key(&uid) {
            self.drop_form(rule, &uid);
        } else {
            let exists = !is_timer || !object.meta.resource_version.is_empty();
            self.see_form(rule, object, exists, event.time);
        }
    }

    /// The rule has come to a form of an object; what no timer carries is forgotten.
    fn see_form(&mut self, rule: usize, object: &Arc<Object>, exists: bool, time: Timestamp) {
        let uid = unique(object);
        if self.timers.of_rule_concern(rule, &uid) {
            // The timer may be set only now, and outlast what was parked.
            if exists {
                self.router.touch(object);
            }
            self.set_form(rule, uid, object, exists, time);
        } else {
            self.drop_form(rule, &uid);
        }
    }

    /// Takes the first of what waits, which is no question.
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

    /// At the end of a replay rules may still be out of service: what waits for them has no answer.
    pub(in crate::pipeline) fn give_up_backlogs(&mut self, end: Timestamp) {
        self.catch_up(end);
        for rule in 0..self.rules.len() {
            // A bound on what it says is no reason to leave an event without an answer.
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

    /// Parks what is for a rule from now on until [`Pipeline::let_go_on`]: for tests and measurements.
    pub fn hold_back(&mut self, rule: usize) {
        self.flush();
        self.start_lagging(rule, self.now);
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.stays = true;
        }
    }

    /// Asks a rule that is held back about so many events at most, on the shared workers; or lets it go
    /// on by itself.
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
