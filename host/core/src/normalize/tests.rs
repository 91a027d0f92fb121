//! Tests of the narrow decoder: compared with the full types, and on arbitrary JSON.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1 as core;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Wanted, decode};
use klaxon_model::{
    ContainerKind, ContainerState, EventType, Object, Parts, Pod, PodPhase, Subject, Timestamp,
};

fn object(json: &Json) -> Object {
    decode(&json.to_string(), &everything()).unwrap()
}

#[test]
fn containers_follow_the_spec_and_keep_their_kind() {
    let pod = object(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"b": "2", "a": "1"}},
        "spec": {
            "initContainers": [{"name": "mesh", "restartPolicy": "Always"}, {"name": "migrate"}],
            "containers": [{"name": "app", "image": "x:1"}],
            "ephemeralContainers": [{"name": "debug"}],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "stray", "ready": true},
                {"name": "app", "restartCount": -3, "state": {"waiting": {"reason": "R"}}, "lastState": null},
            ],
        },
    }));
    assert_eq!(
        pod.meta.labels.iter().map(|label| label.key.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let Subject::Pod(pod) = pod.subject else { panic!("no pod") };
    assert_eq!(pod.phase, PodPhase::Running);
    let containers: Vec<_> = pod.containers.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(
        containers,
        [
            ("mesh", ContainerKind::Sidecar),
            ("migrate", ContainerKind::Init),
            ("app", ContainerKind::App),
            ("stray", ContainerKind::App),
            ("debug", ContainerKind::Ephemeral),
        ]
    );
    assert_eq!(pod.containers[2].restart_count, 0);
    assert!(
        matches!(&pod.containers[2].state, ContainerState::Waiting(cause) if cause.reason == "R")
    );
    assert_eq!(pod.containers[2].last_state, ContainerState::Unknown);
}

#[test]
fn both_event_apis_read_the_same() {
    let core = object(&json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"uid": "u", "resourceVersion": "1"},
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
        "reason": "BackOff", "message": "m", "type": "Warning", "count": 3,
        "source": {"component": "kubelet", "host": "n"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:09Z",
        "reportingComponent": "", "eventTime": null,
    }));
    let events = object(&json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"uid": "u", "resourceVersion": "1"},
        "regarding": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
        "reason": "BackOff", "note": "m", "type": "Warning", "deprecatedCount": 3,
        "deprecatedSource": {"component": "kubelet", "host": "n"},
        "deprecatedFirstTimestamp": "2026-01-01T00:00:00Z",
        "deprecatedLastTimestamp": "2026-01-01T00:00:09Z", "eventTime": null,
    }));
    assert_eq!(core.subject, events.subject);
    let Subject::KubernetesEvent(kubernetes_event) = core.subject else { panic!("no notice") };
    assert_eq!((kubernetes_event.event_type, kubernetes_event.count), (EventType::Warning, 3));
    assert_eq!(kubernetes_event.reporting_component, "kubelet");
    assert_eq!(kubernetes_event.last_at.unwrap().to_string(), "2026-01-01T00:00:09.000Z");
}

#[test]
fn a_series_counts_and_an_event_without_any_time_uses_its_creation() {
    let Subject::KubernetesEvent(kubernetes_event) = object(&json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "series": {"count": 7, "lastObservedTime": null},
    }))
    .subject
    else {
        panic!("no notice")
    };
    assert_eq!(kubernetes_event.count, 7);
    assert!(kubernetes_event.last_at.is_some());
    let Subject::KubernetesEvent(bare) =
        object(&json!({"apiVersion": "v1", "kind": "Event"})).subject
    else {
        panic!("no notice")
    };
    assert_eq!((bare.count, bare.last_at), (1, None));
}

#[test]
fn parts_that_nobody_wants_are_not_read() {
    let lean = decode(&sample("Pod").to_string(), &Wanted::default()).unwrap();
    assert!(lean.meta.owners.is_empty() && lean.meta.annotations.is_empty());
    let Subject::Pod(pod) = lean.subject else { panic!("no pod") };
    let has_image = |pod: &Pod| pod.containers.iter().any(|one| !one.image.name.is_empty());
    assert!(pod.conditions.is_empty() && !has_image(&pod));
    let Subject::Pod(full) = object(&sample("Pod")).subject else { panic!("no pod") };
    assert!(!full.conditions.is_empty() && has_image(&full));
}

#[test]
fn what_cannot_be_decoded_says_what_and_where() {
    let fault =
        decode(r#"{"apiVersion":"v1","kind":"Pod","status":{"phase":7}}"#, &Wanted::default())
            .unwrap_err()
            .to_string();
    assert!(fault.starts_with("Pod cannot be decoded: invalid type: integer `7`"), "{fault}");
    assert!(fault.contains("column"), "{fault}");
}

/// Generates JSON that looks like a Kubernetes object, with nulls, missing parts and occasionally a value
/// of the wrong type anywhere.
fn shaped_like(sample: Json) -> BoxedStrategy<Json> {
    let odd = prop_oneof![
        6 => Just(None),
        2 => Just(Some(Json::Null)),
        1 => Just(Some(json!(-1))),
        1 => Just(Some(json!("text"))),
        1 => Just(Some(json!([null]))),
        1 => Just(Some(json!({}))),
    ];
    let as_it_is = match sample {
        Json::Object(members) => {
            let members: Vec<_> = members
                .into_iter()
                .map(|(key, member)| {
                    (any::<bool>(), shaped_like(member)).prop_map(move |(drop, value)| {
                        (
                            key.clone(),
                            (!drop || key == "kind" || key == "apiVersion").then_some(value),
                        )
                    })
                })
                .collect();
            members
                .prop_map(|members| {
                    members.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
                })
                .boxed()
        }
        Json::Array(items) => {
            let items: Vec<_> = items.into_iter().map(shaped_like).collect();
            items.prop_map(Json::Array).boxed()
        }
        Json::String(text) => prop_oneof![Just(text), ".{0,6}"].prop_map(Json::String).boxed(),
        other => Just(other).boxed(),
    };
    (odd, as_it_is).prop_map(|(odd, value)| odd.unwrap_or(value)).boxed()
}

fn sample(kind: &str) -> Json {
    let metadata = json!({"name": "a", "namespace": "b", "uid": "u", "resourceVersion": "1",
        "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"k": "v"},
        "annotations": {"k": "v"}, "ownerReferences": [{"kind": "R", "controller": true}]});
    let end = json!({"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"});
    let status = json!([{"name": "c", "ready": true, "restartCount": 2,
        "state": {"terminated": end, "waiting": {"reason": "r"}, "running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "lastState": {"terminated": end}}]);
    let conditions = json!([{"type": "Ready", "status": "True", "reason": "r", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    match kind {
        "Pod" => json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i", "env": [{"name": "e", "value": "v"}]}],
                "initContainers": [{"name": "c", "restartPolicy": "Always"}]},
            "status": {"phase": "Running", "conditions": conditions, "containerStatuses": status,
                "initContainerStatuses": status, "qosClass": "Burstable"}}),
        "Event" => json!({"apiVersion": "v1", "kind": "Event", "metadata": metadata, "count": 3,
            "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000001Z"},
            "source": {"component": "c", "host": "h"}, "reason": "r", "message": "m", "type": "Normal",
            "involvedObject": {"kind": "Pod", "name": "p", "uid": "u"}, "related": {"kind": "Pod"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "eventTime": "2026-01-01T00:00:00.5Z"}),
        "DaemonSet" => json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata,
            "spec": {"template": {"spec": {"containers": [{"image": "i"}]}}},
            "status": {"numberReady": 2, "conditions": conditions}}),
        "Job" => json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
            "status": {"active": 1, "conditions": conditions, "startTime": "2026-01-01T00:00:00Z"}}),
        "Node" => json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata,
            "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"conditions": conditions}}),
        _ => json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata,
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": "i"}]}}},
            "status": {"replicas": 2, "readyReplicas": 1, "observedGeneration": 3, "conditions": conditions}}),
    }
}

fn everything() -> Wanted {
    let mut wanted = Wanted { annotations: vec!["k".to_owned()], ..Wanted::default() };
    let kinds = [
        ("", "Pod"),
        ("", "Event"),
        ("events.k8s.io", "Event"),
        ("apps", "Deployment"),
        ("apps", "DaemonSet"),
        ("batch", "Job"),
        ("", "Node"),
    ];
    for (group, kind) in kinds {
        wanted.add_parts(group, kind, Parts::ALL);
        wanted.documents.push((group.to_owned(), kind.to_owned()));
    }
    wanted
}

fn odd_object() -> BoxedStrategy<Json> {
    prop::sample::select(vec!["Pod", "Event", "Deployment", "DaemonSet", "Job", "Node", "Other"])
        .prop_flat_map(|kind| shaped_like(sample(kind)))
        .boxed()
}

/// Removes members at random: a full type reads a missing member as its default.
fn only_nulls(sample: Json) -> BoxedStrategy<Json> {
    match sample {
        Json::Object(members) => {
            let members: Vec<_> = members
                .into_iter()
                .map(|(key, member)| {
                    let keep = key == "kind" || key == "apiVersion";
                    (0u8..6, only_nulls(member)).prop_map(move |(dice, value)| match dice {
                        0 if !keep => (key.clone(), None),
                        _ => (key.clone(), Some(value)),
                    })
                })
                .collect();
            members
                .prop_map(|members| {
                    members.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
                })
                .boxed()
        }
        Json::Array(items) => {
            let items: Vec<_> = items.into_iter().map(only_nulls).collect();
            items.prop_map(Json::Array).boxed()
        }
        other => Just(other).boxed(),
    }
}

fn millis(
    time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
) -> Option<Timestamp> {
    time.map(|time| Timestamp::from(time.0))
}

proptest! {
    #[test]
    fn decoding_never_panics(json in odd_object()) {
        // Both results are valid; only a panic fails the test.
        drop(decode(&json.to_string(), &everything()));
    }

    #[test]
    fn any_text_is_an_object_or_an_error(text in "\\PC{0,64}") {
        drop(decode(&text, &everything()));
    }

    #[test]
    fn pods_agree_with_the_full_type(json in only_nulls(sample("Pod"))) {
        let full: core::Pod = serde_json::from_value(json.clone()).unwrap();
        let ours = object(&json);
        let Subject::Pod(pod) = &ours.subject else { panic!("no pod") };
        prop_assert_eq!(&ours.meta.identity.name, &full.metadata.name.clone().unwrap_or_default());
        prop_assert_eq!(ours.meta.created_at, millis(full.metadata.creation_timestamp.as_ref()));
        prop_assert_eq!(i64::from(ours.meta.generation), full.metadata.generation.unwrap_or(0));
        let labels = full.metadata.labels.clone().unwrap_or_default();
        let ours_labels: Vec<_> = ours.meta.labels.iter().map(|l| (l.key.clone(), l.value.clone())).collect();
        prop_assert_eq!(ours_labels, labels.into_iter().collect::<Vec<_>>());
        let status = full.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        prop_assert_eq!(pod.conditions.len(), conditions.len());
        for (ours, full) in pod.conditions.iter().zip(&conditions) {
            prop_assert_eq!(&ours.name, &full.type_);
            prop_assert_eq!(ours.changed_at, millis(full.last_transition_time.as_ref()));
            let message = ours.cause.as_ref().map_or("", |cause| cause.message.as_str());
            prop_assert_eq!(message, full.message.as_deref().unwrap_or(""));
        }
        for full in status.container_statuses.unwrap_or_default() {
            let ours = pod.containers.iter().find(|c| c.kind == ContainerKind::App && c.name == full.name);
            let ours = ours.unwrap();
            prop_assert_eq!(i64::from(ours.restart_count), i64::from(full.restart_count));
            prop_assert_eq!(ours.ready, full.ready);
            let end = full.state.and_then(|state| state.terminated);
            match (&ours.state, end) {
                (ContainerState::Terminated(ours), Some(full)) => {
                    prop_assert_eq!(ours.exit_code, full.exit_code);
                    prop_assert_eq!(&ours.reason, full.reason.as_deref().unwrap_or(""));
                    prop_assert_eq!(ours.finished_at, millis(full.finished_at.as_ref()));
                }
                (ContainerState::Terminated(_), None) | (_, Some(_)) => prop_assert!(false),
                _ => {}
            }
        }
    }

    #[test]
    fn deployments_agree_with_the_full_type(json in only_nulls(sample("Deployment"))) {
        let full: Deployment = serde_json::from_value(json.clone()).unwrap();
        let ours = object(&json);
        let Subject::Workload(workload) = &ours.subject else { panic!("no workload") };
        let status = full.status.unwrap_or_default();
        prop_assert_eq!(i64::from(workload.observed_generation), status.observed_generation.unwrap_or(0));
        prop_assert_eq!(i64::from(workload.current), i64::from(status.replicas.unwrap_or(0)));
        prop_assert_eq!(i64::from(workload.ready), i64::from(status.ready_replicas.unwrap_or(0)));
        let spec = full.spec.unwrap_or_default();
        prop_assert_eq!(i64::from(workload.desired), i64::from(spec.replicas.unwrap_or(1)));
        let template = spec.template.spec.unwrap_or_default();
        let images: Vec<_> = template.containers.iter().map(|c| c.image.clone().unwrap_or_default()).collect();
        prop_assert_eq!(&workload.images, &images);
    }

    #[test]
    fn daemon_sets_agree_with_the_full_type(json in only_nulls(sample("DaemonSet"))) {
        let full: DaemonSet = serde_json::from_value(json.clone()).unwrap();
        let Subject::Workload(workload) = object(&json).subject else { panic!("no workload") };
        let status = full.status.unwrap_or_default();
        prop_assert_eq!(i64::from(workload.ready), i64::from(status.number_ready));
    }

    #[test]
    fn kubernetes_events_agree_with_the_full_type(json in only_nulls(sample("Event"))) {
        let full: core::Event = serde_json::from_value(json.clone()).unwrap();
        let Subject::KubernetesEvent(kubernetes_event) = object(&json).subject else { panic!("no notice") };
        let series = full.series.unwrap_or_default();
        let count = full.count.unwrap_or(0).max(series.count.unwrap_or(0)).max(1);
        prop_assert_eq!(i64::from(kubernetes_event.count), i64::from(count));
        prop_assert_eq!(&kubernetes_event.reason, full.reason.as_deref().unwrap_or(""));
        prop_assert_eq!(kubernetes_event.source_host, full.source.and_then(|source| source.host));
        prop_assert_eq!(kubernetes_event.regarding.identity.name, full.involved_object.name.unwrap_or_default());
    }

    #[test]
    fn jobs_agree_with_the_full_type(json in only_nulls(sample("Job"))) {
        let full: Job = serde_json::from_value(json.clone()).unwrap();
        let Subject::Job(job) = object(&json).subject else { panic!("no job") };
        let status = full.status.unwrap_or_default();
        prop_assert_eq!(i64::from(job.active), i64::from(status.active.unwrap_or(0)));
        prop_assert_eq!(job.started_at, millis(status.start_time.as_ref()));
        prop_assert_eq!(job.conditions.len(), status.conditions.unwrap_or_default().len());
    }

    #[test]
    fn nodes_agree_with_the_full_type(json in only_nulls(sample("Node"))) {
        let full: core::Node = serde_json::from_value(json.clone()).unwrap();
        let Subject::Node(node) = object(&json).subject else { panic!("no node") };
        let spec = full.spec.unwrap_or_default();
        prop_assert_eq!(node.unschedulable, spec.unschedulable.unwrap_or(false));
        let full: Vec<_> = spec.taints.unwrap_or_default().into_iter().map(|t| (t.key, t.effect)).collect();
        let ours: Vec<_> = node.taints.into_iter().map(|t| (t.key, t.effect)).collect();
        prop_assert_eq!(ours, full);
    }
}

#[test]
fn the_annotation_that_repeats_the_whole_object_is_never_passed() {
    let last_applied = "kubectl.kubernetes.io/last-applied-configuration";
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "a", "annotations": {last_applied: "{\"data\":{\"k\":\"hunter2\"}}", "b": "1"}},
    });
    let wanted =
        Wanted { annotations: vec![last_applied.to_owned(), "b".to_owned()], ..Wanted::default() };
    let object = decode(&secret.to_string(), &wanted).unwrap();
    let keys: Vec<&str> = object.meta.annotations.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["b"]);
}
