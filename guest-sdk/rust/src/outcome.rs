//! A rule's answer: verdicts, timers and cancelled timers.

use serde::Serialize;

use crate::{Code, Error, Outcome, Severity, Status, Target, TimerRequest, Timestamp, Verdict};

#[expect(
    clippy::derivable_impls,
    reason = "the type is generated, and nothing can be derived on it"
)]
impl Default for Outcome {
    fn default() -> Self {
        Self { verdicts: Vec::new(), timers: Vec::new(), cancels: Vec::new() }
    }
}

impl Outcome {
    /// Adds a verdict.
    pub fn emit(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
    }

    /// Sets a timer for a time of the event clock. Setting a timer with the same key again moves it.
    pub fn set_timer(&mut self, key: &str, at: Timestamp) {
        self.set_timer_with(key, at, String::new());
    }

    /// Sets a timer with a payload, which comes back in `event.timer`.
    pub fn set_timer_with(&mut self, key: &str, at: Timestamp, payload: impl Into<String>) {
        let (key, at) = (key.to_owned(), at.as_millis());
        self.timers.push(TimerRequest { key, at, payload: payload.into() });
    }

    /// Removes a timer; does nothing if it does not exist.
    pub fn cancel_timer(&mut self, key: &str) {
        self.cancels.push(key.to_owned());
    }
}

impl Verdict {
    /// Creates a firing verdict. `key` identifies its subject, for example a pod's uid and a container.
    pub fn firing(code: Code, key: impl Into<String>) -> Self {
        Self::new(code, key.into(), Status::Firing)
    }

    /// Creates a resolved verdict, which ends the firing one with the same code and key.
    pub fn resolved(code: Code, key: impl Into<String>) -> Self {
        Self::new(code, key.into(), Status::Resolved)
    }

    fn new(code: Code, key: String, status: Status) -> Self {
        Self {
            code: code.name.to_owned(),
            key,
            status,
            severity: None,
            title: String::new(),
            payload: String::new(),
            targets: Vec::new(),
        }
    }

    /// Sets the payload, the body that receivers get, as JSON.
    ///
    /// # Errors
    /// If the value cannot be serialized as JSON, for example a map whose keys are not strings.
    pub fn payload<T: Serialize>(mut self, body: &T) -> Result<Self, Error> {
        self.payload =
            serde_json::to_string(body).map_err(|error| Error::from(error).context("payload"))?;
        Ok(self)
    }

    /// Overrides the title that the manifest declares for the code.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Overrides the severity that the manifest declares for the code.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Adds a target. A verdict without targets goes to the targets to which the operator routed the rule.
    pub fn to(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }
}
