//! Takes a rule that keeps failing out of service. It counts answers in event order, so what it
//! decides does not depend on the number of workers or the size of batches.

use crate::model::Timestamp;

/// Of so many answers in a row …
const WINDOW: u32 = 50;
/// … so many failures take the rule out of service.
const FAILURES: u32 = 10;
const FIRST_PAUSE_MS: i64 = 60_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// What is to be done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It counts.
    Accept,
    /// It counts, and with it the rule goes out of service until then.
    AcceptAndOpen {
        /// When the rule is tried again.
        until: Timestamp,
    },
    /// The rule is out of service: the event has no answer.
    Refuse,
}

/// The breaker of one rule.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    answers: u32,
    failures: u32,
    open_until: Option<Timestamp>,
    pause: i64,
}

impl Breaker {
    /// Whether an event at this time need not even be evaluated.
    pub fn is_open(&self, time: Timestamp) -> bool {
        self.open_until.is_some_and(|until| time < until)
    }

    /// Rules on the next answer in event order.
    pub fn rule(&mut self, time: Timestamp, failed: bool) -> Ruling {
        if self.is_open(time) {
            return Ruling::Refuse;
        }
        let on_trial = self.open_until.take().is_some();
        if on_trial {
            // The first event after a pause decides: back in service, or out for twice as long.
            if failed {
                return self.open(time);
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
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
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
        assert_eq!(breaker.rule(at(1), false), Ruling::Refuse);
        assert!(breaker.is_open(at(FIRST_PAUSE_MS - 1)));
        assert_eq!(breaker.rule(until, false), Ruling::Accept);
        assert_eq!(breaker.rule(until, true), Ruling::Accept);
    }

    #[test]
    fn a_failed_trial_doubles_the_pause_up_to_an_hour() {
        let mut breaker = Breaker::default();
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            if let Ruling::AcceptAndOpen { until } = breaker.rule(now, true) {
                pauses.push(until.millis_since(now) / 60_000);
                now = until;
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
