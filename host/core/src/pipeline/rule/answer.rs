//! The application of a rule's answers, in event order.

use std::sync::Arc;

use klaxon_model::{
    Answer, Change, Event, Failure, FailureKind, Line, MAX_TIMERS, Outcome, PersistedTimer,
    SlotKind, StoreOp, Subject, TimerRequest, Timestamp,
};

use super::RuleRuntime;
use super::breaker::Ruling;
use super::meter::AnswerSize;
use super::partition_kind::kind_of;
use crate::pipeline::output::{EventCost, FailedEvent, Limited, LogLine, OutOfService};
use crate::pipeline::shared::Shared;
use crate::pipeline::{ROUND_MS, UNKNOWN_OBJECT_MS};

/// The consequence of an answer for later answers of the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Settled {
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

impl RuleRuntime {
    /// Applies one answer.
    pub(in crate::pipeline) fn settle(
        &mut self,
        event: &Arc<Event>,
        mut answer: Answer,
        shared: &mut Shared,
    ) -> Settled {
        let slot = self.slot(&event.partition);
        let now = believed(event.time, shared.wall);
        shared.state.purge(&self.info, event.time.min(now), &mut shared.changes);
        let bytes = answer.bytes();
        let mut has_refused = false;
        if let Some((limit, failure)) = self.over_budget(&slot, &answer, &shared.state) {
            has_refused = !answer.writes.is_empty();
            answer.writes.clear();
            answer.outcome = Err(failure);
            let rule = self.info.name.clone();
            shared.note_limited([Limited { rule, limit, count: 1, what: None }]);
        }
        for line in self.measure(&mut answer, bytes, now, shared) {
            shared.output.log.push(LogLine { rule: self.info.name.clone(), event: event.id, line });
        }
        let is_over = self.meter.is_full(&self.info.limits) || self.meter.is_paused(now);
        let ruling = self.rule_on(&answer, event, now, shared);
        shared.counts.events += 1;
        shared.counts.timers += u64::from(event.change == Change::Timer);
        self.end_timer(event, shared);
        if let Some(cost) = answer.cost {
            shared.output.costs.push(EventCost { event: event.clone(), cost });
        }
        match answer.outcome {
            Ok(outcome) => {
                if !answer.writes.is_empty() {
                    let kind = kind_of(&self.info, event);
                    let version = self.info.manifest.state_version;
                    let (writes, changes) = (answer.writes, &mut shared.changes);
                    shared.state.commit((&slot, kind), version, writes, event.time, changes);
                    self.expire_if_unknown(kind, event, shared);
                }
                self.accept(event, outcome, shared);
            }
            Err(failure) => self.fail(event, failure, shared),
        }
        match ruling {
            Ruling::Accept if !is_over && has_refused => Settled::Refused,
            Ruling::Accept if !is_over => Settled::GoesOn,
            _ => Settled::Stops,
        }
    }

    /// Counts an answer for the rule's limits. Returns its log lines that are within their limit.
    fn measure(
        &mut self,
        answer: &mut Answer,
        bytes: usize,
        now: Timestamp,
        shared: &mut Shared,
    ) -> Vec<Line> {
        let limits = &self.info.limits;
        shared.note_limited(self.meter.advance_to(now));
        let (lines, dropped) = self.meter.take_lines(std::mem::take(&mut answer.log), limits);
        shared.note_limited(dropped);
        let verdicts = answer.outcome.as_ref().map_or(0, |outcome| outcome.verdicts.len());
        // The verdict itself, and a body for each target.
        let output = bytes.saturating_mul(1 + self.verdicts.routed.len());
        let size = AnswerSize { bytes, output, verdicts };
        shared.note_limited(self.meter.count(size, now, limits));
        lines
    }

    /// Returns the breaker's ruling on an answer. Uses `now`: a pause that began at the time of an old event would be
    /// over already.
    fn rule_on(
        &mut self,
        answer: &Answer,
        event: &Event,
        now: Timestamp,
        shared: &mut Shared,
    ) -> Ruling {
        let failed =
            answer.outcome.as_ref().is_err_and(|failure| failure.kind.counts_against_rule());
        let ruling = self.breaker.rule(now, failed);
        if let Ruling::AcceptAndOpen { until } = ruling {
            let rule = self.info.name.clone();
            shared.output.out_of_service.push(OutOfService { rule, since: event.time, until });
        }
        ruling
    }

    /// Records that the rule has no answer to an event.
    pub(in crate::pipeline) fn fail(
        &self,
        event: &Arc<Event>,
        failure: Failure,
        shared: &mut Shared,
    ) {
        shared.counts.failures += 1;
        shared.output.failures.push(FailedEvent::new(&self.info, event, failure));
    }

    /// Sets an expiry for state about an object that the host does not watch, which would otherwise stay forever.
    fn expire_if_unknown(&self, kind: SlotKind, event: &Event, shared: &mut Shared) {
        let about_another = matches!(event.object.subject, Subject::KubernetesEvent(_));
        let is_own = kind == SlotKind::Object;
        if about_another && is_own && !shared.router.knows_partition(&event.partition) {
            let slot = self.slot(&event.partition);
            let end = event.time.plus_millis(UNKNOWN_OBJECT_MS);
            shared.state.expire_at(end, &slot, &mut shared.changes);
        }
    }

    fn accept(&mut self, event: &Arc<Event>, outcome: Outcome, shared: &mut Shared) {
        for key in &outcome.cancels {
            if let Some(timer) = self.timers.cancel(&event.partition, key) {
                self.forget_timer(timer, shared);
            }
        }
        for timer in outcome.timers {
            self.set_timer(event, timer, shared);
        }
        for verdict in self.verdicts.build(&self.info.manifest, event, outcome.verdicts) {
            let decision = shared.incidents.decide(verdict);
            shared.pass_on(decision);
        }
    }

    fn set_timer(&mut self, event: &Arc<Event>, request: TimerRequest, shared: &mut Shared) {
        let TimerRequest { key, payload, at } = request;
        if self.timers.is_full(&event.partition, &key) {
            let message = format!(
                "timer {key:?} was not set: partition {:?} has {MAX_TIMERS} already; hint: cancel what is no longer needed",
                event.partition
            );
            return self.fail(event, Failure { kind: FailureKind::OverBudget, message }, shared);
        }
        let timer = PersistedTimer {
            slot: self.slot(&event.partition),
            key,
            due: at.max(event.time.plus_millis(ROUND_MS)),
            payload,
            set_by: event.id,
            interest: shared.router.interest_name(self.info.id, event.interest),
            object: event.object.clone(),
        };
        shared.router.touch(&event.object);
        self.store_fired(&event.partition, &timer.key, shared);
        let moved = self.timers.put(timer.clone());
        shared.changes.record(|| StoreOp::Timer(Box::new(timer)));
        // The form of the moved timer's object may not be needed any longer.
        if let Some(moved) = moved {
            shared.router.touch(&moved.object);
            self.drop_form(&moved.object.meta.identity.unique(), &mut shared.changes);
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
