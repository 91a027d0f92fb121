//! An observation of a source, before it is routed to rules.

use std::sync::Arc;

use super::{Object, Timestamp};

/// An object in a state that a source observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The time at which the host observed it; virtual in a replay.
    pub time: Timestamp,
    /// The way in which it was observed.
    pub seen: Seen,
    /// The object.
    pub object: Arc<Object>,
    /// Hash of the object's JSON, which distinguishes two revision epochs that share a version; 0 if it
    /// is not needed.
    pub digest: u64,
}

/// The way in which an object was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The object was created or changed.
    Present,
    /// The object existed when the stream began.
    Snapshot,
    /// The object was deleted; this is its last state.
    Deleted,
    /// The object exists, but the source no longer follows it.
    Outside,
}
