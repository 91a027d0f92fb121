//! State of rules as the engine sees it: who keeps it is not the engine's business.

use std::sync::Arc;

use super::Timestamp;

/// Whose state: one partition of one rule.
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
    /// One object's own.
    Object,
    /// Shared by the objects of a namespace, a label, a field or the cluster.
    Shared,
}

/// Bytes that each key of a rule's state counts for besides itself and its value: memory that it takes.
pub const KEY_BYTES: usize = 64;
/// Bytes that each partition with state counts for besides its name.
pub const SLOT_BYTES: usize = 128;

/// What an event did to its partition's state. A log of these is committed with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A key has a value, until a time if one is given.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// From then on the key is gone.
        expires_at: Option<Timestamp>,
    },
    /// A key is gone.
    Remove {
        /// The key.
        key: String,
    },
}

impl Write {
    /// The key that it is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Remove { key } => key,
        }
    }
}

/// Committed state, read while rules run.
pub trait StateView: Send + Sync {
    /// The value of a key at a time of the event clock.
    fn get(&self, slot: &Slot, key: &str, now: Timestamp) -> Option<String>;

    /// All live keys of a slot and the bytes of each key and value together, sorted by key.
    fn sizes(&self, slot: &Slot, now: Timestamp) -> Vec<(String, usize)>;
}

/// Keeps state. In memory for now; the journal will commit it with the answers.
pub trait StateKeeper: StateView {
    /// Commits what an event wrote at a time; what has expired by then may go.
    fn commit(&self, slot: &Slot, writes: Vec<Write>, now: Timestamp);

    /// Forgets all of a slot.
    fn forget(&self, slot: &Slot);

    /// Forgets keys of a rule whose time to live is over, and returns the slots that they were in.
    fn purge(&self, rule: &str, now: Timestamp) -> Vec<Slot>;

    /// Bytes that a rule's state takes: keys and values, [`KEY_BYTES`] for each key, and the name and
    /// [`SLOT_BYTES`] for each partition.
    fn used(&self, rule: &str) -> usize;

    /// Bytes that a rule's state would take if writes to a slot were committed. Each key is written once.
    fn used_with(&self, slot: &Slot, writes: &[Write]) -> usize;
}
