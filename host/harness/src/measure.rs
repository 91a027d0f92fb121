//! Measurement of a rule: fuel and memory of each event, and the duration of calls on this machine.

use std::sync::Arc;

use serde::Serialize;

use super::rule::{Input, RuleError, RuleUnderTest};
use klaxon_core::pipeline::MemoryState;
use klaxon_engine::Caller;
use klaxon_model::clock::Stopwatch;
use klaxon_model::{Event, Slot, StateKeeper, StateView};

/// Minimum time of measuring calls; at least one pass through all events is measured.
const MEASURE_FOR: std::time::Duration = std::time::Duration::from_secs(1);
/// Number of events per call when measuring whole batches: the same as in the service.
const BATCH: usize = 64;

/// Distribution of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// 50 % of the values are not above this.
    pub p50: u64,
    /// 99 % of the values are not above this.
    pub p99: u64,
    /// The highest value.
    pub max: u64,
}

/// Costs of events, the same on every machine.
#[derive(Debug, Clone, Serialize)]
pub struct Costs {
    /// Number of measured events, each with a new instance.
    pub events: usize,
    /// Fuel of an event: about one for each instruction.
    pub fuel: Spread,
    /// Linear memory of an instance after an event, in bytes.
    pub memory: Spread,
}

/// Speed of calls on this machine.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// Events per second in batches of 64, on one core.
    pub events_per_second: u64,
    /// Duration of a call with one event, in nanoseconds.
    pub nanoseconds: Spread,
}

/// Costs and speed of a rule on some streams.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Fuel and memory.
    pub costs: Costs,
    /// Durations.
    pub speed: Speed,
}

impl Spread {
    fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |percent: usize| {
            let place = (values.len() * percent).div_ceil(100).max(1) - 1;
            values.get(place).copied().unwrap_or_default()
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

impl RuleUnderTest {
    /// Runs streams through the rule and measures each call; `None` if the streams have no event for the
    /// rule. Events that the rule fails to answer are left out.
    ///
    /// # Errors
    /// If a stream cannot be read, or a thread cannot be started.
    pub fn cost_on(&self, input: &Input) -> Result<Option<Measured>, RuleError> {
        let costs = self.measure(input)?.output.costs;
        if costs.is_empty() {
            return Ok(None);
        }
        let fuel = costs.iter().map(|one| one.cost.fuel.unwrap_or_default()).collect();
        let memory = costs.iter().map(|one| one.cost.memory as u64).collect();
        let events: Vec<Arc<Event>> = costs.into_iter().map(|one| one.event).collect();
        Ok(Some(Measured {
            costs: Costs {
                events: events.len(),
                fuel: Spread::of(fuel),
                memory: Spread::of(memory),
            },
            speed: self.speed(&events),
        }))
    }

    fn speed(&self, events: &[Arc<Event>]) -> Speed {
        let mut singles = Vec::new();
        self.time(events, 1, |nanoseconds, _| singles.push(nanoseconds));
        let (mut total, mut answered) = (0u64, 0u64);
        self.time(events, BATCH, |nanoseconds, events| {
            total += nanoseconds;
            answered += events;
        });
        Speed {
            events_per_second: (answered * 1_000_000_000).checked_div(total).unwrap_or_default(),
            nanoseconds: Spread::of(singles),
        }
    }

    /// Calls the rule repeatedly with batches of events, and passes the duration and size of each call to
    /// `told`.
    fn time(&self, events: &[Arc<Event>], batch: usize, mut told: impl FnMut(u64, u64)) {
        let mut caller = Caller::new(self.shared());
        let overall = Stopwatch::start();
        // The first pass warms up and does not count.
        let mut passes = 0;
        while passes < 2 || overall.elapsed() < MEASURE_FOR {
            let state = Arc::new(MemoryState::default());
            let view: Arc<dyn StateView> = state.clone();
            for batch in events.chunks(batch) {
                let watch = Stopwatch::start();
                let answers = caller.call(batch, &view);
                let nanoseconds = u64::try_from(watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
                if passes > 0 {
                    told(nanoseconds, batch.len() as u64);
                }
                for (event, answer) in batch.iter().zip(answers) {
                    let partition = event.partition.clone();
                    let slot = Slot { rule: self.loaded().name.clone(), partition };
                    state.commit(&slot, answer.writes, event.time);
                }
            }
            passes += 1;
        }
    }
}
