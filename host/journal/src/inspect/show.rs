//! Details of one verdict, delivery, gap or quarantined event.

use rusqlite::types::Value;
use serde::Serialize;

use super::filter::Condition;
use super::id_prefix::{Found, find};
use super::list::select;
use super::{
    GapRow, InspectError, Letter, Listed, Quarantined, Reader, RefusalRow, VerdictRow, WatchRow,
};

/// A verdict with its deliveries and refusals.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The verdict.
    pub verdict: VerdictRow,
    /// Its deliveries, or only the one that was asked for.
    pub deliveries: Vec<Letter>,
    /// The targets for which a delivery could not be made.
    pub refusals: Vec<RefusalRow>,
}

/// A gap, with the present progress of its watch.
#[derive(Debug, Clone, Serialize)]
pub struct ShownGap {
    /// The gap.
    #[serde(flatten)]
    pub gap: GapRow,
    /// The watch; `None` if there is no watch of this name any more.
    pub now: Option<WatchRow>,
}

/// Returns a verdict with all its deliveries, or with the one that has this id.
///
/// # Errors
/// Fails if no id, or several, begin with `id`, or the journal cannot be read.
pub fn show(reader: &Reader, id: &str) -> Result<Shown, InspectError> {
    let moment = reader.moment()?;
    let (verdict, delivery) = match find(&moment, id)? {
        Found::Verdict(number) => (number, None),
        Found::Delivery { number, verdict, .. } => (verdict, Some(number)),
    };
    let verdicts: Vec<VerdictRow> = select(&moment, &by("v.n = ?", verdict), "v.n", 1)?;
    let found = verdicts.into_iter().next();
    let deliveries = match delivery {
        Some(number) => by("d.n = ?", number),
        None => by("d.verdict = ?", verdict),
    };
    let limit = u64::from(u32::MAX);
    let refusals = match delivery {
        Some(_) => Vec::new(),
        None => select(&moment, &by("r.verdict = ?", verdict), "r.n", limit)?,
    };
    let shown = Shown {
        // Missing only if a delivery has no verdict, which `check` reports.
        verdict: found.ok_or_else(|| InspectError::UnknownId { id: id.to_owned() })?,
        deliveries: select(&moment, &deliveries, "d.n", limit)?,
        refusals,
    };
    reader.sound(shown)
}

/// Returns a gap by its number.
///
/// # Errors
/// Fails if there is no such gap, or the journal cannot be read.
pub fn gap(reader: &Reader, number: i64) -> Result<ShownGap, InspectError> {
    let moment = reader.moment()?;
    let gap: GapRow = one(&moment, "gap", "g.n = ?", number)?;
    let mut condition = Condition::default();
    condition.and("w.name = ?", [Value::Text(gap.watch.clone())]);
    let now: Vec<WatchRow> = select(&moment, &condition, WatchRow::TABLE.order, 1)?;
    reader.sound(ShownGap { gap, now: now.into_iter().next() })
}

/// Returns a quarantined event by its number.
///
/// # Errors
/// Fails if there is no such event, or the journal cannot be read.
pub fn quarantined(reader: &Reader, number: i64) -> Result<Quarantined, InspectError> {
    reader.sound(one(reader.connection(), "quarantined event", "q.n = ?", number)?)
}

fn one<T: Listed>(
    connection: &rusqlite::Connection,
    what: &'static str,
    sql: &str,
    number: i64,
) -> Result<T, InspectError> {
    let rows = select(connection, &by(sql, number), T::TABLE.order, 1)?;
    rows.into_iter().next().ok_or(InspectError::UnknownNumber { what, number })
}

fn by(sql: &str, number: i64) -> Condition {
    let mut condition = Condition::default();
    condition.and(sql, [Value::Integer(number)]);
    condition
}
