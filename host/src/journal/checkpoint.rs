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

    /// Folds it in where it has grown, as far as no reader is in the way; to be done between transactions.
    pub(super) fn fold_in(&self, connection: &Connection) -> Result<(), JournalError> {
        if self.pages.load(Ordering::Relaxed) < PAGES {
            return Ok(());
        }
        Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }
}
