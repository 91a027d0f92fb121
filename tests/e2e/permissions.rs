//! Tests of service accounts with partial permissions, and of permissions that are granted and revoked.

use serde_json::{Value, json};

use crate::objects::{PODS, must, pod};
use crate::plane::{Part, Plane};
use crate::support::live::Site;

const API: [Part; 2] = [Part::Etcd, Part::ApiServer];
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn role() -> Value {
    json!({"metadata": {"name": "klaxon"}, "rules": [
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "watch"]},
        {"apiGroups": ["example.test"], "resources": ["widgets"], "verbs": ["list", "watch"]}]})
}

fn binding(kind: &str, user: &str) -> Value {
    json!({"metadata": {"name": "klaxon"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "klaxon"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})
}

async fn namespace(client: &kube::Client, name: &str) {
    let namespace = json!({"metadata": {"name": name}});
    must(client, "POST", "/api/v1/namespaces", namespace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_namespace_watches_that_one() {
    let plane = Plane::start(&API).await;
    let client = plane.client().await;
    namespace(&client, "shop").await;
    let of_shop = format!("{RBAC}/namespaces/shop");
    must(&client, "POST", &format!("{of_shop}/roles"), role()).await;
    let bound = binding("Role", "klaxon-nsonly");
    must(&client, "POST", &format!("{of_shop}/rolebindings"), bound).await;
    must(&client, "POST", PODS, pod("elsewhere", 1)).await;
    must(&client, "POST", "/api/v1/namespaces/shop/pods", pod("here", 1)).await;

    let kubeconfig = plane.kubeconfig_of("klaxon-nsonly");
    let mut site = Site::new(|_| kubeconfig);
    site.kubernetes("namespaces", json!(["shop"]));
    let running = site.start();
    site.wait("the pod of the namespace", |seen| seen == ["snapshot Pod/here"]);
    site.wait_until_following(&["Pod in shop", "Event in shop", "Deployment.apps in shop"]);
    must(&client, "POST", "/api/v1/namespaces/shop/pods", pod("new", 1)).await;
    site.wait_for(&["snapshot Pod/here", "added Pod/new"]);
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_withdrawn_and_given_back_lose_nothing() {
    let mut plane = Plane::start(&API).await;
    let client = plane.client().await;
    must(&client, "POST", &format!("{RBAC}/clusterroles"), role()).await;
    let bindings = format!("{RBAC}/clusterrolebindings");
    let bound = binding("ClusterRole", "klaxon-watcher");
    must(&client, "POST", &bindings, bound.clone()).await;
    must(&client, "POST", PODS, pod("first", 1)).await;

    let kubeconfig = plane.kubeconfig_of("klaxon-watcher");
    let site = Site::new(|_| kubeconfig);
    let running = site.start();
    site.wait("the first pod", |seen| seen.iter().any(|one| one == "snapshot Pod/first"));
    site.wait_until_following(&["Pod", "Event", "Deployment.apps"]);

    must(&client, "DELETE", &format!("{bindings}/klaxon"), json!({})).await;
    // An open watch continues after its permission is revoked: only the next one is refused.
    plane.kill(Part::ApiServer);
    plane.restart(Part::ApiServer).await;
    let client = plane.client().await;
    must(&client, "POST", PODS, pod("second", 1)).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!running.has_ended(), "a missing right is waited for");
    assert!(!site.seen().iter().any(|one| one.contains("Pod/second")));

    must(&client, "POST", &bindings, bound).await;
    site.wait("the second pod", |seen| seen.iter().any(|one| one.contains("added Pod/second")));
    running.stop();
}
