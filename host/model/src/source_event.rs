//! The events of a source: everything that a watch of the cluster or a recorded stream reports to the pipeline.

use super::{PersistedObject, Seen, Timestamp, api_group, are_kubernetes_events};

/// One event of a source, in one of its scopes: a watch or a recorded stream.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceEvent {
    /// A list of everything that exists begins.
    ListStarted {
        /// The reason for listing.
        start: ListStart,
        /// The kind and namespace that the scope follows, where that is known before the list is complete.
        coverage: Option<Coverage>,
    },
    /// A recorded stream lost its position: changes were missed, and a list follows.
    GapStarted {
        /// The time of the last record before the gap.
        from: Timestamp,
        /// The message of the server.
        reason: String,
    },
    /// An object, as JSON.
    Object {
        /// The way in which it was seen.
        seen: Seen,
        /// The object.
        json: Box<str>,
        /// `true` for a change or a deletion. Changes follow a list, so one ends a list that has no end of its own.
        is_change: bool,
    },
    /// An object exists that the selector of the watch leaves out.
    Excluded {
        /// The uid of the object.
        uid: String,
    },
    /// The list is complete. Timers of the rules that the scope feeds are due again.
    ListCompleted {
        /// The kind and namespace of the list, which may be empty.
        coverage: Option<Coverage>,
    },
    /// Nothing is missing up to now.
    Progress,
    /// An object of a list that is made only for rules that are new, as JSON.
    BackfillObject(Box<str>),
    /// The new rules have been given everything that exists.
    BackfillCompleted,
    /// The watch continues where it was, and nothing was missed.
    Connected,
    /// The watch lost its connection: timers of the rules that it feeds are suspended until it is back.
    Disconnected,
    /// The API server does not serve the kind, so nothing of it exists. `start` is the reason for comparing if
    /// objects of the kind were known before.
    NotServed {
        /// `None` if nothing was known before.
        start: Option<ListStart>,
        /// The kind and namespace that the watch follows.
        coverage: Coverage,
    },
}

impl SourceEvent {
    /// Returns the bytes of the JSON that it carries.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Object { json, .. } | Self::BackfillObject(json) => json.len(),
            Self::ListStarted { .. }
            | Self::GapStarted { .. }
            | Self::Excluded { .. }
            | Self::ListCompleted { .. }
            | Self::Progress
            | Self::BackfillCompleted
            | Self::Connected
            | Self::Disconnected
            | Self::NotServed { .. } => 0,
        }
    }
}

/// The reason for listing everything that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListStart {
    /// Nothing was known before: existing objects are reported as state, not as changes.
    First,
    /// Changes may have been missed since a time.
    Compare(GapStart),
}

/// The start of a gap: a period in which changes may have been missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapStart {
    /// The last moment at which no change was missing.
    pub from: Timestamp,
    /// The cause, for the record of the gap.
    pub reason: String,
    /// The effect of the gap on events and on its record.
    pub effect: GapEffect,
    /// The version at which everything that existed was known: an unknown object of a higher version is
    /// new. `None` if that was never so.
    pub complete_at: Option<u64>,
    /// `true` where etcd was restored and versions may repeat, so that objects are also compared by their digests.
    pub is_other_epoch: bool,
}

/// The effect of a period without watching on events and on the record of the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapEffect {
    /// Events that are found carry the mark `gap`, and there is a record of the gap.
    Marked,
    /// Kubernetes Events outlive the period and count their repeats: only those that were deleted
    /// before their time can have been missed. The record of the gap notes it; events that are found carry no mark.
    Counted,
}

/// The kind and namespace that a watch follows or a stream is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coverage {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, such as `Pod`.
    pub kind: String,
    /// The only namespace. `None` for all.
    pub namespace: Option<String>,
}

impl Coverage {
    /// Returns `true` for Kubernetes Events.
    pub fn is_of_events(&self) -> bool {
        are_kubernetes_events(&self.group, &self.kind)
    }

    /// Returns `true` if an object of the journal belongs to it.
    pub fn covers_persisted(&self, object: &PersistedObject) -> bool {
        self.covers(api_group(&object.api_version), &object.kind, &object.namespace)
    }

    /// Returns `true` if objects of a group and kind in a namespace belong to it.
    pub fn covers(&self, group: &str, kind: &str, namespace: &str) -> bool {
        self.kind == kind
            && self.group == group
            && self.namespace.as_ref().is_none_or(|only| only == namespace)
    }
}
