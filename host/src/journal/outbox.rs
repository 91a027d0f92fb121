//! Deliveries that wait for their target, in the order of their verdicts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Row, params};

use super::{JournalError, reader};
use crate::targets::Delivery;

/// A delivery and its number: later ones have higher numbers.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its number.
    pub number: i64,
    /// The delivery.
    pub delivery: Delivery,
}

/// Reads one target's deliveries.
#[derive(Clone)]
pub struct Outbox {
    target: String,
    connection: Arc<Mutex<Connection>>,
}

impl Outbox {
    pub(super) fn open(path: &Path, target: &str) -> Result<Self, JournalError> {
        let connection = Arc::new(Mutex::new(reader(path)?));
        Ok(Self { target: target.to_owned(), connection })
    }

    /// The next deliveries after a number, at most so many. It reads the disk.
    ///
    /// # Errors
    /// Where the journal cannot be read.
    pub fn next(&self, after: i64, most: usize) -> Result<Vec<Pending>, JournalError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = connection.prepare_cached(
            "SELECT d.n, d.id, d.key, d.body, d.delta, v.rule, v.code \
             FROM deliveries d JOIN verdicts v ON v.n = d.verdict \
             WHERE d.target = ?1 AND d.state = 'pending' AND d.n > ?2 ORDER BY d.n LIMIT ?3",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = select.query_map(params![self.target, after, most], |row| self.pending(row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn pending(&self, row: &Row<'_>) -> rusqlite::Result<Pending> {
        let id = row.get_ref(1)?.as_str()?.parse().map_err(|fault| {
            rusqlite::Error::FromSqlConversionFailure(
                1,
                rusqlite::types::Type::Text,
                Box::<crate::model::NoId>::new(fault),
            )
        })?;
        let delivery = Delivery {
            id,
            target: self.target.clone(),
            order: (row.get(5)?, row.get(2)?),
            code: row.get(6)?,
            body: row.get(3)?,
            delta: row.get(4)?,
        };
        Ok(Pending { number: row.get(0)?, delivery })
    }
}
