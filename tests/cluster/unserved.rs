//! Tests of a kind that is not served: for a while, for longer, and in another version.

use std::time::Duration;

use serde_json::{Value, json};

use super::{admin, site, wait_for_page, widget};
use crate::fake_api::{FakeApi, Kind};
use crate::support::live::Site;
use crate::support::module;

const VERSION: &str = "example.test/v1";
const WATCH: [&str; 1] = ["Widget.example.test"];
/// More requests than any test makes.
const MANY: usize = 1_000_000;

/// Returns a cluster with the widget `one`, and a service that is not started yet.
async fn with_widget(grace: &str) -> (FakeApi, Site) {
    let api = FakeApi::start().await;
    api.add_kind(Kind::custom("example.test", "v1", "Widget", "widgets"));
    api.put(widget("one"));
    let mut site = site(&api);
    site.kubernetes("unserved_grace", json!(grace));
    (api, site)
}

fn of_widgets(site: &Site) -> Vec<String> {
    site.seen().into_iter().filter(|one| one.contains("Widget")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_not_served_for_a_while_keeps_its_objects() {
    let (api, mut site) = with_widget("1h").await;
    let address = admin(&mut site);
    let running = site.start();
    site.wait("the first", |seen| seen.iter().any(|one| one == "snapshot Widget/one"));
    site.wait_until_following(&WATCH);
    api.hide(VERSION, MANY);
    let (status, page) = wait_for_page(&address, "/readyz", "unserved_grace").await;
    assert_eq!(status, 503);
    assert!(page.contains("watch Widget.example.test: not served"), "{page}");
    api.put(widget("two"));
    api.show();
    site.wait("the second", |seen| seen.iter().any(|one| one.starts_with("added Widget/two")));
    wait_for_page(&address, "/readyz", "ready").await;
    running.stop();
    assert_eq!(of_widgets(&site), ["snapshot Widget/one", "added Widget/two"]);
    assert!(!site.gaps().iter().any(|gap| gap.starts_with("Widget")), "{:?}", site.gaps());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_comes_back_unchanged_after_its_end_was_told_is_news_again() {
    let (api, site) = with_widget("100ms").await;
    let running = site.start();
    site.wait("the first", |seen| seen.iter().any(|one| one == "snapshot Widget/one"));
    site.wait_until_following(&WATCH);
    let count = |what: &str| of_widgets(&site).iter().filter(|one| *one == what).count();
    for times in 1..=2 {
        api.hide(VERSION, MANY);
        site.wait("its end", |_| count("deleted Widget/one gap") == times);
        api.show();
        site.wait("its return", |_| count("added Widget/one gap") == times);
        site.wait_until_following(&WATCH);
    }
    running.stop();
    // The same after a restart.
    api.hide(VERSION, MANY);
    let running = site.start();
    site.wait("its end", |_| count("deleted Widget/one gap") == 3);
    site.wait_for_rows("SELECT name FROM watches WHERE cursor IS NULL AND listing = 0", &WATCH);
    running.stop();
    api.show();
    let running = site.start();
    site.wait("its return", |_| count("added Widget/one gap") == 3);
    running.stop();
    let versions: Vec<Value> =
        site.sights("witness").iter().map(|one| one["payload"]["version"].clone()).collect();
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_are_suspended_while_the_kind_is_not_served() {
    let (api, mut site) = with_widget("1h").await;
    let address = admin(&mut site);
    let site = site.rules(vec![json!({"name": "witness", "module": module("witness"),
        "settings": {"timer_after_ms": 1500}})]);
    let running = site.start();
    site.wait("the first", |seen| seen.iter().any(|one| one == "snapshot Widget/one"));
    api.hide(VERSION, MANY);
    wait_for_page(&address, "/readyz", "unserved_grace").await;
    std::thread::sleep(Duration::from_secs(2));
    let is_due = |seen: &[String]| seen.iter().any(|one| one.starts_with("timer Widget/one"));
    // On a slow machine the timer may have fired before the kind was hidden.
    let fired_before = is_due(&site.seen());
    wait_for_page(&address, "/metrics", "klaxon_suspended_timers 1").await;
    api.show();
    site.wait("the timer", is_due);
    running.stop();
    assert!(!fired_before, "{:?}", site.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_served_in_another_version_is_not_taken_as_deleted() {
    let (api, mut site) = with_widget("100ms").await;
    api.add_kind(Kind::custom("example.test", "v2", "Widget", "widgets"));
    let address = admin(&mut site);
    let running = site.start();
    site.wait("the first", |seen| seen.iter().any(|one| one == "snapshot Widget/one"));
    site.wait_until_following(&WATCH);
    api.hide(VERSION, MANY);
    let (status, page) = wait_for_page(&address, "/readyz", "example.test/v2").await;
    assert_eq!(status, 503);
    assert!(page.contains("hint: use a rule that asks for example.test/v2"), "{page}");
    running.stop();
    assert_eq!(of_widgets(&site), ["snapshot Widget/one"]);
}
