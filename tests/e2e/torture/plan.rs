//! The plan of a run: the events of each cycle follow from its number and the seed.

use std::env;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The size that every change of the code must pass.
const CYCLES: u64 = 25;
const EVENTS: u64 = 6_000;
/// The seed of that run; `cargo xtask torture --seed` takes others.
const SEED: u64 = 2;
/// Longest time between the first change of a cycle and its kill, in milliseconds.
const LONGEST: u64 = 2_000;

/// The size of a run; the seed decides what is random.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) cycles: u64,
    pub(super) events: u64,
    pub(super) seed: u64,
}

/// The fate of the API servers in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Servers {
    Stay,
    /// One of the two is killed while the service runs, and restarts after the service.
    OneDies(usize),
    /// Both are killed while the service runs, and restart before the service is killed.
    BothDie,
    /// Both are killed while the service is down.
    BothDieUnseen,
}

/// One cycle: the service runs, is killed, and starts again.
pub(super) struct Cycle {
    pub(super) number: u64,
    /// Time from the first change to the kill.
    pub(super) runs: Duration,
    pub(super) servers: Servers,
    /// While the service is down, Kubernetes Events are created and deleted, and etcd is compacted.
    pub(super) compacts: bool,
    /// While the service runs, the kind of the widgets stops or starts being served.
    pub(super) serves_widgets: Option<bool>,
    /// The journal is too small for the cycle's verdicts.
    pub(super) fills: bool,
    /// `Some(true)` begins the inhibiting incident, `Some(false)` ends it.
    pub(super) guard: Option<bool>,
}

/// The parts of the configuration that change between kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// The rule that is added and removed, with a setting that changes.
    pub(super) guest: Option<u64>,
    /// The index of the target of the rule that is rerouted: 0 or 1.
    pub(super) route: usize,
    /// `true` if the other target is configured too.
    pub(super) has_other: bool,
    /// `true` if the counting rule is at its second version.
    pub(super) recounts: bool,
    /// Most bytes of the journal.
    pub(super) max_size: Option<u64>,
}

impl Plan {
    pub(super) fn of_environment() -> Self {
        let cycles = number("KLAXON_TORTURE_CYCLES").unwrap_or(CYCLES);
        let events = number("KLAXON_TORTURE_EVENTS").unwrap_or(EVENTS);
        let seed = number("KLAXON_TORTURE_SEED").unwrap_or(SEED);
        Self { cycles, events, seed }
    }

    /// Returns the number of changes that a cycle allows.
    pub(super) fn share(self, cycle: u64) -> u64 {
        let Self { cycles, events, .. } = self;
        events * cycle / cycles - events * (cycle - 1) / cycles
    }

    /// Returns a cycle; numbers start at 1.
    pub(super) fn cycle(self, number: u64) -> Cycle {
        let mut random = StdRng::seed_from_u64(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        let is_last = number == self.cycles;
        Cycle {
            number,
            runs: Duration::from_millis(random.random_range(20..LONGEST)),
            servers: match number % 25 {
                10 | 20 => Servers::BothDieUnseen,
                5 | 15 => Servers::OneDies(random.random_range(0..2)),
                18 => Servers::BothDie,
                _ => Servers::Stay,
            },
            compacts: number % 10 == 3,
            serves_widgets: match number % 25 {
                7 if !is_last => Some(false),
                9 => Some(true),
                _ if is_last => Some(true),
                _ => None,
            },
            fills: number % 25 == 4,
            guard: match number % 6 {
                _ if is_last => Some(false),
                1 => Some(true),
                4 => Some(false),
                _ => None,
            },
        }
    }

    /// Returns the configuration with which the service starts after a cycle, or at first for 0.
    pub(super) fn variant(self, cycle: u64) -> Variant {
        // The last variants include everything, so that all is delivered in the end.
        let is_whole = cycle + 2 > self.cycles;
        let has_guest = is_whole || cycle % 6 >= 2;
        Variant {
            guest: has_guest.then_some(cycle / 6 % 2),
            route: usize::from(cycle % 4 == 1 || cycle % 4 == 2),
            has_other: is_whole || cycle.is_multiple_of(2),
            recounts: cycle % 8 >= 4,
            max_size: None,
        }
    }

    /// Returns `true` if everything should have arrived before a cycle, because its API servers lose their watch
    /// cache.
    pub(super) fn settles_before(self, cycle: u64) -> bool {
        cycle <= self.cycles
            && matches!(self.cycle(cycle).servers, Servers::BothDie | Servers::BothDieUnseen)
    }
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; hint: a whole number")))
}
