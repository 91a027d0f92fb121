//! Rounds: groups of events that are evaluated together, on all workers. Their answers are applied in event order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::backlog::entry::Entry;
use super::breaker::Ruling;
use super::meter::AnswerSize;
use super::output::{EventCost, FailedEvent, Limited, LogLine, OutOfService};
use super::{FIRED_TOGETHER, Happening, Pipeline, ROUND_MS};
use crate::policy::{Passed, Refusal};
use klaxon_model::{
    Answer, Change, Event, Failure, FailureKind, Id, MAX_TIMERS, Meta, Object, Outcome,
    PersistedTimer, RuleId, RuleInfo, Slot, StoreOp, Subject, Task, Timer, Timestamp,
};

/// Maximum number of rules that an activity names.
const NAMED: usize = 8;

/// Returns the activity that a watchdog reports while rules are asked.
pub(super) fn evaluating<'a>(rules: impl Iterator<Item = &'a str>) -> String {
    let rules: Vec<&str> = rules.collect();
    let names: BTreeSet<&str> = rules.iter().copied().collect();
    let is_cut = names.len() > NAMED;
    let mut names: Vec<&str> = names.into_iter().take(NAMED).collect();
    if is_cut {
        names.push("…");
    }
    format!("evaluating {} events of rules: {}", rules.len(), names.join(", "))
}

/// The consequence of an answer for later answers of the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The later answers are used.
    GoesOn,
    /// The answer's writes were refused. Later events of its partition may have read them, and are asked about
    /// again.
    Refused,
    /// The rule must pause: all later events are asked about again.
    Stops,
}

/// The maximum lead of an event over the wall clock, in milliseconds. An event that is further ahead was queued
/// under a clock that was wrong.
const DAY_MS: i64 = 86_400_000;

impl Pipeline {
    /// Evaluates the pending round.
    pub fn flush(&mut self) {
        let round = std::mem::take(&mut self.round);
        self.round_fields = 0;
        self.evaluate(round);
    }

    /// Asks the rules that are caught up, and queues the entries of lagging rules. A rule starts to lag with the
    /// first event that it did not answer, with the first event that may have read a write that was refused since,
    /// or with the event after the one that took it out of service or to a limit. Its answers to later events are
    /// discarded, and it is asked about them again.
    fn evaluate(&mut self, round: Vec<Happening>) {
        let in_step = |happening: &Happening| -> Option<Task> {
            let Entry::Ask(event) = &happening.entry else { return None };
            let rule = self.rules.get(happening.rule?)?;
            let is_asked = rule.backlog.is_none();
            is_asked.then(|| Task { rule: rule.loaded.id, event: event.clone() })
        };
        let tasks: Vec<Option<Task>> = round.iter().map(in_step).collect();
        let asked: Vec<Task> = tasks.iter().flatten().cloned().collect();
        let mut answers = if asked.is_empty() {
            Vec::new().into_iter()
        } else {
            let rules = asked.iter().filter_map(|task| self.rules.get(task.rule.0));
            self.pulse.works(evaluating(rules.map(|rule| &*rule.loaded.name)));
            self.engine.evaluate(&self.view, &asked).into_iter()
        };
        self.pulse.works("taking answers");
        let mut refused: BTreeSet<(usize, Arc<str>)> = BTreeSet::new();
        for (Happening { rule, entry }, task) in round.into_iter().zip(tasks) {
            let mut answer = task.as_ref().and_then(|_| answers.next()).flatten();
            if let Some(task) = task.as_ref().filter(|_| !refused.is_empty())
                && refused.contains(&(task.rule.0, task.event.partition.clone()))
            {
                answer = None;
            }
            match rule {
                None => (0..self.rules.len()).for_each(|rule| self.happen_to(rule, &entry)),
                Some(rule) if self.is_lagging(rule) => self.push_to_backlog(rule, entry),
                Some(rule) => match (task, answer) {
                    (Some(task), Some(answer)) => match self.settle(task.rule, &task.event, answer)
                    {
                        Settled::GoesOn => {}
                        Settled::Stops => self.start_lagging(rule, entry.time()),
                        Settled::Refused => {
                            refused.insert((rule, task.event.partition.clone()));
                        }
                    },
                    (Some(_), None) => {
                        self.start_lagging(rule, entry.time());
                        self.push_to_backlog(rule, entry);
                    }
                    (None, _) => self.happen_to(rule, &entry),
                },
            }
        }
        self.make_room();
    }

    fn happen_to(&mut self, rule: usize, entry: &Entry) {
        if self.is_lagging(rule) {
            self.push_to_backlog(rule, entry.clone());
            return;
        }
        match entry {
            Entry::Went(partition, time) => self.went(rule, partition, *time),
            Entry::Unfollowed(partition, time) => self.unfollowed(rule, partition, *time),
            // A rule that is caught up is asked in `evaluate`, and sees the other changes in the router.
            Entry::Ask(_) | Entry::Known { .. } | Entry::Came(..) | Entry::Suspended(..) => {}
        }
    }

    /// Fires the timers that are due at one time, at most [`FIRED_TOGETHER`] of each rule; `at` is later if they
    /// were suspended. The limit is per rule, so that the first and last event of a rule's calls do not depend on
    /// other rules.
    pub(super) fn fire(&mut self, due: Timestamp, at: Timestamp) {
        let waits: Vec<bool> = (0..self.rules.len()).map(|rule| self.waits(rule)).collect();
        let is_suspended = |rule: usize| waits.get(rule).copied().unwrap_or(true);
        let taken = self.timers.take(due, FIRED_TOGETHER, is_suspended);
        let fired = taken.into_iter().map(|(rule, timer)| {
            let event = Arc::new(self.timer_event(rule, at, &timer));
            Happening { rule: Some(rule), entry: Entry::Ask(event) }
        });
        let fired = fired.collect();
        self.evaluate(fired);
    }

    /// Returns the event of a timer. It carries the last known form of the object of the event that last set the
    /// timer or, if that object is gone, its identity.
    pub(super) fn timer_event(&self, rule: usize, at: Timestamp, timer: &PersistedTimer) -> Event {
        let PersistedTimer { slot, key, due, payload, set_by, interest, object } = timer.clone();
        let interest = self.router.interest_place(rule, &interest);
        let identity = &object.meta.identity;
        let form = match self.form_where_it_is(rule, identity) {
            Some(form) => form,
            None => self.router.last_known(identity),
        };
        let object = form.unwrap_or_else(|| {
            let meta = Meta { identity: identity.clone(), ..Meta::default() };
            Arc::new(Object { meta, subject: Subject::Other, document: None })
        });
        let cluster = self.origin.cluster.as_str();
        Event {
            id: Id::of("w", &[&cluster, &&*slot.rule, &&*slot.partition, &key, &set_by]),
            origin: self.origin.clone(),
            time: at,
            change: Change::Timer,
            gap: false,
            interest,
            fields: self.router.fields(rule, interest, &object, Change::Timer),
            object,
            delta: 0,
            partition: slot.partition,
            timer: Some(Timer { key, due, payload, set_by }),
        }
    }

    /// Applies one answer, in event order.
    pub(super) fn settle(
        &mut self,
        rule: RuleId,
        event: &Arc<Event>,
        mut answer: Answer,
    ) -> Settled {
        let Some(loaded) = self.rules.get(rule.0).map(|rule| rule.loaded.clone()) else {
            return Settled::GoesOn;
        };
        let loaded = &loaded;
        let place = loaded.id.0;
        let slot = Slot { rule: loaded.name.clone(), partition: event.partition.clone() };
        let wall = self.wall;
        let now = believed(event.time, wall);
        self.purge(place, event.time.min(now));
        let bytes = answer.bytes();
        let mut has_refused = false;
        if let Some((limit, failure)) = self.over_sum(loaded, &slot, &answer) {
            has_refused = !answer.writes.is_empty();
            answer.writes.clear();
            answer.outcome = Err(failure);
            let rule = loaded.name.clone();
            self.note_limited([Limited { rule, limit, count: 1, what: None }]);
        }
        let Some(rule) = self.rules.get_mut(place) else { return Settled::GoesOn };
        let limits = &loaded.limits;
        let mut limited: Vec<Limited> = rule.meter.advance_to(now).into_iter().collect();
        let (lines, dropped) = rule.meter.take_lines(answer.log, limits);
        limited.extend(dropped);
        let verdicts = answer.outcome.as_ref().map_or(0, |outcome| outcome.verdicts.len());
        // The verdict itself, and a body for each target.
        let output = bytes.saturating_mul(1 + rule.policy.routed.len());
        limited.extend(rule.meter.count(AnswerSize { bytes, output, verdicts }, now, limits));
        let is_over = rule.meter.is_full(limits) || rule.meter.is_paused(now);
        let kind = rule.kind_of(event);
        let failed =
            answer.outcome.as_ref().is_err_and(|failure| failure.kind.counts_against_rule());
        // Uses `now`: a pause that began at the time of an old event would be over already.
        let ruling = rule.breaker.rule(now, failed);
        if let Ruling::AcceptAndOpen { until } = ruling {
            self.output.out_of_service.push(OutOfService {
                rule: loaded.name.clone(),
                since: event.time,
                until,
            });
        }
        self.counts.events += 1;
        self.counts.timers += u64::from(event.change == Change::Timer);
        self.note_limited(limited);
        self.end_timer(place, event, &slot);
        for line in lines {
            self.output.log.push(LogLine { rule: loaded.name.clone(), event: event.id, line });
        }
        if let Some(cost) = answer.cost {
            self.output.costs.push(EventCost { event: event.clone(), cost });
        }
        match answer.outcome {
            Ok(outcome) => {
                if !answer.writes.is_empty() {
                    let writes = &answer.writes;
                    let version = loaded.manifest.state_version;
                    self.store(|| {
                        StoreOp::State(slot.clone(), kind, version, writes.clone(), event.time)
                    });
                    self.state.commit(&slot, answer.writes, event.time);
                    self.expire_if_unknown(&slot, kind, event);
                }
                self.accept(loaded, event, &slot, outcome);
            }
            Err(failure) => {
                self.counts.failures += 1;
                self.output.failures.push(FailedEvent::new(loaded, event, failure));
            }
        }
        match ruling {
            Ruling::Accept if !is_over && has_refused => Settled::Refused,
            Ruling::Accept if !is_over => Settled::GoesOn,
            _ => Settled::Stops,
        }
    }

    /// Removes a timer that fired, after it was answered. It stays in the journal until then, because its rule may
    /// be lagging.
    pub(super) fn end_timer(&mut self, rule: usize, event: &Event, slot: &Slot) {
        let Some(timer) = event.timer.as_ref().filter(|_| event.change == Change::Timer) else {
            return;
        };
        self.timers.answered(rule, &event.object.meta.identity.unique());
        self.router.touch(&event.object);
        // An earlier answer to timers of the same moment may have set it again.
        self.remove_stored_timer(slot, &timer.key);
    }

    /// Adds the policy's decisions to the output: verdicts that pass, at once or after an inhibition, suppressed
    /// verdicts, and writes over the budget.
    pub(super) fn pass_on(&mut self, passed: Passed) {
        self.counts.verdicts += passed.verdicts.len() as u64;
        self.counts.suppressed += passed.suppressed.len() as u64;
        self.counts.over_budget += passed.over_budget.len() as u64;
        self.output.refusals.extend(passed.verdicts.iter().flat_map(Refusal::of));
        self.output.over_budget.extend(passed.over_budget);
        self.output.verdicts.extend(passed.verdicts);
        self.output.suppressed.extend(passed.suppressed);
    }

    fn accept(
        &mut self,
        loaded: &Arc<RuleInfo>,
        event: &Arc<Event>,
        slot: &Slot,
        outcome: Outcome,
    ) {
        for key in &outcome.cancels {
            if let Some(timer) = self.timers.cancel(loaded.id.0, slot, key) {
                self.forget_timer(loaded.id.0, timer);
            }
        }
        for timer in outcome.timers {
            let timer = PersistedTimer {
                slot: slot.clone(),
                key: timer.key,
                due: timer.at.max(event.time.plus_millis(ROUND_MS)),
                payload: timer.payload,
                set_by: event.id,
                interest: self.router.interest_name(loaded.id.0, event.interest),
                object: event.object.clone(),
            };
            self.router.touch(&event.object);
            self.store_fired(loaded.id.0, &slot.partition, &timer.key);
            self.store(|| StoreOp::Timer(Box::new(timer.clone())));
            let refused = match self.timers.set(loaded.id.0, timer) {
                Ok(moved) => {
                    // The form of the moved timer's object may not be needed any longer.
                    if let Some(moved) = moved {
                        self.router.touch(&moved.object);
                        self.drop_form(loaded.id.0, &moved.object.meta.identity.unique());
                    }
                    continue;
                }
                Err(refused) => refused,
            };
            self.unstore();
            self.counts.failures += 1;
            let message = format!(
                "timer {refused:?} was not set: partition {:?} has {MAX_TIMERS} already; hint: cancel what is no longer needed",
                slot.partition
            );
            let failure = Failure { kind: FailureKind::OverBudget, message };
            self.output.failures.push(FailedEvent::new(loaded, event, failure));
        }
        let Some(rule) = self.rules.get(loaded.id.0) else { return };
        let decided = rule.policy.decide(&loaded.manifest, event, outcome.verdicts);
        for verdict in decided {
            let passed = self.incidents.decide(verdict);
            self.pass_on(passed);
        }
    }
}

/// Returns the time of an answer for rates and pauses: the later of the event's time and the wall clock, unless the
/// event was queued under a clock that was far ahead and is no longer trusted.
fn believed(event: Timestamp, wall: Timestamp) -> Timestamp {
    let has_clock = wall != Timestamp::from_millis(i64::MIN);
    if has_clock && event.millis_since(wall) > DAY_MS { wall } else { event.max(wall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_from_a_clock_that_was_far_ahead_does_not_set_the_time() {
        let at = Timestamp::from_millis;
        let none = at(i64::MIN);
        assert_eq!(believed(at(5), none), at(5));
        assert_eq!(believed(at(5), at(7)), at(7));
        assert_eq!(believed(at(9), at(7)), at(9));
        assert_eq!(believed(at(366 * DAY_MS), at(7)), at(7));
    }
}
