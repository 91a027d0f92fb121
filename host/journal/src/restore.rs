//! Reading of the last run's state at the start.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::de::DeserializeOwned;

use super::{JournalError, time};
use klaxon_core::pipeline::Persisted;
use klaxon_model::{
    Backfill, BacklogEntry, Meta, Object, PersistedIncident, PersistedMembership, PersistedObject,
    PersistedState, PersistedTimer, Slot, SlotKind, Subject, Timestamp,
};

/// The saved state of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedWatch {
    /// The digest of the watch's selection.
    pub digest: String,
    /// The resource version to resume from; `None` if the first list is not complete.
    pub cursor: Option<String>,
    /// The last time at which the watch was in sync.
    pub since: Timestamp,
    /// `true` if a list had begun and was not complete.
    pub listing: bool,
    /// The resource version at which the watch was last complete, for a watch without a cursor.
    pub complete_at: Option<String>,
}

/// The state that the last run left.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The state of the pipeline.
    pub persisted: Persisted,
    /// The watches, by name.
    pub watches: HashMap<String, SavedWatch>,
}

pub(super) fn load(connection: &Connection) -> Result<Loaded, JournalError> {
    let objects = all(connection, "SELECT * FROM objects", object)?;
    let timers = timers(connection)?;
    let select = "SELECT rule, partition, version, key, value, expires_at, shared FROM state";
    let state = all(connection, select, |row| {
        let expires_at: Option<i64> = row.get(5)?;
        let is_shared: Option<bool> = row.get(6)?;
        Ok(PersistedState {
            slot: slot(row)?,
            kind: is_shared.map(|shared| if shared { SlotKind::Shared } else { SlotKind::Object }),
            version: row.get(2)?,
            key: row.get(3)?,
            value: row.get(4)?,
            expires_at: expires_at.map(time),
        })
    })?;
    let backlog = all(connection, "SELECT n, rule, time, event FROM backlog ORDER BY n", |row| {
        Ok(BacklogEntry {
            number: row.get(0)?,
            rule: text(row, 1)?,
            time: time(row.get(2)?),
            entry: row.get(3)?,
        })
    })?;
    let expiries = all(connection, "SELECT rule, partition, at FROM expiries", |row| {
        Ok((slot(row)?, time(row.get(2)?)))
    })?;
    let select = "SELECT rule, watch, digest, number, complete FROM backfills";
    let backfills = all(connection, select, |row| {
        Ok(Backfill {
            rule: text(row, 0)?,
            scope: text(row, 1)?,
            digest: parsed(row, 2)?,
            number: number(row, 3)?,
            complete: row.get(4)?,
        })
    })?;
    let select = "SELECT name, digest, cursor, since, listing, complete_at FROM watches";
    let watches = all(connection, select, |row| {
        let watch = SavedWatch {
            digest: row.get(1)?,
            cursor: row.get(2)?,
            since: time(row.get(3)?),
            listing: row.get(4)?,
            complete_at: row.get(5)?,
        };
        Ok((row.get(0)?, watch))
    })?;
    let select = "SELECT rule, code, key, record FROM incidents";
    let incidents = all(connection, select, |row| {
        Ok(PersistedIncident {
            rule: text(row, 0)?,
            code: row.get(1)?,
            key: row.get(2)?,
            record: json(row, 3)?,
        })
    })?;
    let history = meta(connection, "history")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let comparisons = meta(connection, "comparisons")?;
    let comparisons = comparisons.and_then(|text| text.parse().ok()).unwrap_or(0);
    let now = event_clock(connection)?;
    let watches: HashMap<String, SavedWatch> = watches.into_iter().collect();
    Ok(Loaded {
        persisted: Persisted {
            watches: watches.keys().map(|name| name.as_str().into()).collect(),
            objects,
            timers,
            state,
            expiries,
            backlog,
            incidents,
            backfills,
            history,
            comparisons,
            now,
        },
        watches,
    })
}

/// Returns an object's last known form; `None` if there is none or it cannot be read.
pub(super) fn form(connection: &Connection, uid: &str) -> Option<Object> {
    let read = || -> rusqlite::Result<Option<Object>> {
        let mut select = connection.prepare_cached("SELECT form FROM objects WHERE uid = ?1")?;
        let form = select.query_row([uid], |row| unpacked(row, 0)).optional()?;
        Ok(form.flatten())
    };
    read().unwrap_or_else(|error| {
        tracing::error!(uid, %error, "the last known form of an object cannot be read: only its identity is passed on");
        None
    })
}

/// Returns the event clock. `None` if no group had one.
pub(super) fn event_clock(connection: &Connection) -> Result<Option<Timestamp>, JournalError> {
    let millis = meta(connection, "clock")?.and_then(|text| text.parse().ok());
    Ok(millis.map(Timestamp::from_millis))
}

fn meta(connection: &Connection, key: &str) -> Result<Option<String>, JournalError> {
    let select = "SELECT value FROM meta WHERE key = ?1";
    Ok(connection.query_row(select, [key], |row| row.get(0)).optional()?)
}

fn all<T>(
    connection: &Connection,
    select: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, JournalError> {
    let mut select = connection.prepare(select)?;
    let rows = select.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Reads a row, in the order of the table's columns. The form is read later, on demand.
fn object(row: &Row<'_>) -> rusqlite::Result<PersistedObject> {
    let memberships: Vec<(Arc<str>, String, Arc<str>)> = json(row, 8)?;
    let memberships = memberships
        .into_iter()
        .map(|(rule, interest, partition)| PersistedMembership { rule, interest, partition });
    let digest: i64 = row.get(6)?;
    Ok(PersistedObject {
        uid: text(row, 0)?,
        api_version: text(row, 1)?,
        kind: text(row, 2)?,
        namespace: text(row, 3)?,
        name: row.get::<_, String>(4)?.into(),
        version: row.get::<_, String>(5)?.into(),
        digest: digest.cast_unsigned(),
        count: row.get(7)?,
        life: row.get(10)?,
        memberships: memberships.collect(),
        form: None,
    })
}

/// Reads the timers, each with its object's last known form, or with the identity alone.
fn timers(connection: &Connection) -> Result<Vec<PersistedTimer>, JournalError> {
    let select = "SELECT w.rule, w.partition, w.key, w.due, w.payload, w.set_by, w.interest, \
                  w.identity, o.form FROM timers w LEFT JOIN objects o ON o.uid = w.uid";
    all(connection, select, |row| {
        let object = match unpacked(row, 8)? {
            Some(object) => object,
            None => {
                let meta = Meta { identity: json(row, 7)?, ..Meta::default() };
                Object { meta, subject: Subject::Other, document: None }
            }
        };
        Ok(PersistedTimer {
            slot: slot(row)?,
            key: row.get(2)?,
            due: time(row.get(3)?),
            payload: row.get(4)?,
            set_by: parsed(row, 5)?,
            interest: row.get(6)?,
            object: Arc::new(object),
        })
    })
}

/// Reads the rule and the partition from the first two columns.
fn slot(row: &Row<'_>) -> rusqlite::Result<Slot> {
    Ok(Slot { rule: text(row, 0)?, partition: text(row, 1)? })
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, error.into()))
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error: T::Err| unreadable(column, error.into()))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error.into()))
}

fn unpacked(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Object>> {
    let Some(packed) = row.get_ref(column)?.as_blob_or_null()? else { return Ok(None) };
    let read = || -> Result<Object, Box<dyn std::error::Error + Send + Sync>> {
        let json = zstd::decode_all(packed)?;
        Ok(serde_json::from_slice(&json)?)
    };
    read().map(Some).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
}
