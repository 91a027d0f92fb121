//! Changes of the cluster at planned moments; the writers make all others.

use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use kube::Client;
use serde_json::{Value, json};

use super::generator::Made;
use crate::objects::{EVENTS, PODS, event, must, pod};
use crate::observation::{change, insist};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.test/v1/namespaces/default/widgets";
/// The path of the widgets of all namespaces.
pub(super) const ALL_WIDGETS: &str = "/apis/example.test/v1/widgets";
/// Time limit for the API server to start or stop serving a kind.
const PATIENCE: Duration = Duration::from_secs(60);

/// Defines the kind of the widgets, and makes the first widget.
pub(super) async fn first_widget(client: &Client) {
    must(client, "POST", DEFINITIONS, definition(true)).await;
    until_served(client, true).await;
    widget(client, 0).await;
}

/// Makes more widgets under a watch. They never change afterwards, so that a widget that returns has its former
/// version.
pub(super) async fn more_widgets(client: &Client) {
    for number in 1..3 {
        widget(client, number).await;
    }
}

async fn widget(client: &Client, number: u64) {
    let name = format!("widget-{number}");
    let widget = json!({"apiVersion": "example.test/v1", "kind": "Widget",
        "metadata": {"name": name}, "spec": {"size": number}});
    must(client, "POST", WIDGETS, widget).await;
}

fn definition(served: bool) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.test"},
        "spec": {"group": "example.test", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": served, "storage": true,
                "schema": {"openAPIV3Schema": schema}}]}})
}

/// Stops or starts serving the kind of the widgets; the widgets stay as they are.
pub(super) async fn serve_widgets(client: &Client, served: bool) {
    let versions = json!({"spec": {"versions": definition(served)["spec"]["versions"]}});
    let path = format!("{DEFINITIONS}/widgets.example.test");
    insist(client, "PATCH", &path, &versions).await;
    until_served(client, served).await;
}

async fn until_served(client: &Client, served: bool) {
    let since = Stopwatch::start();
    while crate::objects::send(client, "GET", WIDGETS, &Value::Null).await.is_ok() != served {
        assert!(since.elapsed() < PATIENCE, "widgets are served: {}", !served);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes the pod whose label inhibits the alarms of its namespace.
pub(super) async fn first_guard(client: &Client) {
    let mut guard = pod("guard", 0);
    guard["metadata"]["labels"] = json!({"lane": "guard"});
    must(client, "POST", PODS, guard).await;
}

/// Begins or ends the inhibiting incident.
pub(super) async fn set_guard(client: &Client, is_up: bool) -> Made {
    let label = if is_up { json!("up") } else { Value::Null };
    let label = json!({"metadata": {"labels": {"guard": label}}});
    let made = change(client, "Pod", ("default", "guard"), "PATCH", &label).await;
    Made { confirmed: made.into_iter().collect(), ..Made::default() }
}

/// Makes Kubernetes Events in a downtime; half of them are deleted in it too.
pub(super) async fn brief_events(client: &Client, cycle: u64) -> Made {
    let mut made = Made::default();
    for number in 0..4 {
        let name = format!("event-brief-{cycle}-{number}");
        let new = event(&name, 1);
        made.confirmed.extend(change(client, "Event", ("default", &name), "POST", &new).await);
        let count = json!({ "count": 5 + number });
        made.confirmed.extend(change(client, "Event", ("default", &name), "PATCH", &count).await);
        if number % 2 == 0 {
            insist(client, "DELETE", &format!("{EVENTS}/{name}"), &json!({})).await;
            made.ended_events += 1;
        }
    }
    made
}
