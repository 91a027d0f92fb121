//! Checks of the journal: its file, the invariants of its tables, and its log.

use std::time::Duration;

use rusqlite::{Connection, Row};
use serde::Serialize;

use super::backup::integrity;
use super::overview::rows;
use super::rows::natural;
use super::{InspectError, Reader};
use crate::wal::{self, Wal};

/// Conditions that must match no row, each with its description.
const INVARIANTS: [(&str, &str); 10] = [
    (
        "deliveries without their verdict",
        "deliveries d WHERE NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.n = d.verdict)",
    ),
    (
        "refusals without their verdict",
        "refusals r WHERE NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.n = r.verdict)",
    ),
    (
        "pending deliveries that are settled",
        "deliveries WHERE state = 'pending' AND settled_at > 0",
    ),
    (
        "settled deliveries without a time",
        "deliveries WHERE state <> 'pending' AND settled_at IS NULL",
    ),
    ("verdicts that are no JSON", "verdicts WHERE NOT json_valid(body)"),
    ("objects whose memberships are no JSON", "objects WHERE NOT json_valid(memberships)"),
    ("timers whose identity is no JSON", "timers WHERE NOT json_valid(identity)"),
    ("incidents whose record is no JSON", "incidents WHERE NOT json_valid(record)"),
    ("gaps that end before they begin", "gaps WHERE until < since"),
    (
        "journals without an id",
        "(SELECT 1) WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'journal')",
    ),
];
/// Tables whose numbers must never be reused.
const SEQUENCES: [&str; 3] = ["verdicts", "deliveries", "backlog"];
/// Columns that hold compressed JSON.
const PACKED: [(&str, &str); 2] = [("objects", "form"), ("backlog", "event")];
/// The most times that a suspicious log is read again: a log that is being written looks damaged at its end.
const LOOKS: usize = 20;
const LOOK: Duration = Duration::from_millis(50);

/// The result of a check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// The problems; empty if there are none.
    pub problems: Vec<String>,
    /// The scan of the log; `None` if there is no log.
    pub log: Option<Wal>,
}

/// Checks the whole journal. Reads the whole file.
///
/// # Errors
/// Fails if the journal cannot be read at all.
pub fn check(reader: &Reader) -> Result<Check, InspectError> {
    let log = steady(reader)?;
    let mut problems = Vec::new();
    problems.extend(log.filter(Wal::may_lack_commits).map(|_| {
        "the log ends in commits that are damaged: either the power went while they were written, and \
         then nothing that was confirmed is missing, or the disk lost what it had confirmed"
            .to_owned()
    }));
    // A damaged part can often not be read at all, which is a problem to report too.
    let looks = [structure, foreign_keys, invariants, sequences, packed];
    for look in looks {
        match look(reader.connection()) {
            Ok(found) => problems.extend(found),
            Err(InspectError::Sqlite(error)) => problems.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    if !problems.is_empty() && !reader.is_undisturbed() {
        return Err(InspectError::Disturbed);
    }
    Ok(Check { problems, log })
}

fn steady(reader: &Reader) -> Result<Option<Wal>, InspectError> {
    let read =
        || wal::read(reader.path()).map_err(|error| InspectError::file(reader.path(), error));
    let mut log = read()?;
    for _ in 0..LOOKS {
        if !log.is_some_and(|log| log.is_suspicious()) {
            break;
        }
        std::thread::sleep(LOOK);
        let again = read()?;
        if again == log {
            break;
        }
        log = again;
    }
    Ok(log)
}

fn structure(connection: &Connection) -> Result<Vec<String>, InspectError> {
    integrity(connection)
}

fn foreign_keys(connection: &Connection) -> Result<Vec<String>, InspectError> {
    let found = rows(connection, "PRAGMA foreign_key_check", |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?))
    })?;
    let mut pairs = found.clone();
    pairs.dedup();
    let told = pairs.into_iter().map(|pair| {
        let count = found.iter().filter(|one| **one == pair).count();
        let (table, parent) = pair;
        format!("{count} rows of {table} refer to rows of {parent} that are not there")
    });
    Ok(told.collect())
}

fn invariants(connection: &Connection) -> Result<Vec<String>, InspectError> {
    let mut problems = Vec::new();
    for (what, from) in INVARIANTS {
        let select = format!("SELECT count(*) FROM {from}");
        let count = connection.query_row(&select, [], |row| natural(row, 0))?;
        if count > 0 {
            problems.push(format!("{count} {what}"));
        }
    }
    Ok(problems)
}

fn sequences(connection: &Connection) -> Result<Vec<String>, InspectError> {
    let mut problems = Vec::new();
    for table in SEQUENCES {
        let select = format!(
            "SELECT coalesce(max(n), 0), \
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0) FROM {table}"
        );
        let (highest, sequence): (i64, i64) =
            connection.query_row(&select, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if sequence < highest {
            problems.push(format!(
                "numbers of {table} may come twice: the highest is {highest}, the next would follow \
                 {sequence}"
            ));
        }
    }
    Ok(problems)
}

fn packed(connection: &Connection) -> Result<Vec<String>, InspectError> {
    let mut problems = Vec::new();
    for (table, column) in PACKED {
        let select = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
        let broken = rows(connection, &select, is_broken)?.into_iter().filter(|is| *is).count();
        if broken > 0 {
            problems.push(format!("{broken} of {table} whose {column} cannot be read"));
        }
    }
    Ok(problems)
}

fn is_broken(row: &Row<'_>) -> rusqlite::Result<bool> {
    let Ok(json) = zstd::decode_all(row.get_ref(0)?.as_blob()?) else { return Ok(true) };
    Ok(serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_err())
}
