//! Retrying of dead letters: each keeps its id and its body, and goes to the end of the outbox.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};
use serde::Serialize;

use super::chunks::in_chunks;
use super::filter::Condition;
use super::id_prefix::Named;
use super::rows::{maybe, natural};
use super::{DeliveryRow, Editor, InspectError, Listed, Reader, RefusalRow, Selection, State};
use klaxon_model::{Timestamp, clock};

const IS_DISABLED: &str = "d.target IN (SELECT name FROM targets)";

/// The rows that would be retried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Resend {
    /// Dead letters, by target.
    pub letters: Vec<(String, u64)>,
    /// Dead letters that stay because their target is disabled: they would be given up again at once.
    pub disabled: Vec<(String, u64)>,
    /// Refusals that the service will be asked to retry, by target.
    pub refusals: Vec<(String, u64)>,
}

/// The number of rows that are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Resent {
    /// Dead letters.
    pub letters: u64,
    /// Refusals that are marked for the service.
    pub refusals: u64,
}

/// Returns the rows that [`resend`] would retry.
///
/// # Errors
/// Fails if the journal cannot be read, or an id is not found.
pub fn resendable(reader: &Reader, selection: &Selection) -> Result<Resend, InspectError> {
    let connection = reader.moment()?;
    let dead = Chosen::of(&connection, selection)?;
    let letters = |extra: &str| {
        let mut condition = dead.letters.clone();
        condition.and(extra, []);
        by_target(&connection, "d.target", DeliveryRow::TABLE.from, &condition)
    };
    let refusals = dead
        .refusals
        .as_ref()
        .map(|condition| by_target(&connection, "r.target", RefusalRow::TABLE.from, condition));
    Ok(Resend {
        letters: letters(&format!("NOT {IS_DISABLED}"))?,
        disabled: letters(IS_DISABLED)?,
        refusals: refusals.transpose()?.unwrap_or_default(),
    })
}

/// Retries dead letters, and marks refusals so that the service renders them if their target exists by then.
/// Dead letters to disabled targets stay. `told` gets the number retried so far.
///
/// # Errors
/// Fails if the journal cannot be changed, or an id is not found; completed transactions stay.
pub fn resend(
    editor: &mut Editor,
    selection: &Selection,
    told: &mut dyn FnMut(u64),
) -> Result<Resent, InspectError> {
    let Chosen { mut letters, refusals } = Chosen::of(editor.connection(), selection)?;
    letters.and(&format!("NOT {IS_DISABLED}"), []);
    let letters = in_chunks(editor, &letters, renumber, told)?;
    let refusals = match refusals {
        Some(condition) => mark(editor, &condition)?,
        None => 0,
    };
    Ok(Resent { letters, refusals })
}

/// The rows that a selection chooses.
struct Chosen {
    letters: Condition,
    /// `None` if the selection names deliveries only, or a property that refusals lack.
    refusals: Option<Condition>,
}

impl Chosen {
    fn of(connection: &Connection, selection: &Selection) -> Result<Self, InspectError> {
        let named = Named::of(connection, selection, State::Dead)?;
        let Selection { filter, .. } = selection;
        let mut letters = filter.condition("dead letters", &DeliveryRow::TABLE.fields)?;
        letters.and("d.state = 'dead'", []);
        let mut refusals = filter.condition("refusals", &RefusalRow::TABLE.fields).ok();
        if let Some(condition) = &mut refusals {
            condition.and("r.retry = 0", []);
        }
        if let Some(named) = named {
            named.restrict(&mut letters);
            if let Some(condition) = &mut refusals {
                let verdicts = named.verdicts.iter().copied().map(Value::Integer);
                condition.and(&named.of_verdicts("r"), verdicts);
            }
        }
        Ok(Self { letters, refusals })
    }
}

/// Gives new numbers, because a target's queue has read beyond the old ones. Like AUTOINCREMENT, a new number
/// is higher than any before, including those of removed rows. The attempts are counted anew; until the next one is
/// settled, the reason tells of those before, and the receiver's last response stays.
fn renumber(to: &Transaction<'_>, numbers: &[i64]) -> Result<u64, InspectError> {
    let sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'";
    let sequence: Option<i64> = to.query_row(sequence, [], |row| row.get(0)).optional()?;
    let highest = "SELECT coalesce(max(n), 0) FROM deliveries";
    let highest: i64 = to.query_row(highest, [], |row| row.get(0))?;
    let mut last = highest.max(sequence.unwrap_or(0));
    let now = clock::now();
    let select = "SELECT attempts, since, reason FROM deliveries WHERE n = ?1 AND state = 'dead'";
    let mut select = to.prepare_cached(select)?;
    let mut update = to.prepare_cached(
        "UPDATE deliveries SET n = ?2, state = 'pending', attempts = 0, since = NULL, \
         next_at = NULL, settled_at = NULL, reason = ?3 WHERE n = ?1 AND state = 'dead'",
    )?;
    let mut changed = 0;
    for number in numbers {
        last += 1;
        let before = select.query_row([number], |row| {
            Ok((natural(row, 0)?, maybe(row, 1)?, row.get::<_, Option<String>>(2)?))
        });
        let Some((attempts, since, reason)) = before.optional()? else { continue };
        let history = history(now, attempts, since, reason.as_deref());
        changed += update.execute(params![number, last, history])? as u64;
    }
    to.execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'deliveries'", [last])?;
    Ok(changed)
}

/// Formats the attempts of a dead letter before it is retried.
fn history(
    now: Timestamp,
    attempts: u64,
    since: Option<Timestamp>,
    reason: Option<&str>,
) -> String {
    let noun = if attempts == 1 { "attempt" } else { "attempts" };
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("retried at {now}, after {attempts} {noun}{since}{reason}")
}

fn mark(editor: &mut Editor, condition: &Condition) -> Result<u64, InspectError> {
    let transaction = editor.change()?;
    let update = format!(
        "UPDATE refusals SET retry = 1 WHERE n IN (SELECT r.n FROM {} WHERE {})",
        RefusalRow::TABLE.from,
        condition.sql
    );
    let marked = transaction.execute(&update, params_from_iter(&condition.values))?;
    transaction.commit()?;
    Ok(marked as u64)
}

/// Returns the number of rows that match a condition, by target.
pub(super) fn by_target(
    connection: &Connection,
    target: &str,
    from: &str,
    condition: &Condition,
) -> Result<Vec<(String, u64)>, InspectError> {
    let sql = &condition.sql;
    let select =
        format!("SELECT {target}, count(*) FROM {from} WHERE {sql} GROUP BY {target} ORDER BY 1");
    let mut select = connection.prepare(&select)?;
    let rows = select.query_map(params_from_iter(&condition.values), |row| {
        Ok((row.get(0)?, natural(row, 1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
