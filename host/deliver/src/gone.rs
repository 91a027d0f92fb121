//! Detection of a receiver that is gone for good (HTTP 410). One such answer may concern one delivery only, or
//! be a slip: the answer counts only if several deliveries get it over a period without a success in between.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use klaxon_model::Id;

/// The number of different deliveries that must get the answer.
const DELIVERIES: usize = 3;
/// The period over which they must get it.
const SPAN: Duration = Duration::from_secs(600);

/// The deliveries that were answered with 410 since the last success.
#[derive(Debug, Default)]
pub(super) struct Gone {
    since: Option<Instant>,
    deliveries: BTreeSet<Id>,
}

impl Gone {
    /// Records a delivery that the receiver accepted.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Records a delivery that was answered with 410. Returns `true` if the receiver counts as gone.
    pub(super) fn note(&mut self, delivery: Id, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        if self.deliveries.len() < DELIVERIES {
            self.deliveries.insert(delivery);
        }
        self.deliveries.len() >= DELIVERIES && now.duration_since(since) >= SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::clock::Stopwatch;

    fn id(number: u64) -> Id {
        Id::of("delivery", &[&number])
    }

    #[test]
    fn three_deliveries_over_ten_minutes_are_believed_and_less_is_not() {
        let start = Stopwatch::instant();
        let mut gone = Gone::default();
        assert!(!gone.note(id(1), start));
        assert!(!gone.note(id(1), start + SPAN), "one, however often");
        assert!(!gone.note(id(2), start + SPAN));
        assert!(gone.note(id(3), start + SPAN));

        let mut quick = Gone::default();
        for number in 0..100 {
            assert!(!quick.note(id(number), start), "all at once may be a slip");
        }
        quick.succeeded();
        assert!(!quick.note(id(7), start + SPAN), "it was there in between");
    }
}
