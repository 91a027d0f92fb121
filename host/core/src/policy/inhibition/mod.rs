//! Inhibited firings: keeping them pending, and releasing them.

pub(in crate::policy) mod index;
pub(in crate::policy) mod pending;

use std::sync::Arc;

use crate::policy::decision::Decision;
use crate::policy::incident_table::IncidentKey;
use crate::policy::incidents::Incidents;
use crate::policy::inhibition::pending::bytes;
use klaxon_model::{Incident, PendingFiring, Timestamp, Verdict};

impl Incidents {
    /// Keeps an inhibited firing pending, or delivers it. `order` is that of the pending firing that it
    /// replaces.
    pub(in crate::policy) fn pend_or_pass(
        &mut self,
        spot: &Arc<IncidentKey>,
        verdict: Verdict,
        order: Option<u64>,
        out: &mut Decision,
    ) {
        let now = self.now;
        let until = self.inhibited_until(spot, now);
        if until.is_none()
            && let Some(incident) = self.open.change(spot)
        {
            incident.inhibited_since = None;
        }
        let Some(until) = until.filter(|until| *until > now) else {
            return self.pass(spot, verdict, now, out);
        };
        if self.has_room(spot.rule, bytes(&verdict, &verdict.refused)) {
            let order = order.unwrap_or_else(|| self.waiting.next_order());
            // Delivery does not need the event, which may be large.
            let mut verdict = Box::new(Verdict { event: None, ..verdict });
            let refused = std::mem::take(&mut verdict.refused);
            self.add_pending(spot, PendingFiring { order, until, verdict, refused }, now);
        } else {
            *self.tally.no_room.entry(verdict.rule.clone()).or_default() += 1;
            self.pass(spot, verdict, now, out);
        }
    }

    /// Returns the time until which an incident may be kept pending. `None` if nothing inhibits it. The
    /// time counts from the first inhibition.
    pub(in crate::policy) fn inhibited_until(
        &self,
        spot: &IncidentKey,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let incident = self.open.get(spot)?;
        let since = incident.inhibited_since.unwrap_or(now);
        let entries = self.rules.get(spot.rule)?.inhibitors_of(&spot.code);
        let inhibiting = entries.filter(|entry| {
            self.inhibitors.inhibits(entry.inhibitor, entry.equal, &spot.key, &incident.location)
        });
        inhibiting.map(|entry| since.plus_millis(entry.at_most)).max()
    }

    fn has_room(&self, rule: usize, size: usize) -> bool {
        let (count, bytes) = self.waiting.size(rule);
        count < self.bounds.pending && bytes + size <= self.bounds.pending_bytes
    }

    fn add_pending(&mut self, spot: &Arc<IncidentKey>, pending: PendingFiring, now: Timestamp) {
        let size = bytes(&pending.verdict, &pending.refused);
        self.waiting.add(pending.order, spot.clone(), pending.until, size);
        if let Some(incident) = self.open.change(spot) {
            incident.inhibited_since.get_or_insert(now);
            incident.pending = Some(pending);
        }
    }

    pub(in crate::policy) fn take_pending(
        &mut self,
        spot: &Arc<IncidentKey>,
    ) -> Option<PendingFiring> {
        self.open.get(spot)?.pending.as_ref()?;
        let mut pending = self.open.change(spot)?.pending.take()?;
        self.waiting.remove(pending.order);
        pending.verdict.refused = std::mem::take(&mut pending.refused);
        Some(pending)
    }

    /// Checks if a pending firing is still inhibited, and delivers it if not.
    pub(in crate::policy) fn look_again(&mut self, order: u64, now: Timestamp, out: &mut Decision) {
        let Some(spot) = self.waiting.spot(order) else { return };
        match self.inhibited_until(&spot, now) {
            Some(until) if until > now => self.wait_until(&spot, order, until),
            _ if self.is_suspended(spot.rule, now) => {
                // The firing is due, and is delivered as soon as the suspension ends.
                if self.waiting.end(order).is_some_and(|until| until > now) {
                    self.wait_until(&spot, order, now);
                }
            }
            found => {
                let Some(pending) = self.take_pending(&spot) else { return };
                let incident = self.open.touch(&spot, now);
                if found.is_none() {
                    incident.inhibited_since = None;
                }
                self.pass(&spot, *pending.verdict, now, out);
                self.close_untracked(&spot);
            }
        }
    }

    fn wait_until(&mut self, spot: &Arc<IncidentKey>, order: u64, until: Timestamp) {
        self.waiting.move_end(order, until);
        let pending = self.open.get(spot).and_then(|incident| incident.pending.as_ref());
        if pending.is_some_and(|pending| pending.until != until)
            && let Some(pending) =
                self.open.change(spot).and_then(|incident| incident.pending.as_mut())
        {
            pending.until = until;
        }
    }

    /// Releases firings that a closed incident inhibited, unless another incident inhibits them.
    pub(in crate::policy) fn closed(
        &mut self,
        spot: &IncidentKey,
        incident: Option<Incident>,
        now: Timestamp,
        out: &mut Decision,
    ) {
        if let (Some(number), Some(incident)) = (self.inhibitor(spot), incident) {
            self.inhibitors.close(number, &spot.key, &incident.location);
            self.let_go(spot, now, out);
        }
    }

    pub(in crate::policy) fn let_go(
        &mut self,
        spot: &IncidentKey,
        now: Timestamp,
        out: &mut Decision,
    ) {
        let number = self.inhibitor(spot);
        let rules = number.and_then(|number| self.inhibitors.inhibits.get(number));
        let orders = rules.map(|rules| self.waiting.of(rules)).unwrap_or_default();
        for order in orders {
            self.look_again(order, now, out);
        }
    }

    /// Closes an incident that no verdict has touched for the configured time. A pending firing is
    /// delivered instead of lost.
    pub(in crate::policy) fn forget(
        &mut self,
        spot: &Arc<IncidentKey>,
        now: Timestamp,
        out: &mut Decision,
    ) {
        if let Some(pending) = self.take_pending(spot) {
            self.open.touch(spot, now);
            self.pass(spot, *pending.verdict, now, out);
            return;
        }
        let incident = self.open.close(spot);
        if let Some(rule) = self.rules.get(spot.rule) {
            *self.tally.forgotten.entry(rule.name.clone()).or_default() += 1;
        }
        self.closed(spot, incident, now, out);
    }

    /// Closes the least recently touched incidents of a rule until its number of open incidents is within
    /// the bound.
    pub(in crate::policy) fn make_room(&mut self, rule: usize, now: Timestamp, out: &mut Decision) {
        while self.open.len(rule) > self.bounds.open {
            let Some((_, spot)) = self.open.oldest(rule).cloned() else { return };
            if let Some(pending) = self.take_pending(&spot) {
                self.deliver(rule, *pending.verdict, now, out);
            }
            self.forget(&spot, now, out);
        }
    }

    /// Closes a restored incident that the current policy does not track.
    fn close_untracked(&mut self, spot: &Arc<IncidentKey>) {
        if !self.rules.get(spot.rule).is_some_and(|rule| rule.tracks(&spot.code)) {
            self.open.close(spot);
        }
    }
}
