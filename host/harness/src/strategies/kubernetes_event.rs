//! Kubernetes Events in the form of both API groups.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{one_of, time};

/// Returns a strategy for a Kubernetes Event without its identity.
pub fn kubernetes_event() -> impl Strategy<Value = Value> {
    let reason = one_of(&[
        "BackOff",
        "Failed",
        "FailedScheduling",
        "FailedSync",
        "Killing",
        "NodeNotReady",
        "OOMKilling",
        "Rebooted",
        "Scheduled",
        "Started",
        "SystemOOM",
        "Unhealthy",
    ]);
    let message = one_of(&[
        "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.",
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
        "Back-off restarting failed container",
        "Zürich ist nicht erreichbar",
        "",
    ]);
    let regarding = (one_of(&["Pod", "pod", "Node", "PersistentVolumeClaim"]), 0u8..4);
    let regarding = regarding.prop_map(|(kind, number)| {
        let name = format!("{}-{number}", kind.to_lowercase());
        json!({"apiVersion": "v1", "kind": kind, "namespace": "space-0", "name": name,
               "uid": format!("uid-{name}")})
    });
    let count = prop_oneof![Just(Value::Null), (1u32..50).prop_map(Value::from)];
    let series = prop_oneof![
        Just(Value::Null),
        (1u32..50, time())
            .prop_map(|(count, last)| json!({"count": count, "lastObservedTime": last})),
    ];
    let host = prop_oneof![Just(Value::Null), Just(json!("node-1"))];
    let level = one_of(&["Normal", "Warning", ""]);
    (any::<bool>(), reason, message, regarding, (count, series, time(), time()), host, level)
        .prop_map(|(is_new, reason, message, regarding, (count, series, first, last), host, level)| {
            if is_new {
                json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {},
                       "reason": reason, "note": message, "regarding": regarding, "type": level,
                       "deprecatedCount": count, "series": series, "eventTime": last,
                       "deprecatedSource": {"host": host}, "action": "Binding",
                       "reportingController": "default-scheduler"})
            } else {
                json!({"apiVersion": "v1", "kind": "Event", "metadata": {}, "reason": reason,
                       "message": message, "involvedObject": regarding, "type": level, "count": count,
                       "series": series, "firstTimestamp": first, "lastTimestamp": last,
                       "eventTime": null, "source": {"component": "kubelet", "host": host}})
            }
        })
}
