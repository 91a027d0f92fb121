//! Deployments, ReplicaSets, StatefulSets and DaemonSets.

use serde::{Deserialize, Deserializer};

use super::Want;
use super::envelope::open;
use super::lax::{List, Text, count, nullable};
use super::status::{RawCondition, conditions};
use klaxon_model::{Meta, Parts, Subject, Workload};

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSpec<'a> {
    #[serde(deserialize_with = "replicas")]
    replicas: Option<u32>,
    #[serde(borrow, deserialize_with = "nullable")]
    template: RawTemplate<'a>,
}

fn replicas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<i64>::deserialize(deserializer)?;
    Ok(number.map(|number| u32::try_from(number.max(0)).unwrap_or(u32::MAX)))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTemplate<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    spec: RawPodSpec<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawPodSpec<'a> {
    #[serde(borrow)]
    containers: List<RawImage<'a>>,
    #[serde(borrow)]
    init_containers: List<RawImage<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawImage<'a> {
    #[serde(borrow)]
    image: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus<'a> {
    #[serde(deserialize_with = "count")]
    replicas: u32,
    #[serde(deserialize_with = "count")]
    updated_replicas: u32,
    #[serde(deserialize_with = "count")]
    ready_replicas: u32,
    #[serde(deserialize_with = "count")]
    available_replicas: u32,
    #[serde(deserialize_with = "count")]
    observed_generation: u32,
    #[serde(borrow)]
    conditions: List<RawCondition<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawDaemonStatus<'a> {
    #[serde(deserialize_with = "count")]
    desired_number_scheduled: u32,
    #[serde(deserialize_with = "count")]
    current_number_scheduled: u32,
    #[serde(deserialize_with = "count")]
    updated_number_scheduled: u32,
    #[serde(deserialize_with = "count")]
    number_ready: u32,
    #[serde(deserialize_with = "count")]
    number_available: u32,
    #[serde(deserialize_with = "count")]
    observed_generation: u32,
    #[serde(borrow)]
    conditions: List<RawCondition<'a>>,
}

pub(super) fn decode(json: &str, want: Want<'_>) -> Result<(Meta, Subject), serde_json::Error> {
    let (meta, spec, status) = open::<RawSpec<'_>, RawStatus<'_>>(json, want)?;
    let workload = Workload {
        // The API server fills in the default of 1; other writers of recordings may not.
        desired: spec.replicas.unwrap_or(1),
        current: status.replicas,
        updated: status.updated_replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        observed_generation: status.observed_generation,
        conditions: conditions(status.conditions, want.parts),
        images: images(spec.template, want.parts),
    };
    Ok((meta, Subject::Workload(workload)))
}

/// Decodes a DaemonSet. It has no replicas: the number of nodes that should run it is the desired count.
pub(super) fn decode_daemon_set(
    json: &str,
    want: Want<'_>,
) -> Result<(Meta, Subject), serde_json::Error> {
    let (meta, spec, status) = open::<RawSpec<'_>, RawDaemonStatus<'_>>(json, want)?;
    let workload = Workload {
        desired: status.desired_number_scheduled,
        current: status.current_number_scheduled,
        updated: status.updated_number_scheduled,
        ready: status.number_ready,
        available: status.number_available,
        observed_generation: status.observed_generation,
        conditions: conditions(status.conditions, want.parts),
        images: images(spec.template, want.parts),
    };
    Ok((meta, Subject::Workload(workload)))
}

fn images(template: RawTemplate<'_>, parts: Parts) -> Vec<String> {
    if !parts.images {
        return Vec::new();
    }
    let lists = [template.spec.containers, template.spec.init_containers];
    lists
        .into_iter()
        .flat_map(|list| list.0)
        .map(|container| container.image.into_string())
        .collect()
}
