//! The pipeline: normalize, route, engine and policy under one event clock. The service and the harness run the same
//! code, so offline answers equal live ones.
//!
//! Events are gathered into *rounds*, and each round is evaluated at once, on all workers. A round spans less than a
//! second of event time and ends at the next timer that is due. A timer is set at least a second ahead, so one event
//! of a round can affect another event of the same round only through the state of their partition, which the engine
//! keeps in order.

mod backlog;
mod breaker;
mod gaps;
mod meter;
mod output;
mod round;
mod state;
mod sums;
mod timers;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use crate::normalize::{self, Wanted};
use crate::policy::{Incidents, RulePolicy};
use crate::route::{InterestError, Remains, Router, Routing, own_partition};
use klaxon_config::Policy;
use klaxon_model::{
    Evaluate, Event, Narrowing, Object, Observation, Origin, Pulse, RuleInfo, Seen, StateKeeper,
    StateView, Subject, Timestamp, Waker,
};

pub use backlog::RuleBacklog;
use backlog::entry::Entry;
use backlog::queue::Backlog;
use breaker::Breaker;
use gaps::{OpenGap, is_suspended};
pub use meter::Limit;
use meter::Meter;
pub use output::{
    Counts, EventCost, FailedEvent, Limited, LogLine, OutOfService, Output, QuarantinedObject,
};
use state::Expiries;
pub use state::MemoryState;
pub use sums::RuleUsage;
use timers::TimerQueue;
use watches::Watching;
pub use watches::{Persisted, ReadForm};

/// Event time that a round may span, in milliseconds: the minimum distance of a timer.
const ROUND_MS: i64 = 1000;
/// Maximum number of entries of a round, events among them: few enough that their objects are still in the CPU cache
/// when the rules are asked about them.
const ROUND_ENTRIES: usize = 1024;
/// Maximum size of the field values in a round, in bytes: fields are evaluated from the objects, once for each rule
/// and interest.
const ROUND_FIELDS: usize = 32 << 20;
/// Maximum number of timers of a rule that fire together: each may carry field values.
const FIRED_TOGETHER: usize = 256;
/// Time for which the state of a by-object partition outlives its object, for late events, in milliseconds.
const AFTER_DELETION_MS: i64 = 600_000;
/// Time for which state about an object that the host does not know is stored, in milliseconds.
const UNKNOWN_OBJECT_MS: i64 = 86_400_000;

/// The stages between the sources and the journal.
pub struct Pipeline {
    engine: Box<dyn Evaluate>,
    router: Router,
    rules: Vec<Rule>,
    wanted: Wanted,
    state: Arc<dyn StateKeeper>,
    view: Arc<dyn StateView>,
    timers: TimerQueue,
    expiries: Expiries,
    origin: Arc<Origin>,
    round: Vec<Happening>,
    /// Bytes of the field values in the round.
    round_fields: usize,
    round_began: Timestamp,
    now: Timestamp,
    open_gaps: Vec<OpenGap>,
    watching: Watching,
    incidents: Incidents,
    output: Output,
    counts: Counts,
    /// Wakes the driver when a lagging rule's dedicated thread has answers. `None` in replay, where backlogs drain
    /// on the event clock.
    waker: Option<Waker>,
    /// The wall-clock time of the last [`Pipeline::pump`]. Events of a lagging rule are older.
    wall: Timestamp,
    /// The number of the next backlog row in the journal.
    next_row: i64,
    /// The activity of the thread that drives the pipeline.
    pulse: Arc<Pulse>,
}

struct Rule {
    loaded: Arc<RuleInfo>,
    policy: RulePolicy,
    breaker: Breaker,
    meter: Meter,
    /// `true` if the rule's timers were suspended when the clock last moved.
    is_suspended: bool,
    backlog: Option<Box<Backlog>>,
}

/// An entry of a round. It concerns one rule or, if `rule` is `None`, all rules.
struct Happening {
    rule: Option<usize>,
    entry: Entry,
}

impl Pipeline {
    /// Creates a pipeline without rules. `keeper` stores the rules' state.
    pub fn new<K: StateKeeper + 'static>(
        engine: impl Evaluate + 'static,
        origin: Origin,
        keeper: Arc<K>,
    ) -> Self {
        Self {
            engine: Box::new(engine),
            router: Router::new(origin.clone()),
            rules: Vec::new(),
            wanted: Wanted::default(),
            state: keeper.clone(),
            view: keeper,
            timers: TimerQueue::default(),
            expiries: Expiries::default(),
            origin: Arc::new(origin),
            round: Vec::new(),
            round_fields: 0,
            round_began: Timestamp::default(),
            now: Timestamp::from_millis(i64::MIN),
            open_gaps: Vec::new(),
            watching: Watching::default(),
            incidents: Incidents::new(&[]),
            output: Output::default(),
            counts: Counts::default(),
            waker: None,
            wall: Timestamp::from_millis(i64::MIN),
            next_row: 1,
            pulse: Arc::default(),
        }
    }

    /// Lets slow rules and rules that are out of service lag instead of blocking others: they continue on dedicated
    /// threads, which call `waker` when [`Pipeline::pump`] has something to do. A rule is slow if it occupies a
    /// worker for longer than `patience`.
    pub fn serve(&mut self, patience: Duration, waker: Waker) {
        self.engine.limit_time(patience);
        self.waker = Some(waker);
    }

    /// Sets the first period for which a rule that fails too often is out of service.
    pub fn first_pause(&mut self, pause: Duration) {
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        for rule in &mut self.rules {
            rule.breaker = Breaker::with_pause(pause);
        }
    }

    /// Returns the activity of the thread that drives the pipeline, for a watchdog.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    /// Adds a loaded rule. The verdicts of several rules on one event are in the order in which the rules were
    /// added.
    ///
    /// # Errors
    /// Returns an error if an interest of the rule's manifest, or the operator's narrowing of one, is invalid.
    pub fn add_rule(
        &mut self,
        loaded: Arc<RuleInfo>,
        policy: RulePolicy,
        narrowing: &Narrowing,
    ) -> Result<(), InterestError> {
        self.router.add_rule(loaded.name.clone(), &loaded.manifest, narrowing)?;
        self.wanted = self.router.wanted();
        let breaker = Breaker::default();
        let meter = Meter::new(loaded.name.clone());
        self.rules.push(Rule {
            loaded,
            policy,
            breaker,
            meter,
            is_suspended: false,
            backlog: None,
        });
        Ok(())
    }

    /// Processes an object that a source saw, as JSON.
    fn observe(&mut self, scope: &str, time: Timestamp, seen: Seen, json: &str) {
        let time = self.advance_to(time);
        let Some(observation) = self.decode(scope, time, seen, json, true) else { return };
        let object = observation.object.clone();
        self.watching.hear_of(scope, &object.meta.identity.uid);
        let partition = own_partition(&object);
        // Only lagging rules need the earlier form.
        let (before, came) = match &partition {
            _ if !self.is_any_lagging() => (None, false),
            None => (self.router.last_known(&object.meta.identity), false),
            Some(partition) => {
                let came = !self.router.knows_partition(partition);
                (self.router.last_known(&object.meta.identity), came)
            }
        };
        match self.router.route(scope, observation) {
            Routing::News(events) => {
                let exists = self.router.last_known(&object.meta.identity).is_some();
                self.enqueue(events);
                self.happen(Entry::Known { object, exists, before, time });
                let Some(partition) = partition else { return };
                // A node may have been created again under the same name.
                match (seen, self.router.knows_partition(&partition)) {
                    (_, true) if came => self.happen(Entry::Came(partition, time)),
                    (Seen::Deleted, false) => self.happen(Entry::Went(partition, time)),
                    (Seen::Outside, false) => self.happen(Entry::Unfollowed(partition, time)),
                    _ => {}
                }
            }
            Routing::Repeated => self.counts.repeated += 1,
            Routing::Unknown => self.counts.unknown += 1,
        }
    }

    /// Decodes an object that some rule may want. If it cannot be decoded it is quarantined and, with `notes`, the
    /// router records that the object exists.
    fn decode(
        &mut self,
        scope: &str,
        time: Timestamp,
        seen: Seen,
        json: &str,
        notes: bool,
    ) -> Option<Observation> {
        self.counts.observed += 1;
        self.pulse.works("normalizing an object");
        let router = &self.router;
        let wants = |group: &str, kind: &str| router.wants_kind(group, kind);
        match normalize::decode_wanted(json, &self.wanted, wants) {
            Ok(Some(object)) => {
                let digest = if self.router.uses_journal() { watches::digest(json) } else { 0 };
                Some(Observation { time, seen, object: Arc::new(object), digest })
            }
            Ok(None) => {
                self.counts.ignored += 1;
                None
            }
            Err(error) => {
                self.counts.undecodable += 1;
                let head = normalize::head(json).ok_or_else(|| {
                    let (uid, namespace, name) = normalize::remains(json);
                    Remains { uid, namespace, name }
                });
                let mut reason = error.to_string();
                if head.as_ref().is_err_and(|remains| *remains == Remains::default()) {
                    reason.push_str("; it has no name that can be read: if it was known, a list takes it as gone");
                }
                self.output.quarantine.push(QuarantinedObject {
                    time,
                    scope: scope.to_owned(),
                    reason,
                    json: json.to_owned(),
                });
                match (head, seen) {
                    // The deletion is reported even if the last state cannot be decoded.
                    (Ok(meta), Seen::Deleted) => {
                        let object = Object { meta, subject: Subject::Other, document: None };
                        Some(Observation { time, seen, object: Arc::new(object), digest: 0 })
                    }
                    (head, _) => {
                        if notes {
                            self.router.note_undecodable(scope, seen, head);
                        }
                        None
                    }
                }
            }
        }
    }

    /// Moves the clock: evaluates the pending round, and fires the timers that are due before `time`. While a gap is
    /// open timers are suspended, so that no alarm is raised from state that may be outdated; they fire when the gap
    /// ends. Returns the time, which never goes back.
    pub fn advance_to(&mut self, time: Timestamp) -> Timestamp {
        let time = time.max(self.now);
        let next_timer = self.next_timer().is_some_and(|due| due < time);
        let has_lapsed = !self.lapsed(time).is_empty();
        let is_round_over = time.millis_since(self.round_began) >= ROUND_MS;
        let has_due =
            self.incidents.next_due().is_some_and(|due| due <= time) || self.has_come_in_sync();
        if is_round_over || next_timer || has_lapsed || has_due || self.has_news_for_lagging(time) {
            self.flush();
        }
        if self.round.is_empty() {
            // No event is pending. The policy decides on answers of lagging rules at this time, regardless of the
            // events of other rules.
            self.tell_policy(self.now);
        }
        self.note_suspensions();
        self.incidents.begin_holds(time);
        if self.waker.is_none() {
            self.catch_up(time);
        }
        while let Some(due) = self.next_timer().filter(|due| *due < time) {
            let at = due.max(self.now);
            self.expire(at);
            self.fire(due, at);
            self.now = at;
        }
        self.expire(time);
        self.tell_dropped(time);
        // Results of the timers may be due too. Nothing of the events that are pending in a round is due yet; they
        // are decided on at their own time.
        if self.round.is_empty() {
            self.tell_policy(time);
        }
        self.now = time;
        time
    }

    /// Returns the time at which the next timer is due that may fire.
    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next_due(|rule| self.waits(rule))
    }

    /// Returns `true` if a rule's timers do not fire with the clock, because they are suspended or the rule is
    /// lagging.
    fn waits(&self, rule: usize) -> bool {
        self.is_lagging(rule) || is_suspended(&self.watching, &self.open_gaps, rule)
    }

    /// Ends a run: evaluates the pending round, fires the timers that are due up to `until` (if `None`, up to the
    /// last event), and closes the gaps that are still open.
    pub fn finish(&mut self, until: Option<Timestamp>) {
        let end = until.unwrap_or(self.now).max(self.now);
        // In an open gap the state may be outdated: due timers stay pending.
        let suspends_timers = !self.open_gaps.is_empty();
        self.note_suspensions();
        for gap in std::mem::take(&mut self.open_gaps) {
            // Objects that were not listed again could still have followed: none is taken as vanished.
            let covers = self.router.abandon_gap(&gap.scope);
            let reason = format!("{}; the stream ended before a list was complete", gap.reason);
            self.close(OpenGap { reason, ..gap }, covers, end);
        }
        self.flush();
        if !suspends_timers {
            self.advance_to(end.plus_millis(1));
        }
        self.give_up_backlogs(end);
        self.tell_policy(end);
    }

    /// Moves the policy's clock.
    fn tell_policy(&mut self, time: Timestamp) {
        let passed = self.incidents.advance_to(time);
        self.pass_on(passed);
    }

    /// Reports the log lines that were dropped in a minute that has ended.
    fn tell_dropped(&mut self, time: Timestamp) {
        for rule in &mut self.rules {
            self.output.limited.extend(rule.meter.tell_dropped(time));
        }
    }

    /// Returns the output since the last call. `None` if it is empty.
    pub fn take_output(&mut self) -> Option<Output> {
        self.rules.iter_mut().for_each(|rule| rule.meter.handed_on());
        self.output.ops.extend(self.incidents.take_changes());
        if self.round.is_empty() && self.router.uses_journal() {
            let timers = &self.timers;
            self.output.ops.extend(self.router.take_changes(|uid| timers.concern(uid)));
        }
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// Returns the counts since the start.
    pub fn counts(&self) -> Counts {
        let pending_verdicts = self.incidents.sizes().map(|(_, _, pending)| pending as u64).sum();
        let pending_timers = self.timers.len() as u64;
        Counts { pending_timers, pending_verdicts, ..self.counts.clone() }
    }

    /// Returns the codes that a rule declares. `None` if no such rule exists.
    pub fn codes(&self, rule: &str) -> Option<Vec<&str>> {
        let rule = self.rules.iter().find(|one| *one.loaded.name == *rule)?;
        Some(rule.loaded.manifest.codes.iter().map(|code| code.name.as_str()).collect())
    }

    /// Sets the policies of all rules, in their order. By default, nothing is suppressed.
    pub fn set_policies(&mut self, policies: &[(Arc<str>, Policy)]) {
        self.incidents = Incidents::new(policies);
    }

    /// Returns the policy's open incidents and pending verdicts.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// Returns the number of timers that are set, and the number of those that do not fire with the clock: a watch
    /// or stream that feeds their rule is out of sync, or their rule is lagging.
    pub fn timers(&self) -> (usize, usize) {
        (self.timers.len(), self.timers.suspended(|rule| self.waits(rule)))
    }

    fn enqueue(&mut self, events: Vec<(usize, Arc<Event>)>) {
        for (rule, event) in events {
            self.round_fields += event.fields_bytes();
            self.add_to_round(Happening { rule: Some(rule), entry: Entry::Ask(event) });
        }
        if self.round.len() >= ROUND_ENTRIES || self.round_fields >= ROUND_FIELDS {
            self.flush();
        }
    }

    /// Adds an entry that concerns all rules to the round.
    fn happen(&mut self, entry: Entry) {
        self.add_to_round(Happening { rule: None, entry });
    }

    fn add_to_round(&mut self, happening: Happening) {
        if self.round.is_empty() {
            self.round_began = happening.entry.time();
        }
        self.round.push(happening);
    }
}
