//! Enabling of a disabled target.

use rusqlite::OptionalExtension;
use serde::Serialize;

use super::overview::rows;
use super::rows::natural;
use super::{Editor, InspectError};
use crate::time;
use klaxon_model::Timestamp;

/// A target that was enabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enabled {
    /// The target.
    pub target: String,
    /// The time at which it was disabled.
    pub disabled_at: Timestamp,
    /// The reason for disabling it.
    pub reason: String,
    /// Its dead letters, which stay until they are retried.
    pub dead: u64,
}

/// Enables a target.
///
/// # Errors
/// Fails if it is not disabled, or the journal cannot be changed.
pub fn enable(editor: &mut Editor, target: &str) -> Result<Enabled, InspectError> {
    let transaction = editor.change()?;
    let delete = "DELETE FROM targets WHERE name = ?1 RETURNING disabled_at, reason";
    let removed =
        transaction.query_row(delete, [target], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((at, reason)) = removed else {
        let disabled = rows(&transaction, "SELECT name FROM targets ORDER BY 1", |row| row.get(0))?;
        return Err(InspectError::NotDisabled { name: target.to_owned(), disabled });
    };
    let select = "SELECT count(*) FROM deliveries WHERE state = 'dead' AND target = ?1";
    let dead = transaction.query_row(select, [target], |row| natural(row, 0))?;
    transaction.commit()?;
    Ok(Enabled { target: target.to_owned(), disabled_at: time(at), reason, dead })
}
