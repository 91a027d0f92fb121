//! Tests of the policy: verdicts are suppressed as configured, also over a restart, and are counted.

use std::time::Duration;

use serde_json::json;

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;
use crate::support::live::Site;
use crate::support::{KLAXON, module};

fn witness(api: &FakeApi, policy: serde_json::Value) -> Site {
    let rule = json!({"name": "witness", "module": module("witness"), "policy": policy});
    site(api).rules(vec![rule])
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn metrics(port: u16) -> String {
    // Another test may have installed the same provider already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let metrics = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap();
    metrics.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_writes_to_an_object_is_held_to_its_budget_also_over_a_restart() {
    let api = FakeApi::start().await;
    let rule = json!({"name": "witness", "module": module("witness"), "settings": {"writes": true},
        "policy": {"budget": {"burst": 2, "per": "1h"}}});
    let mut site = site(&api).rules(vec![rule]);
    let refused = "SELECT target, count(*) FROM refusals GROUP BY target";
    // Verdicts of all runs, and writes that are suppressed in each.
    for (tiers, all, held) in [(["a", "b", "c"], 3, 1), (["d", "e", "f"], 6, 3)] {
        let port = free_port();
        site.admin(&format!("127.0.0.1:{port}"));
        let running = site.start();
        site.wait_until_following(&WATCHES);
        for tier in tiers {
            api.put(pod("one", tier));
        }
        site.wait("all of it", |seen| seen.len() == all);
        let metrics = metrics(port).await;
        let line = format!(
            "klaxon_writes_suppressed_total{{rule=\"witness\",target=\"kubernetes-event\"}} {held}"
        );
        assert!(metrics.contains(&line), "{metrics}");
        let counts = running.stop().counts;
        assert_eq!((counts.verdicts, counts.over_budget), (3, held));
        // Writes within the budget are refused for lack of a grant, and recorded.
        assert_eq!(site.rows(refused), ["kubernetes-event 2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_once_also_over_a_restart() {
    let api = FakeApi::start().await;
    let site = witness(&api, json!({"repeat": "1h"}));
    let running = site.start();
    site.wait_until_following(&WATCHES);
    for tier in ["web", "db", "web"] {
        api.put(pod("one", tier));
    }
    api.put(pod("two", "web"));
    site.wait_for(&["added Pod/one", "added Pod/two"]);
    let open = "SELECT count(*) FROM incidents";
    site.wait_for_rows(open, &["2"]);
    let listed = std::process::Command::new(KLAXON)
        .args(["journal", "--path"])
        .arg(site.folder.path().join("journal"))
        .args(["ls", "incidents"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.starts_with("RULE     CODE  KEY"), "{listed}");
    let summary = running.stop();
    assert_eq!((summary.counts.verdicts, summary.counts.suppressed), (2, 2));

    let running = site.start();
    site.wait_until_following(&WATCHES);
    api.put(pod("two", "db"));
    api.put(pod("three", "db"));
    site.wait_for(&["added Pod/one", "added Pod/two", "added Pod/three"]);
    let summary = running.stop();
    assert_eq!((summary.counts.verdicts, summary.counts.suppressed), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_and_was_over_by_the_time_of_a_restart_is_not_told() {
    let api = FakeApi::start().await;
    let guard = json!({"name": "guard", "module": module("witness")});
    let held = json!({"name": "witness", "module": module("witness"),
        "settings": {"resolves": true, "names": "later"},
        "policy": {"inhibited_by": [{"rule": "guard", "code": "SAW", "equal": "object", "for": "6s"}]}});
    let site = site(&api).rules(vec![guard, held]);
    let running = site.start();
    site.wait_until_following(&WATCHES);
    api.put(pod("one", "web"));
    let waiting = "SELECT count(*) FROM incidents WHERE rule = 'witness' AND record LIKE '%held%'";
    site.wait_for_rows(waiting, &["1"]);
    running.stop();

    // The verdict is due and the pod is deleted while the service is down.
    api.delete("Pod", "a", "one");
    tokio::time::sleep(Duration::from_millis(6100)).await;
    let running = site.start();
    site.wait_for_rows(waiting, &["0"]);
    api.put(pod("two", "web"));
    site.wait_for_rows(waiting, &["1"]);
    assert_eq!(site.rows("SELECT count(*) FROM refusals"), ["0"]);
    site.wait_for(&["added Pod/two"]);
    let summary = running.stop();
    assert_eq!(summary.counts.suppressed, 2);
    // Refused targets of a pending verdict are recorded once it is delivered.
    let refused = "SELECT v.rule, r.target FROM refusals r JOIN verdicts v ON v.n = r.verdict";
    assert_eq!(site.rows(refused), ["witness later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_one_digest_when_the_window_ends() {
    let api = FakeApi::start().await;
    let port = free_port();
    let mut site = witness(&api, json!({"throttle": {"count": 2, "per": "2s", "digest": true}}));
    site.admin(&format!("127.0.0.1:{port}"));
    let running = site.start();
    site.wait_until_following(&WATCHES);
    for number in 0..7 {
        api.put(pod(&format!("pod-{number}"), "web"));
    }
    let digest = "SELECT body FROM verdicts WHERE code = 'digest'";
    let since = klaxon_model::clock::Stopwatch::start();
    while site.rows(digest).is_empty() {
        assert!(since.elapsed() < crate::support::live::PATIENCE, "no digest");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let metrics = metrics(port).await;
    let held = "klaxon_verdicts_suppressed_total{rule=\"witness\",reason=\"throttled\"} 5";
    assert!(metrics.contains(held), "{metrics}");
    running.stop();
    let body: serde_json::Value = serde_json::from_str(&site.rows(digest)[0]).unwrap();
    assert_eq!(body["payload"]["suppressed"], 5);
    assert_eq!(body["payload"]["codes"], json!({"SAW": 5}));
    assert_eq!(site.rows("SELECT count(*) FROM verdicts WHERE code = 'SAW'"), ["2"]);
}
