//! An operator's choice of rows, as a condition in SQL.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Value, ValueRef};
use serde::Serialize;

use super::InspectError;
use klaxon_model::Timestamp;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The delivery is to be sent.
    Pending,
    /// The receiver accepted the delivery.
    Sent,
    /// The delivery was given up and is a dead letter.
    Dead,
    /// A newer delivery superseded this one.
    Superseded,
}

impl State {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Sent, Self::Dead, Self::Superseded];

    /// Returns the state's name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
        }
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| "write pending, sent, dead or superseded".to_owned())
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| FromSqlError::Other(error.into()))
    }
}

/// A filter of rows; an empty one matches all rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The rule's configured name.
    pub rule: Option<String>,
    /// The verdict's code.
    pub code: Option<String>,
    /// The target's name.
    pub target: Option<String>,
    /// The verdict's key; for state and timers their own key.
    pub key: Option<String>,
    /// The delivery's state.
    pub state: Option<State>,
    /// The earliest time, inclusive.
    pub since: Option<Timestamp>,
    /// The latest time, exclusive.
    pub until: Option<Timestamp>,
}

/// The conditions by which the rows of a table can be chosen, each with one `?`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) rule: Option<&'static str>,
    pub(super) code: Option<&'static str>,
    pub(super) target: Option<&'static str>,
    pub(super) key: Option<&'static str>,
    pub(super) state: Option<&'static str>,
    pub(super) since: Option<&'static str>,
    pub(super) until: Option<&'static str>,
}

impl Fields {
    /// No conditions, so that a table lists only those that it has.
    pub(super) const NONE: Self = Self {
        rule: None,
        code: None,
        target: None,
        key: None,
        state: None,
        since: None,
        until: None,
    };
}

impl Filter {
    /// Returns the filter as a condition on rows with these fields.
    ///
    /// # Errors
    /// Fails if the rows lack a property that the filter names.
    pub(super) fn condition(
        &self,
        what: &'static str,
        fields: &Fields,
    ) -> Result<Condition, InspectError> {
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        let time = |time: Option<Timestamp>| time.map(|time| Value::Integer(time.as_millis()));
        let state = self.state.map(|state| Value::Text(state.as_str().to_owned()));
        let asked = [
            ("rule", fields.rule, text(&self.rule)),
            ("code", fields.code, text(&self.code)),
            ("target", fields.target, text(&self.target)),
            ("key", fields.key, text(&self.key)),
            ("state", fields.state, state),
            ("since", fields.since, time(self.since)),
            ("until", fields.until, time(self.until)),
        ];
        let known = asked.iter().filter(|(_, sql, _)| sql.is_some());
        let known: Vec<String> = known.map(|(name, ..)| format!("--{name}")).collect();
        let mut condition = Condition::default();
        for (filter, sql, value) in asked {
            let Some(value) = value else { continue };
            let Some(sql) = sql else {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(InspectError::NoFilter { what, filter, known });
            };
            condition.and(sql, [value]);
        }
        Ok(condition)
    }
}

/// A condition in SQL, and the values of its `?` in their order.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Default for Condition {
    fn default() -> Self {
        Self { sql: "1".to_owned(), values: Vec::new() }
    }
}

impl Condition {
    pub(super) fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND (");
        self.sql.push_str(sql);
        self.sql.push(')');
        self.values.extend(values);
    }
}
