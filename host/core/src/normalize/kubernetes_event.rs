//! Kubernetes Events of both APIs: core/v1 and events.k8s.io/v1 serve the same stored object with
//! different field names.

use serde::Deserialize;

use super::Want;
use super::lax::{Text, count, nullable};
use super::meta::RawMeta;
use klaxon_model::{EventType, Identity, KubernetesEvent, Meta, ObjectRef, Subject, Timestamp};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawEvent<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    metadata: RawMeta<'a>,
    #[serde(borrow, rename = "type")]
    level: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow, alias = "note")]
    message: Text<'a>,
    #[serde(borrow)]
    action: Text<'a>,
    #[serde(deserialize_with = "count", alias = "deprecatedCount")]
    count: u32,
    #[serde(deserialize_with = "nullable")]
    series: RawSeries,
    event_time: Option<Timestamp>,
    #[serde(alias = "deprecatedFirstTimestamp")]
    first_timestamp: Option<Timestamp>,
    #[serde(alias = "deprecatedLastTimestamp")]
    last_timestamp: Option<Timestamp>,
    #[serde(borrow, alias = "reportingController")]
    reporting_component: Text<'a>,
    #[serde(borrow)]
    reporting_instance: Text<'a>,
    #[serde(borrow, alias = "deprecatedSource", deserialize_with = "nullable")]
    source: RawSource<'a>,
    #[serde(borrow, alias = "regarding", deserialize_with = "nullable")]
    involved_object: RawReference<'a>,
    #[serde(borrow)]
    related: Option<RawReference<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSeries {
    #[serde(deserialize_with = "count")]
    count: u32,
    last_observed_time: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSource<'a> {
    #[serde(borrow)]
    component: Text<'a>,
    #[serde(borrow)]
    host: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawReference<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    field_path: Text<'a>,
}

pub(super) fn decode(json: &str, want: Want<'_>) -> Result<(Meta, Subject), serde_json::Error> {
    let mut raw: RawEvent<'_> = serde_json::from_str(json)?;
    let api_version = std::mem::take(&mut raw.api_version);
    let kind = std::mem::take(&mut raw.kind);
    let meta = std::mem::take(&mut raw.metadata).build(api_version, kind, want);
    let kubernetes_event = build(raw, meta.created_at);
    Ok((meta, Subject::KubernetesEvent(kubernetes_event)))
}

fn build(raw: RawEvent<'_>, created_at: Option<Timestamp>) -> KubernetesEvent {
    // Recorders of the old API leave the new API's field empty, and vice versa.
    let component = if raw.reporting_component.is_empty() {
        raw.source.component
    } else {
        raw.reporting_component
    };
    // Any of the times may be null: the newest one is the time last seen.
    let last_at = [raw.series.last_observed_time, raw.last_timestamp, raw.event_time]
        .into_iter()
        .flatten()
        .max();
    let first_at = raw.first_timestamp.or(raw.event_time).or(created_at);
    KubernetesEvent {
        event_type: match raw.level.as_str() {
            "Normal" => EventType::Normal,
            "Warning" => EventType::Warning,
            _ => EventType::Unknown,
        },
        reason: raw.reason.into_string(),
        message: raw.message.into_string(),
        action: raw.action.into_option(),
        count: raw.count.max(raw.series.count).max(1),
        first_at,
        last_at: last_at.or(first_at),
        reporting_component: component.into_string(),
        reporting_instance: raw.reporting_instance.into_option(),
        source_host: raw.source.host.into_option(),
        regarding: reference(raw.involved_object),
        related: raw.related.map(reference),
    }
}

fn reference(raw: RawReference<'_>) -> ObjectRef {
    ObjectRef {
        identity: Identity {
            api_version: raw.api_version.into_string(),
            kind: raw.kind.into_string(),
            namespace: raw.namespace.into_string(),
            name: raw.name.into_string(),
            uid: raw.uid.into_string(),
        },
        part: raw.field_path.into_option(),
    }
}
