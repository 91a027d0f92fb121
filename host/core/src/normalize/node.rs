//! Nodes.

use serde::Deserialize;

use super::Want;
use super::envelope::open;
use super::lax::{List, Text, nullable};
use super::status::{RawCondition, conditions};
use klaxon_model::{Meta, Node, Subject, Taint};

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
    let (meta, spec, status) = open::<RawSpec<'_>, RawStatus<'_>>(json, want)?;
    let taints = spec.taints.0.into_iter().map(|taint| Taint {
        key: taint.key.into_string(),
        value: taint.value.into_string(),
        effect: taint.effect.into_string(),
    });
    let node = Node {
        unschedulable: spec.unschedulable,
        conditions: conditions(status.conditions, want.parts),
        taints: taints.collect(),
    };
    Ok((meta, Subject::Node(node)))
}
