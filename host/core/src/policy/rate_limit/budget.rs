//! Budgets for writes to the cluster: a token bucket for each rule and object. It stops a rule that
//! reacts to its own writes from looping for ever.

use std::collections::{BTreeSet, HashMap};

use crate::policy::rule::millis;
use klaxon_config::Budget;
use klaxon_model::Timestamp;

/// With fewer buckets, full ones are not dropped.
const FEW: usize = 1024;
/// Maximum number of objects; nothing is written to more objects until the buckets of others are full.
const MOST: usize = 100_000;

/// The token buckets of a rule, one for each object. A bucket is stored as the time at which it will be
/// full again, which determines its content; a full bucket need not be stored.
#[derive(Debug)]
pub(in crate::policy) struct Budgets {
    /// The time after which a token is added, in milliseconds.
    per: i64,
    /// The time in which an empty bucket becomes full, in milliseconds.
    all: i64,
    full_at: HashMap<String, Timestamp>,
    /// Objects for which a write was suppressed since the last one made: it is reported once.
    over: BTreeSet<String>,
    /// The number of buckets from which on full ones are dropped, at most once per second.
    too_many: usize,
    /// The time of the last drop. Full buckets are dropped at least as often as all may have become full.
    dropped_at: Timestamp,
    /// Objects whose buckets are to be written. `None` if nothing is persisted.
    changed: Option<BTreeSet<String>>,
}

/// An error: the bucket has no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) struct Over {
    /// The earliest time at which there is a token.
    pub(in crate::policy) next: Timestamp,
    /// `true` if it is the first error for the object since a write was made.
    pub(in crate::policy) is_first: bool,
}

impl Budgets {
    /// Creates full buckets.
    pub(in crate::policy) fn new(budget: Budget) -> Self {
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

    /// Takes a token of an object's bucket at a time.
    ///
    /// # Errors
    /// If there is no token: the time of the next one.
    pub(in crate::policy) fn take(&mut self, object: &str, now: Timestamp) -> Result<(), Over> {
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

    /// Returns the number of stored buckets, which are not known to be full.
    #[cfg(test)]
    pub(in crate::policy) fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Collects changes from now on, to be returned by [`Budgets::take_changed`].
    pub(in crate::policy) fn keep(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Returns the changes since the last call: objects, each with the time at which its bucket is full.
    pub(in crate::policy) fn take_changed(&mut self) -> Vec<(String, Option<Timestamp>)> {
        let changed = self.changed.as_mut().map(std::mem::take).unwrap_or_default();
        let row = |object: String| {
            let full_at = self.full_at.get(&object).copied();
            (object, full_at)
        };
        changed.into_iter().map(row).collect()
    }

    /// Restores a bucket, which may have been stored under a budget that took longer to fill.
    pub(in crate::policy) fn restore(
        &mut self,
        object: String,
        full_at: Timestamp,
        now: Timestamp,
    ) {
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
        // A budget of zero is a decision against writes: they are not reported.
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
