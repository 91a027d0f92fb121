//! Quotas of targets, and shares of rules.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{group, outbox, settings, start_with, verdict};
use crate::{FILE, Handle, Journal, Outbox, Settled, SettledAs};
use klaxon_config::{self as config, Target, TargetKind, Webhook, WhenFull};
use klaxon_core::pipeline::{FailedEvent, Output};
use klaxon_model::clock::{self, Stopwatch};
use klaxon_model::{Failure, FailureKind, Id, Verdict};
use klaxon_telemetry::metrics::Metrics;

/// Makes targets whose deliveries have the payload as their body.
fn webhooks(names: &[&str], max_queue: u64) -> BTreeMap<String, Target> {
    let target = Target {
        kind: TargetKind::Webhook(Box::new(Webhook::to("http://example"))),
        max_queue,
        when_full: WhenFull::DeadLetter,
        ..Target::stdout()
    };
    names.iter().map(|name| ((*name).to_owned(), target.clone())).collect()
}

fn to(names: &[&str], rule: &str, number: u64) -> Verdict {
    Verdict {
        id: Id::of("verdict", &[&rule, &number]),
        rule: rule.into(),
        key: format!("{rule}-{number}"),
        targets: names.iter().map(|name| (*name).to_owned()).collect(),
        ..verdict(number)
    }
}

fn rows(folder: &Path, select: &str) -> Vec<String> {
    let connection = Connection::open(folder.join(FILE)).unwrap();
    let mut select = connection.prepare(select).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn states_of(folder: &Path, rule: &str) -> Vec<String> {
    let select = format!(
        "SELECT state || ' ' || count(*) FROM deliveries WHERE rule = '{rule}' GROUP BY state"
    );
    rows(folder, &select)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn what_a_delivery_counts_is_what_it_takes_of_the_file() {
    let cases: [(&[&str], usize); 5] =
        [(&["a"], 2), (&["a", "b", "c"], 2), (&["a"], 500), (&["a", "b"], 3000), (&["a"], 20_000)];
    let mut wrong = Vec::new();
    for (names, payload) in cases {
        let folder = tempfile::tempdir().unwrap();
        let handle = start_with(folder.path(), webhooks(names, u64::MAX), &settings());
        let used = |folder: &Path| -> i64 {
            let connection = Connection::open(folder.join(FILE)).unwrap();
            let value = |name: &str| -> i64 {
                connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
            };
            (value("page_count") - value("freelist_count")) * value("page_size")
        };
        let before = used(folder.path());
        let text = format!("\"{}\"", "p".repeat(payload));
        for round in 0..20 {
            let verdicts = (0..100).map(|n| Verdict {
                payload: serde_json::value::RawValue::from_string(text.clone()).unwrap(),
                ..to(names, "rule", round * 100 + n)
            });
            handle.commit_and_wait(group(vec![], verdicts.collect(), vec![])).unwrap();
        }
        handle.close().unwrap();
        let real = used(folder.path()) - before;
        let cost: i64 = rows(folder.path(), "SELECT CAST(sum(cost) AS TEXT) FROM deliveries")[0]
            .parse()
            .unwrap();
        let percent = cost * 100 / real;
        // The cost may be overestimated rather than underestimated, but by less than half.
        if !(95..150).contains(&percent) {
            wrong.push(format!("{names:?} {payload}: {cost} of {real} ({percent} %)"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Records all of a target's deliveries as sent, as long as more may come.
fn deliver(handle: Handle, outbox: Outbox, all: u64) -> std::thread::JoinHandle<Vec<i64>> {
    std::thread::spawn(move || {
        let (since, mut last, mut sent) = (Stopwatch::start(), 0, Vec::new());
        while (sent.len() as u64) < all {
            for waiting in outbox.next(last, 256).unwrap() {
                last = waiting.number;
                sent.push(last);
                let settled = Settled { number: last, attempts: 1, as_what: SettledAs::Sent };
                run(handle.settle(settled)).unwrap();
            }
            assert!(since.elapsed() < Duration::from_secs(300), "{} of {all}", sent.len());
            std::thread::sleep(Duration::from_millis(2));
        }
        sent
    })
}

#[test]
fn dead_targets_of_tiny_bodies_do_not_stop_the_healthy_one() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["healthy", "dead-1", "dead-2"];
    // The same division as in the configuration: three quarters for the queues, in equal parts.
    let small = config::Journal { max_size: 2 << 20, ..settings() };
    let mut journal = Journal::open(folder.path()).unwrap();
    journal.pause = Duration::from_millis(20);
    let metrics = Arc::new(Metrics::new("test"));
    let (outbox, ahead) = (journal.outbox("healthy").unwrap(), journal.outbox("healthy").unwrap());
    let (handle, _) = journal.start(webhooks(&names, 512 << 10), &small, metrics).unwrap();
    // Far more than fits into the file, and so many that their ids alone would fill it.
    let all = 10_000;
    let delivering = deliver(handle.clone(), outbox, all);
    let committing = handle.clone();
    let committing = std::thread::spawn(move || {
        for round in 0..all / 100 {
            // Keeps the healthy target's own queue from filling.
            while ahead.count().unwrap() > 500 {
                std::thread::sleep(Duration::from_millis(2));
            }
            let verdicts = (0..100).map(|n| to(&names, "rule", round * 100 + n)).collect();
            committing.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
        }
    });
    assert_eq!(delivering.join().unwrap().len() as u64, all);
    committing.join().unwrap();
    handle.close().unwrap();
    for name in ["dead-1", "dead-2"] {
        let select = format!(
            "SELECT CAST(sum(cost) AS TEXT) FROM deliveries WHERE target = '{name}' AND state = 'pending'"
        );
        let waiting: u64 = rows(folder.path(), &select)[0].parse().unwrap();
        assert!(waiting > 450 << 10 && waiting <= 512 << 10, "{name}: {waiting} of its quota");
    }
}

#[test]
fn a_loud_rule_does_not_take_the_place_of_a_quiet_one_at_a_dead_target() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_with(folder.path(), webhooks(&["out"], 200 << 10), &settings());
    for round in 0..40 {
        let mut verdicts: Vec<Verdict> =
            (0..100).map(|n| to(&["out"], "loud", round * 100 + n)).collect();
        verdicts.push(to(&["out"], "quiet", round));
        verdicts.push(to(&["out"], "other", round));
        handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    }
    handle.close().unwrap();
    assert_eq!(states_of(folder.path(), "quiet"), ["pending 40"]);
    assert_eq!(states_of(folder.path(), "other"), ["pending 40"]);
    let total: u64 = rows(
        folder.path(),
        "SELECT CAST(sum(cost) AS TEXT) FROM deliveries WHERE state = 'pending'",
    )[0]
    .parse()
    .unwrap();
    assert!(total <= 200 << 10, "{total}");
    assert!(total > 190 << 10, "the quota is used: {total}");
    // The oldest deliveries of the loud rule are pending, in order; the newest were displaced.
    let highest = "SELECT CAST(max(n) < (SELECT min(n) FROM deliveries WHERE rule = 'loud' AND state = 'dead' \
                   AND reason LIKE '%largest share%') AS TEXT) FROM deliveries WHERE rule = 'loud' AND state = 'pending'";
    assert_eq!(rows(folder.path(), highest), ["1"]);
}

#[test]
fn deliveries_that_waited_before_a_quota_was_lowered_go_on_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_with(folder.path(), webhooks(&["out"], u64::MAX), &settings());
    let verdicts = (0..500).map(|n| to(&["out"], "loud", n)).collect();
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    handle.close().unwrap();
    let handle = start_with(folder.path(), webhooks(&["out"], 20 << 10), &settings());
    let verdicts = (0..3).map(|n| to(&["out"], "quiet", n)).collect();
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    handle.close().unwrap();
    assert_eq!(states_of(folder.path(), "quiet"), ["pending 3"]);
    // Each new delivery displaces one, and not all that exceed the quota.
    assert_eq!(states_of(folder.path(), "loud"), ["dead 3", "pending 497"]);
}

#[test]
fn the_place_of_settled_deliveries_is_free_again_for_their_rule() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_with(folder.path(), webhooks(&["out"], 100 << 10), &settings());
    let outbox = outbox(folder.path());
    for round in 0..10 {
        let verdicts = (0..80).map(|n| to(&["out"], "rule", round * 100 + n)).collect();
        handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
        for waiting in outbox.next(0, 1000).unwrap() {
            let settled = Settled { number: waiting.number, attempts: 1, as_what: SettledAs::Sent };
            run(handle.settle(settled)).unwrap();
        }
        let since = Stopwatch::start();
        while outbox.count().unwrap() > 0 {
            assert!(since.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        // A commit after all outcomes.
        handle.commit_and_wait(group(vec![], vec![], vec![])).unwrap();
    }
    handle.close().unwrap();
    assert_eq!(states_of(folder.path(), "rule"), ["sent 800"]);
}

#[test]
fn too_many_dead_letters_of_one_rule_cost_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let few = config::Journal { max_dead_letters: 50, ..settings() };
    let begin = || start_with(folder.path(), webhooks(&["out"], 1 << 30), &few);
    let handle = begin();
    run(handle.disable("out".to_owned(), "410".to_owned())).unwrap();
    // The deliveries of the quiet rule are the oldest.
    let verdicts = (0..10).map(|n| to(&["out"], "quiet", n));
    let verdicts = verdicts.chain((0..500).map(|n| to(&["out"], "loud", n))).collect();
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    handle.close().unwrap();
    // A sweep comes with the first commit of a run.
    let handle = begin();
    handle.commit_and_wait(group(vec![], vec![], vec![])).unwrap();
    handle.close().unwrap();
    assert_eq!(states_of(folder.path(), "quiet"), ["dead 10"]);
    assert_eq!(states_of(folder.path(), "loud"), ["dead 40"]);
}

/// Makes a group in which a rule traps on an event whose object has `bytes` bytes.
fn trapped(rule: &str, bytes: usize) -> super::Group {
    let mut event = (**verdict(1).event.as_ref().unwrap()).clone();
    let mut object = (*event.object).clone();
    object.document = Some(Arc::new("x".repeat(bytes).into()));
    event.object = Arc::new(object);
    let failed = FailedEvent {
        event: event.id,
        time: clock::now(),
        rule: rule.into(),
        change: "added",
        object: event.object.meta.identity.clone(),
        failure: Failure { kind: FailureKind::Trap, message: "unreachable".to_owned() },
        input: Arc::new(event),
    };
    let output = Output { failures: vec![failed], ..Output::default() };
    super::Group { output, progress: Vec::new(), clock: None }
}

#[test]
fn quarantined_events_of_one_rule_are_bounded_and_cost_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // A share of 100 KiB.
    let small = config::Journal { max_size: 6400 << 10, ..settings() };
    let metrics = Arc::new(Metrics::new("test"));
    let journal = Journal::open(folder.path()).unwrap();
    let (handle, _) = journal.start(webhooks(&["out"], 1 << 20), &small, metrics.clone()).unwrap();
    run(handle.disable("out".to_owned(), "410".to_owned())).unwrap();
    let verdicts = (0..20).map(|n| to(&["out"], "quiet", n)).collect();
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    handle.commit_and_wait(trapped("quiet", 5000)).unwrap();
    for _ in 0..1000 {
        handle.commit_and_wait(trapped("loud", 10_000)).unwrap();
    }
    // One event always stays, however large it is.
    handle.commit_and_wait(trapped("large", 300_000)).unwrap();
    handle.close().unwrap();
    let of = |rule: &str| {
        let select = format!(
            "SELECT count(*) || ' ' || (sum(length(input)) / 100000) FROM quarantine WHERE rule = '{rule}'"
        );
        rows(folder.path(), &select).remove(0)
    };
    assert_eq!((of("quiet"), of("large")), ("1 0".to_owned(), "1 3".to_owned()));
    assert_eq!(of("loud"), "9 0");
    assert_eq!(states_of(folder.path(), "quiet"), ["dead 20"]);
    let text = metrics.encode().unwrap();
    assert!(text.contains("klaxon_quarantine_removed_total{rule=\"loud\"} 991"), "{text}");
    assert!(!text.contains("klaxon_journal_removed_total{"), "there was room: {text}");
}
