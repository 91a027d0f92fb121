//! Obstacles that the writer waits for, and errors that end it.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{fill, group, outbox, settings, start, targets, until_full, verdict};
use crate::{FILE, Group, Handle, Journal, JournalError, Settled, SettledAs};
use klaxon_config as config;
use klaxon_core::pipeline::{Output, QuarantinedObject};
use klaxon_model::clock::{self, Stopwatch};
use klaxon_model::{BacklogEntry, StoreOp, Timestamp, Verdict};
use klaxon_telemetry::metrics::Metrics;

fn count(from: &Connection, select: &str) -> i64 {
    from.query_row(select, [], |row| row.get(0)).unwrap()
}

fn open(folder: &std::path::Path) -> Connection {
    let connection = Connection::open(folder.join(FILE)).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Stopwatch::start();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes a group with an object that could not be decoded, with `bytes` bytes of JSON.
fn undecodable(bytes: usize) -> Group {
    let object = QuarantinedObject {
        time: clock::now(),
        scope: "pods".to_owned(),
        reason: "no name".to_owned(),
        json: "x".repeat(bytes),
    };
    let output = Output { quarantine: vec![object], ..Output::default() };
    Group { output, progress: Vec::new(), clock: None }
}

#[test]
fn lock_of_another_program_is_waited_for_and_nothing_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start(folder.path());
    let verdicts = (0..12).map(verdict).collect();
    handle.commit_and_wait(group(vec![], verdicts, vec![])).unwrap();
    handle.commit_and_wait(undecodable(10)).unwrap();
    let outbox = outbox(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settle = |handle: &Handle, number: i64, as_what: SettledAs| {
        runtime.block_on(handle.settle(Settled { number, attempts: 1, as_what })).unwrap();
    };
    let numbers: Vec<i64> = outbox.next(0, 99).unwrap().iter().map(|one| one.number).collect();
    for number in &numbers[..9] {
        let dead = SettledAs::Dead { why: "404".to_owned(), response: None };
        settle(&handle, *number, dead);
    }
    settle(&handle, numbers[9], SettledAs::Sent);
    handle.close().unwrap();

    let mut journal = Journal::open(folder.path()).unwrap();
    journal.pause = Duration::from_millis(20);
    let other = open(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let metrics = Arc::new(Metrics::new("test"));
    let (handle, _) = journal.start(targets(), &settings(), metrics).unwrap();
    settle(&handle, numbers[10], SettledAs::Sent);
    let writer = handle.clone();
    let commits = std::thread::spawn(move || {
        (100..120).try_for_each(|n| {
            writer.commit_and_wait(group(vec![], vec![verdict(n)], vec![]))?;
            Ok::<_, crate::JournalError>(())
        })
    });
    // Longer than SQLite itself waits for the lock.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!commits.is_finished(), "nothing is committed beside another that writes");
    assert_eq!(outbox.count().unwrap(), 2);
    other.execute_batch("ROLLBACK").unwrap();
    commits.join().unwrap().unwrap();
    handle.close().unwrap();
    let of = |state: &str| {
        count(&other, &format!("SELECT count(*) FROM deliveries WHERE state = '{state}'"))
    };
    assert_eq!((of("dead"), of("sent"), of("pending")), (9, 2, 21));
    assert_eq!(count(&other, "SELECT count(*) FROM quarantine"), 1);
    assert_eq!(count(&other, "SELECT count(*) FROM verdicts"), 32);
}

/// Starts a journal whose writer pauses for longer than the test runs when the disk is full.
fn start_patient(folder: &std::path::Path, max_size: u64) -> Handle {
    let mut journal = Journal::open(folder).unwrap();
    journal.pause = Duration::from_secs(86_400);
    let small = config::Journal { max_size, ..settings() };
    journal.start(targets(), &small, Arc::new(Metrics::new("test"))).unwrap().0
}

#[test]
fn outcomes_are_stored_as_they_come_while_the_journal_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_patient(folder.path(), 400 << 10);
    let filling = fill(handle.clone());
    let outbox = outbox(folder.path());
    until_full(&outbox);
    let other = open(folder.path());
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let number = outbox.next(0, 1).unwrap()[0].number;
    for attempts in 1..=500 {
        let (first, next_at) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        let why = format!("{attempts} {}", "y".repeat(900));
        let as_what = SettledAs::Failed { since: first, next_at, why, response: None };
        runtime.block_on(handle.settle(Settled { number, attempts, as_what })).unwrap();
        // Waits for each outcome, so that each is written by itself.
        eventually("the outcome", || outbox.next(0, 1).unwrap()[0].attempts >= attempts);
    }
    let log = folder.path().join(format!("{FILE}-wal"));
    let size = std::fs::metadata(log).unwrap().len();
    // Each outcome wrote a page of the log.
    assert!(size < 1 << 20, "the log grows with what comes of deliveries: {size} bytes");
    // Outcomes that free space let intake continue before the pause is over.
    let before = count(&other, "SELECT count(*) FROM verdicts");
    for waiting in outbox.next(0, 64).unwrap() {
        let sent = Settled { number: waiting.number, attempts: 1, as_what: SettledAs::Sent };
        runtime.block_on(handle.settle(sent)).unwrap();
    }
    eventually("intake", || count(&other, "SELECT max(n) FROM verdicts") > before + 10);
    handle.give_up();
    assert!(filling.join().unwrap().is_err(), "the wait ends when there is no time for it");
}

#[test]
fn groups_that_have_no_room_together_are_committed_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    drop(Journal::open(folder.path()).unwrap());
    let other = open(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let handle = start_patient(folder.path(), 2 << 20);
    let outbox = outbox(folder.path());
    // The groups are together twice as large as the journal may be; the lock stops the writer until all of them
    // wait.
    for n in 0..40 {
        let large = Verdict { title: "x".repeat(50_000), ..verdict(n) };
        handle.commit(group(vec![], vec![large], vec![])).unwrap();
    }
    other.execute_batch("ROLLBACK").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut last, mut sent) = (0, Vec::new());
    eventually("all groups", || {
        for waiting in outbox.next(last, 64).unwrap() {
            last = waiting.number;
            sent.push(waiting.number);
            let settled = Settled { number: last, attempts: 1, as_what: SettledAs::Sent };
            runtime.block_on(handle.settle(settled)).unwrap();
        }
        sent.len() == 40
    });
    assert!(sent.is_sorted());
    handle.close().unwrap();
}

#[test]
fn groups_that_wait_for_the_writer_are_bounded_in_bytes() {
    const MIB: u64 = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    drop(Journal::open(folder.path()).unwrap());
    let other = open(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let handle = start(folder.path());
    let writer = handle.clone();
    let commits = std::thread::spawn(move || {
        for number in 1..=12 {
            let time = Timestamp::from_millis(5);
            let backlog =
                BacklogEntry { number, rule: "rule".into(), time, entry: vec![7; 8 << 20] };
            let keep = vec![StoreOp::Backlog(Box::new(backlog))];
            writer.commit(group(keep, vec![], vec![])).unwrap();
        }
    });
    let used = || handle.state.budget.used();
    eventually("a full queue", || used() > 50 * MIB);
    std::thread::sleep(Duration::from_millis(200));
    assert!(used() <= 64 * MIB, "{}", used());
    assert!(!commits.is_finished());
    other.execute_batch("ROLLBACK").unwrap();
    commits.join().unwrap();
    handle.close().unwrap();
    assert_eq!(count(&other, "SELECT count(*) FROM backlog"), 12);
}

#[test]
fn group_that_can_never_fit_ends_the_writer_with_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let handle = start_patient(folder.path(), 1 << 20);
    handle.commit_and_wait(group(vec![], vec![verdict(1)], vec![])).unwrap();
    let number = outbox(folder.path()).next(0, 1).unwrap()[0].number;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let backlog = BacklogEntry {
        number: 1,
        rule: "rule".into(),
        time: Timestamp::from_millis(5),
        entry: vec![7; 3 << 20],
    };
    let keep = vec![StoreOp::Backlog(Box::new(backlog))];
    let writer = handle.clone();
    let large = std::thread::spawn(move || writer.commit_and_wait(group(keep, vec![], vec![])));
    // While a pending delivery may free space, the group waits.
    std::thread::sleep(Duration::from_millis(300));
    assert!(!large.is_finished());
    let settled = Settled { number, attempts: 1, as_what: SettledAs::Sent };
    runtime.block_on(handle.settle(settled)).unwrap();
    let fault = large.join().unwrap().unwrap_err();
    let JournalError::TooLarge { group, needs, most } = &fault else { panic!("{fault}") };
    assert!(*group > 3 << 20 && *needs > 3 << 20 && *most <= 1 << 20, "{fault}");
    assert!(fault.to_string().contains("; hint: raise journal.max_size to "), "{fault}");
    assert_eq!(handle.close().unwrap_err().to_string(), fault.to_string());
}

#[test]
fn a_sweep_that_cannot_be_done_ends_the_writer_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path()).unwrap();
    let other = Connection::open(folder.path().join(FILE)).unwrap();
    // Only a sweep uses this table here.
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
