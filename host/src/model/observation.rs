//! One thing that a source saw, before anyone has asked which rules care.

use std::sync::Arc;

use super::{Object, Timestamp};

/// An object in a state that a source saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When the host observed it; virtual in a replay.
    pub time: Timestamp,
    /// How it was seen.
    pub seen: Seen,
    /// The object.
    pub object: Arc<Object>,
    /// Hash of its JSON, which tells two histories apart that share a version; 0 where nobody asks.
    pub digest: u64,
}

/// How an object was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was created or changed.
    Present,
    /// It existed when the stream began: state, not news.
    Snapshot,
    /// It is gone; this is its last state.
    Deleted,
    /// It exists, but the source does not follow it any longer.
    Outside,
}
