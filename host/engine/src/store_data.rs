//! Data of an instance's store: limits, the deadline, and the current call.

use std::sync::Arc;

use super::deadline::Deadline;
use super::imports::log::Log;
use super::imports::state::StateCall;
use super::limits::Limiter;
use klaxon_model::{Event, Failure, FailureKind, Limits, Line, Write};

/// Data of a store.
pub(super) struct Host {
    pub(super) limiter: Limiter,
    pub(super) deadline: Deadline,
    pub(super) call: Call,
    pub(super) counts_fuel: bool,
}

impl Host {
    pub(super) fn new(limits: &Limits, counts_fuel: bool) -> Self {
        Self {
            limiter: Limiter::new(limits.memory),
            deadline: Deadline::new(),
            call: Call::default(),
            counts_fuel,
        }
    }
}

/// The rule's use of its imports during the current call.
#[derive(Default)]
pub(super) struct Call {
    /// The batch; empty during `describe` and `configure`.
    events: Vec<Arc<Event>>,
    pub(super) state: StateCall,
    pub(super) log: Log,
    host_calls: u32,
    max_host_calls: u32,
    /// Index of the last event that used an import: the index must not decrease.
    current: usize,
    /// Events that exceeded a budget, with the message. They fail regardless of the rule's answer.
    pub(super) over_budget: Vec<(usize, String)>,
}

impl Call {
    pub(super) fn new(events: Vec<Arc<Event>>, state: StateCall, max_host_calls: u32) -> Self {
        Self { events, state, max_host_calls, ..Self::default() }
    }

    /// Returns the event of an import call, and counts the call.
    ///
    /// # Errors
    /// A trap if the index is out of range or decreases, or the event has made too many calls.
    pub(super) fn event(&mut self, index: u32) -> wasmtime::Result<(usize, Arc<Event>)> {
        let place = index as usize;
        let Some(event) = self.events.get(place) else {
            wasmtime::bail!(
                "the rule asked the host about event {index} of a batch of {}; hint: pass the index of the event at hand",
                self.events.len()
            );
        };
        if place < self.current {
            wasmtime::bail!(
                "the rule asked the host about event {index} after event {}; hint: answer events in order",
                self.current
            );
        }
        if place > self.current {
            self.current = place;
            self.host_calls = 0;
        }
        self.host_calls += 1;
        if self.host_calls > self.max_host_calls {
            wasmtime::bail!("one event made more than {} calls into the host", self.max_host_calls);
        }
        Ok((place, event.clone()))
    }

    /// Returns the failure of an event that exceeded a budget.
    pub(super) fn failure_of(&self, place: usize) -> Option<Failure> {
        let (_, message) = self.over_budget.iter().find(|(at, _)| *at == place)?;
        Some(Failure { kind: FailureKind::OverBudget, message: message.clone() })
    }

    pub(super) fn writes_of(&self, place: usize) -> Vec<Write> {
        self.state.writes_of(place)
    }

    pub(super) fn lines_of(&mut self, place: usize) -> Vec<Line> {
        self.log.take(place)
    }
}
