//! Tests of invariants: workers, batches and instances do not change the answers of a rule, and two
//! replays are byte-identical.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use klaxon_config::Rule;
use klaxon_engine::Options;
use klaxon_harness::strategies::{Kind, Shape, history, sample};
use klaxon_harness::{Input, Mode, RuleUnderTest, Sandboxes, invariants};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Ran, akkeris, fixture, module, options, replay_advanced, rule};

/// Modes of running that must give the same result; the first is the reference.
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
    assert!(ran.output.verdicts.len() > 200);
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
    // The rule leaks more than forty megabytes over the stream, with a limit of 32: instances are
    // replaced at points that must not affect the answers.
    let mut leaking = rule("leaking", "hostile", json!({"behaviour": "leak-memory"}));
    leaking.limits.cpu = std::time::Duration::from_secs(60);
    let ran = all_the_same(&[leaking], &fixture("akkeris"));
    assert!(ran.output.failures.is_empty(), "{:?}", ran.output.failures);
}

#[test]
fn made_histories() {
    for (name, settings) in [
        ("akkeris", json!({"extended": true})),
        ("akkeris", json!({})),
        ("eventarbiter", json!({"repeat": "10s", "event_filter": "pod_failed"})),
        ("eventarbiter", json!({})),
        ("hostile", json!({"behaviour": "nothing"})),
    ] {
        let sandboxes = Sandboxes::start(options().cache).unwrap();
        let rule = RuleUnderTest::load(&sandboxes, &module(name), settings).unwrap();
        invariants::hold(&rule, 24).unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
}

#[test]
fn made_histories_say_most_codes() {
    // Generated histories on which a rule emits nothing would satisfy every invariant.
    let sandboxes = Sandboxes::start(options().cache).unwrap();
    // Generated histories contain one release, which the rule learns from the snapshot: the suites cover
    // `released`.
    for (name, least) in [("akkeris", 7), ("eventarbiter", 8)] {
        let settings = json!({});
        let rule = RuleUnderTest::load(&sandboxes, &module(name), settings).unwrap();
        let shape = Shape { steps: 2000, ..Shape::of(rule.manifest()).unwrap() };
        let input = Input { streams: vec![sample(shape).unwrap()], ..Input::default() };
        let ran = rule.run(&input, Mode::Reused).unwrap();
        let codes: BTreeSet<_> = ran.output.verdicts.iter().map(|one| one.code.clone()).collect();
        assert!(codes.len() >= least, "{name}: {codes:?}");
    }
}

#[test]
fn a_rule_that_breaks_an_invariant_is_shown_the_least_that_breaks_it() {
    let sandboxes = Sandboxes::start(options().cache).unwrap();
    for (behaviour, says, events) in [
        ("count-in-memory", "differently with a new instance", 2),
        ("trap", "trap: panicked at", 1),
    ] {
        let settings = json!({ "behaviour": behaviour });
        let rule = RuleUnderTest::load(&sandboxes, &module("hostile"), settings).unwrap();
        let broken = invariants::hold(&rule, 64).unwrap_err();
        assert!(broken.contains(says), "{broken}");
        let (_, stream) = broken.split_once("on this stream:\n").unwrap();
        // Shrinking starts from another case each time, and may end one step early.
        assert!(stream.lines().count() <= events + 1, "{broken}");
        assert!(stream.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn workers_and_batches_on_made_histories(stream in history(pods_and_deployments())) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made.jsonl");
        std::fs::write(&path, stream.text.unwrap()).unwrap();
        let rules = [akkeris(true), rule("count", "hostile", json!({"behaviour": "nothing"}))];
        let ran = all_the_same(&rules, &[path]);
        prop_assert!(ran.output.failures.is_empty(), "rules never fail: {:?}", ran.output.failures);
    }
}

fn pods_and_deployments() -> Shape {
    let labels = ["akkeris.io/app-name", "akkeris.io/release-uuid"];
    let labels = labels.map(|label| (label.to_owned(), String::new())).to_vec();
    Shape { kinds: vec![Kind::Pod, Kind::Workload], labels, steps: 60 }
}
