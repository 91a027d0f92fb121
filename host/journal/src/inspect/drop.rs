//! Removal of rows by an operator, before their retention ends.

use rusqlite::{Transaction, params_from_iter};
use serde::Serialize;

use super::chunks::in_chunks;
use super::filter::Condition;
use super::id_prefix::Named;
use super::retry::by_target;
use super::{DeliveryRow, Editor, InspectError, Listed, Reader, Selection, State};

/// The rows that are removed by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doomed {
    /// Quarantined events.
    Quarantine,
    /// Refused verdicts.
    Refusals,
}

impl Doomed {
    fn table(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Refusals => "refusals",
        }
    }

    fn one(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantined event",
            Self::Refusals => "refusal",
        }
    }
}

/// The deliveries that would be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// The numbers of deliveries, by target.
    pub letters: Vec<(String, u64)>,
}

/// Returns the deliveries that [`remove`] would remove.
///
/// # Errors
/// Fails if the journal cannot be read, or an id is not found.
pub fn removal(
    reader: &Reader,
    selection: &Selection,
    state: State,
) -> Result<Removal, InspectError> {
    let connection = reader.moment()?;
    let condition = chosen(&connection, selection, state)?;
    let letters = by_target(&connection, "d.target", DeliveryRow::TABLE.from, &condition)?;
    Ok(Removal { letters })
}

/// Removes deliveries of one state; their verdicts stay until their retention ends. A delivery that is under
/// way may still arrive. `told` gets the number removed so far.
///
/// # Errors
/// Fails if the journal cannot be changed, or an id is not found; completed transactions stay.
pub fn remove(
    editor: &mut Editor,
    selection: &Selection,
    state: State,
    told: &mut dyn FnMut(u64),
) -> Result<u64, InspectError> {
    let condition = chosen(editor.connection(), selection, state)?;
    let delete = |from: &Transaction<'_>, numbers: &[i64]| {
        let mut delete =
            from.prepare_cached("DELETE FROM deliveries WHERE n = ?1 AND state = ?2")?;
        let mut removed = 0;
        for number in numbers {
            removed += delete.execute((number, state.as_str()))? as u64;
        }
        Ok(removed)
    };
    in_chunks(editor, &condition, delete, told)
}

fn chosen(
    connection: &rusqlite::Connection,
    selection: &Selection,
    state: State,
) -> Result<Condition, InspectError> {
    let named = Named::of(connection, selection, state)?;
    let mut condition = selection.filter.condition("deliveries", &DeliveryRow::TABLE.fields)?;
    // A literal, so that SQLite uses the index of this state.
    condition.and(&format!("d.state = '{}'", state.as_str()), []);
    if let Some(named) = named {
        named.restrict(&mut condition);
    }
    Ok(condition)
}

/// Removes rows by their numbers: all of them, or none if one does not exist.
///
/// # Errors
/// Fails if a number does not exist, or the journal cannot be changed.
pub fn remove_numbered(
    editor: &mut Editor,
    what: Doomed,
    numbers: &[i64],
) -> Result<(), InspectError> {
    let transaction = editor.change()?;
    let delete = format!("DELETE FROM {} WHERE n = ?", what.table());
    for number in numbers {
        if transaction.execute(&delete, params_from_iter([number]))? == 0 {
            return Err(InspectError::UnknownNumber { what: what.one(), number: *number });
        }
    }
    Ok(transaction.commit()?)
}
