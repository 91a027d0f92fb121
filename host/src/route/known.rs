//! The objects that exist as far as the host knows, and each rule's view of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Object, Subject};

/// A rule's view of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) rule: usize,
    pub(super) interest: u32,
    pub(super) partition: Arc<str>,
}

/// An object that exists.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Its newest form.
    pub(super) object: Arc<Object>,
    /// One for each rule that it matches.
    pub(super) memberships: Vec<Membership>,
}

impl Known {
    pub(super) fn membership(&self, rule: usize) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.rule == rule)
    }

    /// The count, of a Kubernetes Event.
    pub(super) fn count(&self) -> u32 {
        match &self.object.subject {
            Subject::Notice(notice) => notice.count,
            _ => 0,
        }
    }
}

/// Objects by uid.
#[derive(Debug, Default)]
pub(super) struct KnownObjects {
    by_uid: HashMap<String, Known>,
}

impl KnownObjects {
    pub(super) fn get(&self, uid: &str) -> Option<&Known> {
        self.by_uid.get(uid)
    }

    pub(super) fn remove(&mut self, uid: &str) -> Option<Known> {
        self.by_uid.remove(uid)
    }

    pub(super) fn insert(&mut self, uid: String, known: Option<Known>) {
        if let Some(known) = known {
            self.by_uid.insert(uid, known);
        }
    }

    /// Whether a node of a node's partition exists: those are named, not by uid.
    pub(super) fn has_node_partition(&self, partition: &str) -> bool {
        let Some(name) = partition.strip_prefix("Node/") else {
            return false;
        };
        self.by_uid.values().any(|known| {
            let identity = &known.object.meta.identity;
            identity.kind == "Node" && identity.name == name
        })
    }

    /// Uids of known objects of these kinds that are not among the seen ones, sorted.
    pub(super) fn vanished(
        &self,
        kinds: &BTreeSet<(String, String)>,
        seen: &BTreeSet<String>,
    ) -> Vec<String> {
        let mut vanished: Vec<String> = self
            .by_uid
            .iter()
            .filter(|(uid, known)| {
                let identity = &known.object.meta.identity;
                let of_kind = kinds
                    .iter()
                    .any(|(group, kind)| group == identity.group() && *kind == identity.kind);
                of_kind && !seen.contains(*uid)
            })
            .map(|(uid, _)| uid.clone())
            .collect();
        vanished.sort();
        vanished
    }
}
