//! What a rule that is new gets of what exists already.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Backfill, Id};

/// Which rules are being backfilled to which watches.
#[derive(Debug, Default)]
pub(super) struct Backfills {
    by_scope: BTreeMap<Arc<str>, BTreeMap<usize, Backfill>>,
}

impl Backfills {
    /// Takes what is known of a rule's backfill to a watch; one whose digest differs starts anew,
    /// with a number above the highest that the rule had anywhere.
    /// Returns the backfill where there is something left to do.
    pub(super) fn plan(
        &mut self,
        rule: usize,
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

    /// The number of a rule's backfill that is under way.
    pub(super) fn number(&self, scope: &str, rule: usize) -> Option<u64> {
        if self.by_scope.is_empty() {
            return None;
        }
        Some(self.by_scope.get(scope)?.get(&rule)?.number)
    }

    pub(super) fn is_under_way(&self, scope: &str) -> bool {
        self.by_scope.get(scope).is_some_and(|rules| !rules.is_empty())
    }

    /// All that a watch has is listed: its backfills are complete.
    pub(super) fn complete(&mut self, scope: &str) -> Vec<Backfill> {
        let rules = self.by_scope.remove(scope).unwrap_or_default();
        rules.into_values().map(|one| Backfill { complete: true, ..one }).collect()
    }
}
