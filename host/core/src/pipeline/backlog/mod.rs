//! Backlogs: entries for a lagging rule are queued, in memory and in the journal, until the rule comes to them.

mod catch_up;
pub(in crate::pipeline) mod entry;
mod overflow;
pub(in crate::pipeline) mod queue;
mod restore;
mod superseded;

use std::sync::Arc;

use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, Queued, unique};
use crate::pipeline::gaps::is_suspended;
use crate::pipeline::output::FailedEvent;
use crate::pipeline::{Pipeline, Rule};
use klaxon_model::{
    BacklogEntry, Event, Failure, FailureKind, Identity, Object, StoreOp, Timestamp,
};

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

impl Pipeline {
    pub(in crate::pipeline) fn is_lagging(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.backlog.is_some())
    }

    pub(in crate::pipeline) fn is_any_lagging(&self) -> bool {
        self.rules.iter().any(|rule| rule.backlog.is_some())
    }

    pub(in crate::pipeline) fn backlog(&self, rule: usize) -> Option<&Backlog> {
        self.rules.get(rule)?.backlog.as_deref()
    }

    pub(in crate::pipeline) fn backlog_mut(&mut self, rule: usize) -> Option<&mut Backlog> {
        self.rules.get_mut(rule)?.backlog.as_deref_mut()
    }

    /// Returns the backlog of each rule.
    pub fn backlogs(&self) -> Vec<RuleBacklog> {
        let backlog = self.rules.iter().map(|rule| {
            let backlog = rule.backlog.as_deref();
            RuleBacklog {
                rule: rule.loaded.name.clone(),
                events: backlog.map_or(0, Backlog::events),
                bytes: backlog.map_or(0, Backlog::bytes),
                oldest: backlog.and_then(Backlog::oldest),
                is_out_of_service: rule.breaker.open_until().is_some(),
            }
        });
        backlog.collect()
    }

    /// Returns `true` if intake must wait until a lagging rule has made progress.
    pub fn is_full(&self) -> bool {
        self.rules.iter().any(Rule::is_full)
    }

    /// Starts the backlog of a rule at a time: its entries are queued from now on.
    pub(in crate::pipeline) fn start_lagging(&mut self, rule: usize, time: Timestamp) {
        if self.is_lagging(rule) {
            return;
        }
        // Uses the suspension as of the clock's last move: later changes are queued after the first entry of the
        // backlog.
        let is_suspended = self.rules.get(rule).is_some_and(|rule| rule.is_suspended);
        let row = self.new_row();
        self.write_row(rule, row, &PersistedEntry::Suspended { is_suspended, time, is_so: true });
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.backlog = Some(Box::new(Backlog::new(time, is_suspended, row)));
        }
    }

    /// Ends the backlog of a rule that has processed all of it.
    pub(in crate::pipeline) fn stop_lagging(&mut self, rule: usize) {
        let backlog = self.rules.get_mut(rule).and_then(|rule| rule.backlog.take());
        for row in backlog.map(|backlog| backlog.rows()).unwrap_or_default() {
            self.store(|| StoreOp::NoBacklog(row));
        }
        self.suspend_policy(rule);
    }

    pub(in crate::pipeline) fn new_row(&mut self) -> i64 {
        let row = self.next_row;
        self.next_row += 1;
        row
    }

    /// Stores an entry in the journal. Returns its size before compression, in bytes.
    pub(in crate::pipeline) fn write_row(
        &mut self,
        rule: usize,
        number: i64,
        stored: &PersistedEntry,
    ) -> usize {
        let Some(name) = self.rules.get(rule).map(|rule| rule.loaded.name.clone()) else {
            return 0;
        };
        if !self.router.uses_journal() {
            return 0;
        }
        match stored.pack() {
            Ok((entry, bytes)) => {
                let time = stored.time();
                let backlog = BacklogEntry { number, rule: name, time, entry };
                self.store(|| StoreOp::Backlog(Box::new(backlog)));
                bytes
            }
            Err(error) => {
                tracing::error!(rule = %name, %error, "an entry of the backlog is in memory only: it is lost with the process");
                0
            }
        }
    }

    /// Appends an entry to the backlog of a rule.
    pub(in crate::pipeline) fn push_to_backlog(&mut self, rule: usize, entry: Entry) {
        if let Entry::Ask(event) = &entry
            && entry.is_timer()
        {
            return self.park_fired(rule, event.clone());
        }
        if let Entry::Known { object, before, exists, time } = &entry
            && !self.needs_form(rule, object, *exists, before.as_ref(), *time)
        {
            return;
        }
        let queued = self.write(rule, entry);
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.push(queued);
        }
    }

    /// Writes an entry to the journal.
    pub(in crate::pipeline) fn write(&mut self, rule: usize, entry: Entry) -> Queued {
        let row = self.new_row();
        let router = &self.router;
        let stored = PersistedEntry::of(&entry, |place| router.interest_name(rule, place));
        let bytes = self.write_row(rule, row, &stored);
        // Without a journal, as in a replay, nothing is skipped for lack of room.
        let bytes = if self.router.uses_journal() { bytes + entry.more_bytes() } else { bytes };
        Queued { row: Some(row), bytes, entry }
    }

    /// Records the failure of an event that the rule is not asked about.
    pub(in crate::pipeline) fn skip(&mut self, rule: usize, event: &Arc<Event>, message: String) {
        let Some(loaded) = self.rules.get(rule).map(|rule| rule.loaded.clone()) else { return };
        self.counts.failures += 1;
        let failure = Failure { kind: FailureKind::Skipped, message };
        self.output.failures.push(FailedEvent::new(&loaded, event, failure));
    }

    /// Returns `true` if a timer of a lagging rule may carry another form of the object than before. Stores the form
    /// before.
    fn needs_form(
        &mut self,
        rule: usize,
        object: &Arc<Object>,
        exists: bool,
        before: Option<&Arc<Object>>,
        time: Timestamp,
    ) -> bool {
        let uid = unique(object);
        let has_timer = self.timers.of_rule_concern(rule, &uid);
        let Some(backlog) = self.backlog(rule) else { return false };
        if !has_timer && !backlog.is_about(&uid) {
            return false;
        }
        if has_timer && !backlog.forms.contains_key(&uid) {
            self.set_form(rule, uid, before.unwrap_or(object), before.is_some(), time);
        }
        // The event queued before it has the same form.
        let said = self.backlog(rule).and_then(Backlog::back).is_some_and(
            |entry| matches!(entry, Entry::Ask(event) if exists && Arc::ptr_eq(&event.object, object)),
        );
        !said
    }

    /// Removes the form of an object at a lagging rule's position, unless a timer of the rule concerns the object.
    pub(in crate::pipeline) fn drop_form(&mut self, rule: usize, uid: &str) {
        if self.timers.of_rule_concern(rule, uid) {
            return;
        }
        let form = self.backlog_mut(rule).and_then(|backlog| backlog.forms.remove(uid));
        if let Some((row, _)) = form {
            self.store(|| StoreOp::NoBacklog(row));
        }
    }

    /// Stores the form of an object at a lagging rule's position in its backlog.
    pub(in crate::pipeline) fn set_form(
        &mut self,
        rule: usize,
        uid: String,
        object: &Arc<Object>,
        exists: bool,
        time: Timestamp,
    ) {
        let known =
            self.backlog(rule).and_then(|backlog| backlog.forms.get(&uid)).map(|form| form.0);
        let row = known.unwrap_or_else(|| self.new_row());
        let stored = PersistedEntry::Known { object: object.clone(), exists, time, is_so: true };
        self.write_row(rule, row, &stored);
        if let Some(backlog) = self.backlog_mut(rule) {
            backlog.forms.insert(uid, (row, exists.then(|| object.clone())));
        }
    }

    /// Returns the form of an object at a rule's position in its backlog, if that may differ from the latest known
    /// form. The inner `None` means that the object does not exist there.
    pub(in crate::pipeline) fn form_where_it_is(
        &self,
        rule: usize,
        identity: &Identity,
    ) -> Option<Option<Arc<Object>>> {
        let (_, form) = self.backlog(rule)?.forms.get(&*identity.unique())?;
        Some(form.clone())
    }

    /// Returns `true` if something happened that must be queued for lagging rules, or lets them continue, before the
    /// clock moves.
    pub(in crate::pipeline) fn has_news_for_lagging(&self, time: Timestamp) -> bool {
        (0..self.rules.len())
            .any(|rule| self.suspension_change(rule).is_some() || self.goes_on_by(rule, time))
    }

    fn suspension_change(&self, rule: usize) -> Option<bool> {
        let backlog = self.backlog(rule)?;
        let is_suspended = is_suspended(&self.watching, &self.open_gaps, rule);
        (backlog.will_be_suspended != is_suspended).then_some(is_suspended)
    }

    /// Returns `true` if the suspension of a rule has ended: events that were seen before are evaluated before the
    /// timers that are due.
    pub(in crate::pipeline) fn has_come_in_sync(&self) -> bool {
        let mut rules = self.rules.iter().enumerate();
        rules.any(|(number, rule)| {
            rule.is_suspended && !is_suspended(&self.watching, &self.open_gaps, number)
        })
    }

    /// Applies the suspensions as of a move of the clock to rules, lagging rules' backlogs and the policy.
    pub(in crate::pipeline) fn note_suspensions(&mut self) {
        for rule in 0..self.rules.len() {
            let is_suspended = is_suspended(&self.watching, &self.open_gaps, rule);
            if let Some(rule) = self.rules.get_mut(rule) {
                rule.is_suspended = is_suspended;
            }
            self.suspend_policy(rule);
            if let Some(is_suspended) = self.suspension_change(rule) {
                self.push_to_backlog(rule, Entry::Suspended(is_suspended, self.now));
            }
        }
    }

    /// Suspends incident timeouts while the rule is out of sync, now or at its position in its backlog: the event
    /// that resolves an incident may still be queued.
    pub(in crate::pipeline) fn suspend_policy(&mut self, rule: usize) {
        let is_suspended = self.rules.get(rule).is_some_and(|rule| {
            rule.is_suspended || rule.backlog.as_ref().is_some_and(|backlog| backlog.is_suspended())
        });
        self.incidents.set_suspended(rule, is_suspended);
    }
}
