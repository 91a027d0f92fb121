//! Tests of the generated roles, as text and as parsed YAML.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

fn permission(group: &str, resource: &str, verb: &str, namespace: &str, name: &str) -> Permission {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Permission {
        group: group.to_owned(),
        resource: resource.to_owned(),
        verb: verb.to_owned(),
        namespace: some(namespace),
        name: some(name),
    }
}

/// Parses the documents of a manifest to JSON.
fn documents(text: &str) -> Vec<Value> {
    Yaml::load_from_str(text).unwrap().iter().map(json).collect()
}

fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(members) => Value::Object(
            members.iter().map(|(k, v)| (k.as_str().unwrap().to_owned(), json(v))).collect(),
        ),
        other => panic!("neither text nor list nor mapping: {other:?}"),
    }
}

fn typed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn rights_in_the_whole_cluster_are_one_cluster_role() {
    let permissions = [
        permission("", "pods", "watch", "", ""),
        permission("", "pods", "list", "", ""),
        permission("", "events", "list", "", ""),
        permission("", "events", "watch", "", ""),
        permission("", "events", "watch", "", ""),
        permission("apps", "deployments", "list", "", ""),
        permission("apps", "deployments", "watch", "", ""),
        permission("", "nodes", "get", "", ""),
    ];
    let expected = r#"# The service account of Klaxon, and the least permissions that it needs.
# Its namespace must exist:
#   kubectl create namespace monitoring
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: klaxon
  namespace: monitoring
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: "klaxon:monitoring:klaxon"
rules:
  - apiGroups: [""]
    resources: [events, pods]
    verbs: [list, watch]
  - apiGroups: [""]
    resources: [nodes]
    verbs: [get]
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: "klaxon:monitoring:klaxon"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: "klaxon:monitoring:klaxon"
subjects:
  - kind: ServiceAccount
    name: klaxon
    namespace: monitoring
"#;
    assert_eq!(manifest(&permissions, "klaxon", "monitoring"), expected);
}

#[test]
fn rights_in_namespaces_are_a_role_in_each_and_names_narrow_them() {
    let permissions = [
        permission("", "pods", "watch", "b", ""),
        permission("", "secrets", "get", "a", "two"),
        permission("", "secrets", "get", "a", "one"),
        permission("", "secrets", "patch", "a", "one"),
        permission("", "secrets", "create", "a", "one"),
    ];
    let expected = r#"# The service account of Klaxon, and the least permissions that it needs.
# Its namespace must exist:
#   kubectl create namespace ops
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: watcher
  namespace: ops
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: "klaxon:ops:watcher"
  namespace: a
rules:
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [one]
    verbs: [patch]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [one, two]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: "klaxon:ops:watcher"
  namespace: a
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: "klaxon:ops:watcher"
subjects:
  - kind: ServiceAccount
    name: watcher
    namespace: ops
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: "klaxon:ops:watcher"
  namespace: b
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: [watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: "klaxon:ops:watcher"
  namespace: b
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: "klaxon:ops:watcher"
subjects:
  - kind: ServiceAccount
    name: watcher
    namespace: ops
"#;
    assert_eq!(manifest(&permissions, "watcher", "ops"), expected);
}

#[test]
fn what_is_granted_more_widely_is_not_granted_again() {
    let permissions = [
        permission("", "pods", "watch", "", ""),
        permission("", "pods", "watch", "a", ""),
        permission("", "pods", "get", "a", "web"),
        permission("", "pods", "get", "a", ""),
    ];
    let read = documents(&manifest(&permissions, "klaxon", "ops"));
    assert_eq!(read.len(), 5);
    let role: Role = typed(&read[3]);
    let rules = role.rules.unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].verbs, ["get"]);
    assert_eq!(rules[0].resource_names, None);
}

#[test]
fn what_is_written_is_what_kubernetes_reads() {
    let permissions = [
        permission("", "pods", "watch", "", ""),
        permission("", "configmaps", "get", "a", "name:\"with\\ every#thing\u{7f}\u{1f600}"),
        permission("", "configmaps", "get", "null", "yes"),
        permission("metrics.k8s.io", "*", "*", "null", ""),
    ];
    let read = documents(&manifest(&permissions, "klaxon", "1"));
    assert_eq!(read.len(), 7);
    let wide: ClusterRole = typed(&read[1]);
    assert_eq!(wide.rules.unwrap()[0].resources.as_deref().unwrap(), ["pods"]);
    let binding: ClusterRoleBinding = typed(&read[2]);
    let subjects = binding.subjects.unwrap();
    assert_eq!(subjects[0].namespace.as_deref(), Some("1"));
    assert_eq!(binding.role_ref.name, wide.metadata.name.unwrap());
    let role: Role = typed(&read[3]);
    let rule = &role.rules.unwrap()[0];
    let name = "name:\"with\\ every#thing\u{7f}\u{1f600}";
    assert_eq!(rule.resource_names.as_deref().unwrap(), [name]);
    let odd: Role = typed(&read[5]);
    assert_eq!(odd.metadata.namespace.as_deref(), Some("null"));
    let rules = odd.rules.unwrap();
    assert_eq!(rules[0].resource_names.as_deref().unwrap(), ["yes"]);
    assert_eq!(rules[1].verbs, ["*"]);
    let binding: RoleBinding = typed(&read[6]);
    assert_eq!(binding.role_ref.kind, "Role");
}

#[test]
fn without_rights_there_is_only_the_service_account() {
    let read = documents(&manifest(&[], "klaxon", "1"));
    assert_eq!(read.len(), 1);
    let account: ServiceAccount = typed(&read[0]);
    assert_eq!(account.metadata.name.as_deref(), Some("klaxon"));
    assert_eq!(account.metadata.namespace.as_deref(), Some("1"));
}
