//! Backfills: existing objects sent to newly added rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use klaxon_model::{Backfill, Id, RuleId};

/// The backfills in progress, by watch and rule.
#[derive(Debug, Default)]
pub(super) struct Backfills {
    by_scope: BTreeMap<Arc<str>, BTreeMap<RuleId, Backfill>>,
}

impl Backfills {
    /// Plans a rule's backfill from a watch, given its last record. If the digest differs the backfill
    /// starts again, with a number above the highest that the rule has for any watch. Returns the
    /// backfill if it is not complete.
    pub(super) fn plan(
        &mut self,
        rule: RuleId,
        scope: &Arc<str>,
        name: &Arc<str>,
        digest: Id,
        before: Option<&Backfill>,
        highest: u64,
    ) -> Option<&Backfill> {
        let backfill = match before {
            Some(before) if before.digest == digest => before.clone(),
            _ => Backfill {
                rule: name.clone(),
                scope: scope.clone(),
                digest,
                number: highest + 1,
                complete: false,
            },
        };
        if backfill.complete {
            return None;
        }
        let rules = self.by_scope.entry(scope.clone()).or_default();
        rules.insert(rule, backfill);
        rules.get(&rule)
    }

    /// Returns the number of a rule's backfill in progress.
    pub(super) fn number(&self, scope: &str, rule: RuleId) -> Option<u64> {
        if self.by_scope.is_empty() {
            return None;
        }
        Some(self.by_scope.get(scope)?.get(&rule)?.number)
    }

    pub(super) fn is_under_way(&self, scope: &str) -> bool {
        self.by_scope.get(scope).is_some_and(|rules| !rules.is_empty())
    }

    /// Completes the backfills of a watch that has listed all existing objects.
    pub(super) fn complete(&mut self, scope: &str) -> Vec<Backfill> {
        let rules = self.by_scope.remove(scope).unwrap_or_default();
        rules.into_values().map(|one| Backfill { complete: true, ..one }).collect()
    }
}
