//! Tests of every fault of lists and watches: the service recovers, sees everything once, and records
//! gaps.

use super::{WATCHES, assert_one_gap_covers, pod, site};
use crate::fake_api::{FakeApi, Fault, Matching, Verb};
use crate::support::live::Site;

/// Stops a run, makes changes while it is down, and injects a fault on its return. Asserts that it saw
/// everything without repeats, and returns its gaps of pods.
async fn returns(fault: Fault, matching: Matching, times: usize) -> Vec<String> {
    let name = format!("{fault:?} {matching:?}");
    let api = FakeApi::start().await;
    for name in ["changed", "gone"] {
        api.put(pod(name, "web"));
    }
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    running.stop();
    api.put(pod("changed", "other"));
    api.delete("Pod", "a", "gone");
    api.put(pod("new", "web"));
    api.fault(fault, matching, times);
    let running = site.start();
    let has = |seen: &[String], what: &str| seen.iter().any(|one| one.starts_with(what));
    site.wait(&name, |seen| {
        has(seen, "modified Pod/changed")
            && has(seen, "deleted Pod/gone")
            && has(seen, "added Pod/new")
    });
    api.put(pod("later", "web"));
    let seen = site.wait(&name, |seen| has(seen, "added Pod/later"));
    assert_eq!(seen.len(), 6, "{name}: {seen:?}");
    assert_eq!(api.faults_left(), 0, "{name} was not met");
    running.stop();
    pods(&site)
}

fn pods(site: &Site) -> Vec<String> {
    site.gaps().into_iter().filter(|gap| gap.starts_with("Pod")).collect()
}

fn list() -> Matching {
    Matching::of(Verb::List, "pods")
}

fn watch() -> Matching {
    Matching::of(Verb::Watch, "pods")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_gone_on_from_loses_nothing() {
    for (fault, matching, times) in [
        (Fault::Status(500), list(), 2),
        (Fault::Status(503), watch(), 2),
        (Fault::TooManyRequests { retry_after_seconds: 1 }, watch(), 1),
        (Fault::Unauthorized, watch(), 2),
        (Fault::TruncatedList, list(), 2),
        (Fault::RefuseConnection, Matching::plural("pods"), 2),
        (Fault::ResetAfter { lines: 1 }, watch(), 2),
        (Fault::CloseAfter { lines: 1 }, watch(), 2),
        (Fault::SilentAfter { lines: 1 }, watch(), 1),
        (Fault::GarbageLine { after: 1 }, watch(), 1),
        (Fault::ErrorAfter { lines: 1, code: 500, reason: "InternalError" }, watch(), 1),
        (Fault::ErrorAfter { lines: 1, code: 429, reason: "TooManyRequests" }, watch(), 1),
        (Fault::Delay { millis: 300 }, watch(), 1),
    ] {
        let name = format!("{fault:?}");
        assert_eq!(returns(fault, matching, times).await, [""; 0], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_gone_on_from_is_a_gap() {
    for (fault, matching) in [
        (Fault::Gone, watch()),
        (Fault::ErrorAfter { lines: 0, code: 410, reason: "Expired" }, watch()),
        (Fault::ErrorAfter { lines: 2, code: 410, reason: "Gone" }, watch()),
    ] {
        let name = format!("{fault:?}");
        assert_eq!(returns(fault, matching, 1).await.len(), 1, "{name}");
    }
}

/// Injects a fault into a first list, streamed or in pages.
async fn first_list(streamed: bool, fault: Fault, matching: Matching, times: usize) -> Vec<String> {
    let name = format!("{fault:?}, streamed: {streamed}");
    let api = FakeApi::start().await;
    api.streaming_lists(streamed);
    for number in 0..12 {
        api.put(pod(&format!("pod-{number:02}"), "web"));
    }
    api.fault(fault, matching, times);
    let site = site(&api);
    let running = site.start();
    site.wait(&name, |seen| seen.len() >= 12);
    site.wait_until_following(&WATCHES);
    api.put(pod("later", "web"));
    let seen = site.wait(&name, |seen| seen.iter().any(|one| one == "added Pod/later"));
    assert_eq!(seen.len(), 13, "{name}: {seen:?}");
    assert_eq!(seen.iter().filter(|one| one.starts_with("snapshot")).count(), 12, "{name}");
    assert_eq!(api.faults_left(), 0, "{name} was not met");
    running.stop();
    pods(&site)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_list_that_breaks_off_begins_again_and_says_so() {
    let gaps = first_list(true, Fault::ResetAfter { lines: 6 }, watch(), 1).await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gaps = first_list(false, Fault::ExpiredContinue, list(), 1).await;
    assert!(gaps[0].contains("the first list broke off"), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_list_that_never_began_is_no_gap() {
    for streamed in [true, false] {
        for fault in [Fault::Status(500), Fault::RefuseConnection, Fault::Unauthorized] {
            let gaps = first_list(streamed, fault, Matching::plural("pods"), 2).await;
            assert_eq!(gaps, [""; 0]);
        }
    }
    assert_eq!(first_list(false, Fault::TruncatedList, list(), 1).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_is_set_aside_and_harms_no_other() {
    let api = FakeApi::start().await;
    for number in 0..3 {
        api.put(pod(&format!("pod-{number}"), "web"));
    }
    api.fault(Fault::BadObject, watch(), 1);
    let site = site(&api);
    let running = site.start();
    site.wait("the others", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    running.stop();
    let aside = site.rows("SELECT scope || ': ' || reason FROM quarantine");
    assert!(aside[0].starts_with("Pod: Pod cannot be decoded"), "{aside:?}");
    // An undecodable object does not indicate another revision epoch.
    let running = site.start();
    api.put(pod("later", "web"));
    site.wait("what comes later", |seen| seen.iter().any(|one| one == "added Pod/later"));
    running.stop();
    assert_eq!(pods(&site), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_metadata_cannot_be_read_does_not_hide_what_vanished() {
    for streamed in [true, false] {
        let api = FakeApi::start().await;
        api.streaming_lists(streamed);
        for name in ["bad", "gone", "kept"] {
            api.put(pod(name, "web"));
        }
        let site = site(&api);
        let running = site.start();
        site.wait("the list", |seen| seen.len() == 3);
        site.wait_until_following(&WATCHES);
        running.stop();
        api.delete("Pod", "a", "gone");
        api.compact();
        // The verifying list, the watch with an expired cursor, and the relist.
        let matching = if streamed { Matching::plural("pods") } else { list() };
        api.fault(Fault::BadMetadata, matching, 4);
        let running = site.start();
        let seen = site.wait("its end", |seen| seen.len() == 4);
        assert_eq!(seen[3], "deleted Pod/gone gap", "streamed: {streamed}");
        running.stop();
        let aside = site.rows("SELECT scope || ': ' || reason FROM quarantine");
        assert!(aside[0].starts_with("Pod: Pod cannot be decoded"), "{aside:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lagging_cache_had_not_shown_lies_within_the_gap() {
    let api = FakeApi::start().await;
    api.bookmarks(std::time::Duration::from_millis(50), std::time::Duration::from_millis(100));
    api.put(pod("first", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait_for(&["snapshot Pod/first"]);
    site.wait_until_following(&WATCHES);
    // Bookmarks still arrive, but the watch does not show writes from now on.
    std::thread::sleep(std::time::Duration::from_millis(500));
    api.lag(std::time::Duration::from_secs(60), false);
    let at = klaxon_model::clock::now();
    api.put(pod("first", "missed"));
    std::thread::sleep(std::time::Duration::from_secs(4));
    api.put(pod("first", "last"));
    api.restart();
    api.lag(std::time::Duration::ZERO, false);
    site.wait("the last state", |seen| seen.iter().any(|one| one == "modified Pod/first gap"));
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_one_gap_covers(&site, "Pod", at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bookmark_of_a_version_that_was_passed_already_does_not_move_the_watch_back() {
    let api = FakeApi::start().await;
    api.bookmarks(std::time::Duration::from_millis(20), std::time::Duration::from_millis(20));
    let site = site(&api);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    api.put(pod("first", "web"));
    let version = api.put(pod("first", "other")).to_string();
    site.wait("the change", |seen| seen.len() == 2);
    // From now on bookmarks are those of a cache that shows nothing of the last minute.
    api.lag(std::time::Duration::from_secs(60), false);
    std::thread::sleep(std::time::Duration::from_millis(500));
    running.stop();
    assert_eq!(site.rows("SELECT cursor FROM watches WHERE name = 'Pod'"), [version]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_fails_before_its_first_line_proves_nothing() {
    let api = FakeApi::start().await;
    api.put(pod("first", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait_for(&["snapshot Pod/first"]);
    site.wait_until_following(&WATCHES);
    running.stop();
    let at = klaxon_model::clock::now();
    api.put(pod("first", "missed"));
    api.put(pod("first", "last"));
    std::thread::sleep(std::time::Duration::from_millis(2500));
    api.fault(Fault::ExpiredAfter { millis: 600 }, watch(), 1);
    let running = site.start();
    site.wait("the last state", |seen| seen.iter().any(|one| one == "modified Pod/first gap"));
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_one_gap_covers(&site, "Pod", at);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_for_a_while() {
    let api = FakeApi::start().await;
    api.put(pod("first", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait_for(&["snapshot Pod/first"]);
    site.wait_until_following(&WATCHES);
    api.down();
    std::thread::sleep(std::time::Duration::from_millis(400));
    api.put(pod("first", "other"));
    api.up();
    // The restart lost the API server's window of versions.
    let seen = site.wait("the change", |seen| seen.len() == 2);
    assert!(seen[1].starts_with("modified Pod/first"), "{seen:?}");
    running.stop();
}
