//! The concurrency limit of a receiver. It grows by one after as many successes as it allows deliveries at
//! once, and halves on overload (additive increase, multiplicative decrease, as in RFC 5681).

use std::time::Instant;

/// The initial limit.
const FIRST: f64 = 4.0;

/// The number of deliveries that may be under way at once.
#[derive(Debug)]
pub(super) struct Pace {
    limit: f64,
    most: f64,
    /// The time of the last decrease. Failures of deliveries that began earlier belong to the same overload.
    lowered: Option<Instant>,
}

impl Pace {
    /// Makes a limit that grows to `most`.
    pub(super) fn new(most: usize) -> Self {
        let most = u16::try_from(most).unwrap_or(u16::MAX).max(1).into();
        Self { limit: FIRST.min(most), most, lowered: None }
    }

    /// Returns the number of deliveries that may be under way now; at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 1 to 65,535"
    )]
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Records a delivery that the receiver accepted.
    pub(super) fn succeeded(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.most);
    }

    /// Records a delivery that began at `began` and failed.
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
    use klaxon_model::clock::Stopwatch;

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
        // Eight deliveries that were under way together fail together.
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
