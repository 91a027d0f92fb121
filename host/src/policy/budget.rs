//! Budgets for writes to the cluster: for each rule and object so many at once, then one in a time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Timestamp;

/// How much may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So many at once …
    pub burst: u32,
    /// … and one more after each of these, in milliseconds.
    pub per_ms: i64,
}

/// Below so many buckets it is not worth looking for full ones.
const FEW: usize = 1024;

/// A bucket of tokens for each rule and object. A bucket is kept as the time at which it will be full
/// again, which says all of it; one that is full need not be kept.
#[derive(Debug)]
pub struct Budgets {
    budget: Budget,
    full_at: HashMap<(Arc<str>, String), Timestamp>,
    /// So many buckets are too many: then those that are full are dropped.
    too_many: usize,
}

impl Budgets {
    /// With full buckets.
    pub fn new(budget: Budget) -> Self {
        Self { budget, full_at: HashMap::new(), too_many: FEW }
    }

    /// Takes a token of a rule and object at a time.
    ///
    /// # Errors
    /// When there will be one, where there is none.
    pub fn take(&mut self, rule: &Arc<str>, object: &str, now: Timestamp) -> Result<(), Timestamp> {
        let at = (rule.clone(), object.to_owned());
        let full_at = self.full_at.get(&at).map_or(now, |full_at| now.max(*full_at));
        let full_at = full_at.plus_millis(self.budget.per_ms);
        let all = self.budget.per_ms.saturating_mul(i64::from(self.budget.burst));
        let earliest = full_at.plus_millis(all.saturating_neg());
        if earliest > now {
            return Err(earliest);
        }
        self.full_at.insert(at, full_at);
        self.drop_full(now);
        Ok(())
    }

    /// How many buckets are not known to be full.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether all are full.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    fn drop_full(&mut self, now: Timestamp) {
        if self.full_at.len() >= self.too_many {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.too_many = FEW.max(self.full_at.len() * 2);
        }
    }
}
