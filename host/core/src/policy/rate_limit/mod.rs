//! Rate limit of writes to the cluster: each write of a verdict that passes takes a token of the rule's
//! budget for the object.

pub(in crate::policy) mod budget;

use crate::policy::decision::{Decision, OverBudget};
use crate::policy::incidents::Incidents;
use crate::policy::rate_limit::budget::Over;
use klaxon_model::{Timestamp, Verdict};

impl Incidents {
    /// Removes writes that exceed the budget from the verdicts starting at index `first`, which pass at
    /// time `at`. The verdicts are delivered without them.
    pub(in crate::policy) fn spend(&mut self, out: &mut Decision, first: usize, at: Timestamp) {
        let Decision { verdicts, over_budget, .. } = out;
        let verdicts = verdicts.iter_mut().skip(first);
        for verdict in verdicts.filter(|verdict| !verdict.refused.is_empty()) {
            let refused = std::mem::take(&mut verdict.refused);
            verdict.refused = refused
                .into_iter()
                .filter(|one| {
                    let Some(object) = &one.writes_to else { return true };
                    let Err(over) = self.take_token(verdict, object, at) else { return true };
                    over_budget.push(OverBudget {
                        verdict: verdict.id,
                        rule: verdict.rule.clone(),
                        target: one.kind.clone(),
                        object: object.clone(),
                        next: over.next,
                        is_first: over.is_first,
                    });
                    false
                })
                .collect();
        }
    }

    fn take_token(&mut self, verdict: &Verdict, object: &str, at: Timestamp) -> Result<(), Over> {
        let index = self.numbers.get(&verdict.rule).copied();
        let rule = index.and_then(|index| self.rules.get_mut(index));
        rule.map_or(Ok(()), |rule| rule.writes.take(object, at))
    }
}
