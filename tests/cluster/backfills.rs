//! Tests of rules that are added to a host that has run before.

use serde_json::json;

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;
use crate::support::module;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_added_gets_what_exists_and_the_others_notice_nothing() {
    let api = FakeApi::start().await;
    for number in 0..7 {
        api.put(pod(&format!("pod-{number}"), "web"));
    }
    let mut site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 7);
    site.wait_until_following(&WATCHES);
    running.stop();
    api.put(pod("new", "web"));
    site.add_rule("second", "selective");
    let running = site.start();
    site.wait("what came meanwhile", |seen| seen.len() == 8);
    let since = klaxon_model::clock::Stopwatch::start();
    while site.sights("second").len() < 8 {
        assert!(since.elapsed() < crate::support::live::PATIENCE, "{:?}", site.sights("second"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.stop();
    let titles: Vec<String> =
        site.sights("second").iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect();
    assert_eq!(titles.iter().filter(|title| title.starts_with("Change::Snapshot")).count(), 7);
    assert!(titles.iter().any(|title| title == "Change::Added Pod/new"), "{titles:?}");
    assert_eq!(site.seen().len(), 8);
    assert_eq!(site.gaps(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_are_another_introduction_and_a_restart_is_none() {
    let api = FakeApi::start().await;
    api.put(pod("one", "web"));
    let rule = |label: &str| {
        vec![json!({"name": "witness", "module": module("witness"), "settings": {"label": label}})]
    };
    let mut site = site(&api).rules(rule("a"));
    let running = site.start();
    site.wait_for(&["snapshot Pod/one"]);
    site.wait_until_following(&WATCHES);
    running.stop();
    let running = site.start();
    std::thread::sleep(std::time::Duration::from_millis(500));
    running.stop();
    site.wait_for(&["snapshot Pod/one"]);
    site = site.rules(rule("b"));
    let running = site.start();
    site.wait_for(&["snapshot Pod/one", "snapshot Pod/one"]);
    // The backfill is complete when the watch has passed the list.
    site.wait_for_rows("SELECT number FROM backfills WHERE watch = 'Pod' AND complete = 1", &["2"]);
    running.stop();
}

/// Returns the sights of the pod `old` by the second rule.
fn saw_old(site: &crate::support::live::Site) -> Vec<String> {
    let titles = site.sights("second").into_iter();
    titles
        .map(|one| one["title"].as_str().unwrap().to_owned())
        .filter(|title| title.contains("Pod/old"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_added_when_the_watch_must_list_anyway_gets_what_exists_too() {
    let api = FakeApi::start().await;
    api.put(pod("old", "web"));
    let mut site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    running.stop();
    // The cursor is too old: all objects are listed and compared, and are unchanged.
    api.bump(10);
    api.compact();
    site.add_rule("second", "selective");
    let running = site.start();
    let since = klaxon_model::clock::Stopwatch::start();
    while saw_old(&site).is_empty() {
        assert!(since.elapsed() < crate::support::live::PATIENCE, "{:?}", site.sights("second"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.stop();
    assert_eq!(saw_old(&site), ["Change::Snapshot Pod/old"]);
    assert_eq!(site.seen(), ["snapshot Pod/old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_was_away_is_new_when_it_comes_back() {
    let api = FakeApi::start().await;
    api.put(pod("old", "web"));
    let mut site = site(&api);
    let witness = json!({"name": "witness", "module": module("witness")});
    let second = json!({"name": "second", "module": module("selective")});
    for rules in
        [vec![witness.clone(), second.clone()], vec![witness.clone()], vec![witness, second]]
    {
        let is_there = rules.len() == 2;
        site = site.rules(rules);
        let before = saw_old(&site).len();
        let running = site.start();
        let since = klaxon_model::clock::Stopwatch::start();
        while is_there && saw_old(&site).len() == before {
            assert!(
                since.elapsed() < crate::support::live::PATIENCE,
                "{:?}",
                site.sights("second")
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        site.wait_until_following(&["Pod", "Event"]);
        std::thread::sleep(std::time::Duration::from_millis(300));
        running.stop();
    }
    assert_eq!(saw_old(&site).len(), 2);
    assert_eq!(site.seen(), ["snapshot Pod/old"]);
    let gaps: Vec<String> = site.gaps().into_iter().filter(|gap| gap.starts_with("Pod")).collect();
    assert_eq!(gaps, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_added_changes_nothing_in_the_others() {
    let api = FakeApi::start().await;
    api.put(pod("old", "web"));
    let mut site = site(&api);
    site.kubernetes("namespaces", json!(["a"]));
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&["Pod in a", "Event in a"]);
    running.stop();
    site.kubernetes("namespaces", json!(["a", "b"]));
    api.put(pod("old", "other"));
    let running = site.start();
    site.wait_until_following(&["Pod in a", "Pod in b"]);
    site.wait_for(&["snapshot Pod/old", "modified Pod/old"]);
    api.delete("Pod", "a", "old");
    site.wait_for(&["snapshot Pod/old", "modified Pod/old", "deleted Pod/old"]);
    running.stop();
}
