//! The index of open inhibitors: finds the open incidents that inhibit another one.

use std::collections::HashMap;

use klaxon_config::Equal;
use klaxon_model::{Identity, IncidentLocation, Subject, Verdict};

/// Open incidents of inhibiting codes, counted by the properties that they may have in common with
/// others.
#[derive(Debug, Default)]
pub(in crate::policy) struct Inhibitors {
    /// By the inhibitor's number.
    open: Vec<HashMap<Mark, usize>>,
    /// The rules that each inhibitor inhibits, by its number.
    pub(in crate::policy) inhibits: Vec<Vec<usize>>,
}

/// Assigns a number to each inhibiting code.
#[derive(Debug, Default)]
pub(in crate::policy) struct Register {
    /// Rule and code, by number.
    pub(in crate::policy) names: Vec<(String, String)>,
    /// The rules that each inhibitor inhibits, by its number.
    pub(in crate::policy) inhibits: Vec<Vec<usize>>,
}

impl Register {
    /// Returns the number of an inhibiting code, and adds a rule that it inhibits.
    pub(in crate::policy) fn number(&mut self, rule: &str, code: &str, inhibited: usize) -> usize {
        let known = self.names.iter().position(|(one, other)| one == rule && other == code);
        let number = known.unwrap_or(self.names.len());
        if known.is_none() {
            self.names.push((rule.to_owned(), code.to_owned()));
            self.inhibits.push(Vec::new());
        }
        if let Some(inhibits) = self.inhibits.get_mut(number) {
            inhibits.push(inhibited);
        }
        number
    }
}

type Mark = (Equal, String);

impl Inhibitors {
    /// Creates an empty index, given the rules that each inhibitor inhibits.
    pub(in crate::policy) fn new(inhibits: Vec<Vec<usize>>) -> Self {
        Self { open: vec![HashMap::new(); inhibits.len()], inhibits }
    }

    pub(in crate::policy) fn open(
        &mut self,
        inhibitor: usize,
        key: &str,
        location: &IncidentLocation,
    ) {
        let Some(open) = self.open.get_mut(inhibitor) else { return };
        for mark in marks(key, location) {
            *open.entry(mark).or_default() += 1;
        }
    }

    pub(in crate::policy) fn close(
        &mut self,
        inhibitor: usize,
        key: &str,
        location: &IncidentLocation,
    ) {
        let Some(open) = self.open.get_mut(inhibitor) else { return };
        for mark in marks(key, location) {
            if let Some(count) = open.get_mut(&mark) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&mark);
                }
            }
        }
    }

    /// Returns `true` if the inhibitor has an open incident that has this property in common with an
    /// incident.
    pub(in crate::policy) fn inhibits(
        &self,
        inhibitor: usize,
        equal: Equal,
        key: &str,
        location: &IncidentLocation,
    ) -> bool {
        let Some(open) = self.open.get(inhibitor).filter(|open| !open.is_empty()) else {
            return false;
        };
        let has = |text: &str| open.contains_key(&(equal, text.to_owned()));
        match equal {
            Equal::Object => has(&location.object) || has(&node_partition(&location.node)),
            Equal::Node => has(&location.node),
            Equal::Namespace => has(&location.namespace),
            Equal::Key => has(key),
            Equal::Cluster => has(""),
        }
    }
}

/// Returns the properties that an incident may have in common with others. Unknown properties are left
/// out.
fn marks(key: &str, location: &IncidentLocation) -> Vec<Mark> {
    let mut marks = vec![(Equal::Cluster, String::new()), (Equal::Key, key.to_owned())];
    let parts = [
        (Equal::Object, &location.object),
        (Equal::Node, &location.node),
        (Equal::Namespace, &location.namespace),
    ];
    let known = parts.into_iter().filter(|(_, part)| !part.is_empty());
    marks.extend(known.map(|(equal, part)| (equal, part.clone())));
    marks
}

/// Returns the partition of a Node as [`Identity::partition`] does.
fn node_partition(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("Node/{name}") }
}

/// Returns the location of a verdict's incident. For a Kubernetes Event it is the location of the object
/// that the Event regards.
pub(in crate::policy) fn location(verdict: &Verdict) -> IncidentLocation {
    let Some(event) = &verdict.event else { return location_of(&verdict.object, "") };
    let node = match &event.object.subject {
        Subject::Pod(pod) => pod.node.as_str(),
        Subject::KubernetesEvent(kubernetes_event) => {
            kubernetes_event.source_host.as_deref().unwrap_or_default()
        }
        _ => "",
    };
    location_of(event.object.about(), node)
}

fn location_of(about: &Identity, node: &str) -> IncidentLocation {
    let is_core = about.group().is_empty();
    let is = |kind: &str| is_core && about.kind == kind;
    let is_known = !(about.uid.is_empty() && about.name.is_empty());
    IncidentLocation {
        namespace: if is("Namespace") { &about.name } else { &about.namespace }.clone(),
        object: if is_known { about.partition().into_owned() } else { String::new() },
        node: if is("Node") { about.name.clone() } else { node.to_owned() },
    }
}

/// Fills in the parts that are unknown to a later verdict: a timer may know no more than the name.
pub(in crate::policy) fn fill(location: &mut IncidentLocation, before: &IncidentLocation) {
    let parts = [
        (&mut location.namespace, &before.namespace),
        (&mut location.object, &before.object),
        (&mut location.node, &before.node),
    ];
    for (part, before) in parts.into_iter().filter(|(part, _)| part.is_empty()) {
        part.clone_from(before);
    }
}
