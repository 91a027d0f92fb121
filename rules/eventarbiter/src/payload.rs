//! The payload of an alarm, in eventarbiter's format.

use std::collections::BTreeMap;

use klaxon_sdk::{Event, KubernetesEvent};
use serde::Serialize;

use crate::alarm::{Alarm, FAILED_SCHEDULING, NODE};
use crate::settings::Form;

/// The zero time in Go's format, which eventarbiter used for a missing time.
const YEAR_ONE: &str = "0001-01-01 00:00:00 +0000 UTC";

/// Payload of an alarm.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    kind: String,
    name: &'a str,
    namespace: &'a str,
    /// Host of the event; only for pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    reason: &'a str,
    last_timestamp: String,
    message: &'a str,
    /// `null` in JSON if `None`.
    environment: Option<&'a BTreeMap<String, String>>,
}

/// Returns the payload of an alarm.
pub(crate) fn of<'a>(
    event: &'a Event,
    kubernetes_event: &'a KubernetesEvent,
    alarm: &Alarm,
    environment: &'a BTreeMap<String, String>,
    form: Form,
) -> Body<'a> {
    let is_scheduler = kubernetes_event.reason == FAILED_SCHEDULING;
    let is_original = form == Form::Original;
    let host = kubernetes_event.source_host.as_deref().filter(|_| !(is_original && is_scheduler));
    Body {
        kind: kubernetes_event.regarding.kind.to_uppercase(),
        name: &kubernetes_event.regarding.name,
        namespace: &event.object.namespace,
        host: (alarm.kind != NODE).then_some(host.unwrap_or_default()),
        reason: &kubernetes_event.reason,
        last_timestamp: match form {
            Form::Klaxon => kubernetes_event.last_at().unwrap_or(event.time()).to_rfc3339_seconds(),
            Form::Original => original_time(kubernetes_event),
        },
        message: match &kubernetes_event.message {
            message if is_scheduler => cut(message, form),
            message => message,
        },
        environment: Some(environment).filter(|pairs| !(is_original && pairs.is_empty())),
    }
}

/// Returns `lastTimestamp` in Go's format. In Kubernetes Events of the newer recorder (events.k8s.io/v1) it
/// is null, and so becomes the year 1; only those Events have an action.
fn original_time(kubernetes_event: &KubernetesEvent) -> String {
    match kubernetes_event.last_at() {
        Some(at) if kubernetes_event.action.is_none() => {
            at.to_rfc3339_seconds().replace('T', " ").replace('Z', " +0000 UTC")
        }
        _ => YEAR_ONE.to_owned(),
    }
}

/// Returns the key of an alarm. For a node it is the name, because the uid in a node's Events is its uid or
/// its name.
pub(crate) fn key(kubernetes_event: &KubernetesEvent, alarm: &Alarm) -> String {
    let about = &kubernetes_event.regarding;
    match alarm.kind {
        NODE => about.name.clone(),
        _ if about.uid.is_empty() => format!("{}/{}", about.namespace, about.name),
        _ => about.uid.clone(),
    }
}

/// Cuts the message of the scheduler, which names every node, between characters.
fn cut(text: &str, form: Form) -> &str {
    let most_bytes = match form {
        Form::Klaxon => 512,
        Form::Original => 255,
    };
    text.get(..text.floor_char_boundary(most_bytes)).unwrap_or_default()
}
