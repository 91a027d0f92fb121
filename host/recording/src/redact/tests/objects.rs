//! Whole objects: which data stays, which is replaced, and which relations hold.

use serde_json::{Value, json};

use super::super::{Keep, Values};
use super::{at, redacted, redactor, set, with};

const UID: &str = "3fd1592e-53fa-4b81-b7d6-f6ab23847902";

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "shop-775b76bffb-hqzrm", "namespace": "prod", "uid": UID,
            "resourceVersion": "247", "creationTimestamp": "2026-11-20T23:36:42Z",
            "annotations": {"note": "shop", "keep.me/x": "shop"},
            "labels": {"app": "shop", "acme.com/tier": "web", "pod-template-hash": "775b76bffb"},
            "managedFields": [{"manager": "alice"}], "selfLink": "/shop",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": "shop-775b76bffb", "uid": UID, "controller": true}]},
        "spec": {"restartPolicy": "Always", "nodeName": "node-1", "serviceAccountName": "default",
            "schedulerName": "default-scheduler", "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "acme.com/tier", "operator": "Equal", "value": "web"},
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
            "containers": [{"name": "shop", "image": "acme/shop:1", "command": ["run", "--pw=x"],
                "env": [{"name": "PW", "value": "the password"}],
                "resources": {"limits": {"cpu": "100m", "acme.com/gpu": "1"}}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}],
            "containerStatuses": [{"name": "shop", "image": "acme/shop:1", "restartCount": 3,
                "state": {"terminated": {"reason": "Error", "exitCode": 137}}}]}})
}

#[test]
fn what_rules_decide_on_stays() {
    let (before, after) = (pod(), redacted(&redactor(), &pod()));
    for pointer in [
        "/apiVersion",
        "/kind",
        "/metadata/resourceVersion",
        "/metadata/creationTimestamp",
        "/metadata/ownerReferences/0/kind",
        "/spec/restartPolicy",
        "/spec/serviceAccountName",
        "/spec/schedulerName",
        "/spec/tolerations/1",
        "/spec/containers/0/resources/limits/cpu",
        "/status/phase",
        "/status/containerStatuses/0/restartCount",
        "/status/containerStatuses/0/state",
    ] {
        assert_eq!(before.pointer(pointer), after.pointer(pointer), "{pointer}");
    }
}

#[test]
fn what_is_private_goes() {
    let text = redacted(&redactor(), &pod()).to_string();
    for word in [
        "shop", "prod", "acme", "alice", "ssd", "node-1", "web", "gpu", "775b", "password",
        "10.0.0.9", "PW", UID,
    ] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert!(
        !text.contains("managedFields")
            && !text.contains("annotations")
            && !text.contains("selfLink")
    );
}

#[test]
fn relations_between_fields_hold() {
    let after = redacted(&redactor(), &pod());
    let (pod, owner) =
        (at(&after, "/metadata/name"), at(&after, "/metadata/ownerReferences/0/name"));
    assert!(pod.starts_with(&format!("{owner}-")));
    assert_eq!(at(&after, "/metadata/uid"), at(&after, "/metadata/ownerReferences/0/uid"));
    assert!(owner.ends_with(at(&after, "/metadata/labels/pod-template-hash")));
    assert!(owner.starts_with(at(&after, "/metadata/labels/app")));
    assert_eq!(at(&after, "/status/podIP"), at(&after, "/status/podIPs/0/ip"));
    assert_eq!(
        at(&after, "/spec/containers/0/image"),
        at(&after, "/status/containerStatuses/0/image")
    );
    let tier = after.pointer("/spec/tolerations/0").unwrap();
    assert_eq!(
        at(&after["metadata"]["labels"], &format!("/{}", at(tier, "/key").replace('/', "~1"))),
        at(tier, "/value")
    );
}

#[test]
fn a_uid_is_the_same_as_a_name_and_as_a_uid() {
    let event = json!({"apiVersion": "v1", "kind": "Event", "reason": "NodeReady",
        "message": format!("pod {UID} and node-1 failed"),
        "involvedObject": {"kind": "Node", "name": UID, "uid": "node-1", "namespace": "default",
            "fieldPath": "spec.containers{shop}"},
        "source": {"component": "kubelet", "host": "node-1"},
        "reportingComponent": "acme-operator"});
    let after = redacted(&redactor(), &event);
    let (uid, node) = (at(&after, "/involvedObject/name"), at(&after, "/involvedObject/uid"));
    assert_eq!((uid.len(), uid.get(14..15)), (36, Some("4")));
    assert_eq!(at(&after, "/message"), format!("pod {uid} and {node} failed"));
    assert_eq!(at(&after, "/source/host"), node);
    assert_eq!(at(&after, "/source/component"), "kubelet");
    assert_eq!(at(&after, "/involvedObject/namespace"), "default");
    let shop = redactor().text("shop");
    assert_eq!(at(&after, "/involvedObject/fieldPath"), format!("spec.containers{{{shop}}}"));
    assert!(!at(&after, "/reportingComponent").contains("acme"));
}

#[test]
fn a_custom_resource_keeps_its_conditions_and_what_is_asked_for() {
    let keep = Keep {
        fields: vec![
            ["spec", "mode"].map(str::to_owned).to_vec(),
            ["spec", "steps", "*", "my-kind"].map(str::to_owned).to_vec(),
        ],
        ..Keep::default()
    };
    let object = json!({"apiVersion": "acme.com/v1", "kind": "PKI", "metadata": {"name": "shop"},
        "spec": {"mode": "Fast", "type": "secret", "reason": "failed", "size": 3, "other-key": 1,
            "steps": [{"my-kind": "A", "name": "pod"}]},
        "status": {"phase": "failed", "conditions": [
            {"type": "Ready", "status": "False", "reason": "NotFound",
                "message": "shop not found"}]}});
    let after = redacted(&with(keep), &object);
    assert_eq!((at(&after, "/kind"), at(&after, "/spec/mode")), ("PKI", "Fast"));
    assert_eq!(at(&after, "/spec/steps/0/my-kind"), "A");
    assert_eq!(after["spec"]["size"], 3);
    for pointer in ["/spec/type", "/spec/reason", "/spec/steps/0/name", "/status/phase"] {
        assert_ne!(at(&after, pointer), at(&object, pointer));
    }
    assert!(after["spec"].get("other-key").is_none());
    for field in ["type", "status", "reason"] {
        let pointer = format!("/status/conditions/0/{field}");
        assert_eq!(at(&after, &pointer), at(&object, &pointer));
    }
    let name = at(&after, "/metadata/name");
    assert_eq!(at(&after, "/status/conditions/0/message"), format!("{name} not found"));
}

#[test]
fn labels_stay_as_far_as_they_are_kept_or_literal() {
    let keep = Keep {
        labels: [
            ("a/all", Values::All),
            ("a/none", Values::Pseudonym),
            ("a/some", Values::Only(set(&["web"]))),
        ]
        .map(|(key, values)| (key.to_owned(), values))
        .into(),
        annotations: set(&["my/note"]),
        literals: b"\xff\0dyno-type\0worker\0a/none\0ab".to_vec(),
        literal_values: true,
        ..Keep::default()
    };
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "annotations": {"my/note": "as it is", "k8s.io/initial-events-end": "true", "x": "y"},
        "labels": {"a/all": "shop", "a/none": "worker", "a/some": "web", "dyno-type": "worker",
            "dyno": "shop", "ab": "worker", "node-role.kubernetes.io/shop": "",
            "kubernetes.io/os": "linux"}}});
    let after = redacted(&with(keep), &object);
    let labels = &after["metadata"]["labels"];
    assert_eq!(labels["a/all"], "shop");
    assert_eq!(labels["a/some"], "web");
    assert_eq!(labels["dyno-type"], "worker");
    assert_ne!(labels["a/none"], "worker");
    assert!(labels["dyno"].is_string() && labels["dyno"] != "shop");
    assert!(labels.get("ab").is_none() && labels["kubernetes.io/os"] != "linux");
    assert!(!labels.to_string().contains("role.kubernetes.io/shop"));
    let annotations = after["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations.len(), 2);
    assert_eq!(annotations["my/note"], "as it is");
}

#[test]
fn the_data_of_secrets_is_blank_whatever_is_kept() {
    let keep = Keep { fields: vec![vec!["data".to_owned()]], ..Keep::default() };
    let secret = |kind| {
        json!({"apiVersion": "v1", "kind": kind, "type": "Opaque", "metadata": {"name": "pki"},
            "data": {"tls.key": "aHVudGVyMg=="}, "stringData": {"pw": "hunter2"},
            "binaryData": null})
    };
    let redactor = with(keep);
    let after = redacted(&redactor, &secret("Secret"));
    assert_eq!(after["type"], "Opaque");
    assert_eq!(after["data"], json!({ (redactor.pseudonyms.name("tls.key")): "" }));
    assert!(!after.to_string().contains("hunter2"));
    let items = [secret("Secret"), secret("ConfigMap")];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let after = redacted(&redactor, &list);
    assert_eq!(after["items"][0]["data"], json!({ (redactor.pseudonyms.name("tls.key")): "" }));
    assert_eq!(after["items"][1]["data"]["tls.key"], "aHVudGVyMg==");
}

#[test]
fn a_list_treats_each_item_as_what_it_is() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "acme.com/v1", "kind": "PKI", "spec": {"reason": "failed"}},
        {"apiVersion": "v1", "kind": "Event", "reason": "Failed"}]});
    let after = redacted(&redactor(), &list);
    assert_ne!(after["items"][0]["spec"]["reason"], "failed");
    assert_eq!(after["items"][1]["reason"], "Failed");
}

#[test]
fn maps_of_quantities_keep_what_every_cluster_has() {
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "2", "memory": "1Gi"}}]}});
    assert_eq!(redacted(&redactor(), &range), range);
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {
        "requests.cpu": "1.5", "limits.memory": "2Gi", "requests.acme.com/gpu": "4",
        "pods": "acme"}}});
    let after = redacted(&redactor(), &quota);
    assert_eq!(at(&after, "/spec/hard/requests.cpu"), "1.5");
    assert_eq!(after["spec"]["hard"].as_object().unwrap().len(), 4);
    assert!(!after.to_string().contains("acme"));
    let message = redactor().text("1 Insufficient acme.com/gpu");
    assert_eq!(message, format!("1 Insufficient {}", redactor().pseudonyms.name("acme.com/gpu")));
}

#[test]
fn annotations_on_the_way_to_a_kept_field_stay_alone() {
    let path = ["metadata", "annotations", "acme.com/mode"].map(str::to_owned).to_vec();
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": {
        "acme.com/mode": "a b", "acme.com/other": "x"}}});
    let after = redacted(&with(Keep { fields: vec![path], ..Keep::default() }), &object);
    assert_eq!(after["metadata"]["annotations"], json!({"acme.com/mode": "a b"}));
}
