//! How many deliveries to a receiver are good at once: one more after as many successes as there may
//! be, half as many when it is overloaded (additive increase, multiplicative decrease, as in RFC 5681).

use std::time::Instant;

/// What a receiver is given at first.
const FIRST: f64 = 4.0;

/// How many deliveries may be under way.
#[derive(Debug)]
pub(super) struct Pace {
    limit: f64,
    most: f64,
    /// What began before is news of the same overload.
    lowered: Option<Instant>,
}

impl Pace {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        let most = u16::try_from(most).unwrap_or(u16::MAX).max(1).into();
        Self { limit: FIRST.min(most), most, lowered: None }
    }

    /// How many may be under way now; at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 1 to 65,535"
    )]
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// The receiver took one.
    pub(super) fn succeeded(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.most);
    }

    /// The receiver failed on one that began then.
    pub(super) fn failed(&mut self, began: Instant, now: Instant) {
        if self.lowered.is_none_or(|at| began >= at) {
            self.limit = (self.limit / 2.0).max(1.0);
            self.lowered = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::clock::Stopwatch;

    #[test]
    fn it_grows_by_one_a_round_and_halves_once_an_overload() {
        let start = Stopwatch::instant();
        let mut pace = Pace::new(8);
        assert_eq!(pace.limit(), 4);
        for _ in 0..4 {
            pace.succeeded();
        }
        assert!(pace.limit() >= 4, "a round of four is just about one more");
        pace.succeeded();
        assert_eq!(pace.limit(), 5);
        for _ in 0..1000 {
            pace.succeeded();
        }
        assert_eq!(pace.limit(), 8, "the most");
        // Eight that were under way together fail together.
        for millis in 1..=8 {
            pace.failed(start, start + Duration::from_millis(millis));
        }
        assert_eq!(pace.limit(), 4);
        for second in 1..9 {
            let began = start + Duration::from_secs(second);
            pace.failed(began, began + Duration::from_millis(1));
        }
        assert_eq!(pace.limit(), 1, "never none");
        assert_eq!(Pace::new(1).limit(), 1);
    }
}
