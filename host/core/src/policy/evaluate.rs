//! Evaluation of a verdict by the stages of the policy, and its effects on the incident.

use std::sync::Arc;

use super::decision::{Decision, Reason};
use super::incident_table::IncidentKey;
use super::incidents::Incidents;
use super::inhibition::index::{fill, location};
use super::repeat;
use super::throttle;
use klaxon_model::{Delivered, Timestamp, Verdict};

impl Incidents {
    pub(super) fn firing(&mut self, spot: &Arc<IncidentKey>, verdict: Verdict, out: &mut Decision) {
        let now = self.now;
        let has_moved = self.touch(spot, &verdict);
        let replaced = self.take_pending(spot);
        if let Some(pending) = &replaced {
            out.suppress(&pending.verdict, Reason::Inhibited);
        }
        match self.no_news(spot, &verdict) {
            None => self.pend_or_pass(spot, verdict, replaced.map(|pending| pending.order), out),
            Some(reason) => {
                out.suppress(&verdict, reason);
                // The pending firing is replaced, and its inhibition ends.
                if let Some(incident) = self.open.change(spot).filter(|_| replaced.is_some()) {
                    incident.inhibited_since = None;
                }
            }
        }
        if has_moved {
            self.let_go(spot, now, out);
        }
        self.make_room(spot.rule, now, out);
    }

    /// Opens the incident, or touches it. Returns `true` if it moved and so no longer inhibits others at
    /// its previous location.
    fn touch(&mut self, spot: &Arc<IncidentKey>, verdict: &Verdict) -> bool {
        let before = self.open.get(spot).map(|incident| incident.location.clone());
        let mut location = location(verdict);
        if let Some(before) = &before {
            fill(&mut location, before);
        }
        let incident = self.open.touch(spot, self.now);
        incident.location.clone_from(&location);
        let Some(number) = self.inhibitor(spot).filter(|_| before.as_ref() != Some(&location))
        else {
            return false;
        };
        if let Some(before) = &before {
            self.inhibitors.close(number, &spot.key, before);
        }
        self.inhibitors.open(number, &spot.key, &location);
        before.is_some()
    }

    pub(super) fn inhibitor(&self, spot: &IncidentKey) -> Option<usize> {
        self.rules.get(spot.rule)?.inhibits.get(&spot.code).copied()
    }

    fn no_news(&self, spot: &IncidentKey, verdict: &Verdict) -> Option<Reason> {
        let delivered = self.open.get(spot)?.delivered;
        let settings = &self.rules.get(spot.rule)?.settings;
        repeat::no_news(settings, delivered, verdict.severity, self.now)
    }

    /// Delivers a firing unless the throttle suppresses it.
    pub(super) fn pass(
        &mut self,
        spot: &Arc<IncidentKey>,
        verdict: Verdict,
        now: Timestamp,
        out: &mut Decision,
    ) {
        let severity = verdict.severity;
        if self.deliver(spot.rule, verdict, now, out)
            && let Some(incident) = self.open.change(spot)
        {
            incident.delivered = Some(Delivered { at: now, severity });
        }
    }

    pub(super) fn deliver(
        &mut self,
        index: usize,
        verdict: Verdict,
        now: Timestamp,
        out: &mut Decision,
    ) -> bool {
        let Some(rule) = self.rules.get_mut(index) else { return false };
        let may = throttle::take(rule, now);
        if may {
            out.verdicts.push(verdict);
        } else {
            throttle::suppress(rule, &verdict);
            out.suppress(&verdict, Reason::Throttled);
        }
        if rule.settings.throttle.is_some() {
            self.mark_window(index);
        }
        may
    }

    pub(super) fn resolved(
        &mut self,
        spot: &Arc<IncidentKey>,
        verdict: Verdict,
        out: &mut Decision,
    ) {
        let now = self.now;
        let pending = self.take_pending(spot);
        let incident = self.open.close(spot);
        let heard = incident.as_ref().is_some_and(|incident| incident.delivered.is_some());
        let pairs = self.rules.get(spot.rule).is_some_and(|rule| rule.settings.pair);
        if let Some(pending) = &pending {
            out.suppress(&pending.verdict, Reason::Inhibited);
        }
        if heard {
            // Receivers of the firing get its resolution regardless of the throttle.
            out.verdicts.push(verdict);
        } else if pending.is_some() {
            out.suppress(&verdict, Reason::Inhibited);
        } else if pairs {
            out.suppress(&verdict, Reason::Pair);
        } else {
            self.deliver(spot.rule, verdict, now, out);
        }
        self.closed(spot, incident, now, out);
    }
}
