//! Tests of secrets in files: they are read again when they change, and do not leak.

use std::sync::{Arc, Mutex};

use serde_json::json;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{pod, receiver, site, wait, webhook};
use crate::fake_api::FakeApi;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_replaced_is_in_use_at_once_when_the_old_one_is_refused() {
    let api = FakeApi::start().await;
    let accepted = Arc::new(Mutex::new("Bearer first-token".to_owned()));
    let known = accepted.clone();
    let (server, taken) = receiver(move |request: &Request| {
        let given = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        if given == Some(known.lock().unwrap().as_str()) { 204 } else { 401 }
    })
    .await;
    let mut target = webhook(&server.uri());
    target["webhook"]["headers"] = json!({"authorization": "Bearer ${file:token}"});
    let site = site(&api, json!({ "notify": target }));
    let token = site.folder.path().join("token");
    std::fs::write(&token, "first-token\n").unwrap();
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    api.put(pod("one", 0));
    wait("the first", || taken.lock().unwrap().len() == 1);
    // Replaces the file by another one, as Kubernetes does with a mounted secret.
    let newer = site.folder.path().join("newer");
    std::fs::write(&newer, "second-token\n").unwrap();
    std::fs::rename(&newer, &token).unwrap();
    "Bearer second-token".clone_into(&mut accepted.lock().unwrap());
    api.put(pod("two", 0));
    wait("the second", || taken.lock().unwrap().len() == 2);
    // If the secret cannot be read, the previous one stays in use.
    std::fs::remove_file(&token).unwrap();
    api.put(pod("three", 0));
    wait("the third", || taken.lock().unwrap().len() == 3);
    let summary = running.stop();
    assert_eq!((summary.targets["notify"].sent, summary.targets["notify"].dead), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_repeats_our_secrets_puts_them_nowhere() {
    let api = FakeApi::start().await;
    let server = MockServer::start().await;
    let repeat = |request: &Request| {
        let header = request.headers["authorization"].to_str().unwrap();
        ResponseTemplate::new(400).set_body_string(format!("{header} at {}", request.url.path()))
    };
    Mock::given(method("POST")).respond_with(repeat).mount(&server).await;
    let mut target = webhook(&format!("{}/hooks/p4th-t0ken?key=qu3ry-t0ken", server.uri()));
    target["webhook"]["headers"] = json!({"authorization": "Bearer h3ader-t0ken"});
    target["webhook"]["secret"] = json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    target["webhook"]["retry"] = json!({"for": "1ms"});
    let site = site(&api, json!({ "notify": target }));
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    api.put(pod("one", 0));
    let dead = "SELECT reason || '; ' || response FROM deliveries WHERE state = 'dead'";
    site.wait_for_rows(dead, &["status 400 Bad Request; … at /hooks/…"]);
    running.stop();
    for file in std::fs::read_dir(site.folder.path().join("journal")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["t0ken", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
