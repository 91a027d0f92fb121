//! Suspension of rules while a source that feeds them is out of sync: the end of an incident may be known
//! to the cluster and not yet to the rule.

use klaxon_model::Timestamp;

/// The longest suspension in milliseconds. A watch may never recover, and a late `resolved` is better
/// than none.
const LONGEST_MS: i64 = 600_000;

/// The suspended rules.
#[derive(Debug)]
pub(super) struct Suspensions {
    /// By the rule's index: `None` if not suspended, else the start of the suspension if known.
    rules: Vec<Option<Option<Timestamp>>>,
}

impl Suspensions {
    pub(super) fn new(rules: usize) -> Self {
        Self { rules: vec![None; rules] }
    }

    pub(super) fn set(&mut self, rule: usize, is_suspended: bool) {
        if let Some(suspension) = self.rules.get_mut(rule) {
            *suspension = is_suspended.then(|| suspension.flatten());
        }
    }

    /// Starts suspensions whose start is not known at this time.
    pub(super) fn begin(&mut self, now: Timestamp) {
        for suspension in self.rules.iter_mut().flatten() {
            suspension.get_or_insert(now);
        }
    }

    /// Returns the end of a rule's suspension. `None` if it is not suspended.
    pub(super) fn until(&self, rule: usize) -> Option<Timestamp> {
        let suspension = self.rules.get(rule).copied().flatten()?;
        Some(
            suspension
                .map_or(Timestamp::from_millis(i64::MAX), |since| since.plus_millis(LONGEST_MS)),
        )
    }
}
