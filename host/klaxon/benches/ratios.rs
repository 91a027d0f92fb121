//! Benchmarks as ratios within one run: `cargo xtask bench`.
//!
//! All candidates are measured in turn, many times over, and medians are compared, so that a slow moment
//! of the machine affects all of them.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may end here")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klaxon::assembly::assemble;
use klaxon_config::Rule;
use klaxon_core::normalize::{Wanted, decode};
use klaxon_core::pipeline::{MemoryState, Pipeline};
use klaxon_core::verdict::Targets;
use klaxon_engine::{Engine, Options, RuleSpec};
use klaxon_model::clock::Stopwatch;
use klaxon_model::{
    Capability, Change, Evaluate, Event, Id, Limits, Narrowing, Origin, Parts, RuleId, RuleInfo,
    Seen, SourceEvent, StateView, Task, Timestamp,
};
use klaxon_sdk::testing::{NEW_YEAR, Scene, condition, container, pod};
use serde_json::{Value, json};

const EVENTS: usize = 4096;
const ROUNDS: usize = 21;
/// Number of candidates; ratios are printed only if all were measured.
const ALL: usize = 12;

/// A candidate: its name, the number of events of one run, and the run.
struct Candidate<'a> {
    name: &'static str,
    events: usize,
    run: Box<dyn FnMut() + 'a>,
}

fn main() {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let pod = sample_pod();
    let text = pod.to_string();
    println!("a pod of {} bytes, {EVENTS} events a run, medians of {ROUNDS} runs\n", text.len());

    let native_akkeris = native_event(&pod);
    let mut akkeris_scene = Scene::<akkeris::Akkeris>::new("{}").unwrap();
    let mut lean_scene = Scene::<lean::Lean>::new("{}").unwrap();
    let state: Arc<dyn StateView> = Arc::new(MemoryState::default());
    let events = model_events(&text);
    let calls = |name, workers, batch| Calls::new(name, workers, batch, &events, &state);
    let (lean_singles, lean_batches) = (calls("lean", 1, 1), calls("lean", 1, 64));
    let (singles, batches) = (calls("akkeris", 1, 1), calls("akkeris", 1, 64));
    let two_workers = calls("akkeris", 2, 64);
    let versions = [0, 1].map(|version| {
        (0..EVENTS).map(|n| numbered(&pod, n, version).to_string()).collect::<Vec<_>>()
    });
    let (mut one_worker, mut two_workers_whole) = (Whole::new(1), Whole::new(2));
    // The parts of pods that the akkeris rule requests.
    let mut wanted = Wanted::default();
    let parts = Parts { labels: true, conditions: true, ..Parts::default() };
    wanted.add_parts("", "Pod", parts);

    let mut candidates = vec![
        each("lean: native", || {
            black_box(lean_scene.evaluate(black_box(&native_akkeris)).unwrap());
        }),
        whole("lean: typed calls, one at a time", || lean_singles.run()),
        whole("lean: typed calls, batches of 64", || lean_batches.run()),
        each("akkeris: native", || {
            black_box(akkeris_scene.evaluate(black_box(&native_akkeris)).unwrap());
        }),
        whole("akkeris: typed calls, one at a time", || singles.run()),
        whole("akkeris: typed calls, batches of 64", || batches.run()),
        whole("akkeris: batches of 64, two workers", || two_workers.run()),
        each("decode: ours", || {
            black_box(decode(black_box(&text), &wanted).unwrap());
        }),
        each("decode: serde_json::Value", || {
            black_box(serde_json::from_str::<Value>(black_box(&text)).unwrap());
        }),
        each("decode: k8s_openapi Pod", || {
            let pod: k8s_openapi::api::core::v1::Pod =
                serde_json::from_str(black_box(&text)).unwrap();
            black_box(pod);
        }),
        whole("bytes to verdict: akkeris, one worker", || one_worker.run(&versions)),
        whole("bytes to verdict: akkeris, two workers", || two_workers_whole.run(&versions)),
    ];
    // `cargo xtask bench ratios --only decode` measures only these candidates, for example under a
    // profiler.
    if let Some(only) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        let names: Vec<&str> = candidates.iter().map(|one| one.name).collect();
        candidates.retain(|one| one.name.contains(&only));
        assert!(!candidates.is_empty(), "no candidate has {only:?} in its name: {names:#?}");
    }
    report(&measure(&mut candidates));
}

fn each<'a>(name: &'static str, mut one: impl FnMut() + 'a) -> Candidate<'a> {
    let run = move || (0..EVENTS).for_each(|_| one());
    Candidate { name, events: EVENTS, run: Box::new(run) }
}

fn whole<'a>(name: &'static str, run: impl FnMut() + 'a) -> Candidate<'a> {
    Candidate { name, events: EVENTS, run: Box::new(run) }
}

/// Nanoseconds per event, by name.
type Medians = Vec<(&'static str, f64)>;

fn measure(candidates: &mut [Candidate<'_>]) -> Medians {
    let mut samples: Vec<Vec<f64>> = candidates.iter().map(|_| Vec::new()).collect();
    // The first round warms up and does not count.
    for round in 0..=ROUNDS {
        for (candidate, samples) in candidates.iter_mut().zip(&mut samples) {
            let watch = Stopwatch::start();
            (candidate.run)();
            let nanoseconds = watch.elapsed().as_nanos() as f64 / candidate.events as f64;
            if round > 0 {
                samples.push(nanoseconds);
            }
        }
    }
    let median = |samples: &mut Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    };
    candidates.iter().zip(&mut samples).map(|(one, samples)| (one.name, median(samples))).collect()
}

fn report(medians: &Medians) {
    let of =
        |name: &str| medians.iter().find(|(is, _)| *is == name).map_or(f64::NAN, |(_, ns)| *ns);
    for (name, nanoseconds) in medians {
        println!("{name:40} {nanoseconds:10.0} ns/event {:12.0} events/s", 1e9 / nanoseconds);
    }
    println!();
    if medians.len() < ALL {
        return;
    }
    let ratio = |what: &str, slow: &str, fast: &str, aim: &str| {
        println!("{what:52} {:7.1} ×   (aim {aim})", of(slow) / of(fast));
    };
    ratio(
        "lean, one at a time / native",
        "lean: typed calls, one at a time",
        "lean: native",
        "≤ 35",
    );
    ratio("lean, batches / native", "lean: typed calls, batches of 64", "lean: native", "≤ 30");
    let batches = "akkeris: typed calls, batches of 64";
    ratio("akkeris, batches / native", batches, "akkeris: native", "≤ 60");
    ratio("akkeris, one worker / two", batches, "akkeris: batches of 64, two workers", "≥ 1.6");
    ratio("decode, k8s_openapi / ours", "decode: k8s_openapi Pod", "decode: ours", "≥ 2.5");
    ratio("decode, serde_json::Value / ours", "decode: serde_json::Value", "decode: ours", "-");
}

/// Returns a running and ready pod from the recorded streams.
fn sample_pod() -> Value {
    let path = root().join("fixtures/akkeris/pods.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["object"].take())
        .rfind(|pod| pod["status"]["containerStatuses"][0]["ready"] == true)
        .unwrap()
}

/// Returns the same pod as another object, in one of two versions.
fn numbered(pod: &Value, number: usize, version: usize) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["uid"] = json!(format!("24d46141-40a8-4682-9240-{number:012}"));
    pod["metadata"]["resourceVersion"] = json!(format!("{number}-{version}"));
    pod
}

fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..")
}

/// Returns the event of the sample as a native rule gets it.
fn native_event(sample: &Value) -> klaxon_sdk::Event {
    use klaxon_sdk::ConditionStatus;
    let metadata = &sample["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut made = pod(&text(&metadata["namespace"]), &text(&metadata["name"]));
    for (key, value) in metadata["labels"].as_object().unwrap() {
        made = made.label(key, &text(value));
    }
    for one in sample["status"]["conditions"].as_array().unwrap() {
        made = made.condition(condition(&text(&one["type"]), ConditionStatus::IsTrue, "", ""));
    }
    made.container(container("app").running(NEW_YEAR, true)).event()
}

fn model_events(text: &str) -> Vec<Arc<Event>> {
    let mut wanted = Wanted::default();
    wanted.add_parts("", "Pod", Parts::ALL);
    let object = Arc::new(decode(text, &wanted).unwrap());
    let origin = Arc::new(Origin { cluster: "bench".to_owned(), source: "bench".to_owned() });
    (0..EVENTS)
        .map(|number| {
            Arc::new(Event {
                id: Id::of("bench", &[&(number as u64)]),
                origin: origin.clone(),
                time: Timestamp::from_millis(NEW_YEAR.as_millis()),
                change: Change::Modified,
                gap: false,
                interest: 0,
                timer: None,
                object: object.clone(),
                delta: 0,
                fields: Ok(Vec::new()),
                partition: format!("uid-{number}").into(),
            })
        })
        .collect()
}

fn module(name: &str) -> PathBuf {
    // …/release/deps/ratios-… -> …/rules
    let program = std::env::current_exe().unwrap();
    let path = program.ancestors().nth(3).unwrap().join("rules").join(format!("{name}.wasm"));
    assert!(path.exists(), "no {}; hint: cargo xtask rules", path.display());
    path
}

fn options(workers: usize, batch: usize) -> Options {
    Options {
        workers: NonZeroUsize::new(workers).unwrap(),
        batch: NonZeroUsize::new(batch).unwrap(),
        fresh_instances: false,
        cache: None,
        measure: false,
        ..Options::default()
    }
}

/// Typed calls into one rule, on events that are decoded already.
struct Calls<'a> {
    engine: Engine,
    tasks: Vec<Task>,
    state: &'a Arc<dyn StateView>,
}

impl<'a> Calls<'a> {
    fn new(
        rule: &str,
        workers: usize,
        batch: usize,
        events: &[Arc<Event>],
        state: &'a Arc<dyn StateView>,
    ) -> Self {
        let mut engine = Engine::start(options(workers, batch)).unwrap();
        let path = module(rule);
        let spec = RuleSpec {
            name: rule.to_owned(),
            bytes: std::fs::read(&path).unwrap(),
            origin: path,
            settings: json!({}),
            limits: Limits::default(),
            grants: BTreeSet::from(Capability::ALL),
        };
        let loaded: Arc<RuleInfo> = engine.load(RuleId(0), spec).unwrap();
        let task = |event: &Arc<Event>| Task { rule: loaded.id, event: event.clone() };
        let tasks = events.iter().map(task).collect();
        Self { engine, tasks, state }
    }

    fn run(&self) {
        let answers = self.engine.evaluate(self.state, &self.tasks);
        assert!(answers.iter().flatten().all(|answer| answer.outcome.is_ok()));
    }
}

/// The whole pipeline: header, decoding, routing, rules, policy.
struct Whole {
    pipeline: Pipeline,
    runs: usize,
}

impl Whole {
    fn new(workers: usize) -> Self {
        let rule = Rule {
            name: "akkeris".to_owned(),
            module: module("akkeris"),
            settings: json!({}),
            targets: Vec::new(),
            nameable: Vec::new(),
            policy: klaxon_config::Policy::default(),
            narrowing: Narrowing::new(),
            limits: Limits::default(),
            state_granted: true,
        };
        let origin = Origin { cluster: "bench".to_owned(), source: "bench".to_owned() };
        let pipeline = assemble(&[rule], Targets::Any, origin, options(workers, 64)).unwrap();
        Self { pipeline, runs: 0 }
    }

    /// Observes the other version of every object in each run, so that all of them are new.
    fn run(&mut self, versions: &[Vec<String>; 2]) {
        let before = self.pipeline.status().counts.events;
        for object in &versions[self.runs % 2] {
            let time = Timestamp::from_millis(NEW_YEAR.as_millis());
            let (seen, json) = (Seen::Present, object.as_str().into());
            let event = SourceEvent::Object { seen, json, is_change: false };
            self.pipeline.apply("bench", time, event);
        }
        self.pipeline.flush();
        self.runs += 1;
        let counts = self.pipeline.status().counts;
        assert_eq!((counts.events - before, counts.failures), (EVENTS as u64, 0));
    }
}
