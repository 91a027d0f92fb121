//! What a rule says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// JSON Schema as text; empty where there are no settings.
    pub settings_schema: String,
    pub capabilities: Vec<String>,
    pub state_version: u32,
}

impl Manifest {
    /// The declared code of a name.
    pub fn code(&self, name: &str) -> Option<&Code> {
        self.codes.iter().find(|code| code.name == name)
    }
}

/// One class of verdict that a rule may say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Code {
    pub name: String,
    pub title: String,
    pub severity: Severity,
    pub description: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

/// A kind of object that a rule wants, and how much of it.
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

/// Which changes of an object a rule wants to hear of.
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
    /// All of them: what a rule gets that names none.
    pub const ALL: Self =
        Self { added: true, modified: true, deleted: true, left: true, snapshot: true };
}

/// Parts of an event that cost something and that many rules do not need.
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
    /// All of them.
    pub const ALL: Self =
        Self { labels: true, owners: true, conditions: true, images: true, addresses: true };

    /// Those of either.
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

/// Which events share state and are kept in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum PartitionBy {
    Object,
    Namespace,
    Label(String),
    Field(String),
    WholeCluster,
}

/// A tick that a rule wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub struct Schedule {
    pub name: String,
    pub every_ms: u32,
}

/// A host interface that a rule may import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// State of the partition of the event at hand.
    State,
    /// Lines in the host's log.
    Log,
}

impl Capability {
    /// Every capability of this host.
    pub const ALL: [Self; 2] = [Self::State, Self::Log];

    /// Its name in manifests, imports and grants.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Log => "log",
        }
    }
}

/// The operator's narrowing of a rule's interests: namespaces by the name of an interest.
pub type Narrowing = BTreeMap<String, Vec<String>>;
