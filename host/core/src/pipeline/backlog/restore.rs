//! Restore of backlogs after a restart: a rule processes its backlog before anything newer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pipeline::Pipeline;
use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, Queued, unique};
use klaxon_model::{BacklogEntry, Change, Event, StoreOp};

impl Pipeline {
    /// Restores the backlogs that the last run stored, in order.
    pub(in crate::pipeline) fn restore_backlogs(&mut self, backlog: Vec<BacklogEntry>) {
        let mut foreign: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let last = backlog.iter().map(|row| row.number).max();
        self.next_row = self.next_row.max(last.map_or(1, |last| last + 1));
        for row in backlog {
            match self.rules.iter().position(|rule| rule.loaded.name == row.rule) {
                Some(rule) => self.restore_row(rule, row),
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

    fn restore_row(&mut self, rule: usize, row: BacklogEntry) {
        let number = row.number;
        let (stored, bytes) = match PersistedEntry::unpack(&row.entry) {
            Ok(unpacked) => unpacked,
            Err(error) => {
                tracing::error!(rule = %row.rule, number, %error, "an entry of the backlog cannot be read: it stays in the journal");
                return;
            }
        };
        // The first row of a rule has the rule's position.
        if !self.is_lagging(rule) {
            let (is_suspended, suspension_row) = match &stored {
                PersistedEntry::Suspended { is_suspended, is_so: true, .. } => {
                    (*is_suspended, number)
                }
                _ => (false, self.new_row()),
            };
            if let Some(rule) = self.rules.get_mut(rule) {
                rule.backlog = Some(Box::new(Backlog::new(row.time, is_suspended, suspension_row)));
            }
        }
        let entry = match stored {
            PersistedEntry::Suspended { is_suspended, is_so: true, time } => {
                if let Some(backlog) = self.backlog_mut(rule) {
                    (backlog.suspension_row, backlog.now, backlog.will_be_suspended) =
                        (number, time, is_suspended);
                    backlog.set_suspended(is_suspended, time);
                }
                return;
            }
            PersistedEntry::Known { object, exists, is_so: true, .. } => {
                if let Some(backlog) = self.backlog_mut(rule) {
                    let form = exists.then(|| object.clone());
                    backlog.forms.insert(unique(&object), (number, form));
                }
                return;
            }
            PersistedEntry::Suspended { is_suspended, time, .. } => {
                Entry::Suspended(is_suspended, time)
            }
            PersistedEntry::Known { object, exists, time, .. } => {
                Entry::Known { object, exists, before: None, time }
            }
            PersistedEntry::Came(partition, time) => Entry::Came(partition, time),
            PersistedEntry::Went(partition, time) => Entry::Went(partition, time),
            PersistedEntry::Unfollowed(partition, time) => Entry::Unfollowed(partition, time),
            stored @ PersistedEntry::Ask { .. } => match self.restore_event(rule, number, stored) {
                Some(entry) => entry,
                None => return,
            },
        };
        let bytes = bytes + entry.more_bytes();
        let queued = Queued { row: Some(number), bytes, entry };
        let is_timer = queued.entry.is_timer();
        if let Entry::Ask(event) = &queued.entry
            && is_timer
        {
            self.timers.note(rule, &event.object.meta.identity.unique());
        }
        match self.backlog_mut(rule) {
            Some(backlog) if is_timer => backlog.push_fired(queued),
            Some(backlog) => backlog.push(queued),
            None => {}
        }
    }

    /// Returns an event as the rule would see it now. An event of an interest that the rule no longer has is
    /// skipped.
    fn restore_event(&mut self, rule: usize, number: i64, stored: PersistedEntry) -> Option<Entry> {
        let PersistedEntry::Ask {
            id,
            time,
            change,
            gap,
            interest,
            timer,
            object,
            delta,
            partition,
        } = stored
        else {
            return None;
        };
        let place = self.router.find_interest(rule, &interest);
        let event = Arc::new(Event {
            id,
            origin: self.origin.clone(),
            time,
            change,
            gap,
            interest: place.unwrap_or(0),
            timer,
            fields: place
                .map_or_else(|| Ok(Vec::new()), |at| self.router.fields(rule, at, &object, change)),
            object,
            delta,
            partition,
        });
        // A timer fires even without its interest, like a timer that had not fired before the restart.
        if place.is_none() && change != Change::Timer {
            let message = format!(
                "the event was in the backlog for the rule's interest {interest:?}, which it has no longer"
            );
            self.skip(rule, &event, message);
            self.store(|| StoreOp::NoBacklog(number));
            return None;
        }
        Some(Entry::Ask(event))
    }
}
