//! A rule's manifest: its description of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Change;

/// A rule's manifest. The contract documents each item.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub description: String,
    pub codes: Vec<Code>,
    pub interests: Vec<Interest>,
    pub schedules: Vec<Schedule>,
    /// JSON Schema as text; empty if there are no settings.
    pub settings_schema: String,
    pub capabilities: Vec<String>,
    pub state_version: u32,
}

impl Manifest {
    /// Returns the declared code of a name.
    pub fn code(&self, name: &str) -> Option<&Code> {
        self.codes.iter().find(|code| code.name == name)
    }
}

/// One class of verdict that a rule may emit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Code {
    pub name: String,
    pub title: String,
    pub severity: Severity,
    pub description: String,
}

/// The severity of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

/// A kind of object that a rule wants, with selectors and filters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Interest {
    pub name: String,
    pub api_version: String,
    pub kind: String,
    pub label_selector: String,
    pub field_selector: String,
    pub namespaces: Vec<String>,
    pub changes: Changes,
    pub partition: PartitionBy,
    pub parts: Parts,
    pub annotations: Vec<String>,
    pub fields: Vec<String>,
}

/// The changes of an object that are sent to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Changes {
    pub added: bool,
    pub modified: bool,
    pub deleted: bool,
    pub left: bool,
    pub snapshot: bool,
}

impl Changes {
    /// All changes, the default for a rule that names none.
    pub const ALL: Self =
        Self { added: true, modified: true, deleted: true, left: true, snapshot: true };

    /// Returns `true` if a change is among them. Timers and ticks always are: a rule sets them itself.
    pub fn include(self, change: Change) -> bool {
        match change {
            Change::Added => self.added,
            Change::Modified => self.modified,
            Change::Deleted => self.deleted,
            Change::Left => self.left,
            Change::Snapshot => self.snapshot,
            Change::Timer | Change::Tick => true,
        }
    }
}

/// Parts of an event that are costly and that many rules do not need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Parts {
    pub labels: bool,
    pub owners: bool,
    pub conditions: bool,
    pub images: bool,
    pub addresses: bool,
}

impl Parts {
    /// All parts.
    pub const ALL: Self =
        Self { labels: true, owners: true, conditions: true, images: true, addresses: true };

    /// Returns the union of two sets of parts.
    pub fn or(self, other: Self) -> Self {
        Self {
            labels: self.labels || other.labels,
            owners: self.owners || other.owners,
            conditions: self.conditions || other.conditions,
            images: self.images || other.images,
            addresses: self.addresses || other.addresses,
        }
    }
}

/// The criterion by which events share state and order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum PartitionBy {
    Object,
    Namespace,
    Label(String),
    Field(String),
    WholeCluster,
}

/// A periodic tick that a rule wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Schedule {
    pub name: String,
    pub every_ms: u32,
}

/// A host interface that a rule may import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Access to the state of the current event's partition.
    State,
    /// Access to the host's log.
    Log,
}

impl Capability {
    /// Every capability of this host.
    pub const ALL: [Self; 2] = [Self::State, Self::Log];

    /// Returns the name used in manifests, imports and grants.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Log => "log",
        }
    }
}

/// The operator's narrowing of a rule's interests: namespaces by the name of an interest.
pub type Narrowing = BTreeMap<String, Vec<String>>;
