//! Shortcuts to the parts of an event that rules read most.

use crate::{
    Cause, Condition, ContainerKind, ContainerState, Event, Job, KubernetesEvent, Label, Node, Pod,
    Subject, Terminated, Value, Workload,
};

impl Event {
    /// Returns the pod, if the event is about one.
    pub fn pod(&self) -> Option<&Pod> {
        match &self.subject {
            Subject::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// Returns the Kubernetes Event, if the event is about one.
    pub fn kubernetes_event(&self) -> Option<&KubernetesEvent> {
        match &self.subject {
            Subject::KubernetesEvent(kubernetes_event) => Some(kubernetes_event),
            _ => None,
        }
    }

    /// Returns the Deployment, ReplicaSet, StatefulSet or DaemonSet, if the event is about one.
    pub fn workload(&self) -> Option<&Workload> {
        match &self.subject {
            Subject::Workload(workload) => Some(workload),
            _ => None,
        }
    }

    /// Returns the node, if the event is about one.
    pub fn node(&self) -> Option<&Node> {
        match &self.subject {
            Subject::Node(node) => Some(node),
            _ => None,
        }
    }

    /// Returns the Job, if the event is about one.
    pub fn job(&self) -> Option<&Job> {
        match &self.subject {
            Subject::Job(job) => Some(job),
            _ => None,
        }
    }

    /// Returns a label of the object. The interest must have the part `labels`.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.object.labels, key)
    }

    /// Returns an annotation of the object. The interest must name it.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        find(&self.object.annotations, key)
    }
}

fn find<'a>(labels: &'a [Label], key: &str) -> Option<&'a str> {
    labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
}

/// Returns the condition with a name. The interest must have the part `conditions`.
pub(crate) fn condition<'a>(conditions: &'a [Condition], name: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.name == name)
}

impl Pod {
    /// Returns the condition with a name, such as `Ready`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }

    /// Returns the containers of one kind.
    pub fn containers_of(&self, kind: ContainerKind) -> impl Iterator<Item = &crate::Container> {
        self.containers.iter().filter(move |container| container.kind == kind)
    }
}

impl Workload {
    /// Returns the condition with a name, such as `Progressing`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }
}

impl Node {
    /// Returns the condition with a name, such as `Ready`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }
}

impl Job {
    /// Returns the condition with a name, such as `Failed`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }
}

impl Condition {
    /// Returns the reason; empty if there is none.
    pub fn reason(&self) -> &str {
        self.cause.as_ref().map_or("", |cause| cause.reason.as_str())
    }

    /// Returns the message; empty if there is none.
    pub fn message(&self) -> &str {
        self.cause.as_ref().map_or("", |cause| cause.message.as_str())
    }
}

impl ContainerState {
    /// Returns the result of a terminated container.
    pub fn terminated(&self) -> Option<&Terminated> {
        match self {
            ContainerState::Terminated(end) => Some(end),
            _ => None,
        }
    }

    /// Returns the cause of a waiting container.
    pub fn waiting(&self) -> Option<&Cause> {
        match self {
            ContainerState::Waiting(cause) => Some(cause),
            _ => None,
        }
    }

    /// Returns `true` if the container is waiting with this reason.
    pub fn waits_for(&self, reason: &str) -> bool {
        self.waiting().is_some_and(|cause| cause.reason == reason)
    }
}

impl Value {
    /// Returns the text, if the value is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
