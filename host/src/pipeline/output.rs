//! What the pipeline hands on: all that came of a stretch of events, in their order.

use std::sync::Arc;

use serde::Serialize;

use super::meter::Limit;
use crate::engine::{Cost, Line, LoadedRule};
use crate::model::{Event, Failure, Id, ObjectName, StoreOp, Timestamp, Verdict};
use crate::policy::{HeldBack, OverBudget, Refusal};
use crate::route::Gap;

/// What is to be kept and delivered.
#[derive(Debug, Default)]
pub struct Output {
    /// Verdicts in event order; of one event, in the order of the rules.
    pub verdicts: Vec<Verdict>,
    /// Events that a rule did not answer.
    pub failures: Vec<FailedEvent>,
    /// Targets that were not granted, of the verdicts.
    pub refusals: Vec<Refusal>,
    /// Writes to the cluster that the policy holds back.
    pub over_budget: Vec<OverBudget>,
    /// Verdicts that are not delivered, by the policy.
    pub held_back: Vec<HeldBack>,
    /// Objects that could not be decoded.
    pub quarantine: Vec<QuarantinedObject>,
    /// Periods in which changes may have been missed.
    pub gaps: Vec<Gap>,
    /// Rules that were taken out of service.
    pub out_of_service: Vec<OutOfService>,
    /// Rules that came to a bound on what they do or keep in all.
    pub limited: Vec<Limited>,
    /// What rules wrote to the log.
    pub log: Vec<LogLine>,
    /// What events cost that had a call to themselves, where the engine measures.
    pub costs: Vec<EventCost>,
    /// What a restart must know, in the order of the changes; empty where nothing is kept.
    pub ops: Vec<StoreOp>,
}

impl Output {
    /// Adds what came later.
    pub fn append(&mut self, later: Self) {
        self.verdicts.extend(later.verdicts);
        self.failures.extend(later.failures);
        self.refusals.extend(later.refusals);
        self.over_budget.extend(later.over_budget);
        self.held_back.extend(later.held_back);
        self.quarantine.extend(later.quarantine);
        self.gaps.extend(later.gaps);
        self.out_of_service.extend(later.out_of_service);
        self.limited.extend(later.limited);
        self.log.extend(later.log);
        self.costs.extend(later.costs);
        self.ops.extend(later.ops);
    }

    /// Whether nothing came of it.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
            && self.failures.is_empty()
            && self.refusals.is_empty()
            && self.over_budget.is_empty()
            && self.held_back.is_empty()
            && self.quarantine.is_empty()
            && self.gaps.is_empty()
            && self.out_of_service.is_empty()
            && self.limited.is_empty()
            && self.log.is_empty()
            && self.costs.is_empty()
            && self.ops.is_empty()
    }
}

/// An event that a rule did not answer.
#[derive(Debug, Clone, Serialize)]
pub struct FailedEvent {
    /// The event.
    pub event: Id,
    /// Its time.
    pub time: Timestamp,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// Why the rule was called.
    pub change: &'static str,
    /// What the event is about.
    pub object: ObjectName,
    /// Why there is no answer.
    #[serde(flatten)]
    pub failure: Failure,
    /// The event itself, so that it can be looked at and run again.
    #[serde(skip)]
    pub input: Arc<Event>,
}

impl FailedEvent {
    pub(super) fn new(rule: &LoadedRule, event: &Arc<Event>, failure: Failure) -> Self {
        Self {
            event: event.id,
            time: event.time,
            rule: rule.name.clone(),
            change: event.change.as_str(),
            object: (&event.object.meta.identity).into(),
            failure,
            input: event.clone(),
        }
    }
}

/// What one event cost.
#[derive(Debug, Clone)]
pub struct EventCost {
    /// The event.
    pub event: Arc<Event>,
    /// Its cost.
    pub cost: Cost,
}

/// An object that could not be decoded.
#[derive(Debug, Clone, Serialize)]
pub struct QuarantinedObject {
    /// When it was seen.
    pub time: Timestamp,
    /// The stream or watch that it came from.
    pub scope: String,
    /// Why it cannot be decoded.
    pub reason: String,
    /// Its JSON.
    #[serde(skip)]
    pub json: String,
}

/// A rule that failed too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutOfService {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The time of the event that was too much.
    pub since: Timestamp,
    /// When the rule is tried again.
    pub until: Timestamp,
}

/// A rule came to a bound on what it does or keeps in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The bound.
    pub limit: Limit,
    /// The number of times, or of dropped log lines.
    pub count: u64,
    /// The text for the operator; `None` where it was reported before, or the failure reports it.
    pub what: Option<String>,
}

/// A line that a rule wrote.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The event that it was about.
    pub event: Id,
    /// The line.
    pub line: Line,
}

/// What happened, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects that sources saw.
    pub observed: u64,
    /// Of those: of a kind that no rule is interested in.
    pub ignored: u64,
    /// Of those: a version that was seen before.
    pub repeated: u64,
    /// Of those: deletions of objects that nobody knew.
    pub unknown: u64,
    /// Of those: not decodable, and set aside.
    pub undecodable: u64,
    /// Events that rules were asked about, timers included.
    pub events: u64,
    /// Of those: timers.
    pub timers: u64,
    /// Verdicts, without those that the policy holds back.
    pub verdicts: u64,
    /// Verdicts that the policy held back.
    #[serde(skip_serializing_if = "crate::model::is_zero")]
    pub held_back: u64,
    /// Writes to the cluster that the policy held back.
    #[serde(skip_serializing_if = "crate::model::is_zero")]
    pub over_budget: u64,
    /// Verdicts that wait, for something inhibits them.
    #[serde(skip_serializing_if = "crate::model::is_zero")]
    pub pending_verdicts: u64,
    /// Events that a rule did not answer.
    pub failures: u64,
    /// Timers that are set and not due yet.
    pub pending_timers: u64,
}
