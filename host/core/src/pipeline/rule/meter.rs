//! Metering of one rule within a minute, and of its answers until the output is taken: limits on sums, in addition
//! to those on each event.
//!
//! None of them changes a verdict. Over the rate of verdicts, or with too many bytes of answers, the rule lags and
//! its events are queued. Log lines over their rate are dropped and counted.

use std::sync::Arc;

use klaxon_model::{Limits, Line, Timestamp};

use crate::pipeline::output::Limited;

const MINUTE_MS: i64 = 60_000;

/// A limit on the sum of one rule's output or stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// State over all partitions.
    State,
    /// Timers over all partitions.
    Timers,
    /// Answers that are not in the journal yet.
    Answers,
    /// Verdicts within a minute.
    Verdicts,
    /// Bytes for the journal within a minute.
    Output,
    /// Log lines within a minute.
    Log,
}

impl Limit {
    /// Returns the name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Timers => "timers",
            Self::Answers => "answers",
            Self::Verdicts => "verdicts",
            Self::Output => "output",
            Self::Log => "log",
        }
    }
}

/// The size of one answer.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::pipeline) struct AnswerSize {
    /// Bytes in memory.
    pub(in crate::pipeline) bytes: usize,
    /// Bytes that the answer will take in the journal.
    pub(in crate::pipeline) output: usize,
    pub(in crate::pipeline) verdicts: usize,
}

/// The counts of one rule.
#[derive(Debug)]
pub(in crate::pipeline) struct Meter {
    rule: Arc<str>,
    began: Timestamp,
    verdicts: u64,
    /// Bytes for the journal in this minute.
    output: usize,
    log: usize,
    /// Log lines that were dropped in this minute.
    dropped: u64,
    /// Bytes of answers since the output was last taken.
    answers: usize,
    reported_answers: Option<Timestamp>,
    paused_until: Option<Timestamp>,
}

impl Meter {
    pub(in crate::pipeline) fn new(rule: Arc<str>) -> Self {
        Self {
            rule,
            began: Timestamp::from_millis(i64::MIN),
            verdicts: 0,
            output: 0,
            log: 0,
            dropped: 0,
            answers: 0,
            reported_answers: None,
            paused_until: None,
        }
    }

    /// Returns `true` if the rule emitted too many verdicts and must pause.
    pub(in crate::pipeline) fn is_paused(&self, now: Timestamp) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Returns `true` if the bytes of answers in the output that is not taken yet are at the limit, so that the rule
    /// must pause until it is taken.
    pub(in crate::pipeline) fn is_full(&self, limits: &Limits) -> bool {
        self.answers >= limits.answers
    }

    /// Resets the bytes of answers, after the output was taken.
    pub(in crate::pipeline) fn output_taken(&mut self) {
        self.answers = 0;
    }

    /// Ends a pause that is over, so that a lagging rule may be asked again. The rule's events are older than the
    /// clock that ends the pause, so they cannot begin another minute.
    pub(in crate::pipeline) fn resume(&mut self, now: Timestamp) {
        if self.paused_until.take().is_some() {
            (self.began, self.verdicts, self.output) = (self.began.max(now), 0, 0);
        }
    }

    /// Begins another minute if one has ended. Returns the report on the minute before.
    pub(in crate::pipeline) fn advance_to(&mut self, now: Timestamp) -> Option<Limited> {
        if now.millis_since(self.began) < MINUTE_MS {
            return None;
        }
        (self.began, self.verdicts, self.output, self.log) = (now, 0, 0, 0);
        self.paused_until = None;
        self.dropped_lines()
    }

    /// Returns the number of log lines that were dropped in a minute that has ended.
    pub(in crate::pipeline) fn report_dropped(&mut self, now: Timestamp) -> Option<Limited> {
        let is_over = now.millis_since(self.began) >= MINUTE_MS;
        if is_over { self.dropped_lines() } else { None }
    }

    /// Returns the number of log lines that were dropped since the last report. `None` if none were.
    fn dropped_lines(&mut self) -> Option<Limited> {
        let dropped = std::mem::take(&mut self.dropped);
        let what =
            format!("{dropped} log lines of the rule were dropped (`limits.log_per_minute`)");
        (dropped > 0).then(|| self.limited(Limit::Log, 0, Some(what)))
    }

    /// Returns the log lines of an answer that are within the limit of this minute, and a report if others were
    /// dropped.
    pub(in crate::pipeline) fn take_lines(
        &mut self,
        lines: Vec<Line>,
        limits: &Limits,
    ) -> (Vec<Line>, Option<Limited>) {
        let most = limits.log_per_minute;
        let before = lines.len();
        let mut taken = lines;
        taken.retain(|line| {
            self.log = self.log.saturating_add(line.text.len());
            self.log <= most
        });
        let dropped = (before - taken.len()) as u64;
        let is_first = self.dropped == 0;
        self.dropped += dropped;
        let limited = (dropped > 0).then(|| {
            let what = format!(
                "the rule writes more than {most} bytes of log in a minute (`limits.log_per_minute`): further lines are dropped until {}",
                self.began.plus_millis(MINUTE_MS)
            );
            self.limited(Limit::Log, dropped, is_first.then_some(what))
        });
        (taken, limited)
    }

    /// Counts an answer at a time. Returns the reports of the limits at which the rule must pause.
    pub(in crate::pipeline) fn count(
        &mut self,
        size: AnswerSize,
        now: Timestamp,
        limits: &Limits,
    ) -> Vec<Limited> {
        let AnswerSize { bytes, output, verdicts } = size;
        let mut limited = Vec::new();
        self.answers = self.answers.saturating_add(bytes);
        if self.is_full(limits) {
            let is_new =
                self.reported_answers.is_none_or(|told| now.millis_since(told) >= MINUTE_MS);
            let what = is_new.then(|| {
                self.reported_answers = Some(now);
                format!(
                    "the rule has {} bytes of answers that are not in the journal yet, and may have {} (`limits.answers`): its events wait",
                    self.answers, limits.answers
                )
            });
            limited.push(self.limited(Limit::Answers, 1, what));
        }
        self.verdicts = self.verdicts.saturating_add(verdicts as u64);
        self.output = self.output.saturating_add(output);
        if self.paused_until.is_some() {
            return limited;
        }
        let until = self.began.plus_millis(MINUTE_MS);
        let over = if self.verdicts > limits.verdicts_per_minute {
            let what = format!(
                "the rule said {} verdicts in a minute, and may say {} (`limits.verdicts_per_minute`): its events stay in the backlog until {until}",
                self.verdicts, limits.verdicts_per_minute
            );
            Some((Limit::Verdicts, what))
        } else if self.output > limits.output_per_minute {
            let what = format!(
                "the rule's answers of a minute take {} bytes of the journal, and may take {} (`limits.output_per_minute`): its events wait until {until}",
                self.output, limits.output_per_minute
            );
            Some((Limit::Output, what))
        } else {
            None
        };
        if let Some((limit, what)) = over {
            self.paused_until = Some(until);
            limited.push(self.limited(limit, 1, Some(what)));
        }
        limited
    }

    fn limited(&self, limit: Limit, count: u64, what: Option<String>) -> Limited {
        Limited { rule: self.rule.clone(), limit, count, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::Level;

    const BEGIN: i64 = 1_700_000_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(BEGIN + millis)
    }

    fn meter() -> Meter {
        let mut meter = Meter::new("rule".into());
        assert_eq!(meter.advance_to(at(0)), None);
        meter
    }

    fn size(bytes: usize, verdicts: usize) -> AnswerSize {
        AnswerSize { bytes, output: 0, verdicts }
    }

    fn lines(count: usize) -> Vec<Line> {
        (0..count).map(|_| Line { level: Level::Info, text: "x".repeat(10) }).collect()
    }

    #[test]
    fn log_lines_over_the_rate_are_dropped_told_once_and_counted_when_the_minute_is_over() {
        let limits = Limits { log_per_minute: 25, ..Limits::default() };
        let mut meter = meter();
        let (taken, limited) = meter.take_lines(lines(4), &limits);
        let limited = limited.unwrap();
        assert_eq!((taken.len(), limited.limit, limited.count), (2, Limit::Log, 2));
        assert!(limited.what.unwrap().contains("limits.log_per_minute"));
        let (taken, limited) = meter.take_lines(lines(3), &limits);
        let limited = limited.unwrap();
        assert_eq!((taken.len(), limited.count, limited.what), (0, 3, None));
        assert_eq!(meter.advance_to(at(59_999)), None);
        let hit = meter.advance_to(at(60_000)).unwrap();
        assert_eq!(
            (hit.count, hit.what.as_deref()),
            (0, Some("5 log lines of the rule were dropped (`limits.log_per_minute`)"))
        );
        assert_eq!(meter.take_lines(lines(2), &limits).0.len(), 2);
        assert_eq!(meter.advance_to(at(120_000)), None);
    }

    #[test]
    fn verdicts_over_the_rate_pause_the_rule_until_the_minute_is_over() {
        let limits = Limits { verdicts_per_minute: 5, ..Limits::default() };
        let mut meter = meter();
        assert_eq!(meter.count(size(0, 5), at(10), &limits), []);
        assert!(!meter.is_paused(at(10)));
        let limited = meter.count(size(0, 1), at(20), &limits);
        assert_eq!((limited.len(), limited[0].limit), (1, Limit::Verdicts));
        assert!(meter.is_paused(at(59_999)) && !meter.is_paused(at(60_000)));
        // The rule continues with events that are older than the clock: they count for the minute that began then.
        meter.resume(at(60_000));
        assert_eq!(meter.advance_to(at(30)), None);
        assert_eq!(meter.count(size(0, 5), at(30), &limits), []);
        assert_eq!(meter.count(size(0, 1), at(40), &limits).len(), 1);
        assert!(meter.is_paused(at(119_999)) && !meter.is_paused(at(120_000)));
    }

    #[test]
    fn output_over_the_rate_pauses_the_rule_until_the_minute_is_over() {
        let limits = Limits { output_per_minute: 100, ..Limits::default() };
        let mut meter = meter();
        let size = |output| AnswerSize { output, ..AnswerSize::default() };
        assert_eq!(meter.count(size(100), at(10), &limits), []);
        let limited = meter.count(size(1), at(20), &limits);
        assert_eq!((limited.len(), limited[0].limit), (1, Limit::Output));
        assert!(limited[0].what.as_ref().unwrap().contains("limits.output_per_minute"));
        assert!(meter.is_paused(at(59_999)) && !meter.is_paused(at(60_000)));
        assert_eq!(meter.count(size(1), at(30), &limits), [], "it is said once");
        meter.resume(at(60_000));
        assert_eq!(meter.count(size(100), at(60_001), &limits), []);
    }

    #[test]
    fn answers_that_are_not_handed_on_are_bounded_together() {
        let limits = Limits { answers: 100, ..Limits::default() };
        let mut meter = meter();
        assert_eq!(meter.count(size(99, 0), at(0), &limits), []);
        assert!(meter.count(size(1, 0), at(0), &limits)[0].what.is_some());
        assert!(meter.is_full(&limits));
        meter.output_taken();
        assert!(!meter.is_full(&limits));
        // Reported once a minute, counted each time.
        assert_eq!(meter.count(size(100, 0), at(1000), &limits)[0].what, None);
        meter.output_taken();
        assert!(meter.count(size(100, 0), at(60_000), &limits)[0].what.is_some());
    }
}
