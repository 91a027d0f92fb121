//! The time of a record without its own time: the newest time inside the object that refers to the past.
//! Other times may lie in the future, and are ignored.

use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    metadata: Option<Metadata>,
    status: Option<Status>,
    event_time: Option<String>,
    first_timestamp: Option<String>,
    last_timestamp: Option<String>,
    deprecated_first_timestamp: Option<String>,
    deprecated_last_timestamp: Option<String>,
    series: Option<Series>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    creation_timestamp: Option<String>,
    managed_fields: Option<Vec<ManagedField>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ManagedField {
    time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Series {
    last_observed_time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    last_transition_time: Option<String>,
    last_update_time: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    state: Option<State>,
    last_state: Option<State>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    running: Option<Span>,
    terminated: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Span {
    started_at: Option<String>,
    finished_at: Option<String>,
}

/// Returns the newest time; `None` if the object has none, or has a shape that the decoder will reject
/// anyway.
pub(super) fn newest_time(json: &str) -> Option<Timestamp> {
    let object: Object = serde_json::from_str(json).ok()?;
    let mut times = vec![
        object.event_time,
        object.first_timestamp,
        object.last_timestamp,
        object.deprecated_first_timestamp,
        object.deprecated_last_timestamp,
        object.series.and_then(|series| series.last_observed_time),
    ];
    if let Some(metadata) = object.metadata {
        times.push(metadata.creation_timestamp);
        times.extend(metadata.managed_fields.into_iter().flatten().map(|field| field.time));
    }
    let status = object.status.unwrap_or_default();
    for condition in status.conditions.into_iter().flatten() {
        times.extend([condition.last_transition_time, condition.last_update_time]);
    }
    let containers = [
        status.container_statuses,
        status.init_container_statuses,
        status.ephemeral_container_statuses,
    ];
    for container in containers.into_iter().flatten().flatten() {
        for state in [container.state, container.last_state].into_iter().flatten() {
            for span in [state.running, state.terminated].into_iter().flatten() {
                times.extend([span.started_at, span.finished_at]);
            }
        }
    }
    times.into_iter().flatten().filter_map(|text| text.parse().ok()).max()
}
