//! Nodes without machines.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::process::Process;
use super::{PATIENCE, PAUSE, Part, Plane, commands};

impl Plane {
    /// Makes the nodes `node-1` to `node-<count>` where they are missing, and waits until all of
    /// them are Ready. They need [`Part::Kwok`].
    pub(crate) async fn nodes(&self, count: usize) {
        let nodes: Api<Node> = Api::all(self.client().await);
        for number in 1..=count {
            match nodes.create(&PostParams::default(), &node(number)).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                outcome => drop(outcome.expect("a node can be made")),
            }
        }
        let looks = async {
            loop {
                let list = nodes.list(&ListParams::default()).await.expect("nodes can be listed");
                if list.iter().filter(|node| is_ready(node)).count() >= count {
                    return;
                }
                sleep(PAUSE).await;
            }
        };
        if timeout(PATIENCE, looks).await.is_err() {
            let log = self.processes.get(&Part::Kwok).map(Process::log_tail).unwrap_or_default();
            panic!("{count} nodes were not Ready in {PATIENCE:?}; the end of KWOK's log:\n{log}");
        }
    }
}

fn node(number: usize) -> Node {
    let name = format!("node-{number}");
    let size = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let node = json!({
        "metadata": {
            "name": name,
            "annotations": {commands::FAKE_NODE.0: commands::FAKE_NODE.1},
            "labels": {"kubernetes.io/hostname": name},
        },
        "status": {"allocatable": size, "capacity": size},
    });
    serde_json::from_value(node).expect("a node")
}

fn is_ready(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
