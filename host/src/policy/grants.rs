//! From what a rule says to what is delivered: ids, defaults of the manifest, and grants.
//!
//! By default every verdict passes; only what the operator did not grant is refused, recorded and
//! shown, and stops nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::{
    Event, Id, Manifest, Refused, RuleTarget, RuleVerdict, Status, Subject, Verdict,
};

/// What one rule may do with its verdicts.
#[derive(Debug, Clone)]
pub struct RulePolicy {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The version of its manifest.
    pub version: Arc<str>,
    /// Where the operator routed it.
    pub routed: Vec<String>,
    /// Targets that a verdict may name.
    pub targets: Targets,
}

/// Targets that a verdict may name.
#[derive(Debug, Clone)]
pub enum Targets {
    /// Those of the configuration.
    Configured(Arc<BTreeSet<String>>),
    /// Any: there is no configuration, and nothing is sent.
    Any,
}

impl Targets {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Configured(names) => names.contains(name),
            Self::Any => true,
        }
    }
}

/// A target that a verdict does not go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The verdict.
    pub verdict: Id,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The verdict's code.
    pub code: String,
    /// The kind of target, as grants name it.
    pub target: String,
    /// The name that the rule gave, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why, and how to mend it.
    pub why: String,
}

impl Refusal {
    /// All of a verdict.
    pub fn of(verdict: &Verdict) -> impl Iterator<Item = Self> {
        verdict.refused.iter().map(|one| Self {
            verdict: verdict.id,
            rule: verdict.rule.clone(),
            code: verdict.code.clone(),
            target: one.kind.clone(),
            name: one.name.clone(),
            why: one.why.clone(),
        })
    }
}

impl RulePolicy {
    /// Decides on the verdicts of one answer, which was checked against the manifest, in its order.
    pub fn decide(
        &self,
        manifest: &Manifest,
        event: &Arc<Event>,
        said: Vec<RuleVerdict>,
    ) -> Vec<Verdict> {
        let mut decided = Vec::new();
        // The same verdict twice in one answer is two: each has its number.
        let mut numbers: HashMap<(String, String, Status), u64> = HashMap::new();
        for verdict in said {
            let alike = (verdict.code.clone(), verdict.key.clone(), verdict.status);
            let number = numbers.entry(alike).or_default();
            let id = Id::of(
                "verdict",
                &[
                    &event.id,
                    &&*self.rule,
                    &verdict.code,
                    &verdict.key,
                    &verdict.status.as_str(),
                    number,
                ],
            );
            *number += 1;
            let (targets, refused) = self.resolve(&verdict);
            if let Some(verdict) = self.complete(id, manifest, event, verdict, targets) {
                decided.push(Verdict { refused, ..verdict });
            }
        }
        decided
    }

    /// Fills in what the rule left to its manifest. None for an undeclared code or a payload that
    /// is no JSON, which the engine has turned into a failure before.
    fn complete(
        &self,
        id: Id,
        manifest: &Manifest,
        event: &Arc<Event>,
        said: RuleVerdict,
        targets: Vec<String>,
    ) -> Option<Verdict> {
        let code = manifest.code(&said.code)?;
        let is_notice = matches!(event.object.subject, Subject::Notice(_));
        let payload = if said.payload.is_empty() { "{}".to_owned() } else { said.payload };
        Some(Verdict {
            id,
            time: event.time,
            cluster: event.origin.cluster.as_str().into(),
            rule: self.rule.clone(),
            rule_version: self.version.clone(),
            severity: said.severity.unwrap_or(code.severity),
            status: said.status,
            title: if said.title.is_empty() { code.title.clone() } else { said.title },
            code: said.code,
            key: said.key,
            object: (&event.object.meta.identity).into(),
            payload: RawValue::from_string(payload).ok()?,
            targets,
            gap: event.gap,
            delta: is_notice.then_some(event.delta),
            event: Some(event.clone()),
            refused: Vec::new(),
        })
    }

    /// Names of the targets, each once, in the order in which the rule named them; and what is refused.
    fn resolve(&self, said: &RuleVerdict) -> (Vec<String>, Vec<Refused>) {
        let mut refused = Vec::new();
        if said.targets.is_empty() {
            return (self.routed.clone(), refused);
        }
        let mut names: Vec<String> = Vec::new();
        for target in &said.targets {
            let (name, why) = match target {
                RuleTarget::Routed => {
                    names.extend(self.routed.iter().cloned());
                    continue;
                }
                RuleTarget::Named(name) if self.targets.has(name) => {
                    names.push(name.clone());
                    continue;
                }
                RuleTarget::Named(name) => (
                    Some(name.clone()),
                    format!("there is no target {name:?}; mend: configure it under `targets`"),
                ),
                other => (
                    None,
                    format!("this host has no grant for targets of the kind {:?}", other.kind()),
                ),
            };
            let (kind, writes_to) = (target.kind().to_owned(), target.writes_to());
            refused.push(Refused { kind, name, why, writes_to });
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        (names, refused)
    }
}
