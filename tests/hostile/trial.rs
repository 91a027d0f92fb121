//! One run of the service with a greedy rule beside a witness, and its measured cost.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use serde_json::json;

use super::behaviours::{Behaviour, Bounds, LEAST_MS};
use super::process::Process;
use crate::fake_api::{FakeApi, Kind};
use crate::receivers::pod;
use crate::support::live::Site;
use crate::support::{KLAXON, module};

/// Number of pods, one event each.
const EVENTS: usize = 1_000;
/// Number of pods that are made at once, before the service has a moment to answer.
const TOGETHER: usize = 25;
/// Number of versions of the large object that come with each group of pods.
const LARGE_TOGETHER: usize = 3;
/// Time limit of a run without a verdict of the witness: a service that hangs must not hold up the tests for ever.
const PATIENCE: Duration = Duration::from_secs(300);
/// The service is quiet when it uses no CPU time for this long.
const QUIET: Duration = Duration::from_millis(400);

/// The measured cost of a run.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Measured {
    /// Peak resident memory in bytes.
    pub(super) memory: u64,
    /// CPU time of all threads except those that run rules.
    pub(super) cpu_ms: u64,
    /// Bytes of the log.
    pub(super) log: u64,
    /// Bytes of the journal's files.
    pub(super) journal: u64,
    /// Rows of the journal that the greedy rule caused.
    pub(super) rows: u64,
    /// Time from a pod's creation to the neighbour's verdict on disk, at the 99th percentile of the pods.
    pub(super) delay_ms: u64,
}

impl Measured {
    pub(super) fn header() -> String {
        format!(
            "{:<18} {:>8} {:>8} {:>10} {:>10} {:>8} {:>9}",
            "rule takes", "RSS MiB", "CPU ms", "log KiB", "disk KiB", "rows", "p99 ms"
        )
    }

    pub(super) fn row(&self, name: &str) -> String {
        let Self { memory, cpu_ms, log, journal, rows, delay_ms } = self;
        let (memory, log, journal) = (memory >> 20, log >> 10, journal >> 10);
        format!(
            "{name:<18} {memory:>8} {cpu_ms:>8} {log:>10} {journal:>10} {rows:>8} {delay_ms:>9}"
        )
    }

    /// Returns six runs, each of which exceeds one bound only.
    pub(super) fn each_over(bounds: &Bounds) -> [Self; 6] {
        let none = Self::default();
        [
            Self { memory: bounds.memory + 1, ..none },
            Self { cpu_ms: LEAST_MS * bounds.cpu_times + 1, ..none },
            Self { log: bounds.log + 1, ..none },
            Self { journal: bounds.journal + 1, ..none },
            Self { rows: bounds.rows + 1, ..none },
            Self { delay_ms: LEAST_MS * bounds.delay_times + 1, ..none },
        ]
    }
}

/// Kills the process when the run ends, also if the run fails.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a behaviour: a thousand pods, each seen by the greedy rule and by the witness.
pub(super) fn run(behaviour: &Behaviour) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = runtime.block_on(FakeApi::start());
    api.add_kind(Kind::custom("example.test", "v1", "Widget", "widgets"));
    let site = site(&api, behaviour);
    let log = log_file(&site);
    let child = Command::new(KLAXON)
        .args(["run", "--workers", "2", "--drain", "5s", "--config"])
        .arg(site.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut service = Service(child);
    site.wait_until_following(&["Pod"]);
    let process = Process::of(service.0.id());
    let delays = make_pods(&api, &site, &mut service, behaviour);
    wait_until_quiet(&process);
    let journal = site.folder.path().join("journal");
    let files = std::fs::read_dir(journal).unwrap().flatten();
    Measured {
        memory: process.peak_memory(),
        cpu_ms: process.cpu_ms(|name| {
            !name.starts_with("klaxon-rules") && !name.starts_with("klaxon-lagging")
        }),
        log: std::fs::metadata(&log).unwrap().len(),
        journal: files.map(|file| file.metadata().unwrap().len()).sum(),
        rows: rows(&site),
        delay_ms: delays,
    }
}

fn site(api: &FakeApi, behaviour: &Behaviour) -> Site {
    let rules = vec![
        json!({"name": "greedy", "module": module(behaviour.module), "settings": behaviour.settings,
            "targets": behaviour.targets}),
        json!({"name": "witness", "module": module("witness"), "targets": ["neighbour"]}),
    ];
    let names = ["first", "second", "third", "neighbour", "pager"];
    let folder = |name| json!({"file": {"path": format!("out/{name}.jsonl")}});
    let targets = names.into_iter().map(|name| (name.to_owned(), folder(name)));
    let targets: serde_json::Map<_, _> = targets.collect();
    Site::new(|folder| {
        std::fs::create_dir(folder.join("out")).unwrap();
        api.kubeconfig(folder)
    })
    .rules(rules)
    .targets(targets.into())
}

/// Makes the pods in small groups, and waits until the witness has seen all. Returns the 99th percentile of the
/// delay.
fn make_pods(api: &FakeApi, site: &Site, service: &mut Service, behaviour: &Behaviour) -> u64 {
    let name = behaviour.name;
    let mut large_objects = (0..behaviour.large_objects).map(large_object);
    let since = Stopwatch::start();
    let mut made: HashMap<String, Duration> = HashMap::new();
    let mut delays: Vec<Duration> = Vec::new();
    let mut last = 0;
    let mut progress = Stopwatch::start();
    while delays.len() < EVENTS {
        let number = made.len();
        if number < EVENTS {
            for number in number..number + TOGETHER {
                let name = format!("pod-{number}");
                made.insert(name.clone(), since.elapsed());
                api.put(pod(&name, 0));
            }
            large_objects.by_ref().take(LARGE_TOGETHER).for_each(|object| _ = api.put(object));
        }
        let select = format!(
            "SELECT n, json_extract(body, '$.payload.name') FROM verdicts \
             WHERE rule = 'witness' AND json_extract(body, '$.payload.kind') = 'Pod' \
             AND n > {last} ORDER BY n"
        );
        for row in site.rows(&select) {
            let (n, pod) = row.split_once(' ').unwrap();
            last = n.parse().unwrap();
            delays.push(since.elapsed() - made[pod]);
            progress = Stopwatch::start();
        }
        assert!(service.0.try_wait().unwrap().is_none(), "{name}: the service has ended");
        assert!(
            progress.elapsed() < PATIENCE,
            "{name}: the witness saw {} pods; the end of the service's log:\n{}",
            delays.len(),
            end_of_log(site)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    delays.sort_unstable();
    let delay = delays[EVENTS * 99 / 100];
    u64::try_from(delay.as_millis()).unwrap()
}

fn end_of_log(site: &Site) -> String {
    let log = std::fs::read_to_string(log_file(site)).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(20);
    lines[from..].join("\n")
}

fn log_file(site: &Site) -> PathBuf {
    site.folder.path().join("klaxon.log")
}

/// Returns a version of a 1.5 MB object.
fn large_object(version: usize) -> serde_json::Value {
    let item = |n: usize| json!({"name": format!("item-{n}"), "size": n + version});
    let items: Vec<_> = (0..40_000).map(item).collect();
    json!({"apiVersion": "example.test/v1", "kind": "Widget",
        "metadata": {"name": "large", "namespace": "a"}, "spec": {"size": 1, "items": items}})
}

/// Waits until the process is idle, or for a bounded time: a lagging rule may work for hours.
fn wait_until_quiet(process: &Process) {
    let mut before = process.cpu_ms(|_| true);
    for _ in 0..50 {
        std::thread::sleep(QUIET);
        let now = process.cpu_ms(|_| true);
        if now <= before + 20 {
            return;
        }
        before = now;
    }
}

/// Counts the rows of the journal that the greedy rule caused.
fn rows(site: &Site) -> u64 {
    let tables = ["state", "timers", "verdicts", "quarantine", "refusals", "backlog"];
    let of = |table: &str| {
        let select = match table {
            "refusals" => "SELECT count(*) FROM refusals".to_owned(),
            table => format!("SELECT count(*) FROM {table} WHERE rule = 'greedy'"),
        };
        site.rows(&select).first().and_then(|count| count.parse::<u64>().ok()).unwrap()
    };
    tables.into_iter().map(of).sum()
}
