//! Checkpoints: moving the write-ahead log (WAL) into the database file. SQLite checkpoints by itself after a
//! commit, but does not report an error; and after a failed sync the content of the disk is uncertain.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::Connection;

use super::JournalError;

/// The number of pages at which the log is checkpointed, the same as SQLite's default.
const PAGES: i32 = 1000;

/// The write-ahead log of a connection that writes.
pub(super) struct Log {
    /// The number of its pages after the last commit.
    pages: Arc<AtomicI32>,
}

impl Log {
    /// Replaces SQLite's automatic checkpoints by those of [`Log::fold_in`].
    pub(super) fn of(connection: &mut Connection) -> Result<Self, JournalError> {
        let pages = Arc::new(AtomicI32::new(0));
        let noted = pages.clone();
        connection.wal_hook(Some(move |_: &mut _, count| {
            noted.store(count, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages })
    }

    /// Checkpoints a log that has grown to `PAGES`; to be called between transactions.
    pub(super) fn fold_in(&self, connection: &Connection) -> Result<(), JournalError> {
        self.fold_in_at(connection, PAGES)
    }

    /// Checkpoints a log that has at least `pages`.
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

    /// Checkpoints the log of any size, as far as no reader prevents it.
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
