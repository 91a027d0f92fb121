//! Inhibited firings: keeping them pending, and releasing them.

pub(in crate::policy) mod index;
pub(in crate::policy) mod pending;

use std::sync::Arc;

use crate::policy::decision::Decision;
use crate::policy::incident_table::IncidentKey;
use crate::policy::incidents::Incidents;
use crate::policy::inhibition::pending::bytes;
use klaxon_model::{Held, Incident, Timestamp, Verdict};

impl Incidents {
    /// Keeps an inhibited firing pending, or delivers it. `order` is that of the pending firing that it
    /// replaces.
    pub(in crate::policy) fn hold_or_pass(
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
            self.hold(spot, Held { order, until, verdict, refused }, now);
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
        let entries = self.rules.get(spot.rule)?.held_by(&spot.code);
        let held = entries.filter(|entry| {
            self.inhibitors.holds(entry.inhibitor, entry.equal, &spot.key, &incident.place)
        });
        held.map(|entry| since.plus_millis(entry.at_most)).max()
    }

    fn has_room(&self, rule: usize, size: usize) -> bool {
        let (held, held_bytes) = self.waiting.size(rule);
        held < self.bounds.held && held_bytes + size <= self.bounds.held_bytes
    }

    fn hold(&mut self, spot: &Arc<IncidentKey>, held: Held, now: Timestamp) {
        let size = bytes(&held.verdict, &held.refused);
        self.waiting.add(held.order, spot.clone(), held.until, size);
        if let Some(incident) = self.open.change(spot) {
            incident.inhibited_since.get_or_insert(now);
            incident.held = Some(held);
        }
    }

    pub(in crate::policy) fn take_held(&mut self, spot: &Arc<IncidentKey>) -> Option<Held> {
        self.open.get(spot)?.held.as_ref()?;
        let mut held = self.open.change(spot)?.held.take()?;
        self.waiting.remove(held.order);
        held.verdict.refused = std::mem::take(&mut held.refused);
        Some(held)
    }

    /// Checks if a pending firing is still inhibited, and delivers it if not.
    pub(in crate::policy) fn look_again(&mut self, order: u64, now: Timestamp, out: &mut Decision) {
        let Some(spot) = self.waiting.spot(order) else { return };
        match self.inhibited_until(&spot, now) {
            Some(until) if until > now => self.wait_until(&spot, order, until),
            _ if self.is_held(spot.rule, now) => {
                // The firing is due, and is delivered as soon as the suspension ends.
                if self.waiting.end(order).is_some_and(|until| until > now) {
                    self.wait_until(&spot, order, now);
                }
            }
            found => {
                let Some(held) = self.take_held(&spot) else { return };
                let incident = self.open.touch(&spot, now);
                if found.is_none() {
                    incident.inhibited_since = None;
                }
                self.pass(&spot, *held.verdict, now, out);
                self.close_untracked(&spot);
            }
        }
    }

    fn wait_until(&mut self, spot: &Arc<IncidentKey>, order: u64, until: Timestamp) {
        self.waiting.move_end(order, until);
        let held = self.open.get(spot).and_then(|incident| incident.held.as_ref());
        if held.is_some_and(|held| held.until != until)
            && let Some(held) = self.open.change(spot).and_then(|incident| incident.held.as_mut())
        {
            held.until = until;
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
            self.inhibitors.close(number, &spot.key, &incident.place);
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
        let rules = number.and_then(|number| self.inhibitors.holds.get(number));
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
        if let Some(held) = self.take_held(spot) {
            self.open.touch(spot, now);
            self.pass(spot, *held.verdict, now, out);
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
            if let Some(held) = self.take_held(&spot) {
                self.deliver(rule, *held.verdict, now, out);
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
