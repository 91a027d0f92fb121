//! Entries: the events that a rule is asked about, and the other changes that its timers and state depend on, in
//! order. For a lagging rule they are queued, in memory and in the journal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use klaxon_model::{Change, Event, Id, Object, Timer, Timestamp};

/// One event or change that a rule processes.
#[derive(Debug, Clone)]
pub(in crate::pipeline) enum Entry {
    /// The rule is asked about an event.
    Ask(Arc<Event>),
    /// An object has another form, or does not exist any longer. Timers carry the last known form.
    Known { object: Arc<Object>, exists: bool, before: Option<Arc<Object>>, time: Timestamp },
    /// The object of a partition exists.
    Came(Arc<str>, Timestamp),
    /// The object of a partition was deleted.
    Went(Arc<str>, Timestamp),
    /// The object of a partition is not followed any longer.
    Unfollowed(Arc<str>, Timestamp),
    /// The rule's timers are suspended from this time on, or no longer suspended.
    Suspended(bool, Timestamp),
}

impl Entry {
    pub(in crate::pipeline) fn time(&self) -> Timestamp {
        match self {
            Self::Ask(event) => event.time,
            Self::Known { time, .. }
            | Self::Came(_, time)
            | Self::Went(_, time)
            | Self::Unfollowed(_, time)
            | Self::Suspended(_, time) => *time,
        }
    }

    /// Returns the number of bytes that the entry takes in memory but not in the journal.
    pub(in crate::pipeline) fn more_bytes(&self) -> usize {
        match self {
            Self::Ask(event) => event.fields_bytes(),
            Self::Known { .. }
            | Self::Came(..)
            | Self::Went(..)
            | Self::Unfollowed(..)
            | Self::Suspended(..) => 0,
        }
    }

    /// Returns `true` for a timer that fired. The journal stores it as the timer that it was, unless that timer is
    /// set again.
    pub(in crate::pipeline) fn is_timer(&self) -> bool {
        matches!(self, Self::Ask(event) if event.change == Change::Timer)
    }

    /// Returns `true` for a fired timer with this partition and key.
    pub(in crate::pipeline) fn is_timer_of(&self, partition: &str, key: &str) -> bool {
        let Self::Ask(event) = self else { return false };
        let timer = event.timer.as_ref().filter(|_| event.change == Change::Timer);
        *event.partition == *partition && timer.is_some_and(|timer| timer.key == key)
    }
}

/// An entry as stored in the journal. Aliases are the names in journals of earlier versions.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::pipeline) enum PersistedEntry {
    Ask {
        id: Id,
        time: Timestamp,
        change: Change,
        gap: bool,
        /// The name of the interest: its index may differ in a new version of the rule.
        interest: String,
        timer: Option<Timer>,
        object: Arc<Object>,
        delta: u32,
        partition: Arc<str>,
    },
    Known {
        object: Arc<Object>,
        exists: bool,
        time: Timestamp,
        /// `true` if this is not a queued entry, but the form at the rule's position.
        is_so: bool,
    },
    Came(Arc<str>, Timestamp),
    Went(Arc<str>, Timestamp),
    Unfollowed(Arc<str>, Timestamp),
    #[serde(alias = "Held")]
    Suspended {
        #[serde(alias = "is_held")]
        is_suspended: bool,
        time: Timestamp,
        /// `true` if this is not a queued entry, but the state at the rule's position.
        is_so: bool,
    },
}

impl PersistedEntry {
    /// Creates the stored part of an entry; `interest_name` returns the name of an interest of the rule.
    pub(in crate::pipeline) fn of(
        entry: &Entry,
        interest_name: impl FnOnce(u32) -> String,
    ) -> Self {
        match entry {
            Entry::Ask(event) => {
                let event = &**event;
                Self::Ask {
                    id: event.id,
                    time: event.time,
                    change: event.change,
                    gap: event.gap,
                    interest: interest_name(event.interest),
                    timer: event.timer.clone(),
                    object: event.object.clone(),
                    delta: event.delta,
                    partition: event.partition.clone(),
                }
            }
            Entry::Known { object, exists, time, .. } => {
                Self::Known { object: object.clone(), exists: *exists, time: *time, is_so: false }
            }
            Entry::Came(partition, time) => Self::Came(partition.clone(), *time),
            Entry::Went(partition, time) => Self::Went(partition.clone(), *time),
            Entry::Unfollowed(partition, time) => Self::Unfollowed(partition.clone(), *time),
            Entry::Suspended(is_suspended, time) => {
                Self::Suspended { is_suspended: *is_suspended, time: *time, is_so: false }
            }
        }
    }

    pub(in crate::pipeline) fn time(&self) -> Timestamp {
        match self {
            Self::Ask { time, .. }
            | Self::Known { time, .. }
            | Self::Came(_, time)
            | Self::Went(_, time)
            | Self::Unfollowed(_, time)
            | Self::Suspended { time, .. } => *time,
        }
    }

    /// Returns the compressed bytes, and their number before compression.
    pub(in crate::pipeline) fn pack(&self) -> Result<(Vec<u8>, usize), String> {
        let json = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        let packed = zstd::encode_all(json.as_slice(), 1).map_err(|error| error.to_string())?;
        Ok((packed, json.len()))
    }

    pub(in crate::pipeline) fn unpack(packed: &[u8]) -> Result<(Self, usize), String> {
        let json = zstd::decode_all(packed).map_err(|error| error.to_string())?;
        let stored = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        Ok((stored, json.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_earlier_versions_can_be_read() {
        let read = |json: &str| serde_json::from_str::<PersistedEntry>(json);
        assert!(matches!(
            read(r#"{"Held":{"is_held":true,"time":"2026-01-01T00:00:00Z","is_so":true}}"#)
                .unwrap(),
            PersistedEntry::Suspended { is_suspended: true, is_so: true, .. }
        ));
        let change: Change = serde_json::from_str("\"Wake\"").unwrap();
        assert_eq!(change, Change::Timer);
    }
}
