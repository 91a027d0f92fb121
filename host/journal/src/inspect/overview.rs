//! An overview of the journal: the number of rows of every kind.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Row};
use serde::Serialize;

use super::list::select;
use super::rows::{maybe, natural};
use super::{Filter, InspectError, Listed, Reader, State, WatchRow};
use crate::{schema, wal};
use klaxon_model::Timestamp;

/// The most reasons of dead letters that are listed.
const REASONS: usize = 20;

/// The numbers of rows of every kind.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// The schema version.
    pub version: usize,
    /// Sizes on disk.
    pub files: Files,
    /// Stored verdicts.
    pub verdicts: u64,
    /// Every target that has a delivery or is disabled.
    pub targets: Vec<OverviewTarget>,
    /// The reasons of dead letters, the most frequent first.
    pub dead: Vec<DeadReason>,
    /// Refusals: verdicts of which a delivery could not be made.
    pub refusals: u64,
    /// The refusals that the service is asked to retry.
    pub refusals_marked: u64,
    /// Stored gaps.
    pub gaps: u64,
    /// Quarantined events; those without a rule could not be decoded.
    pub quarantine: Vec<ByRule>,
    /// Events in the rules' backlogs.
    pub backlog: Vec<ByRule>,
    /// Timers.
    pub timers: Vec<ByRule>,
    /// Rows of state.
    pub state: Vec<ByRule>,
    /// The progress of each watch.
    pub watches: Vec<WatchRow>,
}

/// Sizes on disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The database.
    pub database: u64,
    /// The log that is not yet checkpointed.
    pub log: u64,
}

/// The deliveries of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OverviewTarget {
    /// The target's name.
    pub name: String,
    /// The time from which its deliveries become dead letters.
    pub disabled_at: Option<Timestamp>,
    /// The reason for disabling it.
    pub disabled_reason: Option<String>,
    /// Pending deliveries.
    pub pending: u64,
    /// The length of their bodies.
    pub pending_bytes: u64,
    /// The time at which the oldest of them was made.
    pub oldest_pending: Option<Timestamp>,
    /// Deliveries that were sent.
    pub sent: u64,
    /// Dead letters.
    pub dead: u64,
    /// Deliveries that newer ones superseded.
    pub superseded: u64,
}

/// The number of dead letters of a target for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadReason {
    /// The target.
    pub target: String,
    /// The reason.
    pub reason: String,
    /// The number.
    pub count: u64,
    /// The time of the last one.
    pub last: Option<Timestamp>,
}

/// The number of a rule's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByRule {
    /// The rule, if there is one.
    pub rule: Option<String>,
    /// The number.
    pub count: u64,
    /// The time of the first row: for timers the next due time; `None` for state.
    pub first: Option<Timestamp>,
}

/// Counts everything, at one moment.
///
/// # Errors
/// Fails if the journal cannot be read.
pub fn overview(reader: &Reader) -> Result<Overview, InspectError> {
    let moment = reader.moment()?;
    let count = |sql: &str| -> Result<u64, InspectError> {
        Ok(moment.query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| natural(row, 0))?)
    };
    let every = Filter::default().condition(WatchRow::TABLE.what, &WatchRow::TABLE.fields)?;
    let overview = Overview {
        version: schema::VERSION,
        files: files(reader.path())?,
        verdicts: count("verdicts")?,
        targets: targets(&moment)?,
        dead: reasons(&moment)?,
        refusals: count("refusals")?,
        refusals_marked: count("refusals WHERE retry = 1")?,
        gaps: count("gaps")?,
        quarantine: by_rule(&moment, "min(time)", "quarantine")?,
        backlog: by_rule(&moment, "min(time)", "backlog")?,
        timers: by_rule(&moment, "min(due)", "timers")?,
        state: by_rule(&moment, "NULL", "state")?,
        watches: select(&moment, &every, WatchRow::TABLE.order, u64::from(u32::MAX))?,
    };
    reader.sound(overview)
}

fn files(database: &Path) -> Result<Files, InspectError> {
    let length = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    Ok(Files {
        database: length(database).map_err(|error| InspectError::file(database, error))?,
        // There is no log after an orderly shutdown.
        log: length(&wal::beside(database)).unwrap_or(0),
    })
}

type Targets = BTreeMap<String, OverviewTarget>;

fn targets(connection: &Connection) -> Result<Vec<OverviewTarget>, InspectError> {
    let mut targets = Targets::new();
    disabled(connection, &mut targets)?;
    pending(connection, &mut targets)?;
    settled(connection, &mut targets)?;
    let named = targets.into_iter().map(|(name, target)| OverviewTarget { name, ..target });
    Ok(named.collect())
}

fn disabled(connection: &Connection, targets: &mut Targets) -> Result<(), InspectError> {
    rows(connection, "SELECT name, disabled_at, reason FROM targets", |row| {
        let target = targets.entry(row.get(0)?).or_default();
        target.disabled_at = maybe(row, 1)?;
        target.disabled_reason = row.get(2)?;
        Ok(())
    })?;
    Ok(())
}

/// Counts pending deliveries. Reads only the lengths of bodies.
fn pending(connection: &Connection, targets: &mut Targets) -> Result<(), InspectError> {
    let select = "SELECT target, count(*), sum(length(body)), min(made_at) FROM deliveries \
                  WHERE state = 'pending' GROUP BY target";
    rows(connection, select, |row| {
        let target = targets.entry(row.get(0)?).or_default();
        target.pending = natural(row, 1)?;
        target.pending_bytes = natural(row, 2)?;
        target.oldest_pending = maybe(row, 3)?;
        Ok(())
    })?;
    Ok(())
}

/// Counts settled deliveries. Reads only an index.
fn settled(connection: &Connection, targets: &mut Targets) -> Result<(), InspectError> {
    let select = "SELECT target, state, count(*) FROM deliveries WHERE state <> 'pending' \
                  GROUP BY target, state";
    rows(connection, select, |row| {
        let target = targets.entry(row.get(0)?).or_default();
        let count = match row.get(1)? {
            State::Pending => &mut target.pending,
            State::Sent => &mut target.sent,
            State::Dead => &mut target.dead,
            State::Superseded => &mut target.superseded,
        };
        *count = natural(row, 2)?;
        Ok(())
    })?;
    Ok(())
}

fn reasons(connection: &Connection) -> Result<Vec<DeadReason>, InspectError> {
    let select = format!(
        "SELECT target, coalesce(reason, ''), count(*), max(settled_at) FROM deliveries \
         WHERE state = 'dead' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT {REASONS}"
    );
    rows(connection, &select, |row| {
        Ok(DeadReason {
            target: row.get(0)?,
            reason: row.get(1)?,
            count: natural(row, 2)?,
            last: maybe(row, 3)?,
        })
    })
}

fn by_rule(connection: &Connection, first: &str, from: &str) -> Result<Vec<ByRule>, InspectError> {
    let select = format!("SELECT rule, count(*), {first} FROM {from} GROUP BY rule ORDER BY rule");
    rows(connection, &select, |row| {
        Ok(ByRule { rule: row.get(0)?, count: natural(row, 1)?, first: maybe(row, 2)? })
    })
}

pub(super) fn rows<T>(
    connection: &Connection,
    select: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, InspectError> {
    let mut select = connection.prepare(select)?;
    let rows = select.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
