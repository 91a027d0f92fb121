//! Benchmark of a cluster with many pods: memory, disk, the time of the first list, and the time from a
//! restart to the first event. The API server is the fake one of the tests, on this machine.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may end here")]

#[expect(dead_code, unused_imports, reason = "its faults are for the tests")]
#[path = "../../../tests/fake_api/mod.rs"]
mod fake_api;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fake_api::FakeApi;
use klaxon_model::clock::Stopwatch;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

const KLAXON: &str = env!("CARGO_BIN_EXE_klaxon");
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!(
        "pods      first list   resident  (peak)    journal   restart to first event  resident  (peak)"
    );
    for pods in [1_000, 10_000, 100_000] {
        measure(pods);
    }
}

/// Returns a pod as recorded from a control plane, under another name.
fn pod(template: &Value, number: usize, tier: &str) -> Value {
    let mut pod = template.clone();
    pod["metadata"]["name"] = json!(format!("shop-7d4b9c6f5-{number:06}"));
    pod["metadata"]["namespace"] = json!(format!("team-{}", number % 50));
    pod["metadata"]["labels"]["tier"] = json!(tier);
    for key in ["uid", "resourceVersion", "creationTimestamp"] {
        pod["metadata"].as_object_mut().unwrap().remove(key);
    }
    pod
}

fn measure(pods: usize) {
    let home = std::env::var_os("CARGO_MANIFEST_DIR").unwrap();
    let recorded = Path::new(&home).join("../../fixtures/akkeris/pods.jsonl");
    let recorded = std::fs::read_to_string(recorded).unwrap();
    let line: Value = serde_json::from_str(recorded.lines().nth(40).unwrap()).unwrap();
    let template = &line["object"];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = runtime.block_on(FakeApi::start());
    for number in 0..pods {
        api.put(pod(template, number, "web"));
    }
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(&api, folder.path());

    let since = Stopwatch::start();
    let mut service = spawn(&config);
    wait(folder.path(), "SELECT count(*) FROM watches WHERE name = 'Pod' AND listing = 0", 1);
    let listed = since.elapsed();
    let first = memory(&service);
    stop(&mut service);
    let journal = std::fs::metadata(folder.path().join("journal/klaxon.db")).unwrap().len();

    api.put(pod(template, 0, "other"));
    let select = "SELECT count(*) FROM verdicts WHERE rule = 'witness'";
    let before = count(folder.path(), select);
    let since = Stopwatch::start();
    let mut service = spawn(&config);
    wait(folder.path(), select, before + 1);
    let restarted = since.elapsed();
    let second = memory(&service);
    stop(&mut service);
    println!(
        "{pods:>7}  {:>8.2} s  {:>6} MiB  ({:>4} MiB)  {:>5} MiB  {:>18.2} s  {:>9} MiB  ({:>4} MiB)",
        listed.as_secs_f64(),
        first.0,
        first.1,
        journal >> 20,
        restarted.as_secs_f64(),
        second.0,
        second.1
    );
}

fn configuration(api: &FakeApi, folder: &Path) -> std::path::PathBuf {
    let module = |name: &str| {
        let path = Path::new(KLAXON).ancestors().nth(2).unwrap();
        path.join("rules").join(format!("{name}.wasm"))
    };
    let config = json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "bench",
        "sources": [{"name": "cluster", "kubernetes": {"kubeconfig": api.kubeconfig(folder)}}],
        "rules": [{"name": "akkeris", "module": module("akkeris")},
            {"name": "witness", "module": module("witness")}],
        "targets": {}, "journal": {"path": "journal"},
    });
    let path = folder.join("klaxon.yaml");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn spawn(config: &Path) -> Child {
    let mut command = Command::new(KLAXON);
    command.args(["run", "--config"]).arg(config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn stop(service: &mut Child) {
    let id = rustix::process::Pid::from_child(service);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(service.wait().unwrap().success());
}

/// Returns current and peak resident memory in MiB.
fn memory(service: &Child) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn count(folder: &Path, select: &str) -> i64 {
    let path = folder.join("journal/klaxon.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(connection) = Connection::open_with_flags(path, flags) else { return 0 };
    connection.query_row(select, [], |row| row.get(0)).unwrap_or(0)
}

fn wait(folder: &Path, select: &str, least: i64) {
    let since = Stopwatch::start();
    while count(folder, select) < least {
        assert!(since.elapsed() < PATIENCE, "{select}: {}", count(folder, select));
        std::thread::sleep(Duration::from_millis(10));
    }
}
