//! Building of verdicts: a rule's verdicts get ids, the manifest's defaults and the granted targets.
//!
//! Only a target that the operator did not grant is refused, which is recorded and shown and does not affect other
//! targets.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use klaxon_model::{
    Event, Id, Manifest, Refused, RuleTarget, RuleVerdict, Status, Subject, Verdict, prefix,
};

/// Builds the verdicts of one rule.
#[derive(Debug, Clone)]
pub struct VerdictBuilder {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The version of its manifest.
    pub version: Arc<str>,
    /// The targets that the operator routes the rule to.
    pub routed: Vec<String>,
    /// Additional targets that a verdict may name.
    pub named: Vec<String>,
    /// The targets that exist.
    pub targets: Targets,
}

/// Maximum number of refused targets of one verdict that are recorded individually.
const MAX_REFUSED: usize = 16;
/// The maximum for writes to the cluster, each of which counts against the budget of its object.
const MAX_WRITES: usize = 64;
/// Maximum size in bytes of a rule's text that is repeated in a refusal: that of a name in Kubernetes.
const MAX_NAME: usize = 253;

/// The targets that exist.
#[derive(Debug, Clone)]
pub enum Targets {
    /// The targets of the configuration.
    Configured(Arc<BTreeSet<String>>),
    /// Any target: there is no configuration, and nothing is sent.
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

/// Returns the beginning of a rule's text.
fn begin(text: &str) -> String {
    prefix(text, MAX_NAME).to_owned()
}

/// A target that a verdict is not sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The id of the verdict.
    pub verdict: Id,
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// The verdict's code.
    pub code: String,
    /// The kind of target, as grants name it.
    pub target: String,
    /// The name that the rule gave, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The reason, with a hint how to correct it.
    pub why: String,
}

impl Refusal {
    /// Returns all refusals of a verdict.
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

impl VerdictBuilder {
    /// Builds the verdicts of one answer, which was checked against the manifest, in its order.
    pub fn build(
        &self,
        manifest: &Manifest,
        event: &Arc<Event>,
        said: Vec<RuleVerdict>,
    ) -> Vec<Verdict> {
        let mut built = Vec::new();
        // The same verdict twice in one answer is two verdicts, with different numbers.
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
                built.push(Verdict { refused, ..verdict });
            }
        }
        built
    }

    /// Fills in the manifest's defaults. Returns `None` for an undeclared code or a payload that is not
    /// JSON, both of which the engine has turned into a failure before.
    fn complete(
        &self,
        id: Id,
        manifest: &Manifest,
        event: &Arc<Event>,
        said: RuleVerdict,
        targets: Vec<String>,
    ) -> Option<Verdict> {
        let code = manifest.code(&said.code)?;
        let is_kubernetes_event = matches!(event.object.subject, Subject::KubernetesEvent(_));
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
            object: event.object.meta.identity.clone(),
            payload: RawValue::from_string(payload).ok()?,
            targets,
            gap: event.gap,
            delta: is_kubernetes_event.then_some(event.delta),
            event: Some(event.clone()),
            refused: Vec::new(),
        })
    }

    /// Returns the names of the targets, each once, in the order in which the rule named them, and the
    /// refused targets.
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
                RuleTarget::Named(name) if self.may_name(name) => {
                    names.push(name.clone());
                    continue;
                }
                RuleTarget::Named(name) => (Some(begin(name)), self.why_not(&begin(name))),
                RuleTarget::Extension(extension) => (
                    Some(begin(&extension.kind)),
                    format!("this host has no extension {:?}", begin(&extension.kind)),
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
        (names, bounded(refused))
    }

    /// Returns `true` if the operator lets verdicts of the rule name a target.
    fn may_name(&self, name: &str) -> bool {
        match &self.targets {
            Targets::Any => true,
            Targets::Configured(_) => {
                self.listed().any(|one| one == name) && self.targets.has(name)
            }
        }
    }

    /// Returns the targets that the rule's configuration lists.
    fn listed(&self) -> impl Iterator<Item = &String> {
        self.routed.iter().chain(&self.named)
    }

    fn why_not(&self, name: &str) -> String {
        if self.targets.has(name) {
            format!(
                "rule {:?} may not send to target {name:?}; hint: list it in the rule's `targets`, or in its `grants.targets` if only verdicts that name it are meant for it",
                &*self.rule
            )
        } else {
            format!(
                "there is no target {name:?}; hint: configure it under `targets`, and list it in the rule's"
            )
        }
    }
}

/// Returns the first refusals of a verdict, and one with the number of the others.
fn bounded(refused: Vec<Refused>) -> Vec<Refused> {
    let before = refused.len();
    let (mut writes, mut others) = (MAX_WRITES, MAX_REFUSED);
    let mut kept = refused;
    kept.retain(|one| {
        let left = if one.writes_to.is_some() { &mut writes } else { &mut others };
        let has_room = *left > 0;
        *left = left.saturating_sub(1);
        has_room
    });
    let more = before - kept.len();
    if more > 0 {
        let why = format!("{more} further targets of the verdict were refused");
        kept.push(Refused { kind: "more".to_owned(), name: None, why, writes_to: None });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::Extension;

    fn policy(routed: &[&str], named: &[&str]) -> VerdictBuilder {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let there: Vec<String> = names(&["notify", "oncall", "pager"]);
        VerdictBuilder {
            rule: "rule".into(),
            version: "1".into(),
            routed: names(routed),
            named: names(named),
            targets: Targets::Configured(Arc::new(there.into_iter().collect())),
        }
    }

    fn resolve(policy: &VerdictBuilder, targets: Vec<RuleTarget>) -> (Vec<String>, Vec<Refused>) {
        policy.resolve(&RuleVerdict {
            code: "A".to_owned(),
            key: String::new(),
            status: Status::Firing,
            severity: None,
            title: String::new(),
            payload: String::new(),
            targets,
        })
    }

    fn named(name: &str) -> RuleTarget {
        RuleTarget::Named(name.to_owned())
    }

    #[test]
    fn a_verdict_goes_only_to_targets_that_the_rules_configuration_lists() {
        let policy = policy(&["notify"], &["oncall"]);
        assert_eq!(resolve(&policy, vec![]).0, ["notify"]);
        assert_eq!(resolve(&policy, vec![named("oncall")]), (vec!["oncall".to_owned()], vec![]));
        assert_eq!(resolve(&policy, vec![RuleTarget::Routed, named("notify")]).0, ["notify"]);
        let (names, refused) = resolve(&policy, vec![named("pager"), named("nowhere")]);
        assert_eq!((names.len(), refused.len()), (0, 2));
        assert_eq!(refused[0].target(), "pager");
        assert!(refused[0].why.contains("may not send to target \"pager\""), "{}", refused[0].why);
        assert!(refused[0].why.contains("hint: list it"), "{}", refused[0].why);
        assert!(refused[1].why.contains("there is no target \"nowhere\""), "{}", refused[1].why);
    }

    #[test]
    fn an_extension_is_one_kind_and_its_own_kind_is_no_name_of_a_target() {
        let kind = "notify".to_owned();
        let body = "x".repeat(1000);
        let extension = RuleTarget::Extension(Extension { kind, body });
        let (names, refused) = resolve(&policy(&["notify"], &[]), vec![extension]);
        assert_eq!((names.len(), refused[0].kind.as_str()), (0, "extension"));
        assert_eq!(
            (refused[0].target(), refused[0].name.as_deref()),
            ("extension", Some("notify"))
        );
    }

    #[test]
    fn refusals_of_one_verdict_and_their_texts_are_bounded() {
        let long = "ü".repeat(10_000);
        let (_, refused) = resolve(&policy(&[], &[]), vec![named(&long); 50]);
        assert_eq!(refused.len(), MAX_REFUSED + 1);
        assert!(refused.iter().all(|one| one.why.len() < 1000), "{}", refused[0].why.len());
        assert_eq!(refused[MAX_REFUSED].why, "34 further targets of the verdict were refused");
        let writes = vec![RuleTarget::Apply("{}".to_owned()); 100];
        assert_eq!(resolve(&policy(&[], &[]), writes).1.len(), MAX_WRITES + 1);
    }
}
