//! Tests of a slow or failing receiver, or of one delivery that it cannot take: neither delays other
//! deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use serde_json::json;

use super::{pod, receiver, sight, site, wait, webhook};
use crate::fake_api::FakeApi;

const PENDING: &str = "SELECT count(*) FROM deliveries WHERE state = 'pending'";

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_delays_no_other() {
    let api = FakeApi::start().await;
    // Accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}/", silent.local_addr().unwrap());
    let (healthy, taken) = receiver(|_| 204).await;
    let targets = json!({"sick": webhook(&silent_url), "well": webhook(&healthy.uri())});
    let site = site(&api, targets);
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    for number in 0..300 {
        api.put(pod(&format!("pod-{number}"), 0));
    }
    wait("all at the healthy one", || taken.lock().unwrap().len() == 300);
    site.wait_for_rows(&format!("{PENDING} AND target = 'well'"), &["0"]);
    assert_eq!(site.rows(&format!("{PENDING} AND target = 'sick'")), ["300"]);
    let summary = running.stop();
    assert_eq!((summary.targets["well"].sent, summary.targets["well"].left), (300, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_one_delivery_holds_up_no_other_key_and_keeps_its_order() {
    let api = FakeApi::start().await;
    let is_well = Arc::new(AtomicBool::new(false));
    let healed = is_well.clone();
    let (server, taken) = receiver(move |request| {
        let is_stuck = sight(request).starts_with("stuck") && !healed.load(Ordering::SeqCst);
        if is_stuck { 422 } else { 204 }
    })
    .await;
    let site = site(&api, json!({"notify": webhook(&server.uri())}));
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    // Far more than are loaded into the queue at once.
    for output in 0..700 {
        api.put(pod("stuck", output));
    }
    for number in 0..20 {
        api.put(pod(&format!("free-{number}"), 0));
    }
    wait("those of other keys", || taken.lock().unwrap().len() == 20);
    is_well.store(true, Ordering::SeqCst);
    wait("the rest", || taken.lock().unwrap().len() == 720);
    site.wait_for_rows(PENDING, &["0"]);
    running.stop();
    let requests = server.received_requests().await.unwrap();
    let mut versions: Vec<u64> = requests
        .iter()
        .filter(|request| sight(request).starts_with("stuck"))
        .map(|request| {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            body["version"].as_str().unwrap().parse().unwrap()
        })
        .collect();
    // The first was attempted more than once.
    versions.dedup();
    assert!(versions.is_sorted(), "{versions:?}");
    assert_eq!(versions.len(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_left_alone_and_found_when_it_is_back() {
    let api = FakeApi::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let is_well = Arc::new(AtomicBool::new(false));
    let (count, healed) = (asked.clone(), is_well.clone());
    let (server, taken) = receiver(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        if healed.load(Ordering::SeqCst) { 204 } else { 500 }
    })
    .await;
    let site = site(&api, json!({"notify": webhook(&server.uri())}));
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    for number in 0..100 {
        api.put(pod(&format!("pod-{number}"), 0));
    }
    site.wait("all decided", |seen| seen.len() == 100);
    wait("the first failures", || asked.load(Ordering::SeqCst) >= 5);
    let since = Stopwatch::start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let tried = asked.load(Ordering::SeqCst);
    // Attempts in progress at the fifth failure, and one more for each pause, however long this took.
    let pauses = usize::try_from(since.elapsed().as_secs()).unwrap();
    assert!(tried <= 12 + pauses, "it was not left alone: {tried} attempts for 100 deliveries");
    is_well.store(true, Ordering::SeqCst);
    wait("all of it", || taken.lock().unwrap().len() == 100);
    site.wait_for_rows(PENDING, &["0"]);
    let summary = running.stop();
    assert_eq!(summary.targets["notify"].dead, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_of_a_state_is_sent() {
    let api = FakeApi::start().await;
    let is_well = Arc::new(AtomicBool::new(false));
    let healed = is_well.clone();
    let (server, taken) =
        receiver(move |_| if healed.load(Ordering::SeqCst) { 204 } else { 503 }).await;
    let mut target = webhook(&server.uri());
    target["coalesce"] = json!(true);
    let site = site(&api, json!({ "notify": target }));
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    for output in 0..50 {
        api.put(pod("lamp", output));
    }
    site.wait("all decided", |seen| seen.len() == 50);
    site.wait_for_rows(PENDING, &["1"]);
    is_well.store(true, Ordering::SeqCst);
    site.wait_for_rows(PENDING, &["0"]);
    running.stop();
    assert_eq!(*taken.lock().unwrap(), ["lamp modified"], "the newest");
    let last = server.received_requests().await.unwrap().pop().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&last.body).unwrap();
    assert_eq!(
        Some(body["version"].as_str().unwrap()),
        site.rows("SELECT version FROM objects WHERE kind = 'Pod'").first().map(String::as_str)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_were_tried_are_given_up_when_their_time_is_over_and_the_others_wait() {
    let api = FakeApi::start().await;
    let is_well = Arc::new(AtomicBool::new(false));
    let healed = is_well.clone();
    let (server, taken) =
        receiver(move |_| if healed.load(Ordering::SeqCst) { 204 } else { 500 }).await;
    let mut target = webhook(&server.uri());
    target["webhook"]["retry"] = json!({"for": "2s"});
    let site = site(&api, json!({ "notify": target }));
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    for number in 0..100 {
        api.put(pod(&format!("pod-{number}"), 0));
    }
    // While the receiver fails there are few attempts, but those that were made count.
    site.wait_for_rows(
        "SELECT count(*) >= 5 FROM deliveries WHERE state = 'dead' AND attempts > 0 \
         AND reason LIKE 'status 500%'",
        &["1"],
    );
    let untried = "SELECT count(*) FROM deliveries WHERE state = 'dead' AND attempts = 0";
    assert_eq!(site.rows(untried), ["0"], "nothing is given up without an attempt");
    is_well.store(true, Ordering::SeqCst);
    site.wait_for_rows(PENDING, &["0"]);
    assert_eq!(site.rows(untried), ["0"]);
    running.stop();
    let sent = "SELECT count(*) FROM deliveries WHERE state = 'sent'";
    assert_eq!(site.rows(sent), [taken.lock().unwrap().len().to_string()]);
}
