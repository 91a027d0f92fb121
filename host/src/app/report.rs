//! What a step says to the operator: everything that went wrong, and nothing of what went well.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::engine::Level;
use crate::pipeline::Step;
use crate::telemetry::dropped_lines;

/// How often it is looked whether lines of the log were dropped.
const LOOK: Duration = Duration::from_secs(1);

/// Writes a step's failures, refusals, gaps and log lines to the log.
pub fn log_step(step: &Step) {
    for failed in &step.failures {
        let object = &failed.object;
        error!(
            rule = %failed.rule, event = %failed.event, change = failed.change,
            object = format!("{}/{}/{}", object.kind, object.namespace, object.name),
            kind = failed.failure.kind.as_str(), why = failed.failure.message,
            "a rule did not answer an event"
        );
    }
    for out in &step.out_of_service {
        error!(
            rule = %out.rule, since = %out.since, until = %out.until,
            "a rule failed too often and is out of service"
        );
    }
    for object in &step.quarantine {
        error!(scope = object.scope, why = object.reason, "an object was set aside");
    }
    for refusal in &step.refusals {
        warn!(
            rule = %refusal.rule, verdict = %refusal.verdict, code = refusal.code,
            target = refusal.target, why = refusal.why, "a target was refused"
        );
    }
    for over in step.over_budget.iter().filter(|over| over.is_first) {
        warn!(
            rule = %over.rule, target = over.target, object = over.object, next = %over.next,
            "a rule writes too much to an object: what is over its budget is held back, and only counted"
        );
    }
    for gap in &step.gaps {
        warn!(
            scope = gap.scope, from = %gap.from, to = %gap.to, kinds = gap.kinds.join(", "),
            why = gap.reason, "a gap: changes in between may have been missed"
        );
    }
    for limited in &step.limited {
        if let Some(what) = &limited.what {
            warn!(rule = %limited.rule, limit = limited.limit.as_str(), "{what}");
        }
    }
    for said in &step.log {
        let (rule, event, text) = (&said.rule, said.event, said.line.text.as_str());
        match said.line.level {
            Level::Debug => debug!(%rule, %event, text, "rule"),
            Level::Info => info!(%rule, %event, text, "rule"),
            Level::Warn => warn!(%rule, %event, text, "rule"),
            Level::Error => error!(%rule, %event, text, "rule"),
        }
    }
}

/// Tells how many lines of the log were dropped, once there is room for that line too.
pub(super) async fn tell_dropped_lines() {
    let (mut told, mut seen) = (0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let dropped = dropped_lines();
        if dropped > told && dropped == seen {
            warn!(
                lines = dropped - told,
                "lines of the log were dropped: stderr is not read fast enough"
            );
            // Else this one was dropped too.
            if dropped_lines() == dropped {
                told = dropped;
            }
        }
        seen = dropped;
    }
}
