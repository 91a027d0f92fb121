//! Whether and when a rule falls behind changes nothing of what it says, keeps and asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use klaxon::config::Rule;
use klaxon::engine::Options;
use klaxon::journal::{Group, Handle, Journal};
use klaxon::model::{Change, Id, KeptState, Origin, Seen, Slot, Timestamp, WhenFull};
use klaxon::pipeline::{Kept, MemoryState, Pipeline, Step, assemble_with};
use klaxon::policy::Targets;
use klaxon::route::Coverage;
use klaxon::telemetry::metrics::Metrics;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{options, rule};

const SCOPES: [&str; 2] = ["Pod", "Event"];
const RULES: [&str; 2] = ["left", "right"];
/// After the last input, so that every timer fires and all state of what has gone goes.
const ADVANCE_MS: i64 = 2 * 86_400_000;

/// What happens in the cluster.
#[derive(Debug, Clone)]
enum Happens {
    Put(u8),
    Delete(u8),
    Notice(u8, u8),
    NoticeGone(u8),
    Wait(i64),
    /// The watch of pods loses its place; these are still there afterwards.
    Gap(Vec<u8>),
}

/// What is done to a rule.
#[derive(Debug, Clone)]
enum Schedule {
    HoldBack(usize),
    Ask(usize, usize),
    LetGo(usize),
    Restart,
}

/// One call of the pipeline.
#[derive(Debug, Clone)]
enum Input {
    Observe(&'static str, Seen, String),
    Gap,
    GapEnd,
}

fn uid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The same calls for every run.
fn inputs(history: &[Happens]) -> Vec<(i64, Input)> {
    let mut calls = Vec::new();
    let (mut now, mut version, mut births) = (1_700_000_000_000i64, 10u64, 0u64);
    let mut pods: BTreeMap<u8, u64> = BTreeMap::new();
    let mut counts: BTreeMap<u8, u64> = BTreeMap::new();
    let pod = |name: u8, birth: u64, version: u64| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("pod-{name}"), "namespace": "a", "uid": uid(birth),
                "resourceVersion": version.to_string()},
            "spec": {"containers": []}, "status": {"phase": "Running"}})
        .to_string()
    };
    let notice = |name: u8, about: u64, count: u64, version: u64| {
        json!({"apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("notice-{name}"), "namespace": "a",
                "uid": uid(900_000 + u64::from(name)), "resourceVersion": version.to_string()},
            "involvedObject": {"kind": "Pod", "namespace": "a", "name": "p", "uid": uid(about)},
            "type": "Warning", "reason": "BackOff", "message": "m", "count": count})
        .to_string()
    };
    for one in history {
        version += 1;
        match one {
            Happens::Wait(ms) => now += ms,
            Happens::Put(name) => {
                let birth = *pods.entry(*name).or_insert_with(|| {
                    births += 1;
                    births
                });
                calls.push((now, Input::Observe("Pod", Seen::Present, pod(*name, birth, version))));
            }
            Happens::Delete(name) => {
                if let Some(birth) = pods.remove(name) {
                    let json = pod(*name, birth, version);
                    calls.push((now, Input::Observe("Pod", Seen::Deleted, json)));
                }
            }
            Happens::Notice(name, about) => {
                let count = counts.entry(*name).or_default();
                *count += 1;
                let about = pods.get(about).copied().unwrap_or(800_000 + u64::from(*about));
                let json = notice(*name, about, *count, version);
                calls.push((now, Input::Observe("Event", Seen::Present, json)));
            }
            Happens::NoticeGone(name) => {
                if let Some(count) = counts.remove(name) {
                    let json = notice(*name, 1, count, version);
                    calls.push((now, Input::Observe("Event", Seen::Deleted, json)));
                }
            }
            Happens::Gap(stay) => {
                calls.push((now, Input::Gap));
                now += 2500;
                pods.retain(|name, _| stay.contains(name));
                for (name, birth) in &pods {
                    version += 1;
                    let json = pod(*name, *birth, version);
                    calls.push((now, Input::Observe("Pod", Seen::Snapshot, json)));
                }
                calls.push((now, Input::GapEnd));
            }
        }
        now += 7;
    }
    calls
}

/// With room for so many bytes, after which events are skipped; none: as it is by default.
fn rules(room: Option<usize>) -> Vec<Rule> {
    let rules = RULES.iter().map(|name| {
        let mut rule = rule(name, "hostile", json!({"behaviour": "remember"}));
        if let Some(room) = room {
            (rule.limits.parked, rule.limits.when_parked_full) = (room, WhenFull::Skip);
        }
        rule
    });
    rules.collect()
}

fn start(state: &Arc<MemoryState>, room: Option<usize>) -> Pipeline {
    let origin = Origin { cluster: "test".to_owned(), source: "test".to_owned() };
    let number = |n: usize| NonZeroUsize::new(n).unwrap();
    let options = Options { workers: number(2), batch: number(3), ..options() };
    assemble_with(&rules(room), Targets::Any, origin, options, state.clone()).unwrap()
}

/// The pipeline, in memory or with a journal.
struct Run {
    pipeline: Pipeline,
    state: Arc<MemoryState>,
    journal: Option<(tempfile::TempDir, Handle)>,
    came: Step,
    is_live: bool,
    room: Option<usize>,
}

impl Run {
    fn new(with_journal: bool) -> Self {
        Self::with_room(with_journal, None)
    }

    fn with_room(with_journal: bool, room: Option<usize>) -> Self {
        let state = Arc::new(MemoryState::default());
        let pipeline = start(&state, room);
        let (came, is_live) = (Step::default(), false);
        let mut run = Self { pipeline, state, journal: None, came, is_live, room };
        if with_journal {
            run.join(tempfile::tempdir().unwrap());
        }
        run
    }

    /// Never patient: every rule is behind all the time, on threads.
    fn live() -> Self {
        Self::new(true).on_threads()
    }

    fn on_threads(mut self) -> Self {
        self.pipeline.serve(Duration::ZERO, Arc::new(|| {}));
        self.is_live = true;
        self
    }

    fn join(&mut self, folder: tempfile::TempDir) {
        let journal = Journal::open(folder.path()).unwrap();
        let loaded = journal.load().unwrap();
        self.pipeline.keep_in_journal(journal.forms().unwrap());
        for kind in SCOPES {
            let coverage =
                Coverage { group: String::new(), kind: kind.to_owned(), namespace: None };
            self.pipeline.follow(&kind.into(), coverage, &[0, 1]);
        }
        self.pipeline.restore(loaded.kept, &self.state);
        for kind in SCOPES {
            self.pipeline.in_sync(kind, true);
        }
        let settings = klaxon::config::Journal {
            path: None,
            retain: Duration::from_secs(7 * 86_400),
            max_size: 1 << 30,
            max_dead_letters: 1000,
        };
        let metrics = Arc::new(Metrics::new("test"));
        let (handle, _) = journal.start(BTreeMap::new(), &settings, metrics).unwrap();
        self.journal = Some((folder, handle));
    }

    fn commit(&mut self) {
        self.pipeline.flush();
        let Some(step) = self.pipeline.take_step() else { return };
        let kept = Step { keep: step.keep.clone(), ..Step::default() };
        self.came.append(step);
        if let Some((_, handle)) = &self.journal {
            let clock = Some(self.pipeline.now());
            handle.commit_and_wait(Group { step: kept, progress: Vec::new(), clock }).unwrap();
        }
    }

    fn restart(&mut self) {
        self.commit();
        let Some((folder, handle)) = self.journal.take() else { return };
        handle.close().unwrap();
        self.state = Arc::new(MemoryState::default());
        self.pipeline = start(&self.state, self.room);
        if self.is_live {
            self.pipeline.serve(Duration::ZERO, Arc::new(|| {}));
        }
        self.join(folder);
    }

    fn pump(&mut self) {
        if self.is_live {
            self.pipeline.pump(Timestamp::from_millis(i64::MAX));
        }
    }

    fn feed(&mut self, at: i64, input: &Input) {
        let at = Timestamp::from_millis(at);
        match input {
            Input::Observe(scope, seen, json) => self.pipeline.observe(scope, at, *seen, json),
            Input::Gap => {
                self.pipeline.advance_to(at);
                self.pipeline.begin_gap("Pod", at, "lost");
            }
            Input::GapEnd => {
                self.commit();
                self.pipeline.end_gap("Pod", at);
            }
        }
        self.pump();
    }

    fn obey(&mut self, order: &Schedule, may_restart: bool) {
        match order {
            Schedule::HoldBack(rule) => self.pipeline.hold_back(*rule),
            Schedule::Ask(rule, events) => self.pipeline.let_go_on(*rule, Some(*events)),
            Schedule::LetGo(rule) => self.pipeline.let_go_on(*rule, None),
            Schedule::Restart if may_restart => self.restart(),
            Schedule::Restart => {}
        }
    }

    /// What each rule said, what it kept, and what else there is to tell.
    fn end(mut self, last: i64) -> BTreeMap<String, Vec<String>> {
        self.drain(last);
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for verdict in &self.came.verdicts {
            said.entry(verdict.rule.to_string()).or_default().push(verdict.to_line().unwrap());
        }
        let mut left: Vec<String> =
            self.state.entries().iter().map(|entry| format!("{entry:?}")).collect();
        let failures = self.came.failures.iter();
        left.extend(failures.map(|one| format!("{} {}", one.event, one.failure.message)));
        left.push(format!("{} timers", self.pipeline.counts().pending_wakes));
        said.insert("left over".to_owned(), left);
        said
    }

    /// Lets all rules go on until there is nothing more to come.
    fn drain(&mut self, last: i64) {
        for rule in 0..RULES.len() {
            self.pipeline.let_go_on(rule, None);
        }
        let end = Timestamp::from_millis(last + ADVANCE_MS);
        if self.is_live {
            self.pipeline.advance_to(end.plus_millis(1));
            loop {
                self.pump();
                if self.pipeline.parked().iter().all(|rule| rule.events == 0) {
                    // Once more: what has nothing to do falls in.
                    self.pump();
                    let (_, held) = self.pipeline.wakes();
                    if held == 0 && self.pipeline.parked().iter().all(|rule| rule.events == 0) {
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

    /// Events of the cluster, timers aside, that each rule answered, and that it was not asked about: each
    /// is one or the other, and once.
    fn answered_and_skipped(&self) -> (Asked, Asked) {
        let (mut answered, mut skipped) = (BTreeSet::new(), BTreeSet::new());
        for verdict in self.came.verdicts.iter().filter(|one| one.key != "told") {
            let event = verdict.event.as_ref().unwrap();
            if event.change != Change::Wake {
                assert!(answered.insert((verdict.rule.to_string(), event.id)));
            }
        }
        for one in &self.came.failures {
            assert!(one.failure.message.contains("no room to park"), "{}", one.failure.message);
            if one.change != "wake" {
                assert!(skipped.insert((one.rule.to_string(), one.event)));
            }
        }
        assert!(answered.is_disjoint(&skipped));
        (answered, skipped)
    }
}

/// Rules and events.
type Asked = BTreeSet<(String, Id)>;

/// Room for a few events.
const ROOM: usize = 2000;
/// More than one event takes up.
const ONE_EVENT: usize = 1000;

/// Where two runs differ first, if they do.
fn first_difference(
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

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0u8..4).prop_map(Happens::Put),
        2 => (0u8..4).prop_map(Happens::Delete),
        4 => (0u8..3, 0u8..4).prop_map(|(name, about)| Happens::Notice(name, about)),
        1 => (0u8..3).prop_map(Happens::NoticeGone),
        3 => prop_oneof![(1i64..900), (900i64..4000), Just(700_000)].prop_map(Happens::Wait),
        1 => proptest::collection::vec(0u8..4, 0..4).prop_map(Happens::Gap),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let rule = 0..RULES.len();
    prop_oneof![
        4 => rule.clone().prop_map(Schedule::HoldBack),
        4 => (rule.clone(), 1usize..6).prop_map(|(rule, most)| Schedule::Ask(rule, most)),
        2 => rule.prop_map(Schedule::LetGo),
        1 => Just(Schedule::Restart),
    ]
}

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

    #[test]
    fn without_room_each_event_is_answered_or_skipped_and_what_waits_is_bounded(
        history in proptest::collection::vec(happens(), 1..80),
        orders in proptest::collection::vec((any::<prop::sample::Index>(), schedule()), 1..20),
        on_threads in any::<bool>(),
    ) {
        let calls = inputs(&history);
        prop_assume!(!calls.is_empty());
        let last = calls.last().unwrap().0;
        let mut in_step = Run::new(false);
        calls.iter().for_each(|(at, input)| in_step.feed(*at, input));
        in_step.drain(last);
        let (all, _) = in_step.answered_and_skipped();

        let mut run = Run::with_room(true, Some(ROOM));
        if on_threads {
            run = run.on_threads();
        }
        let mut in_gap = false;
        for (place, (at, input)) in calls.iter().enumerate() {
            in_gap = matches!(input, Input::Gap) || in_gap && !matches!(input, Input::GapEnd);
            run.feed(*at, input);
            for (_, order) in orders.iter().filter(|(at, _)| at.index(calls.len()) == place) {
                // On a thread it is asked anyway.
                if !(on_threads && matches!(order, Schedule::Ask(..))) {
                    run.obey(order, !in_gap);
                }
            }
            run.pipeline.flush();
            // Intake would wait for what it is being asked about.
            while on_threads && run.pipeline.is_full() {
                run.pump();
                std::thread::yield_now();
            }
            for parked in run.pipeline.parked() {
                // What it is being asked about comes on top.
                let most = (ROOM + ONE_EVENT) * (1 + usize::from(on_threads));
                prop_assert!(parked.bytes < most, "{} bytes", parked.bytes);
            }
        }
        run.drain(last);
        let (answered, skipped) = run.answered_and_skipped();
        prop_assert_eq!(answered.union(&skipped).cloned().collect::<Asked>(), all);
        prop_assert_eq!(run.pipeline.counts().pending_wakes, 0);
        let (folder, handle) = run.journal.take().unwrap();
        handle.close().unwrap();
        let journal = rusqlite::Connection::open(folder.path().join("klaxon.db")).unwrap();
        let left = |table: &str| -> i64 {
            let count = format!("SELECT count(*) FROM {table}");
            journal.query_row(&count, [], |row| row.get(0)).unwrap()
        };
        prop_assert_eq!((left("parked"), left("wakes")), (0, 0));
    }
}

#[test]
fn what_comes_and_goes_unseen_by_a_rule_takes_no_more_room_than_there_is() {
    let mut run = Run::with_room(true, Some(ROOM));
    run.pipeline.hold_back(0);
    let history: Vec<Happens> = (0..4000)
        .map(|at| if at % 2 == 0 { Happens::Put(0) } else { Happens::Delete(0) })
        .collect();
    let calls = inputs(&history);
    for (at, input) in &calls {
        run.feed(*at, input);
        let parked = run.pipeline.parked();
        assert!(parked[0].bytes < ROOM + ONE_EVENT, "{} bytes", parked[0].bytes);
    }
    run.commit();
    let (_, skipped) = run.answered_and_skipped();
    assert!(skipped.len() > calls.len() / 2);
    run.restart();
    run.drain(calls.last().unwrap().0);
    // What is left is the newest, and no state outlives its object.
    let told = run.came.verdicts.iter().rfind(|one| &*one.rule == "left").unwrap();
    assert_eq!(told.event.as_ref().unwrap().object.meta.resource_version.to_string(), "4010");
    assert_eq!(run.state.entries(), []);
}

#[test]
fn a_timer_that_was_due_before_its_object_went_is_skipped_with_it_and_not_in_silence() {
    // Before its end the pod's timer was due, or was not.
    for (wait, skipped) in [(5000, 1), (0, 0)] {
        let mut history = vec![Happens::Wait(0); 4];
        history.extend([Happens::Put(0), Happens::Wait(wait), Happens::Delete(0)]);
        history.extend((0..20).map(|_| Happens::Put(1)));
        let calls = inputs(&history);
        let mut run = Run::with_room(true, Some(ROOM));
        run.feed(calls[0].0, &calls[0].1);
        run.pipeline.flush();
        assert_eq!(run.pipeline.counts().pending_wakes, 2, "one of each rule");
        run.pipeline.hold_back(0);
        calls[1..].iter().for_each(|(at, input)| run.feed(*at, input));
        run.commit();
        let wakes = run.came.failures.iter().filter(|one| one.change == "wake");
        assert_eq!(wakes.count(), skipped, "after {wait} ms");
        assert!(run.came.failures.iter().any(|one| one.change == "deleted"));
    }
}

#[test]
fn a_timer_that_fired_and_is_set_anew_before_its_answer_outlasts_a_restart() {
    // The pod's timers a and b are due at one moment, and the answer to a sets b anew.
    let mut history = vec![Happens::Wait(0); 24];
    history.extend([Happens::Put(0), Happens::Put(0), Happens::Wait(5000), Happens::Put(1)]);
    let calls = inputs(&history);
    let last = calls.last().unwrap().0;
    let mut in_step = Run::new(false);
    calls.iter().for_each(|(at, input)| in_step.feed(*at, input));
    let expected = in_step.end(last);
    let woken = |timer: &str| expected["left"].iter().filter(|line| line.contains(timer)).count();
    assert_eq!((woken("Wake a pod-0"), woken("Wake b pod-0")), (1, 2), "{expected:#?}");

    for asked in 1..4 {
        let mut run = Run::new(true);
        for (at, input) in &calls[..2] {
            run.feed(*at, input);
        }
        run.pipeline.hold_back(0);
        run.feed(calls[2].0, &calls[2].1);
        run.pipeline.let_go_on(0, Some(asked));
        run.restart();
        // What was not answered is still there after another.
        run.restart();
        assert_eq!(first_difference(&expected, &run.end(last)), None, "{asked} asked");
    }
}

#[test]
fn each_state_version_of_a_rule_finds_its_own() {
    let state = Arc::new(MemoryState::default());
    let mut pipeline = start(&state, None);
    let slot = Slot { rule: "left".into(), partition: "a".into() };
    let entry = |version: u32, value: &str| KeptState {
        slot: slot.clone(),
        version,
        key: "k".to_owned(),
        value: value.to_owned(),
        expires_at: None,
    };
    // The rule that is loaded has state version 1.
    let kept = Kept { state: vec![entry(1, "own"), entry(2, "newer")], ..Kept::default() };
    pipeline.restore(kept, &state);
    assert_eq!(state.entries(), [(slot, "k".to_owned(), "own".to_owned())]);
}
