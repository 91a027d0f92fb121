//! Shared support of the tests: built rules, fixtures, and replays in process.

pub(crate) mod http;
pub(crate) mod live;
pub(crate) mod targets;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use klaxon::assembly::assemble;
use klaxon_config::Rule;
use klaxon_core::pipeline::{Output, ServiceOptions};
use klaxon_core::verdict::Targets;
use klaxon_engine::Options;
use klaxon_harness::{Replay, Summary};
use klaxon_model::{Limits, Narrowing, Origin, Seen, SourceEvent, Timestamp};
use klaxon_recording::StreamFile;
use klaxon_test_support::manifests;
use serde_json::{Value, json};

/// A filter of snapshots: the line of a panic in a rule changes with every edit of the rule.
pub(crate) const SOURCE_LINE: (&str, &str) = ("lib.rs:[0-9]+:[0-9]+", "lib.rs:LINE");
/// The `klaxon` binary of this build.
pub(crate) const KLAXON: &str = env!("CARGO_BIN_EXE_klaxon");

/// The checkout, as cargo reports it when the tests run.
pub(crate) fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..")
}

fn target_dir() -> PathBuf {
    Path::new(KLAXON).ancestors().nth(2).unwrap().to_owned()
}

/// Makes an object that a source saw, outside of a relist.
pub(crate) fn seen(seen: Seen, json: &str) -> SourceEvent {
    SourceEvent::Object { seen, json: json.into(), is_change: false }
}

/// Returns the operation as a service with a slow rule's patience.
pub(crate) fn service(patience: Duration) -> ServiceOptions {
    let first_pause = Duration::from_secs(60);
    ServiceOptions { patience, first_pause, waker: Arc::new(|| {}) }
}

/// Makes the start of a gap of a stream: everything since a time may have been missed.
pub(crate) fn lost(from: Timestamp) -> SourceEvent {
    SourceEvent::GapStarted { from, reason: "lost".to_owned() }
}

/// Returns the path of a built rule.
pub(crate) fn module(name: &str) -> PathBuf {
    let path = target_dir().join("rules").join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "rule {name} is not built (no {}); hint: cargo xtask rules",
        path.display()
    );
    path
}

/// Recorded streams of a scenario, such as `akkeris` or `akkeris/wire`, sorted by name.
pub(crate) fn fixture(scenario: &str) -> Vec<PathBuf> {
    let pattern = root().join("fixtures").join(scenario).join("*.jsonl");
    klaxon_recording::expand(&[pattern], Path::new("")).unwrap()
}

/// Every folder of recorded streams.
pub(crate) const SCENARIOS: [&str; 11] = [
    "akkeris",
    "akkeris/wire",
    "deployments",
    "eventarbiter",
    "eventarbiter/alt",
    "eventarbiter/wire",
    "jobs",
    "node-notready",
    "node-notready/wire",
    "pki",
    "pki/wire",
];

/// A rule with defaults.
pub(crate) fn rule(name: &str, module_name: &str, settings: Value) -> Rule {
    Rule {
        name: name.to_owned(),
        module: module(module_name),
        settings,
        targets: Vec::new(),
        nameable: Vec::new(),
        policy: klaxon_config::Policy::default(),
        narrowing: Narrowing::new(),
        limits: Limits::default(),
        state_granted: true,
    }
}

pub(crate) fn akkeris(extended: bool) -> Rule {
    rule("akkeris", "akkeris", json!({ "extended": extended }))
}

/// Options with one worker, batches of 64, and code cached with the build.
pub(crate) fn options() -> Options {
    Options {
        workers: NonZeroUsize::MIN,
        batch: NonZeroUsize::new(64).unwrap(),
        fresh_instances: false,
        cache: Some(target_dir().join("test-cache")),
        measure: false,
        ..Options::default()
    }
}

/// The complete result of a replay.
pub(crate) struct Ran {
    pub(crate) output: Output,
    pub(crate) summary: Summary,
}

impl Ran {
    /// Returns everything that must not depend on the mode of the run, as text.
    pub(crate) fn text(&self) -> String {
        let lines = |values: Vec<String>| values.join("\n");
        let verdicts = self.output.verdicts.iter().map(|v| serde_json::to_string(v).unwrap());
        let failures = self.output.failures.iter().map(|f| serde_json::to_string(f).unwrap());
        let gaps = self.output.gaps.iter().map(|g| serde_json::to_string(g).unwrap());
        lines(verdicts.chain(failures).chain(gaps).collect())
    }

    /// Returns `code object` of each verdict, in order.
    pub(crate) fn codes(&self) -> Vec<String> {
        let verdicts = self.output.verdicts.iter();
        verdicts.map(|verdict| format!("{} {}", verdict.code, verdict.object.name)).collect()
    }
}

/// Replays streams through rules.
pub(crate) fn replay(rules: &[Rule], streams: &[PathBuf], options: Options) -> Ran {
    replay_advanced(rules, streams, options, 0)
}

/// Replays streams, and lets timers fire for `advance_ms` milliseconds after the last event.
pub(crate) fn replay_advanced(
    rules: &[Rule],
    streams: &[PathBuf],
    options: Options,
    advance_ms: i64,
) -> Ran {
    let origin = Origin { cluster: "test".to_owned(), source: "replay".to_owned() };
    let mut pipeline = assemble(rules, Targets::Any, origin, options).unwrap();
    let streams = streams.iter().map(|path| StreamFile::at(path.clone())).collect();
    let mut all = Output::default();
    let run = Replay { streams, advance_ms }.run(&mut pipeline, |output| {
        all.append(output);
        Ok::<_, std::convert::Infallible>(())
    });
    Ran { summary: run.unwrap(), output: all }
}

/// Writes lines as a recorded stream.
pub(crate) fn stream(folder: &Path, name: &str, lines: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns a line of a stream: a pod of the app `shop` with one container.
pub(crate) fn pod_line(kind: &str, at: &str, name: &str, version: u64, status: &Value) -> Value {
    let mut pod = manifests::pod(name, manifests::stored(&format!("uid-{name}"), version));
    pod["metadata"]["labels"] = json!({"akkeris.io/app-name": "shop"});
    pod["spec"]["containers"] = json!([{"name": "app", "image": "shop:1"}]);
    pod["status"]["containerStatuses"] = json!([status]);
    manifests::watch_line(at, kind, pod)
}
