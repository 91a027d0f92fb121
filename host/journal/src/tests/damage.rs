//! A journal that was truncated, or in which a bit has flipped, opens with every commit up to the last intact
//! one, or is refused; and no body is sent that differs from the verdict's.

use std::collections::HashMap;
use std::path::Path;

use super::{group, outbox, start, verdict};
use crate::{FILE, Journal, JournalError, wal};

/// The length of the end of a file that is tested.
const END: u64 = 64 << 10;
const PAGE: u64 = 4096;

fn log_of(folder: &Path) -> std::path::PathBuf {
    wal::beside(&folder.join(FILE))
}

/// Makes a journal as after a crash, with `commits` commits of one verdict each. Returns the length of the log
/// after each.
fn crashed(commits: u64) -> (tempfile::TempDir, Vec<u64>) {
    let live = tempfile::tempdir().unwrap();
    let left = tempfile::tempdir().unwrap();
    let handle = start(live.path());
    let ends = (0..commits).map(|n| {
        handle.commit_and_wait(group(vec![], vec![verdict(n)], vec![])).unwrap();
        std::fs::metadata(log_of(live.path())).unwrap().len()
    });
    let ends = ends.collect();
    copy(live.path(), left.path());
    handle.close().unwrap();
    (left, ends)
}

fn copy(from: &Path, to: &Path) {
    for path in [from.join(FILE), log_of(from)] {
        if path.exists() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// Returns the number of verdicts that are present, which must be the first ones; `None` if the journal is
/// refused.
fn first_verdicts(folder: &Path) -> Option<u64> {
    match Journal::open(folder) {
        Ok(journal) => drop(journal),
        Err(JournalError::Damaged(_) | JournalError::Sqlite(_) | JournalError::Disk(_)) => {
            return None;
        }
        Err(other) => panic!("{other}"),
    }
    let connection = rusqlite::Connection::open(folder.join(FILE)).unwrap();
    let mut select = connection.prepare("SELECT id FROM verdicts ORDER BY n").unwrap();
    let ids: Vec<String> =
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let expected: Vec<String> =
        (0..ids.len() as u64).map(|n| verdict(n).id.as_str().to_owned()).collect();
    assert_eq!(ids, expected, "not the first ones");
    Some(ids.len() as u64)
}

/// Returns the offsets of the pages at a file's end.
fn pages(length: u64) -> impl Iterator<Item = u64> {
    (length.saturating_sub(END)..length).step_by(usize::try_from(PAGE).unwrap())
}

#[test]
fn a_log_that_was_cut_off_opens_with_every_commit_before_the_cut() {
    let (crash, ends) = crashed(60);
    let length = *ends.last().unwrap();
    for cut in pages(length).flat_map(|page| [page, page + 1, page + PAGE / 2]) {
        let folder = tempfile::tempdir().unwrap();
        copy(crash.path(), folder.path());
        damage(&log_of(folder.path()), |bytes| bytes.truncate(usize::try_from(cut).unwrap()));
        let whole = ends.iter().filter(|end| **end <= cut).count() as u64;
        assert_eq!(first_verdicts(folder.path()), Some(whole), "cut at {cut}");
    }
}

#[test]
fn a_bit_that_flips_in_the_log_loses_nothing_before_it_and_is_told() {
    let (crash, ends) = crashed(60);
    let length = *ends.last().unwrap();
    for page in pages(length) {
        for at in [page, page + 100, page + PAGE - 1].into_iter().filter(|at| *at < length) {
            let folder = tempfile::tempdir().unwrap();
            copy(crash.path(), folder.path());
            damage(&log_of(folder.path()), |bytes| bytes[usize::try_from(at).unwrap()] ^= 16);
            let found = wal::read(&folder.path().join(FILE)).unwrap().unwrap();
            assert!(found.may_lack_commits(), "at {at}: {found:?}");
            assert!(found.tail.bytes > 0, "what is ignored is told");
            let before = ends.iter().filter(|end| **end <= at).count() as u64;
            match first_verdicts(folder.path()) {
                Some(count) => assert_eq!(count, before, "at {at}"),
                None => assert!(before < 60, "refused at {at}"),
            }
        }
    }
}

#[test]
fn a_page_that_is_damaged_is_refused_or_sends_nothing_wrong() {
    let (crash, _) = crashed(60);
    // Checkpoints, so that all commits are in the file itself.
    drop(Journal::open(crash.path()).unwrap());
    let connection = rusqlite::Connection::open(crash.path().join(FILE)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let bodies = |folder: &Path| -> HashMap<i64, Option<Vec<u8>>> {
        let outbox = outbox(folder);
        let numbers: Vec<i64> =
            outbox.next(0, 100).unwrap().iter().map(|waiting| waiting.number).collect();
        let found = outbox.bodies(&numbers).unwrap();
        found.into_iter().map(|(number, one)| (number, one.map(|one| one.body))).collect()
    };
    let right = bodies(crash.path());
    assert_eq!(right.len(), 60);
    let length = std::fs::metadata(crash.path().join(FILE)).unwrap().len();
    let (mut refused, mut held, mut unharmed) = (0, 0, 0);
    for page in pages(length) {
        for at in (page..page + PAGE).step_by(509) {
            let folder = tempfile::tempdir().unwrap();
            copy(crash.path(), folder.path());
            damage(&folder.path().join(FILE), |bytes| bytes[usize::try_from(at).unwrap()] ^= 16);
            if is_refused(folder.path()) {
                refused += 1;
                continue;
            }
            let read = std::panic::catch_unwind(|| bodies(folder.path()));
            let Ok(found) = read else {
                // SQLite reports the file as malformed when it is read, and the service ends with this error.
                refused += 1;
                continue;
            };
            for (number, body) in found {
                match body {
                    Some(body) => {
                        assert_eq!(Some(&Some(body)), right.get(&number), "page {page}, byte {at}");
                        unharmed += 1;
                    }
                    None => held += 1,
                }
            }
        }
    }
    assert!(refused > 0 && held > 0 && unharmed > 0, "{refused} {held} {unharmed}");

    for page in pages(length) {
        let folder = tempfile::tempdir().unwrap();
        copy(crash.path(), folder.path());
        damage(&folder.path().join(FILE), |bytes| bytes.truncate(usize::try_from(page).unwrap()));
        assert!(is_refused(folder.path()), "cut at {page}");
    }
}

/// Returns `true` if the journal is refused.
fn is_refused(folder: &Path) -> bool {
    Journal::open(folder).is_err()
}
