//! Tests of Kubernetes Events: counted up, repeated by lists, and expired.

use klaxon_model::clock;
use serde_json::json;

use super::{WATCHES, admin, assert_one_gap_covers, kubernetes_event, pod, site};
use crate::fake_api::{FakeApi, Fault, Matching, Verb};
use crate::support::live::Site;

/// Returns `change/delta` of each Kubernetes Event that was seen.
fn deltas(site: &Site) -> Vec<String> {
    let sights = site.sights("witness").into_iter().map(|one| one["payload"].clone());
    let kubernetes_events = sights.filter(|sight| sight["kind"] == "Event");
    kubernetes_events
        .map(|one| format!("{} {}", one["change"].as_str().unwrap(), one["delta"]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_grows_is_told_by_how_much() {
    let api = FakeApi::start().await;
    api.put(kubernetes_event("old", 7));
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    api.put(kubernetes_event("old", 9));
    api.put(kubernetes_event("new", 1));
    api.put(kubernetes_event("new", 4));
    site.wait("the changes", |seen| seen.len() == 4);
    running.stop();
    api.put(kubernetes_event("new", 10));
    let running = site.start();
    site.wait("what came meanwhile", |seen| seen.len() == 5);
    // An expired Kubernetes Event is not reported, and is no longer known.
    api.delete("Event", "a", "old");
    api.put(pod("last", "web"));
    site.wait("the last", |seen| seen.len() == 6);
    running.stop();
    assert_eq!(deltas(&site), ["snapshot 0", "modified 2", "added 1", "modified 3", "modified 6"]);
    assert_eq!(site.rows("SELECT name FROM objects WHERE kind = 'Event'"), ["new"]);
    assert_eq!(site.gaps(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_short_break_counts_are_complete_and_a_record_says_what_may_not_be() {
    let api = FakeApi::start().await;
    api.put(kubernetes_event("old", 7));
    api.put(kubernetes_event("ended", 1));
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    running.stop();
    api.put(kubernetes_event("old", 9));
    api.put(kubernetes_event("new", 3));
    api.delete("Event", "a", "ended");
    let watch = Matching::of(Verb::Watch, "events");
    api.fault(Fault::ErrorAfter { lines: 0, code: 410, reason: "Expired" }, watch, 1);
    let running = site.start();
    site.wait("the comparison", |seen| seen.len() == 4);
    site.wait_until_following(&WATCHES);
    running.stop();
    let mut found = deltas(&site);
    found.sort();
    assert_eq!(found, ["added 3", "modified 2", "snapshot 0", "snapshot 0"]);
    assert!(!site.seen().iter().any(|one| one.ends_with("gap")), "{:?}", site.seen());
    let gaps = site.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].contains("but for those that were deleted before their time"), "{gaps:?}");
    assert_eq!(site.rows("SELECT name FROM objects WHERE kind = 'Event'").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_ends_within_a_short_break_lies_within_a_gap_record() {
    let api = FakeApi::start().await;
    api.put(kubernetes_event("old", 7));
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    running.stop();
    let at = clock::now();
    api.put(kubernetes_event("short", 7));
    api.delete("Event", "a", "short");
    api.compact();
    let running = site.start();
    api.put(kubernetes_event("later", 1));
    site.wait("what comes later", |seen| seen.iter().any(|one| one == "added Event/later"));
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_one_gap_covers(&site, "Event", at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_event_counts_whatever_the_clocks_say() {
    for offset in [-3600, -10, 10, 3600] {
        let api = FakeApi::start().await;
        api.clock_offset(offset);
        api.put(kubernetes_event("old", 7));
        let site = site(&api);
        let running = site.start();
        site.wait("the list", |seen| seen.len() == 1);
        site.wait_until_following(&WATCHES);
        running.stop();
        api.put(kubernetes_event("new", 3));
        api.compact();
        let running = site.start();
        site.wait("the comparison", |seen| seen.len() == 2);
        running.stop();
        assert_eq!(deltas(&site), ["snapshot 0", "added 3"], "{offset} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blindness_that_outlasts_them_is_a_gap() {
    let api = FakeApi::start().await;
    api.put(kubernetes_event("old", 7));
    let mut site = site(&api);
    site.kubernetes("event_ttl", json!("100ms"));
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    running.stop();
    std::thread::sleep(std::time::Duration::from_millis(200));
    api.put(kubernetes_event("new", 3));
    let watch = Matching::of(Verb::Watch, "events");
    api.fault(Fault::ErrorAfter { lines: 0, code: 410, reason: "Expired" }, watch, 1);
    let running = site.start();
    let seen = site.wait("the comparison", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_eq!(seen[1], "added Event/new gap");
    assert_eq!(site.gaps().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_apis_are_one_watch() {
    let api = FakeApi::start().await;
    let site = site(&api);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    running.stop();
    let watched = api.requests().into_iter().filter(|one| one.verb == Verb::Watch);
    let events: Vec<String> =
        watched.map(|one| one.path).filter(|path| path.contains("events")).collect();
    assert!(!events.is_empty() && events.iter().all(|path| path == "/api/v1/events"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bookmarks_the_server_is_asked_whether_it_is_there() {
    let api = FakeApi::start().await;
    api.put(kubernetes_event("old", 7));
    let mut site = site(&api);
    // Only the probe can notice it within this test.
    site.timing.stall = std::time::Duration::from_secs(60);
    let address = admin(&mut site);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    let probes = || {
        let asked = api.requests().into_iter();
        let asked = asked.filter(|one| one.verb == Verb::List && one.path == "/api/v1/events");
        asked.filter(|one| one.query.get("limit").is_some_and(|limit| limit == "1")).count()
    };
    let before = probes();
    let since = klaxon_model::clock::Stopwatch::start();
    while probes() < before + 2 {
        assert!(
            since.elapsed() < crate::support::live::PATIENCE,
            "nothing is asked in the silence"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // A server that does not answer is not watched: the watch restarts, and misses nothing.
    api.fault(Fault::Status(500), Matching::of(Verb::List, "events"), 1);
    let restarted = r#"klaxon_watch_restarts_total{watch="Event",reason="broken"} 1"#;
    loop {
        let metrics = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
        if metrics.text().await.unwrap().contains(restarted) {
            break;
        }
        assert!(since.elapsed() < crate::support::live::PATIENCE, "the watch did not begin anew");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    api.put(kubernetes_event("new", 2));
    site.wait("what comes after", |seen| seen.contains(&"added Event/new".to_owned()));
    running.stop();
    assert_eq!(site.gaps(), [""; 0]);
}

/// A server under load pauses while it sends the events of a downtime.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_while_missed_events_are_sent_does_not_make_the_watch_complete() {
    let api = FakeApi::start().await;
    api.put(kubernetes_event("first", 1));
    let mut site = site(&api);
    // The watch that is silent after two of the events stays open.
    site.timing.stall = std::time::Duration::from_secs(600);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    running.stop();
    let at = clock::now();
    for name in ["missed-1", "missed-2", "missed-3"] {
        api.put(kubernetes_event(name, 1));
    }
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let watch = || Matching::of(Verb::Watch, "events");
    api.fault(Fault::SlowLines { lines: 2, millis: 300 }, watch(), 1);
    let running = site.start();
    site.wait("two of the three", |seen| seen.len() == 3);
    running.stop();
    api.fault(Fault::ErrorAfter { lines: 0, code: 410, reason: "Expired" }, watch(), 1);
    let running = site.start();
    site.wait("the third", |seen| seen.len() == 4);
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_one_gap_covers(&site, "Event", at);
}
