//! Estimates the bytes that an answer takes in memory.

use super::Answer;
use crate::model::{Outcome, RuleTarget, RuleVerdict, Write};

/// Bytes of a verdict besides its strings.
const VERDICT: usize = 256;
/// Bytes of a target, a timer, a write or a log line besides its strings.
const PART: usize = 64;

impl Answer {
    /// Returns the size of everything in the answer, in bytes: verdicts, timers, state writes and log lines.
    pub fn bytes(&self) -> usize {
        let outcome = match &self.outcome {
            Ok(outcome) => of_outcome(outcome),
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

fn of_outcome(outcome: &Outcome) -> usize {
    let verdicts = outcome.verdicts.iter().map(of_verdict);
    let timers = outcome.timers.iter().map(|timer| PART + timer.key.len() + timer.payload.len());
    let cancels = outcome.cancels.iter().map(|key| PART + key.len());
    verdicts.sum::<usize>() + timers.sum::<usize>() + cancels.sum::<usize>()
}

fn of_verdict(verdict: &RuleVerdict) -> usize {
    let RuleVerdict { code, key, title, payload, targets, .. } = verdict;
    let texts = code.len() + key.len() + title.len() + payload.len();
    VERDICT + texts + targets.iter().map(of_target).sum::<usize>()
}

fn of_target(target: &RuleTarget) -> usize {
    PART + match target {
        RuleTarget::Routed => 0,
        RuleTarget::Named(name) => name.len(),
        RuleTarget::KubernetesEvent(event) => {
            event.note.len() + event.reason.len() + event.action.len()
        }
        RuleTarget::Apply(json) => json.len(),
        RuleTarget::Condition(condition) => condition.name.len(),
        RuleTarget::Gate(gate) => gate.gate.len(),
        RuleTarget::Metric(metric) => metric.name.len() + metric.labels.len() * PART,
        RuleTarget::Extension(extension) => extension.kind.len() + extension.body.len(),
    }
}
