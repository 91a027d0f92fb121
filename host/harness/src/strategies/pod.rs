//! Pods in every state.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{one_of, time};

/// Returns a strategy for a pod without its identity.
pub fn pod() -> impl Strategy<Value = Value> {
    let phase = one_of(&["Pending", "Running", "Succeeded", "Failed", "Unknown"]);
    let containers = prop::collection::vec(container(), 0..4);
    let deletion = prop_oneof![8 => Just(Value::Null), 1 => time()];
    (phase, conditions(), containers, init_containers(), deletion).prop_map(
        |(phase, conditions, containers, init, deletion)| {
            let named = |(place, status): (usize, Value)| (format!("app-{place}"), status);
            let containers: Vec<_> = containers.into_iter().enumerate().map(named).collect();
            let init: Vec<_> = init
                .into_iter()
                .enumerate()
                .map(|(place, (policy, status))| (format!("init-{place}"), policy, status))
                .collect();
            let spec = |name: &str| json!({"name": name, "image": "registry.example.com/app:1"});
            let status = |name: &str, status: &Value| {
                let mut status = status.clone();
                if let Some(members) = status.as_object_mut() {
                    members.insert("name".to_owned(), name.into());
                }
                status
            };
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"deletionTimestamp": deletion},
                "spec": {
                    "nodeName": "node-1",
                    "containers": containers.iter().map(|(name, _)| spec(name)).collect::<Vec<_>>(),
                    "initContainers": init.iter().map(|(name, policy, _)| {
                        let mut spec = spec(name);
                        if let Some(members) = spec.as_object_mut() {
                            members.insert("restartPolicy".to_owned(), policy.clone());
                        }
                        spec
                    }).collect::<Vec<_>>(),
                },
                "status": {
                    "phase": phase,
                    "conditions": conditions,
                    "containerStatuses":
                        containers.iter().map(|(name, one)| status(name, one)).collect::<Vec<_>>(),
                    "initContainerStatuses":
                        init.iter().map(|(name, _, one)| status(name, one)).collect::<Vec<_>>(),
                },
            })
        },
    )
}

fn init_containers() -> impl Strategy<Value = Vec<(Value, Value)>> {
    let policy = prop_oneof![Just(Value::Null), Just(json!("Always"))];
    prop::collection::vec((policy, container()), 0..2)
}

fn conditions() -> impl Strategy<Value = Vec<Value>> {
    let name = one_of(&["PodScheduled", "Initialized", "Ready", "ContainersReady"]);
    let reason = one_of(&["Unschedulable", "SchedulingGated", "ContainersNotReady", ""]);
    let message = one_of(&["0/3 nodes are available: 3 Insufficient cpu.", "not yet", ""]);
    let condition = (name, one_of(&["True", "False", "Unknown"]), reason, message, time());
    let condition = condition.prop_map(|(name, status, reason, message, since)| {
        json!({"type": name, "status": status, "reason": reason, "message": message,
               "lastTransitionTime": since})
    });
    prop::collection::vec(condition, 0..4)
}

fn container() -> impl Strategy<Value = Value> {
    (state(), state(), any::<bool>(), 0u32..8).prop_map(|(state, last, ready, restarts)| {
        json!({"ready": ready, "started": ready, "restartCount": restarts, "state": state,
               "lastState": last})
    })
}

/// Returns a strategy for a container's state, which may be absent or null.
fn state() -> impl Strategy<Value = Value> {
    let waiting = one_of(&[
        "ContainerCreating",
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerConfigError",
        "InvalidImageName",
        "PodInitializing",
    ]);
    let ended = one_of(&["Error", "OOMKilled", "Completed", "ContainerCannotRun", "StartError"]);
    let code = prop::sample::select(vec![0, 1, 2, 15, 126, 127, 128, 130, 137, 139, 143]);
    prop_oneof![
        1 => Just(Value::Null),
        1 => Just(json!({})),
        4 => time().prop_map(|since| json!({"running": {"startedAt": since}})),
        3 => waiting.prop_map(|reason| json!({"waiting": {"reason": reason}})),
        4 => (ended, code, time(), time()).prop_map(|(reason, code, start, end)| {
            json!({"terminated": {"reason": reason, "exitCode": code, "startedAt": start,
                                  "finishedAt": end}})
        }),
    ]
}
