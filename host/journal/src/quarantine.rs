//! The share of the journal that quarantined events of one rule may take.

use rusqlite::{Transaction, params};

use super::JournalError;

/// The most quarantined events of one rule.
const ROWS: u64 = 10_000;
/// The divisor of `journal.max_size` that gives the most bytes of one rule's quarantined events.
const PART: u64 = 64;
/// The bytes of a row besides its input and reason.
pub(super) const ROW: u64 = 200;

/// The most that is stored of one rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Share {
    /// Returns the share in a journal that may grow to `max_size` bytes.
    pub(super) fn of(max_size: u64) -> Self {
        Self { rows: ROWS, bytes: max_size / PART }
    }
}

/// Removes the oldest quarantined events of a rule that exceed its share; the newest always stays. Returns the
/// number removed.
pub(super) fn trim(
    to: &Transaction<'_>,
    rule: Option<&str>,
    share: Share,
) -> Result<usize, JournalError> {
    let Some(last) = last_beyond(to, rule, share)? else { return Ok(0) };
    let mut delete = to.prepare_cached("DELETE FROM quarantine WHERE rule IS ?1 AND n <= ?2")?;
    Ok(delete.execute(params![rule, last])?)
}

/// Returns the number of the newest row that exceeds the share. Reads the index alone.
fn last_beyond(
    to: &Transaction<'_>,
    rule: Option<&str>,
    share: Share,
) -> Result<Option<i64>, JournalError> {
    let mut select = to.prepare_cached(
        "SELECT n, length(CAST(input AS BLOB)) + length(CAST(reason AS BLOB)) \
         FROM quarantine WHERE rule IS ?1 ORDER BY n DESC",
    )?;
    let mut rows = select.query([rule])?;
    let (mut count, mut bytes) = (0u64, 0u64);
    while let Some(row) = rows.next()? {
        let length: i64 = row.get(1)?;
        count += 1;
        bytes = bytes.saturating_add(ROW).saturating_add(length.unsigned_abs());
        if count > 1 && (count > share.rows || bytes > share.bytes) {
            return Ok(Some(row.get(0)?));
        }
    }
    Ok(None)
}
