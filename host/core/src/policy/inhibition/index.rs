//! The index of open inhibitors: finds the open incidents that inhibit another one.

use std::collections::HashMap;

use klaxon_config::Equal;
use klaxon_model::{Identity, Place, Subject, Verdict};

/// Open incidents of inhibiting codes, counted by the properties that they may have in common with
/// others.
#[derive(Debug, Default)]
pub(in crate::policy) struct Inhibitors {
    /// By the inhibitor's number.
    open: Vec<HashMap<Mark, usize>>,
    /// The rules that each inhibitor inhibits, by its number.
    pub(in crate::policy) holds: Vec<Vec<usize>>,
}

/// Assigns a number to each inhibiting code.
#[derive(Debug, Default)]
pub(in crate::policy) struct Register {
    /// Rule and code, by number.
    pub(in crate::policy) names: Vec<(String, String)>,
    /// The rules that each inhibitor inhibits, by its number.
    pub(in crate::policy) holds: Vec<Vec<usize>>,
}

impl Register {
    /// Returns the number of an inhibiting code, and adds a rule that it inhibits.
    pub(in crate::policy) fn number(&mut self, rule: &str, code: &str, held: usize) -> usize {
        let known = self.names.iter().position(|(one, other)| one == rule && other == code);
        let number = known.unwrap_or(self.names.len());
        if known.is_none() {
            self.names.push((rule.to_owned(), code.to_owned()));
            self.holds.push(Vec::new());
        }
        if let Some(holds) = self.holds.get_mut(number) {
            holds.push(held);
        }
        number
    }
}

type Mark = (Equal, String);

impl Inhibitors {
    /// Creates an empty index, given the rules that each inhibitor inhibits.
    pub(in crate::policy) fn new(holds: Vec<Vec<usize>>) -> Self {
        Self { open: vec![HashMap::new(); holds.len()], holds }
    }

    pub(in crate::policy) fn open(&mut self, inhibitor: usize, key: &str, place: &Place) {
        let Some(open) = self.open.get_mut(inhibitor) else { return };
        for mark in marks(key, place) {
            *open.entry(mark).or_default() += 1;
        }
    }

    pub(in crate::policy) fn close(&mut self, inhibitor: usize, key: &str, place: &Place) {
        let Some(open) = self.open.get_mut(inhibitor) else { return };
        for mark in marks(key, place) {
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
    pub(in crate::policy) fn holds(
        &self,
        inhibitor: usize,
        equal: Equal,
        key: &str,
        place: &Place,
    ) -> bool {
        let Some(open) = self.open.get(inhibitor).filter(|open| !open.is_empty()) else {
            return false;
        };
        let has = |text: &str| open.contains_key(&(equal, text.to_owned()));
        match equal {
            Equal::Object => has(&place.object) || has(&node_partition(&place.node)),
            Equal::Node => has(&place.node),
            Equal::Namespace => has(&place.namespace),
            Equal::Key => has(key),
            Equal::Cluster => has(""),
        }
    }
}

/// Returns the properties that an incident may have in common with others. Unknown properties are left
/// out.
fn marks(key: &str, place: &Place) -> Vec<Mark> {
    let mut marks = vec![(Equal::Cluster, String::new()), (Equal::Key, key.to_owned())];
    let parts = [
        (Equal::Object, &place.object),
        (Equal::Node, &place.node),
        (Equal::Namespace, &place.namespace),
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
pub(in crate::policy) fn place(verdict: &Verdict) -> Place {
    let Some(event) = &verdict.event else { return place_of(&verdict.object, "") };
    let node = match &event.object.subject {
        Subject::Pod(pod) => pod.node.as_str(),
        Subject::KubernetesEvent(kubernetes_event) => {
            kubernetes_event.source_host.as_deref().unwrap_or_default()
        }
        _ => "",
    };
    place_of(event.object.about(), node)
}

fn place_of(about: &Identity, node: &str) -> Place {
    let is_core = about.group().is_empty();
    let is = |kind: &str| is_core && about.kind == kind;
    let is_known = !(about.uid.is_empty() && about.name.is_empty());
    Place {
        namespace: if is("Namespace") { &about.name } else { &about.namespace }.clone(),
        object: if is_known { about.partition().into_owned() } else { String::new() },
        node: if is("Node") { about.name.clone() } else { node.to_owned() },
    }
}

/// Fills in the parts that are unknown to a later verdict: a timer may know no more than the name.
pub(in crate::policy) fn fill(place: &mut Place, before: &Place) {
    let parts = [
        (&mut place.namespace, &before.namespace),
        (&mut place.object, &before.object),
        (&mut place.node, &before.node),
    ];
    for (part, before) in parts.into_iter().filter(|(part, _)| part.is_empty()) {
        part.clone_from(before);
    }
}
