//! Tests of large objects and slow answers.

use std::time::Duration;

use serde_json::json;

use super::{WATCHES, pod, site};
use crate::fake_api::{FakeApi, Fault, Matching, Verb};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_objects_has_fewer_of_them() {
    let api = FakeApi::start().await;
    api.streaming_lists(false);
    for number in 0..40 {
        let mut large = pod(&format!("pod-{number:02}"), "web");
        large["metadata"]["annotations"] = json!({"blob": "x".repeat(50_000)});
        api.put(large);
    }
    let mut site = site(&api);
    site.timing.page = 40;
    site.timing.page_bytes = 500_000;
    site.timing.queue_bytes = 60_000;
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 40);
    site.wait_until_following(&WATCHES);
    running.stop();
    let asked = api.requests().into_iter();
    let lists = asked.filter(|one| one.verb == Verb::List && one.path == "/api/v1/pods");
    let limits: Vec<usize> = lists
        .filter_map(|one| one.query.get("limit").and_then(|limit| limit.parse().ok()))
        .filter(|limit| *limit > 1)
        .collect();
    assert_eq!(limits.first(), Some(&40), "{limits:?}");
    // The first page is too large; the later ones are limited to a quarter.
    assert!(limits.iter().skip(1).all(|limit| *limit <= 10), "{limits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_goes_on_is_waited_for_however_long_all_of_it_takes() {
    let api = FakeApi::start().await;
    api.streaming_lists(false);
    for number in 0..5 {
        api.put(pod(&format!("pod-{number}"), "web"));
    }
    let mut site = site(&api);
    site.timing.answer = Duration::from_secs(2);
    // Four seconds in all, and never two without data.
    let slow = Fault::SlowBody { pieces: 80, millis: 50 };
    api.fault(slow, Matching::of(Verb::List, "pods"), 1);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 5);
    site.wait_until_following(&WATCHES);
    running.stop();
    let asked = api.requests().into_iter();
    let lists = asked.filter(|one| {
        let limit = one.query.get("limit").map(String::as_str);
        one.verb == Verb::List && one.path == "/api/v1/pods" && limit == Some("5")
    });
    assert_eq!(lists.count(), 1, "it was not begun again");
    assert_eq!(api.faults_left(), 0);
}
