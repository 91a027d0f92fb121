//! Routing: decides for each observation the rules that receive it, and as which change.
//!
//! The router maintains its own index of the known objects and of their memberships in each rule's
//! interests. It derives from this index alone if an object is added, changed, deleted or no longer
//! matching. A watch, a replay and a relist after a gap therefore give the same events, for any selector
//! that was passed to the API server.

mod backfill;
mod events;
mod field_selector;
mod gap;
mod interest;
mod label_selector;
mod object_index;
mod partition;
mod persistence;
mod relist;
mod reporters;
mod tombstones;
mod watch_set;

use std::collections::HashMap;
use std::sync::Arc;

use crate::normalize::Wanted;
use klaxon_model::{
    Backfill, Change, Coverage, Event, Fields, GapEffect, Identity, Manifest, Meta, Narrowing,
    Object, Observation, Origin, RuleId, Seen, Subject, Timestamp,
};

use backfill::Backfills;
use events::{RuleInterests, Sight};
pub use gap::{Gap, GapEnd};
pub use interest::InterestError;
pub use label_selector::{SelectedLabel, selected_labels};
pub use object_index::is_older;
use object_index::{Known, KnownObjects};
use persistence::Keeping;
use relist::{Compared, Comparison};
use reporters::{ReporterSets, Reporters};
pub use watch_set::Need;

/// Returns the partition of an object itself. `None` for a Kubernetes Event, whose deletion is not
/// reported.
pub fn own_partition(object: &Object) -> Option<Arc<str>> {
    let is_kubernetes_event = matches!(object.subject, Subject::KubernetesEvent(_));
    (!is_kubernetes_event).then(|| object.meta.identity.partition().into())
}

/// Events derived from an observation, in the order of the rules; each with the index of its rule.
pub type Routed = Vec<(RuleId, Arc<Event>)>;

/// The result of routing an observation.
#[derive(Debug, PartialEq)]
pub enum Routing {
    /// The observation is new: the events for rules.
    News(Routed),
    /// This version of the object was seen before.
    Repeated,
    /// The deletion of an object that was not known.
    Unknown,
}

/// Derives the events of each rule from observations.
pub struct Router {
    origin: Arc<Origin>,
    rules: Vec<RuleInterests>,
    known: KnownObjects,
    keeping: Keeping,
    /// The revision epoch, a part of every id. It increases if a gap finds another epoch (etcd was
    /// restored).
    history: u64,
    comparing: Vec<Comparison>,
    /// The number of relists so far, over all runs on one journal. It is also the mark of the newest
    /// relist.
    marks: u32,
    /// The newest version seen in each scope.
    newest: HashMap<Arc<str>, u64>,
    reporter_sets: ReporterSets,
    backfills: Backfills,
}

/// Reads last known forms that are not in memory.
pub type Forms<'a> = dyn FnMut(&str) -> Option<Arc<Object>> + 'a;

impl Router {
    /// Creates a router without rules, which stores the last form of every object in memory.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin: Arc::new(origin),
            rules: Vec::new(),
            known: KnownObjects::default(),
            keeping: Keeping::Memory,
            history: 0,
            comparing: Vec::new(),
            marks: 0,
            newest: HashMap::new(),
            reporter_sets: ReporterSets::default(),
            backfills: Backfills::default(),
        }
    }

    /// Adds a rule. Events refer to it by its index in the order of addition.
    ///
    /// # Errors
    /// If an interest of its manifest, or the operator's narrowing of an interest, is invalid.
    pub fn add_rule(
        &mut self,
        name: Arc<str>,
        manifest: &Manifest,
        narrowing: &Narrowing,
    ) -> Result<(), InterestError> {
        let interests = interest::compile(manifest, narrowing)?;
        self.rules.push(RuleInterests { name, interests });
        Ok(())
    }

    /// Returns the parts of objects that the rules need in addition to those always decoded.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for interest in self.rules.iter().flat_map(|rule| &rule.interests) {
            interest.add_to(&mut wanted);
        }
        wanted
    }

    /// Returns `true` if some rule is interested in objects of this kind.
    pub fn wants_kind(&self, group: &str, kind: &str) -> bool {
        let mut interests = self.rules.iter().flat_map(|rule| &rule.interests);
        interests.any(|interest| interest.is_kind(group, kind))
    }

    /// Returns the last known form of an existing object, if it is in memory.
    pub fn last_known(&self, identity: &Identity) -> Option<Arc<Object>> {
        self.known.get(&identity.unique())?.form.clone()
    }

    /// Returns the values of an interest's fields in an object, for a change.
    pub fn fields(&self, rule: RuleId, interest: u32, object: &Object, change: Change) -> Fields {
        let rule = self.rules.get(rule.0);
        rule.map_or_else(|| Ok(Vec::new()), |rule| rule.fields(interest, object, change))
    }

    /// Returns the name of a rule's interest.
    pub fn interest_name(&self, rule: RuleId, interest: u32) -> String {
        let interests = self.rules.get(rule.0).map(|rule| &rule.interests);
        let interest = interests.and_then(|interests| interests.get(interest as usize));
        interest.map(|interest| interest.name.clone()).unwrap_or_default()
    }

    /// Returns the index of a rule's interest by name, or 0 if the rule has no interest of this name.
    pub fn interest_place(&self, rule: RuleId, name: &str) -> u32 {
        self.find_interest(rule, name).unwrap_or(0)
    }

    /// Returns the index of a rule's interest by name. `None` if the rule has no interest of this name.
    pub fn find_interest(&self, rule: RuleId, name: &str) -> Option<u32> {
        let mut interests = self.rules.get(rule.0)?.interests.iter();
        u32::try_from(interests.position(|one| one.name == name)?).ok()
    }

    /// Returns `true` if the partition's object is known to exist.
    pub fn knows_partition(&self, partition: &str) -> bool {
        self.known.get(partition).is_some() || self.known.has_node_partition(partition)
    }

    /// Returns the number of known objects.
    pub fn known_objects(&self) -> usize {
        self.known.len()
    }

    /// Returns the number of relists, over all runs on one journal.
    pub fn comparisons(&self) -> u32 {
        self.marks
    }

    fn comparison(&mut self, scope: &str) -> Option<&mut Comparison> {
        self.comparing.iter_mut().find(|comparison| comparison.scope == scope)
    }

    /// Records that an object of a scope could not be decoded. If its metadata can be read, the object is
    /// known from now on in this version, with an earlier form and memberships if there are any, or it is
    /// known to be deleted. If only the uid or the name can be read, known objects with that uid or name
    /// have not vanished. An object without either cannot be related to any known object.
    pub fn note_undecodable(&mut self, scope: &str, seen: Seen, meta: Result<Meta, Identity>) {
        let mark = self.comparison(scope).map(|comparison| comparison.mark);
        let meta = match (meta, mark) {
            (Ok(meta), _) => meta,
            (Err(Identity { uid, .. }), Some(mark)) if !uid.is_empty() => {
                if let Some(known) = self.known.get_mut(&uid) {
                    known.mark = mark.max(known.mark);
                }
                return;
            }
            (Err(Identity { namespace, name, .. }), Some(_)) if !name.is_empty() => {
                if let Some(open) = self.comparison(scope) {
                    open.unreadable.insert((namespace, name));
                }
                return;
            }
            (Err(_), _) => return,
        };
        let mark = mark.unwrap_or(0);
        let uid = self.known.uid(&meta.identity.unique());
        let before = self.known.remove(&uid);
        if matches!(seen, Seen::Present | Seen::Snapshot) {
            let object = Arc::new(Object { meta, subject: Subject::Other, document: None });
            let new = self.known.known(&object, object_index::UNREADABLE, mark);
            let reporters = self.reporters(before.as_ref(), scope);
            let known = match before {
                Some(before) => Known {
                    version: new.version,
                    digest: new.digest,
                    mark: mark.max(before.mark),
                    reporters,
                    ..before
                },
                None => Known { form: None, reporters, ..new },
            };
            self.known.insert(uid.clone(), known);
        }
        self.keeping.touch(&uid);
    }

    /// Records that an object exists that the list of a scope does not contain, because a selector leaves
    /// it out.
    pub fn note_outside(&mut self, scope: &str, uid: &str) {
        if let Some(comparison) = self.comparison(scope) {
            comparison.outside.insert(uid.to_owned());
        }
    }

    /// Adds to the coverage of a scope's relist; the list may be empty.
    pub fn cover(&mut self, scope: &str, coverage: Coverage) {
        if let Some(comparison) = self.comparison(scope) {
            comparison.cover(coverage);
        }
    }

    /// Routes an observation of a scope.
    pub fn route(&mut self, scope: &str, observation: Observation) -> Routing {
        let Observation { time, seen, object, digest } = observation;
        let meta = &object.meta;
        let uid = self.known.uid(&meta.identity.unique());
        let compared = self.note_seen(scope, meta);
        if seen == Seen::Deleted {
            return self.delete(uid, &object, time);
        }
        let version = meta.resource_version.as_str();
        match &compared {
            None if self.known.has_tombstone(&uid, version) => return Routing::Repeated,
            None => {}
            // A list shows the objects that exist now, regardless of earlier deletions.
            Some(_) => self.known.remove_tombstone(&uid),
        }
        let mut mark = compared.as_ref().map_or(0, |compared| compared.mark);
        if let Some(known) = self.known.get_mut(&uid) {
            mark = mark.max(known.mark);
            known.mark = mark;
            let scope_id = self.reporter_sets.scope(scope);
            known.reporters = self.reporter_sets.with(known.reporters, scope_id);
            if known.is_same(version, digest, compared.as_ref()) && seen != Seen::Outside {
                return self.known_already(scope, uid, seen, &object, time);
            }
        }
        let before = self.known.remove(&uid);
        let life = life(meta, before.as_ref(), compared.as_ref());
        let sight = Sight {
            id: self.seen_id(meta, life),
            scope,
            time,
            listed: seen == Seen::Snapshot,
            compared,
            gap: compared.is_some_and(|compared| compared.effect == GapEffect::Marked),
            before: before.as_ref(),
            object,
        };
        let (memberships, routed) = self.enter_and_leave(&sight);
        let object = sight.object.clone();
        self.keeping.touch(&uid);
        // An object outside of its watch is dropped, unless some rule still matches it.
        if seen == Seen::Outside && memberships.is_empty() {
            self.known.add_tombstone(uid, &object.meta.resource_version, time);
        } else {
            let mut known = self.known.known(&object, digest, mark);
            known.memberships = memberships.into();
            known.life = life;
            known.reporters = self.reporters(before.as_ref(), scope);
            self.known.insert(uid, known);
        }
        Routing::News(routed)
    }

    /// Handles an object in the version that is already known: it is new only for rules that are being
    /// backfilled from a list.
    fn known_already(
        &mut self,
        scope: &str,
        uid: Arc<str>,
        seen: Seen,
        object: &Arc<Object>,
        time: Timestamp,
    ) -> Routing {
        if seen != Seen::Snapshot || !self.backfills.is_under_way(scope) {
            return Routing::Repeated;
        }
        let routed = self.backfill_known(scope, uid, object, time);
        if routed.is_empty() { Routing::Repeated } else { Routing::News(routed) }
    }

    fn delete(&mut self, uid: Arc<str>, object: &Arc<Object>, time: Timestamp) -> Routing {
        match self.known.remove(&uid) {
            Some(known) => {
                self.keeping.touch(&uid);
                self.known.add_tombstone(uid, &object.meta.resource_version, time);
                Routing::News(self.deleted(&known, object, time))
            }
            None => Routing::Unknown,
        }
    }

    /// Routes an object of a list only to the rules that are being backfilled from the watch; the other
    /// rules get it from the watch itself. If the list shows another version than the known one, the
    /// object is left to the watch, which will deliver it.
    pub fn backfill(&mut self, scope: &str, observation: Observation) -> Routed {
        let Observation { time, object, .. } = observation;
        let uid = self.known.uid(&object.meta.identity.unique());
        let known = self.known.get(&uid);
        if known.is_some_and(|known| *known.version == *object.meta.resource_version) {
            self.backfill_known(scope, uid, &object, time)
        } else {
            Routed::new()
        }
    }

    fn backfill_known(
        &mut self,
        scope: &str,
        uid: Arc<str>,
        object: &Arc<Object>,
        time: Timestamp,
    ) -> Routed {
        let Some(before) = self.known.remove(&uid) else { return Routed::new() };
        let sight = Sight {
            id: self.seen_id(&object.meta, before.life),
            scope,
            time,
            listed: true,
            compared: None,
            gap: false,
            before: Some(&before),
            object: object.clone(),
        };
        let (memberships, routed) = self.enter(&sight);
        let form = Some(object.clone());
        let known = Known { memberships: memberships.into(), form, ..before };
        self.known.insert(uid.clone(), known);
        self.keeping.touch(&uid);
        routed
    }

    /// Completes the backfills of a watch that has listed all existing objects and is up to date.
    pub fn end_backfill(&mut self, scope: &str) -> Vec<Backfill> {
        self.backfills.complete(scope)
    }

    /// Returns `true` if a rule is being backfilled from a watch.
    pub fn backfills_now(&self, scope: &str) -> bool {
        self.backfills.is_under_way(scope)
    }

    /// Returns the scopes that have reported an object, with the one that reports it now.
    fn reporters(&mut self, before: Option<&Known>, scope: &str) -> Reporters {
        let scope = self.reporter_sets.scope(scope);
        self.reporter_sets.with(before.map_or(Reporters::UNKNOWN, |known| known.reporters), scope)
    }

    fn note_seen(&mut self, scope: &str, meta: &Meta) -> Option<Compared> {
        if let Ok(version) = meta.resource_version.parse::<u64>() {
            match self.newest.get_mut(scope) {
                Some(newest) => *newest = version.max(*newest),
                None => _ = self.newest.insert(scope.into(), version),
            }
        }
        let identity = &meta.identity;
        let comparison = self.comparison(scope)?;
        let is_covered = comparison
            .covers
            .iter()
            .any(|coverage| coverage.kind == identity.kind && coverage.group == identity.group());
        if !is_covered {
            let (group, kind) = (identity.group().to_owned(), identity.kind.clone());
            comparison.covers.push(Coverage { group, kind, namespace: None });
        }
        Some(Compared {
            since: comparison.since,
            effect: comparison.effect,
            is_other_epoch: comparison.is_other_epoch,
            mark: comparison.mark,
            complete_at: comparison.complete_at,
        })
    }
}

/// Returns the life of an object that an observation belongs to. A new life begins if the observed
/// version may have been reported before, so that it is reported again ([`Known::life`]).
fn life(meta: &Meta, before: Option<&Known>, compared: Option<&Compared>) -> u32 {
    match (before, compared) {
        (None, Some(compared)) if compared.has_returned(meta) => compared.mark,
        (Some(before), Some(compared))
            if !compared.is_other_epoch && is_older(&meta.resource_version, &before.version) =>
        {
            compared.mark
        }
        (Some(before), _) => before.life,
        (None, _) => 0,
    }
}

#[cfg(test)]
mod tests;
