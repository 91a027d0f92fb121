//! The service in this process, against an API server that the test controls.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use klaxon::app::{self, RunError, RunSummary, Service, Stop};
use klaxon_config::Config;
use klaxon_kubernetes::Timing;
use klaxon_model::clock::Stopwatch;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{module, options};

/// Time limit of a test's waits: only ends a hang, not a bound on performance.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

const PAUSE: Duration = Duration::from_secs(60);

/// A folder with a configuration, a kubeconfig and a journal.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    rules: Vec<Value>,
    kubernetes: Value,
    admin: Value,
    targets: Value,
    pub(crate) timing: Timing,
    /// Initial pause of a rule that fails too often.
    pub(crate) pause: Duration,
}

/// The service, running.
pub(crate) struct Running {
    stop: Stop,
    thread: Option<JoinHandle<Result<RunSummary, RunError>>>,
}

/// Timing for tests: every period of minutes takes a second.
pub(crate) fn timing() -> Timing {
    Timing {
        watch: Duration::from_secs(20),
        stall: Duration::from_millis(1500),
        probe: Duration::from_millis(300),
        answer: Duration::from_secs(5),
        waits: (Duration::from_millis(20), Duration::from_millis(200)),
        poll: Duration::from_millis(200),
        page: 5,
        ..Timing::default()
    }
}

impl Site {
    /// Makes a site for a kubeconfig in its folder, with one rule, the witness.
    pub(crate) fn new(kubeconfig: impl FnOnce(&Path) -> PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = kubeconfig(folder.path());
        let rules = vec![json!({"name": "witness", "module": module("witness")})];
        let kubernetes = json!({ "kubeconfig": kubeconfig });
        Self {
            folder,
            rules,
            kubernetes,
            admin: json!({}),
            targets: json!({}),
            timing: timing(),
            pause: PAUSE,
        }
    }

    pub(crate) fn rules(mut self, rules: Vec<Value>) -> Self {
        self.rules = rules;
        self
    }

    pub(crate) fn add_rule(&mut self, name: &str, module_name: &str) {
        self.rules.push(json!({"name": name, "module": module(module_name)}));
    }

    /// Sets a key of the source.
    pub(crate) fn kubernetes(&mut self, key: &str, value: Value) {
        self.kubernetes[key] = value;
    }

    pub(crate) fn targets(mut self, targets: Value) -> Self {
        self.targets = targets;
        self
    }

    /// Serves health and metrics.
    pub(crate) fn admin(&mut self, address: &str) {
        self.admin = json!({ "listen": address });
    }

    /// Serves health and metrics with all settings of `admin`.
    pub(crate) fn admin_with(&mut self, admin: Value) {
        self.admin = admin;
    }

    pub(crate) fn config(&self) -> PathBuf {
        let config = json!({
            "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
            "sources": [{"name": "cluster", "kubernetes": self.kubernetes}],
            "rules": self.rules,
            "targets": self.targets,
            "journal": {"path": "journal"},
            "admin": self.admin,
        });
        let path = self.folder.path().join("klaxon.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Starts the service; the journal is reused by later runs.
    pub(crate) fn start(&self) -> Running {
        let config = Config::read(&self.config()).unwrap();
        let mut service = Service::new(Duration::from_secs(5));
        service.timing = self.timing.clone();
        service.pause = self.pause;
        let stop = service.stop.clone();
        let thread = std::thread::spawn(move || app::run(config, options(), &service));
        Running { stop, thread: Some(thread) }
    }

    pub(crate) fn journal(&self) -> Connection {
        let path = self.folder.path().join("journal/klaxon.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(path, flags).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection
    }

    /// Returns the rows of a query, each as its columns joined by spaces; no rows before the journal exists.
    pub(crate) fn rows(&self, select: &str) -> Vec<String> {
        if !self.folder.path().join("journal/klaxon.db").exists() {
            return Vec::new();
        }
        let connection = self.journal();
        let Ok(mut statement) = connection.prepare(select) else { return Vec::new() };
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let columns = (0..columns).map(|at| {
                Ok(match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Null => "-".to_owned(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    other => other.as_str().unwrap_or("?").to_owned(),
                })
            });
            Ok(columns.collect::<rusqlite::Result<Vec<String>>>()?.join(" "))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Returns the sights of a rule, in order.
    pub(crate) fn sights(&self, rule: &str) -> Vec<Value> {
        let select = format!("SELECT body FROM verdicts WHERE rule = '{rule}' ORDER BY n");
        let bodies = self.rows(&select);
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    /// Returns `change kind/name` of each event that the witness saw, marked if it came after a gap.
    pub(crate) fn seen(&self) -> Vec<String> {
        let sights = self.sights("witness").into_iter();
        sights
            .map(|verdict| {
                let sight = &verdict["payload"];
                let text = |key: &str| sight[key].as_str().unwrap().to_owned();
                let gap = if sight["gap"] == true { " gap" } else { "" };
                format!("{} {}/{}{gap}", text("change"), text("kind"), text("name"))
            })
            .collect()
    }

    /// Returns `watch: reason` of each gap.
    pub(crate) fn gaps(&self) -> Vec<String> {
        self.rows("SELECT watch || ': ' || reason FROM gaps ORDER BY n")
    }

    /// Waits until a condition on the witness's sights holds.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let since = Stopwatch::start();
        loop {
            let seen = self.seen();
            if is_so(&seen) {
                return seen;
            }
            assert!(since.elapsed() < PATIENCE, "{what} never came: {seen:#?} {:#?}", self.gaps());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the witness has seen exactly this.
    #[track_caller]
    pub(crate) fn wait_for(&self, expected: &[&str]) {
        let seen = self.wait(&format!("{expected:?}"), |seen| seen.len() >= expected.len());
        assert_eq!(seen, expected);
    }

    /// Waits until a query of the journal has exactly these rows.
    #[track_caller]
    pub(crate) fn wait_for_rows(&self, select: &str, expected: &[&str]) {
        let since = Stopwatch::start();
        while self.rows(select) != expected {
            assert!(since.elapsed() < PATIENCE, "{select}: {:?}", self.rows(select));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a watch has a cursor and no list under way.
    #[track_caller]
    pub(crate) fn wait_until_following(&self, watches: &[&str]) {
        let since = Stopwatch::start();
        loop {
            let following = self.rows("SELECT name FROM watches WHERE listing = 0");
            if watches.iter().all(|name| following.iter().any(|one| one == name)) {
                return;
            }
            let all = self.rows("SELECT name, cursor, listing FROM watches");
            assert!(since.elapsed() < PATIENCE, "{watches:?} do not follow: {all:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Running {
    /// Stops the service and returns its summary.
    pub(crate) fn stop(self) -> RunSummary {
        self.end().unwrap()
    }

    /// Stops the service, which may have ended by itself.
    pub(crate) fn end(mut self) -> Result<RunSummary, RunError> {
        self.stop.stop();
        self.thread.take().unwrap().join().unwrap()
    }

    /// Waits until the service has ended by itself.
    pub(crate) fn end_by_itself(self) -> Result<RunSummary, RunError> {
        let since = Stopwatch::start();
        while !self.has_ended() {
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end()
    }

    /// Returns `true` if the service has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
