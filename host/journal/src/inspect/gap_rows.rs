//! Rows of gaps, quarantined events and backlog events, for display.

use rusqlite::Row;
use serde::Serialize;

use super::filter::Fields;
use super::list::{Listed, Numbered, Table};
use super::rows::natural;
use crate::time;
use klaxon_model::Timestamp;

/// A gap.
#[derive(Debug, Clone, Serialize)]
pub struct GapRow {
    /// The gap's number.
    pub n: i64,
    /// The watch.
    pub watch: String,
    /// The kinds that the watch selects, separated by commas.
    pub kinds: String,
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// The time up to which the watch was complete.
    pub since: Timestamp,
    /// The time from which the watch is complete again.
    pub until: Timestamp,
    /// The reason.
    pub reason: String,
}

impl Listed for GapRow {
    const TABLE: Table = Table {
        what: "gaps",
        columns: "g.n, g.watch, g.kinds, g.namespace, g.since, g.until, g.reason",
        from: "gaps g",
        order: "g.n DESC",
        fields: Fields {
            // A gap matches a period that it overlaps.
            since: Some("g.until >= ?"),
            until: Some("g.since < ?"),
            ..Fields::NONE
        },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            watch: row.get(1)?,
            kinds: row.get(2)?,
            namespace: row.get(3)?,
            since: time(row.get(4)?),
            until: time(row.get(5)?),
            reason: row.get(6)?,
        })
    }
}

impl Numbered for GapRow {
    const NUMBER: &'static str = "g.n";

    fn number(&self) -> i64 {
        self.n
    }
}

/// A quarantined event, without the input.
#[derive(Debug, Clone, Serialize)]
pub struct QuarantineRow {
    /// The row's number.
    pub n: i64,
    /// The event's time.
    pub time: Timestamp,
    /// The rule that failed on the event; `None` for an object that could not be decoded.
    pub rule: Option<String>,
    /// The watch, or the event's id.
    pub scope: String,
    /// The reason.
    pub reason: String,
    /// The length of the input.
    pub bytes: u64,
}

const QUARANTINE: Table = Table {
    what: "quarantine",
    columns: "q.n, q.time, q.rule, q.scope, q.reason, length(q.input)",
    from: "quarantine q",
    order: "q.n DESC",
    fields: Fields {
        rule: Some("q.rule = ?"),
        since: Some("q.time >= ?"),
        until: Some("q.time < ?"),
        ..Fields::NONE
    },
};

impl Listed for QuarantineRow {
    const TABLE: Table = QUARANTINE;

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            time: time(row.get(1)?),
            rule: row.get(2)?,
            scope: row.get(3)?,
            reason: row.get(4)?,
            bytes: natural(row, 5)?,
        })
    }
}

/// A quarantined event, with the input.
#[derive(Debug, Clone, Serialize)]
pub struct Quarantined {
    /// The row without the input.
    #[serde(flatten)]
    pub row: QuarantineRow,
    /// The object as received, or as decoded.
    pub input: String,
}

impl Listed for Quarantined {
    const TABLE: Table = Table {
        columns: "q.n, q.time, q.rule, q.scope, q.reason, length(q.input), q.input",
        ..QUARANTINE
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { row: QuarantineRow::read(row)?, input: row.get(6)? })
    }
}

impl Numbered for Quarantined {
    const NUMBER: &'static str = "q.n";

    fn number(&self) -> i64 {
        self.row.n
    }
}

/// An event in the backlog of its rule.
#[derive(Debug, Clone, Serialize)]
pub struct BacklogRow {
    /// The row's number.
    pub n: i64,
    /// The rule.
    pub rule: String,
    /// The event's time.
    pub time: Timestamp,
    /// The event's stored length.
    pub bytes: u64,
}

impl Listed for BacklogRow {
    const TABLE: Table = Table {
        what: "backlog events",
        columns: "p.n, p.rule, p.time, length(p.event)",
        from: "backlog p",
        order: "p.n DESC",
        fields: Fields {
            rule: Some("p.rule = ?"),
            since: Some("p.time >= ?"),
            until: Some("p.time < ?"),
            ..Fields::NONE
        },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            rule: row.get(1)?,
            time: time(row.get(2)?),
            bytes: natural(row, 3)?,
        })
    }
}
