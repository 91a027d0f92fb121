//! Inspection and changes while a service commits all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use rusqlite::{Connection, OpenFlags};

use super::silent;
use super::{Opened, empty};
use crate::inspect::{self, DeliveryRow, Filter, Selection, VerdictRow, backup, page, resend};
use klaxon_test_support::journal_file::{Sample, delivery, verdict};

const DEAD: i64 = 10_000;

/// Commits verdicts with their deliveries, each with the sum of all, until `stop` is set. A transaction begins
/// like the service's, and fails if it waits for longer than the service would. Returns the number of verdicts.
fn service(sample: &Sample, stop: &AtomicBool) -> i64 {
    let mut connection = sample.service();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let transaction = connection.transaction().unwrap();
        for _ in 0..2 {
            count += 1;
            let number = DEAD + count;
            let verdict = verdict(&transaction, number);
            delivery(&transaction, number, verdict, "notify", "pending");
        }
        transaction.execute("UPDATE meta SET value = value + 2 WHERE key = 'sum'", []).unwrap();
        transaction.commit().unwrap();
    }
    count
}

/// Stops the service also when a test fails, because its scope waits for it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn beside_the_service(work: impl FnOnce(&Sample)) {
    let sample = empty();
    let mut connection = sample.service();
    let batch = connection.transaction().unwrap();
    for number in 1..=DEAD {
        let verdict = verdict(&batch, number);
        delivery(&batch, number, verdict, "notify", "dead");
    }
    let sum = [DEAD.to_string()];
    batch.execute("UPDATE meta SET value = ?1 WHERE key = 'sum'", sum).unwrap();
    batch.commit().unwrap();
    let stop = AtomicBool::new(false);
    let added = std::thread::scope(|scope| {
        let service: ScopedJoinHandle<'_, i64> = scope.spawn(|| service(&sample, &stop));
        let stopping = Stop(&stop);
        work(&sample);
        drop(stopping);
        service.join().unwrap()
    });
    assert!(added > 0);
    assert_eq!(sample.count("verdicts"), DEAD + added);
    assert!(inspect::check(&sample.reader()).unwrap().problems.is_empty());
}

fn sum_and_count(connection: &Connection) -> (i64, i64) {
    let select = "SELECT (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'sum'), \
                  (SELECT count(*) FROM verdicts)";
    connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn looking_never_meets_a_lock_and_sees_one_moment() {
    beside_the_service(|sample| {
        for _ in 0..30 {
            let reader = sample.reader();
            page::<VerdictRow>(&reader, &Filter::default(), 100).unwrap();
            page::<DeliveryRow>(&reader, &Filter::default(), 100).unwrap();
            let overview = inspect::overview(&reader).unwrap();
            let target = &overview.targets[0];
            // Each verdict has its delivery, at every moment.
            assert_eq!(overview.verdicts, target.pending + target.dead);
        }
        assert!(inspect::check(&sample.reader()).unwrap().problems.is_empty());
    });
}

#[test]
fn ten_thousand_letters_are_sent_again_beside_it() {
    beside_the_service(|sample| {
        let all = Selection::default();
        let done = resend(&mut sample.editor(), &all, &mut silent()).unwrap();
        assert_eq!(done.letters, DEAD.unsigned_abs());
        assert_eq!(sample.count("deliveries WHERE state = 'dead'"), 0);
        let twice =
            "deliveries WHERE id IN (SELECT id FROM deliveries GROUP BY id HAVING count(*) > 1)";
        assert_eq!(sample.count(twice), 0);
    });
}

#[test]
fn a_backup_is_of_one_moment() {
    beside_the_service(|sample| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.db");
        for _ in 0..3 {
            let copied = backup(sample.folder(), &file, true).unwrap();
            assert_eq!(copied.bytes, std::fs::metadata(&file).unwrap().len());
            let copy =
                Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            let (sum, count) = sum_and_count(&copy);
            assert!(sum == count && count >= DEAD, "{sum} {count}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    });
}
