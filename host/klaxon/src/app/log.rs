//! Logs the failures, refusals, gaps and rules' log lines of each output of the pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use klaxon_core::pipeline::Output;
use klaxon_model::Level;
use klaxon_model::clock::Stopwatch;
use klaxon_telemetry::dropped_lines;

/// The interval between two checks for dropped log lines.
const LOOK: Duration = Duration::from_secs(1);
/// The maximum number of failures and refusals of one rule, and of undecodable objects of one watch, that are logged
/// in a minute. All of them are in the journal and in the metrics.
const MOST_LINES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The log of the pipeline's outputs. Lines that a rule or an object can cause are rate-limited, by rule or watch.
pub(super) struct Report {
    began: Stopwatch,
    /// The number of lines in this minute by rule or watch, including suppressed ones.
    lines: BTreeMap<String, u32>,
}

impl Default for Report {
    fn default() -> Self {
        Self { began: Stopwatch::start(), lines: BTreeMap::new() }
    }
}

impl Report {
    /// Counts one more line of a rule or watch. Returns `true` if the line is within the limit.
    fn has_room(&mut self, of: &str) -> bool {
        let lines = match self.lines.get_mut(of) {
            Some(lines) => lines,
            None => self.lines.entry(of.to_owned()).or_default(),
        };
        *lines = lines.saturating_add(1);
        *lines <= MOST_LINES
    }

    /// Begins a new minute if the last is over, and logs the number of suppressed lines.
    pub(super) fn advance(&mut self) {
        if self.began.elapsed() < MINUTE {
            return;
        }
        for (of, count) in self.end_minute() {
            warn!(
                of,
                count,
                "more failures, refusals or undecodable objects than are logged in a minute; hint: `klaxon journal ls quarantine` and `klaxon journal ls refusals` list them"
            );
        }
        self.began = Stopwatch::start();
    }

    /// Returns the rules and watches with suppressed lines, and the number of these.
    fn end_minute(&mut self) -> Vec<(String, u32)> {
        let lines = std::mem::take(&mut self.lines).into_iter();
        lines
            .filter_map(|(of, count)| Some((of, count.checked_sub(MOST_LINES)?)))
            .filter(|(_, left_out)| *left_out > 0)
            .collect()
    }

    /// Logs an output's failures, refusals, gaps and log lines.
    pub(super) fn log(&mut self, output: &Output) {
        self.advance();
        for failed in &output.failures {
            if !self.has_room(&failed.rule) {
                continue;
            }
            let object = &failed.object;
            error!(
                rule = %failed.rule, event = %failed.event, change = failed.change,
                object = format!("{}/{}/{}", object.kind, object.namespace, object.name),
                kind = failed.failure.kind.as_str(), why = failed.failure.message,
                "a rule did not answer an event"
            );
        }
        for out in &output.out_of_service {
            error!(
                rule = %out.rule, since = %out.since, until = %out.until,
                "a rule failed too often and is out of service"
            );
        }
        for object in &output.quarantine {
            if !self.has_room(&object.scope) {
                continue;
            }
            error!(scope = object.scope, why = object.reason, "an object was quarantined");
        }
        for refusal in &output.refusals {
            if !self.has_room(&refusal.rule) {
                continue;
            }
            warn!(
                rule = %refusal.rule, verdict = %refusal.verdict, code = refusal.code,
                target = refusal.target, why = refusal.why, "a target was refused"
            );
        }
        for over in output.over_budget.iter().filter(|over| over.is_first) {
            warn!(
                rule = %over.rule, target = over.target, object = over.object, next = %over.next,
                "a rule writes too much to an object: what is over its budget is suppressed, and only counted"
            );
        }
        for gap in &output.gaps {
            warn!(
                scope = gap.scope, from = %gap.from, to = %gap.to, kinds = gap.kinds.join(", "),
                why = gap.reason, "a gap: changes in between may have been missed"
            );
        }
        for limited in &output.limited {
            if let Some(what) = &limited.what {
                warn!(rule = %limited.rule, limit = limited.limit.as_str(), "{what}");
            }
        }
        for said in &output.log {
            let (rule, event, text) = (&said.rule, said.event, said.line.text.as_str());
            match said.line.level {
                Level::Debug => debug!(%rule, %event, text, "rule"),
                Level::Info => info!(%rule, %event, text, "rule"),
                Level::Warn => warn!(%rule, %event, text, "rule"),
                Level::Error => error!(%rule, %event, text, "rule"),
            }
        }
    }
}

/// Logs the number of dropped log lines, once there is space for that line too.
pub(super) async fn report_dropped_lines() {
    let (mut told, mut seen) = (0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let dropped = dropped_lines();
        if dropped > told && dropped == seen {
            warn!(
                lines = dropped - told,
                "lines of the log were dropped: stderr is not read fast enough"
            );
            // If the counter has grown, this warning was dropped too and is repeated.
            if dropped_lines() == dropped {
                told = dropped;
            }
        }
        seen = dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_rule_have_a_rate_and_cost_no_other_rule_a_line() {
        let mut report = Report::default();
        let written = (0..1000).filter(|_| report.has_room("loud")).count();
        assert_eq!(written, 60);
        assert!(report.has_room("quiet"));
        assert_eq!(report.end_minute(), [("loud".to_owned(), 940)]);
        assert!(report.has_room("loud"), "another minute");
        assert_eq!(report.end_minute(), []);
    }
}
