//! Settings of the rule, each in JSON's own form or in the comma-separated form of eventarbiter's options.

use std::collections::BTreeMap;

use klaxon_sdk::{Duration, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::alarm::{ALARMS, Alarm};

/// Settings of the rule.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Alarms that are left out: a list, or names with commas between them.
    pub event_filter: EventFilter,
    /// Passed on with each alarm: an object of texts, or `key=value` with commas between them.
    pub environment: Environment,
    /// Time for which an alarm about one object is not raised again; without it, every alarm is raised.
    pub repeat: Option<Duration>,
    /// The form of what receivers get.
    pub payload: Form,
}

/// Format of the payload; see [`Settings::payload`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Times in RFC 3339, messages of the scheduler up to 512 bytes.
    #[default]
    Klaxon,
    /// Exactly the payload of eventarbiter 1.2.0.
    Original,
}

/// Names of excluded alarms; see [`Settings::event_filter`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EventFilter {
    /// A list of names.
    List(Vec<String>),
    /// Comma-separated names.
    Text(String),
}

/// Pairs that are passed on; see [`Settings::environment`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Environment {
    /// An object of pairs.
    Pairs(BTreeMap<String, String>),
    /// Comma-separated `key=value` pairs.
    Text(String),
}

impl Default for EventFilter {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::Pairs(BTreeMap::new())
    }
}

impl EventFilter {
    /// Returns the alarms that are raised.
    ///
    /// # Errors
    /// If a name is not that of an alarm: such an entry would have no effect without notice.
    pub(crate) fn raised(&self) -> Result<Vec<&'static Alarm>, Problem> {
        let names: Vec<&str> = match self {
            Self::List(names) => names.iter().map(|name| name.trim()).collect(),
            Self::Text(text) => entries(text).collect(),
        };
        if let Some(name) = names.iter().find(|name| !ALARMS.iter().any(|one| one.is_called(name)))
        {
            let known = ALARMS.map(|alarm| alarm.code.name).join(", ");
            let message = format!("{name:?} is no alarm; hint: use {known}");
            return Err(Problem::at("/event_filter", message));
        }
        let is_raised = |alarm: &&Alarm| !names.iter().any(|name| alarm.is_left_out_by(name));
        Ok(ALARMS.iter().filter(is_raised).collect())
    }
}

impl Environment {
    /// Returns the pairs.
    ///
    /// # Errors
    /// If an entry has no `=`.
    pub(crate) fn pairs(self) -> Result<BTreeMap<String, String>, Problem> {
        let text = match self {
            Self::Pairs(pairs) => return Ok(pairs),
            Self::Text(text) => text,
        };
        let pair = |entry: &str| {
            let (key, value) = entry.split_once('=').ok_or_else(|| {
                let message = format!("{entry:?} has no `=`; hint: write key=value,key=value");
                Problem::at("/environment", message)
            })?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        };
        entries(&text).map(pair).collect()
    }
}

/// Returns the trimmed entries of a comma-separated list; empty ones are skipped.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
