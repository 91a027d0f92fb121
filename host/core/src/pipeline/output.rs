//! The output of the pipeline: the results of a sequence of events, in event order.

use std::sync::Arc;

use serde::Serialize;

use super::rule::Limit;
use crate::policy::{OverBudget, Suppressed};
use crate::route::Gap;
use crate::verdict::Refusal;
use klaxon_model::{Cost, Line, RuleInfo};
use klaxon_model::{Event, Failure, Id, Identity, StoreOp, Timestamp, Verdict};

/// The results to store and deliver.
#[derive(Debug, Default)]
pub struct Output {
    /// Verdicts in event order; for one event, in the order of the rules.
    pub verdicts: Vec<Verdict>,
    /// Events that a rule did not answer.
    pub failures: Vec<FailedEvent>,
    /// Targets of the verdicts that were not granted.
    pub refusals: Vec<Refusal>,
    /// Writes to the cluster that are not made, because they exceed the rule's budget for the object.
    pub over_budget: Vec<OverBudget>,
    /// Verdicts that the policy suppressed.
    pub suppressed: Vec<Suppressed>,
    /// Objects that could not be decoded.
    pub quarantine: Vec<QuarantinedObject>,
    /// Periods in which changes may have been missed.
    pub gaps: Vec<Gap>,
    /// Rules that were taken out of service.
    pub out_of_service: Vec<OutOfService>,
    /// Rules that reached a limit on the sum of their output or stored data.
    pub limited: Vec<Limited>,
    /// Log lines of the rules.
    pub log: Vec<LogLine>,
    /// Costs of the events that were evaluated in a call of their own, if the engine measures.
    pub costs: Vec<EventCost>,
    /// Changes that a restart must know, in order. Empty without a journal.
    pub ops: Vec<StoreOp>,
}

impl Output {
    /// Appends a later output.
    pub fn append(&mut self, later: Self) {
        self.verdicts.extend(later.verdicts);
        self.failures.extend(later.failures);
        self.refusals.extend(later.refusals);
        self.over_budget.extend(later.over_budget);
        self.suppressed.extend(later.suppressed);
        self.quarantine.extend(later.quarantine);
        self.gaps.extend(later.gaps);
        self.out_of_service.extend(later.out_of_service);
        self.limited.extend(later.limited);
        self.log.extend(later.log);
        self.costs.extend(later.costs);
        self.ops.extend(later.ops);
    }

    /// Returns `true` if the output has no results.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
            && self.failures.is_empty()
            && self.refusals.is_empty()
            && self.over_budget.is_empty()
            && self.suppressed.is_empty()
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
    /// The time of the event.
    pub time: Timestamp,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The change for which the rule was called.
    pub change: &'static str,
    /// The object of the event.
    pub object: Identity,
    /// The reason for which there is no answer.
    #[serde(flatten)]
    pub failure: Failure,
    /// The event itself, for inspection and for running it again.
    #[serde(skip)]
    pub input: Arc<Event>,
}

impl FailedEvent {
    pub(super) fn new(rule: &RuleInfo, event: &Arc<Event>, failure: Failure) -> Self {
        Self {
            event: event.id,
            time: event.time,
            rule: rule.name.clone(),
            change: event.change.as_str(),
            object: event.object.meta.identity.clone(),
            failure,
            input: event.clone(),
        }
    }
}

/// The cost of one event.
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
    /// The time at which the object was seen.
    pub time: Timestamp,
    /// The stream or watch that it came from.
    pub scope: String,
    /// The reason for which the object cannot be decoded.
    pub reason: String,
    /// The object's JSON.
    #[serde(skip)]
    pub json: String,
}

/// A rule that failed too often and is out of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutOfService {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The time of the event that took it out of service.
    pub since: Timestamp,
    /// The time at which the rule is tried again.
    pub until: Timestamp,
}

/// A rule that reached a limit on the sum of its output or stored data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The limit.
    pub limit: Limit,
    /// The number of times that the limit was reached, or of dropped log lines.
    pub count: u64,
    /// The text for the operator. `None` if it was reported before, or if the failure reports it.
    pub what: Option<String>,
}

/// A log line of a rule.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The event for which the rule wrote it.
    pub event: Id,
    /// The line.
    pub line: Line,
}

/// Counts of the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects that sources saw.
    pub observed: u64,
    /// Observed objects of a kind that no rule is interested in.
    pub ignored: u64,
    /// Observed objects in a version that was seen before.
    pub repeated: u64,
    /// Observed deletions of objects that were not known.
    pub unknown: u64,
    /// Observed objects that cannot be decoded and were quarantined.
    pub undecodable: u64,
    /// Events that rules were asked about, timers included.
    pub events: u64,
    /// Events of timers, which `events` includes.
    pub timers: u64,
    /// Verdicts, without suppressed ones.
    pub verdicts: u64,
    /// Verdicts that the policy suppressed.
    #[serde(skip_serializing_if = "klaxon_model::is_zero")]
    pub suppressed: u64,
    /// Writes to the cluster that were not made, because they exceed the rule's budget for the object.
    #[serde(skip_serializing_if = "klaxon_model::is_zero")]
    pub over_budget: u64,
    /// Pending verdicts, which are inhibited.
    #[serde(skip_serializing_if = "klaxon_model::is_zero")]
    pub pending_verdicts: u64,
    /// Events that a rule did not answer.
    pub failures: u64,
    /// Timers that are set and not due yet.
    pub pending_timers: u64,
}
