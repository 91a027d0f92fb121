//! Takes a rule that keeps failing out of service. The breaker counts answers in event order, so its rulings
//! do not depend on the number of workers or the batch size. While the breaker is open, the rule is not
//! called: its events are queued, and the first of them is the trial.

use klaxon_model::Timestamp;

/// Number of consecutive answers in a window.
const WINDOW: u32 = 50;
/// Number of failures within a window that takes the rule out of service.
const FAILURES: u32 = 10;
const FIRST_PAUSE_MS: i64 = 60_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// Ruling on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Ruling {
    /// The answer counts.
    Accept,
    /// The answer counts, and the rule is out of service from now on.
    AcceptAndOpen {
        /// Time of the next trial.
        until: Timestamp,
    },
}

/// Circuit breaker of one rule.
#[derive(Debug, Clone, Default)]
pub(in crate::pipeline) struct Breaker {
    answers: u32,
    failures: u32,
    open_until: Option<Timestamp>,
    pause: i64,
    /// First pause in milliseconds; `None` stands for one minute.
    first_pause: Option<i64>,
}

impl Breaker {
    /// Returns a breaker whose first pause is `first` milliseconds.
    pub(in crate::pipeline) fn with_pause(first: i64) -> Self {
        Self { first_pause: Some(first), ..Self::default() }
    }

    /// Returns the time of the next trial; `None` while the rule is in service.
    pub(in crate::pipeline) fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Rules on the next answer in event order. The first answer after a pause is the trial. Its event may
    /// have been queued and so be older than the end of the pause: a new pause begins at the later of the
    /// two.
    pub(in crate::pipeline) fn rule(&mut self, time: Timestamp, failed: bool) -> Ruling {
        if let Some(until) = self.open_until.take() {
            // The first event after a pause decides: back in service, or out for twice as long.
            if failed {
                return self.open(time.max(until));
            }
            self.pause = 0;
        }
        if self.answers == WINDOW {
            (self.answers, self.failures) = (0, 0);
        }
        self.answers += 1;
        self.failures += u32::from(failed);
        if self.failures >= FAILURES { self.open(time) } else { Ruling::Accept }
    }

    fn open(&mut self, time: Timestamp) -> Ruling {
        let first = self.first_pause.unwrap_or(FIRST_PAUSE_MS);
        self.pause = (self.pause * 2).clamp(first, LONGEST_PAUSE_MS.max(first));
        (self.answers, self.failures) = (0, 0);
        let until = time.plus_millis(self.pause);
        self.open_until = Some(until);
        Ruling::AcceptAndOpen { until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn ten_failures_of_fifty_open_it_and_one_good_trial_closes_it() {
        let mut breaker = Breaker::default();
        for _ in 0..9 {
            assert_eq!(breaker.rule(at(0), true), Ruling::Accept);
        }
        let until = at(FIRST_PAUSE_MS);
        assert_eq!(breaker.rule(at(0), true), Ruling::AcceptAndOpen { until });
        assert_eq!(breaker.open_until(), Some(until));
        // The trial may be an event that was queued.
        assert_eq!(breaker.rule(at(1), false), Ruling::Accept);
        assert_eq!(breaker.open_until(), None);
        assert_eq!(breaker.rule(at(2), true), Ruling::Accept);
    }

    #[test]
    fn a_failed_trial_doubles_the_pause_up_to_an_hour() {
        let mut breaker = Breaker::default();
        let mut opened = at(0);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            // All events arrived in the first moment.
            if let Ruling::AcceptAndOpen { until } = breaker.rule(at(0), true) {
                pauses.push(until.millis_since(opened) / 60_000);
                opened = until;
            }
        }
        assert_eq!(pauses.get(..8), Some([1, 2, 4, 8, 16, 32, 60, 60].as_slice()));
    }

    #[test]
    fn few_failures_among_many_answers_are_put_up_with() {
        let mut breaker = Breaker::default();
        for n in 0..10_000u32 {
            assert_eq!(breaker.rule(at(0), n % 6 == 0), Ruling::Accept, "answer {n}");
        }
    }
}
