//! Builders of pods and containers.

use super::object::{event, label};
use crate::{
    Cause, Condition, Container, ContainerKind, ContainerState, Event, Pod, PodPhase, QosClass,
    Running, Subject, Terminated, Timestamp,
};

/// Builds an event about a pod.
#[derive(Clone)]
pub struct PodBuilder {
    event: Event,
    pod: Pod,
}

/// Returns a builder for a running pod without containers.
pub fn pod(namespace: &str, name: &str) -> PodBuilder {
    PodBuilder {
        event: event("v1", "Pod", namespace, name),
        pod: Pod {
            phase: PodPhase::Running,
            cause: None,
            node: "node-1".to_owned(),
            addresses: None,
            qos: QosClass::Burstable,
            conditions: Vec::new(),
            containers: Vec::new(),
        },
    }
}

impl PodBuilder {
    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.event.object.labels.push(label(key, value));
        self
    }

    /// Sets the phase.
    pub fn phase(mut self, phase: PodPhase) -> Self {
        self.pod.phase = phase;
        self
    }

    /// Adds a condition.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.pod.conditions.push(condition);
        self
    }

    /// Adds a container.
    pub fn container(mut self, container: ContainerBuilder) -> Self {
        self.pod.containers.push(container.container);
        self
    }

    /// Marks the pod as terminating since this time.
    pub fn terminating(mut self, at: Timestamp) -> Self {
        self.event.object.deleted_at = Some(at.as_millis());
        self
    }

    /// Sets the time of the event.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event.time = time.as_millis();
        self
    }

    /// Changes any other part of the event.
    pub fn with(mut self, change: impl FnOnce(&mut Event)) -> Self {
        change(&mut self.event);
        self
    }

    /// Returns the event.
    pub fn event(mut self) -> Event {
        self.event.subject = Subject::Pod(self.pod);
        self.event
    }
}

/// Builds a container.
#[derive(Clone)]
pub struct ContainerBuilder {
    container: Container,
}

/// Returns a builder for an app container without a reported state.
pub fn container(name: &str) -> ContainerBuilder {
    ContainerBuilder {
        container: Container {
            name: name.to_owned(),
            kind: ContainerKind::App,
            image: None,
            ready: false,
            started: false,
            restart_count: 0,
            state: ContainerState::Unknown,
            last_state: ContainerState::Unknown,
        },
    }
}

fn terminated(reason: &str, exit_code: i32) -> Terminated {
    Terminated {
        exit_code,
        signal: 0,
        reason: reason.to_owned(),
        message: None,
        started_at: None,
        finished_at: None,
        container_id: None,
    }
}

impl ContainerBuilder {
    /// Sets the kind of container.
    pub fn kind(mut self, kind: ContainerKind) -> Self {
        self.container.kind = kind;
        self
    }

    /// Marks the container as running since this time, ready or not.
    pub fn running(mut self, since: Timestamp, ready: bool) -> Self {
        self.container.state =
            ContainerState::Running(Running { started_at: Some(since.as_millis()) });
        self.container.ready = ready;
        self
    }

    /// Marks the container as waiting with a reason.
    pub fn waiting(mut self, reason: &str) -> Self {
        self.container.state =
            ContainerState::Waiting(Cause { reason: reason.to_owned(), message: String::new() });
        self
    }

    /// Marks the container as terminated.
    pub fn terminated(mut self, reason: &str, exit_code: i32) -> Self {
        self.container.state = ContainerState::Terminated(terminated(reason, exit_code));
        self
    }

    /// Marks the previous instance of the container as terminated, optionally at a time.
    pub fn last_terminated(
        mut self,
        reason: &str,
        exit_code: i32,
        finished_at: Option<Timestamp>,
    ) -> Self {
        let finished_at = finished_at.map(Timestamp::as_millis);
        let end = Terminated { finished_at, ..terminated(reason, exit_code) };
        self.container.last_state = ContainerState::Terminated(end);
        self
    }

    /// Sets the restart count.
    pub fn restarts(mut self, count: u32) -> Self {
        self.container.restart_count = count;
        self
    }
}
