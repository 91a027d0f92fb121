//! Kubernetes Events.

use super::object::event;
use crate::{Event, Notice, NoticeLevel, ObjectRef, Subject, Timestamp};

/// Builds the event of a Kubernetes Event.
#[derive(Clone)]
pub struct NoticeBuilder {
    event: Event,
    notice: Notice,
}

/// A warning that has happened once, about an object of a namespace.
pub fn notice(reason: &str, kind: &str, namespace: &str, name: &str) -> NoticeBuilder {
    let event = event("v1", "Event", namespace, &format!("{name}.1"));
    NoticeBuilder {
        notice: Notice {
            level: NoticeLevel::Warning,
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

impl NoticeBuilder {
    /// Sets the message.
    pub fn message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.notice.message);
        self
    }

    /// The host that reports it.
    pub fn host(mut self, host: &str) -> Self {
        self.notice.source_host = Some(host.to_owned());
        self
    }

    /// How often it happened in all, and how many of those are new.
    pub fn count(mut self, count: u32, delta: u32) -> Self {
        (self.notice.count, self.notice.delta) = (count, delta);
        self
    }

    /// The event happens at this time.
    pub fn at(mut self, time: Timestamp) -> Self {
        self.event.time = time;
        self
    }

    /// Anything else: change the event and the Kubernetes Event as they stand.
    pub fn with(mut self, change: impl FnOnce(&mut Event, &mut Notice)) -> Self {
        change(&mut self.event, &mut self.notice);
        self
    }

    /// The event.
    pub fn event(mut self) -> Event {
        self.event.subject = Subject::Notice(self.notice);
        self.event
    }
}
