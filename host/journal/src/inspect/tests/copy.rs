//! Backups and checks.

use super::{Opened, empty, furnished};
use crate::inspect::{InspectError, Reader, backup, check};
use crate::wal;
use klaxon_test_support::journal_file::{Sample, verdict};

#[test]
fn a_backup_is_a_journal_and_replaces_nothing_unless_told() {
    let sample = furnished();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("klaxon.db");
    backup(sample.folder(), &file, false).unwrap();
    assert_eq!(sample.files(), ["klaxon.db"]);
    assert!(check(&Reader::open(folder.path()).unwrap()).unwrap().problems.is_empty());
    let fault = backup(sample.folder(), &file, false).unwrap_err().to_string();
    assert!(
        fault.ends_with("it is there already; hint: name another file, or replace it with --force")
    );
    backup(sample.folder(), &file, true).unwrap();
    let nowhere = folder.path().join("no/such/file.db");
    assert!(matches!(backup(sample.folder(), &nowhere, false), Err(InspectError::File { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_backup_that_fails_leaves_nothing_behind() {
    let sample = furnished();
    let path = sample.folder().join("klaxon.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(40_000).for_each(|byte| *byte = 0xa5);
    std::fs::write(&path, bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let fault = backup(sample.folder(), &folder.path().join("copy.db"), false);
    assert!(fault.is_err(), "{fault:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(!check(&sample.reader()).unwrap().problems.is_empty());
}

#[test]
fn what_must_hold_is_checked() {
    let sample = furnished();
    sample
        .service()
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             DELETE FROM verdicts WHERE n IN (3, 4);
             UPDATE deliveries SET settled_at = 7 WHERE n = 3;
             UPDATE sqlite_sequence SET seq = 2 WHERE name = 'deliveries';
             UPDATE timers SET identity = 'web';
             UPDATE backlog SET event = x'00';
             INSERT INTO objects (uid, api_version, kind, namespace, name, version, digest, count, memberships)
               VALUES ('u', 'v1', 'Pod', 'a', 'web', '7', 1, 1, '[');",
        )
        .unwrap();
    let problems = check(&sample.reader()).unwrap().problems;
    assert_eq!(
        problems,
        [
            "2 rows of deliveries refer to rows of verdicts that are not there",
            "2 deliveries without their verdict",
            "1 pending deliveries that are settled",
            "1 objects whose memberships are no JSON",
            "1 timers whose identity is no JSON",
            "numbers of deliveries may come twice: the highest is 5, the next would follow 2",
            "1 of backlog whose event cannot be read",
        ]
    );
}

/// Makes a journal as after a crash: its log is not checkpointed.
fn crashed(harm: impl FnOnce(&mut Vec<u8>)) -> Sample {
    let from = empty();
    let service = from.service();
    let (first, second) = (verdict(&service, 1), verdict(&service, 2));
    assert_eq!((first, second), (1, 2));
    let to = empty();
    let copy = |name: &str| std::fs::read(from.folder().join(name)).unwrap();
    let mut log = copy("klaxon.db-wal");
    harm(&mut log);
    std::fs::write(to.folder().join("klaxon.db"), copy("klaxon.db")).unwrap();
    std::fs::write(to.folder().join("klaxon.db-wal"), log).unwrap();
    drop(service);
    to
}

#[test]
fn a_whole_log_is_no_problem_and_a_damaged_commit_is_one() {
    let whole = crashed(|_| {});
    let found = check(&whole.reader()).unwrap();
    assert!(found.problems.is_empty(), "{found:?}");
    assert_eq!(found.log.unwrap().tail, wal::Tail::default());
    let damaged = crashed(|bytes| {
        let at = bytes.len() - 5;
        bytes[at] ^= 1;
    });
    let found = check(&damaged.reader()).unwrap();
    assert_eq!(found.problems.len(), 1, "{found:?}");
    assert_eq!(found.log.unwrap().tail.torn_commits, 1);
    assert_eq!(damaged.count("verdicts"), 1);
}
