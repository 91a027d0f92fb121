//! From the interests of all rules to what must be watched: one need for each kind, as wide as the
//! widest interest, and narrowed at the server only where every interest would lose nothing.

use std::collections::BTreeMap;

use super::Router;
use super::interest::Compiled;
use crate::model::api_group;

/// What must be watched of one kind, so that every rule sees what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Such as `apps/v1`: as the first rule that wants the kind names it.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Only these, sorted; none: all.
    pub namespaces: Option<Vec<String>>,
    /// What the server may select by: every interest has just this selector.
    pub label_selector: String,
    /// The same for fields.
    pub field_selector: String,
    /// Identity, labels and the like are enough.
    pub metadata_only: bool,
    /// The rules that want it, by their places.
    pub rules: Vec<usize>,
}

impl Need {
    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        api_group(&self.api_version)
    }

    /// Whether objects are left out that have the kind and are in the namespaces.
    pub fn selects(&self) -> bool {
        !self.label_selector.is_empty() || !self.field_selector.is_empty()
    }
}

/// Paths by which the API server selects, and finds in them what we find.
const SELECTABLE: [(&str, &[&str]); 2] = [
    (
        "Pod",
        &["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"],
    ),
    (
        "Event",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
        ],
    ),
];
const ALWAYS_SELECTABLE: [&str; 2] = ["metadata.name", "metadata.namespace"];
/// Kinds of which more than metadata is read.
const DECODED: [(&str, &[&str]); 3] = [
    ("", &["Pod", "Event", "Node"]),
    ("apps", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]),
    ("batch", &["Job"]),
];

impl Router {
    /// What must be watched, sorted by group and kind.
    pub fn needs(&self) -> Vec<Need> {
        let mut by_kind: BTreeMap<(String, String), Vec<(usize, &Compiled)>> = BTreeMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            for interest in &rule.interests {
                // Both APIs of Kubernetes Events show the same objects: one watch is enough.
                let group = if interest.is_kind("", "Event") { "" } else { interest.group() };
                let kind = (group.to_owned(), interest.kind.clone());
                by_kind.entry(kind).or_default().push((index, interest));
            }
        }
        by_kind
            .into_iter()
            .filter_map(|((group, kind), wants)| need(&group, &kind, &wants))
            .collect()
    }
}

fn need(group: &str, kind: &str, wants: &[(usize, &Compiled)]) -> Option<Need> {
    let (_, first) = wants.first()?;
    let is_event = group.is_empty() && kind == "Event";
    let api_version = if is_event { "v1".to_owned() } else { first.api_version.clone() };
    let mut namespaces: Option<Vec<String>> = Some(Vec::new());
    let mut rules = Vec::new();
    for (index, interest) in wants {
        if interest.namespaces.is_empty() {
            namespaces = None;
        }
        if let Some(namespaces) = &mut namespaces {
            namespaces.extend(interest.namespaces.iter().cloned());
        }
        if !rules.contains(index) {
            rules.push(*index);
        }
    }
    if let Some(namespaces) = &mut namespaces {
        namespaces.sort();
        namespaces.dedup();
    }
    let all_have = |text: fn(&Compiled) -> &str| {
        let shared = text(first).trim();
        wants.iter().all(|(_, one)| text(one).trim() == shared).then(|| shared.to_owned())
    };
    let field_selector = all_have(|one| &one.field_selector)
        .filter(|_| first.fields_match.paths().all(|path| is_selectable(kind, group, path)));
    let is_decoded = DECODED.iter().any(|(of, kinds)| *of == group && kinds.contains(&kind));
    Some(Need {
        api_version,
        kind: kind.to_owned(),
        namespaces,
        label_selector: all_have(|one| &one.label_selector).unwrap_or_default(),
        field_selector: field_selector.unwrap_or_default(),
        metadata_only: !is_decoded && wants.iter().all(|(_, one)| !one.needs_document()),
        rules,
    })
}

fn is_selectable(kind: &str, group: &str, path: &str) -> bool {
    let mut known = SELECTABLE.iter().filter(|(of, _)| group.is_empty() && *of == kind);
    ALWAYS_SELECTABLE.contains(&path) || known.any(|(_, paths)| paths.contains(&path))
}
