//! Builder of Kubernetes Events.

use super::object::event;
use crate::{Event, EventType, KubernetesEvent, ObjectRef, Subject, Timestamp};

/// Builds an event about a Kubernetes Event.
#[derive(Clone)]
pub struct KubernetesEventBuilder {
    event: Event,
    kubernetes_event: KubernetesEvent,
}

/// Returns a builder for a warning that has happened once, about an object in a namespace.
pub fn kubernetes_event(
    reason: &str,
    kind: &str,
    namespace: &str,
    name: &str,
) -> KubernetesEventBuilder {
    let event = event("v1", "Event", namespace, &format!("{name}.1"));
    KubernetesEventBuilder {
        kubernetes_event: KubernetesEvent {
            event_type: EventType::Warning,
            reason: reason.to_owned(),
            message: String::new(),
            action: None,
            count: 1,
            delta: 1,
            first_at: Some(event.time),
            last_at: Some(event.time),
            reporting_component: "kubelet".to_owned(),
            reporting_instance: None,
            source_host: None,
            regarding: ObjectRef {
                api_version: "v1".to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: format!("uid-{name}"),
                part: None,
            },
            related: None,
        },
        event,
    }
}

impl KubernetesEventBuilder {
    /// Sets the message.
    pub fn message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.kubernetes_event.message);
        self
    }

    /// Sets the reporting host.
    pub fn host(mut self, host: &str) -> Self {
        self.kubernetes_event.source_host = Some(host.to_owned());
        self
    }

    /// Sets the total count, and the number of new occurrences.
    pub fn count(mut self, count: u32, delta: u32) -> Self {
        (self.kubernetes_event.count, self.kubernetes_event.delta) = (count, delta);
        self
    }

    /// Sets the time of the event.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event.time = time.as_millis();
        self
    }

    /// Changes any other part of the event and the Kubernetes Event.
    pub fn with(mut self, change: impl FnOnce(&mut Event, &mut KubernetesEvent)) -> Self {
        change(&mut self.event, &mut self.kubernetes_event);
        self
    }

    /// Returns the event.
    pub fn event(mut self) -> Event {
        self.event.subject = Subject::KubernetesEvent(self.kubernetes_event);
        self.event
    }
}
