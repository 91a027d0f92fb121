//! Messages, names and addresses outside objects.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::{Keep, vocabulary};
use super::{redactor, set, with};

/// Messages of Kubernetes without a name in them.
const PUBLIC: [&str; 40] = [
    "0/24 nodes are available: 2 Insufficient cpu, 20 Insufficient memory, 2 node(s) had \
     untolerated taint(s), 1 node(s) didn't match Pod's node \
     affinity/selector. no new claims to deallocate, \
     preemption: 0/24 nodes are available: 24 Preemption is not helpful for scheduling.",
    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
    "1 node(s) were unschedulable, 1 node(s) didn't have free ports for the requested pod ports.",
    "3 No preemption victims found for incoming pod.",
    "Back-off restarting failed container",
    "Back-off pulling image",
    "Readiness probe failed: HTTP probe failed with statuscode: 503",
    "Deployment does not have minimum availability.",
    "kubelet has sufficient PID available",
    "RouteController created a route",
    "Kubelet stopped posting node status.",
    "Job has reached the specified backoff limit",
    "Job was active longer than specified deadline",
    "Taint manager: deleting due to NoExecute taint",
    "container runtime network not ready: cni plugin not initialized",
    "(combined from similar events): Scaled down replica set",
    "node.kubernetes.io/not-ready taint",
    "Error: ImagePullBackOff",
    "back-off 5m0s restarting failed container",
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 64Mi.",
    "Container image already present on machine",
    "Successfully pulled image in 1.25s (1.3s including waiting). Image size: 123456 bytes.",
    "Container failed liveness probe, will be restarted",
    "Liveness probe failed: dial tcp: connect: connection refused",
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for \
     sandbox",
    "NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error",
    "Unable to attach or mount volumes: unmounted volumes=[], unattached volumes=[]: timed out \
     waiting for the condition",
    "1 node(s) had volume node affinity conflict, 2 Too many pods",
    "1 node(s) didn't match pod topology spread constraints (missing required label)",
    "1 node(s) didn't satisfy existing pods anti-affinity rules",
    "pod didn't trigger scale-up: 1 max node group size reached",
    "The node had condition: [DiskPressure].",
    "Pod sandbox changed, it will be killed and re-created.",
    "Cannot determine if job needs to be started: too many missed start times (> 100)",
    "Updated Node Allocatable limit across pods",
    "invalid capacity 0 on image filesystem",
    "kubelet has insufficient PID available",
    "Scaled up replica set to 3 from 2",
    "too old resource version: 363 (372) at 2026-11-20T23:36:42Z",
];

#[test]
fn what_kubernetes_itself_writes_stays() {
    for message in PUBLIC {
        assert_eq!(redactor().text(message), message);
    }
}

#[test]
fn a_name_in_a_message_is_the_pseudonym_of_the_name() {
    let redactor = redactor();
    let name = |name: &str| redactor.pseudonyms.name(name);
    let pod = "shop-web-775b76bffb-hqzrm";
    let uid = "3fd1592e-53fa-4b81-b7d6-f6ab23847902";
    assert_eq!(
        redactor.text(&format!("Back-off restarting failed container x in pod {pod}_prod({uid})")),
        format!(
            "Back-off restarting failed container {} in pod {}_{}({})",
            name("x"),
            name(pod),
            name("prod"),
            name(uid)
        )
    );
    let image = "registry.acme.com:5000/repo/t:1.2";
    assert_eq!(
        redactor.text(&format!("pulling image \"{image}\": {image}: not found")),
        format!("pulling image \"{0}\": {0}: not found", name(image))
    );
    assert_eq!(
        redactor.text(&format!("Deleted pod: {pod}.")),
        format!("Deleted pod: {}.", name(pod))
    );
}

#[test]
fn names_keep_their_separators_and_what_they_share() {
    let name = |text: &str| redactor().pseudonyms.name(text);
    let replica_set = name("shop--web-775b76bffb");
    assert!(name("shop--web-775b76bffb-hqzrm").starts_with(&format!("{replica_set}-")));
    assert_eq!(replica_set.matches("--").count(), 1);
    assert!(name("shop-").ends_with('-') && name("shop--web").starts_with(&name("shop-")));
    assert!(name("data-0").ends_with("-0") && !name("data-2992").contains("2992"));
    assert_ne!(name("123"), "123");
    assert_ne!(name("1-2"), "1-2");
    assert_eq!(name(""), "");
    for segment in replica_set.split('-').filter(|segment| !segment.is_empty()) {
        assert_eq!(segment.len(), 9);
        assert!(segment.starts_with(|first: char| first.is_ascii_lowercase()));
    }
}

#[test]
fn an_image_keeps_its_parts() {
    let name = |text: &str| redactor().pseudonyms.name(text);
    let digest = "2b2c40a6706d9e5f320d553628313833e3668d8b0a6706d9e5f320d553628313";
    let image = name(&format!("docker.io/library/web:latest@sha256:{digest}"));
    assert_eq!(image.matches(['.', '/', ':', '@']).count(), 6, "{image}");
    assert!(image.contains(":latest@sha256:") && !image.contains(digest));
    let hex = image.rsplit(':').next().unwrap();
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(name(&format!("containerd://{digest}")).starts_with("containerd://"));
}

#[test]
fn addresses_stay_addresses_wherever_they_are() {
    let redactor = redactor();
    let v4 = redactor.text("10.244.0.9");
    let v4_inside: std::net::Ipv4Addr = v4.parse().unwrap();
    assert!(matches!(v4_inside.octets(), [198, 18 | 19, ..]));
    let v6 = redactor.text("fd00::1:2");
    assert!(v6.parse::<std::net::Ipv6Addr>().is_ok() && v6.starts_with("2001:db8:"), "{v6}");
    for (text, wanted) in [
        ("Get \"http://10.244.0.9:8080/\": refused", format!("Get \"http://{v4}:8080/\": refused")),
        ("dial tcp [fd00::1:2]:8443: timeout", format!("dial tcp [{v6}]:8443: timeout")),
        ("dial tcp fd00:0:0:0::1:2: timeout", format!("dial tcp {v6}: timeout")),
        ("found 10.244.0.0/16", format!("found {}/16", redactor.text("10.244.0.0"))),
        ("found fd00::1:2/64.", format!("found {v6}/64.")),
        ("from 10.244.0.9, 010.244.000.009.", format!("from {v4}, {v4}.")),
    ] {
        assert_eq!(redactor.text(text), wanted);
    }
    let node = redactor.pseudonyms.name("ip-10-244-0-9.internal");
    assert!(node.contains(&v4.replace('.', "-")), "{node}");
    assert!(!redactor.text("found ::1 here").contains("::1 "));
}

#[test]
fn addresses_of_one_network_never_fall_together() {
    let pseudonyms = redactor().pseudonyms;
    let network = u32::from_be_bytes([10, 244, 0, 0]);
    let all: BTreeSet<_> =
        (0..1 << 14).map(|host| pseudonyms.v4((network + host).into())).collect();
    assert_eq!(all.len(), 1 << 14);
}

#[test]
fn the_name_of_a_version_stays_the_start_of_its_pods() {
    let name = |text: &str| redactor().pseudonyms.name(text);
    assert!(name("web-1-2-3-0").starts_with(&name("web-1-2-3")));
}

#[test]
fn a_learnt_name_goes_where_it_names_something_and_nowhere_else() {
    let mut redactor = redactor();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"},
        "spec": {"containers": [{"name": "cpu"}, {"name": "failed"}]}});
    let insufficient = "0/3 nodes are available: 3 Insufficient cpu.";
    let mention = "containers with unready status: [cpu]";
    assert_eq!(redactor.text(mention), mention);
    redactor.learn(&pod.to_string()).unwrap();
    let cpu = redactor.pseudonyms.name("cpu");
    assert_eq!(redactor.text(insufficient), insufficient);
    assert_eq!(redactor.text("Node is not ready"), "Node is not ready");
    assert_eq!(
        redactor.text("Back-off restarting failed container"),
        "Back-off restarting failed container"
    );
    for (before, after) in
        [("[", "]"), ("container ", " in pod"), ("container=", " "), ("\"", "\"")]
    {
        let message = redactor.text(&format!("{before}cpu{after}"));
        assert_eq!(message, format!("{before}{cpu}{after}"));
    }
    let pod = redactor.pseudonyms.name("default/node");
    assert_eq!(redactor.text("assigned default/node to"), format!("assigned {pod} to"));
    assert!(pod.starts_with("default/") && !pod.contains("node"));
}

#[test]
fn the_callers_words_stay_in_any_case() {
    let redactor = with(Keep { words: set(&["serviceName"]), ..Keep::default() });
    assert_eq!(redactor.text("ServiceName not found"), "ServiceName not found");
    assert!(redactor.keeps_word("servicename") && !redactor.keeps_word("shop"));
}

#[test]
fn another_key_gives_other_pseudonyms() {
    let other = super::Redactor::new(&[8; 32], Keep::default());
    for text in ["shop", "10.0.0.1", "fd00::1", "3fd1592e-53fa-4b81-b7d6-f6ab23847902"] {
        assert_eq!(redactor().text(text), redactor().text(text));
        assert_ne!(redactor().text(text), other.text(text));
    }
}

#[test]
fn the_vocabulary_is_in_lower_case_and_says_nothing_twice() {
    let words: Vec<&str> = vocabulary::words().collect();
    let unique: BTreeSet<&str> = words.iter().copied().collect();
    assert_eq!(words.len(), unique.len());
    assert!(words.iter().all(|word| word.to_lowercase() == **word));
}
