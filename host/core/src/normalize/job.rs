//! Jobs.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Want;
use super::envelope::open;
use super::lax::{List, count};
use super::status::{RawCondition, conditions};
use klaxon_model::{Job, Meta, Subject, Timestamp};

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
    let (meta, _, status) = open::<IgnoredAny, RawStatus<'_>>(json, want)?;
    let job = Job {
        active: status.active,
        succeeded: status.succeeded,
        failed: status.failed,
        conditions: conditions(status.conditions, want.parts),
        started_at: status.start_time,
        completed_at: status.completion_time,
    };
    Ok((meta, Subject::Job(job)))
}
