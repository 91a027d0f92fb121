//! Tests that run on any cluster: `cargo xtask e2e --kubeconfig FILE`.

use serde_json::json;

use crate::objects::{must, pod, send};
use crate::plane::{Part, Plane};
use crate::support::live::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_seen_from_its_creation_to_its_end() {
    let given = std::env::var_os("KLAXON_E2E_KUBECONFIG");
    let plane = match &given {
        None => Some(Plane::start(&[Part::Etcd, Part::ApiServer]).await),
        Some(_) => None,
    };
    let kubeconfig = match (&plane, given) {
        (Some(plane), _) => plane.kubeconfig().to_owned(),
        (None, given) => given.unwrap().into(),
    };
    let read = kube::config::Kubeconfig::read_from(&kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();

    let namespace = format!("klaxon-e2e-{}", std::process::id());
    let made = json!({ "metadata": { "name": namespace } });
    must(&client, "POST", "/api/v1/namespaces", made).await;
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let mut site = Site::new(|_| kubeconfig);
    site.kubernetes("namespaces", json!([namespace]));
    let running = site.start();
    site.wait_until_following(&[&format!("Pod in {namespace}")]);
    // A cluster makes the service account that pods need a moment after the namespace.
    for _ in 0..100 {
        if send(&client, "POST", &pods, &pod("web", 1)).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    site.wait("the pod", |seen| seen.contains(&"added Pod/web".to_owned()));
    let now = json!({"gracePeriodSeconds": 0});
    must(&client, "DELETE", &format!("{pods}/web"), now).await;
    site.wait("its end", |seen| seen.contains(&"deleted Pod/web".to_owned()));
    running.stop();
    must(&client, "DELETE", &format!("/api/v1/namespaces/{namespace}"), json!({})).await;
}
