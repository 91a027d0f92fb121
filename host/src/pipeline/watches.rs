//! What a live source needs of the pipeline beyond a replay: watches that are known by name, what was
//! kept from the last run, and timers that wait until the watches behind them are in sync.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::backlog::entry::Entry;
use super::{MemoryState, Pipeline, UNKNOWN_OBJECT_MS};
use crate::model::{
    Backfill, BacklogEntry, Coverage, Id, ListStart, Object, PersistedIncident, PersistedObject,
    PersistedState, PersistedTimer, Seen, Slot, SlotKind, SourceEvent, StoreOp, Timestamp,
};
use crate::route::{Need, own_partition};

/// Reads an object's last known form from the journal.
pub type ReadForm = Box<dyn FnMut(&str) -> Option<Object> + Send>;

/// The watches that feed the rules.
#[derive(Default)]
pub(super) struct Watching {
    /// Rules that a watch feeds, by its name.
    fed: HashMap<Arc<str>, Vec<usize>>,
    covers: Vec<Coverage>,
    /// Watches that are not in sync.
    out_of_sync: HashSet<Arc<str>>,
    forms: Option<ReadForm>,
    /// Known objects that a list of all that exists did not have, by watch: the watch must tell that
    /// they are gone.
    suspects: BTreeMap<Arc<str>, HashSet<Arc<str>>>,
    /// Rules, by name, that are backfilled anew to what a watch covers: what they saw of it before does
    /// not count.
    renewed: Vec<(Coverage, Arc<str>)>,
}

impl Watching {
    /// Whether something that feeds a rule is not in sync.
    pub(super) fn holds(&self, rule: usize) -> bool {
        self.out_of_sync.iter().any(|scope| self.feeds(scope, rule))
    }

    /// Whether a stream or watch feeds a rule; a stream may feed any.
    pub(super) fn feeds(&self, scope: &str, rule: usize) -> bool {
        self.fed.get(scope).is_none_or(|rules| rules.contains(&rule))
    }

    /// A watch tells something of an object: what it was suspected of is settled.
    pub(super) fn hear_of(&mut self, scope: &str, uid: &str) {
        if let Some(suspects) = self.suspects.get_mut(scope) {
            suspects.remove(uid);
        }
    }

    pub(super) fn form(&mut self, uid: &str) -> Option<Arc<Object>> {
        self.forms.as_mut()?(uid).map(Arc::new)
    }
}

/// What the last run left.
#[derive(Debug, Default)]
pub struct Persisted {
    /// Known objects.
    pub objects: Vec<PersistedObject>,
    /// Timers.
    pub timers: Vec<PersistedTimer>,
    /// Rules' state, of all its versions.
    pub state: Vec<PersistedState>,
    /// When partitions' state goes.
    pub expiries: Vec<(Slot, Timestamp)>,
    /// What waits for rules that were behind.
    pub backlog: Vec<BacklogEntry>,
    /// What the policy remembers.
    pub incidents: Vec<PersistedIncident>,
    /// Introductions, complete or not.
    pub backfills: Vec<Backfill>,
    /// The number of the history.
    pub history: u64,
    /// The number of comparisons so far.
    pub comparisons: u32,
    /// The event clock: time does not go back over a restart.
    pub now: Option<Timestamp>,
}

impl Pipeline {
    /// From now on steps say what a restart must know; `forms` reads what they said.
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

    /// Takes back what was said last.
    pub(super) fn unstore(&mut self) {
        if self.router.uses_journal() {
            self.output.ops.pop();
        }
    }

    /// A timer is gone; its object's form may be needed no longer.
    pub(super) fn forget_timer(&mut self, rule: usize, timer: PersistedTimer) {
        self.router.touch(&timer.object);
        self.drop_form(rule, &timer.object.meta.identity.unique());
        self.store(|| StoreOp::NoTimer(timer.slot, timer.key));
    }

    /// What must be watched for the rules.
    pub fn needs(&self) -> Vec<Need> {
        self.router.needs()
    }

    /// Whether any object is known of what a watch covers.
    pub fn knows_any(&self, coverage: &Coverage) -> bool {
        self.router.knows_any(coverage)
    }

    /// The event clock.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    fn rule_name(&self, rule: usize) -> Option<Arc<str>> {
        self.rules.get(rule).map(|rule| rule.loaded.name.clone())
    }

    /// How many objects are known.
    pub fn known_objects(&self) -> usize {
        self.router.known_objects()
    }

    /// Goes on where the last run stopped. Watches are declared with [`Pipeline::follow`], and
    /// backfills planned, before.
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
            // Should it come back it is new: nobody kept its view of what happened meanwhile.
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
        // Nobody follows it any longer: what is known of it would grow old.
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

    /// A partition that many objects share does not go with any of them, though an older version of the
    /// program may have taken it for an object's own.
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
            // Where it is not known whose the partition is, its state stays until the rule writes it again.
            let kind = kind.or_else(|| rule?.kind_of_old(&slot.partition));
            // Its object's end was not seen, or it is not followed any longer.
            let is_orphan = kind == Some(SlotKind::Object)
                && !self.router.knows_partition(&slot.partition)
                && !self.expiries.has(&slot);
            if is_orphan {
                self.expire_at(end, &slot);
            }
            // Another version of the rule finds its own when it is back.
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
                // It may fire before the rule comes to its end, which it may be about to hear of.
                let partition = &timer.slot.partition;
                let hears = self.backlog(rule).is_some_and(|one| one.knows(partition).is_some());
                if is_over && !hears {
                    self.push_to_backlog(rule, Entry::Went(partition.clone(), self.now));
                }
                self.router.touch(&timer.object);
                // There was room when it was set, and those that fired since have made more of it.
                self.timers.put(rule, timer);
            }
        }
    }

    /// A watch that was kept in the last run is none of this one's.
    pub fn forget_watch(&mut self, name: &str) {
        self.store(|| StoreOp::NoWatch(name.to_owned()));
    }

    /// Declares a watch and the rules that it feeds; until [`Pipeline::in_sync`] their timers wait.
    pub fn follow(&mut self, scope: &Arc<str>, coverage: Coverage, rules: &[usize]) {
        self.watching.covers.push(coverage);
        self.watching.fed.insert(scope.clone(), rules.to_vec());
        self.watching.out_of_sync.insert(scope.clone());
    }

    /// Plans what new rules get from a watch; to be done for every watch before
    /// [`Pipeline::restore`]. Returns whether it must list what exists for them.
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

    /// Takes one event of a source. `scope` names its watch or stream; times of one source never go back.
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

    /// Takes an object of a list that is made only for rules that are being backfilled.
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

    /// Compares the metadata of all that a watch covers with what is known, to see whether a cursor
    /// still belongs to the cluster's history. Returns whether anything that is known was not listed;
    /// it must be gone once the watch has come past the list.
    ///
    /// # Errors
    /// The first object that says that it does not.
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
        // The end of a Kubernetes Event is no news, however it came.
        if coverage.is_of_events() {
            missing.clear();
        }
        let has_suspects = !missing.is_empty();
        self.watching.suspects.insert(scope.clone(), missing);
        Ok(has_suspects)
    }

    /// Returns an object that the list of [`Pipeline::verify`] did not have and that is known all the same, now
    /// that the watch has come past that list: it vanished without being deleted. Without one, the watch is in sync.
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
    pub fn is_unserved(&mut self, scope: &str, coverage: &Coverage) -> bool {
        let is_known = self.knows_any(coverage);
        if is_known {
            self.in_sync(scope, false);
        }
        is_known
    }
}

/// Hash of what an object is, whichever way it came: a watch puts its kind first, a list leaves it
/// out, and both write the rest alike.
pub(super) fn digest(json: &str) -> u64 {
    let from = json.find("\"metadata\"").unwrap_or(0);
    let text = json.get(from..).unwrap_or(json).trim_end();
    let hash = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    // The first two have a meaning of their own.
    u64::from_le_bytes(first).max(2)
}
