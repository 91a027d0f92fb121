//! Decoded fields of the kinds that the host knows. The contract (guest-sdk/wit) documents each item;
//! these are the same items in the host's own types. Aliases are the names in journals of earlier
//! versions.
#![expect(missing_docs, reason = "the items mirror the contract, which documents each")]

use serde::{Deserialize, Serialize};

use super::{ObjectRef, Timestamp};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "it is always behind the object's Arc")]
pub enum Subject {
    #[default]
    Other,
    Pod(Pod),
    #[serde(alias = "Notice")]
    KubernetesEvent(KubernetesEvent),
    Workload(Workload),
    Node(Node),
    Job(Job),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub name: String,
    pub status: ConditionStatus,
    pub cause: Option<Cause>,
    pub changed_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ConditionStatus {
    #[default]
    Unknown,
    #[serde(alias = "Yes")]
    True,
    #[serde(alias = "No")]
    False,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pod {
    pub phase: PodPhase,
    pub cause: Option<Cause>,
    pub node: String,
    pub addresses: Addresses,
    pub qos: QosClass,
    pub conditions: Vec<Condition>,
    pub containers: Vec<Container>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Addresses {
    pub host_ip: String,
    pub pod_ip: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PodPhase {
    #[default]
    Unknown,
    Pending,
    Running,
    Succeeded,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum QosClass {
    #[default]
    Unknown,
    Guaranteed,
    Burstable,
    BestEffort,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub kind: ContainerKind,
    pub image: Image,
    pub ready: bool,
    pub started: bool,
    pub restart_count: u32,
    pub state: ContainerState,
    pub last_state: ContainerState,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    pub name: String,
    pub container_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerKind {
    App,
    Init,
    Sidecar,
    Ephemeral,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum ContainerState {
    #[default]
    Unknown,
    Waiting(Cause),
    Running(Running),
    Terminated(Terminated),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Running {
    pub started_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Terminated {
    pub exit_code: i32,
    pub signal: i32,
    pub reason: String,
    pub message: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub container_id: String,
}

/// A Kubernetes Event. The increase of its count depends on the rule, and so is part of [`super::Event`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KubernetesEvent {
    #[serde(alias = "level")]
    pub event_type: EventType,
    pub reason: String,
    pub message: String,
    pub action: Option<String>,
    pub count: u32,
    pub first_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
    pub reporting_component: String,
    pub reporting_instance: Option<String>,
    pub source_host: Option<String>,
    pub regarding: ObjectRef,
    pub related: Option<ObjectRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EventType {
    #[default]
    Unknown,
    Normal,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Workload {
    pub desired: u32,
    pub current: u32,
    pub updated: u32,
    pub ready: u32,
    pub available: u32,
    pub observed_generation: u32,
    pub conditions: Vec<Condition>,
    pub images: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Node {
    pub unschedulable: bool,
    pub conditions: Vec<Condition>,
    pub taints: Vec<Taint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Job {
    pub active: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub conditions: Vec<Condition>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}
