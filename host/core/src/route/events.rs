//! Events of each rule, derived from the previous and the current state of an object.

use std::sync::Arc;

use super::interest::Compiled;
use super::object_index::{Known, Membership};
use super::partition::Partitioning;
use super::relist::Compared;
use super::{Routed, Router, partition};
use klaxon_model::{
    Change, Event, Fields, Id, Identity, Meta, Object, RuleId, Subject, Timestamp,
    are_kubernetes_events,
};

/// A rule's interests, in the order of its manifest.
pub(super) struct RuleInterests {
    pub(super) name: Arc<str>,
    pub(super) interests: Vec<Compiled>,
}

/// An observation that is being routed.
pub(super) struct Sight<'a> {
    pub(super) id: Id,
    pub(super) scope: &'a str,
    pub(super) time: Timestamp,
    /// `true` if it is from a list: existing state, not a change that has just happened.
    pub(super) listed: bool,
    /// The relist that it is part of.
    pub(super) compared: Option<Compared>,
    /// `true` if the events are marked `gap`.
    pub(super) gap: bool,
    /// The index entry before the observation.
    pub(super) before: Option<&'a Known>,
    pub(super) object: Arc<Object>,
}

impl Sight<'_> {
    /// Returns the increase of a Kubernetes Event's count, as the contract defines it.
    fn delta(&self, change: Change) -> u32 {
        let Subject::KubernetesEvent(kubernetes_event) = &self.object.subject else {
            return 0;
        };
        match (self.before, change) {
            (Some(before), _) => kubernetes_event.count.saturating_sub(before.count),
            (None, Change::Snapshot) => 0,
            (None, _) => match self.compared {
                Some(compared) if !compared.counts(&self.object.meta) => 0,
                _ => kubernetes_event.count,
            },
        }
    }

    /// Returns `true` if a relist found the object and it was created within the missed period.
    fn is_new(&self) -> bool {
        self.before.is_none()
            && self.compared.is_some_and(|compared| compared.is_new(&self.object.meta))
    }

    /// Returns the change to report for an object that the rule did not see before.
    fn entry(&self, is_backfilled: bool) -> Change {
        match (self.compared, is_backfilled) {
            (None, _) if self.listed => Change::Snapshot,
            // Created during the gap: new for a newly added rule too.
            (Some(_), false) if self.is_new() => Change::Added,
            (_, false) if self.listed || self.before.is_some() => Change::Snapshot,
            _ => Change::Added,
        }
    }
}

/// Returns an object of which only the identity is known.
pub(super) fn bare(identity: &Identity, version: &str) -> Arc<Object> {
    let meta = Meta {
        identity: identity.clone(),
        resource_version: version.to_owned(),
        ..Meta::default()
    };
    Arc::new(Object { meta, subject: Subject::Other, document: None })
}

impl Router {
    /// Compares each rule's membership before the observation with the one now.
    pub(super) fn enter_and_leave(&self, sight: &Sight<'_>) -> (Vec<Membership>, Routed) {
        let mut memberships = Vec::new();
        let mut routed = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let index = RuleId(index);
            let was = sight.before.and_then(|known| known.membership(index));
            let is = rule.membership(index, &sight.object, was);
            let stays = match (was, &is) {
                (Some(was), Some((is, _))) => was.partition == is.partition,
                _ => false,
            };
            if let Some(was) = was
                && !stays
            {
                routed.extend(self.left(was, sight));
            }
            if let Some((is, fields)) = is {
                let number = self.backfills.number(sight.scope, index);
                let change = match stays {
                    true if sight.listed && sight.compared.is_none() => Change::Snapshot,
                    true => Change::Modified,
                    false => sight.entry(number.is_none()),
                };
                routed.extend(self.event(&is, change, number, fields, sight));
                memberships.push(is);
            }
        }
        (memberships, routed)
    }

    /// Adds memberships of rules that are being backfilled; those of other rules do not change.
    pub(super) fn enter(&self, sight: &Sight<'_>) -> (Vec<Membership>, Routed) {
        let mut memberships: Vec<Membership> =
            sight.before.map(|known| known.memberships.to_vec()).unwrap_or_default();
        let mut routed = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let index = RuleId(index);
            let Some(number) = self.backfills.number(sight.scope, index) else { continue };
            if memberships.iter().any(|membership| membership.rule == index) {
                continue;
            }
            if let Some((is, fields)) = rule.membership(index, &sight.object, None) {
                routed.extend(self.event(&is, Change::Snapshot, Some(number), fields, sight));
                memberships.push(is);
            }
        }
        memberships.sort_by_key(|membership| membership.rule);
        (memberships, routed)
    }

    fn event(
        &self,
        is: &Membership,
        change: Change,
        backfill: Option<u64>,
        fields: Fields,
        sight: &Sight<'_>,
    ) -> Option<(RuleId, Arc<Event>)> {
        let rule = self.rules.get(is.rule.0)?;
        let id = match change {
            Change::Snapshot => Id::of("p", &[&sight.id, &&*rule.name, &backfill.unwrap_or(1)]),
            _ => sight.id,
        };
        let event = Event { delta: sight.delta(change), ..self.plain(id, change, is, sight) };
        rule.wants(is.interest, change).then(|| (is.rule, Arc::new(Event { fields, ..event })))
    }

    fn left(&self, was: &Membership, sight: &Sight<'_>) -> Option<(RuleId, Arc<Event>)> {
        let rule = self.rules.get(was.rule.0)?;
        let id = Id::of("l", &[&sight.id, &&*rule.name, &&*was.partition]);
        let fields = rule.fields(was.interest, &sight.object, Change::Left);
        let event = self.plain(id, Change::Left, was, sight);
        rule.wants(was.interest, Change::Left)
            .then(|| (was.rule, Arc::new(Event { fields, ..event })))
    }

    /// Returns the events of an observed deletion, which contains the object's last state.
    pub(super) fn deleted(&self, known: &Known, object: &Arc<Object>, time: Timestamp) -> Routed {
        let id = self.seen_id(&object.meta, known.life);
        self.gone(known, object, id, time, false)
    }

    /// Returns the events of an object that a relist found missing, given its last known form. An object
    /// that is only outside of the watch has left.
    pub(super) fn vanished(
        &self,
        known: &Known,
        object: &Arc<Object>,
        outside: bool,
        gap: bool,
        time: Timestamp,
    ) -> Routed {
        if outside {
            let sight = Sight {
                id: self.seen_id(&object.meta, known.life),
                scope: "",
                time,
                listed: true,
                compared: None,
                gap,
                before: Some(known),
                object: object.clone(),
            };
            return known.memberships.iter().filter_map(|was| self.left(was, &sight)).collect();
        }
        let meta = &object.meta;
        let cluster = self.origin.cluster.as_str();
        let (uid, version, life) =
            (&meta.identity.uid, &meta.resource_version, u64::from(known.life));
        let id = match life {
            0 => Id::of("v", &[&cluster, &self.history, uid, version]),
            _ => Id::of("v", &[&cluster, &self.history, uid, version, &life]),
        };
        self.gone(known, object, id, time, gap)
    }

    fn gone(
        &self,
        known: &Known,
        object: &Arc<Object>,
        id: Id,
        time: Timestamp,
        gap: bool,
    ) -> Routed {
        // A Kubernetes Event is deleted when its time to live is over: that is not reported.
        if known.is_kubernetes_event() {
            return Vec::new();
        }
        let sight = Sight {
            id,
            scope: "",
            time,
            listed: false,
            compared: None,
            gap,
            before: Some(known),
            object: object.clone(),
        };
        let wanted = known.memberships.iter().filter_map(|was| {
            let rule = self.rules.get(was.rule.0)?;
            rule.wants(was.interest, Change::Deleted).then_some((rule, was))
        });
        wanted
            .map(|(rule, was)| {
                let fields = rule.fields(was.interest, object, Change::Deleted);
                let event = self.plain(id, Change::Deleted, was, &sight);
                (was.rule, Arc::new(Event { fields, ..event }))
            })
            .collect()
    }

    /// Returns an event without values of fields.
    fn plain(&self, id: Id, change: Change, view: &Membership, sight: &Sight<'_>) -> Event {
        Event {
            id,
            origin: self.origin.clone(),
            time: sight.time,
            change,
            gap: sight.gap,
            interest: view.interest,
            timer: None,
            object: sight.object.clone(),
            delta: 0,
            fields: Ok(Vec::new()),
            partition: view.partition.clone(),
        }
    }

    /// Returns the id of an object's version, in a life of the object ([`Known::life`]).
    pub(super) fn seen_id(&self, meta: &Meta, life: u32) -> Id {
        let identity = &meta.identity;
        let cluster = self.origin.cluster.as_str();
        let seen = Id::of(
            "s",
            &[
                &cluster,
                &self.history,
                &id_group(identity),
                &identity.kind,
                &&*identity.unique(),
                &meta.resource_version,
            ],
        );
        if life == 0 { seen } else { Id::of("r", &[&seen, &u64::from(life)]) }
    }
}

/// Returns the API group to hash into an id. Both APIs of Kubernetes Events serve the same object, which
/// has one id.
fn id_group(identity: &Identity) -> &str {
    let group = identity.group();
    if are_kubernetes_events(group, &identity.kind) { "" } else { group }
}

impl RuleInterests {
    /// Returns an object's membership by the first interest that matches, with the values of its fields.
    /// If these cannot be evaluated, the object stays in its previous partition (`was`), or is in its
    /// own: the event is answered with the failure, and the rule receives the object's next state.
    fn membership(
        &self,
        rule: RuleId,
        object: &Object,
        was: Option<&Membership>,
    ) -> Option<(Membership, Fields)> {
        let (interest, compiled) =
            (0u32..).zip(&self.interests).find(|(_, interest)| interest.matches(object))?;
        let fields = compiled.fields(object).and_then(|fields| {
            let partition = partition::of(&compiled.partition, object, &fields)?;
            Ok((fields, partition))
        });
        let (partition, fields) = match fields {
            Ok((fields, partition)) => (partition, Ok(fields)),
            Err(failure) => {
                let is_by_field = matches!(compiled.partition, Partitioning::Field(_));
                let was = was.filter(|was| is_by_field && was.interest == interest);
                let other = || partition::without_fields(&compiled.partition, object);
                (was.map_or_else(other, |was| was.partition.clone()), Err(failure))
            }
        };
        Some((Membership { rule, interest, partition }, fields))
    }

    pub(super) fn wants(&self, interest: u32, change: Change) -> bool {
        self.interests.get(interest as usize).is_some_and(|interest| interest.wants(change))
    }

    pub(super) fn fields(&self, interest: u32, object: &Object, change: Change) -> Fields {
        let Some(interest) = self.interests.get(interest as usize) else { return Ok(Vec::new()) };
        match change {
            Change::Deleted | Change::Left | Change::Timer => interest.fields_at_the_end(object),
            Change::Added | Change::Modified | Change::Snapshot | Change::Tick => {
                interest.fields(object)
            }
        }
    }
}
