//! The least a useful rule needs: pods without any part, one condition, no state. The bench
//! measures what a typed call costs with it.

use klaxon_sdk::prelude::*;

/// The rule.
pub struct Lean;

impl Rule for Lean {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest::new("lean", "1.0.0", "Containers killed for memory")
            .code("OOM", "Out of memory", Severity::Error, "A container was killed for memory")
            .interest(Interest::new("pods", "v1", "Pod"))
    }

    fn configure(_: NoSettings) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), String> {
        let Some(pod) = event.pod() else { return Ok(()) };
        for container in &pod.containers {
            if container.state.terminated().is_some_and(|end| end.reason == "OOMKilled") {
                out.say(Verdict::firing("OOM", event.object.uid.as_str()));
            }
        }
        Ok(())
    }
}

klaxon_sdk::export!(Lean);
