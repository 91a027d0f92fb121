//! Removes what is settled and old.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{JournalError, shares};
use crate::model::Timestamp;

/// Most rows of a table that one sweep removes, so that it holds nobody up.
const ROWS: i64 = 10_000;

/// A verdict `v` has nothing left: no delivery and no refusal.
const BARE: &str = "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n) \
                    AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.verdict = v.n)";

/// What is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// What is settled, for so many milliseconds.
    pub(super) millis: i64,
    /// So many dead letters.
    pub(super) dead_letters: u32,
}

/// What a sweep has done.
#[derive(Debug)]
pub(super) struct Swept {
    /// How many dead letters went because there were too many.
    pub(super) too_many: usize,
    /// There is more to be removed.
    pub(super) has_more: bool,
}

/// Removes what is older than it is kept for.
pub(super) fn sweep(
    connection: &mut Connection,
    retention: Retention,
    now: Timestamp,
) -> Result<Swept, JournalError> {
    let end = now.as_millis().saturating_sub(retention.millis);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let old = transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state <> 'pending' AND settled_at < ?1 LIMIT ?2)",
        params![end, ROWS],
    )?;
    let most = u64::from(retention.dead_letters);
    let too_many = shares::remove_dead_beyond(&transaction, most, ROWS.unsigned_abs())?;
    transaction.execute("DELETE FROM refusals WHERE time < ?1", [end])?;
    let bare = remove_bare(&transaction, "v.time < ?2", end)?;
    transaction.execute("DELETE FROM quarantine WHERE time < ?1", [end])?;
    transaction.execute("DELETE FROM gaps WHERE until < ?1", [end])?;
    transaction.commit()?;
    let most = usize::try_from(ROWS).unwrap_or(usize::MAX);
    Ok(Swept { too_many, has_more: old.max(too_many).max(bare) >= most })
}

/// The rows that were removed to make room.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    /// Deliveries that were sent or superseded, and verdicts that have nothing else.
    pub(super) sent: usize,
    /// Dead letters, quarantined events and refusals.
    pub(super) given_up: usize,
}

/// Makes room, in this order: deliveries that were sent or superseded, however young, the oldest first;
/// with them verdicts that have nothing left, whose ids tell repeats, each time but for the youngest
/// quarter; and only where there was none of these, the oldest rows of the largest share of what was given up.
pub(super) fn make_room(connection: &mut Connection) -> Result<Removed, JournalError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let removed = transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state <> 'pending' AND state IN ('sent', 'superseded') ORDER BY settled_at LIMIT ?1)",
        [ROWS],
    )?;
    // Of what was seen just now the ids should stay as long as possible: it may be seen once more. Verdicts
    // that still have something do not count, for those of a dead target may be old.
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

/// Removes verdicts of which nothing is left to be delivered, where `which` holds for `bound`, its `?2`.
/// In no order: one by number would keep SQLite from the index of their times.
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
