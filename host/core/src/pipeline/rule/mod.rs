//! One rule as the pipeline runs it.

mod answer;
mod breaker;
mod budget;
mod meter;
mod partition_kind;

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use klaxon_model::{RuleId, RuleInfo, Slot, Timestamp};

use super::backlog::queue::Backlog;
use super::shared::Shared;
use super::timers::Timers;
use super::{AFTER_DELETION_MS, UNKNOWN_OBJECT_MS};
use crate::verdict::VerdictBuilder;

pub(super) use answer::Settled;
pub(super) use breaker::Breaker;
pub use budget::RuleUsage;
pub use meter::Limit;
use meter::Meter;
pub(super) use partition_kind::kind_of_old;

/// A rule with everything that belongs to it alone.
pub(super) struct RuleRuntime {
    pub(super) info: Arc<RuleInfo>,
    pub(super) verdicts: VerdictBuilder,
    pub(super) breaker: Breaker,
    pub(super) meter: Meter,
    pub(super) timers: Timers,
    /// `true` if the rule's timers were suspended when the clock last moved.
    pub(super) is_suspended: bool,
    /// The rule's queued entries. `None` if it is caught up.
    pub(super) backlog: Option<Box<Backlog>>,
}

impl RuleRuntime {
    pub(super) fn new(info: Arc<RuleInfo>, verdicts: VerdictBuilder) -> Self {
        Self {
            meter: Meter::new(info.name.clone()),
            info,
            verdicts,
            breaker: Breaker::default(),
            timers: Timers::default(),
            is_suspended: false,
            backlog: None,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.info.name
    }

    pub(super) fn is_lagging(&self) -> bool {
        self.backlog.is_some()
    }

    pub(super) fn slot(&self, partition: &Arc<str>) -> Slot {
        Slot { rule: self.info.name.clone(), partition: partition.clone() }
    }

    /// Removes the timers of a deleted object, even if the rule did not see the deletion, and sets the time at which
    /// the state of the object expires.
    pub(super) fn object_deleted(
        &mut self,
        partition: &Arc<str>,
        time: Timestamp,
        shared: &mut Shared,
    ) {
        let slot = self.slot(partition);
        for timer in self.timers.cancel_all(partition) {
            self.forget_timer(timer, shared);
        }
        let end = time.plus_millis(AFTER_DELETION_MS);
        shared.state.expire_at(end, &slot, &mut shared.changes);
    }

    /// Sets the expiry of the state of an object that is not followed any longer. The object's end will not be seen,
    /// so the state lasts as long as that of any object that the host does not know.
    pub(super) fn object_unfollowed(
        &mut self,
        partition: &Arc<str>,
        time: Timestamp,
        shared: &mut Shared,
    ) {
        let slot = self.slot(partition);
        if !shared.state.is_empty(&slot, time) {
            let end = time.plus_millis(UNKNOWN_OBJECT_MS);
            shared.state.expire_at(end, &slot, &mut shared.changes);
        }
    }

    /// Suspends incident timeouts while the rule is out of sync, now or at its position in its backlog: the event
    /// that resolves an incident may still be queued.
    pub(super) fn suspend_policy(&self, shared: &mut Shared) {
        let is_suspended_late = self.backlog.as_ref().is_some_and(|backlog| backlog.is_suspended());
        shared.incidents.set_suspended(self.info.id.0, self.is_suspended || is_suspended_late);
    }
}

/// The rules of the pipeline, in the order in which they were added. Every [`RuleId`] in the pipeline comes from this
/// list, so that a look-up of another id is a defect, and panics.
#[derive(Default)]
pub(super) struct Rules(Vec<RuleRuntime>);

impl Rules {
    /// Adds a rule.
    ///
    /// # Panics
    /// If its id is not its index: look-ups would find another rule.
    pub(super) fn push(&mut self, rule: RuleRuntime) {
        assert_eq!(rule.info.id.0, self.0.len(), "rules are added in the order of their ids");
        self.0.push(rule);
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = RuleId> + use<> {
        (0..self.0.len()).map(RuleId)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RuleRuntime> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RuleRuntime> {
        self.0.iter_mut()
    }

    /// Returns the rule with a configured name.
    pub(super) fn named(&self, name: &str) -> Option<&RuleRuntime> {
        self.0.iter().find(|rule| *rule.info.name == *name)
    }

    /// Returns the id of the rule with a configured name.
    pub(super) fn id_of(&self, name: &str) -> Option<RuleId> {
        self.named(name).map(|rule| rule.info.id)
    }
}

impl Index<RuleId> for Rules {
    type Output = RuleRuntime;

    fn index(&self, id: RuleId) -> &RuleRuntime {
        &self.0[id.0]
    }
}

impl IndexMut<RuleId> for Rules {
    fn index_mut(&mut self, id: RuleId) -> &mut RuleRuntime {
        &mut self.0[id.0]
    }
}
