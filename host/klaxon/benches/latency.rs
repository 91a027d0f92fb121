//! Benchmark of latency: the time until a change's verdict is on disk, and until its receiver has it,
//! alone and beside a receiver that accepts connections and never answers.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may end here")]

#[expect(dead_code, unused_imports, reason = "its faults are for the tests")]
#[path = "../../../tests/fake_api/mod.rs"]
mod fake_api;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use fake_api::FakeApi;
use klaxon_model::clock::Stopwatch;
use klaxon_test_support::manifests;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

const KLAXON: &str = env!("CARGO_BIN_EXE_klaxon");
const PATIENCE: Duration = Duration::from_secs(30);
const CHANGES: usize = 1_000;
/// The first changes warm up and do not count.
const WARM: usize = 100;

fn main() {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let alone = measure(&["well"]);
    let beside = measure(&["well", "silent"]);
    println!("one change at a time, ms                p50      p99");
    print("change to committed", &alone.committed);
    print("change to received", &alone.received);
    print("the same beside a silent receiver", &beside.received);
    let ratio = at(&beside.received, 99) / at(&alone.received, 99);
    println!("p99 beside a silent receiver / alone  {ratio:7.2} ×   (aim ≤ 2)");
}

/// Times in milliseconds, sorted.
struct Times {
    committed: Vec<f64>,
    received: Vec<f64>,
}

fn print(what: &str, times: &[f64]) {
    println!("{what:34} {:8.2} {:8.2}", at(times, 50), at(times, 99));
}

fn at(times: &[f64], percent: usize) -> f64 {
    times[(times.len() - 1) * percent / 100]
}

fn measure(targets: &[&str]) -> Times {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let api = runtime.block_on(FakeApi::start());
    let well = TcpListener::bind("127.0.0.1:0").unwrap();
    // Accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(&api, folder.path(), targets, [&well, &silent]);
    let (came, arrivals) = sync_channel(1024);
    std::thread::spawn(move || receive(&well, &came));
    let mut service = spawn(&config);
    let journal = open(folder.path());
    wait(&journal, "SELECT count(*) FROM watches WHERE name = 'Pod' AND listing = 0", 1);
    let mut times = Times { committed: Vec::new(), received: Vec::new() };
    for number in 0..WARM + CHANGES {
        let (committed, received) = change(&api, &journal, &arrivals, number);
        if number >= WARM {
            times.committed.push(committed.as_secs_f64() * 1000.0);
            times.received.push(received.as_secs_f64() * 1000.0);
        }
    }
    service.kill().unwrap();
    service.wait().unwrap();
    times.committed.sort_by(f64::total_cmp);
    times.received.sort_by(f64::total_cmp);
    times
}

/// Makes a change. Returns the time until it was on disk, and the time until it was received.
fn change(
    api: &FakeApi,
    journal: &Connection,
    arrivals: &Receiver<Instant>,
    number: usize,
) -> (Duration, Duration) {
    let made = Stopwatch::instant();
    api.put(manifests::pod(&format!("pod-{number}"), json!({})));
    let least = i64::try_from(number).unwrap() + 1;
    wait(journal, "SELECT max(n) FROM verdicts", least);
    let committed = Stopwatch::instant();
    let received = arrivals.recv_timeout(PATIENCE).unwrap();
    (committed.duration_since(made), received.duration_since(made))
}

/// Reports the time at which each request arrives.
fn receive(listener: &TcpListener, came: &SyncSender<Instant>) {
    for stream in listener.incoming() {
        let came = came.clone();
        std::thread::spawn(move || answer(&stream.unwrap(), &came));
    }
}

fn answer(stream: &TcpStream, came: &SyncSender<Instant>) {
    let mut from = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while from.read_line(&mut line).is_ok_and(|read| read > 0) {
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            from.read_exact(&mut vec![0; length]).unwrap();
            came.send(Stopwatch::instant()).unwrap_or_default();
            let mut to = stream;
            to.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
        line.clear();
    }
}

fn configuration(
    api: &FakeApi,
    folder: &Path,
    targets: &[&str],
    [well, silent]: [&TcpListener; 2],
) -> PathBuf {
    let module = Path::new(KLAXON).ancestors().nth(2).unwrap().join("rules/witness.wasm");
    assert!(module.exists(), "the rules are not built; hint: cargo xtask rules");
    let target = |listener: &TcpListener| {
        let url = format!("http://{}/", listener.local_addr().unwrap());
        json!({"webhook": {"url": url, "allow": ["loopback"]}})
    };
    let mut all = json!({"well": target(well), "silent": target(silent)});
    all.as_object_mut().unwrap().retain(|name, _: &mut Value| targets.contains(&name.as_str()));
    let config = json!({
        "apiVersion": "klaxon.dev/v1alpha1", "cluster": "bench",
        "sources": [{"name": "cluster", "kubernetes": {"kubeconfig": api.kubeconfig(folder)}}],
        "rules": [{"name": "witness", "module": module, "targets": targets}],
        "targets": all, "journal": {"path": "journal"},
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

/// Opens the journal as soon as it exists.
fn open(folder: &Path) -> Connection {
    let path = folder.join("journal/klaxon.db");
    let since = Stopwatch::start();
    loop {
        let opened = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        if let Ok(connection) = opened {
            return connection;
        }
        assert!(since.elapsed() < PATIENCE, "{} was not made", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn wait(journal: &Connection, select: &str, least: i64) {
    let since = Stopwatch::start();
    let count = || -> i64 {
        let row = journal
            .prepare_cached(select)
            .and_then(|mut one| one.query_row([], |row| row.get::<_, Option<i64>>(0)));
        row.ok().flatten().unwrap_or(0)
    };
    while count() < least {
        assert!(since.elapsed() < PATIENCE, "{select}: {}", count());
        std::thread::sleep(Duration::from_micros(100));
    }
}
