//! The policy's persisted records, with which it decides after a restart as if there had been none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Refused, Severity, Timestamp, Verdict};

/// A persisted row of the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistedIncident {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The incident's code; empty for a row about the rule as a whole.
    pub code: String,
    /// The incident's key. In a row without a code, the object that the row is about, or empty.
    pub key: String,
    /// The content of the row.
    pub record: IncidentRecord,
}

/// The content of a persisted row.
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
    /// The time of its first verdict.
    pub since: Timestamp,
    /// The time of its last verdict, or of the delivery of a pending one.
    pub touched: Timestamp,
    /// The location, which inhibitions compare with that of other incidents.
    #[serde(rename = "place")]
    pub location: IncidentLocation,
    /// The last firing that was delivered to receivers. `None` if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Delivered>,
    /// A pending firing.
    #[serde(rename = "held", skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingFiring>,
    /// The start of the span in which it has been inhibited, even if its pending firing has timed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inhibited_since: Option<Timestamp>,
}

/// A firing that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The time of delivery.
    pub at: Timestamp,
    /// Its severity.
    pub severity: Severity,
}

/// A firing that is pending until no other incident inhibits it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingFiring {
    /// Its number in the order of all pending firings.
    pub order: u64,
    /// The time at which it stops waiting.
    pub until: Timestamp,
    /// The whole verdict.
    pub verdict: Box<Verdict>,
    /// Refused targets, which the verdict's written form omits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

impl PartialEq for PendingFiring {
    /// Compares verdicts by their ids.
    fn eq(&self, other: &Self) -> bool {
        (self.order, self.until, self.verdict.id) == (other.order, other.until, other.verdict.id)
    }
}

/// The location of an incident; each part is empty if it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IncidentLocation {
    /// The object's namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's own partition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The node that the object is on, or the node itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// The remainder of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The time at which the whole budget is available again.
    pub full_at: Timestamp,
}

/// A span in which a rule may deliver a limited number of verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The time of its first delivery.
    pub since: Timestamp,
    /// The number of deliveries in the span.
    pub delivered: u32,
    /// A summary of the suppressed verdicts. `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A summary of the verdicts that a throttle suppressed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// The number of suppressed verdicts.
    #[serde(alias = "held_back")]
    pub suppressed: u64,
    /// The highest severity.
    pub severity: Severity,
    /// The number of verdicts of each code.
    pub codes: BTreeMap<String, u64>,
    /// Some of the keys, in order of arrival.
    pub keys: Vec<String>,
    /// All targets, in order of arrival.
    pub targets: Vec<String>,
    /// The cluster of the verdicts.
    pub cluster: Arc<str>,
    /// The rule version of the last verdict.
    pub rule_version: Arc<str>,
}
