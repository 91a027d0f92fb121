//! Random histories with random faults. They check that the last verdict a receiver got for each object
//! is the rule's verdict on its final state, that nothing is reported twice, that every reported deletion
//! happened, that counts add up, and that missed changes lie within a gap record.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klaxon::app::RunError;
use klaxon_model::clock;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{kubernetes_event, pod, site, widget};
use crate::fake_api::{FakeApi, Fault, Kind, Matching, Verb};
use crate::support::live::{Running, Site};
use crate::support::module;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Put(What, u8),
    Delete(What, u8),
    /// Deletes all objects in one of the two namespaces.
    NoNamespace,
    Fault(Fault, Matching),
    /// Widgets are not served for this number of requests: by an older server behind the address, or
    /// temporarily.
    Unserved(usize),
    /// Widgets are not served for longer than the short grace.
    Gone,
    /// Every other watch is served by a lagging cache, or all are served as of now.
    Lag(bool),
    /// The API server's clock is off by this number of seconds.
    Clock(i64),
    Compact,
    /// The API server is killed and is back at once.
    Restart,
    /// The API server is killed and is away for a moment.
    Away,
    Service,
    Pause,
}

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Pod,
    Event,
    Widget,
}

impl What {
    const ALL: [Self; 3] = [Self::Pod, Self::Event, Self::Widget];

    fn kind(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Event => "Event",
            Self::Widget => "Widget",
        }
    }

    fn watch(self) -> &'static str {
        if self == Self::Widget { "Widget.example.test" } else { self.kind() }
    }
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
    // Authentication is not retried within the service: the service is started again instead.
    let befalls = prop_oneof![
        Just(Matching::plural("pods")),
        Just(Matching::plural("events")),
        Just(Matching::plural("widgets")),
        Just(Matching::verb(Verb::Discover)),
    ];
    let offset = prop_oneof![Just(0), Just(-10), Just(10), Just(-3600), Just(3600)];
    prop_oneof![
        10 => (0..8u8).prop_map(|number| Step::Put(What::Pod, number)),
        3 => (0..8u8).prop_map(|number| Step::Delete(What::Pod, number)),
        8 => (0..6u8).prop_map(|number| Step::Put(What::Event, number)),
        4 => (0..6u8).prop_map(|number| Step::Delete(What::Event, number)),
        4 => (0..4u8).prop_map(|number| Step::Put(What::Widget, number)),
        1 => (0..4u8).prop_map(|number| Step::Delete(What::Widget, number)),
        1 => Just(Step::NoNamespace),
        5 => (fault, befalls).prop_map(|(fault, befalls)| Step::Fault(fault, befalls)),
        2 => (1..8usize).prop_map(Step::Unserved),
        2 => Just(Step::Gone),
        1 => any::<bool>().prop_map(Step::Lag),
        1 => offset.prop_map(Step::Clock),
        1 => Just(Step::Compact),
        2 => Just(Step::Restart),
        1 => Just(Step::Away),
        3 => Just(Step::Service),
        3 => Just(Step::Pause),
    ]
}

/// A number that no step has.
const LAST: u8 = 200;
const VERSION: &str = "example.test/v1";
/// The grace after which widgets that are not served are taken as deleted, in histories in which that may
/// happen.
const SHORT: &str = "150ms";

/// A state of an object that was written.
struct Done {
    what: What,
    uid: String,
    version: u64,
    at: i64,
}

struct World {
    api: FakeApi,
    site: Site,
    running: Option<Running>,
    counts: BTreeMap<u8, u64>,
    done: Vec<Done>,
    /// Objects that were deleted.
    ended: BTreeSet<String>,
    changes: u64,
    /// `true` if widgets may be taken as deleted while they are not served.
    may_give_up: bool,
}

fn place(what: What, number: u8) -> (&'static str, String) {
    let namespace = if number.is_multiple_of(2) { "a" } else { "b" };
    (namespace, format!("{}-{number}", what.kind().to_lowercase()))
}

/// The reports about an object so far.
#[derive(Default)]
struct Reported {
    is_there: bool,
    versions: BTreeSet<u64>,
    count: Option<u64>,
}

impl World {
    /// Ends the service, if it runs, and starts it again. The service does not start while the API server
    /// is away.
    fn restart(&mut self) {
        match self.running.take().map(Running::end) {
            None | Some(Ok(_) | Err(RunError::SignIn(_))) => {}
            Some(Err(fault)) => panic!("{fault}"),
        }
        self.running = Some(self.site.start());
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put(what, number) => self.put(what, number),
            Step::Delete(what, number) => {
                let (namespace, name) = place(what, number);
                self.delete(what, namespace, &name);
            }
            Step::NoNamespace => {
                for what in What::ALL {
                    let keys = self.api.state(what.kind()).into_keys();
                    for (namespace, name) in keys.filter(|(namespace, _)| namespace == "b") {
                        self.delete(what, &namespace, &name);
                    }
                }
            }
            Step::Fault(fault, befalls) => self.api.fault(fault, befalls, 1),
            Step::Unserved(requests) => {
                self.api.hide(VERSION, requests);
                std::thread::sleep(Duration::from_millis(100));
            }
            Step::Gone => {
                self.api.hide(VERSION, usize::MAX);
                std::thread::sleep(Duration::from_millis(600));
                self.api.show();
            }
            Step::Lag(true) => self.api.lag(Duration::from_millis(300), true),
            Step::Lag(false) => self.api.lag(Duration::ZERO, true),
            Step::Clock(seconds) => self.api.clock_offset(seconds),
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

    fn put(&mut self, what: What, number: u8) {
        self.changes += 1;
        let (namespace, name) = place(what, number);
        let mut object = match what {
            What::Pod => pod(&name, &self.changes.to_string()),
            What::Event => {
                if self.api.get("Event", namespace, &name).is_none() {
                    self.counts.remove(&number);
                }
                let count = self.counts.entry(number).or_default();
                *count += 1;
                kubernetes_event(&name, *count)
            }
            What::Widget => widget(&name),
        };
        object["metadata"]["namespace"] = json!(namespace);
        if what == What::Widget {
            object["spec"]["size"] = json!(self.changes);
        }
        let version = self.api.put(object);
        let at = clock::now().as_millis();
        let key = (namespace.to_owned(), name);
        let uid = self.api.state(what.kind())[&key].0.clone();
        self.done.push(Done { what, uid, version, at });
    }

    fn delete(&mut self, what: What, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((uid, _)) = self.api.state(what.kind()).remove(&key) {
            self.api.delete(what.kind(), namespace, name);
            self.ended.insert(uid);
        }
    }

    /// Returns uid and version of all existing objects.
    fn state(&self) -> BTreeSet<(String, u64)> {
        let kinds = What::ALL.into_iter();
        kinds.flat_map(|what| self.api.state(what.kind()).into_values()).collect()
    }

    /// Returns `true` if the service knows exactly the existing objects.
    fn is_settled(&self) -> bool {
        let known = self.site.rows("SELECT uid || ' ' || version FROM objects ORDER BY uid");
        let state = self.state().into_iter().map(|(uid, version)| format!("{uid} {version}"));
        let is_listing = self.site.rows("SELECT name FROM watches WHERE listing = 1");
        known == state.collect::<Vec<_>>() && is_listing.is_empty()
    }

    /// Checks the verdicts, as a receiver gets them that deduplicates by id.
    fn judge(&self) -> Result<(), TestCaseError> {
        let mut reported: BTreeMap<String, Reported> = BTreeMap::new();
        let mut belief: BTreeMap<String, (String, u64)> = BTreeMap::new();
        let mut seen: BTreeSet<(String, u64)> = BTreeSet::new();
        for verdict in self.site.sights("witness") {
            let sight = &verdict["payload"];
            let uid = sight["uid"].as_str().unwrap().to_owned();
            let version: u64 = sight["version"].as_str().unwrap().parse().unwrap();
            let status = verdict["status"].as_str().unwrap().to_owned();
            belief.insert(verdict["key"].as_str().unwrap().to_owned(), (status, version));
            let so_far = reported.entry(uid.clone()).or_default();
            self.judge_sight(so_far, sight, version)?;
            seen.insert((uid, version));
        }
        self.judge_belief(&belief)?;
        self.judge_missing(&seen)
    }

    fn judge_sight(
        &self,
        reported: &mut Reported,
        sight: &Value,
        version: u64,
    ) -> Result<(), TestCaseError> {
        let uid = sight["uid"].as_str().unwrap();
        if sight["change"] == "deleted" {
            prop_assert!(reported.is_there, "an end of what was not there: {}", sight);
            let is_given_up = self.may_give_up && sight["kind"] == "Widget";
            prop_assert!(self.ended.contains(uid) || is_given_up, "it did not end: {}", sight);
            *reported = Reported::default();
            return Ok(());
        }
        prop_assert!(reported.versions.insert(version), "twice: {}", sight);
        reported.is_there = true;
        if sight["kind"] == "Event" {
            let (count, delta) = (sight["count"].as_u64().unwrap(), sight["delta"].as_u64());
            let expected = match reported.count {
                Some(before) => count - before,
                None if sight["change"] == "snapshot" => 0,
                None => count,
            };
            prop_assert_eq!(delta, Some(expected), "{}", sight);
            reported.count = Some(count);
        }
        Ok(())
    }

    /// Checks that the last verdict on each object is the rule's verdict on its final state.
    fn judge_belief(&self, belief: &BTreeMap<String, (String, u64)>) -> Result<(), TestCaseError> {
        let state = self.state();
        for (uid, version) in &state {
            let expected = ("firing".to_owned(), *version);
            prop_assert_eq!(belief.get(uid), Some(&expected), "belief of {}", uid);
        }
        // The deletion of a Kubernetes Event is not reported.
        let events: BTreeSet<&String> =
            self.done.iter().filter(|one| one.what == What::Event).map(|one| &one.uid).collect();
        for (uid, (status, _)) in belief {
            let is_there = state.iter().any(|(one, _)| one == uid);
            let is_right = is_there || events.contains(uid) || status == "resolved";
            prop_assert!(is_right, "{} is gone, and believed to be {}", uid, status);
        }
        Ok(())
    }

    /// Checks that each state that was written was reported, or lies within a gap. A Kubernetes Event
    /// that was reported later includes its earlier counts.
    fn judge_missing(&self, seen: &BTreeSet<(String, u64)>) -> Result<(), TestCaseError> {
        let gaps: Vec<(String, i64, i64)> = self
            .site
            .rows("SELECT watch, since, until FROM gaps")
            .iter()
            .map(|row| {
                let parts: Vec<&str> = row.split(' ').collect();
                (parts[0].to_owned(), parts[1].parse().unwrap(), parts[2].parse().unwrap())
            })
            .collect();
        for Done { what, uid, version, at } in &self.done {
            let is_seen = seen.contains(&(uid.clone(), *version));
            let later = seen.iter().any(|(one, newer)| one == uid && newer > version);
            let is_told = gaps
                .iter()
                .any(|(watch, from, to)| watch == what.watch() && from <= at && at <= to);
            let is_fine = is_seen || is_told || (*what == What::Event && later);
            prop_assert!(is_fine, "{what:?} {uid} {version} at {at} is missing: {gaps:?}");
        }
        Ok(())
    }
}

fn run(steps: Vec<Step>, streamed: bool, may_give_up: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = runtime.block_on(FakeApi::start());
    api.add_kind(Kind::custom("example.test", "v1", "Widget", "widgets"));
    api.streaming_lists(streamed);
    api.bookmarks(Duration::from_millis(50), Duration::from_millis(200));
    let mut site = site(&api).rules(vec![json!({"name": "witness", "module": module("witness"),
        "settings": {"resolves": true}})]);
    site.kubernetes("unserved_grace", json!(if may_give_up { SHORT } else { "1h" }));
    site.timing.stall = Duration::from_millis(700);
    let running = Some(site.start());
    let (counts, done, ended) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let mut world = World { api, site, running, counts, done, ended, changes: 0, may_give_up };
    world.site.wait_until_following(&super::WATCHES);
    world.site.wait_until_following(&[What::Widget.watch()]);
    // A widget that no step deletes.
    world.put(What::Widget, LAST + 2);
    for step in steps {
        world.take(step);
    }
    world.api.show();
    // All changes before these have been reported, or lie within a gap.
    for what in What::ALL {
        world.put(what, LAST);
    }
    let since = clock::Stopwatch::start();
    while !world.is_settled() {
        prop_assert!(
            since.elapsed() < crate::support::live::PATIENCE,
            "never settled: {:?} {:#?} {:#?} {:#?}",
            world.state(),
            world.site.rows("SELECT uid || ' ' || version FROM objects ORDER BY uid"),
            world.site.rows("SELECT name, cursor, listing FROM watches"),
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
fn the_receiver_believes_what_is_so_and_what_is_missed_lies_within_a_gap() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(12),
        // A case takes a second, so that shrinking one takes minutes.
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let histories = (prop::collection::vec(step(), 10..60), any::<bool>(), any::<bool>());
    let outcome =
        runner.run(&histories, |(steps, streamed, gives_up)| run(steps, streamed, gives_up));
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}
