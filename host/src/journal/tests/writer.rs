//! What the writer waits for, and what ends it.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{group, outbox, settings, start, targets, verdict};
use crate::journal::{FILE, Journal, Settled, SettledAs};
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
