//! Builder of workloads in rollout.

use super::object::{event, label};
use crate::{Condition, Event, Subject, Timestamp, Workload};

/// Builds an event about a Deployment.
#[derive(Clone)]
pub struct WorkloadBuilder {
    event: Event,
    workload: Workload,
}

/// Returns a builder for a Deployment whose replicas are all available.
pub fn deployment(namespace: &str, name: &str, replicas: u32) -> WorkloadBuilder {
    WorkloadBuilder {
        event: event("apps/v1", "Deployment", namespace, name),
        workload: Workload {
            desired: replicas,
            current: replicas,
            updated: replicas,
            ready: replicas,
            available: replicas,
            observed_generation: 1,
            conditions: Vec::new(),
            images: Vec::new(),
        },
    }
}

impl WorkloadBuilder {
    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.event.object.labels.push(label(key, value));
        self
    }

    /// Adds a condition.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.workload.conditions.push(condition);
        self
    }

    /// Adds an image.
    pub fn image(mut self, image: &str) -> Self {
        self.workload.images.push(image.to_owned());
        self
    }

    /// Sets the time of the event.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event.time = time.as_millis();
        self
    }

    /// Changes any other part of the event and the workload.
    pub fn with(mut self, change: impl FnOnce(&mut Event, &mut Workload)) -> Self {
        change(&mut self.event, &mut self.workload);
        self
    }

    /// Returns the event.
    pub fn event(mut self) -> Event {
        self.event.subject = Subject::Workload(self.workload);
        self.event
    }
}
