//! Objects that the tests make in a cluster, through the API server.

use http::Request;
use kube::Client;
use serde_json::{Value, json};

/// Sends a request and reads the answer.
pub(crate) async fn send(
    client: &Client,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, kube::Error> {
    let content = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(body.to_string().into_bytes())
        .expect("a request");
    client.request(request).await
}

/// Sends a request that must succeed.
#[track_caller]
pub(crate) fn must(
    client: &Client,
    method: &'static str,
    path: &str,
    body: Value,
) -> impl Future<Output = Value> {
    let (client, path) = (client.clone(), path.to_owned());
    async move {
        let answer = send(&client, method, &path, &body).await;
        answer.unwrap_or_else(|fault| panic!("{method} {path}: {fault}"))
    }
}

pub(crate) fn pod(name: &str, output: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": {"step": output.to_string()}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]}})
}

/// Returns a Kubernetes Event like those of a kubelet.
pub(crate) fn event(name: &str, count: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "web", "uid": "of-web"},
        "type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container",
        "count": count, "source": {"component": "kubelet", "host": "node-1"}})
}

/// Returns the path of the pods or Kubernetes Events of a namespace.
pub(crate) fn objects_of(kind: &str, namespace: &str) -> String {
    let plural = if kind == "Pod" { "pods" } else { "events" };
    format!("/api/v1/namespaces/{namespace}/{plural}")
}

/// Path of the pods in the namespace `default`.
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const EVENTS: &str = "/api/v1/namespaces/default/events";

/// Returns the version of an object in an answer.
pub(crate) fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
}
