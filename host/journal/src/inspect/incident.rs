//! Rows of open incidents, for display.

use rusqlite::Row;
use serde::Serialize;

use super::filter::Fields;
use super::list::{Listed, Table};

/// An open incident of a rule that has a policy, or that inhibits others.
#[derive(Debug, Clone, Serialize)]
pub struct IncidentRow {
    /// The rule.
    pub rule: String,
    /// The code.
    pub code: String,
    /// The verdicts' key.
    pub key: String,
    /// The time of its first verdict.
    pub since: String,
    /// The time of its last verdict.
    pub touched: String,
    /// The time of the last delivery to receivers; `None` if there was none.
    pub delivered_at: Option<String>,
    /// The time until which its newest firing is pending at most; `None` if no inhibition makes it pending.
    pub waits_until: Option<String>,
}

impl Listed for IncidentRow {
    const TABLE: Table = Table {
        what: "incidents",
        columns: "i.rule, i.code, i.key, i.record ->> '$.incident.since', \
                  i.record ->> '$.incident.touched', i.record ->> '$.incident.delivered.at', \
                  i.record ->> '$.incident.held.until'",
        // The rows of a rule's throttle and of its budgets have an empty code.
        from: "(SELECT * FROM incidents WHERE code <> '') i",
        order: "i.rule, i.code, i.key",
        fields: Fields {
            rule: Some("i.rule = ?"),
            code: Some("i.code = ?"),
            key: Some("i.key = ?"),
            ..Fields::NONE
        },
    };

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            rule: row.get(0)?,
            code: row.get(1)?,
            key: row.get(2)?,
            since: row.get(3)?,
            touched: row.get(4)?,
            delivered_at: row.get(5)?,
            waits_until: row.get(6)?,
        })
    }
}
