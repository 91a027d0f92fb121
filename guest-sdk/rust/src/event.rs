//! Short ways to what rules look at most.

use crate::{
    Cause, Condition, ContainerKind, ContainerState, Event, Job, KubernetesEvent, Label, Node, Pod,
    Subject, Terminated, Value, Workload,
};

impl Event {
    /// The pod, where the event is about one.
    pub fn pod(&self) -> Option<&Pod> {
        match &self.subject {
            Subject::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// The Kubernetes Event, where the event is one.
    pub fn kubernetes_event(&self) -> Option<&KubernetesEvent> {
        match &self.subject {
            Subject::KubernetesEvent(kubernetes_event) => Some(kubernetes_event),
            _ => None,
        }
    }

    /// The Deployment, ReplicaSet, StatefulSet or DaemonSet, where the event is about one.
    pub fn workload(&self) -> Option<&Workload> {
        match &self.subject {
            Subject::Workload(workload) => Some(workload),
            _ => None,
        }
    }

    /// The node, where the event is about one.
    pub fn node(&self) -> Option<&Node> {
        match &self.subject {
            Subject::Node(node) => Some(node),
            _ => None,
        }
    }

    /// The Job, where the event is about one.
    pub fn job(&self) -> Option<&Job> {
        match &self.subject {
            Subject::Job(job) => Some(job),
            _ => None,
        }
    }

    /// A label of the object; the interest must have the part `labels`.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.object.labels, key)
    }

    /// An annotation of the object; the interest must name it.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        find(&self.object.annotations, key)
    }
}

fn find<'a>(labels: &'a [Label], key: &str) -> Option<&'a str> {
    labels.iter().find(|label| label.key == key).map(|label| label.value.as_str())
}

/// The condition of a name; the interest must have the part `conditions`.
pub(crate) fn condition<'a>(conditions: &'a [Condition], name: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.name == name)
}

impl Pod {
    /// The condition of a name, such as `Ready`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }

    /// The containers of one kind.
    pub fn containers_of(&self, kind: ContainerKind) -> impl Iterator<Item = &crate::Container> {
        self.containers.iter().filter(move |container| container.kind == kind)
    }
}

impl Workload {
    /// The condition of a name, such as `Progressing`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }
}

impl Node {
    /// The condition of a name, such as `Ready`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }
}

impl Job {
    /// The condition of a name, such as `Failed`.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        condition(&self.conditions, name)
    }
}

impl Condition {
    /// The reason; empty where there is none.
    pub fn reason(&self) -> &str {
        self.cause.as_ref().map_or("", |cause| cause.reason.as_str())
    }

    /// The message; empty where there is none.
    pub fn message(&self) -> &str {
        self.cause.as_ref().map_or("", |cause| cause.message.as_str())
    }
}

impl ContainerState {
    /// How it ended, where it did.
    pub fn terminated(&self) -> Option<&Terminated> {
        match self {
            ContainerState::Terminated(end) => Some(end),
            _ => None,
        }
    }

    /// Why it waits, where it does.
    pub fn waiting(&self) -> Option<&Cause> {
        match self {
            ContainerState::Waiting(cause) => Some(cause),
            _ => None,
        }
    }

    /// Whether it waits for this reason.
    pub fn waits_for(&self, reason: &str) -> bool {
        self.waiting().is_some_and(|cause| cause.reason == reason)
    }
}

impl Value {
    /// The text, where the value is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
