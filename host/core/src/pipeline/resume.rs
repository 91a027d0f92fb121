//! Resumption: continues where the last run stopped, from what the journal stored.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use klaxon_model::{
    Backfill, BacklogEntry, Coverage, Id, PersistedIncident, PersistedObject, PersistedState,
    PersistedTimer, RuleId, Slot, SlotKind, StoreOp, Timestamp,
};

use super::backlog::entry::Entry;
use super::rule::kind_of_old;
use super::{MemoryState, Pipeline, ReadForm, UNKNOWN_OBJECT_MS};
use crate::route::own_partition;

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
    /// Names of watches with progress in the journal.
    pub watches: Vec<Arc<str>>,
}

/// A watch of this run.
#[derive(Debug)]
pub struct WatchSetup<'a> {
    /// Its name.
    pub scope: &'a Arc<str>,
    /// The objects that it covers.
    pub coverage: Coverage,
    /// The rules that it feeds.
    pub rules: &'a [RuleId],
    /// `true` if rules that are new to the watch get its existing objects. A recorded stream has no list to take them
    /// from.
    pub backfills: bool,
}

impl Pipeline {
    /// Records the changes that a restart must know in every output from now on, and continues where the last run
    /// stopped. `forms` reads the last known forms of objects from the journal. The rules that a watch feeds are
    /// suspended until the watch is in sync.
    ///
    /// Returns for each watch if it must list the existing objects, because it feeds rules that are backfilled.
    pub fn resume(
        &mut self,
        watches: &[WatchSetup<'_>],
        persisted: Persisted,
        state: &MemoryState,
        forms: ReadForm,
    ) -> Vec<bool> {
        self.shared.router.use_journal();
        self.shared.incidents.use_journal();
        self.shared.changes.use_journal();
        self.watches.use_journal(forms);
        let before = &persisted.backfills;
        let must_list = watches.iter().map(|watch| self.add_watch(watch, before)).collect();
        for name in &persisted.watches {
            if watches.iter().all(|watch| watch.scope != name) {
                self.shared.changes.record(|| StoreOp::NoWatch(name.to_string()));
            }
        }
        self.restore(persisted, state);
        must_list
    }

    /// Adds a watch and plans the backfills of its new rules. Returns `true` if there are any.
    fn add_watch(&mut self, watch: &WatchSetup<'_>, before: &[Backfill]) -> bool {
        let WatchSetup { scope, coverage, rules, backfills } = watch;
        self.watches.add(scope, coverage.clone(), rules);
        if !backfills {
            return false;
        }
        let router = &mut self.shared.router;
        let digest = |rule: &RuleId| -> (RuleId, Id) {
            let settings = &self.rules[*rule].info.settings;
            (*rule, router.backfill_digest(*rule, settings, &coverage.group, &coverage.kind))
        };
        let rules: Vec<(RuleId, Id)> = rules.iter().map(digest).collect();
        let planned = router.plan_backfills(scope, &rules, before);
        let must_list = !planned.is_empty();
        for backfill in planned {
            self.watches.renew(coverage.clone(), backfill.rule.clone());
            self.shared.changes.record(|| StoreOp::Backfilled(backfill));
        }
        must_list
    }

    fn restore(&mut self, persisted: Persisted, state: &MemoryState) {
        if let Some(now) = persisted.now {
            self.shared.now = self.shared.now.max(now);
            self.shared.incidents.not_before(now);
        }
        self.shared.router.set_epoch(persisted.history);
        self.shared.router.set_comparisons(persisted.comparisons);
        for one in persisted.backfills {
            let fed = self.watches.fed_by(&one.scope);
            let is_planned = fed.iter().any(|rule| *self.rules[*rule].name() == one.rule);
            // If the rule is added again it is backfilled again; its memberships were not maintained.
            if !is_planned {
                self.shared.changes.record(|| StoreOp::NoBackfill(one.rule, one.scope));
            }
        }
        for object in persisted.objects {
            self.restore_object(object);
        }
        let shared = persisted.state.iter().filter(|one| one.kind == Some(SlotKind::Shared));
        let shared: HashSet<Slot> = shared.map(|one| one.slot.clone()).collect();
        for (slot, time) in persisted.expiries {
            let is_shared = shared.contains(&slot);
            self.restore_expiry(slot, time, is_shared);
        }
        self.restore_state(persisted.state, state);
        self.restore_backlogs(persisted.backlog);
        self.shared.incidents.restore(persisted.incidents);
        for timer in persisted.timers {
            self.restore_timer(timer);
        }
        self.apply_suspensions();
    }

    fn restore_object(&mut self, object: PersistedObject) {
        // No watch covers the object any longer: its last known form would become outdated.
        if !self.watches.cover(&object) {
            self.shared.changes.record(|| StoreOp::NoObject(object.uid));
            return;
        }
        let renewed = self.watches.renewed_with(&object);
        let keeps = |rule: &str| !renewed.iter().any(|name| **name == *rule);
        self.shared.router.restore(object, keeps);
    }

    /// Restores the expiry of a partition's state. State of a partition that many objects share does not expire with
    /// any of them, though an older version of the program may have stored the partition as an object's own.
    fn restore_expiry(&mut self, slot: Slot, time: Timestamp, is_shared: bool) {
        let rule = self.rules.named(&slot.rule);
        let by_manifest = rule.and_then(|rule| kind_of_old(&rule.info, &slot.partition));
        if is_shared || by_manifest == Some(SlotKind::Shared) {
            self.shared.changes.record(|| StoreOp::Expiry(slot, None));
        } else {
            self.shared.state.restore_expiry(time, &slot);
        }
    }

    fn restore_state(&mut self, persisted: Vec<PersistedState>, state: &MemoryState) {
        let end = self.shared.now.plus_millis(UNKNOWN_OBJECT_MS);
        for PersistedState { slot, kind, version, key, value, expires_at } in persisted {
            let rule = self.rules.named(&slot.rule);
            // If the owner of the partition is not known, its state stays until the rule writes it again.
            let kind = kind.or_else(|| kind_of_old(&rule?.info, &slot.partition));
            // The end of the object was not seen, or the object is not followed any longer.
            let is_orphan = kind == Some(SlotKind::Object)
                && !self.shared.router.knows_partition(&slot.partition)
                && !self.shared.state.expires(&slot);
            if is_orphan {
                self.shared.state.expire_at(end, &slot, &mut self.shared.changes);
            }
            // State of another state version stays in the journal, for the version of the rule that wrote it.
            if rule.is_some_and(|rule| rule.info.manifest.state_version == version) {
                state.restore(slot, key, value, expires_at);
            }
        }
    }

    fn restore_backlogs(&mut self, backlog: Vec<BacklogEntry>) {
        let mut foreign: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        if let Some(last) = backlog.iter().map(|row| row.number).max() {
            self.shared.changes.continue_after(last);
        }
        for row in backlog {
            match self.rules.id_of(&row.rule) {
                Some(rule) => self.rules[rule].restore_row(row, &mut self.shared),
                None => *foreign.entry(row.rule).or_default() += 1,
            }
        }
        for (rule, rows) in foreign {
            tracing::warn!(
                %rule, rows,
                "events are in the backlog of a rule that is not configured: they stay there until it is"
            );
        }
    }

    fn restore_timer(&mut self, timer: PersistedTimer) {
        let own = own_partition(&timer.object);
        let is_over = own.is_some_and(|own| {
            own == timer.slot.partition && !self.shared.router.knows_partition(&own)
        });
        // A timer of a rule that is not configured stays in the journal.
        let Some(id) = self.rules.id_of(&timer.slot.rule) else { return };
        let (rule, shared) = (&mut self.rules[id], &mut self.shared);
        if is_over && !rule.is_lagging() {
            return shared.changes.record(|| StoreOp::NoTimer(timer.slot, timer.key));
        }
        // The timer may fire before the lagging rule comes to the end of the object, which may be queued already.
        let partition = &timer.slot.partition;
        let backlog = rule.backlog.as_ref();
        let is_queued = backlog.is_some_and(|backlog| backlog.knows(partition).is_some());
        if is_over && !is_queued {
            rule.queue(Entry::Went(partition.clone(), shared.now), shared);
        }
        shared.router.touch(&timer.object);
        // The limit was checked when the timer was set, and timers that fired since have only reduced their number.
        rule.timers.put(timer);
    }
}
