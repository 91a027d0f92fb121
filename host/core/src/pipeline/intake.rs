//! Intake: applies the events of a source to the pipeline.

use klaxon_model::{
    Coverage, GapEffect, GapStart, ListStart, Observation, Seen, SourceEvent, StoreOp, Timestamp,
};

use super::Pipeline;
use super::backlog::entry::Entry;
use super::decode::{Decoded, decode};
use super::output::QuarantinedObject;
use crate::route::{Routing, own_partition};

impl Pipeline {
    /// Applies one event of a source. `scope` names its watch or stream; the times of one source never go back.
    pub fn apply(&mut self, scope: &str, time: Timestamp, event: SourceEvent) {
        match event {
            SourceEvent::ListStarted { start, coverage } => {
                self.advance_to(time);
                self.begin_list(scope, start);
                self.cover(scope, coverage);
            }
            SourceEvent::GapStarted { from, reason } => {
                self.advance_to(time);
                let start = GapStart {
                    from,
                    reason,
                    effect: GapEffect::Marked,
                    complete_at: self.shared.router.complete_at(scope),
                    is_other_epoch: false,
                };
                self.begin_gap(scope, start);
            }
            SourceEvent::Object { seen, json, is_change } => {
                if is_change && self.shared.router.in_gap(scope) {
                    self.end_list(scope, time);
                }
                self.observe(scope, time, seen, &json);
            }
            SourceEvent::Excluded { uid } => self.shared.router.note_outside(scope, &uid),
            SourceEvent::ListCompleted { coverage } => {
                self.cover(scope, coverage);
                self.end_list(scope, time);
            }
            SourceEvent::Progress => {
                self.advance_to(time);
            }
            SourceEvent::BackfillObject(json) => self.backfill(scope, time, &json),
            SourceEvent::BackfillCompleted => self.end_backfill(scope),
            SourceEvent::Connected => self.watches.set_in_sync(scope, true),
            SourceEvent::Disconnected => self.watches.set_in_sync(scope, false),
            SourceEvent::NotServed { start, coverage } => {
                if let Some(start) = start {
                    self.advance_to(time);
                    self.begin_list(scope, start);
                    self.cover(scope, Some(coverage));
                    self.end_gap(scope, time);
                }
                self.watches.set_in_sync(scope, true);
            }
        }
    }

    fn cover(&mut self, scope: &str, coverage: Option<Coverage>) {
        if let Some(coverage) = coverage {
            self.shared.router.cover(scope, coverage);
        }
    }

    fn begin_list(&mut self, scope: &str, start: ListStart) {
        self.watches.set_in_sync(scope, false);
        self.watches.take_suspects(scope);
        match start {
            ListStart::First => {}
            ListStart::Compare(start) => {
                let is_other_epoch = start.is_other_epoch;
                self.begin_gap(scope, start);
                if is_other_epoch {
                    let epoch = self.shared.router.begin_epoch();
                    self.shared.changes.record(|| StoreOp::RevisionEpoch(epoch));
                }
            }
        }
    }

    fn end_list(&mut self, scope: &str, time: Timestamp) {
        self.end_gap(scope, time);
        self.end_backfill(scope);
        self.watches.set_in_sync(scope, true);
    }

    /// Processes an object of a list that is made only for rules that are being backfilled.
    fn backfill(&mut self, scope: &str, time: Timestamp, json: &str) {
        let time = self.advance_to(time);
        // The watch itself reports objects that cannot be read.
        let decoded = self.decode(scope, time, Seen::Snapshot, json, false);
        let Some(observation) = decoded else { return };
        let routed = self.shared.router.backfill(scope, observation);
        self.enqueue(routed);
    }

    fn end_backfill(&mut self, scope: &str) {
        for backfill in self.shared.router.end_backfill(scope) {
            self.shared.changes.record(|| StoreOp::Backfilled(backfill));
        }
    }

    /// Processes an object that a source saw, as JSON.
    fn observe(&mut self, scope: &str, time: Timestamp, seen: Seen, json: &str) {
        let time = self.advance_to(time);
        let Some(observation) = self.decode(scope, time, seen, json, true) else { return };
        let object = observation.object.clone();
        self.watches.clear_suspect(scope, &object.meta.identity.uid);
        let partition = own_partition(&object);
        let router = &self.shared.router;
        // Only lagging rules need the earlier form.
        let (before, came) = match &partition {
            _ if !self.rules.iter().any(|rule| rule.is_lagging()) => (None, false),
            None => (router.last_known(&object.meta.identity), false),
            Some(partition) => {
                let came = !router.knows_partition(partition);
                (router.last_known(&object.meta.identity), came)
            }
        };
        match self.shared.router.route(scope, observation) {
            Routing::News(events) => {
                let exists = self.shared.router.last_known(&object.meta.identity).is_some();
                self.enqueue(events);
                self.enqueue_for_all(Entry::Known { object, exists, before, time });
                let Some(partition) = partition else { return };
                // A node may have been created again under the same name.
                match (seen, self.shared.router.knows_partition(&partition)) {
                    (_, true) if came => self.enqueue_for_all(Entry::Came(partition, time)),
                    (Seen::Deleted, false) => self.enqueue_for_all(Entry::Went(partition, time)),
                    (Seen::Outside, false) => {
                        self.enqueue_for_all(Entry::Unfollowed(partition, time));
                    }
                    _ => {}
                }
            }
            Routing::Repeated => self.shared.counts.repeated += 1,
            Routing::Unknown => self.shared.counts.unknown += 1,
        }
    }

    /// Decodes an object that some rule may want. If it cannot be decoded it is quarantined and, with `notes`, the
    /// router records that the object exists.
    fn decode(
        &mut self,
        scope: &str,
        time: Timestamp,
        seen: Seen,
        json: &str,
        notes: bool,
    ) -> Option<Observation> {
        self.shared.counts.observed += 1;
        self.pulse.works("normalizing an object");
        let router = &mut self.shared.router;
        let (object, digest) = match decode(router, &self.wanted, scope, seen, json, notes) {
            Decoded::Object(object) => {
                (object, if router.uses_journal() { digest(json) } else { 0 })
            }
            Decoded::Ignored => {
                self.shared.counts.ignored += 1;
                return None;
            }
            Decoded::Undecodable { reason, deleted } => {
                self.shared.counts.undecodable += 1;
                let (scope, json) = (scope.to_owned(), json.to_owned());
                let quarantined = QuarantinedObject { time, scope, reason, json };
                self.shared.output.quarantine.push(quarantined);
                (deleted?, 0)
            }
        };
        Some(Observation { time, seen, object, digest })
    }
}

/// Returns a hash of an object that is the same for a watch and a list: a watch puts the kind first, a list leaves
/// it out, and both write the rest alike.
fn digest(json: &str) -> u64 {
    let from = json.find("\"metadata\"").unwrap_or(0);
    let text = json.get(from..).unwrap_or(json).trim_end();
    let hash = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    // The values 0 and 1 are reserved.
    u64::from_le_bytes(first).max(2)
}
