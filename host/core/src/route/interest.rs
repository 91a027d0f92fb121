//! Interests of a manifest, narrowed by the operator and compiled for matching.

use std::sync::Arc;

use super::field_selector::FieldSelector;
use super::label_selector::LabelSelector;
use super::partition::Partitioning;
use crate::normalize::{FieldPath, Wanted};
use klaxon_model::{
    Change, Changes, Failure, FailureKind, Fields, Interest, Manifest, Narrowing, Object,
    PartitionBy, Parts, api_group, are_kubernetes_events,
};

/// An error: an interest is invalid.
#[derive(Debug, thiserror::Error)]
#[error("interest {interest:?}: {why}")]
pub struct InterestError {
    interest: String,
    why: String,
}

/// An interest, compiled for matching.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespaces: Vec<String>,
    pub(super) label_selector: String,
    pub(super) field_selector: String,
    labels: LabelSelector,
    pub(super) fields_match: FieldSelector,
    changes: Changes,
    pub(super) partition: Partitioning,
    parts: Parts,
    annotations: Vec<String>,
    fields: Vec<FieldPath>,
    /// All properties that determine the rule's events, as text: if it changes, the rule is backfilled
    /// again.
    pub(super) fingerprint: String,
}

/// Compiles the interests of a manifest, in its order.
pub(super) fn compile(
    manifest: &Manifest,
    narrowing: &Narrowing,
) -> Result<Vec<Compiled>, InterestError> {
    if let Some(unknown) = narrowing
        .keys()
        .find(|name| manifest.interests.iter().all(|interest| interest.name != **name))
    {
        let names: Vec<&str> =
            manifest.interests.iter().map(|interest| interest.name.as_str()).collect();
        return Err(InterestError {
            interest: unknown.clone(),
            why: format!("the rule has no such interest; it has: {}", names.join(", ")),
        });
    }
    manifest
        .interests
        .iter()
        .map(|interest| {
            Compiled::new(interest, narrowing.get(&interest.name))
                .map_err(|why| InterestError { interest: interest.name.clone(), why })
        })
        .collect()
}

impl Compiled {
    fn new(interest: &Interest, narrowed: Option<&Vec<String>>) -> Result<Self, String> {
        let fields = interest
            .fields
            .iter()
            .map(|path| {
                FieldPath::parse(path)
                    .map_err(|error| format!("field {:?}: {error}", beginning(path)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let is_new_form = interest.kind == "Event" && interest.api_version != "v1";
        let asks = !interest.fields.is_empty() || !interest.field_selector.trim().is_empty();
        if is_new_form && asks {
            return Err(format!(
                "Kubernetes Events are watched in the form of the core API, and {} has other names; hint: ask for fields and field selectors with the API version v1",
                interest.api_version
            ));
        }
        let partition = match &interest.partition {
            PartitionBy::Field(path) => {
                let place = interest.fields.iter().position(|field| field == path);
                let missing =
                    || format!("it is partitioned by {path:?}, which is none of its fields");
                Partitioning::Field(place.ok_or_else(missing)?)
            }
            other => Partitioning::Plain(other.clone()),
        };
        let namespaces = narrow(&interest.namespaces, narrowed)?;
        Ok(Self {
            fingerprint: format!("{interest:?} in {namespaces:?}"),
            name: interest.name.clone(),
            api_version: interest.api_version.clone(),
            kind: interest.kind.clone(),
            namespaces,
            label_selector: interest.label_selector.clone(),
            field_selector: interest.field_selector.clone(),
            labels: LabelSelector::parse(&interest.label_selector)?,
            fields_match: FieldSelector::parse(&interest.field_selector)?,
            changes: interest.changes,
            partition,
            parts: interest.parts,
            annotations: interest.annotations.clone(),
            fields,
        })
    }

    /// Returns the API group; empty for the core group.
    pub(super) fn group(&self) -> &str {
        api_group(&self.api_version)
    }

    pub(super) fn is_kind(&self, group: &str, kind: &str) -> bool {
        let both_are_events =
            are_kubernetes_events(self.group(), kind) && are_kubernetes_events(group, kind);
        // An interest in either API of Kubernetes Events matches both.
        self.kind == kind && (self.group() == group || both_are_events)
    }

    /// Returns `true` if matching or the fields need more than the parts always decoded.
    pub(super) fn needs_document(&self) -> bool {
        !self.fields.is_empty() || self.fields_match.needs_document()
    }

    pub(super) fn matches(&self, object: &Object) -> bool {
        let identity = &object.meta.identity;
        self.is_kind(identity.group(), &identity.kind)
            && (self.namespaces.is_empty() || self.namespaces.contains(&identity.namespace))
            && self.labels.matches(&object.meta)
            && self.fields_match.matches(object)
    }

    pub(super) fn wants(&self, change: Change) -> bool {
        self.changes.include(change)
    }

    pub(super) fn fields(&self, object: &Object) -> Fields {
        match &object.document {
            Some(document) if !self.fields.is_empty() => {
                FieldPath::evaluate(&self.fields, document).map_err(|spent| {
                    let message = spent.to_string();
                    Arc::new(Failure { kind: FailureKind::FieldsOverBudget, message })
                })
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the fields for an object that is deleted or leaves, or that is only the subject of a
    /// timer. The rule must be called in these cases, so fields that cost too much are null.
    pub(super) fn fields_at_the_end(&self, object: &Object) -> Fields {
        self.fields(object).or_else(|_| Ok(vec![klaxon_model::Value::Null; self.fields.len()]))
    }

    pub(super) fn add_to(&self, wanted: &mut Wanted) {
        for name in &self.annotations {
            if !wanted.annotations.contains(name) {
                wanted.annotations.push(name.clone());
            }
        }
        // Kubernetes Events are served by either API.
        let groups: &[&str] = match (self.group(), &*self.kind) {
            ("" | "events.k8s.io", "Event") => &["", "events.k8s.io"],
            (group, _) => &[group],
        };
        let needs_document = self.needs_document();
        for group in groups {
            wanted.add_parts(group, &self.kind, self.parts);
            let kind = ((*group).to_owned(), self.kind.clone());
            if needs_document && !wanted.documents.contains(&kind) {
                wanted.documents.push(kind);
            }
        }
    }
}

/// Intersects namespaces: the operator may remove namespaces, never add any.
fn narrow(asked: &[String], narrowed: Option<&Vec<String>>) -> Result<Vec<String>, String> {
    let Some(narrowed) = narrowed else {
        return Ok(asked.to_vec());
    };
    if asked.is_empty() {
        return Ok(narrowed.clone());
    }
    let both: Vec<String> = asked.iter().filter(|name| narrowed.contains(name)).cloned().collect();
    if both.is_empty() {
        return Err(format!(
            "the rule wants the namespaces {}, the configuration allows only {}: nothing is left",
            asked.join(", "),
            narrowed.join(", ")
        ));
    }
    Ok(both)
}

/// Returns the part of a rule's text that an error quotes.
pub(super) fn beginning(text: &str) -> String {
    const TOLD: usize = 80;
    let mut characters = text.chars();
    let begin: String = characters.by_ref().take(TOLD).collect();
    if characters.next().is_some() { begin + "…" } else { begin }
}

/// Maximum size of a selector in bytes: it is part of every watch's URL, and compared with every object.
const MOST_SELECTOR: usize = 2048;

/// Rejects a selector that is too long.
pub(super) fn check_length(what: &str, selector: &str) -> Result<(), String> {
    if selector.len() <= MOST_SELECTOR {
        return Ok(());
    }
    Err(format!(
        "{what} selector {:?} has {} bytes, and may have {MOST_SELECTOR}; hint: select by fewer values, and look at the rest in the rule",
        beginning(selector),
        selector.len()
    ))
}
