//! Folding the log into the file. SQLite does so by itself after a commit, but says nothing when it fails:
//! and once a disk did not sync, nothing that it holds is certain.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::Connection;

use super::JournalError;

/// With so many pages the log is folded in, as SQLite does by itself.
const PAGES: i32 = 1000;

/// The log of a connection that writes.
pub(super) struct Log {
    /// Its pages after the last commit.
    pages: Arc<AtomicI32>,
}

impl Log {
    /// From now on it is folded in by [`Log::fold_in`] alone.
    pub(super) fn of(connection: &mut Connection) -> Result<Self, JournalError> {
        let pages = Arc::new(AtomicI32::new(0));
        let noted = pages.clone();
        connection.wal_hook(Some(move |_: &mut _, count| {
            noted.store(count, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages })
    }

    /// Folds it in where it has grown; to be done between transactions.
    pub(super) fn fold_in(&self, connection: &Connection) -> Result<(), JournalError> {
        self.fold_in_at(connection, PAGES)
    }

    /// Folds it in where it has so many pages.
    pub(super) fn fold_in_at(
        &self,
        connection: &Connection,
        pages: i32,
    ) -> Result<(), JournalError> {
        if self.pages.load(Ordering::Relaxed) < pages {
            return Ok(());
        }
        self.fold_in_now(connection)
    }

    /// Folds it in as far as no reader is in the way, however little there is.
    pub(super) fn fold_in_now(&self, connection: &Connection) -> Result<(), JournalError> {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        self.pages.store(0, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_folded_in_at_the_bound_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch("CREATE TABLE t (body BLOB)").unwrap();
        let log = Log::of(&mut connection).unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        let before = size();
        let insert = "INSERT INTO t VALUES (zeroblob(4000))";
        for _ in 0..300 {
            connection.execute(insert, []).unwrap();
            log.fold_in(&connection).unwrap();
        }
        assert_eq!(size(), before);
        for _ in 0..300 {
            connection.execute(insert, []).unwrap();
            log.fold_in(&connection).unwrap();
        }
        let after = size();
        assert!(after > before);
        connection.execute(insert, []).unwrap();
        log.fold_in_now(&connection).unwrap();
        assert!(size() > after);
    }
}
