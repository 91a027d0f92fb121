//! The set of watches that the interests of all rules require: one watch for each kind, as wide as the
//! widest interest. It is narrowed by a selector at the server only if no interest loses events.

use std::collections::BTreeMap;

use super::Router;
use super::interest::Compiled;
use klaxon_model::{RuleId, api_group};

/// The watch of one kind that all rules together require.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// API version, such as `apps/v1`, as the first rule that wants the kind gives it.
    pub api_version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespaces, sorted. `None` for all namespaces.
    pub namespaces: Option<Vec<String>>,
    /// The label selector for the server: the one that every interest has, or empty.
    pub label_selector: String,
    /// The field selector for the server: the one that every interest has, or empty.
    pub field_selector: String,
    /// `true` if metadata (identity, labels and the like) is enough.
    pub metadata_only: bool,
    /// Indexes of the rules that want the kind.
    pub rules: Vec<RuleId>,
}

impl Need {
    /// Returns the API group; empty for the core group.
    pub fn group(&self) -> &str {
        api_group(&self.api_version)
    }

    /// Returns `true` if a selector leaves out objects of the kind in these namespaces.
    pub fn selects(&self) -> bool {
        !self.label_selector.is_empty() || !self.field_selector.is_empty()
    }
}

/// Paths that the API server supports in field selectors, with the values that the host reads too.
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
/// Kinds of which more than the metadata is decoded.
const DECODED: [(&str, &[&str]); 3] = [
    ("", &["Pod", "Event", "Node"]),
    ("apps", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]),
    ("batch", &["Job"]),
];

impl Router {
    /// Returns the watches that are needed, sorted by group and kind.
    pub fn needs(&self) -> Vec<Need> {
        let mut by_kind: BTreeMap<(String, String), Vec<(RuleId, &Compiled)>> = BTreeMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let index = RuleId(index);
            for interest in &rule.interests {
                // Both APIs of Kubernetes Events serve the same objects: one watch is enough.
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

fn need(group: &str, kind: &str, wants: &[(RuleId, &Compiled)]) -> Option<Need> {
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
