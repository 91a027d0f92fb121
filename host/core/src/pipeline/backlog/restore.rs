//! Restore of backlogs after a restart: a rule processes its backlog before anything newer.

use std::sync::Arc;

use klaxon_model::{BacklogEntry, Change, Event};

use crate::pipeline::backlog::entry::{Entry, PersistedEntry};
use crate::pipeline::backlog::queue::{Backlog, Queued, unique};
use crate::pipeline::rule::RuleRuntime;
use crate::pipeline::shared::Shared;

impl RuleRuntime {
    /// Restores a row that the last run stored. Rows are restored in order.
    pub(in crate::pipeline) fn restore_row(&mut self, row: BacklogEntry, shared: &mut Shared) {
        let number = row.number;
        let (stored, bytes) = match PersistedEntry::unpack(&row.entry) {
            Ok(unpacked) => unpacked,
            Err(error) => {
                tracing::error!(rule = %row.rule, number, %error, "an entry of the backlog cannot be read: it stays in the journal");
                return;
            }
        };
        // The first row of a rule has the rule's position.
        if !self.is_lagging() {
            let (is_suspended, suspension_row) = match &stored {
                PersistedEntry::Suspended { is_suspended, is_so: true, .. } => {
                    (*is_suspended, number)
                }
                _ => (false, shared.changes.new_row()),
            };
            self.backlog = Some(Box::new(Backlog::new(row.time, is_suspended, suspension_row)));
        }
        let entry = match stored {
            PersistedEntry::Suspended { is_suspended, is_so: true, time } => {
                if let Some(backlog) = &mut self.backlog {
                    (backlog.suspension_row, backlog.now, backlog.will_be_suspended) =
                        (number, time, is_suspended);
                    backlog.set_suspended(is_suspended, time);
                }
                return;
            }
            PersistedEntry::Known { object, exists, is_so: true, .. } => {
                if let Some(backlog) = &mut self.backlog {
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
            stored @ PersistedEntry::Ask { .. } => match self.restore_event(number, stored, shared)
            {
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
            self.timers.note(&event.object.meta.identity.unique());
        }
        match &mut self.backlog {
            Some(backlog) if is_timer => backlog.push_fired(queued),
            Some(backlog) => backlog.push(queued),
            None => {}
        }
    }

    /// Returns an event as the rule would see it now. An event of an interest that the rule no longer has is
    /// skipped.
    fn restore_event(
        &self,
        number: i64,
        stored: PersistedEntry,
        shared: &mut Shared,
    ) -> Option<Entry> {
        let (rule, router) = (self.info.id, &shared.router);
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
        let place = router.find_interest(rule, &interest);
        let event = Arc::new(Event {
            id,
            origin: shared.origin.clone(),
            time,
            change,
            gap,
            interest: place.unwrap_or(0),
            timer,
            fields: place
                .map_or_else(|| Ok(Vec::new()), |at| router.fields(rule, at, &object, change)),
            object,
            delta,
            partition,
        });
        // A timer fires even without its interest, like a timer that had not fired before the restart.
        if place.is_none() && change != Change::Timer {
            let message = format!(
                "the event was in the backlog for the rule's interest {interest:?}, which it has no longer"
            );
            self.skip(&event, message, shared);
            shared.changes.remove_row(Some(number));
            return None;
        }
        Some(Entry::Ask(event))
    }
}
