//! Rounds: groups of events that are evaluated together, on all workers. Their answers are applied in event order.

use std::collections::BTreeSet;
use std::sync::Arc;

use klaxon_model::{Event, RuleId, Task, Timestamp};

use super::backlog::entry::Entry;
use super::rule::Settled;
use super::{FIRED_TOGETHER, Pipeline};
use crate::route::Routed;

/// Maximum number of rules that an activity names.
const NAMED: usize = 8;
/// Maximum number of entries of a round, events among them: few enough that their objects are still in the CPU cache
/// when the rules are asked about them.
const ROUND_ENTRIES: usize = 1024;
/// Maximum size of the field values in a round, in bytes: fields are evaluated from the objects, once for each rule
/// and interest.
const ROUND_FIELDS: usize = 32 << 20;

/// The entries that are evaluated together.
#[derive(Default)]
pub(super) struct Round {
    entries: Vec<RoundEntry>,
    /// Bytes of the field values in the round.
    fields: usize,
    began: Timestamp,
}

/// An entry of a round. It concerns one rule or, if `rule` is `None`, all rules.
pub(super) struct RoundEntry {
    rule: Option<RuleId>,
    entry: Entry,
}

impl Round {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the time of the first entry of the current round or, if it is empty, of the last one.
    pub(super) fn began(&self) -> Timestamp {
        self.began
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= ROUND_ENTRIES || self.fields >= ROUND_FIELDS
    }

    fn push(&mut self, rule: Option<RuleId>, entry: Entry) {
        if self.entries.is_empty() {
            self.began = entry.time();
        }
        if let Entry::Ask(event) = &entry {
            self.fields += event.fields_bytes();
        }
        self.entries.push(RoundEntry { rule, entry });
    }

    fn take(&mut self) -> Vec<RoundEntry> {
        self.fields = 0;
        std::mem::take(&mut self.entries)
    }
}

/// Returns the activity that a watchdog reports while rules are asked; `rules` has the name of a rule for each event.
pub(super) fn evaluating<'a>(rules: impl Iterator<Item = &'a str>) -> String {
    let rules: Vec<&str> = rules.collect();
    let names: BTreeSet<&str> = rules.iter().copied().collect();
    let is_cut = names.len() > NAMED;
    let mut names: Vec<&str> = names.into_iter().take(NAMED).collect();
    if is_cut {
        names.push("…");
    }
    format!("evaluating {} events of rules: {}", rules.len(), names.join(", "))
}

impl Pipeline {
    /// Adds events to the round.
    pub(super) fn enqueue(&mut self, events: Routed) {
        for (rule, event) in events {
            self.round.push(Some(rule), Entry::Ask(event));
        }
        if self.round.is_full() {
            self.flush();
        }
    }

    /// Adds an entry that concerns all rules to the round.
    pub(super) fn enqueue_for_all(&mut self, entry: Entry) {
        self.round.push(None, entry);
    }

    /// Evaluates the pending round.
    pub fn flush(&mut self) {
        let round = self.round.take();
        self.evaluate(round);
    }

    /// Asks the rules that are caught up, and queues the entries of lagging rules. A rule starts to lag with the
    /// first event that it did not answer, with the first event that may have read a write that was refused since,
    /// or with the event after the one that took it out of service or to a limit. Its answers to later events are
    /// discarded, and it is asked about them again.
    fn evaluate(&mut self, round: Vec<RoundEntry>) {
        let in_step = |happening: &RoundEntry| -> Option<Task> {
            let Entry::Ask(event) = &happening.entry else { return None };
            let rule = happening.rule?;
            let is_asked = !self.rules[rule].is_lagging();
            is_asked.then(|| Task { rule, event: event.clone() })
        };
        let tasks: Vec<Option<Task>> = round.iter().map(in_step).collect();
        let asked: Vec<Task> = tasks.iter().flatten().cloned().collect();
        let mut answers = if asked.is_empty() {
            Vec::new().into_iter()
        } else {
            let rules = asked.iter().map(|task| &**self.rules[task.rule].name());
            self.pulse.works(evaluating(rules));
            self.engine.evaluate(self.shared.state.view(), &asked).into_iter()
        };
        self.pulse.works("taking answers");
        let mut refused: BTreeSet<(RuleId, Arc<str>)> = BTreeSet::new();
        for (RoundEntry { rule: id, entry }, task) in round.into_iter().zip(tasks) {
            let mut answer = task.as_ref().and_then(|_| answers.next()).flatten();
            if let Some(task) = task.as_ref().filter(|_| !refused.is_empty())
                && refused.contains(&(task.rule, task.event.partition.clone()))
            {
                answer = None;
            }
            let Some(id) = id else {
                self.rules.ids().for_each(|id| self.take_in(id, &entry));
                continue;
            };
            let rule = &mut self.rules[id];
            match (task, answer) {
                _ if rule.is_lagging() => rule.queue(entry, &mut self.shared),
                (Some(task), Some(answer)) => {
                    match rule.settle(&task.event, answer, &mut self.shared) {
                        Settled::GoesOn => {}
                        Settled::Stops => {
                            rule.start_lagging(entry.time(), &mut self.shared.changes);
                        }
                        Settled::Refused => {
                            refused.insert((id, task.event.partition.clone()));
                        }
                    }
                }
                (Some(_), None) => {
                    rule.start_lagging(entry.time(), &mut self.shared.changes);
                    rule.queue(entry, &mut self.shared);
                }
                (None, _) => self.take_in(id, &entry),
            }
        }
        self.make_room();
    }

    /// Lets a rule know of an entry that it is not asked about.
    fn take_in(&mut self, id: RuleId, entry: &Entry) {
        let rule = &mut self.rules[id];
        if rule.is_lagging() {
            rule.queue(entry.clone(), &mut self.shared);
            return;
        }
        match entry {
            Entry::Went(partition, time) => {
                rule.object_deleted(partition, *time, &mut self.shared);
            }
            Entry::Unfollowed(partition, time) => {
                rule.object_unfollowed(partition, *time, &mut self.shared);
            }
            // A rule that is caught up is asked in `evaluate`, and sees the other changes in the router.
            Entry::Ask(_) | Entry::Known { .. } | Entry::Came(..) | Entry::Suspended(..) => {}
        }
    }

    /// Skips events of rules whose backlog is full, if their operators allow it.
    pub(super) fn make_room(&mut self) {
        for rule in self.rules.iter_mut() {
            rule.make_room(&mut self.shared);
        }
    }

    /// Fires the timers that are due at one time, at most [`FIRED_TOGETHER`] of each rule; `at` is later if they
    /// were suspended. The limit is per rule, so that the first and last event of a rule's calls do not depend on
    /// other rules.
    pub(super) fn fire(&mut self, due: Timestamp, at: Timestamp) {
        let ids: Vec<RuleId> = self.rules.ids().filter(|id| !self.has_own_clock(*id)).collect();
        let mut fired = Vec::new();
        for id in ids {
            let rule = &mut self.rules[id];
            for timer in rule.timers.take(due, FIRED_TOGETHER) {
                let event: Arc<Event> = Arc::new(rule.timer_event(at, &timer, &self.shared));
                fired.push(RoundEntry { rule: Some(id), entry: Entry::Ask(event) });
            }
        }
        self.evaluate(fired);
    }
}
