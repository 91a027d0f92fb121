//! Changes of many deliveries in short transactions, because the service's writer waits meanwhile, and gives up
//! after a while.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};

use super::filter::Condition;
use super::rows::natural;
use super::{DeliveryRow, Editor, InspectError, Listed};
use klaxon_model::clock::Stopwatch;

/// The most deliveries of one transaction.
const ROWS: usize = 1000;
/// The most bytes of their bodies: each is written again, and all of them with one fsync.
const BYTES: u64 = 8 << 20;
/// The shortest pause between transactions.
const PAUSE: Duration = Duration::from_millis(20);

/// Applies `change` in chunks to the numbers of all deliveries that match the condition. Deliveries that were
/// made or renumbered after the beginning are not changed. `told` gets the number of changed deliveries so far.
/// Returns their total.
pub(super) fn in_chunks(
    editor: &mut Editor,
    condition: &Condition,
    mut change: impl FnMut(&Transaction<'_>, &[i64]) -> Result<u64, InspectError>,
    told: &mut dyn FnMut(u64),
) -> Result<u64, InspectError> {
    let sequence = "SELECT coalesce(max(n), 0) FROM deliveries";
    let last: i64 = editor.connection().query_row(sequence, [], |row| row.get(0))?;
    let (mut after, mut changed) = (i64::MIN, 0);
    loop {
        let watch = Stopwatch::start();
        let transaction = editor.change()?;
        let numbers = next(&transaction, condition, after, last)?;
        let Some(&end) = numbers.last() else { return Ok(changed) };
        changed += change(&transaction, &numbers)?;
        transaction.commit()?;
        after = end;
        told(changed);
        // Leaves the journal to the service for as long as the transaction took.
        std::thread::sleep(watch.elapsed().max(PAUSE));
    }
}

/// Returns the next deliveries by number: at least one, if any is left.
fn next(
    transaction: &Transaction<'_>,
    condition: &Condition,
    after: i64,
    last: i64,
) -> Result<Vec<i64>, InspectError> {
    let mut condition = condition.clone();
    condition.and("d.n > ? AND d.n <= ?", [Value::Integer(after), Value::Integer(last)]);
    let select = format!(
        "SELECT d.n, length(d.body) FROM {} WHERE {} ORDER BY d.n LIMIT {ROWS}",
        DeliveryRow::TABLE.from,
        condition.sql
    );
    let mut select = transaction.prepare_cached(&select)?;
    let rows = select.query_map(params_from_iter(&condition.values), |row| {
        Ok((row.get::<_, i64>(0)?, natural(row, 1)?))
    })?;
    let (mut numbers, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let (number, length) = row?;
        bytes += length;
        if bytes > BYTES && !numbers.is_empty() {
            break;
        }
        numbers.push(number);
    }
    Ok(numbers)
}
