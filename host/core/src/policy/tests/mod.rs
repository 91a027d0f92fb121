//! Tests of the policy on hand-made and on arbitrary verdicts.

mod any;
mod bounds;
mod budget;
mod inhibit;
mod location;
mod plan;
mod repeat;
mod restart;
mod throttle;

use klaxon_test_support::values;
use std::sync::Arc;
use std::time::Duration;

use super::{Decision, Incidents, Reason};
use klaxon_config::{Equal, Inhibitor, Policy, Throttle};
use klaxon_model::{
    Event, Id, Identity, Meta, Object, Pod, Refused, Severity, Status, Subject, Timestamp, Verdict,
};

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns an object of the core group: `Pod/a on n1`, `Node/n1`.
fn object(text: &str) -> Object {
    let (name, node) = text.split_once(" on ").unwrap_or((text, ""));
    let (kind, name) = name.split_once('/').unwrap();
    let identity = Identity {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: if kind == "Pod" { "shop".to_owned() } else { String::new() },
        name: name.to_owned(),
        uid: format!("uid-{name}"),
    };
    let pod = Pod { node: node.to_owned(), ..Pod::default() };
    let subject = if kind == "Pod" { Subject::Pod(pod) } else { Subject::Other };
    Object { meta: Meta { identity, ..Meta::default() }, subject, document: None }
}

/// Returns a verdict of `rule/code key`, identified by its title.
fn verdict(title: &str, about: &str, status: Status, at: Timestamp) -> Verdict {
    let (code, key) = about.split_once(' ').unwrap();
    let (rule, code) = code.split_once('/').unwrap();
    let event = values::event(Id::of("event", &[&title]), at, object("Pod/a on n1"));
    Verdict {
        rule: rule.into(),
        code: code.to_owned(),
        severity: Severity::Error,
        status,
        title: title.to_owned(),
        key: key.to_owned(),
        payload: values::payload(&format!("{{\"of\": \"{title}\"}}")),
        targets: vec!["notify".to_owned()],
        ..values::verdict(Id::of("verdict", &[&title]), event)
    }
}

/// Returns the same verdict about another object.
fn about(mut verdict: Verdict, text: &str) -> Verdict {
    let event = Event::clone(verdict.event.as_ref().unwrap());
    let object = object(text);
    verdict.object = object.meta.identity.clone();
    verdict.event = Some(Arc::new(Event { object: Arc::new(object), ..event }));
    verdict
}

/// Returns an inhibitor with the configuration's defaults.
fn inhibitor(text: &str, equal: Equal) -> Inhibitor {
    let (rule, code) = text.split_once('/').unwrap();
    Inhibitor { rule: rule.to_owned(), code: code.to_owned(), equal, at_most: seconds(3600) }
}

/// Returns the result as text: the titles of verdicts that pass, and `-title reason` of suppressed ones.
fn words(decision: &Decision, names: &[&str]) -> Vec<String> {
    let name = |id: Id| names.iter().find(|name| Id::of("verdict", &[*name]) == id).unwrap();
    let suppressed = decision
        .suppressed
        .iter()
        .map(|one| format!("-{} {}", name(one.verdict), one.reason.as_str()));
    decision.verdicts.iter().map(|one| one.title.clone()).chain(suppressed).collect()
}

/// A sequence of verdicts with the expected result of each.
struct Play {
    incidents: Incidents,
    names: Vec<&'static str>,
}

impl Play {
    fn new(policies: &[(&str, Policy)]) -> Self {
        let policies: Vec<_> =
            policies.iter().map(|(name, policy)| ((*name).into(), policy.clone())).collect();
        let mut incidents = Incidents::new(&policies);
        incidents.use_journal();
        Self { incidents, names: Vec::new() }
    }

    fn say(&mut self, verdict: Verdict, name: &'static str, comes: &[&str]) {
        self.names.push(name);
        let decision = self.incidents.decide(verdict);
        assert_eq!(words(&decision, &self.names), comes, "of {name}");
    }

    /// Fires at a time in seconds.
    fn fires(&mut self, at: i64, about: &str, name: &'static str, comes: &[&str]) {
        self.say(verdict(name, about, Status::Firing, second(at)), name, comes);
    }

    /// Resolves at a time in seconds.
    fn ends(&mut self, at: i64, about: &str, name: &'static str, comes: &[&str]) {
        self.say(verdict(name, about, Status::Resolved, second(at)), name, comes);
    }

    fn passes_until(&mut self, at: i64, comes: &[&str]) {
        let decision = self.incidents.advance_to(second(at));
        assert_eq!(words(&decision, &self.names), comes, "until {at}");
    }

    fn waiting(&self) -> usize {
        self.incidents.sizes().map(|(_, _, waiting)| waiting).sum()
    }

    fn open(&self) -> usize {
        self.incidents.sizes().map(|(_, open, _)| open).sum()
    }

    fn suppressed(&self, reason: Reason) -> u64 {
        let tally = self.incidents.tally().suppressed.iter();
        tally.filter(|((_, why), _)| *why == reason).map(|(_, count)| count).sum()
    }
}

fn pair() -> Policy {
    Policy { pair: true, ..Policy::default() }
}

fn throttle(count: u32, per: u64, digest: bool) -> Policy {
    let throttle = Throttle { count, per: seconds(per), digest };
    Policy { throttle: Some(throttle), ..Policy::default() }
}

fn inhibited_by(inhibitors: Vec<Inhibitor>) -> Policy {
    Policy { inhibited_by: inhibitors, ..Policy::default() }
}
