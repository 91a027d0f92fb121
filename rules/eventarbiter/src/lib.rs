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
        Manifest::new("eventarbiter", env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .codes(ALARMS.map(|alarm| alarm.code))
            .code(MISSPELLED_CPU)
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

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let Some(kubernetes_event) = event.kubernetes_event() else { return Ok(()) };
        // A Kubernetes Event that did not happen again is not an alarm.
        if kubernetes_event.delta == 0 {
            return Ok(());
        }
        for alarm in alarm::of(kubernetes_event) {
            let key = || format!("raised/{}", alarm.code.name);
            let is_repeat = |period| !cx.state().once_per(&key(), period);
            if !self.raised.contains(&alarm) || self.repeat.is_some_and(is_repeat) {
                continue;
            }
            let code = match self.form {
                Form::Klaxon => alarm.code,
                Form::Original => alarm.original_code(),
            };
            let body = payload::of(event, kubernetes_event, alarm, &self.environment, self.form);
            out.emit(Verdict::firing(code, payload::key(kubernetes_event, alarm)).payload(&body)?);
        }
        Ok(())
    }
}

klaxon_sdk::export!(Eventarbiter);

#[cfg(test)]
mod tests;
