//! Decisions of the policy: verdicts that pass, and suppressed ones with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use klaxon_model::{Id, Timestamp, Verdict};

/// The reason why a verdict is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its incident was delivered recently.
    Repeat,
    /// A firing that was delivered before, or a `resolved` whose firing was not delivered.
    Pair,
    /// It was pending because of an inhibition, and was resolved or replaced before it could be
    /// delivered.
    Inhibited,
    /// The rule had delivered the maximum number of verdicts.
    Throttled,
}

impl Reason {
    /// Returns the name used in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repeat => "repeat",
            Self::Pair => "pair",
            Self::Inhibited => "inhibited",
            Self::Throttled => "throttled",
        }
    }
}

/// A verdict that will not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// The id of the verdict.
    pub verdict: Id,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The verdict's code.
    pub code: String,
    /// The verdict's key.
    pub key: String,
    /// The reason.
    pub reason: Reason,
}

/// The result of deciding on a verdict, or of advancing the clock.
#[derive(Debug, Default)]
pub struct Decision {
    /// Verdicts to deliver, in this order. Their ids and times are those of their events, regardless of
    /// the time of delivery.
    pub verdicts: Vec<Verdict>,
    /// Verdicts that are never delivered. A pending verdict is in neither list.
    pub suppressed: Vec<Suppressed>,
    /// Writes to the cluster that are not made; their verdicts are delivered to their other targets.
    pub over_budget: Vec<OverBudget>,
}

/// A write to the cluster that is not made, because its rule wrote too much to the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverBudget {
    /// The id of the verdict.
    pub verdict: Id,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The kind of target.
    pub target: String,
    /// The object's kind, namespace and name.
    pub object: String,
    /// The time at which the rule may write to the object again.
    pub next: Timestamp,
    /// `true` if it is the first such write since the last one that was made to the object.
    #[serde(skip)]
    pub is_first: bool,
}

impl Decision {
    /// Suppresses a verdict.
    pub(super) fn suppress(&mut self, verdict: &Verdict, reason: Reason) {
        self.suppressed.push(Suppressed {
            verdict: verdict.id,
            rule: verdict.rule.clone(),
            code: verdict.code.clone(),
            key: verdict.key.clone(),
            reason,
        });
    }
}

/// Counters since the start; they are not persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Suppressed verdicts, by the rule's configured name and the reason.
    pub suppressed: BTreeMap<(Arc<str>, Reason), u64>,
    /// Verdicts that would have become pending had there been capacity, by rule.
    pub no_room: BTreeMap<Arc<str>, u64>,
    /// Incidents that were forgotten instead of resolved, by rule.
    pub forgotten: BTreeMap<Arc<str>, u64>,
}

impl Tally {
    /// Counts suppressed verdicts.
    pub(super) fn count(&mut self, decision: &Decision) {
        for one in &decision.suppressed {
            *self.suppressed.entry((one.rule.clone(), one.reason)).or_default() += 1;
        }
    }
}
