//! Tests of hangs: a blocked disk, and standard error that is never read. Probes report the hang, and a signal ends
//! the process.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use klaxon_model::clock::Stopwatch;
use serde_json::json;

use super::{log, log_of, strace};
use crate::fake_api::FakeApi;
use crate::receivers::{answering, pod, site, wait, webhook};
use crate::support::http::{free_address, get};
use crate::support::live::Site;
use crate::support::{KLAXON, module};

/// Duration of each hanging call: 20 seconds, in microseconds, far longer than the shutdown may take. It must be
/// finite, because strace prevents a blocked thread from ending.
const HANGS: &str = "delay_enter=20000000";
/// Time limit of the shutdown, to detect that the process never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a probe answers with a status and a text.
async fn wait_for(address: &str, path: &str, status: u16, text: &str, site: &Site) -> String {
    let since = Stopwatch::start();
    loop {
        let got = get(address, path).await;
        if got.0 == status && got.1.contains(text) {
            return got.1;
        }
        assert!(since.elapsed() < PATIENCE, "{path} is {got:?}: {}", log(site));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts the service under a command that delays its system calls.
fn spawn(site: &Site, under: Command, stderr: Stdio) -> Child {
    let mut command = under;
    command
        .args(["run", "--workers", "1", "--drain", "1s", "--config"])
        .arg(site.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

fn traced(what: &str, file: Option<&str>) -> Command {
    let inject = format!("inject={what}:{HANGS}");
    let trace = format!("trace={what}");
    let mut arguments = vec!["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    arguments.extend(file.iter().flat_map(|file| ["-P", *file]));
    let mut under = strace(&arguments);
    under.arg(KLAXON);
    under
}

fn log_file(site: &Site) -> Stdio {
    std::fs::OpenOptions::new().create(true).append(true).open(log_of(site)).unwrap().into()
}

/// Signals the service, directly or through the command that runs it, to stop, and waits for its end.
fn stop(mut child: Child, site: &Site) -> ExitStatus {
    let pid = child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let traced = children.ok().and_then(|text| text.split_whitespace().next().map(str::to_owned));
    let target = traced.unwrap_or_else(|| pid.to_string());
    assert!(Command::new("kill").arg(target).status().unwrap().success());
    let since = Stopwatch::start();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if since.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end: {}", log(site));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes the journal first, so that only the run under test meets the hanging disk.
async fn made_before(api: &FakeApi) -> (Site, String) {
    let server = answering(204).await;
    let mut site = site(api, json!({"notify": webhook(&server.uri())}));
    let running = site.start();
    site.wait_until_following(&["Pod"]);
    running.stop();
    let address = free_address();
    site.admin_with(json!({"listen": address, "stall_timeout": "1s"}));
    (site, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_whose_disk_hangs_fails_the_liveness_probe_and_a_signal_ends_the_process() {
    let api = FakeApi::start().await;
    let (site, address) = made_before(&api).await;
    let child = spawn(&site, traced("fsync,fdatasync", None), log_file(&site));
    let stall = wait_for(&address, "/healthz", 503, "no progress", &site).await;
    assert!(stall.starts_with("journal: no progress: writing for "), "{stall}");
    let (_, reasons) = get(&address, "/readyz").await;
    assert!(reasons.contains("journal: no progress: writing"), "{reasons}");
    let status = stop(child, &site);
    assert_eq!(status.code(), Some(3), "{}", log(&site));
    let log = log(&site);
    assert!(log.contains("error: shutdown: not all parts have ended after 1s"), "{log}");
    assert!(log.contains("journal: writing"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_while_the_journal_is_checked_and_a_signal_ends_that_too() {
    let api = FakeApi::start().await;
    let (site, address) = made_before(&api).await;
    let file = site.folder.path().join("journal/klaxon.db").display().to_string();
    let child = spawn(&site, traced("pread64", Some(&file)), log_file(&site));
    let starting = "starting: checking the journal";
    let alive = wait_for(&address, "/healthz", 200, starting, &site).await;
    assert_eq!(alive, format!("ok ({starting})\n"));
    assert_eq!(get(&address, "/readyz").await, (503, format!("{starting}\n")));
    assert!(get(&address, "/metrics").await.1.contains("klaxon_build_info"));
    let status = stop(child, &site);
    assert_eq!(status.code(), Some(0), "{}", log(&site));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_error_that_nobody_reads_holds_up_nothing_and_what_it_costs_is_counted() {
    const PODS: usize = 1000;
    let api = FakeApi::start().await;
    let server = answering(204).await;
    let loud = json!({"name": "loud", "module": module("hostile"), "settings": {"behaviour": "log-much"},
        "limits": {"log_per_minute": "1GiB"}, "targets": ["notify"]});
    let quiet = json!({"name": "witness", "module": module("witness"), "targets": ["notify"]});
    let mut site = Site::new(|folder| api.kubeconfig(folder))
        .rules(vec![loud, quiet])
        .targets(json!({"notify": webhook(&server.uri())}));
    let address = free_address();
    site.admin_with(json!({"listen": address, "stall_timeout": "10s"}));
    std::fs::write(log_of(&site), "").unwrap();
    let mut child = spawn(&site, Command::new(KLAXON), Stdio::piped());
    // Standard error stays open and is never read.
    let unread = child.stderr.take().unwrap();
    for number in 0..PODS {
        api.put(pod(&format!("pod-{number}"), number));
    }
    let sent = "SELECT count(DISTINCT v.id) FROM deliveries d JOIN verdicts v ON v.n = d.verdict \
                WHERE v.rule = 'witness' AND d.state = 'sent'";
    wait("all pods", || site.rows(sent) == [PODS.to_string()]);
    let dropped = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("klaxon_log_lines_dropped_total "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let (_, metrics) = get(&address, "/metrics").await;
    assert!(dropped(&metrics) > 0, "{metrics}");
    assert_eq!(get(&address, "/healthz").await.0, 200);
    let status = stop(child, &site);
    drop(unread);
    assert_eq!(status.code(), Some(0));
}
