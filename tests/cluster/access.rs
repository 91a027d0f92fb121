//! Tests of credentials and permissions that appear, disappear and are missing.

use serde_json::json;

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_holds_up_its_watch_only_and_is_waited_for() {
    let api = FakeApi::start().await;
    api.put(pod("one", "web"));
    api.deny("*", "deployments", "");
    let site = site(&api);
    let running = site.start();
    site.wait_for(&["snapshot Pod/one"]);
    site.wait_until_following(&["Pod", "Event"]);
    assert!(!running.has_ended());
    api.allow_all();
    api.put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "a"}}));
    site.wait("the deployment", |seen| seen.iter().any(|one| one.ends_with("Deployment/web")));
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_rotated_is_read_again() {
    let api = FakeApi::start().await;
    api.put(pod("one", "web"));
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "first").unwrap();
    api.accept_tokens(&["first"]);
    let user = json!({ "tokenFile": token.path() });
    let site = crate::support::live::Site::new(|folder| api.kubeconfig_of(folder, &user));
    let running = site.start();
    site.wait_for(&["snapshot Pod/one"]);
    site.wait_until_following(&WATCHES);
    std::fs::write(token.path(), "second").unwrap();
    api.accept_tokens(&["second"]);
    api.restart();
    api.put(pod("two", "web"));
    site.wait("what comes after", |seen| seen.iter().any(|one| one.starts_with("added Pod/two")));
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_namespaces_that_are_named_are_asked_for() {
    let api = FakeApi::start().await;
    api.put(pod("here", "web"));
    let mut elsewhere = pod("elsewhere", "web");
    elsewhere["metadata"]["namespace"] = json!("c");
    api.put(elsewhere);
    let mut site = site(&api);
    site.kubernetes("namespaces", json!(["a", "b"]));
    let running = site.start();
    site.wait_for(&["snapshot Pod/here"]);
    site.wait_until_following(&["Pod in a", "Pod in b", "Event in a"]);
    running.stop();
    let asked = api.requests();
    let of_all = asked.iter().filter(|one| one.path == "/api/v1/pods").count();
    assert_eq!(of_all, 0);
}
