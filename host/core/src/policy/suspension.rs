//! Suspension of rules while a source that feeds them is out of sync: the end of an incident may be known
//! to the cluster and not yet to the rule.

use klaxon_model::Timestamp;

/// The longest suspension in milliseconds. A watch may never recover, and a late `resolved` is better
/// than none.
const LONGEST_MS: i64 = 600_000;

/// The suspended rules.
#[derive(Debug)]
pub(super) struct Holds {
    /// By the rule's index: `None` if not suspended, else the start of the suspension if known.
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

    /// Starts suspensions whose start is not known at this time.
    pub(super) fn tell(&mut self, now: Timestamp) {
        for hold in self.rules.iter_mut().flatten() {
            hold.get_or_insert(now);
        }
    }

    /// Returns the end of a rule's suspension. `None` if it is not suspended.
    pub(super) fn until(&self, rule: usize) -> Option<Timestamp> {
        let hold = self.rules.get(rule).copied().flatten()?;
        Some(hold.map_or(Timestamp::from_millis(i64::MAX), |since| since.plus_millis(LONGEST_MS)))
    }
}
