//! Tests of the cluster's identity: the service does not continue with the journal of another cluster.

use klaxon::app::RunError;
use serde_json::{Value, json};

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;

fn kube_system(uid: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_another_cluster_is_refused_until_the_configuration_accepts_it() {
    let api = FakeApi::start().await;
    api.put(kube_system("first-cluster"));
    api.put(pod("one", "web"));
    let mut site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    running.stop();
    // Another cluster answers at the address.
    api.put(kube_system("second-cluster"));
    let ended = site.start().end_by_itself();
    let Err(fault @ RunError::OtherCluster { .. }) = ended else { panic!("{ended:?}") };
    let text = fault.to_string();
    assert!(
        text.contains("first-cluster") && text.contains("cluster_uid: second-cluster"),
        "{text}"
    );
    assert_eq!(site.seen().len(), 1, "nothing was told");

    site.kubernetes("cluster_uid", json!("third-cluster"));
    let ended = site.start().end_by_itself();
    assert!(matches!(ended, Err(RunError::NotTheCluster { .. })), "{ended:?}");

    site.kubernetes("cluster_uid", json!("second-cluster"));
    let running = site.start();
    api.put(pod("two", "web"));
    site.wait("what comes then", |seen| seen.iter().any(|one| one.starts_with("added Pod/two")));
    running.stop();
    assert_eq!(site.rows("SELECT value FROM meta WHERE key = 'cluster'"), ["second-cluster"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_cluster_does_not_tell_its_uid_the_journal_is_gone_on_with() {
    let api = FakeApi::start().await;
    api.put(kube_system("first-cluster"));
    api.put(pod("one", "web"));
    api.deny("get", "namespaces", "");
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    running.stop();
    assert_eq!(site.rows("SELECT count(*) FROM meta WHERE key = 'cluster'"), ["0"]);
    api.allow_all();
    let running = site.start();
    api.put(pod("two", "web"));
    site.wait("what comes then", |seen| seen.iter().any(|one| one.starts_with("added Pod/two")));
    running.stop();
    assert_eq!(site.rows("SELECT value FROM meta WHERE key = 'cluster'"), ["first-cluster"]);
}
