//! One instance of a rule, called on the current thread, so that a measurement times the call and nothing
//! else.

use std::sync::Arc;

use super::LoadedRule;
use super::batch::Runner;
use klaxon_model::{Answer, Event, StateView};

/// Calls a rule without a worker thread.
pub struct Caller {
    runner: Runner,
}

impl Caller {
    /// Creates a caller. The instance is created by the first call and reused.
    pub fn new(rule: Arc<LoadedRule>) -> Self {
        Self { runner: Runner::new(rule, false, false) }
    }

    /// Answers events, in order, in one call.
    pub fn call(&mut self, events: &[Arc<Event>], state: &Arc<dyn StateView>) -> Vec<Answer> {
        self.runner.run(events, events.len().max(1), state, None)
    }
}
