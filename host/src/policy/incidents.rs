//! Open incidents of all rules: what is delivered of their verdicts, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::{Passed, Tally};
use super::incident_table::{IncidentKey, Open};
use super::inhibit::{Inhibitors, Register};
use super::rule::Rule;
use super::suspension::Holds;
use super::throttle;
use super::waiting::Waiting;
use crate::config::Policy;
use crate::model::{Status, Timestamp, Verdict};

/// What is remembered of each rule is bounded, whatever it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Open incidents.
    pub(super) open: usize,
    /// Verdicts that wait …
    pub(super) held: usize,
    /// … and their bytes.
    pub(super) held_bytes: usize,
}

const BOUNDS: Bounds = Bounds { open: 100_000, held: 1000, held_bytes: 16 << 20 };

/// Something that is due; at one time in this order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A rule's window is over.
    Window(usize),
    /// A verdict has waited long enough.
    Held(u64),
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
    /// Rules whose windows are to be written, while anything is kept.
    pub(super) windows_changed: Option<Vec<usize>>,
    pub(super) bounds: Bounds,
    pub(super) tally: Tally,
    holds: Holds,
    /// The latest time that it was told.
    pub(super) now: Timestamp,
    /// No rule has a policy: nothing will ever be due.
    pub(super) is_idle: bool,
}

impl Incidents {
    /// For all rules, in the order of the configuration: one without a policy may inhibit others.
    pub fn new(policies: &[(Arc<str>, Policy)]) -> Self {
        let mut register = Register::default();
        let mut rules: Vec<Rule> = Vec::new();
        for (place, (name, policy)) in policies.iter().enumerate() {
            rules.push(Rule::new(name.clone(), policy, |rule, code| {
                register.number(rule, code, place)
            }));
        }
        let named = rules.iter().enumerate().map(|(place, rule)| (rule.name.clone(), place));
        let numbers: BTreeMap<Arc<str>, usize> = named.collect();
        for (number, (rule, code)) in register.names.into_iter().enumerate() {
            let place = numbers.get(rule.as_str());
            if let Some(rule) = place.and_then(|place| rules.get_mut(*place)) {
                rule.inhibits.insert(code, number);
            }
        }
        Self {
            open: Open::new(rules.iter().map(|rule| rule.settings.forget)),
            rules,
            numbers,
            waiting: Waiting::default(),
            inhibitors: Inhibitors::new(register.holds),
            windows_changed: None,
            bounds: BOUNDS,
            tally: Tally::default(),
            holds: Holds::new(policies.len()),
            now: Timestamp::from_millis(i64::MIN),
            is_idle: policies.iter().all(|(_, policy)| policy.is_empty()),
        }
    }

    /// Time goes on from there.
    pub fn not_before(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// While something that feeds a rule is not in sync, that an incident of it is over may be known to the
    /// cluster and not yet to the rule: for ten minutes at most nothing that waits of it is let go, and
    /// nothing of it is forgotten.
    pub fn set_suspended(&mut self, rule: usize, is_held: bool) {
        self.holds.set(rule, is_held);
    }

    /// Those that began since this was last told, began now: what was known before is of the last run.
    pub fn begin_holds(&mut self, now: Timestamp) {
        self.holds.tell(now);
    }

    pub(super) fn is_held(&self, rule: usize, now: Timestamp) -> bool {
        self.holds.until(rule).is_some_and(|until| until > now)
    }

    /// Decides on the next verdict. What is due by its time comes first.
    pub fn decide(&mut self, verdict: Verdict) -> Passed {
        let mut out = Passed::default();
        // A rule that is behind speaks of an earlier time; what is delivered is delivered now.
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

    /// Moves the clock: does what is due by this time, as verdicts of the time would.
    pub fn advance_to(&mut self, time: Timestamp) -> Passed {
        let mut out = Passed::default();
        if self.is_idle {
            self.now = self.now.max(time);
            return out;
        }
        self.fire_due(time, &mut out);
        self.tally.count(&out);
        out
    }

    /// When [`Incidents::advance_to`] has something to do.
    pub fn next_due(&self) -> Option<Timestamp> {
        if self.is_idle {
            return None;
        }
        self.first_due().map(|(time, _)| time)
    }

    /// What was counted since the start.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Of each rule: its name, how many incidents are open, and how many verdicts wait.
    pub fn sizes(&self) -> impl Iterator<Item = (&Arc<str>, usize, usize)> {
        let rules = self.rules.iter().enumerate();
        rules.map(|(place, rule)| (&rule.name, self.open.len(place), self.waiting.size(place).0))
    }

    fn first_due(&self) -> Option<(Timestamp, Due)> {
        let rules = self.rules.iter().enumerate();
        let window = rules.filter_map(|(place, rule)| Some((rule.window_end()?, place))).min();
        let not_before =
            |rule, time: Timestamp| self.holds.until(rule).map_or(time, |until| until.max(time));
        let oldest = (0..self.rules.len()).filter_map(|rule| {
            let (time, spot) = self.open.oldest(rule)?;
            Some((not_before(rule, *time), spot))
        });
        let held = self.waiting.first_end(not_before);
        let held = held.map(|(time, order)| (time, Due::Held(order)));
        let window = window.map(|(time, rule)| (time, Due::Window(rule)));
        let age = oldest.min().map(|(time, spot)| (time, Due::Age(spot.clone())));
        window.into_iter().chain(held).chain(age).min()
    }

    fn fire_due(&mut self, time: Timestamp, out: &mut Passed) {
        let before = self.now;
        self.now = self.now.max(time);
        while let Some((at, due)) = self.first_due().filter(|(at, _)| *at <= time) {
            // What was held was due long ago, and happens now.
            let at = at.max(before);
            let first = out.verdicts.len();
            match due {
                Due::Window(rule) => self.close_window(rule, at, out),
                Due::Held(order) => self.look_again(order, at, out),
                Due::Age(spot) => self.forget(&spot, at, out),
            }
            self.spend(out, first, at);
        }
    }

    fn close_window(&mut self, rule: usize, at: Timestamp, out: &mut Passed) {
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
