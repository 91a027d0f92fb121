//! A rule's answer to one event, before the host has checked it.

use serde::{Deserialize, Serialize};

use super::{Cause, ConditionStatus, EventType, Identity, Label, ObjectRef, Severity, Timestamp};

/// The answer to one event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Verdicts that the rule emits.
    pub verdicts: Vec<RuleVerdict>,
    /// Timers to set, after `cancels`.
    pub timers: Vec<TimerRequest>,
    /// Keys of timers to remove.
    pub cancels: Vec<String>,
}

/// One decision of a rule, before it is checked.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct RuleVerdict {
    pub code: String,
    pub key: String,
    pub status: Status,
    pub severity: Option<Severity>,
    pub title: String,
    pub payload: String,
    pub targets: Vec<RuleTarget>,
}

/// The status of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum Status {
    Firing,
    Resolved,
}

impl Status {
    /// Returns the name used in a verdict.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// A target that a rule asks for.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum RuleTarget {
    Routed,
    Named(String),
    KubernetesEvent(EventRequest),
    Apply(String),
    Condition(ConditionRequest),
    Gate(GateRequest),
    Metric(Metric),
    Extension(Extension),
}

impl RuleTarget {
    /// Kinds of targets without names.
    pub const KINDS: [&'static str; 7] =
        ["kubernetes-event", "apply", "condition", "gate", "metric", "extension", "more"];

    /// Returns the kind of target as grants name it: one of a fixed set of names.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Named(_) => "named",
            Self::KubernetesEvent(_) => "kubernetes-event",
            Self::Apply(_) => "apply",
            Self::Condition(_) => "condition",
            Self::Gate(_) => "gate",
            Self::Metric(_) => "metric",
            Self::Extension(_) => "extension",
        }
    }

    /// Returns the object that the target would write to, if it is a write to the cluster: kind,
    /// namespace and name, without the API group. All requests that name no object share one path.
    pub fn writes_to(&self) -> Option<String> {
        let of = |identity: &Identity| path(&identity.kind, &identity.namespace, &identity.name);
        match self {
            Self::KubernetesEvent(event) => Some(of(&event.regarding.identity)),
            Self::Condition(condition) => Some(of(&condition.about.identity)),
            Self::Apply(json) => {
                let Applied { kind, metadata } = serde_json::from_str(json).unwrap_or_default();
                Some(path(&kind, &metadata.namespace, &metadata.name))
            }
            Self::Routed
            | Self::Named(_)
            | Self::Gate(_)
            | Self::Metric(_)
            | Self::Extension(_) => None,
        }
    }
}

/// A bound above the path of any object: kind, namespace and name have at most 63, 63 and 253 bytes.
const LONGEST_PATH: usize = 400;

fn path(kind: &str, namespace: &str, name: &str) -> String {
    let parts = [kind, namespace, name].into_iter().filter(|part| !part.is_empty());
    let mut path = parts.collect::<Vec<_>>().join("/");
    if path.is_empty() {
        return "-".to_owned();
    }
    path.truncate(path.floor_char_boundary(LONGEST_PATH));
    path
}

/// Kind and metadata of an object to apply.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Applied {
    kind: String,
    metadata: AppliedMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AppliedMeta {
    namespace: String,
    name: String,
}

/// A Kubernetes Event to write.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct EventRequest {
    pub reporting_component: Option<String>,
    pub regarding: ObjectRef,
    pub event_type: EventType,
    pub reason: String,
    pub note: String,
    pub action: String,
}

/// A condition to set in an object's status.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct ConditionRequest {
    pub about: ObjectRef,
    pub name: String,
    pub status: ConditionStatus,
    pub cause: Cause,
}

/// A gate to open or close.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct GateRequest {
    pub gate: String,
    pub open: bool,
}

/// A value for `/metrics` and statsd.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Metric {
    pub name: String,
    pub kind: MetricKind,
    pub value: f64,
    pub labels: Vec<Label>,
}

/// The way in which values of one metric are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A target that this version has no type for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Extension {
    pub kind: String,
    pub body: String,
}

/// A timer to set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct TimerRequest {
    pub key: String,
    pub at: Timestamp,
    pub payload: String,
}
