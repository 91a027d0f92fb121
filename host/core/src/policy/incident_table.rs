//! The table of open incidents, with the time at which each is forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use klaxon_model::{Incident, Timestamp};

/// The identity of an incident.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IncidentKey {
    pub(super) rule: usize,
    pub(super) code: String,
    pub(super) key: String,
}

/// Incidents by the time at which they are forgotten.
type Ages = BTreeSet<(Timestamp, Arc<IncidentKey>)>;

/// Open incidents of all rules.
#[derive(Debug, Default)]
pub(super) struct Open {
    incidents: HashMap<Arc<IncidentKey>, Incident>,
    /// By rule: the time without verdicts after which an incident is forgotten, in milliseconds, and the
    /// incidents by the time at which that happens.
    ages: Vec<(i64, Ages)>,
    /// Incidents to be written. `None` if nothing is persisted.
    changed: Option<BTreeSet<Arc<IncidentKey>>>,
}

impl Open {
    /// Creates an empty table, given the time in milliseconds after which incidents of each rule are
    /// forgotten.
    pub(super) fn new(forget: impl Iterator<Item = i64>) -> Self {
        let ages = forget.map(|forget| (forget, Ages::new())).collect();
        Self { ages, ..Self::default() }
    }

    pub(super) fn keep(&mut self) {
        self.changed.get_or_insert_default();
    }

    pub(super) fn get(&self, spot: &IncidentKey) -> Option<&Incident> {
        self.incidents.get(spot)
    }

    /// Returns an incident to change it; the time at which it was touched stays.
    pub(super) fn change(&mut self, spot: &Arc<IncidentKey>) -> Option<&mut Incident> {
        self.mark(spot);
        self.incidents.get_mut(spot)
    }

    /// Opens an incident if it is not open, and restarts the time after which it is forgotten.
    pub(super) fn touch(&mut self, spot: &Arc<IncidentKey>, now: Timestamp) -> &mut Incident {
        self.mark(spot);
        let new = || Incident { since: now, touched: now, ..Incident::default() };
        let incident = self.incidents.entry(spot.clone()).or_insert_with(new);
        if let Some((forget, ages)) = self.ages.get_mut(spot.rule) {
            ages.remove(&(incident.touched.plus_millis(*forget), spot.clone()));
            ages.insert((now.plus_millis(*forget), spot.clone()));
        }
        incident.touched = now;
        incident
    }

    /// Restores a persisted incident.
    pub(super) fn restore(&mut self, spot: Arc<IncidentKey>, incident: Incident) {
        if let Some((forget, ages)) = self.ages.get_mut(spot.rule) {
            ages.insert((incident.touched.plus_millis(*forget), spot.clone()));
        }
        self.incidents.insert(spot, incident);
    }

    pub(super) fn close(&mut self, spot: &Arc<IncidentKey>) -> Option<Incident> {
        let incident = self.incidents.remove(spot)?;
        self.mark(spot);
        if let Some((forget, ages)) = self.ages.get_mut(spot.rule) {
            ages.remove(&(incident.touched.plus_millis(*forget), spot.clone()));
        }
        Some(incident)
    }

    /// Returns the incident of a rule that is forgotten first.
    pub(super) fn oldest(&self, rule: usize) -> Option<&(Timestamp, Arc<IncidentKey>)> {
        self.ages.get(rule)?.1.first()
    }

    pub(super) fn len(&self, rule: usize) -> usize {
        self.ages.get(rule).map_or(0, |(_, ages)| ages.len())
    }

    /// Marks an incident to be written, or removed.
    pub(super) fn mark(&mut self, spot: &Arc<IncidentKey>) {
        if let Some(changed) = &mut self.changed {
            changed.insert(spot.clone());
        }
    }

    /// Returns the incidents that changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Arc<IncidentKey>> {
        self.changed.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
