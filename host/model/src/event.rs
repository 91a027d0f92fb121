//! One normalized change as one rule sees it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Failure, Id, Object, Timestamp};

/// The reason why a rule is called. The contract documents each.
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
    /// Returns the name used in errors and logs.
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

/// The timer behind a timer event or a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// The timer's key, or the schedule's name.
    pub key: String,
    /// The due time.
    pub due: Timestamp,
    /// The payload that the rule stored with the timer.
    pub payload: String,
    /// The event whose answer set the timer last.
    pub set_by: Id,
}

/// A value found by a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value was found, or JSON null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number without a fraction that fits into 64 bits.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(String),
    /// An array, an object, or the array of several matches, as JSON.
    Json(String),
}

/// Values of an interest's fields, by position.
pub type Fields = Result<Vec<Value>, Arc<Failure>>;

/// The origin of events: cluster and source.
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
    /// Cluster and source of the observation.
    pub origin: Arc<Origin>,
    /// The time at which it happened; the rule's only clock.
    pub time: Timestamp,
    /// The reason why the rule is called.
    pub change: Change,
    /// `true` if the event was found by a relist after a gap.
    pub gap: bool,
    /// The index of the rule's interest that matched.
    pub interest: u32,
    /// The timer, for a timer event and a tick.
    pub timer: Option<Timer>,
    /// The object that the event is about.
    pub object: Arc<Object>,
    /// The increase of the count, for a Kubernetes Event.
    pub delta: u32,
    /// Values of the interest's fields, by index; or the failure to evaluate them, which is then the
    /// answer to the event: the rule is not called.
    pub fields: Fields,
    /// The partition: events with the same partition share state and order.
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
