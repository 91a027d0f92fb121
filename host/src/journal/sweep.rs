//! Removes what is settled and old.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::JournalError;
use crate::model::Timestamp;

/// Most rows of a table that one sweep removes, so that it holds nobody up.
const ROWS: i64 = 10_000;

/// What is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// What is settled, for so many milliseconds.
    pub(super) millis: i64,
    /// So many dead letters.
    pub(super) dead_letters: u32,
}

/// Removes what is older than it is kept for. Returns how many dead letters went because there were
/// too many.
pub(super) fn sweep(
    connection: &mut Connection,
    retention: Retention,
    now: Timestamp,
) -> Result<usize, JournalError> {
    let end = now.as_millis().saturating_sub(retention.millis);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state <> 'pending' AND settled_at < ?1 LIMIT ?2)",
        params![end, ROWS],
    )?;
    let too_many = transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries WHERE state = 'dead' \
         ORDER BY n DESC LIMIT ?2 OFFSET ?1)",
        params![retention.dead_letters, ROWS],
    )?;
    remove_bare_verdicts(&transaction, end)?;
    transaction.execute("DELETE FROM quarantine WHERE time < ?1", [end])?;
    transaction.execute("DELETE FROM gaps WHERE until < ?1", [end])?;
    transaction.commit()?;
    Ok(too_many)
}

/// Makes room where there is none: what was sent goes, however young, the oldest first. Returns how many
/// rows went.
pub(super) fn make_room(connection: &mut Connection) -> Result<usize, JournalError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let removed = transaction.execute(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state IN ('sent', 'superseded') ORDER BY n LIMIT ?1)",
        [ROWS],
    )?;
    // Of what was seen just now the ids should stay: it may be seen once more.
    let bare = transaction.execute(
        "DELETE FROM verdicts WHERE n IN (SELECT n FROM verdicts v \
         WHERE v.n <= (SELECT max(n) - (max(n) - min(n)) / 4 FROM verdicts) \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n) \
         AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.verdict = v.n) ORDER BY n LIMIT ?1)",
        [ROWS],
    )?;
    transaction.commit()?;
    Ok(removed + bare)
}

/// Verdicts go when nothing is left of their deliveries; what was refused goes with them.
fn remove_bare_verdicts(transaction: &Transaction<'_>, end: i64) -> Result<(), JournalError> {
    transaction.execute("DELETE FROM refusals WHERE time < ?1", [end])?;
    transaction.execute(
        "DELETE FROM verdicts WHERE n IN (SELECT n FROM verdicts v WHERE v.time < ?1 \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.verdict = v.n) \
         AND NOT EXISTS (SELECT 1 FROM refusals r WHERE r.verdict = v.n) LIMIT ?2)",
        params![end, ROWS],
    )?;
    Ok(())
}
