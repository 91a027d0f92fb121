//! One normalized change as one rule sees it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Failure, Id, Object, Timestamp};

/// Why a rule is called. The contract documents each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "mirrors the contract, which documents each")]
pub enum Change {
    Added,
    Modified,
    Deleted,
    Left,
    Snapshot,
    #[serde(alias = "Wake")]
    Timer,
    Tick,
}

impl Change {
    /// As it is written in errors and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Left => "left",
            Self::Snapshot => "snapshot",
            Self::Timer => "timer",
            Self::Tick => "tick",
        }
    }
}

/// The timer behind a timer or a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// The timer's key, or the schedule's name.
    pub key: String,
    /// When it was due.
    pub due: Timestamp,
    /// What the rule stored with the timer.
    pub payload: String,
    /// The event whose answer set the timer last.
    pub set_by: Id,
}

/// A value found by a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing was found, or JSON null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number without a fraction that 64 bits hold.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(String),
    /// An array, an object, or the array of several matches, as JSON.
    Json(String),
}

/// Values of an interest's fields, by position.
pub type Fields = Result<Vec<Value>, Arc<Failure>>;

/// Where events are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The cluster of the configuration.
    pub cluster: String,
    /// The name of the source.
    pub source: String,
}

/// One event for one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Stable id of the observation.
    pub id: Id,
    /// Where it was seen.
    pub origin: Arc<Origin>,
    /// When it happened; the rule's only clock.
    pub time: Timestamp,
    /// Why the rule is called.
    pub change: Change,
    /// Found by comparing after a missed period.
    pub gap: bool,
    /// Which of the rule's interests matched.
    pub interest: u32,
    /// For a timer and a tick.
    pub timer: Option<Timer>,
    /// What it is about.
    pub object: Arc<Object>,
    /// For a Kubernetes Event: how much its count grew.
    pub delta: u32,
    /// Values of the interest's fields, by position; or why they cannot be had, which is then the answer
    /// to the event: the rule is not asked.
    pub fields: Fields,
    /// Which state it shares.
    pub partition: Arc<str>,
}

impl Event {
    /// Returns the bytes that the values of its fields take in memory.
    pub fn fields_bytes(&self) -> usize {
        let values = self.fields.as_deref().unwrap_or_default();
        values.iter().map(Value::bytes).sum()
    }
}

impl Value {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Number(_) => 0,
                Self::Text(text) | Self::Json(text) => text.len(),
            }
    }
}
