//! Benchmark of testing: start-up of `klaxon test` on a rule that was compiled before, and a thousand
//! small cases. Prints times of this machine beside the targets.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may end here")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use klaxon_model::clock::Stopwatch;

const KLAXON: &str = env!("CARGO_BIN_EXE_klaxon");
const FILES: usize = 10;
const CASES: usize = 100;
const ROUNDS: usize = 11;

fn main() {
    // `cargo test` builds and runs benches too, with this flag; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("klaxon-bench-{}", std::process::id()));
    let cache = folder.join("cache");
    let module = Path::new(KLAXON).ancestors().nth(2).unwrap().join("rules/akkeris.wasm");
    assert!(module.exists(), "the rules are not built; hint: cargo xtask rules");
    std::fs::create_dir_all(folder.join("one")).unwrap();
    std::fs::create_dir_all(folder.join("many")).unwrap();
    std::fs::write(folder.join("one/it.test.yaml"), suite(&module, 1)).unwrap();
    for file in 0..FILES {
        let path = folder.join(format!("many/{file}.test.yaml"));
        std::fs::write(path, suite(&module, CASES)).unwrap();
    }
    let compile = time(&folder.join("one"), &cache);
    println!("klaxon test, one case, nothing compiled before   {:8.0} ms", millis(compile));
    let start = median(|| time(&folder.join("one"), &cache));
    println!(
        "klaxon test, one case, compiled before           {:8.0} ms   (aim < 150)",
        millis(start)
    );
    let many = median(|| time(&folder.join("many"), &cache));
    println!(
        "klaxon test, 1,000 small cases, each run 5 times {:8.0} ms   (aim < 10,000)",
        millis(many)
    );
    drop(std::fs::remove_dir_all(folder));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(mut one: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| one()).collect();
    times.sort();
    times[ROUNDS / 2]
}

fn time(folder: &PathBuf, cache: &Path) -> Duration {
    let watch = Stopwatch::start();
    let output =
        Command::new(KLAXON).arg("test").arg(folder).env("KLAXON_CACHE", cache).output().unwrap();
    let time = watch.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    time
}

/// Returns a test file with `cases` cases of three events each.
fn suite(module: &Path, cases: usize) -> String {
    let mut text = format!("rule: {}\ntests:\n", module.display());
    for case in 0..cases {
        text.push_str(&format!(
            "  - name: case {case}\n    expect: [{{code: H10, object: pod/web}}]\n    events:\n"
        ));
        for (version, state) in
            ["{running: {}}", "{terminated: {reason: Error, exitCode: 1}}", "{running: {}}"]
                .iter()
                .enumerate()
        {
            text.push_str(&format!(
                "      - {{at: \"2026-01-01T00:00:0{version}Z\", type: MODIFIED, object: {{apiVersion: v1, kind: Pod, \
                 metadata: {{name: web, namespace: a, uid: u, resourceVersion: \"{}\", labels: {{akkeris.io/app-name: shop}}}}, \
                 status: {{phase: Running, containerStatuses: [{{name: app, ready: true, state: {state}}}]}}}}}}\n",
                version + 1
            ));
        }
    }
    text
}
