//! Tests of shutdown: at the first signal the service drains deliveries to a receiver that never answers,
//! at the second it exits.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{pod, receiver, site, wait, webhook};
use crate::fake_api::FakeApi;
use crate::support::live::PATIENCE;
use crate::support::{KLAXON, module, pod_line, stream};

/// Far longer than a test waits for anything.
const DRAIN: &str = "10m";

fn spawn(config: &Path, log: &Path) -> Child {
    Command::new(KLAXON)
        .args(["run", "--workers", "1", "--drain", DRAIN, "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).unwrap())
        .spawn()
        .unwrap()
}

/// Sends a signal, and a second one when the service drains. Returns the exit code and the last line of
/// the log.
fn signal_twice(mut child: Child, log: &Path, first: Signal, second: Signal) -> (i32, String) {
    let read_log = || std::fs::read_to_string(log).unwrap();
    let pid = Pid::from_child(&child);
    kill_process(pid, first).unwrap();
    wait("draining", || read_log().contains("shutting down: draining"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it drains: {}", read_log());
    let since = Stopwatch::start();
    kill_process(pid, second).unwrap();
    let mut status = None;
    while status.is_none() && since.elapsed() < PATIENCE {
        status = child.try_wait().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let code = status.and_then(|status| status.code());
    let code = code.unwrap_or_else(|| panic!("it did not end at once: {}", read_log()));
    (code, read_log().lines().last().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn told_twice_it_ends_at_once_and_the_next_run_delivers() {
    let api = FakeApi::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let site = site(&api, json!({ "notify": webhook(&url) }));
    for number in 0..100 {
        api.put(pod(&format!("pod-{number}"), 0));
    }
    let log = site.folder.path().join("log");
    let child = spawn(&site.config(), &log);
    let pending = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
    site.wait_for_rows(pending, &["100"]);
    let under_way = silent.accept().unwrap();
    let (code, last) = signal_twice(child, &log, Signal::TERM, Signal::INT);
    assert_eq!(code, 130, "{last}");
    assert_eq!(
        last,
        "error: a second signal: the process ends at once, and pending deliveries stay in the journal for the next run"
    );
    drop(under_way);
    assert_eq!(site.rows(pending), ["100"]);

    let (server, taken) = receiver(|_| 204).await;
    let site = site.targets(json!({"notify": webhook(&server.uri())}));
    let running = site.start();
    wait("all of them", || taken.lock().unwrap().len() == 100);
    site.wait_for_rows(pending, &["0"]);
    running.stop();
}

#[test]
fn where_the_journal_is_a_temporary_one_it_is_said_that_deliveries_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let crashed: Value =
        json!({"name": "app", "state": {"terminated": {"reason": "Error", "exitCode": 1}}});
    stream(
        folder.path(),
        "pods.jsonl",
        &[pod_line("ADDED", "2026-01-01T00:00:00Z", "crashed", 1, &crashed)],
    );
    let config = json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
        "sources": [{"name": "recorded", "replay": {"streams": ["pods.jsonl"]}}],
        "rules": [{"name": "akkeris", "module": module("akkeris"), "targets": ["notify"]}],
        "targets": {"notify": webhook(&url)},
    });
    let (path, log) = (folder.path().join("klaxon.yaml"), folder.path().join("log"));
    std::fs::write(&path, config.to_string()).unwrap();
    let child = spawn(&path, &log);
    let under_way = silent.accept().unwrap();
    let (code, last) = signal_twice(child, &log, Signal::INT, Signal::TERM);
    drop(under_way);
    assert_eq!(code, 143, "{last}");
    assert_eq!(
        last,
        "error: a second signal: the process ends at once, and pending deliveries are lost, because the journal was a temporary one"
    );
}
