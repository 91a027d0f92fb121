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

/// Key of the timer for H20.
const BOOT_TIMER: &str = "boot";

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
        let changes = Changes::ADDED | Changes::MODIFIED | Changes::SNAPSHOT;
        let pods = Interest::new("pods", "v1", "Pod")
            .label_selector(app::APP_NAME)
            .changes(changes)
            .parts(Parts::LABELS | Parts::CONDITIONS);
        let deployments = Interest::new("deployments", "apps/v1", "Deployment")
            .label_selector(&format!("{},{}", app::APP_NAME, release::RELEASE_UUID))
            .changes(changes)
            .parts(Parts::LABELS | Parts::CONDITIONS | Parts::IMAGES)
            .partition(Partition::ByLabel(app::APP_NAME.to_owned()));
        Manifest::new("akkeris", env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .codes(crash::CODES)
            .code(release::RELEASED)
            .interest(pods)
            .interest(deployments)
            .state(1)
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings })
    }

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        // A terminating object was stopped on purpose: its last states are not crashes.
        if event.object.deleted_at().is_some() {
            out.cancel_timer(BOOT_TIMER);
            return Ok(());
        }
        let Some(app) = App::of(event) else { return Ok(()) };
        match &event.subject {
            Subject::Pod(pod) => crash::evaluate(cx, event, &app, pod, &self.settings, out),
            Subject::Workload(workload) => release::evaluate(cx, event, &app, workload, out),
            _ => Ok(()),
        }
    }
}

klaxon_sdk::export!(Akkeris);

#[cfg(test)]
mod tests;
