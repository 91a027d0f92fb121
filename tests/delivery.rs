//! Tests of deliveries to real sockets: signatures, retries, and receivers that misbehave.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use klaxon_test_support::manifests;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::receivers::answering;
use crate::support::{KLAXON, module, pod_line, root, stream};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Runs the service with one webhook target on a stream in which one pod crashes.
async fn run(url: &str, webhook: Value) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let crashed =
        json!({"name": "app", "state": {"terminated": {"reason": "Error", "exitCode": 1}}});
    let line = pod_line("ADDED", "2026-01-01T00:00:00Z", "web-1", 1, &crashed);
    stream(folder.path(), "pods.jsonl", &[line]);
    let mut webhook = webhook;
    webhook["url"] = json!(url);
    webhook["allow"] = webhook.get("allow").cloned().unwrap_or(json!(["loopback"]));
    run_rule("akkeris", &folder, json!("pods.jsonl"), json!({"notify": {"webhook": webhook}})).await
}

/// Runs the service with a rule on streams, for all of the targets.
async fn run_rule(rule: &str, folder: &TempDir, streams: Value, targets: Value) -> Output {
    let names: Vec<&String> = targets.as_object().unwrap().keys().collect();
    // JSON is YAML.
    let config = json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
        "sources": [{"name": "recorded", "replay": {"streams": [streams]}}],
        "rules": [{"name": rule, "module": module(rule), "targets": names}],
        "targets": targets,
    });
    let path = folder.path().join("klaxon.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    let mut klaxon = Command::new(KLAXON);
    klaxon.args(["run", "--output", "json", "--config"]).arg(path).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || klaxon.output().unwrap()).await.unwrap()
}

/// Returns the counts of the one delivery: (sent, retried, dead).
#[track_caller]
fn outcome(output: &Output) -> (u64, u64, u64) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let summary: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    let count = |name: &str| summary["targets"]["notify"][name].as_u64().unwrap();
    // A run on streams that ends with dead letters has failed.
    let expected = i32::from(count("dead") > 0);
    assert_eq!(output.status.code(), Some(expected), "{stderr}");
    assert!(!stderr.contains("pending deliveries"), "all are sent or dead: {stderr}");
    (count("sent"), count("retried"), count("dead"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a receiver that answers the first request with `first` and the others with a status.
async fn answering_in_turn(first: ResponseTemplate, status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(first).up_to_n_times(1).mount(&server).await;
    let rest = ResponseTemplate::new(status);
    Mock::given(method("POST")).respond_with(rest).mount(&server).await;
    server
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

/// Verifies signatures with an independent implementation of the specification.
fn verify(requests: &[Request], secret: &str) -> String {
    let target = Path::new(KLAXON).ancestors().nth(2).unwrap();
    let tool = target.join("tools/standardwebhooks");
    assert!(
        tool.join("node_modules").exists(),
        "the verifier of webhooks is not installed in {}; hint: cargo xtask test",
        tool.display()
    );
    let mut child = Command::new("node")
        .arg("verify.mjs")
        .current_dir(tool)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for request in requests {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: Value = names.iter().map(|name| (*name, header(request, name))).collect();
        let body = String::from_utf8(request.body.clone()).unwrap();
        writeln!(input, "{}", json!({"secret": secret, "headers": headers, "body": body})).unwrap();
    }
    drop(input);
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn another_implementation_verifies_the_signature() {
    let server = answering(200).await;
    let output = run(&server.uri(), json!({"secret": SECRET, "headers": {"x-team": "shop"}})).await;
    assert_eq!(outcome(&output), (1, 0, 0));
    let got = requests(&server).await;
    assert_eq!(verify(&got, SECRET), "valid\n");
    assert!(verify(&got, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").starts_with("invalid"));
    assert_eq!(header(&got[0], "content-type"), "application/json");
    assert_eq!(header(&got[0], "x-team"), "shop");
    let body: Value = serde_json::from_slice(&got[0].body).unwrap();
    assert_eq!(body["code"], "H10");
    assert_eq!(body["dynos"], json!([{"dyno": "web-1", "type": "web"}]));
}

#[tokio::test]
async fn while_secrets_change_both_signatures_are_sent() {
    let server = answering(200).await;
    let new = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3";
    let output = run(&server.uri(), json!({"secret": new, "old_secrets": [SECRET]})).await;
    assert_eq!(outcome(&output), (1, 0, 0));
    let got = requests(&server).await;
    assert_eq!(verify(&got, SECRET), "valid\n");
    assert_eq!(verify(&got, new), "valid\n");
}

#[tokio::test]
async fn a_cloud_event_carries_the_verdict() {
    let server = answering(202).await;
    let output = run(&server.uri(), json!({"format": "cloudevents"})).await;
    assert_eq!(outcome(&output), (1, 0, 0));
    let got = requests(&server).await;
    assert_eq!(header(&got[0], "content-type"), "application/cloudevents+json; charset=utf-8");
    let event: Value = serde_json::from_slice(&got[0].body).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "dev.klaxon.verdict.H10");
    assert_eq!(event["id"], event["data"]["id"]);
    assert_ne!(event["id"], header(&got[0], "webhook-id"), "a delivery has an id of its own");
    assert_eq!(event["data"]["object"]["name"], "web-1");
}

#[tokio::test]
async fn retry_after_beyond_the_time_to_retry_gives_up_no_first_attempt() {
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "3600");
    let server = answering_in_turn(busy, 200).await;
    let output = run(&server.uri(), json!({"retry": {"for": "4s"}})).await;
    assert_eq!(outcome(&output), (1, 1, 0), "{}", stderr(&output));
}

#[tokio::test]
async fn a_failure_is_tried_again_with_the_same_id_and_body() {
    let server = answering_in_turn(ResponseTemplate::new(500), 200).await;
    let output = run(&server.uri(), json!({"secret": SECRET})).await;
    assert_eq!(outcome(&output), (1, 1, 0));
    let got = requests(&server).await;
    assert_eq!(got.len(), 2);
    assert_eq!(header(&got[0], "webhook-id"), header(&got[1], "webhook-id"));
    assert_eq!(got[0].body, got[1].body);
    assert_eq!(verify(&got, SECRET), "valid\nvalid\n");
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "2");
    let server = answering_in_turn(busy, 200).await;
    let output = run(&server.uri(), json!({})).await;
    assert_eq!(outcome(&output), (1, 1, 0));
    let times: Vec<i64> = requests(&server)
        .await
        .iter()
        .map(|request| header(request, "webhook-timestamp").parse().unwrap())
        .collect();
    // Timestamps have whole seconds: a wait of two seconds shows as at least two.
    assert!(times[1] - times[0] >= 2, "{times:?}");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (server, elsewhere) = (MockServer::start().await, answering(200).await);
    let moved = ResponseTemplate::new(302).insert_header("location", elsewhere.uri());
    Mock::given(method("POST")).respond_with(moved).mount(&server).await;
    let output = run(&server.uri(), json!({"retry": {"for": "1s"}})).await;
    let (sent, _, dead) = outcome(&output);
    assert_eq!((sent, dead), (0, 1));
    assert!(requests(&elsewhere).await.is_empty());
    assert!(stderr(&output).contains("redirects are not followed"));
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_tried_again() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    let server = answering_in_turn(slow, 200).await;
    let output = run(&server.uri(), json!({"timeout": "2s"})).await;
    let (sent, retried, dead) = outcome(&output);
    assert!(sent == 1 && retried >= 1 && dead == 0, "{sent} {retried} {dead}");
    assert!(stderr(&output).contains("timed out"), "{}", stderr(&output));
}

#[tokio::test]
async fn of_a_response_without_end_only_the_beginning_is_read() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let receiver = tokio::spawn(async move {
        let mut request = vec![0; 1 << 16];
        let (mut endless, _) = listener.accept().await.unwrap();
        // Reads the request first, because the client ignores an answer that precedes it.
        assert!(endless.read(&mut request).await.unwrap() > 0);
        endless.write_all(b"HTTP/1.1 500 Oops\r\n\r\n").await.unwrap();
        let mut written = 0usize;
        while let Ok(more) = endless.write(&[b'x'; 1 << 16]).await {
            written += more;
        }
        let (mut second, _) = listener.accept().await.unwrap();
        assert!(second.read(&mut request).await.unwrap() > 0);
        second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // Closing with unread input would reset the connection before the answer is read.
        let mut rest = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(5), second.read_to_end(&mut rest)).await);
        written
    });
    let output = run(&url, json!({"retry": {"for": "20s"}})).await;
    assert_eq!(outcome(&output), (1, 1, 0));
    let written = receiver.await.unwrap();
    assert!(written < 32 << 20, "what the kernel holds and 64 KiB, not {written} bytes");
    assert!(stderr(&output).len() < 4096, "the log repeats no response at length");
}

#[tokio::test]
async fn only_the_named_statuses_are_success() {
    let server = answering_in_turn(ResponseTemplate::new(204), 201).await;
    let output = run(&server.uri(), json!({"success": [200, 201]})).await;
    assert_eq!(outcome(&output), (1, 1, 0));
}

#[tokio::test]
async fn this_machine_is_sent_to_only_where_that_is_allowed() {
    let server = answering(200).await;
    for url in [server.uri(), server.uri().replace("127.0.0.1", "localhost")] {
        let output = run(&url, json!({"allow": []})).await;
        assert_eq!(output.status.code(), Some(2), "{url}");
        assert!(stderr(&output).contains("allow: [loopback]"), "{}", stderr(&output));
    }
    assert!(requests(&server).await.is_empty());
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    let server = answering(500).await;
    // One receiver that refuses, and one port where nothing listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for host in [server.uri(), format!("http://{closed}")] {
        let url = format!("{host}/hook?token=hunter2");
        let webhook = json!({"secret": SECRET, "headers": {"authorization": "hunter3"},
            "retry": {"for": "1s"}});
        let output = run(&url, webhook).await;
        assert_eq!(outcome(&output).2, 1);
        for secret in ["hunter2", "hunter3", "MfKQ9r8GKY"] {
            assert!(!stderr(&output).contains(secret), "{secret} in {}", stderr(&output));
        }
    }
}

#[tokio::test]
async fn the_recorded_streams_arrive_in_the_order_of_each_key() {
    // The first attempt fails: later deliveries with the same key must wait for its second attempt.
    let server = answering_in_turn(ResponseTemplate::new(500), 200).await;
    let folder = tempfile::tempdir().unwrap();
    let targets = json!({
        "notify": {"webhook": {"url": server.uri(), "format": "cloudevents", "allow": ["loopback"]}},
        "out": {"stdout": {}},
    });
    let streams = json!(root().join("fixtures/akkeris/*.jsonl"));
    let output = run_rule("akkeris", &folder, streams, targets).await;
    assert_eq!(outcome(&output), (17, 1, 0));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes: Vec<&str> =
        printed.iter().map(|verdict| verdict["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), 17);
    assert_eq!(codes.first(), Some(&"released"));
    let order = |events: &[Value], key: &Value| -> Vec<Value> {
        events.iter().filter(|one| one["key"] == *key).map(|one| one["id"].clone()).collect()
    };
    let received: Vec<Value> = requests(&server)
        .await
        .iter()
        .skip(1)
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap()["data"].clone())
        .collect();
    for verdict in &printed {
        assert_eq!(order(&printed, &verdict["key"]), order(&received, &verdict["key"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_carries_by_how_much_the_count_grew() {
    let server = answering(201).await;
    let folder = tempfile::tempdir().unwrap();
    let line = |version: u64, count: u64| {
        let event = manifests::kubernetes_event("web.1", count, manifests::stored("e", version));
        manifests::watch_line("2026-01-01T00:00:00Z", "MODIFIED", event)
    };
    stream(folder.path(), "events.jsonl", &[line(1, 2), line(2, 5), line(3, 5)]);
    let webhook = json!({"url": server.uri(), "allow": ["loopback"], "success": [200, 201]});
    let targets = json!({"notify": {"webhook": webhook}});
    let output = run_rule("eventarbiter", &folder, json!("events.jsonl"), targets).await;
    assert_eq!(outcome(&output), (2, 0, 0), "what was only touched is no alarm");
    let requests = requests(&server).await;
    let about = |name| header(&requests[0], name).to_owned();
    assert_eq!(about("klaxon-rule"), "eventarbiter");
    assert_eq!(about("klaxon-status"), "firing");
    assert!(!about("klaxon-code").is_empty());
    let deltas: Vec<&str> = requests.iter().map(|one| header(one, "klaxon-delta")).collect();
    assert_eq!(deltas, ["2", "3"]);
}
