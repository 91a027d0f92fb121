//! A rule that classifies pods like a real one, on the smallest possible events: no parts, no state. The
//! bench measures the cost of a typed call with it.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{Container, Pod};

const OOM: Code = error("OOM", "Out of memory", "A container was killed for memory");
const CRASH: Code = error("CRASH", "Crash", "A container ended with an error");
const START: Code = error("START", "No start", "A container's command cannot be run");
const BOOT: Code = error("BOOT", "Boot timeout", "A container runs for a minute and is not ready");
const EXIT: Code = error("EXIT", "Exit", "A container ended without an error");
const IMAGE: Code = error("IMAGE", "No image", "An image cannot be pulled");

const fn error(name: &'static str, title: &'static str, description: &'static str) -> Code {
    Code::new(name, title, Severity::Error, description)
}

/// The rule.
pub struct Lean;

impl Rule for Lean {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest::new("lean", "1.0.0", "Why containers do not run")
            .codes([OOM, CRASH, START, BOOT, EXIT, IMAGE])
            .interest(Interest::new("pods", "v1", "Pod"))
    }

    fn configure(_: NoSettings) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let Some(pod) = event.pod() else { return Ok(()) };
        if event.object.deleted_at().is_none()
            && let Some(code) = classify(pod, event.time())
        {
            out.emit(Verdict::firing(code, &event.object.uid));
        }
        Ok(())
    }
}

fn classify(pod: &Pod, now: Timestamp) -> Option<Code> {
    let any = |fits: &dyn Fn(&Container) -> bool| pod.containers.iter().any(fits);
    let ended = |container: &Container, reason: &str| {
        container.state.terminated().is_some_and(|end| end.reason == reason)
    };
    let backs_off = |container: &Container| container.state.waits_for("CrashLoopBackOff");
    if any(&|one| ended(one, "OOMKilled")) {
        return Some(OOM);
    }
    if any(&|one| ended(one, "Error") || backs_off(one)) {
        return Some(CRASH);
    }
    if any(&|one| ended(one, "ContainerCannotRun")) {
        return Some(START);
    }
    let late = |container: &Container| match &container.state {
        ContainerState::Running(running) => {
            let is_late = |start| now.since(start) >= Duration::minutes(1);
            !container.ready && running.started_at().is_some_and(is_late)
        }
        _ => false,
    };
    if pod.phase == PodPhase::Running && any(&late) {
        return Some(BOOT);
    }
    if any(&|one| ended(one, "Completed")) {
        return Some(EXIT);
    }
    let unpulled = |one: &Container| {
        one.state.waits_for("ErrImagePull") || one.state.waits_for("ImagePullBackOff")
    };
    any(&unpulled).then_some(IMAGE)
}

klaxon_sdk::export!(Lean);
