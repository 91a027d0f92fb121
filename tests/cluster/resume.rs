//! Tests of resuming where the last run stopped.

use serde_json::json;

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_a_snapshot_and_what_changes_is_news() {
    let api = FakeApi::start().await;
    for number in 0..12 {
        api.put(pod(&format!("pod-{number:02}"), "web"));
    }
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 12);
    site.wait_until_following(&WATCHES);
    api.put(pod("new", "web"));
    api.put(pod("pod-00", "other"));
    api.delete("Pod", "a", "pod-01");
    let seen = site.wait("the changes", |seen| seen.len() == 15);
    assert_eq!(seen[0], "snapshot Pod/pod-00");
    assert_eq!(seen[12..], ["added Pod/new", "modified Pod/pod-00", "deleted Pod/pod-01"]);
    running.stop();
    assert_eq!(site.gaps(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_the_last_run_stopped() {
    let api = FakeApi::start().await;
    api.put(pod("old", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait_for(&["snapshot Pod/old"]);
    site.wait_until_following(&WATCHES);
    running.stop();
    api.put(pod("new", "web"));
    api.put(pod("new", "other"));
    api.delete("Pod", "a", "old");
    let running = site.start();
    site.wait_for(&["snapshot Pod/old", "added Pod/new", "modified Pod/new", "deleted Pod/old"]);
    running.stop();
    assert_eq!(site.gaps(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_too_old_is_a_gap_and_nothing_is_missed_or_said_twice() {
    let api = FakeApi::start().await;
    for name in ["same", "changed", "gone"] {
        api.put(pod(name, "web"));
    }
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 3);
    site.wait_until_following(&WATCHES);
    running.stop();
    api.put(pod("changed", "other"));
    api.put(pod("new", "web"));
    api.delete("Pod", "a", "gone");
    api.compact();
    let running = site.start();
    let seen = site.wait("the comparison", |seen| seen.len() == 6);
    assert_eq!(
        seen[3..],
        ["modified Pod/changed gap", "added Pod/new gap", "deleted Pod/gone gap"]
    );
    site.wait_until_following(&WATCHES);
    running.stop();
    let gaps = site.gaps();
    assert!(gaps.iter().any(|gap| gap.starts_with("Pod: too old resource version")), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_in_a_gap_is_told_in_its_last_known_form() {
    let api = FakeApi::start().await;
    let mut gone = pod("gone", "web");
    gone["status"]["phase"] = json!("Pending");
    api.put(gone);
    let site = site(&api).rules(vec![
        json!({"name": "hostile", "module": crate::support::module("hostile"),
            "settings": {"behaviour": "nothing"}}),
        json!({"name": "witness", "module": crate::support::module("witness")}),
    ]);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    running.stop();
    api.delete("Pod", "a", "gone");
    api.compact();
    let running = site.start();
    site.wait("the end", |seen| seen.len() == 2);
    running.stop();
    // Uid and version are those that were known, restored from the journal.
    let sights = site.sights("witness");
    assert_eq!(sights[0]["payload"]["uid"], sights[1]["payload"]["uid"]);
    assert_eq!(sights[0]["payload"]["version"], sights[1]["payload"]["version"]);
    // The partition's state is restored after a restart: the count continues.
    let counts: Vec<String> =
        site.sights("hostile").iter().map(|one| one["payload"].to_string()).collect();
    assert_eq!(counts, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_lost_is_a_gap_and_not_a_first_start() {
    let api = FakeApi::start().await;
    api.put(pod("old", "web"));
    let site = site(&api);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    assert_eq!(api.state("Lease").len(), 1, "a Lease says that the journal is in use");
    running.stop();
    std::fs::remove_dir_all(site.folder.path().join("journal")).unwrap();
    // Creation times have a resolution of seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    api.put(pod("new", "web"));
    let running = site.start();
    let seen = site.wait("both", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_eq!(seen, ["added Pod/new gap", "snapshot Pod/old gap"]);
    assert!(site.gaps().iter().any(|gap| gap == "Pod: the journal of the last run is lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_comes_and_goes() {
    use crate::fake_api::Kind;
    let api = FakeApi::start().await;
    let site = site(&api);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    let absent = "SELECT name FROM watches WHERE cursor IS NULL AND listing = 0";
    site.wait_for_rows(absent, &["Widget.example.test"]);
    let widget = |name: &str| {
        json!({"apiVersion": "example.test/v1", "kind": "Widget",
            "metadata": {"name": name, "namespace": "a"}, "spec": {"size": 3}})
    };
    api.add_kind(Kind::custom("example.test", "v1", "Widget", "widgets"));
    api.put(widget("one"));
    site.wait("the first", |seen| seen.iter().any(|one| one.starts_with("added Widget/one")));
    site.wait_until_following(&["Widget.example.test"]);
    api.put(widget("two"));
    site.wait("the second", |seen| seen.iter().any(|one| one == "added Widget/two"));
    // A new version of the definition ends every watch of the kind, and none can be resumed.
    api.change_kind("example.test/v1", "Widget");
    api.put(widget("three"));
    site.wait("the third", |seen| seen.iter().any(|one| one.starts_with("added Widget/three")));
    api.remove_kind("example.test/v1", "Widget");
    let seen = site.wait("their end", |seen| {
        seen.iter().filter(|one| one.starts_with("deleted Widget")).count() == 3
    });
    assert_eq!(seen.len(), 6, "{seen:?}");
    running.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn wakes_outlive_a_restart_and_wait_until_the_watch_is_in_sync() {
    let api = FakeApi::start().await;
    for name in ["stays", "goes"] {
        api.put(pod(name, "web"));
    }
    let site = site(&api).rules(vec![json!({"name": "witness",
        "module": crate::support::module("witness"), "settings": {"timer_after_ms": 600_000}})]);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 2);
    site.wait_until_following(&WATCHES);
    running.stop();
    assert_eq!(site.rows("SELECT count(*) FROM timers"), ["2"]);
    api.delete("Pod", "a", "goes");
    api.put(pod("stays", "other"));
    // As if the ten minutes had passed.
    let journal = rusqlite::Connection::open(site.folder.path().join("journal/klaxon.db")).unwrap();
    journal.execute("UPDATE timers SET due = due - 600000", []).unwrap();
    drop(journal);
    let running = site.start();
    let seen = site.wait("the timer", |seen| seen.iter().any(|one| one.starts_with("timer")));
    site.wait_for_rows("SELECT count(*) FROM timers", &["0"]);
    running.stop();
    // Changes during the downtime come first; the timer of a deleted object does not fire.
    let seen_now = site.seen();
    assert_eq!(
        &seen_now[2..],
        ["deleted Pod/goes", "modified Pod/stays", "timer Pod/stays"],
        "{seen:?}"
    );
    // A timer carries the object as last known.
    let timer = &site.sights("witness")[4]["payload"];
    assert_eq!(timer["version"], site.sights("witness")[3]["payload"]["version"]);
    assert_eq!(site.rows("SELECT count(*) FROM timers"), ["0"]);
}
