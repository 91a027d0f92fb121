//! Tests of the operator's view of the service: health, metrics and commands.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use serde_json::{Value, json};

use super::{WATCHES, admin, kubernetes_event, pod, site};
use crate::fake_api::{FakeApi, Verb};
use crate::support::http::get;
use crate::support::{KLAXON, module};

fn klaxon(arguments: &[&str]) -> Output {
    Command::new(KLAXON).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_it_is_ready_and_what_holds_it_up() {
    let api = FakeApi::start().await;
    api.put(pod("one", "web"));
    api.deny("*", "deployments", "");
    let mut site = site(&api);
    let address = admin(&mut site);
    let running = site.start();
    site.wait_until_following(&["Pod", "Event"]);
    assert_eq!(get(&address, "/healthz").await, (200, "ok\n".to_owned()));
    let (status, reasons) = get(&address, "/readyz").await;
    assert_eq!(status, 503);
    assert!(reasons.contains("watch Deployment.apps"), "{reasons}");
    assert!(reasons.contains("forbidden"), "{reasons}");
    api.allow_all();
    let since = Stopwatch::start();
    while get(&address, "/readyz").await.0 != 200 {
        assert!(
            since.elapsed() < crate::support::live::PATIENCE,
            "{:?}",
            get(&address, "/readyz").await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, metrics) = get(&address, "/metrics").await;
    for line in [
        r#"klaxon_watch_events_total{watch="Pod"} "#,
        r#"klaxon_watch_in_sync{watch="Deployment.apps"} 1"#,
        r#"klaxon_watch_restarts_total{watch="Deployment.apps",reason="forbidden"} "#,
        r#"klaxon_watch_last_progress_timestamp_seconds{watch="Event"} "#,
        r#"klaxon_verdicts_total{rule="witness",code="SAW"} 1"#,
        "klaxon_objects_known",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    running.stop();
    assert_eq!(get(&address, "/healthz").await.0, 0, "it ends with the service");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_asked_for_and_what_is_missing_is_named() {
    let api = FakeApi::start().await;
    let site = site(&api);
    let config = site.config();
    let config = config.to_str().unwrap();
    let whole = klaxon(&["config", "check", "--cluster", "--config", config]);
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stderr));
    assert!(text(&whole.stdout).contains("example.test/v1 Widget is not served yet"));
    api.deny("watch", "pods", "");
    let part = klaxon(&["config", "check", "--cluster", "--config", config]);
    let table = text(&part.stdout);
    assert_eq!(part.status.code(), Some(1), "{table}");
    let row = table.lines().find(|line| line.starts_with("pods") && line.contains("watch"));
    assert!(row.is_some_and(|row| row.contains("missing")), "{table}");
    assert!(table.contains("klaxon config rbac"), "{table}");
    let output = ["config", "check", "--cluster", "--output", "json", "--config", config];
    let document: Value = serde_json::from_slice(&klaxon(&output).stdout).unwrap();
    assert_eq!(document["not_served"], json!(["example.test/v1 Widget"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_role_is_printed() {
    let api = FakeApi::start().await;
    let mut site = site(&api);
    let print = |site: &crate::support::live::Site| {
        let config = site.config();
        let arguments =
            ["config", "rbac", "--namespace", "ops", "--config", config.to_str().unwrap()];
        let output = klaxon(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    insta::assert_snapshot!("rbac_of_the_cluster", print(&site));
    site.kubernetes("namespaces", json!(["shop"]));
    site.kubernetes("lease", json!(false));
    insta::assert_snapshot!("rbac_of_a_namespace", print(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_recorded_and_the_recording_says_the_same() {
    let api = FakeApi::start().await;
    api.put(pod("secret-name", "web"));
    api.put(kubernetes_event("secret-event", 3));
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path());
    let out = folder.path().join("recorded");
    let change = {
        let api = api.clone();
        std::thread::spawn(move || {
            // Waits for both watches to be opened, however long that takes: existing objects are sent at
            // once.
            let is_watched = |kind: &str| {
                let requests = api.requests();
                requests.iter().any(|one| one.verb == Verb::Watch && one.path.ends_with(kind))
            };
            let since = Stopwatch::start();
            while !(is_watched("/pods") && is_watched("/events")) {
                assert!(since.elapsed() < crate::support::live::PATIENCE, "nothing is watched");
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(500));
            api.put(pod("secret-name", "other"));
            api.put(kubernetes_event("secret-event", 5));
        })
    };
    let output = Command::new(KLAXON)
        .args(["record", "--for", "4s", "--kinds", "pods,events", "--kubeconfig"])
        .arg(&kubeconfig)
        .arg("--rule")
        .arg(module("eventarbiter"))
        .arg("-o")
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    change.join().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("rule eventarbiter says the same"), "{said}");
    let pods = std::fs::read_to_string(out.join("pod.jsonl")).unwrap();
    let types: Vec<String> = pods
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].to_string())
        .collect();
    assert_eq!(types, ["\"SNAPSHOT\"", "\"BOOKMARK\"", "\"MODIFIED\""]);
    assert!(!pods.contains("secret"), "{pods}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_checked_for_every_stream_before_anything_is_recorded() {
    let api = FakeApi::start().await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(folder.path());
    let out = folder.path().join("out");
    std::fs::create_dir_all(out.join("event.jsonl")).unwrap();
    let file = folder.path().join("one.jsonl");
    let says_of_file = "2 streams are written to a folder, and this is the name of a file";
    let says_of_folder = "event.jsonl: this is a folder, and is never replaced";
    // The rule watches Events, which are not among the kinds.
    for (out, says) in [(&file, says_of_file), (&out, says_of_folder)] {
        let output = Command::new(KLAXON)
            .args(["record", "--force", "--for", "10m", "--kinds", "pods", "--kubeconfig"])
            .arg(&kubeconfig)
            .arg("--rule")
            .arg(module("eventarbiter"))
            .arg("-o")
            .arg(out)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
    assert!(!api.requests().iter().any(|one| one.verb == Verb::Watch), "something was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_in_it_says_why_each_failed() {
    let api = FakeApi::start().await;
    let site = site(&api);
    let config = site.config();
    api.down();
    let output = klaxon(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("kubeconfig") && said.contains("onnection refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_does_not_share_the_journal() {
    let api = FakeApi::start().await;
    let site = site(&api);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    let config = site.config();
    let output = klaxon(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("another process uses it"), "{}", text(&output.stderr));
    running.stop();
}
