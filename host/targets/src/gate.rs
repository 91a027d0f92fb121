//! Gates: a firing verdict closes the gate, and the resolved verdict of the last open incident opens it.

use std::sync::Arc;

use klaxon_config as config;
use klaxon_gate::{GateFile, GateIncidents, IncidentError};
use klaxon_model::Status;

use super::{Attempt, Delivery, Trouble};

/// A gate, ready to be opened and closed. Deliveries come one at a time.
pub(super) struct Gate {
    incidents: Arc<GateIncidents>,
}

impl Gate {
    /// Changes no file yet: a missing folder is reported by the first delivery, which is retried.
    pub(super) fn new(settings: &config::Gate) -> Self {
        let gate = GateFile::new(&settings.file);
        Self { incidents: Arc::new(GateIncidents::of(gate)) }
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Attempt {
        let is_firing = match delivery.status.as_str() {
            status if status == Status::Firing.as_str() => true,
            status if status == Status::Resolved.as_str() => false,
            status => {
                let why = format!("a gate needs the status firing or resolved, not {status:?}");
                return Attempt::Refused { why };
            }
        };
        let (rule, key) = delivery.order.clone();
        let incident = (rule, delivery.code.clone(), key);
        let incidents = self.incidents.clone();
        let changed = tokio::task::spawn_blocking(move || match is_firing {
            true => incidents.fire(incident),
            false => incidents.resolve(&incident),
        });
        match changed.await {
            Ok(Ok(())) => Attempt::Delivered,
            Ok(Err(error @ IncidentError::TooMany)) => Attempt::Refused { why: error.to_string() },
            Ok(Err(error)) => Attempt::Retry(Trouble::of_receiver(error.to_string())),
            Err(error) => Attempt::Retry(Trouble::of_receiver(error.to_string())),
        }
    }
}
