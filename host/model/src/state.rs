//! State of rules as the engine sees it, independent of the store behind it.

use std::sync::Arc;

use super::Timestamp;

/// The key of a state slot: one partition of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The partition.
    pub partition: Arc<str>,
}

/// The owner of a slot's partition, which decides how long state outlives its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// The partition of one object.
    Object,
    /// A partition shared by the objects of a namespace, a label, a field or the cluster.
    Shared,
}

/// Bytes charged for each key of a rule's state in addition to the key and its value, for memory
/// overhead.
pub const KEY_BYTES: usize = 64;
/// Bytes charged for each partition with state in addition to its name.
pub const SLOT_BYTES: usize = 128;

/// A change that an event made to its partition's state. The list of these is committed with the event's
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key to a value, optionally until a time.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The time from which the key no longer exists. `None` if it does not expire.
        expires_at: Option<Timestamp>,
    },
    /// Removes a key.
    Remove {
        /// The key.
        key: String,
    },
}

impl Write {
    /// Returns the key that is written.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Remove { key } => key,
        }
    }
}

/// Committed state, read while rules run.
pub trait StateView: Send + Sync {
    /// Returns the value of a key at a time of the event clock.
    fn get(&self, slot: &Slot, key: &str, now: Timestamp) -> Option<String>;

    /// Returns all live keys of a slot, sorted, each with the bytes of key and value together.
    fn sizes(&self, slot: &Slot, now: Timestamp) -> Vec<(String, usize)>;
}

/// Stores the state of rules.
pub trait StateKeeper: StateView {
    /// Commits the writes of an event at a time. Keys that have expired by then may be removed.
    fn commit(&self, slot: &Slot, writes: Vec<Write>, now: Timestamp);

    /// Removes all state of a slot.
    fn forget(&self, slot: &Slot);

    /// Removes the expired keys of a rule, and returns the slots that they were in.
    fn purge(&self, rule: &str, now: Timestamp) -> Vec<Slot>;

    /// Returns the bytes that a rule's state takes: keys and values, [`KEY_BYTES`] for each key, and the
    /// name and [`SLOT_BYTES`] for each partition.
    fn used(&self, rule: &str) -> usize;

    /// Returns the bytes that a rule's state would take if writes to a slot were committed. Each key is
    /// written once.
    fn used_with(&self, slot: &Slot, writes: &[Write]) -> usize;
}
