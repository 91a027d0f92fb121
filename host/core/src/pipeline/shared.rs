//! The parts of the pipeline that all rules share, and that a step of one rule may change.

use std::sync::Arc;

use klaxon_model::{Origin, StateKeeper, Timestamp};

use super::changes::Changes;
use super::output::{Counts, Limited, Output};
use super::state::RuleState;
use crate::policy::{Decision, Incidents};
use crate::route::Router;
use crate::verdict::Refusal;

/// The parts of the pipeline that all rules share.
pub(super) struct Shared {
    pub(super) origin: Arc<Origin>,
    pub(super) router: Router,
    pub(super) state: RuleState,
    pub(super) incidents: Incidents,
    pub(super) changes: Changes,
    pub(super) output: Output,
    pub(super) counts: Counts,
    /// The event clock.
    pub(super) now: Timestamp,
    /// The wall-clock time at which lagging rules were last let go on. Their events are older.
    pub(super) wall: Timestamp,
}

impl Shared {
    pub(super) fn new<K: StateKeeper + 'static>(
        origin: Origin,
        keeper: Arc<K>,
        router: Router,
        incidents: Incidents,
    ) -> Self {
        Self {
            router,
            origin: Arc::new(origin),
            state: RuleState::new(keeper),
            incidents,
            changes: Changes::new(),
            output: Output::default(),
            counts: Counts::default(),
            now: Timestamp::from_millis(i64::MIN),
            wall: Timestamp::from_millis(i64::MIN),
        }
    }

    /// Adds the policy's decisions to the output: verdicts that pass, at once or after an inhibition, suppressed
    /// verdicts, and writes over the budget.
    pub(super) fn pass_on(&mut self, decision: Decision) {
        self.counts.verdicts += decision.verdicts.len() as u64;
        self.counts.suppressed += decision.suppressed.len() as u64;
        self.counts.over_budget += decision.over_budget.len() as u64;
        self.output.refusals.extend(decision.verdicts.iter().flat_map(Refusal::of));
        self.output.over_budget.extend(decision.over_budget);
        self.output.verdicts.extend(decision.verdicts);
        self.output.suppressed.extend(decision.suppressed);
    }

    /// Moves the policy's clock.
    pub(super) fn advance_policy(&mut self, time: Timestamp) {
        let decision = self.incidents.advance_to(time);
        self.pass_on(decision);
    }

    pub(super) fn note_limited(&mut self, limited: impl IntoIterator<Item = Limited>) {
        self.output.limited.extend(limited);
    }
}
