//! Converts each kind of row to the cells of a table.

use serde::Deserialize;

use super::table::{cut, short, size};
use klaxon_journal::inspect::{
    BacklogRow, DeliveryRow, GapRow, IncidentRow, Listed, QuarantineRow, RefusalRow, State,
    StateRow, TimerRow, VerdictRow, WatchRow,
};
use klaxon_model::Timestamp;

/// The maximum length of a value in a table, in characters.
const VALUE: usize = 80;

/// A row that can be shown in a table.
pub(super) trait Cells: Listed {
    const HEADS: &'static [&'static str];

    fn cells(&self) -> Vec<String>;
}

/// The fields of a verdict's JSON that a table shows; missing fields are empty.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    severity: String,
    status: String,
    key: String,
    object: Object,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    kind: String,
    namespace: String,
    name: String,
}

impl Cells for VerdictRow {
    const HEADS: &'static [&'static str] =
        &["ID", "TIME", "RULE", "CODE", "SEVERITY", "STATUS", "KEY", "OBJECT"];

    fn cells(&self) -> Vec<String> {
        let Told { severity, status, key, object } =
            serde_json::from_str(&self.body).unwrap_or_default();
        let names = [object.kind, object.namespace, object.name];
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        vec![
            short(&self.id),
            self.time.to_string(),
            self.rule.clone(),
            self.code.clone(),
            severity,
            status,
            key,
            names.join("/"),
        ]
    }
}

impl Cells for DeliveryRow {
    const HEADS: &'static [&'static str] = &[
        "ID", "TARGET", "STATE", "TIME", "TRIES", "RULE", "CODE", "STATUS", "OBJECT", "SIZE",
        "KEY", "NOTE",
    ];

    fn cells(&self) -> Vec<String> {
        let note = match (self.state, self.next_at, &self.reason) {
            (State::Pending, Some(at), reason) => {
                let reason = reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
                format!("again at {at}{reason}")
            }
            (_, _, reason) => reason.clone().unwrap_or_default(),
        };
        vec![
            short(&self.id),
            self.target.clone(),
            self.state.as_str().to_owned(),
            self.settled_at.unwrap_or(self.made_at).to_string(),
            self.attempts.to_string(),
            self.rule.clone(),
            self.code.clone(),
            self.status.clone().unwrap_or_default(),
            self.object.clone(),
            size(self.bytes),
            self.key.clone(),
            note,
        ]
    }
}

impl Cells for GapRow {
    const HEADS: &'static [&'static str] =
        &["N", "WATCH", "KINDS", "NAMESPACE", "SINCE", "UNTIL", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.n.to_string(),
            self.watch.clone(),
            self.kinds.clone(),
            self.namespace.clone().unwrap_or_else(|| "all".to_owned()),
            self.since.to_string(),
            self.until.to_string(),
            self.reason.clone(),
        ]
    }
}

impl Cells for QuarantineRow {
    const HEADS: &'static [&'static str] = &["N", "TIME", "RULE", "SCOPE", "SIZE", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.n.to_string(),
            self.time.to_string(),
            self.rule.clone().unwrap_or_else(|| "-".to_owned()),
            self.scope.clone(),
            size(self.bytes),
            self.reason.clone(),
        ]
    }
}

impl Cells for BacklogRow {
    const HEADS: &'static [&'static str] = &["N", "RULE", "TIME", "SIZE"];

    fn cells(&self) -> Vec<String> {
        vec![self.n.to_string(), self.rule.clone(), self.time.to_string(), size(self.bytes)]
    }
}

impl Cells for WatchRow {
    const HEADS: &'static [&'static str] = &["WATCH", "CURSOR", "SINCE", "STATE"];

    fn cells(&self) -> Vec<String> {
        let state = match (self.listing, &self.cursor) {
            (true, _) => "listing",
            (false, Some(_)) => "following",
            (false, None) => "not served",
        };
        let cursor = self.cursor.clone().unwrap_or_else(|| "-".to_owned());
        vec![self.name.clone(), cursor, self.since.to_string(), state.to_owned()]
    }
}

impl Cells for RefusalRow {
    const HEADS: &'static [&'static str] =
        &["N", "VERDICT", "TIME", "RULE", "CODE", "TARGET", "RETRY", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.n.to_string(),
            short(&self.verdict),
            self.time.to_string(),
            self.rule.clone(),
            self.code.clone(),
            self.target.clone(),
            optional(self.retry.then(|| "asked".to_owned())),
            self.reason.clone(),
        ]
    }
}

impl Cells for IncidentRow {
    const HEADS: &'static [&'static str] =
        &["RULE", "CODE", "KEY", "SINCE", "LAST", "DELIVERED", "WAITS UNTIL"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.rule.clone(),
            self.code.clone(),
            self.key.clone(),
            self.since.clone(),
            self.touched.clone(),
            optional(self.delivered_at.clone()),
            optional(self.waits_until.clone()),
        ]
    }
}

impl Cells for TimerRow {
    const HEADS: &'static [&'static str] = &["DUE", "RULE", "PARTITION", "KEY", "PAYLOAD"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.due.to_string(),
            self.rule.clone(),
            self.partition.clone(),
            self.key.clone(),
            cut(&self.payload, VALUE),
        ]
    }
}

impl Cells for StateRow {
    const HEADS: &'static [&'static str] =
        &["RULE", "VERSION", "PARTITION", "KEY", "EXPIRES", "VALUE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.rule.clone(),
            self.version.to_string(),
            self.partition.clone(),
            self.key.clone(),
            optional(self.expires_at.as_ref().map(Timestamp::to_string)),
            cut(&self.value, VALUE),
        ]
    }
}

fn optional(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
