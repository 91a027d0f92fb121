//! Pending deliveries of a target, in the order of their verdicts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{JournalError, deliveries, reader, time};
use klaxon_model::Timestamp;
use klaxon_targets::Delivery;

/// A pending delivery, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The delivery's number; later deliveries have higher numbers.
    pub number: i64,
    /// The rule and the verdict's key.
    pub order: (String, String),
    /// The number of attempts.
    pub attempts: u32,
    /// The time of the first attempt.
    pub since: Option<Timestamp>,
}

/// Reads the pending deliveries of one target.
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

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the next deliveries after a number, at most `most`. Reads the disk.
    ///
    /// # Errors
    /// Fails if the journal cannot be read.
    pub fn next(&self, after: i64, most: usize) -> Result<Vec<Waiting>, JournalError> {
        let connection = self.connection();
        let mut select = connection.prepare_cached(
            "SELECT d.n, v.rule, d.key, d.attempts, d.since \
             FROM deliveries d JOIN verdicts v ON v.n = d.verdict \
             WHERE d.target = ?1 AND d.state = 'pending' AND d.n > ?2 ORDER BY d.n LIMIT ?3",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = select.query_map(params![self.target, after, most], waiting)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the first delivery of a rule and key whose number is from `from` to `to`, and the number of the
    /// second.
    ///
    /// # Errors
    /// Fails if the journal cannot be read.
    pub fn next_of(
        &self,
        rule: &str,
        key: &str,
        from: i64,
        to: i64,
    ) -> Result<Option<(Waiting, Option<i64>)>, JournalError> {
        let connection = self.connection();
        let mut select = connection.prepare_cached(
            "SELECT d.n, v.rule, d.key, d.attempts, d.since \
             FROM deliveries d JOIN verdicts v ON v.n = d.verdict \
             WHERE d.target = ?1 AND d.key = ?2 AND d.state = 'pending' AND d.n BETWEEN ?3 AND ?4 \
             AND v.rule = ?5 ORDER BY d.n LIMIT 2",
        )?;
        let rows = select.query_map(params![self.target, key, from, to, rule], waiting)?;
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok(rows.next().map(|first| (first, rows.next().map(|behind| behind.number))))
    }

    /// Returns the deliveries of these numbers that are still pending; `None` for one that is damaged on disk.
    ///
    /// # Errors
    /// Fails if the journal cannot be read.
    pub fn bodies(&self, numbers: &[i64]) -> Result<HashMap<i64, Option<Delivery>>, JournalError> {
        let connection = self.connection();
        let mut select = connection.prepare_cached(
            "SELECT d.id, v.rule, d.key, v.code, d.body, d.delta, d.hash, d.address, \
             iif(json_valid(v.body), CAST(v.body ->> '$.status' AS TEXT), NULL) \
             FROM deliveries d JOIN verdicts v ON v.n = d.verdict \
             WHERE d.n = ?1 AND d.state = 'pending'",
        )?;
        let mut found = HashMap::with_capacity(numbers.len());
        for number in numbers {
            let read = |row: &Row<'_>| Ok((self.delivery(row)?, row.get(6)?));
            let row: Option<(Delivery, Option<i64>)> =
                select.query_row([number], read).optional()?;
            if let Some((delivery, hash)) = row {
                let is_whole = hash.is_none_or(|hash| hash == deliveries::hash(&delivery));
                found.insert(*number, is_whole.then_some(delivery));
            }
        }
        Ok(found)
    }

    /// Returns the number of pending deliveries.
    ///
    /// # Errors
    /// Fails if the journal cannot be read.
    #[cfg(test)]
    pub fn count(&self) -> Result<u64, JournalError> {
        let connection = self.connection();
        let mut select = connection.prepare_cached(
            "SELECT count(*) FROM deliveries WHERE target = ?1 AND state = 'pending'",
        )?;
        let count: i64 = select.query_row([&self.target], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Returns the reason why the target is disabled; `None` if it is enabled.
    ///
    /// # Errors
    /// Fails if the journal cannot be read.
    pub fn disabled(&self) -> Result<Option<String>, JournalError> {
        deliveries::disabled(&self.connection(), &self.target)
    }

    fn delivery(&self, row: &Row<'_>) -> rusqlite::Result<Delivery> {
        let id = row.get_ref(0)?.as_str()?.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                0,
                rusqlite::types::Type::Text,
                Box::<klaxon_model::NoId>::new(error),
            )
        })?;
        Ok(Delivery {
            id,
            target: self.target.clone(),
            order: (row.get(1)?, row.get(2)?),
            code: row.get(3)?,
            status: row.get::<_, Option<String>>(8)?.unwrap_or_default(),
            body: row.get(4)?,
            delta: row.get(5)?,
            address: row.get(7)?,
        })
    }
}

fn waiting(row: &Row<'_>) -> rusqlite::Result<Waiting> {
    let since: Option<i64> = row.get(4)?;
    Ok(Waiting {
        number: row.get(0)?,
        order: (row.get(1)?, row.get(2)?),
        attempts: row.get(3)?,
        since: since.map(time),
    })
}
