//! The table of crash codes: conditions on a pod's state, of which the first match counts.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{Container, Pod, Terminated, Timestamp, rfc3339};
use serde::Serialize;

use crate::app::{App, Named};

/// Key of the timer for H20.
pub(crate) const BOOT_TIMER: &str = "boot";
const BOOT_LIMIT_MS: i64 = 60_000;

/// A code and its description.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    pub(crate) name: &'static str,
    description: &'static str,
}

const R14: Code = Code { name: "R14", description: "Memory quota exceeded" };
const H10: Code = Code { name: "H10", description: "App crashed" };
const H9: Code = Code { name: "H9", description: "App did not startup" };
const H20: Code = Code { name: "H20", description: "App boot timeout" };
const H8: Code = Code { name: "H8", description: "App exited prematurely" };
const H99: Code = Code { name: "H99", description: "Platform error" };
const H98: Code = Code { name: "H98", description: "Platform limit error" };
const H0: Code = Code { name: "H0", description: "Unknown error" };

/// Exit codes that do not indicate a crash: they are caused by an operator, a shell or a missing command.
const NO_CRASH: [i32; 6] = [0, 126, 127, 130, 143, 15];

fn is_crash(exit_code: i32) -> bool {
    !NO_CRASH.contains(&exit_code)
}

/// Codes that were reported for a pod, stored as `said/<code>` -> milliseconds since the epoch.
pub(crate) struct Said<'a> {
    cx: &'a mut Cx,
}

impl<'a> Said<'a> {
    pub(crate) fn of(cx: &'a mut Cx) -> Self {
        Self { cx }
    }

    fn last(&mut self, code: Code) -> Result<Option<Timestamp>, String> {
        self.cx.state().get_json(&key(code))
    }

    /// Returns `true` if a code may be reported now: it was never reported, or long enough ago.
    pub(crate) fn may_say(
        &mut self,
        code: Code,
        now: Timestamp,
        repeat: Duration,
    ) -> Result<bool, String> {
        Ok(self.last(code)?.is_none_or(|last| now.saturating_sub(last) >= repeat.millis()))
    }

    /// Remembers that a code was reported.
    pub(crate) fn remember(&mut self, code: Code, now: Timestamp) -> Result<(), String> {
        self.cx.state().put_json(&key(code), &now)
    }
}

fn key(code: Code) -> String {
    format!("said/{}", code.name)
}

/// Progress of a web pod's start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Boot {
    /// No running container lacks readiness, or H20 does not apply to the pod.
    Settled,
    /// A container is running and not ready yet; it may become ready until this time.
    Waiting { until: Timestamp },
    /// A container has been running for a minute without becoming ready.
    TimedOut,
}

/// Returns the progress of a pod's start, for H20.
pub(crate) fn boot(event: &Event, app: &App<'_>, pod: &Pod) -> Boot {
    if pod.phase != PodPhase::Running || app.dyno_type != "web" {
        return Boot::Settled;
    }
    let since = pod
        .containers_of(ContainerKind::App)
        .filter(|container| !container.ready)
        .filter_map(|container| match &container.state {
            ContainerState::Running(running) => running.started_at,
            _ => None,
        })
        .min();
    match since.map(|since| since.saturating_add(BOOT_LIMIT_MS)) {
        None => Boot::Settled,
        Some(until) if until <= event.time => Boot::TimedOut,
        Some(until) => Boot::Waiting { until },
    }
}

/// Returns the code of a pod's state, if it has one.
///
/// # Errors
/// If the state with earlier reports cannot be read.
pub(crate) fn classify(
    event: &Event,
    app: &App<'_>,
    pod: &Pod,
    extended: bool,
    said: &mut Said<'_>,
) -> Result<Option<Code>, String> {
    if is_unschedulable(pod) {
        return Ok(Some(H98));
    }
    let mut look = Look { pod, extended, gap: event.gap, said };
    if look.any_end(R14, |end| end.reason == "OOMKilled")? {
        return Ok(Some(R14));
    }
    let crashed =
        |end: &Terminated| end.reason == "Error" && end.exit_code != 137 && is_crash(end.exit_code);
    if look.any_end(H10, crashed)? || look.backs_off(|end| is_crash(end.exit_code)) {
        return Ok(Some(H10));
    }
    let cannot_run = |end: &Terminated| {
        end.reason == "ContainerCannotRun" || extended && end.reason == "StartError"
    };
    if look.any_end(H9, cannot_run)? || look.backs_off(cannot_run) {
        return Ok(Some(H9));
    }
    if boot(event, app, pod) == Boot::TimedOut {
        return Ok(Some(H20));
    }
    // Init containers are expected to complete.
    look.extended = false;
    if look.any_end(H8, |end| end.reason == "Completed")? {
        return Ok(Some(H8));
    }
    look.extended = extended;
    if look.waits_for(&["ImagePullBackOff", "ErrImagePull"]) {
        return Ok(Some(H99));
    }
    const CANNOT_BE_CREATED: [&str; 5] = [
        "CreateContainerConfigError",
        "CreateContainerError",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RunContainerError",
    ];
    Ok((extended && look.waits_for(&CANNOT_BE_CREATED)).then_some(H0))
}

fn is_unschedulable(pod: &Pod) -> bool {
    pod.phase == PodPhase::Pending
        && pod.condition("PodScheduled").is_some_and(|condition| {
            condition.status == ConditionStatus::IsFalse
                && condition.reason() == "Unschedulable"
                && !condition.message().is_empty()
        })
}

/// Checks of a pod's containers for the table.
struct Look<'a, 'cx> {
    pod: &'a Pod,
    extended: bool,
    gap: bool,
    said: &'a mut Said<'cx>,
}

impl Look<'_, '_> {
    fn counts(&self, container: &Container) -> bool {
        match container.kind {
            ContainerKind::App => true,
            ContainerKind::Init | ContainerKind::Sidecar => self.extended,
            ContainerKind::Ephemeral => false,
        }
    }

    /// Returns `true` if a container was terminated in a way that matches the code. A termination during a
    /// gap is found in `lastState`, which is never cleared: it counts unless the code was reported since.
    fn any_end(
        &mut self,
        code: Code,
        stands_for: impl Fn(&Terminated) -> bool,
    ) -> Result<bool, String> {
        let pod = self.pod;
        for container in &pod.containers {
            if !self.counts(container) {
                continue;
            }
            if container.state.terminated().is_some_and(&stands_for) {
                return Ok(true);
            }
            let Some(end) = container.last_state.terminated() else {
                continue;
            };
            if self.gap && stands_for(end) {
                let last = self.said.last(code)?;
                if last.is_none_or(|last| end.finished_at.is_some_and(|at| at > last)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Returns `true` if a container is in CrashLoopBackOff after such a termination.
    fn backs_off(&self, stands_for: impl Fn(&Terminated) -> bool) -> bool {
        self.pod.containers.iter().any(|container| {
            self.counts(container)
                && container.state.waits_for("CrashLoopBackOff")
                && container.last_state.terminated().is_some_and(&stands_for)
        })
    }

    fn waits_for(&self, reasons: &[&str]) -> bool {
        self.pod.containers.iter().any(|container| {
            self.counts(container) && reasons.iter().any(|reason| container.state.waits_for(reason))
        })
    }
}

/// The body of a `crashed` webhook.
#[derive(Serialize)]
pub(crate) struct Crashed<'a> {
    app: Named<'a>,
    space: Named<'a>,
    dynos: [Dyno<'a>; 1],
    key: String,
    action: &'static str,
    description: &'static str,
    code: &'static str,
    restarts: u32,
    crashed_at: String,
}

#[derive(Serialize)]
struct Dyno<'a> {
    dyno: &'a str,
    r#type: &'a str,
}

/// Returns the sum of the app containers' restarts.
fn restarts(pod: &Pod) -> u32 {
    pod.containers_of(ContainerKind::App)
        .fold(0, |sum, container| sum.saturating_add(container.restart_count))
}

/// Returns the payload of a crash.
pub(crate) fn payload<'a>(event: &'a Event, app: &App<'a>, pod: &Pod, code: Code) -> Crashed<'a> {
    // A pod that fits on no node has not restarted, even if its containers report restarts.
    let restarts = if code.name == H98.name { 0 } else { restarts(pod) };
    Crashed {
        app: Named { name: app.name },
        space: Named { name: app.space },
        dynos: [Dyno { dyno: &event.object.name, r#type: app.dyno_type }],
        key: app.key(),
        action: "crashed",
        description: code.description,
        code: code.name,
        restarts,
        crashed_at: rfc3339(event.time),
    }
}
