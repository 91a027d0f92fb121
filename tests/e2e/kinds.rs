//! Tests of kinds that are added and removed while the service runs.

use serde_json::{Value, json};

use crate::continuity::site;
use crate::objects::must;
use crate::plane::{Part, Plane};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.test/v1/namespaces/default/widgets";

fn definition() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.test"},
        "spec": {"group": "example.test", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}]}})
}

fn widget(name: &str, size: u64) -> Value {
    json!({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": name},
        "spec": {"size": size}})
}

async fn served(client: &kube::Client) {
    for _ in 0..200 {
        if crate::objects::send(client, "GET", WIDGETS, &json!(null)).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("widgets are not served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_resource_is_followed_from_its_definition_to_its_end() {
    let plane = Plane::start(&[Part::Etcd, Part::ApiServer]).await;
    let client = plane.client().await;
    let site = site(&plane);
    let running = site.start();
    site.wait_until_following(&["Pod", "Event"]);

    must(&client, "POST", DEFINITIONS, definition()).await;
    served(&client).await;
    must(&client, "POST", WIDGETS, widget("one", 1)).await;
    let is_added = |one: &String| one.starts_with("added Widget/one");
    site.wait("the first widget", |seen| seen.iter().any(is_added));

    // A new version of the definition ends every watch of its kind.
    let printer = json!({"spec": {"versions": [{"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "description": "changed"}}}]}});
    must(&client, "PATCH", &format!("{DEFINITIONS}/widgets.example.test"), printer).await;
    served(&client).await;
    must(&client, "PATCH", &format!("{WIDGETS}/one"), json!({"spec": {"size": 2}})).await;
    site.wait("the change", |_| {
        let sights = site.sights("witness");
        sights
            .iter()
            .any(|one| one["payload"]["size"].as_str().is_some_and(|size| size.contains('2')))
    });

    must(&client, "DELETE", &format!("{DEFINITIONS}/widgets.example.test"), json!({})).await;
    site.wait("its end", |seen| seen.iter().any(|one| one.starts_with("deleted Widget/one")));

    for _ in 0..100 {
        if crate::objects::send(&client, "POST", DEFINITIONS, &definition()).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    served(&client).await;
    must(&client, "POST", WIDGETS, widget("two", 1)).await;
    let is_added = |one: &String| one.starts_with("added Widget/two");
    let seen = site.wait("the second widget", |seen| seen.iter().any(is_added));
    running.stop();
    let ends = seen.iter().filter(|one| one.starts_with("deleted Widget/one")).count();
    assert_eq!(ends, 1, "{seen:?}");
}
