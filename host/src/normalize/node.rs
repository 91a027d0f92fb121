//! Nodes.

use serde::Deserialize;

use super::Want;
use super::lax::{List, Text, nullable};
use super::meta::RawMeta;
use super::status::{RawCondition, conditions};
use crate::model::{Meta, Node, Subject, Taint};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawNode<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    metadata: RawMeta<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    spec: RawSpec<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    status: RawStatus<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSpec<'a> {
    #[serde(deserialize_with = "nullable")]
    unschedulable: bool,
    #[serde(borrow)]
    taints: List<RawTaint<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawTaint<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    effect: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawStatus<'a> {
    #[serde(borrow)]
    conditions: List<RawCondition<'a>>,
}

pub(super) fn decode(json: &str, want: Want<'_>) -> Result<(Meta, Subject), serde_json::Error> {
    let raw: RawNode<'_> = serde_json::from_str(json)?;
    let taints = raw.spec.taints.0.into_iter().map(|taint| Taint {
        key: taint.key.into_string(),
        value: taint.value.into_string(),
        effect: taint.effect.into_string(),
    });
    let node = Node {
        unschedulable: raw.spec.unschedulable,
        conditions: conditions(raw.status.conditions, want.parts),
        taints: taints.collect(),
    };
    Ok((raw.metadata.build(raw.api_version, raw.kind, want), Subject::Node(node)))
}
