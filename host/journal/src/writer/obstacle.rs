//! Obstacles that prevent writing to the journal for a time.

use std::fmt;

use rusqlite::{ErrorCode, ffi};

use crate::JournalError;

/// An obstacle that prevents a transaction, and may pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// Another program holds the write lock. Removing rows would not help.
    Locked,
    /// The disk is full, or the journal has reached its maximum size: the only obstacle for which rows are
    /// removed.
    Full,
    /// The index of the log cannot grow because the disk is full. Removing rows would make it grow further; a
    /// checkpoint helps.
    NoIndex,
}

impl Obstacle {
    /// Returns the obstacle that caused an error; `None` if the error ends the writer.
    pub(super) fn of(error: &JournalError) -> Option<Self> {
        match error {
            JournalError::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some(Self::Locked),
                Some(ErrorCode::DiskFull) => Some(Self::Full),
                _ => None,
            },
            JournalError::Disk(error) => {
                let code = error.sqlite_error()?.extended_code;
                (code == ffi::SQLITE_IOERR_SHMSIZE).then_some(Self::NoIndex)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locked => {
                "another program holds the journal's lock for writing: intake waits for it, and what comes of deliveries is recorded as soon as it ends; hint: find the program with `fuser klaxon.db`"
            }
            Self::Full => {
                "the journal has no room, by journal.max_size or on its disk: intake waits until there is"
            }
            Self::NoIndex => {
                "the index of the journal's log cannot grow, for the disk is full: intake waits until there is room; hint: free some space on the disk"
            }
        })
    }
}
