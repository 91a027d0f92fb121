//! Evaluates a batch of events and isolates an event that fails.
//!
//! A trap undoes the whole call, because the event that caused it is unknown. The instance is discarded and
//! the batch runs again, one event at a time: only the event that fails alone gets a failure, the others get
//! their answers. The same happens if an event answered with an error after it had written state, because
//! later events of the batch may have read a write that must be discarded.

use std::sync::Arc;
use std::time::Duration;

use super::LoadedRule;
use super::answer::check;
use super::imports::state::{Overlay, StateCall};
use super::instance::{Called, Instance};
use super::store_data::Call;
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Answer, Event, Failure, FailureKind, Outcome, StateView};

/// Number of attempts for an event that runs out of time before it is quarantined: the machine may be the
/// cause.
const TRIES: u32 = 3;

/// Number of events of the first call if time is limited: the time that an event takes is not known yet.
const FIRST_BATCH: usize = 8;

/// One rule on one worker.
pub(super) struct Runner {
    rule: Arc<LoadedRule>,
    instance: Option<Instance>,
    fresh_instances: bool,
    measure: bool,
    /// `true` if the instance of the last call had served an earlier call.
    was_used: bool,
    /// Number of events of the next call if time is limited.
    next_batch: usize,
}

/// Result of one call.
enum Attempt {
    Answered(Vec<Answer>),
    /// The call is undone and its writes are discarded. In a batch of one, this is the failure of its event.
    Undone(Failure),
}

impl Runner {
    pub(super) fn new(rule: Arc<LoadedRule>, fresh_instances: bool, measure: bool) -> Self {
        Self {
            rule,
            instance: None,
            fresh_instances,
            measure,
            was_used: false,
            next_batch: FIRST_BATCH,
        }
    }

    /// Answers events, in order, in batches of at most `batch`. Once they took longer than `patience`, or the
    /// answers have more bytes than `limits.answers`, no further call is made: then the last events have no
    /// answer, but the first always has one.
    ///
    /// The rule is not asked about an event whose fields could not be read: that failure is the answer.
    pub(super) fn run(
        &mut self,
        events: &[Arc<Event>],
        batch: usize,
        state: &Arc<dyn StateView>,
        patience: Option<Duration>,
    ) -> Vec<Answer> {
        if events.iter().all(|event| event.fields.is_ok()) {
            return self.ask(events, batch, state, patience);
        }
        let asked: Vec<Arc<Event>> =
            events.iter().filter(|event| event.fields.is_ok()).cloned().collect();
        let mut answers = self.ask(&asked, batch, state, patience).into_iter();
        let answer = |event: &Arc<Event>| match &event.fields {
            Ok(_) => answers.next(),
            Err(failure) => Some(Failure::clone(failure).into()),
        };
        events.iter().map_while(answer).collect()
    }

    /// Asks the rule. A call cannot be interrupted by `patience`, so a slow rule gets small batches.
    fn ask(
        &mut self,
        events: &[Arc<Event>],
        batch: usize,
        state: &Arc<dyn StateView>,
        patience: Option<Duration>,
    ) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(events.len());
        let mut overlay = Overlay::default();
        let since = Stopwatch::start();
        let (most_bytes, mut bytes, mut counted) = (self.rule.limits.answers, 0, 0);
        let mut is_over = |answers: &Vec<Answer>| {
            bytes += answers.iter().skip(counted).map(Answer::bytes).sum::<usize>();
            counted = answers.len();
            let is_late = patience.is_some_and(|most| since.elapsed() >= most);
            !answers.is_empty() && (is_late || bytes >= most_bytes)
        };
        let mut rest = events;
        while !rest.is_empty() && !is_over(&answers) {
            let most = if patience.is_some() { batch.min(self.next_batch) } else { batch };
            let (batch, later) = rest.split_at(most.min(rest.len()));
            rest = later;
            let call = Stopwatch::start();
            match self.call(batch, state, &mut overlay) {
                Attempt::Answered(all) => answers.extend(all),
                Attempt::Undone(failure) if batch.len() == 1 => {
                    answers.extend(self.settle(batch, state, &mut overlay, failure));
                }
                Attempt::Undone(_) => {
                    for event in batch {
                        if is_over(&answers) {
                            self.next_batch = 1;
                            return answers;
                        }
                        answers.extend(self.single(
                            std::slice::from_ref(event),
                            state,
                            &mut overlay,
                        ));
                    }
                }
            }
            if let Some(patience) = patience {
                let is_quick = call.elapsed() < patience / 8;
                self.next_batch =
                    if is_quick { self.next_batch * 2 } else { self.next_batch / 2 }.clamp(1, 4096);
            }
        }
        answers
    }

    fn single(
        &mut self,
        event: &[Arc<Event>],
        state: &Arc<dyn StateView>,
        overlay: &mut Overlay,
    ) -> Vec<Answer> {
        match self.call(event, state, overlay) {
            Attempt::Answered(answers) => answers,
            Attempt::Undone(failure) => self.settle(event, state, overlay, failure),
        }
    }

    /// Settles the failure of an event that failed alone. The failure is final only on a new instance, as
    /// otherwise the memory left by earlier events would decide; a timeout is retried besides.
    fn settle(
        &mut self,
        event: &[Arc<Event>],
        state: &Arc<dyn StateView>,
        overlay: &mut Overlay,
        mut failure: Failure,
    ) -> Vec<Answer> {
        let mut tries = 1;
        while self.was_used || failure.kind == FailureKind::OutOfTime && tries < TRIES {
            tries += u32::from(!self.was_used);
            match self.call(event, state, overlay) {
                Attempt::Answered(answers) => return answers,
                Attempt::Undone(again) => failure = again,
            }
        }
        vec![failure.into()]
    }

    fn call(
        &mut self,
        events: &[Arc<Event>],
        state: &Arc<dyn StateView>,
        overlay: &mut Overlay,
    ) -> Attempt {
        self.was_used = self.instance.is_some();
        let instance = self.instance.take().map_or_else(|| Instance::new(&self.rule), Ok);
        let mut instance = match instance {
            Ok(instance) => instance,
            Err(failure) => return Attempt::Undone(failure),
        };
        let limits = &self.rule.limits;
        let state = StateCall::new(
            self.rule.name.clone(),
            state.clone(),
            std::mem::take(overlay),
            limits.state,
        );
        let call = Call::new(events.to_vec(), state, limits.host_calls);
        let Called { answers, mut call, cost } = instance.evaluate(&self.rule, events, call);
        let attempt = match answers {
            Ok(answers) => match judge(&self.rule, events, answers, &mut call) {
                // In a batch of several events, the cost of each is unknown.
                Attempt::Answered(mut answers) if self.measure && answers.len() == 1 => {
                    answers.iter_mut().for_each(|answer| answer.cost = Some(cost));
                    Attempt::Answered(answers)
                }
                attempt => attempt,
            },
            Err(failure) => Attempt::Undone(failure),
        };
        // Events of an undone call are retried without the instance's memory of them.
        if matches!(attempt, Attempt::Answered(_)) && !self.fresh_instances {
            self.instance = Some(instance);
        }
        // In a batch, an event that failed wrote nothing: otherwise the call would have been undone.
        let keep = match &attempt {
            Attempt::Answered(answers) => {
                answers.len() > 1 || answers.iter().all(|answer| answer.outcome.is_ok())
            }
            Attempt::Undone(_) => false,
        };
        *overlay = std::mem::take(&mut call.state).finish(keep);
        attempt
    }
}

/// Checks raw answers, or returns `Attempt::Undone` if the call must be undone.
fn judge(
    rule: &LoadedRule,
    events: &[Arc<Event>],
    raw: Vec<Result<Outcome, String>>,
    call: &mut Call,
) -> Attempt {
    if raw.len() != events.len() {
        return Attempt::Undone(Failure {
            kind: FailureKind::InvalidAnswer,
            message: format!("the rule gave {} answers to {} events", raw.len(), events.len()),
        });
    }
    let mut answers = Vec::with_capacity(raw.len());
    for (place, raw) in raw.into_iter().enumerate() {
        let outcome = match (call.failure_of(place), raw) {
            (Some(failure), _) => Err(failure),
            (None, Err(message)) => Err(Failure::new(FailureKind::RuleError, message)),
            (None, Ok(outcome)) => {
                check(&rule.manifest, rule.limits.answer, &outcome).map(|()| outcome)
            }
        };
        if outcome.is_err() && events.len() > 1 && call.state.wrote(place) {
            return Attempt::Undone(Failure {
                kind: FailureKind::RuleError,
                message: "an event failed after it had written state".to_owned(),
            });
        }
        let writes = if outcome.is_ok() { call.writes_of(place) } else { Vec::new() };
        answers.push(Answer { outcome, writes, log: call.lines_of(place), cost: None });
    }
    Attempt::Answered(answers)
}
