//! The policy of all rules: tracks open incidents and decides on the delivery of their verdicts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::{Decision, Tally};
use super::incident_table::{IncidentKey, Open};
use super::inhibition::index::{Inhibitors, Register};
use super::inhibition::pending::Waiting;
use super::rule::Rule;
use super::suspension::Suspensions;
use super::throttle;
use klaxon_config::Policy;
use klaxon_model::{Status, Timestamp, Verdict};

/// Bounds of the state of each rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Open incidents.
    pub(super) open: usize,
    /// Pending verdicts.
    pub(super) pending: usize,
    /// Bytes of pending verdicts.
    pub(super) pending_bytes: usize,
}

const BOUNDS: Bounds = Bounds { open: 100_000, pending: 1000, pending_bytes: 16 << 20 };

/// A timeout of the policy. Timeouts of the same time are handled in this order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A rule's window ends.
    Window(usize),
    /// A pending verdict stops waiting.
    Pending(u64),
    /// An incident is forgotten.
    Age(Arc<IncidentKey>),
}

/// The policy of all rules. Verdicts are given to it in event order.
#[derive(Debug)]
pub struct Incidents {
    pub(super) rules: Vec<Rule>,
    pub(super) numbers: BTreeMap<Arc<str>, usize>,
    pub(super) open: Open,
    pub(super) waiting: Waiting,
    pub(super) inhibitors: Inhibitors,
    /// Rules whose windows are to be written. `None` if nothing is persisted.
    pub(super) windows_changed: Option<Vec<usize>>,
    pub(super) bounds: Bounds,
    pub(super) tally: Tally,
    suspensions: Suspensions,
    /// The latest time given.
    pub(super) now: Timestamp,
    /// `true` if no rule has a policy: nothing will ever be due.
    pub(super) is_idle: bool,
}

impl Incidents {
    /// Creates the policy of all rules, in the order of the configuration. A rule without a policy may
    /// inhibit others.
    pub fn new(policies: &[(Arc<str>, Policy)]) -> Self {
        let mut register = Register::default();
        let mut rules: Vec<Rule> = Vec::new();
        for (index, (name, policy)) in policies.iter().enumerate() {
            rules.push(Rule::new(name.clone(), policy, |rule, code| {
                register.number(rule, code, index)
            }));
        }
        let named = rules.iter().enumerate().map(|(index, rule)| (rule.name.clone(), index));
        let numbers: BTreeMap<Arc<str>, usize> = named.collect();
        for (number, (rule, code)) in register.names.into_iter().enumerate() {
            let index = numbers.get(rule.as_str());
            if let Some(rule) = index.and_then(|index| rules.get_mut(*index)) {
                rule.inhibits.insert(code, number);
            }
        }
        Self {
            open: Open::new(rules.iter().map(|rule| rule.settings.forget)),
            rules,
            numbers,
            waiting: Waiting::default(),
            inhibitors: Inhibitors::new(register.inhibits),
            windows_changed: None,
            bounds: BOUNDS,
            tally: Tally::default(),
            suspensions: Suspensions::new(policies.len()),
            now: Timestamp::from_millis(i64::MIN),
            is_idle: policies.iter().all(|(_, policy)| policy.is_empty()),
        }
    }

    /// Advances the clock without handling timeouts.
    pub fn not_before(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Suspends the timeouts of a rule while a source that feeds it is out of sync: the event that
    /// resolves an incident may not have reached the rule yet. For at most ten minutes no pending verdict
    /// of the rule times out, and none of its incidents is forgotten.
    pub fn set_suspended(&mut self, rule: usize, is_suspended: bool) {
        self.suspensions.set(rule, is_suspended);
    }

    /// Starts the suspensions set since the last call at this time. They do not start with the policy's
    /// clock, because after a restart that has the time of the last run.
    pub fn begin_suspensions(&mut self, now: Timestamp) {
        self.suspensions.begin(now);
    }

    pub(super) fn is_suspended(&self, rule: usize, now: Timestamp) -> bool {
        self.suspensions.until(rule).is_some_and(|until| until > now)
    }

    /// Decides on the next verdict, after handling all timeouts until its time.
    pub fn decide(&mut self, verdict: Verdict) -> Decision {
        let mut out = Decision::default();
        // A verdict of a lagging rule has an earlier time; it is delivered at the current time.
        self.fire_due(verdict.time.max(self.now), &mut out);
        let first = out.verdicts.len();
        let rule = self.numbers.get(&verdict.rule).copied();
        let tracking = rule
            .filter(|rule| self.rules.get(*rule).is_some_and(|rule| rule.tracks(&verdict.code)));
        match tracking {
            None => out.verdicts.push(verdict),
            Some(rule) => {
                let (code, key) = (verdict.code.clone(), verdict.key.clone());
                let spot = Arc::new(IncidentKey { rule, code, key });
                match verdict.status {
                    Status::Firing => self.firing(&spot, verdict, &mut out),
                    Status::Resolved => self.resolved(&spot, verdict, &mut out),
                }
            }
        }
        self.spend(&mut out, first, self.now);
        self.tally.count(&out);
        out
    }

    /// Advances the clock and handles all timeouts until this time.
    pub fn advance_to(&mut self, time: Timestamp) -> Decision {
        let mut out = Decision::default();
        if self.is_idle {
            self.now = self.now.max(time);
            return out;
        }
        self.fire_due(time, &mut out);
        self.tally.count(&out);
        out
    }

    /// Returns the time of the next timeout that [`Incidents::advance_to`] would handle.
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.is_idle {
            return None;
        }
        self.first_due().map(|(time, _)| time)
    }

    /// Returns the counters since the start.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Returns for each rule its name, the number of open incidents and the number of pending verdicts.
    pub fn sizes(&self) -> impl Iterator<Item = (&Arc<str>, usize, usize)> {
        let rules = self.rules.iter().enumerate();
        rules.map(|(index, rule)| (&rule.name, self.open.len(index), self.waiting.size(index).0))
    }

    fn first_due(&self) -> Option<(Timestamp, Due)> {
        let rules = self.rules.iter().enumerate();
        let window = rules.filter_map(|(index, rule)| Some((rule.window_end()?, index))).min();
        let not_before = |rule, time: Timestamp| {
            self.suspensions.until(rule).map_or(time, |until| until.max(time))
        };
        let oldest = (0..self.rules.len()).filter_map(|rule| {
            let (time, spot) = self.open.oldest(rule)?;
            Some((not_before(rule, *time), spot))
        });
        let pending = self.waiting.first_end(not_before);
        let pending = pending.map(|(time, order)| (time, Due::Pending(order)));
        let window = window.map(|(time, rule)| (time, Due::Window(rule)));
        let age = oldest.min().map(|(time, spot)| (time, Due::Age(spot.clone())));
        window.into_iter().chain(pending).chain(age).min()
    }

    fn fire_due(&mut self, time: Timestamp, out: &mut Decision) {
        let before = self.now;
        self.now = self.now.max(time);
        while let Some((at, due)) = self.first_due().filter(|(at, _)| *at <= time) {
            // The timeout of a suspended rule was due earlier, and is handled now.
            let at = at.max(before);
            let first = out.verdicts.len();
            match due {
                Due::Window(rule) => self.close_window(rule, at, out),
                Due::Pending(order) => self.look_again(order, at, out),
                Due::Age(spot) => self.forget(&spot, at, out),
            }
            self.spend(out, first, at);
        }
    }

    fn close_window(&mut self, rule: usize, at: Timestamp, out: &mut Decision) {
        self.mark_window(rule);
        if let Some(rule) = self.rules.get_mut(rule) {
            out.verdicts.extend(throttle::close(rule, at));
        }
    }

    pub(super) fn mark_window(&mut self, rule: usize) {
        if let Some(changed) = &mut self.windows_changed
            && !changed.contains(&rule)
        {
            changed.push(rule);
        }
    }
}
