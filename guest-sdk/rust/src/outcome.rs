//! What a rule answers: verdicts, timers and cancels.

use serde::Serialize;

use crate::{Outcome, Severity, Status, Target, TimerRequest, Timestamp, Verdict};

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

    /// Sets a timer for a time of the event clock. The same key again moves the timer.
    pub fn set_timer(&mut self, key: &str, at: Timestamp) {
        self.timers.push(TimerRequest { key: key.to_owned(), at, payload: String::new() });
    }

    /// Removes a timer; nothing happens where there is none.
    pub fn cancel_timer(&mut self, key: &str) {
        self.cancels.push(key.to_owned());
    }
}

impl Verdict {
    /// It is so: `key` says what the verdict is about, such as a pod's uid and a container.
    pub fn firing(code: &str, key: impl Into<String>) -> Self {
        Self::new(code, key.into(), Status::Firing)
    }

    /// It is no longer so.
    pub fn resolved(code: &str, key: impl Into<String>) -> Self {
        Self::new(code, key.into(), Status::Resolved)
    }

    fn new(code: &str, key: String, status: Status) -> Self {
        Self {
            code: code.to_owned(),
            key,
            status,
            severity: None,
            title: String::new(),
            payload: String::new(),
            targets: Vec::new(),
        }
    }

    /// The body that receivers get, as JSON.
    ///
    /// # Errors
    /// Where the value cannot be written as JSON, such as a map whose keys are no strings.
    pub fn payload<T: Serialize>(mut self, body: &T) -> Result<Self, String> {
        self.payload = serde_json::to_string(body).map_err(|error| format!("payload: {error}"))?;
        Ok(self)
    }

    /// A title other than the manifest's for the code.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A severity other than the manifest's for the code.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Where it goes, beside what was said before; without any: where the operator routed the rule.
    pub fn to(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }
}
