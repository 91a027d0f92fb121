//! Progress of lagging rules. In the service, a lagging rule is asked on a dedicated thread ([`Pipeline::pump`]). A
//! replay has only the time of the events, so a rule that is out of service continues when the event clock has
//! advanced far enough.

use klaxon_model::{RuleId, Task, Timestamp};

use super::Pipeline;
use super::round::evaluating;

/// The progress that a test or a measurement permits a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The rule lags, and is asked about nothing.
    Hold,
    /// The rule, which lags, is asked about at most this number of events now, on the shared workers.
    Ask(usize),
    /// The rule continues by itself.
    Free,
}

impl Pipeline {
    /// Takes the available answers of lagging rules, and asks the rules about their next events. `now` is the
    /// wall-clock time, at which rules that are out of service may be tried again.
    pub fn pump(&mut self, now: Timestamp) {
        self.shared.wall = now;
        self.flush();
        for id in self.rules.ids() {
            let rule = &mut self.rules[id];
            let dedicated = rule.backlog.as_mut().and_then(|backlog| backlog.dedicated.as_mut());
            if let Some(answers) = dedicated.and_then(|dedicated| dedicated.answers()) {
                rule.settle_late(answers, &mut self.shared);
                self.make_room();
            }
            let rule = &self.rules[id];
            if !rule.is_asked() && rule.may_go_on(now) {
                self.ask_on_its_thread(id);
            }
        }
    }

    fn ask_on_its_thread(&mut self, id: RuleId) {
        let rule = &mut self.rules[id];
        rule.meter.resume(self.shared.wall);
        let Some(events) = rule.next_events(usize::MAX, &mut self.shared) else { return };
        let Some(backlog) = &mut rule.backlog else { return };
        if backlog.dedicated.is_none() {
            match self.engine.dedicated(id, self.waker.clone()) {
                Ok(dedicated) => backlog.dedicated = Some(dedicated),
                Err(error) => {
                    tracing::error!(rule = %rule.info.name, %error, "a lagging rule waits for a thread");
                    return;
                }
            }
        }
        if let Some(dedicated) = &mut backlog.dedicated {
            dedicated.ask(self.shared.state.view(), events);
        }
    }

    /// Returns `true` in a replay if the event clock allows a lagging rule to continue.
    pub(super) fn goes_on_by(&self, id: RuleId, now: Timestamp) -> bool {
        self.waker.is_none() && self.rules[id].may_go_on(now)
    }

    /// Lets lagging rules of a replay continue that may do so at this time, on the shared workers.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        for id in self.rules.ids() {
            while self.goes_on_by(id, now) {
                let rule = &mut self.rules[id];
                // A rule whose answers are at their limit pauses until the output is taken.
                if !rule.is_lagging() || rule.meter.is_full(&rule.info.limits) {
                    break;
                }
                rule.meter.resume(now);
                self.ask_on_workers(id, usize::MAX);
            }
        }
    }

    /// Asks a lagging rule about its next events, on the shared workers.
    fn ask_on_workers(&mut self, id: RuleId, most: usize) {
        let rule = &mut self.rules[id];
        let Some(events) = rule.next_events(most, &mut self.shared) else { return };
        let tasks: Vec<Task> = events.into_iter().map(|event| Task { rule: id, event }).collect();
        self.pulse.works(evaluating(tasks.iter().map(|_| &**rule.name())));
        let answers = self.engine.evaluate(self.shared.state.view(), &tasks);
        rule.settle_late(answers, &mut self.shared);
    }

    /// Ends all backlogs at the end of a replay. Queued events of rules that are still out of service become
    /// failures.
    pub(super) fn give_up_backlogs(&mut self, end: Timestamp) {
        self.catch_up(end);
        for id in self.rules.ids() {
            while self.waker.is_none()
                && self.rules[id].is_lagging()
                && self.rules[id].is_in_service(end)
            {
                // A limit on the rule's output is no reason to leave an event without an answer.
                self.rules[id].meter.resume(end);
                self.rules[id].meter.output_taken();
                self.ask_on_workers(id, usize::MAX);
            }
            self.rules[id].give_up_backlog(&mut self.shared);
        }
    }

    /// Sets the progress of a rule, for tests and measurements.
    pub fn set_pace(&mut self, id: RuleId, pace: Pace) {
        self.flush();
        let rule = &mut self.rules[id];
        match pace {
            Pace::Hold => {
                rule.start_lagging(self.shared.now, &mut self.shared.changes);
                if let Some(backlog) = &mut rule.backlog {
                    backlog.stays = true;
                }
            }
            Pace::Ask(most) => {
                let mut left = most;
                while left > 0 && self.rules[id].is_lagging() {
                    let before = self.shared.counts.events;
                    self.ask_on_workers(id, left);
                    let asked = usize::try_from(self.shared.counts.events - before).unwrap_or(0);
                    left = left.saturating_sub(asked.max(1));
                }
            }
            Pace::Free => {
                if let Some(backlog) = &mut rule.backlog {
                    backlog.stays = false;
                }
            }
        }
    }
}
