//! The objects that exist as far as the host knows, and each rule's view of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Object, Subject, Timestamp};

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
    /// Objects that went lately: what a second stream tells of them later is old.
    buried: HashMap<String, (String, Timestamp)>,
}

/// How long a deletion is remembered.
const MEMORY_MS: i64 = 600_000;
/// Deletions that are remembered before the old ones are looked for.
const MEMORY: usize = 1024;

/// Whether a resource version is older than another. They are numbers (Kubernetes API concepts,
/// "Resource versions"); where one is none, nothing is said.
pub(super) fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
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

    /// Remembers that an object went, with the version of its deletion.
    pub(super) fn bury(&mut self, uid: String, version: &str, now: Timestamp) {
        if self.buried.len() >= MEMORY {
            self.buried.retain(|_, (_, at)| now.millis_since(*at) < MEMORY_MS);
        }
        self.buried.insert(uid, (version.to_owned(), now));
    }

    /// Whether this version of an object is from before its end.
    pub(super) fn is_buried(&self, uid: &str, version: &str) -> bool {
        let buried = self.buried.get(uid);
        buried.is_some_and(|(end, _)| version == end || is_older(version, end))
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
