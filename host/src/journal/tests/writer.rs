//! What the writer waits for, and what ends it.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{fill, group, outbox, settings, start, start_with, targets, until_full, verdict};
use crate::config;
use crate::journal::{FILE, Journal, Settled, SettledAs};
use crate::model::Timestamp;
use crate::model::clock::Stopwatch;
use crate::telemetry::metrics::Metrics;

#[test]
fn another_program_that_writes_is_waited_for_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    handle.commit_and_wait(group(vec![], vec![verdict(0)], vec![])).unwrap();
    let outbox = outbox(folder.path());
    let first = outbox.next(0, 1).unwrap()[0].number;
    handle.close().unwrap();

    let journal = Journal::open(folder.path()).unwrap();
    // SQLite itself waits for ten seconds: what is tested is who waits after that.
    journal.connection.busy_timeout(Duration::ZERO).unwrap();
    let other = Connection::open(folder.path().join(FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let (handle, _) = journal.start(targets(), &settings(), metrics).unwrap();
    let since = Stopwatch::start();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sent = Settled { number: first, attempts: 1, as_what: SettledAs::Sent };
    runtime.block_on(handle.settle(sent)).unwrap();
    let writer = handle.clone();
    let commits = std::thread::spawn(move || {
        (1..=20).try_for_each(|n| {
            writer.commit_and_wait(group(vec![], vec![verdict(n)], vec![]))?;
            Ok::<_, crate::journal::JournalError>(())
        })
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(!commits.is_finished(), "nothing is committed beside another that writes");
    assert_eq!(outbox.count().unwrap(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    commits.join().unwrap().unwrap();
    assert!(since.elapsed() < Duration::from_secs(10), "it went on when there was nobody left");
    handle.close().unwrap();
    let count = |select: &str| -> i64 { other.query_row(select, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(*) FROM verdicts"), 21);
    assert_eq!(count("SELECT count(*) FROM deliveries WHERE state = 'pending'"), 20);
    assert_eq!(count("SELECT count(*) FROM deliveries WHERE state = 'sent'"), 1);
}

#[test]
fn while_there_is_no_room_the_log_does_not_grow_with_what_comes_of_deliveries() {
    let folder = tempfile::tempdir().unwrap();
    let small = config::Journal { max_size: 400 << 10, ..settings() };
    let handle = start_with(folder.path(), targets(), &small);
    let filling = fill(handle.clone());
    let outbox = outbox(folder.path());
    until_full(&outbox);
    let other = Connection::open(folder.path().join(FILE)).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let number = outbox.next(0, 1).unwrap()[0].number;
    let since = Stopwatch::start();
    for attempts in 1..=500 {
        let (first, next_at) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        let why = format!("{attempts} {}", "y".repeat(900));
        let as_what = SettledAs::Failed { since: first, next_at, why, response: None };
        runtime.block_on(handle.settle(Settled { number, attempts, as_what })).unwrap();
        // Each by itself.
        while outbox.next(0, 1).unwrap()[0].attempts < attempts {
            assert!(since.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
    }
    let log = folder.path().join(format!("{FILE}-wal"));
    let size = std::fs::metadata(log).unwrap().len();
    // Each wrote a page of it.
    assert!(size < 1 << 20, "{size} bytes");
    handle.give_up();
    assert!(filling.join().unwrap().is_err());
}

#[test]
fn a_sweep_that_cannot_be_done_ends_the_writer_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let other = Connection::open(folder.path().join(FILE)).unwrap();
    // Only a sweep needs this one here.
    other.execute_batch("DROP TABLE gaps").unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let (handle, _) = journal.start(targets(), &settings(), metrics).unwrap();
    handle.commit_and_wait(group(vec![], vec![verdict(1)], vec![])).unwrap();
    let since = Stopwatch::start();
    let fault = loop {
        match handle.commit_and_wait(group(vec![], vec![], vec![])) {
            Err(fault) => break fault.to_string(),
            Ok(()) => assert!(since.elapsed() < Duration::from_secs(10), "it goes on"),
        }
    };
    assert!(fault.contains("no such table: gaps"), "{fault}");
    let ended = handle.close().unwrap_err().to_string();
    assert_eq!(ended, fault);
}
