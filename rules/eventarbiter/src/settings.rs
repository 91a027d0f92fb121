//! The operator's choices, each in JSON's own form or in the comma list of eventarbiter's options.

use std::collections::BTreeMap;

use klaxon_sdk::{Duration, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::alarm::{ALARMS, Alarm};

/// The operator's choices.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Alarms that are left out: a list, or names with commas between them.
    pub event_filter: EventFilter,
    /// Passed on with each alarm: an object of texts, or `key=value` with commas between them.
    pub environment: Environment,
    /// How long an alarm about one object stays quiet after it was raised; without it, it never does.
    pub repeat: Option<Duration>,
    /// The form of what receivers get.
    pub payload: Form,
}

/// See [`Settings::payload`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Times in RFC 3339, messages of the scheduler up to 512 bytes.
    #[default]
    Klaxon,
    /// To the letter what eventarbiter 1.2.0 sent.
    Original,
}

/// See [`Settings::event_filter`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EventFilter {
    /// Each name by itself.
    List(Vec<String>),
    /// Names with commas between them.
    Text(String),
}

/// See [`Settings::environment`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Environment {
    /// Each pair by itself.
    Pairs(BTreeMap<String, String>),
    /// `key=value` with commas between them.
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
    /// The alarms that are raised.
    ///
    /// # Errors
    /// Where a name is no alarm's: it would leave out nothing, and nobody would notice.
    pub(crate) fn raised(&self) -> Result<Vec<&'static Alarm>, Problem> {
        let names: Vec<&str> = match self {
            Self::List(names) => names.iter().map(|name| name.trim()).collect(),
            Self::Text(text) => entries(text).collect(),
        };
        if let Some(name) = names.iter().find(|name| !ALARMS.iter().any(|one| one.is_called(name)))
        {
            let known: Vec<&str> = ALARMS.iter().map(|alarm| alarm.name).collect();
            let message = format!("{name:?} is no alarm; hint: use {}", known.join(", "));
            return Err(Problem { path: "/event_filter".to_owned(), message });
        }
        let is_raised = |alarm: &&Alarm| !names.iter().any(|name| alarm.is_left_out_by(name));
        Ok(ALARMS.iter().filter(is_raised).collect())
    }
}

impl Environment {
    /// The pairs.
    ///
    /// # Errors
    /// Where an entry has no `=`.
    pub(crate) fn pairs(self) -> Result<BTreeMap<String, String>, Problem> {
        let text = match self {
            Self::Pairs(pairs) => return Ok(pairs),
            Self::Text(text) => text,
        };
        let pair = |entry: &str| match entry.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Problem {
                path: "/environment".to_owned(),
                message: format!("{entry:?} has no `=`; hint: write key=value,key=value"),
            }),
        };
        entries(&text).map(pair).collect()
    }
}

/// The entries of a comma list, without blanks around them; empty ones do not count.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
