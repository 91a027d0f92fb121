//! The table of alarms and the Kubernetes Events that raise them.

use klaxon_sdk::{Code, KubernetesEvent, Severity};

/// Kinds of an alarm's object.
pub(crate) const NODE: &str = "Node";
const POD: &str = "Pod";

/// One alarm.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) code: Code,
    pub(crate) kind: &'static str,
    /// Reason of the Kubernetes Event, matched exactly.
    reason: &'static str,
    /// Text that the message must contain too, in lower case; empty if any message matches.
    message: &'static str,
}

/// The reason for which the message determines the alarm.
pub(crate) const FAILED_SCHEDULING: &str = "FailedScheduling";
/// Alarm for messages that name neither resource; excluding it also excludes the other two.
const FAILED_SCHEDULING_ALARM: &str = "pod_failedscheduling";

const INSUFFICIENT_CPU: Code = code("pod_insufficientcpu", "Not enough CPU for the pod");
/// Code of that alarm in eventarbiter 1.2.0.
pub(crate) const MISSPELLED_CPU: Code = Code::new(
    "pod_insufficentcpu",
    "Not enough CPU for the pod",
    Severity::Warning,
    "The code of pod_insufficientcpu with `payload: original`",
);
const INSUFFICIENT_MEMORY: Code = code("pod_insufficientmemory", "Not enough memory for the pod");

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
    lacks(INSUFFICIENT_CPU, "insufficient cpu"),
    lacks(INSUFFICIENT_MEMORY, "insufficient memory"),
    pod(FAILED_SCHEDULING_ALARM, FAILED_SCHEDULING, "Pod cannot be scheduled"),
    node("npd_oomkilling", "OOMKilling", "Process killed for memory"),
    node("npd_taskhung", "TaskHung", "Task hangs"),
];

const fn code(name: &'static str, title: &'static str) -> Code {
    Code::new(name, title, Severity::Warning, title)
}

const fn node(name: &'static str, reason: &'static str, title: &'static str) -> Alarm {
    Alarm { code: code(name, title), kind: NODE, reason, message: "" }
}

const fn pod(name: &'static str, reason: &'static str, title: &'static str) -> Alarm {
    Alarm { code: code(name, title), kind: POD, reason, message: "" }
}

const fn lacks(code: Code, message: &'static str) -> Alarm {
    Alarm { code, kind: POD, reason: FAILED_SCHEDULING, message }
}

impl Alarm {
    /// Returns the code that eventarbiter 1.2.0 had for the alarm.
    pub(crate) fn original_code(&self) -> Code {
        if self.code == INSUFFICIENT_CPU { MISSPELLED_CPU } else { self.code }
    }

    /// Returns `true` for a name of this alarm, in its current spelling or that of eventarbiter 1.2.0.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        name == self.code.name || name == self.original_code().name
    }

    /// Returns `true` if excluding the alarm of this name excludes this one.
    pub(crate) fn is_left_out_by(&self, name: &str) -> bool {
        self.is_called(name) || name == FAILED_SCHEDULING_ALARM && self.reason == FAILED_SCHEDULING
    }

    fn fits(&self, kubernetes_event: &KubernetesEvent) -> bool {
        self.reason == kubernetes_event.reason
            && kubernetes_event.regarding.kind.eq_ignore_ascii_case(self.kind)
            && (self.message.is_empty()
                || kubernetes_event.message.to_ascii_lowercase().contains(self.message))
    }
}

/// Returns the alarms of a Kubernetes Event, in the order of the table.
pub(crate) fn of(kubernetes_event: &KubernetesEvent) -> Vec<&'static Alarm> {
    let mut fitting: Vec<&Alarm> =
        ALARMS.iter().filter(|alarm| alarm.fits(kubernetes_event)).collect();
    // The general alarm matches beside a specific one, and is then not raised.
    if fitting.iter().any(|alarm| !alarm.message.is_empty()) {
        fitting.retain(|alarm| !alarm.message.is_empty());
    }
    fitting
}
