//! What receivers are told of an alarm: eventarbiter's own form.

use std::collections::BTreeMap;

use klaxon_sdk::{Event, Notice, rfc3339_seconds};
use serde::Serialize;

use crate::alarm::{About, Alarm, FAILED_SCHEDULING};

/// A scheduler's message names every node: more than this nobody reads.
const MOST_BYTES: usize = 512;

/// The body of an alarm.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    kind: String,
    name: &'a str,
    namespace: &'a str,
    /// For pods only.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    reason: &'a str,
    last_timestamp: String,
    message: &'a str,
    environment: &'a BTreeMap<String, String>,
}

/// What receivers are told.
pub(crate) fn of<'a>(
    event: &'a Event,
    notice: &'a Notice,
    alarm: &Alarm,
    environment: &'a BTreeMap<String, String>,
) -> Body<'a> {
    let host = notice.source_host.as_deref().unwrap_or_default();
    let is_long = notice.reason == FAILED_SCHEDULING;
    Body {
        kind: notice.regarding.kind.to_uppercase(),
        name: &notice.regarding.name,
        namespace: &event.object.namespace,
        host: (alarm.about == About::Pod).then_some(host),
        reason: &notice.reason,
        last_timestamp: rfc3339_seconds(notice.last_at.unwrap_or(event.time)),
        message: if is_long { cut(&notice.message) } else { &notice.message },
        environment,
    }
}

/// What an alarm is about: a node's Events carry its uid or its name in the place of the uid.
pub(crate) fn key(notice: &Notice, alarm: &Alarm) -> String {
    let about = &notice.regarding;
    match alarm.about {
        About::Node => about.name.clone(),
        About::Pod if about.uid.is_empty() => format!("{}/{}", about.namespace, about.name),
        About::Pod => about.uid.clone(),
    }
}

/// As much of a text as fits, whole characters only.
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(MOST_BYTES);
    text.get(..end).unwrap_or_default()
}
