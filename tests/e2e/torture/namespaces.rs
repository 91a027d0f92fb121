//! Namespaces that are made, used, and deleted while changes in them continue.
//!
//! The test does the work of the namespace controller, which is not part of this control plane: it deletes the
//! objects in the namespace kind by kind, then removes its finalizer.

use kube::Client;
use serde_json::{Value, json};

use super::generator::Made;
use crate::objects::{event, objects_of, pod};
use crate::observation::{Confirmed, change, insist};

const NAMESPACES: &str = "/api/v1/namespaces";
/// Number of pods, and of Kubernetes Events, in each namespace.
const EACH: u64 = 2;

/// Makes a namespace with pods and Kubernetes Events, and deletes it while both are changed.
pub(super) async fn one(client: &Client, writer: u64, step: u64) -> Made {
    let namespace = format!("room-{writer}-{step}");
    let mut made = Made { ended_namespaces: 1, ..Made::default() };
    let body = json!({"metadata": {"name": namespace}});
    insist(client, "POST", NAMESPACES, &body).await;
    for number in 0..EACH {
        let mut pod = pod(&format!("pod-{number}"), step);
        pod["metadata"]["labels"] = json!({"lane": namespace, "alarm": "error"});
        let name = format!("pod-{number}");
        made.confirmed.extend(change(client, "Pod", (&namespace, &name), "POST", &pod).await);
        let name = format!("event-{number}");
        let mut event = event(&name, 1);
        event["involvedObject"]["namespace"] = json!(namespace);
        made.confirmed.extend(change(client, "Event", (&namespace, &name), "POST", &event).await);
    }
    let ending = end(client, &namespace);
    let (changed, ()) = tokio::join!(change_until_gone(client, &namespace), ending);
    made.confirmed.extend(changed);
    made
}

/// Changes a pod and a Kubernetes Event until either is gone.
async fn change_until_gone(client: &Client, namespace: &str) -> Vec<Confirmed> {
    let mut confirmed = Vec::new();
    for step in 1u64.. {
        let annotations = json!({"metadata": {"annotations": {"step": format!("late-{step}")}}});
        let pod = change(client, "Pod", (namespace, "pod-0"), "PATCH", &annotations).await;
        let count = json!({ "count": 1 + step });
        let event = change(client, "Event", (namespace, "event-0"), "PATCH", &count).await;
        let is_gone = pod.is_none() || event.is_none();
        confirmed.extend(pod.into_iter().chain(event));
        if is_gone {
            break;
        }
    }
    confirmed
}

async fn end(client: &Client, namespace: &str) {
    let path = format!("{NAMESPACES}/{namespace}");
    insist(client, "DELETE", &path, &json!({})).await;
    let now = json!({"gracePeriodSeconds": 0});
    for kind in ["Pod", "Event"] {
        insist(client, "DELETE", &objects_of(kind, namespace), &now).await;
    }
    if let Some(mut left) = insist(client, "GET", &path, &Value::Null).await {
        left["spec"]["finalizers"] = json!([]);
        insist(client, "PUT", &format!("{path}/finalize"), &left).await;
    }
}
