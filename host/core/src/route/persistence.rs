//! Persistence of the known objects: changes for the journal, and restoring from it.

use std::collections::HashSet;
use std::sync::Arc;

use super::Router;
use super::object_index::{Known, Membership};
use super::relist::covers;
use super::reporters::Reporters;
use klaxon_model::{
    Backfill, Change, Coverage, Id, Object, PersistedMembership, PersistedObject, RuleId, StoreOp,
};

/// The storage of last known forms.
#[derive(Debug)]
pub(super) enum Keeping {
    /// All in memory: nothing outlives the process.
    Memory,
    /// In the journal. In memory only while a timer needs them, or until the journal has stored them.
    Journal {
        /// Objects that changed since [`Router::take_changes`] was last called.
        touched: HashSet<Arc<str>>,
    },
}

impl Keeping {
    pub(super) fn touch(&mut self, uid: &Arc<str>) {
        if let Self::Journal { touched } = self {
            touched.insert(uid.clone());
        }
    }
}

impl Router {
    /// Collects changes from now on, to be returned by [`Router::take_changes`].
    pub fn use_journal(&mut self) {
        self.keeping = Keeping::Journal { touched: HashSet::new() };
    }

    /// Returns `true` if last known forms are in the journal.
    pub fn uses_journal(&self) -> bool {
        matches!(self.keeping, Keeping::Journal { .. })
    }

    /// Marks an object as changed because a timer needs its form, or no longer does.
    pub fn touch(&mut self, object: &Arc<Object>) {
        if matches!(self.keeping, Keeping::Memory) {
            return;
        }
        let uid = self.known.uid(&object.meta.identity.unique());
        if let Some(known) = self.known.get_mut(&uid) {
            if known.form.is_none() && *known.version == *object.meta.resource_version {
                known.form = Some(object.clone());
            }
            self.keeping.touch(&uid);
        }
    }

    /// Returns the changes since the last call. A form stays in memory while `concerns` returns `true`: a
    /// timer concerns the object.
    pub fn take_changes(&mut self, concerns: impl Fn(&str) -> bool) -> Vec<StoreOp> {
        let Keeping::Journal { touched } = &mut self.keeping else { return Vec::new() };
        let mut touched: Vec<Arc<str>> = std::mem::take(touched).into_iter().collect();
        touched.sort();
        let mut changes = Vec::with_capacity(touched.len());
        for uid in touched {
            let Some(known) = self.known.get(&uid) else {
                changes.push(StoreOp::NoObject(uid));
                continue;
            };
            let has_timer = concerns(&uid);
            changes.push(StoreOp::Object(Box::new(self.persisted(&uid, known, has_timer))));
            if !has_timer && let Some(known) = self.known.get_mut(&uid) {
                known.form = None;
            }
        }
        changes
    }

    fn persisted(&self, uid: &Arc<str>, known: &Known, has_timer: bool) -> PersistedObject {
        let wants_end = known.memberships.iter().any(|was| {
            let rule = self.rules.get(was.rule.0);
            rule.is_some_and(|rule| rule.wants(was.interest, Change::Deleted))
        });
        let memberships = known.memberships.iter().filter_map(|was| {
            let rule = self.rules.get(was.rule.0)?;
            let interest = rule.interests.get(was.interest as usize)?;
            Some(PersistedMembership {
                rule: rule.name.clone(),
                interest: interest.name.clone(),
                partition: was.partition.clone(),
            })
        });
        let needs_form = has_timer || wants_end && !known.is_kubernetes_event();
        PersistedObject {
            uid: uid.clone(),
            api_version: known.api_version.clone(),
            kind: known.kind.clone(),
            namespace: known.namespace.clone(),
            name: known.name.clone(),
            version: known.version.clone(),
            digest: known.digest,
            count: known.count,
            life: known.life,
            memberships: memberships.collect(),
            form: if needs_form { known.form.clone() } else { None },
        }
    }

    /// Restores an object. Memberships of rules that no longer exist, or for which `keeps` returns
    /// `false`, are dropped: those rules are backfilled again.
    pub fn restore(&mut self, object: PersistedObject, keeps: impl Fn(&str) -> bool) {
        let memberships = object.memberships.iter().filter_map(|was| {
            let index = self.rules.iter().position(|rule| rule.name == was.rule)?;
            let rule = self.rules.get(index)?;
            let index = RuleId(index);
            let interest = rule.interests.iter().position(|one| one.name == was.interest)?;
            keeps(&was.rule).then(|| Membership {
                rule: index,
                interest: u32::try_from(interest).unwrap_or(u32::MAX),
                partition: was.partition.clone(),
            })
        });
        let mut memberships: Vec<Membership> = memberships.collect();
        memberships.sort_by_key(|membership| membership.rule);
        let known = Known {
            api_version: self.known.share(&object.api_version),
            kind: self.known.share(&object.kind),
            namespace: self.known.share(&object.namespace),
            name: object.name,
            version: object.version,
            digest: object.digest,
            count: object.count,
            memberships: memberships.into(),
            mark: 0,
            life: object.life,
            reporters: Reporters::UNKNOWN,
            form: object.form,
        };
        self.known.insert(object.uid, known);
    }

    /// Sets the revision epoch that ids are derived from.
    pub fn set_epoch(&mut self, history: u64) {
        self.history = history;
    }

    /// Sets the number of relists of earlier runs.
    pub fn set_comparisons(&mut self, comparisons: u32) {
        self.marks = comparisons;
    }

    /// Begins another revision epoch (etcd was restored): ids of later observations differ from earlier
    /// ones, because versions may repeat. Returns the number of the epoch.
    pub fn begin_epoch(&mut self) -> u64 {
        self.history += 1;
        self.known.remove_tombstones();
        self.history
    }

    /// Returns `true` if an object of a list agrees with the known objects: within one revision epoch, an
    /// object that is not newer than the cursor is known in exactly this version.
    pub fn is_of_this_epoch(&self, uid: &str, version: &str, cursor: u64) -> bool {
        let is_newer = version.parse::<u64>().is_ok_and(|version| version > cursor);
        // Objects without a uid cannot be identified.
        is_newer
            || uid.is_empty()
            || self.known.get(uid).is_some_and(|known| *known.version == *version)
    }

    /// Returns `true` if any known object is covered by a watch.
    pub fn knows_any(&self, coverage: &Coverage) -> bool {
        self.known.iter().any(|(_, known)| covers(coverage, known))
    }

    /// Returns known objects that a watch covers and that are not among those listed.
    pub fn missing_from(&self, coverage: &Coverage, listed: &HashSet<&str>) -> HashSet<Arc<str>> {
        let covered = self.known.iter().filter(|(_, known)| covers(coverage, known));
        // What has no uid is known by its names, with slashes.
        let missing = covered.filter(|(uid, _)| !uid.contains('/') && !listed.contains(&***uid));
        missing.map(|(uid, _)| uid.clone()).collect()
    }

    /// Returns the hash of all that determines the events of a kind for a rule: its settings, as text,
    /// and its interests.
    pub fn backfill_digest(&self, rule: RuleId, settings: &str, group: &str, kind: &str) -> Id {
        let interests = self.rules.get(rule.0).map_or(&[] as &[_], |rule| &rule.interests);
        let interests = interests.iter().filter(|interest| interest.is_kind(group, kind));
        let texts: Vec<&str> = interests.map(|interest| interest.fingerprint.as_str()).collect();
        // The tag is part of stored digests: with another one every rule would be backfilled again.
        Id::of("introduction", &[&settings, &texts.concat()])
    }

    /// Plans the backfills from a watch, for each rule that the watch feeds, except for rules with a
    /// complete backfill of the same digest. Returns those that begin or continue.
    pub fn plan_backfills(
        &mut self,
        scope: &Arc<str>,
        rules: &[(RuleId, Id)],
        before: &[Backfill],
    ) -> Vec<Backfill> {
        let mut planned = Vec::new();
        for (index, digest) in rules {
            let Some(name) = self.rules.get(index.0).map(|rule| rule.name.clone()) else {
                continue;
            };
            let of_rule = || before.iter().filter(|one| one.rule == name);
            let known = of_rule().find(|one| one.scope == *scope);
            let highest = of_rule().map(|one| one.number).max().unwrap_or(0);
            let plan = self.backfills.plan(*index, scope, &name, *digest, known, highest);
            planned.extend(plan.cloned());
        }
        planned
    }
}
