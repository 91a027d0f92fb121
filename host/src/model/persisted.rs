//! What the journal keeps of the cluster and of the rules' dealings with it, so that a restart goes on
//! where the last run stopped.

use std::sync::Arc;

use super::{Id, Object, PersistedIncident, Slot, SlotKind, Timestamp, Write};

/// An object that exists, as far as the host knows.
#[derive(Debug, Clone, PartialEq)]
pub struct PersistedObject {
    /// What tells it from others: [`super::Identity::unique`].
    pub uid: Arc<str>,
    /// Such as `apps/v1`.
    pub api_version: Arc<str>,
    /// Such as `Deployment`.
    pub kind: Arc<str>,
    /// Empty for an object of the whole cluster.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// The newest version that was seen.
    pub version: Box<str>,
    /// Hash of that version's JSON; 0 where it was not taken.
    pub digest: u64,
    /// The count, of a Kubernetes Event.
    pub count: u32,
    /// The comparison that found it again after it was told to be gone; 0: none did.
    pub life: u32,
    /// Each rule's view of it.
    pub memberships: Vec<PersistedMembership>,
    /// Its last known form, where a timer or an interest in its end needs it.
    pub form: Option<Arc<Object>>,
}

/// A rule's view of an object.
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
    /// Whose it is.
    pub slot: Slot,
    /// Its key.
    pub key: String,
    /// When it is due.
    pub due: Timestamp,
    /// What the rule stored with it.
    pub payload: String,
    /// The event whose answer set it last.
    pub set_by: Id,
    /// The name of that event's interest; a new version of the rule may have it at another place.
    pub interest: String,
    /// That event's object; on disk it is with the objects, while it exists.
    pub object: Arc<Object>,
}

/// That a rule was given what existed when it was new, by a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The watch.
    pub scope: Arc<str>,
    /// Hash of the rule's settings and its interests in the watch.
    pub digest: Id,
    /// How many there were before, and this one.
    pub number: u64,
    /// Whether it has all that existed.
    pub complete: bool,
}

/// One key of a rule's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedState {
    /// Whose it is.
    pub slot: Slot,
    /// The owner of the partition; `None` in rows that an older version of the program wrote.
    pub kind: Option<SlotKind>,
    /// The state version of the rule that wrote it.
    pub version: u32,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// From then on the key is gone.
    pub expires_at: Option<Timestamp>,
}

/// What waits for a rule that is behind: an event, or something else that it has not come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BacklogEntry {
    /// Its number: what waits for a rule is in this order.
    pub number: i64,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// When it happened.
    pub time: Timestamp,
    /// All of it, packed.
    pub entry: Vec<u8>,
}

/// One change of what is kept, in the order of the changes.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreOp {
    /// An object is known in a new form.
    Object(Box<PersistedObject>),
    /// An object is not known any longer.
    NoObject(Arc<str>),
    /// An event wrote to its partition's state, at a time; the rule has this state version.
    State(Slot, SlotKind, u32, Vec<Write>, Timestamp),
    /// A partition has no state any longer, in any version.
    NoState(Slot),
    /// A timer is set or moved.
    Timer(Box<PersistedTimer>),
    /// A timer has fired or was cancelled.
    NoTimer(Slot, String),
    /// A partition's state goes at a time; none: it stays.
    Expiry(Slot, Option<Timestamp>),
    /// An backfill began or is complete.
    Backfilled(Backfill),
    /// A rule, by name, is not fed by a watch any longer: should it be again, it is backfilled anew, with
    /// another number.
    NoBackfill(Arc<str>, Arc<str>),
    /// Another history was found: its number.
    History(u64),
    /// A comparison with what was known begins: its number.
    Comparison(u32),
    /// A watch is not kept any longer.
    NoWatch(String),
    /// What the policy must remember of an incident or of a rule.
    Incident(Box<PersistedIncident>),
    /// It must remember nothing any longer of an incident: rule, code and key.
    NoIncident(Arc<str>, String, String),
    /// Something waits for a rule.
    Backlog(Box<BacklogEntry>),
    /// It does not any longer, by its number.
    NoBacklog(i64),
}
