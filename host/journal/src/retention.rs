//! Removal of settled and old rows.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::restore::event_clock;
use super::{JournalError, shares};
use klaxon_model::Timestamp;

/// The most rows of a table that one sweep removes, so that a sweep does not delay the writer's orders.
const ROWS: i64 = 10_000;

/// An SQL condition: verdict `v` has no delivery and no refusal.
const BARE: &str = "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n) \
                    AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.verdict = v.n)";

/// The bounds on stored rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// The age, in milliseconds, at which settled rows are removed.
    pub(super) millis: i64,
    /// The most dead letters.
    pub(super) dead_letters: u32,
}

/// The result of a sweep.
#[derive(Debug)]
pub(super) struct Swept {
    /// The number of dead letters that were removed because there were too many.
    pub(super) too_many: usize,
    /// `true` if there may be more rows to remove.
    pub(super) has_more: bool,
}

/// Removes the rows that exceed the retention. Deliveries are settled by the machine's clock. Verdicts, refusals,
/// quarantined events and gaps have the time of their event: their age counts by the event clock, or those of an older
/// recording would be removed as soon as they are written.
pub(super) fn sweep(
    connection: &mut Connection,
    retention: Retention,
    now: Timestamp,
) -> Result<Swept, JournalError> {
    let end = now.as_millis().saturating_sub(retention.millis);
    let events = event_clock(connection)?.map_or(now, |clock| clock.min(now));
    let events_end = events.as_millis().saturating_sub(retention.millis);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let old = transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state <> 'pending' AND settled_at < ?1 LIMIT ?2)",
        params![end, ROWS],
    )?;
    let most = u64::from(retention.dead_letters);
    let too_many = shares::remove_dead_beyond(&transaction, most, ROWS.unsigned_abs())?;
    transaction.execute("DELETE FROM refusals WHERE time < ?1", [events_end])?;
    let bare = remove_bare(&transaction, "v.time < ?2", events_end)?;
    transaction.execute("DELETE FROM quarantine WHERE time < ?1", [events_end])?;
    transaction.execute("DELETE FROM gaps WHERE until < ?1", [events_end])?;
    transaction.commit()?;
    let most = usize::try_from(ROWS).unwrap_or(usize::MAX);
    Ok(Swept { too_many, has_more: old.max(too_many).max(bare) >= most })
}

/// The numbers of rows that were removed to free space.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    /// Sent and superseded deliveries, and verdicts without deliveries or refusals.
    pub(super) sent: usize,
    /// Dead letters, quarantined events and refusals.
    pub(super) given_up: usize,
}

/// Frees space. Removes sent and superseded deliveries of any age, the oldest first, together with verdicts
/// that have no deliveries or refusals, except the youngest quarter, because their ids identify repeats. Only
/// if there were none of these, removes the oldest rows of the largest shares of dead letters, quarantined
/// events and refusals.
pub(super) fn make_room(connection: &mut Connection) -> Result<Removed, JournalError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let removed = transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state <> 'pending' AND state IN ('sent', 'superseded') ORDER BY settled_at LIMIT ?1)",
        [ROWS],
    )?;
    // The ids of recent verdicts should stay as long as possible, because those may be repeated. Verdicts that
    // still have deliveries or refusals do not count for the range: those of an unavailable target may be old.
    let young: i64 = transaction.query_row(
        &format!(
            "SELECT coalesce(max(n) - (max(n) - (SELECT min(n) FROM verdicts v WHERE {BARE})) / 4, 0) \
             FROM verdicts"
        ),
        [],
        |row| row.get(0),
    )?;
    let bare = remove_bare(&transaction, "v.n <= ?2", young)?;
    let sent = removed + bare;
    let given_up = if sent > 0 { 0 } else { shares::remove_from_largest(&transaction)? };
    transaction.commit()?;
    Ok(Removed { sent, given_up })
}

/// Removes verdicts without deliveries or refusals that match `which`, whose `?2` is `bound`. In no order:
/// ordering by number would keep SQLite from using the index on their times.
fn remove_bare(
    transaction: &Transaction<'_>,
    which: &str,
    bound: i64,
) -> Result<usize, JournalError> {
    let delete = format!(
        "DELETE FROM verdicts WHERE n IN (SELECT n FROM verdicts v WHERE {which} AND {BARE} LIMIT ?1)"
    );
    Ok(transaction.execute(&delete, [ROWS, bound])?)
}
