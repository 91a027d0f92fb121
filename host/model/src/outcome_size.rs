//! The bytes that an answer takes: each of its strings is stored, sent or logged.

use super::{
    Answer, Cause, ConditionRequest, EventRequest, Extension, GateRequest, Identity, Label, Metric,
    ObjectRef, Outcome, RuleTarget, RuleVerdict, TimerRequest, Write,
};

/// Bytes that a verdict takes in memory in addition to its strings.
const VERDICT: usize = 256;
/// Bytes that a target, a label, a timer, a write or a log line takes in memory in addition to its strings.
const PART: usize = 64;

impl Outcome {
    /// Returns the size of all strings, in bytes. The exhaustive patterns make the compiler ask for the size of every
    /// new field.
    pub fn bytes(&self) -> usize {
        let Self { verdicts, timers, cancels } = self;
        let of_verdict = |verdict: &RuleVerdict| {
            let RuleVerdict { code, key, title, payload, targets, status: _, severity: _ } =
                verdict;
            let targets = targets.iter().map(of_target).sum::<usize>();
            code.len() + key.len() + title.len() + payload.len() + targets
        };
        let of_timer =
            |TimerRequest { key, payload, at: _ }: &TimerRequest| key.len() + payload.len();
        verdicts.iter().map(of_verdict).sum::<usize>()
            + timers.iter().map(of_timer).sum::<usize>()
            + cancels.iter().map(String::len).sum::<usize>()
    }

    /// Returns an estimate of the memory that the outcome takes, in bytes.
    fn memory(&self) -> usize {
        let targets = self.verdicts.iter().flat_map(|verdict| &verdict.targets);
        let labels = targets.clone().map(|target| match target {
            RuleTarget::Metric(metric) => metric.labels.len(),
            _ => 0,
        });
        let labels: usize = labels.sum();
        let parts = targets.count() + labels + self.timers.len() + self.cancels.len();
        self.bytes() + VERDICT * self.verdicts.len() + PART * parts
    }
}

impl Answer {
    /// Returns an estimate of the memory that the answer takes, in bytes.
    pub fn bytes(&self) -> usize {
        let outcome = match &self.outcome {
            Ok(outcome) => outcome.memory(),
            Err(failure) => failure.message.len(),
        };
        let writes = self.writes.iter().map(|write| match write {
            Write::Put { key, value, .. } => PART + key.len() + value.len(),
            Write::Remove { key } => PART + key.len(),
        });
        let lines = self.log.iter().map(|line| PART + line.text.len());
        outcome + writes.sum::<usize>() + lines.sum::<usize>()
    }
}

fn of_target(target: &RuleTarget) -> usize {
    match target {
        RuleTarget::Routed => 0,
        RuleTarget::Named(name) => name.len(),
        RuleTarget::KubernetesEvent(request) => {
            let EventRequest {
                reporting_component,
                regarding,
                event_type: _,
                reason,
                note,
                action,
            } = request;
            let component = reporting_component.as_ref().map_or(0, String::len);
            component + of_object(regarding) + reason.len() + note.len() + action.len()
        }
        RuleTarget::Apply(object) => object.len(),
        RuleTarget::Condition(request) => {
            let ConditionRequest { about, name, status: _, cause } = request;
            let Cause { reason, message } = cause;
            of_object(about) + name.len() + reason.len() + message.len()
        }
        RuleTarget::Gate(GateRequest { gate, open: _ }) => gate.len(),
        RuleTarget::Metric(Metric { name, kind: _, value: _, labels }) => {
            let of_label = |Label { key, value }: &Label| key.len() + value.len();
            name.len() + labels.iter().map(of_label).sum::<usize>()
        }
        RuleTarget::Extension(Extension { kind, body }) => kind.len() + body.len(),
    }
}

fn of_object(object: &ObjectRef) -> usize {
    let ObjectRef { identity, part } = object;
    let Identity { api_version, kind, namespace, name, uid } = identity;
    let part = part.as_ref().map_or(0, String::len);
    api_version.len() + kind.len() + namespace.len() + name.len() + uid.len() + part
}
