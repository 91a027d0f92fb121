//! An estimate of the memory that a group takes, and of the bytes that it writes.

use serde_json::Value;

use super::Group;
use klaxon_model::{Object, Refused, StoreOp, Verdict, Write};

/// The bytes of a row or a small object besides its texts.
const ROW: usize = 256;
/// The bytes of an object that the host knows in part.
const OBJECT: usize = 2048;

/// Estimates the bytes of a group; exact for the parts that a rule or a cluster user can make large.
pub(super) fn of(group: &Group) -> u64 {
    let output = &group.output;
    let verdicts: usize = output.verdicts.iter().map(verdict).sum();
    let keep: usize = output.ops.iter().map(keep).sum();
    let quarantine: usize = output.quarantine.iter().map(|one| ROW + one.json.len()).sum();
    let failures = output.failures.iter().map(|one| {
        let input = if one.failure.kind.quarantines() { object(&one.input.object) } else { 0 };
        ROW + one.failure.message.len() + input
    });
    let failures: usize = failures.sum();
    let rest = (output.gaps.len() + group.progress.len()) * ROW;
    (verdicts + keep + quarantine + failures + rest) as u64
}

fn verdict(verdict: &Verdict) -> usize {
    let refused = |one: &Refused| ROW + one.target().len() + one.why.len();
    let refused: usize = verdict.refused.iter().map(refused).sum();
    let body = verdict.payload.get().len() + verdict.title.len() + verdict.key.len();
    // Written once as a verdict, and once for each of its targets.
    (ROW + body) * (1 + verdict.targets.len()) + refused
}

fn keep(change: &StoreOp) -> usize {
    ROW + match change {
        StoreOp::Object(persisted) => {
            let memberships =
                persisted.memberships.iter().map(|one| one.partition.len() + one.interest.len());
            memberships.sum::<usize>() + persisted.form.as_deref().map_or(0, object)
        }
        StoreOp::State(.., writes, _) => writes.iter().map(write).sum(),
        StoreOp::Timer(timer) => timer.key.len() + timer.payload.len(),
        StoreOp::Backlog(backlog) => backlog.entry.len(),
        StoreOp::Incident(incident) => incident.key.len() + ROW,
        _ => 0,
    }
}

fn write(write: &Write) -> usize {
    ROW + match write {
        Write::Put { key, value, .. } => key.len() + value.len(),
        Write::Remove { key } => key.len(),
    }
}

fn object(object: &Object) -> usize {
    OBJECT + object.document.as_deref().map_or(0, value)
}

fn value(of: &Value) -> usize {
    16 + match of {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value).sum(),
        Value::Object(members) => members.iter().map(|(name, of)| name.len() + value(of)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
