//! Rows of watches, timers and state, for display.

use rusqlite::Row;
use serde::Serialize;
use serde_json::value::RawValue;

use super::filter::Fields;
use super::list::{Listed, Table};
use super::rows::maybe;
use crate::time;
use klaxon_model::Timestamp;

/// A watch.
#[derive(Debug, Clone, Serialize)]
pub struct WatchRow {
    /// The watch's name.
    pub name: String,
    /// The resource version to resume from; `None` if no list was completed, or the kind is not served.
    pub cursor: Option<String>,
    /// The last time at which the watch was in sync.
    pub since: Timestamp,
    /// `true` while a list is not complete.
    pub listing: bool,
}

impl Listed for WatchRow {
    const TABLE: Table = Table {
        what: "watches",
        columns: "w.name, w.cursor, w.since, w.listing",
        from: "watches w",
        order: "w.name",
        fields: Fields { since: Some("w.since >= ?"), until: Some("w.since < ?"), ..Fields::NONE },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            cursor: row.get(1)?,
            since: time(row.get(2)?),
            listing: row.get(3)?,
        })
    }
}

/// A timer that a rule set.
#[derive(Debug, Clone, Serialize)]
pub struct TimerRow {
    /// The rule.
    pub rule: String,
    /// The timer's partition.
    pub partition: String,
    /// The timer's name.
    pub key: String,
    /// The time at which it fires.
    pub due: Timestamp,
    /// The payload that the rule gets then.
    pub payload: String,
    /// The id of the event on which it was set.
    pub set_by: String,
    /// The interest of that event.
    pub interest: String,
    /// The object's identity, as JSON.
    pub object: Box<RawValue>,
}

impl Listed for TimerRow {
    const TABLE: Table = Table {
        what: "timers",
        columns: "w.rule, w.partition, w.key, w.due, w.payload, w.set_by, w.interest, w.identity",
        from: "timers w",
        order: "w.due, w.rule, w.partition, w.key",
        fields: Fields {
            rule: Some("w.rule = ?"),
            key: Some("w.key = ?"),
            since: Some("w.due >= ?"),
            until: Some("w.due < ?"),
            ..Fields::NONE
        },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rule: row.get(0)?,
            partition: row.get(1)?,
            key: row.get(2)?,
            due: time(row.get(3)?),
            payload: row.get(4)?,
            set_by: row.get(5)?,
            interest: row.get(6)?,
            object: RawValue::from_string(row.get(7)?).unwrap_or_default(),
        })
    }
}

/// A row of a rule's state.
#[derive(Debug, Clone, Serialize)]
pub struct StateRow {
    /// The rule.
    pub rule: String,
    /// The rule's state version.
    pub version: i64,
    /// The state's partition.
    pub partition: String,
    /// The key.
    pub key: String,
    /// The value, as the rule wrote it.
    pub value: String,
    /// The time at which it expires; `None` if it expires with its partition.
    pub expires_at: Option<Timestamp>,
}

impl Listed for StateRow {
    const TABLE: Table = Table {
        what: "state",
        columns: "s.rule, s.version, s.partition, s.key, s.value, s.expires_at",
        from: "state s",
        order: "s.rule, s.version, s.partition, s.key",
        fields: Fields { rule: Some("s.rule = ?"), key: Some("s.key = ?"), ..Fields::NONE },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rule: row.get(0)?,
            version: row.get(1)?,
            partition: row.get(2)?,
            key: row.get(3)?,
            value: row.get(4)?,
            expires_at: maybe(row, 5)?,
        })
    }
}
