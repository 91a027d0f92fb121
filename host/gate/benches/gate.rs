//! Benchmark of `klaxon-gate`: the time from the start of the process to its first answer, and its memory after a
//! hundred requests.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may end here")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 21;
const REQUESTS: usize = 100;

fn main() {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut runs: Vec<(Duration, u64)> = (0..RUNS).map(|_| run(folder.path())).collect();
    runs.sort();
    let (start, _) = runs[RUNS / 2];
    let most = runs.iter().map(|(_, kib)| kib).max().unwrap();
    println!(
        "start to the first answer, median  {:7.1} ms   (aim < 50)",
        start.as_secs_f64() * 1e3
    );
    println!(
        "resident after {REQUESTS} requests, most {:7.1} MiB  (aim < 10)",
        *most as f64 / 1024.0
    );
}

/// Returns the time to the first answer, and the resident memory in KiB after the requests.
fn run(folder: &std::path::Path) -> (Duration, u64) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let begun = now();
    let mut gate = Command::new(env!("CARGO_BIN_EXE_klaxon-gate"))
        .env("UP_FILE", folder.join("up.txt"))
        .env("UP_PORT", port.to_string())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !ask(port, "/health") {
        std::thread::sleep(Duration::from_micros(100));
    }
    let first = now().duration_since(begun);
    for number in 0..REQUESTS {
        ask(port, ["/up", "/health", "/down"][number % 3]);
    }
    let memory = resident(&gate);
    gate.kill().unwrap();
    gate.wait().unwrap();
    (first, memory)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine's time")]
fn now() -> Instant {
    Instant::now()
}

fn ask(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    write!(stream, "GET {path} HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).is_ok() && response.starts_with("HTTP/1.1 ")
}

fn resident(gate: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
