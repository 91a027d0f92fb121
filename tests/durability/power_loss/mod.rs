//! Power loss: every disk that a run may leave behind opens without damage, and has all committed data.
//!
//! The service runs under strace. Disks are built from the trace, at many moments, from all synced changes and a
//! random part of the others. `KLAXON_POWER_LOSS_DISKS` sets their number, `KLAXON_POWER_LOSS_SEED` repeats a seed.

mod disk;
mod judge;
mod trace;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use klaxon_test_support::manifests;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{signal, spawn, strace};
use crate::fake_api::FakeApi;
use crate::receivers::{answering, webhook};
use crate::support::live::Site;
use crate::support::module;
use disk::Luck;
use judge::{Delivery, Truth};
use trace::{Deed, Trace};

/// Number of disks that every change must pass.
const DISKS: usize = 40;
/// Number of deliveries that the judge is tested with.
const SAMPLES: usize = 8;
const LANES: usize = 5;
/// Number of changes of pods in each of the three runs.
const CHANGES: usize = 300;

/// Three runs of the service on one journal: one that shuts down, one that is killed, and one that continues after
/// the kill.
struct Recording {
    trace: Trace,
    truth: Truth,
}

static RECORDING: OnceCell<Recording> = OnceCell::const_new();

async fn recording() -> &'static Recording {
    RECORDING.get_or_init(record).await
}

fn pod(name: &str, lane: usize, output: usize) -> Value {
    let labels = json!({"lane": format!("lane-{lane}"), "step": output.to_string()});
    manifests::pod(name, json!({"labels": labels}))
}

fn targets(url: &str) -> Value {
    json!({"witness": webhook(&format!("{url}/witness")), "counter": webhook(&format!("{url}/counter"))})
}

fn site(api: &FakeApi, url: &str) -> Site {
    let rule = |name: &str| json!({"name": name, "module": module(name), "targets": [name]});
    Site::new(|folder| api.kubeconfig(folder))
        .rules(vec![rule("witness"), rule("counter")])
        .targets(targets(url))
}

/// The writes of a killed run are in the page cache, and so in the journal of the next run, even if they were never
/// synced. Therefore the next run syncs the log before it writes or sends anything.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_killed_run_is_synced_before_anything_of_it_is_sent() {
    let api = FakeApi::start().await;
    let receiver = answering(204).await;
    // Nothing listens there, so the run that is killed sends nothing.
    let site = site(&api, "http://127.0.0.1:9");
    let folder = site.folder.path().join("journal");
    let mut service = spawn(&site, None);
    site.wait_until_following(&["Pod"]);
    api.put(pod("one", 1, 1));
    site.wait_for_rows("SELECT count(*) FROM deliveries", &["2"]);
    signal(&mut service, "-KILL");
    assert!(folder.join("klaxon.db-wal").exists());
    let site = site.targets(targets(&receiver.uri()));
    let (mut service, path) = spawn_traced(&site, 0);
    site.wait_for_rows("SELECT count(*) FROM deliveries WHERE state <> 'sent'", &["0"]);
    signal(&mut service, "-TERM");
    let mut trace = Trace::default();
    trace.read_on(&path, &folder);
    let first = |is_meant: &dyn Fn(&Deed) -> bool| {
        trace.calls.iter().find(|call| is_meant(&call.deed)).map(|call| (call.begun, call.ended))
    };
    let log = "klaxon.db-wal";
    let synced = first(&|deed| matches!(deed, Deed::Sync(name) if name == log)).unwrap();
    let written = first(&|deed| matches!(deed, Deed::Write { name, .. } if name == log)).unwrap();
    let is_webhook = |data: &[u8]| String::from_utf8_lossy(data).contains("webhook-id: ");
    let sent = first(&|deed| matches!(deed, Deed::Send(data) if is_webhook(data))).unwrap();
    assert!(synced.1 < written.0 && synced.1 < sent.0, "{synced:?} {written:?} {sent:?}");
    let folder_synced = first(&|deed| matches!(deed, Deed::SyncFolder)).unwrap();
    assert!(folder_synced.1 < sent.0, "{folder_synced:?} {sent:?}");
}

/// Creates, changes and deletes pods, in bursts of several sizes.
async fn change_pods(api: &FakeApi, random: &mut StdRng, run: usize) {
    for number in 0..CHANGES {
        let pod_number = random.random_range(0..CHANGES / 2);
        let name = format!("pod-{run}-{pod_number}");
        match api.get("Pod", "a", &name) {
            Some(_) if random.random_bool(0.2) => _ = api.delete("Pod", "a", &name),
            _ => _ = api.put(pod(&name, pod_number % LANES, number)),
        }
        if random.random_bool(0.3) {
            tokio::time::sleep(Duration::from_millis(random.random_range(1..30))).await;
        }
    }
}

fn spawn_traced(site: &Site, run: usize) -> (Child, PathBuf) {
    let path = site.folder.path().join(format!("trace-{run}"));
    // Long enough for the data of any single write or send.
    let size = (1 << 20).to_string();
    let arguments = ["-f", "-y", "-yy", "-xx", "-s", &size, "-e", trace::CALLS, "-o"];
    let mut under = strace(&arguments);
    under.arg(&path);
    (spawn(site, Some(under)), path)
}

async fn record() -> Recording {
    let api = FakeApi::start().await;
    let receiver = answering(204).await;
    let site = site(&api, &receiver.uri());
    let folder = site.folder.path().join("journal");
    let mut random = StdRng::seed_from_u64(1);
    let mut trace = Trace::default();
    for run in 0..3 {
        let (mut service, path) = spawn_traced(&site, run);
        site.wait_until_following(&["Pod"]);
        change_pods(&api, &mut random, run).await;
        let newest = api.put(pod(&format!("last-{run}"), 0, 0)).to_string();
        if run == 1 {
            // Kills the service in the middle of its work.
            signal(&mut service, "-KILL");
        } else {
            let seen = format!("SELECT name FROM objects WHERE version = '{newest}'");
            site.wait_for_rows(&seen, &[&format!("last-{run}")]);
            let left = "SELECT count(*) FROM deliveries WHERE state <> 'sent'";
            site.wait_for_rows(left, &["0"]);
            signal(&mut service, "-TERM");
        }
        trace.read_on(&path, &folder);
    }
    let truth = Truth::of(&folder, &trace);
    let requests = receiver.received_requests().await.unwrap();
    truth.compare_with(&requests);
    Recording { trace, truth }
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; hint: a whole number")))
}

/// Picks an interesting moment: during a sync or right after it, during a send, or any other.
fn moment(trace: &Trace, random: &mut StdRng) -> usize {
    let is_sync = |deed: &Deed| matches!(deed, Deed::Sync(_) | Deed::SyncFolder);
    let pick = |random: &mut StdRng, is_meant: &dyn Fn(&Deed) -> bool| {
        let calls: Vec<_> = trace.calls.iter().filter(|call| is_meant(&call.deed)).collect();
        calls[random.random_range(0..calls.len())].clone()
    };
    match random.random_range(0..4) {
        0 => pick(random, &is_sync).ended - 1,
        1 => pick(random, &is_sync).ended,
        2 => pick(random, &|deed| matches!(deed, Deed::Send(_))).begun,
        _ => random.random_range(0..=trace.end()),
    }
}

/// Builds a disk and judges it.
fn judge_at(trace: &Trace, truth: &Truth, at: usize, luck: Luck) -> Result<(), String> {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("journal");
    disk::place(&disk::build(trace, at, luck), &folder);
    judge::judge(&folder, truth, at)
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a longer run tells what it did")]
async fn after_a_power_loss_at_any_moment_nothing_that_was_promised_is_missing() {
    let Recording { trace, truth } = recording().await;
    let count = |is_meant: &dyn Fn(&Deed) -> bool| {
        trace.calls.iter().filter(|call| is_meant(&call.deed)).count()
    };
    let syncs = count(&|deed| matches!(deed, Deed::Sync(name) if name == "klaxon.db"));
    // The log was checkpointed into the file while the service ran, not only at shutdown.
    assert!(syncs >= 5, "the file was synced {syncs} times");
    for one in &truth.deliveries {
        assert!(
            one.written < one.on_disk && one.on_disk < one.sent && one.written.is_some(),
            "sent before it was on disk: {one:?}"
        );
    }
    let seed = number("KLAXON_POWER_LOSS_SEED").unwrap_or_else(rand::random);
    let disks = number("KLAXON_POWER_LOSS_DISKS").unwrap_or(DISKS);
    let mut random = StdRng::seed_from_u64(seed);
    let mut failures = Vec::new();
    for _ in 0..disks {
        let (at, luck) = (moment(trace, &mut random), Luck::random(&mut random));
        if let Err(fault) = judge_at(trace, truth, at, luck) {
            failures.push(format!("at {at} of {}, {luck:?}: {fault}", trace.end()));
        }
    }
    println!(
        "power loss: {disks} disks, seed {seed}; {} calls, {} deliveries, {syncs} syncs of the file",
        trace.calls.len(),
        truth.deliveries.len()
    );
    assert!(failures.is_empty(), "seed {seed}: {} of {disks}: {failures:#?}", failures.len());
}

/// Deliveries that were only in the log from their commit to their sending, with no checkpoint in between.
fn only_in_the_log(trace: &Trace, truth: &Truth) -> Vec<(usize, usize)> {
    let folds: Vec<usize> = trace
        .calls
        .iter()
        .filter(|call| matches!(&call.deed, Deed::Write { name, .. } if name == "klaxon.db"))
        .map(|call| call.begun)
        .collect();
    let moments = truth.deliveries.iter().map(|one| (one.written.unwrap(), one.sent.unwrap()));
    moments.filter(|(from, to)| !folds.iter().any(|fold| (from..to).contains(&fold))).collect()
}

/// Picks samples that are evenly spread over all.
fn samples<T: Copy>(all: &[T]) -> Vec<T> {
    all.iter().copied().step_by(all.len().div_ceil(SAMPLES)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lost_a_synced_write_is_found() {
    let Recording { trace, truth } = recording().await;
    let moments = only_in_the_log(trace, truth);
    assert!(moments.len() > 20, "{}", moments.len());
    for (written, sent) in samples(&moments) {
        let mut lossy = trace.clone();
        lossy.calls.retain(|call| call.begun != written);
        assert_eq!(judge_at(trace, truth, sent, Luck::NONE), Ok(()));
        let fault = judge_at(&lossy, truth, sent, Luck::NONE).unwrap_err();
        assert!(fault.contains("is not there"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_sync_is_found() {
    let Recording { trace, truth } = recording().await;
    let mut careless = trace.clone();
    careless
        .calls
        .retain(|call| !matches!(&call.deed, Deed::Sync(name) if name == "klaxon.db-wal"));
    for (_, sent) in samples(&only_in_the_log(trace, truth)) {
        let fault = judge_at(&careless, truth, sent, Luck::NONE).unwrap_err();
        assert!(fault.contains("is not there"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_synced_are_found() {
    let Recording { trace, truth } = recording().await;
    let sent = truth.deliveries[0].sent.unwrap();
    assert_eq!(judge_at(trace, truth, sent, Luck::NONE), Ok(()));
    let forgets: [fn(&Deed) -> bool; 2] =
        [|deed| matches!(deed, Deed::SyncParent), |deed| matches!(deed, Deed::SyncFolder)];
    for is_forgotten in forgets {
        let mut careless = trace.clone();
        careless.calls.retain(|call| !is_forgotten(&call.deed));
        let fault = judge_at(&careless, truth, sent, Luck::NONE).unwrap_err();
        assert!(fault.contains("was sent and is not there"), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_before_its_sync_is_found() {
    let Recording { trace, truth } = recording().await;
    let numbered: Vec<(usize, &Delivery)> = truth.deliveries.iter().enumerate().collect();
    for (n, one) in samples(&numbered) {
        let mut hasty = trace.clone();
        let (written, sent) = (one.written.unwrap(), one.sent.unwrap());
        for call in hasty.calls.iter_mut().filter(|call| call.begun == sent) {
            (call.begun, call.ended) = (written - 1, written - 1);
        }
        hasty.calls.sort_by_key(|call| call.begun);
        let mut hasty_truth = truth.clone();
        hasty_truth.find_moments(&hasty);
        assert!(hasty_truth.deliveries[n].sent < hasty_truth.deliveries[n].on_disk);
        let fault = judge_at(&hasty, &hasty_truth, written - 1, Luck::NONE).unwrap_err();
        assert!(fault.contains("is not there"), "{fault}");
    }
}

fn spoil(folder: &Path, statement: &str) {
    let connection = Connection::open(folder.join("klaxon.db")).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {statement}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_whose_parts_do_not_fit_is_found() {
    let Recording { trace, truth } = recording().await;
    let whole = disk::build(trace, trace.end(), Luck::NONE);
    for (statement, expected) in [
        ("SELECT 1", ""),
        ("UPDATE deliveries SET body = CAST(body || ' ' AS BLOB) WHERE n = 7", "has another body"),
        ("DELETE FROM deliveries WHERE n = 7", "is another one"),
        ("DELETE FROM deliveries WHERE n = (SELECT max(n) FROM deliveries)", "is not there"),
        ("DELETE FROM verdicts WHERE n = 7", "check"),
        (
            "UPDATE state SET value = json_set(value, '$.n', 1) WHERE partition LIKE '%lane-1%'",
            "the state is",
        ),
        ("DELETE FROM state WHERE partition LIKE '%lane-1%'", "the state is"),
        ("UPDATE watches SET cursor = '1' WHERE name = 'Pod'", "the watch is at"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("journal");
        disk::place(&whole, &folder);
        spoil(&folder, statement);
        let judged = judge::judge(&folder, truth, trace.end());
        match judged {
            Ok(()) => assert_eq!(expected, "", "{statement}"),
            Err(fault) => assert!(!expected.is_empty() && fault.contains(expected), "{fault}"),
        }
    }
}
