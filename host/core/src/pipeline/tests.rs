//! Tests of the pipeline with rules that are closures: backlog, timers, rounds and suspension without WebAssembly.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use klaxon_config::Policy;
use klaxon_model::{
    Answer, Change, Coverage, Dedicated, Evaluate, Event, Failure, FailureKind, GapEffect,
    GapStart, Limits, ListStart, Manifest, Narrowing, Origin, Outcome, RuleId, RuleInfo, Seen,
    SourceEvent, StateView, StoreOp, Task, TimerRequest, Timestamp, Waker, WhenFull,
};
use klaxon_test_support::manifests::{pod, stored};
use klaxon_test_support::values;

use super::{MemoryState, Pace, Persisted, Pipeline, PipelineRule, WatchSetup};
use crate::verdict::{Targets, VerdictBuilder};

type Body = dyn Fn(&Event) -> Option<Result<Outcome, Failure>> + Send + Sync;

/// Rules that are closures. An answer is `None` if the closure returns none.
struct Closures {
    rules: Vec<Arc<Body>>,
    /// The rule, change and object of each event that was asked about, in order.
    asked: Asked,
}

type Asked = Arc<Mutex<Vec<(usize, Change, String)>>>;

impl Evaluate for Closures {
    fn evaluate(&self, _: &Arc<dyn StateView>, tasks: &[Task]) -> Vec<Option<Answer>> {
        let answer = |task: &Task| {
            let name = task.event.object.meta.identity.name.clone();
            self.asked.lock().unwrap().push((task.rule.0, task.event.change, name));
            let outcome = self.rules[task.rule.0](&task.event)?;
            Some(Answer { outcome, writes: Vec::new(), log: Vec::new(), cost: None })
        };
        tasks.iter().map(answer).collect()
    }

    fn limit_time(&mut self, _: Duration) {}

    fn dedicated(&self, _: RuleId, _: Option<Waker>) -> std::io::Result<Box<dyn Dedicated>> {
        Err(std::io::Error::other("closures have no threads"))
    }
}

fn info(id: usize, limits: Limits) -> Arc<RuleInfo> {
    let manifest = Manifest {
        state_version: 1,
        ..values::manifest(vec![values::interest("pods", "v1", "Pod")])
    };
    Arc::new(RuleInfo {
        id: RuleId(id),
        name: format!("rule-{id}").into(),
        digest: String::new(),
        manifest,
        capabilities: BTreeSet::new(),
        settings: "{}".to_owned(),
        limits,
    })
}

/// A pipeline of closures, and the events that they were asked about.
struct Bench {
    pipeline: Pipeline,
    asked: Asked,
}

impl Bench {
    fn new(rules: Vec<Arc<Body>>) -> Self {
        Self::with_limits(rules, Limits::default())
    }

    fn with_limits(rules: Vec<Arc<Body>>, limits: Limits) -> Self {
        let asked = Asked::default();
        let origin = Origin { cluster: "c".to_owned(), source: "s".to_owned() };
        let count = rules.len();
        let engine = Closures { rules, asked: asked.clone() };
        let rule = |id: usize| {
            let info = info(id, limits.clone());
            let verdicts = VerdictBuilder {
                rule: info.name.clone(),
                version: "1".into(),
                routed: Vec::new(),
                named: Vec::new(),
                targets: Targets::Any,
            };
            let (policy, narrowing) = (Policy::unlimited(), Narrowing::new());
            PipelineRule { info, verdicts, policy, narrowing }
        };
        let (state, rules) = (Arc::new(MemoryState::default()), (0..count).map(rule).collect());
        let pipeline = Pipeline::new(engine, origin, state, rules).ok().unwrap();
        Self { pipeline, asked }
    }

    /// Lets a source see a pod at a time, in milliseconds.
    fn see(&mut self, at: i64, seen: Seen, name: &str, version: u64) {
        let json = pod(name, stored(name, version)).to_string().into();
        let event = SourceEvent::Object { seen, json, is_change: false };
        self.pipeline.apply("pods", time(at), event);
    }

    fn advance(&mut self, at: i64) {
        self.pipeline.apply("", time(at), SourceEvent::Progress);
    }

    /// Returns the events that rules were asked about since the last call, as `rule change object`.
    fn asked(&mut self) -> Vec<String> {
        self.pipeline.flush();
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.iter().map(|(id, change, name)| format!("{id} {} {name}", change.as_str())).collect()
    }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn silent() -> Arc<Body> {
    Arc::new(|_| Some(Ok(Outcome::default())))
}

/// Returns a rule that sets a timer for 5 s after each event that is not a timer.
fn sets_timers() -> Arc<Body> {
    Arc::new(|event| {
        let at = event.time.plus_millis(5000);
        let timer = TimerRequest { key: "t".to_owned(), at, payload: String::new() };
        let timers = if event.change == Change::Timer { Vec::new() } else { vec![timer] };
        Some(Ok(Outcome { timers, ..Outcome::default() }))
    })
}

#[test]
fn a_timer_fires_at_its_time_and_not_after_its_object_is_deleted() {
    let mut bench = Bench::new(vec![sets_timers()]);
    bench.see(0, Seen::Present, "kept", 1);
    bench.see(0, Seen::Present, "deleted", 2);
    bench.see(2000, Seen::Deleted, "deleted", 3);
    bench.advance(4999);
    // The deletion sets a timer too, which goes with the object.
    assert_eq!(bench.asked(), ["0 added kept", "0 added deleted", "0 deleted deleted"]);
    bench.advance(5001);
    assert_eq!(bench.asked(), ["0 timer kept"]);
    assert_eq!(bench.pipeline.status().counts.pending_timers, 0);
}

#[test]
fn timers_are_suspended_in_a_gap_and_fire_when_it_ends() {
    let mut bench = Bench::new(vec![sets_timers()]);
    bench.see(0, Seen::Present, "a", 1);
    let gap = SourceEvent::GapStarted { from: time(1000), reason: "lost".to_owned() };
    bench.pipeline.apply("pods", time(2000), gap);
    bench.advance(60_000);
    assert_eq!(bench.asked(), ["0 added a"]);
    assert_eq!(bench.pipeline.status().suspended_timers, 1);
    bench.see(60_000, Seen::Snapshot, "a", 1);
    bench.pipeline.apply("pods", time(60_000), SourceEvent::ListCompleted { coverage: None });
    bench.advance(60_001);
    assert_eq!(bench.asked(), ["0 timer a"]);
    let gaps = bench.pipeline.take_output().unwrap().gaps;
    let spans: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.to, &*gap.reason)).collect();
    assert_eq!(spans, [(time(1000), time(60_000), "lost")]);
}

#[test]
fn a_list_that_starts_again_continues_its_gap() {
    let mut bench = Bench::new(vec![silent()]);
    bench.see(0, Seen::Present, "a", 1);
    for (at, reason) in [(1000, "first"), (3000, "second")] {
        let start = ListStart::Compare(GapStart {
            from: time(at),
            reason: reason.to_owned(),
            effect: GapEffect::Marked,
            complete_at: None,
            is_other_epoch: false,
        });
        let started = SourceEvent::ListStarted { start, coverage: None };
        bench.pipeline.apply("pods", time(at + 500), started);
    }
    bench.pipeline.apply("pods", time(4000), SourceEvent::ListCompleted { coverage: None });
    let gaps = bench.pipeline.take_output().unwrap().gaps;
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].from, &*gaps[0].reason), (time(1000), "first"));
}

#[test]
fn a_lagging_rule_delays_no_other_and_gets_every_event_later_with_its_timers_between() {
    let mut bench = Bench::new(vec![sets_timers(), silent()]);
    bench.see(0, Seen::Present, "a", 1);
    bench.pipeline.set_pace(RuleId(0), Pace::Hold);
    assert_eq!(bench.asked(), ["0 added a", "1 added a"]);
    bench.see(8000, Seen::Present, "b", 2);
    bench.see(9000, Seen::Deleted, "a", 3);
    assert_eq!(bench.asked(), ["1 added b", "1 deleted a"]);
    assert_eq!(bench.pipeline.status().backlogs[0].events, 2);
    bench.pipeline.set_pace(RuleId(0), Pace::Free);
    bench.advance(9001);
    // The timer was due before the queued events, and the object existed then.
    assert_eq!(bench.asked(), ["0 timer a", "0 added b", "0 deleted a"]);
    assert_eq!(bench.pipeline.status().backlogs[0].events, 0);
}

#[test]
fn a_rule_that_gives_no_answer_lags_from_that_event_on() {
    let unanswered: Arc<Body> = Arc::new(|event| {
        let is_first_try = event.object.meta.identity.name == "b" && event.delta == 0;
        (!is_first_try).then(|| Ok(Outcome::default()))
    });
    let mut bench = Bench::new(vec![unanswered, silent()]);
    for (version, name) in (1..).zip(["a", "b", "c"]) {
        bench.see(0, Seen::Present, name, version);
    }
    let asked = bench.asked();
    assert_eq!(asked.len(), 6, "{asked:?}");
    let backlogs = bench.pipeline.status().backlogs;
    assert_eq!((backlogs[0].events, backlogs[1].events), (2, 0), "b and c are queued");
}

#[test]
fn ten_failures_take_a_rule_out_of_service_and_the_trial_brings_it_back() {
    let fails: Arc<Body> = Arc::new(|event| {
        let is_late = event.time >= time(30_000);
        let failure = Failure::new(FailureKind::Trap, "no");
        Some(if is_late { Ok(Outcome::default()) } else { Err(failure) })
    });
    let mut bench = Bench::new(vec![fails]);
    for number in 0..12 {
        bench.see(0, Seen::Present, &format!("pod-{number:02}"), number + 1);
    }
    assert_eq!(bench.asked().len(), 12);
    let output = bench.pipeline.take_output().unwrap();
    assert_eq!((output.failures.len(), output.out_of_service.len()), (10, 1));
    assert_eq!(bench.pipeline.status().backlogs[0].events, 2);
    bench.see(30_000, Seen::Present, "late", 100);
    assert!(bench.asked().is_empty(), "it is out of service for a minute");
    bench.advance(60_000);
    // The trial fails, as it is as old as the others: the pause doubles.
    assert_eq!(bench.asked(), ["0 added pod-10"]);
    bench.advance(400_000);
    assert_eq!(bench.pipeline.status().backlogs[0].events, 1);
    bench.advance(1_000_000);
    assert_eq!(bench.pipeline.status().backlogs[0].events, 0);
}

#[test]
fn a_full_backlog_skips_superseded_events_first() {
    let limits = Limits { backlog: 1500, when_backlog_full: WhenFull::Skip, ..Limits::default() };
    let mut bench = Bench::with_limits(vec![silent()], limits);
    let scope: Arc<str> = "pods".into();
    let coverage = Coverage { group: String::new(), kind: "Pod".to_owned(), namespace: None };
    let rules = [RuleId(0)];
    let watch = WatchSetup { scope: &scope, coverage, rules: &rules, backfills: false };
    let state = MemoryState::default();
    bench.pipeline.resume(&[watch], Persisted::default(), &state, Box::new(|_| None));
    bench.pipeline.apply("pods", time(0), SourceEvent::Connected);
    bench.pipeline.set_pace(RuleId(0), Pace::Hold);
    for version in 1..=40 {
        bench.see(0, Seen::Present, "busy", version);
    }
    bench.see(0, Seen::Present, "quiet", 100);
    bench.pipeline.set_pace(RuleId(0), Pace::Free);
    bench.advance(2000);
    let asked = bench.asked();
    let output = bench.pipeline.take_output().unwrap();
    assert_eq!(asked.last().map(String::as_str), Some("0 added quiet"), "{asked:?}");
    assert_eq!(asked.len() + output.failures.len(), 41, "each is answered or recorded");
    assert!(output.failures.iter().all(|one| one.failure.kind == FailureKind::Skipped));
    assert!(asked.len() < 40 && asked.iter().any(|one| one.ends_with("busy")), "{asked:?}");
}

#[test]
fn a_timer_over_the_maximum_is_refused_and_nothing_of_it_is_recorded() {
    let sets_too_many: Arc<Body> = Arc::new(|event| {
        let key = event.object.meta.resource_version.clone();
        let at = event.time.plus_millis(3_600_000);
        let timers = vec![TimerRequest { key, at, payload: String::new() }];
        Some(Ok(Outcome { timers, ..Outcome::default() }))
    });
    let mut bench = Bench::new(vec![sets_too_many]);
    let state = MemoryState::default();
    bench.pipeline.resume(&[], Persisted::default(), &state, Box::new(|_| None));
    for version in 1..=102 {
        bench.see(0, Seen::Present, "a", version);
    }
    bench.pipeline.flush();
    let output = bench.pipeline.take_output().unwrap();
    let recorded = output.ops.iter().filter(|op| matches!(op, StoreOp::Timer(_))).count();
    assert_eq!((recorded, output.failures.len()), (100, 2));
    assert_eq!(bench.pipeline.status().counts.pending_timers, 100);
}
