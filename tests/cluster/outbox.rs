//! Tests of the outbox: decided verdicts are delivered, also after a restart.

use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use serde_json::json;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;
use crate::support::module;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_receiver_took_is_delivered_by_the_next_run_in_order() {
    let api = FakeApi::start().await;
    for name in ["one", "two"] {
        api.put(pod(name, "web"));
    }
    // A port at which nothing listens yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let webhook = json!({"url": format!("http://127.0.0.1:{port}/"), "allow": ["loopback"]});
    let site = site(&api)
        .rules(vec![json!({"name": "witness", "module": module("witness"), "targets": ["notify"]})])
        .targets(json!({"notify": {"webhook": webhook}}));
    let running = site.start();
    site.wait_for(&["snapshot Pod/one", "snapshot Pod/two"]);
    site.wait_until_following(&WATCHES);
    api.put(pod("one", "other"));
    site.wait("the change", |seen| seen.len() == 3);
    let summary = running.stop();
    assert_eq!((summary.targets["notify"].sent, summary.targets["notify"].left), (0, 3));
    let pending = "SELECT id FROM deliveries WHERE state = 'pending' ORDER BY n";
    let ids = site.rows(pending);
    assert_eq!(ids.len(), 3);

    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let receiver = MockServer::builder().listener(listener).start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
    let running = site.start();
    let since = Stopwatch::start();
    while !site.rows(pending).is_empty() {
        assert!(since.elapsed() < crate::support::live::PATIENCE, "{:?}", site.rows(pending));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop();
    let requests = receiver.received_requests().await.unwrap();
    let got: Vec<String> = requests
        .iter()
        .map(|request| request.headers["webhook-id"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(got.len(), 3, "none twice");
    // The two deliveries of the pod `one` are in order.
    let place = |id: &String| got.iter().position(|one| one == id).unwrap();
    assert!(place(&ids[0]) < place(&ids[2]), "{ids:?} {got:?}");
    assert_eq!(site.rows("SELECT count(*) FROM deliveries WHERE state = 'sent'"), ["3"]);
}
