//! A circuit breaker for a receiver. After repeated failures the circuit is open, and single deliveries probe
//! from time to time if the receiver works again.

use std::time::{Duration, Instant};

use klaxon_model::Backoff;

/// The number of consecutive failures that open the circuit.
const FAILURES: u32 = 5;
/// The first pause of an open circuit, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The circuit breaker of one receiver.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    state: State,
    pauses: Backoff,
    /// The end of the pause that the receiver asked for.
    asked: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// A delivery that began at `since` is probing the receiver.
    HalfOpen {
        since: Instant,
    },
}

/// The deliveries that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Any number up to the concurrency limit.
    Any,
    /// One delivery, to probe the receiver; preferably one that has not failed yet.
    Probe,
    /// No delivery, before this time or before the deliveries under way have ended.
    None(Option<Instant>),
}

impl Default for Breaker {
    fn default() -> Self {
        let pauses = Backoff::new(PAUSES.0, PAUSES.1);
        Self { failures: 0, state: State::Closed, pauses, asked: None }
    }
}

impl Breaker {
    /// Returns the deliveries that may begin now.
    pub(super) fn leave(&self, now: Instant) -> Leave {
        match self.state {
            State::Closed => Leave::Any,
            State::Open { until } if now < until => Leave::None(Some(until)),
            State::Open { .. } => Leave::Probe,
            State::HalfOpen { .. } => Leave::None(None),
        }
    }

    /// Records that a delivery has begun to probe the receiver.
    pub(super) fn probing(&mut self, now: Instant) {
        self.state = State::HalfOpen { since: now };
    }

    /// Records that the delivery chosen as the probe could not begin.
    pub(super) fn not_probed(&mut self, now: Instant) {
        if matches!(self.state, State::HalfOpen { .. }) {
            self.state = State::Open { until: now };
        }
    }

    /// Records a success. Returns `true` if this closes the circuit. A success during a pause that the receiver
    /// asked for does not close it: the delivery may have been under way before the receiver asked.
    pub(super) fn succeeded(&mut self, now: Instant) -> bool {
        self.failures = 0;
        if self.asked.is_some_and(|until| now < until) {
            return false;
        }
        self.asked = None;
        self.pauses.reset();
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }

    /// Records the failure of a delivery that began at `began`; `asked` is the pause that the receiver asks
    /// for. Returns `true` if this opens the circuit.
    pub(super) fn failed(&mut self, began: Instant, now: Instant, asked: Option<Duration>) -> bool {
        self.failures = self.failures.saturating_add(1);
        let asked_until = asked.map(|asked| now + asked);
        self.asked = self.asked.max(asked_until);
        match self.state {
            // The delivery may have begun before the circuit opened: only a longer pause that it asks for is
            // new.
            State::Open { until } => {
                self.state =
                    State::Open { until: asked_until.map_or(until, |asked| asked.max(until)) };
                false
            }
            State::HalfOpen { since } if began < since && asked.is_none() => false,
            State::Closed if self.failures < FAILURES && asked.is_none() => false,
            before => {
                let pause = self.pauses.next(asked);
                self.state = State::Open { until: now + pause };
                before == State::Closed
            }
        }
    }

    /// Returns `true` while the circuit is not closed.
    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::clock::Stopwatch;

    #[test]
    fn five_failures_open_it_and_a_probe_decides() {
        let start = Stopwatch::instant();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failed(start, start, None));
        }
        assert_eq!(breaker.leave(start), Leave::Any);
        assert!(!breaker.succeeded(start), "it was never away");
        for _ in 0..4 {
            assert!(!breaker.failed(start, start, None), "a success begins the count anew");
        }
        assert!(breaker.failed(start, start, None));
        assert!(matches!(breaker.leave(start), Leave::None(Some(until)) if until > start));
        let later = start + PAUSES.0;
        assert_eq!(breaker.leave(later), Leave::Probe);
        breaker.probing(later);
        assert_eq!(breaker.leave(later), Leave::None(None), "one at a time");
        assert!(!breaker.failed(later, later, None), "it was open before");
        assert!(matches!(breaker.leave(later), Leave::None(Some(_))));
        breaker.probing(later);
        assert!(!breaker.failed(start, later, None), "it began before the probe");
        assert_eq!(breaker.leave(later), Leave::None(None));
        assert!(breaker.succeeded(later), "it is back");
        assert_eq!(breaker.leave(later), Leave::Any);
    }

    #[test]
    fn pauses_grow_to_the_longest_and_what_was_asked_for_counts() {
        let mut now = Stopwatch::instant();
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            breaker.failed(now, now, None);
        }
        for _ in 0..30 {
            let Leave::None(Some(until)) = breaker.leave(now) else { panic!("it is open") };
            assert!(until <= now + PAUSES.1);
            now = until;
            breaker.probing(now);
            breaker.failed(now, now, None);
        }
        let Leave::None(Some(until)) = breaker.leave(now) else { panic!("it is open") };
        assert!(until >= now + PAUSES.1 / 2);

        let mut asked = Breaker::default();
        assert!(
            asked.failed(now, now, Some(Duration::from_secs(7))),
            "once is enough when it is asked"
        );
        let Leave::None(Some(until)) = asked.leave(now) else { panic!("it is open") };
        assert!(until >= now + Duration::from_secs(7));
        assert!(!asked.succeeded(now), "what was under way does not change that");
        assert!(matches!(asked.leave(now), Leave::None(Some(_))));
        assert!(asked.succeeded(now + Duration::from_secs(8)));
    }
}
