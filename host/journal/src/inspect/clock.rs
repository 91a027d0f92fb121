//! The journal's clock, from which a restarted service continues.

use std::path::Path;

use rusqlite::OptionalExtension;
use serde::Serialize;

use super::{Editor, InspectError, Reader};
use crate::{FILE, JournalError, lock};
use klaxon_model::Timestamp;

/// The journal's clock and the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// The time of the last events that were stored; `None` if there were none.
    pub journal: Option<Timestamp>,
    /// The time that the machine's clock shows.
    pub machine: Timestamp,
    /// The milliseconds by which the journal's clock is ahead.
    pub ahead_ms: i64,
}

impl Clock {
    fn new(journal: Option<Timestamp>, machine: Timestamp) -> Self {
        let ahead_ms = journal.map_or(0, |journal| journal.millis_since(machine));
        Self { journal, machine, ahead_ms }
    }
}

/// Reads the journal's clock and compares it with the machine's.
///
/// # Errors
/// Fails if the journal cannot be read.
pub fn clock(reader: &Reader, machine: Timestamp) -> Result<Clock, InspectError> {
    let select = "SELECT value FROM meta WHERE key = 'clock'";
    let text: Option<String> =
        reader.connection().query_row(select, [], |row| row.get(0)).optional()?;
    let journal = text.and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
    Ok(Clock::new(journal, machine))
}

/// Sets the journal's clock to the machine's. The service must be stopped first: it uses its own clock and
/// would write that again.
///
/// # Errors
/// Fails if the service runs, or the journal cannot be changed.
pub fn reset_clock(folder: &Path, machine: Timestamp) -> Result<Clock, InspectError> {
    // Opened first, because `Editor::open` reports a missing journal; `lock` would create a file in its folder.
    let mut editor = Editor::open(folder)?;
    let path = folder.join(FILE);
    let _lock = lock(folder).map_err(|error| match error {
        JournalError::Locked { .. } => InspectError::Running { path: path.clone() },
        error => InspectError::file(&path, error),
    })?;
    let transaction = editor.change()?;
    transaction.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES ('clock', ?1)",
        [machine.as_millis().to_string()],
    )?;
    transaction.commit()?;
    Ok(Clock::new(Some(machine), machine))
}
