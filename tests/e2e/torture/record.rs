//! The receivers' record: every verdict that came, read from the body of its delivery.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::receiver::{Receipt, Taken};

/// A verdict in the form of the journal and of a CloudEvent.
#[derive(Deserialize)]
pub(super) struct Verdict {
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) code: String,
    pub(super) key: String,
    pub(super) status: String,
    pub(super) severity: String,
    payload: Box<RawValue>,
}

/// The body of a delivery.
#[derive(Deserialize)]
struct CloudEvent {
    data: Verdict,
}

/// The state of a pod for which the rule `alarm` fires or resolves.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Alarm {
    pub(super) change: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) version: String,
}

/// A verdict with the receipt of its delivery.
pub(super) struct Heard<'a> {
    pub(super) receipt: &'a Receipt,
    pub(super) verdict: Verdict,
}

/// The verdicts of all receivers.
pub(super) struct Record<'a> {
    /// Verdicts by rule, in the order in which each came first.
    by_rule: BTreeMap<String, Vec<Heard<'a>>>,
}

impl Verdict {
    pub(super) fn payload<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(self.payload.get())
            .unwrap_or_else(|fault| panic!("{}: {fault}: {}", self.rule, self.payload))
    }

    /// Returns the state that the verdict is about, for rules of the module `alarm`.
    pub(super) fn alarm(&self) -> Option<Alarm> {
        matches!(self.code.as_str(), "ALARM" | "GUARD").then(|| self.payload())
    }

    pub(super) fn is_firing(&self) -> bool {
        self.status == "firing"
    }
}

impl<'a> Record<'a> {
    pub(super) fn of(taken: &'a Taken) -> Self {
        let mut by_rule: BTreeMap<String, Vec<Heard<'a>>> = BTreeMap::new();
        for receipt in taken.receipts.values() {
            let CloudEvent { data } = serde_json::from_slice(&receipt.body).unwrap();
            by_rule.entry(data.rule.clone()).or_default().push(Heard { receipt, verdict: data });
        }
        for heard in by_rule.values_mut() {
            heard.sort_by_key(|heard| heard.receipt.first);
        }
        Self { by_rule }
    }

    /// Returns the verdicts of a rule, in the order in which each came first.
    pub(super) fn of_rule(&self, rule: &str) -> &[Heard<'a>] {
        self.by_rule.get(rule).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Heard<'a>> {
        self.by_rule.values().flatten()
    }

    /// Returns the payloads of a rule.
    pub(super) fn payloads<T: DeserializeOwned>(&self, rule: &str) -> Vec<T> {
        self.of_rule(rule).iter().map(|heard| heard.verdict.payload()).collect()
    }

    /// Returns the last verdict of each key of a rule's code.
    pub(super) fn last(&self, rule: &str, code: &str) -> HashMap<&str, &Verdict> {
        let of_code = self.of_rule(rule).iter().filter(|heard| heard.verdict.code == code);
        of_code.map(|heard| (heard.verdict.key.as_str(), &heard.verdict)).collect()
    }
}
