//! Rows of verdicts, deliveries without their bodies, and refusals, for display.

use rusqlite::Row;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::State;
use super::filter::Fields;
use super::list::{Listed, Numbered, Table};
use crate::time;
use klaxon_model::Timestamp;

/// A verdict.
#[derive(Debug, Clone)]
pub struct VerdictRow {
    /// The verdict's number.
    pub number: i64,
    /// The verdict's id.
    pub id: String,
    /// The event's time.
    pub time: Timestamp,
    /// The rule.
    pub rule: String,
    /// The code.
    pub code: String,
    /// The verdict as JSON.
    pub body: String,
}

impl Listed for VerdictRow {
    const TABLE: Table = Table {
        what: "verdicts",
        columns: "v.n, v.id, v.time, v.rule, v.code, v.body",
        from: "verdicts v",
        order: "v.n DESC",
        fields: Fields {
            rule: Some("v.rule = ?"),
            code: Some("v.code = ?"),
            target: Some(
                "EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n AND d.target = ?)",
            ),
            key: Some("CASE WHEN json_valid(v.body) THEN json_extract(v.body, '$.key') END = ?"),
            state: Some(
                "EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n AND d.state = ?)",
            ),
            since: Some("v.time >= ?"),
            until: Some("v.time < ?"),
        },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            id: row.get(1)?,
            time: time(row.get(2)?),
            rule: row.get(3)?,
            code: row.get(4)?,
            body: row.get(5)?,
        })
    }
}

impl Numbered for VerdictRow {
    const NUMBER: &'static str = "v.n";

    fn number(&self) -> i64 {
        self.number
    }
}

impl Serialize for VerdictRow {
    /// Serializes the verdict itself, in the same form as `klaxon replay` prints it. Line breaks in a rule's
    /// payload become spaces.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match RawValue::from_string(self.body.replace(['\n', '\r'], " ")) {
            Ok(verdict) => verdict.serialize(serializer),
            Err(_) => self.body.serialize(serializer),
        }
    }
}

/// A delivery without its body.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryRow {
    /// The delivery's number.
    #[serde(skip)]
    pub number: i64,
    /// The delivery's id, the same at each attempt.
    pub id: String,
    /// The verdict's id.
    pub verdict: String,
    /// The target.
    pub target: String,
    /// The verdict's rule.
    pub rule: String,
    /// The verdict's code.
    pub code: String,
    /// The verdict's key.
    pub key: String,
    /// The delivery's state.
    pub state: State,
    /// The time at which it was made.
    pub made_at: Timestamp,
    /// The number of attempts.
    pub attempts: u64,
    /// The time of the first attempt.
    pub since: Option<Timestamp>,
    /// The time of the next attempt.
    pub next_at: Option<Timestamp>,
    /// The time at which it was sent, given up or superseded.
    pub settled_at: Option<Timestamp>,
    /// The reason of the last failure.
    pub reason: Option<String>,
    /// The beginning of the receiver's last response.
    pub response: Option<String>,
    /// The length of the body.
    pub bytes: u64,
    /// The verdict's status. `None` if its JSON cannot be read.
    pub status: Option<String>,
    /// The verdict's object, such as `Pod/shop/web-1`; empty if the verdict's JSON cannot be read.
    pub object: String,
}

/// The columns of [`DeliveryRow`]; a row with more has them after these.
macro_rules! delivery_columns {
    () => {
        "d.n, d.id, v.id, d.target, v.rule, v.code, d.key, d.state, d.made_at, d.attempts, \
              d.since, d.next_at, d.settled_at, d.reason, d.response, length(d.body), \
              CASE WHEN json_valid(v.body) THEN CAST(json_extract(v.body, '$.status') AS TEXT) END, \
              CASE WHEN json_valid(v.body) THEN \
              concat_ws('/', nullif(json_extract(v.body, '$.object.kind'), ''), \
              nullif(json_extract(v.body, '$.object.namespace'), ''), \
              nullif(json_extract(v.body, '$.object.name'), '')) ELSE '' END"
    };
}
pub(super) use delivery_columns;

pub(super) const DELIVERY: Table = Table {
    what: "deliveries",
    columns: delivery_columns!(),
    from: "deliveries d JOIN verdicts v ON v.n = d.verdict",
    order: "d.n DESC",
    fields: Fields {
        rule: Some("v.rule = ?"),
        code: Some("v.code = ?"),
        target: Some("d.target = ?"),
        key: Some("d.key = ?"),
        state: Some("d.state = ?"),
        since: Some("coalesce(d.settled_at, d.made_at) >= ?"),
        until: Some("coalesce(d.settled_at, d.made_at) < ?"),
    },
};

impl Listed for DeliveryRow {
    const TABLE: Table = DELIVERY;

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            id: row.get(1)?,
            verdict: row.get(2)?,
            target: row.get(3)?,
            rule: row.get(4)?,
            code: row.get(5)?,
            key: row.get(6)?,
            state: row.get(7)?,
            made_at: time(row.get(8)?),
            attempts: natural(row, 9)?,
            since: maybe(row, 10)?,
            next_at: maybe(row, 11)?,
            settled_at: maybe(row, 12)?,
            reason: row.get(13)?,
            response: row.get(14)?,
            bytes: natural(row, 15)?,
            status: row.get(16)?,
            object: row.get(17)?,
        })
    }
}

/// A refusal: a verdict of which a delivery could not be made, for example because its target is not
/// configured.
#[derive(Debug, Clone, Serialize)]
pub struct RefusalRow {
    /// The refusal's number.
    pub n: i64,
    /// The verdict's id.
    pub verdict: String,
    /// The verdict's rule.
    pub rule: String,
    /// The verdict's code.
    pub code: String,
    /// The target, as the rule named it.
    pub target: String,
    /// The time.
    pub time: Timestamp,
    /// The reason.
    pub reason: String,
    /// `true` if the service is asked to retry.
    pub retry: bool,
}

impl Listed for RefusalRow {
    const TABLE: Table = Table {
        what: "refusals",
        columns: "r.n, v.id, v.rule, v.code, r.target, r.time, r.reason, r.retry",
        from: "refusals r JOIN verdicts v ON v.n = r.verdict",
        order: "r.n DESC",
        fields: Fields {
            rule: Some("v.rule = ?"),
            code: Some("v.code = ?"),
            target: Some("r.target = ?"),
            key: None,
            state: None,
            since: Some("r.time >= ?"),
            until: Some("r.time < ?"),
        },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            verdict: row.get(1)?,
            rule: row.get(2)?,
            code: row.get(3)?,
            target: row.get(4)?,
            time: time(row.get(5)?),
            reason: row.get(6)?,
            retry: row.get(7)?,
        })
    }
}

/// Reads a count or a length.
pub(super) fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

/// Reads a time that may be null.
pub(super) fn maybe(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(time))
}
