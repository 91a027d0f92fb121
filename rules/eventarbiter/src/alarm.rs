//! The table of alarms and the Kubernetes Events that raise them.

use klaxon_sdk::KubernetesEvent;

/// Kind of an alarm's object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Node,
    Pod,
}

/// One alarm.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: About,
    /// Reason of the Kubernetes Event, matched exactly.
    reason: &'static str,
    /// Text that the message must contain too, in lower case; empty if any message matches.
    message: &'static str,
}

const fn node(name: &'static str, reason: &'static str, title: &'static str) -> Alarm {
    Alarm { name, title, about: About::Node, reason, message: "" }
}

const fn pod(name: &'static str, reason: &'static str, title: &'static str) -> Alarm {
    Alarm { name, title, about: About::Pod, reason, message: "" }
}

const fn lacks(name: &'static str, message: &'static str, title: &'static str) -> Alarm {
    Alarm { name, title, about: About::Pod, reason: FAILED_SCHEDULING, message }
}

/// The reason for which the message determines the alarm.
pub(crate) const FAILED_SCHEDULING: &str = "FailedScheduling";
/// Alarm for messages that name neither resource; excluding it also excludes the other two.
pub(crate) const FAILED_SCHEDULING_ALARM: &str = "pod_failedscheduling";

const INSUFFICIENT_CPU: &str = "pod_insufficientcpu";
/// Name of that alarm in eventarbiter 1.2.0.
pub(crate) const MISSPELLED_CPU: &str = "pod_insufficentcpu";

/// Every alarm. Several alarms of one message are raised in this order.
pub(crate) const ALARMS: [Alarm; 13] = [
    node("node_notready", "NodeNotReady", "Node not ready"),
    node("node_notschedulable", "NodeNotSchedulable", "Node not schedulable"),
    node("node_systemoom", "SystemOOM", "Node out of memory"),
    node("node_rebooted", "Rebooted", "Node rebooted"),
    pod("pod_backoff", "BackOff", "Container held back from its next start"),
    pod("pod_failed", "Failed", "Container cannot be started"),
    pod("pod_failedsync", "FailedSync", "Pod cannot be synchronized"),
    pod("pod_unhealthy", "Unhealthy", "Probe failed"),
    lacks(INSUFFICIENT_CPU, "insufficient cpu", "Not enough CPU for the pod"),
    lacks("pod_insufficientmemory", "insufficient memory", "Not enough memory for the pod"),
    pod(FAILED_SCHEDULING_ALARM, FAILED_SCHEDULING, "Pod cannot be scheduled"),
    node("npd_oomkilling", "OOMKilling", "Process killed for memory"),
    node("npd_taskhung", "TaskHung", "Task hangs"),
];

impl About {
    /// Returns the kind of object in Kubernetes Events.
    fn kind(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Pod => "Pod",
        }
    }
}

impl Alarm {
    /// Returns the name that eventarbiter 1.2.0 gave the alarm.
    pub(crate) fn original_name(&self) -> &'static str {
        if self.name == INSUFFICIENT_CPU { MISSPELLED_CPU } else { self.name }
    }

    /// Returns `true` for a name of this alarm, in its current spelling or that of eventarbiter 1.2.0.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        name == self.name || name == self.original_name()
    }

    /// Returns `true` if excluding the alarm of this name excludes this one.
    pub(crate) fn is_left_out_by(&self, name: &str) -> bool {
        self.is_called(name) || name == FAILED_SCHEDULING_ALARM && self.reason == FAILED_SCHEDULING
    }

    fn fits(&self, kubernetes_event: &KubernetesEvent) -> bool {
        self.reason == kubernetes_event.reason
            && kubernetes_event.regarding.kind.eq_ignore_ascii_case(self.about.kind())
            && (self.message.is_empty()
                || kubernetes_event.message.to_ascii_lowercase().contains(self.message))
    }
}

/// Returns the alarms of a Kubernetes Event, in the order of the table.
pub(crate) fn of(kubernetes_event: &KubernetesEvent) -> Vec<&'static Alarm> {
    let fitting: Vec<&Alarm> = ALARMS.iter().filter(|alarm| alarm.fits(kubernetes_event)).collect();
    // The general alarm matches beside a specific one, and is then not raised.
    let special = |alarm: &&&Alarm| !alarm.message.is_empty();
    if fitting.iter().any(|alarm| special(&alarm)) {
        fitting.into_iter().filter(|alarm| special(&alarm)).collect()
    } else {
        fitting
    }
}
