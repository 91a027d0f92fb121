//! Tests of the target `gate`: alone, and in the service whose rule opens and closes it.

use klaxon_model::Status;
use klaxon_targets::Attempt;
use klaxon_test_support::manifests::pod;
use serde_json::json;
use tempfile::TempDir;

use crate::fake_api::FakeApi;
use crate::receivers::wait;
use crate::support::http::{free_address, get};
use crate::support::live::Site;
use crate::support::module;
use crate::support::targets::{bytes, delivery, endpoint, refused, retried, target, verdict};

#[tokio::test]
async fn firing_closes_a_gate_and_the_last_resolved_opens_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("up.txt");
    std::fs::write(&file, "").unwrap();
    let target = target(folder.path(), json!({"gate": {"file": "up.txt"}}));
    for (key, status, is_open) in [
        ("a", Status::Resolved, true),
        ("a", Status::Firing, false),
        ("b", Status::Firing, false),
        ("a", Status::Resolved, false),
        ("b", Status::Resolved, true),
    ] {
        // Each attempt is that of a service that has just started.
        let sender = endpoint(&target);
        let verdict = klaxon_model::Verdict { key: key.to_owned(), status, ..verdict("R14") };
        let sent = sender.send(&delivery(1, &target, &verdict)).await;
        assert_eq!((sent, file.exists()), (Attempt::Delivered, is_open), "{key} {status:?}");
    }
}

#[tokio::test]
async fn a_folder_that_is_missing_is_retried_and_a_verdict_without_status_is_refused() {
    let folder = TempDir::new().unwrap();
    let target = target(folder.path(), json!({"gate": {"file": "pod/up.txt"}}));
    let sender = endpoint(&target);
    let why = retried(sender.send(&delivery(1, &target, &verdict("R14"))).await);
    assert!(why.contains("pod/up.txt.incidents: No such file"), "{why}");
    let why = refused(sender.send(&bytes(1, b"")).await);
    assert_eq!(why, "a gate needs the status firing or resolved, not \"\"");
}

/// Returns the status that the gate of a service answers with; 0 while it does not listen.
async fn ask(address: &str, path: &str) -> u16 {
    get(address, path).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_trips_the_gate_that_a_readiness_probe_asks_over_restarts() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let api = FakeApi::start().await;
    let address = free_address();
    let rule = json!({"name": "alarm", "module": module("alarm"), "targets": ["app"]});
    let site = Site::new(|folder| api.kubeconfig(folder))
        .rules(vec![rule])
        .targets(json!({"app": {"gate": {"file": "up.txt", "listen": address}}}));
    let file = site.folder.path().join("up.txt");
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    assert_eq!((ask(&address, "/health").await, ask(&address, "/up").await), (503, 200));
    assert_eq!(ask(&address, "/health").await, 200);
    api.put(pod("one", json!({"labels": {"alarm": "yes"}})));
    wait("the gate to close", || !file.exists());
    assert_eq!(ask(&address, "/health").await, 503);
    running.stop();
    assert_eq!(ask(&address, "/health").await, 0, "it ends with the service");
    api.put(pod("two", json!({"labels": {"alarm": "yes"}})));
    api.delete("Pod", "a", "one");
    let running = site.start();
    let settled = "SELECT count(*) FROM deliveries WHERE state = 'sent'";
    site.wait_for_rows(settled, &["3"]);
    assert!(!file.exists(), "the second pod holds it closed");
    api.put(pod("two", json!({})));
    wait("the gate to open", || file.exists());
    assert_eq!(ask(&address, "/health").await, 200);
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_cannot_work_is_an_error_before_the_service_starts() {
    let api = FakeApi::start().await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    for (gate, expected) in [
        (json!({"file": "no/up.txt"}), "no: No such file or directory (os error 2); hint: mount"),
        (json!({"file": "up.txt", "listen": taken}), "it cannot listen at 127.0.0.1:"),
    ] {
        let rule = json!({"name": "alarm", "module": module("alarm"), "targets": ["app"]});
        let site = Site::new(|folder| api.kubeconfig(folder))
            .rules(vec![rule])
            .targets(json!({"app": {"gate": gate}}));
        let error = site.start().end_by_itself().unwrap_err().to_string();
        assert!(error.starts_with("target app: ") && error.contains(expected), "{error}");
    }
}
