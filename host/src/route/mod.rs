//! Which rules see an observation, and as which change.
//!
//! The host keeps its own record of the objects it knows, and of each rule's view of them. From it
//! alone it decides what is added, changed, gone or no longer matching, so a watch, a replay and a
//! comparison after a gap give the same events, whatever selector a server was given.

mod field_selector;
mod interest;
mod known;
mod label_selector;
mod partition;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{
    Change, Event, Id, Identity, Manifest, Meta, Narrowing, Object, Observation, Origin, Seen,
    Subject, Timestamp, Value,
};
use crate::normalize::Wanted;

use interest::Compiled;
pub use interest::InterestError;
use known::{Known, KnownObjects, Membership};
pub use label_selector::{SelectedLabel, selected_labels};

/// The partition that goes with an object; none for a Kubernetes Event, whose end is no news.
pub fn own_partition(object: &Object) -> Option<Arc<str>> {
    let is_notice = matches!(object.subject, Subject::Notice(_));
    (!is_notice).then(|| object.meta.identity.partition().into())
}

/// Events that an observation made, in the order of the rules.
pub type Routed = Vec<(usize, Arc<Event>)>;

/// What became of an observation.
#[derive(Debug, PartialEq)]
pub enum Routing {
    /// It is news; here is who sees it.
    News(Routed),
    /// This version of the object was seen before.
    Repeated,
    /// An object is gone that nobody knew.
    Unknown,
}

/// A period in which changes may have been missed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// The last moment before it.
    pub from: Timestamp,
    /// When watching went on.
    pub to: Timestamp,
    /// The stream or watch that broke.
    pub scope: String,
    /// The kinds of object that it is about, such as `Pod`.
    pub kinds: Vec<String>,
    /// Why there was a gap.
    pub reason: String,
}

/// Decides who sees what.
pub struct Router {
    origin: Arc<Origin>,
    rules: Vec<RuleInterests>,
    known: KnownObjects,
    /// Grows when a gap finds another history (etcd restored): it is part of every id.
    history: u64,
    comparing: Vec<Comparison>,
}

struct RuleInterests {
    name: Arc<str>,
    interests: Vec<Compiled>,
}

/// A list under way that is compared with what was known before the gap.
struct Comparison {
    scope: String,
    since: Timestamp,
    seen: BTreeSet<String>,
    kinds: BTreeSet<(String, String)>,
    /// An object of the list could not be decoded: which one is not known.
    incomplete: bool,
}

/// What the end of a gap brings.
#[derive(Debug, Default)]
pub struct GapEnd {
    /// Events of what has vanished.
    pub routed: Routed,
    /// Partitions of the objects that have vanished.
    pub gone: Vec<Arc<str>>,
    /// Kinds that the list was about.
    pub kinds: Vec<String>,
}

impl Router {
    /// A router without rules.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin: Arc::new(origin),
            rules: Vec::new(),
            known: KnownObjects::default(),
            history: 0,
            comparing: Vec::new(),
        }
    }

    /// Adds a rule; its place among the rules is the index in what is routed to it.
    ///
    /// # Errors
    /// Where an interest of its manifest, or the operator's narrowing of one, cannot be used.
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

    /// What the rules need of objects beyond what is always read.
    pub fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for interest in self.rules.iter().flat_map(|rule| &rule.interests) {
            interest.add_to(&mut wanted);
        }
        wanted
    }

    /// Whether an object of this kind can interest any rule.
    pub fn wants_kind(&self, group: &str, kind: &str) -> bool {
        let mut interests = self.rules.iter().flat_map(|rule| &rule.interests);
        interests.any(|interest| interest.is_kind(group, kind))
    }

    /// The last known form of an object, while it exists.
    pub fn last_known(&self, identity: &Identity) -> Option<Arc<Object>> {
        self.known.get(&identity.unique()).map(|known| known.object.clone())
    }

    /// Values of an interest's fields in an object.
    pub fn fields(&self, rule: usize, interest: u32, object: &Object) -> Vec<Value> {
        self.rules.get(rule).map(|rule| rule.fields(interest, object)).unwrap_or_default()
    }

    /// Whether the host knows that the partition's object exists.
    pub fn knows_partition(&self, partition: &str) -> bool {
        self.known.get(partition).is_some() || self.known.has_node_partition(partition)
    }

    /// The source lost its place: what follows in this scope (a stream or a watch) is compared with
    /// what is known until [`Router::end_gap`].
    pub fn begin_gap(&mut self, scope: &str, since: Timestamp) {
        self.comparing.retain(|comparison| comparison.scope != scope);
        self.comparing.push(Comparison {
            scope: scope.to_owned(),
            since,
            seen: BTreeSet::new(),
            kinds: BTreeSet::new(),
            incomplete: false,
        });
    }

    /// Whether a scope is being compared.
    pub fn in_gap(&self, scope: &str) -> bool {
        self.comparing.iter().any(|comparison| comparison.scope == scope)
    }

    /// The list after a gap is complete: what was known, is of a kind of the scope and was not seen
    /// again has vanished. Where an object of the list could not be decoded, nothing has: it may be
    /// that one.
    pub fn end_gap(&mut self, scope: &str, time: Timestamp) -> GapEnd {
        let Some(at) = self.comparing.iter().position(|comparison| comparison.scope == scope)
        else {
            return GapEnd::default();
        };
        let comparison = self.comparing.swap_remove(at);
        let mut end = GapEnd::default();
        let vanished = match comparison.incomplete {
            true => Vec::new(),
            false => self.known.vanished(&comparison.kinds, &comparison.seen),
        };
        for uid in vanished {
            if let Some(known) = self.known.remove(&uid) {
                end.routed.extend(self.vanished(&known, time));
                end.gone.extend(own_partition(&known.object));
            }
        }
        end.kinds = comparison.kinds.into_iter().map(|(_, kind)| kind).collect();
        end
    }

    /// An object of a scope could not be decoded.
    pub fn note_undecodable(&mut self, scope: &str) {
        if let Some(comparison) = self.comparing.iter_mut().find(|one| one.scope == scope) {
            comparison.incomplete = true;
        }
    }

    /// Ends a comparison whose list never became complete; returns the kinds that were seen.
    pub fn abandon_gap(&mut self, scope: &str) -> Vec<String> {
        let Some(at) = self.comparing.iter().position(|comparison| comparison.scope == scope)
        else {
            return Vec::new();
        };
        let comparison = self.comparing.swap_remove(at);
        comparison.kinds.into_iter().map(|(_, kind)| kind).collect()
    }

    /// Tells a scope's comparison which kind of object it is about; a list may be empty.
    pub fn compare_kind(&mut self, scope: &str, group: &str, kind: &str) {
        if let Some(comparison) = self.comparing.iter_mut().find(|one| one.scope == scope) {
            comparison.kinds.insert((group.to_owned(), kind.to_owned()));
        }
    }

    /// Routes an observation of a scope.
    pub fn route(&mut self, scope: &str, observation: Observation) -> Routing {
        let Observation { time, seen, object } = observation;
        let meta = &object.meta;
        let uid = meta.identity.unique().into_owned();
        let gap_since = self.note_seen(scope, &uid, &meta.identity);
        if seen == Seen::Deleted {
            return match self.known.remove(&uid) {
                Some(known) => {
                    self.known.bury(uid, &meta.resource_version, time);
                    Routing::News(self.deleted(&known, &object, time))
                }
                None => Routing::Unknown,
            };
        }
        let version = &meta.resource_version;
        if gap_since.is_none() && self.known.is_buried(&uid, version) {
            return Routing::Repeated;
        }
        let before = self.known.remove(&uid);
        let is_repeated = before.as_ref().is_some_and(|known| {
            let newest = &known.object.meta.resource_version;
            // After a gap versions may have gone back (etcd restored): then only the same is the same.
            version == newest && !version.is_empty()
                || gap_since.is_none() && known::is_older(version, newest)
        });
        if is_repeated {
            self.known.insert(uid, before);
            return Routing::Repeated;
        }
        let sight = Sight {
            id: self.seen_id(meta),
            time,
            snapshot: seen == Seen::Snapshot && gap_since.is_none(),
            gap_since,
            count_before: before.as_ref().map(|known| known.count()),
            object,
        };
        let (memberships, routed) = self.enter_and_leave(before.as_ref(), &sight);
        self.known.insert(uid, Some(Known { object: sight.object, memberships }));
        Routing::News(routed)
    }

    fn note_seen(&mut self, scope: &str, uid: &str, identity: &Identity) -> Option<Timestamp> {
        let comparison = self.comparing.iter_mut().find(|one| one.scope == scope)?;
        comparison.seen.insert(uid.to_owned());
        let kind = (identity.group().to_owned(), identity.kind.clone());
        comparison.kinds.insert(kind);
        Some(comparison.since)
    }

    /// Compares each rule's view of the object before with the one now.
    fn enter_and_leave(&self, before: Option<&Known>, sight: &Sight) -> (Vec<Membership>, Routed) {
        let mut memberships = Vec::new();
        let mut routed = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let was = before.and_then(|known| known.membership(index));
            let is = rule.matching(&sight.object).map(|(interest, compiled, fields)| {
                let partition = partition::of(&compiled.partition, &sight.object, &fields);
                (Membership { rule: index, interest, partition }, fields)
            });
            let stays = match (was, &is) {
                (Some(was), Some((is, _))) => was.partition == is.partition,
                _ => false,
            };
            if let Some(was) = was
                && !stays
            {
                routed.extend(self.left(rule, was, sight));
            }
            if let Some((is, fields)) = is {
                let change = match (stays, sight.snapshot) {
                    (_, true) => Change::Snapshot,
                    (true, false) => Change::Modified,
                    (false, false) => Change::Added,
                };
                routed.extend(self.event(rule, &is, change, fields, sight));
                memberships.push(is);
            }
        }
        (memberships, routed)
    }

    fn event(
        &self,
        rule: &RuleInterests,
        is: &Membership,
        change: Change,
        fields: Vec<Value>,
        sight: &Sight,
    ) -> Option<(usize, Arc<Event>)> {
        if !rule.wants(is.interest, change) {
            return None;
        }
        let id = match change {
            // A rule is introduced to what exists once while all is kept in memory.
            Change::Snapshot => Id::of("p", &[&sight.id, &&*rule.name, &1u64]),
            _ => sight.id,
        };
        Some((
            is.rule,
            Arc::new(Event {
                id,
                origin: self.origin.clone(),
                time: sight.time,
                change,
                gap: sight.gap_since.is_some(),
                interest: is.interest,
                timer: None,
                object: sight.object.clone(),
                delta: sight.delta(change),
                fields,
                partition: is.partition.clone(),
            }),
        ))
    }

    fn left(
        &self,
        rule: &RuleInterests,
        was: &Membership,
        sight: &Sight,
    ) -> Option<(usize, Arc<Event>)> {
        if !rule.wants(was.interest, Change::Left) {
            return None;
        }
        let fields = rule.fields(was.interest, &sight.object);
        Some((
            was.rule,
            Arc::new(Event {
                id: Id::of("l", &[&sight.id, &&*rule.name, &&*was.partition]),
                origin: self.origin.clone(),
                time: sight.time,
                change: Change::Left,
                gap: sight.gap_since.is_some(),
                interest: was.interest,
                timer: None,
                object: sight.object.clone(),
                delta: 0,
                fields,
                partition: was.partition.clone(),
            }),
        ))
    }

    /// A deletion that the source saw: the object's last state is in it.
    fn deleted(&self, known: &Known, object: &Arc<Object>, time: Timestamp) -> Routed {
        let id = self.seen_id(&object.meta);
        self.gone(known, object, id, time, false)
    }

    /// A disappearance found by comparing: the last known form is all there is.
    fn vanished(&self, known: &Known, time: Timestamp) -> Routed {
        let meta = &known.object.meta;
        let cluster = self.origin.cluster.as_str();
        let id =
            Id::of("v", &[&cluster, &self.history, &meta.identity.uid, &meta.resource_version]);
        self.gone(known, &known.object, id, time, true)
    }

    fn gone(
        &self,
        known: &Known,
        object: &Arc<Object>,
        id: Id,
        time: Timestamp,
        gap: bool,
    ) -> Routed {
        // A Kubernetes Event ends when its time to live is over: that is no news.
        if matches!(object.subject, Subject::Notice(_)) {
            return Vec::new();
        }
        let wanted = known.memberships.iter().filter_map(|was| {
            let rule = self.rules.get(was.rule)?;
            rule.wants(was.interest, Change::Deleted).then_some((rule, was))
        });
        wanted
            .map(|(rule, was)| {
                let event = Event {
                    id,
                    origin: self.origin.clone(),
                    time,
                    change: Change::Deleted,
                    gap,
                    interest: was.interest,
                    timer: None,
                    object: object.clone(),
                    delta: 0,
                    fields: rule.fields(was.interest, object),
                    partition: was.partition.clone(),
                };
                (was.rule, Arc::new(event))
            })
            .collect()
    }

    fn seen_id(&self, meta: &Meta) -> Id {
        let identity = &meta.identity;
        let cluster = self.origin.cluster.as_str();
        Id::of(
            "s",
            &[
                &cluster,
                &self.history,
                &id_group(identity),
                &identity.kind,
                &&*identity.unique(),
                &meta.resource_version,
            ],
        )
    }
}

/// Both APIs of Kubernetes Events show the same object, so they share its id.
fn id_group(identity: &Identity) -> &str {
    if identity.kind == "Event" && identity.group() == "events.k8s.io" {
        ""
    } else {
        identity.group()
    }
}

/// An observation on its way to the rules.
struct Sight {
    id: Id,
    time: Timestamp,
    snapshot: bool,
    /// Set while a gap is being compared: when it began.
    gap_since: Option<Timestamp>,
    /// The count of this Kubernetes Event when it was last seen.
    count_before: Option<u32>,
    object: Arc<Object>,
}

impl Sight {
    /// How much the count of a Kubernetes Event grew, as the contract defines it.
    fn delta(&self, change: Change) -> u32 {
        let Subject::Notice(notice) = &self.object.subject else {
            return 0;
        };
        match (self.count_before, change, self.gap_since) {
            (Some(before), ..) => notice.count.saturating_sub(before),
            (None, Change::Snapshot, _) => 0,
            (None, _, None) => notice.count,
            (None, _, Some(since)) => {
                let created = self.object.meta.created_at;
                if created.is_some_and(|at| at >= since) { notice.count } else { 0 }
            }
        }
    }
}

impl RuleInterests {
    /// The first interest that matches an object, with the values of its fields.
    fn matching(&self, object: &Object) -> Option<(u32, &Compiled, Vec<Value>)> {
        let (place, interest) =
            (0u32..).zip(&self.interests).find(|(_, interest)| interest.matches(object))?;
        Some((place, interest, interest.fields(object)))
    }

    fn wants(&self, interest: u32, change: Change) -> bool {
        self.interests.get(interest as usize).is_some_and(|interest| interest.wants(change))
    }

    fn fields(&self, interest: u32, object: &Object) -> Vec<Value> {
        let interest = self.interests.get(interest as usize);
        interest.map(|interest| interest.fields(object)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
