//! A clock that never goes back, even if the machine's clock is set.

use std::time::Duration;

use super::Timestamp;

/// A larger step of the machine's clock is reported, and a larger step forward is not followed at once.
const STEP: Duration = Duration::from_secs(3600);
/// A clock that was set forward is followed after it has run evenly for this time.
const PROOF: Duration = Duration::from_secs(600);
/// A clock runs evenly as long as its offset varies by no more than this.
const EVEN: Duration = Duration::from_secs(60);
/// The pause between two advances by [`STEP`] while the time follows a clock that was set forward.
const PACE: Duration = Duration::from_secs(60);
/// The time of an earlier run is rejected if it is further ahead of the machine's clock than this.
const BELIEVED: Duration = Duration::from_secs(86_400);
/// A machine's clock before this time was never set: the time of an earlier run is then used.
const EARLIEST_MS: i64 = 1_767_225_600_000; // 2026-01-01

/// A step of the machine's clock: it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// The time that was expected without the step.
    pub expected: Timestamp,
    /// The time of the machine's clock.
    pub wall: Timestamp,
}

/// The service's time. It follows the machine's clock with these exceptions: it never goes back, and it
/// does not jump by more than an hour. While it is ahead it runs at nine tenths of the speed until the
/// machine's clock has caught up, so timers are a little late and never stand still. A clock that was set
/// forward by more than an hour is followed after it has run evenly for ten minutes, by an hour per
/// minute: due timers do not fire all at once, and a machine that was suspended has the right time again.
#[derive(Debug)]
pub(super) struct Steady {
    /// The last time returned, in nanoseconds since the Unix epoch.
    last: i128,
    /// The reading of the clock that cannot be set, at `last`.
    at: Duration,
    /// The last reported offset of the machine's clock, in nanoseconds.
    told: i128,
    /// The state of a machine's clock that was set forward. `None` if it was not.
    ahead: Option<Ahead>,
}

/// A machine's clock that is more than an hour ahead.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    /// The offset of the machine's clock, in nanoseconds.
    off: i128,
    /// The start of the span in which the clock has been ahead by this offset and run evenly.
    since: Duration,
    /// The last moment at which the time was advanced towards it.
    followed: Option<Duration>,
}

impl Steady {
    /// Starts with the machine's clock, in nanoseconds since the Unix epoch.
    pub(super) fn new(wall: i128, at: Duration) -> Self {
        Self { last: wall, at, told: 0, ahead: None }
    }

    /// Continues from the last time of an earlier run, unless that is more than a day ahead of the
    /// machine's clock and the machine's clock was set at some time: then one of the two is wrong, and
    /// the machine's clock is used. Returns the step if the earlier time is rejected.
    pub(super) fn not_before(&mut self, last: Timestamp) -> Option<ClockStep> {
        let expected = nanos(Duration::from_millis(1)) * i128::from(last.as_millis());
        let wall = timestamp(self.last);
        let is_far = expected - self.last > nanos(BELIEVED);
        if is_far && wall.as_millis() >= EARLIEST_MS {
            return Some(ClockStep { expected: last, wall });
        }
        self.last = self.last.max(expected);
        None
    }

    /// Returns the time, given the machine's clock and a clock that cannot be set, and the step that was
    /// detected.
    pub(super) fn now(&mut self, wall: i128, at: Duration) -> (Timestamp, Option<ClockStep>) {
        let passed = nanos(at.saturating_sub(self.at));
        let expected = self.last + passed;
        let off = wall - expected;
        let is_following = self.ahead.and_then(|ahead| ahead.followed);
        let is_recent = is_following.is_some_and(|followed| at.saturating_sub(followed) < PACE);
        self.last = if off > nanos(STEP) || (off > 0 && is_recent) {
            expected + self.follow(off, at)
        } else {
            self.ahead = None;
            (self.last + passed * 9 / 10).max(wall)
        };
        self.at = self.at.max(at);
        (timestamp(self.last), self.step(expected, wall, off))
    }

    /// Returns how far the time advances now towards a clock that is more than an hour ahead.
    fn follow(&mut self, off: i128, at: Duration) -> i128 {
        let fresh = Ahead { off, since: at, followed: None };
        let ahead = self.ahead.get_or_insert(fresh);
        if (off - ahead.off).abs() > nanos(EVEN) {
            *ahead = fresh;
        }
        let is_proved = at.saturating_sub(ahead.since) >= PROOF;
        let is_time = ahead.followed.is_none_or(|followed| at.saturating_sub(followed) >= PACE);
        if !is_proved || !is_time {
            return 0;
        }
        let advance = off.min(nanos(STEP));
        ahead.followed = Some(at);
        ahead.off = off - advance;
        advance
    }

    fn step(&mut self, expected: i128, wall: i128, off: i128) -> Option<ClockStep> {
        if off.abs() <= nanos(STEP) {
            self.told = 0;
            return None;
        }
        let is_news = (off - self.told).abs() > nanos(STEP);
        // While the time catches up the offset shrinks: that is not a step.
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

    /// A simulated machine with two clocks, one of which can be set.
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
        assert_eq!(machine.clock.not_before(later), None);
        let (now, step) = machine.now();
        assert_eq!(now, later);
        assert!(step.is_some(), "the machine was set back by five hours while it was off");
        machine.pass(10);
        assert_eq!(machine.now().0.millis_since(later), 9000);
    }

    #[test]
    fn time_of_an_earlier_run_far_in_the_future_is_not_believed() {
        let mut machine = Machine::new();
        machine.wall = nanos(Duration::from_millis(1)) * i128::from(EARLIEST_MS) + 100 * HOUR;
        machine.clock = Steady::new(machine.wall, machine.at);
        let year = timestamp(machine.wall + 24 * 365 * HOUR);
        let step = machine.clock.not_before(year).unwrap();
        assert_eq!((step.expected, step.wall), (year, timestamp(machine.wall)));
        machine.pass(1);
        assert_eq!(machine.now(), (timestamp(machine.wall), None), "the machine is right");
        // The clock of a machine that was reset is less reliable than the journal.
        let mut lost = Steady::new(5 * HOUR, Duration::ZERO);
        assert_eq!(lost.not_before(year), None);
        assert_eq!(lost.now(5 * HOUR, Duration::ZERO).0, year);
    }

    #[test]
    fn a_clock_that_was_set_forward_and_goes_evenly_is_followed_an_hour_at_a_time() {
        let mut machine = Machine::new();
        let (mut last, _) = machine.now();
        // As after five hours of suspend.
        machine.wall += 5 * HOUR;
        machine.pass(1);
        assert!(machine.now().1.is_some(), "it is reported");
        let mut minutes = 0;
        while machine.now().0 != timestamp(machine.wall) {
            let (now, step) = machine.now();
            assert_eq!(step, None, "reported once");
            assert!(now.millis_since(last) <= 3_600_000 + 60_000, "no more than an hour at once");
            last = now;
            machine.pass(60);
            minutes += 1;
            assert!(minutes < 20, "it is followed");
        }
        assert!(minutes >= 10, "not before it has gone evenly for ten minutes");
    }

    #[test]
    fn a_clock_that_is_corrected_again_was_never_followed() {
        let mut machine = Machine::new();
        let (before, _) = machine.now();
        machine.wall += 24 * 365 * HOUR;
        for _ in 0..9 {
            machine.pass(60);
            machine.now();
        }
        machine.wall -= 24 * 365 * HOUR;
        machine.pass(60);
        assert_eq!(machine.now().0.millis_since(before), 600_000);
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
