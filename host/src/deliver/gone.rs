//! A receiver that says that it is gone for good (HTTP 410). One such answer may be about one delivery,
//! or a slip: it counts only when several deliveries get it over a while, and nothing succeeds between.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::model::Id;

/// So many different deliveries …
const DELIVERIES: usize = 3;
/// … over so long.
const SPAN: Duration = Duration::from_secs(600);

/// What was said to be gone.
#[derive(Debug, Default)]
pub(super) struct Gone {
    since: Option<Instant>,
    deliveries: BTreeSet<Id>,
}

impl Gone {
    /// The receiver took a delivery.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It said that it is gone. Returns whether that is to be believed.
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
    use crate::model::clock::Stopwatch;

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
