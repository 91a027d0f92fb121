//! A cluster that misbehaves: whatever breaks, every object is seen in its last state, nothing is
//! seen twice, and what was missed is said.

mod access;
mod faults;
mod history;
mod introductions;
mod notices;
mod operate;
mod outbox;
mod parked;
mod policy;
mod random;
mod resume;
mod selection;

use serde_json::{Value, json};

use crate::fake_api::FakeApi;
use crate::support::live::Site;

const WATCHES: [&str; 3] = ["Pod", "Deployment.apps", "Event"];

fn pod(name: &str, tier: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "a", "labels": {"tier": tier}},
        "spec": {"containers": []}, "status": {"phase": "Running"}})
}

/// A Kubernetes Event about the pod `web`.
fn notice(name: &str, count: u64) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "a"},
        "involvedObject": {"kind": "Pod", "namespace": "a", "name": "web", "uid": "of-web"},
        "type": "Warning", "reason": "BackOff", "message": "Back-off", "count": count})
}

fn site(api: &FakeApi) -> Site {
    Site::new(|folder| api.kubeconfig(folder))
}
