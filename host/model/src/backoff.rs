//! Waits between attempts.

use std::time::Duration;

use rand::RngExt;

/// Exponential backoff with jitter: each wait is drawn from the upper half of a span that doubles, so that
/// receivers that failed at the same time are not retried at the same time.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Makes a backoff with spans that grow from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// Resets the backoff after a success: the next wait is a first one.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Returns the wait after `attempts` failed attempts; `waits` are the first span and the longest.
    pub fn nth(waits: (Duration, Duration), attempts: u32, asked: Option<Duration>) -> Duration {
        let mut backoff = Self::new(waits.0, waits.1);
        backoff.attempts = attempts.saturating_sub(1);
        backoff.next(asked)
    }

    /// Returns the next wait; it is at least `asked`, the wait that the receiver asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let span = self.first.saturating_mul(1 << self.attempts.min(20)).min(self.longest);
        self.attempts = self.attempts.saturating_add(1);
        let drawn = span.mul_f64(rand::rng().random_range(0.5..=1.0));
        match asked {
            // Jitter is added, so that clients that got the same answer do not all retry at once.
            Some(asked) => drawn.max(asked.saturating_add(drawn / 10)),
            None => drawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(300);

    #[test]
    fn waits_double_up_to_the_longest_and_never_undercut_what_was_asked() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        for attempt in 0..40u32 {
            let most = FIRST.saturating_mul(1 << attempt.min(20)).min(LONGEST);
            let wait = backoff.next(None);
            assert!(wait >= most / 2 && wait <= most, "attempt {attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        backoff.reset();
        assert!(backoff.next(Some(Duration::ZERO)) >= FIRST / 2, "0 is no invitation");
    }
}
