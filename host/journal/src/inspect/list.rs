//! Listing of rows of one kind, by page or one by one.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::filter::{Condition, Fields};
use super::rows::natural;
use super::{Filter, InspectError, Reader};

/// The most rows that are read in one transaction.
const ROWS: usize = 1000;

/// The query for rows of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name of the rows in messages.
    pub(super) what: &'static str,
    pub(super) columns: &'static str,
    pub(super) from: &'static str,
    pub(super) order: &'static str,
    pub(super) fields: Fields,
}

/// Rows that can be listed.
pub trait Listed: Sized {
    /// The query.
    const TABLE: Table;

    /// Reads a row, in the order of the table's columns.
    ///
    /// # Errors
    /// Fails if a column has an unexpected type.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

/// Rows with increasing numbers.
pub trait Numbered: Listed {
    /// The column of the number.
    const NUMBER: &'static str;

    /// Returns the row's number.
    fn number(&self) -> i64;
}

/// A page of rows.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The number of further rows.
    pub more: u64,
}

/// Returns the first rows that match a filter; of rows with a time, the newest.
///
/// # Errors
/// Fails if the journal cannot be read, or the filter does not fit.
pub fn page<T: Listed>(
    reader: &Reader,
    filter: &Filter,
    limit: u64,
) -> Result<Page<T>, InspectError> {
    let condition = filter.condition(T::TABLE.what, &T::TABLE.fields)?;
    let moment = reader.moment()?;
    let rows: Vec<T> = select(&moment, &condition, T::TABLE.order, limit)?;
    let shown = rows.len() as u64;
    let more = if shown < limit { 0 } else { counted::<T>(&moment, &condition)? - shown };
    reader.sound(Page { rows, more })
}

/// Hands every row that matches a filter, and existed at the beginning, to `take`, the oldest first. Reads page
/// by page, so that a slow `take` holds no transaction open.
///
/// # Errors
/// Fails if the journal cannot be read, the filter does not fit, or `take` fails.
pub fn each<T: Numbered, E: From<InspectError>>(
    reader: &Reader,
    filter: &Filter,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut condition = filter.condition(T::TABLE.what, &T::TABLE.fields)?;
    let last = last::<T>(reader)?;
    condition.and(&format!("{0} > ? AND {0} <= ?", T::NUMBER), [Value::Null, last.into()]);
    let place = condition.values.len() - 2;
    let mut after = i64::MIN;
    loop {
        if let Some(value) = condition.values.get_mut(place) {
            *value = after.into();
        }
        let rows: Vec<T> = select(reader.connection(), &condition, T::NUMBER, ROWS as u64)?;
        let rows = reader.sound(rows)?;
        let is_last = rows.len() < ROWS;
        after = rows.last().map_or(after, T::number);
        rows.into_iter().try_for_each(&mut take)?;
        if is_last {
            return Ok(());
        }
    }
}

fn last<T: Numbered>(reader: &Reader) -> Result<i64, InspectError> {
    let select = format!("SELECT {0} FROM {1} ORDER BY {0} DESC LIMIT 1", T::NUMBER, T::TABLE.from);
    let last = reader.connection().query_row(&select, [], |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

pub(super) fn select<T: Listed>(
    connection: &rusqlite::Connection,
    condition: &Condition,
    order: &str,
    limit: u64,
) -> Result<Vec<T>, InspectError> {
    let Table { columns, from, .. } = T::TABLE;
    let sql = &condition.sql;
    let select = format!("SELECT {columns} FROM {from} WHERE {sql} ORDER BY {order} LIMIT {limit}");
    let mut select = connection.prepare_cached(&select)?;
    let rows = select.query_map(params_from_iter(&condition.values), |row| T::read(row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn counted<T: Listed>(
    connection: &rusqlite::Connection,
    condition: &Condition,
) -> Result<u64, InspectError> {
    let select = format!("SELECT count(*) FROM {} WHERE {}", T::TABLE.from, condition.sql);
    let values = params_from_iter(&condition.values);
    Ok(connection.query_row(&select, values, |row| natural(row, 0))?)
}
