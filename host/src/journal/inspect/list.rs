//! Rows of one kind: a page of them, or each of them.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::filter::{Condition, Fields};
use super::rows::natural;
use super::{Filter, InspectError, Reader};

/// Most rows that are read in one transaction.
const ROWS: usize = 1000;

/// How rows of one kind are read.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// What they are called.
    pub(super) what: &'static str,
    pub(super) columns: &'static str,
    pub(super) from: &'static str,
    pub(super) order: &'static str,
    pub(super) fields: Fields,
}

/// Rows that can be listed.
pub trait Listed: Sized {
    /// How they are read.
    const TABLE: Table;

    /// Reads a row, in the order of the table's columns.
    ///
    /// # Errors
    /// Fails if a column holds something else.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

/// Rows that have numbers, which grow.
pub trait Numbered: Listed {
    /// The number's column.
    const NUMBER: &'static str;

    /// The row's number.
    fn number(&self) -> i64;
}

/// Some rows.
#[derive(Debug)]
pub struct Page<T> {
    /// Those that were asked for.
    pub rows: Vec<T>,
    /// How many more there are.
    pub more: u64,
}

/// The first rows that a filter names: of what has a time, the newest.
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

/// Hands over every row that a filter names and that was there at the beginning, the oldest first.
/// It reads them page by page: whoever takes them may be slow.
///
/// # Errors
/// Fails if the journal cannot be read, the filter does not fit, or what takes the rows says so.
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
