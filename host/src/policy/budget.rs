//! Budgets for writes to the cluster: for each rule and object so many at once, then one in a time. A rule
//! that answers what it wrote itself would go on for ever; it is held to its budget.

use std::collections::{BTreeSet, HashMap};

use super::rule::millis;
use crate::config::Budget;
use crate::model::Timestamp;

/// Below so many buckets it is not worth looking for full ones.
const FEW: usize = 1024;
/// Of more objects than this nothing is written until the buckets of others are full.
const MOST: usize = 100_000;

/// A rule's bucket of tokens for each object. It is kept as the time at which it will be full again, which
/// says all of it; one that is full need not be kept.
#[derive(Debug)]
pub(super) struct Budgets {
    /// One more after each of these, in milliseconds.
    per: i64,
    /// From an empty bucket to a full one, in milliseconds.
    all: i64,
    full_at: HashMap<String, Timestamp>,
    /// Objects about which something was held back since the last write: it is said once.
    over: BTreeSet<String>,
    /// With so many buckets those that are full are dropped, …
    too_many: usize,
    /// … not more often than each second; and at least as often as all may have become full.
    dropped_at: Timestamp,
    /// Objects whose buckets are to be written; none: nothing is kept.
    changed: Option<BTreeSet<String>>,
}

/// There is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over {
    /// There is none before.
    pub(super) next: Timestamp,
    /// Whether it is the first of the object since something was written.
    pub(super) is_first: bool,
}

impl Budgets {
    /// With full buckets.
    pub(super) fn new(budget: Budget) -> Self {
        let per = millis(budget.per);
        Self {
            per,
            all: per.saturating_mul(i64::from(budget.burst)),
            full_at: HashMap::new(),
            over: BTreeSet::new(),
            too_many: FEW,
            dropped_at: Timestamp::from_millis(i64::MIN),
            changed: None,
        }
    }

    /// Takes a token of an object at a time.
    ///
    /// # Errors
    /// When there will be one, where there is none.
    pub(super) fn take(&mut self, object: &str, now: Timestamp) -> Result<(), Over> {
        self.drop_full(now);
        let full_at = self.full_at.get(object).map_or(now, |full_at| now.max(*full_at));
        let full_at = full_at.plus_millis(self.per);
        let earliest = full_at.plus_millis(self.all.saturating_neg());
        let has_room = self.full_at.len() < MOST || self.full_at.contains_key(object);
        if earliest > now || !has_room {
            let next = earliest.max(now.plus_millis(1));
            return Err(Over { next, is_first: self.note_over(object) });
        }
        self.over.remove(object);
        self.full_at.insert(object.to_owned(), full_at);
        self.mark(object);
        Ok(())
    }

    /// How many buckets are not known to be full.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.full_at.len()
    }

    /// From now on [`Budgets::take_changed`] says what a restart must know.
    pub(super) fn keep(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// What has changed since this was last asked: objects, with the time at which their bucket is full.
    pub(super) fn take_changed(&mut self) -> Vec<(String, Option<Timestamp>)> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        let row = |object: String| {
            let full_at = self.full_at.get(&object).copied();
            (object, full_at)
        };
        changed.into_iter().map(row).collect()
    }

    /// One that was kept, perhaps under another budget, which had more to fill.
    pub(super) fn restore(&mut self, object: String, full_at: Timestamp, now: Timestamp) {
        let most = now.plus_millis(self.all);
        if full_at > most {
            self.mark(&object);
        }
        self.full_at.insert(object, full_at.min(most));
    }

    fn mark(&mut self, object: &str) {
        if let Some(changed) = &mut self.changed {
            changed.insert(object.to_owned());
        }
    }

    fn note_over(&mut self, object: &str) -> bool {
        // Who wants nothing written needs not be told that nothing is.
        self.all > 0 && self.over.len() < MOST && self.over.insert(object.to_owned())
    }

    fn drop_full(&mut self, now: Timestamp) {
        let since = now.millis_since(self.dropped_at);
        let may = self.full_at.len() >= self.too_many && since >= 1000;
        if !may && since < self.all {
            return;
        }
        self.dropped_at = now;
        let full: Vec<String> = self
            .full_at
            .iter()
            .filter(|(_, full_at)| **full_at <= now)
            .map(|(object, _)| object.clone())
            .collect();
        for object in full {
            self.full_at.remove(&object);
            self.mark(&object);
        }
        self.over.retain(|object| self.full_at.contains_key(object));
        self.too_many = FEW.max(self.full_at.len() * 2).min(MOST);
    }
}
