//! A clock that never goes back, whatever is done to the machine's.

use std::time::Duration;

use super::Timestamp;

/// A step of the machine's clock by more than this is told, and one forward is not followed.
const STEP: Duration = Duration::from_secs(3600);

/// The machine's clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// What time it would have been.
    pub expected: Timestamp,
    /// What the machine says.
    pub wall: Timestamp,
}

/// Time as the service counts it. It follows the machine's clock, with these exceptions: it never goes
/// back, and it does not jump by more than an hour. While it is ahead it runs at nine tenths of the speed
/// until the machine's has caught up, so timers are a little late and never stand still.
#[derive(Debug)]
pub(super) struct Steady {
    /// Nanoseconds since the Unix epoch.
    last: i128,
    /// What a clock that nobody sets said then.
    at: Duration,
    /// How far off the machine's clock was when that was told last.
    told: i128,
}

impl Steady {
    /// Begins with the machine's clock, in nanoseconds since the Unix epoch.
    pub(super) fn new(wall: i128, at: Duration) -> Self {
        Self { last: wall, at, told: 0 }
    }

    /// It was later before: time goes on from there.
    pub(super) fn not_before(&mut self, last: Timestamp) {
        self.last = self.last.max(nanos(Duration::from_millis(1)) * i128::from(last.as_millis()));
    }

    /// The time, by the machine's clock and by one that nobody sets; and the step that was found.
    pub(super) fn now(&mut self, wall: i128, at: Duration) -> (Timestamp, Option<ClockStep>) {
        let passed = nanos(at.saturating_sub(self.at));
        let expected = self.last + passed;
        let off = wall - expected;
        self.last =
            if off > nanos(STEP) { expected } else { (self.last + passed * 9 / 10).max(wall) };
        self.at = self.at.max(at);
        (timestamp(self.last), self.step(expected, wall, off))
    }

    fn step(&mut self, expected: i128, wall: i128, off: i128) -> Option<ClockStep> {
        if off.abs() <= nanos(STEP) {
            self.told = 0;
            return None;
        }
        let is_news = (off - self.told).abs() > nanos(STEP);
        // While it catches up the distance becomes less: that is no step.
        let is_less = off.signum() == self.told.signum() && off.abs() < self.told.abs();
        if is_news || is_less {
            self.told = off;
        }
        let is_news = is_news && !is_less;
        let step = ClockStep { expected: timestamp(expected), wall: timestamp(wall) };
        is_news.then_some(step)
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn timestamp(nanos: i128) -> Timestamp {
    let millis = nanos.div_euclid(1_000_000);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i128 = 1_000_000_000;
    const HOUR: i128 = 3600 * SECOND;

    /// A machine with two clocks, of which one can be set.
    struct Machine {
        clock: Steady,
        wall: i128,
        at: Duration,
    }

    impl Machine {
        fn new() -> Self {
            let (wall, at) = (1_000_000 * HOUR, Duration::from_secs(5));
            Self { clock: Steady::new(wall, at), wall, at }
        }

        fn pass(&mut self, seconds: u64) {
            self.wall += i128::from(seconds) * SECOND;
            self.at += Duration::from_secs(seconds);
        }

        fn now(&mut self) -> (Timestamp, Option<ClockStep>) {
            self.clock.now(self.wall, self.at)
        }
    }

    #[test]
    fn set_back_it_goes_on_slower_until_the_machine_has_caught_up() {
        let mut machine = Machine::new();
        machine.pass(10);
        let (before, step) = machine.now();
        assert_eq!((before, step), (timestamp(machine.wall), None));
        machine.wall -= 600 * SECOND;
        let (after, step) = machine.now();
        assert_eq!((after, step), (before, None), "it stands, and ten minutes are not told");
        machine.pass(100);
        assert_eq!(machine.now().0.millis_since(before), 90_000);
        for _ in 0..100 {
            machine.pass(100);
            machine.now();
        }
        assert_eq!(machine.now().0, timestamp(machine.wall));
    }

    #[test]
    fn a_step_over_an_hour_is_told_once_and_not_followed_forward() {
        let mut machine = Machine::new();
        let (before, _) = machine.now();
        machine.wall += 24 * 365 * HOUR;
        machine.pass(1);
        let (after, step) = machine.now();
        assert_eq!(after.millis_since(before), 1000, "nothing is due all at once");
        let step = step.unwrap();
        assert_eq!((step.expected, step.wall), (after, timestamp(machine.wall)));
        machine.pass(60);
        assert_eq!(machine.now().1, None, "told once");
        machine.wall -= 24 * 365 * HOUR;
        assert_eq!(machine.now().1, None, "and right again");
        machine.wall -= 2 * HOUR;
        assert!(machine.now().1.is_some(), "back as well");
    }

    #[test]
    fn less_than_an_hour_forward_is_followed() {
        let mut machine = Machine::new();
        machine.wall += HOUR / 2;
        assert_eq!(machine.now(), (timestamp(machine.wall), None));
    }

    #[test]
    fn over_a_restart_it_goes_on_from_the_last_time() {
        let mut machine = Machine::new();
        let later = timestamp(machine.wall + 5 * HOUR);
        machine.clock.not_before(later);
        let (now, step) = machine.now();
        assert_eq!(now, later);
        assert!(step.is_some(), "the machine was set back by five hours while it was off");
        machine.pass(10);
        assert_eq!(machine.now().0.millis_since(later), 9000);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_never_stands_still(
            changes in prop::collection::vec((-30_000i64..30_000, 0u64..5000), 1..60)
        ) {
            let mut machine = Machine::new();
            let mut last = machine.now().0;
            for (set, seconds) in changes {
                machine.wall += i128::from(set) * SECOND;
                machine.pass(seconds);
                let now = machine.now().0;
                let least = i64::try_from(seconds).unwrap() * 900;
                prop_assert!(now.millis_since(last) >= least - 1, "{now} after {last}");
                last = now;
            }
        }
    }
}
