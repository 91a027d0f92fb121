//! What receivers are told of an alarm: eventarbiter's own form.

use std::collections::BTreeMap;

use klaxon_sdk::{Event, KubernetesEvent, rfc3339_seconds};
use serde::Serialize;

use crate::alarm::{About, Alarm, FAILED_SCHEDULING};
use crate::settings::Form;

/// Go's form of the time that eventarbiter took for a missing one.
const YEAR_ONE: &str = "0001-01-01 00:00:00 +0000 UTC";

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
    /// `null` where it is `None`.
    environment: Option<&'a BTreeMap<String, String>>,
}

/// Returns what receivers are told.
pub(crate) fn of<'a>(
    event: &'a Event,
    kubernetes_event: &'a KubernetesEvent,
    alarm: &Alarm,
    environment: &'a BTreeMap<String, String>,
    form: Form,
) -> Body<'a> {
    let is_scheduler = kubernetes_event.reason == FAILED_SCHEDULING;
    let is_original = form == Form::Original;
    let host = match &kubernetes_event.source_host {
        Some(host) if !(is_original && is_scheduler) => host,
        _ => "",
    };
    Body {
        kind: kubernetes_event.regarding.kind.to_uppercase(),
        name: &kubernetes_event.regarding.name,
        namespace: &event.object.namespace,
        host: (alarm.about == About::Pod).then_some(host),
        reason: &kubernetes_event.reason,
        last_timestamp: match form {
            Form::Klaxon => rfc3339_seconds(kubernetes_event.last_at.unwrap_or(event.time)),
            Form::Original => original_time(kubernetes_event),
        },
        message: if is_scheduler {
            cut(&kubernetes_event.message, form)
        } else {
            &kubernetes_event.message
        },
        environment: Some(environment).filter(|pairs| !(is_original && pairs.is_empty())),
    }
}

/// Returns `lastTimestamp` as Go prints it. It is null, and so the year 1, in Kubernetes Events of
/// the newer recorder; an action is what only those have.
fn original_time(kubernetes_event: &KubernetesEvent) -> String {
    match kubernetes_event.last_at {
        Some(at) if kubernetes_event.action.is_none() => {
            rfc3339_seconds(at).replace('T', " ").replace('Z', " +0000 UTC")
        }
        _ => YEAR_ONE.to_owned(),
    }
}

/// What an alarm is about: a node's Events carry its uid or its name in the place of the uid.
pub(crate) fn key(kubernetes_event: &KubernetesEvent, alarm: &Alarm) -> String {
    let about = &kubernetes_event.regarding;
    match alarm.about {
        About::Node => about.name.clone(),
        About::Pod if about.uid.is_empty() => format!("{}/{}", about.namespace, about.name),
        About::Pod => about.uid.clone(),
    }
}

/// Cuts a scheduler's message, which names every node, at a whole character.
fn cut(text: &str, form: Form) -> &str {
    let most_bytes = match form {
        Form::Klaxon => 512,
        Form::Original => 255,
    };
    text.get(..text.floor_char_boundary(most_bytes)).unwrap_or_default()
}
