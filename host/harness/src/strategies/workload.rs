//! Workloads in rollout.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{one_of, time};

/// Returns a strategy for a Deployment, StatefulSet, DaemonSet or ReplicaSet without its identity.
pub fn workload() -> impl Strategy<Value = Value> {
    let kind = one_of(&["Deployment", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]);
    let condition = (
        one_of(&["Progressing", "Available", "ReplicaFailure"]),
        one_of(&["True", "False", "Unknown"]),
        one_of(&["NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded", ""]),
        time(),
    );
    let condition = condition.prop_map(|(name, status, reason, since)| {
        json!({"type": name, "status": status, "reason": reason, "lastUpdateTime": since,
               "lastTransitionTime": since})
    });
    let conditions = prop::collection::vec(condition, 0..4);
    // Half of the workloads have all their replicas.
    let replicas = prop_oneof![
        (0u32..5).prop_map(|all| (all, all, all, all, all)),
        (0u32..5, 0u32..5, 0u32..5, 0u32..5, 0u32..5),
    ];
    (kind, replicas, 0u64..15, conditions).prop_map(
        |(kind, (wanted, there, updated, ready, available), observed, conditions)| {
            json!({
                "apiVersion": "apps/v1", "kind": kind, "metadata": {},
                "spec": {"replicas": wanted, "template": {"spec": {"containers": [
                    {"name": "app", "image": "registry.example.com/app:1"}]}}},
                "status": {
                    "replicas": there, "updatedReplicas": updated, "readyReplicas": ready,
                    "availableReplicas": available, "observedGeneration": observed,
                    "desiredNumberScheduled": wanted, "currentNumberScheduled": there,
                    "updatedNumberScheduled": updated, "numberReady": ready,
                    "numberAvailable": available, "conditions": conditions,
                },
            })
        },
    )
}
