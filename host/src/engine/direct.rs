//! One instance of a rule, called on the thread at hand: what a measurement times is the call and
//! nothing else.

use std::sync::Arc;

use super::batch::Runner;
use super::{Answer, LoadedRule};
use crate::model::{Event, StateView};

/// Calls a rule without a worker.
pub struct Caller {
    runner: Runner,
}

impl Caller {
    /// The instance is made with the first call, and kept.
    pub fn new(rule: Arc<LoadedRule>) -> Self {
        Self { runner: Runner::new(rule, false, false) }
    }

    /// Answers events, in order, in one call.
    pub fn call(&mut self, events: &[Arc<Event>], state: &Arc<dyn StateView>) -> Vec<Answer> {
        self.runner.run(events, events.len().max(1), state, None)
    }
}
