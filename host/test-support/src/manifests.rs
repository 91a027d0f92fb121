//! JSON of Kubernetes objects, as an API server sends them. A test names the metadata that matters to it.

use serde_json::{Value, json};

/// Returns a running pod without containers, in the namespace `a`. Members of `metadata` are added to its name and
/// namespace, or replace them.
pub fn pod(name: &str, metadata: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": named(name, metadata),
        "spec": {"containers": []}, "status": {"phase": "Running"}})
}

/// Returns a Kubernetes Event about the pod `web`, in the namespace `a`, with metadata as of [`pod`].
pub fn kubernetes_event(name: &str, count: u64, metadata: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": named(name, metadata),
        "involvedObject": {"kind": "Pod", "namespace": "a", "name": "web", "uid": "of-web"},
        "type": "Warning", "reason": "BackOff", "message": "Back-off", "count": count})
}

/// Returns the metadata that a server adds when it stores an object: the uid and the resource version.
pub fn stored(uid: &str, version: impl ToString) -> Value {
    json!({"uid": uid, "resourceVersion": version.to_string()})
}

/// Returns a line of a recorded watch: a change of an object at a time.
pub fn watch_line(at: &str, change: &str, object: Value) -> Value {
    json!({"at": at, "type": change, "object": object})
}

fn named(name: &str, metadata: Value) -> Value {
    let mut all = json!({"name": name, "namespace": "a"});
    for (member, value) in metadata.as_object().unwrap() {
        all[member] = value.clone();
    }
    all
}
