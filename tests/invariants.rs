//! How a rule is run changes nothing of what it says: workers, batches and instances are the
//! host's business, and two replays are byte-identical.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use klaxon::config::Rule;
use klaxon::engine::Options;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Ran, akkeris, fixture, options, pod_line, replay_advanced, rule, stream};

/// Ways to run that must not differ: the first is the reference.
fn ways() -> Vec<(&'static str, Options)> {
    let number = |n: usize| NonZeroUsize::new(n).unwrap();
    vec![
        ("once", options()),
        ("again", options()),
        ("in singles", Options { batch: number(1), ..options() }),
        ("in batches of 7", Options { batch: number(7), ..options() }),
        ("with fresh instances", Options { fresh_instances: true, ..options() }),
        (
            "fresh, in singles, with 2 workers",
            Options { fresh_instances: true, batch: number(1), workers: number(2), ..options() },
        ),
        ("with 4 workers", Options { workers: number(4), ..options() }),
    ]
}

fn run_all_ways(rules: &[Rule], streams: &[PathBuf]) -> Vec<(&'static str, Ran)> {
    let run = |(name, options)| (name, replay_advanced(rules, streams, options, 120_000));
    ways().into_iter().map(run).collect()
}

#[track_caller]
fn all_the_same(rules: &[Rule], streams: &[PathBuf]) -> Ran {
    let mut runs = run_all_ways(rules, streams).into_iter();
    let (_, reference) = runs.next().unwrap();
    for (name, ran) in runs {
        assert_eq!(reference.text(), ran.text(), "{name}");
        assert_eq!(reference.summary, ran.summary, "{name}");
    }
    reference
}

#[test]
fn recorded_streams() {
    for scenario in ["akkeris", "akkeris/wire", "deployments", "jobs", "node-notready", "pki/wire"]
    {
        all_the_same(&[akkeris(true)], &fixture(scenario));
    }
}

#[test]
fn two_rules_keep_their_order_on_each_event() {
    let rules = [akkeris(false), rule("count", "hostile", json!({"behaviour": "nothing"}))];
    let ran = all_the_same(&rules, &fixture("akkeris"));
    assert!(ran.step.verdicts.len() > 200);
}

#[test]
fn a_rule_that_relies_on_its_memory_is_found_out() {
    let rules = [rule("leaky", "hostile", json!({"behaviour": "count-in-memory"}))];
    let runs = run_all_ways(&rules, &fixture("akkeris"));
    let [(_, reused), .., (_, _)] = runs.as_slice() else { panic!("too few ways") };
    let fresh = runs.iter().find(|(name, _)| *name == "with fresh instances").unwrap();
    assert_ne!(reused.text(), fresh.1.text(), "throwing instances away must show it");
}

#[test]
fn what_earlier_events_left_in_memory_fails_no_later_one() {
    // Forty megabytes and more over the stream, with a limit of thirty-two: instances are thrown away
    // on the way, and nobody can tell where.
    let mut leaking = rule("leaking", "hostile", json!({"behaviour": "leak-memory"}));
    leaking.limits.cpu = std::time::Duration::from_secs(60);
    let ran = all_the_same(&[leaking], &fixture("akkeris"));
    assert!(ran.step.failures.is_empty(), "{:?}", ran.step.failures);
}

/// One step of a made history: which pod, how long after the one before, and in which state.
fn history() -> impl Strategy<Value = Vec<(u8, u32, u8)>> {
    prop::collection::vec((0u8..5, 0u32..40_000, 0u8..9), 1..60)
}

fn status(state: u8, started: &str) -> Value {
    let end = |reason: &str, code: i32| json!({"terminated": {"reason": reason, "exitCode": code, "finishedAt": started}});
    let state = match state {
        0 | 1 => json!({"running": {"startedAt": started}}),
        2 => end("OOMKilled", 137),
        3 => end("Error", 1),
        4 => end("Completed", 0),
        5 => json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        6 => json!({"waiting": {"reason": "ImagePullBackOff"}}),
        7 => json!({}),
        _ => Value::Null,
    };
    json!({"name": "app", "ready": false, "state": state, "lastState": end("Error", 2)})
}

fn lines(history: &[(u8, u32, u8)]) -> Vec<Value> {
    let mut now = jiff::Timestamp::from_second(1_767_225_600).unwrap();
    let mut lines = Vec::new();
    for (version, (pod, wait, state)) in (1u64..).zip(history) {
        now += jiff::SignedDuration::from_millis(i64::from(*wait));
        let at = now.to_string();
        let kind = if *state == 8 && *wait % 3 == 0 { "DELETED" } else { "MODIFIED" };
        lines.push(pod_line(kind, &at, &format!("web-{pod}"), version, &status(*state, &at)));
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn made_histories(history in history()) {
        let folder = tempfile::tempdir().unwrap();
        let path = stream(folder.path(), "pods.jsonl", &lines(&history));
        let rules = [akkeris(true), rule("count", "hostile", json!({"behaviour": "nothing"}))];
        let ran = all_the_same(&rules, &[path]);
        prop_assert!(ran.step.failures.is_empty(), "rules never fail: {:?}", ran.step.failures);
    }
}
