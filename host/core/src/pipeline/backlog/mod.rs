//! Backlogs: entries for a lagging rule are queued, in memory and in the journal, until the rule comes to them.

mod catch_up;
pub(in crate::pipeline) mod entry;
mod overflow;
pub(in crate::pipeline) mod queue;
mod restore;
mod superseded;

use std::sync::Arc;

use klaxon_model::{Event, Failure, FailureKind, Identity, Object, Timestamp};

use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, Queued, unique};
use crate::pipeline::changes::Changes;
use crate::pipeline::rule::RuleRuntime;
use crate::pipeline::shared::Shared;

/// The backlog and the service state of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleBacklog {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// Number of queued events.
    pub events: usize,
    /// Size of the queued entries, in bytes.
    pub bytes: usize,
    /// Time of the first queued event.
    pub oldest: Option<Timestamp>,
    /// `true` if the rule is out of service.
    pub is_out_of_service: bool,
}

impl RuleRuntime {
    /// Returns the size of the rule's backlog.
    pub(in crate::pipeline) fn backlog_size(&self) -> RuleBacklog {
        let backlog = self.backlog.as_deref();
        RuleBacklog {
            rule: self.info.name.clone(),
            events: backlog.map_or(0, Backlog::events),
            bytes: backlog.map_or(0, Backlog::bytes),
            oldest: backlog.and_then(Backlog::oldest),
            is_out_of_service: self.breaker.open_until().is_some(),
        }
    }

    /// Returns the first entry of the backlog.
    pub(in crate::pipeline) fn first_queued(&self) -> Option<&Entry> {
        self.backlog.as_deref()?.front()
    }

    /// Returns `true` while the rule is being asked about the first entries of its backlog on its thread.
    pub(in crate::pipeline) fn is_asked(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.is_asked())
    }

    /// Starts the rule's backlog at a time: its entries are queued from now on.
    pub(in crate::pipeline) fn start_lagging(&mut self, time: Timestamp, changes: &mut Changes) {
        if self.is_lagging() {
            return;
        }
        // Uses the suspension as of the clock's last move: later changes are queued after the first entry of the
        // backlog.
        let is_suspended = self.is_suspended;
        let row = changes.new_row();
        self.backlog = Some(Box::new(Backlog::new(time, is_suspended, row)));
        self.store_position(changes);
    }

    /// Stores the rule's position in its backlog for a restart.
    pub(in crate::pipeline) fn store_position(&self, changes: &mut Changes) {
        let Some(backlog) = &self.backlog else { return };
        let (is_suspended, time) = (backlog.is_suspended(), backlog.now);
        let position = PersistedEntry::Suspended { is_suspended, time, is_so: true };
        changes.record_row(&self.info.name, backlog.suspension_row, &position);
    }

    /// Ends the backlog of a rule that has processed all of it.
    fn stop_lagging(&mut self, shared: &mut Shared) {
        let backlog = self.backlog.take();
        for row in backlog.map(|backlog| backlog.rows()).unwrap_or_default() {
            shared.changes.remove_row(Some(row));
        }
        self.suspend_policy(shared);
    }

    /// Appends an entry to the backlog.
    pub(in crate::pipeline) fn queue(&mut self, entry: Entry, shared: &mut Shared) {
        if let Entry::Ask(event) = &entry
            && entry.is_timer()
        {
            return self.queue_fired(event.clone(), shared);
        }
        if let Entry::Known { object, before, exists, time } = &entry
            && !self.needs_form(object, *exists, before.as_ref(), *time, &mut shared.changes)
        {
            return;
        }
        let queued = self.stored(entry, shared);
        if let Some(backlog) = &mut self.backlog {
            backlog.push(queued);
        }
    }

    /// Stores an entry in the journal.
    pub(in crate::pipeline) fn stored(&self, entry: Entry, shared: &mut Shared) -> Queued {
        let Shared { router, changes, .. } = shared;
        let row = changes.new_row();
        let stored = PersistedEntry::of(&entry, |at| router.interest_name(self.info.id, at));
        let bytes = changes.record_row(&self.info.name, row, &stored);
        // Without a journal, as in a replay, nothing is skipped for lack of room.
        let bytes = if changes.is_recording() { bytes + entry.more_bytes() } else { bytes };
        Queued { row: Some(row), bytes, entry }
    }

    /// Records the failure of an event that the rule is not asked about.
    pub(in crate::pipeline) fn skip(
        &self,
        event: &Arc<Event>,
        message: String,
        shared: &mut Shared,
    ) {
        self.fail(event, Failure { kind: FailureKind::Skipped, message }, shared);
    }

    /// Returns `true` if a timer of the rule may carry another form of the object than before. Stores the form before.
    fn needs_form(
        &mut self,
        object: &Arc<Object>,
        exists: bool,
        before: Option<&Arc<Object>>,
        time: Timestamp,
        changes: &mut Changes,
    ) -> bool {
        let uid = unique(object);
        let has_timer = self.timers.concern(&uid);
        let Some(backlog) = &self.backlog else { return false };
        if !has_timer && !backlog.is_about(&uid) {
            return false;
        }
        if has_timer && !backlog.forms.contains_key(&uid) {
            self.set_form(uid, before.unwrap_or(object), before.is_some(), time, changes);
        }
        // The event queued before it has the same form.
        let said = self.backlog.as_deref().and_then(Backlog::back).is_some_and(
            |entry| matches!(entry, Entry::Ask(event) if exists && Arc::ptr_eq(&event.object, object)),
        );
        !said
    }

    /// Removes the form of an object at the rule's position, unless a timer of the rule concerns the object.
    pub(in crate::pipeline) fn drop_form(&mut self, uid: &str, changes: &mut Changes) {
        if self.timers.concern(uid) {
            return;
        }
        let form = self.backlog.as_mut().and_then(|backlog| backlog.forms.remove(uid));
        changes.remove_row(form.map(|(row, _)| row));
    }

    /// Stores the form of an object at the rule's position in its backlog.
    pub(in crate::pipeline) fn set_form(
        &mut self,
        uid: String,
        object: &Arc<Object>,
        exists: bool,
        time: Timestamp,
        changes: &mut Changes,
    ) {
        let known = self.backlog.as_ref().and_then(|backlog| backlog.forms.get(&uid));
        let row = known.map_or_else(|| changes.new_row(), |(row, _)| *row);
        let stored = PersistedEntry::Known { object: object.clone(), exists, time, is_so: true };
        changes.record_row(&self.info.name, row, &stored);
        if let Some(backlog) = &mut self.backlog {
            backlog.forms.insert(uid, (row, exists.then(|| object.clone())));
        }
    }

    /// Returns the form of an object at the rule's position in its backlog, if that may differ from the latest known
    /// form. The inner `None` means that the object does not exist there.
    pub(in crate::pipeline) fn form_at_position(
        &self,
        identity: &Identity,
    ) -> Option<Option<Arc<Object>>> {
        let (_, form) = self.backlog.as_ref()?.forms.get(&*identity.unique())?;
        Some(form.clone())
    }
}
