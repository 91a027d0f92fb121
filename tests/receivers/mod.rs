//! Tests of receivers that misbehave, and of authentication between receivers and the service.

mod retry;
mod secrets;
mod slow_receiver;
mod stop;
mod tls;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use klaxon_test_support::manifests;
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::fake_api::FakeApi;
use crate::support::live::{PATIENCE, Site};
use crate::support::module;

pub(crate) fn pod(name: &str, output: usize) -> Value {
    manifests::pod(name, json!({"labels": {"step": output.to_string()}}))
}

/// Returns a service whose witness sends verdicts to the targets.
pub(crate) fn site(api: &FakeApi, targets: Value) -> Site {
    let names: Vec<&String> = targets.as_object().unwrap().keys().collect();
    let rule = json!({"name": "witness", "module": module("witness"), "targets": names});
    Site::new(|folder| api.kubeconfig(folder)).rules(vec![rule]).targets(targets)
}

pub(crate) fn webhook(url: &str) -> Value {
    json!({"webhook": {"url": url, "allow": ["loopback"]}})
}

/// Returns `name change` of a delivery's pod.
pub(crate) fn sight(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    format!("{} {}", body["name"].as_str().unwrap(), body["change"].as_str().unwrap())
}

/// Starts a receiver that answers with a status.
pub(crate) async fn answering(status: u16) -> MockServer {
    let server = MockServer::start().await;
    let response = ResponseTemplate::new(status);
    Mock::given(method("POST")).respond_with(response).mount(&server).await;
    server
}

/// Starts a receiver with the status given by a function. It records the bodies that it took.
pub(crate) async fn receiver(
    answer: impl Fn(&Request) -> u16 + Send + Sync + 'static,
) -> (MockServer, Arc<Mutex<Vec<String>>>) {
    let server = MockServer::start().await;
    let taken = Arc::new(Mutex::new(Vec::new()));
    let remembered = taken.clone();
    let respond = move |request: &Request| {
        let status = answer(request);
        if status < 300 {
            remembered.lock().unwrap().push(sight(request));
        }
        ResponseTemplate::new(status)
    };
    Mock::given(method("POST")).respond_with(respond).mount(&server).await;
    (server, taken)
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn wait(what: &str, is_so: impl Fn() -> bool) {
    let since = Stopwatch::start();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}: it never came to that");
        std::thread::sleep(Duration::from_millis(10));
    }
}
