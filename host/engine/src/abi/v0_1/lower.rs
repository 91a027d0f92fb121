//! Conversion of the model's event to the contract's type. Strings are borrowed and lists are allocated in
//! the call's arena, so passing an event allocates nothing else. Parts that the interest does not request are
//! left out here.

use std::sync::Arc;

use bumpalo::Bump;

use super::bindings::klaxon::rule::types as wit;
use klaxon_model as model;

pub(super) fn events<'a>(
    arena: &'a Bump,
    manifest: &model::Manifest,
    events: &'a [Arc<model::Event>],
) -> &'a [wit::Event<'a>] {
    list(arena, events, |event| {
        let interest = manifest.interests.get(event.interest as usize);
        let parts = interest.map_or(model::Parts::default(), |interest| interest.parts);
        let annotations = interest.map_or(&[] as &[String], |interest| &interest.annotations);
        lower_event(arena, event, parts, annotations)
    })
}

fn list<'a, T, U>(arena: &'a Bump, items: &'a [T], lower: impl Fn(&'a T) -> U) -> &'a [U] {
    if items.is_empty() {
        return &[];
    }
    arena.alloc_slice_fill_iter(items.iter().map(lower))
}

fn lower_event<'a>(
    arena: &'a Bump,
    event: &'a model::Event,
    parts: model::Parts,
    annotations: &[String],
) -> wit::Event<'a> {
    wit::Event {
        id: event.id.as_str(),
        cluster: &event.origin.cluster,
        source: &event.origin.source,
        time: event.time.as_millis(),
        change: change(event.change),
        gap: event.gap,
        interest: event.interest,
        timer: event.timer.as_ref().map(|timer| wit::Timer {
            key: &timer.key,
            due: timer.due.as_millis(),
            payload: &timer.payload,
        }),
        object: meta(arena, &event.object.meta, parts, annotations),
        subject: subject(arena, event, parts),
        fields: list(arena, event.fields.as_deref().unwrap_or_default(), value),
    }
}

fn change(change: model::Change) -> wit::Change {
    match change {
        model::Change::Added => wit::Change::Added,
        model::Change::Modified => wit::Change::Modified,
        model::Change::Deleted => wit::Change::Deleted,
        model::Change::Left => wit::Change::Left,
        model::Change::Snapshot => wit::Change::Snapshot,
        model::Change::Timer => wit::Change::Timer,
        model::Change::Tick => wit::Change::Tick,
    }
}

fn millis(time: Option<model::Timestamp>) -> Option<i64> {
    time.map(model::Timestamp::as_millis)
}

fn meta<'a>(
    arena: &'a Bump,
    meta: &'a model::Meta,
    parts: model::Parts,
    annotations: &[String],
) -> wit::ObjectMeta<'a> {
    let identity = &meta.identity;
    let wanted = meta.annotations.iter().filter(|label| annotations.contains(&label.key));
    wit::ObjectMeta {
        api_version: &identity.api_version,
        kind: &identity.kind,
        namespace: &identity.namespace,
        name: &identity.name,
        uid: &identity.uid,
        resource_version: &meta.resource_version,
        generation: meta.generation,
        created_at: millis(meta.created_at),
        deleted_at: millis(meta.deleted_at),
        labels: if parts.labels { list(arena, &meta.labels, label) } else { &[] },
        annotations: if annotations.is_empty() {
            &[]
        } else {
            let wanted: Vec<_> = wanted.map(label).collect();
            arena.alloc_slice_fill_iter(wanted)
        },
        owners: if parts.owners { list(arena, &meta.owners, owner) } else { &[] },
    }
}

fn label(label: &model::Label) -> wit::LabelParam<'_> {
    wit::LabelParam { key: &label.key, value: &label.value }
}

fn owner(owner: &model::Owner) -> wit::Owner<'_> {
    wit::Owner {
        api_version: &owner.api_version,
        kind: &owner.kind,
        name: &owner.name,
        uid: &owner.uid,
        controller: owner.controller,
    }
}

fn value(value: &model::Value) -> wit::Value<'_> {
    match value {
        model::Value::Null => wit::Value::Null,
        model::Value::Boolean(yes) => wit::Value::Boolean(*yes),
        model::Value::Integer(number) => wit::Value::Integer(*number),
        model::Value::Number(number) => wit::Value::Number(*number),
        model::Value::Text(text) => wit::Value::Text(text),
        model::Value::Json(json) => wit::Value::Json(json),
    }
}

fn subject<'a>(arena: &'a Bump, event: &'a model::Event, parts: model::Parts) -> wit::Subject<'a> {
    match &event.object.subject {
        model::Subject::Other => wit::Subject::Other,
        model::Subject::Pod(subject) => wit::Subject::Pod(pod(arena, subject, parts)),
        model::Subject::KubernetesEvent(subject) => {
            wit::Subject::KubernetesEvent(kubernetes_event(subject, event.delta))
        }
        model::Subject::Workload(subject) => {
            wit::Subject::Workload(workload(arena, subject, parts))
        }
        model::Subject::Node(subject) => wit::Subject::Node(wit::Node {
            unschedulable: subject.unschedulable,
            conditions: conditions(arena, &subject.conditions, parts),
            taints: list(arena, &subject.taints, |taint| wit::Taint {
                key: &taint.key,
                value: &taint.value,
                effect: &taint.effect,
            }),
        }),
        model::Subject::Job(subject) => wit::Subject::Job(wit::Job {
            active: subject.active,
            succeeded: subject.succeeded,
            failed: subject.failed,
            conditions: conditions(arena, &subject.conditions, parts),
            started_at: millis(subject.started_at),
            completed_at: millis(subject.completed_at),
        }),
    }
}

fn cause(cause: &model::Cause) -> wit::Cause<'_> {
    wit::Cause { reason: &cause.reason, message: &cause.message }
}

fn condition_status(status: model::ConditionStatus) -> wit::ConditionStatus {
    match status {
        model::ConditionStatus::Unknown => wit::ConditionStatus::Unknown,
        model::ConditionStatus::True => wit::ConditionStatus::IsTrue,
        model::ConditionStatus::False => wit::ConditionStatus::IsFalse,
    }
}

fn conditions<'a>(
    arena: &'a Bump,
    conditions: &'a [model::Condition],
    parts: model::Parts,
) -> &'a [wit::Condition<'a>] {
    if !parts.conditions {
        return &[];
    }
    list(arena, conditions, |condition| wit::Condition {
        name: &condition.name,
        status: condition_status(condition.status),
        cause: condition.cause.as_ref().map(cause),
        changed_at: millis(condition.changed_at),
        updated_at: millis(condition.updated_at),
    })
}

fn pod<'a>(arena: &'a Bump, pod: &'a model::Pod, parts: model::Parts) -> wit::Pod<'a> {
    wit::Pod {
        phase: match pod.phase {
            model::PodPhase::Unknown => wit::PodPhase::Unknown,
            model::PodPhase::Pending => wit::PodPhase::Pending,
            model::PodPhase::Running => wit::PodPhase::Running,
            model::PodPhase::Succeeded => wit::PodPhase::Succeeded,
            model::PodPhase::Failed => wit::PodPhase::Failed,
        },
        cause: pod.cause.as_ref().map(cause),
        node: &pod.node,
        addresses: parts.addresses.then_some(wit::Addresses {
            host_ip: &pod.addresses.host_ip,
            pod_ip: &pod.addresses.pod_ip,
        }),
        qos: match pod.qos {
            model::QosClass::Unknown => wit::QosClass::Unknown,
            model::QosClass::Guaranteed => wit::QosClass::Guaranteed,
            model::QosClass::Burstable => wit::QosClass::Burstable,
            model::QosClass::BestEffort => wit::QosClass::BestEffort,
        },
        conditions: conditions(arena, &pod.conditions, parts),
        containers: list(arena, &pod.containers, |one| container(one, parts)),
    }
}

fn container(container: &model::Container, parts: model::Parts) -> wit::Container<'_> {
    wit::Container {
        name: &container.name,
        kind: match container.kind {
            model::ContainerKind::App => wit::ContainerKind::App,
            model::ContainerKind::Init => wit::ContainerKind::Init,
            model::ContainerKind::Sidecar => wit::ContainerKind::Sidecar,
            model::ContainerKind::Ephemeral => wit::ContainerKind::Ephemeral,
        },
        image: parts.images.then_some(wit::Image {
            name: &container.image.name,
            container_id: &container.image.container_id,
        }),
        ready: container.ready,
        started: container.started,
        restart_count: container.restart_count,
        state: container_state(&container.state, parts),
        last_state: container_state(&container.last_state, parts),
    }
}

fn container_state(state: &model::ContainerState, parts: model::Parts) -> wit::ContainerState<'_> {
    match state {
        model::ContainerState::Unknown => wit::ContainerState::Unknown,
        model::ContainerState::Waiting(waiting) => wit::ContainerState::Waiting(cause(waiting)),
        model::ContainerState::Running(running) => {
            wit::ContainerState::Running(wit::Running { started_at: millis(running.started_at) })
        }
        model::ContainerState::Terminated(end) => {
            let container_id = parts.images && !end.container_id.is_empty();
            wit::ContainerState::Terminated(wit::Terminated {
                exit_code: end.exit_code,
                signal: end.signal,
                reason: &end.reason,
                message: end.message.as_deref(),
                started_at: millis(end.started_at),
                finished_at: millis(end.finished_at),
                container_id: container_id.then_some(end.container_id.as_str()),
            })
        }
    }
}

fn kubernetes_event(
    kubernetes_event: &model::KubernetesEvent,
    delta: u32,
) -> wit::KubernetesEvent<'_> {
    wit::KubernetesEvent {
        event_type: match kubernetes_event.event_type {
            model::EventType::Unknown => wit::EventType::Unknown,
            model::EventType::Normal => wit::EventType::Normal,
            model::EventType::Warning => wit::EventType::Warning,
        },
        reason: &kubernetes_event.reason,
        message: &kubernetes_event.message,
        action: kubernetes_event.action.as_deref(),
        count: kubernetes_event.count,
        delta,
        first_at: millis(kubernetes_event.first_at),
        last_at: millis(kubernetes_event.last_at),
        reporting_component: &kubernetes_event.reporting_component,
        reporting_instance: kubernetes_event.reporting_instance.as_deref(),
        source_host: kubernetes_event.source_host.as_deref(),
        regarding: reference(&kubernetes_event.regarding),
        related: kubernetes_event.related.as_ref().map(reference),
    }
}

fn reference(reference: &model::ObjectRef) -> wit::ObjectRefParam<'_> {
    let identity = &reference.identity;
    wit::ObjectRefParam {
        api_version: &identity.api_version,
        kind: &identity.kind,
        namespace: &identity.namespace,
        name: &identity.name,
        uid: &identity.uid,
        part: reference.part.as_deref(),
    }
}

fn workload<'a>(
    arena: &'a Bump,
    workload: &'a model::Workload,
    parts: model::Parts,
) -> wit::Workload<'a> {
    wit::Workload {
        desired: workload.desired,
        current: workload.current,
        updated: workload.updated,
        ready: workload.ready,
        available: workload.available,
        observed_generation: workload.observed_generation,
        conditions: conditions(arena, &workload.conditions, parts),
        images: if parts.images { list(arena, &workload.images, String::as_str) } else { &[] },
    }
}
