//! A pipeline with two rules, in memory or with a journal, and the schedule of their lagging.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use klaxon::assembly::assemble_with;
use klaxon_config::Rule;
use klaxon_core::pipeline::{MemoryState, Output, Pace, Pipeline, WatchSetup};
use klaxon_core::verdict::Targets;
use klaxon_engine::Options;
use klaxon_journal::{Group, Handle, Journal};
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Change, Coverage, Id, Origin, RuleId, SourceEvent, Timestamp, WhenFull};
use klaxon_telemetry::metrics::Metrics;
use proptest::prelude::*;
use serde_json::json;

use super::history::Input;
use crate::support::{lost, options, rule, seen, service};

const SCOPES: [&str; 2] = ["Pod", "Event"];
const RULES: [&str; 2] = ["left", "right"];
/// The time after which a test gives up waiting.
pub(super) use crate::support::live::PATIENCE;
/// The advance after the last input, in milliseconds: every timer fires, and all state of deleted objects
/// expires.
const ADVANCE_MS: i64 = 2 * 86_400_000;

/// A step of a rule's schedule.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    HoldBack(usize),
    Ask(usize, usize),
    LetGo(usize),
    Restart,
}

/// Returns the rules. `room` limits the backlog in bytes, with events skipped beyond it; `None` leaves
/// the default.
fn rules(room: Option<usize>) -> Vec<Rule> {
    let rules = RULES.iter().map(|name| {
        let mut rule = rule(name, "hostile", json!({"behaviour": "remember"}));
        if let Some(room) = room {
            (rule.limits.backlog, rule.limits.when_backlog_full) = (room, WhenFull::Skip);
        }
        rule
    });
    rules.collect()
}

pub(super) fn start(state: &Arc<MemoryState>, room: Option<usize>) -> Pipeline {
    let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
    let number = |n: usize| NonZeroUsize::new(n).unwrap();
    let options = Options { workers: number(2), batch: number(3), ..options() };
    assemble_with(&rules(room), Targets::Any, origin, options, state.clone()).unwrap()
}

/// The pipeline, in memory or with a journal.
pub(super) struct Run {
    pub(super) pipeline: Pipeline,
    pub(super) state: Arc<MemoryState>,
    pub(super) journal: Option<(tempfile::TempDir, Handle)>,
    pub(super) came: Output,
    is_live: bool,
    pub(super) room: Option<usize>,
}

impl Run {
    pub(super) fn new(with_journal: bool) -> Self {
        Self::with_room(with_journal, None)
    }

    pub(super) fn with_room(with_journal: bool, room: Option<usize>) -> Self {
        let state = Arc::new(MemoryState::default());
        let pipeline = start(&state, room);
        let (came, is_live) = (Output::default(), false);
        let mut run = Self { pipeline, state, journal: None, came, is_live, room };
        if with_journal {
            run.join(tempfile::tempdir().unwrap());
        }
        run
    }

    /// Returns a run on threads in which every rule is always lagging.
    pub(super) fn live() -> Self {
        Self::new(true).on_threads()
    }

    pub(super) fn on_threads(mut self) -> Self {
        self.pipeline.serve(service(Duration::ZERO));
        self.is_live = true;
        self
    }

    fn join(&mut self, folder: tempfile::TempDir) {
        let journal = Journal::open(folder.path()).unwrap();
        let loaded = journal.load().unwrap();
        let scopes = SCOPES.map(Arc::<str>::from);
        let watches = scopes.iter().map(|scope| {
            let (group, kind) = (String::new(), scope.to_string());
            let coverage = Coverage { group, kind, namespace: None };
            WatchSetup { scope, coverage, rules: &[RuleId(0), RuleId(1)], backfills: false }
        });
        let (watches, forms) = (Vec::from_iter(watches), journal.forms().unwrap());
        self.pipeline.resume(&watches, loaded.persisted, &self.state, forms);
        for kind in SCOPES {
            self.pipeline.apply(kind, Timestamp::default(), SourceEvent::Connected);
        }
        let settings = klaxon_config::Journal {
            path: None,
            retain: Duration::from_secs(7 * 86_400),
            max_size: 1 << 30,
            max_dead_letters: 1000,
        };
        let metrics = Arc::new(Metrics::new("test"));
        let (handle, _) = journal.start(BTreeMap::new(), &settings, metrics).unwrap();
        self.journal = Some((folder, handle));
    }

    pub(super) fn commit(&mut self) {
        self.pipeline.flush();
        let Some(output) = self.pipeline.take_output() else { return };
        let stored = Output { ops: output.ops.clone(), ..Output::default() };
        self.came.append(output);
        if let Some((_, handle)) = &self.journal {
            let clock = Some(self.pipeline.now());
            handle.commit_and_wait(Group { output: stored, progress: Vec::new(), clock }).unwrap();
        }
    }

    pub(super) fn restart(&mut self) {
        self.commit();
        let Some((folder, handle)) = self.journal.take() else { return };
        handle.close().unwrap();
        self.state = Arc::new(MemoryState::default());
        self.pipeline = start(&self.state, self.room);
        if self.is_live {
            self.pipeline.serve(service(Duration::ZERO));
        }
        self.join(folder);
    }

    pub(super) fn pump(&mut self) {
        if self.is_live {
            self.pipeline.pump(Timestamp::from_millis(i64::MAX));
        }
    }

    pub(super) fn feed(&mut self, at: i64, input: &Input) {
        let at = Timestamp::from_millis(at);
        match input {
            Input::Observe(scope, how, json) => self.pipeline.apply(scope, at, seen(*how, json)),
            Input::Gap => {
                self.pipeline.apply("", at, SourceEvent::Progress);
                self.pipeline.apply("Pod", at, lost(at));
            }
            Input::GapEnd => {
                self.commit();
                self.pipeline.apply("Pod", at, SourceEvent::ListCompleted { coverage: None });
            }
        }
        self.pump();
    }

    pub(super) fn obey(&mut self, order: &Schedule, may_restart: bool) {
        match order {
            Schedule::HoldBack(rule) => self.pipeline.set_pace(RuleId(*rule), Pace::Hold),
            Schedule::Ask(rule, events) => {
                self.pipeline.set_pace(RuleId(*rule), Pace::Ask(*events))
            }
            Schedule::LetGo(rule) => self.pipeline.set_pace(RuleId(*rule), Pace::Free),
            Schedule::Restart if may_restart => self.restart(),
            Schedule::Restart => {}
        }
    }

    /// Returns the verdicts of each rule, its state, and the rest of the result.
    pub(super) fn end(mut self, last: i64) -> BTreeMap<String, Vec<String>> {
        self.drain(last);
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for verdict in &self.came.verdicts {
            said.entry(verdict.rule.to_string()).or_default().push(verdict.to_line().unwrap());
        }
        let mut left: Vec<String> =
            self.state.entries().iter().map(|entry| format!("{entry:?}")).collect();
        let failures = self.came.failures.iter();
        left.extend(failures.map(|one| format!("{} {}", one.event, one.failure.message)));
        left.push(format!("{} timers", self.pipeline.status().counts.pending_timers));
        said.insert("left over".to_owned(), left);
        said
    }

    /// Lets all rules go on until their backlogs are empty.
    pub(super) fn drain(&mut self, last: i64) {
        for rule in 0..RULES.len() {
            self.pipeline.set_pace(RuleId(rule), Pace::Free);
        }
        let end = Timestamp::from_millis(last + ADVANCE_MS);
        if self.is_live {
            self.pipeline.apply("", end.plus_millis(1), SourceEvent::Progress);
            let since = Stopwatch::start();
            loop {
                assert!(since.elapsed() < PATIENCE, "there is always more to come");
                self.pump();
                if self.pipeline.status().backlogs.iter().all(|rule| rule.events == 0) {
                    // Pumps once more, so that rules with an empty backlog catch up.
                    self.pump();
                    let held = self.pipeline.status().suspended_timers;
                    if held == 0
                        && self.pipeline.status().backlogs.iter().all(|rule| rule.events == 0)
                    {
                        break;
                    }
                }
                std::thread::yield_now();
            }
        } else {
            self.pipeline.finish(Some(end));
        }
        self.commit();
    }

    /// Returns the events of the cluster, without timers, that each rule answered, and those that it
    /// skipped. Asserts that each is one or the other, once.
    pub(super) fn answered_and_skipped(&self) -> (Asked, Asked) {
        let (mut answered, mut skipped) = (BTreeSet::new(), BTreeSet::new());
        for verdict in self.came.verdicts.iter().filter(|one| one.key != "told") {
            let event = verdict.event.as_ref().unwrap();
            if event.change != Change::Timer {
                assert!(answered.insert((verdict.rule.to_string(), event.id)));
            }
        }
        for one in &self.came.failures {
            assert!(
                one.failure.message.contains("no room in the backlog"),
                "{}",
                one.failure.message
            );
            if one.change != "timer" {
                assert!(skipped.insert((one.rule.to_string(), one.event)));
            }
        }
        assert!(answered.is_disjoint(&skipped));
        (answered, skipped)
    }
}

/// Rules and ids of events.
pub(super) type Asked = BTreeSet<(String, Id)>;

/// Returns the first difference of two runs, if any.
pub(super) fn first_difference(
    expected: &BTreeMap<String, Vec<String>>,
    got: &BTreeMap<String, Vec<String>>,
) -> Option<String> {
    for (what, expected) in expected {
        let got = got.get(what).map_or(&[][..], Vec::as_slice);
        let most = expected.len().max(got.len());
        if let Some(at) = (0..most).find(|at| expected.get(*at) != got.get(*at)) {
            return Some(format!(
                "{what}, {at} of {most}:\n  {:?}\n  {:?}",
                expected.get(at),
                got.get(at)
            ));
        }
    }
    None
}

pub(super) fn schedule() -> impl Strategy<Value = Schedule> {
    let rule = 0..RULES.len();
    prop_oneof![
        4 => rule.clone().prop_map(Schedule::HoldBack),
        4 => (rule.clone(), 1usize..6).prop_map(|(rule, most)| Schedule::Ask(rule, most)),
        2 => rule.prop_map(Schedule::LetGo),
        1 => Just(Schedule::Restart),
    ]
}
