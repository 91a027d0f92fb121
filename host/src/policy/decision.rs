//! What the policy lets through, and what it holds back for good, with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{Id, Timestamp, Verdict};

/// Why a verdict is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Its incident was delivered not long ago.
    Repeat,
    /// A firing that was delivered before, or a resolved of which nobody heard that it fired.
    Pair,
    /// It waited, and was over or replaced before anything could be said.
    Inhibited,
    /// The rule had delivered as much as it may.
    Throttled,
}

impl Reason {
    /// As it is written in metrics.
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
pub struct HeldBack {
    /// The verdict.
    pub verdict: Id,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The verdict's code.
    pub code: String,
    /// The verdict's key.
    pub key: String,
    /// Why.
    pub reason: Reason,
}

/// What came of a verdict, or of a stretch of time.
#[derive(Debug, Default)]
pub struct Passed {
    /// To be delivered, in this order. Their ids and times are those of their events, whenever it is.
    pub verdicts: Vec<Verdict>,
    /// Never to be delivered. A verdict that waits is in neither list.
    pub held_back: Vec<HeldBack>,
    /// Writes to the cluster that are not made; their verdicts go to their other targets.
    pub over_budget: Vec<OverBudget>,
}

/// A write to the cluster that is not made, for its rule wrote too much to the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverBudget {
    /// The verdict.
    pub verdict: Id,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The kind of target.
    pub target: String,
    /// The object's kind, namespace and name.
    pub object: String,
    /// When the rule may write to it again.
    pub next: Timestamp,
    /// Whether it is the first since something was written to it.
    #[serde(skip)]
    pub is_first: bool,
}

impl Passed {
    /// Holds a verdict back.
    pub(super) fn hold_back(&mut self, verdict: &Verdict, reason: Reason) {
        self.held_back.push(HeldBack {
            verdict: verdict.id,
            rule: verdict.rule.clone(),
            code: verdict.code.clone(),
            key: verdict.key.clone(),
            reason,
        });
    }
}

/// What was counted since the start; a restart begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Verdicts that were held back, by the rule's configured name and the reason.
    pub held_back: BTreeMap<(Arc<str>, Reason), u64>,
    /// Verdicts that would have been held, had there been room, by rule.
    pub no_room: BTreeMap<Arc<str>, u64>,
    /// Incidents that were forgotten, not resolved, by rule.
    pub forgotten: BTreeMap<Arc<str>, u64>,
}

impl Tally {
    /// Counts what was held back.
    pub(super) fn count(&mut self, passed: &Passed) {
        for one in &passed.held_back {
            *self.held_back.entry((one.rule.clone(), one.reason)).or_default() += 1;
        }
    }
}
