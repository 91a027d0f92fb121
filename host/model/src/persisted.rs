//! Persisted data about the cluster, the state of rules and their timers, from which a restart continues.

use std::sync::Arc;

use super::{Id, Object, PersistedIncident, Slot, SlotKind, Timestamp, Write};

/// An object that exists, as far as the host knows.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistedObject {
    /// The unique key of the object: [`super::Identity::unique`].
    pub uid: Arc<str>,
    /// API version, such as `apps/v1`.
    pub api_version: Arc<str>,
    /// Kind, such as `Deployment`.
    pub kind: Arc<str>,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// Name of the object.
    pub name: Box<str>,
    /// The newest `resourceVersion` that was seen.
    pub version: Box<str>,
    /// Hash of that version's JSON; 0 if it was not computed.
    pub digest: u64,
    /// The count, for a Kubernetes Event.
    pub count: u32,
    /// The number of the relist that found the object again after a deletion had been reported; 0 if none
    /// did.
    pub life: u32,
    /// Memberships of the object in partitions, one for each interest that contains it.
    pub memberships: Vec<PersistedMembership>,
    /// The last known form of the object, if a timer or an interest in its deletion needs it.
    pub form: Option<Arc<Object>>,
}

/// Membership of an object in an interest of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedMembership {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The interest's name.
    pub interest: String,
    /// The partition that the object was in.
    pub partition: Arc<str>,
}

/// A timer that is set.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistedTimer {
    /// Rule and partition of the timer.
    pub slot: Slot,
    /// The timer's key.
    pub key: String,
    /// The due time.
    pub due: Timestamp,
    /// The payload that the rule stored with the timer.
    pub payload: String,
    /// The event whose answer set it last.
    pub set_by: Id,
    /// The name of that event's interest; a new version of the rule may have it at another index.
    pub interest: String,
    /// That event's object. On disk it is stored with the objects as long as it exists.
    pub object: Arc<Object>,
}

/// A record that a rule was given the existing objects of a watch when the rule was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The watch.
    pub scope: Arc<str>,
    /// Hash of the rule's settings and its interests in the watch.
    pub digest: Id,
    /// The number of this backfill, counted from 1.
    pub number: u64,
    /// `true` if the rule has received all existing objects.
    pub complete: bool,
}

/// One key of a rule's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedState {
    /// Rule and partition of the state.
    pub slot: Slot,
    /// The kind of partition; `None` in rows that an older version of the program wrote.
    pub kind: Option<SlotKind>,
    /// The state version of the rule that wrote it.
    pub version: u32,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// The time from which the key no longer exists. `None` if it does not expire.
    pub expires_at: Option<Timestamp>,
}

/// An entry in the backlog of a lagging rule: an event, or another input that the rule has not processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacklogEntry {
    /// The number of the entry, in the order of the backlog.
    pub number: i64,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The time of the entry.
    pub time: Timestamp,
    /// The whole entry, encoded.
    pub entry: Vec<u8>,
}

/// One change of the persisted data, in the order of the changes.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreOp {
    /// An object has a new form.
    Object(Box<PersistedObject>),
    /// An object is no longer known; by its unique key.
    NoObject(Arc<str>),
    /// An event wrote to its partition's state: slot, kind, state version of the rule, writes and time.
    State(Slot, SlotKind, u32, Vec<Write>, Timestamp),
    /// A partition no longer has state, in any state version.
    NoState(Slot),
    /// A timer was set or moved.
    Timer(Box<PersistedTimer>),
    /// A timer fired or was cancelled: slot and key.
    NoTimer(Slot, String),
    /// A partition's state expires at a time; `None` if it does not expire.
    Expiry(Slot, Option<Timestamp>),
    /// A backfill began or is complete.
    Backfilled(Backfill),
    /// A rule, by name, is no longer fed by a watch. If it is fed again it is backfilled again, under
    /// another number.
    NoBackfill(Arc<str>, Arc<str>),
    /// Another revision epoch was found: its number.
    RevisionEpoch(u64),
    /// A relist begins: its number.
    Comparison(u32),
    /// A watch no longer exists.
    NoWatch(String),
    /// Persists an incident, a throttle window or a write budget of the policy.
    Incident(Box<PersistedIncident>),
    /// Removes a row of the policy: rule, code and key.
    NoIncident(Arc<str>, String, String),
    /// An entry was added to the backlog of a rule.
    Backlog(Box<BacklogEntry>),
    /// An entry was removed from a backlog, by its number.
    NoBacklog(i64),
}
