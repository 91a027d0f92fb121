//! A test on a cluster with nodes and controllers, with a rule for operators.

use serde_json::json;

use crate::objects::must;
use crate::plane::{Part, Plane};
use crate::support::live::Site;
use crate::support::module;

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_are_killed_for_memory_are_reported_once_each() {
    let parts = [Part::Etcd, Part::ApiServer, Part::ControllerManager, Part::Scheduler, Part::Kwok];
    let plane = Plane::start(&parts).await;
    plane.nodes(3).await;
    let client = plane.client().await;
    let kubeconfig = plane.kubeconfig().to_owned();
    let akkeris = json!({"name": "akkeris", "module": module("akkeris")});
    let site = Site::new(|_| kubeconfig).rules(vec![akkeris]);
    let running = site.start();
    site.wait_until_following(&["Pod", "Deployment.apps"]);
    let labels = json!({"app": "shop", "akkeris.io/app-name": "shop"});
    let template = json!({
        "metadata": {"labels": labels, "annotations": {"klaxon.dev/simulate": "oom"}},
        "spec": {"containers": [{"name": "shop", "image": "shop:1"}]},
    });
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "labels": labels},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "shop"}}, "template": template}});
    must(&client, "POST", "/apis/apps/v1/namespaces/default/deployments", deployment).await;
    let select =
        "SELECT DISTINCT json_extract(body, '$.object.name') FROM verdicts WHERE code = 'R14'";
    let since = klaxon_model::clock::Stopwatch::start();
    while site.rows(select).len() < 3 {
        assert!(
            since.elapsed().as_secs() < 60,
            "{:?}",
            site.rows("SELECT code, body FROM verdicts")
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    running.stop();
    let all = site.rows("SELECT count(*) FROM verdicts WHERE code = 'R14'");
    assert_eq!(all, ["3"], "one a pod");
    assert_eq!(site.gaps(), [""; 0]);
}
