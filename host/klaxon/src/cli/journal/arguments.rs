//! Arguments of several commands: filters, and the selection of deliveries.

use std::str::FromStr;

use clap::Args;

use klaxon_journal::inspect::{Filter, Selection, State};
use klaxon_model::Timestamp;

/// The filter for rows.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct FilterArguments {
    /// Of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// With this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// For this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// With this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Not before: so long ago, such as 2h, or a time (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Before: so long ago, or a time
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

impl FilterArguments {
    pub(super) fn filter(&self, now: Timestamp) -> Filter {
        Filter {
            rule: self.rule.clone(),
            code: self.code.clone(),
            target: self.target.clone(),
            key: self.key.clone(),
            state: None,
            since: self.since.map(|moment| moment.at(now)),
            until: self.until.map(|moment| moment.at(now)),
        }
    }

    pub(super) fn filter_in(&self, state: Option<State>, now: Timestamp) -> Filter {
        Filter { state, ..self.filter(now) }
    }
}

/// The selection of deliveries to change: by ids, by a filter, or all.
#[derive(Debug, Clone, Default, Args)]
#[group(
    id = "selection",
    required = true,
    multiple = true,
    args = ["ids", "all", "rule", "code", "target", "key", "since", "until"]
)]
pub(super) struct SelectionArguments {
    /// Ids of deliveries, or of verdicts for all their deliveries; unique beginnings will do
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub(super) ids: Vec<String>,
    /// All there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArguments,
}

impl SelectionArguments {
    /// Returns `true` if there is a filter.
    pub(super) fn has_filter(&self) -> bool {
        self.filter.filter(Timestamp::default()) != Filter::default()
    }

    pub(super) fn selection(&self, now: Timestamp) -> Selection {
        Selection { ids: self.ids.clone(), filter: self.filter.filter(now) }
    }
}

/// A time, or a duration before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    MillisAgo(i64),
}

impl Moment {
    fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::MillisAgo(millis) => now.plus_millis(-millis),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(span) = klaxon_yaml::span(text) {
            let millis = i64::try_from(span.as_millis()).map_err(|_| "that is too long ago")?;
            return Ok(Self::MillisAgo(millis));
        }
        let time = text.parse().map(Self::At);
        time.map_err(|_| {
            "write how long ago, such as 2h, or a time such as 2026-11-20T10:00:00Z".to_owned()
        })
    }
}

/// Parses the name of a state.
pub(super) fn state(text: &str) -> Result<State, String> {
    text.parse()
}
