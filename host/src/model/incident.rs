//! What the policy remembers, so that a restart decides as if there had been none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Refused, Severity, Timestamp, Verdict};

/// A row of what the policy remembers.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistedIncident {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The incident's code; empty for what concerns the rule as a whole.
    pub code: String,
    /// The incident's key; without a code the object that the row is about, or empty.
    pub key: String,
    /// What is remembered.
    pub record: IncidentRecord,
}

/// What is remembered in a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentRecord {
    /// An open incident.
    Incident(Incident),
    /// A rule's throttle, while its window is open.
    Window(Window),
    /// A rule's budget for writes to one object, while it is not full.
    Budget(Bucket),
}

/// The open span of one code on one key: firing until resolved.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Incident {
    /// Its first verdict.
    pub since: Timestamp,
    /// Its last verdict, or when a held one was delivered.
    pub touched: Timestamp,
    /// What it has in common with others.
    pub place: Place,
    /// The firing that receivers heard of last; none: they have not heard of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Delivered>,
    /// A firing that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Since when something has inhibited it, even where it has waited long enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inhibited_since: Option<Timestamp>,
}

/// A firing that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// When.
    pub at: Timestamp,
    /// With which severity.
    pub severity: Severity,
}

/// A firing that waits until nothing inhibits it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    /// Its place among all that wait.
    pub order: u64,
    /// It waits no longer than this.
    pub until: Timestamp,
    /// The whole verdict …
    pub verdict: Box<Verdict>,
    /// … and what its written form lacks: targets that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

impl PartialEq for Held {
    /// A verdict's id says which it is.
    fn eq(&self, other: &Self) -> bool {
        (self.order, self.until, self.verdict.id) == (other.order, other.until, other.verdict.id)
    }
}

/// Where an incident is; each part is empty where it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The object's namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's own partition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The node that the object is on, or is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// What is left of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// When all of it is there again.
    pub full_at: Timestamp,
}

/// A span in which a rule may deliver so much and no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its first delivery.
    pub since: Timestamp,
    /// How many there were.
    pub delivered: u32,
    /// What was held back; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What a throttle held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// How many verdicts.
    pub held_back: u64,
    /// The highest.
    pub severity: Severity,
    /// How many of each code.
    pub codes: BTreeMap<String, u64>,
    /// Some of the keys, in the order in which they came.
    pub keys: Vec<String>,
    /// All targets, in the order in which they came.
    pub targets: Vec<String>,
    /// Of the verdicts.
    pub cluster: Arc<str>,
    /// Of the last verdict.
    pub rule_version: Arc<str>,
}
