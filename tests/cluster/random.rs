//! Random histories with random faults: every final state is seen, nothing is seen twice, and what was
//! missed lies in a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use klaxon::app::RunError;
use klaxon::model::clock;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::{notice, pod, site};
use crate::fake_api::{FakeApi, Fault, Matching, Verb};
use crate::support::live::{Running, Site};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Pod(u8),
    NoPod(u8),
    Notice(u8),
    NoNotice(u8),
    Fault(Fault, Matching),
    Compact,
    Restart,
    Away,
    Service,
    Pause,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Status(500)),
        Just(Fault::Unauthorized),
        Just(Fault::Gone),
        Just(Fault::TooManyRequests { retry_after_seconds: 0 }),
        Just(Fault::RefuseConnection),
        Just(Fault::TruncatedList),
        Just(Fault::ExpiredContinue),
        (0..6usize).prop_map(|lines| Fault::ResetAfter { lines }),
        (0..6usize).prop_map(|lines| Fault::CloseAfter { lines }),
        (0..6usize).prop_map(|after| Fault::GarbageLine { after }),
        (0..6usize).prop_map(|lines| Fault::ErrorAfter { lines, code: 410, reason: "Expired" }),
        (0..4usize).prop_map(|lines| Fault::SilentAfter { lines }),
    ];
    // Signing in is not tried again: whoever starts the service does that.
    let befalls = prop_oneof![
        Just(Matching::plural("pods")),
        Just(Matching::plural("events")),
        Just(Matching::verb(Verb::Discover)),
    ];
    prop_oneof![
        12 => (0..8u8).prop_map(Step::Pod),
        4 => (0..8u8).prop_map(Step::NoPod),
        8 => (0..6u8).prop_map(Step::Notice),
        2 => (0..6u8).prop_map(Step::NoNotice),
        5 => (fault, befalls).prop_map(|(fault, befalls)| Step::Fault(fault, befalls)),
        1 => Just(Step::Compact),
        2 => Just(Step::Restart),
        1 => Just(Step::Away),
        3 => Just(Step::Service),
        3 => Just(Step::Pause),
    ]
}

/// Numbers that no step has.
const LAST: u8 = 200;

/// What was done to the objects: name, version, and when.
type Done = Vec<(String, u64, i64)>;

struct World {
    api: FakeApi,
    site: Site,
    running: Option<Running>,
    counts: BTreeMap<u8, u64>,
    done: Done,
    changes: u64,
}

impl World {
    /// Ends the service, if it runs, and starts it again. An API server that was away just then keeps
    /// it from starting.
    fn restart(&mut self) {
        match self.running.take().map(Running::end) {
            None | Some(Ok(_) | Err(RunError::SignIn(_))) => {}
            Some(Err(fault)) => panic!("{fault}"),
        }
        self.running = Some(self.site.start());
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pod(number) => {
                self.changes += 1;
                let name = format!("pod-{number}");
                let version = self.api.put(pod(&name, &self.changes.to_string()));
                self.done.push((format!("Pod/{name}"), version, clock::now().as_millis()));
            }
            Step::NoPod(number) => self.delete("Pod", &format!("pod-{number}")),
            Step::Notice(number) => {
                let count = self.counts.entry(number).or_default();
                *count += 1;
                let name = format!("event-{number}");
                let version = self.api.put(notice(&name, *count));
                self.done.push((format!("Event/{name}"), version, clock::now().as_millis()));
            }
            Step::NoNotice(number) => {
                self.counts.remove(&number);
                self.delete("Event", &format!("event-{number}"));
            }
            Step::Fault(fault, befalls) => self.api.fault(fault, befalls, 1),
            Step::Compact => self.api.compact(),
            Step::Restart => self.api.restart(),
            Step::Away => {
                self.api.down();
                std::thread::sleep(Duration::from_millis(30));
                self.api.up();
            }
            Step::Service => self.restart(),
            Step::Pause => std::thread::sleep(Duration::from_millis(60)),
        }
    }

    fn delete(&self, kind: &str, name: &str) {
        if self.api.get(kind, "a", name).is_some() {
            self.api.delete(kind, "a", name);
        }
    }

    /// Every object in its last state, and every one that is gone.
    fn is_settled(&self) -> bool {
        let pods = self.api.state("Pod");
        let mut last: BTreeMap<String, (String, String)> = BTreeMap::new();
        for verdict in self.site.sights("witness") {
            let sight = &verdict["payload"];
            let text = |key: &str| sight[key].as_str().unwrap().to_owned();
            last.insert(text("uid"), (text("change"), text("version")));
        }
        let notices = self.api.state("Event");
        let is_there = |(uid, version): &(String, u64)| {
            last.get(uid)
                .is_some_and(|(change, seen)| change != "deleted" && *seen == version.to_string())
        };
        let alive: Vec<&String> = pods.values().map(|(uid, _)| uid).collect();
        let notice_uids: Vec<String> = self.notice_uids();
        let gone =
            last.iter().filter(|(uid, _)| !alive.contains(uid) && !notice_uids.contains(uid));
        pods.values().all(is_there)
            && notices.values().all(is_there)
            && gone.into_iter().all(|(_, (change, _))| change == "deleted")
    }

    fn notice_uids(&self) -> Vec<String> {
        let sights = self.site.sights("witness").into_iter();
        let notices = sights.filter(|one| one["payload"]["kind"] == "Event");
        notices.map(|one| one["payload"]["uid"].as_str().unwrap().to_owned()).collect()
    }

    fn judge(&self) -> Result<(), TestCaseError> {
        let sights: Vec<Value> =
            self.site.sights("witness").into_iter().map(|one| one["payload"].clone()).collect();
        let mut seen = BTreeMap::new();
        for sight in &sights {
            let text = |key: &str| sight[key].as_str().unwrap().to_owned();
            let what = format!("{}/{}", text("kind"), text("name"));
            let is_end = text("change") == "deleted";
            let times = seen.entry((what, text("version"), is_end)).or_insert(0);
            *times += 1;
            prop_assert_eq!(*times, 1, "twice: {}", sight);
        }
        let gaps: Vec<(String, i64, i64)> = self
            .site
            .rows("SELECT watch, since, until FROM gaps")
            .iter()
            .map(|row| {
                let parts: Vec<&str> = row.split(' ').collect();
                (parts[0].to_owned(), parts[1].parse().unwrap(), parts[2].parse().unwrap())
            })
            .collect();
        let begin = self.site.rows("SELECT min(time) FROM verdicts");
        let begin: i64 = begin[0].parse().unwrap_or(i64::MAX);
        for (what, version, at) in &self.done {
            let is_seen = seen.contains_key(&(what.clone(), version.to_string(), false));
            // Before the first list there was nobody to see it.
            if is_seen || *at <= begin {
                continue;
            }
            let kind = what.split('/').next().unwrap();
            // A Kubernetes Event that is counted on tells all that it counted before.
            let counts_on = kind == "Event";
            let is_told =
                gaps.iter().any(|(watch, from, to)| watch == kind && *from <= *at && *at <= *to);
            prop_assert!(is_told || counts_on, "{} at {} is missing: {:?}", what, at, gaps);
        }
        Ok(())
    }
}

fn run(steps: Vec<Step>, streamed: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = runtime.block_on(FakeApi::start());
    api.streaming_lists(streamed);
    api.bookmarks(Duration::from_millis(50), Duration::from_millis(200));
    let mut site = site(&api);
    site.timing.stall = Duration::from_millis(700);
    let running = Some(site.start());
    let (counts, done) = (BTreeMap::new(), Vec::new());
    let mut world = World { api, site, running, counts, done, changes: 0 };
    world.site.wait_until_following(&super::WATCHES);
    for step in steps {
        world.take(step);
    }
    // What came before these has come, or is within a gap.
    world.take(Step::Pod(LAST));
    world.take(Step::Notice(LAST));
    let since = klaxon::model::clock::Stopwatch::start();
    while !world.is_settled() {
        prop_assert!(
            since.elapsed() < Duration::from_secs(20),
            "never settled: {:?} {:#?}",
            world.api.state("Pod"),
            world.site.seen()
        );
        if world.running.as_ref().is_some_and(Running::has_ended) {
            world.restart();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    if let Some(running) = world.running.take() {
        running.stop();
    }
    world.judge()
}

#[test]
fn every_final_state_is_seen_nothing_twice_and_what_is_missed_is_said() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(12),
        // A case takes a second, so that shrinking one takes minutes.
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let histories = (prop::collection::vec(step(), 10..60), any::<bool>());
    let outcome = runner.run(&histories, |(steps, streamed)| run(steps, streamed));
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}
