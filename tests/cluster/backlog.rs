//! Tests of rules that are slow or out of service: they delay no other rule, and lose no events.

use std::time::Duration;

use klaxon::app::RunError;
use klaxon_model::clock::Stopwatch;
use serde_json::{Value, json};

use super::{WATCHES, pod, site};
use crate::fake_api::FakeApi;
use crate::support::live::Site;
use crate::support::module;

const PODS: usize = 40;

/// Returns a rule that takes tens of milliseconds for each event, and the witness.
fn slow(limits: &Value) -> Vec<Value> {
    vec![
        json!({"name": "witness", "module": module("witness")}),
        json!({"name": "slow", "module": module("hostile"), "limits": limits,
            "settings": {"behaviour": "nothing", "spins": 60}}),
    ]
}

/// Returns a site with these rules that lists all pods at once.
fn site_with(api: &FakeApi, rules: Vec<Value>) -> Site {
    let mut site = site(api).rules(rules);
    site.timing.page = 500;
    site
}

fn answered(site: &Site, rule: &str) -> Vec<String> {
    let keys = site.sights(rule).into_iter();
    keys.map(|one| one["key"].as_str().unwrap().to_owned()).collect()
}

fn backlog(site: &Site) -> usize {
    let rows = site.rows("SELECT count(*) FROM backlog WHERE rule = 'slow'");
    rows.first().map_or(0, |count| count.parse().unwrap())
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Stopwatch::start();
    while !is_so() {
        assert!(since.elapsed() < crate::support::live::PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Creates all pods, and returns their names in the order of listing.
fn put_pods(api: &FakeApi) -> Vec<String> {
    let names: Vec<String> = (0..PODS).map(|number| format!("pod-{number:02}")).collect();
    for name in &names {
        api.put(pod(name, "web"));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_rule_holds_up_nobody_and_goes_on_after_a_restart() {
    let api = FakeApi::start().await;
    let names = put_pods(&api);
    let site = site_with(&api, slow(&json!({"cpu": "60s"})));
    let running = site.start();
    site.wait("the list", |seen| seen.len() == PODS);
    site.wait_until_following(&WATCHES);
    // The cursor has passed events that the slow rule has not seen.
    assert!(backlog(&site) > 0, "{:?}", answered(&site, "slow"));
    running.stop();
    let before = answered(&site, "slow").len();
    assert!(before < PODS && backlog(&site) > 0, "{before}");
    // Events during the downtime come after the backlog.
    api.put(pod("late", "web"));
    let running = site.start();
    site.wait("what came meanwhile", |seen| seen.len() == PODS + 1);
    until("the end of the queue", || answered(&site, "slow").len() == PODS + 1);
    until("an empty queue", || backlog(&site) == 0);
    running.stop();
    let mut all = names;
    all.push("late".to_owned());
    assert_eq!(answered(&site, "slow"), all, "each once, in order");
    assert_eq!(site.rows("SELECT reason FROM quarantine"), [""; 0]);
    assert_eq!(site.gaps(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_rule_out_of_service_wait_until_it_is_back() {
    let api = FakeApi::start().await;
    api.put(pod("good-0", "web"));
    let mut site = site(&api).rules(vec![
        json!({"name": "witness", "module": module("witness")}),
        json!({"name": "slow", "module": module("hostile"),
            "settings": {"behaviour": "trap", "on": "bad"}}),
    ]);
    // Long enough for the assertions made while it lasts.
    site.pause = Duration::from_secs(4);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    for _ in 0..11 {
        api.put(pod("bad", "web"));
    }
    api.put(pod("good-1", "web"));
    api.put(pod("good-2", "web"));
    site.wait("all of it", |seen| seen.len() == 14);
    until("backlog events", || backlog(&site) > 0);
    assert_eq!(answered(&site, "slow"), ["good-0"]);
    // The trial event, the eleventh, fails; the next one succeeds.
    until("the others", || answered(&site, "slow").len() == 3);
    until("an empty queue", || backlog(&site) == 0);
    running.stop();
    assert_eq!(answered(&site, "slow"), ["good-0", "good-1", "good-2"]);
    assert_eq!(site.rows("SELECT count(*) FROM quarantine WHERE rule = 'slow'"), ["11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_rule_answers_with_an_error_are_quarantined_and_it_stays_in_service() {
    let api = FakeApi::start().await;
    api.put(pod("good-0", "web"));
    let rule = |name: &str, settings: serde_json::Value| json!({"name": name, "module": module("hostile"), "settings": settings});
    let site = site(&api).rules(vec![
        json!({"name": "witness", "module": module("witness")}),
        rule("failing", json!({"behaviour": "answer-error", "on": "bad", "size": 100_000})),
        rule("undeclared", json!({"behaviour": "say-undeclared-code", "on": "bad"})),
    ]);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == 1);
    site.wait_until_following(&WATCHES);
    for _ in 0..11 {
        api.put(pod("bad", "web"));
    }
    api.put(pod("good-1", "web"));
    site.wait("all of it", |seen| seen.len() == 13);
    until("the answers", || {
        answered(&site, "failing").len() + answered(&site, "undeclared").len() == 4
    });
    running.stop();
    for (name, reason) in
        [("failing", "é… (cut: 100000 bytes in all)"), ("undeclared", "is not declared")]
    {
        assert_eq!(answered(&site, name), ["good-0", "good-1"]);
        let rows = site.rows(&format!(
            "SELECT input || reason FROM quarantine WHERE rule = '{name}' AND length(reason) < 5000"
        ));
        assert_eq!(rows.len(), 11, "{rows:?}");
        assert!(rows.iter().all(|row| row.contains("\"bad\"") && row.contains(reason)), "{rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_intake_waits_and_nothing_is_lost() {
    let api = FakeApi::start().await;
    let names = put_pods(&api);
    let site = site_with(
        &api,
        slow(&json!({"cpu": "60s", "backlog": "2KiB", "when_backlog_full": "block"})),
    );
    let running = site.start();
    until("the first events", || backlog(&site) > 0);
    until("all of it", || answered(&site, "slow").len() == PODS);
    site.wait("the list", |seen| seen.len() == PODS);
    api.put(pod("late", "web"));
    until("what comes after", || answered(&site, "slow").len() == PODS + 1);
    running.stop();
    assert_eq!(answered(&site, "slow").get(..PODS), Some(names.as_slice()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_events_can_be_skipped_which_is_recorded() {
    let api = FakeApi::start().await;
    put_pods(&api);
    let limits = json!({"cpu": "60s", "backlog": "2KiB", "when_backlog_full": "skip"});
    let site = site_with(&api, slow(&limits));
    let running = site.start();
    site.wait("the list", |seen| seen.len() == PODS);
    site.wait_until_following(&WATCHES);
    until("an empty queue", || backlog(&site) == 0);
    let answered = answered(&site, "slow").len();
    running.stop();
    let skipped = site.rows("SELECT reason FROM quarantine WHERE rule = 'slow'");
    assert!(skipped.iter().all(|reason| reason.contains("no room in the backlog")), "{skipped:?}");
    assert!(answered > 0 && !skipped.is_empty());
    assert_eq!(answered + skipped.len(), PODS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_behind_and_loops_for_ever_does_not_keep_the_service_from_ending() {
    let api = FakeApi::start().await;
    put_pods(&api);
    let mut rules = slow(&json!({"cpu": "3s"}));
    rules[1]["settings"] = json!({"behaviour": "loop-for-ever", "on": "pod-39", "spins": 60});
    let site = site_with(&api, rules);
    let running = site.start();
    site.wait("the list", |seen| seen.len() == PODS);
    until("the loop", || answered(&site, "slow").len() == PODS - 1);
    let stopping = std::thread::spawn(move || running.end());
    until("the end of the service", || stopping.is_finished());
    // On a slow machine the call lasts longer than the time to drain.
    let ended = stopping.join().unwrap();
    assert!(matches!(ended, Ok(_) | Err(RunError::Hung { .. })), "{ended:?}");
}
