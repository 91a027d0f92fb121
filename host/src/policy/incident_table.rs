//! Open incidents, and when each is forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Incident, Timestamp};

/// Which incident.
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
    /// Of each rule: how long an incident lasts that no verdict touches, and when each ends.
    ages: Vec<(i64, Ages)>,
    /// What is to be written; none: nothing is kept.
    changed: Option<BTreeSet<Arc<IncidentKey>>>,
}

impl Open {
    /// With how long incidents of each rule last.
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

    /// To change it; not when it was touched.
    pub(super) fn change(&mut self, spot: &Arc<IncidentKey>) -> Option<&mut Incident> {
        self.mark(spot);
        self.incidents.get_mut(spot)
    }

    /// An incident that is open from now on, if it was not; its time to be forgotten is moved.
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

    /// One that was kept.
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

    /// The one of a rule that is forgotten first.
    pub(super) fn oldest(&self, rule: usize) -> Option<&(Timestamp, Arc<IncidentKey>)> {
        self.ages.get(rule)?.1.first()
    }

    pub(super) fn len(&self, rule: usize) -> usize {
        self.ages.get(rule).map_or(0, |(_, ages)| ages.len())
    }

    /// It is to be written, or removed.
    pub(super) fn mark(&mut self, spot: &Arc<IncidentKey>) {
        if let Some(changed) = &mut self.changed {
            changed.insert(spot.clone());
        }
    }

    /// What has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Arc<IncidentKey>> {
        self.changed.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
