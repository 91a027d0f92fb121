//! Generators of arbitrary policies, and of arbitrary verdicts in event order.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use klaxon_model::{IncidentRecord, PersistedIncident, StoreOp};

/// One verdict of three rules, with the time since the previous one.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) after_ms: i64,
    rule: usize,
    code: usize,
    key: usize,
    node: usize,
    is_over: bool,
    severity: usize,
}

/// `nodes` inhibits and has no policy; `nodes` may inhibit `mid`, and all three rules may inhibit `web`.
pub(super) const RULES: [&str; 3] = ["nodes", "mid", "web"];

fn one(rule: usize, is_over: impl Strategy<Value = bool>) -> impl Strategy<Value = Said> {
    let when = prop_oneof![Just(0i64), 1i64..1000, 1000i64..40_000];
    let what = (0usize..3, 0usize..3, 0usize..3, 0usize..2);
    (when, what, is_over).prop_map(move |(after_ms, (code, key, node, severity), is_over)| Said {
        after_ms,
        rule,
        code,
        key,
        node,
        is_over,
        severity,
    })
}

pub(super) fn any_play() -> impl Strategy<Value = Vec<Said>> {
    let over = || proptest::bool::weighted(0.35);
    vec((0usize..3).prop_flat_map(move |rule| one(rule, over())), 0..120)
}

impl Said {
    pub(super) fn verdict(&self, number: usize, at: Timestamp) -> Verdict {
        let rule = RULES[self.rule];
        let text = format!("{rule}/C{} k{}", self.code, self.key);
        let status = if self.is_over { Status::Resolved } else { Status::Firing };
        let verdict = verdict(&number.to_string(), &text, status, at);
        let severity = [Severity::Warning, Severity::Error][self.severity];
        let location = match self.rule {
            0 => format!("Node/n{}", self.key),
            // Some verdicts have a node, some do not.
            _ if self.node == 0 => format!("Pod/p{}", self.key),
            _ => format!("Pod/p{} on n{}", self.key, self.node),
        };
        about(Verdict { severity, ..verdict }, &location)
    }
}

/// Returns the whole sequence with its times.
pub(super) fn verdicts(play: &[Said]) -> Vec<Verdict> {
    let mut now = second(1_000_000);
    let timed = play.iter().enumerate().map(|(number, said)| {
        now = now.plus_millis(said.after_ms);
        said.verdict(number, now)
    });
    timed.collect()
}

fn entry(rules: usize) -> impl Strategy<Value = Inhibitor> {
    let equals =
        [Equal::Object, Equal::Node, Equal::Namespace, Equal::Key, Equal::Cluster].to_vec();
    let equal = proptest::sample::select(equals);
    (0..rules, 0usize..2, equal, 1u64..200).prop_map(|(rule, code, equal, at_most)| Inhibitor {
        at_most: seconds(at_most),
        ..inhibitor(&format!("{}/C{code}", RULES[rule]), equal)
    })
}

fn any_throttle() -> impl Strategy<Value = Throttle> {
    let parts = (1u32..5, 1u64..60, any::<bool>());
    parts.prop_map(|(count, per, digest)| Throttle { count, per: seconds(per), digest })
}

fn any_policy(rules: usize) -> impl Strategy<Value = Policy> {
    let repeat = option::of((1u64..90).prop_map(seconds));
    let forget = prop_oneof![Just(7 * 86_400), 200u64..2000].prop_map(seconds);
    let parts =
        (repeat, any::<bool>(), vec(entry(rules), 0..3), option::of(any_throttle()), forget);
    parts.prop_map(|(repeat, pair, inhibited_by, throttle, forget)| Policy {
        repeat,
        pair,
        inhibited_by,
        throttle,
        forget,
        ..Policy::default()
    })
}

/// Generates policies of the three rules, in their order.
pub(super) fn any_policies() -> impl Strategy<Value = Vec<(Arc<str>, Policy)>> {
    (any_policy(2), any_policy(3)).prop_map(|(mut mid, web)| {
        // A rule may inhibit itself only by its own codes; there is no cycle over rules.
        mid.inhibited_by.retain(|one| one.rule != "web");
        let all = [Policy::default(), mid, web];
        RULES.iter().zip(all).map(|(name, policy)| ((*name).into(), policy)).collect()
    })
}

pub(super) fn incidents(policies: &[(Arc<str>, Policy)]) -> Incidents {
    let mut incidents = Incidents::new(policies);
    incidents.use_journal();
    incidents
}

/// The table `incidents`, as text.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Table(BTreeMap<(Arc<str>, String, String), String>);

impl Table {
    pub(super) fn write(&mut self, changes: Vec<StoreOp>) {
        for change in changes {
            match change {
                StoreOp::Incident(row) => {
                    let PersistedIncident { rule, code, key, record } = *row;
                    self.0.insert((rule, code, key), serde_json::to_string(&record).unwrap());
                }
                StoreOp::NoIncident(rule, code, key) => {
                    self.0.remove(&(rule, code, key));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn read(&self) -> Vec<PersistedIncident> {
        let row = |((rule, code, key), record): (&(Arc<str>, String, String), &String)| {
            let record: IncidentRecord = serde_json::from_str(record).unwrap();
            PersistedIncident { rule: rule.clone(), code: code.clone(), key: key.clone(), record }
        };
        self.0.iter().map(row).collect()
    }

    pub(super) fn rows(&self) -> usize {
        self.0.len()
    }
}
