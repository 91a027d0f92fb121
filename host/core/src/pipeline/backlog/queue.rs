//! The backlog of a lagging rule, and the rule's position on its own timeline.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::pipeline::ROUND_MS;
use crate::pipeline::backlog::entry::Entry;
use crate::pipeline::backlog::superseded::Superseded;
use klaxon_model::Dedicated;
use klaxon_model::{Event, Object, Timestamp};

/// A queued entry.
#[derive(Debug)]
pub(in crate::pipeline) struct Queued {
    /// The entry's row in the journal. `None` for a timer that fired and that the journal stores as a timer.
    pub(in crate::pipeline) row: Option<i64>,
    pub(in crate::pipeline) bytes: usize,
    pub(in crate::pipeline) entry: Entry,
}

/// The backlog of a lagging rule.
pub(in crate::pipeline) struct Backlog {
    /// Timers that fired: they come before everything else.
    fired: VecDeque<Queued>,
    /// Everything else, by number in the order of arrival.
    queue: BTreeMap<u64, Queued>,
    next_number: u64,
    /// The events of each object in the queue, and those of them that a later event follows.
    superseded: Superseded,
    /// The rule's own clock: the time of the last entry that it processed.
    pub(in crate::pipeline) now: Timestamp,
    /// The time since which the rule's timers are suspended at its position, and their suspension after all queued
    /// entries.
    pub(in crate::pipeline) suspended_since: Option<Timestamp>,
    pub(in crate::pipeline) will_be_suspended: bool,
    pub(in crate::pipeline) suspension_row: i64,
    /// Forms of objects at the rule's position, with their rows, for objects that timers concern and that changed
    /// since the rule started to lag. `None` if only the identity is known.
    pub(in crate::pipeline) forms: HashMap<String, (i64, Option<Arc<Object>>)>,
    /// The queued appearances (`true`) and deletions (`false`) of the object of a partition.
    existence: HashMap<Arc<str>, VecDeque<bool>>,
    /// Keys of fired timers that the journal stores as timers only, by partition.
    fired_keys: HashMap<Arc<str>, HashSet<String>>,
    bytes: usize,
    events: usize,
    /// `true` while the rule must not continue by itself.
    pub(in crate::pipeline) stays: bool,
    /// The rule's dedicated thread, if it has one.
    pub(in crate::pipeline) dedicated: Option<Box<dyn Dedicated>>,
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

    /// Returns `true` if the rule's timers are suspended at its position.
    pub(in crate::pipeline) fn is_suspended(&self) -> bool {
        self.suspended_since.is_some()
    }

    /// Sets the suspension of the rule's timers at its position.
    pub(in crate::pipeline) fn set_suspended(&mut self, is_suspended: bool, time: Timestamp) {
        self.suspended_since = is_suspended.then(|| self.suspended_since.unwrap_or(time));
    }

    /// Returns `true` while the rule is being asked about the first entries.
    pub(in crate::pipeline) fn is_asked(&self) -> bool {
        self.dedicated.as_ref().is_some_and(|one| one.is_asked())
    }

    /// Appends an entry that is not a fired timer.
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

    /// Puts a fired timer before all other entries.
    pub(in crate::pipeline) fn push_first(&mut self, queued: Queued) {
        self.note_fired(&queued);
        self.fired.push_front(queued);
    }

    /// Puts a fired timer after the other fired timers, and before all other entries.
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

    /// Removes the oldest event that a later event of the same object and interest follows, at any position.
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

    /// Returns a fired timer by its index among them.
    pub(in crate::pipeline) fn fired(&self, place: usize) -> Option<&Queued> {
        self.fired.get(place)
    }

    /// Records that the journal stores a fired timer as an event from now on.
    pub(in crate::pipeline) fn set_row(&mut self, place: usize, row: Option<i64>, bytes: usize) {
        let Some(mut queued) = self.fired.remove(place) else { return };
        self.no_longer_fired(&queued);
        self.bytes = self.bytes.saturating_sub(queued.bytes) + bytes;
        (queued.row, queued.bytes) = (row, bytes);
        self.fired.insert(place, queued);
    }

    /// Returns the number of fired timers up to and including the one with this partition and key; 0 if there is
    /// none or the journal does not store it as a timer only.
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

    /// Returns the first events that can be asked about together: none of them can affect the clock of another, as
    /// in a round. `end` is the time at which the next timer is due, and `expiry` the time at which state expires.
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

    /// Returns `true` if the object of a partition exists at the rule's position. `None` if no entry about it is
    /// queued, so that the latest knowledge is valid.
    pub(in crate::pipeline) fn knows(&self, partition: &str) -> Option<bool> {
        let came_next = self.existence.get(partition)?.front()?;
        Some(!came_next)
    }

    /// Returns `true` if a queued event is about an object.
    pub(in crate::pipeline) fn is_about(&self, uid: &str) -> bool {
        self.superseded.is_about(uid)
    }

    /// Returns all rows in the journal, in order.
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

    /// Returns the time of the first queued event.
    pub(in crate::pipeline) fn oldest(&self) -> Option<Timestamp> {
        let mut entries = self.entries().map(|queued| &queued.entry);
        entries.find(|entry| matches!(entry, Entry::Ask(_))).map(Entry::time)
    }
}

/// Returns the key that distinguishes objects.
pub(in crate::pipeline) fn unique(object: &Object) -> String {
    object.meta.identity.unique().into_owned()
}

/// Returns the key of a fired timer that the journal stores as a timer only.
fn fired_key(queued: &Queued) -> Option<String> {
    let Entry::Ask(event) = &queued.entry else { return None };
    let is_fired = queued.row.is_none() && queued.entry.is_timer();
    event.timer.as_ref().filter(|_| is_fired).map(|timer| timer.key.clone())
}
