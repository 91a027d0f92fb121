//! Pods in any state.

use super::object::{event, label};
use crate::{
    Cause, Condition, Container, ContainerKind, ContainerState, Event, Pod, PodPhase, QosClass,
    Running, Subject, Terminated, Timestamp,
};

/// Builds a pod event.
#[derive(Clone)]
pub struct PodBuilder {
    event: Event,
    pod: Pod,
}

/// A running pod without containers.
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

    /// The pod waits for its end since then.
    pub fn terminating(mut self, at: Timestamp) -> Self {
        self.event.object.deleted_at = Some(at);
        self
    }

    /// The event happens at this time.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event.time = time;
        self
    }

    /// Anything else: change the event as it stands.
    pub fn with(mut self, change: impl FnOnce(&mut Event)) -> Self {
        change(&mut self.event);
        self
    }

    /// The event.
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

/// An app container of which nothing was reported yet.
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
    /// Another kind of container.
    pub fn kind(mut self, kind: ContainerKind) -> Self {
        self.container.kind = kind;
        self
    }

    /// It runs since then, and is ready or not.
    pub fn running(mut self, since: Timestamp, ready: bool) -> Self {
        self.container.state = ContainerState::Running(Running { started_at: Some(since) });
        self.container.ready = ready;
        self
    }

    /// It waits for a reason.
    pub fn waiting(mut self, reason: &str) -> Self {
        self.container.state =
            ContainerState::Waiting(Cause { reason: reason.to_owned(), message: String::new() });
        self
    }

    /// It has ended.
    pub fn terminated(mut self, reason: &str, exit_code: i32) -> Self {
        self.container.state = ContainerState::Terminated(terminated(reason, exit_code));
        self
    }

    /// Its instance before this one has ended, at a time if one is given.
    pub fn last_terminated(
        mut self,
        reason: &str,
        exit_code: i32,
        finished_at: Option<Timestamp>,
    ) -> Self {
        let end = Terminated { finished_at, ..terminated(reason, exit_code) };
        self.container.last_state = ContainerState::Terminated(end);
        self
    }

    /// It was restarted so often.
    pub fn restarts(mut self, count: u32) -> Self {
        self.container.restart_count = count;
        self
    }
}
