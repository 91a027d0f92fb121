//! Alarms of Kubernetes Events: problems of nodes and pods that the cluster itself reports.
//!
//! The table of alarms and the reasons for it are in the README beside this crate.

mod alarm;
mod payload;
mod settings;

use std::collections::BTreeMap;

use klaxon_sdk::prelude::*;

use alarm::{ALARMS, Alarm, MISSPELLED_CPU};
use settings::Form;
pub use settings::Settings;

/// The rule.
pub struct Eventarbiter {
    raised: Vec<&'static Alarm>,
    environment: BTreeMap<String, String>,
    repeat: Option<Duration>,
    form: Form,
}

impl Rule for Eventarbiter {
    type Settings = Settings;

    fn manifest() -> Manifest {
        let version = env!("CARGO_PKG_VERSION");
        let manifest = Manifest::new("eventarbiter", version, env!("CARGO_PKG_DESCRIPTION"));
        ALARMS
            .iter()
            .fold(manifest, |manifest, alarm| {
                manifest.code(alarm.name, alarm.title, Severity::Warning, alarm.title)
            })
            .code(
                MISSPELLED_CPU,
                "Not enough CPU for the pod",
                Severity::Warning,
                "The code of pod_insufficientcpu with `payload: original`",
            )
            .interest(
                Interest::new("events", "v1", "Event").changes(Changes::ADDED | Changes::MODIFIED),
            )
            .state(1)
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self {
            raised: settings.event_filter.raised()?,
            environment: settings.environment.pairs()?,
            repeat: settings.repeat,
            form: settings.payload,
        })
    }

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), String> {
        let Some(kubernetes_event) = event.kubernetes_event() else { return Ok(()) };
        // A Kubernetes Event that did not happen again is not an alarm.
        if kubernetes_event.delta == 0 {
            return Ok(());
        }
        for alarm in alarm::of(kubernetes_event) {
            if self.raised.contains(&alarm) && self.is_due(cx, alarm) {
                let body =
                    payload::of(event, kubernetes_event, alarm, &self.environment, self.form);
                let code = match self.form {
                    Form::Klaxon => alarm.name,
                    Form::Original => alarm.original_name(),
                };
                out.emit(
                    Verdict::firing(code, payload::key(kubernetes_event, alarm)).payload(&body)?,
                );
            }
        }
        Ok(())
    }
}

impl Eventarbiter {
    /// Returns `true` if an alarm about the object of the partition may be raised now.
    fn is_due(&self, cx: &mut Cx, alarm: &Alarm) -> bool {
        let Some(repeat) = self.repeat else { return true };
        cx.state().once_per(&format!("raised/{}", alarm.name), repeat)
    }
}

klaxon_sdk::export!(Eventarbiter);

#[cfg(test)]
mod tests;
