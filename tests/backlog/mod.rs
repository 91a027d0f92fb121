//! Tests of backlogs: lagging at any time does not change the verdicts, the state and the timers of a
//! rule.

mod history;
mod room;
mod run;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use klaxon::assembly::assemble;
use klaxon_core::pipeline::{MemoryState, Persisted};
use klaxon_core::verdict::Targets;
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Origin, PersistedState, Slot, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use self::history::{Happens, Input, happens, inputs};
use self::run::{PATIENCE, Run, first_difference, schedule, start};
use crate::support::{options, rule, service};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_says_the_same_whether_or_not_it_was_ever_behind(
        history in proptest::collection::vec(happens(), 1..60),
        orders in proptest::collection::vec((any::<prop::sample::Index>(), schedule()), 1..20),
    ) {
        let calls = inputs(&history);
        prop_assume!(!calls.is_empty());
        let last = calls.last().unwrap().0;
        let mut in_step = Run::new(false);
        for (at, input) in &calls {
            in_step.feed(*at, input);
        }
        let expected = in_step.end(last);
        for with_journal in [false, true] {
            let mut run = Run::new(with_journal);
            let mut in_gap = false;
            for (place, (at, input)) in calls.iter().enumerate() {
                in_gap = matches!(input, Input::Gap) || in_gap && !matches!(input, Input::GapEnd);
                run.feed(*at, input);
                for (_, order) in orders.iter().filter(|(at, _)| at.index(calls.len()) == place) {
                    run.obey(order, !in_gap);
                }
            }
            let difference = first_difference(&expected, &run.end(last));
            prop_assert_eq!(difference, None, "with a journal: {}", with_journal);
        }
        let mut live = Run::live();
        for (at, input) in &calls {
            live.feed(*at, input);
        }
        prop_assert_eq!(first_difference(&expected, &live.end(last)), None, "on threads");
    }
}

#[test]
fn each_state_version_of_a_rule_finds_its_own() {
    let state = Arc::new(MemoryState::default());
    let mut pipeline = start(&state, None);
    let slot = Slot { rule: "left".into(), partition: "a".into() };
    let entry = |version: u32, value: &str| PersistedState {
        slot: slot.clone(),
        kind: None,
        version,
        key: "k".to_owned(),
        value: value.to_owned(),
        expires_at: None,
    };
    // The loaded rule has state version 1.
    let persisted =
        Persisted { state: vec![entry(1, "own"), entry(2, "newer")], ..Persisted::default() };
    pipeline.resume(&[], persisted, &state, Box::new(|_| None));
    assert_eq!(state.entries(), [(slot, "k".to_owned(), "own".to_owned())]);
}

#[test]
fn the_pause_of_a_rule_that_is_far_behind_begins_now() {
    let rules = [rule("trap", "hostile", json!({"behaviour": "trap"}))];
    let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
    let mut pipeline = assemble(&rules, Targets::Any, origin, options()).unwrap();
    pipeline.serve(service(Duration::ZERO));
    for (at, input) in inputs(&vec![Happens::Put(0); 20]) {
        let Input::Observe(scope, how, json) = input else { unreachable!() };
        pipeline.apply(scope, Timestamp::from_millis(at), crate::support::seen(how, &json));
    }
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let since = Stopwatch::start();
    let out = loop {
        assert!(since.elapsed() < PATIENCE, "it stays in service");
        pipeline.pump(now);
        let output = pipeline.take_output().unwrap_or_default();
        if let Some(out) = output.out_of_service.first() {
            break out.clone();
        }
        std::thread::yield_now();
    };
    assert!(out.since < now);
    assert_eq!(out.until, now.plus_millis(60_000));
}
