//! The middle of the house: normalize, route, engine and policy under one event clock. The service
//! and the harness drive the same code, which is why offline answers equal live ones.
//!
//! Events are gathered into *rounds* and each round is evaluated at once, on all workers. A round
//! spans less than a second of event time and ends at the next wake that is due. A wake is set at
//! least a second ahead, so nothing that an event of the round does can concern another event of
//! the same round, but by its partition's state, which the engine keeps in order.

mod assemble;
mod gaps;
mod memory;
mod step;
mod wakes;
mod watching;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::engine::{Answer, Breaker, Engine, LoadedRule, MAX_WAKES, Ruling, Task};
use crate::model::{
    Change, Event, FailureKind, Id, Keep, KeptWake, Meta, Narrowing, Object, Observation, Origin,
    Outcome, Seen, Slot, StateKeeper, StateView, Subject, Timer, Timestamp,
};
use crate::normalize::{self, Wanted};
use crate::policy::RulePolicy;
use crate::route::{InterestError, Router, Routing, own_partition};

pub use assemble::{AssembleError, assemble, assemble_with};
use gaps::{OpenGap, is_held};
pub use memory::MemoryState;
pub use step::{Counts, EventCost, FailedEvent, LogLine, OutOfService, QuarantinedObject, Step};
use wakes::Wakes;
use watching::Watching;
pub use watching::{Kept, ListStart, ReadForm};

/// Event time that a round may span: the least distance of a wake.
const ROUND_MS: i64 = 1000;
/// Most events of a round: few enough that their objects are still in the cache when they are asked
/// about.
const ROUND_EVENTS: usize = 512;
/// How long the state of a by-object partition outlives its object, for stragglers.
const AFTER_DELETION_MS: i64 = 600_000;
/// How long state about an object that the host does not know is kept.
const UNKNOWN_OBJECT_MS: i64 = 86_400_000;

/// Everything between sources and the journal.
pub struct Pipeline {
    engine: Engine,
    router: Router,
    rules: Vec<Rule>,
    wanted: Wanted,
    state: Arc<dyn StateKeeper>,
    view: Arc<dyn StateView>,
    wakes: Wakes,
    /// Slots whose state goes at a time, by that time and by slot.
    expiries: BTreeSet<(Timestamp, Slot)>,
    expiry_of: HashMap<Slot, Timestamp>,
    /// Partitions whose object went during the round.
    gone: Vec<(Arc<str>, Timestamp)>,
    origin: Arc<Origin>,
    round: Vec<Task>,
    round_began: Timestamp,
    now: Timestamp,
    open_gaps: Vec<OpenGap>,
    watching: Watching,
    step: Step,
    counts: Counts,
}

struct Rule {
    loaded: Arc<LoadedRule>,
    policy: RulePolicy,
    breaker: Breaker,
}

impl Pipeline {
    /// A pipeline without rules. `keeper` holds the rules' state.
    pub fn new<K: StateKeeper + 'static>(engine: Engine, origin: Origin, keeper: Arc<K>) -> Self {
        Self {
            engine,
            router: Router::new(origin.clone()),
            rules: Vec::new(),
            wanted: Wanted::default(),
            state: keeper.clone(),
            view: keeper,
            wakes: Wakes::default(),
            expiries: BTreeSet::new(),
            expiry_of: HashMap::new(),
            gone: Vec::new(),
            origin: Arc::new(origin),
            round: Vec::new(),
            round_began: Timestamp::default(),
            now: Timestamp::from_millis(i64::MIN),
            open_gaps: Vec::new(),
            watching: Watching::default(),
            step: Step::default(),
            counts: Counts::default(),
        }
    }

    /// The engine, to load rules with.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Adds a loaded rule. Verdicts of several rules on one event come in the order of adding.
    ///
    /// # Errors
    /// Where an interest of its manifest, or the operator's narrowing of one, cannot be used.
    pub fn add_rule(
        &mut self,
        loaded: Arc<LoadedRule>,
        policy: RulePolicy,
        narrowing: &Narrowing,
    ) -> Result<(), InterestError> {
        self.router.add_rule(loaded.name.clone(), &loaded.manifest, narrowing)?;
        self.wanted = self.router.wanted();
        self.rules.push(Rule { loaded, policy, breaker: Breaker::default() });
        Ok(())
    }

    /// Takes an object that a source saw, as its JSON. `scope` names the stream or watch: a gap
    /// concerns one scope. Times of one source do not go back.
    pub fn observe(&mut self, scope: &str, time: Timestamp, seen: Seen, json: &str) {
        let time = self.advance_to(time);
        let Some(observation) = self.decode(scope, time, seen, json, true) else { return };
        let object = &observation.object;
        self.watching.hear_of(scope, &object.meta.identity.uid);
        let partition = own_partition(object);
        match self.router.route(scope, observation) {
            Routing::News(events) => {
                if let Some(partition) = partition {
                    match seen {
                        Seen::Deleted => self.gone.push((partition, time)),
                        Seen::Outside => self.unfollow(&partition, time),
                        Seen::Present | Seen::Snapshot => {}
                    }
                }
                self.enqueue(events);
            }
            Routing::Repeated => self.counts.repeated += 1,
            Routing::Unknown => self.counts.unknown += 1,
        }
    }

    /// Reads an object that some rule may want; sets it aside where it cannot be read, and `notes`
    /// that it exists all the same.
    fn decode(
        &mut self,
        scope: &str,
        time: Timestamp,
        seen: Seen,
        json: &str,
        notes: bool,
    ) -> Option<Observation> {
        self.counts.observed += 1;
        let router = &self.router;
        let wants = |group: &str, kind: &str| router.wants_kind(group, kind);
        match normalize::decode_wanted(json, &self.wanted, wants) {
            Ok(Some(object)) => {
                let digest =
                    if self.router.keeps_in_journal() { watching::digest(json) } else { 0 };
                Some(Observation { time, seen, object: Arc::new(object), digest })
            }
            Ok(None) => {
                self.counts.ignored += 1;
                None
            }
            Err(fault) => {
                self.counts.undecodable += 1;
                let head = normalize::head(json);
                self.step.quarantine.push(QuarantinedObject {
                    time,
                    scope: scope.to_owned(),
                    reason: fault.to_string(),
                    json: json.to_owned(),
                });
                match (head, seen) {
                    // Its end is news, whatever its last state was.
                    (Some(meta), Seen::Deleted) => {
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

    /// Moves the clock: evaluates what waits, and fires the wakes that are due before this time.
    /// While a gap is open wakes are held, so that no alarm is raised from a state that may be old;
    /// they fire when it ends. Returns the time, which never goes back.
    pub fn advance_to(&mut self, time: Timestamp) -> Timestamp {
        let time = time.max(self.now);
        let next_wake = self.next_wake().is_some_and(|due| due < time);
        let next_expiry = self.expiries.first().is_some_and(|(due, _)| *due <= time);
        if time.millis_since(self.round_began) >= ROUND_MS || next_wake || next_expiry {
            self.flush();
        }
        while let Some(due) = self.next_wake().filter(|due| *due < time) {
            let at = due.max(self.now);
            self.expire(at);
            self.fire(due, at);
            self.now = at;
        }
        self.expire(time);
        self.now = time;
        time
    }

    /// When the next wake is due that may fire.
    fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.next_due(|rule| is_held(&self.watching, &self.open_gaps, rule))
    }

    /// Ends a run: evaluates what waits, fires what is due up to `until` or, without it, up to the
    /// last event, and closes gaps that are still open.
    pub fn finish(&mut self, until: Option<Timestamp>) {
        let end = until.unwrap_or(self.now).max(self.now);
        // What is due now is not known to be so any longer: it stays pending.
        let holds_wakes = !self.open_gaps.is_empty();
        for gap in std::mem::take(&mut self.open_gaps) {
            // What was not seen again may yet have come: nothing is taken as vanished.
            let covers = self.router.abandon_gap(&gap.scope);
            let reason = format!("{}; the stream ended before a list was complete", gap.reason);
            self.close(OpenGap { reason, ..gap }, covers, end);
        }
        self.flush();
        if !holds_wakes {
            self.advance_to(end.plus_millis(1));
        }
    }

    /// What was decided since this was last asked.
    pub fn take_step(&mut self) -> Option<Step> {
        if self.round.is_empty() && self.router.keeps_in_journal() {
            let wakes = &self.wakes;
            self.step.keep.extend(self.router.take_changes(|uid| wakes.concern(uid)));
        }
        (!self.step.is_empty()).then(|| std::mem::take(&mut self.step))
    }

    /// What happened so far, in numbers.
    pub fn counts(&self) -> Counts {
        Counts { pending_wakes: self.wakes.len() as u64, ..self.counts.clone() }
    }

    /// Evaluates what waits.
    pub fn flush(&mut self) {
        let tasks = std::mem::take(&mut self.round);
        if !tasks.is_empty() {
            self.evaluate(&tasks);
        }
        for (partition, time) in std::mem::take(&mut self.gone) {
            self.clean_up(&partition, time);
        }
    }

    /// With an object go its wakes, for every rule, whether or not it heard of the end; and, after a
    /// while, its state.
    fn clean_up(&mut self, partition: &Arc<str>, time: Timestamp) {
        // A node may have come back under its name.
        if self.router.knows_partition(partition) {
            return;
        }
        for rule in 0..self.rules.len() {
            let Some(name) = self.rules.get(rule).map(|rule| rule.loaded.name.clone()) else {
                continue;
            };
            let slot = Slot { rule: name, partition: partition.clone() };
            for wake in self.wakes.cancel_all(rule, &slot) {
                self.forget_wake(wake);
            }
            self.expire_at(time.plus_millis(AFTER_DELETION_MS), slot);
        }
    }

    /// An object is not followed any longer, so its end will not be seen: its state lasts as long as
    /// that of any object that the host does not know.
    fn unfollow(&mut self, partition: &Arc<str>, time: Timestamp) {
        if self.router.knows_partition(partition) {
            return;
        }
        let names: Vec<Arc<str>> = self.rules.iter().map(|rule| rule.loaded.name.clone()).collect();
        for rule in names {
            let slot = Slot { rule, partition: partition.clone() };
            if !self.view.sizes(&slot, time).is_empty() {
                self.expire_at(time.plus_millis(UNKNOWN_OBJECT_MS), slot);
            }
        }
    }

    fn expire_at(&mut self, time: Timestamp, slot: Slot) {
        if let Some(before) = self.expiry_of.insert(slot.clone(), time) {
            self.expiries.remove(&(before, slot.clone()));
        }
        self.keep(|| Keep::Expiry(slot.clone(), Some(time)));
        self.expiries.insert((time, slot));
    }

    fn enqueue(&mut self, events: Vec<(usize, Arc<Event>)>) {
        for (rule, event) in events {
            if self.round.is_empty() {
                self.round_began = event.time;
            }
            if let Some(rule) = self.rules.get(rule) {
                self.round.push(Task { rule: rule.loaded.clone(), event });
            }
        }
        if self.round.len() >= ROUND_EVENTS {
            self.flush();
        }
    }

    /// Fires what is due at one time; `at` is later where it was held.
    fn fire(&mut self, due: Timestamp, at: Timestamp) {
        let (watching, open_gaps) = (&self.watching, &self.open_gaps);
        let taken = self.wakes.take(due, |rule| is_held(watching, open_gaps, rule));
        let mut tasks = Vec::with_capacity(taken.len());
        for (rule, wake) in taken {
            let Some(loaded) = self.rules.get(rule).map(|rule| rule.loaded.clone()) else {
                continue;
            };
            let event = Arc::new(self.wake_event(rule, at, &wake));
            tasks.push(Task { rule: loaded, event });
            self.forget_wake(wake);
        }
        self.counts.wakes += tasks.len() as u64;
        self.evaluate(&tasks);
    }

    /// A wake carries the object of the event that last set it, as last known; once that is gone,
    /// its identity.
    fn wake_event(&self, rule: usize, at: Timestamp, wake: &KeptWake) -> Event {
        let KeptWake { slot, key, due, payload, set_by, interest, object } = wake.clone();
        let interest = self.router.interest_place(rule, &interest);
        let identity = &object.meta.identity;
        let object = self.router.last_known(identity).unwrap_or_else(|| {
            let meta = Meta { identity: identity.clone(), ..Meta::default() };
            Arc::new(Object { meta, subject: Subject::Other, document: None })
        });
        let cluster = self.origin.cluster.as_str();
        Event {
            id: Id::of("w", &[&cluster, &&*slot.rule, &&*slot.partition, &key, &set_by]),
            origin: self.origin.clone(),
            time: at,
            change: Change::Wake,
            gap: false,
            interest,
            fields: self.router.fields(rule, interest, &object),
            object,
            delta: 0,
            partition: slot.partition,
            timer: Some(Timer { key, due, payload }),
        }
    }

    fn evaluate(&mut self, tasks: &[Task]) {
        let is_open = |task: &Task| {
            let rule = self.rules.get(task.rule.index.0);
            rule.is_some_and(|rule| rule.breaker.is_open(task.event.time))
        };
        let open: Vec<bool> = tasks.iter().map(is_open).collect();
        let live = tasks.iter().zip(&open).filter(|(_, open)| !**open);
        let live: Vec<Task> = live.map(|(task, _)| task.clone()).collect();
        let mut answers = self.engine.evaluate(&self.view, &live).into_iter();
        self.counts.events += tasks.len() as u64;
        for (task, open) in tasks.iter().zip(open) {
            let answer = if open { None } else { answers.next() };
            self.settle(task, answer.unwrap_or_else(Answer::out_of_service));
        }
    }

    /// Takes one answer, in event order.
    fn settle(&mut self, task: &Task, answer: Answer) {
        let Task { rule: loaded, event } = task;
        let Some(rule) = self.rules.get_mut(loaded.index.0) else { return };
        let failed = answer.outcome.as_ref().is_err_and(|failure| failure.kind.quarantines());
        let answer = match rule.breaker.rule(event.time, failed) {
            Ruling::Accept => answer,
            Ruling::AcceptAndOpen { until } => {
                self.step.out_of_service.push(OutOfService {
                    rule: loaded.name.clone(),
                    since: event.time,
                    until,
                });
                answer
            }
            Ruling::Refuse => Answer::out_of_service(),
        };
        let slot = Slot { rule: loaded.name.clone(), partition: event.partition.clone() };
        for line in answer.log {
            self.step.log.push(LogLine { rule: loaded.name.clone(), event: event.id, line });
        }
        if let Some(cost) = answer.cost {
            self.step.costs.push(EventCost { event: event.clone(), cost });
        }
        match answer.outcome {
            Ok(outcome) => {
                if !answer.writes.is_empty() {
                    let writes = &answer.writes;
                    self.keep(|| Keep::State(slot.clone(), writes.clone(), event.time));
                    self.state.commit(&slot, answer.writes, event.time);
                    self.expire_if_unknown(&slot, event);
                }
                self.accept(task, &slot, outcome);
            }
            Err(failure) => {
                self.counts.failures += 1;
                self.step.failures.push(FailedEvent::new(loaded, event, failure));
            }
        }
    }

    fn accept(&mut self, task: &Task, slot: &Slot, outcome: Outcome) {
        let Task { rule: loaded, event } = task;
        for key in &outcome.cancels {
            if let Some(wake) = self.wakes.cancel(loaded.index.0, slot, key) {
                self.forget_wake(wake);
            }
        }
        for wake in outcome.wakes {
            let wake = KeptWake {
                slot: slot.clone(),
                key: wake.key,
                due: wake.at.max(event.time.plus_millis(ROUND_MS)),
                payload: wake.payload,
                set_by: event.id,
                interest: self.router.interest_name(loaded.index.0, event.interest),
                object: event.object.clone(),
            };
            self.router.touch(&event.object);
            self.keep(|| Keep::Wake(Box::new(wake.clone())));
            let refused = match self.wakes.set(loaded.index.0, wake) {
                Ok(moved) => {
                    // Another object's form may be needed no longer.
                    if let Some(moved) = moved {
                        self.router.touch(&moved.object);
                    }
                    continue;
                }
                Err(refused) => refused,
            };
            self.unkeep();
            self.counts.failures += 1;
            let message = format!(
                "wake {refused:?} was not set: partition {:?} has {MAX_WAKES} already; mend: cancel what is no longer needed",
                slot.partition
            );
            let failure = crate::model::Failure { kind: FailureKind::OverBudget, message };
            self.step.failures.push(FailedEvent::new(loaded, event, failure));
        }
        let Some(rule) = self.rules.get(loaded.index.0) else { return };
        let decided = rule.policy.decide(&loaded.manifest, event, outcome.verdicts);
        self.counts.verdicts += decided.verdicts.len() as u64;
        self.step.verdicts.extend(decided.verdicts);
        self.step.refusals.extend(decided.refusals);
    }

    /// State about an object that the host does not watch would stay for ever.
    fn expire_if_unknown(&mut self, slot: &Slot, event: &Event) {
        let about_another = matches!(event.object.subject, Subject::Notice(_));
        if about_another && is_by_object(event) && !self.router.knows_partition(&slot.partition) {
            self.expire_at(event.time.plus_millis(UNKNOWN_OBJECT_MS), slot.clone());
        }
    }

    /// Forgets state whose time is over.
    fn expire(&mut self, now: Timestamp) {
        while self.expiries.first().is_some_and(|(due, _)| *due <= now)
            && let Some((_, slot)) = self.expiries.pop_first()
        {
            self.expiry_of.remove(&slot);
            self.keep(|| Keep::Expiry(slot.clone(), None));
            if !self.router.knows_partition(&slot.partition) {
                self.keep(|| Keep::NoState(slot.clone()));
                self.state.forget(&slot);
            }
        }
    }
}

/// Whether the event's partition is the object's own.
fn is_by_object(event: &Event) -> bool {
    *event.partition == *event.object.about().partition()
}
