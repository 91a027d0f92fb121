//! Support for a live source beyond a replay: named watches, the restore of the last run, and the suspension of
//! timers until the watches that feed their rules are in sync.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::backlog::entry::Entry;
use super::{MemoryState, Pipeline, UNKNOWN_OBJECT_MS};
use crate::route::{Need, own_partition};
use klaxon_model::{
    Backfill, BacklogEntry, Coverage, Id, ListStart, Object, PersistedIncident, PersistedObject,
    PersistedState, PersistedTimer, Seen, Slot, SlotKind, SourceEvent, StoreOp, Timestamp,
};

/// Reads the last known form of an object from the journal, by uid.
pub type ReadForm = Box<dyn FnMut(&str) -> Option<Object> + Send>;

/// The watches that feed the rules.
#[derive(Default)]
pub(super) struct Watching {
    /// The rules that each watch feeds, by the watch's name.
    fed: HashMap<Arc<str>, Vec<usize>>,
    covers: Vec<Coverage>,
    /// Watches that are not in sync.
    out_of_sync: HashSet<Arc<str>>,
    forms: Option<ReadForm>,
    /// Known objects that were missing from a list of everything that exists, by watch: the watch must report their
    /// deletion.
    suspects: BTreeMap<Arc<str>, HashSet<Arc<str>>>,
    /// Rules, by name, that are backfilled again with the objects that a watch covers: their earlier view of those
    /// objects does not count.
    renewed: Vec<(Coverage, Arc<str>)>,
}

impl Watching {
    /// Returns `true` if a watch that feeds a rule is out of sync.
    pub(super) fn holds(&self, rule: usize) -> bool {
        self.out_of_sync.iter().any(|scope| self.feeds(scope, rule))
    }

    /// Returns `true` if a stream or watch feeds a rule; a recorded stream may feed any rule.
    pub(super) fn feeds(&self, scope: &str, rule: usize) -> bool {
        self.fed.get(scope).is_none_or(|rules| rules.contains(&rule))
    }

    /// Clears the suspicion against an object, after its watch reported something about it.
    pub(super) fn hear_of(&mut self, scope: &str, uid: &str) {
        if let Some(suspects) = self.suspects.get_mut(scope) {
            suspects.remove(uid);
        }
    }

    pub(super) fn form(&mut self, uid: &str) -> Option<Arc<Object>> {
        self.forms.as_mut()?(uid).map(Arc::new)
    }
}

/// The data that the last run stored.
#[derive(Debug, Default)]
pub struct Persisted {
    /// Known objects.
    pub objects: Vec<PersistedObject>,
    /// Timers.
    pub timers: Vec<PersistedTimer>,
    /// State of the rules, of all state versions.
    pub state: Vec<PersistedState>,
    /// Times at which the state of partitions expires.
    pub expiries: Vec<(Slot, Timestamp)>,
    /// Backlogs of lagging rules.
    pub backlog: Vec<BacklogEntry>,
    /// Incidents of the policy.
    pub incidents: Vec<PersistedIncident>,
    /// Backfills, complete or not.
    pub backfills: Vec<Backfill>,
    /// The number of the revision epoch.
    pub history: u64,
    /// The number of comparisons so far.
    pub comparisons: u32,
    /// The time of the event clock, which does not go back over a restart.
    pub now: Option<Timestamp>,
}

impl Pipeline {
    /// Adds the changes that a restart must know to every output from now on; `forms` reads the last known forms of
    /// objects from the journal.
    pub fn use_journal(&mut self, forms: ReadForm) {
        self.router.use_journal();
        self.incidents.use_journal();
        self.watching.forms = Some(forms);
    }

    pub(super) fn store(&mut self, what: impl FnOnce() -> StoreOp) {
        if self.router.uses_journal() {
            self.output.ops.push(what());
        }
    }

    /// Removes the change that was added to the output last.
    pub(super) fn unstore(&mut self) {
        if self.router.uses_journal() {
            self.output.ops.pop();
        }
    }

    /// Records that a timer is gone. The form of its object may not be needed any longer.
    pub(super) fn forget_timer(&mut self, rule: usize, timer: PersistedTimer) {
        self.router.touch(&timer.object);
        self.drop_form(rule, &timer.object.meta.identity.unique());
        self.store(|| StoreOp::NoTimer(timer.slot, timer.key));
    }

    /// Returns the watches that the rules need.
    pub fn needs(&self) -> Vec<Need> {
        self.router.needs()
    }

    /// Returns `true` if any object that a watch covers is known.
    pub fn knows_any(&self, coverage: &Coverage) -> bool {
        self.router.knows_any(coverage)
    }

    /// Returns the time of the event clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn rule_name(&self, rule: usize) -> Option<Arc<str>> {
        self.rules.get(rule).map(|rule| rule.loaded.name.clone())
    }

    /// Returns the number of known objects.
    pub fn known_objects(&self) -> usize {
        self.router.known_objects()
    }

    /// Continues where the last run stopped. Watches must be declared with [`Pipeline::follow`], and backfills
    /// planned with [`Pipeline::plan_backfills`], before.
    pub fn restore(&mut self, kept: Persisted, state: &MemoryState) {
        if let Some(now) = kept.now {
            self.now = self.now.max(now);
            self.incidents.not_before(now);
        }
        self.router.set_history(kept.history);
        self.router.set_comparisons(kept.comparisons);
        for one in kept.backfills {
            let is_planned = self.watching.fed.get(&one.scope).is_some_and(|rules| {
                rules.iter().any(|rule| self.rule_name(*rule).as_ref() == Some(&one.rule))
            });
            // If the rule is added again it is backfilled again; its memberships were not maintained.
            if !is_planned {
                self.store(|| StoreOp::NoBackfill(one.rule, one.scope));
            }
        }
        for object in kept.objects {
            self.restore_object(object);
        }
        let shared = kept.state.iter().filter(|one| one.kind == Some(SlotKind::Shared));
        let shared: HashSet<Slot> = shared.map(|one| one.slot.clone()).collect();
        for (slot, time) in kept.expiries {
            let is_shared = shared.contains(&slot);
            self.restore_expiry(slot, time, is_shared);
        }
        self.restore_state(kept.state, state);
        self.restore_backlogs(kept.backlog);
        self.incidents.restore(kept.incidents);
        for timer in kept.timers {
            self.restore_timer(timer);
        }
        self.note_suspensions();
    }

    fn restore_object(&mut self, object: PersistedObject) {
        // No watch covers the object any longer: its last known form would become outdated.
        if !self.watching.covers.iter().any(|coverage| coverage.has_kept(&object)) {
            self.store(|| StoreOp::NoObject(object.uid));
            return;
        }
        let renewed = &self.watching.renewed;
        let renewed: Vec<Arc<str>> = renewed
            .iter()
            .filter(|(coverage, _)| coverage.has_kept(&object))
            .map(|(_, rule)| rule.clone())
            .collect();
        self.router.restore(object, |rule| !renewed.iter().any(|name| **name == *rule));
    }

    /// Restores the expiry of a partition's state. State of a partition that many objects share does not expire with
    /// any of them, though an older version of the program may have stored the partition as an object's own.
    fn restore_expiry(&mut self, slot: Slot, time: Timestamp, is_shared: bool) {
        let rule = self.rules.iter().find(|rule| rule.loaded.name == slot.rule);
        let by_manifest = rule.and_then(|rule| rule.kind_of_old(&slot.partition));
        if is_shared || by_manifest == Some(SlotKind::Shared) {
            self.store(|| StoreOp::Expiry(slot, None));
        } else {
            self.expiries.set(time, &slot);
        }
    }

    fn restore_state(&mut self, kept: Vec<PersistedState>, state: &MemoryState) {
        let end = self.now.plus_millis(UNKNOWN_OBJECT_MS);
        for PersistedState { slot, kind, version, key, value, expires_at } in kept {
            let rule = self.rules.iter().find(|rule| rule.loaded.name == slot.rule);
            // If the owner of the partition is not known, its state stays until the rule writes it again.
            let kind = kind.or_else(|| rule?.kind_of_old(&slot.partition));
            // The end of the object was not seen, or the object is not followed any longer.
            let is_orphan = kind == Some(SlotKind::Object)
                && !self.router.knows_partition(&slot.partition)
                && !self.expiries.has(&slot);
            if is_orphan {
                self.expire_at(end, &slot);
            }
            // State of another state version stays in the journal, for the version of the rule that wrote it.
            let rule = self.rules.iter().find(|rule| rule.loaded.name == slot.rule);
            if rule.is_some_and(|rule| rule.loaded.manifest.state_version == version) {
                state.restore(slot, key, value, expires_at);
            }
        }
    }

    fn restore_timer(&mut self, timer: PersistedTimer) {
        let rule = self.rules.iter().position(|rule| rule.loaded.name == timer.slot.rule);
        let own = own_partition(&timer.object);
        let is_over = own
            .is_some_and(|own| own == timer.slot.partition && !self.router.knows_partition(&own));
        match rule {
            // A timer of a rule that is not configured stays in the journal.
            None => {}
            Some(rule) if is_over && !self.is_lagging(rule) => {
                self.store(|| StoreOp::NoTimer(timer.slot, timer.key));
            }
            Some(rule) => {
                // The timer may fire before the lagging rule comes to the end of the object, which may be queued
                // already.
                let partition = &timer.slot.partition;
                let hears = self.backlog(rule).is_some_and(|one| one.knows(partition).is_some());
                if is_over && !hears {
                    self.push_to_backlog(rule, Entry::Went(partition.clone(), self.now));
                }
                self.router.touch(&timer.object);
                // The limit was checked when the timer was set, and timers that fired since have only reduced their
                // number.
                self.timers.put(rule, timer);
            }
        }
    }

    /// Removes a watch of the last run that this run does not have.
    pub fn forget_watch(&mut self, name: &str) {
        self.store(|| StoreOp::NoWatch(name.to_owned()));
    }

    /// Declares a watch and the rules that it feeds. Their timers are suspended until the watch is in sync.
    pub fn follow(&mut self, scope: &Arc<str>, coverage: Coverage, rules: &[usize]) {
        self.watching.covers.push(coverage);
        self.watching.fed.insert(scope.clone(), rules.to_vec());
        self.watching.out_of_sync.insert(scope.clone());
    }

    /// Plans the backfills of new rules from a watch. Must be called for every watch before [`Pipeline::restore`].
    /// Returns `true` if the watch must list the existing objects for these rules.
    pub fn plan_backfills(
        &mut self,
        scope: &Arc<str>,
        coverage: &Coverage,
        need: &Need,
        before: &[Backfill],
    ) -> bool {
        let rules: Vec<(usize, Id)> = need
            .rules
            .iter()
            .filter_map(|rule| {
                let settings = &self.rules.get(*rule)?.loaded.settings;
                let digest = self.router.backfill_digest(*rule, settings, need.group(), &need.kind);
                Some((*rule, digest))
            })
            .collect();
        let planned = self.router.plan_backfills(scope, &rules, before);
        let must = !planned.is_empty();
        for backfill in planned {
            self.watching.renewed.push((coverage.clone(), backfill.rule.clone()));
            self.store(|| StoreOp::Backfilled(backfill));
        }
        must
    }

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
                self.begin_gap(scope, from, &reason);
            }
            SourceEvent::Object { seen, json, is_change } => {
                if is_change && self.router.in_gap(scope) {
                    self.end_list(scope, time);
                }
                self.observe(scope, time, seen, &json);
            }
            SourceEvent::Excluded { uid } => self.router.note_outside(scope, &uid),
            SourceEvent::ListCompleted { coverage } => {
                self.cover(scope, coverage);
                self.end_list(scope, time);
            }
            SourceEvent::Progress => {
                self.advance_to(time);
            }
            SourceEvent::BackfillObject(json) => self.backfill(scope, time, &json),
            SourceEvent::BackfillCompleted => self.end_backfill(scope),
            SourceEvent::Connected => self.in_sync(scope, true),
            SourceEvent::Disconnected => self.in_sync(scope, false),
            SourceEvent::NotServed { start, coverage } => {
                if let Some(start) = start {
                    self.advance_to(time);
                    self.begin_list(scope, start);
                    self.cover(scope, Some(coverage));
                    self.end_gap(scope, time);
                }
                self.in_sync(scope, true);
            }
        }
    }

    fn cover(&mut self, scope: &str, coverage: Option<Coverage>) {
        if let Some(coverage) = coverage {
            self.router.cover(scope, coverage);
        }
    }

    /// Marks a watch as in sync or out of sync.
    fn in_sync(&mut self, scope: &str, is_so: bool) {
        if is_so {
            self.watching.out_of_sync.remove(scope);
        } else if let Some((scope, _)) = self.watching.fed.get_key_value(scope) {
            self.watching.out_of_sync.insert(scope.clone());
        }
    }

    fn begin_list(&mut self, scope: &str, start: ListStart) {
        self.in_sync(scope, false);
        self.watching.suspects.remove(scope);
        match start {
            ListStart::First => {}
            ListStart::Compare { from, reason, telling, complete_at, is_other_history } => {
                self.compare(scope, from, &reason, telling, complete_at, is_other_history);
                if is_other_history {
                    let history = self.router.begin_history();
                    self.store(|| StoreOp::History(history));
                }
            }
        }
    }

    fn end_list(&mut self, scope: &str, time: Timestamp) {
        self.end_gap(scope, time);
        self.end_backfill(scope);
        self.in_sync(scope, true);
    }

    /// Processes an object of a list that is made only for rules that are being backfilled.
    fn backfill(&mut self, scope: &str, time: Timestamp, json: &str) {
        let time = self.advance_to(time);
        // The watch itself reports objects that cannot be read.
        let decoded = self.decode(scope, time, Seen::Snapshot, json, false);
        let Some(observation) = decoded else { return };
        let routed = self.router.backfill(scope, observation);
        self.enqueue(routed);
    }

    fn end_backfill(&mut self, scope: &str) {
        for backfill in self.router.end_backfill(scope) {
            self.store(|| StoreOp::Backfilled(backfill));
        }
    }

    /// Compares the uids and versions of all listed objects of a watch with the known objects, to check that a
    /// cursor still belongs to the cluster's revision epoch. Returns `true` if a known object was not listed; that
    /// object must be gone once the watch has come past the list.
    ///
    /// # Errors
    /// Describes the first object that contradicts the revision epoch.
    pub fn verify(
        &mut self,
        scope: &Arc<str>,
        coverage: &Coverage,
        cursor: u64,
        listed: &[(String, String)],
    ) -> Result<bool, String> {
        let odd = listed
            .iter()
            .find(|(uid, version)| !self.router.is_of_this_history(uid, version, cursor));
        if let Some((uid, version)) = odd {
            return Err(format!("object {uid} has version {version}, which was never seen"));
        }
        let listed: HashSet<&str> = listed.iter().map(|(uid, _)| uid.as_str()).collect();
        let mut missing = self.router.missing_from(coverage, &listed);
        // The end of a Kubernetes Event is not reported, regardless of its cause.
        if coverage.is_of_events() {
            missing.clear();
        }
        let has_suspects = !missing.is_empty();
        self.watching.suspects.insert(scope.clone(), missing);
        Ok(has_suspects)
    }

    /// Returns an object that the list of [`Pipeline::verify`] did not have and that is still known, now that the
    /// watch has come past that list: the object vanished without being deleted. `None` if there is no such object;
    /// the watch is then in sync.
    pub fn undeleted(&mut self, scope: &str) -> Option<Arc<str>> {
        let suspects = self.watching.suspects.remove(scope).unwrap_or_default();
        let undeleted = suspects.into_iter().find(|uid| self.router.knows_partition(uid));
        if undeleted.is_none() {
            self.in_sync(scope, true);
        }
        undeleted
    }

    /// Returns `true` if objects are known of a kind that is not served now; timers of the rules that the watch
    /// feeds are then suspended.
    pub fn suspend_unserved(&mut self, scope: &str, coverage: &Coverage) -> bool {
        let is_known = self.knows_any(coverage);
        if is_known {
            self.in_sync(scope, false);
        }
        is_known
    }
}

/// Returns a hash of an object that is the same for a watch and a list: a watch puts the kind first, a list leaves
/// it out, and both write the rest alike.
pub(super) fn digest(json: &str) -> u64 {
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
