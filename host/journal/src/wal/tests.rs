//! The scan of a log agrees with SQLite's own recovery.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;

/// A database whose log has frames of an earlier round after its commits, copied while it was open.
struct Sample {
    database: Vec<u8>,
    wal: Vec<u8>,
    /// The rows that are in the database itself.
    base: i64,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("klaxon.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.pragma_update(None, "page_size", 1024).unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, x BLOB)").unwrap();
        let insert = |count: i64| {
            for n in 0..count {
                connection
                    .execute("INSERT INTO t (x) VALUES (randomblob(?1))", [n % 7 * 500])
                    .unwrap();
            }
        };
        insert(60);
        let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], read).unwrap();
        insert(25);
        let wal = std::fs::read(beside(&path)).unwrap();
        let sample = Sample { database: std::fs::read(&path).unwrap(), wal, base: 60 };
        drop(connection);
        sample
    })
}

/// Returns the number of rows that SQLite reads from a database with a log.
fn recovered(database: &[u8], wal: &[u8]) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("klaxon.db");
    std::fs::write(&path, database).unwrap();
    std::fs::write(beside(&path), wal).unwrap();
    rows(&path)
}

fn rows(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT max(n) FROM t", [], |row| row.get(0)).unwrap()
}

fn commits(wal: &Wal) -> i64 {
    i64::try_from(wal.commits).unwrap()
}

#[test]
fn a_whole_log_has_an_earlier_round_behind_it_and_no_damage() {
    let Sample { database, wal, base } = sample();
    let found = scan(wal.as_slice()).unwrap();
    assert_eq!((found.page_size, found.commits), (4096, 25), "{found:?}");
    assert!(found.tail.earlier > 0 && !found.is_suspicious(), "{found:?}");
    assert_eq!(found.committed, found.frames);
    assert_eq!(recovered(database, wal), base + 25);
}

#[test]
fn a_damaged_commit_is_seen_with_those_behind_it() {
    let Sample { database, wal, base } = sample();
    let whole = scan(wal.as_slice()).unwrap();
    let mut damaged = wal.clone();
    // A page of the last commit.
    let at = HEADER + usize::try_from(whole.committed - 1).unwrap() * (FRAME_HEADER + 4096) + 99;
    damaged[at] ^= 1;
    let found = scan(damaged.as_slice()).unwrap();
    assert_eq!((found.commits, found.tail.torn_commits), (24, 1), "{found:?}");
    assert!(found.may_lack_commits());
    assert_eq!(recovered(database, &damaged), base + 24);
    // Damages one salt only: the frame is still recognized as one of this log.
    let mut damaged = wal.clone();
    damaged[at - 99 + 8] ^= 1;
    assert_eq!(scan(damaged.as_slice()).unwrap().tail.torn_commits, 1);
}

#[test]
fn a_frame_put_in_between_ends_what_counts() {
    let Sample { database, wal, base } = sample();
    let frame = FRAME_HEADER + 4096;
    let (head, rest) = wal.split_at(HEADER + frame);
    let longer = [head, &vec![0; frame], rest].concat();
    let found = scan(longer.as_slice()).unwrap();
    assert_eq!((found.frames, found.tail.strange), (1, 1), "{found:?}");
    assert_eq!(recovered(database, &longer), base + commits(&found));
}

#[test]
fn no_log_an_empty_one_and_other_bytes_are_told_apart() {
    assert_eq!(read(&PathBuf::from("/nowhere/klaxon.db")).unwrap(), None);
    assert_eq!(scan(&[][..]).unwrap(), Wal::default());
    let found = scan(&[7; 5000][..]).unwrap();
    assert!(found.is_header_damaged && found.may_lack_commits());
    assert_eq!((found.bytes, found.tail.bytes), (5000, 5000));
}

#[derive(Debug, Clone)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Zeros(prop::sample::Index, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), 0..8u8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        2 => place().prop_map(Harm::Cut),
        1 => (place(), 1..9000usize).prop_map(|(at, length)| Harm::Zeros(at, length)),
    ]
}

fn harmed(wal: &[u8], harms: &[Harm]) -> Vec<u8> {
    let mut wal = wal.to_vec();
    for harm in harms {
        if wal.is_empty() {
            break;
        }
        match harm {
            Harm::Flip(at, bit) => {
                let at = at.index(wal.len());
                wal[at] ^= 1 << bit;
            }
            Harm::Cut(at) => wal.truncate(at.index(wal.len())),
            Harm::Zeros(at, length) => {
                let at = at.index(wal.len());
                wal.iter_mut().skip(at).take(*length).for_each(|byte| *byte = 0);
            }
        }
    }
    wal
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_commits_that_count_are_those_that_sqlite_recovers(
        harms in prop::collection::vec(harm(), 1..4),
    ) {
        let Sample { database, wal, base } = sample();
        let wal = harmed(wal, &harms);
        let found = scan(wal.as_slice()).unwrap();
        prop_assert_eq!(recovered(database, &wal), base + commits(&found));
        let whole = HEADER as u64 + found.committed * (FRAME_HEADER as u64 + 4096);
        if !found.is_header_damaged && found.bytes > 0 {
            prop_assert_eq!(found.bytes, whole + found.tail.bytes);
        }
    }

    #[test]
    fn harm_in_the_part_that_counts_is_always_noticed(harm in harm()) {
        let Sample { wal, .. } = sample();
        let whole = scan(wal.as_slice()).unwrap();
        let harmed = harmed(wal, std::slice::from_ref(&harm));
        let found = scan(harmed.as_slice()).unwrap();
        let is_cut_clean = matches!(harm, Harm::Cut(_)) && found.tail.rest == 0;
        prop_assert!(found.commits == whole.commits || found.is_suspicious() || is_cut_clean);
    }

    #[test]
    fn any_bytes_can_be_gone_through(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let found = scan(bytes.as_slice()).unwrap();
        prop_assert_eq!(found.bytes, bytes.len() as u64);
    }
}
