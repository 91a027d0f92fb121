//! Pending verdicts, in the order in which they became pending.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::policy::incident_table::IncidentKey;
use klaxon_model::{Refused, Timestamp, Verdict};

/// The incidents that have a pending verdict; the verdict itself is stored with the incident.
#[derive(Debug, Default)]
pub(in crate::policy) struct Waiting {
    by_order: BTreeMap<u64, (Arc<IncidentKey>, Timestamp, usize)>,
    /// By rule.
    by_end: BTreeMap<usize, BTreeSet<(Timestamp, u64)>>,
    /// Number and total bytes of the pending verdicts of each rule.
    sizes: BTreeMap<usize, (usize, usize)>,
}

impl Waiting {
    /// Returns the next number. It is derived from the pending verdicts, so that it is the same after a
    /// restart.
    pub(in crate::policy) fn next_order(&self) -> u64 {
        self.by_order.last_key_value().map_or(0, |(order, _)| order.saturating_add(1))
    }

    pub(in crate::policy) fn add(
        &mut self,
        order: u64,
        spot: Arc<IncidentKey>,
        until: Timestamp,
        size: usize,
    ) {
        let (count, bytes) = self.sizes.entry(spot.rule).or_default();
        (*count, *bytes) = (*count + 1, *bytes + size);
        self.by_end.entry(spot.rule).or_default().insert((until, order));
        self.by_order.insert(order, (spot, until, size));
    }

    pub(in crate::policy) fn remove(&mut self, order: u64) {
        let Some((spot, until, size)) = self.by_order.remove(&order) else { return };
        if let Some(ends) = self.by_end.get_mut(&spot.rule) {
            ends.remove(&(until, order));
        }
        if let Some((count, bytes)) = self.sizes.get_mut(&spot.rule) {
            (*count, *bytes) = (count.saturating_sub(1), bytes.saturating_sub(size));
        }
    }

    /// Moves the time at which a verdict stops waiting.
    pub(in crate::policy) fn move_end(&mut self, order: u64, until: Timestamp) {
        if let Some((spot, before, _)) = self.by_order.get_mut(&order) {
            let ends = self.by_end.entry(spot.rule).or_default();
            ends.remove(&(*before, order));
            ends.insert((until, order));
            *before = until;
        }
    }

    /// Returns the first verdict that stops waiting. `put_off` may delay those of a rule.
    pub(in crate::policy) fn first_end(
        &self,
        put_off: impl Fn(usize, Timestamp) -> Timestamp,
    ) -> Option<(Timestamp, u64)> {
        let firsts = self.by_end.iter().filter_map(|(rule, ends)| {
            let (until, order) = ends.first()?;
            Some((put_off(*rule, *until), *order))
        });
        firsts.min()
    }

    pub(in crate::policy) fn end(&self, order: u64) -> Option<Timestamp> {
        self.by_order.get(&order).map(|(_, until, _)| *until)
    }

    pub(in crate::policy) fn spot(&self, order: u64) -> Option<Arc<IncidentKey>> {
        self.by_order.get(&order).map(|(spot, ..)| spot.clone())
    }

    /// Returns the numbers of the pending verdicts of some rules, in order.
    pub(in crate::policy) fn of(&self, rules: &[usize]) -> Vec<u64> {
        let of = self.by_order.iter().filter(|(_, (spot, ..))| rules.contains(&spot.rule));
        of.map(|(order, _)| *order).collect()
    }

    /// Returns the number of a rule's pending verdicts, and their bytes.
    pub(in crate::policy) fn size(&self, rule: usize) -> (usize, usize) {
        self.sizes.get(&rule).copied().unwrap_or_default()
    }
}

/// Returns the bytes of a pending verdict and its refused targets.
pub(in crate::policy) fn bytes(verdict: &Verdict, refused: &[Refused]) -> usize {
    let refused = refused.iter().map(|one| {
        let texts = [one.name.as_ref(), one.writes_to.as_ref(), Some(&one.kind), Some(&one.why)];
        texts.into_iter().flatten().map(String::len).sum::<usize>()
    });
    let refused: usize = refused.sum();
    verdict.payload.get().len() + verdict.title.len() + verdict.key.len() + refused
}
