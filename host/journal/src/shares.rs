//! Fair removal: rows are removed from the largest shares, the oldest first, so that no row of a quiet rule is
//! removed because of a noisy one.
//!
//! The shares are the dead letters of each target and rule, the quarantined events of each rule, and the
//! refusals of each rule.

use rusqlite::{Transaction, params};

use super::{JournalError, quarantine};

/// The most rows of a share that are removed at once.
const FEW: i64 = 2000;
/// The divisor of the bytes of all shares that gives the bytes to remove at once, and their bounds.
const PART: u64 = 16;
const LEAST: u64 = 64 << 10;
const MOST: u64 = 4 << 20;
/// The bytes of a refusal besides its verdict.
const REFUSAL: u64 = 200;

/// A group of rows that are removed together, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Share {
    DeadLetters { target: String, rule: String },
    Quarantine { rule: Option<String> },
    Refusals { rule: String },
}

/// Removes some of the oldest rows of the largest shares, so that these become equally large and the others
/// lose nothing. Returns the number removed.
pub(super) fn remove_from_largest(to: &Transaction<'_>) -> Result<usize, JournalError> {
    let shares = all(to)?;
    let total: u64 = shares.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
    let part = (total / PART).clamp(LEAST, MOST);
    let level = level(shares.iter().map(|(_, bytes)| *bytes).collect(), total.saturating_sub(part));
    let mut removed = 0;
    for (share, bytes) in &shares {
        let excess = bytes.saturating_sub(level);
        if excess > 0 {
            removed += remove(to, share, excess)?;
        }
    }
    Ok(removed)
}

/// Removes the oldest rows of a share, until `excess` bytes are free or `FEW` rows are removed.
fn remove(to: &Transaction<'_>, share: &Share, excess: u64) -> Result<usize, JournalError> {
    let table = match share {
        Share::DeadLetters { .. } => "deliveries",
        Share::Quarantine { .. } => "quarantine",
        Share::Refusals { .. } => "refusals",
    };
    let mut delete = to.prepare_cached(&format!("DELETE FROM {table} WHERE n = ?1"))?;
    let (mut removed, mut freed) = (0, 0u64);
    for (number, bytes) in oldest(to, share)? {
        removed += delete.execute([number])?;
        freed = freed.saturating_add(bytes);
        if freed >= excess {
            break;
        }
    }
    Ok(removed)
}

/// Returns all shares with their bytes.
fn all(to: &Transaction<'_>) -> Result<Vec<(Share, u64)>, JournalError> {
    let mut shares = Vec::new();
    let mut select = to.prepare_cached(
        "SELECT target, rule, sum(cost) FROM deliveries WHERE state = 'dead' GROUP BY target, rule",
    )?;
    let rows = select.query_map([], |row| {
        let share = Share::DeadLetters { target: row.get(0)?, rule: row.get(1)? };
        Ok((share, bytes(row.get(2)?, 0, 0)))
    })?;
    for row in rows {
        shares.push(row?);
    }
    let mut select = to.prepare_cached(
        "SELECT rule, count(*), sum(length(CAST(input AS BLOB)) + length(CAST(reason AS BLOB))) \
         FROM quarantine GROUP BY rule",
    )?;
    let rows = select.query_map([], |row| {
        let share = Share::Quarantine { rule: row.get(0)? };
        Ok((share, bytes(row.get(2)?, row.get(1)?, quarantine::ROW)))
    })?;
    for row in rows {
        shares.push(row?);
    }
    let mut select = to.prepare_cached(
        "SELECT v.rule, count(*), sum(octet_length(v.body)) \
         FROM refusals r JOIN verdicts v ON v.n = r.verdict GROUP BY v.rule",
    )?;
    let rows = select.query_map([], |row| {
        let share = Share::Refusals { rule: row.get(0)? };
        Ok((share, bytes(row.get(2)?, row.get(1)?, REFUSAL)))
    })?;
    for row in rows {
        shares.push(row?);
    }
    Ok(shares)
}

fn bytes(texts: i64, rows: i64, row: u64) -> u64 {
    texts.unsigned_abs().saturating_add(rows.unsigned_abs().saturating_mul(row))
}

/// Returns the oldest rows of a share, each with its bytes.
fn oldest(to: &Transaction<'_>, share: &Share) -> Result<Vec<(i64, u64)>, JournalError> {
    let read = |row: &rusqlite::Row<'_>, beside: u64| -> rusqlite::Result<(i64, u64)> {
        Ok((row.get(0)?, bytes(row.get(1)?, 1, beside)))
    };
    let rows: Result<Vec<_>, _> = match share {
        Share::DeadLetters { target, rule } => to
            .prepare_cached(
                "SELECT n, cost FROM deliveries WHERE state = 'dead' AND target = ?1 AND rule = ?2 \
                 ORDER BY n LIMIT ?3",
            )?
            .query_map(params![target, rule, FEW], |row| read(row, 0))?
            .collect(),
        Share::Quarantine { rule } => to
            .prepare_cached(
                "SELECT n, length(CAST(input AS BLOB)) + length(CAST(reason AS BLOB)) \
                 FROM quarantine WHERE rule IS ?1 ORDER BY n LIMIT ?2",
            )?
            .query_map(params![rule, FEW], |row| read(row, quarantine::ROW))?
            .collect(),
        Share::Refusals { rule } => to
            .prepare_cached(
                "SELECT r.n, octet_length(v.body) FROM refusals r JOIN verdicts v ON v.n = r.verdict \
                 WHERE v.rule = ?1 ORDER BY r.n LIMIT ?2",
            )?
            .query_map(params![rule, FEW], |row| read(row, REFUSAL))?
            .collect(),
    };
    Ok(rows?)
}

/// Removes the oldest dead letters of the largest shares, until at most `most` are left in all, or `limit` are
/// removed. Returns the number removed.
pub(super) fn remove_dead_beyond(
    to: &Transaction<'_>,
    most: u64,
    limit: u64,
) -> Result<usize, JournalError> {
    let mut select = to.prepare_cached(
        "SELECT target, rule, count(*) FROM deliveries WHERE state = 'dead' GROUP BY target, rule",
    )?;
    let rows = select.query_map([], |row| {
        let count: i64 = row.get(2)?;
        Ok((row.get(0)?, row.get(1)?, count.unsigned_abs()))
    })?;
    let shares: Vec<(String, String, u64)> = rows.collect::<Result<_, _>>()?;
    let level = level(shares.iter().map(|(_, _, count)| *count).collect(), most);
    let mut delete = to.prepare_cached(
        "DELETE FROM deliveries WHERE n IN (SELECT n FROM deliveries \
         WHERE state = 'dead' AND target = ?1 AND rule = ?2 ORDER BY n LIMIT ?3)",
    )?;
    let (mut removed, mut left) = (0, limit);
    for (target, rule, count) in &shares {
        let excess = count.saturating_sub(level).min(left);
        if excess == 0 {
            continue;
        }
        removed += delete.execute(params![target, rule, excess.cast_signed()])?;
        left -= excess;
    }
    Ok(removed)
}

/// Returns the most that each share may keep, so that together they have at most `most`.
fn level(mut counts: Vec<u64>, most: u64) -> u64 {
    counts.sort_unstable();
    let (mut left, mut others) = (most, counts.len() as u64);
    for count in counts {
        let level = left / others.max(1);
        if count > level {
            return level;
        }
        left -= count;
        others -= 1;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_largest_shares_are_cut() {
        assert_eq!(level(vec![3, 90, 7], 200), u64::MAX, "all have room");
        assert_eq!(level(vec![3, 90, 7], 50), 40);
        assert_eq!(level(vec![3, 90, 80, 7], 50), 20);
        assert_eq!(level(vec![3, 90, 80, 7], 0), 0);
        assert_eq!(level(vec![], 5), u64::MAX);
    }
}
