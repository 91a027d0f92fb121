//! Formats aligned tables and their cells.

use bytesize::ByteSize;

pub(super) use super::super::some;
use klaxon_model::{Timestamp, plain};

/// The maximum width of a cell that is not in the last column.
const MOST: usize = 48;

/// Formats a table with headers; numbers are right-aligned. The last column may be of any width.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let last = heads.len().saturating_sub(1);
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let most = |column| if column == last { usize::MAX } else { MOST };
            row.iter().enumerate().map(|(column, cell)| cut(&plain(cell), most(column))).collect()
        })
        .collect();
    let columns: Vec<Column> =
        heads.iter().enumerate().map(|(column, head)| Column::of(head, &rows, column)).collect();
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    std::iter::once(&heads).chain(&rows).map(|row| aligned(row, &columns)).collect()
}

struct Column {
    width: usize,
    is_number: bool,
}

impl Column {
    fn of(head: &str, rows: &[Vec<String>], column: usize) -> Self {
        let cells = || rows.iter().filter_map(|row| row.get(column));
        let width = cells().map(|cell| cell.chars().count()).chain([head.chars().count()]).max();
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let is_number = cells().all(|cell| !cell.is_empty() && cell.bytes().all(is_digit));
        Self { width: width.unwrap_or(0), is_number: is_number && !rows.is_empty() }
    }
}

fn aligned(row: &[String], columns: &[Column]) -> String {
    let cells = row.iter().zip(columns).map(|(cell, Column { width, is_number })| {
        if *is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    let cells: Vec<String> = cells.collect();
    format!("{}\n", cells.join("  ").trim_end())
}

/// Replaces control characters except ends of lines.
pub(super) fn plain_lines(text: &str) -> String {
    let is_bad = |one: char| one.is_control() && one != '\n';
    text.chars().map(|one| if is_bad(one) { ' ' } else { one }).collect()
}

pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Returns the beginning of an id, long enough to identify it.
pub(super) fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

pub(super) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Formats the age of a time in its two largest units.
pub(super) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis_since(time).max(0) / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{seconds}s"),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// Formats counts by target: `notify 3, oncall 1`.
pub(super) fn counts(of: &[(String, u64)]) -> String {
    let told: Vec<String> =
        of.iter().map(|(name, count)| format!("{} {count}", plain(name))).collect();
    told.join(", ")
}

pub(super) fn sum(of: &[(String, u64)]) -> u64 {
    of.iter().map(|(_, count)| count).sum()
}
