//! Lookup of verdicts and deliveries by an id or its beginning.

use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::filter::Condition;
use super::{InspectError, Selection, State};

/// The least and the most digits; fewer are too easily mistyped.
const LEAST: usize = 6;
const MOST: usize = 32;
/// The most candidates that the error of an ambiguous beginning lists.
const CANDIDATES: usize = 10;

/// The row that has the id.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// A verdict, by its number.
    Verdict(i64),
    /// A delivery.
    Delivery { number: i64, verdict: i64, id: String, state: State },
}

/// Finds the verdict or delivery whose id begins with `text`.
///
/// # Errors
/// Fails if no id, or several, begin with `text`.
pub(super) fn find(connection: &Connection, text: &str) -> Result<Found, InspectError> {
    let prefix = text.to_ascii_lowercase();
    let is_id = prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id || !(LEAST..=MOST).contains(&prefix.len()) {
        return Err(InspectError::NoId { text: text.to_owned() });
    }
    // A range, so that SQLite uses the indexes: `g` comes after every hexadecimal digit.
    let end = format!("{prefix}g");
    let mut select = connection.prepare_cached(
        "SELECT 0, v.n, v.n, v.id, NULL, v.rule || ' ' || v.code FROM verdicts v \
         WHERE v.id >= ?1 AND v.id < ?2 UNION ALL \
         SELECT 1, d.n, d.verdict, d.id, d.state, d.target FROM deliveries d \
         WHERE d.id >= ?1 AND d.id < ?2 LIMIT ?3",
    )?;
    let found = select.query_map((&prefix, &end, CANDIDATES as i64 + 1), candidate)?;
    let mut found: Vec<(Found, String)> = found.collect::<Result<_, _>>()?;
    match found.pop() {
        None => Err(InspectError::UnknownId { id: prefix }),
        Some((one, _)) if found.is_empty() => Ok(one),
        Some((_, last)) => {
            let mut candidates: Vec<String> = found.into_iter().map(|(_, told)| told).collect();
            let is_more = candidates.len() == CANDIDATES;
            candidates.push(if is_more { "and more".to_owned() } else { last });
            Err(InspectError::Ambiguous { prefix, candidates })
        }
    }
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<(Found, String)> {
    let is_delivery: bool = row.get(0)?;
    let (number, verdict) = (row.get(1)?, row.get(2)?);
    let (id, state): (String, Option<State>) = (row.get(3)?, row.get(4)?);
    let about: String = row.get(5)?;
    Ok(match state.filter(|_| is_delivery) {
        Some(state) => {
            let told = format!("{id} delivery to {about}, {}", state.as_str());
            (Found::Delivery { number, verdict, id, state }, told)
        }
        None => (Found::Verdict(number), format!("{id} verdict: {about}")),
    })
}

/// The ids of a selection, as numbers of deliveries and of verdicts.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) deliveries: Vec<i64>,
    pub(super) verdicts: Vec<i64>,
}

impl Named {
    /// Finds all ids of a selection; `None` if it has none.
    ///
    /// # Errors
    /// Fails if an id is not found, or its delivery is in another state.
    pub(super) fn of(
        connection: &Connection,
        selection: &Selection,
        wanted: State,
    ) -> Result<Option<Self>, InspectError> {
        let mut named = Self::default();
        for id in &selection.ids {
            match find(connection, id)? {
                Found::Verdict(number) => named.verdicts.push(number),
                Found::Delivery { number, state, .. } if state == wanted => {
                    named.deliveries.push(number);
                }
                Found::Delivery { id, state, .. } => {
                    let (state, wanted) = (state.as_str(), wanted.as_str());
                    return Err(InspectError::WrongState { id, state, wanted });
                }
            }
        }
        Ok((!selection.ids.is_empty()).then_some(named))
    }

    /// Restricts a condition to these deliveries, and to the deliveries of these verdicts.
    pub(super) fn restrict(&self, condition: &mut Condition) {
        let sql = format!("{} OR {}", one_of("d.n", &self.deliveries), self.of_verdicts("d"));
        let numbers = self.deliveries.iter().chain(&self.verdicts);
        condition.and(&sql, numbers.copied().map(Value::Integer));
    }

    /// Returns the condition that a row's verdict is one of these.
    pub(super) fn of_verdicts(&self, table: &str) -> String {
        one_of(&format!("{table}.verdict"), &self.verdicts)
    }
}

fn one_of(column: &str, numbers: &[i64]) -> String {
    format!("{column} IN ({})", vec!["?"; numbers.len()].join(", "))
}
