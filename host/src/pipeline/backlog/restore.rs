//! What was parked, after a restart: it goes on before anything newer for its rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Change, Event, Keep, Parked};
use crate::pipeline::Pipeline;
use crate::pipeline::backlog::entry::{Entry, Stored};
use crate::pipeline::backlog::queue::{Behind, Waiting, unique};

impl Pipeline {
    /// Takes up what the last run left waiting, in order.
    pub(in crate::pipeline) fn restore_parked(&mut self, parked: Vec<Parked>) {
        let mut foreign: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let last = parked.iter().map(|row| row.number).max();
        self.next_row = self.next_row.max(last.map_or(1, |last| last + 1));
        for row in parked {
            match self.rules.iter().position(|rule| rule.loaded.name == row.rule) {
                Some(rule) => self.restore_row(rule, row),
                None => *foreign.entry(row.rule).or_default() += 1,
            }
        }
        for (rule, rows) in foreign {
            tracing::warn!(
                %rule, rows,
                "events are parked for a rule that is not configured: they wait until it is"
            );
        }
    }

    fn restore_row(&mut self, rule: usize, row: Parked) {
        let number = row.number;
        let (stored, bytes) = match Stored::unpack(&row.entry) {
            Ok(unpacked) => unpacked,
            Err(fault) => {
                tracing::error!(rule = %row.rule, number, %fault, "what is parked cannot be read: it stays in the journal");
                return;
            }
        };
        // The first row of a rule says where it was.
        if !self.is_behind(rule) {
            let (is_held, held_row) = match &stored {
                Stored::Held { is_held, is_so: true, .. } => (*is_held, number),
                _ => (false, self.new_row()),
            };
            if let Some(rule) = self.rules.get_mut(rule) {
                rule.behind = Some(Box::new(Behind::new(row.time, is_held, held_row)));
            }
        }
        let entry = match stored {
            Stored::Held { is_held, is_so: true, time } => {
                if let Some(behind) = self.behind_mut(rule) {
                    (behind.held_row, behind.now, behind.will_be_held) = (number, time, is_held);
                    behind.set_held(is_held, time);
                }
                return;
            }
            Stored::Known { object, exists, is_so: true, .. } => {
                if let Some(behind) = self.behind_mut(rule) {
                    let form = exists.then(|| object.clone());
                    behind.forms.insert(unique(&object), (number, form));
                }
                return;
            }
            Stored::Held { is_held, time, .. } => Entry::Held(is_held, time),
            Stored::Known { object, exists, time, .. } => {
                Entry::Known { object, exists, before: None, time }
            }
            Stored::Came(partition, time) => Entry::Came(partition, time),
            Stored::Went(partition, time) => Entry::Went(partition, time),
            Stored::Unfollowed(partition, time) => Entry::Unfollowed(partition, time),
            stored @ Stored::Ask { .. } => match self.restore_event(rule, number, stored) {
                Some(entry) => entry,
                None => return,
            },
        };
        let bytes = bytes + entry.more_bytes();
        let waiting = Waiting { row: Some(number), bytes, entry };
        let is_timer = waiting.entry.is_timer();
        if let Entry::Ask(event) = &waiting.entry
            && is_timer
        {
            self.timers.note(rule, &event.object.meta.identity.unique());
        }
        match self.behind_mut(rule) {
            Some(behind) if is_timer => behind.push_fired(waiting),
            Some(behind) => behind.push(waiting),
            None => {}
        }
    }

    /// An event as the rule would see it today; set aside where the rule has no such interest any
    /// longer.
    fn restore_event(&mut self, rule: usize, number: i64, stored: Stored) -> Option<Entry> {
        let Stored::Ask { id, time, change, gap, interest, timer, object, delta, partition } =
            stored
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
        // A timer fires all the same, as one does that had not fired.
        if place.is_none() && change != Change::Timer {
            let message = format!(
                "the event was parked for the rule's interest {interest:?}, which it has no longer"
            );
            self.skip(rule, &event, message);
            self.keep(|| Keep::Unparked(number));
            return None;
        }
        Some(Entry::Ask(event))
    }
}
