//! Pods: the containers of the spec, each with its status if there is one.

use serde::Deserialize;

use super::Want;
use super::envelope::open;
use super::lax::{List, Text, count, nullable};
use super::status::{RawCondition, cause, conditions};
use klaxon_model::{
    Addresses, Cause, Container, ContainerKind, ContainerState, Image, Meta, Parts, Pod, PodPhase,
    QosClass, Running, Subject, Terminated, Timestamp,
};

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec<'a> {
    #[serde(borrow)]
    node_name: Text<'a>,
    #[serde(borrow)]
    init_containers: List<RawContainer<'a>>,
    #[serde(borrow)]
    containers: List<RawContainer<'a>>,
    #[serde(borrow)]
    ephemeral_containers: List<RawContainer<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawContainer<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow)]
    restart_policy: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    qos_class: Text<'a>,
    #[serde(borrow, rename = "hostIP")]
    host_ip: Text<'a>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Text<'a>,
    #[serde(borrow)]
    conditions: List<RawCondition<'a>>,
    #[serde(borrow)]
    init_container_statuses: List<RawContainerStatus<'a>>,
    #[serde(borrow)]
    container_statuses: List<RawContainerStatus<'a>>,
    #[serde(borrow)]
    ephemeral_container_statuses: List<RawContainerStatus<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawContainerStatus<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow, rename = "containerID")]
    container_id: Text<'a>,
    #[serde(deserialize_with = "nullable")]
    ready: bool,
    #[serde(deserialize_with = "nullable")]
    started: bool,
    #[serde(deserialize_with = "count")]
    restart_count: u32,
    #[serde(borrow, deserialize_with = "nullable")]
    state: RawState<'a>,
    #[serde(borrow, deserialize_with = "nullable")]
    last_state: RawState<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawState<'a> {
    #[serde(borrow)]
    waiting: Option<RawWaiting<'a>>,
    running: Option<RawRunning>,
    #[serde(borrow)]
    terminated: Option<RawTerminated<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawWaiting<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawRunning {
    started_at: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawTerminated<'a> {
    #[serde(deserialize_with = "nullable")]
    exit_code: i32,
    #[serde(deserialize_with = "nullable")]
    signal: i32,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    #[serde(borrow, rename = "containerID")]
    container_id: Text<'a>,
}

pub(super) fn decode(json: &str, want: Want<'_>) -> Result<(Meta, Subject), serde_json::Error> {
    let (meta, spec, status) = open::<RawSpec<'_>, RawStatus<'_>>(json, want)?;
    Ok((meta, Subject::Pod(build(spec, status, want.parts))))
}

fn build(spec: RawSpec<'_>, status: RawStatus<'_>, parts: Parts) -> Pod {
    let mut containers = Vec::with_capacity(
        spec.init_containers.0.len() + spec.containers.0.len() + spec.ephemeral_containers.0.len(),
    );
    join(
        &mut containers,
        parts,
        spec.init_containers,
        status.init_container_statuses,
        |container| match container.restart_policy.as_str() {
            "Always" => ContainerKind::Sidecar,
            _ => ContainerKind::Init,
        },
    );
    join(&mut containers, parts, spec.containers, status.container_statuses, |_| {
        ContainerKind::App
    });
    join(
        &mut containers,
        parts,
        spec.ephemeral_containers,
        status.ephemeral_container_statuses,
        |_| ContainerKind::Ephemeral,
    );
    Pod {
        phase: match status.phase.as_str() {
            "Pending" => PodPhase::Pending,
            "Running" => PodPhase::Running,
            "Succeeded" => PodPhase::Succeeded,
            "Failed" => PodPhase::Failed,
            _ => PodPhase::Unknown,
        },
        cause: cause(status.reason, status.message),
        node: spec.node_name.into_string(),
        addresses: match parts.addresses {
            true => Addresses {
                host_ip: status.host_ip.into_string(),
                pod_ip: status.pod_ip.into_string(),
            },
            false => Addresses::default(),
        },
        qos: match status.qos_class.as_str() {
            "Guaranteed" => QosClass::Guaranteed,
            "Burstable" => QosClass::Burstable,
            "BestEffort" => QosClass::BestEffort,
            _ => QosClass::Unknown,
        },
        conditions: conditions(status.conditions, parts),
        containers,
    }
}

/// Joins one list of the spec with its statuses, in the order of the spec. A status without a container
/// in the spec comes last: reported statuses are not dropped for being inconsistent.
fn join(
    into: &mut Vec<Container>,
    parts: Parts,
    spec: List<RawContainer<'_>>,
    statuses: List<RawContainerStatus<'_>>,
    kind: impl Fn(&RawContainer<'_>) -> ContainerKind,
) {
    let mut statuses = statuses.0;
    for container in spec.0 {
        let kind = kind(&container);
        let at = statuses.iter().position(|status| status.name == container.name);
        let status = at.map(|at| statuses.remove(at)).unwrap_or_default();
        into.push(build_container(container, status, kind, parts));
    }
    for mut status in statuses {
        let container =
            RawContainer { name: std::mem::take(&mut status.name), ..Default::default() };
        let kind = kind(&container);
        into.push(build_container(container, status, kind, parts));
    }
}

fn build_container(
    container: RawContainer<'_>,
    status: RawContainerStatus<'_>,
    kind: ContainerKind,
    parts: Parts,
) -> Container {
    let image = if container.image.is_empty() { status.image } else { container.image };
    Container {
        name: container.name.into_string(),
        kind,
        image: match parts.images {
            true => {
                Image { name: image.into_string(), container_id: status.container_id.into_string() }
            }
            false => Image::default(),
        },
        ready: status.ready,
        started: status.started,
        restart_count: status.restart_count,
        state: state(status.state, parts),
        last_state: state(status.last_state, parts),
    }
}

/// The API allows one of the three states; if an object has several, the most final one is used.
fn state(raw: RawState<'_>, parts: Parts) -> ContainerState {
    if let Some(end) = raw.terminated {
        return ContainerState::Terminated(Terminated {
            exit_code: end.exit_code,
            signal: end.signal,
            reason: end.reason.into_string(),
            message: end.message.into_option(),
            started_at: end.started_at,
            finished_at: end.finished_at,
            container_id: match parts.images {
                true => end.container_id.into_string(),
                false => String::new(),
            },
        });
    }
    if let Some(running) = raw.running {
        return ContainerState::Running(Running { started_at: running.started_at });
    }
    raw.waiting.map_or(ContainerState::Unknown, |waiting| {
        ContainerState::Waiting(Cause {
            reason: waiting.reason.into_string(),
            message: waiting.message.into_string(),
        })
    })
}
