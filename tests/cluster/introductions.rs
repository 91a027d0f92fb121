//! Rules that are new to a host that has run before.

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
    let since = klaxon::model::clock::Stopwatch::start();
    while site.sights("second").len() < 8 {
        assert!(since.elapsed().as_secs() < 20, "{:?}", site.sights("second"));
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
    running.stop();
    let numbers = site.rows("SELECT number FROM introduced WHERE watch = 'Pod' AND complete = 1");
    assert_eq!(numbers, ["2"]);
}
