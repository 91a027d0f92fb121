//! What a rule that is new gets of what exists already.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Id, Introduction};

/// Which rules are being introduced to which watches.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    by_scope: BTreeMap<Arc<str>, BTreeMap<usize, Introduction>>,
}

impl Introductions {
    /// Takes what is known of a rule's introduction to a watch; one whose digest differs starts anew,
    /// with a number above the highest that the rule had anywhere.
    /// Returns the introduction where there is something left to do.
    pub(super) fn plan(
        &mut self,
        rule: usize,
        scope: &Arc<str>,
        name: &Arc<str>,
        digest: Id,
        before: Option<&Introduction>,
        highest: u64,
    ) -> Option<&Introduction> {
        let introduction = match before {
            Some(before) if before.digest == digest => before.clone(),
            _ => Introduction {
                rule: name.clone(),
                scope: scope.clone(),
                digest,
                number: highest + 1,
                complete: false,
            },
        };
        if introduction.complete {
            return None;
        }
        let rules = self.by_scope.entry(scope.clone()).or_default();
        rules.insert(rule, introduction);
        rules.get(&rule)
    }

    /// The number of a rule's introduction that is under way.
    pub(super) fn number(&self, scope: &str, rule: usize) -> Option<u64> {
        if self.by_scope.is_empty() {
            return None;
        }
        Some(self.by_scope.get(scope)?.get(&rule)?.number)
    }

    pub(super) fn is_under_way(&self, scope: &str) -> bool {
        self.by_scope.get(scope).is_some_and(|rules| !rules.is_empty())
    }

    /// All that a watch has is listed: its introductions are complete.
    pub(super) fn complete(&mut self, scope: &str) -> Vec<Introduction> {
        let rules = self.by_scope.remove(scope).unwrap_or_default();
        rules.into_values().map(|one| Introduction { complete: true, ..one }).collect()
    }
}
