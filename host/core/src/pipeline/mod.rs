//! The pipeline: normalize, route, evaluation and policy under one event clock. The service and the harness run the
//! same code, so offline answers equal live ones.
//!
//! Events are gathered into *rounds*, and each round is evaluated at once, on all workers. A round spans less than a
//! second of event time and ends at the next timer that is due. A timer is set at least a second ahead, so one event
//! of a round can affect another event of the same round only through the state of their partition, which the engine
//! keeps in order.
//!
//! [`Pipeline`] has the clock, the round and the watches. A [`RuleRuntime`] has what belongs to one rule alone: its
//! timers, backlog, meter and breaker. A step of one rule changes only the rule and what all rules share ([`Shared`]).

mod backlog;
mod changes;
mod decode;
mod gaps;
mod intake;
mod lagging;
mod output;
mod resume;
mod round;
mod rule;
mod shared;
mod state;
mod suspension;
mod timers;
mod watch;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use klaxon_model::{
    Evaluate, Narrowing, Origin, Pulse, RuleId, RuleInfo, StateKeeper, Timestamp, Waker,
};

use crate::normalize::Wanted;
use crate::policy::Incidents;
use crate::route::{InterestError, Need, Router};
use crate::verdict::VerdictBuilder;

pub use backlog::RuleBacklog;
pub use decode::{Decoded, decode};
pub use lagging::Pace;
pub use output::{
    Counts, EventCost, FailedEvent, Limited, LogLine, OutOfService, Output, QuarantinedObject,
};
pub use resume::{Persisted, WatchSetup};
use round::Round;
use rule::{Breaker, RuleRuntime, Rules};
pub use rule::{Limit, RuleUsage};
use shared::Shared;
pub use state::MemoryState;
pub use watch::Watch;
pub use watches::ReadForm;
use watches::Watches;

/// Event time that a round may span, in milliseconds: the minimum distance of a timer.
const ROUND_MS: i64 = 1000;
/// Maximum number of timers of a rule that fire together: each may carry field values.
const FIRED_TOGETHER: usize = 256;
/// Time for which the state of a by-object partition outlives its object, for late events, in milliseconds.
const AFTER_DELETION_MS: i64 = 600_000;
/// Time for which state about an object that the host does not know is stored, in milliseconds.
const UNKNOWN_OBJECT_MS: i64 = 86_400_000;

/// The stages between the sources and the journal.
pub struct Pipeline {
    engine: Box<dyn Evaluate>,
    rules: Rules,
    shared: Shared,
    watches: Watches,
    wanted: Wanted,
    round: Round,
    /// Wakes the driver when a lagging rule's dedicated thread has answers. `None` in replay, where backlogs drain
    /// on the event clock.
    waker: Option<Waker>,
    /// The activity of the thread that drives the pipeline.
    pulse: Arc<Pulse>,
}

/// A rule as the pipeline is created with it.
pub struct PipelineRule {
    /// The description of the rule.
    pub info: Arc<RuleInfo>,
    /// Builds its verdicts.
    pub verdicts: VerdictBuilder,
    /// The suppression and delay of its verdicts.
    pub policy: klaxon_config::Policy,
    /// The operator's narrowing of its interests.
    pub narrowing: Narrowing,
}

/// The operation of a pipeline as a service: slow rules and rules that are out of service lag instead of blocking
/// others, and continue on dedicated threads.
pub struct ServiceOptions {
    /// The time after which a rule that occupies a worker is slow.
    pub patience: Duration,
    /// The first period for which a rule that fails too often is out of service.
    pub first_pause: Duration,
    /// Called by the dedicated threads when [`Pipeline::pump`] has something to do.
    pub waker: Waker,
}

/// The state of a pipeline, for metrics and health.
#[derive(Debug)]
pub struct Status<'a> {
    /// Counts since the start.
    pub counts: Counts,
    /// The number of known objects.
    pub known_objects: usize,
    /// The number of pending timers that do not fire with the clock: a watch or stream that feeds their rule is out of
    /// sync, or their rule is lagging.
    pub suspended_timers: u64,
    /// The backlog of each rule.
    pub backlogs: Vec<RuleBacklog>,
    /// The state and timers of each rule.
    pub usage: Vec<RuleUsage>,
    /// The policy's open incidents and pending verdicts.
    pub incidents: &'a Incidents,
}

impl Pipeline {
    /// Creates a pipeline with rules that the engine has. The id of each is its index. The verdicts of several rules
    /// on one event are in the order of the rules. `keeper` stores the rules' state.
    ///
    /// # Errors
    /// Returns the first rule of which an interest, or the operator's narrowing of one, is invalid.
    pub fn new<K: StateKeeper + 'static>(
        engine: impl Evaluate + 'static,
        origin: Origin,
        keeper: Arc<K>,
        rules: Vec<PipelineRule>,
    ) -> Result<Self, (RuleId, InterestError)> {
        let mut router = Router::new(origin.clone());
        let mut runtimes = Rules::default();
        let mut policies = Vec::new();
        for PipelineRule { info, verdicts, policy, narrowing } in rules {
            let added = router.add_rule(info.name.clone(), &info.manifest, &narrowing);
            added.map_err(|error| (info.id, error))?;
            policies.push((info.name.clone(), policy));
            runtimes.push(RuleRuntime::new(info, verdicts));
        }
        Ok(Self {
            engine: Box::new(engine),
            rules: runtimes,
            wanted: router.wanted(),
            shared: Shared::new(origin, keeper, router, Incidents::new(&policies)),
            watches: Watches::default(),
            round: Round::default(),
            waker: None,
            pulse: Arc::default(),
        })
    }

    /// Operates the pipeline as a service from now on.
    pub fn serve(&mut self, options: ServiceOptions) {
        self.engine.limit_time(options.patience);
        self.waker = Some(options.waker);
        let pause = i64::try_from(options.first_pause.as_millis()).unwrap_or(i64::MAX);
        for rule in self.rules.iter_mut() {
            rule.breaker = Breaker::with_pause(pause);
        }
    }

    /// Returns the watches that the rules need.
    pub fn needs(&self) -> Vec<Need> {
        self.shared.router.needs()
    }

    /// Moves the clock: evaluates the pending round, and fires the timers that are due before `time`. While a gap is
    /// open timers are suspended, so that no alarm is raised from state that may be outdated; they fire when the gap
    /// ends. Returns the time, which never goes back.
    fn advance_to(&mut self, time: Timestamp) -> Timestamp {
        let time = time.max(self.shared.now);
        let next_timer = self.next_timer().is_some_and(|due| due < time);
        let has_expired = !self.rules_with_expired_state(time).is_empty();
        let is_round_over = time.millis_since(self.round.began()) >= ROUND_MS;
        let has_due = self.shared.incidents.next_due().is_some_and(|due| due <= time)
            || self.has_come_in_sync();
        if is_round_over || next_timer || has_expired || has_due || self.has_news_for_lagging(time)
        {
            self.flush();
        }
        if self.round.is_empty() {
            // No event is pending. The policy decides on answers of lagging rules at this time, regardless of the
            // events of other rules.
            self.shared.advance_policy(self.shared.now);
        }
        self.apply_suspensions();
        self.shared.incidents.begin_suspensions(time);
        if self.waker.is_none() {
            self.catch_up(time);
        }
        while let Some(due) = self.next_timer().filter(|due| *due < time) {
            let at = due.max(self.shared.now);
            self.expire(at);
            self.fire(due, at);
            self.shared.now = at;
        }
        self.expire(time);
        for rule in self.rules.iter_mut() {
            self.shared.output.limited.extend(rule.meter.report_dropped(time));
        }
        // Results of the timers may be due too. Nothing of the events that are pending in a round is due yet; they
        // are decided on at their own time.
        if self.round.is_empty() {
            self.shared.advance_policy(time);
        }
        self.shared.now = time;
        time
    }

    /// Returns the time at which the next timer is due that may fire.
    fn next_timer(&self) -> Option<Timestamp> {
        let ids = self.rules.ids().filter(|id| !self.has_own_clock(*id));
        ids.filter_map(|id| self.rules[id].timers.next_due()).min()
    }

    /// Returns the rules with state that expires with the event clock. State of lagging rules does not.
    fn rules_with_expired_state(&self, now: Timestamp) -> Vec<Arc<str>> {
        let mut rules = self.shared.state.due(now);
        rules.retain(|name| self.rules.named(name).is_none_or(|rule| !rule.is_lagging()));
        rules
    }

    /// Removes expired state.
    fn expire(&mut self, now: Timestamp) {
        for rule in self.rules_with_expired_state(now) {
            let Shared { state, router, changes, .. } = &mut self.shared;
            state.expire(&rule, now, |partition| router.knows_partition(partition), changes);
        }
    }

    /// Ends a run: evaluates the pending round, fires the timers that are due up to `until` (if `None`, up to the
    /// last event), and closes the gaps that are still open.
    pub fn finish(&mut self, until: Option<Timestamp>) {
        let end = until.unwrap_or(self.shared.now).max(self.shared.now);
        self.apply_suspensions();
        // Objects that were not listed again could still have followed: none is taken as vanished.
        let gaps = self.shared.router.abandon_gaps(end);
        // In an open gap the state may be outdated: due timers stay pending.
        let suspends_timers = !gaps.is_empty();
        self.shared.output.gaps.extend(gaps);
        self.flush();
        if !suspends_timers {
            self.advance_to(end.plus_millis(1));
        }
        self.give_up_backlogs(end);
        self.shared.advance_policy(end);
    }

    /// Returns the output since the last call. `None` if it is empty.
    pub fn take_output(&mut self) -> Option<Output> {
        for rule in self.rules.iter_mut() {
            rule.meter.output_taken();
        }
        let Shared { output, changes, incidents, router, .. } = &mut self.shared;
        output.ops.extend(changes.take());
        output.ops.extend(incidents.take_changes());
        if self.round.is_empty() && router.uses_journal() {
            let rules = &self.rules;
            let has_timer = |uid: &str| rules.iter().any(|rule| rule.timers.concern(uid));
            output.ops.extend(router.take_changes(has_timer));
        }
        (!output.is_empty()).then(|| std::mem::take(output))
    }

    /// Returns the time of the event clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now
    }

    /// Returns `true` if intake must wait until a lagging rule has made progress.
    pub fn is_full(&self) -> bool {
        self.rules.iter().any(RuleRuntime::is_full)
    }

    /// Returns the activity of the thread that drives the pipeline, for a watchdog.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    fn counts(&self) -> Counts {
        let sizes = self.shared.incidents.sizes();
        let pending_verdicts = sizes.map(|(_, _, pending)| pending as u64).sum();
        let pending_timers = self.rules.iter().map(|rule| rule.timers.len() as u64).sum();
        Counts { pending_timers, pending_verdicts, ..self.shared.counts.clone() }
    }

    /// Returns the descriptions of the rules, in the order of their ids.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<RuleInfo>> {
        self.rules.iter().map(|rule| &rule.info)
    }

    /// Returns the state of the pipeline.
    pub fn status(&self) -> Status<'_> {
        let own_clock = self.rules.ids().filter(|id| self.has_own_clock(*id));
        Status {
            counts: self.counts(),
            known_objects: self.shared.router.known_objects(),
            suspended_timers: own_clock.map(|id| self.rules[id].timers.len() as u64).sum(),
            backlogs: self.rules.iter().map(RuleRuntime::backlog_size).collect(),
            usage: self.rules.iter().map(|rule| rule.usage(&self.shared.state)).collect(),
            incidents: &self.shared.incidents,
        }
    }
}

#[cfg(test)]
mod tests;
