//! How much of everything there is.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Row};
use serde::Serialize;

use super::list::select;
use super::rows::{maybe, natural};
use super::{Filter, InspectError, Listed, Reader, State, WatchRow};
use crate::journal::{schema, wal};
use crate::model::Timestamp;

/// How many different reasons of dead letters are told apart.
const REASONS: usize = 20;

/// How much of everything there is.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// The schema's version.
    pub version: usize,
    /// On disk.
    pub files: Files,
    /// Verdicts that are kept.
    pub verdicts: u64,
    /// Every target with a delivery or a mark.
    pub targets: Vec<OverviewTarget>,
    /// Why deliveries were given up, the most frequent reasons first.
    pub dead: Vec<DeadReason>,
    /// Verdicts that could not be made deliveries.
    pub refusals: u64,
    /// Those of them that the service is asked to try again.
    pub refusals_marked: u64,
    /// Gaps that are kept.
    pub gaps: u64,
    /// Events that were set aside; those without a rule could not be read.
    pub quarantine: Vec<ByRule>,
    /// Events that wait for their rule.
    pub backlog: Vec<ByRule>,
    /// Timers.
    pub timers: Vec<ByRule>,
    /// Rows of state.
    pub state: Vec<ByRule>,
    /// How far each watch is.
    pub watches: Vec<WatchRow>,
}

/// Sizes on disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Files {
    /// The database.
    pub database: u64,
    /// The log that is not yet folded in.
    pub log: u64,
}

/// The deliveries of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OverviewTarget {
    /// Its name.
    pub name: String,
    /// Since when its deliveries become dead letters.
    pub disabled_at: Option<Timestamp>,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Deliveries that wait.
    pub pending: u64,
    /// Length of their bodies.
    pub pending_bytes: u64,
    /// When the oldest of them was made.
    pub oldest_pending: Option<Timestamp>,
    /// Delivered.
    pub sent: u64,
    /// Given up.
    pub dead: u64,
    /// A newer one took their place.
    pub superseded: u64,
}

/// How often deliveries to a target were given up for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadReason {
    /// The target.
    pub target: String,
    /// The reason.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// The last time.
    pub last: Option<Timestamp>,
}

/// A count for a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByRule {
    /// The rule, if there is one.
    pub rule: Option<String>,
    /// How many.
    pub count: u64,
    /// Time of the first: of timers the next that is due, of state none.
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
        // There is none where the service was ended in order.
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

/// Of a body only the length is read.
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

/// Reads nothing but an index.
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
