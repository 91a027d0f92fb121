//! Gaps: periods in which changes may have been missed. A gap is open from the time at which a source lost its position
//! until the end of the list that is compared with the known objects ([`Comparison`]).

use std::collections::HashSet;
use std::sync::Arc;

use klaxon_model::{Coverage, GapEffect, GapStart, Object, Timestamp};

use super::relist::Comparison;
use super::{Forms, Routed, Router, events};

/// A period in which changes may have been missed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// The last moment before the gap.
    pub from: Timestamp,
    /// The time at which watching resumed.
    pub to: Timestamp,
    /// The stream or watch that was interrupted.
    pub scope: String,
    /// The affected kinds of objects, such as `Pod`.
    pub kinds: Vec<String>,
    /// The affected namespace. `None` if all are affected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The cause of the gap.
    pub reason: String,
}

/// The result of ending a gap.
#[derive(Debug)]
pub struct GapEnd {
    /// The record of the gap.
    pub gap: Gap,
    /// Events of objects that have vanished or are no longer followed.
    pub routed: Routed,
    /// Partitions of the objects that have vanished.
    pub gone: Vec<Arc<str>>,
    /// Partitions of the objects that are no longer followed.
    pub left: Vec<Arc<str>>,
    /// The objects that have vanished or are no longer followed, each with its last known form if that
    /// was in memory.
    pub vanished: Vec<(Arc<Object>, Option<Arc<Object>>)>,
}

/// The text that is added to a gap's record if Kubernetes Events outlived the gap.
const COUNTED: &str =
    "; Kubernetes Events are complete, but for those that were deleted before their time";

impl Router {
    /// Begins a gap: the source lost its position in this scope (a stream or a watch). Until [`Router::end_gap`],
    /// observations of the scope are compared with the known objects. If a list was interrupted and starts again, the
    /// gap that is already open continues.
    pub fn begin_gap(&mut self, scope: &str, start: GapStart) {
        let GapStart { from: mut since, mut reason, mut effect, complete_at, is_other_epoch } =
            start;
        if let Some(at) = self.comparing.iter().position(|open| open.scope == scope) {
            let open = self.comparing.swap_remove(at);
            (since, reason) = (open.since.min(since), open.reason);
            if open.effect == GapEffect::Marked {
                effect = GapEffect::Marked;
            }
        }
        self.marks += 1;
        self.comparing.push(Comparison {
            scope: scope.to_owned(),
            since,
            reason,
            effect,
            is_other_epoch,
            mark: self.marks,
            complete_at: complete_at.filter(|_| !is_other_epoch),
            covers: Vec::new(),
            outside: HashSet::new(),
            unreadable: HashSet::new(),
        });
    }

    /// Returns the version up to which the known objects of a stream are complete: the newest that was seen. A list
    /// that was restarted covers the same period.
    pub fn complete_at(&self, scope: &str) -> Option<u64> {
        match self.comparing.iter().find(|open| open.scope == scope) {
            Some(open) => open.complete_at,
            None => self.newest.get(scope).copied(),
        }
    }

    /// Returns the scopes with an open gap.
    pub fn open_gaps(&self) -> impl Iterator<Item = &str> {
        self.comparing.iter().map(|open| open.scope.as_str())
    }

    /// Returns `true` if the scope has an open gap.
    pub fn in_gap(&self, scope: &str) -> bool {
        self.open_gaps().any(|open| open == scope)
    }

    /// Completes the list after a gap: known objects that the scope covers and that the list did not
    /// contain have vanished. `None` if the scope has no open gap.
    pub fn end_gap(
        &mut self,
        scope: &str,
        time: Timestamp,
        forms: &mut Forms<'_>,
    ) -> Option<GapEnd> {
        let at = self.comparing.iter().position(|open| open.scope == scope)?;
        let open = self.comparing.swap_remove(at);
        let mut routed = Routed::new();
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        let mut vanished = Vec::new();
        for uid in open.missing(&self.known, &self.reporter_sets) {
            let Some(known) = self.known.remove(&uid) else { continue };
            let form = known.form.clone().or_else(|| forms(&uid));
            let is_kubernetes_event = known.is_kubernetes_event();
            let outside = open.outside.contains(&*uid);
            let identity = known.identity(&uid);
            let object = form.unwrap_or_else(|| events::bare(&identity, &known.version));
            vanished.push((object.clone(), known.form.clone()));
            if !is_kubernetes_event {
                let gap = open.effect == GapEffect::Marked;
                routed.extend(self.vanished(&known, &object, outside, gap, time));
                let partition: Arc<str> = identity.partition().into();
                if outside { &mut left } else { &mut gone }.push(partition);
            }
            self.keeping.touch(&uid);
        }
        Some(GapEnd { gap: open.into_gap(time), routed, gone, left, vanished })
    }

    /// Ends all gaps whose list never became complete, and returns their records. No object is taken as vanished.
    pub fn abandon_gaps(&mut self, time: Timestamp) -> Vec<Gap> {
        let open = std::mem::take(&mut self.comparing).into_iter();
        let gaps = open.map(|mut open| {
            open.reason.push_str("; the stream ended before a list was complete");
            open.into_gap(time)
        });
        gaps.collect()
    }
}

impl Comparison {
    /// Returns the record of the gap that ends with the comparison.
    fn into_gap(self, to: Timestamp) -> Gap {
        let Self { scope, since: from, mut reason, effect, covers, .. } = self;
        if effect == GapEffect::Counted {
            reason.push_str(COUNTED);
        }
        let namespace = covers.first().and_then(|coverage| coverage.namespace.clone());
        let mut kinds: Vec<String> = covers.into_iter().map(|Coverage { kind, .. }| kind).collect();
        kinds.sort();
        kinds.dedup();
        Gap { from, to, scope, kinds, namespace, reason }
    }
}
