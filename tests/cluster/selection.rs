//! Tests of selection by the server, which reduces traffic without losing events.

use serde_json::{Value, json};

use super::{pod, site};
use crate::fake_api::{FakeApi, Kind, Verb};
use crate::support::live::Site;
use crate::support::module;

fn selective(api: &FakeApi) -> Site {
    api.add_kind(Kind::built_in("", "v1", "ConfigMap", "configmaps"));
    site(api).rules(vec![json!({"name": "selective", "module": module("selective")})])
}

fn map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "a"}, "data": {"key": value}})
}

#[track_caller]
fn wait_for(site: &Site, expected: &[&str]) {
    let since = klaxon_model::clock::Stopwatch::start();
    loop {
        let titles: Vec<String> = site
            .sights("selective")
            .iter()
            .map(|one| one["title"].as_str().unwrap().replace("Change::", ""))
            .collect();
        if titles == expected {
            return;
        }
        assert!(
            since.elapsed() < crate::support::live::PATIENCE && titles.len() <= expected.len(),
            "{titles:#?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_leaves_the_selection_has_left_and_is_not_deleted() {
    let api = FakeApi::start().await;
    api.put(pod("leaves", "web"));
    api.put(pod("ends", "web"));
    api.put(pod("never", "other"));
    let site = selective(&api);
    let running = site.start();
    wait_for(&site, &["Snapshot Pod/ends", "Snapshot Pod/leaves"]);
    site.wait_until_following(&["Pod", "ConfigMap"]);
    api.put(pod("leaves", "other"));
    api.delete("Pod", "a", "ends");
    let expected =
        ["Snapshot Pod/ends", "Snapshot Pod/leaves", "Left Pod/leaves", "Deleted Pod/ends"];
    wait_for(&site, &expected);
    api.put(pod("leaves", "web"));
    let expected = [expected.as_slice(), &["Added Pod/leaves"]].concat();
    wait_for(&site, &expected);
    running.stop();
    let lists = api.requests().into_iter().filter(|one| one.path.ends_with("/pods"));
    assert!(
        lists
            .filter(|one| one.verb == Verb::Watch)
            .all(|one| one.query["labelSelector"] == "tier=web")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gap_too_what_left_is_told_from_what_is_deleted() {
    let api = FakeApi::start().await;
    api.put(pod("leaves", "web"));
    api.put(pod("ends", "web"));
    let site = selective(&api);
    let running = site.start();
    wait_for(&site, &["Snapshot Pod/ends", "Snapshot Pod/leaves"]);
    site.wait_until_following(&["Pod", "ConfigMap"]);
    running.stop();
    api.put(pod("leaves", "other"));
    api.delete("Pod", "a", "ends");
    api.compact();
    let running = site.start();
    let since = klaxon_model::clock::Stopwatch::start();
    while site.sights("selective").len() < 4 {
        assert!(since.elapsed() < crate::support::live::PATIENCE, "{:?}", site.sights("selective"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.stop();
    let mut last: Vec<String> = site.sights("selective")[2..]
        .iter()
        .map(|one| one["title"].as_str().unwrap().to_owned())
        .collect();
    last.sort();
    assert_eq!(
        last,
        ["Change::Deleted Pod/ends after a gap", "Change::Left Pod/leaves after a gap"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_all_that_is_asked_for_where_that_suffices() {
    let api = FakeApi::start().await;
    let site = selective(&api);
    api.put(map("one", "secret"));
    let running = site.start();
    wait_for(&site, &["Snapshot ConfigMap/one"]);
    site.wait_until_following(&["Pod", "ConfigMap"]);
    api.put(map("one", "other"));
    wait_for(&site, &["Snapshot ConfigMap/one", "Modified ConfigMap/one"]);
    running.stop();
    let maps = api.requests().into_iter().filter(|one| one.path.ends_with("/configmaps"));
    assert!(maps.into_iter().all(|one| one.accept.contains("PartialObjectMetadata")));
}
