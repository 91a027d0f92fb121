//! Shortcuts to the parts of an event that rules read most, and its times as [`Timestamp`]s.

use crate::{
    Cause, Condition, ContainerKind, ContainerState, Event, Job, KubernetesEvent, Label, Node,
    ObjectMeta, Pod, Running, Subject, Terminated, Timer, TimerRequest, Timestamp, Value, Workload,
};

/// Defines methods that wrap fields of the contract, which are milliseconds, in [`Timestamp`]s.
macro_rules! times {
    ($($type:ty { $($(#[$doc:meta])* $field:ident,)+ })+) => {$(
        impl $type {$(
            $(#[$doc])*
            pub fn $field(&self) -> Option<Timestamp> {
                self.$field.map(Timestamp::from_millis)
            }
        )+}
    )+};
}

times! {
    ObjectMeta {
        /// Returns the creation time.
        created_at,
        /// Returns the time since which the object waits for its deletion.
        deleted_at,
    }
    Condition {
        /// Returns the time of the last change of the status (`lastTransitionTime`).
        changed_at,
        /// Returns the time of the last update (`lastUpdateTime`), which Deployments have.
        updated_at,
    }
    Running {
        /// Returns the time of the container's start.
        started_at,
    }
    Terminated {
        /// Returns the time of the container's start.
        started_at,
        /// Returns the time of the container's end.
        finished_at,
    }
    KubernetesEvent {
        /// Returns the time of the first occurrence.
        first_at,
        /// Returns the time of the last occurrence.
        last_at,
    }
    Job {
        /// Returns the time of the Job's start.
        started_at,
        /// Returns the time of the Job's completion.
        completed_at,
    }
}

impl Timer {
    /// Returns the time at which the timer was due. The event's time is later only if the timer was
    /// suspended.
    pub fn due(&self) -> Timestamp {
        Timestamp::from_millis(self.due)
    }
}

impl TimerRequest {
    /// Returns the time for which the timer is set.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }
}

impl Event {
    /// Returns the time at which the host observed the change: the only clock of a rule.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.time)
    }

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

#[cfg(test)]
mod tests {
    use crate::testing::{NEW_YEAR, kubernetes_event, pod};
    use crate::{Duration, Outcome};

    #[test]
    fn times_of_the_contract_are_timestamps() {
        let later = NEW_YEAR + Duration::seconds(1);
        let event = pod("shop", "web-1").at(later).terminating(later).event();
        assert_eq!((event.time(), event.object.deleted_at()), (later, Some(later)));
        assert_eq!(event.object.created_at(), Some(NEW_YEAR));
        let unknown = kubernetes_event("Failed", "Pod", "shop", "web-1")
            .with(|_, kubernetes_event| kubernetes_event.last_at = None)
            .event();
        let times = unknown.kubernetes_event().map(|it| (it.first_at(), it.last_at()));
        assert_eq!(times, Some((Some(NEW_YEAR), None)));
        let mut outcome = Outcome::default();
        outcome.set_timer_with("late", later, "why");
        assert_eq!(outcome.timers[0].at(), later);
    }
}
