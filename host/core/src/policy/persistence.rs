//! Persistence of the policy: a row for each open incident, one for each rule whose window is open, and
//! one for each object for which a rule's budget is not full.

use std::sync::Arc;

use super::incident_table::IncidentKey;
use super::incidents::Incidents;
use super::inhibition::pending::bytes;
use super::rule::Rule;
use klaxon_model::{Bucket, Incident, IncidentRecord, PersistedIncident, StoreOp, Window};

impl Incidents {
    /// Collects changes from now on, to be returned by [`Incidents::take_changes`].
    pub fn use_journal(&mut self) {
        self.open.keep();
        self.windows_changed.get_or_insert_default();
        self.rules.iter_mut().for_each(|rule| rule.writes.keep());
    }

    /// Returns the changes since the last call.
    pub fn take_changes(&mut self) -> Vec<StoreOp> {
        let spots = self.open.take_changed();
        let windows = self.windows_changed.as_mut().map(std::mem::take).unwrap_or_default();
        let incidents = spots.iter().filter_map(|spot| self.incident_row(spot));
        let windows = windows.into_iter().filter_map(|rule| self.window_row(rule));
        let mut changes: Vec<StoreOp> = incidents.chain(windows).collect();
        changes.extend(self.rules.iter_mut().flat_map(budget_rows));
        changes
    }

    fn incident_row(&self, spot: &IncidentKey) -> Option<StoreOp> {
        let rule = self.rules.get(spot.rule)?.name.clone();
        let (code, key) = (spot.code.clone(), spot.key.clone());
        Some(match self.open.get(spot) {
            None => StoreOp::NoIncident(rule, code, key),
            Some(incident) => {
                let record = IncidentRecord::Incident(incident.clone());
                StoreOp::Incident(Box::new(PersistedIncident { rule, code, key, record }))
            }
        })
    }

    fn window_row(&self, rule: usize) -> Option<StoreOp> {
        let rule = self.rules.get(rule)?;
        let (name, code, key) = (rule.name.clone(), String::new(), String::new());
        Some(match &rule.window {
            None => StoreOp::NoIncident(name, code, key),
            Some(window) => {
                let record = IncidentRecord::Window(window.clone());
                StoreOp::Incident(Box::new(PersistedIncident { rule: name, code, key, record }))
            }
        })
    }

    /// Restores the state of the last run. The settings may have changed: verdicts that the current
    /// settings let pass are due at once. Rows of rules that are not configured stay in the journal.
    pub fn restore(&mut self, rows: Vec<PersistedIncident>) {
        let is_budget = |row: &PersistedIncident| matches!(row.record, IncidentRecord::Budget(_));
        self.is_idle &= rows.iter().all(is_budget);
        for row in rows {
            let Some(rule) = self.numbers.get(&row.rule).copied() else { continue };
            match row.record {
                IncidentRecord::Window(window) => self.restore_window(rule, window),
                IncidentRecord::Budget(bucket) => {
                    if let Some(rule) = self.rules.get_mut(rule) {
                        rule.writes.restore(row.key, bucket.full_at, self.now);
                    }
                }
                IncidentRecord::Incident(incident) => {
                    let spot = Arc::new(IncidentKey { rule, code: row.code, key: row.key });
                    self.restore_incident(spot, incident);
                }
            }
        }
        self.hurry_free();
    }

    fn restore_window(&mut self, rule: usize, window: Window) {
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.window = Some(window);
        }
    }

    fn restore_incident(&mut self, spot: Arc<IncidentKey>, mut incident: Incident) {
        let tracks = self.rules.get(spot.rule).is_some_and(|rule| rule.tracks(&spot.code));
        if !tracks && incident.pending.is_none() {
            self.open.mark(&spot);
            return;
        }
        if let Some(pending) = &mut incident.pending {
            // The table may have been edited by hand: two verdicts with one number would lose one of
            // them.
            if self.waiting.spot(pending.order).is_some() {
                pending.order = self.waiting.next_order();
            }
            let size = bytes(&pending.verdict, &pending.refused);
            self.waiting.add(pending.order, spot.clone(), pending.until, size);
        }
        if let Some(number) = self.inhibitor(&spot) {
            self.inhibitors.open(number, &spot.key, &incident.location);
        }
        self.open.restore(spot, incident);
    }

    /// Makes pending verdicts due that no inhibitor of the current settings inhibits, at the last known
    /// time of their incident.
    fn hurry_free(&mut self) {
        let all: Vec<usize> = (0..self.rules.len()).collect();
        for order in self.waiting.of(&all) {
            let Some(spot) = self.waiting.spot(order) else { continue };
            let Some(touched) = self.open.get(&spot).map(|incident| incident.touched) else {
                continue;
            };
            let is_due = self.waiting.end(order).is_some_and(|until| until <= self.now);
            if !is_due && self.inhibited_until(&spot, touched).is_none() {
                self.waiting.move_end(order, touched);
            }
        }
    }
}

fn budget_rows(rule: &mut Rule) -> Vec<StoreOp> {
    let name = rule.name.clone();
    let row = |(key, full_at): (String, Option<_>)| {
        let (rule, code) = (name.clone(), String::new());
        match full_at {
            None => StoreOp::NoIncident(rule, code, key),
            Some(full_at) => {
                let record = IncidentRecord::Budget(Bucket { full_at });
                StoreOp::Incident(Box::new(PersistedIncident { rule, code, key, record }))
            }
        }
    };
    rule.writes.take_changed().into_iter().map(row).collect()
}
