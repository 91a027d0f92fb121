//! An index of the objects that exist as far as the host knows, with their memberships. It is compact,
//! because there may be hundreds of thousands of objects.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::relist::Compared;
use super::reporters::Reporters;
use super::tombstones::Tombstones;
use klaxon_model::{
    Identity, Object, RuleId, Subject, Timestamp, api_group, are_kubernetes_events,
};

/// Membership of an object in an interest of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) rule: RuleId,
    pub(super) interest: u32,
    pub(super) partition: Arc<str>,
}

/// An object that exists.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) api_version: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) name: Box<str>,
    pub(super) version: Box<str>,
    pub(super) digest: u64,
    /// The count, for a Kubernetes Event.
    pub(super) count: u32,
    /// One for each rule that the object matches.
    pub(super) memberships: Box<[Membership]>,
    /// The number of the relist that saw the object last.
    pub(super) mark: u32,
    /// The number of the relist that found the object again after a deletion had been reported, or in an
    /// older version than before; 0 if none did. It is part of the object's ids from then on, because its
    /// versions may have been reported before.
    pub(super) life: u32,
    /// The watches or streams that have reported the object.
    pub(super) reporters: Reporters,
    /// The newest form, if it is in memory.
    pub(super) form: Option<Arc<Object>>,
}

impl Known {
    pub(super) fn membership(&self, rule: RuleId) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.rule == rule)
    }

    /// Returns `true` if a version of the object is not new.
    pub(super) fn is_same(&self, version: &str, digest: u64, compared: Option<&Compared>) -> bool {
        // An object that could not be decoded before may be decodable now.
        if self.digest == UNREADABLE {
            return false;
        }
        match compared {
            None => {
                *self.version == *version && !version.is_empty() || is_older(version, &self.version)
            }
            // Versions may have gone back: only an identical version is the same.
            Some(compared) => {
                let tells_apart = compared.is_other_epoch && self.digest != 0 && digest != 0;
                *self.version == *version
                    && !version.is_empty()
                    && (!tells_apart || self.digest == digest)
            }
        }
    }

    pub(super) fn group(&self) -> &str {
        api_group(&self.api_version)
    }

    /// Returns the identity of the object; `unique` is its key in the index.
    pub(super) fn identity(&self, unique: &str) -> Identity {
        let mut identity = Identity {
            api_version: self.api_version.as_ref().to_owned(),
            kind: self.kind.as_ref().to_owned(),
            namespace: self.namespace.as_ref().to_owned(),
            name: self.name.as_ref().to_owned(),
            uid: String::new(),
        };
        // Objects without a uid are indexed by their names.
        if identity.unique() != unique {
            unique.clone_into(&mut identity.uid);
        }
        identity
    }

    pub(super) fn is_kubernetes_event(&self) -> bool {
        are_kubernetes_events(self.group(), &self.kind)
    }

    fn is_node(&self) -> bool {
        &*self.kind == "Node" && self.group().is_empty()
    }
}

/// The known objects by uid.
#[derive(Debug, Default)]
pub(super) struct KnownObjects {
    by_uid: HashMap<Arc<str>, Known>,
    /// Interned strings that many objects share.
    texts: HashSet<Arc<str>>,
    /// The number of existing Nodes by name, because their partitions are derived from the name: after a
    /// gap the new Node may be known before the old one is removed.
    nodes: HashMap<Box<str>, usize>,
    /// Recently deleted objects: observations of them from a second stream may be outdated.
    tombstones: Tombstones,
}

/// The digest of a version that could not be decoded.
pub(super) const UNREADABLE: u64 = 1;

/// Returns `true` if a resource version is older than another. Versions are numbers (Kubernetes API
/// concepts, "Resource versions"); if one of them is not a number, returns `false`.
pub fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

impl KnownObjects {
    pub(super) fn len(&self) -> usize {
        self.by_uid.len()
    }

    pub(super) fn get(&self, uid: &str) -> Option<&Known> {
        self.by_uid.get(uid)
    }

    pub(super) fn get_mut(&mut self, uid: &str) -> Option<&mut Known> {
        self.by_uid.get_mut(uid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Known)> {
        self.by_uid.iter()
    }

    /// Returns the stored copy of a uid, so that it is not stored twice.
    pub(super) fn uid(&self, uid: &str) -> Arc<str> {
        self.by_uid.get_key_value(uid).map_or_else(|| uid.into(), |(uid, _)| uid.clone())
    }

    pub(super) fn remove(&mut self, uid: &str) -> Option<Known> {
        let known = self.by_uid.remove(uid)?;
        if known.is_node()
            && let Some(count) = self.nodes.get_mut(&known.name)
        {
            *count -= 1;
            if *count == 0 {
                self.nodes.remove(&known.name);
            }
        }
        Some(known)
    }

    pub(super) fn insert(&mut self, uid: Arc<str>, mut known: Known) {
        if known.is_node() {
            *self.nodes.entry(known.name.clone()).or_default() += 1;
        }
        for membership in &mut known.memberships {
            // Most objects are their own partition.
            if membership.partition == uid {
                membership.partition = uid.clone();
            }
        }
        self.by_uid.insert(uid, known);
    }

    /// Returns the shared copy of a string.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(shared.clone());
        shared
    }

    /// Returns the index entry for an object.
    pub(super) fn known(&mut self, object: &Arc<Object>, digest: u64, mark: u32) -> Known {
        let identity = &object.meta.identity;
        Known {
            api_version: self.share(&identity.api_version),
            kind: self.share(&identity.kind),
            namespace: self.share(&identity.namespace),
            name: identity.name.as_str().into(),
            version: object.meta.resource_version.as_str().into(),
            digest,
            count: match &object.subject {
                Subject::KubernetesEvent(kubernetes_event) => kubernetes_event.count,
                _ => 0,
            },
            memberships: Box::default(),
            mark,
            life: 0,
            reporters: Reporters::UNKNOWN,
            form: Some(object.clone()),
        }
    }

    /// Adds a tombstone with the version of the deletion.
    pub(super) fn add_tombstone(&mut self, uid: Arc<str>, version: &str, now: Timestamp) {
        self.tombstones.add(uid, version, now);
    }

    /// Removes a tombstone, because the object exists.
    pub(super) fn remove_tombstone(&mut self, uid: &str) {
        self.tombstones.remove(uid);
    }

    /// Removes all tombstones: they are compared by version, and versions repeat in another revision
    /// epoch.
    pub(super) fn remove_tombstones(&mut self) {
        self.tombstones.clear();
    }

    /// Returns `true` if this version of an object is from before its deletion.
    pub(super) fn has_tombstone(&self, uid: &str, version: &str) -> bool {
        let end = self.tombstones.end_of(uid);
        end.is_some_and(|end| version == end || is_older(version, end))
    }

    /// Returns `true` if a Node with this partition exists; Nodes are identified by name, not by uid.
    pub(super) fn has_node_partition(&self, partition: &str) -> bool {
        partition.strip_prefix("Node/").is_some_and(|name| self.nodes.contains_key(name))
    }
}
