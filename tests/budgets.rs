//! Tests of a rule's total budgets: they are enforced, and none changes the answers of another rule, or
//! those of the same rule in other batches.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use klaxon::assembly::assemble_with;
use klaxon_config::Rule;
use klaxon_core::pipeline::{Limit, MemoryState, Output, Pace, Persisted, Pipeline};
use klaxon_core::verdict::Targets;
use klaxon_engine::Options;
use klaxon_model::clock::Stopwatch;
use klaxon_model::{
    FailureKind, Origin, PersistedState, RuleId, Seen, Slot, SlotKind, SourceEvent,
    StateKeeper as _, Timestamp,
};
use klaxon_test_support::manifests;
use serde_json::{Value, json};

use crate::support::{Ran, options, pod_line, replay, rule, seen, service, stream};

const PODS: usize = 64;
const BEGIN: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Bytes of state that the rule writes for each event.
const MUCH: usize = 100_000;

/// Writes a stream of pods in turn, each in several versions, all within one round.
fn pods(folder: &Path, pods: usize, versions: usize) -> PathBuf {
    let status = json!({"name": "app", "state": {"running": {}}});
    let line = |number: usize| {
        let (kind, name) =
            (if number < pods { "ADDED" } else { "MODIFIED" }, format!("pod-{}", number % pods));
        pod_line(kind, "2026-01-01T00:00:00Z", &name, number as u64 + 1, &status)
    };
    let lines: Vec<Value> = (0..pods * versions).map(line).collect();
    stream(folder, "pods.jsonl", &lines)
}

fn hostile(behaviour: &str) -> Rule {
    let mut rule = rule("hostile", "hostile", json!({ "behaviour": behaviour }));
    rule.limits.cpu = Duration::from_secs(60);
    rule
}

/// Runs the rule beside a well-behaved one.
fn beside_a_neighbour(bad: Rule, pods: PathBuf, options: Options) -> Ran {
    let neighbour = rule("neighbour", "hostile", json!({"behaviour": "nothing"}));
    replay(&[bad, neighbour], &[pods], options)
}

fn of<'a>(ran: &'a Ran, rule: &'a str) -> impl Iterator<Item = &'a klaxon_model::Verdict> {
    ran.output.verdicts.iter().filter(move |verdict| &*verdict.rule == rule)
}

/// Returns the number of events that failed by exceeding a budget, with the message of the first.
fn over_budget(ran: &Ran) -> (usize, String) {
    let over = ran.output.failures.iter().filter(|one| one.failure.kind == FailureKind::OverBudget);
    let messages: Vec<&str> = over.map(|one| one.failure.message.as_str()).collect();
    (messages.len(), messages.first().map_or(String::new(), |first| (*first).to_owned()))
}

fn hits(output: &Output, limit: Limit) -> u64 {
    output.limited.iter().filter(|one| one.limit == limit).map(|one| one.count).sum()
}

#[test]
fn state_over_the_total_of_the_rule_fails_the_event_and_spares_the_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = hostile("keep-much");
    bad.limits.state_total = 9 * (MUCH + 1000);
    let ran = beside_a_neighbour(bad, pods(folder.path(), PODS, 1), options());
    assert_eq!(of(&ran, "neighbour").count(), PODS);
    assert_eq!(of(&ran, "hostile").count(), 9);
    // The rule stays in service: objects of the cluster can fill a budget too.
    let (failed, message) = over_budget(&ran);
    assert_eq!((failed, hits(&ran.output, Limit::State)), (PODS - 9, PODS as u64 - 9));
    assert!(message.contains("over all its partitions, would grow to"), "{message}");
    assert!(
        message.contains("hint: keep less") && message.contains("grants.state_total"),
        "{message}"
    );
}

#[test]
fn timers_over_the_total_of_the_rule_fail_the_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = hostile("timer-with-much");
    bad.limits.timers = 9 * (MUCH + 1000);
    let ran = beside_a_neighbour(bad, pods(folder.path(), PODS, 1), options());
    assert_eq!(of(&ran, "neighbour").count(), PODS);
    assert_eq!(of(&ran, "hostile").count(), 9);
    let (failed, message) = over_budget(&ran);
    assert_eq!((failed, hits(&ran.output, Limit::Timers)), (PODS - 9, PODS as u64 - 9));
    assert!(message.contains("limits.timers"), "{message}");
    assert_eq!(ran.summary.counts.pending_timers, 9);
}

/// An event may have read a write of an earlier event of its round that was then refused: it is evaluated
/// again.
#[test]
fn what_was_refused_is_seen_by_no_later_event_however_the_rule_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let stream = pods(folder.path(), 3, 12);
    let run = |workers: usize, batch: usize, fresh: bool| {
        let mut bad = hostile("keep-much-at-times");
        bad.limits.state_total = 12 * (MUCH + 300);
        let number = |n: usize| NonZeroUsize::new(n).unwrap();
        let options = Options {
            workers: number(workers),
            batch: number(batch),
            fresh_instances: fresh,
            ..options()
        };
        replay(&[bad], std::slice::from_ref(&stream), options)
    };
    let ran = run(1, 64, false);
    let (failed, _) = over_budget(&ran);
    assert_eq!((of(&ran, "hostile").count(), failed), (30, 6));
    // The rule numbers the events of each pod in its state: failed events have no number.
    let mut numbers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for verdict in of(&ran, "hostile") {
        numbers.entry(&verdict.object.name).or_default().push(verdict.payload.get());
    }
    for (pod, numbers) in numbers {
        let expected: Vec<String> = (1..=numbers.len()).map(|number| number.to_string()).collect();
        assert_eq!(numbers, expected, "{pod}");
    }
    for (workers, batch, fresh) in [(1, 1, false), (3, 2, false), (4, 64, true)] {
        assert_eq!(
            run(workers, batch, fresh).text(),
            ran.text(),
            "{workers} workers, {batch} a batch"
        );
    }
}

fn pipeline(rules: &[Rule], state: &Arc<MemoryState>) -> Pipeline {
    let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
    assemble_with(rules, Targets::Any, origin, options(), state.clone()).unwrap()
}

fn pod(number: usize, version: usize) -> String {
    let metadata = manifests::stored(&format!("uid-{number}"), version);
    manifests::pod(&format!("pod-{number}"), metadata).to_string()
}

fn said(output: &Output) -> (Vec<String>, Vec<String>) {
    let verdicts = output.verdicts.iter().map(|one| one.to_line().unwrap()).collect();
    let failures = output.failures.iter();
    (verdicts, failures.map(|one| format!("{} {}", one.event, one.failure.message)).collect())
}

#[test]
fn a_rule_that_lagged_goes_over_its_budget_on_the_same_events() {
    let run = |lags: Option<usize>| {
        let mut bad = hostile("keep-much-at-times");
        bad.limits.state_total = 12 * (MUCH + 300);
        let mut pipeline = pipeline(&[bad], &Arc::new(MemoryState::default()));
        for version in 0..36 {
            if lags == Some(version) {
                pipeline.set_pace(RuleId(0), Pace::Hold);
            }
            let at = BEGIN.plus_millis(version as i64 * 400);
            pipeline.apply("Pod", at, seen(Seen::Present, &pod(version % 3, version + 1)));
            if lags.is_some_and(|since| since < version) && version % 3 == 0 {
                pipeline.set_pace(RuleId(0), Pace::Ask(2));
                pipeline.set_pace(RuleId(0), Pace::Hold);
            }
        }
        pipeline.set_pace(RuleId(0), Pace::Free);
        pipeline.finish(None);
        said(&pipeline.take_output().unwrap())
    };
    let expected = run(None);
    assert_eq!((expected.0.len(), expected.1.len()), (30, 6), "{:?}", expected.1);
    for since in [0, 5, 22, 25, 26, 35] {
        assert_eq!(run(Some(since)), expected, "behind since {since}");
    }
}

#[test]
fn state_that_is_over_a_lowered_budget_comes_back_and_may_only_get_less() {
    let slot = |pod: usize| Slot { rule: "hostile".into(), partition: format!("uid-{pod}").into() };
    let entry = |pod: usize| PersistedState {
        slot: slot(pod),
        kind: Some(SlotKind::Object),
        version: 1,
        key: "much/0".to_owned(),
        value: "x".repeat(MUCH),
        expires_at: None,
    };
    let run = |behaviour: &str| {
        let mut bad = hostile(behaviour);
        bad.limits.state_total = 3 * MUCH;
        let state = Arc::new(MemoryState::default());
        let mut pipeline = pipeline(&[bad], &state);
        let persisted = Persisted {
            state: (0..5).map(entry).collect(),
            now: Some(BEGIN),
            ..Persisted::default()
        };
        pipeline.resume(&[], persisted, &state, Box::new(|_| None));
        let before = state.used("hostile");
        assert!(before > 5 * MUCH, "all of it came back: {before}");
        pipeline.apply("Pod", BEGIN, seen(Seen::Present, &pod(0, 1)));
        pipeline.finish(None);
        let output = pipeline.take_output().unwrap();
        (before, state.used("hostile"), output.verdicts.len(), output.failures.len())
    };
    let (before, after, verdicts, failures) = run("keep-much");
    assert_eq!((after, verdicts, failures), (before, 0, 1));
    let (before, after, verdicts, failures) = run("keep-less");
    assert!(after < before, "{after}");
    assert_eq!((verdicts, failures), (1, 0));
}

#[test]
fn a_rule_over_its_rate_of_verdicts_says_all_of_them_later() {
    let folder = tempfile::tempdir().unwrap();
    let stream = pods(folder.path(), PODS, 1);
    let run = |most: u64| {
        let mut rule = hostile("nothing");
        rule.limits.verdicts_per_minute = most;
        beside_a_neighbour(rule, stream.clone(), options())
    };
    let (free, bound) = (run(1000), run(10));
    assert_eq!(hits(&free.output, Limit::Verdicts), 0);
    let limited = bound.output.limited.iter().find(|one| one.limit == Limit::Verdicts).unwrap();
    assert!(limited.what.as_ref().unwrap().contains("limits.verdicts_per_minute"), "{limited:?}");
    assert!(bound.output.failures.is_empty(), "{:?}", bound.output.failures);
    for rule in ["hostile", "neighbour"] {
        let lines = |ran: &Ran| of(ran, rule).map(|one| one.to_line().unwrap()).collect::<Vec<_>>();
        assert_eq!(lines(&bound), lines(&free), "{rule}");
    }
}

/// In the service, a rule over its rate waits for the clock, and its neighbour does not.
#[test]
fn in_the_service_a_rule_over_its_rate_goes_on_when_the_minute_is_over() {
    let mut rules =
        vec![hostile("nothing"), rule("neighbour", "hostile", json!({"behaviour": "nothing"}))];
    rules[0].limits.verdicts_per_minute = 10;
    let mut pipeline = pipeline(&rules, &Arc::new(MemoryState::default()));
    pipeline.serve(service(Duration::from_secs(3600)));
    let mut came = Output::default();
    for number in 0..PODS {
        pipeline.apply("Pod", BEGIN, seen(Seen::Present, &pod(number, number + 1)));
    }
    let mut said = |pipeline: &mut Pipeline, now: i64| {
        pipeline.pump(BEGIN.plus_millis(now));
        came.append(pipeline.take_output().unwrap_or_default());
        let of = |rule: &str| came.verdicts.iter().filter(|one| &*one.rule == rule).count();
        (of("hostile"), of("neighbour"))
    };
    assert_eq!(said(&mut pipeline, 0), (11, PODS));
    for _ in 0..20 {
        assert_eq!(said(&mut pipeline, 59_999), (11, PODS));
        std::thread::yield_now();
    }
    let since = Stopwatch::start();
    let mut minutes = 1;
    loop {
        let (hostile, _) = said(&mut pipeline, minutes * 60_000);
        assert!(
            hostile <= 11 * (usize::try_from(minutes).unwrap() + 1),
            "{hostile} in {minutes} minutes"
        );
        if hostile == PODS {
            break;
        }
        if hostile == 11 * (usize::try_from(minutes).unwrap() + 1) {
            minutes += 1;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "it does not go on");
        std::thread::yield_now();
    }
}

#[test]
fn answers_that_are_not_handed_on_are_bounded_and_the_rest_comes_later() {
    const MOST: usize = 3 * MUCH;
    let mut rule = hostile("say-much");
    rule.limits.answers = MOST;
    let mut pipeline = pipeline(&[rule], &Arc::new(MemoryState::default()));
    pipeline.serve(service(Duration::from_secs(3600)));
    for number in 0..PODS {
        pipeline.apply("Pod", BEGIN, seen(Seen::Present, &pod(number, number + 1)));
    }
    pipeline.flush();
    let (mut verdicts, mut steps, mut hits_seen) = (0, 0, 0);
    let since = Stopwatch::start();
    while verdicts < 2 * PODS {
        assert!(since.elapsed() < Duration::from_secs(60), "{verdicts} verdicts");
        if let Some(output) = pipeline.take_output() {
            let bytes: usize = output.verdicts.iter().map(|one| one.payload.get().len()).sum();
            assert!(bytes <= MOST + 2 * MUCH, "{bytes} bytes in one step");
            verdicts += output.verdicts.len();
            hits_seen += hits(&output, Limit::Answers);
            steps += 1;
        }
        pipeline.pump(BEGIN);
        std::thread::yield_now();
    }
    assert!(steps >= PODS / 4 && hits_seen > 0, "{steps} steps, {hits_seen} hits");
}

#[test]
fn log_lines_over_the_rate_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad = hostile("log-much");
    bad.limits.log_per_minute = 50_000;
    // Small calls, because the lines of one call have a limit of their own.
    let options = Options { batch: NonZeroUsize::new(8).unwrap(), ..options() };
    let ran = beside_a_neighbour(bad, pods(folder.path(), PODS, 1), options);
    let bytes: usize = ran.output.log.iter().map(|said| said.line.text.len()).sum();
    assert_eq!((bytes, of(&ran, "hostile").count()), (50_000, PODS));
    let dropped = hits(&ran.output, Limit::Log);
    assert_eq!(dropped, PODS as u64 * 30 - 50);
    let limited: Vec<_> = ran.output.limited.iter().filter_map(|one| one.what.as_deref()).collect();
    assert_eq!(limited.len(), 1, "{limited:?}");
    assert!(limited[0].contains("limits.log_per_minute"), "{limited:?}");
}

#[test]
fn kinds_that_a_rule_invents_are_one_kind_and_few_records() {
    let folder = tempfile::tempdir().unwrap();
    let bad = hostile("invent-extensions");
    let ran = beside_a_neighbour(bad, pods(folder.path(), 3, 1), options());
    let mut kinds: Vec<&str> = ran.output.refusals.iter().map(|one| one.target.as_str()).collect();
    assert_eq!(kinds.len(), 3 * 17, "sixteen of each verdict, and how many more");
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["extension", "more"]);
    let more = ran.output.refusals.iter().find(|one| one.target == "more").unwrap();
    assert_eq!(more.why, "84 further targets of the verdict were refused");
}

/// A namespace may be named like a uid.
#[test]
fn a_shared_partition_that_looks_like_a_uid_keeps_its_state_over_a_restart() {
    const UID: &str = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    let run = |kind: Option<SlotKind>| {
        let state = Arc::new(MemoryState::default());
        let mut pipeline = pipeline(&[hostile("nothing")], &state);
        let slot = Slot { rule: "hostile".into(), partition: UID.into() };
        let one = PersistedState {
            slot: slot.clone(),
            kind,
            version: 1,
            key: "seen".to_owned(),
            value: "7".to_owned(),
            expires_at: None,
        };
        // An older version of the program stored the partition as an object's.
        let expiries = vec![(slot, BEGIN.plus_millis(1000))];
        let expiries = if kind == Some(SlotKind::Shared) { expiries } else { Vec::new() };
        let persisted =
            Persisted { state: vec![one], expiries, now: Some(BEGIN), ..Persisted::default() };
        pipeline.resume(&[], persisted, &state, Box::new(|_| None));
        pipeline.apply("", BEGIN.plus_millis(86_400_000 * 2), SourceEvent::Progress);
        state.entries().len()
    };
    assert_eq!(run(Some(SlotKind::Shared)), 1);
    assert_eq!(run(Some(SlotKind::Object)), 0, "its object's end was not seen");
    // All interests of this rule are partitioned by object.
    assert_eq!(run(None), 0);
}
