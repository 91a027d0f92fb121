//! Rules that something which feeds them is not in sync for: that an incident of theirs is over may be
//! known to the cluster and not yet to them.

use crate::model::Timestamp;

/// The longest that this holds anything: a watch may never come back, and a late `resolved` is better than
/// silence.
const LONGEST_MS: i64 = 600_000;

/// Which rules are held.
#[derive(Debug)]
pub(super) struct Holds {
    /// By the rule's place; within, since when, where that was told.
    rules: Vec<Option<Option<Timestamp>>>,
}

impl Holds {
    pub(super) fn new(rules: usize) -> Self {
        Self { rules: vec![None; rules] }
    }

    pub(super) fn set(&mut self, rule: usize, is_held: bool) {
        if let Some(hold) = self.rules.get_mut(rule) {
            *hold = is_held.then(|| hold.flatten());
        }
    }

    /// Holds of which it is not known when they began, began now.
    pub(super) fn tell(&mut self, now: Timestamp) {
        for hold in self.rules.iter_mut().flatten() {
            hold.get_or_insert(now);
        }
    }

    /// Until when a rule is held.
    pub(super) fn until(&self, rule: usize) -> Option<Timestamp> {
        let hold = self.rules.get(rule).copied().flatten()?;
        Some(hold.map_or(Timestamp::from_millis(i64::MAX), |since| since.plus_millis(LONGEST_MS)))
    }
}
