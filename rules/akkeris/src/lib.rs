//! Crashes and releases of Akkeris apps: the codes of pods and deployments.
//!
//! The table of codes and the reasons for it are in the README beside this crate.

mod app;
mod crash;
mod release;

use klaxon_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use app::App;
use crash::{BOOT_TIMER, Boot};

/// Settings of the rule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Time for which a pod that keeps failing in the same way is not reported again.
    pub repeat: Duration,
    /// Also report what apps-watcher did not know: StartError, image and configuration errors at
    /// creation, init and sidecar containers.
    pub extended: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { repeat: Duration::minutes(30), extended: false }
    }
}

/// The rule.
pub struct Akkeris {
    settings: Settings,
}

impl Rule for Akkeris {
    type Settings = Settings;

    fn manifest() -> Manifest {
        use Severity::{Error, Info, Warning};
        Manifest::new("akkeris", env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .code("R14", "Memory quota exceeded", Error, "A container was killed for memory")
            .code("H10", "App crashed", Error, "A container ended with an error")
            .code("H9", "App did not startup", Error, "A container's command cannot be run")
            .code("H20", "App boot timeout", Error, "A web pod is not ready 60 s after its start")
            .code("H8", "App exited prematurely", Warning, "A container ended without an error")
            .code("H99", "Platform error", Error, "An image cannot be pulled")
            .code("H98", "Platform limit error", Error, "No node has room for the pod")
            .code("H0", "Unknown error", Error, "The app cannot run (extended mode only)")
            .code("released", "Released", Info, "A new release is fully rolled out")
            .interest(
                Interest::new("pods", "v1", "Pod")
                    .label_selector(app::APP_NAME)
                    .changes(Changes::ADDED | Changes::MODIFIED | Changes::SNAPSHOT)
                    .parts(Parts::LABELS | Parts::CONDITIONS),
            )
            .interest(
                Interest::new("deployments", "apps/v1", "Deployment")
                    .label_selector(&format!("{},{}", app::APP_NAME, release::RELEASE_UUID))
                    .changes(Changes::ADDED | Changes::MODIFIED | Changes::SNAPSHOT)
                    .parts(Parts::LABELS | Parts::CONDITIONS | Parts::IMAGES)
                    .partition(Partition::ByLabel(app::APP_NAME.to_owned())),
            )
            .state(1)
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings })
    }

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), String> {
        // A terminating object was stopped on purpose: its last states are not crashes.
        if event.object.deleted_at.is_some() {
            out.cancel_timer(BOOT_TIMER);
            return Ok(());
        }
        let Some(app) = App::of(event) else {
            return Ok(());
        };
        match &event.subject {
            Subject::Pod(pod) => self.pod(cx, event, &app, pod, out),
            Subject::Workload(workload) => release::evaluate(cx, event, &app, workload, out),
            _ => Ok(()),
        }
    }
}

impl Akkeris {
    fn pod(
        &self,
        cx: &mut Cx,
        event: &Event,
        app: &App<'_>,
        pod: &klaxon_sdk::Pod,
        out: &mut Outcome,
    ) -> Result<(), String> {
        match crash::boot(event, app, pod) {
            Boot::Waiting { until } => out.set_timer(BOOT_TIMER, until),
            Boot::Settled if event.change != Change::Timer => out.cancel_timer(BOOT_TIMER),
            Boot::Settled | Boot::TimedOut => {}
        }
        let mut said = crash::Said::of(cx);
        let Some(code) = crash::classify(event, app, pod, self.settings.extended, &mut said)?
        else {
            return Ok(());
        };
        if !said.may_say(code, event.time, self.settings.repeat)? {
            return Ok(());
        }
        said.remember(code, event.time)?;
        let body = crash::payload(event, app, pod, code);
        out.emit(Verdict::firing(code.name, event.object.uid.as_str()).payload(&body)?);
        Ok(())
    }
}

klaxon_sdk::export!(Akkeris);

#[cfg(test)]
mod tests;
