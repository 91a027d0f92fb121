//! Crashes: the table of conditions on a pod's state, of which the first match counts.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{Container, Pod, Terminated};
use serde::Serialize;

use crate::app::{App, Texts};
use crate::{BOOT_TIMER, Settings};

/// The codes of pods.
pub(crate) const CODES: [Code; 8] = [R14, H10, H9, H20, H8, H99, H98, H0];

const R14: Code = error("R14", "Memory quota exceeded", "A container was killed for memory");
const H10: Code = error("H10", "App crashed", "A container ended with an error");
const H9: Code = error("H9", "App did not startup", "A container's command cannot be run");
const H20: Code = error("H20", "App boot timeout", "A web pod is not ready 60 s after its start");
const H8: Code = Code::new(
    "H8",
    "App exited prematurely",
    Severity::Warning,
    "A container ended without an error",
);
const H99: Code = error("H99", "Platform error", "An image cannot be pulled");
const H98: Code = error("H98", "Platform limit error", "No node has room for the pod");
const H0: Code = error("H0", "Unknown error", "The app cannot run (extended mode only)");

const fn error(name: &'static str, title: &'static str, description: &'static str) -> Code {
    Code::new(name, title, Severity::Error, description)
}

/// Time in which a web pod must become ready.
const BOOT_LIMIT: Duration = Duration::minutes(1);
/// Exit codes that do not indicate a crash: they are caused by an operator, a shell or a missing command.
const NO_CRASH: [i32; 6] = [0, 126, 127, 130, 143, 15];
const CANNOT_BE_PULLED: [&str; 2] = ["ImagePullBackOff", "ErrImagePull"];
const CANNOT_BE_CREATED: [&str; 5] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RunContainerError",
];

/// Answers an event of a pod.
pub(crate) fn evaluate(
    cx: &mut Cx,
    event: &Event,
    app: &App<'_>,
    pod: &Pod,
    settings: &Settings,
    out: &mut Outcome,
) -> Result<(), Error> {
    let boot_deadline = boot_deadline(app, pod);
    match boot_deadline {
        Some(deadline) if deadline > event.time() => out.set_timer(BOOT_TIMER, deadline),
        None if event.change != Change::Timer => out.cancel_timer(BOOT_TIMER),
        _ => {}
    }
    let mut look = Look { cx, event, pod, boot_deadline, extended: settings.extended };
    let Some(code) = look.classify()? else { return Ok(()) };
    let reported = last_report(cx, code)?;
    if reported.is_some_and(|reported| event.time().since(reported) < settings.repeat) {
        return Ok(());
    }
    cx.state().put_json(&key(code), &event.time().as_millis())?;
    let body = Crashed::new(event, app, pod, code);
    out.emit(Verdict::firing(code, &event.object.uid).payload(&body)?);
    Ok(())
}

/// Returns the time until which the containers of a web pod must be ready, if one runs and is not.
fn boot_deadline(app: &App<'_>, pod: &Pod) -> Option<Timestamp> {
    if pod.phase != PodPhase::Running || app.dyno_type != "web" {
        return None;
    }
    let unready = pod.containers_of(ContainerKind::App).filter(|container| !container.ready);
    let started = unready.filter_map(|container| match &container.state {
        ContainerState::Running(running) => running.started_at(),
        _ => None,
    });
    started.min().map(|start| start + BOOT_LIMIT)
}

/// Returns the time of a pod's last report with a code, which is stored in milliseconds.
fn last_report(cx: &mut Cx, code: Code) -> Result<Option<Timestamp>, Error> {
    Ok(cx.state().get_json(&key(code))?.map(Timestamp::from_millis))
}

fn key(code: Code) -> String {
    format!("said/{}", code.name)
}

/// A pod's state, and the checks of its containers for the table.
struct Look<'a> {
    cx: &'a mut Cx,
    event: &'a Event,
    pod: &'a Pod,
    boot_deadline: Option<Timestamp>,
    extended: bool,
}

impl Look<'_> {
    /// Returns the code of the pod's state, if it has one.
    fn classify(&mut self) -> Result<Option<Code>, Error> {
        let extended = self.extended;
        let is_crash = |end: &Terminated| !NO_CRASH.contains(&end.exit_code);
        let failed =
            |end: &Terminated| end.reason == "Error" && end.exit_code != 137 && is_crash(end);
        let cannot_run = |end: &Terminated| {
            end.reason == "ContainerCannotRun" || extended && end.reason == "StartError"
        };
        Ok(Some(if self.is_unschedulable() {
            H98
        } else if self.ended(R14, |end| end.reason == "OOMKilled")? {
            R14
        } else if self.ended(H10, failed)? || self.backs_off(is_crash) {
            H10
        } else if self.ended(H9, cannot_run)? || self.backs_off(cannot_run) {
            H9
        } else if self.boot_deadline.is_some_and(|deadline| deadline <= self.event.time()) {
            H20
        } else if self.ended(H8, |end| end.reason == "Completed")? {
            H8
        } else if self.waits_for(&CANNOT_BE_PULLED) {
            H99
        } else if extended && self.waits_for(&CANNOT_BE_CREATED) {
            H0
        } else {
            return Ok(None);
        }))
    }

    fn is_unschedulable(&self) -> bool {
        self.pod.phase == PodPhase::Pending
            && self.pod.condition("PodScheduled").is_some_and(|condition| {
                condition.status == ConditionStatus::IsFalse
                    && condition.reason() == "Unschedulable"
                    && !condition.message().is_empty()
            })
    }

    /// Returns the containers that count.
    fn containers(&self, extended: bool) -> impl Iterator<Item = &Container> {
        self.pod.containers.iter().filter(move |container| match container.kind {
            ContainerKind::App => true,
            ContainerKind::Init | ContainerKind::Sidecar => extended,
            ContainerKind::Ephemeral => false,
        })
    }

    /// Returns `true` if a container was terminated in a way that matches the code. A termination during a
    /// gap is found in `lastState`, which is never cleared: it counts unless the code was reported since.
    fn ended(&mut self, code: Code, fits: impl Fn(&Terminated) -> bool) -> Result<bool, Error> {
        // Init containers are expected to complete.
        let extended = self.extended && code != H8;
        if self.containers(extended).filter_map(|one| one.state.terminated()).any(&fits) {
            return Ok(true);
        }
        let earlier = self.containers(extended).filter_map(|one| one.last_state.terminated());
        let missed = earlier.filter(|end| self.event.gap && fits(end));
        let Some(latest) = missed.map(Terminated::finished_at).max() else { return Ok(false) };
        Ok(last_report(self.cx, code)?.is_none_or(|last| latest > Some(last)))
    }

    /// Returns `true` if a container is in CrashLoopBackOff after such a termination.
    fn backs_off(&self, fits: impl Fn(&Terminated) -> bool) -> bool {
        self.containers(self.extended).any(|container| {
            container.state.waits_for("CrashLoopBackOff")
                && container.last_state.terminated().is_some_and(&fits)
        })
    }

    fn waits_for(&self, reasons: &[&str]) -> bool {
        self.containers(self.extended)
            .any(|container| reasons.iter().any(|reason| container.state.waits_for(reason)))
    }
}

/// The body of a `crashed` webhook.
#[derive(Serialize)]
struct Crashed<'a> {
    app: Texts<'a>,
    space: Texts<'a>,
    dynos: [Texts<'a>; 1],
    key: String,
    action: &'static str,
    description: &'static str,
    code: &'static str,
    restarts: u32,
    crashed_at: Timestamp,
}

impl<'a> Crashed<'a> {
    fn new(event: &'a Event, app: &App<'a>, pod: &Pod, code: Code) -> Self {
        let [app_name, space] = app.names();
        let restarts = pod.containers_of(ContainerKind::App).map(|one| one.restart_count);
        Self {
            app: app_name,
            space,
            dynos: [Texts::from([("dyno", event.object.name.as_str()), ("type", app.dyno_type)])],
            key: app.key(),
            action: "crashed",
            description: code.title,
            code: code.name,
            // A pod that fits on no node has not restarted, even if its containers report restarts.
            restarts: if code == H98 { 0 } else { restarts.fold(0, u32::saturating_add) },
            crashed_at: event.time(),
        }
    }
}
