//! Comparing a list with what was known, after a period in which changes may have been missed.

use std::collections::HashSet;
use std::sync::Arc;

use super::known::{Known, KnownObjects};
use crate::model::{KeptObject, Timestamp, api_group, are_kubernetes_events};

/// What a watch follows, or a stream is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coverage {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, such as `Pod`.
    pub kind: String,
    /// Only this namespace; none: all.
    pub namespace: Option<String>,
}

impl Coverage {
    /// Whether it is about Kubernetes Events.
    pub fn is_of_events(&self) -> bool {
        are_kubernetes_events(&self.group, &self.kind)
    }

    /// Whether an object that was kept is of what is followed.
    pub fn has_kept(&self, object: &KeptObject) -> bool {
        self.covers(api_group(&object.api_version), &object.kind, &object.namespace)
    }

    /// Whether a known object is of what is followed.
    pub(super) fn has(&self, known: &Known) -> bool {
        self.covers(known.group(), &known.kind, &known.namespace)
    }

    fn covers(&self, group: &str, kind: &str, namespace: &str) -> bool {
        self.kind == kind
            && self.group == group
            && self.namespace.as_ref().is_none_or(|only| only == namespace)
    }
}

/// How a period without watching is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// What is found carries the mark `gap`, and there is a record of the gap.
    Gap,
    /// Nothing can have been lost: Kubernetes Events outlive the period, and count their repeats.
    Quiet,
}

/// What an observation must know of the comparison that it is part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    pub(super) since: Timestamp,
    pub(super) telling: Telling,
    pub(super) is_other_history: bool,
    pub(super) mark: u32,
}

/// A list under way that is compared with what was known before.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) scope: String,
    pub(super) since: Timestamp,
    pub(super) telling: Telling,
    pub(super) is_other_history: bool,
    /// Objects that the list has carry this mark, or that of a later comparison.
    pub(super) mark: u32,
    pub(super) covers: Vec<Coverage>,
    /// Objects that exist but are not in the list: a selector leaves them out.
    pub(super) outside: HashSet<String>,
    /// An object of the list could not be decoded: which one is not known.
    pub(super) incomplete: bool,
}

impl Comparison {
    /// Known objects that the list does not have, sorted.
    pub(super) fn missing(&self, known: &KnownObjects) -> Vec<Arc<str>> {
        // It may be the one that could not be decoded.
        if self.incomplete {
            return Vec::new();
        }
        let is_missing = |known: &Known| {
            known.mark < self.mark && self.covers.iter().any(|coverage| coverage.has(known))
        };
        let missing = known.iter().filter(|(_, known)| is_missing(known));
        let mut missing: Vec<Arc<str>> = missing.map(|(uid, _)| uid.clone()).collect();
        missing.sort();
        missing
    }
}
