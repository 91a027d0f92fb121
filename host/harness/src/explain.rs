//! Explanations of a replay: the events that each object of a stream causes for each rule, and their outcome.
//!
//! The streams are routed a second time by a router in which every interest asks for all changes. Thus an event that a
//! rule does not get is found too, with the reason. The outcomes are those of the pipeline.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::replay::ReplayError;
use klaxon_core::normalize::{self, Wanted};
use klaxon_core::pipeline::{Decoded, Output, decode};
use klaxon_core::route::{InterestError, Router, Routing};
use klaxon_model::{
    Change, Changes, Event, GapEffect, GapStart, Id, Identity, Interest, Manifest, Narrowing,
    Object, Observation, Origin, PartitionBy, RuleId, RuleInfo, Seen, SourceEvent, Timestamp,
    are_kubernetes_events, plain,
};
use klaxon_recording::{Merged, StreamEvent, StreamFile};

/// A rule of an explained replay.
#[derive(Debug, Clone)]
pub struct ExplainedRule {
    /// The description of the rule.
    pub info: Arc<RuleInfo>,
    /// The operator's narrowing of its interests.
    pub narrowing: Narrowing,
}

/// The decisions of the policy in a replay.
#[derive(Debug, Default)]
pub struct Decisions {
    /// The verdicts that passed.
    passed: HashSet<Id>,
    suppressed: HashMap<Id, String>,
    /// The passed verdicts without an event: digests, and verdicts that an inhibitor delayed. Those are removed when the
    /// rule's verdict is met.
    without_event: BTreeMap<Id, (Timestamp, Arc<str>, String)>,
}

impl Decisions {
    /// Adds an output of the replay.
    pub fn add(&mut self, output: &Output) {
        for verdict in &output.verdicts {
            self.passed.insert(verdict.id);
            if verdict.event.is_none() {
                let about = (verdict.time, verdict.rule.clone(), verdict.code.clone());
                self.without_event.insert(verdict.id, about);
            }
        }
        let suppressed = output.suppressed.iter();
        self.suppressed.extend(suppressed.map(|one| (one.verdict, one.reason.as_str().to_owned())));
    }

    /// Describes the decision about a rule's verdict.
    fn take(&mut self, verdict: Id) -> String {
        if let Some(reason) = self.suppressed.get(&verdict) {
            format!(", suppressed by policy ({reason})")
        } else if self.without_event.remove(&verdict).is_some() {
            ", delivered when no longer inhibited".to_owned()
        } else if self.passed.contains(&verdict) {
            String::new()
        } else {
            ", pending at the end (inhibited)".to_owned()
        }
    }
}

/// An event of a rule: rule, id, change and time. Without a resource version the id alone is that of several events.
type EventKey = (Arc<str>, Id, Change, Timestamp);

/// The outcomes of a replay, by event. Only their texts are stored.
#[derive(Debug, Default)]
pub struct Outcomes {
    of_events: HashMap<EventKey, Vec<String>>,
    /// The outcomes of timers and of the policy, which no object of the streams causes; in order of time.
    others: BTreeMap<(Timestamp, usize), String>,
    /// The policy's decisions about the rules' verdicts. `None` if there is no policy.
    decisions: Option<Decisions>,
}

impl Outcomes {
    /// Creates an empty collection.
    pub fn new(decisions: Option<Decisions>) -> Self {
        Self { decisions, ..Self::default() }
    }

    /// Adds an output of a replay without policy.
    pub fn add(&mut self, output: &Output) {
        for verdict in &output.verdicts {
            let decision = self.decisions.as_mut().map(|decisions| decisions.take(verdict.id));
            let (status, decision) = (verdict.status.as_str(), decision.unwrap_or_default());
            let text = format!("emits {} {status}, key {:?}{decision}", verdict.code, verdict.key);
            self.add_text(&verdict.rule, verdict.event.as_deref(), verdict.time, text);
        }
        for failed in &output.failures {
            let failure = &failed.failure;
            let text = format!("fails: {}: {}", failure.kind.as_str(), plain(&failure.message));
            self.add_text(&failed.rule, Some(&failed.input), failed.time, text);
        }
    }

    /// Adds the verdicts that the policy itself made. All outputs must have been added.
    fn add_verdicts_of_the_policy(&mut self) {
        let made = self.decisions.take().map(|decisions| decisions.without_event);
        for (time, rule, code) in made.into_iter().flat_map(BTreeMap::into_values) {
            self.add_text(&rule, None, time, format!("emits {code}, made by the policy"));
        }
    }

    fn add_text(&mut self, rule: &Arc<str>, event: Option<&Event>, time: Timestamp, text: String) {
        match event {
            Some(event) if event.timer.is_none() => {
                let key = (rule.clone(), event.id, event.change, event.time);
                self.of_events.entry(key).or_default().push(text);
            }
            event => {
                let timer = event.and_then(|event| Some((event.timer.as_ref()?, &event.object)));
                let cause = timer.map_or_else(String::new, |(timer, object)| {
                    format!("timer {:?} of {}: ", timer.key, named(&object.meta.identity))
                });
                let position = (time, self.others.len());
                self.others.insert(position, format!("{time} {cause}{rule} {text}\n"));
            }
        }
    }

    /// Removes and returns the outcomes of timers and of the policy before a time, or all.
    fn others_before(&mut self, time: Option<Timestamp>) -> String {
        let rest = time.map(|time| self.others.split_off(&(time, 0))).unwrap_or_default();
        std::mem::replace(&mut self.others, rest).into_values().collect()
    }

    /// Returns the outcomes whose events the second routing did not give: they must not be lost.
    fn unattributed(&mut self) -> String {
        let rest = std::mem::take(&mut self.of_events).into_iter();
        let rest = rest.map(|((rule, id, change, _), said)| {
            format!("{rule}: {} (event {id}): {}\n", change.as_str(), said.join("; "))
        });
        let mut rest: Vec<String> = rest.collect();
        rest.sort();
        rest.concat()
    }
}

/// Explains each object of the streams, in order, and passes the text to `sink`.
///
/// # Errors
/// If a stream cannot be read, or the sink returns an error.
pub fn explain<E>(
    streams: &[StreamFile],
    explainer: &mut Explainer,
    mut sink: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), ReplayError<E>> {
    let mut merged = Merged::open(streams)?;
    while let Some(StreamEvent { scope, line, at, event }) = merged.next_event()? {
        let name = Path::new(&scope).file_name().unwrap_or_default().to_string_lossy();
        let before = explainer.outcomes.others_before(Some(at));
        let location = format!("{at} {}:{line}", plain(&name));
        let text = explainer.apply(&scope, at, &location, event);
        sink(&format!("{before}{text}")).map_err(ReplayError::Sink)?;
    }
    let mut rest = explainer.outcomes.others_before(None);
    rest.push_str(&explainer.outcomes.unattributed());
    sink(&rest).map_err(ReplayError::Sink)
}

/// The router of an explanation, with its rules and outcomes.
pub struct Explainer {
    router: Router,
    wanted: Wanted,
    rules: Vec<ExplainedRule>,
    outcomes: Outcomes,
}

impl Explainer {
    /// Creates an explainer. Origin and rules are those of the replay, the rules in the same order.
    ///
    /// # Errors
    /// If an interest cannot be used.
    pub fn new(
        origin: Origin,
        rules: Vec<ExplainedRule>,
        mut outcomes: Outcomes,
    ) -> Result<Self, InterestError> {
        let mut router = Router::new(origin);
        for ExplainedRule { info, narrowing } in &rules {
            let mut manifest = info.manifest.clone();
            manifest.interests.iter_mut().for_each(|interest| interest.changes = Changes::ALL);
            router.add_rule(info.name.clone(), &manifest, narrowing)?;
        }
        let wanted = router.wanted();
        outcomes.add_verdicts_of_the_policy();
        Ok(Self { router, wanted, rules, outcomes })
    }

    /// Applies a record as the pipeline does, and explains it.
    fn apply(&mut self, scope: &str, at: Timestamp, location: &str, event: SourceEvent) -> String {
        match event {
            SourceEvent::Object { seen, json, is_change } => {
                let ended =
                    if is_change { self.end_gap(scope, at, location) } else { String::new() };
                ended + &self.object(scope, at, location, seen, &json)
            }
            SourceEvent::GapStarted { from, reason } => {
                let complete_at = self.router.complete_at(scope);
                let (effect, is_other_epoch) = (GapEffect::Marked, false);
                let text = format!("{location} a gap begins: {}\n", plain(&reason));
                let start = GapStart { from, reason, effect, complete_at, is_other_epoch };
                self.router.begin_gap(scope, start);
                text
            }
            SourceEvent::ListCompleted { coverage } => {
                if let Some(coverage) = coverage {
                    self.router.cover(scope, coverage);
                }
                self.end_gap(scope, at, location)
            }
            // The other events come from watches of a cluster only.
            _ => String::new(),
        }
    }

    fn end_gap(&mut self, scope: &str, at: Timestamp, location: &str) -> String {
        let Some(end) = self.router.end_gap(scope, at, &mut |_| None) else {
            return String::new();
        };
        let mut text = format!("{location} the gap ends\n");
        for (rule, event) in end.routed {
            text.push_str(&format!("  {}:\n  ", named(&event.object.meta.identity)));
            text.push_str(&self.event(rule, &event));
        }
        text
    }

    fn object(
        &mut self,
        scope: &str,
        time: Timestamp,
        location: &str,
        seen: Seen,
        json: &str,
    ) -> String {
        let decoded = decode(&mut self.router, &self.wanted, scope, seen, json, true);
        let (object, note) = match decoded {
            Decoded::Object(object) => (object, String::new()),
            Decoded::Ignored => {
                let identity = normalize::head(json).map(|meta| meta.identity).unwrap_or_default();
                return format!("{location} {}: no rule asks for this kind\n", named(&identity));
            }
            Decoded::Undecodable { reason, deleted: None } => {
                return format!("{location} {}; no rule gets it\n", plain(&reason));
            }
            Decoded::Undecodable { reason, deleted: Some(object) } => {
                (object, format!(" ({}; its deletion is reported)", plain(&reason)))
            }
        };
        let identity = &object.meta.identity;
        let mut text = format!("{location} {}{note}", named(identity));
        let observation = Observation { time, seen, object: object.clone(), digest: 0 };
        match self.router.route(scope, observation) {
            Routing::Repeated => text + ": this version was seen before\n",
            Routing::Unknown => text + ": it is deleted, and was not known\n",
            Routing::News(routed) => {
                text.push('\n');
                for index in 0..self.rules.len() {
                    let own = routed.iter().filter(|(rule, _)| rule.0 == index);
                    let before = text.len();
                    own.for_each(|(rule, event)| text.push_str(&self.event(*rule, event)));
                    if text.len() == before
                        && let Some(rule) = self.rules.get(index)
                    {
                        text.push_str(&format!(
                            "  {}: {}\n",
                            rule.info.name,
                            rule.why_not(&object, seen)
                        ));
                    }
                }
                text
            }
        }
    }

    /// Explains an event that a rule would get if its interests asked for all changes.
    fn event(&mut self, rule: RuleId, event: &Event) -> String {
        let Some(ExplainedRule { info, .. }) = self.rules.get(rule.0) else {
            return String::new();
        };
        let RuleInfo { name, manifest, .. } = &**info;
        let change = event.change.as_str();
        let Some(interest) = manifest.interests.get(event.interest as usize) else {
            return String::new();
        };
        if !interest.changes.include(event.change) {
            return format!("  {name}: interest {:?} does not ask for {change:?}\n", interest.name);
        }
        let key = (name.clone(), event.id, event.change, event.time);
        let said = self.outcomes.of_events.remove(&key).map(|said| said.join("; "));
        let said = said.unwrap_or_else(|| "emits nothing".to_owned());
        format!("  {name}: {change} (interest {:?}): {said}\n", interest.name)
    }
}

impl ExplainedRule {
    /// Returns the reason why the rule gets no event about an object.
    fn why_not(&self, object: &Arc<Object>, seen: Seen) -> String {
        let identity = &object.meta.identity;
        let (group, kind) = (identity.group(), identity.kind.as_str());
        let own = |interest: &&Interest| {
            let bare = Interest { namespaces: Vec::new(), ..bare(interest) };
            self.probe(bare, None).is_some_and(|router| router.wants_kind(group, kind))
        };
        let interests: Vec<&Interest> = self.info.manifest.interests.iter().filter(own).collect();
        if interests.is_empty() {
            return format!("it has no interest in {kind}");
        }
        if seen == Seen::Deleted && are_kubernetes_events(group, kind) {
            return "the deletion of a Kubernetes Event is not reported".to_owned();
        }
        let reasons: Vec<String> =
            interests.iter().map(|interest| self.mismatch(interest, object)).collect();
        reasons.join("; ")
    }

    /// Describes the first condition of an interest that an object does not meet.
    fn mismatch(&self, interest: &Interest, object: &Arc<Object>) -> String {
        let name = &interest.name;
        let bare = bare(interest);
        let narrowed = self.narrowing.get(name);
        if !self.matches(bare.clone(), narrowed, object) {
            let wanted = narrowed.unwrap_or(&interest.namespaces).join(", ");
            let namespace = &object.meta.identity.namespace;
            return format!("interest {name:?}: namespace {namespace:?} is none of {wanted}");
        }
        let all = Interest { namespaces: Vec::new(), ..bare };
        let label_selector = interest.label_selector.clone();
        if !self.matches(Interest { label_selector, ..all.clone() }, None, object) {
            let selector = &interest.label_selector;
            return format!("interest {name:?}: label selector {selector:?} does not match");
        }
        let field_selector = interest.field_selector.clone();
        if !self.matches(Interest { field_selector, ..all }, None, object) {
            let selector = &interest.field_selector;
            return format!("interest {name:?}: field selector {selector:?} does not match");
        }
        format!("interest {name:?} has no event for it")
    }

    fn matches(
        &self,
        interest: Interest,
        narrowed: Option<&Vec<String>>,
        object: &Arc<Object>,
    ) -> bool {
        let Some(mut router) = self.probe(interest, narrowed) else { return false };
        let (time, seen) = (Timestamp::default(), Seen::Present);
        let observation = Observation { time, seen, object: object.clone(), digest: 0 };
        matches!(router.route("probe", observation), Routing::News(routed) if !routed.is_empty())
    }

    /// Returns a router with one interest only.
    fn probe(&self, interest: Interest, narrowed: Option<&Vec<String>>) -> Option<Router> {
        let mut router = Router::new(Origin { cluster: String::new(), source: String::new() });
        let narrowing = narrowed.map(|to| (interest.name.clone(), to.clone())).into_iter();
        let manifest = Manifest { interests: vec![interest], ..self.info.manifest.clone() };
        router.add_rule(self.info.name.clone(), &manifest, &narrowing.collect()).ok()?;
        Some(router)
    }
}

/// Returns an interest in the same kind and namespaces, without selectors and fields.
fn bare(interest: &Interest) -> Interest {
    Interest {
        label_selector: String::new(),
        field_selector: String::new(),
        changes: Changes::ALL,
        partition: PartitionBy::Object,
        fields: Vec::new(),
        ..interest.clone()
    }
}

fn named(identity: &Identity) -> String {
    let parts = [&identity.kind, &identity.namespace, &identity.name];
    let parts: Vec<&str> =
        parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    plain(&parts.join("/"))
}
