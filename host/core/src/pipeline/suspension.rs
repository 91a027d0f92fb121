//! Suspension of a rule's timers and incident timeouts while a watch or stream that feeds the rule is out of sync: its
//! state may be outdated, and the change that makes an alarm wrong may only be on its way.
//!
//! A suspension begins and ends with the move of the clock after its cause, for each rule at its own position: at once
//! for a rule that is caught up, and as an entry of the backlog for a rule that lags.

use klaxon_model::{RuleId, Timestamp};

use super::Pipeline;
use super::backlog::entry::Entry;

impl Pipeline {
    /// Returns `true` if a watch or stream that feeds a rule is out of sync or in a gap.
    fn is_suspended(&self, id: RuleId) -> bool {
        self.watches.is_out_of_sync(id)
            || self.shared.router.open_gaps().any(|scope| self.watches.feeds(scope, id))
    }

    /// Returns `true` if a rule's timers do not fire with the clock, because they are suspended or the rule is
    /// lagging.
    pub(super) fn has_own_clock(&self, id: RuleId) -> bool {
        self.rules[id].is_lagging() || self.is_suspended(id)
    }

    /// Returns `true` if the suspension of a rule has ended: events that were seen before are evaluated before the
    /// timers that are due.
    pub(super) fn has_come_in_sync(&self) -> bool {
        self.rules.ids().any(|id| self.rules[id].is_suspended && !self.is_suspended(id))
    }

    /// Returns `true` if something happened that must be queued for lagging rules, or lets them continue, before the
    /// clock moves.
    pub(super) fn has_news_for_lagging(&self, time: Timestamp) -> bool {
        self.rules
            .ids()
            .any(|id| self.suspension_to_queue(id).is_some() || self.goes_on_by(id, time))
    }

    /// Returns the suspension of a lagging rule, if it differs from that after all queued entries.
    fn suspension_to_queue(&self, id: RuleId) -> Option<bool> {
        let backlog = self.rules[id].backlog.as_ref()?;
        let is_suspended = self.is_suspended(id);
        (backlog.will_be_suspended != is_suspended).then_some(is_suspended)
    }

    /// Applies the suspensions as of a move of the clock to rules, lagging rules' backlogs and the policy.
    pub(super) fn apply_suspensions(&mut self) {
        for id in self.rules.ids() {
            self.rules[id].is_suspended = self.is_suspended(id);
            self.rules[id].suspend_policy(&mut self.shared);
            if let Some(is_suspended) = self.suspension_to_queue(id) {
                let entry = Entry::Suspended(is_suspended, self.shared.now);
                self.rules[id].queue(entry, &mut self.shared);
            }
        }
    }
}
