//! What waits for a rule that is behind, and where it is on its own timeline.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::engine::Dedicated;
use crate::model::{Event, Object, Timestamp};
use crate::pipeline::ROUND_MS;
use crate::pipeline::backlog::entry::Entry;
use crate::pipeline::backlog::superseded::Superseded;

/// An entry that waits.
#[derive(Debug)]
pub(in crate::pipeline) struct Queued {
    /// Its row in the journal; none: a timer that has fired and is there as a timer.
    pub(in crate::pipeline) row: Option<i64>,
    pub(in crate::pipeline) bytes: usize,
    pub(in crate::pipeline) entry: Entry,
}

/// A rule that is behind.
pub(in crate::pipeline) struct Backlog {
    /// Timers that have fired: they come before everything else.
    fired: VecDeque<Queued>,
    /// Everything else, by its number in the order of arrival.
    queue: BTreeMap<u64, Queued>,
    next_number: u64,
    /// The events of each object in the queue, and which of them a later one follows.
    superseded: Superseded,
    /// The rule's own clock: the time of what it came to last.
    pub(in crate::pipeline) now: Timestamp,
    /// Since when its timers are held, where it is; and whether they will be after all that waits.
    pub(in crate::pipeline) suspended_since: Option<Timestamp>,
    pub(in crate::pipeline) will_be_suspended: bool,
    pub(in crate::pipeline) suspension_row: i64,
    /// Forms of objects where the rule is, with their rows, for those that timers concern and that
    /// have changed since it fell behind; none: only the identity is known.
    pub(in crate::pipeline) forms: HashMap<String, (i64, Option<Arc<Object>>)>,
    /// What will be heard of the object of a partition: it came, or it went.
    existence: HashMap<Arc<str>, VecDeque<bool>>,
    /// Keys of timers that have fired and that the journal has as timers only, by partition.
    fired_keys: HashMap<Arc<str>, HashSet<String>>,
    bytes: usize,
    events: usize,
    /// It is not to go on by itself.
    pub(in crate::pipeline) stays: bool,
    /// Its own thread, where it has one.
    pub(in crate::pipeline) dedicated: Option<Dedicated>,
}

impl Backlog {
    pub(in crate::pipeline) fn new(
        now: Timestamp,
        is_suspended: bool,
        suspension_row: i64,
    ) -> Self {
        Self {
            fired: VecDeque::new(),
            queue: BTreeMap::new(),
            next_number: 0,
            superseded: Superseded::default(),
            now,
            suspended_since: is_suspended.then_some(now),
            will_be_suspended: is_suspended,
            suspension_row,
            forms: HashMap::new(),
            existence: HashMap::new(),
            bytes: 0,
            events: 0,
            fired_keys: HashMap::new(),
            stays: false,
            dedicated: None,
        }
    }

    /// Whether its timers are held, where it is.
    pub(in crate::pipeline) fn is_suspended(&self) -> bool {
        self.suspended_since.is_some()
    }

    /// It comes to where its timers are held, or are not any longer.
    pub(in crate::pipeline) fn set_suspended(&mut self, is_suspended: bool, time: Timestamp) {
        self.suspended_since = is_suspended.then(|| self.suspended_since.unwrap_or(time));
    }

    /// Whether it is being asked about what comes first.
    pub(in crate::pipeline) fn is_asked(&self) -> bool {
        self.dedicated.as_ref().is_some_and(Dedicated::is_asked)
    }

    /// Puts anything but a timer that fired at the end.
    pub(in crate::pipeline) fn push(&mut self, queued: Queued) {
        let number = self.next_number;
        self.next_number += 1;
        self.bytes += queued.bytes;
        match &queued.entry {
            Entry::Ask(event) => {
                self.events += 1;
                self.superseded.push(number, event);
            }
            Entry::Came(partition, _) => {
                self.existence.entry(partition.clone()).or_default().push_back(true);
            }
            Entry::Went(partition, _) => {
                self.existence.entry(partition.clone()).or_default().push_back(false);
            }
            Entry::Suspended(is_suspended, _) => self.will_be_suspended = *is_suspended,
            Entry::Known { .. } | Entry::Unfollowed(..) => {}
        }
        self.queue.insert(number, queued);
    }

    /// Puts a timer that fired before all else.
    pub(in crate::pipeline) fn push_first(&mut self, queued: Queued) {
        self.note_fired(&queued);
        self.fired.push_front(queued);
    }

    /// Puts a timer that fired after others that have, and before all else.
    pub(in crate::pipeline) fn push_fired(&mut self, queued: Queued) {
        self.note_fired(&queued);
        self.fired.push_back(queued);
    }

    fn note_fired(&mut self, queued: &Queued) {
        self.bytes += queued.bytes;
        let Entry::Ask(event) = &queued.entry else { return };
        self.events += 1;
        self.superseded.push_timer(event);
        if let Some(key) = fired_key(queued) {
            self.fired_keys.entry(event.partition.clone()).or_default().insert(key);
        }
    }

    pub(in crate::pipeline) fn pop(&mut self) -> Option<Queued> {
        if let Some(queued) = self.fired.pop_front() {
            if let Entry::Ask(event) = &queued.entry {
                self.superseded.remove_timer(event);
            }
            self.no_longer_fired(&queued);
            self.count_out(&queued);
            return Some(queued);
        }
        let (number, queued) = self.queue.pop_first()?;
        match &queued.entry {
            Entry::Ask(event) => self.superseded.remove(number, event),
            Entry::Came(partition, _) | Entry::Went(partition, _) => {
                if let Some(later) = self.existence.get_mut(partition) {
                    later.pop_front();
                    if later.is_empty() {
                        self.existence.remove(partition);
                    }
                }
            }
            Entry::Known { .. } | Entry::Unfollowed(..) | Entry::Suspended(..) => {}
        }
        self.count_out(&queued);
        Some(queued)
    }

    /// Removes the oldest event that a later one of the same object and interest follows, wherever it is.
    pub(in crate::pipeline) fn pop_superseded(&mut self) -> Option<Queued> {
        let number = self.superseded.oldest()?;
        let queued = self.queue.remove(&number)?;
        if let Entry::Ask(event) = &queued.entry {
            self.superseded.remove(number, event);
        }
        self.count_out(&queued);
        Some(queued)
    }

    fn count_out(&mut self, queued: &Queued) {
        self.bytes = self.bytes.saturating_sub(queued.bytes);
        if matches!(queued.entry, Entry::Ask(_)) {
            self.events = self.events.saturating_sub(1);
        }
    }

    fn no_longer_fired(&mut self, queued: &Queued) {
        let (Entry::Ask(event), Some(key)) = (&queued.entry, fired_key(queued)) else { return };
        if let Some(keys) = self.fired_keys.get_mut(&event.partition) {
            keys.remove(&key);
            if keys.is_empty() {
                self.fired_keys.remove(&event.partition);
            }
        }
    }

    /// Returns a timer that fired, by its place among them.
    pub(in crate::pipeline) fn fired(&self, place: usize) -> Option<&Queued> {
        self.fired.get(place)
    }

    /// Records that a timer that fired is in the journal as an event from now on.
    pub(in crate::pipeline) fn set_row(&mut self, place: usize, row: Option<i64>, bytes: usize) {
        let Some(mut queued) = self.fired.remove(place) else { return };
        self.no_longer_fired(&queued);
        self.bytes = self.bytes.saturating_sub(queued.bytes) + bytes;
        (queued.row, queued.bytes) = (row, bytes);
        self.fired.insert(place, queued);
    }

    /// Timers that have fired, up to the one of this partition and key, if that is one of them that the
    /// journal has as a timer only.
    pub(in crate::pipeline) fn fired_up_to(&self, partition: &str, key: &str) -> usize {
        if !self.fired_keys.get(partition).is_some_and(|keys| keys.contains(key)) {
            return 0;
        }
        let is_it = |queued: &Queued| queued.entry.is_timer_of(partition, key);
        self.fired.iter().rposition(is_it).map_or(0, |place| place + 1)
    }

    fn entries(&self) -> impl Iterator<Item = &Queued> {
        self.fired.iter().chain(self.queue.values())
    }

    pub(in crate::pipeline) fn front(&self) -> Option<&Entry> {
        self.entries().next().map(|queued| &queued.entry)
    }

    pub(in crate::pipeline) fn back(&self) -> Option<&Entry> {
        let last = self.queue.last_key_value().map(|(_, queued)| queued);
        last.or_else(|| self.fired.back()).map(|queued| &queued.entry)
    }

    /// Events of the front that can be asked about together: nothing that happens to one of them can
    /// concern the clock of another, as in a round. `end` is when the next timer is due, and `expiry`
    /// when state goes.
    pub(in crate::pipeline) fn batch(
        &self,
        end: Option<Timestamp>,
        expiry: Option<Timestamp>,
        most: usize,
    ) -> Vec<Arc<Event>> {
        let mut events: Vec<Arc<Event>> = Vec::new();
        let fires = self.front().is_some_and(Entry::is_timer);
        for Queued { entry, .. } in self.entries() {
            let time = entry.time();
            let is_over = events.first().is_some_and(|first: &Arc<Event>| {
                entry.is_timer() != fires
                    || time.millis_since(first.time) >= ROUND_MS
                    || end.is_some_and(|end| end < time)
                    || expiry.is_some_and(|expiry| expiry <= time)
            });
            match entry {
                _ if is_over && !(fires && entry.is_timer()) || events.len() == most => break,
                Entry::Ask(event) => events.push(event.clone()),
                Entry::Suspended(..) => break,
                Entry::Known { .. } | Entry::Came(..) | Entry::Went(..) | Entry::Unfollowed(..) => {
                }
            }
        }
        events
    }

    /// Whether the object of a partition is known where the rule is; none: as it is known now.
    pub(in crate::pipeline) fn knows(&self, partition: &str) -> Option<bool> {
        let came_next = self.existence.get(partition)?.front()?;
        Some(!came_next)
    }

    /// Whether an event that waits is about an object.
    pub(in crate::pipeline) fn is_about(&self, uid: &str) -> bool {
        self.superseded.is_about(uid)
    }

    /// All rows of the journal, in order.
    pub(in crate::pipeline) fn rows(&self) -> Vec<i64> {
        let mut rows: Vec<i64> = self.entries().filter_map(|queued| queued.row).collect();
        rows.extend(self.forms.values().map(|(row, _)| *row));
        rows.push(self.suspension_row);
        rows.sort_unstable();
        rows
    }

    pub(in crate::pipeline) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::pipeline) fn events(&self) -> usize {
        self.events
    }

    /// The time of the first event that waits.
    pub(in crate::pipeline) fn oldest(&self) -> Option<Timestamp> {
        let mut entries = self.entries().map(|queued| &queued.entry);
        entries.find(|entry| matches!(entry, Entry::Ask(_))).map(Entry::time)
    }
}

/// What an object is known by.
pub(in crate::pipeline) fn unique(object: &Object) -> String {
    object.meta.identity.unique().into_owned()
}

/// The key of a timer that fired and that the journal has as a timer only.
fn fired_key(queued: &Queued) -> Option<String> {
    let Entry::Ask(event) = &queued.entry else { return None };
    let is_fired = queued.row.is_none() && queued.entry.is_timer();
    event.timer.as_ref().filter(|_| is_fired).map(|timer| timer.key.clone())
}
