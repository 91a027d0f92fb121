//! Backups: a copy of the journal at one moment, made while the service runs.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::open::connect;
use super::{InspectError, Reader};
use klaxon_model::clock::Stopwatch;

/// The number of attempts to copy a closed journal that is opened meanwhile.
const ATTEMPTS: usize = 3;

/// A completed backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// The length of the copy.
    pub bytes: u64,
    /// The time until the copy was on disk and checked.
    #[serde(rename = "milliseconds", serialize_with = "milliseconds")]
    pub took: Duration,
}

/// Copies the journal of a folder to a file, which gets its name only when it is complete, on disk and checked.
/// The service continues meanwhile; its log grows, because it cannot be checkpointed.
///
/// # Errors
/// Fails if the file exists and must not be replaced, cannot be written, or is not sound.
pub fn backup(folder: &Path, to: &Path, replace: bool) -> Result<Backup, InspectError> {
    let watch = Stopwatch::start();
    let hint = "it is there already; hint: name another file, or replace it with --force";
    if !replace && to.exists() {
        return Err(InspectError::file(to, hint));
    }
    let beside = to.parent().filter(|beside| !beside.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let fail = |error: std::io::Error| InspectError::file(to, error);
    let part = copy(folder, beside)?;
    part.as_file().sync_all().map_err(fail)?;
    verify(part.path())?;
    let bytes = part.as_file().metadata().map_err(fail)?.len();
    if replace {
        part.persist(to).map_err(|error| fail(error.error))?;
    } else {
        part.persist_noclobber(to).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => InspectError::file(to, hint),
            _ => fail(error.error),
        })?;
    }
    File::open(beside).and_then(|beside| beside.sync_all()).map_err(fail)?;
    Ok(Backup { bytes, took: watch.elapsed() })
}

/// Copies the journal to a temporary file, which is removed unless it gets a name.
fn copy(folder: &Path, beside: &Path) -> Result<NamedTempFile, InspectError> {
    for _ in 0..ATTEMPTS {
        let reader = Reader::open(folder)?;
        let part = tempfile::Builder::new().prefix(".klaxon-backup-").tempfile_in(beside);
        let part = part.map_err(|error| InspectError::file(beside, error))?;
        let Some(path) = part.path().to_str() else {
            return Err(InspectError::file(part.path(), "its name is no UTF-8"));
        };
        reader.connection().execute("VACUUM INTO ?1", [path])?;
        if reader.is_undisturbed() {
            return Ok(part);
        }
    }
    Err(InspectError::file(folder, "it is opened and closed all the time; hint: try again later"))
}

fn verify(path: &Path) -> Result<(), InspectError> {
    let connection = connect(path, "mode=ro&immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found = integrity(&connection)?;
    match found.first() {
        None => Ok(()),
        Some(problem) => Err(InspectError::file(
            path,
            format!("the copy is not sound: {problem}; hint: see `klaxon journal check`"),
        )),
    }
}

/// Returns the errors that SQLite finds in a file's structure.
pub(super) fn integrity(connection: &Connection) -> Result<Vec<String>, InspectError> {
    let rows = super::overview::rows(connection, "PRAGMA integrity_check(100)", |row| row.get(0))?;
    Ok(rows.into_iter().filter(|row: &String| row != "ok").collect())
}

fn milliseconds<S: serde::Serializer>(took: &Duration, to: S) -> Result<S::Ok, S::Error> {
    took.as_millis().serialize(to)
}
