//! Jobs.

use serde::Deserialize;

use super::Want;
use super::lax::{List, Text, count, nullable};
use super::meta::RawMeta;
use super::status::{RawCondition, conditions};
use crate::model::{Job, Meta, Subject, Timestamp};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawJob<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    metadata: RawMeta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    status: RawStatus<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus<'a> {
    #[serde(deserialize_with = "count")]
    active: u32,
    #[serde(deserialize_with = "count")]
    succeeded: u32,
    #[serde(deserialize_with = "count")]
    failed: u32,
    #[serde(borrow)]
    conditions: List<RawCondition<'a>>,
    start_time: Option<Timestamp>,
    completion_time: Option<Timestamp>,
}

pub(super) fn decode(json: &str, want: Want<'_>) -> Result<(Meta, Subject), serde_json::Error> {
    let raw: RawJob<'_> = serde_json::from_str(json)?;
    let job = Job {
        active: raw.status.active,
        succeeded: raw.status.succeeded,
        failed: raw.status.failed,
        conditions: conditions(raw.status.conditions, want.parts),
        started_at: raw.status.start_time,
        completed_at: raw.status.completion_time,
    };
    Ok((raw.metadata.build(raw.api_version, raw.kind, want), Subject::Job(job)))
}
