//! Parking: what is for a rule that is behind waits, in memory and in the journal, until the rule comes
//! to it.

mod catch_up;
pub(in crate::pipeline) mod entry;
mod overflow;
pub(in crate::pipeline) mod queue;
mod restore;
mod superseded;

use std::sync::Arc;

use crate::model::{Event, Failure, FailureKind, Identity, Keep, Object, Parked, Timestamp};
use crate::pipeline::backlog::entry::{Entry, Stored};
use crate::pipeline::backlog::queue::{Behind, Waiting, unique};
use crate::pipeline::gaps::is_held;
use crate::pipeline::output::FailedEvent;
use crate::pipeline::{Pipeline, Rule};

/// How a rule is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRule {
    /// The rule's configured name.
    pub rule: Arc<str>,
    /// Events that wait for it.
    pub events: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The time of the first of them.
    pub oldest: Option<Timestamp>,
    /// Whether it is out of service.
    pub is_out_of_service: bool,
}

impl Pipeline {
    pub(in crate::pipeline) fn is_behind(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.behind.is_some())
    }

    pub(in crate::pipeline) fn is_any_behind(&self) -> bool {
        self.rules.iter().any(|rule| rule.behind.is_some())
    }

    pub(in crate::pipeline) fn behind(&self, rule: usize) -> Option<&Behind> {
        self.rules.get(rule)?.behind.as_deref()
    }

    pub(in crate::pipeline) fn behind_mut(&mut self, rule: usize) -> Option<&mut Behind> {
        self.rules.get_mut(rule)?.behind.as_deref_mut()
    }

    /// What waits for each rule.
    pub fn parked(&self) -> Vec<ParkedRule> {
        let parked = self.rules.iter().map(|rule| {
            let behind = rule.behind.as_deref();
            ParkedRule {
                rule: rule.loaded.name.clone(),
                events: behind.map_or(0, Behind::events),
                bytes: behind.map_or(0, Behind::bytes),
                oldest: behind.and_then(Behind::oldest),
                is_out_of_service: rule.breaker.open_until().is_some(),
            }
        });
        parked.collect()
    }

    /// Whether intake must wait until a rule that is behind has come on.
    pub fn is_full(&self) -> bool {
        self.rules.iter().any(Rule::is_full)
    }

    /// From here on what is for the rule waits.
    pub(in crate::pipeline) fn fall_behind(&mut self, rule: usize, time: Timestamp) {
        if self.is_behind(rule) {
            return;
        }
        // What happened since the clock last moved comes after what falls behind.
        let is_held = self.rules.get(rule).is_some_and(|rule| rule.is_held);
        let row = self.new_row();
        self.write_row(rule, row, &Stored::Held { is_held, time, is_so: true });
        if let Some(rule) = self.rules.get_mut(rule) {
            rule.behind = Some(Box::new(Behind::new(time, is_held, row)));
        }
    }

    /// The rule has come to all that was parked for it.
    pub(in crate::pipeline) fn fall_in(&mut self, rule: usize) {
        let behind = self.rules.get_mut(rule).and_then(|rule| rule.behind.take());
        for row in behind.map(|behind| behind.rows()).unwrap_or_default() {
            self.keep(|| Keep::Unparked(row));
        }
        self.hold_policy(rule);
    }

    pub(in crate::pipeline) fn new_row(&mut self) -> i64 {
        let row = self.next_row;
        self.next_row += 1;
        row
    }

    /// Keeps what waits in the journal; returns its size.
    pub(in crate::pipeline) fn write_row(
        &mut self,
        rule: usize,
        number: i64,
        stored: &Stored,
    ) -> usize {
        let Some(name) = self.rules.get(rule).map(|rule| rule.loaded.name.clone()) else {
            return 0;
        };
        if !self.router.keeps_in_journal() {
            return 0;
        }
        match stored.pack() {
            Ok((entry, bytes)) => {
                let time = stored.time();
                let parked = Parked { number, rule: name, time, entry };
                self.keep(|| Keep::Parked(Box::new(parked)));
                bytes
            }
            Err(fault) => {
                tracing::error!(rule = %name, %fault, "an event is parked in memory only: it is lost with the process");
                0
            }
        }
    }

    /// Puts an entry at the end of what waits for a rule.
    pub(in crate::pipeline) fn park(&mut self, rule: usize, entry: Entry) {
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
        let waiting = self.write(rule, entry);
        if let Some(behind) = self.behind_mut(rule) {
            behind.push(waiting);
        }
    }

    /// Writes an entry to the journal.
    pub(in crate::pipeline) fn write(&mut self, rule: usize, entry: Entry) -> Waiting {
        let row = self.new_row();
        let router = &self.router;
        let stored = Stored::of(&entry, |place| router.interest_name(rule, place));
        let bytes = self.write_row(rule, row, &stored) + entry.more_bytes();
        Waiting { row: Some(row), bytes, entry }
    }

    /// An event that the rule is not asked about.
    pub(in crate::pipeline) fn skip(&mut self, rule: usize, event: &Arc<Event>, message: String) {
        let Some(loaded) = self.rules.get(rule).map(|rule| rule.loaded.clone()) else { return };
        self.counts.failures += 1;
        let failure = Failure { kind: FailureKind::Skipped, message };
        self.step.failures.push(FailedEvent::new(&loaded, event, failure));
    }

    /// Whether a timer of a rule that is behind may carry another form of the object than before; what
    /// it was before is remembered.
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
        let Some(behind) = self.behind(rule) else { return false };
        if !has_timer && !behind.is_about(&uid) {
            return false;
        }
        if has_timer && !behind.forms.contains_key(&uid) {
            self.set_form(rule, uid, before.unwrap_or(object), before.is_some(), time);
        }
        // The event before it says the same.
        let said = self.behind(rule).and_then(Behind::back).is_some_and(
            |entry| matches!(entry, Entry::Ask(event) if exists && Arc::ptr_eq(&event.object, object)),
        );
        !said
    }

    /// What an object is like where the rule is, is of no use to it any longer.
    pub(in crate::pipeline) fn drop_form(&mut self, rule: usize, uid: &str) {
        if self.timers.of_rule_concern(rule, uid) {
            return;
        }
        let form = self.behind_mut(rule).and_then(|behind| behind.forms.remove(uid));
        if let Some((row, _)) = form {
            self.keep(|| Keep::Unparked(row));
        }
    }

    /// What an object is like where the rule is.
    pub(in crate::pipeline) fn set_form(
        &mut self,
        rule: usize,
        uid: String,
        object: &Arc<Object>,
        exists: bool,
        time: Timestamp,
    ) {
        let known = self.behind(rule).and_then(|behind| behind.forms.get(&uid)).map(|form| form.0);
        let row = known.unwrap_or_else(|| self.new_row());
        let stored = Stored::Known { object: object.clone(), exists, time, is_so: true };
        self.write_row(rule, row, &stored);
        if let Some(behind) = self.behind_mut(rule) {
            behind.forms.insert(uid, (row, exists.then(|| object.clone())));
        }
    }

    /// The form of an object where a rule is, if that is another matter than what is known now.
    pub(in crate::pipeline) fn form_where_it_is(
        &self,
        rule: usize,
        identity: &Identity,
    ) -> Option<Option<Arc<Object>>> {
        let (_, form) = self.behind(rule)?.forms.get(&*identity.unique())?;
        Some(form.clone())
    }

    /// Whether something has happened that rules which are behind must hear of before the clock moves.
    pub(in crate::pipeline) fn has_news_for_behind(&self, time: Timestamp) -> bool {
        (0..self.rules.len())
            .any(|rule| self.is_held_anew(rule).is_some() || self.goes_on_by(rule, time))
    }

    fn is_held_anew(&self, rule: usize) -> Option<bool> {
        let behind = self.behind(rule)?;
        let is_held = is_held(&self.watching, &self.open_gaps, rule);
        (behind.will_be_held != is_held).then_some(is_held)
    }

    /// Whether a rule is not held any longer: what was seen before comes before what was due.
    pub(in crate::pipeline) fn has_come_in_sync(&self) -> bool {
        let mut rules = self.rules.iter().enumerate();
        rules
            .any(|(number, rule)| rule.is_held && !is_held(&self.watching, &self.open_gaps, number))
    }

    /// The clock moves: tells rules that are behind, and the policy, whether timers are held from here on.
    pub(in crate::pipeline) fn note_holds(&mut self) {
        for rule in 0..self.rules.len() {
            let is_held = is_held(&self.watching, &self.open_gaps, rule);
            if let Some(rule) = self.rules.get_mut(rule) {
                rule.is_held = is_held;
            }
            self.hold_policy(rule);
            if let Some(is_held) = self.is_held_anew(rule) {
                self.park(rule, Entry::Held(is_held, self.now));
            }
        }
    }

    /// The policy waits while a rule is held, also where it is: what it was told meanwhile may be parked.
    pub(in crate::pipeline) fn hold_policy(&mut self, rule: usize) {
        let is_held = self.rules.get(rule).is_some_and(|rule| {
            rule.is_held || rule.behind.as_ref().is_some_and(|behind| behind.is_held())
        });
        self.incidents.set_held(rule, is_held);
    }
}
